"""A fill is one execution at the venue, keyed by the venue's trade id.

The trade id is the only identity: two fills of one order may have the same price, quantity and time.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from btcbot.domain.intents import Side


class VenueTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trade of the account as the venue lists it; signs are taken off on the wire.

    `quantity` (base) is the exact one, `fee` and `tax` are what was paid in the quote asset, `at_ms` is venue time.
    """

    trade_id: str
    venue_order_id: str
    client_order_id: str | None
    symbol: str
    base: str
    quote: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    tax: Decimal
    at_ms: int

    @property
    def value(self) -> Decimal:
        """Quote amount that changed hands, before fee and tax."""
        return self.price * self.quantity


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trade that belongs to one of our orders."""

    trade_id: str
    client_order_id: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    tax: Decimal
    at_ms: int
