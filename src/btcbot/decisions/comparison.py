"""Strategies side by side: several finished runs as one table of values, ranked.

It speaks the words of a backtest's own table. Return and drawdown are of the *profit*, so that money which was paid in
or taken out while a run went on makes no run look better. The first rank has the highest return; between equal returns
the smaller drawdown, and then the smaller turnover, comes first. What cannot be told is None, and comes last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.fills import Fill
from btcbot.domain.run_metrics import RATIO_PLACES, RunMetrics, drawdown_ratio

#: Of why nothing was traded, so many reasons are told.
REASONS_MAX: Final = 3


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """What a run was worth at one moment, and its profit since it began, net of every charge."""

    at_ms: int
    equity: Decimal
    net_pnl: Decimal


class FinishedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as plain values: `opening_equity` before its first cycle, snapshots oldest first, its own fills, and for
    each reason for which a cycle did not trade how many cycles it kept from it."""

    name: str
    opening_equity: Decimal
    snapshots: Sequence[Snapshot]
    fills: Sequence[Fill] = ()
    no_trades: Mapping[str, int] = {}


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Shares as fractions: 0.05 is five percent. `turnover` is the traded value of both sides over the mean
    equity. Runs that are equal in all that ranks them share a rank. `no_trades`: the most frequent reasons first."""

    rank: int
    name: str
    opening_equity: Decimal
    final_equity: Decimal
    net_pnl: Decimal
    total_return: Decimal | None
    max_drawdown: Decimal
    turnover: Decimal | None
    traded_value: Decimal
    fees: Decimal
    fills: int
    no_trades: tuple[tuple[str, int], ...]


def run_of(name: str, metrics: Iterable[RunMetrics], fills: Sequence[Fill]) -> FinishedRun:
    """A run by the metrics of its cycles, oldest first, from the first one of its database on."""
    seen = list(metrics)
    snapshots = [
        Snapshot(each.at_ms, each.equity, each.net_pnl)
        for each in seen
        if each.equity is not None and each.net_pnl is not None
    ]
    return FinishedRun(
        name=name,
        opening_equity=snapshots[0].equity - snapshots[0].net_pnl if snapshots else money.ZERO,
        snapshots=snapshots,
        fills=fills,
        no_trades=Counter(each.no_trades_reason for each in seen if each.no_trades_reason),
    )


def compare(runs: Iterable[FinishedRun]) -> Sequence[Compared]:
    """A row for each run, the best first. Raises ValueError for two runs of one name: nobody could tell them apart."""
    rows = [_row(run) for run in runs]
    twice = sorted(name for name, count in Counter(row.name for row in rows).items() if count > 1)
    if twice:
        raise ValueError(f"more than one run is called {', '.join(twice)}; give each a name of its own")
    rows.sort(key=lambda row: (_order(row), row.name))
    ranked: list[Compared] = []
    for place, row in enumerate(rows, 1):
        is_tie = bool(ranked) and _order(ranked[-1]) == _order(row)
        ranked.append(msgspec.structs.replace(row, rank=ranked[-1].rank if is_tie else place))
    return ranked


def table_of(rows: Iterable[Compared]) -> Sequence[Mapping[str, object]]:
    """For `--json` and for tables: money and shares as plain text, by the words of a backtest's summary."""
    return [
        {
            "rank": row.rank,
            "name": row.name,
            "return": _text(row.total_return),
            "max_drawdown": money.plain(row.max_drawdown),
            "turnover": _text(row.turnover),
            "fees": money.plain(row.fees),
            "fills": row.fills,
            "net_pnl": money.plain(row.net_pnl),
            "traded_value": money.plain(row.traded_value),
            "opening_equity": money.plain(row.opening_equity),
            "final_equity": money.plain(row.final_equity),
            "no_trades": dict(row.no_trades),
        }
        for row in rows
    ]


def _row(run: FinishedRun) -> Compared:
    equities = [run.opening_equity, *(each.equity for each in run.snapshots)]
    traded = money.total(fill.price * fill.quantity for fill in run.fills)
    mean = money.divide_half_even(money.total(equities), Decimal(len(equities)), RATIO_PLACES)
    net = run.snapshots[-1].net_pnl if run.snapshots else money.ZERO
    reasons = sorted(run.no_trades.items(), key=lambda told: (-told[1], told[0]))
    return Compared(
        rank=0,
        name=run.name,
        opening_equity=run.opening_equity,
        final_equity=equities[-1],
        net_pnl=net,
        total_return=_share(net, run.opening_equity),
        max_drawdown=_max_drawdown(run.snapshots),
        turnover=_share(traded, mean),
        traded_value=traded,
        fees=money.total(fill.fee + fill.tax for fill in run.fills),
        fills=len(run.fills),
        no_trades=tuple(reasons[:REASONS_MAX]),
    )


def _max_drawdown(snapshots: Iterable[Snapshot]) -> Decimal:
    """The deepest fall of the profit from its highest so far, the beginning included."""
    peak, deepest = money.ZERO, money.ZERO
    for each in snapshots:
        peak = max(peak, each.net_pnl)
        deepest = max(deepest, drawdown_ratio(peak - each.net_pnl, each.equity))
    return deepest


def _order(row: Compared) -> tuple[bool, Decimal, Decimal, bool, Decimal]:
    """What ranks a row: the smallest comes first."""
    gain, turnover = row.total_return, row.turnover
    return (gain is None, -(gain or money.ZERO), row.max_drawdown, turnover is None, turnover or money.ZERO)


def _share(part: Decimal, whole: Decimal) -> Decimal | None:
    return money.divide_half_even(part, whole, RATIO_PLACES) if whole > 0 else None


def _text(value: Decimal | None) -> str | None:
    return None if value is None else money.plain(value)
