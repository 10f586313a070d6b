"""The smallest pieces of the wire: numbers, ids, times, sides and symbols, from raw JSON text to exact values.

Every number is read from the text that the venue sent, never through a float: a price that went through binary is a
different price. Amounts come as strings or as JSON numbers, with a dot or (in documents about balances) a comma; both
are read, and anything that is not plainly a number in range is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Side

NULL: Final = msgspec.Raw(b"null")
#: Symbols as this project writes them, after upper-casing and dropping one underscore.
SYMBOL: Final = re.compile(r"[A-Z0-9]{2,20}")
ASSET: Final = re.compile(r"[A-Z0-9]{1,20}")
#: Longest free text of the venue that is kept: it ends up in logs and reports.
TEXT_LENGTH_MAX: Final = 200
TIME_MS_MAX: Final = 4_000_000_000_000  # the year 2096

_TEXT_NUMBER: Final = re.compile(rb'"(-?[0-9]{1,25}(?:\.[0-9]{1,24})?)"')
_TEXT_NUMBER_WITH_COMMA: Final = re.compile(rb'"(-?[0-9]{1,25}(?:[.,][0-9]{1,24})?)"')
#: A JSON number, unlike a string, may carry a small exponent: recorded answers of the venue hold `5e-06`. It is exact.
_JSON_NUMBER: Final = re.compile(rb"-?[0-9]{1,25}(?:\.[0-9]{1,24})?(?P<exponent>[eE][+-]?[0-9]{1,2})?")
_ID: Final = re.compile(rb'(?:"([0-9A-Za-z-]{1,64})"|([0-9]{1,40}))')
_NUMBER_ID: Final = re.compile(rb'(?:"([0-9]{1,40})"|([0-9]{1,40}))')
_TIME: Final = re.compile(rb'"?([0-9]{1,13})(?:\.[0-9]{1,9})?"?')
_ZEROS: Final = frozenset({b'"0"', b"0"})
_SIDE: Final[Mapping[str, Side]] = {"buy": Side.BUY, "sell": Side.SELL}


class WireError(Exception):
    """The venue sent something that cannot be read as what it should be. Its text is safe to log."""


def is_null(raw: msgspec.Raw) -> bool:
    return bytes(raw) == b"null"


def decimal(raw: msgspec.Raw, name: str, *, takes_comma: bool = False) -> Decimal:
    """An exact number of any sign, within `money.MAGNITUDE_MAX` and `money.PLACES_MAX`, or WireError."""
    text = bytes(raw)
    if text in _ZEROS:
        return money.ZERO
    if text[:1] == b'"':
        if (_TEXT_NUMBER_WITH_COMMA if takes_comma else _TEXT_NUMBER).fullmatch(text) is None:
            raise WireError(f"{name} is not a number")
        digits = text[1:-1].decode("ascii")
        value = Decimal(digits.replace(",", ".") if takes_comma else digits)
    else:
        found = _JSON_NUMBER.fullmatch(text)
        if found is None:
            raise WireError(f"{name} is not a number")
        value = Decimal(text.decode("ascii"))
        exponent = value.as_tuple().exponent if found["exponent"] else 0
        if not isinstance(exponent, int) or exponent < -money.PLACES_MAX:
            raise WireError(f"{name} has too many decimals")
    if value.copy_abs() > money.MAGNITUDE_MAX:
        raise WireError(f"{name} is out of range")
    return value


def not_negative(raw: msgspec.Raw, name: str, *, takes_comma: bool = False) -> Decimal:
    value = decimal(raw, name, takes_comma=takes_comma)
    if value < 0:
        raise WireError(f"{name} is negative")
    return value


def positive(raw: msgspec.Raw, name: str) -> Decimal:
    value = decimal(raw, name)
    if value <= 0:
        raise WireError(f"{name} is not positive")
    return value


def number_identifier(raw: msgspec.Raw, name: str) -> str:
    """The id of an order or a trade: digits, sent as a number or as text. A garbled one must not pass for an id."""
    return _identified(_NUMBER_ID, raw, name)


def identifier(raw: msgspec.Raw, name: str) -> str:
    """An id, sent as a number or as text, with letters where the venue likes. Trade ids have 19 digits, beyond what a
    float could hold."""
    return _identified(_ID, raw, name)


def _identified(form: re.Pattern[bytes], raw: msgspec.Raw, name: str) -> str:
    found = form.fullmatch(bytes(raw))
    text = (found[1] or found[2]).decode("ascii") if found else ""
    if not text.strip("0"):
        raise WireError(f"{name} is not an id")
    return text


def time_ms(raw: msgspec.Raw, name: str) -> int:
    """Unix milliseconds; a fraction (seen in 2022) is dropped. Zero is a time that the venue did not tell."""
    found = _TIME.fullmatch(bytes(raw))
    if found is None or int(found[1]) > TIME_MS_MAX:
        raise WireError(f"{name} is not a time")
    return int(found[1])


def side(text: str | None) -> Side:
    made = _SIDE.get((text or "").lower())
    if made is None:
        raise WireError("a side is neither buy nor sell")
    return made


def symbol(text: str) -> str:
    """`btc_try` and `BTCTRY` are the same pair."""
    made = text.upper().replace("_", "", 1)
    if SYMBOL.fullmatch(made) is None:
        raise WireError("a symbol is not made of letters and digits")
    return made


def asset(text: str) -> str:
    made = text.upper()
    if ASSET.fullmatch(made) is None:
        raise WireError("an asset is not made of letters and digits")
    return made


def for_people(text: str) -> str:
    """Text of the venue for a log or a report: one short line, no control characters."""
    return "".join(each if each.isprintable() else " " for each in text[:TEXT_LENGTH_MAX])
