"""What a run came to: return, risk, trading; for the whole account and for each symbol.

The formulas are our own few lines, judged against another library (`make judges`). Their conventions:

- Risk is measured on *daily* returns: equity at the end of each whole stretch of 24 hours, counted from the open of the
  first bar; a last stretch that is not whole is left out. They are annualised by the calendar: the market never closes,
  a year has 365 days. The risk-free rate is taken as nothing.
- Drawdown is measured at every step of the clock, the opening equity included.
- What cannot be told is None, and `undefined` says why; there is never a NaN or an infinity.

Ratios are floats of twelve digits, so that the last bit of a machine's library does not show. Money stays exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

from btcbot.backtest.roundtrips import RoundTrip, Traded, follow
from btcbot.domain import money

if TYPE_CHECKING:
    from btcbot.adapters.replay.columns import BarColumns
    from btcbot.backtest.result import BacktestResult

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

DAY_MS: Final = 86_400_000
DAYS_A_YEAR: Final = 365
#: A year's growth is not told from less: a good afternoon would become a fortune.
CAGR_DAYS_MIN: Final = 7
#: Returns that differ by no more than floats do are all the same.
_SAME: Final = 1e-12
_NOTHING_TRADED: Final = Traded(
    fills=0, value=money.ZERO, fees=money.ZERO, realized_pnl=money.ZERO, position=money.ZERO
)


class Undefined(ValueError):
    """A statistic that these data do not have; the message says why."""


class Drawdown(msgspec.Struct, frozen=True, kw_only=True):
    """The deepest fall from a peak. `depth` is a fraction of the peak, 0 or more; `length_ms` from the peak until the
    equity was back at it, or to the end of the run where it never was (`recovered_at_ms` is None)."""

    depth: float
    peak_at_ms: int
    trough_at_ms: int
    recovered_at_ms: int | None
    length_ms: int


class TripStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Round trips (see `btcbot.backtest.roundtrips`). Money in quote, net of fees; a trip that came to nothing is
    neither won nor lost. None without trips; `profit_factor` (gains over losses) also without a losing trip."""

    count: int
    won: int
    lost: int
    win_rate: float | None
    profit_factor: float | None
    best: Decimal | None
    worst: Decimal | None
    average: Decimal | None
    held_ms_mean: int | None


class SymbolStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol. `traded_value` counts both sides; `position` is what the fills of this run left, worth
    `position_value` at the last close; `hold_return` is what buying at its first open would have brought, without fees.
    """

    symbol: str
    bars: int
    orders: int
    fills: int
    traded_value: Decimal
    fees: Decimal
    realized_pnl: Decimal
    position: Decimal
    position_value: Decimal
    hold_return: float
    trips: TripStatistics


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """The return of one calendar month (UTC); `is_part` where the run covers only a part of it."""

    year: int
    month: int
    gain: float
    is_part: bool


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The whole account. Fractions, not percent: 0.05 is five percent.

    `exposure` is the mean share of the equity that was in positions, `time_in_market` the share of steps with any;
    `turnover` is the traded value of both sides over the mean equity. `hold_return` is what the same money, divided
    equally over the symbols and bought at each one's first open, would have brought without fees.
    `undefined`: name of a statistic that is None → why.
    """

    start_ms: int
    end_ms: int
    total_return: float
    hold_return: float
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    drawdown: Drawdown
    exposure: float
    time_in_market: float
    turnover: float
    traded_value: Decimal
    realized_pnl: Decimal
    trips: TripStatistics
    months: tuple[Month, ...]
    symbols: tuple[SymbolStatistics, ...]
    undefined: Mapping[str, str]

    @property
    def days(self) -> float:
        return (self.end_ms - self.start_ms) / DAY_MS


def measure(result: BacktestResult) -> tuple[Statistics, list[RoundTrip]]:
    """All statistics of a run, and the round trips they are of."""
    at_ms = result.equity["at_ms"].to_numpy().astype(np.int64)
    equity = result.equity["equity"].to_numpy().astype(np.float64)
    exposure = result.equity["exposure"].to_numpy().astype(np.float64)
    if not len(at_ms):
        raise ValueError("a run without a single step has no statistics")
    if not (np.isfinite(equity).all() and np.isfinite(exposure).all()):
        raise ValueError("the curve of equity holds something that is no number")
    opening = float(result.opening_equity)
    start_ms = int(at_ms[0]) - result.interval_ms
    end_ms = int(at_ms[-1])
    undefined: dict[str, str] = {}

    def told(name: str, of: Callable[[], float]) -> float | None:
        try:
            return tidy(of())
        except Undefined as reason:
            undefined[name] = str(reason)
            return None

    returns = daily_returns(at_ms, equity, opening=opening, start_ms=start_ms)
    trips, traded = follow(result.fills)
    counts = dict(result.orders["symbol"].cast(str).value_counts().iter_rows())
    symbols = tuple(
        _symbol(symbol, bars, counts.get(symbol, 0), traded.get(symbol, _NOTHING_TRADED), trips)
        for symbol, bars in sorted(result.bars.items())
    )
    traded_value = money.total(symbol.value for symbol in traded.values())
    trip_statistics = of_trips(trips, undefined)
    mean_equity = mean(equity)
    return (
        Statistics(
            start_ms=start_ms,
            end_ms=end_ms,
            total_return=tidy(float(result.final_equity) / opening - 1),
            hold_return=tidy(mean([symbol.hold_return for symbol in symbols])),
            cagr=told("cagr", lambda: cagr(opening, float(result.final_equity), (end_ms - start_ms) / DAY_MS)),
            volatility=told("volatility", lambda: volatility(returns)),
            sharpe=told("sharpe", lambda: sharpe(returns)),
            sortino=told("sortino", lambda: sortino(returns)),
            drawdown=max_drawdown(np.concatenate(([start_ms], at_ms)), np.concatenate(([opening], equity))),
            exposure=tidy(mean(np.divide(exposure, equity, out=np.zeros_like(equity), where=equity > 0))),
            time_in_market=tidy(np.count_nonzero(exposure > 0) / len(exposure)),
            turnover=tidy(float(traded_value) / mean_equity) if mean_equity > 0 else 0.0,
            traded_value=traded_value,
            realized_pnl=money.total(symbol.realized_pnl for symbol in traded.values()),
            trips=trip_statistics,
            months=monthly_returns(at_ms, equity, opening=opening, start_ms=start_ms),
            symbols=symbols,
            undefined=undefined,
        ),
        trips,
    )


def tidy(value: float) -> float:
    """Twelve digits. Undefined where the value is beyond what a float can tell."""
    if not math.isfinite(value):
        raise Undefined("the value is too large to tell")
    return float(f"{value:.12g}") + 0.0


def mean(values: Sequence[float] | Floats) -> float:
    """Summed exactly, so that the order in which a machine adds does not show; 0 for nothing."""
    return math.fsum(values) / len(values) if len(values) else 0.0


def deviation(values: Sequence[float] | Floats) -> float:
    """Standard deviation of a sample (n - 1). Undefined for fewer than two values."""
    if len(values) < 2:
        raise Undefined(f"needs two whole days of returns at least; this run has {len(values)}")
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def daily_returns(at_ms: Times, equity: Floats, *, opening: float, start_ms: int) -> list[float]:
    """The return of each whole 24 hours from `start_ms` on. They end where the equity is gone: nothing grows from it.

    `at_ms` ascends; `equity` is what stood at that time. A day without a step keeps the equity of the one before.
    """
    days = (int(at_ms[-1]) - start_ms) // DAY_MS
    ends = start_ms + DAY_MS * np.arange(1, days + 1, dtype=np.int64)
    last = at_ms.searchsorted(ends, side="right") - 1
    values = [opening, *(float(equity[at]) if at >= 0 else opening for at in last)]
    alive = takewhile(lambda pair: pair[0] > 0, pairwise(values))
    return [after / before - 1 for before, after in alive]


def cagr(opening: float, final: float, days: float) -> float:
    """The yearly growth that makes `final` of `opening` in so many days."""
    if days < CAGR_DAYS_MIN:
        raise Undefined(f"a year's growth is not told from less than {CAGR_DAYS_MIN} days; this run covers {days:.1f}")
    if final <= 0:
        raise Undefined("the equity is gone")
    try:
        return float((final / opening) ** (DAYS_A_YEAR / days)) - 1
    except OverflowError:
        raise Undefined("the value is too large to tell") from None


def volatility(returns: Sequence[float]) -> float:
    """Standard deviation of daily returns, annualised."""
    return deviation(returns) * math.sqrt(DAYS_A_YEAR)


def sharpe(returns: Sequence[float]) -> float:
    """Mean over standard deviation of daily returns, annualised."""
    spread = deviation(returns)
    if spread <= _SAME * max(1.0, abs(mean(returns))):
        raise Undefined("every day has the same return")
    return mean(returns) / spread * math.sqrt(DAYS_A_YEAR)


def sortino(returns: Sequence[float]) -> float:
    """Mean of daily returns over the root mean square of the losses among them, annualised."""
    deviation(returns)
    downside = math.sqrt(math.fsum(min(one, 0.0) ** 2 for one in returns) / len(returns))
    if downside <= _SAME:
        raise Undefined("no day lost anything")
    return mean(returns) / downside * math.sqrt(DAYS_A_YEAR)


def underwater(equity: Floats) -> Floats:
    """How far each value is below the highest so far, as a fraction of it; 0 at a peak."""
    peaks = np.maximum.accumulate(equity)
    return np.divide(peaks - equity, peaks, out=np.zeros_like(equity), where=peaks > 0)


def max_drawdown(at_ms: Times, equity: Floats) -> Drawdown:
    """The deepest fall; the first of equally deep ones. All at the first moment where nothing ever fell."""
    depths = underwater(equity)
    trough = int(depths.argmax())
    peak = int(equity[: trough + 1].argmax())
    if depths[trough] <= 0:
        start = int(at_ms[0])
        return Drawdown(depth=0.0, peak_at_ms=start, trough_at_ms=start, recovered_at_ms=start, length_ms=0)
    above = np.flatnonzero(equity[trough:] >= equity[peak])
    recovered = int(at_ms[trough + int(above[0])]) if len(above) else None
    # A peak may be held for a while: the fall begins where it is left.
    peak = int(np.flatnonzero(equity[: trough + 1] >= equity[peak])[-1])
    end = recovered if recovered is not None else int(at_ms[-1])
    return Drawdown(
        depth=tidy(float(depths[trough])),
        peak_at_ms=int(at_ms[peak]),
        trough_at_ms=int(at_ms[trough]),
        recovered_at_ms=recovered,
        length_ms=end - int(at_ms[peak]),
    )


def monthly_returns(at_ms: Times, equity: Floats, *, opening: float, start_ms: int) -> tuple[Month, ...]:
    """Every calendar month from the first to the last, against the equity at the end of the one before."""
    first = np.datetime64(start_ms, "ms").astype("datetime64[M]")
    last = np.datetime64(int(at_ms[-1]) - 1, "ms").astype("datetime64[M]")
    begins = np.arange(first, last + np.timedelta64(2, "M"), dtype="datetime64[M]")
    begins_ms = begins.astype("datetime64[ms]").astype(np.int64)
    months = []
    before = opening
    for month, begin, end in zip(begins, begins_ms, begins_ms[1:], strict=False):
        step = int(at_ms.searchsorted(end, side="right")) - 1
        after = float(equity[step]) if step >= 0 else opening
        number = int(month.astype(int))
        months.append(
            Month(
                year=1970 + number // 12,
                month=number % 12 + 1,
                gain=tidy(after / before - 1) if before > 0 else 0.0,
                is_part=bool(begin < start_ms or end > at_ms[-1]),
            )
        )
        before = after
    return tuple(months)


def of_trips(trips: Sequence[RoundTrip], undefined: dict[str, str] | None = None) -> TripStatistics:
    """Count, shares and extremes. `undefined` is told why something is None."""
    reasons: dict[str, str] = {} if undefined is None else undefined
    profits = [trip.pnl for trip in trips]
    gains = money.total(profit for profit in profits if profit > 0)
    losses = -money.total(profit for profit in profits if profit < 0)
    held = [trip.held_ms for trip in trips if trip.held_ms is not None]
    if not trips:
        for name in ("win_rate", "profit_factor", "best_trip", "worst_trip", "average_trip", "average_holding_s"):
            reasons[name] = "no round trip: nothing that was bought has been sold"
    else:
        if not losses:
            reasons["profit_factor"] = "no round trip lost anything"
        if not held:
            reasons["average_holding_s"] = "nothing sold was bought in this run"
    return TripStatistics(
        count=len(trips),
        won=sum(profit > 0 for profit in profits),
        lost=sum(profit < 0 for profit in profits),
        win_rate=tidy(sum(profit > 0 for profit in profits) / len(trips)) if trips else None,
        profit_factor=tidy(float(gains) / float(losses)) if losses else None,
        best=max(profits, default=None),
        worst=min(profits, default=None),
        average=money.divide_half_even(money.total(profits), Decimal(len(profits)), 8) if profits else None,
        held_ms_mean=round(mean(held)) if held else None,
    )


def hold_curve(at_ms: Times, bars: Mapping[str, BarColumns], opening: float) -> Floats:
    """The opening equity, divided equally over the symbols and bought at each one's first open, at every step."""
    share = opening / len(bars)
    curve = np.zeros(len(at_ms))
    for _, columns in sorted(bars.items()):
        closes_ms = columns.open_time_ms + columns.interval_ms
        known = closes_ms.searchsorted(at_ms, side="right") - 1
        growth = columns.close[known.clip(0)].astype(np.float64) / float(columns.open[0])
        curve += share * np.where(known >= 0, growth, 1.0)
    return curve


def _symbol(symbol: str, bars: BarColumns, orders: int, traded: Traded, trips: Sequence[RoundTrip]) -> SymbolStatistics:
    last = Decimal(int(bars.close[-1])).scaleb(-bars.price_scale)
    return SymbolStatistics(
        symbol=symbol,
        bars=len(bars),
        orders=orders,
        fills=traded.fills,
        traded_value=traded.value,
        fees=traded.fees,
        realized_pnl=traded.realized_pnl,
        position=traded.position,
        position_value=traded.position * last,
        hold_return=tidy(float(bars.close[-1]) / float(bars.open[0]) - 1),
        trips=of_trips([trip for trip in trips if trip.symbol == symbol]),
    )
