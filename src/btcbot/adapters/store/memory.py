"""The StateStore contract in plain dicts: nothing survives the process, everything else is the same.

For backtests, where a million bars should not pay for a database, and as the second opinion in the contract tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import dropwhile, islice
from typing import TypeVar

from btcbot.adapters.store.memory_tables import LIVE, Closed, Tables
from btcbot.adapters.store.memory_unit import MemoryTransaction
from btcbot.adapters.store.sql import TRADING_STATE, TRADING_STATE_REASON, trading_state_of
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.ledger import Account, Entry, Hold
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.ports import BookIdentity, Discrepancy

_V = TypeVar("_V")


class MemoryStore:
    """A StateStore that forgets everything at `close`."""

    def __init__(self) -> None:
        self._state = Tables()
        self._trading_state: tuple[str | None, str | None, tuple[TradingState, str]]
        self._trading_state = (None, None, trading_state_of(self.value))

    def __repr__(self) -> str:
        if isinstance(self._state, Closed):
            return "<MemoryStore, closed>"
        return f"<MemoryStore of {len(self._state.orders)} orders, {len(self._state.fills)} fills>"

    def transaction(self) -> MemoryTransaction:
        return MemoryTransaction(self._state)

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
        return self._state.last_order_times_ms.in_order()

    def holds(self) -> Mapping[str, Hold]:
        return self._state.holds.in_order()

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
        return self._state.balances[account].in_order()

    def positions(self) -> Mapping[str, Position]:
        return self._state.positions.in_order()

    def verdicts(self, cycle_id: str) -> Sequence[Verdict]:
        return list(self._state.verdicts.get(cycle_id, ()))

    def cycles(self, limit: int, before: str | None = None) -> Sequence[CycleReport]:
        if before is None:
            return _newest(self._state.cycles, limit)[::-1]
        older = dropwhile(lambda one: one.cycle_id != before, reversed(self._state.cycles.values()))
        return list(islice(older, 1, 1 + limit))

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
        self._state = Closed()


@lru_cache(maxsize=64)
def _wanted(statuses: tuple[OrderStatus, ...]) -> tuple[frozenset[OrderStatus], bool]:
    """A choice of statuses, and whether orders of all of them may still change. The same few are asked for always."""
    wanted = frozenset(statuses)
    return wanted, wanted <= LIVE


def _at_ms(fill: Fill) -> int:
    return fill.at_ms


def _newest(table: dict[str, _V], limit: int) -> list[_V]:
    """The last `limit`, oldest first."""
    return list(islice(reversed(table.values()), max(limit, 0)))[::-1]
