"""Records as columns, as they arise: what the store lets go of becomes rows of typed tables.

Rows wait as the values they are, and are laid into columns some thousands at a time, so that neither memory nor time is
spent on a million small objects. Money is laid down as text and read from it as exact decimals, once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import polars as pl

from btcbot.backtest.events import OF_EVERY_CYCLE, Event
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.ledger import Entry
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import Order
from btcbot.domain.positions import Position, after_fill

#: Exact to 18 decimals: more than prices, quantities and charges of the venue have.
MONEY: Final = pl.Decimal(38, 18)
ROWS_WAITING_MAX: Final = 16_384
#: A word out of few: stored once, told by number.
WORD: Final = pl.Categorical()

_Row = TypeVar("_Row")
#: How the values of one column are read from rows.
Reading = Callable[[Sequence[Any]], list[Any]]
#: Column → its type and its reading.
Layout = Mapping[str, tuple[Any, Reading]]


def _values(name: str) -> Reading:
    read = attrgetter(name)
    return lambda rows: list(map(read, rows))


def _texts(name: str) -> Reading:
    read = attrgetter(name)
    return lambda rows: list(map(str, map(read, rows)))


def _each(read: Callable[[Any], Any]) -> Reading:
    return lambda rows: list(map(read, rows))


def _plain(name: str) -> tuple[Any, Reading]:
    return pl.Int64, _values(name)


def _word(name: str) -> tuple[Any, Reading]:
    return WORD, _values(name)


def _money(name: str) -> tuple[Any, Reading]:
    return MONEY, _texts(name)


def _string(name: str) -> tuple[Any, Reading]:
    return pl.String, _values(name)


def _count(name: str) -> tuple[Any, Reading]:
    return pl.Int32, _each(lambda report: report.counts.get(name, 0))


ORDERS: Final[Layout] = {
    "client_order_id": _string("client_order_id"),
    "cycle_id": _string("cycle_id"),
    "created_at_ms": _plain("created_at_ms"),
    "updated_at_ms": _plain("updated_at_ms"),
    "symbol": _word("symbol"),
    "side": _word("side"),
    "price": _money("price"),
    "quantity": _money("quantity"),
    "filled_quantity": _money("filled_quantity"),
    "status": _word("status"),
    "reason": _string("reason"),
}
FILLS: Final[Layout] = {
    "trade_id": _string("fill.trade_id"),
    "client_order_id": _string("fill.client_order_id"),
    "at_ms": _plain("fill.at_ms"),
    "symbol": _word("fill.symbol"),
    "side": _word("fill.side"),
    "price": _money("fill.price"),
    "quantity": _money("fill.quantity"),
    "fee": _money("fee"),
    "realized_pnl": _money("realized_pnl"),
}
DECISIONS: Final[Layout] = {
    "cycle_id": _string("cycle_id"),
    "at_ms": _plain("at_ms"),
    "symbol": _word("symbol"),
    "side": _word("side"),
    "price": _money("price"),
    "quantity": _money("quantity"),
    "allowed": (pl.Boolean, _values("allowed")),
    "code": _word("code"),
    "detail": _string("detail"),
}
POSTINGS: Final[Layout] = {
    "entry_id": _string("entry.entry_id"),
    "kind": _word("entry.kind"),
    "at_ms": _plain("entry.at_ms"),
    "account": _word("posting.account"),
    "asset": _word("posting.asset"),
    "amount": _money("posting.amount"),
}
CYCLES: Final[Layout] = {
    "number": _plain("number"),
    "cycle_id": _string("cycle_id"),
    "at_ms": _plain("started_at_ms"),
    "outcome": _word("outcome"),
    "reasons": (pl.String, _each(lambda report: "; ".join(report.reasons))),
    "intents": _count("intents"),
    "allowed": _count("allowed"),
    "submitted": _count("submitted"),
    "cancels": _count("cancels"),
    "fills": _count("fills"),
    "equity": (MONEY, _each(lambda report: None if report.equity_try is None else str(report.equity_try))),
}
EVENTS: Final[Layout] = {
    "at_ms": _plain("at_ms"),
    "kind": _word("kind"),
    "cycle_id": _string("cycle_id"),
    "body": _string("body"),
}


class Table(Generic[_Row]):
    """Rows of one kind, laid into columns in portions."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._waiting: list[_Row] = []
        self._parts: list[pl.DataFrame] = []
        self.add = self._waiting.append
        self.count = 0

    def lay(self, *, at_least: int = 1) -> None:
        """Lay down what waits, if it is so much."""
        rows = self._waiting
        if len(rows) < at_least:
            return
        columns = {name: _series(name, kind, read(rows)) for name, (kind, read) in self._layout.items()}
        self._parts.append(pl.DataFrame(columns))
        self.count += len(rows)
        rows.clear()

    def frame(self) -> pl.DataFrame:
        """Everything so far."""
        self.lay()
        if not self._parts:
            return pl.DataFrame(schema={name: kind for name, (kind, _) in self._layout.items()})
        return pl.concat(self._parts, rechunk=False)


def _series(name: str, kind: Any, values: Sequence[Any]) -> pl.Series:
    if kind in (MONEY, WORD):
        return pl.Series(name, values, dtype=pl.String).cast(kind)
    return pl.Series(name, values, dtype=kind)


class _FillRow:
    __slots__ = ("fee", "fill", "realized_pnl")

    def __init__(self, fill: Fill, realized_pnl: Decimal) -> None:
        self.fill = fill
        self.fee = fill.fee + fill.tax
        self.realized_pnl = realized_pnl


class _PostingRow:
    __slots__ = ("entry", "posting")

    def __init__(self, entry: Entry, posting: Any) -> None:
        self.entry = entry
        self.posting = posting


class Records:
    """`Recorder` of a backtest. `keeps_every_note`: those that every cycle writes as well."""

    def __init__(self, *, keeps_every_note: bool = False) -> None:
        self.orders: Table[Order] = Table(ORDERS)
        self.fills: Table[_FillRow] = Table(FILLS)
        self.decisions: Table[Verdict] = Table(DECISIONS)
        self.postings: Table[_PostingRow] = Table(POSTINGS)
        self.cycles: Table[CycleReport] = Table(CYCLES)
        self.events: Table[Event] = Table(EVENTS)
        self._left_out = frozenset[NoteKind]() if keeps_every_note else OF_EVERY_CYCLE
        self._positions: dict[str, Position] = {}
        self.order = self.orders.add
        self.verdict = self.decisions.add
        self.cycle = self.cycles.add
        self.event = self.events.add

    def fill(self, fill: Fill) -> None:
        """With what it realised, folded here once more from the fills alone."""
        before = self._positions.get(fill.symbol) or Position(symbol=fill.symbol)
        after = self._positions[fill.symbol] = after_fill(before, fill)
        self.fills.add(_FillRow(fill, after.realized_pnl - before.realized_pnl))

    def entry(self, entry: Entry) -> None:
        """One row for each of its postings."""
        for posting in entry.postings:
            self.postings.add(_PostingRow(entry, posting))

    def note(self, note: Note) -> None:
        """A note of a cycle, where its kind is kept."""
        if note.kind not in self._left_out:
            self.event(Event(note.kind.value, note.cycle_id, note.at_ms, note.body))

    def lay_what_waits(self) -> None:
        """Now and then: keep the waiting rows few."""
        for table in (self.orders, self.fills, self.decisions, self.postings, self.cycles, self.events):
            table.lay(at_least=ROWS_WAITING_MAX)
