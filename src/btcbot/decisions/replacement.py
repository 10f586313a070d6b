"""What is to become of an open replacement: send the new order, wait, or give it up.

The one rule that money hangs on: a new order is due only when our books prove the old one closed. Proved means that the
venue said so and that our fills sum to what it executed (see `recovery`); until then, and while anything else of this
pair and side is open or in doubt, the replacement waits. What the old order filled since is taken off the new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Intent
from btcbot.domain.orders import OPEN, Order, OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.replacements import Replacement, ReplacementOutcome, ReplacementState

#: Closed for good, by the venue's word and our fills; REJECTED and NOT_PLACED may still be contradicted.
PROVED_CLOSED: Final = frozenset({OrderStatus.CANCELED, OrderStatus.FILLED})
#: The new order of a replacement never worked.
_NEVER_WORKED: Final = frozenset({OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.NOT_PLACED})
#: The new order's own fate is open.
_FATE_OPEN: Final = frozenset({OrderStatus.SUBMITTED, OrderStatus.UNKNOWN, OrderStatus.REFUSED_PROVISIONAL})


class Due(msgspec.Struct, frozen=True):
    """The old order is gone: this is to be ordered in its place, when risk allows it."""

    intent: Intent


class End(msgspec.Struct, frozen=True):
    """It is over. `reason` is a ReasonCode's word."""

    outcome: ReplacementOutcome
    reason: str


class StillOpen(msgspec.Struct, frozen=True):
    """Nothing is to be done in this cycle."""

    why: str


ReplacementStep = Due | End | StillOpen


class ReplacementFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`old` and `new` as our books know them now, None where they do not; `open_orders` are all open orders of ours;
    `last_order_ms` is when the newest order of this pair and side was made."""

    cycle_id: str
    now_ms: int
    age_ms_max: int
    old: Order | None
    new: Order | None
    open_orders: Iterable[Order]
    last_order_ms: int | None


def decide(record: Replacement, facts: ReplacementFacts) -> ReplacementStep:
    """The next step of a replacement."""
    if record.state is ReplacementState.SUBMITTED:
        return _fate_of_new(facts.new)
    return _place_of_old(record, facts)


def _fate_of_new(new: Order | None) -> ReplacementStep:
    if new is None:
        return _abandoned(ReasonCode.REPLACEMENT_LOST)
    if new.status in _FATE_OPEN:
        return StillOpen(f"the new order is {new.status}")
    if new.status in _NEVER_WORKED:
        return _abandoned(ReasonCode.REPLACEMENT_NOT_PLACED)
    return End(ReplacementOutcome.DONE, ReasonCode.REPLACEMENT_DONE.value)


def _place_of_old(record: Replacement, facts: ReplacementFacts) -> ReplacementStep:
    old = facts.old
    if old is None:
        return _abandoned(ReasonCode.REPLACEMENT_LOST)
    # Whoever ordered on this side since then did it knowing more than the record does.
    if facts.last_order_ms is not None and facts.last_order_ms > record.begun_at_ms:
        return _abandoned(ReasonCode.REPLACEMENT_OVERTAKEN)
    # A clock that ran ahead and has been set right says nothing of the age.
    if not 0 <= facts.now_ms - record.begun_at_ms < facts.age_ms_max:
        return _abandoned(ReasonCode.REPLACEMENT_LATE)
    if old.status not in PROVED_CLOSED:
        if old.status in OPEN and old.status is not OrderStatus.PENDING_CANCEL and old.cancel_requested_at_ms is None:
            return _abandoned(ReasonCode.REPLACEMENT_NOT_CANCELED)  # the request never left; upkeep decides anew
        return StillOpen(f"the old order is {old.status}")
    left = record.quantity - max(old.filled_quantity - record.filled_before, money.ZERO)
    if left <= 0:
        return _abandoned(ReasonCode.REPLACEMENT_FILLED)
    for order in facts.open_orders:
        if order.symbol == record.symbol and (order.side is record.side or order.is_in_doubt):
            return StillOpen(f"order {order.client_order_id} is {order.status}")
    return Due(
        Intent(
            intent_id=record.intent_id,
            cycle_id=facts.cycle_id,
            strategy=record.strategy,
            symbol=record.symbol,
            side=record.side,
            price=record.price,
            quantity=left,
            why=f"replaces {record.old_client_order_id}; {record.why}",
        )
    )


def _abandoned(reason: ReasonCode) -> End:
    return End(ReplacementOutcome.ABANDONED, reason.value)
