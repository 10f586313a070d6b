"""What an order costs beyond its price."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.builders import RATES, a_fill

from btcbot.decisions.fees import corrected, hold_amount, lock_least
from btcbot.domain.intents import Side


def test_a_buy_holds_its_value_and_the_taker_fee() -> None:
    """2 at 100 are 200; 24 bps of it are 0.48."""
    assert hold_amount(Side.BUY, Decimal(100), Decimal(2), RATES) == Decimal("200.48")


def test_a_sell_holds_what_it_sells() -> None:
    assert hold_amount(Side.SELL, Decimal(100), Decimal(2), RATES) == 2


def test_the_venue_has_locked_at_least_the_maker_fee() -> None:
    assert lock_least(Side.BUY, Decimal(100), Decimal(2), RATES) == Decimal("200.24")
    assert lock_least(Side.SELL, Decimal(100), Decimal(2), RATES) == 2


def test_an_own_trade_that_was_charged_more_raises_the_taker_rate() -> None:
    """200 TRY were charged 0.50 and 0.10 of tax: 30 bps."""
    charged_more = a_fill(quantity="2", price="100", fee="0.5", tax="0.1")

    assert corrected(RATES, [charged_more]).taker == Decimal("0.003")
    assert corrected(RATES, [charged_more]).maker == RATES.maker


def test_an_own_trade_that_was_charged_less_proves_nothing() -> None:
    """It may have been a maker's."""
    assert corrected(RATES, [a_fill(quantity="2", price="100", fee="0.2", tax="0.04")]) == RATES
    assert corrected(RATES, []) == RATES


@pytest.mark.parametrize(("quantity", "counts"), [("0.0999", False), ("0.1", True)])
def test_a_trade_below_ten_lira_is_too_small_to_tell_a_rate(quantity: str, counts: bool) -> None:
    small = a_fill(quantity=quantity, price="100", fee="0.05")

    assert (corrected(RATES, [small]) != RATES) is counts


def test_the_highest_charge_counts() -> None:
    fills = [a_fill(quantity="1", fee=fee) for fee in ("0.3", "0.35", "0.25")]

    assert corrected(RATES, fills).taker == Decimal("0.0035")


def test_a_rate_is_told_with_six_decimals() -> None:
    """1 of 300 TRY is a third of a hundredth."""
    assert corrected(RATES, [a_fill(quantity="3", price="100", fee="1")]).taker == Decimal("0.003333")


def test_the_venues_own_rounding_does_not_raise_the_rate() -> None:
    """24 bps of 12.345678 are 0.0296296272; rounded up to 0.02962963 that is 24.000002 bps, which are still 24."""
    rounded = a_fill(quantity="0.12345678", price="100", fee="0.02962963")

    assert corrected(RATES, [rounded]).taker == RATES.taker
