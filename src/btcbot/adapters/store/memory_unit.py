"""One atomic unit of a store in memory: writes go in at once, with a log of what to put back should the unit fail.

A write costs the same however much is stored.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from btcbot.adapters.store.memory_tables import LIVE, SortedTable, Tables
from btcbot.adapters.store.sql import misuse
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.ledger import Entry, Hold
from btcbot.domain.money import ZERO
from btcbot.domain.notes import NEVER_FORGOTTEN, Note
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.errors import StoreFailed
from btcbot.ports import BookIdentity, Discrepancy

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")
#: A table, a key and what stood there before.
_Step = tuple[dict[Any, Any], Any, Any]
_TOO_LATE: Final = "a write came after its unit had ended"
_ABSENT: Final[Any] = object()
#: Instead of a key: the whole table is to be put back.
_WHOLE: Final[Any] = object()


class MemoryTransaction(Struct):
    """One unit: writes go in at once, and are put back when the unit fails. A Struct, because it is made so often."""

    _state: Tables
    #: What to put back should the unit fail; None before it has begun, and when it has ended.
    _undo: list[_Step] | None = None
    _failed: StoreFailed | None = None

    def __enter__(self) -> MemoryTransaction:
        state = self._state
        if state.unit is not None:  # StoreFailed where the store is closed
            raise misuse("a unit began inside another")
        state.unit = self
        self._undo = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        undo = self._steps()
        self._state.unit = self._undo = None
        if kind is not None or self._failed is not None:
            self._put_back(undo)
            if kind is None and self._failed is not None:
                raise self._failed

    def insert_order(self, order: Order) -> None:
        if order.client_order_id in self._state.orders:
            raise self._fail(f"order {order.client_order_id} exists already")
        if order.quantity <= ZERO or order.filled_quantity < ZERO:
            raise self._fail(f"order {order.client_order_id} has no positive quantity")
        self._put_order(order)
        if order.status is not OrderStatus.DENIED:
            self._note_time_of(order)

    def update_order(self, order: Order) -> None:
        before = self._state.orders.get(order.client_order_id)
        if before is None:
            raise self._fail(f"order {order.client_order_id} cannot be updated: there is no such order")
        if order.filled_quantity < ZERO:
            raise self._fail(f"order {order.client_order_id} has a negative filled quantity")
        after = (
            order
            if _was_wished_alike(before, order)
            else replace(
                before,
                status=order.status,
                updated_at_ms=order.updated_at_ms,
                filled_quantity=order.filled_quantity,
                venue_order_id=order.venue_order_id,
                stamp_ms=order.stamp_ms,
                reason=order.reason,
                cancel_requested_at_ms=order.cancel_requested_at_ms,
                absent_count=order.absent_count,
                absent_since_ms=order.absent_since_ms,
            )
        )
        self._put_order(after)
        if after.status is OrderStatus.DENIED:
            self._forget_time_of(after)
        elif before.status is OrderStatus.DENIED:
            self._note_time_of(after)

    def _put_order(self, order: Order) -> None:
        state, key = self._state, order.client_order_id
        if order.status in LIVE:
            reopens = key in state.orders and key not in state.live
            self._put(state.orders, key, order)
            self._put(state.live, key, order)
            if reopens:
                state.put_live_in_order()
        else:
            self._put(state.orders, key, order)
            self._drop(state.live, key)

    def _note_time_of(self, order: Order) -> None:
        times, key = self._state.last_order_times_ms, (order.symbol, order.side)
        last_ms = times.get(key)
        if last_ms is None or last_ms < order.created_at_ms:
            self._put_sorted(times, key, order.created_at_ms)

    def _forget_time_of(self, denied: Order) -> None:
        """A denied order starts no cooldown: the time of the one before it counts again."""
        key = (denied.symbol, denied.side)
        times = [
            order.created_at_ms
            for order in self._state.orders.values()
            if (order.symbol, order.side) == key and order.status is not OrderStatus.DENIED
        ]
        if times:
            self._put_sorted(self._state.last_order_times_ms, key, max(times))
        else:
            self._drop_sorted(self._state.last_order_times_ms, key)

    def put_hold(self, hold: Hold) -> None:
        if not hold.amount:
            self._drop_sorted(self._state.holds, hold.client_order_id)
            return
        if hold.client_order_id not in self._state.orders or hold.amount < ZERO:
            raise self._fail(f"the hold of {hold.client_order_id} is negative or belongs to no order")
        self._put_sorted(self._state.holds, hold.client_order_id, hold)

    def insert_fill(self, fill: Fill) -> bool:
        self._steps()
        if fill.trade_id in self._state.fills:
            return False
        if fill.client_order_id not in self._state.orders or fill.quantity <= ZERO:
            raise self._fail(f"fill {fill.trade_id} is empty or belongs to no order")
        self._put(self._state.fills, fill.trade_id, fill)
        return True

    def insert_entry(self, entry: Entry) -> bool:
        undo = self._steps()
        if entry.entry_id in self._state.entries:
            return False
        self._put(self._state.entries, entry.entry_id, entry)
        balances = self._state.balances
        for posting in entry.postings:
            of_account, asset = balances[posting.account], posting.asset
            before = of_account.get(asset)
            if before is None:
                undo.append((of_account, asset, _ABSENT))
                of_account.is_sorted = False
                of_account[asset] = posting.amount
            else:
                undo.append((of_account, asset, before))
                of_account[asset] = before + posting.amount
            of_account.copy_in_order = None
        return True

    def put_position(self, position: Position) -> None:
        if position.quantity < ZERO:
            raise self._fail(f"the position of {position.symbol} is negative")
        self._put_sorted(self._state.positions, position.symbol, position)

    def insert_verdict(self, verdict: Verdict) -> None:
        given = self._state.verdicts.get(verdict.cycle_id, ())
        self._put(self._state.verdicts, verdict.cycle_id, (*given, verdict))

    def insert_cycle(self, report: CycleReport) -> None:
        if report.cycle_id in self._state.cycles:
            raise self._fail(f"cycle {report.cycle_id} exists already")
        self._put(self._state.cycles, report.cycle_id, report)

    def insert_note(self, note: Note) -> None:
        table = self._state.notes[note.kind]
        self._put(table, next(reversed(table), 0) + 1, note)

    def forget_cycles_before(self, cycle_id: str) -> None:
        forgotten = sum(one < cycle_id for one in self._state.cycles)
        self._put(self._state.forgotten_cycles, None, self._state.forgotten_cycles.get(None, 0) + forgotten)
        self._keep_from(self._state.verdicts, cycle_id)
        self._keep_from(self._state.cycles, cycle_id)
        for kind, table in self._state.notes.items():
            if kind not in NEVER_FORGOTTEN:
                forgotten_notes = [key for key, note in table.items() if "" < note.cycle_id < cycle_id]
                self._drop_all(table, forgotten_notes)

    def put_discrepancies(self, discrepancies: Sequence[Discrepancy]) -> None:
        if len({discrepancy.asset for discrepancy in discrepancies}) < len(discrepancies):
            raise self._fail("an asset has two discrepancies")
        by_asset = tuple(sorted(discrepancies, key=lambda discrepancy: discrepancy.asset))
        self._put(self._state.discrepancies, None, by_asset)

    def put_value(self, key: str, value: str) -> None:
        self._put(self._state.values, key, value)

    def put_identity(self, identity: BookIdentity) -> None:
        self._put(self._state.identity, None, identity)

    def _put(self, table: dict[_K, _V], key: _K, value: _V) -> None:
        undo = self._undo
        if undo is None:
            raise misuse(_TOO_LATE)
        undo.append((table, key, table.get(key, _ABSENT)))
        table[key] = value

    def _put_sorted(self, table: SortedTable[_K, _V], key: _K, value: _V) -> None:
        if key not in table:
            table.is_sorted = False
        table.copy_in_order = None
        self._put(table, key, value)

    def _drop(self, table: dict[_K, _V], key: _K) -> None:
        undo = self._steps()
        before = table.pop(key, _ABSENT)
        if before is not _ABSENT:
            undo.append((table, key, before))

    def _drop_sorted(self, table: SortedTable[_K, _V], key: _K) -> None:
        table.copy_in_order = None
        self._drop(table, key)

    def _keep_from(self, table: dict[str, _V], first_kept: str) -> None:
        self._drop_all(table, [key for key in table if key < first_kept])

    def _drop_all(self, table: dict[_K, _V], keys: Sequence[_K]) -> None:
        """Many at once; put back, they stand where they stood."""
        undo = self._steps()
        if keys:
            undo.append((table, _WHOLE, dict(table)))
            for key in keys:
                del table[key]

    def _steps(self) -> list[_Step]:
        """What is to be put back; the unit has begun and not ended."""
        if self._undo is None:
            raise misuse(_TOO_LATE)
        return self._undo

    def _fail(self, why: str) -> StoreFailed:
        self._steps()
        self._failed = StoreFailed(why)
        return self._failed

    def _put_back(self, undo: Sequence[_Step]) -> None:
        """As if nothing had been written."""
        for table, key, before in reversed(undo):
            if key is _WHOLE:
                table.clear()
                table.update(before)  # in the order of writing, which is the order of reading
            elif before is _ABSENT:
                del table[key]
            else:
                table[key] = before
            if isinstance(table, SortedTable):
                table.copy_in_order, table.is_sorted = None, False
        self._state.put_live_in_order()


def _was_wished_alike(before: Order, after: Order) -> bool:
    """Whether everything that never changes is the very same: then a step of an order may be kept as it is."""
    return (
        after.price is before.price
        and after.quantity is before.quantity
        and after.created_at_ms == before.created_at_ms
        and after.intent_id is before.intent_id
        and after.cycle_id is before.cycle_id
        and after.side is before.side
        and after.symbol is before.symbol
        and after.strategy is before.strategy
    )
