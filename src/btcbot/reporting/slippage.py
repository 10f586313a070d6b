"""Slippage: how much worse than the price that the decision saw a trade was.

The decision price is the mid of the quote that the order's cycle decided on. Slippage is told beside the result and
never taken off it: it lies in the price of the trade, and so in realised and unrealised profit, already.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from btcbot.domain.cycles import CycleReport
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order

_HALF: Final = Decimal("0.5")


def decision_price(order: Order | None, cycles: Mapping[str, CycleReport]) -> Decimal | None:
    """None where the cycle is no longer on record, or had no quote of the symbol: then nothing is guessed."""
    cycle = cycles.get(order.cycle_id) if order is not None else None
    quote = cycle.quotes.get(order.symbol) if cycle is not None and order is not None else None
    return None if quote is None else (quote[0] + quote[1]) * _HALF


def slippage(fill: Fill, price: Decimal) -> Decimal:
    """In quote: above zero for worse than `price`, below zero for better."""
    worse = fill.price - price if fill.side is Side.BUY else price - fill.price
    return worse * fill.quantity
