"""MarketDataService: quotes that may be traded on, and the venue's rules of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from btcbot.decisions import freshness
from btcbot.decisions.freshness import MarketView
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.errors import VenueUnavailable
from btcbot.ports import Clock, Exchange, Metrics


class MarketDataService:
    def __init__(self, exchange: Exchange, clock: Clock, metrics: Metrics, quote_age_ms_max: int) -> None:
        self._exchange = exchange
        self._clock = clock
        self._metrics = metrics
        self._quote_age_ms_max = quote_age_ms_max
        self._known: Mapping[str, Instrument] = {}

    def get_best_bid_ask(self, symbols: Sequence[str]) -> MarketView:
        """Fresh and sane quotes, and for every other symbol why it has none. Raises VenueUnavailable."""
        quotes = self._exchange.quotes(symbols)
        now_ms, venue_time_ms = self._clock.now_ms(), self._exchange.venue_time_ms()
        view = freshness.judge(symbols, quotes, now_ms, venue_time_ms, self._quote_age_ms_max)
        self._metrics.gauge("btcbot_stale_market_data_rate", view.stale_rate)
        for symbol, quote in quotes.items():
            age_ms = freshness.quote_age_ms(quote, now_ms, venue_time_ms)
            self._metrics.gauge("btcbot_quote_age_ms", age_ms, symbol=symbol)
        return view

    def is_fresh(self, quote: Quote) -> bool:
        """Whether a quote that was judged a while ago may still be traded on. Raises VenueUnavailable."""
        age_ms = freshness.quote_age_ms(quote, self._clock.now_ms(), self._exchange.venue_time_ms())
        return age_ms <= self._quote_age_ms_max

    def get_best_bids(self, symbols: Sequence[str]) -> Mapping[str, Decimal]:
        """Best bid of each symbol that has a usable quote."""
        return {symbol: quote.bid for symbol, quote in self.get_best_bid_ask(symbols).quotes.items()}

    def last_known_instruments(self) -> Mapping[str, Instrument]:
        """The venue's rules, or the last ones it told while it does not answer: enough to book and to cancel with."""
        try:
            self._known = self._exchange.instruments()
        except VenueUnavailable:
            if not self._known:
                raise
        return self._known

    def get_instruments(self) -> Mapping[str, Instrument]:
        """The venue's rules of today, for new orders. Raises VenueUnavailable."""
        return self._exchange.instruments()
