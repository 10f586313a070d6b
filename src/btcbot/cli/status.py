"""`btcbot status`: what the bot is, may do, holds and last did, from its database alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where

if TYPE_CHECKING:
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.domain.cycles import CycleReport


PAPER: Final = "paper"
#: A pair is watched while it has an open order; one of these may have closed since.
_ORDERS_SEARCHED: Final = 1_000
#: The gates that hold on paper too.
BRAKES: Final = frozenset(
    {"safe_mode", "kill_switch", "kill_file", "halted", "frozen_by_suspense", "frozen_by_unexplained_orders"}
)


@click.command(short_help="Show mode, gates, positions, orders in doubt and the last cycle.")
@options.report
def command(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Show mode, gates, positions, orders in doubt and the last cycle.

    Reads the database only: it works while the bot runs, without keys, and when the venue is down. Gates are computed
    now from settings, kill file and database; those that only a running bot can tell are as of its last cycle.

    \b
    Example:  btcbot status
              btcbot status --json --db /srv/btcbot/btcbot_state.db
    """
    where = Where(db, env_file)
    with reading.open_book(where) as store:
        report = collect(where, store)
    if as_json:
        output.json_line(report)
    else:
        _show(report)


def collect(where: Where, store: SqliteStore) -> dict[str, Any]:
    """Everything that `status` tells."""
    from btcbot.adapters.kill_switch import FileKillSwitch
    from btcbot.domain.ledger import Account
    from btcbot.domain.orders import IN_DOUBT, OPEN, OrderStatus
    from btcbot.services.self_check import read_self_check

    database = reading.database_path(where)
    cycles = store.cycles(1)
    last = cycles[0] if cycles else None
    held = reading.writer(database)
    open_orders = store.orders(tuple(OPEN))
    state, state_reason = store.trading_state()
    kill_on, kill_reason = FileKillSwitch(database).is_on()
    check = read_self_check(store)
    identity = store.identity()
    gates, problems = _gates(where, store, database, last, running=held is not None)
    mode = identity.mode if identity is not None else None
    return {
        "mode": last.mode if last is not None else mode,
        "trading_state": state,
        "trading_state_reason": state_reason,
        "running": held is not None,
        "pid": held.pid if held is not None else None,
        "gates": gates,
        "gates_last_cycle": last.gates if last is not None else {},
        "settings_problems": problems,
        "kill_file": {"on": kill_on, "reason": kill_reason, "path": str(FileKillSwitch(database).path)},
        "fills": store.fill_count(),
        "unknown_orders": sum(o.status in {OrderStatus.UNKNOWN, OrderStatus.SUBMITTED} for o in open_orders),
        "orders_in_doubt": sum(order.status in IN_DOUBT for order in open_orders),
        "open_orders": open_orders,
        "positions": {
            symbol: {"quantity": position.quantity, "average_cost": position.average_cost}
            for symbol, position in store.positions().items()
            if position.quantity
        },
        "discrepancies": store.discrepancies(),
        "unexplained_orders": _unexplained_orders(store),
        "universe": _universe(store, last),
        "suspense": {asset: -amount for asset, amount in store.account_balances(Account.SUSPENSE).items() if amount},
        "pnl_try": _pnl(store, last),
        "last_cycle": _cycle(last),
        "self_check": None
        if check is None
        else {
            "passed": check.passed,
            "age_s": _age_s(check.at_ms),
            "problems": check.problems,
        },
        "db": {
            "path": os.path.abspath(database),  # noqa: PTH100 - a link must not be hidden
            "book_id": identity.book_id if identity is not None else None,
            "mode": mode,
            "venue_host": identity.venue_host if identity is not None else None,
            "has_key": identity is not None and identity.key_fingerprint is not None,
            "orders": store.order_count(),
            "entries": store.entry_count(),
            "cycles": store.cycle_count(),
        },
    }


def _unexplained_orders(store: SqliteStore) -> list[dict[str, Any]]:
    """The orders by which new ones are frozen."""
    import msgspec

    from btcbot.services.freeze_record import read_freeze

    frozen = read_freeze(store)
    return [] if frozen is None else [msgspec.structs.asdict(order) for order in frozen.orders]


def _universe(store: SqliteStore, last: CycleReport | None) -> dict[str, Any] | None:
    """The pairs that may be bought, where the last cycle went by a choice; None where it traded those of the settings.

    A choice of earlier days lies there still when the settings want none any more: then the last cycle looked at pairs
    that are neither chosen nor held, and had no order.
    """
    from btcbot.profiles import PROFILES, UniverseKind
    from btcbot.services.universe_record import chosen_now

    profile = PROFILES.get(last.profile) if last is not None else None
    chosen = chosen_now(store)
    if last is None or profile is None or chosen is None or profile.universe is UniverseKind.CONFIGURED:
        return None
    of_orders = {order.symbol for order in store.recent_orders(_ORDERS_SEARCHED)}
    if last.quotes.keys() - {*chosen.symbols, *store.positions(), *of_orders}:
        return None
    return {
        "symbols": chosen.symbols,
        "is_fallback": chosen.is_fallback,
        "since_ms": chosen.since_ms,
        "looked_at_ms": chosen.looked_at_ms,
        "frozen": chosen.frozen,
    }


def _gates(
    where: Where, store: SqliteStore, database: Path, last: CycleReport | None, *, running: bool
) -> tuple[dict[str, bool], tuple[str, ...]]:
    """The gates now, and what is wrong with the settings; then the last cycle's gates, as far as they are known."""
    from btcbot.errors import ConfigurationError

    try:
        loaded = reading.load(where)
    except ConfigurationError as error:
        return dict(last.gates) if last is not None else {}, error.lines
    return dict(reading.gates_now(loaded, store, database, last, running=running)), ()


def _pnl(store: SqliteStore, last: CycleReport | None) -> dict[str, Any]:
    """Realised now; unrealised and equity as of the last cycle, which knew prices; `day` is since its midnight."""
    from btcbot.domain import money
    from btcbot.services import named_values, values

    realized = money.total(position.realized_pnl for position in store.positions().values())
    unrealized = last.unrealized_pnl_try if last is not None else money.ZERO
    start = named_values.amount(store, values.PNL_DAY_START)
    return {
        "realized": realized,
        "unrealized": unrealized,
        "day": realized + unrealized - start if start is not None else money.ZERO,
        "day_of": named_values.calendar_day(store, values.PNL_DAY),
        "equity": last.equity_try if last is not None else None,
    }


def _cycle(last: CycleReport | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {
        "id": last.cycle_id,
        "number": last.number,
        "outcome": last.outcome,
        "reasons": last.reasons,
        "age_s": _age_s(last.ended_at_ms),
        "counts": last.counts,
    }


def _age_s(at_ms: int) -> int:
    return (reading.now_ms() - at_ms) // 1000


def _show(report: dict[str, Any]) -> None:
    running = "no" if not report["running"] else f"yes, pid {report['pid'] or 'unknown'}"
    pnl, db, kill, check = report["pnl_try"], report["db"], report["kill_file"], report["self_check"]
    closed = [name for name, is_open in report["gates"].items() if not is_open]
    output.facts(
        [
            ("mode", report["mode"] or "not yet fixed"),
            ("trading state", " - ".join(filter(None, (report["trading_state"], report["trading_state_reason"])))),
            ("bot running", running),
            ("last cycle", _cycle_line(report["last_cycle"])),
            ("gates closed", _gates_line(report["mode"], closed) if report["gates"] else "unknown"),
            ("kill file", f"ON - {kill['reason']}" if kill["on"] else "off"),
            ("self-check", _check_line(check)),
            (
                "result, TRY",
                f"{output.amount(pnl['realized'])} realised, {output.amount(pnl['unrealized'])} unrealised",
            ),
            ("today, TRY", f"{output.amount(pnl['day'])} (day {pnl['day_of'] or 'not begun'})"),
            ("equity, TRY", output.amount(pnl["equity"])),
            ("fills", report["fills"]),
            ("orders in doubt", report["orders_in_doubt"]),
            ("in suspense", _amounts(report["suspense"])),
            ("unexplained", _unexplained_line(report)),
            *([] if report["universe"] is None else [("pairs chosen", _universe_line(report["universe"]))]),
            ("database", f"{db['path']} ({db['mode'] or 'new'}, {db['orders']} orders, {db['entries']} entries)"),
        ]
    )
    for problem in report["settings_problems"]:
        output.line(f"settings: {problem}; the gates above are the last cycle's")
    output.table(
        "positions",
        ("symbol", "quantity", "average cost"),
        [(s, output.amount(p["quantity"]), output.amount(p["average_cost"])) for s, p in report["positions"].items()],
        numbers=("quantity", "average cost"),
    )
    output.table(
        "open orders",
        ("client order id", "symbol", "side", "price", "quantity", "filled", "status"),
        [
            (
                order.client_order_id,
                order.symbol,
                order.side.value,
                output.amount(order.price),
                output.amount(order.quantity),
                output.amount(order.filled_quantity),
                order.status.value,
            )
            for order in report["open_orders"]
        ],
        numbers=("price", "quantity", "filled"),
    )


def _gates_line(mode: str | None, closed: list[str]) -> str:
    """Those that are closed; on paper the real venue's are meant to be, and only the brakes matter."""
    if mode != PAPER:
        return ", ".join(closed) or "none"
    brakes = [name for name in closed if name in BRAKES]
    return f"{', '.join(brakes) or 'none'} on paper; to the real venue {', '.join(closed)}"


def _cycle_line(cycle: dict[str, Any] | None) -> str:
    if cycle is None:
        return "none yet"
    counts = ", ".join(f"{count} {name}" for name, count in cycle["counts"].items() if count)
    reasons = "; ".join(cycle["reasons"])
    told = f"{cycle['id']} {cycle['outcome']}, {output.duration(cycle['age_s'])} ago"
    return " - ".join(filter(None, (told, counts, reasons)))


def _check_line(check: dict[str, Any] | None) -> str:
    if check is None:
        return "not run yet"
    told = f"passed {output.duration(check['age_s'])} ago" if check["passed"] else "FAILED"
    return " - ".join([told, *check["problems"].values()])


def _unexplained_line(report: dict[str, Any]) -> str:
    """Amounts that are being watched, and orders that froze all others."""
    told = [f"{output.amount(one.amount)} {one.asset}" for one in report["discrepancies"]]
    orders = report["unexplained_orders"]
    if orders:
        shown = "; ".join(output.clean(f"{one['kind'].value} {one['symbol']}: {one['detail']}") for one in orders[:2])
        more = f"; and {len(orders) - 2} more" if len(orders) > 2 else ""
        counted = f"{len(orders)} order{'s' if len(orders) > 1 else ''}"
        told.append(f"{counted}, so no new one leaves ({shown}{more}); see «btcbot freeze status»")
    return ", ".join(told) or "none"


def _universe_line(universe: dict[str, Any]) -> str:
    symbols = ", ".join(universe["symbols"]) or "none, so nothing is bought"
    told = [symbols if universe["since_ms"] is None else f"{symbols}, since {output.moment(universe['since_ms'])}"]
    if universe["is_fallback"]:
        told.append(
            "nothing was worth choosing: these stand in" if universe["symbols"] else "nothing was worth choosing"
        )
    if universe["frozen"] is not None:
        told.append(f"left as they were: {universe['frozen']}")
    return "; ".join(told)


def _amounts(amounts: dict[str, Any]) -> str:
    return ", ".join(f"{output.amount(amount)} {asset}" for asset, amount in sorted(amounts.items())) or "nothing"
