"""What BtcTurk tells anybody over REST: its time, the rules of its pairs, best prices, and the trades of everybody.

Prices are read for two who do not have the same rights. Trading waits for a limit and tries again; a look over the
market gives way to it: one try, soon given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote_plus

from btcbot.adapters.btcturk import wire
from btcbot.adapters.btcturk.connection import Connection
from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.btcturk.limits import BOOKS_MAX, SLACK_MS, Endpoint, Quota, allowed
from btcbot.adapters.btcturk.requester import Requester, Timing, Unreachable
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.domain.scan import TickerRow
from btcbot.errors import VenueUnavailable
from btcbot.ports import Clock, Log

#: Rows asked of each side of an order book: the best is enough, some more show a book in the wrong order.
BOOK_LEVELS: Final = 5
#: Trades of everybody that the venue shows at most.
PUBLIC_TRADES_MAX: Final = 50
#: A look over the market is no part of trading: one try, soon given up, and never a wait for a limit.
LOOK_TIMING: Final = Timing(read_s=2.0, attempts_max=1, wait_s_max=0.0)


class PublicReads:
    """The public half of a client; see the port `Exchange` for what each method promises.

    `requester`, of that `connection`, asks for trading and tells the venue's time. `quotas` are the connection's own.
    """

    def __init__(
        self,
        connection: Connection,
        requester: Requester,
        *,
        clock: Clock,
        log: Log,
        quotas: Mapping[Endpoint, tuple[Quota, ...]],
        rules_age_s_max: float,
    ) -> None:
        self._requester = requester
        # The same connection, the same limits, and whatever pause the venue asks of either.
        self._looker = connection.requester(LOOK_TIMING, breaker=requester.breaker)
        self._clock = clock
        self._log = log
        self._venue_clock = requester.venue_clock
        self._book_quotas = quotas.get(Endpoint.ORDER_BOOK, ())
        #: When the last order books were answered, by the monotonic clock.
        self._books_ms: deque[int] = deque(maxlen=max((q.requests for q in self._book_quotas), default=1))
        self._rules_age_ms_max = rules_age_s_max * 1000
        self._rules: Mapping[str, Instrument] = {}
        self._rules_read_at_ms: int | None = None

    # -- for trading ---------------------------------------------------------------------------------------------------

    def venue_time_ms(self) -> int:
        return self._venue_clock.now_ms()

    def estimated_time_ms(self) -> int | None:
        return self._venue_clock.trusted_ms()

    def instruments(self) -> Mapping[str, Instrument]:
        now_ms = self._monotonic_ms()
        read_at_ms = self._rules_read_at_ms
        if read_at_ms is None or now_ms - read_at_ms >= self._rules_age_ms_max:
            listed = self._requester.read(Endpoint.EXCHANGE_INFO, "/api/v2/server/exchangeinfo", wire.instruments)
            if listed.skipped:
                self._log.warning("pairs_unreadable", skipped=listed.skipped, read=len(listed.instruments))
            self._rules, self._rules_read_at_ms = listed.instruments, now_ms
        return self._rules

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        if len(symbols) > BOOKS_MAX:
            wanted = frozenset(symbols)
            found = self._requester.read(
                Endpoint.TICKER, "/api/v2/ticker", lambda body: wire.tickers(body, self._clock.now_ms())
            )
            return {symbol: quote for symbol, quote in found.items() if symbol in wanted}
        quotes: dict[str, Quote] = {}
        failure: VenueUnavailable | None = None
        for symbol in symbols:
            try:
                quote = self.get_orderbook(symbol)
            except Unreachable:
                raise
            except VenueUnavailable as error:
                failure = error
                continue
            if quote is not None:
                quotes[symbol] = quote
        if failure is not None and not quotes:
            raise failure
        return quotes

    def get_orderbook(self, symbol: str) -> Quote | None:
        """Best bid and ask of one symbol; None when a side is empty."""
        return self._orderbook(self._requester, symbol)

    def public_trades(self, symbol: str) -> Sequence[PublicTrade]:
        """The last trades of anybody in one symbol, oldest first: as many as the venue shows, which is fifty."""
        found = self._requester.read(
            Endpoint.PUBLIC_TRADES,
            f"/api/v2/trades?pairSymbol={quote_plus(symbol)}&last={PUBLIC_TRADES_MAX}",
            lambda body: wire.public_trades(body, symbol),
        )
        return sorted(found, key=lambda trade: (trade.at_ms, len(trade.trade_id), trade.trade_id))

    # -- for a look over the market ------------------------------------------------------------------------------------

    def look_at_tickers(self) -> Mapping[str, TickerRow]:
        """All pairs with price and volume of 24 hours, by symbol. Raises VenueUnavailable after one try."""
        return self._looker.read(Endpoint.TICKER, "/api/v2/ticker", wire.ticker_rows)

    def look_at_orderbook(self, symbol: str) -> Quote | None:
        """As `get_orderbook`, in one try; VenueUnavailable also where a limit, or a pause of the venue, says wait."""
        return self._orderbook(self._looker, symbol)

    def book_room(self) -> int:
        """How many order books our limits still allow now; a great number where there are none."""
        now_ms, room = self._monotonic_ms(), 1_000_000
        for quota in self._book_quotas:
            since_ms = now_ms - quota.period_ms - SLACK_MS
            room = min(room, allowed(quota) - sum(at_ms > since_ms for at_ms in self._books_ms))
        return max(room, 0)

    # -- asking --------------------------------------------------------------------------------------------------------

    def _orderbook(self, requester: Requester, symbol: str) -> Quote | None:
        try:
            return requester.read(
                Endpoint.ORDER_BOOK,
                f"/api/v2/orderbook?pairSymbol={quote_plus(symbol)}&limit={BOOK_LEVELS}",
                lambda body: wire.order_book(body, symbol, self._clock.now_ms()),
            )
        finally:
            self._books_ms.append(self._monotonic_ms())

    def _monotonic_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000
