"""Risk: every rule by an example with numbers, and budgets that shrink from intent to intent."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.builders import (
    NOW_MS,
    RATES,
    a_buy,
    a_hold,
    a_position,
    a_quote,
    a_sell,
    an_account,
    an_instrument,
    an_order,
)

from btcbot.decisions.risk import (
    Allowed,
    RefusedIntent,
    RiskFacts,
    RiskLimits,
    Room,
    Spent,
    evaluate,
    room_for_buys,
)
from btcbot.domain.intents import Intent, Side
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode

SYMBOLS = ("ADATRY", "BTCTRY", "ETHTRY")


def facts(**changes: Any) -> RiskFacts:
    """10,000 TRY free, three pairs with a mid of 100, no position, no order, no loss."""
    plain = RiskFacts(
        now_ms=NOW_MS,
        instruments={symbol: an_instrument(symbol) for symbol in SYMBOLS},
        quotes={symbol: a_quote(symbol) for symbol in SYMBOLS},
        unusable_quotes={},
        account=an_account(TRY="10000"),
        open_orders=(),
        holds={},
        positions={},
        last_order_times_ms={},
        daily_pnl=Decimal(0),
        fee_rates=RATES,
    )
    return replace(plain, **changes)


def holding(quantity: str, cost: str = "100", free: str | None = None, **changes: Any) -> RiskFacts:
    """ADA in the position, and as much (or `free`) of it free at the venue."""
    return facts(
        positions={"ADATRY": a_position(quantity=quantity, cost=cost)},
        account=an_account(TRY="10000", ADA=free or quantity),
        **changes,
    )


def limits(**changes: Any) -> RiskLimits:
    """So wide that no example meets a limit it does not name."""
    wide = RiskLimits(
        orders_per_cycle_max=10,
        open_orders_per_symbol_max=5,
        cooldown_ms=60_000,
        order_notional_min=Decimal(10),
        notional_per_cycle_max=Decimal(5_000),
        notional_per_order_max=Decimal(0),
        position_per_symbol_max=Decimal(4_000),
        exposure_max=Decimal(8_000),
        daily_loss_max=Decimal(500),
        price_collar_bps=Decimal(200),
        cash_reserve=Decimal(300),
    )
    return replace(wide, **{k: Decimal(v) if isinstance(v, str) else v for k, v in changes.items()})


def code(intent: Intent, found: RiskFacts | None = None, within: RiskLimits | None = None) -> ReasonCode | None:
    """Why it is refused; None when it is allowed."""
    (decision,) = evaluate([intent], found or facts(), within or limits())
    return decision.code if isinstance(decision, RefusedIntent) else None


def codes(
    intents: Sequence[Intent], found: RiskFacts | None = None, within: RiskLimits | None = None
) -> list[ReasonCode | None]:
    decisions = evaluate(intents, found or facts(), within or limits())
    return [decision.code if isinstance(decision, RefusedIntent) else None for decision in decisions]


def allowed(intent: Intent, found: RiskFacts | None = None, within: RiskLimits | None = None) -> Intent:
    (decision,) = evaluate([intent], found or facts(), within or limits())
    assert isinstance(decision, Allowed), decision
    return decision.intent


def test_a_plain_buy_is_allowed_as_it_is() -> None:
    assert allowed(a_buy("2")) == a_buy("2")


class TestInstrumentsAndQuotes:
    def test_rules_unavailable(self) -> None:
        assert code(a_buy("2", symbol="XRPTRY")) is ReasonCode.RULES_UNAVAILABLE

    @pytest.mark.parametrize("change", [{"is_trading": False}, {"takes_limit_orders": False}])
    def test_not_trading(self, change: dict[str, bool]) -> None:
        assert code(a_buy("2"), facts(instruments={"ADATRY": an_instrument(**change)})) is ReasonCode.NOT_TRADING

    def test_no_quote_is_a_stale_one_unless_the_reason_is_known(self) -> None:
        assert code(a_buy("2"), facts(quotes={})) is ReasonCode.STALE_QUOTE
        crossed = facts(quotes={}, unusable_quotes={"ADATRY": ReasonCode.CROSSED_QUOTE})
        assert code(a_buy("2"), crossed) is ReasonCode.CROSSED_QUOTE

    def test_no_quote_bars_sells_as_well(self) -> None:
        assert code(a_sell("2"), holding("2", quotes={})) is ReasonCode.STALE_QUOTE


class TestOrdersOfTheSymbol:
    @pytest.mark.parametrize("status", [OrderStatus.SUBMITTED, OrderStatus.UNKNOWN, OrderStatus.REFUSED_PROVISIONAL])
    def test_an_order_in_doubt_freezes_its_symbol_and_no_other(self, status: OrderStatus) -> None:
        found = facts(open_orders=[an_order(status=status)])

        assert codes([a_buy("2"), a_buy("2", symbol="BTCTRY")], found) == [ReasonCode.ORDER_IN_DOUBT, None]
        assert code(a_sell("2"), holding("2", open_orders=found.open_orders)) is ReasonCode.ORDER_IN_DOUBT

    def test_no_more_open_orders_than_the_limit(self) -> None:
        found = facts(open_orders=[an_order(1), an_order(2)])

        assert code(a_buy("2"), found, limits(open_orders_per_symbol_max=2)) is ReasonCode.MAX_OPEN_ORDERS_PER_SYMBOL
        assert code(a_buy("2"), found, limits(open_orders_per_symbol_max=3)) is None

    def test_orders_of_this_cycle_count_as_open(self) -> None:
        within = limits(open_orders_per_symbol_max=1)

        assert codes([a_buy("2"), a_buy("2")], within=within) == [None, ReasonCode.MAX_OPEN_ORDERS_PER_SYMBOL]

    @pytest.mark.parametrize(("ago_ms", "refused"), [(0, True), (59_999, True), (60_000, False)])
    def test_cooldown(self, ago_ms: int, refused: bool) -> None:
        found = facts(last_order_times_ms={("ADATRY", "buy"): NOW_MS - ago_ms})

        assert code(a_buy("2"), found) is (ReasonCode.COOLDOWN if refused else None)

    def test_the_cooldown_is_for_one_symbol_and_one_side(self) -> None:
        found = holding("2", last_order_times_ms={("ADATRY", "buy"): NOW_MS})

        assert code(a_sell("2"), found) is None
        assert code(a_buy("2", symbol="BTCTRY"), found) is None


class TestTickLotAndMinimum:
    def test_a_buy_rounds_its_price_down_a_sell_up_and_quantities_go_down(self) -> None:
        assert allowed(a_buy("2.00009", price="100.019")) == a_buy("2.0000", price="100.01")
        assert allowed(a_sell("2.00009", price="100.011"), holding("3")) == a_sell("2.0000", price="100.02")

    @pytest.mark.parametrize(("quantity", "price"), [("0.00009", "100"), ("0", "100"), ("2", "0.009"), ("-2", "100")])
    def test_what_rounds_to_nothing_is_no_order(self, quantity: str, price: str) -> None:
        assert code(a_buy(quantity, price)) is ReasonCode.NON_POSITIVE

    def test_below_the_venues_minimum(self) -> None:
        """0.999 at 100 is 99.90 TRY; the venue wants 99.91."""
        assert code(a_buy("0.999")) is ReasonCode.MIN_NOTIONAL
        assert code(a_buy("0.9991")) is None

    def test_below_our_own_minimum(self) -> None:
        assert code(a_buy("1.4999"), within=limits(order_notional_min="150")) is ReasonCode.MIN_NOTIONAL
        assert code(a_buy("1.5"), within=limits(order_notional_min="150")) is None


class TestPrices:
    @pytest.mark.parametrize(
        ("price", "refused"), [("98", False), ("97.99", True), ("102", False), ("102.01", True), ("1000", True)]
    )
    def test_the_collar_is_200_bps_around_the_mid(self, price: str, refused: bool) -> None:
        assert code(a_buy("2", price)) is (ReasonCode.PRICE_COLLAR if refused else None)
        assert code(a_sell("2", price), holding("2")) is (ReasonCode.PRICE_COLLAR if refused else None)

    @pytest.mark.parametrize(("price", "refused"), [("99", False), ("98.99", True), ("101", False), ("101.01", True)])
    def test_the_venues_own_band(self, price: str, refused: bool) -> None:
        banded = {"ADATRY": an_instrument(price_min=Decimal(99), price_max=Decimal(101))}

        assert code(a_buy("2", price), facts(instruments=banded)) is (ReasonCode.PRICE_BAND if refused else None)


class TestValueOfOrders:
    def test_an_order_is_cut_to_the_limit_of_one_order(self) -> None:
        """At most 150 TRY at 99.99: 1.5001 of it, and not 1.5002, which would be 150.004998."""
        cut = allowed(a_buy("2", "99.99"), within=limits(notional_per_order_max="150"))

        assert cut.quantity == Decimal("1.5001")

    def test_an_order_cut_below_the_minimum_is_none(self) -> None:
        assert code(a_buy("2"), within=limits(notional_per_order_max="99")) is ReasonCode.MIN_NOTIONAL

    def test_a_lot_above_the_limit_of_one_order(self) -> None:
        """One lot is 1 BTC at 100: a limit of 99 leaves none."""
        whole = facts(instruments={"BTCTRY": an_instrument("BTCTRY", quantity_scale=0)})
        within = limits(notional_per_order_max="99")

        assert code(a_buy("2", symbol="BTCTRY"), whole, within) is ReasonCode.NOTIONAL_PER_ORDER

    def test_zero_means_no_such_limit(self) -> None:
        assert allowed(a_buy("30"), within=limits(notional_per_order_max="0")).quantity == 30

    def test_the_cycles_value_is_used_up_by_what_was_allowed(self) -> None:
        """450 of 500 TRY are taken; 100 more are too much, and the 50 that remain are below the venue's minimum."""
        intents = [a_buy("2"), a_buy("2.5", symbol="BTCTRY"), a_buy("1", symbol="ETHTRY")]

        assert codes(intents, within=limits(notional_per_cycle_max="500")) == [None, None, ReasonCode.NOTIONAL_CAP]
        assert codes(intents, within=limits(notional_per_cycle_max="550")) == [None, None, None]

    def test_a_refused_intent_uses_nothing_up(self) -> None:
        intents = [a_buy("9", symbol="XRPTRY"), a_buy("6"), a_buy("5", symbol="BTCTRY")]

        assert codes(intents, within=limits(notional_per_cycle_max="500")) == [
            ReasonCode.RULES_UNAVAILABLE,
            ReasonCode.NOTIONAL_CAP,
            None,
        ]


class TestNumberOfOrders:
    def test_no_more_orders_than_the_limit_in_one_cycle(self) -> None:
        intents = [a_buy("1", symbol=symbol) for symbol in SYMBOLS]

        assert codes(intents, within=limits(orders_per_cycle_max=2)) == [None, None, ReasonCode.MAX_ORDERS_PER_CYCLE]

    def test_it_is_counted_last_so_bad_intents_take_nobodys_place(self) -> None:
        """Three that other rules refuse stand in front; the good one still gets the only place."""
        bad = [a_buy("1", symbol="XRPTRY"), a_buy("0.5"), a_sell("1")]

        assert codes([*bad, a_buy("1")], within=limits(orders_per_cycle_max=1)) == [
            ReasonCode.RULES_UNAVAILABLE,
            ReasonCode.MIN_NOTIONAL,
            ReasonCode.NO_INVENTORY,
            None,
        ]

    def test_an_intent_with_another_fault_is_told_that_fault(self) -> None:
        within = limits(orders_per_cycle_max=1, cash_reserve="9890")

        assert codes([a_buy("1"), a_buy("1")], within=within) == [None, ReasonCode.CASH_RESERVE]


class TestCash:
    def test_a_buy_needs_its_value_and_the_fee_above_the_reserve(self) -> None:
        """700 TRY above the reserve of 300: 6.98 ADA at 100 cost 699.6752 with the fee, 6.99 cost 700.6776."""
        found = facts(account=an_account(TRY="1000"))

        assert code(a_buy("6.98"), found) is None
        assert code(a_buy("6.99"), found) is ReasonCode.CASH_RESERVE

    @pytest.mark.parametrize("free", ["0", "250", "300", "400"])
    def test_the_reserve_holds_even_when_cash_is_below_it(self, free: str) -> None:
        assert code(a_buy("1"), facts(account=an_account(TRY=free))) is ReasonCode.CASH_RESERVE

    def test_locked_funds_are_not_cash(self) -> None:
        assert code(a_buy("1"), facts(account=an_account(TRY=("300", "9700")))) is ReasonCode.CASH_RESERVE

    def test_cash_is_used_up_from_intent_to_intent(self) -> None:
        """700 TRY above the reserve: 4 ADA take 400.96, and the 299.04 left do not pay for 3 BTC at 300.72."""
        found = facts(account=an_account(TRY="1000"))
        intents = [a_buy("4"), a_buy("3", symbol="BTCTRY"), a_buy("2.9", symbol="ETHTRY")]

        assert codes(intents, found) == [None, ReasonCode.CASH_RESERVE, None]

    def test_what_an_order_in_doubt_may_need_is_not_free(self) -> None:
        """The venue may not have locked it yet: 1000 free less 300.72 in doubt less the reserve leave 399.28."""
        in_doubt = an_order(symbol="BTCTRY", quantity="3", status=OrderStatus.UNKNOWN)
        found = facts(
            account=an_account(TRY="1000"),
            open_orders=[in_doubt],
            holds={in_doubt.client_order_id: a_hold(in_doubt, "300.72")},
        )

        assert code(a_buy("3.98"), found) is None
        assert code(a_buy("3.99"), found) is ReasonCode.CASH_RESERVE

    def test_what_a_working_order_needs_the_venue_has_locked_already(self) -> None:
        working = an_order(symbol="BTCTRY", quantity="3", status=OrderStatus.ACCEPTED)
        found = facts(
            account=an_account(TRY=("1000", "300.72")),
            open_orders=[working],
            holds={working.client_order_id: a_hold(working, "300.72")},
        )

        assert code(a_buy("6.98"), found) is None

    def test_holds_of_more_than_there_is_leave_nothing(self) -> None:
        in_doubt = an_order(symbol="BTCTRY", quantity="50", status=OrderStatus.UNKNOWN)
        found = facts(
            account=an_account(TRY="1000"),
            open_orders=[in_doubt],
            holds={in_doubt.client_order_id: a_hold(in_doubt, "5012")},
        )

        assert code(a_buy("1"), found, limits(cash_reserve="0")) is ReasonCode.CASH_RESERVE


class TestWhatIsInvested:
    def test_no_more_in_one_symbol_than_its_limit(self) -> None:
        """Cost 300, worth 200.1 at the ask, so it counts 300; 200 more, with their fee, are 500.48."""
        found = holding("2", cost="300")

        assert code(a_buy("2"), found, limits(position_per_symbol_max="500.48")) is None
        assert code(a_buy("2"), found, limits(position_per_symbol_max="500.47")) is ReasonCode.POSITION_CAP

    def test_a_position_that_rose_counts_at_the_market(self) -> None:
        """Cost 100, worth 2 × 100.05; 200 more, with their fee, are 400.58."""
        found = holding("2", cost="100")

        assert code(a_buy("2"), found, limits(position_per_symbol_max="400.58")) is None
        assert code(a_buy("2"), found, limits(position_per_symbol_max="400.57")) is ReasonCode.POSITION_CAP

    def test_what_open_buys_may_still_add_counts(self) -> None:
        """An open buy of 3 with 1 filled leaves 200 and their fee to come; open sells add nothing."""
        open_orders = [an_order(1, quantity="3", filled="1"), an_order(2, quantity="9", side=Side.SELL)]
        found = facts(open_orders=open_orders)

        assert code(a_buy("2"), found, limits(position_per_symbol_max="400.96")) is None
        assert code(a_buy("2"), found, limits(position_per_symbol_max="400.95")) is ReasonCode.POSITION_CAP

    def test_buys_of_this_cycle_count(self) -> None:
        within = limits(position_per_symbol_max="300.72")

        assert codes([a_buy("2"), a_buy("2"), a_buy("1")], within=within) == [None, ReasonCode.POSITION_CAP, None]

    def test_no_more_in_all_than_the_limit(self) -> None:
        """300 in ADA, 200 to come in BTC, another 200 in ETH: 700, and the fees of two buys."""
        found = holding("2", cost="300", open_orders=[an_order(symbol="BTCTRY")])

        assert code(a_buy("2", symbol="ETHTRY"), found, limits(exposure_max="700.96")) is None
        assert code(a_buy("2", symbol="ETHTRY"), found, limits(exposure_max="700.95")) is ReasonCode.EXPOSURE_CAP

    def test_a_held_symbol_without_a_quote_counts_at_its_cost(self) -> None:
        found = holding("2", cost="300", quotes={"ETHTRY": a_quote("ETHTRY")})

        assert code(a_buy("2", symbol="ETHTRY"), found, limits(exposure_max="500.48")) is None
        assert code(a_buy("2", symbol="ETHTRY"), found, limits(exposure_max="500.47")) is ReasonCode.EXPOSURE_CAP


class TestDailyLoss:
    @pytest.mark.parametrize(("pnl", "refused"), [("-499.99", False), ("-500", True), ("-2000", True), ("90", False)])
    def test_a_days_loss_stops_buys(self, pnl: str, refused: bool) -> None:
        assert code(a_buy("2"), facts(daily_pnl=Decimal(pnl))) is (ReasonCode.DAILY_LOSS if refused else None)

    def test_and_lets_sells_through(self) -> None:
        assert code(a_sell("2"), holding("2", daily_pnl=Decimal(-2000))) is None

    def test_caps_on_what_is_invested_and_the_reserve_stop_no_sell(self) -> None:
        within = limits(position_per_symbol_max="1", exposure_max="1", cash_reserve="99999")

        assert code(a_sell("2"), holding("2"), within) is None


class TestInventory:
    def test_nothing_is_sold_that_the_bot_did_not_buy(self) -> None:
        owned_by_a_human = facts(account=an_account(TRY="10000", ADA="50"))

        assert code(a_sell("2"), owned_by_a_human) is ReasonCode.NO_INVENTORY

    def test_a_sell_is_cut_to_the_position(self) -> None:
        assert allowed(a_sell("5"), holding("2", free="50")).quantity == 2

    def test_a_sell_is_cut_to_what_is_free_at_the_venue(self) -> None:
        assert allowed(a_sell("5"), holding("5", free="2")).quantity == 2

    def test_what_is_on_sale_already_is_not_sold_again(self) -> None:
        """5 held and free, 3 of an open sell of 4 unfilled: 2 are left."""
        found = holding("5", open_orders=[an_order(side=Side.SELL, quantity="4", filled="1")])

        assert allowed(a_sell("5"), found).quantity == 2

    def test_sells_of_this_cycle_count(self) -> None:
        decisions = evaluate([a_sell("3"), a_sell("3"), a_sell("3")], holding("5"), limits())

        assert [d.intent.quantity if isinstance(d, Allowed) else d.code for d in decisions] == [
            3,
            2,
            ReasonCode.NO_INVENTORY,
        ]

    def test_dust_on_the_lot_is_nothing_to_sell(self) -> None:
        assert code(a_sell("1"), holding("0.00009")) is ReasonCode.NO_INVENTORY

    def test_a_rest_below_the_minimum_cannot_be_sold(self) -> None:
        assert code(a_sell("5"), holding("0.5")) is ReasonCode.MIN_NOTIONAL

    def test_what_an_order_in_doubt_of_another_pair_may_sell_is_not_free(self) -> None:
        """3 of 5 ADA may be on sale against USDT; 2 are left to sell against TRY."""
        in_doubt = an_order(symbol="ADAUSDT", side=Side.SELL, quantity="3", status=OrderStatus.UNKNOWN)
        found = holding(
            "5", open_orders=[in_doubt], holds={in_doubt.client_order_id: a_hold(in_doubt, "3", asset="ADA")}
        )

        assert allowed(a_sell("5"), found).quantity == 2


def test_every_refusal_says_what_was_asked_and_what_the_limit_is() -> None:
    (refusal,) = evaluate([a_buy("10")], facts(), limits(notional_per_cycle_max="500"))

    assert isinstance(refusal, RefusedIntent)
    assert refusal.intent == a_buy("10")
    assert refusal.detail == "1000 in this cycle, at most 500"


def test_a_cut_says_why() -> None:
    (cut,) = evaluate([a_sell("5")], holding("2"), limits())

    assert isinstance(cut, Allowed)
    assert cut.detail == "cut to the 2 that can be sold"


class TestRoomForBuys:
    """Caps of 5,000 for a cycle, 4,000 for a symbol and 8,000 in all. 10 ADA are held, at the ask
    worth 1,000.50, and a buy of 10 at 100 rests: with 24 bps it costs 1,002.40. So 2,002.90 are in ADA, and in all."""

    FACTS = facts(
        positions={"ADATRY": a_position(quantity="10", cost="1000")},
        open_orders=[an_order(quantity="10")],
    )

    @staticmethod
    def room(within: RiskLimits, found: RiskFacts | None = None) -> Room:
        return room_for_buys(found or TestRoomForBuys.FACTS, within, ("ADATRY", "BTCTRY"))

    def test_a_cycle_leaves_what_was_not_yet_spent_in_it(self) -> None:
        assert self.room(limits()).whole == Decimal(5_000)
        spent = replace(self.FACTS, spent=Spent(orders=2, notional=Decimal("1200.50")))
        assert self.room(limits(), spent).whole == Decimal("3799.50")

    def test_all_together_may_not_be_more_than_the_whole_account_may_invest(self) -> None:
        assert self.room(limits(exposure_max="3000")).whole == Decimal("997.10")

    def test_each_symbol_has_what_position_and_resting_buys_leave(self) -> None:
        assert self.room(limits()).of_symbol == {"ADATRY": Decimal("1997.10"), "BTCTRY": Decimal(4_000)}

    def test_what_is_invested_beyond_a_cap_leaves_nothing_and_owes_nothing(self) -> None:
        """Caps that were lowered after the buys."""
        room = self.room(limits(exposure_max="2000", position_per_symbol_max="1500"))
        assert (room.whole, room.of_symbol) == (Decimal(0), {"ADATRY": Decimal(0), "BTCTRY": Decimal(1_500)})

    def test_a_buy_that_fills_the_room_is_allowed_and_a_lot_more_is_not(self) -> None:
        """1,997.10 TRY buy 19.9231 ADA at 100, fee included, and not a lot more."""
        assert code(a_buy("19.9231"), self.FACTS) is None
        assert code(a_buy("19.9232"), self.FACTS) is ReasonCode.POSITION_CAP
