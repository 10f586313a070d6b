"""What a portfolio is worth, and what each symbol in it is to be worth.

Worth is the cash that is ours, locked or free, plus every position at the mid. What is above the cash target is spread
over the symbols by their weights; a symbol that is winding down, or that no weight names, is to be worth nothing.

A symbol without a usable quote is left out of the picture. Where something of it is held, it is taken to be worth its
share: the others keep the targets that they would have with it, so that a lost quote moves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.strategies.base import StrategyContext

_WEIGHT: Final = re.compile(r"(?P<symbol>[A-Z0-9]{2,20}):(?P<weight>[01](\.[0-9]{1,12})?)", re.ASCII)
#: Weights that were scaled are rounded, so they may add up to a little more than 1.
_SLACK: Final = Decimal("0.000001")
_WEIGHT_PLACES: Final = 12
#: Decimals of a target.
TRY_PLACES: Final = 8


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """In TRY. `values` and `targets` hold the same symbols: those with a quote, whether traded or winding down.
    `invested` is what all targets share: what is above the cash target. `new_cash` is what further buys may cost beside
    the orders that are open, fees included."""

    equity: Decimal
    invested: Decimal
    values: Mapping[str, Decimal]
    targets: Mapping[str, Decimal]
    new_cash: Decimal

    def share(self, value: Decimal) -> str:
        """Of the account, in percent, for people."""
        return f"{money.plain(money.divide_half_even(value * 100, self.equity, 2))} %" if self.equity > 0 else "0 %"


@lru_cache(maxsize=64)
def read_weights(text: str) -> Mapping[str, Decimal]:
    """«BTCTRY:0.6+ETHTRY:0.4» as a mapping, empty for an empty text. ValueError says what is wrong with it."""
    found: dict[str, Decimal] = {}
    for part in text.split("+") if text else ():
        match = _WEIGHT.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"targets={text} cannot be read; write such as BTCTRY:0.6+ETHTRY:0.4")
        if match["symbol"] in found:
            raise ValueError(f"targets={text} names {match['symbol']} twice")
        found[match["symbol"]] = Decimal(match["weight"])
    total = money.total(found.values())
    if total > money.ONE + _SLACK:
        raise ValueError(f"targets={text} add up to {money.plain(total)}; they may not exceed 1")
    return found


def weights_text(weights: Mapping[str, Decimal]) -> str:
    """What `read_weights` would read as `weights`."""
    return "+".join(f"{symbol}:{money.plain(weight)}" for symbol, weight in weights.items())


def picture_of(
    context: StrategyContext, weights: Mapping[str, Decimal], cash_target: Decimal, position_value_max: Decimal
) -> Picture:
    """Without weights every symbol that is traded has the same. No target exceeds `position_value_max`, less the fee of
    buying it."""
    shares = _shares(context, weights)
    worth = {symbol: _held(context, symbol) * context.quotes[symbol].mid for symbol in sorted(_seen(context))}
    # A caller that knows no locked cash tells none.
    cash = max(context.cash, context.spendable)
    locked = money.total(
        order.price * order.leaves_quantity * (money.ONE + context.taker_rate)
        for order in context.open_orders
        if order.is_open and order.side is Side.BUY
    )
    # What may not be spent for another reason than the cash target is no money of this portfolio either.
    reserve = max(cash_target, cash - locked - context.spendable)
    equity = cash + money.total(worth.values())
    unseen = money.total(share for symbol, share in shares.items() if symbol not in worth and _held(context, symbol))
    most = money.divide_down(position_value_max, money.ONE + context.taker_rate, TRY_PLACES)
    invested = max(equity - reserve, money.ZERO)
    targets = {
        symbol: min(money.divide_down(shares.get(symbol, money.ZERO) * invested, money.ONE - unseen, TRY_PLACES), most)
        if unseen < money.ONE
        else value
        for symbol, value in worth.items()
    }
    new_cash = max(min(context.spendable, cash - locked - cash_target), money.ZERO)
    return Picture(equity=equity, invested=invested, values=worth, targets=targets, new_cash=new_cash)


def _shares(context: StrategyContext, weights: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    """Weight of each symbol that may be bought."""
    traded = [symbol for symbol in context.symbols if symbol not in context.winding_down]
    if weights:
        return {symbol: weights[symbol] for symbol in traded if symbol in weights}
    return dict.fromkeys(traded, money.divide_down(money.ONE, Decimal(len(traded)), _WEIGHT_PLACES)) if traded else {}


def _seen(context: StrategyContext) -> frozenset[str]:
    known = context.quotes.keys() & context.instruments.keys()
    return frozenset(known & {*context.symbols, *context.winding_down})


def _held(context: StrategyContext, symbol: str) -> Decimal:
    position = context.positions.get(symbol)
    return position.quantity if position is not None else money.ZERO
