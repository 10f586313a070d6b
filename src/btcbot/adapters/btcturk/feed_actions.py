"""What the feed's conversation wants done, as values; and the spans that it keeps to.

Whoever holds the socket carries the actions out in their order: the thread of `feed`, or a test with no socket at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec


class Send(msgspec.Struct, frozen=True, gc=False):
    """Send this text frame. It may hold a login: it belongs in no log."""

    text: str

    def __repr__(self) -> str:
        return f"Send({len(self.text)} characters)"


class Close(msgspec.Struct, frozen=True, gc=False):
    """Close the connection, then say `disconnected`."""

    why: str


class Note(msgspec.Struct, frozen=True, gc=False):
    """A line of the log: something changed its state."""

    level: Literal["info", "warning", "error"]
    event: str
    fields: Mapping[str, object]


Action: TypeAlias = Send | Close | Note
Actions: TypeAlias = list[Action]


class FeedTiming(msgspec.Struct, frozen=True, kw_only=True):
    """All spans of the feed."""

    #: A connection, from the look-up of the name to the end of the upgrade.
    connect_s: float = 10.0
    #: Our own pings, and how long an answer may take.
    ping_interval_s: float = 5.0
    pong_s: float = 5.0
    #: Sending one frame, and the farewell.
    send_s: float = 5.0
    goodbye_s: float = 1.0
    #: Without any frame or pong for so long the connection is taken for dead.
    silence_ms_max: int = 12_000
    #: From joining to the first frame.
    first_frame_ms_max: int = 5_000
    #: From leaving to its answer.
    leave_ms_max: int = 2_000
    login_ms_max: int = 10_000
    #: A book is asked for again at once, then after this, doubling up to the next; both are forgotten after the last.
    renew_ms_min: int = 1_000
    renew_ms_max: int = 60_000
    good_ms: int = 60_000
    #: A login is tried again after this, doubling up to the next: a key that is refused must not be hammered.
    login_again_ms_min: int = 30_000
    login_again_ms_max: int = 900_000
