"""Replacements: an order that makes room for another one, written down so that no crash loses or doubles it.

Theory. What is wished now differs from an order that works. The venue cannot change an order, so the old one is
cancelled and a new one sent; between the two lies an unknown time, fills, and perhaps the end of the process. A
replacement is therefore a record in the database with two states:

- CANCELING: written in the unit that notes the wish to cancel the old order. The new order is not sent before our books
  prove the old one closed, with all its fills: what it filled meanwhile is not bought again.
- SUBMITTED: written in the unit that reserves the new order, with its client order id. From here on the new order is an
  order like any other, and the record only waits for its fate.

A record that has ended is taken out, and a note tells what became of it: DONE, or ABANDONED with the reason. Nothing is
owed by an abandoned one: the strategy decides anew in the next cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from btcbot.domain.intents import Intent, Side
from btcbot.domain.money import plain
from btcbot.domain.orders import Order
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import InvariantBroken

#: The named value with all open replacements.
OPEN_REPLACEMENTS: Final = "replacements"
_INTENT_PREFIX: Final = "replace:"


class ReplacementState(StrEnum):
    CANCELING = "CANCELING"  # the old order is to go
    SUBMITTED = "SUBMITTED"  # the new order is reserved, perhaps sent


class ReplacementOutcome(StrEnum):
    DONE = "DONE"
    ABANDONED = "ABANDONED"


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """One open replacement. `price` and `quantity` are those wished for the new order when it began; `filled_before` is
    what the old order had filled then. Times in Unix ms of our clock."""

    old_client_order_id: str
    symbol: str
    side: Side
    strategy: str
    price: Decimal
    quantity: Decimal
    filled_before: Decimal
    why: str
    reason: ReasonCode
    begun_at_ms: int
    state: ReplacementState = ReplacementState.CANCELING
    new_client_order_id: str | None = None

    @property
    def intent_id(self) -> str:
        """The same in every cycle: at most one order is ever made of it."""
        return f"{_INTENT_PREFIX}{self.old_client_order_id}"


class ReplacementEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a replacement ended: the body of its note. Money as text."""

    old_client_order_id: str
    new_client_order_id: str | None
    symbol: str
    side: Side
    price: str
    quantity: str
    outcome: ReplacementOutcome
    reason: str
    begun_at_ms: int
    ended_at_ms: int


def replaces_another(intent_id: str) -> bool:
    """Whether an intent, or an order, with this intent id takes the place of an earlier order."""
    return intent_id.startswith(_INTENT_PREFIX)


def begun(order: Order, intent: Intent, reason: ReasonCode, at_ms: int) -> Replacement:
    """The record of a replacement of `order` by what `intent` wishes."""
    return Replacement(
        old_client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        strategy=intent.strategy,
        price=intent.price,
        quantity=intent.quantity,
        filled_before=order.filled_quantity,
        why=intent.why,
        reason=reason,
        begun_at_ms=at_ms,
    )


def ended(record: Replacement, outcome: ReplacementOutcome, reason: str, at_ms: int) -> ReplacementEnd:
    """What the note of a replacement tells when it has ended."""
    return ReplacementEnd(
        old_client_order_id=record.old_client_order_id,
        new_client_order_id=record.new_client_order_id,
        symbol=record.symbol,
        side=record.side,
        price=plain(record.price),
        quantity=plain(record.quantity),
        outcome=outcome,
        reason=reason,
        begun_at_ms=record.begun_at_ms,
        ended_at_ms=at_ms,
    )


def written(records: Iterable[Replacement]) -> str:
    """Open replacements as the database keeps them; money as text without exponents."""
    rows = [
        msgspec.to_builtins(record)
        | {
            "price": plain(record.price),
            "quantity": plain(record.quantity),
            "filled_before": plain(record.filled_before),
        }
        for record in records
    ]
    return msgspec.json.encode(rows).decode()


def read(text: str | None) -> Sequence[Replacement]:
    """Open replacements from the database, oldest first. What cannot be read is evidence of damage, not of nothing."""
    if not text:
        return ()
    try:
        return msgspec.json.decode(text, type=tuple[Replacement, ...])
    except msgspec.MsgspecError as error:
        raise InvariantBroken(
            "I20_REPLACEMENTS", f"the open replacements cannot be read ({error}); «btcbot replacements status»"
        ) from error
