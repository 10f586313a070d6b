"""Sweep: idle cash above the target becomes resting bids, evenly."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import RATES, a_quote, an_instrument, decimals

from btcbot.decisions import sweep
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
) -> list[Intent]:
    return list(
        sweep.plan(
            "c1",
            Decimal(free),
            Decimal(target),
            Decimal(offset_bps),
            RATES.taker,
            {symbol: an_instrument(symbol) for symbol in symbols} if instruments is None else instruments,
            {symbol: a_quote(symbol, bid="100", ask="100.1") for symbol in symbols},
            busy,
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


def test_a_price_that_rounds_to_nothing_is_no_bid() -> None:
    assert not plan(free="900", offset_bps="10000")


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
