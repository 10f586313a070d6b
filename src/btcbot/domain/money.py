"""Exact decimals; every rounding is named.

All money is computed in one context of 60 digits in which an inexact result is an error, so that nothing is ever
rounded by accident: a sum or a product that would lose a digit raises `decimal.Inexact` at the place where it happens.
Where a result has to be rounded, one of the functions below says in which direction and to how many places.

Importing this module arms the importing thread, so that there is no way to compute money before the trap is set; any
other thread that computes money calls `arm()` first. Python's `DefaultContext` is left alone: other libraries in the
same process make their contexts from it.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable
from decimal import ROUND_05UP, ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final

DIGITS: Final = 60
#: More integer digits than any balance in the world; an input beyond this is nonsense and refused at the wire.
MAGNITUDE_MAX: Final = Decimal(10) ** 24
#: No asset of the venue is told with more decimals than this.
PLACES_MAX: Final = 24

EXACT: Final = decimal.Context(
    prec=DIGITS,
    rounding=ROUND_HALF_EVEN,
    traps=[decimal.Inexact, decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow, decimal.FloatOperation],
)
_ROUNDING_TRAPS: Final = [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow]
_ROUNDING: Final = decimal.Context(prec=DIGITS, traps=_ROUNDING_TRAPS)
# A quotient is rounded twice: to 60 digits, then to its places. The first rounding must not push it over an edge of the
# second, so it goes the same way, or keeps a sticky last digit where the second rounds to the nearest.
_TOWARDS_ZERO: Final = decimal.Context(prec=DIGITS, rounding=ROUND_DOWN, traps=_ROUNDING_TRAPS)
_UPWARDS: Final = decimal.Context(prec=DIGITS, rounding=ROUND_CEILING, traps=_ROUNDING_TRAPS)
_STICKY: Final = decimal.Context(prec=DIGITS, rounding=ROUND_05UP, traps=_ROUNDING_TRAPS)


def arm() -> None:
    """Make the exact context the one of the calling thread. Harmless to repeat."""
    decimal.setcontext(EXACT.copy())


arm()

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
HALF: Final = Decimal("0.5")
BPS: Final = Decimal("0.0001")


@lru_cache(maxsize=64)
def unit(places: int) -> Decimal:
    """The smallest step at `places` decimals: unit(2) == Decimal('0.01')."""
    return ONE.scaleb(-places)


def round_down(value: Decimal, places: int) -> Decimal:
    """Towards zero: never more than we have."""
    return value.quantize(unit(places), ROUND_DOWN, _ROUNDING)


def round_up(value: Decimal, places: int) -> Decimal:
    """Towards plus infinity: never less than is needed."""
    return value.quantize(unit(places), ROUND_CEILING, _ROUNDING)


def round_floor(value: Decimal, places: int) -> Decimal:
    """Towards minus infinity."""
    return value.quantize(unit(places), ROUND_FLOOR, _ROUNDING)


def round_half_up(value: Decimal, places: int) -> Decimal:
    """The venue's own rounding of fees and taxes."""
    return value.quantize(unit(places), ROUND_HALF_UP, _ROUNDING)


def divide_down(numerator: Decimal, denominator: Decimal, places: int) -> Decimal:
    """Quotient, rounded towards zero at `places`."""
    return round_down(_TOWARDS_ZERO.divide(numerator, denominator), places)


def divide_up(numerator: Decimal, denominator: Decimal, places: int) -> Decimal:
    """Quotient, rounded towards plus infinity at `places`."""
    return round_up(_UPWARDS.divide(numerator, denominator), places)


def divide_half_even(numerator: Decimal, denominator: Decimal, places: int) -> Decimal:
    """Quotient, rounded to the nearest at `places`, a tie to the even digit: for shares, averages and ratios."""
    return _STICKY.divide(numerator, denominator).quantize(unit(places), ROUND_HALF_EVEN, _ROUNDING)


def total(values: Iterable[Decimal]) -> Decimal:
    """Exact sum; zero for nothing."""
    return sum(values, ZERO)


def plain(value: Decimal) -> str:
    """The one way money is written: no exponent, no trailing zeros, '0' for nothing.

    `Decimal('1E-8')` and `Decimal('0.00000001')` are the same money and must be the same text, in the database, on the
    wire and in reports.
    """
    if not value:
        return "0"
    text = str(value)
    if "E" in text:
        text = format(value, "f")  # twice as slow, and seldom needed
    return text.rstrip("0").rstrip(".") if text[-1] == "0" and "." in text else text
