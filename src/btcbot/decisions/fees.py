"""What an order costs beyond its price.

The venue checks funds at the taker rate and gives the difference back when the order rests, so holds and buffers use
the taker rate, tax included. The configured rates are a belief; own trades are the truth, and they can only raise it:
a trade does not say whether it was maker or taker, so a low charge proves nothing about the taker rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from btcbot.domain import money
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side

#: Fees and taxes are rounded to eight decimals each; below this value the rounding would dominate the rate.
RATE_SAMPLE_VALUE_MIN = Decimal(10)
RATE_PLACES = 6


class FeeRates(msgspec.Struct, frozen=True, kw_only=True):
    """Fractions of the order's value, tax included: 0.0024 is 24 bps."""

    maker: Decimal
    taker: Decimal


def corrected(rates: FeeRates, fills: Iterable[Fill]) -> FeeRates:
    """Rates no lower than what our own fills were really charged, to the nearest of `RATE_PLACES`.

    Not rounded up: the venue rounds fee and tax to eight decimals, and that noise must not raise the rate.
    """
    highest = rates.taker
    for fill in fills:
        value, charge = fill.price * fill.quantity, fill.fee + fill.tax
        if value >= RATE_SAMPLE_VALUE_MIN and charge > highest * value:
            highest = max(highest, money.divide_half_even(charge, value, RATE_PLACES))
    return rates if highest is rates.taker else msgspec.structs.replace(rates, taker=highest)


def hold_amount(side: Side, price: Decimal, leaves_quantity: Decimal, rates: FeeRates) -> Decimal:
    """Funds to set aside: quote with commission for a buy, base for a sell."""
    if side is Side.SELL:
        return leaves_quantity
    return price * leaves_quantity * (money.ONE + rates.taker)


def lock_least(side: Side, price: Decimal, leaves_quantity: Decimal, rates: FeeRates) -> Decimal:
    """The least that the venue can have locked for an open order: at the maker rate."""
    if side is Side.SELL:
        return leaves_quantity
    return price * leaves_quantity * (money.ONE + min(rates.maker, rates.taker))
