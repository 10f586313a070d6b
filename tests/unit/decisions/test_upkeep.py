"""Which working orders are kept, replaced or taken out, seen from what is wished now."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import (
    NOW_MS,
    a_buy,
    a_quote,
    a_sell,
    an_instrument,
    an_intent,
    an_order,
    draft_facts,
)

from btcbot.decisions.draft import CancelWish, Draft, DraftFacts
from btcbot.decisions.risk import RefusedIntent
from btcbot.decisions.upkeep import Upkeep, UpkeepRules
from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import Quote
from btcbot.domain.orders import OPEN, Order, OrderStatus
from btcbot.domain.reasons import ReasonCode

TTL_MS, MIN_MS, AGAIN_MS, RETRY_MS = 120_000, 10_000, 60_000, 30_000
RULES = UpkeepRules(
    ttl_ms=TTL_MS,
    drift_bps=Decimal(25),
    order_notional_min=Decimal(150),
    age_ms_min=MIN_MS,
    age_ms_min_again=AGAIN_MS,
    cancel_retry_ms=RETRY_MS,
)
SYMBOLS = ("ADATRY", "BTCTRY", "ETHTRY")


def facts(*orders: Order, quotes: tuple[Quote, ...] = (a_quote(),), **changes: Any) -> DraftFacts:
    plain = {
        "cycle_id": "c2",
        "quotes": {quote.symbol: quote for quote in quotes},
        "open_orders": orders,
        "equity": Decimal(1_000),
    }
    return draft_facts(*SYMBOLS, **(plain | changes))


def shaped(wishes: list[Intent], *orders: Order, **given: Any) -> Draft:
    return Upkeep(RULES).shape(Draft(intents=wishes), facts(*orders, **given))


def an_old(number: int = 1, price: str = "100", quantity: str = "2", age_ms: int = 30_000, **changes: Any) -> Order:
    """A working buy of 2 ADA at 100, half a minute old unless told otherwise."""
    return an_order(number, price, quantity, created_at_ms=NOW_MS - age_ms, **changes)


def codes(draft: Draft) -> list[ReasonCode]:
    return [refusal.code for refusal in draft.refused if isinstance(refusal, RefusedIntent)]


# -- keep --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "quantity"), [("100", "2"), ("100.05", "2"), ("99.95", "2"), ("100", "2.02"), ("100", "1.985")]
)
def test_a_wish_that_equals_a_working_order_leaves_it_in_its_queue(price: str, quantity: str) -> None:
    draft = shaped([a_buy(quantity, price)], an_old())

    assert codes(draft) == [ReasonCode.ORDER_WORKS]
    assert not (draft.intents or draft.cancels or draft.replaces)


def test_an_old_order_that_is_still_wished_as_it_is_keeps_its_place() -> None:
    """Cancelling it to place it again would only lose its place in the queue."""
    draft = shaped([a_buy("2")], an_old(age_ms=10 * TTL_MS))

    assert codes(draft) == [ReasonCode.ORDER_WORKS]
    assert not (draft.cancels or draft.replaces)


def test_what_is_left_of_a_partly_filled_order_counts_not_what_it_was() -> None:
    partly = an_old(quantity="2", filled="1.5", status=OrderStatus.PARTIALLY_FILLED, age_ms=10 * TTL_MS)

    assert codes(shaped([a_buy("0.5")], partly)) == [ReasonCode.ORDER_WORKS]
    assert [wish.intent.quantity for wish in shaped([a_buy("2")], partly).replaces] == [Decimal(2)]


def test_on_a_coarse_tick_two_wishes_may_be_one_order() -> None:
    coarse = {"ADATRY": an_instrument(price_scale=0)}

    draft = shaped([a_buy("2", "100.9")], an_old(), instruments=coarse)

    assert codes(draft) == [ReasonCode.ORDER_WORKS]


def test_another_quantity_alone_does_not_cost_a_fresh_order_its_place() -> None:
    draft = shaped([a_buy("3")], an_old())

    assert codes(draft) == [ReasonCode.ORDER_WORKS]
    assert "near enough" in draft.refused[0].detail


# -- replace -----------------------------------------------------------------------------------------------------------


def test_a_stale_order_makes_room_for_what_is_wished_now() -> None:
    draft = shaped([a_buy("3")], an_old(age_ms=TTL_MS))

    assert [(wish.client_order_id, wish.intent, wish.reason) for wish in draft.replaces] == [
        (an_old().client_order_id, a_buy("3"), ReasonCode.REPLACED_STALE)
    ]
    assert not (draft.intents or draft.refused or draft.cancels)


@pytest.mark.parametrize(
    ("price", "is_replaced"), [("100.24", False), ("100.26", True), ("99.76", False), ("99.7", True)]
)
def test_an_order_is_replaced_from_the_drift_limit_on(price: str, is_replaced: bool) -> None:
    draft = shaped([a_buy("2", price)], an_old())

    assert [wish.reason for wish in draft.replaces] == [ReasonCode.REPLACED_DRIFTED] * is_replaced


@pytest.mark.parametrize(("age_ms", "is_replaced"), [(MIN_MS - 1, False), (MIN_MS, True)])
def test_a_young_order_is_not_replaced_at_every_tick(age_ms: int, is_replaced: bool) -> None:
    draft = shaped([a_buy("2", "110")], an_old(age_ms=age_ms))

    assert bool(draft.replaces) is is_replaced
    assert codes(draft) == [ReasonCode.REPLACE_TOO_SOON] * (not is_replaced)


@pytest.mark.parametrize(("age_ms", "is_replaced"), [(AGAIN_MS - 1, False), (AGAIN_MS, True)])
def test_an_order_that_replaced_another_waits_longer(age_ms: int, is_replaced: bool) -> None:
    draft = shaped([a_buy("2", "110")], an_old(age_ms=age_ms, intent_id="replace:btcbot-x-1-1"))

    assert bool(draft.replaces) is is_replaced


@pytest.mark.parametrize(("price", "quantity"), [("110", "0.5"), ("0", "2"), ("110", "0")])
def test_a_wish_that_could_never_be_ordered_takes_no_order_out(price: str, quantity: str) -> None:
    draft = shaped([a_buy(quantity, price)], an_old(age_ms=TTL_MS))

    assert codes(draft) == [ReasonCode.MIN_NOTIONAL]
    assert not (draft.cancels or draft.replaces)


def test_without_rules_of_the_venue_nothing_is_replaced() -> None:
    draft = shaped([a_buy("2", "110")], an_old(), instruments={})

    assert codes(draft) == [ReasonCode.RULES_UNAVAILABLE]
    assert not (draft.cancels or draft.replaces)


def test_an_order_made_by_a_clock_ahead_of_ours_may_be_replaced() -> None:
    """Nobody knows how old it is; the minimum age must not hold it for ever."""
    assert shaped([a_buy("2", "110")], an_old(age_ms=-3_600_000)).replaces


def test_the_mid_of_one_symbol_never_judges_an_order_of_another() -> None:
    """mistake 11: with one price for all, every other symbol's order was cancelled and replaced each cycle."""
    orders = [
        an_old(1, "100"),
        an_old(2, "4000000", "0.001", symbol="BTCTRY"),
        an_old(3, "150000", "0.01", symbol="ETHTRY"),
    ]
    quotes = (
        a_quote(),
        a_quote("BTCTRY", bid="3999000", ask="4001000"),
        a_quote("ETHTRY", bid="149950", ask="150050"),
    )

    assert shaped([], *orders, quotes=quotes) == Draft(intents=[], refused=[], cancels=[], replaces=[])
    wishes = [a_buy("2"), a_buy("0.001", "4000000", "BTCTRY"), a_buy("0.01", "150000", "ETHTRY")]
    assert codes(shaped(wishes, *orders, quotes=quotes)) == [ReasonCode.ORDER_WORKS] * 3


# -- cancel ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age_ms", "is_canceled"), [(TTL_MS - 1, False), (TTL_MS, True)])
def test_a_stale_order_that_nobody_wishes_goes(age_ms: int, is_canceled: bool) -> None:
    draft = shaped([], an_old(age_ms=age_ms))

    assert list(draft.cancels) == [CancelWish(an_old().client_order_id, ReasonCode.CANCEL_STALE)] * is_canceled


@pytest.mark.parametrize(("price", "is_canceled"), [("99.76", False), ("99.75", True), ("100.25", True)])
def test_an_order_off_its_own_market_that_nobody_wishes_goes(price: str, is_canceled: bool) -> None:
    draft = shaped([], an_old(price=price))

    assert [wish.reason for wish in draft.cancels] == [ReasonCode.CANCEL_DRIFTED] * is_canceled


def test_a_young_order_off_the_market_stays_and_one_without_a_quote_too() -> None:
    assert not shaped([], an_old(price="90", age_ms=MIN_MS - 1)).cancels
    assert not shaped([], an_old(price="90"), quotes=()).cancels


def test_without_a_quote_a_stale_order_still_goes() -> None:
    assert shaped([], an_old(age_ms=TTL_MS), quotes=()).cancels


def test_a_wish_to_sell_says_nothing_of_a_buy_that_works() -> None:
    draft = shaped([a_sell("2")], an_old(age_ms=TTL_MS))

    assert [wish.reason for wish in draft.cancels] == [ReasonCode.CANCEL_STALE]
    assert list(draft.intents) == [a_sell("2")]


def test_of_several_orders_of_one_side_the_newest_stays_and_with_a_wish_the_nearest() -> None:
    older, newer = an_old(1, "100", age_ms=50_000), an_old(2, "100.1", age_ms=40_000)

    assert list(shaped([], older, newer).cancels) == [CancelWish(older.client_order_id, ReasonCode.CANCEL_SURPLUS)]
    draft = shaped([a_buy("2", "100")], older, newer)
    assert list(draft.cancels) == [CancelWish(newer.client_order_id, ReasonCode.CANCEL_SURPLUS)]
    assert codes(draft) == [ReasonCode.ORDER_WORKS]


# -- left alone --------------------------------------------------------------------------------------------------------


def test_orders_of_other_hands_are_left_alone() -> None:
    foreign = an_old(age_ms=10 * TTL_MS, client_order_id="somebody-else")

    assert shaped([], foreign) == Draft(intents=[], refused=[], cancels=[], replaces=[])
    assert list(shaped([a_buy("2")], foreign).intents) == [a_buy("2")]


@pytest.mark.parametrize("status", [OrderStatus.SUBMITTED, OrderStatus.UNKNOWN, OrderStatus.REFUSED_PROVISIONAL])
def test_orders_in_doubt_are_left_alone_and_risk_hears_of_the_wish(status: OrderStatus) -> None:
    draft = shaped([a_buy("2", "110")], an_old(status=status, age_ms=10 * TTL_MS))

    assert list(draft.intents) == [a_buy("2", "110")]
    assert not (draft.cancels or draft.replaces or draft.refused)


@pytest.mark.parametrize("status", [OrderStatus.PENDING_CANCEL, OrderStatus.ACCEPTED])
def test_nothing_is_ordered_beside_an_order_that_is_being_cancelled(status: OrderStatus) -> None:
    going = an_old(status=status, cancel_requested_at_ms=NOW_MS - 1_000, age_ms=10 * TTL_MS)

    draft = shaped([a_buy("2", "110")], going)

    assert codes(draft) == [ReasonCode.REPLACE_UNDER_WAY]
    assert not (draft.intents or draft.cancels or draft.replaces)


def test_a_cancellation_that_got_lost_is_asked_for_again_with_its_reason() -> None:
    lost = an_old(
        status=OrderStatus.PENDING_CANCEL,
        cancel_requested_at_ms=NOW_MS - RETRY_MS,
        reason=ReasonCode.REPLACED_DRIFTED.value,
    )

    draft = shaped([a_buy("2", "110")], lost)

    assert list(draft.cancels) == [CancelWish(lost.client_order_id, ReasonCode.REPLACED_DRIFTED)]
    assert codes(draft) == [ReasonCode.REPLACE_UNDER_WAY]


def test_a_second_cancellation_that_never_left_is_asked_for_at_once() -> None:
    """The first one got lost, the venue had no room for the second: without this the order would rest for ever."""
    lost = an_old(status=OrderStatus.PENDING_CANCEL, cancel_requested_at_ms=None)

    assert [wish.client_order_id for wish in shaped([], lost).cancels] == [lost.client_order_id]
    assert [wish.client_order_id for wish in shaped([a_buy("2", "110")], lost).cancels] == [lost.client_order_id]


def test_a_cycle_that_may_ask_nothing_keeps_and_refuses_only() -> None:
    """What the feed wakes sends orders and nothing else; the next whole cycle replaces and cancels."""
    stale, lost = (
        an_old(age_ms=TTL_MS),
        an_old(2, symbol="BTCTRY", status=OrderStatus.PENDING_CANCEL, cancel_requested_at_ms=0),
    )
    draft = shaped([a_buy("2", "110")], stale, lost, an_old(3), may_read=False)

    assert codes(draft) == [ReasonCode.ORDER_WORKS]
    assert not (draft.cancels or draft.replaces)


# -- wishes ------------------------------------------------------------------------------------------------------------


def test_of_several_wishes_for_one_side_the_last_stands_and_the_others_are_told() -> None:
    wishes = [
        an_intent(Side.BUY, "1", number=1),
        an_intent(Side.BUY, "2", number=2),
        an_intent(Side.SELL, "3", number=3),
    ]

    draft = shaped(wishes)

    assert list(draft.intents) == wishes[1:]
    assert [(refusal.intent, refusal.code) for refusal in draft.refused] == [(wishes[0], ReasonCode.SUPERSEDED)]


def a_due(quantity: str = "2", price: str = "100") -> Intent:
    return replace(a_buy(quantity, price), intent_id="replace:btcbot-x-1-1", cycle_id="c2")


def test_a_fresh_wish_gives_a_due_replacement_its_price_and_one_order_comes_of_both() -> None:
    fresh = an_intent(Side.BUY, "1.6", "99.9", number=7)

    draft = shaped([a_due(), fresh])

    assert list(draft.intents) == [replace(fresh, intent_id="replace:btcbot-x-1-1")]
    assert [(refusal.intent, refusal.code) for refusal in draft.refused] == [(fresh, ReasonCode.REPLACES)]


@pytest.mark.parametrize(("price", "is_ordered"), [("99.8", True), ("99.75", False), ("110", False)])
def test_a_due_replacement_that_nobody_wishes_anew_is_not_placed_off_the_market(price: str, is_ordered: bool) -> None:
    """Upkeep would take it out again: a fresh decision is better."""
    draft = shaped([a_due(price=price)])

    assert bool(draft.intents) is is_ordered
    assert codes(draft) == [ReasonCode.REPLACE_DRIFTED] * (not is_ordered)


@pytest.mark.parametrize(("quantity", "is_ordered"), [("1.5", True), ("1.4999", False)])
@pytest.mark.parametrize("fresh", [True, False])
def test_too_little_left_of_a_replacement_is_not_raised_to_what_can_be_ordered(
    quantity: str, is_ordered: bool, fresh: bool
) -> None:
    """With what the old order filled it would be more than was wished: 1.4999 at 100 is less than 150."""
    wishes = [a_due("2"), an_intent(Side.BUY, quantity, number=7)] if fresh else [a_due(quantity)]

    draft = shaped(wishes)

    assert bool(draft.intents) is is_ordered
    assert codes(draft) == [ReasonCode.REPLACES] * fresh + [ReasonCode.MIN_NOTIONAL] * (not is_ordered)


def test_a_wish_that_replaces_nothing_is_left_to_allocation_and_risk() -> None:
    assert list(shaped([a_buy("0.1")]).intents) == [a_buy("0.1")]


def test_what_other_shapers_refused_and_wished_stays_in_the_draft() -> None:
    before = Draft(
        intents=[],
        refused=[RefusedIntent(a_buy("9"), ReasonCode.BARRED, "because")],
        cancels=[CancelWish("btcbot-x-1-1", ReasonCode.CANCEL_STALE)],
    )

    assert Upkeep(RULES).shape(before, facts()) == replace(before, replaces=[])


_orders = st.builds(
    lambda number, price, symbol, side, status, age, asked: an_old(
        number,
        str(price),
        symbol=symbol,
        side=side,
        status=status,
        age_ms=age,
        cancel_requested_at_ms=NOW_MS - asked if asked is not None and status is not OrderStatus.ACCEPTED else None,
    ),
    number=st.integers(1, 10**6),
    price=st.integers(90, 110),
    symbol=st.sampled_from(SYMBOLS),
    side=st.sampled_from(Side),
    status=st.sampled_from(sorted(OPEN)),
    age=st.integers(0, 2 * TTL_MS),
    asked=st.none() | st.integers(0, 2 * RETRY_MS),
)
_wishes = st.builds(
    lambda number, price, symbol, side, due: replace(
        an_intent(side, "2", str(price), symbol, number),
        **({"intent_id": f"replace:btcbot-x-1-{number}"} if due else {}),
    ),
    number=st.integers(1, 10**6),
    price=st.integers(90, 110),
    symbol=st.sampled_from(SYMBOLS),
    side=st.sampled_from(Side),
    due=st.booleans(),
)


@given(
    orders=st.lists(_orders, max_size=6, unique_by=lambda order: order.client_order_id),
    wishes=st.lists(_wishes, max_size=6, unique_by=lambda intent: intent.intent_id),
    may_read=st.booleans(),
)
def test_no_wish_is_lost_and_at_most_one_order_works_for_each_side(
    orders: list[Order], wishes: list[Intent], may_read: bool
) -> None:
    given_ = facts(*orders, quotes=tuple(a_quote(symbol) for symbol in SYMBOLS), may_read=may_read)
    draft = Upkeep(RULES).shape(Draft(intents=wishes), given_)

    told = {intent.intent_id for intent in draft.intents}
    told |= {refusal.intent.intent_id for refusal in draft.refused}
    told |= {wish.intent.intent_id for wish in draft.replaces}
    assert told == {intent.intent_id for intent in wishes}

    going = [wish.client_order_id for wish in (*draft.cancels, *draft.replaces)]
    assert len(going) == len(set(going)), "one decision for each order"
    by_id = {order.client_order_id: order for order in orders}
    assert not any(by_id[name].is_in_doubt for name in going)
    if not may_read:
        assert not going
    for place in {(order.symbol, order.side) for order in orders} | {(one.symbol, one.side) for one in draft.intents}:
        here = [order for order in orders if (order.symbol, order.side) == place and not order.is_in_doubt]
        new = [intent for intent in draft.intents if (intent.symbol, intent.side) == place]
        assert len(new) <= 1
        if new and not any(order.is_in_doubt and order.symbol == place[0] for order in orders):
            assert not here, "nothing is ordered beside an order of its side"
