"""`btcbot resume`: a human reopens a bot that halted."""

from __future__ import annotations

from pathlib import Path

import click

from btcbot.cli import options
from btcbot.cli.options import Where


@click.command(short_help="Reopen a bot that halted, after looking at the evidence.")
@options.reason_option
@options.asks_the_bot
def command(reason: str, db: Path | None, env_file: Path | None, wait: float, *, as_json: bool) -> None:
    """Reopen a bot that halted, after looking at the evidence in «btcbot status» and «btcbot cycles».

    A bot halts when something is true that can never be true. Look first: it will halt again if it still is.

    \b
    Example:  btcbot resume --reason "key permissions restored"
    """
    from btcbot.cli import request

    request.ask(Where(db, env_file), "resume", {"reason": reason}, wait, as_json=as_json)
