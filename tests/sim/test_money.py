"""Texts of amounts: every digit, no exponent, whatever way they were computed."""

from decimal import Decimal

import pytest

from btcturk_sim.money import padded, plain, round_down, written


@pytest.mark.parametrize(
    "amount",
    ["0", "-0", "0.00000000", "1E+5", "1E-8", "-3E-16", "100.00", "0.0000001", "0.000001", "123456789012345678901E-30"],
)
def test_an_amount_is_written_in_full_and_never_with_an_exponent(amount: str) -> None:
    assert written(Decimal(amount)) == format(Decimal(amount), "f")


def test_the_shortest_text_of_an_amount_has_no_zero_too_many() -> None:
    amounts = ("100.00", "1E-8", "-0.0", "1E+3", "0.10")
    assert [plain(Decimal(amount)) for amount in amounts] == ["100", "0.00000001", "0", "1000", "0.1"]


def test_a_padded_amount_has_the_decimals_that_were_asked_for() -> None:
    assert padded(Decimal("0.0000001"), 8) == "0.00000010"
    assert padded(Decimal("1E+3"), 2) == "1000.00"


def test_rounding_down_goes_towards_zero() -> None:
    assert (round_down(Decimal("1.239"), 2), round_down(Decimal("-1.239"), 2)) == (Decimal("1.23"), Decimal("-1.23"))
