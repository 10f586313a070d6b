"""An instrument is a tradable pair with the venue's rules of today.

Price granularity is `10^-price_scale` (and whole numbers where the pair has no fraction), not the `tickSize` that
exchangeinfo also tells: live books hold prices between those ticks. Rules change, so an instrument is never stored as
truth about an old order; it is asked for anew and used for the next one.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from btcbot.domain import money


class Instrument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One pair. Prices and values in `quote`, quantities in `base`."""

    symbol: str
    base: str
    quote: str
    price_scale: int
    quantity_scale: int
    value_min: Decimal
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    is_trading: bool = True
    takes_limit_orders: bool = True

    @property
    def tick(self) -> Decimal:
        """Smallest price step."""
        return money.unit(self.price_scale)

    @property
    def lot(self) -> Decimal:
        """Smallest quantity step."""
        return money.unit(self.quantity_scale)

    def price_down(self, price: Decimal) -> Decimal:
        """On the tick, not above `price`."""
        return money.round_down(price, self.price_scale)

    def price_up(self, price: Decimal) -> Decimal:
        """On the tick, not below `price`."""
        return money.round_up(price, self.price_scale)

    def quantity_down(self, quantity: Decimal) -> Decimal:
        """On the lot, not above `quantity`."""
        return money.round_down(quantity, self.quantity_scale)

    def quantity_up(self, quantity: Decimal) -> Decimal:
        """On the lot, not below `quantity`."""
        return money.round_up(quantity, self.quantity_scale)

    def quantity_min(self, price: Decimal) -> Decimal:
        """The smallest quantity that reaches the venue's minimum order value at `price`."""
        return money.divide_up(self.value_min, price, self.quantity_scale)

    def is_on_tick(self, price: Decimal) -> bool:
        return price == self.price_down(price)

    def is_on_lot(self, quantity: Decimal) -> bool:
        return quantity == self.quantity_down(quantity)
