"""The one arithmetic of the exchange: decimal, 60 digits, and no rounding that has no name.

Every public entry of the engine runs inside `MONEY`, whose Inexact trap turns an accidental rounding into an
exception. The few roundings the exchange really makes are the functions below, each computed in `ROUNDING`,
where inexact results are allowed. Floats are refused by both contexts.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import (
    ROUND_DOWN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    getcontext,
    setcontext,
)
from functools import wraps
from typing import Final, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

MONEY: Final = Context(
    prec=60, rounding=ROUND_HALF_UP, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, FloatOperation]
)
ROUNDING: Final = Context(
    prec=60, rounding=ROUND_DOWN, traps=[InvalidOperation, DivisionByZero, Overflow, FloatOperation]
)

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)

# No balance, hold or trade carries more decimals than the wire can show.
WIRE_DECIMALS: Final = 16
_STEPS: Final = tuple(Decimal(1).scaleb(-places) for places in range(WIRE_DECIMALS + 1))


def exact(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run `function` inside `MONEY`, whatever context the caller has."""

    @wraps(function)
    def inside(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        outer = getcontext()
        if outer is MONEY:
            return function(*args, **kwargs)
        setcontext(MONEY)
        try:
            return function(*args, **kwargs)
        finally:
            setcontext(outer)

    return inside


def step_of(places: int) -> Decimal:
    """The smallest amount with `places` decimals: 2 → 0.01."""
    return _STEPS[places]


def round_half_up(value: Decimal, places: int) -> Decimal:
    return value.quantize(_STEPS[places], ROUND_HALF_UP, ROUNDING)


def round_down(value: Decimal, places: int) -> Decimal:
    return value.quantize(_STEPS[places], ROUND_DOWN, ROUNDING)


def round_up(value: Decimal, places: int) -> Decimal:
    return value.quantize(_STEPS[places], ROUND_UP, ROUNDING)


def divide_down(dividend: Decimal, divisor: Decimal, places: int) -> Decimal:
    """The quotient, never above the true one (both arguments positive)."""
    return round_down(ROUNDING.divide(dividend, divisor), places)


def divide_half_up(dividend: Decimal, divisor: Decimal, places: int) -> Decimal:
    return round_half_up(ROUNDING.divide(dividend, divisor), places)


def decimals_of(value: Decimal) -> int:
    """How many decimals the value needs, trailing zeros not counted: 1.50 → 1."""
    exponent = value.normalize(ROUNDING).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def plain(value: Decimal) -> str:
    """The shortest text without exponent: 100.00 → "100", 1E-8 → "0.00000001", zero → "0"."""
    text = written(value)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def padded(value: Decimal, places: int) -> str:
    """The text with exactly `places` decimals; the value must fit, nothing is rounded here."""
    step = _STEPS[places]
    return written(value if value.same_quantum(step) else value.quantize(step, context=MONEY))


def written(value: Decimal) -> str:
    """All digits that the value has, without exponent."""
    text = str(value)  # half the price of a format, and the same where it needs no exponent
    return format(value, "f") if "E" in text else text
