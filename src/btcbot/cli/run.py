"""`btcbot run`: the main job. Trading cycles, once or in a loop, until told to stop."""

from __future__ import annotations

import sys
from typing import Any

import click

from btcbot.cli.running import options_of, run_profile, running_options
from btcbot.errors import Refused


@click.command("run")
@click.option("--dry-run", is_flag=True, help="Simulate whatever the settings say.")
@click.option("--paper", is_flag=True, help="Trade at a venue of our own against the real market; needs no keys.")
@running_options
def command(dry_run: bool, paper: bool, **given: Any) -> None:
    """Run trading cycles.

    Without any setting this is a dry run: simulated orders are recorded, none is sent. Real orders need every safety
    gate open; the first line says which are not. A signal (Ctrl-C, SIGTERM) ends the loop after the write in hand; a
    second one ends it at once, and the next start recovers either way.

    With --paper, orders go to a venue of our own, in a file beside a database of its own: they rest, fill against the
    real market's prices and trades, and cost fees, and nothing reaches the real venue.

    \b
    btcbot run                               one cycle, simulated
    btcbot run --loop --cycle-seconds 10     until Ctrl-C
    btcbot run --loop --env-file live.env    with the settings of a file
    btcbot run --paper --loop --db paper.db  fills against the live market, on paper
    """
    from btcbot.profiles import RUN

    if dry_run and paper:
        raise Refused("--dry-run and --paper: give one of them; only --paper fills orders")
    overrides = {"DRY_RUN": "true"} if dry_run or paper else {}
    sys.exit(run_profile(RUN, options_of(given), overrides, on_paper=paper))
