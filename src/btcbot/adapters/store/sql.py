"""The StateStore contract in terms of the statements of queries.sql, for any SQL database.

A database adapter says how to run a statement (`_rows`, `_write`, `_write_many`) and how a unit begins and ends; what
is written and read stands here, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from btcbot.adapters.store import rows
from btcbot.adapters.store.rows import Parameters, Row
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.ledger import Account, Entry, Hold
from btcbot.domain.money import ZERO, plain
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.errors import InvariantBroken, StoreFailed
from btcbot.ports import BookIdentity, Discrepancy, Transaction

#: "As many as there are", for a LIMIT that both databases take.
_ALL: Final = 2**63 - 1
_NOTHING: Final[Mapping[str, object]] = {}
#: What a row that no btcbot wrote makes of rows.py: an unknown word, no number, no JSON, a NULL.
_UNREADABLE: Final = (ArithmeticError, KeyError, TypeError, ValueError, msgspec.MsgspecError)

TRADING_STATE: Final = "trading_state"
TRADING_STATE_REASON: Final = "trading_state_reason"

_T = TypeVar("_T")


class SqlTransaction(ABC):
    """The writes of one unit."""

    __slots__ = ()

    @abstractmethod
    def _write(self, name: str, parameters: Mapping[str, object]) -> int:
        """Run a statement; how many rows it changed."""

    @abstractmethod
    def _write_many(self, name: str, parameters: Iterable[Mapping[str, object]]) -> None:
        """Run a statement once for each set of parameters."""

    @abstractmethod
    def _rows(self, name: str, parameters: Mapping[str, object]) -> list[Row]:
        """What a query tells inside this unit."""

    @abstractmethod
    def _fail(self, why: str) -> StoreFailed:
        """Make the unit end in a rollback, whatever the caller does with the error."""

    def insert_order(self, order: Order) -> None:
        self._write("insert_order", rows.of_order(order))

    def update_order(self, order: Order) -> None:
        if not self._write("update_order", rows.of_order_changes(order)):
            raise self._fail(f"order {order.client_order_id} cannot be updated: there is no such order")

    def put_hold(self, hold: Hold) -> None:
        if hold.amount:
            self._write("put_hold", rows.of_hold(hold))
        else:
            self._write("release_hold", {"client_order_id": hold.client_order_id})

    def insert_fill(self, fill: Fill) -> bool:
        return self._write("insert_fill", rows.of_fill(fill)) == 1

    def insert_entry(self, entry: Entry) -> bool:
        if not self._write("insert_entry", rows.of_entry(entry)):
            return False
        self._write_many("insert_posting", rows.of_postings(entry))
        self._move_balances(entry)
        return True

    def _move_balances(self, entry: Entry) -> None:
        """Keep the sums: read, add exactly, write. The unit holds the write lock, so nobody comes between."""
        kept = {
            (asset, account): Decimal(balance)
            for asset in {posting.asset for posting in entry.postings}
            for account, balance in self._rows("balances_of_asset", {"asset": asset})
        }
        moved: dict[tuple[str, str], Decimal] = {}
        for posting in entry.postings:
            key = (posting.asset, posting.account.value)
            moved[key] = moved.get(key, ZERO) + posting.amount
        self._write_many(
            "put_balance",
            [
                {"asset": asset, "account": account, "balance": plain(kept.get((asset, account), ZERO) + amount)}
                for (asset, account), amount in moved.items()
            ],
        )

    def put_position(self, position: Position) -> None:
        self._write("put_position", rows.of_position(position))

    def insert_verdict(self, verdict: Verdict) -> None:
        self._write("insert_verdict", rows.of_verdict(verdict))

    def insert_cycle(self, report: CycleReport) -> None:
        self._write("insert_cycle", rows.of_cycle(report))

    def insert_note(self, note: Note) -> None:
        self._write("insert_note", rows.of_note(note))

    def forget_cycles_before(self, cycle_id: str) -> None:
        self._write("forget_notes", {"first_kept": cycle_id})
        self._write("forget_verdicts", {"first_kept": cycle_id})
        self._write("forget_cycles", {"first_kept": cycle_id})

    def put_discrepancies(self, discrepancies: Sequence[Discrepancy]) -> None:
        self._write("forget_discrepancies", _NOTHING)
        self._write_many("insert_discrepancy", map(rows.of_discrepancy, discrepancies))

    def put_value(self, key: str, value: str) -> None:
        self._write("put_value", {"name": key, "value": value})

    def put_identity(self, identity: BookIdentity) -> None:
        self._write("put_identity", rows.of_identity(identity))


class SqlStore(ABC):
    """The reads, and where units come from."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Transaction]: ...

    @abstractmethod
    def _rows(self, name: str, parameters: Mapping[str, object] = _NOTHING) -> list[Row]:
        """What a query tells."""

    @abstractmethod
    def close(self) -> None: ...

    def identity(self) -> BookIdentity | None:
        return self._one("identity", rows.identity)

    def order(self, client_order_id: str) -> Order | None:
        return self._one("order", rows.order, {"client_order_id": client_order_id})

    def order_by_venue_id(self, venue_order_id: str) -> Order | None:
        return self._one("order_by_venue_id", rows.order, {"venue_order_id": venue_order_id})

    def orders(self, statuses: Sequence[OrderStatus], since_ms: int = 0) -> Sequence[Order]:
        # As many places as there are statuses, so that one prepared statement serves every question. Places left over
        # repeat a status that is asked for: a NULL there would cost the database a search of its own.
        wanted = {_STATUS_TEXTS[status] for status in statuses}
        parameters: Parameters = dict.fromkeys(_STATUS_PLACES, next(iter(wanted), None))
        parameters.update(zip(_STATUS_PLACES, wanted, strict=False), since_ms=since_ms)
        return self._many("orders", rows.order, parameters)

    def recent_orders(self, limit: int) -> Sequence[Order]:
        return self._many("recent_orders", rows.order, {"limit": limit})

    def order_count(self) -> int:
        return self._count("order_count")

    def last_order_times_ms(self) -> Mapping[tuple[str, str], int]:
        return {
            (symbol, side): newest_ms
            for symbol, side, newest_ms in self._rows("last_order_times")
            if newest_ms is not None
        }

    def holds(self) -> Mapping[str, Hold]:
        return {hold.client_order_id: hold for hold in self._many("holds", rows.hold)}

    def has_fill(self, trade_id: str) -> bool:
        return bool(self._rows("has_fill", {"trade_id": trade_id}))

    def fills(self, since_ms: int = 0, limit: int | None = None) -> Sequence[Fill]:
        newest_first = self._many("fills", rows.fill, {"since_ms": since_ms, "limit": _ALL if limit is None else limit})
        newest_first.reverse()
        return newest_first

    def fills_of(self, client_order_id: str) -> Sequence[Fill]:
        return self._many("fills_of", rows.fill, {"client_order_id": client_order_id})

    def fill_count(self) -> int:
        return self._count("fill_count")

    def fills_after(self, count: int) -> Sequence[Fill]:
        return self._many("fills_after", rows.fill, {"count": count})

    def has_entry(self, entry_id: str) -> bool:
        return bool(self._rows("has_entry", {"entry_id": entry_id}))

    def entry(self, entry_id: str) -> Entry | None:
        found = self._read(rows.entries, "entry", {"entry_id": entry_id})
        return found[0] if found else None

    def entries(self, limit: int | None = None) -> Sequence[Entry]:
        return self._read(rows.entries, "entries", {"limit": _ALL if limit is None else limit})

    def entry_count(self) -> int:
        return self._count("entry_count")

    def account_balances(self, account: Account) -> Mapping[str, Decimal]:
        return self._read(rows.balances, "balances_of_account", {"account": account.value})

    def positions(self) -> Mapping[str, Position]:
        return {position.symbol: position for position in self._many("positions", rows.position)}

    def verdicts(self, cycle_id: str) -> Sequence[Verdict]:
        return self._many("verdicts", rows.verdict, {"cycle_id": cycle_id})

    def cycles(self, limit: int, before: str | None = None) -> Sequence[CycleReport]:
        if before is None:
            return self._many("cycles", rows.cycle, {"limit": limit})
        return self._many("cycles_before", rows.cycle, {"limit": limit, "before": before})

    def cycle(self, cycle_id: str) -> CycleReport | None:
        return self._one("cycle", rows.cycle, {"cycle_id": cycle_id})

    def cycle_count(self) -> int:
        return self._count("cycle_count")

    def notes(self, kind: NoteKind, limit: int | None = None, since_ms: int = 0) -> Sequence[Note]:
        parameters = {"kind": kind.value, "since_ms": since_ms, "limit": _ALL if limit is None else limit}
        newest_first = self._many("notes", rows.note, parameters)
        newest_first.reverse()
        return newest_first

    def note_count(self, kind: NoteKind) -> int:
        return int(self._rows("note_count", {"kind": kind.value})[0][0])

    def discrepancies(self) -> Sequence[Discrepancy]:
        return self._many("discrepancies", rows.discrepancy)

    def value(self, key: str) -> str | None:
        found = self._rows("value", {"name": key})
        return str(found[0][0]) if found else None

    def values(self, prefix: str) -> Mapping[str, str]:
        return {str(name): str(value) for name, value in self._rows("values", {"prefix": prefix})}

    def trading_state(self) -> tuple[TradingState, str]:
        return trading_state_of(self.value)

    def _count(self, name: str) -> int:
        return int(self._rows(name)[0][0])

    def _one(self, name: str, read: Callable[[Row], _T], parameters: Mapping[str, object] = _NOTHING) -> _T | None:
        found = self._many(name, read, parameters)
        return found[0] if found else None

    def _many(self, name: str, read: Callable[[Row], _T], parameters: Mapping[str, object] = _NOTHING) -> list[_T]:
        found = self._rows(name, parameters)
        try:
            return [read(row) for row in found]
        except _UNREADABLE as error:
            raise _unreadable(name, error) from error

    def _read(self, read: Callable[[list[Row]], _T], name: str, parameters: Mapping[str, object] = _NOTHING) -> _T:
        found = self._rows(name, parameters)
        try:
            return read(found)
        except _UNREADABLE as error:
            raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> StoreFailed:
    return StoreFailed(
        f"the database holds a row that no btcbot wrote ({name}: {type(error).__name__} {one_line(error)}): "
        "restore a backup"
    )


_TRADING_STATES: Final = {state.name: state for state in TradingState}
_STATUS_TEXTS: Final = {status: status.value for status in OrderStatus}  # asking a member for it costs a call
_STATUS_PLACES: Final = tuple(f"s{number}" for number in range(len(OrderStatus)))


def trading_state_of(value: Callable[[str], str | None]) -> tuple[TradingState, str]:
    """State and reason from the named values that keep them."""
    state = value(TRADING_STATE)
    if state is None:
        return TradingState.ACTIVE, ""
    known = _TRADING_STATES.get(state)
    if known is None:
        raise StoreFailed(f"the database holds the unknown trading state {state!r}: restore a backup")
    return known, value(TRADING_STATE_REASON) or ""


def one_line(told: object) -> str:
    """What a library or a database tells, on one line."""
    return " ".join(str(told).split())


def misuse(what: str) -> InvariantBroken:
    """A unit inside a unit, or a write after its unit ended: a bug of the caller that must not go unseen."""
    return InvariantBroken("STORE_UNIT", what)
