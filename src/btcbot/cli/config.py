"""`btcbot config`: every setting in force, where it came from, secrets masked."""

from __future__ import annotations

from pathlib import Path

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where


@click.command(short_help="Show every setting in force and where it came from, secrets masked.")
@options.report
def command(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Show every setting in force and where it came from. Secrets are masked; nothing is contacted.

    Settings that cannot be used are told all at once, one line each.

    \b
    Example:  btcbot config --env-file .env.live
    """
    loaded = reading.load(Where(db, env_file))
    rows = loaded.rows()
    if as_json:
        settings = {r.name: {"value": r.value, "origin": r.origin, "description": r.description} for r in rows}
        output.json_line({"env_file": str(loaded.env_file) if loaded.env_file else None, "settings": settings})
    else:
        output.table("settings", ("name", "value", "origin", "meaning"), rows)
