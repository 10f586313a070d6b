"""Sweep: idle cash above the target becomes resting bids, evenly."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import RATES, a_quote, an_instrument, decimals

from btcbot.decisions import sweep
from btcbot.decisions.risk import Room
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side

THREE = ("ADATRY", "BTCTRY", "ETHTRY")


def plan(
    free: str,
    target: str = "300",
    offset_bps: str = "10",
    symbols: tuple[str, ...] = THREE,
    busy: frozenset[str] = frozenset(),
    instruments: Mapping[str, Instrument] | None = None,
    bid: str = "100",
    ask: str = "100.1",
    room: str = "1000000",
    room_of_symbol: Mapping[str, str] | None = None,
) -> list[Intent]:
    return list(
        sweep.plan(
            "c1",
            Decimal(free),
            Decimal(target),
            Decimal(offset_bps),
            RATES.taker,
            {symbol: an_instrument(symbol) for symbol in symbols} if instruments is None else instruments,
            {symbol: a_quote(symbol, bid=bid, ask=ask) for symbol in symbols},
            busy,
            Room(Decimal(room), {symbol: Decimal((room_of_symbol or {}).get(symbol, room)) for symbol in symbols}),
        )
    )


def test_the_excess_is_shared_evenly_fee_included_below_the_bid() -> None:
    """900 TRY with 300 to keep: 200 for each of three; at 99.90 with 24 bps each costs 100.13976, so 1.9972 of it."""
    intents = plan(free="900")

    assert [intent.symbol for intent in intents] == list(THREE)
    assert {(intent.side, intent.price, intent.quantity) for intent in intents} == {
        (Side.BUY, Decimal("99.90"), Decimal("1.9972"))
    }


def test_fewer_symbols_get_a_share_when_an_even_one_would_be_too_small() -> None:
    """250 TRY over three would be 83.33 each, below the minimum of 99.91; two get 125."""
    intents = plan(free="550")

    assert [intent.symbol for intent in intents] == ["ADATRY", "BTCTRY"]
    assert {intent.quantity for intent in intents} == {Decimal("1.2482")}


def test_cash_at_or_below_the_target_stays() -> None:
    assert not plan(free="300")
    assert not plan(free="250")
    assert not plan(free="399")  # 99 TRY buy no order of 99.91


def test_busy_symbols_and_those_without_rules_are_left_alone() -> None:
    assert [intent.symbol for intent in plan(free="900", busy=frozenset({"ADATRY"}))] == ["BTCTRY", "ETHTRY"]
    only_eth = {"ETHTRY": an_instrument("ETHTRY")}
    assert [intent.symbol for intent in plan(free="900", instruments=only_eth)] == ["ETHTRY"]


def test_the_first_by_name_get_a_share_however_the_symbols_are_named() -> None:
    """SYMBOLS may name them in any order: 250 TRY are enough for two, and those are ADA and BTC."""
    intents = plan(free="550", symbols=("ETHTRY", "BTCTRY", "ADATRY"))

    assert [intent.symbol for intent in intents] == ["ADATRY", "BTCTRY"]


def test_a_price_that_rounds_to_nothing_is_no_bid() -> None:
    assert not plan(free="900", offset_bps="10000")


def test_a_bid_says_whose_it_is_and_which_share_of_the_cash_it_spends() -> None:
    """1,000 TRY over three are 333.33 each, told as money is: with two decimals, none of it made up."""
    first, *_ = plan(free="1300")

    assert (first.intent_id, first.cycle_id, first.strategy) == ("c1:sweep:ADATRY:buy", "c1", "sweep")
    assert first.why == "sweep 333.33 of idle cash"


def test_a_bid_of_exactly_the_least_that_the_venue_takes() -> None:
    """100.14 TRY buy 1.0000 at 99.90, fee included: 99.90 TRY of it."""
    at_least = {"ADATRY": an_instrument(value_min=Decimal("99.90"))}
    above = {"ADATRY": an_instrument(value_min=Decimal("99.91"))}

    assert [intent.value for intent in plan(free="400.14", instruments=at_least)] == [Decimal("99.90")]
    assert not plan(free="400.14", instruments=above)


def test_a_coin_of_half_a_lira_gets_its_bid() -> None:
    """10 bps below 0.50 is 0.4995, on the tick 0.49; with 24 bps each costs 0.491176, so 200 TRY buy 407.1860."""
    (intent,) = plan(free="500", symbols=("ADATRY",), bid="0.50", ask="0.51")

    assert (intent.price, intent.quantity) == (Decimal("0.49"), Decimal("407.1860"))


def test_where_the_venue_has_next_to_no_minimum_one_lira_is_a_share_and_nothing_is_none() -> None:
    """1 TRY at 99.90 with 24 bps: 0.0099 of it. Without a lira to spend there is no bid, of 0 neither."""
    tiny = {"ADATRY": an_instrument(value_min=Decimal("0.01"))}
    none = {"ADATRY": an_instrument(value_min=Decimal(0))}

    assert [intent.quantity for intent in plan(free="301", instruments=tiny)] == [Decimal("0.0099")]
    assert not plan(free="300", instruments=none)


def test_more_cash_than_a_cycle_may_spend_goes_in_several_cycles() -> None:
    """Of 50,000 TRY a cycle may take 600: 200 for each of three, as if no more were there."""
    assert plan(free="50300", room="600") == plan(free="900")
    assert not plan(free="50300", room="99")


def test_a_symbol_that_may_hold_no_more_leaves_its_share_to_the_others() -> None:
    """There are 300 TRY each for three; one may still cost 150, one nothing at all, so that two share 900."""
    intents = plan(free="1200", room_of_symbol={"ADATRY": "150", "BTCTRY": "0"})

    assert [(intent.symbol, intent.why) for intent in intents] == [
        ("ADATRY", "sweep 150 of idle cash"),
        ("ETHTRY", "sweep 450 of idle cash"),
    ]


@settings(deadline=None)
@given(free=decimals("0", "20000", 2), target=decimals("0", "1000", 2), offset=st.integers(0, 500))
def test_what_is_left_after_all_bids_is_never_below_the_target(free: Decimal, target: Decimal, offset: int) -> None:
    intents = plan(free=str(free), target=str(target), offset_bps=str(offset))

    spent = sum((intent.value * (1 + RATES.taker) for intent in intents), Decimal(0))
    assert free - spent >= min(free, target)
    for intent in intents:
        pair = an_instrument(intent.symbol)
        assert pair.is_on_tick(intent.price) and pair.is_on_lot(intent.quantity)
        assert intent.value >= pair.value_min and intent.price <= 100
