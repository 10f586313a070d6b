"""What a strategy is given and what it gives back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, Protocol, runtime_checkable

import msgspec

from btcbot.domain import money
from btcbot.domain.bars import Bar
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order
from btcbot.domain.positions import Position
from btcbot.domain.tuning import Tuning

NO_BARS: Final[Mapping[str, Bar]] = {}
NO_SIGNALS: Final[Mapping[str, Mapping[str, float]]] = {}


class SignalBoard(Mapping[str, Mapping[str, float]]):
    """Signals by symbol and name that also tell, without reading every symbol's, where one of them stands."""

    __slots__ = ()

    @abstractmethod
    def standing(self, signal: str) -> Sequence[str]:
        """Symbols of which this signal means something and is not zero."""


class StrategyContext(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one cycle. Only symbols with a fresh, sane quote are in `quotes`.

    `now_ms` is the venue's time. `spendable` is free quote currency above the reserve; `symbols_with_open_orders` are
    busy and best left alone; `taker_rate` is a fraction, tax included. `bars` holds the last closed bar of each symbol
    and `signals`, by symbol and name, what was computed over the closed bars up to and including that one; both are
    empty for a strategy that asks for no signals, and a symbol of which one signal is not warm yet is in neither.

    Where a profile looks after working orders itself, a symbol with one is not busy, `open_orders` shows them, and a
    wish that equals a working order leaves it where it is. `cash` is the quote asset that is ours, locked or free.
    `winding_down` are symbols that are held and may only be sold. `tuning` holds parameters that change during a run.
    """

    cycle_id: str
    symbols: Sequence[str]
    instruments: Mapping[str, Instrument]
    quotes: Mapping[str, Quote]
    positions: Mapping[str, Position]
    spendable: Decimal
    symbols_with_open_orders: frozenset[str]
    taker_rate: Decimal
    now_ms: int = 0
    bars: Mapping[str, Bar] = NO_BARS
    signals: Mapping[str, Mapping[str, float]] = NO_SIGNALS
    cash: Decimal = money.ZERO
    open_orders: Sequence[Order] = ()
    winding_down: frozenset[str] = frozenset()
    tuning: Tuning | None = None

    def symbols_with(self, signal: str) -> Sequence[str]:
        """Those of `symbols` of which this signal means something and is not zero, in alphabetical order.

        For a strategy that has nothing to do with all the others: of hundreds of symbols it looks at two.
        """
        board = self.signals
        if isinstance(board, SignalBoard):
            standing = board.standing(signal)
        else:
            standing = [symbol for symbol, values in board.items() if values[signal]]
        return sorted(filter(self.symbols.__contains__, standing))


class Strategy(Protocol):
    """Pure: the same context gives the same intents."""

    @property
    def name(self) -> str: ...

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        """Wishes, most wanted first. Sizes and prices are wishes too: risk quantizes and limits them."""
        ...


class Running(Protocol):
    """A signal at work on the bars of one symbol. It may hold what it has seen; nobody else does."""

    def update(self, *values: float) -> float:
        """Its value after one more bar, given that bar's value of each input, in the order of `Signal.inputs`."""
        ...


class Signal(Protocol):
    """Something that is computed over closed bars, one after the other; see `btcbot.strategies.signals`.

    `inputs` names what it is computed from: fields of the bar (open, high, low, close, volume), or other signals of the
    same strategy. `warm_up` is how many bars of its inputs have to come before the first one at which its value means
    something: 19 for an average over 20 bars.
    """

    @property
    def warm_up(self) -> int: ...

    @property
    def inputs(self) -> tuple[str, ...]: ...

    def start(self) -> Running:
        """A new one, that has seen nothing yet."""
        ...


@runtime_checkable
class UsesSignals(Protocol):
    """A strategy that asks for signals; they are the same for every symbol, computed over each one's own bars."""

    def signals(self) -> Mapping[str, Signal]:
        """Name → what is to be computed. The same at every call."""
        ...


@runtime_checkable
class ChoosesSymbols(Protocol):
    """A strategy whose parameters name symbols."""

    def demand_symbols(self, symbols: Sequence[str]) -> None:
        """Raise ValueError, with what is wrong and how to mend it, where it cannot work with the symbols traded."""
        ...


class Wakes(msgspec.Struct, frozen=True, kw_only=True):
    """When a strategy may wish something other than at this cycle: any one of these is enough.

    `bid_at_least` and `ask_at_most`: by symbol, a price that the quote reaches. `changes`: (symbol, signal) whose value
    becomes another one. `not_before_ms`: venue time from which on it wants to be asked at every cycle. `on_fill`: an
    order of ours was filled or closed. Where none can come true, it is not asked again.
    """

    bid_at_least: Mapping[str, Decimal] = {}
    ask_at_most: Mapping[str, Decimal] = {}
    changes: tuple[tuple[str, str], ...] = ()
    not_before_ms: int | None = None
    on_fill: bool = True


@runtime_checkable
class HasWakes(Protocol):
    """A strategy that can say when it is worth asking again. One that cannot is asked at every bar.

    This is a promise: asked at any moment before a condition comes true, whatever became of the orders of its last
    intents meanwhile (where `on_fill` is false), it would wish nothing. An engine may then leave those cycles out. It
    never counts on the promise after a wish that risk refused. For a strategy that acts on bars, the moments are the
    closes of later bars. A wish itself makes its symbol busy, so it ends with `on_fill`, not at once.
    """

    def wakes(self, context: StrategyContext) -> Wakes:
        """Given what it was just asked with."""
        ...
