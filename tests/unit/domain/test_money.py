"""Money is exact, and where it must be rounded the name says how."""

from __future__ import annotations

import decimal
import threading
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import decimals

from btcbot.domain import money

amounts = decimals("-1000000000", "1000000000", 12)
prices = decimals("0.00000001", "100000000", 8)


def test_a_result_that_would_lose_a_digit_is_an_error_where_it_happens() -> None:
    with pytest.raises(decimal.Inexact):
        Decimal(1) / Decimal(3)
    with pytest.raises(decimal.Inexact):
        Decimal(10) ** 59 + Decimal("0.1")
    assert Decimal(10) ** 58 + Decimal("0.1") > Decimal(10) ** 58  # sixty digits are not too many


def test_a_sum_of_sixty_digits_is_exact() -> None:
    assert Decimal(10) ** 24 + money.unit(24) == Decimal("1000000000000000000000000.000000000000000000000001")


def test_a_float_never_becomes_money() -> None:
    with pytest.raises(decimal.FloatOperation):
        Decimal(float("0.1"))
    with pytest.raises(decimal.FloatOperation):
        _ = Decimal("0.1") < 0.2


def test_nonsense_is_an_error_and_never_a_nan() -> None:
    with pytest.raises(decimal.DivisionByZero):
        Decimal(1) / Decimal(0)
    with pytest.raises(decimal.InvalidOperation):
        Decimal("one")
    with pytest.raises(decimal.DivisionByZero):
        money.divide_down(Decimal(1), Decimal(0), 2)


def test_another_thread_arms_itself_and_then_computes_in_the_same_context() -> None:
    seen: list[object] = []

    def compute() -> None:
        money.arm()
        seen.append(decimal.getcontext().prec)
        try:
            Decimal(1) / Decimal(3)
        except decimal.Inexact:
            seen.append("inexact is an error here too")

    thread = threading.Thread(target=compute)
    thread.start()
    thread.join()

    assert seen == [money.DIGITS, "inexact is an error here too"]


def test_arming_twice_is_arming_once_and_other_libraries_keep_their_default() -> None:
    money.arm()

    assert decimal.getcontext().traps[decimal.Inexact]
    assert (decimal.DefaultContext.prec, decimal.DefaultContext.traps[decimal.Inexact]) == (28, False)


@pytest.mark.parametrize(
    ("rounding", "of_two_thirds", "of_minus_two_thirds"),
    [
        (money.round_down, "0.66", "-0.66"),  # towards zero
        (money.round_up, "0.67", "-0.66"),  # towards plus infinity
        (money.round_floor, "0.66", "-0.67"),  # towards minus infinity
        (money.round_half_up, "0.67", "-0.67"),  # to the nearest
    ],
)
def test_every_rounding_is_named_for_its_direction(
    rounding: Callable[[Decimal, int], Decimal], of_two_thirds: str, of_minus_two_thirds: str
) -> None:
    assert rounding(Decimal("0.666667"), 2) == Decimal(of_two_thirds)
    assert rounding(Decimal("-0.666667"), 2) == Decimal(of_minus_two_thirds)


@pytest.mark.parametrize(
    "rounding", [money.round_down, money.round_up, money.round_floor, money.round_half_up], ids=lambda f: f.__name__
)
def test_what_is_on_the_step_already_stays(rounding: Callable[[Decimal, int], Decimal]) -> None:
    assert rounding(Decimal("12.34"), 2) == Decimal("12.34")
    assert rounding(Decimal("-12.34"), 2) == Decimal("-12.34")


def test_a_half_goes_up_for_the_venue_and_to_even_for_show() -> None:
    assert money.round_half_up(Decimal("0.125"), 2) == Decimal("0.13")
    assert money.divide_half_even(Decimal(1), Decimal(8), 2) == Decimal("0.12")
    assert money.divide_half_even(Decimal(3), Decimal(8), 2) == Decimal("0.38")


def test_quotients() -> None:
    assert money.divide_down(Decimal(500), Decimal(3), 4) == Decimal("166.6666")
    assert money.divide_up(Decimal(500), Decimal(3), 4) == Decimal("166.6667")
    assert money.divide_half_even(Decimal(500), Decimal(3), 4) == Decimal("166.6667")


@settings(deadline=None)
@given(amount=amounts, places=st.integers(0, 12))
def test_rounding_stays_within_one_step_on_the_named_side(amount: Decimal, places: int) -> None:
    step = money.unit(places)

    assert 0 <= abs(amount) - abs(money.round_down(amount, places)) < step
    assert 0 <= money.round_up(amount, places) - amount < step
    assert 0 <= amount - money.round_floor(amount, places) < step
    assert abs(money.round_half_up(amount, places) - amount) * 2 <= step


@settings(deadline=None)
@given(numerator=prices, denominator=prices, places=st.integers(0, 16))
def test_a_quotient_stays_within_one_step_on_the_named_side(
    numerator: Decimal, denominator: Decimal, places: int
) -> None:
    exact, step = Fraction(numerator) / Fraction(denominator), Fraction(money.unit(places))

    assert 0 <= exact - Fraction(money.divide_down(numerator, denominator, places)) < step
    assert 0 <= Fraction(money.divide_up(numerator, denominator, places)) - exact < step
    assert abs(Fraction(money.divide_half_even(numerator, denominator, places)) - exact) * 2 <= step


def test_a_quotient_keeps_to_its_side_where_it_misses_a_step_by_less_than_sixty_digits_show() -> None:
    """(b + 10^7) / b is a hair less than 1.0000000000000001 for the first b, and a hair more for the second."""
    just_more, just_less = Decimal(10) ** 23 + money.unit(24), Decimal(10) ** 23 - money.unit(24)
    step = money.unit(16)

    assert money.divide_down(just_more + 10**7, just_more, 16) == 1
    assert money.divide_up(just_less + 10**7, just_less, 16) == 1 + 2 * step


def test_a_quotient_just_above_a_half_goes_up_be_it_by_less_than_sixty_digits_show() -> None:
    """One half and 10^-70: rounded to sixty digits first it would be the half itself, and go to the even 0."""
    hair = Decimal((0, (5, *[0] * 68, 1), -70))

    assert money.divide_half_even(hair, money.ONE, 0) == 1
    assert money.divide_half_even(hair.copy_negate(), money.ONE, 0) == -1
    assert money.divide_half_even(Decimal("0.5"), money.ONE, 0) == 0


def test_the_sum_of_nothing_is_zero() -> None:
    assert money.total([]) == money.ZERO
    assert isinstance(money.total([]), Decimal)  # money like any other sum
    assert money.total([Decimal("0.1"), Decimal("0.2")]) == Decimal("0.3")


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("1E-8", "0.00000001"),
        ("0.00000001", "0.00000001"),
        ("100", "100"),
        ("1E+2", "100"),
        ("100.00", "100"),
        ("0.10", "0.1"),
        ("-5.50", "-5.5"),
        ("0", "0"),
        ("-0", "0"),
        ("0E-8", "0"),
        ("-0.00", "0"),
    ],
)
def test_money_is_written_in_one_way(written: str, plain: str) -> None:
    assert money.plain(Decimal(written)) == plain


@settings(deadline=None)
@given(digits=st.integers(-(10**30), 10**30), exponent=st.integers(-24, 6))
def test_the_same_money_is_the_same_text_and_the_text_is_the_same_money(digits: int, exponent: int) -> None:
    amount = Decimal(digits).scaleb(exponent)
    padded = Decimal(f"{amount:f}" + ("000" if "." in f"{amount:f}" else ".000"))

    assert padded == amount
    assert money.plain(padded) == money.plain(amount)
    assert Decimal(money.plain(amount)) == amount
