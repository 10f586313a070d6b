"""What becomes of a body on its way: pure functions from the venue's bytes and a few drawn numbers to other bytes.

A function that finds nothing to change gives back what it got; the fault then did not strike. None of them tells a lie
that nobody could see through (another price, another quantity): they break the form, repeat, reorder, or leave out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from random import Random
from typing import Final

import msgspec

Numbers = tuple[int, ...]
Remake = Callable[[bytes, Numbers], bytes]

ABSURD_WAITS: Final = ("99999999999", "-5", "soon", "3600", "")
#: Depths of nesting: one that every reader can follow, and one that none can.
DEPTHS: Final = (30, 100_000)

_NOT_NUMBERS: Final = (b"NaN", b"Infinity", b"-Infinity", b"1e400", b"true", b'"abc"', b"[]", b"{}")
_HUGE: Final = (b"1e60", b"9" * 60, b'"' + b"9" * 60 + b'"', b'"1e99"')
_WRONG_SHAPES: Final = (
    b"[]",
    b"{}",
    b"null",
    b'""',
    b"0",
    b'{"data":7,"success":true,"code":0,"message":null}',
    b"[[[[",
)
#: Names of fields that hold amounts, wherever they stand.
_AMOUNTS: Final = (
    b'"amount":', b'"price":', b'"quantity":', b'"leftAmount":', b'"free":', b'"locked":', b'"balance":', b'"fee":',
)  # fmt: skip
#: A name and its value, where that is no list and no object.
_SCALAR: Final = re.compile(rb'"([A-Za-z]\w*)":("(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null)')
#: What the venue says in words of its own, and words that it may learn.
_WORD: Final = re.compile(
    rb'"(status|type|method|orderType|balanceType|filterType)":"(?:[A-Za-z_]+)"', re.ASCII
)  # fmt: skip
_NEW_WORDS: Final = (b"SUSPENDED", b"Expired", b"swap", b"iceberg", b"Pending", b"")
_FOREIGN_CLIENT: Final = b'"orderClientId":"0f0f0f0f-0f0f-4f0f-af0f-0f0f0f0f0f0f"'
_OUR_CLIENT: Final = re.compile(rb'"orderClientId":"btcbot-[^"]*"')
_STATUS: Final = re.compile(rb'"status":"[A-Za-z]+"')
_LEFT: Final = re.compile(rb'"leftAmount":"[0-9.]+"')


# -- another body altogether -------------------------------------------------------------------------------------------


def empty(body: bytes, numbers: Numbers) -> bytes:
    return b""


def wrong_shape(body: bytes, numbers: Numbers) -> bytes:
    """JSON that is none of what was asked for."""
    return _WRONG_SHAPES[numbers[0] % len(_WRONG_SHAPES)]


def deep(body: bytes, numbers: Numbers) -> bytes:
    """A field that nobody knows, nested `DEPTHS` deep, before all others."""
    depth = DEPTHS[numbers[0] % len(DEPTHS)]
    return body.replace(b"{", b'{"news":' + b"[" * depth + b"]" * depth + b",", 1)


# -- the form of it ----------------------------------------------------------------------------------------------------


def with_mark(body: bytes, numbers: Numbers) -> bytes:
    """A byte order mark before the JSON."""
    return b"\xef\xbb\xbf" + body


def with_news(body: bytes, numbers: Numbers) -> bytes:
    """A field that nobody knows."""
    return body.replace(b"{", b'{"news":{"a":[1,null]},', 1)


def twice_keyed(body: bytes, numbers: Numbers) -> bytes:
    """One name stands twice in its object, first with another value; the last one is the venue's."""
    found = list(_SCALAR.finditer(body))
    if not found:
        return body
    one = found[numbers[0] % len(found)]
    other = (one[2], b"null", b"0", b'"0"')[numbers[1] % 4]
    return body[: one.start()] + b'"' + one[1] + b'":' + other + b"," + body[one.start() :]


def wrong_type(body: bytes, numbers: Numbers) -> bytes:
    """One value of another type."""
    found = list(_SCALAR.finditer(body))
    if not found:
        return body
    one = found[numbers[0] % len(found)]
    value = (b"[]", b"{}", b'"yes"' if one[2] in (b"true", b"false") else b"true")[numbers[1] % 3]
    return body[: one.start(2)] + value + body[one.end(2) :]


def unknown_word(body: bytes, numbers: Numbers) -> bytes:
    """A word of the venue's that nobody has seen before, in place of a status, a side or a method."""
    found = list(_WORD.finditer(body))
    if not found:
        return body
    one = found[numbers[0] % len(found)]
    return body[: one.end(1)] + b'":"' + _NEW_WORDS[numbers[1] % len(_NEW_WORDS)] + b'"' + body[one.end() :]


def not_a_number(body: bytes, numbers: Numbers) -> bytes:
    return _with_amount(body, numbers, lambda told: _NOT_NUMBERS[numbers[1] % len(_NOT_NUMBERS)])


def huge_number(body: bytes, numbers: Numbers) -> bytes:
    return _with_amount(body, numbers, lambda told: _HUGE[numbers[1] % len(_HUGE)])


def exponent(body: bytes, numbers: Numbers) -> bytes:
    """The same amount in scientific notation, as a number or as text."""

    def written(told: bytes) -> bytes:
        try:
            value = Decimal(told.strip(b'"').decode("ascii"))
        except (InvalidOperation, UnicodeDecodeError):
            return told
        text = f"{value:E}".encode("ascii")
        return text if numbers[1] % 2 else b'"' + text + b'"'

    return _with_amount(body, numbers, written)


def _with_amount(body: bytes, numbers: Numbers, written: Callable[[bytes], bytes]) -> bytes:
    """The body with one of its amounts replaced; as it is where it has none."""
    places = [at + len(name) for name in _AMOUNTS for at in _found(body, name)]
    if not places:
        return body
    start = sorted(places)[numbers[0] % len(places)]
    end = start
    if body[start : start + 1] == b'"':
        end = body.index(b'"', start + 1) + 1
    else:
        while body[end : end + 1] not in (b",", b"}", b"]"):
            end += 1
    return body[:start] + written(body[start:end]) + body[end:]


def _found(body: bytes, name: bytes) -> list[int]:
    found, at = [], body.find(name)
    while at >= 0:
        found.append(at)
        at = body.find(name, at + 1)
    return found


# -- rows --------------------------------------------------------------------------------------------------------------


class _Listed(msgspec.Struct):
    data: list[msgspec.Raw]
    success: bool
    message: str | None
    code: msgspec.Raw


def _with_rows(body: bytes, change: Callable[[list[msgspec.Raw]], list[msgspec.Raw]]) -> bytes:
    try:
        listed = msgspec.json.decode(body, type=_Listed)
    except msgspec.DecodeError:
        return body
    if not listed.data:
        return body
    listed.data = change(listed.data)
    return msgspec.json.encode(listed)


def shuffled(body: bytes, numbers: Numbers) -> bytes:
    def change(rows: list[msgspec.Raw]) -> list[msgspec.Raw]:
        Random(numbers[0]).shuffle(rows)  # noqa: S311 (no secret)
        return rows

    return _with_rows(body, change)


def doubled(body: bytes, numbers: Numbers) -> bytes:
    return _with_rows(body, lambda rows: rows + rows[: 1 + numbers[0] % len(rows)])


def part_missing(body: bytes, numbers: Numbers) -> bytes:
    """A stretch of the list, as long as it may be, is left out."""

    def change(rows: list[msgspec.Raw]) -> list[msgspec.Raw]:
        start = numbers[0] % len(rows)
        return rows[:start] + rows[start + 1 + numbers[1] % len(rows) :]

    return _with_rows(body, change)


def without_precise_amount(body: bytes, numbers: Numbers) -> bytes:
    """Trades as the venue told them before 2022: only with the amount that is shortened to the pair's scale."""
    return re.sub(rb'"preciseAmount":[^,}]*,', b"", body)


def of_another_order(body: bytes, numbers: Numbers) -> bytes:
    """The id that was asked for now names somebody else's order, which is cancelled, or filled."""
    if _OUR_CLIENT.search(body) is None:
        return body
    body = _OUR_CLIENT.sub(_FOREIGN_CLIENT, body)
    ended, left = ((b"Canceled", None), (b"Closed", b'"leftAmount":"0"'))[numbers[0] % 2]
    body = _STATUS.sub(b'"status":"' + ended + b'"', body)
    return body if left is None else _LEFT.sub(left, body)


# -- order books -------------------------------------------------------------------------------------------------------


def crossed(body: bytes, numbers: Numbers) -> bytes:
    """Bids and asks trade their names."""
    return body.replace(b'"bids"', b'"?"').replace(b'"asks"', b'"bids"').replace(b'"?"', b'"asks"')


def one_sided(body: bytes, numbers: Numbers) -> bytes:
    """One side of the book is empty."""
    name = (b'"bids":[', b'"asks":[')[numbers[0] % 2]
    start = body.find(name)
    end = body.find(b"]]", start)
    return body if start < 0 or end < 0 else body[: start + len(name)] + body[end + 1 :]


def without_price(body: bytes, numbers: Numbers) -> bytes:
    """All prices of one side are zero."""
    name = (b'"bids":[', b'"asks":[')[numbers[0] % 2]
    start = body.find(name)
    end = body.find(b"]]", start)
    if start < 0 or end < 0:
        return body
    return body[:start] + re.sub(rb'\["[^"]*",', b'["0",', body[start:end]) + body[end:]
