"""What became of one write to the venue. A caller has to name all of these; nothing else can come back.

`Accepted` and `Refused` are proofs and therefore rare: only an answer that is well formed and known becomes one.
Everything that proves nothing is `InDoubt`.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The venue took the order and named it."""

    venue_order_id: str


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed, known refusal. `code` is the venue's word for it; believed provisionally."""

    code: str
    message: str = ""
    retry_after_s: float | None = None


class InDoubt(msgspec.Struct, frozen=True, kw_only=True):
    """Sent, or perhaps sent, and the answer proves nothing."""

    why: str


class NotSent(msgspec.Struct, frozen=True, kw_only=True):
    """It never reached the socket: the venue cannot know of it."""

    why: str


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """A dry run recorded it; nothing was sent, and nothing was to be sent."""


SubmitOutcome = Accepted | Refused | InDoubt | NotSent | Simulated


class CancelRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The venue took the request. Not a cancellation: fills may still come."""


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """Cancelled for good, having executed so much: the word of a venue that decides at once. BtcTurk never gives it."""

    executed_quantity: Decimal


CancelOutcome = CancelRequested | Canceled | Refused | InDoubt | NotSent | Simulated
