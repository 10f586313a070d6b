"""The StateStore contract in plain dicts: nothing survives the process, everything else is the same.

For backtests, where a million bars should not pay for a database, and as the second opinion in the contract tests.
Units are undone with a log of what to put back, so that a write costs the same however much is stored.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from types import TracebackType
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from btcbot.adapters.store.sql import TRADING_STATE, TRADING_STATE_REASON, misuse, trading_state_of
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.ledger import Account, Entry, Hold
from btcbot.domain.notes import NEVER_FORGOTTEN, Note, NoteKind
from btcbot.domain.orders import OPEN, REOPENABLE, Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.errors import StoreFailed
from btcbot.ports import BookIdentity, Discrepancy

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")
#: Statuses that may still change.
LIVE: Final = OPEN | REOPENABLE
_TOO_LATE: Final = "a write came after its unit had ended"
_ABSENT: Final[Any] = object()
#: Instead of a key: the whole table is to be put back.
_WHOLE: Final[Any] = object()


class _State:
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

    def put_live_in_order(self) -> None:
        """After an order reopened, or a unit was undone: `live` is in the order of `orders` again."""
        kept = {key: order for key, order in self.orders.items() if key in self.live}
        self.live.clear()
        self.live.update(kept)


class _Closed(_State):
    """What a store has left when it is closed: every look at it fails."""

    def __init__(self) -> None:
        """Nothing is there."""

    def __getattr__(self, name: str) -> Any:
        raise StoreFailed("the store is closed")


class MemoryTransaction:
    """One unit: writes go in at once, and are put back when the unit fails."""

    __slots__ = ("_failed", "_is_open", "_state", "_store", "_undo")

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._state = store._state
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._failed: StoreFailed | None = None
        self._is_open = False

    def __enter__(self) -> MemoryTransaction:
        store = self._store
        if store._unit is not None:
            raise misuse("a unit began inside another")
        if isinstance(self._state, _Closed):
            raise StoreFailed("the store is closed")
        store._unit = self
        if store._sorted:
            store._sorted = {}
        self._is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store._unit = None
        self._is_open = False
        if kind is not None or self._failed is not None:
            self._put_back()
            if kind is None and self._failed is not None:
                raise self._failed

    def insert_order(self, order: Order) -> None:
        if order.client_order_id in self._state.orders:
            raise self._fail(f"order {order.client_order_id} exists already")
        if order.quantity <= 0 or order.filled_quantity < 0:
            raise self._fail(f"order {order.client_order_id} has no positive quantity")
        self._put_order(order)
        if order.status is not OrderStatus.DENIED:
            times, key = self._state.last_order_times_ms, (order.symbol, order.side.value)
            last_ms = times.get(key)
            if last_ms is None or last_ms < order.created_at_ms:
                self._put(times, key, order.created_at_ms)

    def update_order(self, order: Order) -> None:
        before = self._state.orders.get(order.client_order_id)
        if before is None:
            raise self._fail(f"order {order.client_order_id} cannot be updated: there is no such order")
        if order.filled_quantity < 0:
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

    def _put_order(self, order: Order) -> None:
        state, key = self._state, order.client_order_id
        reopens = key in state.orders and key not in state.live
        self._put(state.orders, key, order)
        if order.status in LIVE:
            self._put(state.live, key, order)
            if reopens:
                state.put_live_in_order()
        else:
            self._drop(state.live, key)

    def _forget_time_of(self, denied: Order) -> None:
        """A denied order starts no cooldown: the time of the one before it counts again."""
        key = (denied.symbol, denied.side.value)
        times = [
            order.created_at_ms
            for order in self._state.orders.values()
            if (order.symbol, order.side.value) == key and order.status is not OrderStatus.DENIED
        ]
        if times:
            self._put(self._state.last_order_times_ms, key, max(times))
        else:
            self._drop(self._state.last_order_times_ms, key)

    def put_hold(self, hold: Hold) -> None:
        if not hold.amount:
            self._drop(self._state.holds, hold.client_order_id)
            return
        if hold.client_order_id not in self._state.orders or hold.amount < 0:
            raise self._fail(f"the hold of {hold.client_order_id} is negative or belongs to no order")
        self._put(self._state.holds, hold.client_order_id, hold)

    def insert_fill(self, fill: Fill) -> bool:
        self._demand_open()
        if fill.trade_id in self._state.fills:
            return False
        if fill.client_order_id not in self._state.orders or fill.quantity <= 0:
            raise self._fail(f"fill {fill.trade_id} is empty or belongs to no order")
        self._put(self._state.fills, fill.trade_id, fill)
        return True

    def insert_entry(self, entry: Entry) -> bool:
        self._demand_open()
        if entry.entry_id in self._state.entries:
            return False
        self._put(self._state.entries, entry.entry_id, entry)
        balances, undo = self._state.balances, self._undo
        for posting in entry.postings:
            of_account, asset = balances[posting.account], posting.asset
            before = of_account.get(asset)
            if before is None:
                undo.append((of_account, asset, _ABSENT))
                self._store._unordered.add(id(of_account))
                of_account[asset] = posting.amount
            else:
                undo.append((of_account, asset, before))
                of_account[asset] = before + posting.amount
        return True

    def put_position(self, position: Position) -> None:
        if position.quantity < 0:
            raise self._fail(f"the position of {position.symbol} is negative")
        self._put(self._state.positions, position.symbol, position)

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
        if not self._is_open:
            raise misuse(_TOO_LATE)
        before = table.get(key, _ABSENT)
        self._undo.append((table, key, before))
        if before is _ABSENT:
            self._store._unordered.add(id(table))
        table[key] = value

    def _drop(self, table: dict[_K, _V], key: _K) -> None:
        if not self._is_open:
            raise misuse(_TOO_LATE)
        before = table.pop(key, _ABSENT)
        if before is not _ABSENT:
            self._undo.append((table, key, before))

    def _keep_from(self, table: dict[str, _V], first_kept: str) -> None:
        self._drop_all(table, [key for key in table if key < first_kept])

    def _drop_all(self, table: dict[_K, _V], keys: Sequence[_K]) -> None:
        """Many at once; put back, they stand where they stood."""
        self._demand_open()
        if keys:
            self._undo.append((table, _WHOLE, dict(table)))
            for key in keys:
                del table[key]

    def _demand_open(self) -> None:
        if not self._is_open:
            raise misuse(_TOO_LATE)

    def _fail(self, why: str) -> StoreFailed:
        self._demand_open()
        self._failed = StoreFailed(why)
        return self._failed

    def _put_back(self) -> None:
        """As if nothing had been written."""
        for table, key, before in reversed(self._undo):
            if key is _WHOLE:
                table.clear()
                table.update(before)  # in the order of writing, which is the order of reading
            elif before is _ABSENT:
                del table[key]
            else:
                table[key] = before
            self._store._unordered.add(id(table))
        self._state.put_live_in_order()


class MemoryStore:
    """A StateStore that forgets everything at `close`."""

    def __init__(self) -> None:
        self._state = _State()
        self._unit: MemoryTransaction | None = None
        #: Tables as they were read since the last unit, each in the order of its keys: nothing has changed meanwhile.
        self._sorted: dict[int, dict[Any, Any]] = {}
        #: Tables whose keys may stand in another order than their own.
        self._unordered: set[int] = set()
        self._trading_state: tuple[str | None, str | None, tuple[TradingState, str]]
        self._trading_state = (None, None, trading_state_of(self.value))

    def __repr__(self) -> str:
        if isinstance(self._state, _Closed):
            return "<MemoryStore, closed>"
        return f"<MemoryStore of {len(self._state.orders)} orders, {len(self._state.fills)} fills>"

    def transaction(self) -> MemoryTransaction:
        return MemoryTransaction(self)

    def identity(self) -> BookIdentity | None:
        return self._state.identity.get(None)

    def order(self, client_order_id: str) -> Order | None:
        return self._state.orders.get(client_order_id)

    def order_by_venue_id(self, venue_order_id: str) -> Order | None:
        newest_first = reversed(self._state.orders.values())
        return next((order for order in newest_first if order.venue_order_id == venue_order_id), None)

    def orders(self, statuses: Sequence[OrderStatus], since_ms: int = 0) -> Sequence[Order]:
        state, (wanted, are_live) = self._state, _wanted(tuple(statuses))
        table = state.live if are_live else state.orders
        if not table:
            return []
        return [order for order in table.values() if order.status in wanted and order.updated_at_ms >= since_ms]

    def recent_orders(self, limit: int) -> Sequence[Order]:
        return _newest(self._state.orders, limit)[::-1]

    def order_count(self) -> int:
        return len(self._state.orders)

    def last_order_times_ms(self) -> Mapping[tuple[str, str], int]:
        return self._in_order(self._state.last_order_times_ms)

    def holds(self) -> Mapping[str, Hold]:
        return self._in_order(self._state.holds)

    def has_fill(self, trade_id: str) -> bool:
        return trade_id in self._state.fills

    def fills(self, since_ms: int = 0, limit: int | None = None) -> Sequence[Fill]:
        found = [fill for fill in self._state.fills.values() if fill.at_ms >= since_ms]
        found.sort(key=_at_ms)  # stable: fills of one moment stay in the order of booking
        return found if limit is None else found[max(len(found) - limit, 0) :]

    def fills_of(self, client_order_id: str) -> Sequence[Fill]:
        found = [fill for fill in self._state.fills.values() if fill.client_order_id == client_order_id]
        return sorted(found, key=_at_ms)

    def fill_count(self) -> int:
        return len(self._state.fills)

    def fills_after(self, count: int) -> Sequence[Fill]:
        return _newest(self._state.fills, len(self._state.fills) - count)

    def has_entry(self, entry_id: str) -> bool:
        return entry_id in self._state.entries

    def entry(self, entry_id: str) -> Entry | None:
        return self._state.entries.get(entry_id)

    def entries(self, limit: int | None = None) -> Sequence[Entry]:
        return list(self._state.entries.values()) if limit is None else _newest(self._state.entries, limit)

    def entry_count(self) -> int:
        return len(self._state.entries)

    def account_balances(self, account: Account) -> Mapping[str, Decimal]:
        return self._in_order(self._state.balances[account])

    def positions(self) -> Mapping[str, Position]:
        return self._in_order(self._state.positions)

    def verdicts(self, cycle_id: str) -> Sequence[Verdict]:
        return list(self._state.verdicts.get(cycle_id, ()))

    def cycles(self, limit: int) -> Sequence[CycleReport]:
        return _newest(self._state.cycles, limit)[::-1]

    def cycle(self, cycle_id: str) -> CycleReport | None:
        return self._state.cycles.get(cycle_id)

    def cycle_count(self) -> int:
        return len(self._state.cycles) + self._state.forgotten_cycles.get(None, 0)

    def notes(self, kind: NoteKind, limit: int | None = None, since_ms: int = 0) -> Sequence[Note]:
        wanted = (note for note in reversed(self._state.notes[kind].values()) if note.at_ms >= since_ms)
        return list(islice(wanted, limit))[::-1]

    def note_count(self, kind: NoteKind) -> int:
        return len(self._state.notes[kind])

    def discrepancies(self) -> Sequence[Discrepancy]:
        return list(self._state.discrepancies.get(None, ()))

    def value(self, key: str) -> str | None:
        return self._state.values.get(key)

    def values(self, prefix: str) -> Mapping[str, str]:
        return {key: value for key, value in sorted(self._state.values.items()) if key.startswith(prefix)}

    def trading_state(self) -> tuple[TradingState, str]:
        values, known = self._state.values, self._trading_state
        state, reason = values.get(TRADING_STATE), values.get(TRADING_STATE_REASON)
        if known[0] is not state or known[1] is not reason:
            self._trading_state = known = (state, reason, trading_state_of(self.value))
        return known[2]

    def close(self) -> None:
        self._state = _Closed()

    def _in_order(self, table: dict[_K, _V]) -> Mapping[_K, _V]:
        """A copy in the order of the keys, that no later write changes."""
        known = self._sorted.get(id(table))
        if known is None:
            known = dict(table)
            if id(table) in self._unordered:
                # A new key came in. The table itself is put in order, so that the next copies are plain ones.
                self._unordered.discard(id(table))
                table.clear()
                table.update((key, known[key]) for key in sorted(known))
                known = dict(table)
            if self._unit is None:
                self._sorted[id(table)] = known
        return known


@lru_cache(maxsize=64)
def _wanted(statuses: tuple[OrderStatus, ...]) -> tuple[frozenset[OrderStatus], bool]:
    """A choice of statuses, and whether orders of all of them may still change. The same few are asked for always."""
    wanted = frozenset(statuses)
    return wanted, wanted <= LIVE


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


def _at_ms(fill: Fill) -> int:
    return fill.at_ms


def _newest(table: dict[str, _V], limit: int) -> list[_V]:
    """The last `limit`, oldest first."""
    return list(islice(reversed(table.values()), max(limit, 0)))[::-1]
