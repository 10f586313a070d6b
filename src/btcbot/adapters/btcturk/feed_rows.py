"""The feed's frames as they stand on the wire: the fields that are read, under the names that BtcTurk gives them.

Shapes and sizes only. What the numbers in them are worth is `feed_wire`'s to say.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from btcbot.adapters.btcturk.wire.values import NULL

#: Rows of one side in one frame; the venue's window has 100 levels.
ROWS_MAX: Final = 2_000
#: Trades in one list; the venue sends 50.
TRADES_MAX: Final = 500

Sequence = Annotated[int, Meta(ge=0, lt=2**62)]
Text = Annotated[str, Meta(max_length=200)]


class Level(msgspec.Struct, frozen=True, gc=False):
    P: str
    A: str


class Change(msgspec.Struct, frozen=True, gc=False):
    CP: Literal[0, 1, 3]
    P: str
    A: str


class Snapshot(msgspec.Struct, frozen=True):
    CS: Sequence
    PS: Text
    AO: Annotated[list[Level], Meta(max_length=ROWS_MAX)]
    BO: Annotated[list[Level], Meta(max_length=ROWS_MAX)]
    channel: Text
    event: Text


class Diff(msgspec.Struct, frozen=True):
    CS: Sequence
    PS: Text
    AO: Annotated[list[Change], Meta(max_length=ROWS_MAX)]
    BO: Annotated[list[Change], Meta(max_length=ROWS_MAX)]
    channel: Text
    event: Text


class Trade(msgspec.Struct, frozen=True, gc=False):
    D: Raw
    I: Raw  # noqa: E741 - the wire's name
    A: Raw
    P: Raw
    S: Literal[0, 1]
    PS: Text | None = None
    event: Text | None = None


class Trades(msgspec.Struct, frozen=True):
    items: Annotated[list[Trade], Meta(max_length=TRADES_MAX)]
    symbol: Text | None = None
    event: Text | None = None


class Ticker(msgspec.Struct, frozen=True, gc=False):
    PS: Text
    B: Raw
    A: Raw
    BA: Raw = NULL
    AA: Raw = NULL
    LA: Raw = NULL


class Tickers(msgspec.Struct, frozen=True):
    items: list[Ticker]


class Candle(msgspec.Struct, frozen=True, gc=False):
    D: Raw
    P: Text
    R: Raw
    O: Raw  # noqa: E741 - the wire's name
    H: Raw
    L: Raw
    C: Raw
    V: Raw


class Answer(msgspec.Struct, frozen=True, gc=False):
    ok: bool
    message: Text | None = None


class Login(msgspec.Struct, frozen=True, gc=False):
    ok: bool
    message: str | None = None


class Welcome(msgspec.Struct, frozen=True, gc=False):
    current: Text
    min: Text


class System(msgspec.Struct, frozen=True, gc=False):
    message: Raw = NULL


class Account(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What the events of our own account tell in common, under the names that each of them uses."""

    id: Raw = NULL
    order_id: Raw = NULL
    symbol: Text | None = None
    numerator_symbol: Text | None = None
    denominator_symbol: Text | None = None
    client_id: str | None = None
    order_client_id: str | None = None
    new_order_client_id: str | None = None


class Names(msgspec.Struct, frozen=True, gc=False):
    """All that is asked of a frame that could not be read."""

    PS: str | UnsetType = UNSET
    event: str | UnsetType = UNSET
