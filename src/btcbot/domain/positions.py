"""Position: what the bot itself bought (or was handed) and has not sold, with its cost.

Cost includes the buy's fee and tax, so that a sell above average cost, net of its own fee, is a profit. Cost is kept as
a total; a sell takes its share of it rounded to `COST_PLACES`, and the last sell takes all that is left, so that cost
in equals cost out to the last digit.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.errors import InvariantBroken

COST_PLACES: Final = 16
AVERAGE_PLACES: Final = 16


class Position(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`quantity` in base; `cost`, `realized_pnl` (net of fee and tax), `fees_paid`, `taxes_paid` in quote."""

    symbol: str
    quantity: Decimal = money.ZERO
    cost: Decimal = money.ZERO
    realized_pnl: Decimal = money.ZERO
    fees_paid: Decimal = money.ZERO
    taxes_paid: Decimal = money.ZERO

    @property
    def average_cost(self) -> Decimal:
        """Quote for one base, fee and tax of the buys included; zero when flat. For comparing, not for booking."""
        return money.divide_half_even(self.cost, self.quantity, AVERAGE_PLACES) if self.quantity else money.ZERO

    def unrealized_pnl(self, bid: Decimal) -> Decimal:
        """What selling at `bid` would add, before the sell's fee."""
        return bid * self.quantity - self.cost


def after_fill(position: Position, fill: Fill) -> Position:
    """The position after a fill of our own order. Selling more than is held breaks I14."""
    charges = fill.fee + fill.tax
    value = fill.price * fill.quantity
    if fill.side is Side.BUY:
        quantity, cost, gained = position.quantity + fill.quantity, position.cost + value + charges, money.ZERO
    else:
        if fill.quantity > position.quantity:
            raise InvariantBroken(
                "I14_OVERSOLD",
                f"fill {fill.trade_id} sells {money.plain(fill.quantity)} of {fill.symbol}, "
                f"the position is {money.plain(position.quantity)}",
            )
        quantity = position.quantity - fill.quantity
        share = _share_of_cost(position, fill.quantity)
        cost, gained = position.cost - share, value - charges - share
    return msgspec.structs.replace(
        position,
        quantity=quantity,
        cost=cost,
        realized_pnl=position.realized_pnl + gained,
        fees_paid=position.fees_paid + fill.fee,
        taxes_paid=position.taxes_paid + fill.tax,
    )


def _share_of_cost(position: Position, quantity: Decimal) -> Decimal:
    """What `quantity` of the position cost; all that is left of the cost for all that is left of the quantity."""
    if quantity == position.quantity:
        return position.cost
    share = money.divide_half_even(position.cost * quantity, position.quantity, COST_PLACES)
    return min(share, position.cost)


def after_release(position: Position, quantity: Decimal) -> Position:
    """The position after an operator took `quantity` out of it: its share of the cost goes along, no result is made."""
    if not 0 < quantity <= position.quantity:
        raise InvariantBroken(
            "I14_OVERSOLD",
            f"{money.plain(quantity)} of {position.symbol} cannot leave a position of {money.plain(position.quantity)}",
        )
    return msgspec.structs.replace(
        position,
        quantity=position.quantity - quantity,
        cost=position.cost - _share_of_cost(position, quantity),
    )


def after_adoption(position: Position, quantity: Decimal, cost: Decimal) -> Position:
    """The position after an operator handed it `quantity` bought elsewhere for `cost` in all."""
    return msgspec.structs.replace(position, quantity=position.quantity + quantity, cost=position.cost + cost)
