"""The freeze on orders that nobody can explain, as the database keeps it.

A freeze is a named value, asked for before every single write: it outlives the process, holds whatever profile runs
next, and ends with `btcbot freeze clear --yes`; or by itself, where every order that it was about was a missing one of
ours and a cycle that watches finds all of them closed in the books.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from btcbot.decisions.freeze import FreezeRecord, Sighting, Unexplained, UnexplainedKind
from btcbot.domain.notes import Note, NoteKind
from btcbot.errors import Refused
from btcbot.ports import StateStore

#: The freeze that holds, as JSON; empty or absent: none does. What cannot be read counts as a freeze.
ORDER_FREEZE: Final = "order_freeze"
#: Unexplained orders seen in a row so far.
ORDER_FREEZE_WATCH: Final = "order_freeze_watch"
#: Keys of orders that a human has acknowledged, the oldest first.
ORDER_FREEZE_ACKNOWLEDGED: Final = "order_freeze_acknowledged"
ACKNOWLEDGED_MAX: Final = 1_000


class FreezeNote(msgspec.Struct, frozen=True, kw_only=True):
    """`what`: frozen, extended, cleared, explained (it ended by itself). `lasted_ms` is told of a freeze that ended."""

    what: str
    orders: tuple[Unexplained, ...]
    lasted_ms: int | None = None


def is_frozen(store: StateStore) -> bool:
    """Whether a freeze holds."""
    return bool(store.value(ORDER_FREEZE))


def read_freeze(store: StateStore) -> FreezeRecord | None:
    """The freeze that holds, None without one. One that cannot be read is told without its orders."""
    text = store.value(ORDER_FREEZE)
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=FreezeRecord)
    except msgspec.DecodeError:
        what = Unexplained(
            key="unreadable",
            kind=UnexplainedKind.MISSING,
            symbol="-",
            detail="what was kept of the freeze cannot be read; look at the open orders on the venue's page",
        )
        return FreezeRecord(since_ms=0, cycle_id="", orders=(what,))


def read_watched(store: StateStore) -> Mapping[str, Sighting]:
    """Unexplained orders that are being watched, by key."""
    text = store.value(ORDER_FREEZE_WATCH)
    try:
        return msgspec.json.decode(text, type=dict[str, Sighting]) if text else {}
    except msgspec.DecodeError:
        return {}  # the count begins anew; a freeze that holds is kept elsewhere


def read_acknowledged(store: StateStore) -> tuple[str, ...]:
    """Keys of orders that do not freeze again."""
    text = store.value(ORDER_FREEZE_ACKNOWLEDGED)
    try:
        return msgspec.json.decode(text, type=tuple[str, ...]) if text else ()
    except msgspec.DecodeError:
        return ()  # they freeze once more, and are acknowledged once more


def clear(store: StateStore, now_ms: int, shown: str) -> str:
    """End the freeze, and acknowledge its orders. `shown` are the keys, with commas, that the human has seen.

    Raises Refused where nothing is frozen, or where there is more by now than was shown.
    """
    record = read_freeze(store)
    if record is None:
        raise Refused("nothing is frozen by unexplained orders; there is nothing to clear")
    keys = [order.key for order in record.orders]
    if unseen := [order for order in record.orders if order.key not in shown.split(",")]:
        raise Refused(
            f"{len(unseen)} more order(s) froze since you looked ({unseen[0].symbol}: {unseen[0].detail}); "
            "look again with «btcbot freeze status»"
        )
    kept = [key for key in read_acknowledged(store) if key not in keys]
    acknowledged = [*kept, *keys][-ACKNOWLEDGED_MAX:]
    note = FreezeNote(what="cleared", orders=record.orders, lasted_ms=max(now_ms - record.since_ms, 0))
    with store.transaction() as tx:
        tx.put_value(ORDER_FREEZE, "")
        tx.put_value(ORDER_FREEZE_ACKNOWLEDGED, encoded(acknowledged))
        tx.insert_note(Note(kind=NoteKind.FREEZE, cycle_id="", at_ms=now_ms, body=encoded(note)))
    return f"cleared; {len(keys)} order(s) acknowledged: {', '.join(keys)}"


def end_explained(store: StateStore, record: FreezeRecord, cycle_id: str, now_ms: int) -> None:
    """End a freeze that has lost its cause. Nothing is acknowledged: nobody has looked."""
    note = FreezeNote(what="explained", orders=record.orders, lasted_ms=max(now_ms - record.since_ms, 0))
    with store.transaction() as tx:
        tx.put_value(ORDER_FREEZE, "")
        tx.insert_note(Note(kind=NoteKind.FREEZE, cycle_id=cycle_id, at_ms=now_ms, body=encoded(note)))


def encoded(value: object) -> str:
    """As the database keeps it."""
    return msgspec.json.encode(value).decode()
