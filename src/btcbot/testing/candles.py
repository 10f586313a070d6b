"""What becomes of candles on their way: late, missing, told otherwise than before, or such as cannot be.

Pure functions from the venue's bytes to other bytes, like those of `bodies`. A candle that is revised is another candle
in earnest: the venue draws them from trades that may come late.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from btcbot.testing.bodies import Numbers, Remake

__all__ = ["Remake", "late", "missing", "revised", "unreadable"]

Columns = dict[str, list[Any]]

_COLUMNS: Final = ("t", "o", "h", "l", "c", "v")


def _changed(body: bytes, change: Callable[[Columns], bool]) -> bytes:
    """The body with other columns, or as it came where there is nothing to change."""
    try:
        told = msgspec.json.decode(body)
        columns = {name: told[name] for name in _COLUMNS}
    except (msgspec.DecodeError, LookupError, TypeError):
        return body
    return msgspec.json.encode(told) if change(columns) else body


def late(body: bytes, numbers: Numbers) -> bytes:
    """Without the newest candles."""

    def change(columns: Columns) -> bool:
        rows = len(columns["t"])
        for column in columns.values():
            del column[-numbers[0] :]
        return rows > 0

    return _changed(body, change)


def missing(body: bytes, numbers: Numbers) -> bytes:
    """Without one to three of the others."""

    def change(columns: Columns) -> bool:
        rows = len(columns["t"])
        if rows < 2:
            return False
        first = numbers[0] % (rows - 1)
        for column in columns.values():
            del column[first : min(first + 1 + numbers[1] % 3, rows - 1)]
        return True

    return _changed(body, change)


def revised(body: bytes, numbers: Numbers) -> bytes:
    """One of the first candles closed elsewhere between its low and high, and had more volume."""

    def change(columns: Columns) -> bool:
        if not columns["t"]:
            return False
        which = numbers[0] % min(3, len(columns["t"]))
        columns["c"][which] = columns["l" if numbers[1] % 2 else "h"][which]
        columns["v"][which] = float(Decimal(str(columns["v"][which])) + 1)
        return True

    return _changed(body, change)


def unreadable(body: bytes, numbers: Numbers) -> bytes:
    """A column too short, a low above the high, times out of order, or words in place of numbers."""

    def change(columns: Columns) -> bool:
        rows = len(columns["t"])
        if rows < 2:
            return False
        which = numbers[1] % rows
        match numbers[0]:
            case 0:
                del columns["c"][which]
            case 1:
                columns["l"][which] = float(Decimal(str(columns["h"][which])) + 1)
            case 2:
                columns["t"].reverse()
            case _:
                columns["o"][which] = "unknown"
        return True

    return _changed(body, change)
