"""The open replacements as the database keeps them, for people: what lies there, and a way out where it is damaged.

A list that can be read is the bot's own business: each replacement in it comes to an end by itself. One that cannot be
read halts the bot (I20_REPLACEMENTS), because nobody knows which orders it was about. A human may put it aside, with a
reason, when no order that it could be about is open any more: then nothing is owed, and the strategy decides anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from btcbot.domain import replacements
from btcbot.domain.orders import OPEN, Order
from btcbot.domain.replacements import OPEN_REPLACEMENTS, Replacement
from btcbot.errors import InvariantBroken, Refused
from btcbot.ports import StateStore
from btcbot.services import named_values

_OPEN: Final = tuple(OPEN)
_SHOWN: Final = 3


class PutAside(msgspec.Struct, frozen=True, kw_only=True):
    """What a human cleared, whole, and why; the value of `put_aside(at_ms)`."""

    at_ms: int
    reason: str
    text: str


_decode_put_aside: Final = msgspec.json.Decoder(PutAside).decode


def put_aside(at_ms: int) -> str:
    """The name under which a cleared list is kept."""
    return f"{_PUT_ASIDE}{at_ms}"


_PUT_ASIDE: Final = "replacements_put_aside:"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """`why_not` empty: `records` is what `text` says. Else it cannot be read, and `in_the_way` are the open orders that
    it may be about."""

    text: str
    records: Sequence[Replacement] = ()
    why_not: str = ""
    in_the_way: Sequence[Order] = ()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_kept(store: StateStore) -> Kept:
    """What lies there now."""
    text = store.value(OPEN_REPLACEMENTS) or ""
    try:
        return Kept(text=text, records=replacements.read(text))
    except InvariantBroken as broken:
        return Kept(text=text, why_not=str(broken.__cause__ or broken), in_the_way=_concerned(store, text))


def read_put_aside(store: StateStore) -> Sequence[PutAside]:
    """What was cleared before, oldest first."""
    kept = store.values(_PUT_ASIDE)
    found = [named_values.parsed(name, text, _decode_put_aside) for name, text in kept.items()]
    return sorted(found, key=lambda one: one.at_ms)


def _concerned(store: StateStore, text: str) -> Sequence[Order]:
    """Open orders of ours that a replacement may be about, whatever is left of the list: the old one of each has been
    asked to go since the list named it, the new one carries the replacement in its intent's id."""
    return [
        order
        for order in store.orders(_OPEN)
        if order.cancel_requested_at_ms is not None
        or replacements.replaces_another(order.intent_id)
        or order.client_order_id in text
    ]


def clear(store: StateStore, now_ms: int, shown_sha256: str, reason: str) -> str:
    """Put the list aside. Refused where it can be read, where it is not the one that was shown, and while an order that
    it may be about is open."""
    kept = read_kept(store)
    if not kept.why_not:
        count = len(kept.records)
        what = (
            f"{count} open replacement(s) can be read, and the bot brings them to their end" if count else "none lies"
        )
        raise Refused(f"{what}{'' if count else ' there'}; there is nothing to clear")
    if kept.sha256 != shown_sha256:
        raise Refused("another list lies there by now; look again with «btcbot replacements status»")
    if kept.in_the_way:
        named = ", ".join(f"{one.client_order_id} ({one.status})" for one in kept.in_the_way[:_SHOWN])
        if (more := len(kept.in_the_way) - _SHOWN) > 0:
            named += f" and {more} more"
        raise Refused(
            f"{len(kept.in_the_way)} order(s) that it may be about are open: {named}; look at the venue, then "
            "«btcbot orders resolve ID --closed --reason …» or «btcbot orders cancel ID» for each"
        )
    record = PutAside(at_ms=now_ms, reason=reason, text=kept.text)
    with store.transaction() as tx:
        tx.put_value(put_aside(now_ms), msgspec.json.encode(record).decode())
        tx.put_value(OPEN_REPLACEMENTS, "")
    return "put aside; no replacement is open any more. If the bot halted for it: «btcbot resume --reason …»"
