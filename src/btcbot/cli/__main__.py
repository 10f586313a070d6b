"""`python -m btcbot.cli` is the same as `btcbot`."""

from btcbot.cli import main

main()
