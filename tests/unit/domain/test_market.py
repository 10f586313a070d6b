"""Quotes and balances: small values with a few sums."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.builders import a_quote, an_account


@pytest.mark.parametrize(
    ("bid", "ask", "is_sane"),
    [
        ("99.95", "100.05", True),
        ("100", "100", False),  # locked
        ("100.05", "99.95", False),  # crossed
        ("0", "100.05", False),  # no bid
        ("-1", "100.05", False),
    ],
)
def test_only_a_positive_spread_is_a_market(bid: str, ask: str, is_sane: bool) -> None:
    assert a_quote(bid=bid, ask=ask).is_sane is is_sane


def test_mid_and_spread() -> None:
    quote = a_quote(bid="99.95", ask="100.05")

    assert quote.mid == Decimal(100)
    assert quote.spread_bps == Decimal(10)
    assert a_quote(bid="1", ask="1.01").mid == Decimal("1.005")


def test_a_spread_is_told_with_four_decimals() -> None:
    """0.02 of a mid of 3 is a hundred and fiftieth: 66.6666… bps."""
    assert a_quote(bid="2.99", ask="3.01").spread_bps == Decimal("66.6667")


def test_an_asset_that_the_account_does_not_hold_is_zero() -> None:
    account = an_account(TRY=("900", "100.5"))

    assert (account.free("TRY"), account.locked("TRY")) == (Decimal(900), Decimal("100.5"))
    assert account.total("TRY") == Decimal("1000.5")
    assert (account.free("ADA"), account.locked("ADA"), account.total("ADA")) == (0, 0, 0)
