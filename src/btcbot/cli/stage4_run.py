"""`btcbot stage4-run`: the unattended portfolio, until told to stop."""

from __future__ import annotations

import sys
from typing import Any

import click

from btcbot.cli.running import options_of, run_profile, running_options
from btcbot.errors import Refused


@click.command("stage4-run")
@click.option("--dry-run", is_flag=True, help="Simulate whatever the settings say.")
@click.option("--paper", is_flag=True, help="Trade at a venue of our own against the real market; needs no keys.")
@running_options
def command(dry_run: bool, paper: bool, **given: Any) -> None:
    """Run the unattended portfolio.

    The same cycles, gates, books and recovery as «btcbot run», with more around them: a portfolio that is kept at
    PORTFOLIO_TARGETS, sizes that leave the cash reserve alone, working orders that are kept, cancelled or replaced, a
    risk budget (loss of the day, drawdown, exposure, share of one position, fees), anomalies that narrow trading until
    they are over («btcbot degrade status»), a freeze on orders that nobody can explain («btcbot freeze status»), and a
    kill switch that turns itself on after repeated failure.

    \b
    btcbot stage4-run                                  one cycle, simulated
    btcbot stage4-run --loop --paper --db paper.db     fills against the live market, on paper
    btcbot stage4-run --loop --env-file live.env       with the settings of a file
    """
    from btcbot.profiles import STAGE4

    if dry_run and paper:
        raise Refused("--dry-run and --paper: give one of them; only --paper fills orders")
    overrides = {"DRY_RUN": "true"} if dry_run or paper else {}
    sys.exit(run_profile(STAGE4, options_of(given), overrides, on_paper=paper))
