"""`btcbot stage4-freeze-status`: `freeze status` by the name under which scripts know it."""

from __future__ import annotations

from pathlib import Path

import click

from btcbot.cli import freeze, options
from btcbot.cli.options import Where


@click.command(short_help="The same as «freeze status».")
@options.report
def command(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Tell whether orders are frozen that nobody can explain: the same as «freeze status».

    \b
    Example:  btcbot stage4-freeze-status --json
    """
    freeze.tell(Where(db, env_file), as_json=as_json)
