"""MarketDataService: quotes that may be traded on, and the venue's rules of today.

Quotes come from the live feed where its books are trusted, and from REST otherwise, unless the settings want the feed
alone. Each view says which quote is of which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from btcbot.decisions import freshness
from btcbot.decisions.freshness import MarketView
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import VenueUnavailable
from btcbot.ports import Clock, Exchange, Log, Metrics
from btcbot.services.feed import FeedService


class MarketDataService:
    """`feed` None: REST alone. `falls_back` False: a symbol whose book is not trusted has no quote. `is_heard` False:
    nobody reads the metrics."""

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        quote_age_ms_max: int,
        feed: FeedService | None = None,
        *,
        falls_back: bool = True,
        is_heard: bool = True,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._quote_age_ms_max = quote_age_ms_max
        self._feed = feed
        self._falls_back = falls_back
        self._is_heard = is_heard
        self._known: Mapping[str, Instrument] = {}
        self._told: Mapping[str, ReasonCode] = {}
        self._told_ages_ms: Mapping[str, int] = {}

    def get_best_bid_ask(self, symbols: Sequence[str]) -> MarketView:
        """Fresh and sane quotes, and for every other symbol why it has none. Raises VenueUnavailable."""
        view = self._look(symbols)
        self._tell(view)
        return view

    def _look(self, symbols: Sequence[str]) -> MarketView:
        if self._feed is None:
            return self._judge(symbols, self._exchange.quotes(symbols), self._exchange.venue_time_ms())
        self._feed.look()
        trusted = self._feed.quotes(symbols, self._exchange.venue_time_ms()).quotes
        wanting = [symbol for symbol in symbols if symbol not in trusted]
        rest = self._ask_rest(wanting, is_alone=not trusted) if wanting and self._falls_back else {}
        # A ticker, or the feed, may still show what the book no longer holds.
        without_book = self._feed.check_due(symbols)
        quotes = {symbol: quote for symbol, quote in {**rest, **trusted}.items() if symbol not in without_book}
        return self._judge(symbols, quotes, self._exchange.venue_time_ms(), frozenset(trusted))

    def get_from_feed(self, symbols: Sequence[str], venue_now_ms: int) -> MarketView:
        """What the feed alone shows now, without asking the venue anything."""
        if self._feed is None:
            return MarketView(quotes={}, unusable={})
        self._feed.look()
        trusted = self._feed.quotes(symbols, venue_now_ms).quotes
        return self._judge(symbols, trusted, venue_now_ms, frozenset(trusted))

    def may_order(self, quote: Quote, view: MarketView, *, may_read: bool) -> bool:
        """Whether an order may leave on a quote that was judged a while ago. Raises VenueUnavailable if it may read."""
        if self._feed is not None and quote.symbol in view.from_feed:
            return self._feed.confirm(quote, may_read=may_read)
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
        self._known = self._exchange.instruments()
        return self._known

    @property
    def known_instruments(self) -> Mapping[str, Instrument]:
        """The rules that the last cycle went by, without asking."""
        return self._known

    def _ask_rest(self, symbols: Sequence[str], *, is_alone: bool) -> Mapping[str, Quote]:
        """Quotes of REST; where the feed serves other symbols meanwhile, a venue in trouble leaves these without."""
        assert self._feed is not None, "without a feed REST is asked for everything"
        asked_at_ms = self._clock.monotonic_ns() // 1_000_000
        try:
            quotes = self._exchange.quotes(symbols)
        except VenueUnavailable:
            if is_alone:
                raise
            return {}
        self._feed.compare(quotes, asked_at_ms)
        return quotes

    def _judge(
        self,
        symbols: Sequence[str],
        quotes: Mapping[str, Quote],
        venue_now_ms: int,
        from_feed: frozenset[str] = frozenset(),
    ) -> MarketView:
        now_ms = self._clock.now_ms()
        view = freshness.judge(symbols, quotes, now_ms, venue_now_ms, self._quote_age_ms_max)
        if self._is_heard:
            self._metrics.gauge("btcbot_stale_market_data_rate", view.stale_rate)
            shown = [quotes[symbol] for symbol in symbols if symbol in quotes]
            ages_ms = {quote.symbol: freshness.quote_age_ms(quote, now_ms, venue_now_ms) for quote in shown}
            if ages_ms != self._told_ages_ms:  # a gauge keeps what it was set to
                self._told_ages_ms = ages_ms
                for symbol, age_ms in ages_ms.items():
                    self._metrics.gauge("btcbot_quote_age_ms", age_ms, symbol=symbol)
        if self._feed is None:
            return view
        for symbol in view.quotes:
            self._metrics.count("btcbot_quotes_total", source="feed" if symbol in from_feed else "rest")
        # Where the feed has to serve alone, a symbol without a quote lacks a trusted book, not a fresh one.
        why = {s: ReasonCode.BOOK_UNTRUSTED if s not in quotes else reason for s, reason in view.unusable.items()}
        return msgspec.structs.replace(view, unusable=why, from_feed=from_feed & frozenset(view.quotes))

    def _tell(self, view: MarketView) -> None:
        """One line for each symbol that can no longer be traded, and for each that can again."""
        if view.unusable == self._told:
            return
        for symbol, why in view.unusable.items():
            if symbol not in self._told:
                self._log.warning("symbol_without_quote", symbol=symbol, why=why.value)
        for symbol in self._told.keys() & view.quotes.keys():
            self._log.info("symbol_with_quote_again", symbol=symbol)
        self._told = view.unusable
