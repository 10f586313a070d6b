"""Mean reversion: buy what has fallen far below its average, sell it when it is back.

The anchor is the mean of the last `window` closes, and distance is told in standard deviations of the same closes (the
z-score). The anchor moves with the market, so a position that goes on falling is sold too, at a loss, when the average
has come down to it.

- A flat symbol whose close is at least `entry_z` deviations below its average is bought at the ask for `entry_budget`.
- A position whose close is at least `exit_z` deviations above its average (negative: below) is sold at the bid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.strategies import holdings
from btcbot.strategies.base import Signal, StrategyContext, Wakes
from btcbot.strategies.holdings import Standing
from btcbot.strategies.parameters import Within
from btcbot.strategies.signals import AtLeast, AtMost, ZScore


class MeanReversion(msgspec.Struct, frozen=True, kw_only=True):
    """Buy what has fallen far below the average of its closes, sell it when it is back."""

    name: ClassVar[str] = "mean_reversion"

    window: Annotated[int, Within(2, 10_000, "Bars of the average and of the deviation.", log=True)] = 60
    entry_z: Annotated[
        Decimal, Within("0.1", 10, "Standard deviations below the average from which is bought.", step="0.1")
    ] = Decimal(2)
    exit_z: Annotated[
        Decimal, Within(-10, 10, "Standard deviations above the average from which is sold.", step="0.1")
    ] = Decimal(0)
    entry_budget: Annotated[
        Decimal, Within("0.01", 1_000_000_000, "Value of the buy that opens a position, fee included.", log=True)
    ] = Decimal(500)
    spread_bps_max: Annotated[
        Decimal, Within("0.01", 10_000, "Spread in bps above which nothing is bought.", log=True)
    ] = Decimal(100)

    def __post_init__(self) -> None:
        if self.exit_z <= -self.entry_z:
            raise ValueError(
                f"exit_z={money.plain(self.exit_z)} must be above -entry_z={money.plain(-self.entry_z)}, "
                "or it would sell what it has just bought"
            )

    def signals(self) -> Mapping[str, Signal]:
        return {
            "z": ZScore(self.window),
            "is_low": AtMost("z", -self.entry_z),
            "is_back": AtLeast("z", self.exit_z),
        }

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        sells: list[Intent] = []
        buys: list[Intent] = []
        spendable = context.spendable
        for symbol in sorted(context.symbols):
            signals, standing = context.signals.get(symbol), holdings.standing_of(context, symbol)
            if signals is None or standing in (Standing.BUSY, Standing.UNKNOWN):
                continue
            instrument, quote = context.instruments[symbol], context.quotes[symbol]
            why = f"close {signals['z']:.2f} deviations from its average of {self.window} bars"
            if standing is Standing.HELD and signals["is_back"]:
                held = holdings.held_of(context, symbol)
                sells.append(holdings.wish(context, self.name, quote, Side.SELL, quote.bid, held, why))
            elif standing is Standing.FLAT and signals["is_low"] and quote.spread_bps <= self.spread_bps_max:
                budget = min(spendable, self.entry_budget)
                quantity = holdings.affordable(instrument, budget, quote.ask, context.taker_rate)
                if quantity:
                    buys.append(holdings.wish(context, self.name, quote, Side.BUY, quote.ask, quantity, why))
                    spendable -= buys[-1].value * (money.ONE + context.taker_rate)
        return [*sells, *buys]

    def wakes(self, context: StrategyContext) -> Wakes:
        """The closes at which the score passes a threshold; every cycle while one is passed and nothing came of it."""
        changes = tuple((symbol, name) for symbol in context.symbols for name in ("is_low", "is_back"))
        bids, asks = holdings.dust_edges(context, self.spread_bps_max)
        settled = all(self._is_settled(context, symbol) for symbol in context.symbols)
        return Wakes(
            bid_at_least=bids, ask_at_most=asks, changes=changes, not_before_ms=None if settled else context.now_ms
        )

    def _is_settled(self, context: StrategyContext, symbol: str) -> bool:
        """Whether this symbol, as it stands, waits for a threshold or for its open order."""
        signals = context.signals.get(symbol)
        if signals is None:
            return True
        match holdings.standing_of(context, symbol):
            case Standing.BUSY | Standing.HELD:
                return True  # a sell that is due was wished just now; it wakes when it ends, like any open order
            case Standing.FLAT:
                return not signals["is_low"]  # a buy that is due may have failed for its spread, or for want of money
            case Standing.UNKNOWN:
                return not signals["is_low"] and not signals["is_back"]
