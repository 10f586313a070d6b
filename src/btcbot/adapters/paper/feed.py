"""The port `MarketFeed` for paper: the real venue's public feed, which the paper venue looks at too.

Whoever looks at the feed, or waits for it, lets the paper venue see what has happened, so that orders there fill while
the bot waits; a fill ends the wait, as BtcTurk's own word of one would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

import msgspec

from btcbot.adapters.btcturk.feed_book import Depth
from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.paper.exchange import PaperExchange
from btcbot.adapters.paper.matching import Level, Levels, MarketTrade
from btcbot.domain.feed import AccountEvent, AccountEventKind, FeedBook, FeedView, Top, Wake
from btcbot.domain.fills import VenueTrade
from btcbot.domain.intents import Side
from btcbot.errors import StoreFailed
from btcbot.ports import Clock, MarketFeed, StopSignal

#: While the bot waits, the paper venue looks so often: the feed keeps a pair's last fifty trades.
LOOK_S: Final = 0.5
#: Levels of each side that orders may walk.
LEVELS: Final = 20


@runtime_checkable
class TapeFeed(MarketFeed, Protocol):
    """A feed that tells public trades and the levels of books beside the port's best prices."""

    def trades(self, symbol: str) -> tuple[PublicTrade, ...]: ...

    def depth(self, symbol: str, levels: int) -> Depth | None: ...


class PaperFeed:
    """`MarketFeed` over a public one, for the bot's thread alone."""

    def __init__(self, feed: TapeFeed, exchange: PaperExchange, clock: Clock) -> None:
        self._feed = feed
        self._exchange = exchange
        self._clock = clock
        #: Of the books that were handed out last: a change since then is worth a look.
        self._handed: Mapping[str, Top] = {}
        self._seen_ms: dict[str, int] = {}
        self._events: list[AccountEvent] = []
        self._has_lost_events = False
        self._is_market_news = False
        exchange.take_over = self._take_over

    def start(self) -> None:
        self._feed.start()

    def view(self) -> FeedView:
        view = self._look()
        events, self._events = (*self._events,), []
        has_lost_events, self._has_lost_events = self._has_lost_events, False
        self._handed = {symbol: book.top for symbol, book in view.books.items()}
        self._is_market_news = False
        return msgspec.structs.replace(view, events=events, has_lost_events=has_lost_events)

    def resync(self, symbol: str) -> None:
        self._feed.resync(symbol)

    def wait(self, seconds: float, stop: StopSignal, *, for_market: bool = True) -> Wake:
        over_at_ns = self._clock.monotonic_ns() + int(max(seconds, 0) * 1e9)
        while True:
            if stop.is_set():
                return Wake.STOP
            if self._events or self._has_lost_events:
                return Wake.ACCOUNT
            if for_market and self._is_market_news:
                return Wake.MARKET
            left_s = (over_at_ns - self._clock.monotonic_ns()) / 1e9
            wake = self._feed.wait(max(min(left_s, LOOK_S), 0), stop, for_market=for_market)
            if wake is not Wake.TIME or left_s <= LOOK_S:
                return wake
            self._look()

    def close(self) -> None:
        self._feed.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _take_over(self) -> None:
        """The paper venue is about to decide. Fills are told by its lists at once, so no event is needed for them."""
        self._take_in(self._feed.view())

    def _look(self) -> FeedView:
        """Look, and note which orders that filled."""
        view = self._feed.view()
        self._take_in(view)
        try:
            fills = self._exchange.keep()
        except StoreFailed:
            return view  # the next read of the account says so
        now_ms = self._clock.monotonic_ns() // 1_000_000
        self._events += [_event(fill, now_ms) for fill in fills]
        return view

    def _take_in(self, view: FeedView) -> None:
        """Show the paper venue what is new; keep what is for the bot."""
        self._events += view.events
        self._has_lost_events |= view.has_lost_events
        self._is_market_news |= any(self._handed.get(symbol) != book.top for symbol, book in view.books.items())
        self._exchange.fed_symbols = frozenset(view.books)
        for symbol, book in view.books.items():
            since_ms = self._exchange.newest_trade_ms(symbol)
            trades = [_trade(one) for one in self._feed.trades(symbol) if one.at_ms >= since_ms]
            self._exchange.see(symbol, trades, self._books(book))

    def _books(self, book: FeedBook) -> list[tuple[Levels, Levels]]:
        """The best prices since the last look, and the present book as deep as it is known."""
        seen_ms = self._seen_ms.get(book.symbol, -1)
        self._seen_ms[book.symbol] = book.top.since_ms
        passed = [_top(top) for top in book.tops[:-1] if top.since_ms > seen_ms]
        depth = self._feed.depth(book.symbol, LEVELS)
        if depth is None:
            return [*passed, _top(book.top)]
        bids, asks = (tuple(Level(one.price, one.quantity) for one in side) for side in (depth.bids, depth.asks))
        return [*passed, (bids, asks)]


def _top(top: Top) -> tuple[Levels, Levels]:
    return (Level(top.bid, top.bid_quantity),), (Level(top.ask, top.ask_quantity),)


def _trade(trade: PublicTrade) -> MarketTrade:
    taker = Side.BUY if trade.is_buy else Side.SELL
    return MarketTrade(trade.at_ms, trade.price, trade.quantity, taker, trade.trade_id)


def _event(fill: VenueTrade, now_ms: int) -> AccountEvent:
    return AccountEvent(
        kind=AccountEventKind.FILL,
        received_at_ms=now_ms,
        symbol=fill.symbol,
        venue_order_id=fill.venue_order_id,
        client_order_id=fill.client_order_id,
        trade_id=fill.trade_id,
    )
