"""What a store in memory holds: a dict for each table, and what is known of their order."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.ledger import Account, Entry, Hold
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import OPEN, REOPENABLE, Order
from btcbot.domain.positions import Position
from btcbot.errors import StoreFailed
from btcbot.ports import BookIdentity, Discrepancy

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")
#: Statuses that may still change.
LIVE: Final = OPEN | REOPENABLE


class Tables:
    """What is stored. Dicts keep the order of insertion, which is the numbering of the SQL tables."""

    def __init__(self) -> None:
        self.identity: dict[None, BookIdentity] = {}
        self.orders: dict[str, Order] = {}
        #: Those of `orders` that are not closed for good: what every cycle asks for, however many are.
        self.live: dict[str, Order] = {}
        self.last_order_times_ms: dict[tuple[str, str], int] = {}
        self.holds: dict[str, Hold] = {}
        self.fills: dict[str, Fill] = {}
        self.entries: dict[str, Entry] = {}
        self.balances: dict[Account, dict[str, Decimal]] = {account: {} for account in Account}
        self.positions: dict[str, Position] = {}
        self.verdicts: dict[str, tuple[Verdict, ...]] = {}
        self.cycles: dict[str, CycleReport] = {}
        self.forgotten_cycles: dict[None, int] = {}
        #: By kind and number.
        self.notes: dict[NoteKind, dict[int, Note]] = {kind: {} for kind in NoteKind}
        self.discrepancies: dict[None, tuple[Discrepancy, ...]] = {}
        self.values: dict[str, str] = {}
        #: The unit that is open, whose writes have gone in already and may be put back.
        self.unit: object | None = None
        #: Tables whose keys may stand in another order than their own.
        self.unordered: set[int] = set()
        #: Tables as they were read since the last unit, each in the order of its keys: nothing has changed meanwhile.
        self.copies: dict[int, dict[Any, Any]] = {}

    def put_live_in_order(self) -> None:
        """After an order reopened, or a unit was undone: `live` is in the order of `orders` again."""
        kept = {key: order for key, order in self.orders.items() if key in self.live}
        self.live.clear()
        self.live.update(kept)

    def in_order(self, table: dict[_K, _V]) -> Mapping[_K, _V]:
        """A copy in the order of the keys, that no later write changes."""
        known = self.copies.get(id(table))
        if known is None:
            known = dict(table)
            if id(table) in self.unordered:
                # A new key came in. The table itself is put in order, so that the next copies are plain ones.
                self.unordered.discard(id(table))
                table.clear()
                table.update((key, known[key]) for key in sorted(known))
                known = dict(table)
            if self.unit is None:
                self.copies[id(table)] = known
        return known


class Closed(Tables):
    """What a store has left when it is closed: every look at it fails."""

    def __init__(self) -> None:
        """Nothing is there."""

    def __getattr__(self, name: str) -> Any:
        raise StoreFailed("the store is closed")
