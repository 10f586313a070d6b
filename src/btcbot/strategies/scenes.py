"""Scenes to try a strategy in: closes in, the context out that a cycle would hand it. For tests of strategies.

    strategy = Breakout(period=3)
    wishes = strategy.generate(a_scene(strategy, ["100", "101", "103"]))

One symbol, BTCTRY: prices on 0.01, quantities on 0.00000001, orders of at least 99.91 TRY. Signals are computed over
the closes just as in a run, so a strategy that is not warm yet is given neither bars nor signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from btcbot.domain import money
from btcbot.domain.bars import Bar
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.domain.positions import Position
from btcbot.strategies.base import Strategy, StrategyContext, UsesSignals
from btcbot.strategies.signals import RunningSignals

SYMBOL: Final = "BTCTRY"
MINUTE_MS: Final = 60_000
#: The first bar of a scene opens here: 2026-01-01, midnight UTC.
START_MS: Final = 1_767_225_600_000

Number = str | int | Decimal


def an_instrument(symbol: str = SYMBOL) -> Instrument:
    return Instrument(
        symbol=symbol,
        base=symbol.removesuffix("TRY"),
        quote="TRY",
        price_scale=2,
        quantity_scale=8,
        value_min=Decimal("99.91"),
    )


def bars_of(closes: Sequence[Number], symbol: str = SYMBOL) -> Sequence[Bar]:
    """One bar a minute, each opening where the one before closed."""
    prices = [Decimal(close) for close in closes]
    return [
        Bar(
            symbol=symbol,
            interval_ms=MINUTE_MS,
            open_time_ms=START_MS + index * MINUTE_MS,
            open=before,
            high=max(before, close),
            low=min(before, close),
            close=close,
            volume=money.ONE,
        )
        for index, (before, close) in enumerate(zip([prices[0], *prices], prices, strict=False))
    ]


def a_scene(
    strategy: Strategy,
    closes: Sequence[Number],
    *,
    held: Number = 0,
    cost: Number = 0,
    cash: Number = 10_000,
    spread_bps: Number = 10,
    busy: bool = False,
) -> StrategyContext:
    """What `strategy` is given when the last of the closes is known.

    `held` of the base, bought for `cost` in all; `cash` to spend. The quote lies `spread_bps` wide around the last
    close. `busy`: an order of the symbol is open.
    """
    bars = bars_of(closes)
    last, values = bars[-1], None
    uses_signals = isinstance(strategy, UsesSignals)
    if isinstance(strategy, UsesSignals):
        running = RunningSignals(strategy.signals())
        for bar in bars:
            values = running.update(bar)
    half = last.close * Decimal(spread_bps) * money.BPS * Decimal("0.5")
    quote = Quote(
        symbol=SYMBOL,
        bid=last.close - half,
        bid_quantity=Decimal(1_000),
        ask=last.close + half,
        ask_quantity=Decimal(1_000),
        venue_time_ms=last.close_time_ms,
        received_at_ms=last.close_time_ms,
    )
    position = Position(symbol=SYMBOL, quantity=Decimal(held), cost=Decimal(cost))
    return StrategyContext(
        cycle_id="c00000001",
        symbols=(SYMBOL,),
        instruments={SYMBOL: an_instrument()},
        quotes={SYMBOL: quote},
        positions={SYMBOL: position} if position.quantity else {},
        spendable=Decimal(cash),
        symbols_with_open_orders=frozenset({SYMBOL}) if busy else frozenset(),
        taker_rate=Decimal("0.0024"),
        now_ms=last.close_time_ms,
        bars={SYMBOL: last} if uses_signals and values is not None else {},
        signals={SYMBOL: values} if values is not None else {},
    )
