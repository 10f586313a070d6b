"""The ports with a tape around them. What is asked goes through the tape, which records the answer, or gives it.

The same decorators serve a live run and its replay. In a replay nothing stands behind them: the tape answers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from btcbot.adapters.journal.facts import CHECK
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.bars import Bar
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.feed import FeedView, Wake
from btcbot.domain.fills import Fill, VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.ledger import Entry
from btcbot.domain.market import Quote
from btcbot.domain.notes import Note
from btcbot.domain.orders import Order
from btcbot.domain.outcomes import CancelOutcome, SubmitOutcome
from btcbot.domain.permit import Permit
from btcbot.domain.venue import Transfer, VenueOrder
from btcbot.ports import (
    BarSource,
    Clock,
    Exchange,
    KillSwitch,
    MarketFeed,
    ReleasableLock,
    StateStore,
    StopSignal,
    Transaction,
    VenueHealth,
)
from btcbot.strategies.base import HasWakes, Signal, Strategy, StrategyContext, UsesSignals, Wakes

P = ParamSpec("P")
T = TypeVar("T")


class Tape(Protocol):
    """What goes in and out of the core passes here, in its order."""

    def ask(self, name: str, method: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """The answer of a port."""
        ...

    def now_ms(self, clock: Clock) -> int: ...
    def monotonic_ns(self, clock: Clock) -> int: ...
    def tell(self, kind: str, value: object) -> None:
        """Something came out."""
        ...

    def woken(self, wake: Wake) -> None:
        """A pause between two cycles ended so."""
        ...


class TapedClock:
    def __init__(self, tape: Tape, clock: Clock) -> None:
        self._tape = tape
        self._clock = clock

    def now_ms(self) -> int:
        return self._tape.now_ms(self._clock)

    def monotonic_ns(self) -> int:
        return self._tape.monotonic_ns(self._clock)

    def sleep(self, seconds: float, stop: StopSignal) -> bool:
        """Only between cycles, so no tape tells of it."""
        return self._clock.sleep(seconds, stop)


class TapedExchange:
    def __init__(self, tape: Tape, exchange: Exchange) -> None:
        self._ask = tape.ask
        self._exchange = exchange

    def venue_time_ms(self) -> int:
        return self._ask("exchange.venue_time_ms", self._exchange.venue_time_ms)

    def estimated_time_ms(self) -> int | None:
        return self._ask("exchange.estimated_time_ms", self._exchange.estimated_time_ms)

    def instruments(self) -> Mapping[str, Instrument]:
        return self._ask("exchange.instruments", self._exchange.instruments)

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        return self._ask("exchange.quotes", self._exchange.quotes, symbols)

    def balances(self) -> AccountSnapshot:
        return self._ask("exchange.balances", self._exchange.balances)

    def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        return self._ask("exchange.open_orders", self._exchange.open_orders, symbol)

    def all_orders(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        return self._ask("exchange.all_orders", self._exchange.all_orders, symbol, since_ms)

    def order(self, venue_order_id: str) -> VenueOrder | None:
        return self._ask("exchange.order", self._exchange.order, venue_order_id)

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        return self._ask("exchange.trades", self._exchange.trades, since_ms)

    def trades_of(self, venue_order_id: str) -> Sequence[VenueTrade]:
        return self._ask("exchange.trades_of", self._exchange.trades_of, venue_order_id)

    def transfers(self, since_ms: int) -> Sequence[Transfer]:
        return self._ask("exchange.transfers", self._exchange.transfers, since_ms)

    def submit(self, order: Order, permit: Permit) -> SubmitOutcome:
        return self._ask("exchange.submit", self._exchange.submit, order, permit)

    def cancel(self, order: Order, permit: Permit) -> CancelOutcome:
        return self._ask("exchange.cancel", self._exchange.cancel, order, permit)

    def take_stamp(self) -> int:
        return self._ask("exchange.take_stamp", self._exchange.take_stamp)

    def health(self) -> VenueHealth:
        return self._ask("exchange.health", self._exchange.health)

    def close(self) -> None:
        self._exchange.close()


class TapedFeed:
    def __init__(self, tape: Tape, feed: MarketFeed) -> None:
        self._tape = tape
        self._feed = feed

    def start(self) -> None:
        self._feed.start()

    def view(self) -> FeedView:
        return self._tape.ask("feed.view", self._feed.view)

    def resync(self, symbol: str) -> None:
        self._tape.ask("feed.resync", self._feed.resync, symbol)

    def wait(self, seconds: float, stop: StopSignal, *, for_market: bool = True) -> Wake:
        wake = self._feed.wait(seconds, stop, for_market=for_market)
        self._tape.woken(wake)
        return wake

    def close(self) -> None:
        self._feed.close()


class TapedBars:
    def __init__(self, tape: Tape, bars: BarSource) -> None:
        self._ask = tape.ask
        self._bars = bars

    def bars(self, symbol: str, interval_ms: int, since_ms: int) -> Sequence[Bar]:
        return self._ask("bars.bars", self._bars.bars, symbol, interval_ms, since_ms)

    def close(self) -> None:
        self._bars.close()


class TapedKillSwitch:
    def __init__(self, tape: Tape, kill_switch: KillSwitch) -> None:
        self._ask = tape.ask
        self._kill_switch = kill_switch

    def is_on(self) -> tuple[bool, str]:
        return self._ask("kill_switch.is_on", self._kill_switch.is_on)

    def turn_on(self, reason: str, at_ms: int) -> None:
        self._ask("kill_switch.turn_on", self._kill_switch.turn_on, reason, at_ms)

    def turn_off(self) -> None:
        self._ask("kill_switch.turn_off", self._kill_switch.turn_off)


class TapedLock:
    def __init__(self, tape: Tape, lock: ReleasableLock) -> None:
        self._ask = tape.ask
        self._lock = lock

    def is_held(self) -> bool:
        return self._ask("lock.is_held", self._lock.is_held)

    def release(self) -> None:
        self._lock.release()


class TapedStop:
    def __init__(self, tape: Tape, stop: StopSignal) -> None:
        self._ask = tape.ask
        self._stop = stop

    def is_set(self) -> bool:
        return self._ask("stop.is_set", self._stop.is_set)

    def wait(self, timeout: float | None = None) -> bool:
        return self._stop.wait(timeout)


def taped_check(tape: Tape, name: str, check: Callable[[], str | None]) -> Callable[[], str | None]:
    """A check of the loop's own self-check."""
    return lambda: tape.ask(CHECK + name, check)


# -- what comes out ----------------------------------------------------------------------------------------------------


class TapedTransaction:
    """Orders, verdicts, fills, entries, reports and notes are told; the rest follows from them."""

    def __init__(self, tape: Tape, transaction: Transaction) -> None:
        self._tell = tape.tell
        self._inner = transaction

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # whatever is not told of is the inner one's affair

    def insert_order(self, order: Order) -> None:
        self._tell("order", order)
        self._inner.insert_order(order)

    def update_order(self, order: Order) -> None:
        self._tell("order_changed", order)
        self._inner.update_order(order)

    def insert_verdict(self, verdict: Verdict) -> None:
        self._tell("verdict", verdict)
        self._inner.insert_verdict(verdict)

    def insert_fill(self, fill: Fill) -> bool:
        self._tell("fill", fill)
        return self._inner.insert_fill(fill)

    def insert_entry(self, entry: Entry) -> bool:
        self._tell("entry", entry)
        return self._inner.insert_entry(entry)

    def insert_cycle(self, report: CycleReport) -> None:
        self._tell("report", report)
        self._inner.insert_cycle(report)

    def insert_note(self, note: Note) -> None:
        self._tell("note", note)
        self._inner.insert_note(note)


class _TapedUnit:
    def __init__(self, tape: Tape, unit: AbstractContextManager[Transaction]) -> None:
        self._tape = tape
        self._unit = unit

    def __enter__(self) -> Transaction:
        # It has every method of a transaction, most of them through `__getattr__`, which no type checker follows.
        return cast(Transaction, TapedTransaction(self._tape, self._unit.__enter__()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._unit.__exit__(kind, error, trace)


class _TapedStore:
    """A store whose units are told of, and whose `asked` values may be another process's word."""

    def __init__(self, tape: Tape, store: StateStore, asked: frozenset[str]) -> None:
        self._tape = tape
        self._store = store
        self._asked = asked
        # Bound once: every cycle calls them often, and the port names them all.
        for name in _STORE_METHODS:
            setattr(self, name, getattr(store, name))

    def transaction(self) -> _TapedUnit:
        return _TapedUnit(self._tape, self._store.transaction())

    def value(self, key: str) -> str | None:
        if key in self._asked:
            return self._tape.ask("store.value", self._store.value, key)
        return self._store.value(key)

    def values(self, prefix: str) -> Mapping[str, str]:
        if any(key.startswith(prefix) for key in self._asked):
            return self._tape.ask("store.values", self._store.values, prefix)
        return self._store.values(prefix)


_STORE_METHODS: Final = tuple(
    name for name in vars(StateStore) if not name.startswith("_") and name not in vars(_TapedStore)
)


def taped_store(tape: Tape, store: StateStore, asked: frozenset[str]) -> StateStore:
    """`store` on the tape. `asked`: keys of values that others than its one writer leave in it."""
    # The methods that it is given as it is made are not seen by a type checker.
    return cast(StateStore, _TapedStore(tape, store, asked))


class _TapedStrategy:
    def __init__(self, tape: Tape, strategy: Strategy) -> None:
        self._tape = tape
        self._strategy = strategy

    @property
    def name(self) -> str:
        return self._strategy.name

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        try:
            wishes = list(self._strategy.generate(context))
        except (Exception, SystemExit) as error:  # a strategy may raise anything; it is told, and goes on to who asked
            self._tape.tell("raised", f"{type(error).__name__}: {error}")
            raise
        self._tape.tell("intents", [_told(one) for one in wishes])
        return wishes


def _told(wish: object) -> Intent | str:
    """A strategy may come from anywhere; what is no intent is told by its type."""
    return wish if isinstance(wish, Intent) else type(wish).__name__


class _WithSignals(_TapedStrategy):
    def signals(self) -> Mapping[str, Signal]:
        return cast(UsesSignals, self._strategy).signals()  # `taped_strategy` has looked


class _WithWakes(_TapedStrategy):
    def wakes(self, context: StrategyContext) -> Wakes:
        return cast(HasWakes, self._strategy).wakes(context)  # `taped_strategy` has looked


class _WithBoth(_WithSignals, _WithWakes):
    pass


def taped_strategy(tape: Tape, strategy: Strategy) -> Strategy:
    """`strategy` with its intents on the tape; it can do what it could do before, and nothing else."""
    kinds = {
        (False, False): _TapedStrategy,
        (True, False): _WithSignals,
        (False, True): _WithWakes,
        (True, True): _WithBoth,
    }
    return kinds[isinstance(strategy, UsesSignals), isinstance(strategy, HasWakes)](tape, strategy)
