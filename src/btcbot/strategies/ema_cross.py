"""EMA cross: in the market while the fast average of the closes is above the slow one, else out.

At the first bar at which both averages mean something, and at each bar at which they cross, the position is brought to
where it belongs: bought at the ask with `quantity` or for `entry_budget`, sold whole at the bid.

What was not filled then, or cut, is left alone until the next cross; that is all a backtest needs, and its engine may
sleep in between. With `persist` the strategy goes on asking at every bar until the symbol stands as the averages do:
for real money, where an order can rest unfilled and a sell that did not happen is a loss that goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, ClassVar

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import Quote
from btcbot.strategies import holdings
from btcbot.strategies.base import Signal, StrategyContext, Wakes
from btcbot.strategies.holdings import Standing
from btcbot.strategies.parameters import Meaning, Within
from btcbot.strategies.signals import Above, Changed, Ema


class EmaCross(msgspec.Struct, frozen=True, kw_only=True):
    """In the market while the fast average of the closes is above the slow one, else out."""

    name: ClassVar[str] = "ema_cross"

    fast: Annotated[int, Within(1, 5_000, "Bars of the fast average.", log=True)] = 20
    slow: Annotated[int, Within(2, 10_000, "Bars of the slow average; more than of the fast one.", log=True)] = 100
    quantity: Annotated[
        Decimal, Within(0, 1_000_000_000, "Quantity of a buy, in base; 0: as much as the budget buys.")
    ] = Decimal(0)
    entry_budget: Annotated[
        Decimal, Within("0.01", 1_000_000_000, "Value of a buy where no quantity is given, fee included.", log=True)
    ] = Decimal(500)
    spread_bps_max: Annotated[
        Decimal, Within("0.01", 10_000, "Spread in bps above which nothing is bought.", log=True)
    ] = Decimal(100)
    persist: Annotated[bool, Meaning("Ask at every bar until the symbol stands as the averages do.")] = False

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError(f"fast={self.fast} must be below slow={self.slow}")

    def signals(self) -> Mapping[str, Signal]:
        return {
            "fast": Ema(self.fast),
            "slow": Ema(self.slow),
            "is_above": Above("fast", "slow"),
            "has_crossed": Changed("is_above"),
        }

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        sells: list[Intent] = []
        buys: list[Intent] = []
        spendable = context.spendable
        for symbol in sorted(context.symbols) if self.persist else context.symbols_with("has_crossed"):
            signals = context.signals.get(symbol)
            if signals is None:
                continue
            standing, is_above = holdings.standing_of(context, symbol), bool(signals["is_above"])
            why = f"fast {signals['fast']:.8g} {'above' if is_above else 'not above'} slow {signals['slow']:.8g}"
            if standing is Standing.HELD and not is_above:
                quote = context.quotes[symbol]
                held = holdings.held_of(context, symbol)
                sells.append(holdings.wish(context, self.name, quote, Side.SELL, quote.bid, held, why))
            elif standing is Standing.FLAT and is_above:
                quote = context.quotes[symbol]
                quantity = self._quantity(context, quote, spendable)
                if quantity:
                    buys.append(holdings.wish(context, self.name, quote, Side.BUY, quote.ask, quantity, why))
                    spendable -= buys[-1].value * (money.ONE + context.taker_rate)
        return [*sells, *buys]

    def wakes(self, context: StrategyContext) -> Wakes:
        if not self.persist:
            return _at_a_cross(tuple(context.symbols))
        stands = all(self._stands(context, symbol) for symbol in context.symbols)
        bids, asks = holdings.dust_edges(context, self.spread_bps_max)
        return Wakes(
            bid_at_least=bids,
            ask_at_most=asks,
            changes=_at_a_cross(tuple(context.symbols)).changes,
            not_before_ms=None if stands else context.now_ms,
        )

    def _stands(self, context: StrategyContext, symbol: str) -> bool:
        """Whether only a cross, or a price at which a position becomes dust, can make this symbol's standing wrong."""
        signals = context.signals.get(symbol)
        if signals is None:
            return True
        wanted = Standing.HELD if signals["is_above"] else Standing.FLAT
        return holdings.standing_of(context, symbol) is wanted

    def _quantity(self, context: StrategyContext, quote: Quote, spendable: Decimal) -> Decimal:
        instrument = context.instruments[quote.symbol]
        if quote.spread_bps > self.spread_bps_max:
            return money.ZERO
        if self.quantity:
            return instrument.quantity_down(self.quantity)
        return holdings.affordable(instrument, min(spendable, self.entry_budget), quote.ask, context.taker_rate)


@lru_cache(maxsize=64)
def _at_a_cross(symbols: tuple[str, ...]) -> Wakes:
    """When the averages of any of them cross."""
    return Wakes(changes=tuple((symbol, "is_above") for symbol in symbols), on_fill=False)
