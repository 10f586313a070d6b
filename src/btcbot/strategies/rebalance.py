"""Rebalance: keep each symbol at its share of what the account is worth.

Worth is the spendable cash plus every position at its last close. A symbol whose share is more than `band` away from
its target is brought back to it: what is too much is sold at the bid, what is too little bought at the ask, the largest
difference first, buys with the cash that is free now. No order is worth more than `order_value_max`, so a large
difference goes in steps, as far as the limits of risk have room. Within the band nothing is done, so that fees are paid
for differences that matter only; a symbol that is brought back in steps stops at its edge. A sell takes along a rest
that would be below the venue's least order.

Targets: `weights` names them («BTCTRY:0.5+ETHTRY:0.3»; the rest stays in cash, symbols not named are sold), or without
it `invested` is spread evenly over all symbols.

It acts on a whole picture or not at all: with an order open, or a symbol without a quote or a bar, it waits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, ClassVar, Final

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.strategies import holdings
from btcbot.strategies.base import Signal, StrategyContext, Wakes
from btcbot.strategies.parameters import Meaning, Within
from btcbot.strategies.signals import Close

_WEIGHT: Final = re.compile(r"(?P<symbol>[A-Z0-9]{2,20}):(?P<weight>[01](\.[0-9]{1,9})?)", re.ASCII)
#: Shares are compared, never booked; so many decimals are more than any band needs.
_SHARE_PLACES: Final = 12
_MINUTE_MS: Final = 60_000


class Rebalance(msgspec.Struct, frozen=True, kw_only=True):
    """Keep each symbol at its share of what the account is worth."""

    name: ClassVar[str] = "rebalance"

    invested: Annotated[
        Decimal, Within(0, 1, "Share of the account that is invested, evenly, where no weights are given.")
    ] = Decimal("0.9")
    weights: Annotated[
        str, Meaning("Target share of each symbol, such as BTCTRY:0.5+ETHTRY:0.3; empty: all alike.")
    ] = ""
    band: Annotated[
        Decimal, Within("0.001", 1, "Difference from the target, as a share of the account, that is left alone.")
    ] = Decimal("0.05")
    order_value_max: Annotated[
        Decimal, Within(1, 1_000_000_000, "Value of one order, at most; more follows at the next bars.", log=True)
    ] = Decimal(500)
    every_minutes: Annotated[
        int, Within(0, 100_000, "Act only at bars that close on a multiple of so many minutes, UTC; 0: at every bar.")
    ] = 0
    spread_bps_max: Annotated[
        Decimal, Within("0.01", 10_000, "Spread in bps above which nothing is bought.", log=True)
    ] = Decimal(100)

    def __post_init__(self) -> None:
        total = money.total(self._named().values())
        if total > 1:
            raise ValueError(f"weights={self.weights} add up to {money.plain(total)}; they may not exceed 1")

    def demand_symbols(self, symbols: Sequence[str]) -> None:
        """A slip in a name would sell the symbol that was meant, and leave its share in cash."""
        for symbol in self._named():
            if symbol not in symbols:
                raise ValueError(f"weights names {symbol}, which is not traded; it is one of {', '.join(symbols)}")

    def signals(self) -> Mapping[str, Signal]:
        return {"last_close": Close()}

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        if context.symbols_with_open_orders or not self._is_time(context):
            return []
        symbols = sorted(context.symbols)
        if not all(s in context.bars and s in context.quotes and s in context.instruments for s in symbols):
            return []
        values = {symbol: holdings.held_of(context, symbol) * context.bars[symbol].close for symbol in symbols}
        worth = context.spendable + money.total(values.values())
        if worth <= 0:
            return []
        targets = self._targets(symbols)
        away = {symbol: targets[symbol] - _share(values[symbol], worth) for symbol in symbols}
        intents: list[Intent] = []
        spendable = context.spendable
        # What is sold comes first; the larger difference before the smaller.
        for symbol in sorted(symbols, key=lambda one: (away[one] > 0, -abs(away[one]), one)):
            if abs(away[symbol]) <= self.band:
                continue
            instrument, quote = context.instruments[symbol], context.quotes[symbol]
            why = (
                f"{money.plain(money.divide_half_even(_share(values[symbol], worth), money.ONE, 4))} of the account, "
                f"wanted {money.plain(targets[symbol])}"
            )
            difference = min(abs(targets[symbol] * worth - values[symbol]), self.order_value_max)
            if away[symbol] < 0:
                held = holdings.held_of(context, symbol)
                quantity = min(money.divide_up(difference, quote.bid, instrument.quantity_scale), held)
                if (held - quantity) * quote.bid < instrument.value_min:
                    # A rest that could never be sold goes along, unless that leads further away than it was.
                    quantity = held if values[symbol] > 2 * targets[symbol] * worth else money.ZERO
                if quantity * quote.bid >= instrument.value_min:
                    intents.append(holdings.wish(context, self.name, quote, Side.SELL, quote.bid, quantity, why))
            elif quote.spread_bps <= self.spread_bps_max:
                quantity = holdings.affordable(instrument, min(difference, spendable), quote.ask, context.taker_rate)
                if quantity:
                    intents.append(holdings.wish(context, self.name, quote, Side.BUY, quote.ask, quantity, why))
                    spendable -= intents[-1].value * (money.ONE + context.taker_rate)
        return intents

    def wakes(self, context: StrategyContext) -> Wakes:
        """The next of its times; without `every_minutes` at every cycle."""
        if not self.every_minutes or not context.bars:
            return Wakes(not_before_ms=context.now_ms)
        every_ms = self.every_minutes * _MINUTE_MS
        return Wakes(not_before_ms=(_last_close_ms(context) // every_ms + 1) * every_ms, on_fill=False)

    def _is_time(self, context: StrategyContext) -> bool:
        if not context.bars:
            return False
        return not self.every_minutes or _last_close_ms(context) % (self.every_minutes * _MINUTE_MS) == 0

    def _targets(self, symbols: Sequence[str]) -> Mapping[str, Decimal]:
        if self.weights:
            named = self._named()
            return {symbol: named.get(symbol, money.ZERO) for symbol in symbols}
        return dict.fromkeys(symbols, money.divide_down(self.invested, Decimal(len(symbols)), _SHARE_PLACES))

    def _named(self) -> Mapping[str, Decimal]:
        found: dict[str, Decimal] = {}
        for part in self.weights.split("+") if self.weights else ():
            match = _WEIGHT.fullmatch(part.strip())
            if match is None:
                raise ValueError(f"weights={self.weights} cannot be read; write such as BTCTRY:0.5+ETHTRY:0.3")
            if match["symbol"] in found:
                raise ValueError(f"weights={self.weights} names {match['symbol']} twice")
            found[match["symbol"]] = Decimal(match["weight"])
        return found


def _share(value: Decimal, worth: Decimal) -> Decimal:
    return money.divide_half_even(value, worth, _SHARE_PLACES)


def _last_close_ms(context: StrategyContext) -> int:
    return max(bar.close_time_ms for bar in context.bars.values())
