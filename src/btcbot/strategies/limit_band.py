"""Limit band: one resting limit order at every bar, a little below the last close to buy, a little above it to sell.

It is asked at every bar, so it gives no wakes: an order that was not reached is cancelled when its bar is over (set
TTL_SECONDS to the length of a bar) and replaced by one at a new price. A symbol with an open order is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.strategies import holdings
from btcbot.strategies.base import Signal, StrategyContext
from btcbot.strategies.holdings import Standing
from btcbot.strategies.parameters import Within
from btcbot.strategies.signals import Close


class LimitBand(msgspec.Struct, frozen=True, kw_only=True):
    """Rest a buy a little below the last close while flat, a sell a little above it while holding."""

    name: ClassVar[str] = "limit_band"

    offset_bps: Annotated[Decimal, Within(0, 5_000, "Distance of the order from the last close, in bps.")] = Decimal(15)
    quantity: Annotated[
        Decimal, Within(0, 1_000_000_000, "Quantity of a buy, in base; 0: as much as the budget buys.")
    ] = Decimal(0)
    entry_budget: Annotated[
        Decimal, Within("0.01", 1_000_000_000, "Value of a buy where no quantity is given, fee included.", log=True)
    ] = Decimal(500)

    def signals(self) -> Mapping[str, Signal]:
        return {"last_close": Close()}

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        intents: list[Intent] = []
        spendable = context.spendable
        offset = self.offset_bps * money.BPS
        above, below = money.ONE + offset, money.ONE - offset
        away_bps = money.plain(self.offset_bps)
        for symbol in sorted(context.symbols):
            bar, standing = context.bars.get(symbol), holdings.standing_of(context, symbol)
            if bar is None or standing in (Standing.BUSY, Standing.UNKNOWN):
                continue
            instrument, quote = context.instruments[symbol], context.quotes[symbol]
            is_held = standing is Standing.HELD
            # The exact price, rounded to the tick with ties to even. A rule written with floats rounds the nearest
            # binary fraction instead, which may differ by a tick where the exact price lies halfway between two.
            exact = bar.close * (above if is_held else below)
            price = money.divide_half_even(exact, money.ONE, instrument.price_scale)
            why = f"{away_bps} bps from the close of {money.plain(bar.close)}"
            if is_held:
                held = holdings.held_of(context, symbol)
                intents.append(holdings.wish(context, self.name, quote, Side.SELL, price, held, why))
                continue
            quantity = (
                instrument.quantity_down(self.quantity)
                if self.quantity
                else holdings.affordable(instrument, min(spendable, self.entry_budget), price, context.taker_rate)
            )
            if quantity:
                intents.append(holdings.wish(context, self.name, quote, Side.BUY, price, quantity, why))
                spendable -= intents[-1].value * (money.ONE + context.taker_rate)
        return intents
