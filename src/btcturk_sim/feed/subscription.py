"""What a connection has joined, and a frame on its way to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from btcturk_sim.feed.session import Session

_PRIVATE: Final = "private"


@dataclass(slots=True, eq=False)
class Subscription:
    """One event of one channel on one connection; `counter` is the CS it was sent last."""

    session: Session
    channel: str
    event: str
    counter: int

    @property
    def name(self) -> str:
        return f"{self.channel}:{self.event}"


class Frame(msgspec.Struct, frozen=True):
    """Something to be sent: its type, its text, and where it belongs."""

    type: int
    text: str
    channel: str = ""
    event: str = ""
    subscription: Subscription | None = None

    @property
    def is_private(self) -> bool:
        return self.channel == _PRIVATE


def private_frame(kind: int, text: str, symbol: str = "") -> Frame:
    """A frame about an account's own affairs."""
    return Frame(kind, text, _PRIVATE, symbol)
