"""The identity that ties every cycle to the ledger, and the curve that comes out of it.

    equity of a cycle = realised + unrealised + all flows booked until then

Checked to the last digit for each cycle that knew its equity. A cycle reads the balances and the lists one after the
other, so two differences are no error as long as something on record explains them exactly: money that has moved and is
booked a little later (a flow of the near future, or a difference that is being watched), and own trades of this very
moment, which one of the two already showed and the other did not.

First the plain case is tried, however many trades there were: the balance is that of one moment, with every trade of
the account until then, and the books hold the first so many trades in the order of booking. Then a few movements are
searched for any choice among them that comes to the difference: what the lists of a venue in trouble can leave.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import accumulate, combinations
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.cycles import CycleReport
from btcbot.domain.ledger import EntryKind
from btcbot.reporting.findings import Code, Finding
from btcbot.reporting.folding import Booked, Flow

#: How far from a cycle a movement may lie that its balances and its lists disagree about: the venue's lists lag.
AROUND_MS: Final = 600_000
#: How far our clock may stand behind the venue's, by which trades are told.
SKEW_MS: Final = 60_000
#: So many times its distance a trade counts as away that seems to lie ahead.
AHEAD_COUNTS: Final = 4
#: Flows not seen yet, flows seen lately, and trades, that are searched for an explanation.
PENDING_SEARCHED: Final = 10
LATE_SEARCHED: Final = 4
TRADES_SEARCHED: Final = 16


#: Moments and bookings around a cycle that are tried for the plain case, on either side.
MOMENTS_TRIED: Final = 40
#: Movements that are no trades: so many of the nearest may or may not be in the balance of a moment.
TRANSFERS_TRIED: Final = 8


class Point(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One cycle that knew its equity. `put_in` are the flows until then; `profit` realised plus unrealised.

    `under_way`: what the cycle's equity had more (or less) than its books, explained by money on its way.
    """

    cycle: CycleReport
    profit: Decimal
    put_in: Decimal
    under_way: Decimal = money.ZERO


def follow(
    cycles: Sequence[CycleReport],
    flows: Sequence[Flow],
    booked: Sequence[Booked],
    watched: Decimal = money.ZERO,
) -> tuple[Sequence[Point], Sequence[Finding]]:
    """`cycles` oldest first; `watched` is a difference in the quote asset that the bot is still looking at.

    One finding for each cycle at which the identity breaks anew: what is left then counts as put in from there on.
    """
    trades = [one for one in booked if one.fill is not None]
    money_in = _MoneyIn(flows, cycles[0].started_at_ms if cycles else 0)
    moments = _Moments(trades, flows)
    points: list[Point] = []
    findings: list[Finding] = []
    broken_by, latest_ms = money.ZERO, 0
    for cycle in cycles:
        latest_ms = max(latest_ms, cycle.started_at_ms)
        if cycle.equity_try is None:
            continue
        profit = cycle.realized_pnl_try + cycle.unrealized_pnl_try
        put_in = cycle.equity_try - profit - broken_by
        under_way = money.ZERO
        if not money_in.takes(put_in, cycle.ended_at_ms):
            under_way = put_in - money_in.total
            if not moments.explain(put_in, cycle, watched) and not money_in.explains(
                under_way, cycle, _near(trades, cycle, latest_ms), watched
            ):
                findings.append(
                    Finding(
                        Code.IDENTITY,
                        f"cycle {cycle.cycle_id}",
                        f"equity {money.plain(cycle.equity_try)} is not realised {money.plain(cycle.realized_pnl_try)} "
                        f"plus unrealised {money.plain(cycle.unrealized_pnl_try)} plus what was put in, "
                        f"{money.plain(money_in.total + broken_by)}: {money.plain(under_way)} is left",
                    )
                )
                broken_by += under_way
                under_way = money.ZERO
        points.append(Point(cycle=cycle, profit=profit, put_in=money_in.total, under_way=under_way))
    return points, findings


class _MoneyIn:
    """Which flows the balances have shown so far. They show them in the order of nothing but their own."""

    def __init__(self, flows: Sequence[Flow], began_ms: int) -> None:
        """What is older than the first cycle by far has been in from the beginning."""
        by_time = sorted(flows, key=lambda flow: flow.at_ms)
        first = [flow for flow in by_time if flow.at_ms < began_ms - AROUND_MS]
        self._pending = by_time[len(first) :]
        self._late = first[-LATE_SEARCHED:]
        self.total = money.total(flow.amount for flow in first)

    def takes(self, put_in: Decimal, now_ms: int) -> bool:
        """Whether pending flows make up exactly what is new; they count as seen from then on."""
        new = put_in - self.total
        if not new:
            return True
        known = [flow for flow in self._pending if flow.at_ms <= now_ms + AROUND_MS]
        for count, reached in enumerate(accumulate(flow.amount for flow in known), 1):
            if reached == new:
                return self._seen(known[:count])
        for size in range(1, min(len(known), PENDING_SEARCHED) + 1):
            for chosen in combinations(known[:PENDING_SEARCHED], size):
                if money.total(flow.amount for flow in chosen) == new:
                    return self._seen(chosen)
        return False

    def _seen(self, flows: Sequence[Flow]) -> bool:
        entry_ids = {flow.entry_id for flow in flows}
        self._pending = [flow for flow in self._pending if flow.entry_id not in entry_ids]
        self._late = [*self._late, *flows][-LATE_SEARCHED:]
        self.total += money.total(flow.amount for flow in flows)
        return True

    def explains(self, rest: Decimal, cycle: CycleReport, near: Sequence[Booked], watched: Decimal) -> bool:
        """Whether money on its way is exactly `rest`: pending flows that came, seen ones that an old balance does not
        show, trades that one list showed and another did not, a difference that is being watched."""
        first_ms, last_ms = cycle.started_at_ms - AROUND_MS, cycle.ended_at_ms + AROUND_MS
        came = [flow.amount for flow in self._pending if flow.at_ms <= last_ms][:LATE_SEARCHED]
        hidden = [-flow.amount for flow in self._late if flow.at_ms >= first_ms]
        half = len(near) // 2
        ones, others = _shown_or_not(near[:half]), _shown_or_not(near[half:])
        for moved in _sums([*came, *hidden]):
            for more in {money.ZERO, watched}:
                left = rest - moved - more
                if any(left - one in others for one in ones):
                    return True
        return False


class _Moments:
    """The account as the venue had it at any one moment, and our trades as the books had them after any booking."""

    def __init__(self, trades: Sequence[Booked], flows: Sequence[Flow]) -> None:
        """`trades` in the order of booking. Trades of other hands are the venue's as much as ours are."""
        foreign = [(flow.at_ms, flow.amount) for flow in flows if flow.kind == EntryKind.FOREIGN.value]
        shown = sorted([*((one.at_ms, one.cash) for one in trades), *foreign], key=lambda move: move[0])
        self._shown_ms = [at_ms for at_ms, _ in shown]
        self._shown = [*accumulate((amount for _, amount in shown), initial=money.ZERO)]
        self._own_ms = sorted(one.at_ms for one in trades)
        self._booked = [*accumulate((one.cash for one in trades), initial=money.ZERO)]
        self._others = sorted(
            (flow for flow in flows if flow.kind != EntryKind.FOREIGN.value), key=lambda flow: flow.at_ms
        )

    def explain(self, put_in: Decimal, cycle: CycleReport, watched: Decimal) -> bool:
        """Whether `put_in` is the balance of some moment beside the books after some booking, both near the cycle."""
        shown = _around(self._shown, bisect_right(self._shown_ms, cycle.started_at_ms))
        booked = _around(self._booked, bisect_right(self._own_ms, cycle.started_at_ms))
        off = {there - here for there in shown for here in booked}
        near = [one for one in self._others if abs(one.at_ms - cycle.started_at_ms) <= AROUND_MS]
        near = [one for one in near if one.kind != EntryKind.OPENING.value]
        near = sorted(near, key=lambda one: abs(one.at_ms - cycle.started_at_ms))[:TRANSFERS_TRIED]
        open_ids = {one.entry_id for one in near}
        certain = money.total(
            one.amount
            for one in self._others
            if one.entry_id not in open_ids and (one.at_ms <= cycle.ended_at_ms or one.kind == EntryKind.OPENING.value)
        )
        left = put_in - certain
        return any(
            left - moved - more in off
            for moved in _sums([one.amount for one in near])
            for more in {money.ZERO, watched}
        )


def _around(sums: Sequence[Decimal], at: int) -> Sequence[Decimal]:
    return sums[max(at - MOMENTS_TRIED, 0) : at + MOMENTS_TRIED + 1]


def _near(trades: Sequence[Booked], cycle: CycleReport, latest_ms: int) -> Sequence[Booked]:
    """The trades nearest to the cycle; one that seems to lie after it counts as farther away than one before.

    Our clock may have been set back since `latest_ms`, the latest moment that any cycle saw; the venue's, which trades
    are told by, was not.
    """
    first_ms, last_ms = cycle.started_at_ms - AROUND_MS, max(cycle.ended_at_ms, latest_ms) + SKEW_MS

    def distance_ms(one: Booked) -> int:
        after_ms = min((one.at_ms - moment_ms for moment_ms in (cycle.started_at_ms, latest_ms)), key=abs)
        return AHEAD_COUNTS * after_ms if after_ms > 0 else -after_ms

    near = [one for one in trades if first_ms <= one.at_ms <= last_ms]
    return sorted(near, key=distance_ms)[:TRADES_SEARCHED]


def _shown_or_not(trades: Sequence[Booked]) -> set[Decimal]:
    """What the balance can be off by: each trade is in both, or in the balance alone, or in the books alone."""
    found = {money.ZERO}
    for one in trades:
        found |= {amount + sign * one.cash for amount in found for sign in (1, -1)}
    return found


def _sums(amounts: Sequence[Decimal]) -> Iterator[Decimal]:
    for size in range(len(amounts) + 1):
        for chosen in combinations(amounts, size):
            yield money.total(chosen)


class Drawdown(msgspec.Struct, frozen=True, kw_only=True):
    """The deepest fall of equity from a high, deposits and withdrawals taken out. Cycle ids of high and low.

    `ratio` of the high, None where nothing was put in.
    """

    amount: Decimal = money.ZERO
    ratio: Decimal | None = money.ZERO
    high_cycle: str | None = None
    low_cycle: str | None = None


RATIO_PLACES: Final = 10


def drawdown(points: Sequence[Point]) -> Drawdown:
    """Money that came or went is no gain and no loss: the curve is the first capital plus profit."""
    deepest = Drawdown()
    high: Decimal | None = None
    high_cycle = ""
    capital = points[0].put_in if points else money.ZERO
    for point in points:
        worth = capital + point.profit
        if high is None or worth > high:
            high, high_cycle = worth, point.cycle.cycle_id
        fall = high - worth
        if fall > deepest.amount:
            ratio = money.divide_half_even(fall, high, RATIO_PLACES) if high > 0 else None
            deepest = Drawdown(amount=fall, ratio=ratio, high_cycle=high_cycle, low_cycle=point.cycle.cycle_id)
    return deepest


def drawdown_findings(found: Drawdown) -> Iterator[Finding]:
    if found.ratio is None or not 0 <= found.ratio <= 1:
        ratio = "not known" if found.ratio is None else money.plain(found.ratio)
        yield Finding(
            Code.DRAWDOWN,
            f"cycle {found.low_cycle}",
            f"equity fell by {money.plain(found.amount)}, which is a ratio of {ratio}: not between 0 and 1",
        )
