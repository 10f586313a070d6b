"""A symbol whose orders the venue keeps refusing is left alone for a while; what is held of it can be sold."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW_MS

from btcbot.decisions.refusals import (
    Bar,
    RefusalLimits,
    Refusals,
    RefusedOrder,
    barred,
    follow,
    is_of_the_symbol,
    no_buys,
)
from btcbot.domain.intents import Side

MINUTE = 60_000
LIMITS = RefusalLimits(threshold=3, window_ms=60 * MINUTE, cooldown_ms=240 * MINUTE)
SHORT = RefusalLimits(threshold=3, window_ms=60 * MINUTE, cooldown_ms=5 * MINUTE)
NONE = Refusals()


def refused(*minutes_ago: float, symbol: str = "ADATRY", side: Side = Side.BUY) -> list[RefusedOrder]:
    return [
        RefusedOrder(
            client_order_id=f"{symbol}-{side}-{ago}",
            symbol=symbol,
            side=side,
            made_ms=int(NOW_MS - ago * MINUTE),
        )
        for ago in minutes_ago
    ]


def sells(*minutes_ago: float) -> list[RefusedOrder]:
    return refused(*minutes_ago, side=Side.SELL)


def test_three_refused_buys_within_the_window_bar_buys_and_let_what_is_held_be_sold() -> None:
    state = follow(NONE, refused(50, 20, 10), NOW_MS, LIMITS)
    bar = Bar(until_ms=NOW_MS + 230 * MINUTE, counted_to_ms=NOW_MS - 10 * MINUTE, refused=3)
    assert (state.no_buys, state.barred) == ({"ADATRY": bar}, {})
    assert no_buys(state, NOW_MS, LIMITS) == {
        "ADATRY": "barred:buys_after_refusals: the venue refused 3 orders within 60 minutes, the limit is 3; "
        "230 minutes are left"
    }
    assert barred(state, NOW_MS, LIMITS) == {}


def test_three_refused_sells_bar_every_order() -> None:
    state = follow(NONE, sells(50, 20, 10), NOW_MS, LIMITS)
    assert barred(state, NOW_MS, LIMITS) == {
        "ADATRY": "barred:repeated_refusals: the venue refused 3 sells within 60 minutes, the limit is 3; "
        "230 minutes are left"
    }
    assert no_buys(state, NOW_MS, LIMITS) == {}, "told once"


def test_refused_buys_and_one_refused_sell_never_bar_the_exit() -> None:
    state = follow(NONE, [*refused(50, 20), *sells(10)], NOW_MS, LIMITS)
    assert (list(no_buys(state, NOW_MS, LIMITS)), barred(state, NOW_MS, LIMITS)) == (["ADATRY"], {})


def test_sells_that_are_refused_while_buys_are_barred_bar_every_order_in_the_end() -> None:
    state = follow(NONE, refused(50, 45, 40), NOW_MS, LIMITS)
    state = follow(state, sells(30, 20), NOW_MS, LIMITS)
    assert barred(state, NOW_MS, LIMITS) == {}
    assert list(barred(follow(state, sells(10), NOW_MS, LIMITS), NOW_MS, LIMITS)) == ["ADATRY"]


def test_fewer_or_older_ones_and_those_of_another_symbol_do_not() -> None:
    for orders in (refused(50, 20), refused(60, 20, 10), [*refused(5, 4), *refused(3, 2, symbol="BTCTRY")]):
        state = follow(NONE, orders, NOW_MS, LIMITS)
        assert (state.no_buys, state.barred) == ({}, {})


def test_an_order_that_is_seen_refused_in_many_cycles_counts_once() -> None:
    state = NONE
    for _ in range(5):
        state = follow(state, refused(2, 1), NOW_MS, LIMITS)
    assert (len(state.counted), state.no_buys) == (2, {})


def test_a_bar_outlives_the_refusals_behind_it_and_ends_by_itself() -> None:
    state = follow(NONE, sells(2, 1, 0), NOW_MS, LIMITS)
    for minutes, is_barred in ((100, True), (239, True), (240, False)):
        now_ms = NOW_MS + minutes * MINUTE
        state = follow(state, [], now_ms, LIMITS)
        assert bool(barred(state, now_ms, LIMITS)) is is_barred
    assert state == NONE


def test_refusals_that_led_to_a_bar_never_count_again() -> None:
    """The cooldown may be shorter than the window: three old refusals and a new one are one new one."""
    state = follow(NONE, sells(2, 1, 0), NOW_MS, SHORT)
    later_ms = NOW_MS + 10 * MINUTE
    state = follow(state, [*sells(2, 1, 0), *sells(-9)], later_ms, SHORT)
    assert (barred(state, later_ms, SHORT), no_buys(state, later_ms, SHORT)) == ({}, {})


def test_new_refusals_bar_it_anew() -> None:
    state = follow(NONE, refused(2, 1, 0), NOW_MS, SHORT)
    state = follow(state, [*refused(2, 1, 0), *refused(-7, -8, -9)], NOW_MS + 10 * MINUTE, SHORT)
    assert state.no_buys["ADATRY"].until_ms == NOW_MS + 14 * MINUTE


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        ("RATE: too many requests", False),
        ("BALANCE_NOT_ENOUGH: no funds", False),
        ("UNAUTHORIZED", False),
        ("FAILED_ORDER_WITH_OPEN_ORDERS", False),
        ("FAILED_MIN_TOTAL_AMOUNT: below the least", True),
        (None, True),
    ],
)
def test_the_pace_the_balance_and_the_key_say_nothing_about_a_symbol(reason: str | None, counts: bool) -> None:
    assert is_of_the_symbol(reason) is counts


orders = st.lists(
    st.tuples(st.integers(0, 120), st.sampled_from(["ADATRY", "BTCTRY"]), st.sampled_from(list(Side))), max_size=12
).map(lambda found: [one for ago, symbol, side in found for one in refused(ago, symbol=symbol, side=side)])


@given(orders, st.integers(0, 400))
def test_following_twice_is_following_once(found: list[RefusedOrder], later: int) -> None:
    now_ms = NOW_MS + later * MINUTE
    once = follow(follow(NONE, found, NOW_MS, LIMITS), found, now_ms, LIMITS)
    assert follow(once, found, now_ms, LIMITS) == once


@given(orders, st.integers(0, 400))
def test_the_exit_is_barred_by_refused_sells_alone(found: list[RefusedOrder], later: int) -> None:
    """Whatever was refused, in whatever order: who takes the refused buys away bars the same symbols from selling."""
    now_ms = NOW_MS + later * MINUTE
    of_sells = [one for one in found if one.side is Side.SELL]
    after = follow(follow(NONE, found, NOW_MS, LIMITS), [], now_ms, LIMITS)
    without_buys = follow(follow(NONE, of_sells, NOW_MS, LIMITS), [], now_ms, LIMITS)
    assert barred(after, now_ms, LIMITS) == barred(without_buys, now_ms, LIMITS)
    of_any = {symbol for symbol in ("ADATRY", "BTCTRY") if sum(one.symbol == symbol for one in found) >= 3}
    assert {*no_buys(after, now_ms, LIMITS), *barred(after, now_ms, LIMITS)} <= of_any


@given(orders)
def test_what_is_kept_comes_back_as_it_was(found: list[RefusedOrder]) -> None:
    state = follow(NONE, found, NOW_MS, LIMITS)
    assert msgspec.json.decode(msgspec.json.encode(state), type=Refusals) == state
