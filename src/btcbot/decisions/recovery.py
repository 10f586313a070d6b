"""Recovery: compare our orders with the venue's, and conclude only what is proved.

It is the first step of every cycle, after a crash as after a quiet minute. Two questions, both pure:

`lookups` says what has to be asked beyond the account-wide list of open orders: single orders that should be open and
are not listed, and complete listings of the symbols that have an order whose fate is open.

`conclude` turns the answers into steps. An order is adopted on sight, whatever we believed of it. It is closed only
when the venue says so *and* our fills sum to what the venue executed. Absence is believed only when it is proved:

- an older signed request can no longer be accepted (venue time is past stamp + tolerance + margin),
- two complete listings, at least the settle horizon apart, do not show the order, and
- no locked balance is left unexplained that could be the funds of this very order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions.fees import FeeRates, lock_least
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Side
from btcbot.domain.orders import (
    IN_DOUBT,
    REOPENABLE,
    WORKING,
    Order,
    OrderEvent,
    OrderStatus,
    book_of,
)
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.venue import VenueOrder, VenueOrderStatus

#: How long after its stamp the venue accepts a signed request, and our margin on top.
STAMP_TOLERANCE_MS: Final = 5_000
STAMP_MARGIN_MS: Final = 1_000
#: Complete listings without the order that are needed at least.
LISTINGS_MIN: Final = 2


class Lookups(msgspec.Struct, frozen=True, kw_only=True):
    """What else to ask the venue. `since_ms` of a listing is the oldest stamp among the orders it is for."""

    orders: Sequence[Order]
    listings: Mapping[str, int]


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A complete listing of one symbol (open and all orders), asked for at `taken_at_ms` of venue time."""

    symbol: str
    orders: Sequence[VenueOrder]
    taken_at_ms: int


class RecoveryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`single` maps venue order ids to what the venue says of them, None for «no such order».

    `ours` are all orders that are open, or closed in a way that the venue may still contradict; `closed_ids` are other
    client order ids of this database among those that the venue shows: complete listings and lagging ones show closed
    orders too, and those are settled.
    """

    book_id: str
    ours: Sequence[Order]
    venue_open: Sequence[VenueOrder]
    single: Mapping[str, VenueOrder | None]
    listings: Mapping[str, Listing]
    account: AccountSnapshot
    instruments: Mapping[str, Instrument]
    fee_rates: FeeRates
    venue_time_ms: int
    settle_horizon_ms: int
    closed_ids: frozenset[str] = frozenset()


class Adopt(msgspec.Struct, frozen=True):
    """The venue shows it: take its venue order id, reopen it if we had given it up."""

    order: Order
    seen: VenueOrder


class AdoptUnknown(msgspec.Struct, frozen=True):
    """The venue shows an order with an id of this database that the database does not know (restored from a backup)."""

    seen: VenueOrder


class FetchFills(msgspec.Struct, frozen=True):
    """The venue executed more than we have booked: ask for the trades of this order."""

    order: Order
    executed_quantity: Decimal


class Close(msgspec.Struct, frozen=True):
    """Apply the closing event; fills and venue agree. `reason` is what proved it; what the row is to tell beside that
    is said by `orders.reason_of_end`."""

    order: Order
    event: OrderEvent
    reason: ReasonCode


class NoteAbsence(msgspec.Struct, frozen=True):
    """One more complete listing without it; the evidence is kept so that a restart does not begin again."""

    order: Order
    absent_count: int
    absent_since_ms: int | None


class Wait(msgspec.Struct, frozen=True):
    """Nothing is proved yet; the instrument stays frozen."""

    order: Order
    why: str


class Contradiction(msgspec.Struct, frozen=True):
    """What the venue shows cannot be: two orders under one id of ours. Nothing is decided on; a human looks."""

    evidence: str


RecoveryStep = Adopt | AdoptUnknown | FetchFills | Close | NoteAbsence | Wait | Contradiction


def lookups(ours: Iterable[Order], venue_open: Iterable[VenueOrder]) -> Lookups:
    """What the account-wide list of open orders leaves unanswered."""
    shown_ids = {shown.venue_order_id for shown in venue_open}
    shown_clients = {shown.client_order_id for shown in venue_open}
    singles: list[Order] = []
    listings: dict[str, int] = {}
    for order in ours:
        if order.status in WORKING and order.venue_order_id not in shown_ids:
            singles.append(order)
        elif order.status in IN_DOUBT and order.client_order_id not in shown_clients:
            since_ms = min(order.created_at_ms, order.stamp_ms or order.created_at_ms)
            listings[order.symbol] = min(listings.get(order.symbol, since_ms), since_ms)
    return Lookups(orders=singles, listings=listings)


def conclude(facts: RecoveryFacts, booked: Mapping[str, Decimal]) -> Sequence[RecoveryStep]:
    """The steps that the answers justify, at most one for each order, adoption first."""
    by_client: dict[str, VenueOrder] = {}
    by_id: dict[str, VenueOrder] = {}
    for shown in [*(row for listing in facts.listings.values() for row in listing.orders), *facts.venue_open]:
        by_id[shown.venue_order_id] = shown
        if shown.client_order_id is not None:
            other = by_client.get(shown.client_order_id, shown)
            if other.venue_order_id != shown.venue_order_id and book_of(shown.client_order_id) == facts.book_id:
                return [_twice(shown.client_order_id, other.venue_order_id, shown.venue_order_id)]
            by_client[shown.client_order_id] = shown
    open_ids = {shown.venue_order_id for shown in facts.venue_open}

    known = {order.client_order_id for order in facts.ours} | facts.closed_ids
    steps: list[RecoveryStep] = [
        AdoptUnknown(shown)
        for client_order_id, shown in by_client.items()
        if client_order_id not in known and book_of(client_order_id) == facts.book_id
    ]
    for order in facts.ours:
        shown_as = by_client.get(order.client_order_id)
        if shown_as is not None and order.venue_order_id not in (None, shown_as.venue_order_id):
            assert order.venue_order_id is not None, "just compared"
            return [_twice(order.client_order_id, order.venue_order_id, shown_as.venue_order_id)]
        if order.status in IN_DOUBT or order.status in REOPENABLE:
            seen = by_client.get(order.client_order_id)
            if seen is not None:
                steps.append(Adopt(order, seen))
            elif order.status in IN_DOUBT:
                steps.append(_weigh_absence(order, facts))
        elif order.status in WORKING:
            step = _compare_working(order, by_id, open_ids, facts, booked.get(order.client_order_id, money.ZERO))
            if step is not None:
                steps.append(step)
    return steps


def _twice(client_order_id: str, one: str, other: str) -> Contradiction:
    return Contradiction(f"client order id {client_order_id} stands at the venue as orders {one} and {other}")


def _compare_working(
    order: Order,
    by_id: Mapping[str, VenueOrder],
    open_ids: set[str],
    facts: RecoveryFacts,
    booked: Decimal,
) -> RecoveryStep | None:
    """A working order: follow what the venue says of it."""
    assert order.venue_order_id is not None, "a working order has a venue order id"
    shown = facts.single.get(order.venue_order_id) or by_id.get(order.venue_order_id)
    if shown is None:
        return Wait(order, "the venue neither lists it as open nor knows its id yet")
    if shown.client_order_id not in (None, order.client_order_id):
        return Wait(order, "the venue tells another order under its id")
    if shown.executed_quantity > booked:
        return FetchFills(order, shown.executed_quantity)
    if shown.executed_quantity < booked:
        return None  # the row is older than our fills
    if shown.status is VenueOrderStatus.CANCELED:
        return Close(order, OrderEvent.CANCEL, ReasonCode.CANCELED_AT_VENUE)
    if order.venue_order_id in open_ids:
        # Still working: evidence of absence is void.
        return NoteAbsence(order, 0, None) if order.absent_count else None
    if shown.status is VenueOrderStatus.UNTOUCHED:
        return Wait(order, "the venue tells it as untouched by its id, and does not list it as open")
    # Not listed as open, and not told as cancelled either: a lagging list, or an order that was cancelled with a fill,
    # which the venue was seen to leave as «Partial». Time decides. A list may lag by the horizon, so an absence proves
    # something from the order's own age of a horizon on: by then any list has to show it while it works. A horizon
    # after such an absence the row by its id, which may lag as well, is of a time when the order was gone.
    age_ms = facts.venue_time_ms - (order.stamp_ms or order.created_at_ms)
    if not order.absent_count and age_ms < facts.settle_horizon_ms:
        return Wait(order, f"a list may not show it before it is {facts.settle_horizon_ms} ms old")
    count, since_ms = order.absent_count + 1, order.absent_since_ms or facts.venue_time_ms
    if count >= LISTINGS_MIN and facts.venue_time_ms - since_ms >= facts.settle_horizon_ms:
        return Close(order, OrderEvent.CANCEL, ReasonCode.CANCELED_AT_VENUE)
    return NoteAbsence(order, count, since_ms)


def _weigh_absence(order: Order, facts: RecoveryFacts) -> RecoveryStep:
    """An order in doubt that no list shows: note the evidence, or conclude from it."""
    if order.status is OrderStatus.SUBMITTED:
        return Wait(order, "its answer is not recorded yet")
    listing = facts.listings.get(order.symbol)
    if listing is None:
        return Wait(order, "no complete listing of its symbol yet")
    fence_ms = (order.stamp_ms or order.created_at_ms) + STAMP_TOLERANCE_MS + STAMP_MARGIN_MS
    if listing.taken_at_ms <= fence_ms:
        return Wait(order, f"its request may still be accepted for {fence_ms - listing.taken_at_ms} ms")
    count, since_ms = order.absent_count + 1, order.absent_since_ms or listing.taken_at_ms
    if count < LISTINGS_MIN or listing.taken_at_ms - since_ms < facts.settle_horizon_ms:
        return NoteAbsence(order, count, since_ms)
    unexplained = unexplained_lock(order, facts)
    if unexplained is not None:
        return Wait(order, unexplained)
    if order.status is OrderStatus.REFUSED_PROVISIONAL:
        return Close(order, OrderEvent.CONFIRM_REFUSAL, ReasonCode.REFUSAL_CONFIRMED)
    return Close(order, OrderEvent.PROVE_ABSENCE, ReasonCode.ABSENCE_PROVED)


def unexplained_lock(order: Order, facts: RecoveryFacts) -> str | None:
    """Why locked funds speak against absence, or None. Evidence, not equality: too small a lock is another order's."""
    instrument = facts.instruments.get(order.symbol)
    if instrument is None:
        return f"the venue lists no rules for {order.symbol}, so its locked funds cannot be read"
    asset = instrument.quote if order.side is Side.BUY else instrument.base
    explained = money.ZERO
    for shown in facts.venue_open:
        listed = facts.instruments.get(shown.symbol)
        if listed is not None and asset == (listed.quote if shown.side is Side.BUY else listed.base):
            explained += lock_least(shown.side, shown.price, shown.leaves_quantity, facts.fee_rates)
    left = facts.account.locked(asset) - explained
    needed = lock_least(order.side, order.price, order.leaves_quantity, facts.fee_rates)
    if left < needed:
        return None
    return f"{money.plain(left)} {asset} is locked at the venue and not explained by listed orders"
