"""What may befall a request on the way, and what is remembered of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Trouble(StrEnum):
    """What may befall one request. In the first group the venue never sees it."""

    RESET_AT_CONNECT = "reset_at_connect"  # the connection is reset before a byte of the request was read
    RESET_BEFORE = "reset_before"  # reset as soon as the request's first bytes have come
    LOST_BEFORE = "lost_before"  # closed, without an answer, after the whole request has come
    BLACK_HOLE = "black_hole"  # taken, swallowed, and the connection kept

    DELAY = "delay"  # the venue gets it `seconds` later
    DELAY_ANSWER = "delay_answer"  # the bot gets the answer `seconds` later
    RESET_AFTER = "reset_after"  # answered by the venue; the connection is reset instead
    LOST_AFTER = "lost_after"  # answered by the venue; the connection is closed instead
    HALF_OPEN = "half_open"  # answered by the venue; the answer is swallowed and the connection kept
    TRUNCATED = "truncated"  # half of the answer's body, then the end of the connection
    DRIP = "drip"  # the answer comes `bytes_` at a time, `seconds` apart
    DUPLICATE = "duplicate"  # the same bytes reach the venue twice; the bot gets one answer


NEVER_ARRIVES: Final = frozenset(
    {Trouble.RESET_AT_CONNECT, Trouble.RESET_BEFORE, Trouble.LOST_BEFORE, Trouble.BLACK_HOLE}
)


class Cut(StrEnum):
    """How a network is gone."""

    REFUSED = "refused"  # connections are refused, those that stand are reset
    SILENT = "silent"  # nothing is answered any more, not even the wish to connect


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the bot sent it. Times in Unix milliseconds; `client_order_id` only of a new order."""

    at_ms: int
    method: str
    target: str
    stamp: int | None
    client_order_id: str | None
    trouble: Trouble | None


class Rule:
    """One trouble that was asked for."""

    def __init__(self, kind: Trouble, method: str, path: str, share: int, count: int | None, seconds: float,
                 bytes_: int) -> None:  # fmt: skip
        self.kind = kind
        self.method = method
        self.path = path
        self.share = share
        self.count = count
        self.seconds = seconds
        self.bytes_ = bytes_

    def fits(self, method: str, target: str) -> bool:
        return self.count != 0 and (not self.method or self.method == method) and target.startswith(self.path)
