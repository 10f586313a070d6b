"""What `btcbot watch` knows of its pair, look after look: book, trades, and how the connection does."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from btcbot.cli import output
from btcbot.errors import Refused

if TYPE_CHECKING:
    from btcbot.adapters.btcturk.feed import BtcturkWsClient
    from btcbot.adapters.btcturk.feed_book import Depth
    from btcbot.adapters.btcturk.feed_frames import PublicTrade
    from btcbot.domain.feed import FeedBook, FeedView

#: Frames are told per second, over so long.
RATE_S: Final = 10.0
#: The feed answers a wish for a pair that it does not know with yes, and then says nothing: so long is that believed.
SILENCE_S: Final = 7.0


class Tally:
    """The feed's own counts (`Metrics`): how many frames come, and how long a ping takes."""

    def __init__(self) -> None:
        self.frames = 0
        self.ping_s: float | None = None

    def count(self, name: str, amount: int | Decimal = 1, **labels: str) -> None:
        if name == "btcbot_feed_frames_total":
            self.frames += int(amount)

    def gauge(self, name: str, value: Decimal | int | float, **labels: str) -> None:
        pass

    def observe(self, name: str, value: float, **labels: str) -> None:
        if name == "btcbot_feed_ping_seconds":
            self.ping_s = value

    def flush(self, timeout_s: float) -> None:
        pass


class Watch:
    """One pair as the feed shows it, look after look."""

    def __init__(self, symbol: str, feed: BtcturkWsClient, tally: Tally, levels: int) -> None:
        self.symbol = symbol
        self.levels = levels
        self.has_shown = False
        self.trades: Sequence[PublicTrade] = ()
        self.depth: Depth | None = None
        self._feed = feed
        self._tally = tally
        self._down_s = time.monotonic()
        self._connection = 0
        self._connected_s: float | None = None
        self._frames: deque[tuple[float, int]] = deque()
        self._view: FeedView = feed.view()

    def look(self) -> None:
        """Take over what the feed shows now."""
        now_s = time.monotonic()
        self._view = view = self._feed.view()
        self.depth = self._feed.depth(self.symbol, self.levels)
        self.trades = self._feed.trades(self.symbol)
        self.has_shown = self.has_shown or self.depth is not None or bool(self.trades)
        if view.why_down:
            if self._connected_s is not None:
                self._connected_s, self._down_s = None, now_s
        elif self._connected_s is None or self._connection != view.connection:
            self._connection, self._connected_s = view.connection, now_s
        self._frames.append((now_s, self._tally.frames))
        while now_s - self._frames[0][0] > RATE_S:
            self._frames.popleft()

    def demand_known(self) -> None:
        """Refuse a pair of which a living connection says nothing at all."""
        if self.has_shown or self._connected_s is None or time.monotonic() - self._connected_s < SILENCE_S:
            return
        raise Refused(
            f"{self.symbol}: the feed agreed and has been silent for {SILENCE_S:g} s, as it is about a pair that it "
            "does not know; «btcbot health» tells whether the venue answers otherwise"
        )

    @property
    def book(self) -> FeedBook | None:
        return self._view.books.get(self.symbol)

    @property
    def why_nothing(self) -> str:
        """Why there is no book, for people; empty when there is one."""
        if self.book is not None:
            return ""
        return self._view.why_down or self._view.without_book.get(self.symbol, "no snapshot has come yet")

    def status(self) -> str:
        """Connection, frames, the age of the last change, and the latency, in one line."""
        now_s = time.monotonic()
        if self._connected_s is None:
            return f"not connected for {output.duration(now_s - self._down_s)}: {self._view.why_down}"
        said = [f"connected for {output.duration(now_s - self._connected_s)}"]
        (first_s, first), (last_s, last) = self._frames[0], self._frames[-1]
        if last_s > first_s:
            said.append(f"{(last - first) / (last_s - first_s):.1f} frames/s")
        if self.book is not None:
            said.append(f"last change {max(now_s - self.book.changed_at_ms / 1000, 0):.1f} s ago")
        if self._tally.ping_s is not None:
            said.append(f"ping {self._tally.ping_s * 1000:.1f} ms")
        return " · ".join([*said, self.why_nothing] if self.why_nothing else said)
