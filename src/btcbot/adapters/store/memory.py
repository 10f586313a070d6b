"""The StateStore contract in plain dicts: nothing survives the process, everything else is the same.

For backtests, where a million bars should not pay for a database, and as the second opinion in the contract tests.
Units are undone with a log of what to put back, so that a write costs the same however much is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from btcbot.adapters.store.sql import misuse, trading_state_of
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.ledger import Account, Entry, Hold
from btcbot.domain.money import ZERO
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.errors import StoreFailed
from btcbot.ports import BookIdentity, Discrepancy

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")
_ABSENT: Final[Any] = object()


class _State:
    """What is stored. Dicts keep the order of insertion, which is the numbering of the SQL tables."""

    def __init__(self) -> None:
        self.identity: dict[None, BookIdentity] = {}
        self.orders: dict[str, Order] = {}
        self.holds: dict[str, Hold] = {}
        self.fills: dict[str, Fill] = {}
        self.entries: dict[str, Entry] = {}
        self.balances: dict[tuple[Account, str], Decimal] = {}
        self.positions: dict[str, Position] = {}
        self.verdicts: dict[str, tuple[Verdict, ...]] = {}
        self.cycles: dict[str, CycleReport] = {}
        self.forgotten_cycles: dict[None, int] = {}
        self.discrepancies: dict[None, tuple[Discrepancy, ...]] = {}
        self.values: dict[str, str] = {}


class MemoryTransaction:
    """One unit: writes go in at once, and are put back when the unit fails."""

    __slots__ = ("_failed", "_is_open", "_state", "_undo")

    def __init__(self, state: _State) -> None:
        self._state = state
        self._undo: list[Callable[[], object]] = []
        self._failed: StoreFailed | None = None
        self._is_open = True

    def insert_order(self, order: Order) -> None:
        if order.client_order_id in self._state.orders:
            raise self._fail(f"order {order.client_order_id} exists already")
        if order.quantity <= 0 or order.filled_quantity < 0:
            raise self._fail(f"order {order.client_order_id} has no positive quantity")
        self._put(self._state.orders, order.client_order_id, order)

    def update_order(self, order: Order) -> None:
        before = self._state.orders.get(order.client_order_id)
        if before is None:
            raise self._fail(f"order {order.client_order_id} cannot be updated: there is no such order")
        if order.filled_quantity < 0:
            raise self._fail(f"order {order.client_order_id} has a negative filled quantity")
        after = replace(
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
        self._put(self._state.orders, order.client_order_id, after)

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
        for posting in entry.postings:
            key = (posting.account, posting.asset)
            self._put(self._state.balances, key, self._state.balances.get(key, ZERO) + posting.amount)
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

    def forget_cycles_before(self, cycle_id: str) -> None:
        forgotten = sum(one < cycle_id for one in self._state.cycles)
        self._put(self._state.forgotten_cycles, None, self._state.forgotten_cycles.get(None, 0) + forgotten)
        self._keep_from(self._state.verdicts, cycle_id)
        self._keep_from(self._state.cycles, cycle_id)

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
        self._demand_open()
        before = table.get(key, _ABSENT)
        if before is _ABSENT:
            self._undo.append(lambda: table.pop(key))
        else:
            self._undo.append(lambda: table.__setitem__(key, before))
        table[key] = value

    def _drop(self, table: dict[_K, _V], key: _K) -> None:
        self._demand_open()
        if key in table:
            before = table.pop(key)
            self._undo.append(lambda: table.__setitem__(key, before))

    def _keep_from(self, table: dict[str, _V], first_kept: str) -> None:
        self._demand_open()
        before = dict(table)

        def put_back() -> None:
            table.clear()
            table.update(before)  # in the order of writing, which is the order of reading

        self._undo.append(put_back)
        for key in [key for key in table if key < first_kept]:
            del table[key]

    def _demand_open(self) -> None:
        if not self._is_open:
            raise misuse("a write came after its unit had ended")

    def _fail(self, why: str) -> StoreFailed:
        self._demand_open()
        self._failed = StoreFailed(why)
        return self._failed

    def end(self, *, keep: bool) -> StoreFailed | None:
        """Close the unit; the failure that forced a rollback although the caller wanted to keep."""
        self._is_open = False
        if keep and self._failed is None:
            return None
        for put_back in reversed(self._undo):
            put_back()
        return self._failed if keep else None


class _Unit:
    """`with store.transaction() as tx`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __enter__(self) -> MemoryTransaction:
        return self._store._begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = self._store._end(keep=kind is None)
        if failed is not None:
            raise failed


class MemoryStore:
    """A StateStore that forgets everything at `close`."""

    def __init__(self) -> None:
        self._state = _State()
        self._unit: MemoryTransaction | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._state.orders)} orders, {len(self._state.fills)} fills>"

    def transaction(self) -> _Unit:
        return _Unit(self)

    def _begin(self) -> MemoryTransaction:
        if self._unit is not None:
            raise misuse("a unit began inside another")
        if self._is_closed:
            raise StoreFailed("the store is closed")
        self._unit = MemoryTransaction(self._state)
        return self._unit

    def _end(self, *, keep: bool) -> StoreFailed | None:
        unit, self._unit = self._unit, None
        assert unit is not None
        return unit.end(keep=keep)

    @property
    def _read(self) -> _State:
        if self._is_closed:
            raise StoreFailed("the store is closed")
        return self._state

    def identity(self) -> BookIdentity | None:
        return self._read.identity.get(None)

    def order(self, client_order_id: str) -> Order | None:
        return self._read.orders.get(client_order_id)

    def order_by_venue_id(self, venue_order_id: str) -> Order | None:
        newest_first = reversed(self._read.orders.values())
        return next((order for order in newest_first if order.venue_order_id == venue_order_id), None)

    def orders(self, statuses: Sequence[OrderStatus], since_ms: int = 0) -> Sequence[Order]:
        wanted = frozenset(statuses)
        return [
            order for order in self._read.orders.values() if order.status in wanted and order.updated_at_ms >= since_ms
        ]

    def recent_orders(self, limit: int) -> Sequence[Order]:
        return _newest(self._read.orders, limit)[::-1]

    def order_count(self) -> int:
        return len(self._read.orders)

    def last_order_times_ms(self) -> Mapping[tuple[str, str], int]:
        newest: dict[tuple[str, str], int] = {}
        for order in self._read.orders.values():
            if order.status is not OrderStatus.DENIED:
                key = (order.symbol, order.side.value)
                newest[key] = max(newest.get(key, order.created_at_ms), order.created_at_ms)
        return newest

    def holds(self) -> Mapping[str, Hold]:
        return dict(sorted(self._read.holds.items()))

    def has_fill(self, trade_id: str) -> bool:
        return trade_id in self._read.fills

    def fills(self, since_ms: int = 0, limit: int | None = None) -> Sequence[Fill]:
        found = [fill for fill in self._read.fills.values() if fill.at_ms >= since_ms]
        found.sort(key=_at_ms)  # stable: fills of one moment stay in the order of booking
        return found if limit is None else found[max(len(found) - limit, 0) :]

    def fills_of(self, client_order_id: str) -> Sequence[Fill]:
        found = [fill for fill in self._read.fills.values() if fill.client_order_id == client_order_id]
        return sorted(found, key=_at_ms)

    def fill_count(self) -> int:
        return len(self._read.fills)

    def has_entry(self, entry_id: str) -> bool:
        return entry_id in self._read.entries

    def entry(self, entry_id: str) -> Entry | None:
        return self._read.entries.get(entry_id)

    def entries(self, limit: int | None = None) -> Sequence[Entry]:
        return list(self._read.entries.values()) if limit is None else _newest(self._read.entries, limit)

    def entry_count(self) -> int:
        return len(self._read.entries)

    def account_balances(self, account: Account) -> Mapping[str, Decimal]:
        return {asset: sum_ for (of, asset), sum_ in sorted(self._read.balances.items()) if of is account}

    def positions(self) -> Mapping[str, Position]:
        return dict(sorted(self._read.positions.items()))

    def verdicts(self, cycle_id: str) -> Sequence[Verdict]:
        return list(self._read.verdicts.get(cycle_id, ()))

    def cycles(self, limit: int) -> Sequence[CycleReport]:
        return _newest(self._read.cycles, limit)[::-1]

    def cycle(self, cycle_id: str) -> CycleReport | None:
        return self._read.cycles.get(cycle_id)

    def cycle_count(self) -> int:
        return len(self._read.cycles) + self._read.forgotten_cycles.get(None, 0)

    def discrepancies(self) -> Sequence[Discrepancy]:
        return list(self._read.discrepancies.get(None, ()))

    def value(self, key: str) -> str | None:
        return self._read.values.get(key)

    def trading_state(self) -> tuple[TradingState, str]:
        return trading_state_of(self.value)

    def close(self) -> None:
        self._is_closed = True


def _at_ms(fill: Fill) -> int:
    return fill.at_ms


def _newest(table: Mapping[str, _V], limit: int) -> list[_V]:
    """The last `limit`, oldest first."""
    values = list(table.values())
    return values[max(len(values) - limit, 0) :]
