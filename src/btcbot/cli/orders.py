"""`btcbot orders`: list orders, show one, cancel, resolve one that is in doubt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where

if TYPE_CHECKING:
    from btcbot.domain.orders import Order

_COLUMNS = ("client order id", "created", "symbol", "side", "price", "quantity", "filled", "status", "reason")


@click.group(
    cls=options.Family,
    invoke_without_command=True,
    short_help="List orders; cancel one, or resolve one that is in doubt.",
)
@click.option("--open", "which", flag_value="open", help="Only orders that may still trade.")
@click.option("--all", "which", flag_value="all", help="Every order, however many.")
@click.option("--limit", type=options.COUNT, default=20, show_default=True, metavar="N", help="The newest N.")
@options.report
@click.pass_context
def command(
    context: click.Context, which: str | None, limit: int, db: Path | None, env_file: Path | None, *, as_json: bool
) -> None:
    """List the newest orders; cancel one, or resolve one that is in doubt.

    \b
    Examples:  btcbot orders --open
               btcbot orders show btcbot-1a2b3c4d-19b1c2d3e4f-7
               btcbot orders cancel --all
               btcbot orders resolve btcbot-1a2b3c4d-19b1c2d3e4f-7 --not-placed --reason "venue support said so"
    """
    if context.invoked_subcommand is not None:
        return
    from btcbot.domain.orders import OPEN

    with reading.open_book(Where(db, env_file)) as store:
        total = store.order_count()
        if which == "open":
            found = sorted(store.orders(tuple(OPEN)), key=lambda order: order.created_at_ms, reverse=True)
        else:
            found = list(store.recent_orders(total if which == "all" else limit)) if total else []
    if as_json:
        output.json_line({"orders": found, "total": total})
    else:
        output.table(f"orders ({len(found)} of {total})", _COLUMNS, [_row(o) for o in found], numbers=_COLUMNS[4:7])


def _row(order: Order) -> tuple[str, ...]:
    return (
        order.client_order_id,
        output.moment(order.created_at_ms),
        order.symbol,
        order.side.value,
        output.amount(order.price),
        output.amount(order.quantity),
        output.amount(order.filled_quantity),
        order.status.value,
        order.reason or "",
    )


@command.command(short_help="Tell one order: why, what was filled, what is held.")
@click.argument("client_id")
@options.report
def show(client_id: str, db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Tell one order: why it was allowed, what was filled, what is held for it.

    \b
    Example:  btcbot orders show btcbot-1a2b3c4d-19b1c2d3e4f-7
    """
    from btcbot.errors import Refused

    with reading.open_book(Where(db, env_file)) as store:
        order = store.order(client_id)
        if order is None:
            raise Refused(f"no order {client_id} in this database; «btcbot orders --all» lists them")
        fills = store.fills_of(client_id)
        hold = store.holds().get(client_id)
        verdicts = [v for v in store.verdicts(order.cycle_id) if v.intent_id == order.intent_id]
    if as_json:
        verdict = verdicts[0] if verdicts else None
        output.json_line({"order": order, "fills": fills, "hold": hold, "verdict": verdict})
        return
    output.facts(
        [
            ("order", order.client_order_id),
            ("at the venue", order.venue_order_id or "not known there"),
            ("status", " - ".join(filter(None, (order.status.value, order.reason)))),
            ("what", f"{order.side} {output.amount(order.quantity)} {order.symbol} at {output.amount(order.price)}"),
            ("filled", output.amount(order.filled_quantity)),
            ("created", f"{output.moment(order.created_at_ms)} in cycle {order.cycle_id} by {order.strategy}"),
            ("updated", output.moment(order.updated_at_ms)),
            ("cancel asked", output.moment(order.cancel_requested_at_ms)),
            ("absent from lists", f"{order.absent_count} times since {output.moment(order.absent_since_ms)}"),
            ("held", f"{output.amount(hold.amount)} {hold.asset}" if hold else "nothing"),
            ("verdict", "; ".join(f"{v.code}: {v.detail}" for v in verdicts) or "none recorded"),
        ]
    )
    output.table(
        "fills",
        ("trade id", "at", "price", "quantity", "fee", "tax"),
        [(f.trade_id, output.moment(f.at_ms), *map(output.amount, (f.price, f.quantity, f.fee, f.tax))) for f in fills],
        numbers=("price", "quantity", "fee", "tax"),
    )


@command.command(short_help="Ask the venue to cancel one order, or --all.")
@click.argument("client_id", required=False)
@click.option("--all", "everything", is_flag=True, help="Every order of ours that works at the venue.")
@options.asks_the_bot
def cancel(
    client_id: str | None, db: Path | None, env_file: Path | None, wait: float, *, everything: bool, as_json: bool
) -> None:
    """Ask the venue to cancel one order of ours, or --all. Orders of other programs are never touched.

    \b
    Examples:  btcbot orders cancel btcbot-1a2b3c4d-19b1c2d3e4f-7
               btcbot orders cancel --all
    """
    from btcbot.cli import request

    if everything == (client_id is not None):
        raise click.UsageError("name one CLIENT_ID, or say --all")
    wanted = "all" if client_id is None else client_id
    request.ask(Where(db, env_file), "cancel", {"client_order_id": wanted}, wait, as_json=as_json)


@command.command(short_help="Settle an order in doubt by your own proof.")
@click.argument("client_id")
@click.option("--placed", metavar="VENUE_ID", help="The venue has it, under this order id.")
@click.option("--not-placed", is_flag=True, help="The venue never took it.")
@click.option("--closed", is_flag=True, help="It worked at the venue and is over, which the venue's lists do not tell.")
@options.reason_option
@options.asks_the_bot
def resolve(
    client_id: str,
    placed: str | None,
    reason: str,
    db: Path | None,
    env_file: Path | None,
    wait: float,
    *,
    not_placed: bool,
    closed: bool,
    as_json: bool,
) -> None:
    """Settle an order in doubt by your own proof, such as the venue's order page.

    Only needed when the bot cannot prove it by itself: it usually can within a minute.

    \b
    Example:  btcbot orders resolve btcbot-1a2b3c4d-19b1c2d3e4f-7 --placed 123456 --reason "seen on the web page"
    """
    from btcbot.cli import request

    if [placed is not None, not_placed, closed].count(True) != 1:
        raise click.UsageError("say one of --placed VENUE_ID, --not-placed and --closed")
    if placed is not None and not (placed.isascii() and placed.isdigit()):
        raise click.UsageError("--placed takes the venue's order id, a number")
    outcome = "placed" if placed is not None else "not-placed" if not_placed else "closed"
    arguments = {
        "client_order_id": client_id,
        "outcome": outcome,
        "venue_order_id": placed or "",
        "reason": reason,
    }
    request.ask(Where(db, env_file), "resolve", arguments, wait, as_json=as_json)


@command.command(short_help="Declare a venue order foreign although it carries our id.")
@click.argument("venue_id")
@options.reason_option
@options.asks_the_bot
def disown(venue_id: str, reason: str, db: Path | None, env_file: Path | None, wait: float, *, as_json: bool) -> None:
    """Treat a venue order as foreign although it carries one of our ids.

    For a halt that says one request of ours stands at the venue twice: keep one of the two, disown the other, resume.

    \b
    Example:  btcbot orders disown 21771006214 --reason "the proxy delivered it twice"
    """
    from btcbot.cli import request

    if not (venue_id.isascii() and venue_id.isdigit()):
        raise click.UsageError("VENUE_ID is the venue's order id, a number")
    request.ask(Where(db, env_file), "disown", {"venue_order_id": venue_id, "reason": reason}, wait, as_json=as_json)
