"""The life of an order, as one table.

Everything that can happen to an order is an `OrderEvent`; what it does to the status stands in `TRANSITIONS` and
nowhere else. An event that the table does not know for a status is a broken invariant, not a case to be handled.

Theory. An order is written down as SUBMITTED, with the funds it may need held, before anything is sent. What comes back
is believed only as far as it proves something:

- ACCEPTED: the venue named an order of its own for it.
- REFUSED_PROVISIONAL: the venue said no. Refusals were seen for orders that had been placed, so the order counts as
  possibly open, its hold stays, and only two complete listings without it make it REJECTED.
- UNKNOWN: sent, and nobody has proved what became of it. It is never sent again. It ends when the venue shows it
  (SEEN) or when its absence is proved (NOT_PLACED).
- DENIED: a gate closed, or the request never reached the socket: the venue cannot know it.
- SIMULATED: a dry run's order, closed the moment it is recorded.

A closed order stays closed, with two documented exceptions: REJECTED and NOT_PLACED reopen when the venue shows the
client id after all (SEEN), and a fill that the venue tells late is still booked on a CANCELED order, which stays closed
(CANCELED, or FILLED when that fill was the rest). Filled quantity only grows, and never beyond the quantity.

The reason of an order tells for good why it ended. Whose doing its end was stands first: why we asked for its
cancellation, or the venue's word for a refusal. What proved it comes after that and never in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import InvariantBroken

#: Every client order id that we ever send starts like this; an order without it is foreign.
OUR_PREFIX: Final = "btcbot-"
CLIENT_ORDER_ID_LENGTH_MAX: Final = 50

#: What stands after the reason of an order that ended, see `reason_of_end`.
CONFIRMED_BY_LISTS: Final = "; confirmed by the venue's lists"
CONFIRMED_BY_LISTINGS: Final = "; confirmed by two listings"
CANCELED_TOO_LATE: Final = "; it was filled before it could be cancelled"


class OrderStatus(StrEnum):
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    REFUSED_PROVISIONAL = "REFUSED_PROVISIONAL"
    UNKNOWN = "UNKNOWN"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    NOT_PLACED = "NOT_PLACED"
    DENIED = "DENIED"
    SIMULATED = "SIMULATED"


class OrderEvent(StrEnum):
    ACCEPT = "ACCEPT"  # the venue answered with its order id
    REFUSE = "REFUSE"  # the venue answered with a refusal that we know
    DOUBT = "DOUBT"  # no answer that proves anything
    DENY = "DENY"  # a gate closed, or it never left
    SIMULATE = "SIMULATE"  # the dry-run venue took it
    SEEN = "SEEN"  # the venue shows our client id
    FILL_PART = "FILL_PART"  # a fill that leaves something
    FILL_REST = "FILL_REST"  # a fill that leaves nothing
    REQUEST_CANCEL = "REQUEST_CANCEL"  # we asked the venue to cancel; nothing is final yet
    CANCEL = "CANCEL"  # the venue lists it as cancelled, and our fills equal what it executed
    CONFIRM_REFUSAL = "CONFIRM_REFUSAL"  # two complete listings without it
    PROVE_ABSENCE = "PROVE_ABSENCE"  # fenced, listed twice without it, locked funds explained; or a human's word


_S, _E = OrderStatus, OrderEvent

#: Statuses in which the venue is known, or must be feared, to work the order.
OPEN: Final = frozenset(
    {_S.SUBMITTED, _S.ACCEPTED, _S.PARTIALLY_FILLED, _S.PENDING_CANCEL, _S.REFUSED_PROVISIONAL, _S.UNKNOWN}
)
#: Sent, and the venue's view of it unproven: the instrument takes no new order until proof.
IN_DOUBT: Final = frozenset({_S.SUBMITTED, _S.UNKNOWN, _S.REFUSED_PROVISIONAL})
#: Open with a venue order id: working orders.
WORKING: Final = frozenset({_S.ACCEPTED, _S.PARTIALLY_FILLED, _S.PENDING_CANCEL})
CLOSED: Final = frozenset(OrderStatus) - OPEN
#: Closed statuses that the venue may yet contradict by showing the client id.
REOPENABLE: Final = frozenset({_S.REJECTED, _S.NOT_PLACED})

TRANSITIONS: Final[Mapping[OrderStatus, Mapping[OrderEvent, OrderStatus]]] = MappingProxyType(
    {
        _S.SUBMITTED: {
            _E.ACCEPT: _S.ACCEPTED,
            _E.REFUSE: _S.REFUSED_PROVISIONAL,
            _E.DOUBT: _S.UNKNOWN,
            _E.DENY: _S.DENIED,
            _E.SIMULATE: _S.SIMULATED,
        },
        _S.ACCEPTED: {
            _E.FILL_PART: _S.PARTIALLY_FILLED,
            _E.FILL_REST: _S.FILLED,
            _E.REQUEST_CANCEL: _S.PENDING_CANCEL,
            _E.CANCEL: _S.CANCELED,
        },
        _S.PARTIALLY_FILLED: {
            _E.FILL_PART: _S.PARTIALLY_FILLED,
            _E.FILL_REST: _S.FILLED,
            _E.REQUEST_CANCEL: _S.PENDING_CANCEL,
            _E.CANCEL: _S.CANCELED,
        },
        _S.PENDING_CANCEL: {
            _E.FILL_PART: _S.PENDING_CANCEL,
            _E.FILL_REST: _S.FILLED,
            _E.REQUEST_CANCEL: _S.PENDING_CANCEL,  # a cancel may get lost; asking again harms nothing
            _E.CANCEL: _S.CANCELED,
        },
        _S.REFUSED_PROVISIONAL: {
            _E.SEEN: _S.ACCEPTED,
            _E.CONFIRM_REFUSAL: _S.REJECTED,
        },
        _S.UNKNOWN: {
            _E.SEEN: _S.ACCEPTED,
            _E.PROVE_ABSENCE: _S.NOT_PLACED,
        },
        _S.FILLED: {},
        _S.CANCELED: {
            _E.FILL_PART: _S.CANCELED,  # told late: the books follow, the order stays closed
            _E.FILL_REST: _S.FILLED,
        },
        _S.REJECTED: {_E.SEEN: _S.ACCEPTED},
        _S.NOT_PLACED: {_E.SEEN: _S.ACCEPTED},
        _S.DENIED: {},
        _S.SIMULATED: {},
    }
)


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order of ours, as last written to the database.

    `price` in quote, `quantity` in base, times in Unix ms of our clock; `stamp_ms` is the venue-time stamp that its one
    POST is signed with, from which absence is counted. `absent_count` and `absent_since_ms` hold the
    evidence of complete listings that did not show the order, in venue time.
    """

    client_order_id: str
    intent_id: str
    cycle_id: str
    strategy: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    status: OrderStatus
    created_at_ms: int
    updated_at_ms: int
    filled_quantity: Decimal = money.ZERO
    venue_order_id: str | None = None
    stamp_ms: int | None = None
    reason: str | None = None
    cancel_requested_at_ms: int | None = None
    absent_count: int = 0
    absent_since_ms: int | None = None

    @property
    def leaves_quantity(self) -> Decimal:
        return self.quantity - self.filled_quantity

    @property
    def value(self) -> Decimal:
        """In the quote asset, without fee."""
        return self.price * self.quantity

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_in_doubt(self) -> bool:
        return self.status in IN_DOUBT

    @property
    def is_cancel_asked(self) -> bool:
        """Whether we have asked the venue to cancel it, so that its reason is why we did."""
        return self.cancel_requested_at_ms is not None or self.status is OrderStatus.PENDING_CANCEL


def apply(
    order: Order,
    event: OrderEvent,
    at_ms: int,
    *,
    reason: str | None = None,
    filled_quantity: Decimal | None = None,
    venue_order_id: str | None = None,
) -> Order:
    """The order after `event`, or InvariantBroken where the table has no such step (I9). What is not given stays."""
    status = TRANSITIONS[order.status].get(event)
    if status is None:
        raise InvariantBroken(
            "I9_ORDER_LIFE_CYCLE", f"{event} cannot happen to order {order.client_order_id}, which is {order.status}"
        )
    return msgspec.structs.replace(
        order,
        status=status,
        updated_at_ms=at_ms,
        reason=order.reason if reason is None else reason,
        filled_quantity=order.filled_quantity if filled_quantity is None else filled_quantity,
        venue_order_id=order.venue_order_id if venue_order_id is None else venue_order_id,
    )


def apply_fill(order: Order, quantity: Decimal, at_ms: int) -> Order:
    """The order after a fill of `quantity`; a fill beyond what is left is a broken invariant."""
    filled = order.filled_quantity + quantity
    if quantity <= money.ZERO or filled > order.quantity:
        raise InvariantBroken(
            "I9_OVERFILL",
            f"order {order.client_order_id} of {money.plain(order.quantity)} has {money.plain(order.filled_quantity)} "
            f"filled and is told a fill of {money.plain(quantity)}",
        )
    if filled < order.quantity:
        return apply(order, OrderEvent.FILL_PART, at_ms, filled_quantity=filled)
    is_being_cancelled = order.is_open and order.is_cancel_asked
    reason = f"{order.reason}{CANCELED_TOO_LATE}" if is_being_cancelled and order.reason else None
    return apply(order, OrderEvent.FILL_REST, at_ms, reason=reason, filled_quantity=filled)


def reason_of_end(order: Order, proof: ReasonCode) -> str:
    """What the row of an order tells once `proof` has ended it: our own reason or the venue's word, and what proved it.

    we asked for its cancellation        order:drifted; confirmed by the venue's lists
    somebody else cancelled it           order:cancelled_at_venue
    the venue refused it                 FAILED_LIMIT_ORDER: the pair is closed; confirmed by two listings
    it was in doubt and never placed     order:absence_proved: no answer within 4 s
    """
    before = order.reason
    if not before:
        return proof.value
    if proof is ReasonCode.CANCELED_AT_VENUE and order.is_cancel_asked:
        return f"{before}{CONFIRMED_BY_LISTS}"
    if proof is ReasonCode.REFUSAL_CONFIRMED:
        return f"{before}{CONFIRMED_BY_LISTINGS}"
    if proof is ReasonCode.ABSENCE_PROVED:
        return f"{proof.value}: {before}"
    return proof.value


def is_ours(client_order_id: str | None) -> bool:
    """True for an id that a btcbot made, whichever database it belongs to."""
    return client_order_id is not None and client_order_id.startswith(OUR_PREFIX)


def make_client_order_id(book_id: str, made_at_ms: int, number: int) -> str:
    """`btcbot-<book>-<ms in hex>-<number in hex>`: unique for ever, at most 50 characters, readable in a log.

    `book_id` names the database, so two databases of one account never meet; the time keeps a database that was
    restored from a backup from using an id again; the number separates orders of one millisecond.
    """
    made = f"{OUR_PREFIX}{book_id}-{made_at_ms:x}-{number:x}"
    if len(made) > CLIENT_ORDER_ID_LENGTH_MAX:
        raise ValueError(f"client order id {made!r} is longer than {CLIENT_ORDER_ID_LENGTH_MAX} characters")
    return made


def book_of(client_order_id: str) -> str | None:
    """The database that made this id, or None for an id of another shape."""
    parts = client_order_id.removeprefix(OUR_PREFIX).split("-")
    return parts[0] if is_ours(client_order_id) and len(parts) == 3 else None
