"""The live feed of a story: the bot's half and the venue's half of the conversation, with neither socket nor thread.

What the feed's thread does beside the core is done here whenever the story's clock moves, at its time and in its order:
frames of the venue are read, pings of ours are sent, new connections tried; and what the story itself has put on the
agenda happens, while the bot is doing whatever it does then.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from btcbot.adapters.btcturk.feed_actions import Action, Close, FeedTiming, Send
from btcbot.adapters.btcturk.feed_state import FeedState
from btcbot.adapters.btcturk.signing import Signer
from btcbot.domain.feed import FeedView, Wake
from btcbot.ports import StopSignal
from btcbot.testing.manual_clock import ManualClock
from btcturk_sim.feed import Abort, CloseSocket, Feed, FeedOptions, Out, Refusal, SendPong, SendText, Session

#: A wait looks at the world at least so often.
_STEP_NS_MAX: Final = 1_000_000_000
_MS_NS: Final = 1_000_000
#: A pong that does not come breaks the connection, as the client's library does it.
TIMING: Final = FeedTiming()
_PING_MS: Final = round(TIMING.ping_interval_s * 1_000)
_PONG_MS: Final = round(TIMING.pong_s * 1_000)


class Listener(Protocol):
    """Who sees what the bot is handed by the feed, before the bot reads it. Times are the world's, in milliseconds."""

    def connected(self, now_ms: int) -> None: ...

    def heard(self, text: str | None, now_ms: int) -> None:
        """A frame; None for a ping or a pong."""
        ...

    def lost(self, why: str, now_ms: int) -> None:
        """The connection is gone, or did not come about."""
        ...


class Plug(msgspec.Struct, frozen=True, kw_only=True):
    """How a story's feed is plugged in. `options` None: the simulator's own; `listener` sees what the bot is handed;
    `watches_pongs` False: the library below the client does not break a connection without pongs."""

    options: FeedOptions | None = None
    listener: Listener | None = None
    watches_pongs: bool = True


class InProcessFeed:
    """`MarketFeed` without a socket. One for each life of the bot; close it when that ends."""

    def __init__(
        self,
        venue: Feed,
        clock: ManualClock,
        symbols: Sequence[str],
        *,
        random: Callable[[], float],
        signer: Signer | None = None,
        plug: Plug | None = None,
    ) -> None:
        self._plug = plug or Plug()
        self._venue = venue
        self._clock = clock
        self._listener = self._plug.listener
        self._true_ms = clock.true_ms
        self._zero_ms = clock.true_ms() - clock.monotonic_ns() // _MS_NS
        self._state = FeedState(symbols, random=random, wall_ms=clock.now_ms, signer=signer, timing=TIMING)
        self._session: Session | None = None
        self._ping_at_ms = 0
        self._pong_due_ms: int | None = None
        self._is_started = self._is_running = False
        self._agenda: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        #: The process stands still, and with it the feed's thread: nothing is read and no ping answered.
        self.is_paused = False
        #: Nothing passes the network in either direction.
        self.is_cut = False
        #: What was wanted of the log: (event, fields), newest last.
        self.notes: list[tuple[str, object]] = []

    # -- the port ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if not self._is_started:
            self._is_started = True
            self._clock.beside.append(self)
            self.run()

    def view(self) -> FeedView:
        self._state.take_counts()
        return self._state.view(self._now_ms())

    def resync(self, symbol: str) -> None:
        self._carry_out(self._state.resync(symbol, self._now_ms()))

    def wait(self, seconds: float, stop: StopSignal, *, for_market: bool = True) -> Wake:
        clock = self._clock
        until_ns = clock.monotonic_ns() + round(seconds * 1e9)
        while True:
            wake = self._state.wake
            if stop.is_set():
                return Wake.STOP
            if wake is Wake.ACCOUNT or (wake is Wake.MARKET and for_market):
                return wake
            now_ns = clock.monotonic_ns()
            if now_ns >= until_ns:
                return Wake.TIME
            due_ms = self.next_ms()
            due_ns = until_ns if due_ms is None else max(due_ms * _MS_NS, now_ns + _MS_NS)
            clock.advance((min(until_ns, due_ns, now_ns + _STEP_NS_MAX) - now_ns) / 1e9)

    def close(self) -> None:
        if self._is_started:
            self._clock.beside.remove(self)
            self._is_started = False
        self._hang_up("closed by us")

    # -- the story -----------------------------------------------------------------------------------------------------

    def at(self, after_ms: int, happening: Callable[[], object]) -> None:
        """Let this happen so many ms from now, while the bot is doing whatever it does then."""
        heapq.heappush(self._agenda, (self._now_ms() + after_ms, next(self._numbers), happening))

    @property
    def is_connected(self) -> bool:
        return self._session is not None

    # -- time ----------------------------------------------------------------------------------------------------------

    def next_ms(self) -> int | None:
        """When the next thing is due, in monotonic milliseconds; one that is overdue lies in the past."""
        agenda_ms = self._agenda[0][0] if self._agenda else None
        if self.is_paused:
            return agenda_ms
        first_ms = self._next_of_the_feed_ms()
        return first_ms if agenda_ms is None or first_ms < agenda_ms else agenda_ms

    def _next_of_the_feed_ms(self) -> int:
        session = self._session
        if session is None:
            return self._state.attempt_at_ms() or 0
        first_ms = self._ping_at_ms
        if self._pong_due_ms is not None and self._pong_due_ms < first_ms:
            first_ms = self._pong_due_ms
        tick_ms = self._state.next_tick_ms()
        if tick_ms is not None and tick_ms < first_ms:
            first_ms = tick_ms
        if not self.is_cut:
            frames_ms = session.next_due_ms()
            if frames_ms is not None and frames_ms - self._zero_ms < first_ms:
                first_ms = frames_ms - self._zero_ms
        return first_ms

    def run(self) -> None:
        """Let everything happen that is due by now."""
        if self._is_running or not self._is_started:
            return  # something that happens moves the clock itself: what is due then follows
        self._is_running = True
        try:
            while self._step(self._now_ms()):
                pass
        finally:
            self._is_running = False

    def _step(self, now_ms: int) -> bool:
        """Whether anything was done."""
        if self._agenda and self._agenda[0][0] <= now_ms:
            heapq.heappop(self._agenda)[2]()
            return True
        if self.is_paused:
            return False
        if self._session is None:
            is_due = (self._state.attempt_at_ms() or 0) <= now_ms
            if is_due:
                self._connect(now_ms)
            return is_due
        did = self._hear(self._session, now_ms)
        if not self.is_connected:
            return True
        if self._pong_due_ms is not None and self._pong_due_ms <= now_ms:
            self._hang_up("a ping was not answered")
            return True
        if self._ping_at_ms <= now_ms:
            self._ping(self._session, now_ms)
            did = True
        tick_ms = self._state.next_tick_ms()
        if tick_ms is not None and tick_ms <= now_ms:
            self._carry_out(self._state.tick(now_ms))
            did = did or self._state.next_tick_ms() != tick_ms
        return did

    # -- the conversation ----------------------------------------------------------------------------------------------

    def _connect(self, now_ms: int) -> None:
        self._state.attempting(now_ms)
        session = None if self.is_cut else self._venue.connect(self._true_ms())
        if isinstance(session, Session):
            self._session, self._ping_at_ms, self._pong_due_ms = session, now_ms + _PING_MS, None
            if self._listener is not None:
                self._listener.connected(self._true_ms())
            self._carry_out(self._state.connected(now_ms))
            return
        why, status = (f"HTTP {session.status}", session.status) if isinstance(session, Refusal) else ("no route", None)
        self._state.refused(why, now_ms, status)
        if self._listener is not None:
            self._listener.lost(why, self._true_ms())

    def _hear(self, session: Session, now_ms: int) -> bool:
        """Take what the venue has sent by now, then read it; whether there was anything."""
        if self.is_cut:
            return False
        outs = session.take(self._true_ms())
        for out in outs:
            self._take(out)
            if self._session is not session:
                return True  # we hung up, or were hung up on
        self._read(session)
        return bool(outs)

    def _take(self, out: Out) -> None:
        match out:
            case CloseSocket(code):
                assert self._session is not None, "it has just said so"
                self._read(self._session)
                self._lost(f"closed by the venue with {code}")
                return
            case Abort():
                self._lost("reset by the venue")
                return
            case SendText(text):
                if self._listener is not None:
                    self._listener.heard(text, self._true_ms())
                self._carry_out(self._state.offer(text))
                return
            case SendPong():
                self._pong_due_ms = None
            case _:
                assert self._session is not None, "it has just sent a ping"
                self._session.pong(self._true_ms())
        if self._listener is not None:
            self._listener.heard(None, self._true_ms())
        self._carry_out(self._state.offer_sign_of_life())

    def _read(self, session: Session) -> None:
        while self._session is session and not self._state.is_idle:
            self._carry_out(self._state.work(self._now_ms()))

    def _ping(self, session: Session, now_ms: int) -> None:
        self._ping_at_ms = now_ms + _PING_MS
        if self._pong_due_ms is None and self._plug.watches_pongs:
            self._pong_due_ms = now_ms + _PONG_MS
        if not self.is_cut:
            session.client_ping(b"", self._true_ms())

    def _carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Send(text):
                    if self._session is not None and not self.is_cut:
                        self._session.receive(text, self._true_ms())
                case Close(why):
                    self._hang_up(why)
                    return
                case _:
                    self.notes.append((action.event, action.fields))

    def _hang_up(self, why: str) -> None:
        if self._session is not None:
            if not self.is_cut:
                self._session.disconnect(self._true_ms())
            self._lost(why)

    def _lost(self, why: str) -> None:
        self._session = self._pong_due_ms = None
        if self._listener is not None:
            self._listener.lost(why, self._true_ms())
        self._carry_out(self._state.disconnected(why, self._now_ms()))

    # -- clocks --------------------------------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // _MS_NS
