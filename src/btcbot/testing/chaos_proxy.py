"""A network that fails, between a bot and its venue: a TCP proxy on this machine that a test steers while it runs.

It understands just enough HTTP to know where a request and an answer begin and end, and can then delay, drop, reset,
cut, drip, repeat or swallow them, or let the whole network be gone. What it was given by the bot, it remembers: the
bot's own side of the story, before the network had its way with it.

    with ChaosProxy(venue.rest_url) as proxy:
        proxy.cause(Trouble.HALF_OPEN, method="POST", count=1)
        ...                                    # the bot at `proxy.url` sends an order and never hears of it
        proxy.heal()

A WebSocket begins as a request, which troubles befall like any other; once the venue has agreed to it, its bytes pass
both ways as they are, until one side closes, the network is cut, or `hush` leaves it standing without a sound.

It lives in a thread of its own and serves loopback only. Methods may be called from any other thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import msgspec

_HEAD_BYTES_MAX: Final = 64 * 1024
_LINGER_NOT: Final = struct.pack("ii", 1, 0)  # close with a reset instead of a farewell
_CONTROL_S_MAX: Final = 10.0
_SILENT_FILLERS: Final = 4
_PIECE_BYTES: Final = 65_536
_DUPLICATE_ANSWER_S_MAX: Final = 5.0
_T = TypeVar("_T")


class Trouble(StrEnum):
    """What may befall one request. In the first group the venue never sees it."""

    RESET_AT_CONNECT = "reset_at_connect"  # the connection is reset before a byte of the request was read
    RESET_BEFORE = "reset_before"  # reset as soon as the request's first bytes have come
    LOST_BEFORE = "lost_before"  # closed, without an answer, after the whole request has come
    BLACK_HOLE = "black_hole"  # taken, swallowed, and the connection kept

    DELAY = "delay"  # the venue gets it `seconds` later
    DELAY_ANSWER = "delay_answer"  # the bot gets the answer `seconds` later
    RESET_AFTER = "reset_after"  # answered by the venue; the connection is reset instead
    LOST_AFTER = "lost_after"  # answered by the venue; the connection is closed instead
    HALF_OPEN = "half_open"  # answered by the venue; the answer is swallowed and the connection kept
    TRUNCATED = "truncated"  # half of the answer's body, then the end of the connection
    DRIP = "drip"  # the answer comes `bytes_` at a time, `seconds` apart
    DUPLICATE = "duplicate"  # the same bytes reach the venue twice; the bot gets one answer


NEVER_ARRIVES: Final = frozenset(
    {Trouble.RESET_AT_CONNECT, Trouble.RESET_BEFORE, Trouble.LOST_BEFORE, Trouble.BLACK_HOLE}
)


class Cut(StrEnum):
    """How a network is gone."""

    REFUSED = "refused"  # connections are refused, those that stand are reset
    SILENT = "silent"  # nothing is answered any more, not even the wish to connect


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the bot sent it. Times in Unix milliseconds; `client_order_id` only of a new order."""

    at_ms: int
    method: str
    target: str
    stamp: int | None
    client_order_id: str | None
    trouble: Trouble | None


class _Rule:
    """One trouble that was asked for."""

    def __init__(self, kind: Trouble, method: str, path: str, share: int, count: int | None, seconds: float,
                 bytes_: int) -> None:  # fmt: skip
        self.kind = kind
        self.method = method
        self.path = path
        self.share = share
        self.count = count
        self.seconds = seconds
        self.bytes_ = bytes_

    def fits(self, method: str, target: str) -> bool:
        return self.count != 0 and (not self.method or self.method == method) and target.startswith(self.path)


class _Message(msgspec.Struct, frozen=True):
    """A request or an answer: its first line and headers as bytes, and its body."""

    head: bytes
    body: bytes

    @property
    def first_line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    @property
    def is_upgrade(self) -> bool:
        """An answer after which the connection speaks another protocol."""
        return self.first_line.startswith("HTTP/1.1 101 ")

    def header(self, name: bytes) -> bytes | None:
        for line in self.head.split(b"\r\n")[1:]:
            found, _, value = line.partition(b":")
            if found.strip().lower() == name:
                return value.strip()
        return None


class _Over(Exception):
    """This connection is done with."""


class ChaosProxy:
    """A proxy on a free port of 127.0.0.1, harmless until told otherwise. Close it at the end."""

    def __init__(self, venue_url: str, seed: int = 1) -> None:
        parts = urlsplit(venue_url)
        assert parts.hostname is not None and parts.port is not None, f"an address with a port, not {venue_url}"
        self._venue = (parts.hostname, parts.port)
        self._dice = random.Random(f"chaos-{seed}")  # noqa: S311 - a test's dice are no secret
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._passed: list[Passed] = []
        self._struck: Counter[str] = Counter()
        self._writers: set[asyncio.StreamWriter] = set()
        self._fillers: list[socket.socket] = []
        #: Told of each request as it comes, before anything befalls it; in the proxy's own thread, so it must be quick.
        self.watch: Callable[[Passed], None] | None = None
        self._cut: Cut | None = None
        self._tunnels: set[_Tunnel] = set()
        self._server: asyncio.Server | None = None
        self._socket = _bound(0)
        self._port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-proxy", daemon=True)
        self._thread.start()
        self._do(self._open())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def ws_url(self) -> str:
        """The same place, for a client of the venue's feed."""
        return f"ws://127.0.0.1:{self._port}"

    # -- control ---------------------------------------------------------------------------------------------------

    def cause(
        self,
        kind: Trouble,
        *,
        method: str = "",
        path: str = "/",
        share: int = 100,
        count: int | None = None,
        seconds: float = 0.0,
        bytes_: int = 16,
    ) -> None:
        """From now on `share` of a hundred requests that fit meet this trouble, at most `count` of them.

        `method` empty fits all; `path` is a beginning. The first rule that strikes decides.
        """
        with self._lock:
            self._rules.append(_Rule(kind, method, path, share, count, seconds, bytes_))
        if kind is Trouble.RESET_AT_CONNECT:
            self._do(self._drop_all())  # who stays connected would never meet it

    def cut(self, how: Cut) -> None:
        """The network is gone until `heal`."""
        self._do(self._go_dark(how))

    def hush(self) -> int:
        """Every WebSocket that stands now goes half-open: nothing passes any more, either way, and neither side learns
        of it. How many those are. New ones are not touched, and `heal` brings none of these back."""
        return self._do(self._hush())

    def drop(self) -> int:
        """Every WebSocket that stands now is reset. How many those are."""
        return self._do(self._reset_tunnels())

    @property
    def tunnels(self) -> int:
        """WebSockets that stand and pass what they are given."""
        return self._do(self._count_tunnels())

    def heal(self) -> None:
        """No trouble any more. What was swallowed stays swallowed."""
        with self._lock:
            self._rules.clear()
        self._do(self._come_back())

    @property
    def struck(self) -> Counter[str]:
        """How often each trouble really struck."""
        with self._lock:
            return Counter(self._struck)

    def passed(self) -> list[Passed]:
        """Every request as the bot sent it, oldest first."""
        with self._lock:
            return list(self._passed)

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CONTROL_S_MAX)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CONTROL_S_MAX)

    # -- the listening side ----------------------------------------------------------------------------------------

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._connected, sock=self._socket, limit=_HEAD_BYTES_MAX)

    async def _go_dark(self, how: Cut) -> None:
        if self._cut is not None:
            return
        self._cut = how
        with self._lock:
            self._struck[f"cut_{how}"] += 1
        if how is Cut.SILENT:
            for tunnel in self._tunnels:
                tunnel.is_silent = True
        assert self._server is not None
        self._server.close()
        self._socket = _bound(self._port)
        if how is Cut.REFUSED:
            await self._drop_all()
            return
        # A listener that nobody serves and whose queue is full: the kernel drops every further wish to connect.
        self._socket.listen(0)
        for _ in range(_SILENT_FILLERS):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003 - the name of the parameter is `flag`
            filler.connect_ex(("127.0.0.1", self._port))
            self._fillers.append(filler)

    async def _come_back(self) -> None:
        if self._cut is None:
            return
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
        if self._cut is Cut.SILENT:
            self._socket.close()
            self._socket = _bound(self._port)
            await self._drop_all()  # what stood all the time has long been given up on the way
        self._cut = None
        await self._open()

    async def _hush(self) -> int:
        loud = [tunnel for tunnel in self._tunnels if not tunnel.is_silent]
        for tunnel in loud:
            tunnel.is_silent = True
        with self._lock:
            self._struck["hushed"] += len(loud)
        return len(loud)

    async def _reset_tunnels(self) -> int:
        standing = [tunnel for tunnel in self._tunnels if not tunnel.is_silent]
        for tunnel in standing:
            _reset(tunnel.writer)
        with self._lock:
            self._struck["dropped"] += len(standing)
        return len(standing)

    async def _count_tunnels(self) -> int:
        return sum(not tunnel.is_silent for tunnel in self._tunnels)

    async def _drop_all(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for filler in self._fillers:
            filler.close()
        await self._drop_all()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # -- one connection --------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        venue = _Venue(self._venue)
        try:
            if self._draw("", "/", at_connect=True) is not None:
                _reset(writer)
                return
            while True:
                await self._one(reader, writer, venue)
        except (_Over, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # either side has gone, as networks have it
        finally:
            self._writers.discard(writer)
            venue.close()
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, venue: _Venue) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        partly = _Message(head, b"")
        method, target, _ = partly.first_line.split(" ", 2)
        length = int(partly.header(b"content-length") or 0)
        if self._cut is not None:
            await _until_gone(reader)
        rule = self._draw(method, target)
        kind = None if rule is None else rule.kind
        request = _Message(head, b"" if kind is Trouble.RESET_BEFORE else await reader.readexactly(length))
        self._remember(method, target, request, kind)
        if rule is None:
            answer = await venue.ask(request)
            await _send(writer, answer)
            if answer.is_upgrade:
                await self._pass_on(reader, writer, venue)
            return
        if rule.kind in NEVER_ARRIVES:
            await self._swallow(rule.kind, reader, writer)
        if rule.kind is Trouble.DELAY:
            await asyncio.sleep(rule.seconds)  # whoever asked may be gone by then; the request is not
        answer = await venue.ask(request)
        await self._answer(rule, request, answer, reader, writer)
        if answer.is_upgrade:
            await self._pass_on(reader, writer, venue)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, venue: _Venue) -> None:
        """From here on it is a WebSocket, until it ends."""
        tunnel = _Tunnel(writer)
        self._tunnels.add(tunnel)
        try:
            await tunnel.run(reader, *venue.streams())
        finally:
            self._tunnels.discard(tunnel)
        raise _Over

    async def _swallow(self, kind: Trouble, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if kind is Trouble.BLACK_HOLE:
            await _until_gone(reader)
        if kind is not Trouble.LOST_BEFORE:
            _reset(writer)
        raise _Over

    async def _answer(
        self,
        rule: _Rule,
        request: _Message,
        answer: _Message,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        match rule.kind:
            case Trouble.RESET_AFTER:
                _reset(writer)
                raise _Over
            case Trouble.LOST_AFTER:
                raise _Over
            case Trouble.HALF_OPEN:
                await _until_gone(reader)
            case Trouble.TRUNCATED:
                await _send(writer, _Message(answer.head, answer.body[: len(answer.body) // 2]))
                raise _Over
            case Trouble.DRIP:
                whole = answer.head + answer.body
                for at in range(0, len(whole), rule.bytes_):
                    writer.write(whole[at : at + rule.bytes_])
                    await writer.drain()
                    await asyncio.sleep(rule.seconds)
            case Trouble.DUPLICATE:
                again = _Venue(self._venue)
                try:
                    await asyncio.wait_for(again.ask(request), _DUPLICATE_ANSWER_S_MAX)
                finally:
                    again.close()
                await _send(writer, answer)
            case Trouble.DELAY_ANSWER:
                await asyncio.sleep(rule.seconds)
                await _send(writer, answer)
            case _:
                await _send(writer, answer)

    def _draw(self, method: str, target: str, *, at_connect: bool = False) -> _Rule | None:
        """The trouble that this request meets, counted; None for none."""
        with self._lock:
            for rule in self._rules:
                if (rule.kind is Trouble.RESET_AT_CONNECT) is not at_connect:
                    continue
                if (at_connect or rule.fits(method, target)) and self._dice.randrange(100) < rule.share:
                    if rule.count is not None:
                        if rule.count == 0:
                            continue
                        rule.count -= 1
                    self._struck[rule.kind.value] += 1
                    return rule
        return None

    def _remember(self, method: str, target: str, request: _Message, trouble: Trouble | None) -> None:
        stamp = request.header(b"x-stamp")
        client = None
        if method == "POST" and request.body:
            client = str(json.loads(request.body).get("newOrderClientId"))
        passed = Passed(
            at_ms=time.time_ns() // 1_000_000,
            method=method,
            target=target,
            stamp=None if stamp is None else int(stamp),
            client_order_id=client,
            trouble=trouble,
        )
        with self._lock:
            self._passed.append(passed)
        if self.watch is not None:
            self.watch(passed)


class _Venue:
    """The way on from one connection of the bot: one connection to the venue, renewed when it has gone."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: _Message) -> _Message:
        """Send it and read the whole answer. The proxy itself sends nothing twice: what fails here has failed."""
        if self._streams is None or self._streams[0].at_eof() or self._streams[1].is_closing():
            self.close()
            self._streams = await asyncio.open_connection(*self._address, limit=_HEAD_BYTES_MAX)
        reader, writer = self._streams
        writer.write(request.head + request.body)
        await writer.drain()
        return await _read_answer(reader)

    def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection itself, after its protocol was changed."""
        assert self._streams is not None, "something was asked on it"
        return self._streams

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class _Tunnel:
    """A WebSocket between the bot, at `writer`, and the venue. One that is silent swallows what either side says."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.is_silent = False

    async def run(
        self, reader: asyncio.StreamReader, venue_reader: asyncio.StreamReader, venue_writer: asyncio.StreamWriter
    ) -> None:
        """Until the bot goes, or until the venue goes while it can be heard."""
        up = asyncio.ensure_future(self._pump(reader, venue_writer))
        down = asyncio.ensure_future(self._pump(venue_reader, self.writer))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if self.is_silent:
                await up
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(_PIECE_BYTES):
            if not self.is_silent:
                sink.write(data)
                await sink.drain()


async def _read_answer(reader: asyncio.StreamReader) -> _Message:
    head = await reader.readuntil(b"\r\n\r\n")
    answer = _Message(head, b"")
    if answer.is_upgrade:
        return answer
    length = answer.header(b"content-length")
    if length is not None:
        return _Message(head, await reader.readexactly(int(length)))
    if (answer.header(b"transfer-encoding") or b"").lower() != b"chunked":
        return _Message(head, await reader.read(-1))
    parts: list[bytes] = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        parts += [line, await reader.readexactly(size + 2)]
        if size == 0:
            return _Message(head, b"".join(parts))


async def _send(writer: asyncio.StreamWriter, answer: _Message) -> None:
    writer.write(answer.head + answer.body)
    await writer.drain()


async def _until_gone(reader: asyncio.StreamReader) -> None:
    """Hold the connection, and its request, until the other side gives it up."""
    while await reader.read(_PIECE_BYTES):
        pass
    raise _Over


def _reset(writer: asyncio.StreamWriter) -> None:
    inner = writer.get_extra_info("socket")
    if inner is not None:
        with contextlib.suppress(OSError):
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made
