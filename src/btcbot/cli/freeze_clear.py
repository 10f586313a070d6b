"""`btcbot stage4-freeze-clear`: `freeze clear` by the name under which scripts know it."""

from __future__ import annotations

from pathlib import Path

import click

from btcbot.cli import freeze, options
from btcbot.cli.options import Where


@click.command(short_help="The same as «freeze clear».")
@click.option("--yes", is_flag=True, help="Confirm: the orders shown have been looked at and may stand.")
@options.asks_the_bot
def command(db: Path | None, env_file: Path | None, wait: float, *, yes: bool, as_json: bool) -> None:
    """End the freeze and acknowledge the orders that it shows: the same as «freeze clear».

    \b
    Example:  btcbot stage4-freeze-clear --yes
    """
    freeze.acknowledge(Where(db, env_file), wait, yes=yes, as_json=as_json)
