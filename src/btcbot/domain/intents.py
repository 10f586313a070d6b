"""An intent is a wish of the strategy: not yet allowed, not yet an order."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class Intent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Buy or sell `quantity` of the base at `price` or better. `why` is the strategy's reason, for people."""

    intent_id: str
    cycle_id: str
    strategy: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    why: str

    @property
    def value(self) -> Decimal:
        """In the quote asset, without fee."""
        return self.price * self.quantity
