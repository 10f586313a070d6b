"""Records as columns, as they arise: what the store lets go of becomes rows of typed tables.

What a table tells of its rows is taken out of them soon, while they are still at hand, and the rows are let go; the
values are laid into typed columns some thousands at a time. So neither memory nor time is spent on a million small
objects. Money is laid down as text and read from it as exact decimals, once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain, repeat
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
#: How the values of one column are read from rows. Rows differ from table to table, values from column to column.
Reading = Callable[[Sequence[Any]], Iterable[Any]]
#: The type of a column, as polars takes it.
Kind = pl.DataType | type[pl.DataType]
#: Column → its type and its reading.
Layout = Mapping[str, tuple[Kind, Reading]]


def _values(name: str) -> Reading:
    read = attrgetter(name)
    return lambda rows: map(read, rows)


def _texts(name: str) -> Reading:
    read = attrgetter(name)
    return lambda rows: map(str, map(read, rows))


def _each(read: Callable[[Any], Any]) -> Reading:
    return lambda rows: map(read, rows)


def _plain(name: str) -> tuple[Kind, Reading]:
    return pl.Int64, _values(name)


def _word(name: str) -> tuple[Kind, Reading]:
    return WORD, _values(name)


def _money(name: str) -> tuple[Kind, Reading]:
    return MONEY, _texts(name)


def _string(name: str) -> tuple[Kind, Reading]:
    return pl.String, _values(name)


def _count(name: str) -> tuple[Kind, Reading]:
    return pl.Int32, lambda reports: [report.counts.get(name, 0) for report in reports]


def _of_entry(name: str) -> Reading:
    """A value of the entry, once for each of its postings."""
    read = attrgetter(name)
    return lambda entries: chain.from_iterable(
        map(repeat, map(read, entries), [len(entry.postings) for entry in entries])
    )


def _of_posting(name: str) -> Reading:
    read = attrgetter(name)
    return lambda entries: map(read, chain.from_iterable([entry.postings for entry in entries]))


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
#: Rows are entries; each is told as one row for each of its postings.
POSTINGS: Final[Layout] = {
    "entry_id": (pl.String, _of_entry("entry_id")),
    "kind": (WORD, _of_entry("kind")),
    "at_ms": (pl.Int64, _of_entry("at_ms")),
    "account": (WORD, _of_posting("account")),
    "asset": (WORD, _of_posting("asset")),
    "amount": (MONEY, lambda entries: map(str, _of_posting("amount")(entries))),
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
        self._rows: list[_Row] = []
        self._waiting: dict[str, list[Any]] = {name: [] for name in layout}
        self._parts: list[pl.DataFrame] = []
        self.add = self._rows.append

    def take_in(self) -> None:
        """Keep of the rows what is told of them, and let them go; lay it down when it is much."""
        rows = self._rows
        if not rows:
            return
        for name, waiting in self._waiting.items():
            waiting += self._layout[name][1](rows)
        rows.clear()
        if len(waiting) >= ROWS_WAITING_MAX:
            self._lay()

    def _lay(self) -> None:
        columns = {name: _series(name, self._layout[name][0], values) for name, values in self._waiting.items()}
        self._parts.append(pl.DataFrame(columns))
        for values in self._waiting.values():
            values.clear()

    def frame(self) -> pl.DataFrame:
        """Everything so far."""
        self.take_in()
        if not self._parts or any(self._waiting.values()):
            self._lay()  # of no rows at all the columns and their types are left
        return pl.concat(self._parts, rechunk=False)


def _series(name: str, kind: Kind, values: Sequence[Any]) -> pl.Series:
    if kind in (MONEY, WORD):
        return pl.Series(name, values, dtype=pl.String).cast(kind)
    return pl.Series(name, values, dtype=kind)


class _FillRow:
    __slots__ = ("fee", "fill", "realized_pnl")

    def __init__(self, fill: Fill, realized_pnl: Decimal) -> None:
        self.fill = fill
        self.fee = fill.fee + fill.tax
        self.realized_pnl = realized_pnl


class Records:
    """`Recorder` of a backtest. `keeps_every_note`: those that every cycle writes as well."""

    def __init__(self, *, keeps_every_note: bool = False) -> None:
        self.orders: Table[Order] = Table(ORDERS)
        self.fills: Table[_FillRow] = Table(FILLS)
        self.decisions: Table[Verdict] = Table(DECISIONS)
        self.postings: Table[Entry] = Table(POSTINGS)
        self.cycles: Table[CycleReport] = Table(CYCLES)
        self.events: Table[Event] = Table(EVENTS)
        self._left_out = frozenset[NoteKind]() if keeps_every_note else OF_EVERY_CYCLE
        self._positions: dict[str, Position] = {}
        self.order = self.orders.add
        self.entry = self.postings.add
        self.verdict = self.decisions.add
        self.cycle = self.cycles.add
        self.event = self.events.add

    def fill(self, fill: Fill) -> None:
        """With what it realised, folded here once more from the fills alone."""
        before = self._positions.get(fill.symbol) or Position(symbol=fill.symbol)
        after = self._positions[fill.symbol] = after_fill(before, fill)
        self.fills.add(_FillRow(fill, after.realized_pnl - before.realized_pnl))

    def note(self, note: Note) -> None:
        """A note of a cycle, where its kind is kept."""
        if note.kind not in self._left_out:
            self.event(Event(note.kind.value, note.cycle_id, note.at_ms, note.body))

    def take_in(self) -> None:
        """Every now and then: let go of the rows that came since."""
        for table in (self.orders, self.fills, self.decisions, self.postings, self.cycles, self.events):
            table.take_in()
