"""What fills came to, folded one by one; profit, its peak and how far it has fallen."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_fill, a_position, a_report, an_order, client_id

from btcbot.decisions import results as folding
from btcbot.decisions.results import Holding, Results
from btcbot.domain import money
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.positions import Position, after_fill
from btcbot.reporting import slippage as of_reports

MONDAY, TUESDAY = "2026-01-05", "2026-01-06"


def folded(*fills: Fill, day: str = MONDAY, price: str | None = "100") -> Results:
    found = Results()
    for fill in fills:
        found = folding.with_fill(found, fill, day, None if price is None else Decimal(price))
    return found


def sold(number: int, price: str, quantity: str = "1") -> Fill:
    return a_fill(Side.SELL, quantity, price, trade_id=f"s{number}", client_order_id=client_id(number))


class TestFills:
    def test_fees_taxes_and_turnover_of_the_book_and_of_the_day(self) -> None:
        yesterday = folded(a_fill(quantity="2", price="100", fee="0.40", tax="0.08"))
        today = folding.with_fill(yesterday, a_fill(quantity="1", price="90", fee="0.20", tax="0.04"), TUESDAY, None)
        assert (today.fees, today.taxes, today.turnover) == (Decimal("0.60"), Decimal("0.12"), Decimal(290))
        assert (today.fees_today, today.taxes_today, today.turnover_today) == (
            Decimal("0.20"),
            Decimal("0.04"),
            Decimal(90),
        )

    def test_the_fees_of_a_day_are_not_those_of_a_lifetime(self) -> None:
        found = folding.on_day(folded(a_fill(fee="7", tax="1")), TUESDAY)
        assert (found.fees, found.fees_today, found.taxes_today, found.turnover_today) == (7, 0, 0, 0)

    def test_a_late_fill_of_yesterday_is_none_of_today(self) -> None:
        found = folding.with_fill(folding.on_day(Results(), TUESDAY), a_fill(fee="7"), MONDAY, None)
        assert (found.day, found.fees, found.fees_today) == (TUESDAY, 7, 0)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["ADATRY", "BTCTRY"]),
                st.booleans(),
                st.decimals(min_value="0.01", max_value=1000, places=2),
                st.decimals(min_value="0.0001", max_value=10, places=4),
                st.decimals(min_value=0, max_value=1, places=2),
            ),
            max_size=12,
        )
    )
    def test_the_fold_agrees_with_the_positions_of_the_books(
        self, trades: list[tuple[str, bool, Decimal, Decimal, Decimal]]
    ) -> None:
        positions: dict[str, Position] = {}
        found, gains = Results(), money.ZERO
        for number, (symbol, wants_sell, price, quantity, fee) in enumerate(trades):
            before = positions.get(symbol) or Position(symbol=symbol)
            is_sell = wants_sell and quantity <= before.quantity
            fill = a_fill(
                Side.SELL if is_sell else Side.BUY,
                str(quantity),
                str(price),
                str(fee),
                symbol=symbol,
                client_order_id=client_id(number),
            )
            positions[symbol] = after_fill(before, fill)
            gains += positions[symbol].realized_pnl - before.realized_pnl
            found = folding.with_fill(found, fill, MONDAY, None)
        for symbol, position in positions.items():
            assert found.holdings[symbol] == Holding(position.quantity, position.cost)
        assert money.total(found.sales.values()) == gains
        assert found.fees == money.total(position.fees_paid for position in positions.values())


class TestSlippage:
    def test_it_is_what_was_paid_beyond_the_mid_that_the_decision_saw(self) -> None:
        assert folded(a_fill(quantity="2", price="100.5")).slippage == Decimal("1.0")
        assert folded(a_fill(quantity="2", price="99.5")).slippage == Decimal("-1.0")
        assert folded(a_fill(quantity="2"), sold(1, "99", "2")).slippage == Decimal(2)

    def test_slippage_is_not_taken_off_the_profit_a_second_time(self) -> None:
        """Bought at 101 where the decision saw 100, and worth 101 now: nothing was lost, whatever the slippage."""
        found = folded(a_fill(quantity="1", price="101"))
        assert found.slippage == 1
        assert found.holdings["ADATRY"].worth_more(Decimal(101)) == 0
        found = folding.with_profit(found, Decimal(0), Decimal(1_000))
        assert folding.drawdown(found, Decimal(0)) == 0

    def test_a_fill_without_a_decision_on_record_is_not_guessed(self) -> None:
        found = folded(a_fill(), price=None)
        assert (found.slippage, found.unmeasured) == (0, 1)

    def test_it_is_the_same_as_in_reports(self) -> None:
        order, fill = an_order(), a_fill(Side.SELL, "3", "99.37")
        cycle = a_report(cycle_id=order.cycle_id, quotes={order.symbol: (Decimal("99.90"), Decimal("100.05"))})
        price = folding.decision_price(order, cycle)
        assert price == Decimal("99.975") == of_reports.decision_price(order, {order.cycle_id: cycle})
        assert folding.slippage_of(fill, price) == of_reports.slippage(fill, price) == Decimal("1.815")
        assert folding.decision_price(order, None) is None
        assert folding.decision_price(an_order(symbol="BTCTRY"), cycle) is None


class TestRoundTrips:
    def test_the_loss_streak_is_counted_from_closed_round_trips(self) -> None:
        found = folded(a_fill(quantity="5", price="100"), sold(1, "99"), sold(2, "98"))
        assert found.loss_streak == 0, "neither selling order is over"
        found = folding.with_sale_over(folding.with_sale_over(found, client_id(1)), client_id(2))
        assert (found.round_trips, found.loss_streak, dict(found.sales)) == (2, 2, {})

    def test_a_round_trip_without_a_loss_ends_the_streak(self) -> None:
        found = folded(a_fill(quantity="5", price="100"), sold(1, "99"), sold(2, "101"), sold(3, "100"))
        streaks = []
        for number in (1, 2, 3):
            found = folding.with_sale_over(found, client_id(number))
            streaks.append(found.loss_streak)
        assert streaks == [1, 0, 0]

    def test_an_order_that_fills_in_parts_is_one_round_trip(self) -> None:
        found = folded(a_fill(quantity="5", price="100"), sold(1, "99"), sold(1, "99"), sold(1, "103"))
        assert dict(found.sales) == {client_id(1): Decimal(1)}
        assert folding.with_sale_over(found, client_id(1)).loss_streak == 0

    def test_fees_make_a_loss_of_a_sale_at_cost(self) -> None:
        charged = a_fill(Side.SELL, "1", "100", "0.2", trade_id="s1", client_order_id=client_id(1))
        found = folded(a_fill(quantity="1", price="100"), charged)
        assert folding.with_sale_over(found, client_id(1)).loss_streak == 1

    def test_coins_that_were_handed_over_and_sold_unseen_gain_and_lose_nothing(self) -> None:
        found = folded(sold(1, "50"))
        assert dict(found.sales) == {client_id(1): Decimal(0)}


class TestDrawdown:
    def test_it_is_how_far_profit_has_fallen(self) -> None:
        found = Results()
        for profit in (0, 120, 90):
            found = folding.with_profit(found, Decimal(profit), Decimal(10_000 + profit))
        assert (found.peak, found.peak_equity) == (120, 10_120)
        assert folding.drawdown(found, Decimal(90)) == 30
        assert folding.drawdown_pct(found, Decimal(90)) == Decimal("0.2964")
        assert folding.drawdown(found, Decimal(150)) == 0

    def test_a_book_that_has_only_lost_has_a_drawdown_too(self) -> None:
        found = folding.with_profit(Results(), Decimal(-50), Decimal(950))
        assert (folding.drawdown(found, Decimal(-50)), folding.drawdown_pct(found, Decimal(-50))) == (50, 5)

    @given(
        st.lists(
            st.tuples(st.decimals(-500, 500, places=2), st.decimals(-5_000, 5_000, places=2)), min_size=1, max_size=20
        )
    )
    def test_transfers_are_no_drawdown_and_it_is_never_negative(self, steps: list[tuple[Decimal, Decimal]]) -> None:
        with_transfers, without = Results(), Results()
        profit, moved, deepest = money.ZERO, money.ZERO, money.ZERO
        highest = money.ZERO
        for earned, transfer in steps:
            profit, moved = profit + earned, moved + transfer
            highest = max(highest, profit)
            with_transfers = folding.with_profit(with_transfers, profit, max(10_000 + profit + moved, money.ONE))
            without = folding.with_profit(without, profit, 10_000 + profit)
            fallen = folding.drawdown(with_transfers, profit)
            deepest = max(deepest, fallen)
            assert fallen == folding.drawdown(without, profit) == highest - profit
            assert folding.drawdown_pct(with_transfers, profit) >= 0
        assert deepest >= 0

    def test_a_transfer_does_not_change_the_percentage_either(self) -> None:
        found = folding.with_profit(Results(), Decimal(100), Decimal(10_000))
        for equity in (Decimal(9_950), Decimal(200), Decimal(90_000)):
            found = folding.with_profit(found, Decimal(50), equity)
            assert folding.drawdown_pct(found, Decimal(50)) == Decimal("0.5")

    def test_coins_handed_over_at_a_loss_are_no_drawdown_and_taking_them_back_is_no_gain(self) -> None:
        marks = {"BTCTRY": Decimal(1_000_000)}.get
        found = folding.with_profit(Results(), Decimal(10), Decimal(10_000))
        handed = {"BTCTRY": a_position("BTCTRY", "0.01", "12000")}
        found = folding.with_positions(found, handed, marks)
        assert folding.drawdown(found, Decimal(10 - 2_000)) == 0
        taken = {"BTCTRY": a_position("BTCTRY", "0", "0")}
        found = folding.with_positions(found, taken, marks)
        assert folding.drawdown(found, Decimal(10)) == 0
        assert (found.peak, dict(found.holdings)) == (10, {})

    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["ADATRY", "BTCTRY", "XRPTRY"]),
                st.tuples(st.integers(0, 5), st.integers(0, 4_000)),
                min_size=1,
            ),
            max_size=8,
        )
    )
    def test_what_is_handed_over_or_taken_back_explains_all_that_the_profit_moved(
        self, days: list[dict[str, tuple[int, int]]]
    ) -> None:
        """No trade, no price that moves: whatever the books hold, profit without `peak_moved` stays where it was."""
        mark, found, books = Decimal(700), Results(), dict[str, Position]()
        for changes in days:
            for symbol, (quantity, cost) in changes.items():
                books[symbol] = a_position(symbol, str(quantity), str(cost if quantity else 0))
            found = folding.with_positions(found, books, lambda symbol: mark)
            profit = money.total(one.unrealized_pnl(mark) for one in books.values())
            assert profit - found.peak_moved == 0
            assert folding.drawdown(found, profit) == 0

    def test_positions_that_the_fills_explain_move_no_peak(self) -> None:
        found = folded(a_fill(quantity="2", price="100"), sold(1, "100", "2"))
        flat = {"ADATRY": a_position("ADATRY", "0", "0")}
        after = folding.with_positions(found, flat, lambda symbol: Decimal(50))
        assert (after.peak, dict(after.holdings)) == (0, {})
        assert folding.with_positions(after, flat, lambda symbol: Decimal(50)) is after
