"""Everything of the feed but its socket: the conversation, when to connect again, and what waits to be read.

The thread of `feed` drives it, under a lock; a simulation drives it without either. Times are monotonic milliseconds.

What came off the wire waits in a queue with an end. Whoever falls behind so far that the queue is full holds nothing
but old books, and one change left out breaks the chain of its book all the same. So then everything that waits is
thrown away, the connection is closed, and the next one brings new snapshots: old data is never shown as new.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final

from btcbot.adapters.btcturk.feed_actions import Actions, FeedTiming
from btcbot.adapters.btcturk.feed_book import Depth
from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.btcturk.feed_protocol import FeedProtocol
from btcbot.adapters.btcturk.reconnect import Reconnect
from btcbot.adapters.btcturk.signing import Signer
from btcbot.domain.feed import FeedView, Wake

#: Twice what all pairs of the venue bring as snapshots and first changes, and its bytes.
QUEUE_FRAMES_MAX: Final = 4_096
QUEUE_BYTES_MAX: Final = 16 * 1024 * 1024
#: Read in one go, between two looks at everything else.
WORK_FRAMES_MAX: Final = 64


class FeedState:
    """See the module. `random` gives numbers from 0 up to 1, `wall_ms` Unix milliseconds for the login."""

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        random: Callable[[], float],
        wall_ms: Callable[[], int],
        signer: Signer | None = None,
        timing: FeedTiming | None = None,
    ) -> None:
        self._protocol = FeedProtocol(symbols, wall_ms=wall_ms, signer=signer, timing=timing)
        self._reconnect = Reconnect(random)
        self._waiting: deque[bytes | str | None] = deque()  # None: a sign of life between the frames
        self._waiting_bytes = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._waiting_max = 0

    # -- connecting ----------------------------------------------------------------------------------------------------

    def attempt_at_ms(self) -> int | None:
        """No attempt to connect may begin before this moment; None: at any."""
        return self._reconnect.attempt_at_ms()

    def attempting(self, now_ms: int) -> None:
        """An attempt begins."""
        self._reconnect.attempting(now_ms)

    def refused(self, why: str, now_ms: int, status: int | None = None) -> None:
        """It failed; `status` is that of an HTTP answer that is no upgrade."""
        self._counts["connections", "failed" if status is None else "refused"] += 1
        self._reconnect.refused(now_ms, status)
        self._protocol.down(why)

    def down(self, why: str) -> None:
        """There is no connection, and this is the newest reason."""
        self._protocol.down(why)

    def connected(self, now_ms: int) -> Actions:
        """It succeeded."""
        self._counts["connections", "connected"] += 1
        self._reconnect.connected(now_ms)
        return self._protocol.connected(now_ms)

    def disconnected(self, why: str, now_ms: int) -> Actions:
        """The connection is gone: closed by the other side, by an action, or torn."""
        self._drop()
        self._reconnect.disconnected(now_ms)
        return self._protocol.disconnected(why, now_ms)

    def give_up(self, why: str) -> Actions:
        """Close the connection; from now on it shows nothing."""
        return self._protocol.give_up(why)

    # -- what comes in -------------------------------------------------------------------------------------------------

    def offer(self, data: bytes | str) -> Actions:
        """A frame came off the wire."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        count = len(self._waiting)
        if count > self._waiting_max:
            self._waiting_max = count
        if count <= QUEUE_FRAMES_MAX and self._waiting_bytes <= QUEUE_BYTES_MAX:
            return []
        self._drop()
        return self._protocol.give_up(f"more frames came than were read: {count} were thrown away")

    def offer_sign_of_life(self) -> Actions:
        """A pong or ping came. It counts once everything that came before it was read."""
        if self._waiting and self._waiting[-1] is None:
            return []
        self._waiting.append(None)
        return []

    @property
    def is_idle(self) -> bool:
        """Nothing waits to be read."""
        return not self._waiting

    def work(self, now_ms: int, frames_max: int = WORK_FRAMES_MAX) -> Actions:
        """Read what waits, oldest first, at most so much of it."""
        actions: Actions = []
        for _ in range(min(frames_max, len(self._waiting))):
            if not self._waiting:
                break
            data = self._waiting.popleft()
            if data is None:
                actions += self._protocol.alive(now_ms)
            else:
                self._waiting_bytes -= len(data)
                actions += self._protocol.receive(data, now_ms)
        return actions

    def tick(self, now_ms: int) -> Actions:
        """Do what is due."""
        return self._protocol.tick(now_ms)

    def next_tick_ms(self) -> int | None:
        """When `tick` has something to do; None while there is no connection."""
        return self._protocol.next_tick_ms()

    # -- the core's side -----------------------------------------------------------------------------------------------

    def view(self, now_ms: int) -> FeedView:
        """Everything known now. Events are handed over once."""
        return self._protocol.view(now_ms)

    @property
    def wake(self) -> Wake | None:
        """What happened since the last view that is worth a look."""
        return self._protocol.wake

    def resync(self, symbol: str, now_ms: int) -> Actions:
        """Throw this symbol's book away and ask for a new one."""
        return self._protocol.resync(symbol, now_ms)

    def trades(self, symbol: str) -> tuple[PublicTrade, ...]:
        return self._protocol.trades(symbol)

    def depth(self, symbol: str, levels: int) -> Depth | None:
        return self._protocol.depth(symbol, levels)

    def take_waiting_max(self) -> int:
        """The most frames that have waited at one time since the last time."""
        taken, self._waiting_max = self._waiting_max, len(self._waiting)
        return taken

    def take_counts(self) -> Counter[tuple[str, str]]:
        """What was counted since the last time, as `feed_metrics` records it: (metric, label) → count."""
        taken, self._counts = self._counts, Counter()
        taken.update(self._protocol.take_counts())
        return taken

    def ignored(self, reason: str) -> None:
        """A frame that never came to be read."""
        self._counts["frames_ignored", reason] += 1

    def _drop(self) -> None:
        frames = sum(data is not None for data in self._waiting)
        if frames:
            self._counts["frames_ignored", "dropped"] += frames
        self._waiting.clear()
        self._waiting_bytes = 0
