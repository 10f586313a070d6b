"""How the named values of the database are read: typed, and in one place.

A value that no btcbot wrote (a file edited by hand, a restored half, a disk that lost a page) is told in one line that
names it and what to do; nobody computes with it, and it ends in no traceback.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

import msgspec

from btcbot.domain import money
from btcbot.errors import StoreFailed
from btcbot.ports import StateStore
from btcbot.services import values

RESTORE: Final = "restore a backup"
#: A damaged value is shown so far.
SHOWN_CHARS: Final = 40
#: A time or a count of more digits is none.
_DIGITS_MAX: Final = 18
#: A result is made of products: it may have more decimals than an amount, and fits into `money.DIGITS` all the same.
_RESULT_PLACES_MAX: Final = 36

#: What a Decimal may be read from and still be no amount: rarely there, so that looking closer costs nothing.
_NO_AMOUNT: Final = re.compile(r"nan|inf|[0-9.]e[+-]?[0-9]", re.IGNORECASE)

T = TypeVar("T")

_decode_amounts: Final = msgspec.json.Decoder(dict[str, Decimal]).decode


def parsed(name: str, text: str, parse: Callable[[str], T], todo: str = RESTORE) -> T:
    """What `parse` makes of a value's text. StoreFailed where it raises; `todo` ends the line."""
    try:
        return parse(text)
    except (ValueError, ArithmeticError, msgspec.MsgspecError, RecursionError) as error:
        shown = repr(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…")
        why = "not a number" if isinstance(error, ArithmeticError) else " ".join(str(error).split())
        raise StoreFailed(f"the database holds {name} = {shown}, which no btcbot wrote ({why}): {todo}") from None


class KeptValue(Generic[T]):
    """A value that is read again and again: parsed anew only when its text is another one."""

    __slots__ = ("_name", "_parse", "_store", "_text", "_value")

    def __init__(self, store: StateStore, name: str, parse: Callable[[str], T]) -> None:
        self._store = store
        self._name = name
        self._parse = parse
        self._text: str | None = None
        self._value: T | None = None

    def read(self) -> T | None:
        """What is kept; None where nothing is. StoreFailed for what no btcbot wrote."""
        text = self._store.value(self._name)
        if text != self._text:
            self._value = None if text is None else parsed(self._name, text, self._parse)
            self._text = text
        return self._value


def whole_number(store: StateStore, name: str) -> int | None:
    """A count, or a time in ms; None where nothing is kept."""
    text = store.value(name)
    return None if text is None else parsed(name, text, as_whole_number)


def amount(store: StateStore, name: str, todo: str = RESTORE) -> Decimal | None:
    """An amount of money; None where nothing is kept, or nothing any more."""
    text = store.value(name)
    return parsed(name, text, as_amount, todo) if text else None


def amounts(store: StateStore, name: str) -> dict[str, Decimal]:
    """Amounts by symbol; none where nothing is kept."""
    text = store.value(name)
    return {} if text is None else parsed(name, text, as_amounts)


def calendar_day(store: StateStore, name: str) -> str | None:
    """A day such as 2026-03-31; None where nothing is kept."""
    text = store.value(name)
    return None if text is None else parsed(name, text, as_calendar_day)


def decoded(store: StateStore, name: str, decode: Callable[[str], T], todo: str = RESTORE) -> T | None:
    """What a decoder of JSON makes of it; None where nothing is kept, or nothing any more."""
    text = store.value(name)
    return parsed(name, text, decode, todo) if text else None


def decoder(kind: type[T]) -> Callable[[str], T]:
    """A JSON decoder of `kind` in which every amount is one: msgspec.ValidationError for NaN and its like as well."""
    decode = msgspec.json.Decoder(kind).decode

    def decode_exact(text: str) -> T:
        found = decode(text)
        if _NO_AMOUNT.search(text):
            _demand_amounts(found)
        return found

    return decode_exact


def _demand_amounts(value: object) -> None:
    if isinstance(value, Decimal):
        try:
            _exact(value, _RESULT_PLACES_MAX)
        except ValueError as error:
            raise msgspec.ValidationError(str(error)) from None
    elif isinstance(value, msgspec.Struct):
        _demand_amounts(msgspec.structs.astuple(value))
    elif isinstance(value, Mapping):
        _demand_amounts(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for one in value:
            _demand_amounts(one)


# -- of one text -------------------------------------------------------------------------------------------------------


def as_whole_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX):
        raise ValueError("not a whole number")
    return int(text)


def as_amount(text: str) -> Decimal:
    return _exact(Decimal(text), _RESULT_PLACES_MAX)


def as_amounts(text: str) -> dict[str, Decimal]:
    found = _decode_amounts(text)
    for one in found.values():
        if _exact(one, money.PLACES_MAX) < 0:
            raise ValueError("an amount below zero")
    return found


def as_calendar_day(text: str) -> str:
    if date.fromisoformat(text).isoformat() != text:
        raise ValueError("not a day such as 2026-03-31")
    return text


def _exact(found: Decimal, places_max: int) -> Decimal:
    """An amount with which all arithmetic here stays exact."""
    if not found.is_finite() or found.copy_abs() >= money.MAGNITUDE_MAX:
        raise ValueError("not an amount")
    exponent = found.as_tuple().exponent
    assert isinstance(exponent, int), "a finite number has one"
    if exponent < -places_max:
        raise ValueError("more decimals than any amount has")
    return found


# -- all of them -------------------------------------------------------------------------------------------------------

#: The values that every profile keeps, and how each is read.
READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    values.OPENING_AT_MS: as_whole_number,
    values.TRADES_CURSOR_MS: as_whole_number,
    values.NONCE_MARK_MS: as_whole_number,
    values.CYCLE_NUMBER: as_whole_number,
    values.PNL_DAY: as_calendar_day,
    values.PNL_DAY_START: as_amount,
    values.DAILY_LOSS_MAX: as_amount,
    values.MARKS: as_amounts,
}


def unreadable(store: StateStore) -> list[str]:
    """One line for each value of `READERS` that cannot be read."""
    lines = []
    for name, parse in READERS.items():
        text = store.value(name)
        try:
            if text is not None:
                parsed(name, text, parse)
        except StoreFailed as failed:
            lines.append(str(failed))
    return lines
