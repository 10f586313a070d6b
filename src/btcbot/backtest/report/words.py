"""What the page says in words and numbers: titles, statistics with their meaning, the grid of months."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from btcbot.backtest.findings import NOTHING, amount, moment, percent, ratio, span

if TYPE_CHECKING:
    from btcbot.adapters.replay.columns import BarColumns
    from btcbot.backtest.findings import Findings

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: Shades of the grid of months: a return of so much or more is one shade stronger.
_SHADES: Final = (0.0, 0.01, 0.03, 0.06, 0.10)
#: Symbols named in titles; beyond that they are counted.
_NAMED_MAX: Final = 4


class Line(msgspec.Struct, frozen=True):
    """A statistic: its name, its value, and what it means or why there is none."""

    name: str
    value: str
    meaning: str
    tone: str = ""


class Cell(msgspec.Struct, frozen=True):
    """A month: its return as text, and its shade; `is_part` for a month that the run covers in part."""

    text: str
    shade: str
    is_part: bool


class Played(msgspec.Struct, frozen=True):
    """The bars of one symbol."""

    symbol: str
    first: str
    last: str
    bars: str
    missing: str


def tone(value: float) -> str:
    return "gain" if value > 0 else "loss" if value < 0 else ""


class Words:
    """The text of one run's page."""

    def __init__(self, findings: Findings) -> None:
        self._found = findings
        self._result = findings.result
        self._statistics = findings.statistics

    @property
    def symbols(self) -> str:
        """`BTCTRY, ETHTRY`, or how many there are."""
        names = sorted(self._result.bars)
        return ", ".join(names) if len(names) <= _NAMED_MAX else f"{len(names)} symbols"

    @property
    def period(self) -> str:
        return f"{moment(self._statistics.start_ms)} to {moment(self._statistics.end_ms)} UTC"

    @property
    def length(self) -> str:
        return span(self._statistics.end_ms - self._statistics.start_ms)

    @property
    def interval(self) -> str:
        ms = self._result.interval_ms
        for unit_ms, name in ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")):
            if ms % unit_ms == 0:
                return f"one-{name}" if ms == unit_ms else f"{ms // unit_ms}-{name}"
        return f"{ms} ms"

    def _money(self, value: object) -> str:
        from decimal import Decimal

        assert value is None or isinstance(value, Decimal)
        return amount(value, self._result.quote_asset, signed=False)

    @property
    def tiles(self) -> Sequence[Line]:
        """The few figures that one looks for first."""
        result, found = self._result, self._statistics
        beaten = found.total_return - found.hold_return
        return (
            Line("Final equity", self._money(result.final_equity), f"from {self._money(result.opening_equity)}"),
            Line(
                "Return",
                percent(found.total_return, signed=True),
                f"{percent(beaten, signed=True).removesuffix(' %')} points against buy and hold",
                tone(found.total_return),
            ),
            Line("Max drawdown", percent(found.drawdown.depth), self._under_water()),
            Line("Sharpe", ratio(found.sharpe), found.undefined.get("sharpe", "daily returns, a year of 365 days")),
            Line(
                "Win rate",
                percent(found.trips.win_rate),
                f"of {found.trips.count:,} round trips" if found.trips.count else "no round trip",
            ),
            Line("Fees", self._money(result.fees), f"over {result.fill_count:,} fills, tax included"),
        )

    def _under_water(self) -> str:
        drawdown = self._statistics.drawdown
        if not drawdown.depth:
            return "never below its peak"
        return f"lasted {span(drawdown.length_ms)}" + ("" if drawdown.recovered_at_ms else ", not recovered")

    @property
    def groups(self) -> Sequence[tuple[str, Sequence[Line]]]:
        """Statistics under their headings."""
        groups = [
            ("Result", self._of_result()),
            ("Risk", self._of_risk()),
            ("Trading", self._of_trading()),
            ("Round trips", self._of_trips()),
        ]
        if any(self._found.counts.values()):
            groups.append(("Profile", self._of_profile()))
        return groups

    def _told(self, name: str, title: str, value: str, meaning: str) -> Line:
        """With the reason in place of the meaning where there is no value."""
        return Line(title, value, self._statistics.undefined.get(name, meaning))

    def _of_result(self) -> Sequence[Line]:
        result, found = self._result, self._statistics
        return (
            Line("Opening equity", self._money(result.opening_equity), result.quote_asset),
            Line("Final equity", self._money(result.final_equity), "as the books have it, positions at the last bid"),
            Line(
                "Return",
                percent(found.total_return, signed=True),
                "final over opening equity",
                tone(found.total_return),
            ),
            Line(
                "Buy and hold",
                percent(found.hold_return, signed=True),
                "equal parts bought at each first open, no fees",
                tone(found.hold_return),
            ),
            self._told("cagr", "CAGR", percent(found.cagr, signed=True), "growth in a year of 365 days"),
            Line("Realised profit", self._money(found.realized_pnl), "of what was sold, net of all fees"),
        )

    def _of_risk(self) -> Sequence[Line]:
        found = self._statistics
        drawdown = found.drawdown
        fell = f"{moment(drawdown.peak_at_ms)} to {moment(drawdown.trough_at_ms)}" if drawdown.depth else "never fell"
        back = f"back on {moment(drawdown.recovered_at_ms)}" if drawdown.recovered_at_ms else "not recovered by the end"
        return (
            self._told("volatility", "Volatility", percent(found.volatility), "deviation of daily returns, a year"),
            self._told("sharpe", "Sharpe", ratio(found.sharpe), "mean over deviation of daily returns, a year"),
            self._told("sortino", "Sortino", ratio(found.sortino), "mean over losses of daily returns, a year"),
            Line("Max drawdown", percent(drawdown.depth), fell),
            Line("Its length", span(drawdown.length_ms), back if drawdown.depth else "never below its peak"),
        )

    def _of_trading(self) -> Sequence[Line]:
        result, found = self._result, self._statistics
        return (
            Line("Orders", f"{result.order_count:,}", f"in {result.cycles_run:,} cycles that ran"),
            Line("Fills", f"{result.fill_count:,}", f"worth {self._money(found.traded_value)} on both sides"),
            Line("Turnover", f"{ratio(found.turnover)} ×", "traded value over mean equity"),
            Line("Fees", self._money(result.fees), "tax included"),
            Line("Exposure", percent(found.exposure), "mean share of equity in positions"),
            Line("Time in market", percent(found.time_in_market), "steps with any position"),
        )

    def _of_trips(self) -> Sequence[Line]:
        trips = self._statistics.trips
        return (
            Line("Round trips", f"{trips.count:,}", f"{trips.won:,} won, {trips.lost:,} lost"),
            self._told("win_rate", "Win rate", percent(trips.win_rate), "won over all"),
            self._told("profit_factor", "Profit factor", ratio(trips.profit_factor), "gains over losses"),
            self._told("best_trip", "Best", self._money(trips.best), "net of fees"),
            self._told("worst_trip", "Worst", self._money(trips.worst), "net of fees"),
            self._told("average_trip", "Average", self._money(trips.average), "net of fees"),
            self._told("average_holding_s", "Held on average", span(trips.held_ms_mean), "first in, first out"),
        )

    def _of_profile(self) -> Sequence[Line]:
        counts = self._found.counts
        return (
            Line("Profile", self._result.profile, "whose parts stood around the strategy"),
            Line(
                "Choices of symbols",
                f"{counts['universe_choices']:,}",
                f"{counts['universe_choices_put_off']:,} put off while the market could not be judged",
            ),
            Line(
                "Replaced orders",
                f"{counts['replacements']:,}",
                f"{counts['replacements_abandoned']:,} replacements given up",
            ),
            Line(
                "Parameters changed",
                f"{counts['param_changes']:,}",
                f"{counts['params_rolled_back']:,} rolled back, {counts['params_refused']:,} refused, "
                f"{counts['params_checkpoints']:,} checkpoints",
            ),
            Line("Changes of level", f"{counts['degrade_changes']:,}", f"after {counts['anomalies']:,} anomalies"),
            Line("Freezes", f"{counts['freezes']:,}", "on orders that nobody could explain, and their ends"),
            Line("Kill switch", f"{counts['kill_switch_trips']:,}", "times that failures turned it on"),
        )

    @property
    def years(self) -> Sequence[tuple[int, Sequence[Cell | None], Cell]]:
        """Year, its twelve months (None where the run has none), and the whole of it."""
        months = {(month.year, month.month): month for month in self._statistics.months}
        shown = []
        for year in sorted({year for year, _ in months}):
            own = [months.get((year, number)) for number in range(1, 13)]
            growth = 1.0
            for month in own:
                growth *= 1 + month.gain if month else 1.0
            is_part = any(month is None or month.is_part for month in own)
            cells = [None if month is None else _cell(month.gain, is_part=month.is_part) for month in own]
            shown.append((year, cells, _cell(growth - 1, is_part=is_part)))
        return shown

    @property
    def month_names(self) -> Sequence[str]:
        return MONTHS

    @property
    def played(self) -> Sequence[Played]:
        return [_played(symbol, bars) for symbol, bars in sorted(self._result.bars.items())]

    @property
    def nothing(self) -> str:
        return NOTHING


def _cell(gain: float, *, is_part: bool) -> Cell:
    strength = sum(abs(gain) >= edge for edge in _SHADES[1:])
    text = percent(gain, signed=True).removesuffix(" %")
    return Cell(text, f"{tone(gain) or 'flat'}{strength}", is_part)


def _played(symbol: str, bars: BarColumns) -> Played:
    first, last = int(bars.open_time_ms[0]), int(bars.open_time_ms[-1])
    missing = (last - first) // bars.interval_ms + 1 - len(bars)
    return Played(
        symbol, moment(first), moment(last + bars.interval_ms), f"{len(bars):,}", f"{missing:,}" if missing else "none"
    )
