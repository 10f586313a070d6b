"""StrategyService: gathers what a strategy may know and asks it for intents.

Signals come from whatever source is plugged in: the venue's candles in a live run, columns in a backtest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Final

from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order
from btcbot.domain.positions import Position
from btcbot.domain.tuning import Tuning
from btcbot.domain.universe import Watched
from btcbot.errors import BtcbotError, StrategyFailed
from btcbot.ports import SignalSource
from btcbot.strategies.base import NO_BARS, NO_SIGNALS, Strategy, StrategyContext

#: Of a price or a quantity, before and after the point.
DIGITS_MAX: Final = 18
_TEXTS: Final = ("symbol", "why", "intent_id")
_NONE: Final[frozenset[str]] = frozenset()


class StrategyService:
    """`signals` None: the strategy is given no bars and no signals."""

    def __init__(
        self,
        strategy: Strategy,
        quote_asset: str,
        cash_reserve: Decimal,
        signals: SignalSource | None = None,
    ) -> None:
        self._signals = signals
        self._strategy = strategy
        self._quote_asset = quote_asset
        self._cash_reserve = cash_reserve

    def generate(
        self,
        cycle_id: str,
        instruments: Mapping[str, Instrument],
        quotes: Mapping[str, Quote],
        account: AccountSnapshot,
        positions: Mapping[str, Position],
        open_orders: Sequence[Order],
        taker_rate: Decimal,
        universe: Watched,
        *,
        now_ms: int,
        busy: frozenset[str],
        cash_kept: Decimal = money.ZERO,
        tuning: Tuning | None = None,
        may_read: bool = True,
    ) -> Sequence[Intent]:
        """Raw intents of the strategy, most wanted first. `now_ms` is the venue's time, `busy` symbols have an order
        that nothing may be wished beside, `cash_kept` may not be spent, beside the reserve.

        Raises StrategyFailed for a strategy that raises, or whose wishes are none. Without `may_read` the last known
        bars count, and nothing is asked of the venue.
        """
        bars, signals = NO_BARS, NO_SIGNALS
        if self._signals is not None:
            try:
                bars, signals = self._signals.at(now_ms, may_read=may_read)
            except (Exception, SystemExit) as error:  # signals and strategies may be anybody's, and raise anything
                raise StrategyFailed(f"a signal of {self._strategy.name} raised {told(error)}") from error
        context = StrategyContext(
            cycle_id=cycle_id,
            symbols=universe.active,
            # To look at, never to write: risk judges the wishes by the same quotes and rules.
            instruments=MappingProxyType(instruments),
            quotes=MappingProxyType(quotes),
            positions=MappingProxyType(positions),
            spendable=max(account.free(self._quote_asset) - self._cash_reserve - cash_kept, money.ZERO),
            symbols_with_open_orders=busy,
            taker_rate=taker_rate,
            now_ms=now_ms,
            bars=bars,
            signals=signals,
            cash=account.total(self._quote_asset),
            open_orders=open_orders,
            winding_down=universe.winding_down if len(universe.watched) > len(universe.active) else _NONE,
            tuning=tuning,
        )
        try:
            wishes = self._strategy.generate(context)
        except BtcbotError:
            raise
        except (Exception, SystemExit) as error:  # it must not end the bot
            raise StrategyFailed(f"{self._strategy.name} raised {told(error)}") from error
        if not isinstance(wishes, (list, tuple)):
            raise StrategyFailed(f"{self._strategy.name} gave a {type(wishes).__name__} instead of a list of intents")
        for wish in wishes:
            if problem := _nonsense(wish):
                raise StrategyFailed(f"{self._strategy.name} wished {problem}")
        return wishes


def _nonsense(wish: object) -> str | None:
    """Why this is no wish, or None. A strategy may come from anywhere; risk judges only what it can compute with."""
    if not isinstance(wish, Intent):
        return f"a {type(wish).__name__} instead of an Intent"
    texts: tuple[object, object, object] = (wish.symbol, wish.why, wish.intent_id)
    symbol, why, intent_id = texts
    if not (isinstance(symbol, str) and isinstance(why, str) and isinstance(intent_id, str)):
        name, text = next(each for each in zip(_TEXTS, texts, strict=True) if not isinstance(each[1], str))
        return f"a {name} that is a {type(text).__name__}; write text"
    if not (symbol.isascii() and why.isascii() and intent_id.isascii()):
        for name, text in zip(_TEXTS, (symbol, why, intent_id), strict=True):
            if not _can_be_kept(text):
                return f"a {name} that holds half a character, which no file can hold; write whole ones"
    side: object = wish.side
    if not isinstance(side, Side):
        return f"a side of {symbol} that is a {type(side).__name__}; write Side.BUY or Side.SELL"
    return _no_amount("price", wish.price, symbol) or _no_amount("quantity", wish.quantity, symbol)


def _can_be_kept(text: str) -> bool:
    """Whether books, records and logs, which are UTF-8, can hold it: a lone surrogate they cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_amount(name: str, value: object, symbol: str) -> str | None:
    """Why nobody can order this much, or None."""
    if not isinstance(value, Decimal):
        return f"a {name} of {symbol} that is a {type(value).__name__}; money is Decimal"
    if not value.is_finite():
        return f"a {name} of {symbol} that is {value}"
    if value.adjusted() >= DIGITS_MAX or money.round_down(value, DIGITS_MAX) != value:
        return f"a {name} of {symbol} that is {value}, which no venue takes; round it to the pair's scale"
    return None


def told(error: BaseException) -> str:
    """The exception and where it was raised, on one line."""
    trace, where = error.__traceback__, ""
    while trace is not None:
        where, trace = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}", trace.tb_next
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({where})"
