"""Allocation by examples with numbers: what may be invested, cuts, lifts, order of size, contradictions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.builders import (
    NOW_MS,
    a_buy,
    a_hold,
    a_position,
    a_quote,
    a_sell,
    an_account,
    an_instrument,
    an_intent,
    an_order,
    draft_facts,
)

from btcbot.decisions.allocation import Allocation, allocate
from btcbot.decisions.allotment import AllocationRules, UsageMode, investable
from btcbot.decisions.draft import Draft, DraftFacts
from btcbot.domain.intents import Intent, Side
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.replacements import begun
from btcbot.domain.stance import Stance
from btcbot.domain.tuning import Tuning

SYMBOLS = ("ADATRY", "BTCTRY", "ETHTRY", "SOLTRY")


def facts(free: str = "10000", **changes: Any) -> DraftFacts:
    """Four pairs with a mid of 100 and `free` TRY; no position, no order, nothing narrowed or tuned."""
    return draft_facts(*SYMBOLS, **({"account": an_account(TRY=free)} | changes))


def holding(quantity: str, cost: str = "100", **changes: Any) -> DraftFacts:
    """`quantity` of ADA, bought for `cost` in all, and all of it free at the venue."""
    plain = {
        "positions": {"ADATRY": a_position(quantity=quantity, cost=cost)},
        "account": an_account(TRY="10000", ADA=quantity),
    }
    return facts(**(plain | changes))


def rules(**changes: Any) -> AllocationRules:
    """A reserve of 300 and a buffer of 25 bps; everything else so wide that no example meets it unnamed."""
    wide = AllocationRules(
        cash_target=Decimal(300),
        cash_max=Decimal(600),
        usage=UsageMode.USE_ALL,
        usage_fraction=Decimal(1),
        usage_cap=Decimal(0),
        fee_buffer=Decimal("0.0025"),
        rounding_buffer=Decimal(0),
        position_per_symbol_max=Decimal(50_000),
        notional_per_cycle_max=Decimal(50_000),
        notional_per_intent_max=Decimal(0),
        order_notional_min=Decimal(10),
        orders_per_cycle_max=10,
        cooldown_ms=60_000,
    )
    return replace(wide, **{k: Decimal(v) if isinstance(v, str) and k != "usage" else v for k, v in changes.items()})


def tuned(**changes: Any) -> Tuning:
    plain = Tuning(
        version=3, universe_size=5, order_offset_bps=Decimal(5), turnover_per_cycle_max=Decimal(50_000),
        orders_per_cycle_max=10, spread_bps_max=Decimal(100), quote_volume_min=Decimal(0), cash_target=Decimal(300),
    )  # fmt: skip
    return replace(plain, **changes)


def shaped(*intents: Intent, within: AllocationRules | None = None, known: DraftFacts | None = None) -> Draft:
    return Allocation(within or rules()).shape(Draft(intents=intents), known or facts())


def sizes(draft: Draft) -> list[tuple[str, str, str]]:
    return [(one.symbol, one.side.value, f"{one.quantity.normalize():f}") for one in draft.intents]


def refusals(draft: Draft) -> list[tuple[str, ReasonCode]]:
    return [(one.intent.symbol, one.code) for one in draft.refused]


def told(draft: Draft) -> str:
    (refusal,) = draft.refused
    return refusal.detail


class TestWhatMayBeInvested:
    @pytest.mark.parametrize(
        ("free", "changes", "expected"),
        [
            ("10000", {}, "9700"),
            ("300", {}, "0"),
            ("250", {}, "0"),
            ("10000", {"usage": UsageMode.FRACTION, "usage_fraction": "0.25"}, "2425"),
            ("10000", {"usage": UsageMode.CAP, "usage_cap": "800"}, "800"),
            ("500", {"usage": UsageMode.CAP, "usage_cap": "800"}, "200"),
        ],
    )
    def test_it_is_what_is_free_above_the_reserve_and_of_that_what_the_mode_allows(
        self, free: str, changes: dict[str, Any], expected: str
    ) -> None:
        assert investable(facts(free), rules(**changes)) == Decimal(expected)

    def test_what_a_stance_keeps_comes_on_top_of_the_reserve(self) -> None:
        assert investable(facts("1000", stance=Stance(cash_kept=Decimal(450))), rules()) == 250

    def test_tuning_sets_the_reserve_up_to_its_bound(self) -> None:
        assert investable(facts("1000", tuning=tuned(cash_target=Decimal(500))), rules()) == 500
        assert investable(facts("1000", tuning=tuned(cash_target=Decimal(900))), rules()) == 400

    def test_funds_of_an_order_in_doubt_are_not_there(self) -> None:
        order = an_order(status=OrderStatus.UNKNOWN)
        known = facts("1000", open_orders=(order,), holds={order.client_order_id: a_hold(order, "200.48")})

        assert investable(known, rules()) == Decimal("499.52")

    @pytest.mark.parametrize("free", ["250", "300", "0", "399.9"])
    def test_the_reserve_holds_when_cash_is_below_it_and_no_buy_passes(self, free: str) -> None:
        """A rule that asks only where there is something to invest lets buys pass with 250 free and a reserve of 300.
        399.90 leave 99.90 above the reserve, which is no order either."""
        draft = shaped(a_buy("1.2"), known=facts(free))

        assert refusals(draft) == [("ADATRY", ReasonCode.ALLOCATION_CASH)]
        assert f"({free} free, 300 kept)" in told(draft)
        assert not draft.intents

    def test_sells_pass_all_the_same(self) -> None:
        known = holding("5", account=an_account(TRY="250", ADA="5"))
        assert sizes(shaped(a_sell("5"), known=known)) == [("ADATRY", "sell", "5")]


class TestSizesOfBuys:
    def test_a_wish_within_everything_is_left_as_it_is(self) -> None:
        wish = a_buy("2.5")
        assert shaped(wish).intents == (wish,)

    def test_cash_cuts_it_fee_buffer_included(self) -> None:
        """200 above the reserve buy 200 / 100 / 1.0025 = 1.9950."""
        draft = shaped(a_buy("3"), known=facts("500"))

        assert sizes(draft) == [("ADATRY", "buy", "1.995")]
        assert draft.intents[0].why == "an example; cut: 200 left to invest of 200 (500 free, 300 kept)"

    def test_the_buffer_is_never_less_than_the_taker_fee(self) -> None:
        """The venue locks 24 bps, whatever the buffer says: 200 / 100.24 = 1.9952."""
        assert sizes(shaped(a_buy("3"), known=facts("500"), within=rules(fee_buffer="0"))) == [
            ("ADATRY", "buy", "1.9952")
        ]

    def test_the_rounding_buffer_stands_beside_each_buy(self) -> None:
        """190 / 100.25 = 1.8952."""
        assert sizes(shaped(a_buy("3"), known=facts("500"), within=rules(rounding_buffer="10"))) == [
            ("ADATRY", "buy", "1.8952")
        ]

    def test_the_intent_cap_cuts_it(self) -> None:
        draft = shaped(a_buy("30"), within=rules(notional_per_intent_max="500"))
        assert sizes(draft) == [("ADATRY", "buy", "5")]
        assert draft.intents[0].why.endswith("cut: at most 500 an order")

    def test_room_in_the_symbol_cuts_it_at_the_higher_of_cost_and_market(self) -> None:
        """3 ADA that cost 320 are worth 300.15 at the ask: 480 of 800 are left, and buy 4.788."""
        known = holding("3", cost="320")
        assert sizes(shaped(a_buy("9"), known=known, within=rules(position_per_symbol_max="800"))) == [
            ("ADATRY", "buy", "4.788")
        ]

    def test_no_room_is_told_with_its_numbers(self) -> None:
        draft = shaped(a_buy("9"), known=holding("3", cost="320"), within=rules(position_per_symbol_max="400"))

        assert refusals(draft) == [("ADATRY", ReasonCode.ALLOCATION_POSITION)]
        assert told(draft) == "80 of room in ADATRY, at most 400; the least order is 99.91"

    def test_balances_shrink_from_wish_to_wish(self) -> None:
        """Both must not pass on the same 700 TRY: the first takes 451.125, which leaves 248.875 for the second."""
        draft = shaped(a_buy("4.5"), a_buy("4", symbol="BTCTRY"), known=facts("1000"))

        assert sizes(draft) == [("ADATRY", "buy", "4.5"), ("BTCTRY", "buy", "2.4825")]

    def test_a_pair_paid_in_another_asset_is_not_bought_with_lira(self) -> None:
        known = facts(instruments={"ADATRY": an_instrument(quote="USDT")})
        assert refusals(shaped(a_buy("2"), known=known)) == [("ADATRY", ReasonCode.ALLOCATION_CASH)]

    def test_without_rules_or_a_quote_it_is_refused_and_takes_nothing(self) -> None:
        known = facts("500", quotes={"BTCTRY": a_quote("BTCTRY"), "SOLTRY": a_quote("SOLTRY")})
        draft = shaped(a_buy("9"), a_buy("8", symbol="XRPTRY"), a_buy("1.5", symbol="BTCTRY"), known=known)

        assert sizes(draft) == [("BTCTRY", "buy", "1.5")]
        assert refusals(draft) == [("ADATRY", ReasonCode.STALE_QUOTE), ("XRPTRY", ReasonCode.RULES_UNAVAILABLE)]

    def test_two_buys_of_one_symbol_share_its_room(self) -> None:
        """700 of room: the first takes 401 with its fee, and leaves 299 / 100.25 for the second."""
        draft = shaped(
            a_buy("4"),
            an_intent(Side.BUY, "4", number=2),
            within=rules(orders_are_replaced=False, position_per_symbol_max="700"),
        )
        assert sizes(draft) == [("ADATRY", "buy", "4"), ("ADATRY", "buy", "2.9825")]


class TestTheMinimum:
    def test_a_wish_that_falls_a_little_short_is_lifted_to_it(self) -> None:
        draft = shaped(a_buy("0.7"))

        assert sizes(draft) == [("ADATRY", "buy", "0.9991")]
        assert draft.intents[0].why == "an example; lifted to the least order"

    def test_less_than_half_of_it_is_refused(self) -> None:
        draft = shaped(a_buy("0.49"))
        assert refusals(draft) == [("ADATRY", ReasonCode.ALLOCATION_MINIMUM)]
        assert told(draft) == "49 is too far below 99.91, the least order"

    def test_what_replaces_an_order_is_never_lifted_above_what_was_left_of_it(self) -> None:
        draft = shaped(msgspec.structs.replace(a_buy("0.7"), intent_id="replace:btcbot-book-1-1"))
        assert refusals(draft) == [("ADATRY", ReasonCode.ALLOCATION_MINIMUM)]

    def test_it_is_not_lifted_beyond_the_room_there_is(self) -> None:
        draft = shaped(a_buy("0.7"), known=facts("390"))
        assert refusals(draft) == [("ADATRY", ReasonCode.ALLOCATION_CASH)]

    def test_our_own_minimum_counts_where_it_is_higher(self) -> None:
        assert sizes(shaped(a_buy("1.8"), within=rules(order_notional_min="200"))) == [("ADATRY", "buy", "2")]

    @pytest.mark.parametrize(("quantity", "price"), [("0", "100"), ("-1", "100"), ("1", "0"), ("1", "0.001")])
    def test_what_rounds_to_nothing_is_no_order(self, quantity: str, price: str) -> None:
        assert refusals(shaped(a_buy(quantity, price))) == [("ADATRY", ReasonCode.NON_POSITIVE)]

    def test_prices_come_on_the_tick_never_to_our_disadvantage(self) -> None:
        known = holding("5")
        assert shaped(a_buy("2", "99.999"), known=known).intents[0].price == Decimal("99.99")
        assert shaped(a_sell("2", "99.991"), known=known).intents[0].price == Decimal("100.00")


class TestSizesOfSells:
    def test_more_than_is_held_is_cut(self) -> None:
        assert sizes(shaped(a_sell("7"), known=holding("5"))) == [("ADATRY", "sell", "5")]

    def test_what_is_not_free_at_the_venue_cannot_be_sold(self) -> None:
        known = holding("5", account=an_account(TRY="10000", ADA=("0.4", "4.6")))
        draft = shaped(a_sell("5"), known=known)

        assert refusals(draft) == [("ADATRY", ReasonCode.NOTHING_TO_SELL)]
        assert told(draft) == "0.4 ADA can be sold; the least order is 99.91"

    def test_what_another_order_sells_is_not_sold_twice(self) -> None:
        """Where working orders are not wished again, 2 of 5 are on their way already."""
        order = an_order(side=Side.SELL, quantity="2")
        known = holding("5", account=an_account(TRY="1000", ADA=("3", "2")), open_orders=(order,))

        assert sizes(shaped(a_sell("5"), known=known, within=rules(orders_are_replaced=False))) == [
            ("ADATRY", "sell", "3")
        ]

    def test_two_sells_of_one_symbol_share_what_is_held(self) -> None:
        draft = shaped(
            a_sell("4"),
            an_intent(Side.SELL, "4", number=2),
            known=holding("5.5"),
            within=rules(orders_are_replaced=False),
        )
        assert sizes(draft) == [("ADATRY", "sell", "4"), ("ADATRY", "sell", "1.5")]

    def test_a_cut_never_leaves_a_rest_that_cannot_be_sold(self) -> None:
        """All 5.5 are wished, at most 500 an order: 0.5 would be left for ever, so 4.5009 are sold and 0.9991 stay."""
        assert sizes(shaped(a_sell("5.5"), known=holding("5.5"), within=rules(notional_per_intent_max="500"))) == [
            ("ADATRY", "sell", "4.5009")
        ]

    def test_at_a_loss_is_fine_unless_a_floor_is_set(self) -> None:
        """5 ADA cost 600: at 100 it is a loss, which rebalancing must be able to take. A floor of 40 bps wants
        600 × 1.004 / (5 × 0.9976) = 120.77."""
        known, floor = holding("5", cost="600"), rules(sell_profit_min="0.004")
        draft = shaped(a_sell("5"), known=known, within=floor)

        assert sizes(shaped(a_sell("5"), known=known)) == [("ADATRY", "sell", "5")]
        assert refusals(draft) == [("ADATRY", ReasonCode.SELL_FLOOR)]
        assert told(draft) == "100 is below 120.76984764, cost with fee and 40 bps"
        assert sizes(shaped(a_sell("5", "120.77"), known=known, within=floor)) == [("ADATRY", "sell", "5")]
        assert refusals(shaped(a_sell("5", "120.76"), known=known, within=floor))[0][1] is ReasonCode.SELL_FLOOR


class TestOrderOfSize:
    THREE = (a_buy("2"), a_buy("4", symbol="BTCTRY"), a_buy("3", symbol="ETHTRY"))

    def test_the_largest_come_first_and_the_rest_waits_with_a_reason(self) -> None:
        draft = shaped(*self.THREE, within=rules(orders_per_cycle_max=2))

        assert sizes(draft) == [("BTCTRY", "buy", "4"), ("ETHTRY", "buy", "3")]
        assert refusals(draft) == [("ADATRY", ReasonCode.DEFERRED)]
        assert told(draft) == "200 waits: 2 larger orders, at most 2 a cycle"

    def test_equal_ones_keep_the_order_of_the_strategy(self) -> None:
        """All three are cut to 100, so the strategy's own order decides."""
        draft = shaped(*self.THREE, within=rules(orders_per_cycle_max=2, notional_per_intent_max="150"))
        assert [one[0] for one in sizes(draft)] == ["ADATRY", "BTCTRY"]

    def test_bad_wishes_never_starve_good_ones_of_a_place(self) -> None:
        """Were the number of orders cut first, the two largest would take the places and then be refused."""
        draft = shaped(
            a_sell("9", symbol="SOLTRY"),
            a_buy("8", symbol="XRPTRY"),
            *self.THREE,
            within=rules(orders_per_cycle_max=2),
        )
        assert [one[0] for one in sizes(draft)] == ["BTCTRY", "ETHTRY"]

    def test_a_wish_in_its_cooldown_takes_nobody_s_place(self) -> None:
        """Risk would refuse it anyway; the smaller one would have waited for nothing."""
        draft = allocate(
            Draft(intents=self.THREE),
            facts(),
            rules(orders_per_cycle_max=1),
            {("BTCTRY", "buy"): NOW_MS - 20_000, ("ETHTRY", "sell"): NOW_MS},
        )
        assert [one[0] for one in sizes(draft)] == ["ETHTRY"]
        assert refusals(draft) == [("BTCTRY", ReasonCode.COOLDOWN), ("ADATRY", ReasonCode.DEFERRED)]
        assert draft.refused[0].detail == "20000 ms since the last buy, 60000 ms wanted"

    def test_the_cap_of_the_cycle_is_shared(self) -> None:
        draft = shaped(*self.THREE, within=rules(notional_per_cycle_max="750"))

        assert sizes(draft) == [("BTCTRY", "buy", "4"), ("ETHTRY", "buy", "3")]
        assert refusals(draft) == [("ADATRY", ReasonCode.ALLOCATION_CYCLE_CAP)]
        assert told(draft) == "50 left of 750 a cycle; the least order is 99.91"

    def test_tuning_may_lower_both_caps_and_raise_neither(self) -> None:
        lower = facts(tuning=tuned(orders_per_cycle_max=1, turnover_per_cycle_max=Decimal(350)))
        higher = facts(tuning=tuned(orders_per_cycle_max=50, turnover_per_cycle_max=Decimal(90_000)))

        assert sizes(shaped(*self.THREE, known=lower)) == [("BTCTRY", "buy", "3.5")]
        assert len(shaped(*self.THREE, known=higher, within=rules(orders_per_cycle_max=2)).intents) == 2

    def test_an_empty_draft_asks_nobody(self) -> None:
        def never() -> dict[tuple[str, str], int]:
            raise AssertionError("nothing is wished")

        draft = Draft(intents=())
        assert Allocation(rules(), never).shape(draft, facts()) is draft


class TestContradictions:
    def test_a_buy_and_a_sell_of_one_symbol_come_down_to_their_difference(self) -> None:
        draft = shaped(a_buy("2"), a_sell("5"), known=holding("6"))

        assert sizes(draft) == [("ADATRY", "sell", "3")]
        assert draft.intents[0].why == "an example; 3 of 5 are left, since the other side is wished too"
        assert refusals(draft) == [("ADATRY", ReasonCode.CONTRADICTED)]
        assert told(draft) == "5 are wished on the other side, 2 on this one"

    def test_equal_ones_take_each_other_out(self) -> None:
        draft = shaped(a_buy("5"), a_sell("5"), known=holding("6"))
        assert not draft.intents
        assert [code for _, code in refusals(draft)] == [ReasonCode.CONTRADICTED] * 2

    def test_a_difference_that_is_no_order_is_none(self) -> None:
        draft = shaped(a_buy("2"), a_sell("2.3"), known=holding("6"))
        assert not draft.intents
        assert [code for _, code in refusals(draft)] == [ReasonCode.CONTRADICTED, ReasonCode.ALLOCATION_MINIMUM]

    def test_two_wishes_of_one_side_are_one_where_orders_are_wished_again(self) -> None:
        first, second = a_buy("2"), an_intent(Side.BUY, "3", number=2)
        draft = shaped(first, second)

        assert draft.intents == (first,)
        assert refusals(draft) == [("ADATRY", ReasonCode.REPEATED)]
        assert len(shaped(first, second, within=rules(orders_are_replaced=False)).intents) == 2

    def test_what_others_refused_before_stays_refused(self) -> None:
        before = shaped(a_buy("0.1")).refused
        draft = Allocation(rules()).shape(Draft(intents=(a_buy("2"),), refused=before), facts())
        assert draft.refused == before


class TestWorkingOrders:
    """900 TRY, of which a working buy of 5 ADA at 100 holds 501.20."""

    ORDER = an_order(quantity="5")
    KNOWN = facts(account=an_account(TRY=("398.8", "501.2")), open_orders=(ORDER,))

    def test_what_the_order_locks_is_there_for_the_wish_that_speaks_of_it(self) -> None:
        """98.80 above the reserve alone would be no order at all."""
        assert sizes(shaped(a_buy("5"), known=self.KNOWN)) == [("ADATRY", "buy", "5")]
        assert refusals(shaped(a_buy("5", symbol="BTCTRY"), known=self.KNOWN)) == [
            ("BTCTRY", ReasonCode.ALLOCATION_CASH)
        ]

    def test_only_what_goes_beyond_it_is_new(self) -> None:
        """600 / 100.25 = 5.985; the cash beside it is then used up."""
        draft = shaped(a_buy("9"), a_buy("1", symbol="BTCTRY"), known=self.KNOWN)
        assert sizes(draft) == [("ADATRY", "buy", "5.985")]
        assert refusals(draft) == [("BTCTRY", ReasonCode.ALLOCATION_CASH)]

    def test_it_takes_neither_a_place_nor_room_in_the_cycle(self) -> None:
        known = replace(self.KNOWN, account=an_account(TRY=("5000", "501.2")), free_cash=Decimal(5_000))
        draft = shaped(
            a_buy("5"),
            a_buy("4", symbol="BTCTRY"),
            known=known,
            within=rules(orders_per_cycle_max=1, notional_per_cycle_max="400", position_per_symbol_max="510"),
        )
        assert sizes(draft) == [("ADATRY", "buy", "5"), ("BTCTRY", "buy", "4")]

    def test_its_own_cooldown_does_not_take_it_out(self) -> None:
        draft = allocate(Draft(intents=(a_buy("5"),)), self.KNOWN, rules(), {("ADATRY", "buy"): NOW_MS})
        assert sizes(draft) == [("ADATRY", "buy", "5")]

    def test_below_the_reserve_it_gives_back_what_the_reserve_is_short_of(self) -> None:
        """100 free are 200 short of the reserve: 301.20 of the 501.20 are left for it."""
        known = facts(account=an_account(TRY=("100", "501.2")), open_orders=(self.ORDER,))
        assert sizes(shaped(a_buy("5"), known=known)) == [("ADATRY", "buy", "3.0044")]

    def test_an_order_in_doubt_lends_nothing(self) -> None:
        order = replace(self.ORDER, status=OrderStatus.UNKNOWN, venue_order_id=None)
        known = replace(self.KNOWN, open_orders=(order,), holds={order.client_order_id: a_hold(order, "501.2")})
        assert refusals(shaped(a_buy("5"), known=known)) == [("ADATRY", ReasonCode.ALLOCATION_CASH)]

    def test_what_it_sells_can_be_wished_again(self) -> None:
        order = an_order(side=Side.SELL, quantity="5")
        known = holding("5", account=an_account(TRY="1000", ADA=("0", "5")), open_orders=(order,))
        assert sizes(shaped(a_sell("5"), known=known)) == [("ADATRY", "sell", "5")]

    def test_where_orders_are_not_replaced_it_is_in_the_way(self) -> None:
        draft = shaped(a_buy("5"), known=self.KNOWN, within=rules(orders_are_replaced=False))
        assert refusals(draft) == [("ADATRY", ReasonCode.ALLOCATION_CASH)]


def test_a_replacement_whose_old_order_is_gone_comes_before_larger_wishes() -> None:
    """Its place in the market was given up for it; the cycle has one order left."""
    record = begun(an_order(), a_buy("1.5"), ReasonCode.REPLACED_DRIFTED, NOW_MS)
    due = replace(a_buy("1.5"), intent_id=record.intent_id)
    draft = shaped(a_buy("9", symbol="BTCTRY"), due, within=rules(orders_per_cycle_max=1))

    assert [one[0] for one in sizes(draft)] == ["ADATRY"]
    assert refusals(draft) == [("BTCTRY", ReasonCode.DEFERRED)]
