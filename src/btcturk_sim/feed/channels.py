"""The public channels: who has joined what, what was shown last, and what is to be shown next.

`changed` marks a pair; the next batch compares its book with what was shown and says the difference, the same to all
subscriptions but for their counters. A ticker is said with every batch, changed or not, as the exchange was seen to.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from btcturk_sim.engine import Engine
from btcturk_sim.feed import frames
from btcturk_sim.feed.options import FeedOptions
from btcturk_sim.feed.session import Session
from btcturk_sim.feed.subscription import Frame, Subscription
from btcturk_sim.feed.window import Window, changes, window_of
from btcturk_sim.pair import Pair, PublicTrade

OBDIFF: Final = "obdiff"
ORDERBOOK: Final = "orderbook"
TICKER: Final = "ticker"
TRADE: Final = "trade"
TRADEVIEW: Final = "tradeview"
ALL: Final = "all"
#: What a chart's event may end in, and how many minutes that is.
RESOLUTIONS: Final = {"1": 1, "5": 5, "15": 15, "30": 30, "60": 60, "240": 240, "1D": 1440, "1W": 10_080,
                      "1M": 43_200}  # fmt: skip
_ON_CHANGE: Final = (OBDIFF, ORDERBOOK, TRADEVIEW)
_WINDOWS_KEPT_MAX: Final = 64
_TOP: Final = 3


@dataclass(slots=True)
class _Shown:
    """What was last shown of one book, while somebody looks, and what was shown before."""

    pair: Pair
    window: Window | None = None
    history: deque[Window] = field(default_factory=lambda: deque(maxlen=_WINDOWS_KEPT_MAX))


class Channels:
    def __init__(self, engine: Engine, options: FeedOptions, skew_ms: Callable[[], int]) -> None:
        self._engine = engine
        self.options = options
        self._skew_ms = skew_ms
        #: When the next batch is due; None: nothing to say.
        self.tick_ms: int | None = None
        self._joined: dict[tuple[str, str], list[Subscription]] = {}
        self._shown: dict[str, _Shown] = {}
        self._changed: dict[str, None] = {}
        #: How many subscriptions a pair has to what is said when it changes.
        self._watchers: Counter[str] = Counter()
        self._charts: dict[str, str] = {}

    @property
    def is_wanted(self) -> bool:
        return bool(self._joined)

    # --- joining ----------------------------------------------------------------------------------------------

    def add(self, subscription: Subscription, now_ms: int) -> Frame | None:
        """Note the subscription and return its first frame; None where there is nothing to subscribe to."""
        spot = (subscription.channel, subscription.event)
        if self._pair(*spot) is None and spot != (TICKER, ALL):
            return None
        self._joined.setdefault(spot, []).append(subscription)
        if subscription.channel == TICKER:
            self._due_after(now_ms)
        elif subscription.channel in _ON_CHANGE:
            self._watchers[_symbol(subscription)] += 1
        return self.first_frame(subscription, now_ms)

    def remove(self, subscription: Subscription) -> None:
        spot = (subscription.channel, subscription.event)
        present = self._joined.get(spot, [])
        if subscription not in present:
            return
        present.remove(subscription)
        if not present:
            del self._joined[spot]
        if subscription.channel in _ON_CHANGE:
            self._watchers[_symbol(subscription)] -= 1
            self._watchers += Counter()  # drops what is zero
        shown = self._shown.get(subscription.event)
        if shown is not None and shown.window is not None and not self._books_joined(subscription.event):
            shown.history.append(shown.window)
            shown.window = None

    def first_frame(self, subscription: Subscription, now_ms: int) -> Frame | None:
        """What a subscription begins with, and what 101 asks for again."""
        channel, event = subscription.channel, subscription.event
        if (channel, event) == (TICKER, ALL):
            return self._frame(frames.TICKER_ALL, self._ticker_all(now_ms), subscription)
        pair = self._pair(channel, event)
        if pair is None:
            return None
        match channel:
            case "ticker":
                text = frames.ticker(pair, window_of(pair, now_ms, _TOP))
                return self._frame(frames.TICKER, text, subscription)
            case "trade":
                text = frames.trade_list(event, pair.trades, self._skew_ms(), self.options.sides.numbers)
                return self._frame(frames.TRADE_LIST, text, subscription)
            case "tradeview":
                text = self._chart(event) or ""
                return self._frame(frames.CHART, text, subscription) if text else None
            case _:
                window = self._watched(pair, now_ms)
                return self._frame(frames.BOOK, self.snapshot(subscription, window), subscription)

    def snapshot(self, subscription: Subscription, window: Window) -> str:
        """Message 431 of a window, with the subscription's counter as it stands."""
        pair = self._engine.pairs[subscription.event]
        body = frames.book_body(frames.BOOK, pair, subscription.channel, window.full())
        return frames.with_counter(frames.BOOK, subscription.counter, body)

    def window(self, symbol: str) -> Window | None:
        """What is shown of a book, while somebody looks."""
        shown = self._shown.get(symbol)
        return None if shown is None else shown.window

    def earlier_window(self, symbol: str, before_ms: int) -> Window | None:
        """The youngest window that was shown at `before_ms` or before and differs from the one that is shown now."""
        shown = self._shown.get(symbol)
        if shown is None or shown.window is None:
            return None
        now = shown.window.asks, shown.window.bids
        earlier = (one for one in reversed(shown.history) if one.time_ms <= before_ms and (one.asks, one.bids) != now)
        return next(earlier, None)

    def _watched(self, pair: Pair, now_ms: int) -> Window:
        shown = self._shown.setdefault(pair.instrument.symbol, _Shown(pair))
        if shown.window is None:
            shown.window = window_of(pair, now_ms)
        return shown.window

    def _pair(self, channel: str, event: str) -> Pair | None:
        """The listed pair of an event; names are upper case and nothing else."""
        if channel == TRADEVIEW:
            event, _, resolution = event.partition("_")
            if resolution not in RESOLUTIONS:
                return None
        elif channel not in (OBDIFF, ORDERBOOK, TICKER, TRADE):
            return None
        pair = self._engine.pairs.get(event)
        return None if pair is None or pair.delisted else pair

    def _books_joined(self, symbol: str) -> bool:
        return (OBDIFF, symbol) in self._joined or (ORDERBOOK, symbol) in self._joined

    @staticmethod
    def _frame(kind: int, text: str, subscription: Subscription) -> Frame:
        return Frame(kind, text, subscription.channel, subscription.event, subscription)

    # --- changes ----------------------------------------------------------------------------------------------

    def all_changed(self, time_ms: int) -> None:
        for symbol in self._watchers:
            self.changed(symbol, time_ms)

    def changed(self, symbol: str, time_ms: int) -> None:
        """Something of this pair may look different from now on."""
        if symbol in self._watchers and symbol not in self._changed:
            self._changed[symbol] = None
            self._due_after(time_ms)

    def _due_after(self, time_ms: int) -> None:
        next_ms = (time_ms // self.options.batch_ms + 1) * self.options.batch_ms
        self.tick_ms = next_ms if self.tick_ms is None else min(self.tick_ms, next_ms)

    def printed(self, symbol: str, trade: PublicTrade) -> Iterator[tuple[Session, Frame]]:
        """A trade, said at once."""
        joined = self._joined.get((TRADE, symbol))
        if joined:
            text = frames.single_trade(symbol, trade, self._skew_ms(), self.options.sides.numbers,
                                       time_is_text=self.options.trade_time_is_text)  # fmt: skip
            for subscription in list(joined):
                yield subscription.session, self._frame(frames.TRADE, text, subscription)

    # --- batches ----------------------------------------------------------------------------------------------

    def tick(self) -> list[tuple[Session, Frame]]:
        """One batch; whom to send what."""
        tick_ms = self.tick_ms
        assert tick_ms is not None, "no batch is due"
        self.tick_ms = None
        said: list[tuple[Session, Frame]] = []
        changed, self._changed = self._changed, {}
        for symbol in changed:
            pair = self._engine.pairs[symbol]
            if pair.delayed:
                # What is late on the REST API is late here.
                self.changed(symbol, tick_ms)
            elif not pair.delisted:
                said += self._book(symbol, tick_ms)
                said += self._charts_of(symbol)
        said += self._tickers(tick_ms)
        return said

    def _book(self, symbol: str, tick_ms: int) -> Iterator[tuple[Session, Frame]]:
        shown = self._shown.get(symbol)
        if shown is None or shown.window is None:
            return
        window = window_of(shown.pair, tick_ms)
        delta = changes(shown.window, window)
        if delta is None:
            return
        shown.history.append(shown.window)
        shown.window = window
        for kind, channel, sides in ((frames.BOOK_CHANGE, OBDIFF, delta), (frames.BOOK, ORDERBOOK, None)):
            joined = self._joined.get((channel, symbol))
            if joined:
                body = frames.book_body(kind, shown.pair, channel, sides or window.full())
                for subscription in list(joined):
                    subscription.counter += 1
                    text = frames.with_counter(kind, subscription.counter, body)
                    yield subscription.session, self._frame(kind, text, subscription)

    def _charts_of(self, symbol: str) -> Iterator[tuple[Session, Frame]]:
        for resolution in RESOLUTIONS:
            event = f"{symbol}_{resolution}"
            joined = self._joined.get((TRADEVIEW, event))
            if joined:
                before, text = self._charts.get(event), self._chart(event)
                if text is not None and text != before:
                    for subscription in list(joined):
                        yield subscription.session, self._frame(frames.CHART, text, subscription)

    def _chart(self, event: str) -> str | None:
        symbol, _, resolution = event.partition("_")
        minutes = RESOLUTIONS[resolution]
        current = self._engine.pairs[symbol].chart.current(minutes)
        if current is None:
            return None
        text = self._charts[event] = frames.chart(symbol, event, minutes, *current)
        return text

    def _tickers(self, tick_ms: int) -> Iterator[tuple[Session, Frame]]:
        for (channel, event), joined in list(self._joined.items()):
            if channel != TICKER:
                continue
            self._due_after(tick_ms)
            if event == ALL:
                kind, text = frames.TICKER_ALL, self._ticker_all(tick_ms)
            else:
                pair = self._engine.pairs[event]
                if pair.delisted:
                    continue
                kind, text = frames.TICKER, frames.ticker(pair, window_of(pair, tick_ms, _TOP))
            for subscription in list(joined):
                yield subscription.session, self._frame(kind, text, subscription)

    def _ticker_all(self, now_ms: int) -> str:
        pairs = [pair for pair in self._engine.pairs.values() if not pair.delisted]
        return frames.ticker_all((pair, window_of(pair, now_ms, _TOP)) for pair in pairs)


def _symbol(subscription: Subscription) -> str:
    """The pair of a subscription; that of a chart carries its resolution behind it."""
    return subscription.event.partition("_")[0]
