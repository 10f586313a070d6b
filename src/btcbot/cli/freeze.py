"""`btcbot freeze`: the freeze on orders that nobody can explain; look at it, and clear it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where

if TYPE_CHECKING:
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.decisions.freeze import Unexplained


@click.group(
    cls=options.Family,
    invoke_without_command=True,
    short_help="Show or clear the freeze on orders that nobody can explain.",
)
@click.pass_context
def command(context: click.Context) -> None:
    """The freeze on orders that nobody can explain. While it holds no new order leaves; cancels do.

    \b
    Examples:  btcbot freeze status
               btcbot freeze clear --yes
    """
    if context.invoked_subcommand is None:
        raise click.UsageError("say status or clear; «btcbot freeze --help» tells more")


@command.command(short_help="Tell whether orders are frozen, and by which.")
@options.report
def status(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Tell whether orders are frozen, by which orders, and which ones are being watched or were acknowledged.

    Reads the database only.

    \b
    Example:  btcbot freeze status --json
    """
    tell(Where(db, env_file), as_json=as_json)


def tell(where: Where, *, as_json: bool) -> None:
    """Print whether orders are frozen, by which, and which ones are being watched or were acknowledged."""
    with reading.open_book(where) as store:
        told = collect(store, reading.now_ms())
    if as_json:
        output.json_line(told)
    else:
        _show(told)


def collect(store: SqliteStore, now_ms: int) -> dict[str, Any]:
    """Everything that `freeze status` tells."""
    from btcbot.services.freeze_record import read_acknowledged, read_freeze, read_watched

    record = read_freeze(store)
    frozen = () if record is None else record.orders
    keys = {order.key for order in frozen}
    acknowledged = read_acknowledged(store)
    return {
        "active": record is not None,
        "reason": record.reason if record is not None else "",
        "since_ms": record.since_ms if record is not None else None,
        "age_s": (now_ms - record.since_ms) // 1000 if record is not None else None,
        "cycle_id": record.cycle_id or None if record is not None else None,
        "orders": frozen,
        "watched": [
            {
                "order": one.order,
                "cycles": one.cycles,
                "first_ms": one.first_ms,
                "acknowledged": one.order.key in acknowledged,
            }
            for one in read_watched(store).values()
            if one.order.key not in keys
        ],
        "acknowledged": acknowledged,
    }


def _show(told: dict[str, Any]) -> None:
    since = f"yes, since {output.moment(told['since_ms'])} ({output.duration(told['age_s'])})" if told["active"] else ""
    output.facts(
        [
            ("frozen", since or "no"),
            ("acknowledged", f"{len(told['acknowledged'])} order(s) that do not freeze again"),
        ]
    )
    acknowledged = set(told["acknowledged"])
    rows = [(one, output.NOTHING) for one in told["orders"]]
    _table("orders that froze", rows, acknowledged)
    rows = [(one["order"], one["cycles"]) for one in told["watched"]]
    _table("unexplained orders that are shown, and watched until they are acknowledged", rows, acknowledged)
    if told["active"]:
        output.line("Look at each of them on the venue's page, then «btcbot freeze clear --yes».")


def _table(title: str, rows: Sequence[tuple[Unexplained, object]], acknowledged: Collection[str] = ()) -> None:
    output.table(
        title,
        ("what", "symbol", "order", "cycles in a row", "acknowledged"),
        [
            (
                one.kind.value,
                one.symbol,
                one.detail,
                cycles,
                "yes, never freezes again" if one.key in acknowledged else "no",
            )
            for one, cycles in rows
        ],
        numbers=("cycles in a row",),
    )


@command.command(short_help="End the freeze and acknowledge its orders.")
@click.option("--yes", is_flag=True, help="Confirm: the orders shown have been looked at and may stand.")
@options.asks_the_bot
def clear(db: Path | None, env_file: Path | None, wait: float, *, yes: bool, as_json: bool) -> None:
    """End the freeze. The orders that it shows are acknowledged: they stay as they are and never freeze again.

    \b
    Example:  btcbot freeze clear --yes
    """
    acknowledge(Where(db, env_file), wait, yes=yes, as_json=as_json)


def acknowledge(where: Where, wait: float, *, yes: bool, as_json: bool) -> None:
    """Have the freeze ended and what it shows acknowledged. Refused without `yes`, and where nothing is frozen."""
    from btcbot.cli import request
    from btcbot.errors import Refused
    from btcbot.services.freeze_record import read_freeze

    with reading.open_book(where) as store:
        record = read_freeze(store)
    if record is None:
        raise Refused("nothing is frozen by unexplained orders; there is nothing to clear")
    if not yes:
        raise Refused(f"frozen by {len(record.orders)} order(s): {record.reason}; look at them, then say --yes")
    if not as_json:
        _table("acknowledging", [(one, output.NOTHING) for one in record.orders])
    keys = ",".join(order.key for order in record.orders)
    request.ask(where, "freeze_clear", {"orders": keys}, wait, as_json=as_json)
