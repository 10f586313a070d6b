"""`btcbot kill`: the brake. A file beside the database, so it works without a bot, a database and a venue."""

from __future__ import annotations

from pathlib import Path

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where


@click.group(
    cls=options.Family,
    invoke_without_command=True,
    short_help="Stop new orders at once: kill on, kill off, kill status.",
)
@click.pass_context
def command(context: click.Context) -> None:
    """Stop new orders at once. Cancels still go through; the bot keeps watching and booking.

    \b
    Examples:  btcbot kill on --cancel-open --reason "market looks broken"
               btcbot kill off
    """
    if context.invoked_subcommand is None:
        raise click.UsageError("say on, off or status; «btcbot kill --help» tells more")


@command.command(short_help="Stop new orders from the next write on.")
@click.option("--reason", default="by the operator", metavar="TEXT", help="Why; shown by status.")
@click.option("--cancel-open", is_flag=True, help="Also cancel every order of ours that works at the venue.")
@options.asks_the_bot
def on(reason: str, db: Path | None, env_file: Path | None, wait: float, *, cancel_open: bool, as_json: bool) -> None:
    """Stop new orders, for every process that uses this database, from the next write on.

    \b
    Example:  btcbot kill on --reason "going on holiday"
    """
    from btcbot.adapters.kill_switch import FileKillSwitch

    where = Where(db, env_file)
    database = reading.database_path(where)
    switch = FileKillSwitch(database)
    switch.turn_on(reason, reading.now_ms())
    if as_json and not cancel_open:
        output.json_line({"on": True, "reason": reason, "path": str(switch.path)})
    else:
        click.echo(output.clean(f"kill switch on: no new order leaves while {switch.path} exists"), err=as_json)
    _note_missing(database)
    if cancel_open:
        from btcbot.cli import request

        request.ask(where, "cancel", {"client_order_id": "all"}, wait, as_json=as_json)


@command.command()
@options.report
def off(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Let new orders leave again, as far as the other gates allow.

    \b
    Example:  btcbot kill off
    """
    from btcbot.adapters.kill_switch import FileKillSwitch

    database = reading.database_path(Where(db, env_file))
    switch = FileKillSwitch(database)
    was_on, reason = switch.is_on()
    switch.turn_off()
    if as_json:
        output.json_line({"on": False, "was_on": was_on, "path": str(switch.path)})
    else:
        told = f"kill switch off (was on: {reason})" if was_on else "kill switch was off already"
        output.line(f"{told} ({switch.path})")
    _note_missing(database)


@command.command()
@options.report
def status(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Tell whether the kill switch is on, and why.

    \b
    Example:  btcbot kill status --json
    """
    from btcbot.adapters.kill_switch import FileKillSwitch

    database = reading.database_path(Where(db, env_file))
    switch = FileKillSwitch(database)
    is_on, reason = switch.is_on()
    if as_json:
        output.json_line({"on": is_on, "reason": reason, "path": str(switch.path)})
    else:
        output.line(f"kill switch ON: {reason} ({switch.path})" if is_on else f"kill switch off ({switch.path})")
    _note_missing(database)


def _note_missing(database: Path) -> None:
    """The brake of another database than the bot's stops nothing."""
    if not database.is_file():
        click.echo(output.clean(f"note: there is no database at {database} yet; is it the one the bot uses?"), err=True)
