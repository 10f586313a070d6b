"""The freeze on orders that nobody can explain.

An order is explained when our books know its client order id, whatever its state: our own orders are never strangers.
Three kinds are not.

- OTHER_BOOK carries our prefix and belongs to no order of this database: another btcbot trades with the same key, or
  this database is an old copy. Two bots that do not know of each other spend the same money.
- FOREIGN is somebody's own order. It is left alone, always. Whether it stops us is a setting; by default it does not.
- MISSING is an order of ours that the venue does not show although its proof, one way or the other, should have come.
  One that it does not list as open and tells by its id is shown: only its trades are late.

One look proves little, so it takes some cycles, or some time, in a row; the count begins with the first look and lives
across restarts. What a human has acknowledged never freezes again.

A freeze on MISSING orders alone is explained, and ends, when the books have closed every one of them and nothing else
is being watched: their proof has come, only late. Orders of another database, and foreign ones, are never explained by
time: who placed them is still not known when they are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from btcbot.domain.money import plain
from btcbot.domain.orders import Order, is_ours
from btcbot.domain.venue import VenueOrder


class UnexplainedKind(StrEnum):
    OTHER_BOOK = "other_book"
    FOREIGN = "foreign"
    MISSING = "missing"


class Unexplained(msgspec.Struct, frozen=True, kw_only=True):
    """`key` names the order for good: by the venue's id where the venue shows it, else by our client id."""

    key: str
    kind: UnexplainedKind
    symbol: str
    detail: str


#: What the key of an order begins with that is named by our client id.
_OWN: Final = "own:"


class FreezeRules(msgspec.Struct, frozen=True, kw_only=True):
    """`foreign_max` so many foreign orders freeze, 0: none ever does. `cycles` or `lasting_ms` in a row are proof;
    an order of ours that is not shown is watched for `missing_ms` before that count begins."""

    is_enabled: bool
    foreign_max: int
    cycles: int
    lasting_ms: int
    missing_ms: int


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """An unexplained order, seen in a row. `first_ms` the first time, `since_ms` from when it counts; venue time."""

    order: Unexplained
    first_ms: int
    since_ms: int | None = None
    cycles: int = 0


class FreezeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A freeze that holds. `since_ms` is our clock."""

    since_ms: int
    cycle_id: str
    orders: tuple[Unexplained, ...]

    @property
    def reason(self) -> str:
        return "; ".join(f"{one.kind.value} {one.symbol}: {one.detail}" for one in self.orders)


def unexplained(
    venue_open: Sequence[VenueOrder],
    known: Collection[str],
    own_open: Sequence[Order],
    shown_by_id: Collection[str] = (),
) -> Sequence[Unexplained]:
    """Orders that nobody can explain, at this look. `known` are the client order ids among the shown ones that our
    books have; an order that a human declared foreign is shown without one. `shown_by_id`: client order ids of ours
    that are not listed as open, and that the venue tells by their own id."""
    found: list[Unexplained] = []
    for row in venue_open:
        if row.client_order_id is not None and row.client_order_id in known:
            continue
        kind = UnexplainedKind.OTHER_BOOK if is_ours(row.client_order_id) else UnexplainedKind.FOREIGN
        named = f" ({row.client_order_id})" if row.client_order_id else ""
        detail = (
            f"{row.side} {plain(row.leaves_quantity)} at {plain(row.price)}, venue order {row.venue_order_id}{named}"
        )
        found.append(Unexplained(key=f"venue:{row.venue_order_id}", kind=kind, symbol=row.symbol, detail=detail))
    shown = {row.venue_order_id for row in venue_open} | {row.client_order_id for row in venue_open}
    for order in own_open:
        if order.client_order_id in shown or (order.venue_order_id is not None and order.venue_order_id in shown):
            continue
        if order.client_order_id in shown_by_id:
            continue
        detail = (
            f"our {order.side} {plain(order.leaves_quantity)} at {plain(order.price)} ({order.client_order_id}) is "
        )
        detail += f"{order.status} and the venue does not show it"
        key = f"{_OWN}{order.client_order_id}"
        found.append(Unexplained(key=key, kind=UnexplainedKind.MISSING, symbol=order.symbol, detail=detail))
    return found


def watch(
    before: Mapping[str, Sighting], found: Sequence[Unexplained], now_ms: int, rules: FreezeRules
) -> Mapping[str, Sighting]:
    """What is seen in a row, this look included; what is not seen any more is forgotten."""
    after: dict[str, Sighting] = {}
    for order in found:
        last = before.get(order.key)
        first_ms = now_ms if last is None else min(last.first_ms, now_ms)
        counts = order.kind is not UnexplainedKind.MISSING or now_ms - first_ms >= rules.missing_ms
        since_ms, cycles = (None, 0) if last is None else (last.since_ms, last.cycles)
        if counts:
            since_ms, cycles = now_ms if since_ms is None else min(since_ms, now_ms), cycles + 1
        after[order.key] = Sighting(order=order, first_ms=first_ms, since_ms=since_ms, cycles=cycles)
    return after


def proved(
    watched: Mapping[str, Sighting], acknowledged: Collection[str], now_ms: int, rules: FreezeRules
) -> tuple[Unexplained, ...]:
    """The orders that freeze: seen for long enough, and not acknowledged by anybody."""
    lasting = [
        one.order for one in watched.values() if one.order.key not in acknowledged and _has_lasted(one, now_ms, rules)
    ]
    foreign = [order for order in lasting if order.kind is UnexplainedKind.FOREIGN]
    if not rules.foreign_max or len(foreign) < rules.foreign_max:
        return tuple(order for order in lasting if order.kind is not UnexplainedKind.FOREIGN)
    return tuple(lasting)


def is_explained(
    record: FreezeRecord,
    is_closed: Callable[[str], bool],
    watched: Mapping[str, Sighting],
    acknowledged: Collection[str],
    rules: FreezeRules,
) -> bool:
    """Whether a freeze has lost its cause: all its orders were missing ones of ours that the books have closed since,
    and nothing else that could freeze is seen now. `is_closed` tells it of a client order id."""
    if not record.orders:
        return False
    for order in record.orders:
        if order.kind is not UnexplainedKind.MISSING or not is_closed(order.key.removeprefix(_OWN)):
            return False
    suspects = [one.order.kind for one in watched.values() if one.order.key not in acknowledged]
    foreign = sum(kind is UnexplainedKind.FOREIGN for kind in suspects)
    return foreign == len(suspects) and (not rules.foreign_max or foreign < rules.foreign_max)


def _has_lasted(sighting: Sighting, now_ms: int, rules: FreezeRules) -> bool:
    """Time in a row is counted between looks, so one alone never lasts."""
    if sighting.since_ms is None:
        return False
    return sighting.cycles >= rules.cycles or now_ms - sighting.since_ms >= rules.lasting_ms
