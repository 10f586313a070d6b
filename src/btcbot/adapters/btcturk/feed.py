"""The port `MarketFeed` over BtcTurk's WebSocket: a thread of its own that keeps connected, and the core's view of it.

The core stays synchronous: it looks when it likes and is woken when something is worth a look. One lock stands between
the two threads, held for a moment at a time; a byte in a pipe wakes the core, beside the one that tells it to stop. The
thread ends with the process, and by itself only when told to: a failure in it is told by `view` and the log, and it
starts again, later and later.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random as chance
import select
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

from btcbot.adapters.btcturk import feed_metrics, feed_socket
from btcbot.adapters.btcturk.feed_actions import FeedTiming
from btcbot.adapters.btcturk.feed_book import Depth
from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.btcturk.feed_loop import CLOSED, FeedLoop
from btcbot.adapters.btcturk.feed_state import FeedState
from btcbot.adapters.btcturk.signing import Signer
from btcbot.domain import money
from btcbot.domain.feed import FeedView, Wake
from btcbot.ports import Clock, Log, Metrics, StopSignal

__all__ = ["BtcturkWsClient"]

#: How long `close` waits for the thread.
CLOSE_S_MAX: Final = 3.0
#: From a failure of the thread to its new start; doubling up to the second.
AGAIN_S_MIN: Final = 1.0
AGAIN_S_MAX: Final = 60.0
#: A stop signal without a descriptor is asked so often.
_ASK_STOP_S: Final = 0.02


class BtcturkWsClient:
    """See the port `MarketFeed`. All methods are for one thread, the core's; metrics are recorded in `view`, there.

    `symbols` are the wanted pairs. `signer` None gives the public feed alone. `wall_ms` gives the venue's time, for the
    login (ours, unless told otherwise); it and the log are called from the feed's thread too. Raises ConfigurationError
    for an address other than BtcTurk's own over TLS or one of this machine.
    """

    def __init__(
        self,
        url: str,
        symbols: Sequence[str],
        *,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        signer: Signer | None = None,
        wall_ms: Callable[[], int] | None = None,
        timing: FeedTiming | None = None,
        ssl_context: ssl.SSLContext | None = None,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._address = feed_socket.pinned(url)
        if self._address.is_tls and ssl_context is None:
            ssl_context = ssl.create_default_context()
        self._ssl_context = ssl_context
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._timing = timing or FeedTiming()
        self._lock = threading.Lock()
        self._state = FeedState(
            symbols, random=random, wall_ms=wall_ms or clock.now_ms, signer=signer, timing=self._timing
        )
        self._bell = _Bell()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: FeedLoop | None = None
        self._crashes = 0

    def start(self) -> None:
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._run, name="btcbot-feed", daemon=True)
            self._thread.start()

    def view(self) -> FeedView:
        with self._lock:
            view = self._state.view(self._now_ms())
            counts = self._state.take_counts()
            waiting_max = self._state.take_waiting_max()
            crashes, self._crashes = self._crashes, 0
            loop = self._loop
        if crashes:
            counts["crashes", ""] += crashes
        pings_s = []
        while loop is not None and loop.pings_s:
            pings_s.append(loop.pings_s.popleft())
        feed_metrics.record(self._metrics, view, counts, waiting_max=waiting_max, pings_s=pings_s)
        return view

    def resync(self, symbol: str) -> None:
        with self._lock:
            actions = self._state.resync(symbol, self._now_ms())
            loop = self._loop
            if loop is not None:
                loop.outbox += actions
        if loop is not None and actions:
            loop.nudge()

    def wait(self, seconds: float, stop: StopSignal, *, for_market: bool = True) -> Wake:
        over_at_s = time.monotonic() + max(seconds, 0)
        waiting = select.poll()
        waiting.register(self._bell, select.POLLIN)
        ask_s = math.inf
        if isinstance(stop, _HasDescriptor):
            waiting.register(stop, select.POLLIN)
        else:
            ask_s = _ASK_STOP_S
        while True:
            self._bell.silence()
            if stop.is_set():
                return Wake.STOP
            with self._lock:
                wake = self._state.wake
            if wake is not None and (for_market or wake is not Wake.MARKET):
                return wake
            left_s = over_at_s - time.monotonic()
            if left_s <= 0:
                return Wake.TIME
            waiting.poll(min(left_s, ask_s) * 1_000)

    def close(self) -> None:
        self._closing.set()
        thread = self._thread
        if thread is None:
            return
        with self._lock:
            loop = self._loop
        if loop is not None:
            loop.stop()
        thread.join(CLOSE_S_MAX)
        if thread.is_alive():
            self._log.warning("feed_thread_left_behind", after_s=CLOSE_S_MAX)
        self._thread = None

    # -- beyond the port: for people -----------------------------------------------------------------------------------

    def trades(self, symbol: str) -> tuple[PublicTrade, ...]:
        """The last public trades of a wanted symbol, oldest first."""
        with self._lock:
            return self._state.trades(symbol)

    def depth(self, symbol: str, levels: int) -> Depth | None:
        """The best levels of a wanted symbol's book; None where none may be shown."""
        with self._lock:
            return self._state.depth(symbol, levels)

    # -- the feed's thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        money.arm()
        again_s = AGAIN_S_MIN
        while not self._closing.is_set():
            started_s = time.monotonic()
            try:
                asyncio.run(self._run_once())
            except BaseException as error:  # noqa: BLE001 - a thread that dies in silence would leave the core waiting
                if time.monotonic() - started_s > AGAIN_S_MAX:
                    again_s = AGAIN_S_MIN
                self._failed(error, again_s)
                self._closing.wait(again_s)
                again_s = min(2 * again_s, AGAIN_S_MAX)
        with self._lock:
            self._state.down(CLOSED)

    async def _run_once(self) -> None:
        loop = FeedLoop(
            self._address,
            self._state,
            self._lock,
            ssl_context=self._ssl_context,
            timing=self._timing,
            now_ms=self._now_ms,
            log=self._log,
            on_change=self._bell.ring,
        )
        with self._lock:
            self._loop = loop
        if not self._closing.is_set():  # from here on, `close` finds the loop
            await loop.run()

    def _failed(self, error: BaseException, again_s: float) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        why = f"the feed's thread failed ({type(error).__name__}); it starts again after {again_s:g} s"
        with self._lock:
            self._crashes += 1
            self._loop = None
            self._state.disconnected(why, self._now_ms())
            self._state.down(why)
        with contextlib.suppress(Exception):  # the log may be what failed
            self._log.error("feed_thread_failed", exc_info=error, again_in_s=again_s)
        self._bell.ring()

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000


@runtime_checkable
class _HasDescriptor(Protocol):
    """A stop signal that can be polled."""

    def fileno(self) -> int: ...


class _Bell:
    """Wakes one thread that polls it. Rung by one other, any number of times."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()  # not inherited by children
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._is_rung = False

    def fileno(self) -> int:
        return self._reader

    def ring(self) -> None:
        if not self._is_rung:
            self._is_rung = True
            with contextlib.suppress(BlockingIOError):  # full: it wakes all the same
                os.write(self._writer, b".")

    def silence(self) -> None:
        """Whoever calls this looks afterwards at what the bell was rung for."""
        self._is_rung = False
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4_096)

    def __del__(self) -> None:
        os.close(self._reader)
        os.close(self._writer)
