"""`python -m btcbot` is the same as `btcbot`."""

from btcbot.cli import main

main()
