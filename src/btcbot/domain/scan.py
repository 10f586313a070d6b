"""What a look over many symbols shows of each: the facts from which a universe is chosen."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from btcbot.domain import money
from btcbot.domain.market import Quote

#: Depth is compared and ranked, never booked: whatever a venue may send, it is cut to so many digits.
_CUT: Final = decimal.Context(
    prec=28,
    rounding=decimal.ROUND_DOWN,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)


class Close(NamedTuple):
    """The last price of a bar, and the moment (Unix ms) at which the bar was over."""

    at_ms: int
    price: Decimal


class TickerRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of the venue's list of all pairs. It tells no quantities, so depth is never read from it.

    `last` and `quote_volume_24h` in the quote asset; either is None where the row does not tell it.
    """

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal | None
    quote_volume_24h: Decimal | None
    venue_time_ms: int


class ScanRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One symbol as it was seen at `at_ms` (venue time).

    `quote` is the best of the order book with its quantities, None where there was no readable book; `closes` ascend
    over the look-back of the scan, empty where no bars were to be had.
    """

    symbol: str
    at_ms: int
    quote: Quote | None = None
    quote_volume_24h: Decimal | None = None
    closes: tuple[Close, ...] = ()

    @property
    def depth(self) -> Decimal | None:
        """What stands at the best bid and the best ask together, in the quote asset; None without quantities."""
        quote = self.quote
        if quote is None or quote.bid_quantity <= money.ZERO or quote.ask_quantity <= money.ZERO:
            return None
        bid, ask = _CUT.multiply(quote.bid, quote.bid_quantity), _CUT.multiply(quote.ask, quote.ask_quantity)
        return _CUT.add(bid, ask)
