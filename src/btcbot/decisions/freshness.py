"""Which quotes may be traded on. Stale, crossed and missing ones may not (I15)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from btcbot.domain import money
from btcbot.domain.market import Quote
from btcbot.domain.reasons import ReasonCode


class MarketView(msgspec.Struct, frozen=True, kw_only=True):
    """Trusted quotes by symbol, and for each other wanted symbol why it has none.

    `from_feed` are the symbols whose quote is of the live feed; all others are of REST.
    """

    quotes: Mapping[str, Quote]
    unusable: Mapping[str, ReasonCode]
    from_feed: frozenset[str] = frozenset()

    @property
    def stale_rate(self) -> Decimal:
        """Share of wanted symbols without a usable quote, 0 to 1."""
        if not self.unusable:
            return money.ZERO
        wanted = len(self.quotes) + len(self.unusable)
        return money.divide_half_even(Decimal(len(self.unusable)), Decimal(wanted), 4)


def quote_age_ms(quote: Quote, now_ms: int, venue_time_ms: int) -> int:
    """Age by the worse of the two clocks: since it arrived here, and since the venue made it."""
    here, there = now_ms - quote.received_at_ms, venue_time_ms - quote.venue_time_ms
    return here if here > there else there


def judge(
    wanted: Sequence[str], quotes: Mapping[str, Quote], now_ms: int, venue_time_ms: int, quote_age_ms_max: int
) -> MarketView:
    """Split the wanted symbols into those with a fresh, sane quote and those without."""
    usable: dict[str, Quote] = {}
    unusable: dict[str, ReasonCode] = {}
    # By the worse of the two clocks, as `quote_age_ms` has it.
    oldest_here_ms, oldest_there_ms = now_ms - quote_age_ms_max, venue_time_ms - quote_age_ms_max
    zero = money.ZERO
    for symbol in wanted:
        quote = quotes.get(symbol)
        if quote is None or quote.received_at_ms < oldest_here_ms or quote.venue_time_ms < oldest_there_ms:
            unusable[symbol] = ReasonCode.STALE_QUOTE
        elif zero < quote.bid < quote.ask:
            usable[symbol] = quote
        else:
            unusable[symbol] = ReasonCode.CROSSED_QUOTE
    return MarketView(quotes=usable, unusable=unusable)
