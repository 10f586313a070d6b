"""The report on a database: what its cycles came to, in total, by day and week, by symbol and strategy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from btcbot.domain import money
from btcbot.domain.cycles import CycleReport
from btcbot.domain.fills import Fill
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.reasons import code_of
from btcbot.ports import StateStore
from btcbot.reporting import findings, identity
from btcbot.reporting.figures import Held, Orders, Period, Report, Result, Traded
from btcbot.reporting.folding import Booked, Folded, fold
from btcbot.reporting.history import newest_cycles
from btcbot.reporting.identity import Point
from btcbot.reporting.slippage import decision_price
from btcbot.services import days, named_values, values

#: Of the JSON form. Raised when a field changes its meaning or goes away; new fields do not raise it.
SCHEMA_VERSION: Final = 1
RATE_PLACES: Final = 6
#: Orders that never reached a venue, real or imagined.
NEVER_SENT: Final = frozenset({OrderStatus.DENIED, OrderStatus.SIMULATED, OrderStatus.NOT_PLACED})


def make_report(store: StateStore, last: int | None = None) -> Report:
    """Read everything and add it up; `last` limits it to the newest cycles. StoreFailed: a row cannot be read."""
    total = store.cycle_count()
    wanted = total if last is None else last
    orders = {order.client_order_id: order for order in store.recent_orders(max(1, store.order_count()))}
    newest_first = newest_cycles(store, wanted + 1, {order.cycle_id for order in orders.values()}) if wanted else []
    before = newest_first[wanted] if len(newest_first) > wanted else None
    cycles = [*reversed(newest_first[:wanted])]
    is_cut = last is not None and before is not None
    folded = fold(store)
    points, breaks = identity.follow(cycles, folded.flows, folded.booked, folded.watched)
    deepest = identity.drawdown(points)
    since_ms = cycles[0].started_at_ms if is_cut and cycles else None
    tally = _Tally(store, cycles, folded, orders, since_ms)
    found = [*findings.of_cycles(cycles), *findings.of_fills([one.fill for one in folded.booked if one.fill])]
    found += [*folded.findings, *breaks, *identity.drawdown_findings(deepest)]
    start = _start(before, total, cycles)
    dated = [cycle for cycle in cycles if days.is_time(cycle.started_at_ms) and days.is_time(cycle.ended_at_ms)]
    identity_of_book = store.identity()
    return Report(
        schema_version=SCHEMA_VERSION,
        book_id=identity_of_book.book_id if identity_of_book else None,
        mode=identity_of_book.mode if identity_of_book else None,
        quote_asset=folded.quote_asset,
        cycles=len(cycles),
        cycles_total=total,
        first_at_ms=dated[0].started_at_ms if dated else None,
        last_at_ms=dated[-1].ended_at_ms if dated else None,
        profiles=sorted({cycle.profile for cycle in cycles}),
        outcomes=_outcomes(cycles),
        result=_result(folded, points, start, holds=not any(one.code is findings.Code.IDENTITY for one in found)),
        drawdown=deepest,
        traded=tally.total,
        orders=_orders(orders.values(), since_ms),
        reasons=_reasons(store, cycles),
        positions=_held(store, folded),
        symbols=dict(sorted(tally.symbols.items())),
        strategies=dict(sorted(tally.strategies.items())),
        days=_periods(days.day, dated, points, tally, start),
        weeks=_periods(days.week, dated, points, tally, start),
        findings=found,
    )


def _start(before: CycleReport | None, total: int, cycles: Sequence[CycleReport]) -> Decimal | None:
    """The profit with which the reported cycles began: nothing for a whole database, None where it is not known."""
    if before is not None and before.equity_try is not None:
        return before.realized_pnl_try + before.unrealized_pnl_try
    return money.ZERO if before is None and len(cycles) == total else None


class _Tally:
    """Adds up the trades, each once for every heading that it belongs to."""

    def __init__(
        self,
        store: StateStore,
        cycles: Sequence[CycleReport],
        folded: Folded,
        orders: Mapping[str, Order],
        since_ms: int | None,
    ) -> None:
        self.total = Traded()
        self.symbols: dict[str, Traded] = {}
        self.strategies: dict[str, Traded] = {}
        self.trades: list[tuple[Booked, Fill, Decimal | None]] = []
        known = {cycle.cycle_id: cycle for cycle in cycles}
        for one in folded.booked:
            if one.fill is None or (since_ms is not None and one.at_ms < since_ms):
                continue
            order = orders.get(one.fill.client_order_id)
            if order is not None and order.cycle_id not in known:
                older = store.cycle(order.cycle_id)
                if older is not None:
                    known[older.cycle_id] = older
            price = decision_price(order, known)
            self.trades.append((one, one.fill, price))
            strategy = order.strategy if order is not None else "unknown"
            for traded in (
                self.total,
                self.symbols.setdefault(one.symbol, Traded()),
                self.strategies.setdefault(strategy, Traded()),
            ):
                traded.add(one.fill, one.gain, price)


def _outcomes(cycles: Iterable[CycleReport]) -> dict[str, int]:
    return dict(Counter(cycle.outcome.value for cycle in cycles).most_common())


def _result(folded: Folded, points: Sequence[Point], start: Decimal | None, *, holds: bool) -> Result:
    last = points[-1] if points else None
    return Result(
        equity=last.cycle.equity_try if last else None,
        put_in=last.put_in if last else None,
        under_way=last.under_way if last else money.ZERO,
        realized=last.cycle.realized_pnl_try if last else None,
        realized_by_now=money.total(position.realized_pnl for position in folded.positions.values()),
        unrealized=last.cycle.unrealized_pnl_try if last else None,
        profit=last.profit if last else None,
        profit_here=last.profit - (start if start is not None else points[0].profit) if last else None,
        identity_holds=holds,
    )


def _orders(orders: Iterable[Order], since_ms: int | None) -> Orders:
    mine = [order for order in orders if since_ms is None or order.created_at_ms >= since_ms]
    sent = [order for order in mine if order.status not in NEVER_SENT]
    touched = sum(bool(order.filled_quantity) for order in sent)
    return Orders(
        sent=len(sent),
        touched=touched,
        filled=sum(order.status is OrderStatus.FILLED for order in sent),
        never_sent=len(mine) - len(sent),
        fill_rate=money.divide_half_even(Decimal(touched), Decimal(len(sent)), RATE_PLACES) if sent else None,
    )


def _reasons(store: StateStore, cycles: Sequence[CycleReport]) -> dict[str, int]:
    """Why nothing was traded: what cycles gave as their reasons, and why wishes were refused. Codes alone are counted:
    what follows them differs from time to time."""
    counted: Counter[str] = Counter()
    for cycle in cycles:
        counted.update({code_of(reason) for reason in cycle.reasons})
        verdicts = store.verdicts(cycle.cycle_id)
        counted.update(verdict.code for verdict in verdicts if not verdict.allowed)
        if not cycle.reasons and not verdicts:
            counted["nothing_wished"] += 1
    return dict(counted.most_common())


def _held(store: StateStore, folded: Folded) -> Sequence[Held]:
    marks = named_values.amounts(store, values.MARKS)
    held = []
    for symbol, position in sorted(folded.positions.items()):
        if not position.quantity:
            continue
        bid = marks.get(symbol)
        held.append(
            Held(
                symbol=symbol,
                quantity=position.quantity,
                average_cost=position.average_cost,
                cost=position.cost,
                bid=bid,
                unrealized=None if bid is None else position.unrealized_pnl(bid),
            )
        )
    return held


def _periods(
    name: Callable[[int], str],
    cycles: Sequence[CycleReport],
    points: Sequence[Point],
    tally: _Tally,
    start: Decimal | None,
) -> Sequence[Period]:
    """Each from its own first cycle or trade to its last; profits add up to that of the whole. Rows whose time cannot
    be are findings and belong to no period."""
    in_period: dict[str, list[CycleReport]] = {}
    for cycle in cycles:
        in_period.setdefault(name(cycle.started_at_ms), []).append(cycle)
    traded: dict[str, Traded] = {}
    for booked, fill, price in tally.trades:
        if days.is_time(fill.at_ms):
            traded.setdefault(name(fill.at_ms), Traded()).add(fill, booked.gain, price)
    last_points: dict[str, Point] = {}
    for point in points:
        if days.is_time(point.cycle.started_at_ms):
            last_points[name(point.cycle.started_at_ms)] = point
    found = []
    profit_before = start if start is not None else (points[0].profit if points else None)
    put_in_before = money.ZERO if start == money.ZERO else (points[0].put_in if points else money.ZERO)
    for one in sorted({*in_period, *traded}):
        last = last_points.get(one)
        found.append(
            Period(
                name=one,
                cycles=len(in_period.get(one, ())),
                outcomes=_outcomes(in_period.get(one, ())),
                profit=last.profit - profit_before if last is not None and profit_before is not None else None,
                put_in=last.put_in - put_in_before if last is not None else money.ZERO,
                equity=last.cycle.equity_try if last is not None else None,
                traded=traded.get(one) or Traded(),
            )
        )
        if last is not None:
            profit_before, put_in_before = last.profit, last.put_in
    return found
