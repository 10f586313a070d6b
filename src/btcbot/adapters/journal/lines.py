"""The format of a journal: one JSON object a line, each with a checksum that goes on from the line before.

    {"kind": "start", "schema", "wall_ms", "program", "mode", "book_id", "profile", "strategy", …, "crc"}
    {"kind": "built", "events", "now_ms", "monotonic_ns", "crc"}
    {"kind": "cycle", "cycle_id", "wake", "after", "events", "now_ms", "monotonic_ns", "outcome", "broken", "crc"}
    {"kind": "end", "why", "crc"}

`events` is what happened in its order, each as a list:

    [name, answer]                     a port was asked and answered
    [name, answer, arguments]          … with the arguments that matter
    [name, null, arguments, error]     … and raised this: [type, text, …]
    ["=" + name, …]                    … and answered as it did the last time (arguments follow, where there are any)
    [">" + kind, value]                what came out: intents, raised, verdict, order, fill, entry, report, …

The clock is read too often for that: `now_ms` and `monotonic_ns` hold its readings in their order, the first one as it
was and each further one as the difference from the one before. Decimals are text, as everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

import msgspec

from btcbot.profiles import Profile

#: Raised whenever an older program could misread what a newer one wrote.
SCHEMA: Final = 1

SAME: Final = "="
OUT: Final = ">"
_CRC_BYTES: Final = len(b',"crc":"00000000"}')


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The database with which a life began: a file beside the journal."""

    file: str
    size: int
    sha256: str


class Start(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="start"):
    """What the bot was built from. `settings` and `parameters` as text, never a secret; `checks` by name.

    `parts` is the profile itself, for one of that name may be made of other parts some day.
    """

    schema: int
    wall_ms: int
    program: str
    mode: str
    book_id: str
    profile: str
    strategy: str
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    gate_policy: Mapping[str, bool | int | str | None]
    checks: tuple[str, ...]
    has_feed: bool
    has_bars: bool
    state: State
    parts: Profile | None = None
    has_scanner: bool = False
    has_agent: bool = False
    has_samples: bool = False
    candidates: tuple[str, ...] = ()


class Built(msgspec.Struct, kw_only=True, tag_field="kind", tag="built"):
    """What the parts asked for while they were put together, before the first cycle."""

    events: list[msgspec.Raw]
    now_ms: list[int]
    monotonic_ns: list[int]


class CycleLine(msgspec.Struct, kw_only=True, tag_field="kind", tag="cycle"):
    """One cycle. `after` is how the pause before it ended, empty for the first; `broken` is what it died of."""

    cycle_id: str
    wake: str
    after: str
    events: list[msgspec.Raw]
    now_ms: list[int]
    monotonic_ns: list[int]
    outcome: str | None
    broken: str | None


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="end"):
    """The last line of a life that was closed, or whose journal was; a crash leaves none."""

    why: str


Line = Start | Built | CycleLine | End

_encoder: Final = msgspec.json.Encoder()
encode: Final = _encoder.encode
_decoder: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)
decode_event: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_name: Final = msgspec.json.Decoder(str).decode


def steps(readings: Sequence[int]) -> list[int]:
    """The first reading, then differences."""
    return [*readings[:1], *(after - before for before, after in pairwise(readings))]


def readings(told: Sequence[int]) -> list[int]:
    """The other way round."""
    return list(accumulate(told))


def sealed(payload: bytes, crc: int) -> tuple[bytes, int]:
    """A line with its line break, and the checksum to go on from."""
    crc = zlib.crc32(payload, crc)
    return b'%s,"crc":"%08x"}\n' % (payload[:-1], crc), crc


class Damaged(Exception):
    """A line that is not what was written; says what is wrong with it."""


def opened(line: bytes, crc: int) -> tuple[Line, int]:
    """A line (without its break) and the checksum to go on from. Raises Damaged."""
    payload, seal = line[:-_CRC_BYTES] + b"}", line[-_CRC_BYTES:]
    crc = zlib.crc32(payload, crc)
    if seal != b',"crc":"%08x"}' % crc:
        raise Damaged("it does not belong behind the line before it, or was changed after it was written")
    return parsed(payload), crc


def parsed(payload: bytes) -> Line:
    """A line without its seal. Raises Damaged."""
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Damaged(f"it cannot be read ({error})") from None


class Event:
    """One event as it was read: `name` without its mark, and the parts that follow it, undecoded."""

    __slots__ = ("is_out", "is_same", "name", "parts")

    def __init__(self, raw: msgspec.Raw) -> None:
        first, *self.parts = decode_event(raw)
        name = decode_name(first)
        self.is_same, self.is_out = name.startswith(SAME), name.startswith(OUT)
        self.name = name[1:] if self.is_same or self.is_out else name

    @property
    def arguments(self) -> Any:
        """As plain data; an empty list where none were told."""
        at = 0 if self.is_same else 1
        return msgspec.json.decode(self.parts[at]) if len(self.parts) > at else []

    @property
    def error(self) -> list[Any] | None:
        """What was raised, None where there was an answer."""
        return msgspec.json.decode(self.parts[2]) if not self.is_same and len(self.parts) > 2 else None
