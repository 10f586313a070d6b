"""`python -m btcturk_sim` is the same program as `btcturk-sim`."""

from btcturk_sim.cli import main

if __name__ == "__main__":
    main()
