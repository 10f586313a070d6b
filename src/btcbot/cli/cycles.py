"""`btcbot cycles`: what the last cycles came to, and why, from the database alone."""

from __future__ import annotations

from pathlib import Path

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where


@click.group(
    cls=options.Family, invoke_without_command=True, short_help="List the last cycles, or tell one with every verdict."
)
@click.option("--limit", type=options.COUNT, default=20, show_default=True, metavar="N", help="The newest N.")
@options.report
@click.pass_context
def command(context: click.Context, limit: int, db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """List the last cycles, newest first; `show` tells one with every verdict.

    \b
    Examples:  btcbot cycles --limit 5
               btcbot cycles show c00000042
    """
    if context.invoked_subcommand is not None:
        return
    with reading.open_book(Where(db, env_file)) as store:
        found, total = store.cycles(limit), store.cycle_count()
    if as_json:
        output.json_line({"cycles": found, "total": total})
        return
    output.table(
        f"cycles ({len(found)} of {total})",
        ("cycle", "began", "took", "mode", "outcome", "counts", "reasons"),
        [
            (
                c.cycle_id,
                output.moment(c.started_at_ms),
                f"{(c.ended_at_ms - c.started_at_ms) / 1000:.2f} s",
                c.mode,
                c.outcome.value,
                ", ".join(f"{count} {name}" for name, count in c.counts.items() if count),
                "; ".join(c.reasons),
            )
            for c in found
        ],
        numbers=("took",),
    )


@command.command(short_help="Tell one cycle with every verdict.")
@click.argument("cycle_id")
@options.report
def show(cycle_id: str, db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Tell one cycle: its gates, prices, every wish with its verdict, and the orders that came of it.

    \b
    Example:  btcbot cycles show c00000042
    """
    from btcbot.domain.orders import OrderStatus
    from btcbot.errors import Refused

    with reading.open_book(Where(db, env_file)) as store:
        cycle = store.cycle(cycle_id)
        if cycle is None:
            raise Refused(f"no cycle {cycle_id} in this database; «btcbot cycles» lists the last ones")
        verdicts = store.verdicts(cycle_id)
        since_ms = min([cycle.started_at_ms, *(verdict.at_ms for verdict in verdicts)])
        orders = [order for order in store.orders(tuple(OrderStatus), since_ms) if order.cycle_id == cycle_id]
    if as_json:
        output.json_line({"cycle": cycle, "verdicts": verdicts, "orders": orders})
        return
    output.facts(
        [
            ("cycle", f"{cycle.cycle_id} ({cycle.mode}, profile {cycle.profile})"),
            ("began", f"{output.moment(cycle.started_at_ms)}, took {cycle.ended_at_ms - cycle.started_at_ms} ms"),
            ("outcome", cycle.outcome.value),
            ("reasons", "; ".join(cycle.reasons) or "none"),
            ("counts", ", ".join(f"{count} {name}" for name, count in cycle.counts.items() if count) or "nothing"),
            ("gates closed", ", ".join(name for name, is_open in cycle.gates.items() if not is_open) or "none"),
            (
                "bid / ask",
                ", ".join(f"{s} {output.amount(b)} / {output.amount(a)}" for s, (b, a) in cycle.quotes.items())
                or "none",
            ),
            ("equity, TRY", output.amount(cycle.equity_try)),
            (
                "result, TRY",
                f"{output.amount(cycle.realized_pnl_try)} realised, "
                f"{output.amount(cycle.unrealized_pnl_try)} unrealised",
            ),
        ]
    )
    by_intent = {order.intent_id: order for order in orders}
    output.table(
        "verdicts",
        ("intent", "symbol", "side", "price", "quantity", "verdict", "why", "order", "status now"),
        [
            (
                v.intent_id,
                v.symbol,
                v.side.value,
                output.amount(v.price),
                output.amount(v.quantity),
                v.code,
                v.detail,
                by_intent[v.intent_id].client_order_id if v.intent_id in by_intent else output.NOTHING,
                by_intent[v.intent_id].status.value if v.intent_id in by_intent else output.NOTHING,
            )
            for v in verdicts
        ],
        numbers=("price", "quantity"),
    )
