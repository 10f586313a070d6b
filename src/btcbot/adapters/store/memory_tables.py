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


class SortedTable(dict[_K, _V]):
    """Rows that are read in the order of their keys. Whoever writes to one says so in its two attributes; every other
    table is a plain dict, read in the order of writing."""

    __slots__ = ("copy_in_order", "is_sorted")

    def __init__(self) -> None:
        super().__init__()
        #: What was read since the last write.
        self.copy_in_order: Mapping[_K, _V] | None = None
        #: Whether its keys stand in their own order for sure.
        self.is_sorted = True

    def in_order(self) -> Mapping[_K, _V]:
        """A copy in the order of the keys, that no later write changes."""
        copy = self.copy_in_order
        if copy is None:
            if not self.is_sorted:
                # The table itself is put in order, so that the next copies are plain ones.
                rows = sorted(self.items(), key=_key)
                self.clear()
                self.update(rows)
                self.is_sorted = True
            self.copy_in_order = copy = dict(self)
        return copy


def _key(row: tuple[Any, object]) -> Any:
    return row[0]


class Tables:
    """What is stored. Dicts keep the order of insertion, which is the numbering of the SQL tables."""

    def __init__(self) -> None:
        self.identity: dict[None, BookIdentity] = {}
        self.orders: dict[str, Order] = {}
        #: Those of `orders` that are not closed for good: what every cycle asks for, however many are.
        self.live: dict[str, Order] = {}
        self.last_order_times_ms: SortedTable[tuple[str, str], int] = SortedTable()
        self.holds: SortedTable[str, Hold] = SortedTable()
        self.fills: dict[str, Fill] = {}
        self.entries: dict[str, Entry] = {}
        self.balances: dict[Account, SortedTable[str, Decimal]] = {account: SortedTable() for account in Account}
        self.positions: SortedTable[str, Position] = SortedTable()
        self.verdicts: dict[str, tuple[Verdict, ...]] = {}
        self.cycles: dict[str, CycleReport] = {}
        self.forgotten_cycles: dict[None, int] = {}
        #: By kind and number.
        self.notes: dict[NoteKind, dict[int, Note]] = {kind: {} for kind in NoteKind}
        self.discrepancies: dict[None, tuple[Discrepancy, ...]] = {}
        self.values: dict[str, str] = {}
        #: The unit that is open, whose writes have gone in already and may be put back.
        self.unit: object | None = None

    def put_live_in_order(self) -> None:
        """After an order reopened, or a unit was undone: `live` is in the order of `orders` again."""
        kept = {key: order for key, order in self.orders.items() if key in self.live}
        self.live.clear()
        self.live.update(kept)


class Closed(Tables):
    """What a store has left when it is closed: every look at it fails."""

    def __init__(self) -> None:
        """Nothing is there."""

    def __getattr__(self, name: str) -> Any:
        raise StoreFailed("the store is closed")
