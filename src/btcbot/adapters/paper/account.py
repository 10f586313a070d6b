"""The account at this venue: funds that are free, funds that orders lock, and what a fill costs.

As BtcTurk does it: an order locks its value with the taker's charge when it is placed; a fill is charged in the quote
asset on either side; the published rate contains a tax of 20 % on the fee, and fee and tax are rounded half up to eight
decimals each. What rests keeps the taker's lock, where BtcTurk gives the difference to the maker's back: never less.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from btcbot.adapters.paper.matching import Match, PaperOrder
from btcbot.domain import money
from btcbot.domain.account import Balance
from btcbot.domain.intents import Side

TAX_RATE: Final = Decimal("0.2")
CHARGE_PLACES: Final = 8


class Charge(NamedTuple):
    """What one fill costs, in the quote asset."""

    fee: Decimal
    tax: Decimal


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Fractions of an order's value, tax included: 0.0024 is 24 bps."""

    maker: Decimal
    taker: Decimal

    def charge(self, value: Decimal, *, is_maker: bool) -> Charge:
        rate = money.divide_half_even(self.maker if is_maker else self.taker, money.ONE + TAX_RATE, CHARGE_PLACES)
        fee = value * rate
        return Charge(money.round_half_up(fee, CHARGE_PLACES), money.round_half_up(fee * TAX_RATE, CHARGE_PLACES))


class Account:
    """Balances by asset. Nothing is ever below zero: what would be is refused before, or is a defect."""

    def __init__(self, balances: Mapping[str, Balance], rates: Rates) -> None:
        self._balances = dict(balances)
        self._rates = rates

    @property
    def balances(self) -> Mapping[str, Balance]:
        return self._balances

    def free(self, asset: str) -> Decimal:
        balance = self._balances.get(asset)
        return balance.free if balance is not None else money.ZERO

    def lock_of(self, side: Side, price: Decimal, leaves: Decimal) -> Decimal:
        """What an order with so much left to trade has to have locked."""
        if side is Side.SELL:
            return leaves
        return money.round_up(price * leaves * (money.ONE + self._rates.taker), CHARGE_PLACES)

    def lock(self, order: PaperOrder) -> None:
        """Set the funds of a new order aside. They must be free."""
        order.locked = self.lock_of(order.side, order.price, order.leaves)
        self._move(order.locked_asset, -order.locked, order.locked)

    def release(self, order: PaperOrder) -> None:
        """Give back what a cancelled order still has locked."""
        locked, order.locked = order.locked, money.ZERO
        self._move(order.locked_asset, locked, -locked)

    def settle(self, match: Match) -> Charge:
        """Move the money of one match."""
        order, value = match.order, match.price * match.quantity
        charge = self._rates.charge(value, is_maker=match.is_maker)
        unlocked = order.locked - self.lock_of(order.side, order.price, match.leaves)
        order.locked -= unlocked
        if order.side is Side.BUY:
            short = value + charge.fee + charge.tax - unlocked - self.free(order.quote)
            if short > 0:
                # Rounding half up may ask for a hundred-millionth more than an emptied account has.
                charge = _less(charge, short)
            self._move(order.quote, unlocked - value - charge.fee - charge.tax, -unlocked)
            self._move(order.base, match.quantity, money.ZERO)
        else:
            self._move(order.base, money.ZERO, -unlocked)
            self._move(order.quote, value - charge.fee - charge.tax, money.ZERO)
        return charge

    def _move(self, asset: str, free: Decimal, locked: Decimal) -> None:
        before = self._balances.get(asset) or Balance(asset, money.ZERO, money.ZERO)
        after = Balance(asset, before.free + free, before.locked + locked)
        assert after.free >= 0 and after.locked >= 0, f"{asset} at the paper venue would fall below zero"
        self._balances[asset] = after


def _less(charge: Charge, short: Decimal) -> Charge:
    """The charge less what is missing, the tax first."""
    short = money.round_up(short, CHARGE_PLACES)
    of_tax = min(charge.tax, short)
    return Charge(charge.fee - (short - of_tax), charge.tax - of_tax)
