"""An instrument puts prices on the tick and quantities on the lot, each to the side that does no harm."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import an_instrument, decimals


def test_prices_and_quantities_step_by_the_pairs_scales() -> None:
    ada = an_instrument(price_scale=2, quantity_scale=4)

    assert (ada.tick, ada.lot) == (Decimal("0.01"), Decimal("0.0001"))
    assert (ada.price_down(Decimal("12.345")), ada.price_up(Decimal("12.345"))) == (Decimal("12.34"), Decimal("12.35"))
    assert ada.quantity_down(Decimal("1.00009")) == Decimal("1.0000")
    assert ada.quantity_up(Decimal("1.00001")) == Decimal("1.0001")


def test_a_pair_without_fraction_is_priced_in_whole_numbers() -> None:
    btc = an_instrument("BTCTRY", price_scale=0, quantity_scale=8)

    assert btc.price_down(Decimal("4000000.9")) == Decimal(4_000_000)
    assert btc.price_up(Decimal("4000000.1")) == Decimal(4_000_001)
    assert btc.lot == Decimal("0.00000001")


@pytest.mark.parametrize(("price", "is_on"), [("12.34", True), ("12.340", True), ("12.345", False), ("12", True)])
def test_on_the_tick_or_off_it(price: str, is_on: bool) -> None:
    assert an_instrument(price_scale=2).is_on_tick(Decimal(price)) is is_on


@pytest.mark.parametrize(("quantity", "is_on"), [("1.0001", True), ("1.00010", True), ("1.00001", False)])
def test_on_the_lot_or_off_it(quantity: str, is_on: bool) -> None:
    assert an_instrument(quantity_scale=4).is_on_lot(Decimal(quantity)) is is_on


def test_the_smallest_order_at_a_price() -> None:
    """99.91 TRY at 3 TRY each: 33.30333… pieces, so 33.3034 and not 33.3033, which would be worth 99.9099."""
    assert an_instrument().quantity_min(Decimal(3)) == Decimal("33.3034")


@settings(deadline=None)
@given(price=decimals("0.00000001", "9999999", 8), quantity=decimals("0", "999999", 12), scale=st.integers(0, 8))
def test_quantizing_lands_on_the_step_and_twice_is_once(price: Decimal, quantity: Decimal, scale: int) -> None:
    pair = an_instrument(price_scale=scale, quantity_scale=scale)

    for put, given_value, is_on in [
        (pair.price_down, price, pair.is_on_tick),
        (pair.price_up, price, pair.is_on_tick),
        (pair.quantity_down, quantity, pair.is_on_lot),
        (pair.quantity_up, quantity, pair.is_on_lot),
    ]:
        assert is_on(put(given_value))
        assert put(put(given_value)) == put(given_value)
    assert pair.price_down(price) <= price <= pair.price_up(price)
    assert pair.quantity_down(quantity) <= quantity <= pair.quantity_up(quantity)


@settings(deadline=None)
@given(price=decimals("0.01", "9999999", 2), scale=st.integers(0, 8))
def test_the_smallest_order_reaches_the_minimum_and_one_lot_less_does_not(price: Decimal, scale: int) -> None:
    pair = an_instrument(quantity_scale=scale)
    least = pair.quantity_min(price)

    assert pair.is_on_lot(least)
    assert (least - pair.lot) * price < pair.value_min <= least * price
