"""The proxy itself: a listener, its connections, and the hand that steers both from another thread."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from btcbot.testing.chaos_proxy.messages import HEAD_BYTES_MAX, Message, Over, bound, reset, send, until_gone
from btcbot.testing.chaos_proxy.troubles import NEVER_ARRIVES, Cut, Passed, Rule, Trouble
from btcbot.testing.chaos_proxy.ways import Tunnel, VenueConnection

_CONTROL_S_MAX: Final = 10.0
_SILENT_FILLERS: Final = 4
_DUPLICATE_ANSWER_S_MAX: Final = 5.0
_T = TypeVar("_T")


class ChaosProxy:
    """A proxy on a free port of 127.0.0.1, harmless until told otherwise. Close it at the end."""

    def __init__(self, venue_url: str, seed: int = 1) -> None:
        parts = urlsplit(venue_url)
        assert parts.hostname is not None and parts.port is not None, f"an address with a port, not {venue_url}"
        self._venue = (parts.hostname, parts.port)
        self._dice = random.Random(f"chaos-{seed}")  # noqa: S311 - a test's dice are no secret
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._passed: list[Passed] = []
        self._struck: Counter[str] = Counter()
        self._writers: set[asyncio.StreamWriter] = set()
        self._fillers: list[socket.socket] = []
        #: Told of each request as it comes, before anything befalls it; in the proxy's own thread, so it must be quick.
        self.watch: Callable[[Passed], None] | None = None
        self._cut: Cut | None = None
        self._tunnels: set[Tunnel] = set()
        self._server: asyncio.Server | None = None
        self._socket = bound(0)
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
            self._rules.append(Rule(kind, method, path, share, count, seconds, bytes_))
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
        self._server = await asyncio.start_server(self._connected, sock=self._socket, limit=HEAD_BYTES_MAX)

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
        self._socket = bound(self._port)
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
            self._socket = bound(self._port)
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
            reset(tunnel.writer)
        with self._lock:
            self._struck["dropped"] += len(standing)
        return len(standing)

    async def _count_tunnels(self) -> int:
        return sum(not tunnel.is_silent for tunnel in self._tunnels)

    async def _drop_all(self) -> None:
        for writer in list(self._writers):
            reset(writer)

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
        venue = VenueConnection(self._venue)
        try:
            if self._draw("", "/", at_connect=True) is not None:
                reset(writer)
                return
            while True:
                await self._one(reader, writer, venue)
        except (Over, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # either side has gone, as networks have it
        finally:
            self._writers.discard(writer)
            venue.close()
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, venue: VenueConnection) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        partly = Message(head, b"")
        method, target, _ = partly.first_line.split(" ", 2)
        length = int(partly.header(b"content-length") or 0)
        if self._cut is not None:
            await until_gone(reader)
        rule = self._draw(method, target)
        kind = None if rule is None else rule.kind
        request = Message(head, b"" if kind is Trouble.RESET_BEFORE else await reader.readexactly(length))
        self._remember(method, target, request, kind)
        if rule is None:
            answer = await venue.ask(request)
            await send(writer, answer)
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

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, venue: VenueConnection
    ) -> None:
        """From here on it is a WebSocket, until it ends."""
        tunnel = Tunnel(writer)
        self._tunnels.add(tunnel)
        try:
            await tunnel.run(reader, *venue.streams())
        finally:
            self._tunnels.discard(tunnel)
        raise Over

    async def _swallow(self, kind: Trouble, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if kind is Trouble.BLACK_HOLE:
            await until_gone(reader)
        if kind is not Trouble.LOST_BEFORE:
            reset(writer)
        raise Over

    async def _answer(
        self,
        rule: Rule,
        request: Message,
        answer: Message,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        match rule.kind:
            case Trouble.RESET_AFTER:
                reset(writer)
                raise Over
            case Trouble.LOST_AFTER:
                raise Over
            case Trouble.HALF_OPEN:
                await until_gone(reader)
            case Trouble.TRUNCATED:
                await send(writer, Message(answer.head, answer.body[: len(answer.body) // 2]))
                raise Over
            case Trouble.DRIP:
                whole = answer.head + answer.body
                for at in range(0, len(whole), rule.bytes_):
                    writer.write(whole[at : at + rule.bytes_])
                    await writer.drain()
                    await asyncio.sleep(rule.seconds)
            case Trouble.DUPLICATE:
                again = VenueConnection(self._venue)
                try:
                    await asyncio.wait_for(again.ask(request), _DUPLICATE_ANSWER_S_MAX)
                finally:
                    again.close()
                await send(writer, answer)
            case Trouble.DELAY_ANSWER:
                await asyncio.sleep(rule.seconds)
                await send(writer, answer)
            case _:
                await send(writer, answer)

    def _draw(self, method: str, target: str, *, at_connect: bool = False) -> Rule | None:
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

    def _remember(self, method: str, target: str, request: Message, trouble: Trouble | None) -> None:
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
