"""The sockets of the core: what it needs from the world, and the sentence that an implementer needs for each.

Live, dry-run, demo and simulation differ only in what is plugged in here. Every implementation of a port passes the
same contract suite (`tests/contract`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Protocol

import msgspec

from btcbot.domain.account import AccountSnapshot
from btcbot.domain.agent import AgentQuestion, AgentReply
from btcbot.domain.bars import Bar
from btcbot.domain.book import BookIdentity as BookIdentity
from btcbot.domain.book import Discrepancy as Discrepancy
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.feed import FeedView, Wake
from btcbot.domain.fills import Fill, VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.ledger import Account, Entry, Hold
from btcbot.domain.market import Quote
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.outcomes import CancelOutcome, SubmitOutcome
from btcbot.domain.permit import Permit
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.domain.scan import ScanRow
from btcbot.domain.venue import Transfer, VenueOrder


class StopSignal(Protocol):
    """Set once when the process is asked to end. Waits return early when it is set."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Clock(Protocol):
    """Wall time for stamps, monotonic time for durations. Wall time may step; monotonic time never does."""

    def now_ms(self) -> int:
        """Unix time in milliseconds, UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds from an arbitrary start, never going back."""
        ...

    def sleep(self, seconds: float, stop: StopSignal) -> bool:
        """Wait, or return early; True when `stop` is set."""
        ...


class VenueHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the venue answers lately. `clock_skew_ms` is venue minus ours, None before the first measurement."""

    clock_skew_ms: int | None = None
    endpoints_closed: tuple[str, ...] = ()
    unauthorized_in_a_row: int = 0


class Exchange(Protocol):
    """The venue. Reads may be retried inside and raise VenueUnavailable; writes are tried exactly once and never raise.

    A read raises `VenueUnavailable` for anything that is the venue's or the network's trouble (time-out, 5xx, rate
    limit, an answer that cannot be read), after at most the retries that the cycle's budget allows. Nothing else.
    """

    def venue_time_ms(self) -> int:
        """The venue's clock now, as estimated; measures it first when the estimate is older than its interval."""
        ...

    def estimated_time_ms(self) -> int | None:
        """The venue's clock now, without asking; None when the estimate is not to be relied on."""
        ...

    def instruments(self) -> Mapping[str, Instrument]:
        """All listed pairs by symbol. May be as old as the rules cache allows."""
        ...

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Best bid and ask of each symbol; a symbol without a readable book is left out."""
        ...

    def balances(self) -> AccountSnapshot: ...

    def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        """Every open order of the account (or of one symbol), foreign ones too. May lag behind writes."""
        ...

    def all_orders(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        """A complete listing of one symbol since a time, whatever the status, paged to its end. May lag."""
        ...

    def order(self, venue_order_id: str) -> VenueOrder | None:
        """One order, or None when the venue says that it knows no such id."""
        ...

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        """Account-wide trades since a time, complete for what the venue lists. May repeat, be late, out of order."""
        ...

    def trades_of(self, venue_order_id: str) -> Sequence[VenueTrade]:
        """Trades of one order, whatever their age."""
        ...

    def transfers(self, since_ms: int) -> Sequence[Transfer]:
        """Deposits and withdrawals, crypto and fiat, since a time."""
        ...

    def submit(self, order: Order, permit: Permit) -> SubmitOutcome:
        """Send the order, once. Called at most once for an order; never retried by anyone. Never raises."""
        ...

    def cancel(self, order: Order, permit: Permit) -> CancelOutcome:
        """Ask for cancellation of a working order. Harmless to repeat. Never raises."""
        ...

    def take_stamp(self) -> int:
        """The stamp (venue time in ms, strictly increasing) that the next `submit` signs and that its row records.

        Raises VenueUnavailable while the stamp would run too far ahead of venue time.
        """
        ...

    def health(self) -> VenueHealth: ...

    def close(self) -> None:
        """Release connections; harmless to repeat."""
        ...


class BarSource(Protocol):
    """The venue's candles: what signals of a live run are computed over."""

    def bars(self, symbol: str, interval_ms: int, since_ms: int) -> Sequence[Bar]:
        """Closed bars that open at or after `since_ms`, ascending; bars that the venue does not draw are left out.

        Raises VenueUnavailable for anything that is the venue's or the network's trouble. Asked by a trading cycle, so
        it gives up soon and never waits for long.
        """
        ...

    def close(self) -> None:
        """Release connections; harmless to repeat."""
        ...


#: Signals of one symbol by name: statistics over its bars, never money.
SignalValues = Mapping[str, float]


class SignalSource(Protocol):
    """Signals as of a moment, for a strategy that asks for some. Never raises."""

    def at(self, venue_now_ms: int, *, may_read: bool) -> tuple[Mapping[str, Bar], Mapping[str, SignalValues]]:
        """The last closed bar of each symbol; and by symbol and name what was computed over its closed bars.

        A symbol whose signals are not warm, or whose last bar is late, is in neither. Without `may_read` nothing may be
        asked of the venue.
        """
        ...


class MarketFeed(Protocol):
    """The venue's live feed: runs beside the core and is looked at, never calls it. Never raises after `start`."""

    def start(self) -> None:
        """Begin to connect, in the background. Harmless to repeat."""
        ...

    def view(self) -> FeedView:
        """Everything known now; account events are handed over once."""
        ...

    def resync(self, symbol: str) -> None:
        """Throw this symbol's book away and ask for a new snapshot: it was seen to differ from the venue's."""
        ...

    def wait(self, seconds: float, stop: StopSignal, *, for_market: bool = True) -> Wake:
        """Wait until something relevant happened since the last `view`, `seconds` passed, or `stop` is set.

        Without `for_market` a change of prices is no reason to return.
        """
        ...

    def close(self) -> None:
        """Disconnect; harmless to repeat."""
        ...


class MarketScanner(Protocol):
    """Looks over many symbols, to choose some of them."""

    def scan(self, symbols: Sequence[str], now_ms: int) -> Mapping[str, ScanRow]:
        """What `symbols` show at `now_ms` (venue time), as far as one cycle has time for them.

        A symbol that is not in the answer was not reached and is to be asked for again; one that was reached and shows
        no book has a row without a quote. Raises VenueUnavailable where nothing could be asked at all.
        """
        ...


class AgentPolicy(Protocol):
    """Somebody who looks at a cycle's wishes and may narrow them."""

    def decide(self, question: AgentQuestion) -> AgentReply:
        """An answer, or why there is none. Never raises, and gives up within the time that it was made with."""
        ...

    def close(self) -> None:
        """Release connections; harmless to repeat."""
        ...


class KillSwitch(Protocol):
    """The operator's brake, asked before every write. Anything unreadable counts as on."""

    def is_on(self) -> tuple[bool, str]:
        """Whether it is on, and why."""
        ...

    def turn_on(self, reason: str, at_ms: int) -> None: ...
    def turn_off(self) -> None: ...


class WriterLock(Protocol):
    """The right of this process to write, for its database and its API key."""

    def is_held(self) -> bool: ...


class ReleasableLock(WriterLock, Protocol):
    """A lock that ends with the bot at the latest."""

    def release(self) -> None:
        """Harmless to repeat."""
        ...


class Metrics(Protocol):
    """Counters, gauges and histograms by the names of `metric_catalogue`; an unknown name is a programming error."""

    def count(self, name: str, amount: int | Decimal = 1, **labels: str) -> None: ...
    def gauge(self, name: str, value: Decimal | int | float, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...
    def flush(self, timeout_s: float) -> None: ...


class Log(Protocol):
    """Structured events: a name and fields. `structlog`'s bound logger is one."""

    def debug(self, event: str, **fields: object) -> object: ...
    def info(self, event: str, **fields: object) -> object: ...
    def warning(self, event: str, **fields: object) -> object: ...
    def error(self, event: str, **fields: object) -> object: ...


class Transaction(Protocol):
    """Writes of one atomic unit: all of them are durable when the block ends, or none ever happened."""

    def insert_order(self, order: Order) -> None:
        """A new row; a client order id that exists is an IntegrityError of the unit, never an overwrite."""
        ...

    def update_order(self, order: Order) -> None:
        """Replace the mutable part of an existing row."""
        ...

    def put_hold(self, hold: Hold) -> None:
        """Set the hold of an order; amount zero releases it."""
        ...

    def insert_fill(self, fill: Fill) -> bool:
        """False when this trade id is already booked: then nothing else of this fill may be written."""
        ...

    def insert_entry(self, entry: Entry) -> bool:
        """False when this entry id is already booked."""
        ...

    def put_position(self, position: Position) -> None: ...
    def insert_verdict(self, verdict: Verdict) -> None: ...
    def insert_cycle(self, report: CycleReport) -> None: ...
    def insert_note(self, note: Note) -> None: ...
    def forget_cycles_before(self, cycle_id: str) -> None:
        """Drop reports, verdicts and notes of cycles whose id sorts before this one.

        Orders and books are never forgotten, nor notes of an operator's act, nor those of `notes.NEVER_FORGOTTEN`.
        """
        ...

    def put_discrepancies(self, discrepancies: Sequence[Discrepancy]) -> None:
        """Replace the whole set."""
        ...

    def put_value(self, key: str, value: str) -> None:
        """A named control or mark (`trading_state`, `nonce_mark_ms`, `trades_cursor_ms`, …)."""
        ...

    def put_identity(self, identity: BookIdentity) -> None: ...


class StateStore(Protocol):
    """Everything that must survive. One writer; every write inside `transaction()`, durable through power loss.

    Raises StoreFailed for anything that goes wrong below (disk full, I/O error, busy beyond its time): the caller stops
    writing to the venue. Reads see the last committed state, and inside a transaction its own writes.
    """

    def transaction(self) -> AbstractContextManager[Transaction]: ...

    def identity(self) -> BookIdentity | None:
        """None for a database that has just been made."""
        ...

    def order(self, client_order_id: str) -> Order | None: ...
    def order_by_venue_id(self, venue_order_id: str) -> Order | None: ...
    def orders(self, statuses: Sequence[OrderStatus], since_ms: int = 0) -> Sequence[Order]:
        """Orders in any of `statuses` updated at or after `since_ms`, oldest first."""
        ...

    def recent_orders(self, limit: int) -> Sequence[Order]:
        """Newest first."""
        ...

    def order_count(self) -> int: ...
    def last_order_times_ms(self) -> Mapping[tuple[str, str], int]:
        """(symbol, side) → creation time of the newest order that was not denied: what a cooldown counts from."""
        ...

    def holds(self) -> Mapping[str, Hold]:
        """Unreleased holds by client order id."""
        ...

    def has_fill(self, trade_id: str) -> bool: ...
    def fills(self, since_ms: int = 0, limit: int | None = None) -> Sequence[Fill]:
        """Oldest first by venue time; with a limit the newest ones."""
        ...

    def fills_of(self, client_order_id: str) -> Sequence[Fill]: ...
    def fill_count(self) -> int: ...
    def fills_after(self, count: int) -> Sequence[Fill]:
        """Fills in the order of booking, without the first `count`: what is new since `fill_count` was that."""
        ...

    def has_entry(self, entry_id: str) -> bool: ...
    def entry(self, entry_id: str) -> Entry | None: ...
    def entries(self, limit: int | None = None) -> Sequence[Entry]:
        """Oldest first; with a limit the newest ones."""
        ...

    def entry_count(self) -> int: ...
    def account_balances(self, account: Account) -> Mapping[str, Decimal]:
        """Sum of postings for each asset (kept by the store, equal to the fold of all entries)."""
        ...

    def positions(self) -> Mapping[str, Position]: ...
    def verdicts(self, cycle_id: str) -> Sequence[Verdict]: ...
    def cycles(self, limit: int, before: str | None = None) -> Sequence[CycleReport]:
        """Newest first; with `before`, a cycle's id, only what came before that cycle."""
        ...

    def cycle(self, cycle_id: str) -> CycleReport | None: ...
    def cycle_count(self) -> int:
        """How many cycles there have been, those forgotten since included."""
        ...

    def notes(self, kind: NoteKind, limit: int | None = None, since_ms: int = 0) -> Sequence[Note]:
        """Notes of a kind made at or after `since_ms`, oldest first; with a limit the newest ones."""
        ...

    def note_count(self, kind: NoteKind) -> int:
        """How many notes of a kind are kept."""
        ...

    def discrepancies(self) -> Sequence[Discrepancy]: ...
    def value(self, key: str) -> str | None: ...
    def values(self, prefix: str) -> Mapping[str, str]:
        """The named values whose key begins so, by key."""
        ...

    def trading_state(self) -> tuple[TradingState, str]:
        """State and reason; ACTIVE with an empty reason in a new database."""
        ...

    def close(self) -> None: ...
