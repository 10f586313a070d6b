"""A store for backtests: what may still change lives in memory, what is over goes into columns.

It is a `MemoryStore`, so that the pipeline finds in it what it finds in a database. After each cycle `drain` hands to a
`Recorder` what is over, and forgets it: a million bars must not pay for a million objects. Whether a trade or an entry
is booked, what is open and what was closed lately stays answered; the whole past is the recorder's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain, islice, takewhile
from typing import Final, Protocol

from btcbot.adapters.store.memory import MemoryStore
from btcbot.adapters.store.memory_tables import LIVE
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.ledger import Entry
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import OPEN, Order

#: Closed orders that are kept at hand: a venue may still tell something of them.
CLOSED_KEPT: Final = 64
#: Orders at hand that make it worth letting go of some.
DRAIN_ORDERS_AT: Final = 512
#: Notes of a kind that are kept at hand: what a part of the bot that looks back asks for.
NOTES_KEPT: Final = 512


class Recorder(Protocol):
    """Takes what is over: each thing once, oldest first."""

    def order(self, order: Order) -> None: ...
    def fill(self, fill: Fill) -> None: ...
    def entry(self, entry: Entry) -> None: ...
    def verdict(self, verdict: Verdict) -> None: ...
    def cycle(self, report: CycleReport) -> None: ...
    def note(self, note: Note) -> None: ...


class RecordingStore(MemoryStore):
    """`StateStore` of one process whose past is told to a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder
        self._fill_ids: set[str] = set()
        self._entry_ids: set[str] = set()
        self._cycles_told = 0
        self._orders_told = 0
        self._last_note_told: dict[NoteKind, Note | None] = dict.fromkeys(NoteKind)
        self._notes_let_go = dict.fromkeys(NoteKind, 0)

    def drain(self) -> None:
        """Between two cycles: tell what is over."""
        state, recorder = self._state, self._recorder
        if state.verdicts:
            for verdict in chain.from_iterable(state.verdicts.values()):
                recorder.verdict(verdict)
            state.verdicts.clear()
        if state.fills:
            for fill in state.fills.values():
                recorder.fill(fill)
            self._fill_ids.update(state.fills)
            state.fills.clear()
        if state.entries:
            for entry in state.entries.values():
                recorder.entry(entry)
            self._entry_ids.update(state.entries)
            state.entries.clear()
        if state.cycles:
            for report in state.cycles.values():
                recorder.cycle(report)
            self._cycles_told += len(state.cycles)
            state.cycles.clear()
        if len(state.orders) > DRAIN_ORDERS_AT:
            self._tell_orders(CLOSED_KEPT)
        self._tell_notes(NOTES_KEPT)

    def tell_all(self) -> None:
        """At the end: everything, open orders too."""
        self.drain()
        self._tell_notes(0)
        self._tell_orders(0)
        for order in self._state.orders.values():
            self._recorder.order(order)

    def _tell_orders(self, kept: int) -> None:
        """Let go of orders that are closed for good, oldest first; the newest `kept` stay at hand."""
        orders = self._state.orders
        over = [order for order in orders.values() if order.status not in LIVE]
        for order in over[: len(over) - kept]:
            self._recorder.order(order)
            del orders[order.client_order_id]
            self._orders_told += 1

    def _tell_notes(self, kept: int) -> None:
        """Tell what is new, before somebody forgets it with the reports of old cycles; let go of all but the newest
        `kept` of each kind."""
        for kind, table in self._state.notes.items():
            last = self._last_note_told[kind]
            fresh = list(takewhile(lambda note: note is not last, reversed(table.values())))  # noqa: B023 - used at once
            if fresh:
                for note in reversed(fresh):
                    self._recorder.note(note)
                self._last_note_told[kind] = fresh[0]
            for number in list(islice(table, max(len(table) - kept, 0))):
                del table[number]
                self._notes_let_go[kind] += 1

    def open_orders(self) -> Collection[Order]:
        """Those that are open now, oldest first."""
        return [order for order in self._state.live.values() if order.status in OPEN]

    def has_fill(self, trade_id: str) -> bool:
        return trade_id in self._state.fills or trade_id in self._fill_ids

    def fill_count(self) -> int:
        return len(self._fill_ids) + super().fill_count()

    def fills_after(self, count: int) -> Sequence[Fill]:
        """Those that are still at hand."""
        return super().fills_after(count - len(self._fill_ids))

    def note_count(self, kind: NoteKind) -> int:
        return self._notes_let_go[kind] + super().note_count(kind)

    def has_entry(self, entry_id: str) -> bool:
        return entry_id in self._state.entries or entry_id in self._entry_ids

    def entry_count(self) -> int:
        return len(self._entry_ids) + super().entry_count()

    def order_count(self) -> int:
        return self._orders_told + super().order_count()

    def cycle_count(self) -> int:
        return self._cycles_told + super().cycle_count()
