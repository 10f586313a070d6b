"""The feed's shell: one socket for each session, and the carrying out of what the session wants. No rule lives here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from aiohttp import WSMsgType, web

from btcturk_sim.feed import Abort, CloseSocket, Feed, Out, Refusal, SendPing, SendPong, SendText, Session

#: Longer frames of clients end the connection.
_RECEIVE_BYTES_MAX: Final = 1_048_576
_CLOSE_S: Final = 1.0
_TICK_S: Final = 0.01
_GOING_AWAY: Final = 1001


class _Connection:
    def __init__(self, session: Session, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.session = session
        self._socket = socket
        self._transport = transport
        self._woken = asyncio.Event()
        self._sending = asyncio.Lock()
        session.on_output = self._woken.set

    async def write(self) -> None:
        """Do what the session wants when it wants it, until its end."""
        while not self.session.is_closed:
            self._woken.clear()
            await self.flush()
            # What the market brings wakes us when it comes; only the session's own time must be waited for.
            due_ms = self.session.next_own_due_ms()
            wait_s = None if due_ms is None else max(0.0, (due_ms - _now_ms()) / 1000)
            with contextlib.suppress(TimeoutError):
                if not self.session.is_closed:
                    await asyncio.wait_for(self._woken.wait(), wait_s)

    async def flush(self) -> None:
        """Send everything that is due now."""
        async with self._sending:
            for out in self.session.take(_now_ms()):
                await self._carry_out(out)

    async def _carry_out(self, out: Out) -> None:
        match out:
            case SendText(text):
                await self._socket.send_str(text)
            case SendPing():
                await self._socket.ping()
            case SendPong(payload):
                await self._socket.pong(payload)
            case CloseSocket(code, reason):
                await self._socket.close(code=code, message=reason.encode())
            case Abort():
                if self._transport is not None:
                    self._transport.abort()

    async def read(self) -> None:
        """Hand the session what the client sends, until the client has gone."""
        while True:
            message = await self._socket.receive()
            now_ms = _now_ms()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    self.session.receive(message.data, now_ms)
                case WSMsgType.PONG:
                    self.session.pong(now_ms)
                case WSMsgType.PING:
                    self.session.client_ping(bytes(message.data), now_ms)
                case WSMsgType.CLOSE if self.session.is_silent:
                    await self._outlast()
                    return
                case WSMsgType.CLOSE:
                    await self._socket.close(code=1000)
                    return
                case _:
                    return

    async def _outlast(self) -> None:
        """A half-open connection does not answer the client's goodbye either: the client must break it."""
        while self._transport is not None and not self._transport.is_closing():
            await asyncio.sleep(_TICK_S)


class FeedShell:
    """Serves the feed on sockets that a web server hands in."""

    def __init__(self, feed: Feed, on_failure: Callable[[BaseException], None]) -> None:
        self._feed = feed
        self._on_failure = on_failure
        self._connections: set[_Connection] = set()

    async def serve(self, http: web.BaseRequest) -> web.StreamResponse:
        """One connection from its upgrade to its end."""
        session = self._feed.connect(_now_ms(), http.remote or "")
        if isinstance(session, Refusal):
            headers = {"Server": "cloudflare", **dict(session.headers)}
            return web.Response(status=session.status, body=session.body, headers=headers)
        socket = web.WebSocketResponse(
            autoping=False,
            autoclose=False,
            compress=False,
            max_msg_size=_RECEIVE_BYTES_MAX,
            timeout=_CLOSE_S,
            writer_limit=2**22,
        )
        try:
            await socket.prepare(http)
        except web.HTTPException as refused:
            session.disconnect(_now_ms())
            return web.Response(status=refused.status, text=refused.text or refused.reason)
        connection = _Connection(session, socket, http.transport)
        self._connections.add(connection)
        writer = asyncio.create_task(connection.write())
        reader = asyncio.create_task(connection.read())
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            session.on_output = None
            session.disconnect(_now_ms())
            for task in (writer, reader):
                task.cancel()
            for done in await asyncio.gather(writer, reader, return_exceptions=True):
                if isinstance(done, Exception) and not isinstance(done, ConnectionError):
                    self._on_failure(done)
        return socket

    async def close(self) -> None:
        """Say goodbye on all connections, for the program ends."""
        connections = [one for one in self._connections if not one.session.is_silent]
        for connection in connections:
            connection.session.close(_GOING_AWAY, "", _now_ms())
        goodbyes = (asyncio.wait_for(connection.flush(), _CLOSE_S) for connection in connections)
        await asyncio.gather(*goodbyes, return_exceptions=True)

    async def flush(self) -> None:
        """Send what is due on all connections before anything else is sent anywhere."""
        for connection in list(self._connections):
            with contextlib.suppress(ConnectionError):
                await connection.flush()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
