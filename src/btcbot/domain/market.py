"""What the market shows: the best bid and ask, and the book they came from."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from btcbot.domain import money

#: Basis points are told with this many decimals; they are compared and shown, never booked.
BPS_PLACES = 4
#: The quantity at a best price of which the source tells the price alone.
NOT_TOLD: Final = money.ZERO


class Quote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Best bid and ask of one symbol. Times in Unix milliseconds: the venue's, and ours when it arrived.

    What stands at these prices is `NOT_TOLD`, zero, where they come from a ticker or from a recorded bar.
    """

    symbol: str
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal
    venue_time_ms: int
    received_at_ms: int

    @property
    def is_sane(self) -> bool:
        """Positive and not crossed. Anything else is no market to trade in."""
        return money.ZERO < self.bid < self.ask

    @property
    def mid(self) -> Decimal:
        """Exact: half of a decimal always ends."""
        return (self.bid + self.ask) * money.HALF

    @property
    def spread_bps(self) -> Decimal:
        return money.divide_half_even((self.ask - self.bid) * 10_000, self.mid, BPS_PLACES)
