"""Return, risk and round trips, with numbers worked by hand."""

from __future__ import annotations

import io
import json
import math
from decimal import Decimal

import numpy as np
import pytest
from rich.console import Console
from tests.unit.backtest.results import DAY_MS, HOUR_MS, NEW_YEAR_MS, a_fill, a_large_result, a_result

from btcbot.backtest.findings import amount, examine, percent, span
from btcbot.backtest.result import BacktestResult
from btcbot.backtest.roundtrips import RoundTrip, follow
from btcbot.backtest.statistics import (
    Undefined,
    cagr,
    daily_returns,
    deviation,
    max_drawdown,
    measure,
    monthly_returns,
    sharpe,
    sortino,
    tidy,
    volatility,
)
from btcbot.backtest.table import show, summary
from btcbot.domain import money


def at(hour: float) -> int:
    return NEW_YEAR_MS + round(hour * HOUR_MS)


class TestReturns:
    def test_a_day_ends_24_hours_after_the_first_bar_opened_and_a_part_of_one_is_left_out(self) -> None:
        """100 → 110 on the first day, → 99 on the second; what the third hour of the third day brought is left out."""
        times = np.array([at(12), at(24), at(36), at(48), at(51)])
        returns = daily_returns(
            times, np.array([105.0, 110.0, 120.0, 99.0, 500.0]), opening=100.0, start_ms=NEW_YEAR_MS
        )
        assert returns == pytest.approx([0.10, -0.10])

    def test_a_day_without_a_bar_keeps_the_equity_of_the_day_before(self) -> None:
        times = np.array([at(24), at(72)])
        returns = daily_returns(times, np.array([110.0, 121.0]), opening=100.0, start_ms=NEW_YEAR_MS)
        assert returns == pytest.approx([0.10, 0.0, 0.10])

    def test_nothing_grows_from_nothing(self) -> None:
        times = np.array([at(24), at(48), at(72)])
        assert daily_returns(times, np.array([50.0, 0.0, 10.0]), opening=100.0, start_ms=NEW_YEAR_MS) == [-0.5, -1.0]

    def test_growth_of_a_fifth_in_half_a_year_is_44_percent_a_year(self) -> None:
        assert cagr(100.0, 120.0, 365 / 2) == pytest.approx(0.44)

    def test_a_years_growth_is_not_told_from_an_afternoon(self) -> None:
        with pytest.raises(Undefined, match=r"less than 7 days; this run covers 0\.5"):
            cagr(100.0, 101.0, 0.5)

    def test_growth_beyond_what_a_number_can_tell(self) -> None:
        with pytest.raises(Undefined, match="too large"):
            cagr(1.0, 1e9, 7.0)
        with pytest.raises(Undefined, match="the equity is gone"):
            cagr(100.0, 0.0, 30.0)

    def test_months_are_calendar_months_and_say_when_they_are_not_whole(self) -> None:
        """From 1 January to 15 February: +5 % in January, then −10 %. A close at midnight ends the month before."""
        times = np.array([at(24), at(31 * 24), at(45 * 24)])
        january, february = monthly_returns(times, np.array([90.0, 105.0, 94.5]), opening=100.0, start_ms=NEW_YEAR_MS)
        assert (january.year, january.month, january.gain, january.is_part) == (2026, 1, 0.05, False)
        assert (february.year, february.month, february.gain, february.is_part) == (2026, 2, -0.1, True)


class TestRisk:
    #: Mean 0.01; deviations 0.01, −0.03, 0.02: squares sum to 0.0014, over two is 0.0007.
    RETURNS = (0.02, -0.02, 0.03)

    def test_volatility_is_the_deviation_of_a_sample_over_a_year_of_365_days(self) -> None:
        assert deviation(self.RETURNS) == pytest.approx(math.sqrt(0.0007))
        assert volatility(self.RETURNS) == pytest.approx(math.sqrt(0.0007 * 365))

    def test_sharpe(self) -> None:
        assert sharpe(self.RETURNS) == pytest.approx(0.01 / math.sqrt(0.0007) * math.sqrt(365))

    def test_sortino_counts_losses_over_all_days(self) -> None:
        """One loss of 0.02 over three days: root of 0.0004 / 3."""
        assert sortino(self.RETURNS) == pytest.approx(0.01 / math.sqrt(0.0004 / 3) * math.sqrt(365))

    @pytest.mark.parametrize("of", [volatility, sharpe, sortino])
    @pytest.mark.parametrize("returns", [[], [0.01]])
    def test_one_day_has_no_risk_to_tell(self, of: object, returns: list[float]) -> None:
        assert callable(of)
        with pytest.raises(Undefined, match=f"two whole days of returns at least; this run has {len(returns)}"):
            of(returns)

    def test_days_that_are_all_the_same_have_no_sharpe(self) -> None:
        with pytest.raises(Undefined, match="every day has the same return"):
            sharpe([0.1, 0.1, 0.1])

    def test_days_without_a_loss_have_no_sortino(self) -> None:
        with pytest.raises(Undefined, match="no day lost anything"):
            sortino([0.1, 0.0, 0.2])

    def test_the_deepest_fall_and_how_long_it_lasted(self) -> None:
        """From 120 to 90 is a quarter; the peak was left at hour 2 and reached again at hour 5."""
        times = np.array([at(hour) for hour in range(7)])
        fall = max_drawdown(times, np.array([100.0, 120.0, 120.0, 90.0, 100.0, 120.0, 114.0]))
        assert fall.depth == 0.25
        assert (fall.peak_at_ms, fall.trough_at_ms, fall.recovered_at_ms) == (at(2), at(3), at(5))
        assert fall.length_ms == 3 * HOUR_MS

    def test_a_fall_that_is_not_made_up_for_lasts_until_the_end(self) -> None:
        fall = max_drawdown(np.array([at(0), at(1), at(9)]), np.array([100.0, 80.0, 99.0]))
        assert (fall.depth, fall.recovered_at_ms, fall.length_ms) == (0.2, None, 9 * HOUR_MS)

    def test_what_never_fell(self) -> None:
        fall = max_drawdown(np.array([at(0), at(1)]), np.array([100.0, 100.0]))
        assert (fall.depth, fall.length_ms, fall.recovered_at_ms) == (0.0, 0, at(0))


#: Buy 10 at 100, 10 at 110; sell 15 at 120 in one order, 5 at 90 in another. Average cost 105 and fees in the pnl.
FILLS = (
    a_fill(1, at(0), "buy", "100", "10", fee="2"),
    a_fill(2, at(10), "buy", "110", "10", fee="2"),
    a_fill(3, at(20), "sell", "120", "9", fee="3", pnl="130.2"),
    a_fill(3, at(20), "sell", "120", "6", fee="2", pnl="86.8", trade_id="t3b"),
    a_fill(4, at(30), "sell", "90", "5", fee="1", pnl="-77"),
)


class TestRoundTrips:
    @pytest.fixture
    def trips(self) -> list[RoundTrip]:
        trips, _ = follow(a_result(fills=FILLS).fills)
        return trips

    def test_a_selling_order_is_one_trip_however_many_fills_it_had(self, trips: list[RoundTrip]) -> None:
        assert [(trip.quantity, trip.pnl) for trip in trips] == [(15, Decimal(217)), (5, Decimal(-77))]

    def test_what_was_bought_first_is_sold_first(self, trips: list[RoundTrip]) -> None:
        """Of the fifteen, ten were held for 20 hours and five for 10; the other five for 20."""
        first, second = trips
        assert first.held_ms == round((10 * 20 + 5 * 10) / 15 * HOUR_MS)
        assert (first.opened_at_ms, first.closed_at_ms) == (at(0), at(20))
        assert (second.opened_at_ms, second.held_ms) == (at(10), 20 * HOUR_MS)

    def test_gain_is_over_what_it_cost(self, trips: list[RoundTrip]) -> None:
        """15 × 120 less 5 of fees is 1,795; with a profit of 217 it cost 1,578."""
        assert trips[0].cost == 1578
        assert trips[0].gain == pytest.approx(217 / 1578)

    def test_statistics_of_both(self) -> None:
        found, _ = measure(a_result(fills=FILLS))
        trips = found.trips
        assert (trips.count, trips.won, trips.lost, trips.win_rate) == (2, 1, 1, 0.5)
        assert trips.profit_factor == pytest.approx(217 / 77)
        assert (trips.best, trips.worst, trips.average) == (217, -77, 70)
        assert trips.held_ms_mean == round((250 / 15 + 20) / 2 * HOUR_MS)

    def test_what_is_still_held_is_a_position_and_no_trip(self) -> None:
        found, trips = measure(a_result(fills=FILLS[:1], closes=[1_000, 12_000]))
        assert trips == []
        (symbol,) = found.symbols
        assert (symbol.position, symbol.position_value) == (10, 1_200)
        assert found.trips.win_rate is None
        assert found.undefined["win_rate"] == "no round trip: nothing that was bought has been sold"

    def test_without_a_losing_trip_there_is_no_profit_factor(self) -> None:
        found, _ = measure(a_result(fills=FILLS[:3]))
        assert found.trips.profit_factor is None
        assert found.undefined["profit_factor"] == "no round trip lost anything"

    def test_a_trip_that_came_to_nothing_is_neither_won_nor_lost(self) -> None:
        even = (FILLS[0], a_fill(2, at(1), "sell", "100.4", "10", fee="2", pnl="0"))
        trips = measure(a_result(fills=even))[0].trips
        assert (trips.count, trips.won, trips.lost, trips.win_rate, trips.profit_factor) == (1, 0, 0, 0.0, None)

    def test_what_was_not_bought_here_has_no_holding_time(self) -> None:
        ((trip,), _) = follow(a_result(fills=[a_fill(1, at(1), "sell", "100", "1", pnl="3")]).fills)
        assert (trip.held_ms, trip.opened_at_ms, trip.pnl) == (None, None, 3)


class TestTheWholeRun:
    def test_trading_and_exposure(self) -> None:
        """10,000 → 10,100 → 9,900, a third of the steps without a position; 1,000 bought and 1,200 sold."""
        fills = (
            a_fill(1, at(1), "buy", "100", "10", fee="2.4"),
            a_fill(2, at(2), "sell", "120", "10", fee="2.88", pnl="194"),
        )
        found, _ = measure(
            a_result((10_000.0, 10_100.0, 9_900.0), fills, exposure=(1_000.0, 1_010.0, 0.0), closes=[100, 110, 150])
        )
        assert found.total_return == pytest.approx(-0.01)
        assert found.traded_value == 2_200
        assert found.turnover == pytest.approx(2_200 / 10_000)
        assert found.exposure == pytest.approx((0.1 + 0.1) / 3)
        assert found.time_in_market == pytest.approx(2 / 3)
        assert found.hold_return == pytest.approx(0.5)
        assert (found.start_ms, found.end_ms) == (NEW_YEAR_MS, at(3))

    def test_every_symbol_by_itself_adds_up_to_the_whole(self) -> None:
        result = a_large_result(20_000)
        found, trips = measure(result)
        assert len(found.symbols) == 3 and len(trips) > 50
        assert money.total(symbol.fees for symbol in found.symbols) == result.fees
        assert money.total(symbol.realized_pnl for symbol in found.symbols) == money.total(trip.pnl for trip in trips)
        assert sum(symbol.fills for symbol in found.symbols) == result.fill_count
        assert sum(symbol.trips.count for symbol in found.symbols) == found.trips.count
        # Opening, what was realised, and what the open positions gained is the final equity.
        costs = money.total(symbol.position_value for symbol in found.symbols)
        bought = [row for row in result.fills.iter_rows(named=True) if row["side"] == "buy"]
        sold_orders = len([row for row in result.fills.iter_rows(named=True) if row["side"] == "sell"])
        assert len(bought) - sold_orders == sum(symbol.position > 0 for symbol in found.symbols)
        open_cost = money.total(
            next(b["price"] * b["quantity"] + b["fee"] for b in reversed(bought) if b["symbol"] == symbol.symbol)
            for symbol in found.symbols
            if symbol.position
        )
        assert result.opening_equity + found.realized_pnl + costs - open_cost == result.final_equity

    def test_a_curve_that_is_no_number_is_refused_and_never_shown(self) -> None:
        with pytest.raises(ValueError, match="no number"):
            measure(a_result((10_000.0, math.nan), final_equity=Decimal(10_000)))

    def test_a_value_that_is_no_number_is_undefined(self) -> None:
        with pytest.raises(Undefined):
            tidy(math.inf)


class TestSummary:
    def test_one_line_of_json_with_money_as_text(self) -> None:
        fills = (a_fill(1, at(1), "buy", "100.5", "10", fee="2.41"),)
        told = summary(a_result(fills=fills))
        assert json.loads(json.dumps(told, allow_nan=False)) == told
        asked = {"bars", "wall_s", "bars_per_s", "cycles", "orders", "fills", "final_equity", "max_drawdown", "fees"}
        assert asked | {"fingerprint", "return", "sharpe", "sortino", "cagr"} <= set(told)
        assert (told["bars"], told["wall_s"], told["bars_per_s"]) == (2, 2.0, 1.0)
        assert (told["final_equity"], told["fees"], told["traded_value"]) == ("10100", "2.41", "1005")
        assert told["sharpe"] is None
        assert "sharpe" in told["undefined"]  # type: ignore[operator]

    def test_everything_that_is_none_says_why(self) -> None:
        told = summary(a_result())
        assert {name for name, value in told.items() if value is None} == set(told["undefined"])  # type: ignore[call-overload]

    def test_only_times_differ_between_two_runs_of_the_same(self) -> None:
        one, other = summary(a_result(wall_s=1.0, cpu_s=1.0)), summary(a_result(wall_s=9.0, cpu_s=8.0))
        assert {name for name in one if one[name] != other[name]} == {"wall_s", "cpu_s", "bars_per_s"}


def shown(result: BacktestResult, width: int = 80) -> str:
    page = io.StringIO()
    show(result, console=Console(width=width, file=page, force_terminal=False, highlight=False))
    return page.getvalue()


class TestTable:
    def test_it_reads_in_eighty_columns(self) -> None:
        text = shown(a_large_result(20_000))
        assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
        assert "Opening equity" in text and "100,000.00" in text
        assert all(symbol in text for symbol in ("ADATRY", "BTCTRY", "ETHTRY"))
        assert "…" not in text, "nothing is cut off"

    def test_ten_million_fit_too(self) -> None:
        rich = a_result(
            (10_000_000.0, 9_968_671.16),
            [a_fill(n, at(n), side, "4123456.78", "200", fee="1979259.25", pnl=pnl)
             for n, side, pnl in ((1, "buy", "0"), (2, "sell", "-3958518.5"))],
            opening_equity=Decimal(10_000_000),
        )  # fmt: skip
        text = shown(rich)
        assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
        assert "9,968,671.16" in text and "-3,958,518.50" in text and "…" not in text

    def test_what_is_undefined_says_why(self) -> None:
        text = " ".join(shown(a_result()).split())
        assert "Volatility, Sharpe, Sortino –: needs two whole days of returns at least; this run has 0" in text
        assert "nan" not in text.lower()

    def test_control_characters_are_shown_and_never_obeyed(self) -> None:
        assert "\x1b" not in shown(a_result(strategy="odd\x1b[2J"))


class TestForReading:
    @pytest.mark.parametrize(
        ("value", "text"),
        [("1234567.8", "1,234,567.80"), ("-0.001", "0.00"), ("0.005", "0.01"), ("-12.5", "-12.50"), ("0", "0.00")],
    )
    def test_money(self, value: str, text: str) -> None:
        assert amount(Decimal(value), "TRY") == text

    def test_coins_have_more_decimals(self) -> None:
        assert amount(Decimal("0.00012345"), "BTC") == "0.00012345"
        assert amount(None, "TRY") == "–"

    @pytest.mark.parametrize(
        ("value", "text"), [(0.1234, "+12.34 %"), (-0.5, "-50.00 %"), (0.0, "0.00 %"), (123.0, "+12,300 %")]
    )
    def test_percent(self, value: float, text: str) -> None:
        assert percent(value, signed=True) == text

    @pytest.mark.parametrize(
        ("ms", "text"),
        [(0, "0 s"), (45_000, "45 s"), (12 * 60_000, "12 min"), (5 * HOUR_MS + 30 * 60_000, "5 h 30 min"),
         (6 * HOUR_MS, "6 h"), (12 * DAY_MS + DAY_MS // 2, "12.5 days"), (None, "–")],
    )  # fmt: skip
    def test_spans(self, ms: int | None, text: str) -> None:
        assert span(ms) == text


def test_everything_is_examined_once() -> None:
    found = examine(a_large_result(5_000))
    assert len(found.fingerprint) == 64
    assert found.statistics.trips.count == len(found.trips)
