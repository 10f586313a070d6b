"""ProfitAwareStrategyV1: buy a little of what is flat, sell a slice of what is in profit after all costs.

For each symbol, in alphabetical order:

- A position that could be sold at the venue's minimum is held: when the bid, net of the sell's taker fee, is at least
  `profit_bps_min` above average cost (fee and tax of the buys included), a slice of it is sold at the bid. A slice
  below the venue's minimum is raised to it, and when what would remain could not be sold on its own, all is sold.
- A position below the venue's minimum is dust: it stays in the books and the symbol counts as flat.
- A flat symbol with a spread of at most `spread_bps_max` is bought at the ask for `entry_budget`, fee included.

There is no stop loss: a falling market leaves the bot holding.

What it waits for can be said in prices. A position waits for the bid at which it is in profit; or for its own value to
fall below the venue's minimum, since it would then count as flat and be bought again: the spread limit turns that bid
into an ask. A flat symbol that could be bought but for its spread has to be looked at every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import Quote
from btcbot.domain.positions import Position
from btcbot.strategies import holdings
from btcbot.strategies.base import StrategyContext, Wakes
from btcbot.strategies.parameters import Within


class ProfitAwareStrategyV1(msgspec.Struct, frozen=True, kw_only=True):
    """Buy a little of what is flat, sell a slice of what is in profit after all costs.

    `entry_budget` in quote, fee included; `slice_fraction` in (0, 1]; the others in basis points.
    `order_value_min` is our own least value of an order; the venue's minimum holds as well.
    """

    entry_budget: Annotated[
        Decimal, Within("0.01", 1_000_000_000, "Value of the buy that opens a position, fee included.", log=True)
    ] = Decimal(500)
    profit_bps_min: Annotated[
        Decimal, Within(0, 10_000, "Gain in bps, net of the sell's taker fee, from which a slice is sold.")
    ] = Decimal(30)
    slice_fraction: Annotated[Decimal, Within("0.01", 1, "Share of the position that one sell takes.")] = Decimal(
        "0.25"
    )
    spread_bps_max: Annotated[
        Decimal, Within("0.01", 10_000, "Spread in bps above which nothing is bought.", log=True)
    ] = Decimal(100)
    order_value_min: Annotated[
        Decimal, Within(0, 1_000_000_000, "Least value of an order; the venue's own minimum holds as well.")
    ] = Decimal(10)
    name: str = "profit_v1"

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        intents: list[Intent] = []
        spendable = context.spendable
        for symbol in sorted(context.symbols):
            instrument, quote = context.instruments.get(symbol), context.quotes.get(symbol)
            if instrument is None or quote is None or symbol in context.symbols_with_open_orders:
                continue
            position = context.positions.get(symbol) or Position(symbol=symbol)
            held = instrument.quantity_down(position.quantity)
            if held and held * quote.bid >= self._least(instrument):
                intent = self._take_profit(context, instrument, quote, position)
            else:
                intent = self._enter(context, instrument, quote, min(spendable, self.entry_budget))
                if intent is not None:
                    spendable -= intent.value * (money.ONE + context.taker_rate)
            if intent is not None:
                intents.append(intent)
        return intents

    def wakes(self, context: StrategyContext) -> Wakes:
        """The prices at which a position may be sold or is dust; every cycle while a flat symbol could be bought."""
        bids: dict[str, Decimal] = {}
        asks: dict[str, Decimal] = {}
        is_looking = False
        wished = {intent.symbol for intent in self.generate(context)}
        for symbol in context.symbols:
            if symbol in wished or symbol in context.symbols_with_open_orders:
                continue  # busy until an order ends
            instrument = context.instruments.get(symbol)
            if instrument is None:
                is_looking = True
                continue
            least = self._least(instrument)
            could_buy = holdings.could_ever_buy(context, self.entry_budget, least)
            dust = holdings.dust_price_of(context, symbol, least)
            if dust is None:
                is_looking = is_looking or could_buy
                continue
            in_profit = money.divide_down(
                self._wanted(context.positions[symbol]), money.ONE - context.taker_rate, holdings.EXACT_PLACES
            )
            bids[symbol] = max(in_profit, dust)
            if could_buy:
                asks[symbol] = holdings.ask_above_which_no_dust_is_bought(dust, self.spread_bps_max)
        return Wakes(bid_at_least=bids, ask_at_most=asks, not_before_ms=context.now_ms if is_looking else None)

    def _wanted(self, position: Position) -> Decimal:
        """What one has to bring, net of the fee."""
        return position.average_cost * (money.ONE + self.profit_bps_min * money.BPS)

    def _least(self, instrument: Instrument) -> Decimal:
        """The least value of an order that is worth wishing for."""
        return max(instrument.value_min, self.order_value_min)

    def _take_profit(
        self, context: StrategyContext, instrument: Instrument, quote: Quote, position: Position
    ) -> Intent | None:
        wanted = self._wanted(position)
        net = quote.bid * (money.ONE - context.taker_rate)
        if net < wanted:
            return None
        held = instrument.quantity_down(position.quantity)
        least = money.divide_up(self._least(instrument), quote.bid, instrument.quantity_scale)
        quantity = max(instrument.quantity_down(held * self.slice_fraction), least)
        if (held - quantity) * quote.bid < self._least(instrument):
            quantity = held
        return self._intent(
            context,
            instrument,
            Side.SELL,
            quote.bid,
            quantity,
            f"take profit: {money.plain(net)} net of fee is at least {money.plain(money.round_up(wanted, 8))}",
        )

    def _enter(self, context: StrategyContext, instrument: Instrument, quote: Quote, budget: Decimal) -> Intent | None:
        if budget < self._least(instrument) or quote.spread_bps > self.spread_bps_max:
            return None
        cost_of_one = quote.ask * (money.ONE + context.taker_rate)
        quantity = money.divide_down(budget, cost_of_one, instrument.quantity_scale)
        if quantity * quote.ask < self._least(instrument):
            return None
        return self._intent(
            context, instrument, Side.BUY, quote.ask, quantity, f"flat, spread {money.plain(quote.spread_bps)} bps"
        )

    def _intent(
        self, context: StrategyContext, instrument: Instrument, side: Side, price: Decimal, quantity: Decimal, why: str
    ) -> Intent:
        return Intent(
            intent_id=f"{context.cycle_id}:{self.name}:{instrument.symbol}:{side}",
            cycle_id=context.cycle_id,
            strategy=self.name,
            symbol=instrument.symbol,
            side=side,
            price=price,
            quantity=quantity,
            why=why,
        )
