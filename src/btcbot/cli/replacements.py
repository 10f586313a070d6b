"""`btcbot replacements`: orders that are making room for others; clear a list of them that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where

if TYPE_CHECKING:
    from btcbot.adapters.store.sqlite import SqliteStore

#: Of a text that cannot be read, so much is shown on a terminal; --json has it whole.
_CHARACTERS_SHOWN: Final = 2_000


@click.group(
    cls=options.Family,
    invoke_without_command=True,
    short_help="Show orders that make room for others; clear a list that cannot be read.",
)
@click.pass_context
def command(context: click.Context) -> None:
    """Orders that are making room for others (stage4-run, stage7-run). The bot brings each to its end by itself.

    A list that cannot be read halts it (I20_REPLACEMENTS): look at what lies there, see to the orders, and clear it.

    \b
    Examples:  btcbot replacements status
               btcbot replacements clear --yes --reason "orders compared with the venue's page, none is open"
    """
    if context.invoked_subcommand is None:
        raise click.UsageError("say status or clear; «btcbot replacements --help» tells more")


@command.command(short_help="Show the open replacements, or what lies there instead.")
@options.report
def status(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Show the open replacements, or what lies there when it cannot be read. Reads the database only.

    \b
    Example:  btcbot replacements status --json
    """
    with reading.open_book(Where(db, env_file)) as store:
        told = collect(store)
    if as_json:
        output.json_line(told)
    else:
        _show(told)


def collect(store: SqliteStore) -> dict[str, Any]:
    """Everything that `replacements status` tells."""
    from btcbot.services.replacement_record import read_kept, read_put_aside

    kept = read_kept(store)
    return {
        "readable": not kept.why_not,
        "why_not": kept.why_not,
        "open": kept.records,
        "text": kept.text if kept.why_not else "",
        "orders_in_the_way": [
            {"client_order_id": one.client_order_id, "symbol": one.symbol, "side": one.side, "status": one.status}
            for one in kept.in_the_way
        ],
        "put_aside": read_put_aside(store),
    }


def _show(told: dict[str, Any]) -> None:
    if told["readable"]:
        _table(told)
    else:
        text = told["text"]
        cut = f" … ({len(text)} characters, --json has them all)" if len(text) > _CHARACTERS_SHOWN else ""
        output.line(f"The list of open replacements cannot be read: {told['why_not']}. What lies there:")
        output.line(f"  {text[:_CHARACTERS_SHOWN]}{cut}")
        rows = [tuple(map(str, one.values())) for one in told["orders_in_the_way"]]
        output.table("open orders that it may be about", ("order", "symbol", "side", "status"), rows)
        if rows:
            output.line("Compare each with the venue's page, then «btcbot orders resolve ID --closed --reason …».")
        else:
            output.line("When the venue's page shows none either: «btcbot replacements clear --yes --reason …».")
    output.table(
        "lists put aside", ("at", "why"), [(output.moment(one.at_ms), one.reason) for one in told["put_aside"]]
    )


def _table(told: dict[str, Any]) -> None:
    output.table(
        "open replacements",
        ("old order", "new order", "symbol", "side", "price", "quantity", "state", "why", "since"),
        [
            (
                one.old_client_order_id,
                one.new_client_order_id or output.NOTHING,
                one.symbol,
                one.side.value,
                output.amount(one.price),
                output.amount(one.quantity),
                one.state.value,
                one.reason.value,
                output.moment(one.begun_at_ms),
            )
            for one in told["open"]
        ],
        numbers=("price", "quantity"),
    )


@command.command(short_help="Put aside a list that cannot be read, with a reason.")
@click.option("--yes", is_flag=True, help="Confirm: what lies there has been looked at, and no order of it is open.")
@options.reason_option
@options.asks_the_bot
def clear(reason: str, db: Path | None, env_file: Path | None, wait: float, *, yes: bool, as_json: bool) -> None:
    """Put aside a list of open replacements that cannot be read. It is kept, with the reason.

    Refused while an order that it may be about is open, and for a list that can be read.

    \b
    Example:  btcbot replacements clear --yes --reason "orders compared with the venue's page, none is open"
    """
    from btcbot.cli import request
    from btcbot.errors import Refused
    from btcbot.services.replacement_record import read_kept

    where = Where(db, env_file)
    with reading.open_book(where) as store:
        kept = read_kept(store)
    if kept.why_not and not yes:
        raise Refused(
            f"it cannot be read: {kept.why_not}; look at it with «btcbot replacements status», then say --yes"
        )
    request.ask(where, "replacements_clear", {"shown": kept.sha256, "reason": reason}, wait, as_json=as_json)
