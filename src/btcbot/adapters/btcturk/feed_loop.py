"""The feed's asyncio side: one connection after another, with a task each for reading, dispatching, beating and timing.

It owns the socket and nothing else: what the frames mean, and what to do about them, is `FeedState`'s to say, which it
shares with the core's thread under one lock that is held for a moment at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NoReturn

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from btcbot.adapters.btcturk import feed_socket
from btcbot.adapters.btcturk.feed_actions import Actions, Close, FeedTiming, Note, Send
from btcbot.adapters.btcturk.feed_socket import Address, NotConnected
from btcbot.adapters.btcturk.feed_state import FeedState
from btcbot.ports import Log

#: The timing task looks at least so often what is due: a frame may have brought it forward.
LOOK_S_MAX: Final = 0.5
#: Why there is no connection once `stop` was called.
CLOSED: Final = "it was closed"


class _Ended(Exception):
    """This connection is over; its text says why."""


class FeedLoop:
    """Runs in one thread, until `stop`. `on_change` is called there, often, after anything may have changed.

    `now_ms` is the monotonic clock that `state` lives by. `outbox` holds actions that the core wants carried out:
    append under the lock, then `nudge`.
    """

    def __init__(
        self,
        address: Address,
        state: FeedState,
        lock: threading.Lock,
        *,
        ssl_context: ssl.SSLContext | None,
        timing: FeedTiming,
        now_ms: Callable[[], int],
        log: Log,
        on_change: Callable[[], None],
    ) -> None:
        self._address = address
        self._state = state
        self._lock = lock
        self._ssl_context = ssl_context
        self._timing = timing
        self._now_ms = now_ms
        self._log = log
        self._on_change = on_change
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopped = False
        self._stopping = asyncio.Event()
        self._nudged = asyncio.Event()
        self._frames = asyncio.Event()
        self._last_failure = ""
        self.outbox: Actions = []
        self.pings_s: deque[float] = deque(maxlen=100)

    # -- from any thread -----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End `run` soon, saying goodbye to the venue."""
        self._is_stopped = True
        self._call(self._stopping.set)

    def nudge(self) -> None:
        """There is something in the outbox."""
        self._call(self._nudged.set)

    def _call(self, act: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(act)

    # -- the feed's thread ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep connected until `stop`. Whatever it raises is a defect."""
        self._loop = asyncio.get_running_loop()
        while not self._is_stopped:
            if await self._wait_for_turn():
                continue
            with self._lock:
                self._state.attempting(self._now_ms())
            try:
                connection = await self._open()
            except NotConnected as error:
                self._not_connected(error)
                continue
            if connection is None:
                continue
            self._last_failure = ""
            why = "the feed's own thread failed"
            try:
                why = await self._converse(connection)
            finally:
                connection.transport.abort()
                with self._lock:
                    self.outbox.clear()
                    notes = self._state.disconnected(why, self._now_ms())
                self._note(notes)
                self._on_change()

    async def _wait_for_turn(self) -> bool:
        """Wait until the next attempt may begin; True when that was cut short or has to be looked at again."""
        with self._lock:
            at_ms = self._state.attempt_at_ms()
        wait_ms = 0 if at_ms is None else at_ms - self._now_ms()
        if wait_ms <= 0:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_ms / 1000):
                await self._stopping.wait()
        return True

    async def _open(self) -> ClientConnection | None:
        """A connection; None when `stop` came first. Raises NotConnected."""
        opening = asyncio.ensure_future(feed_socket.open_connection(self._address, self._ssl_context, self._timing))
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if opening.done():
            return opening.result()
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError, NotConnected):
            (await opening).transport.abort()
        return None

    def _not_connected(self, error: NotConnected) -> None:
        with self._lock:
            self._state.refused(error.why, self._now_ms(), error.status)
            again_ms = (self._state.attempt_at_ms() or 0) - self._now_ms()
        if error.why != self._last_failure:
            self._last_failure = error.why
            self._log.warning("feed_unreachable", reason=error.why, again_in_s=round(max(again_ms, 0) / 1000, 1))
        self._on_change()

    async def _converse(self, connection: ClientConnection) -> str:
        """One connection from its beginning to its end; why it ended."""
        with self._lock:
            actions = self._state.connected(self._now_ms())
        self._frames.clear()
        ends: list[str] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (self._read, self._dispatch, self._beat, self._keep_time, self._heed_stop):
                    tasks.create_task(work(connection))
                await self._carry_out(connection, actions)
        except* _Ended as group:
            ends = [str(error) for error in _leaves(group)]
        return ends[0]

    async def _read(self, connection: ClientConnection) -> None:
        """Empty the socket into the queue. Goes before dispatching: what is behind must show as a full queue here, not
        hide in the buffers of the network."""
        try:
            while True:
                data = await connection.recv(decode=False)
                with self._lock:
                    actions = self._state.offer(data)
                self._frames.set()
                if actions:
                    await self._carry_out(connection, actions)
        except ConnectionClosed as error:
            if feed_socket.is_oversized(error):
                with self._lock:
                    self._state.ignored("oversized")
            raise _Ended(feed_socket.why_closed(error)) from None

    async def _dispatch(self, connection: ClientConnection) -> None:
        """Read what waits, a handful at a time."""
        while True:
            await self._frames.wait()
            with self._lock:
                actions = self._state.work(self._now_ms())
                is_worth_a_look = self._state.wake is not None
                if self._state.is_idle:
                    self._frames.clear()
            if is_worth_a_look:
                self._on_change()
            if actions:
                await self._carry_out(connection, actions)
            await asyncio.sleep(0)

    async def _beat(self, connection: ClientConnection) -> None:
        """Our own pings: that the other side answers them is the proof that the line lives."""
        clock = asyncio.get_running_loop()
        while True:
            sent_at_s = clock.time()
            try:
                async with asyncio.timeout(self._timing.pong_s):
                    await (await connection.ping())
            except TimeoutError:
                self._end(f"no answer to a ping within {self._timing.pong_s:g} s")
            except ConnectionClosed as error:
                raise _Ended(feed_socket.why_closed(error)) from None
            self.pings_s.append(clock.time() - sent_at_s)
            with self._lock:
                self._state.offer_sign_of_life()
            self._frames.set()
            await asyncio.sleep(self._timing.ping_interval_s)

    async def _keep_time(self, connection: ClientConnection) -> None:
        """What is due, and what the core asked for."""
        while True:
            with self._lock:
                now_ms = self._now_ms()
                actions = [*self.outbox, *self._state.tick(now_ms)]
                self.outbox.clear()
                due_ms = self._state.next_tick_ms()
            if actions:
                await self._carry_out(connection, actions)
                self._on_change()
            wait_s = LOOK_S_MAX if due_ms is None else min(max(due_ms - now_ms, 1) / 1000, LOOK_S_MAX)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._nudged.wait()
            self._nudged.clear()

    async def _heed_stop(self, connection: ClientConnection) -> None:
        await self._stopping.wait()
        with self._lock:
            self._state.give_up(CLOSED)  # without its warning: this end is wanted
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.goodbye_s):
                await connection.close()
        raise _Ended(CLOSED)

    # -- actions -------------------------------------------------------------------------------------------------------

    async def _carry_out(self, connection: ClientConnection, actions: Actions) -> None:
        for action in actions:
            match action:
                case Send(text=text):
                    await self._send(connection, text)
                case Close(why=why):
                    raise _Ended(why)
                case Note():
                    self._note([action])

    async def _send(self, connection: ClientConnection, text: str) -> None:
        try:
            async with asyncio.timeout(self._timing.send_s):
                await connection.send(text)
        except TimeoutError:
            self._end(f"nothing could be sent for {self._timing.send_s:g} s")
        except ConnectionClosed as error:
            raise _Ended(feed_socket.why_closed(error)) from None

    def _end(self, why: str) -> NoReturn:
        """Give the connection up: the books are hidden before anybody looks again."""
        with self._lock:
            notes = self._state.give_up(why)
        self._note(notes)
        raise _Ended(why)

    def _note(self, actions: Actions) -> None:
        for action in actions:
            if isinstance(action, Note):
                log = {"info": self._log.info, "warning": self._log.warning, "error": self._log.error}[action.level]
                log(action.event, **action.fields)


def _leaves(group: BaseExceptionGroup[_Ended]) -> list[_Ended]:
    found: list[_Ended] = []
    for each in group.exceptions:
        found += _leaves(each) if isinstance(each, BaseExceptionGroup) else [each]
    return found
