"""The shell: sockets, the wall clock, and the carrying out of what `Transport` asks. No rule lives here."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ipaddress
import logging
import signal
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

from btcturk_sim.errors import ConfigurationError
from btcturk_sim.simulator import Simulator
from btcturk_sim.wire import Delivery, Host, Request, Response
from btcturk_sim.ws import FeedShell

_log: Final = logging.getLogger("btcturk_sim")
_TICK_S: Final = 0.01
_BLANKS: Final = b" " * 65_536
_GZIP_FROM_BYTES: Final = 1024
_SHUTDOWN_S: Final = 1.0
_NO_LINGER: Final = struct.pack("ii", 1, 0)
_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    host: str = "127.0.0.1"
    rest: int = 0
    graph: int = 0
    control: int = 0
    ws: int = 0


def require_loopback(host: str) -> None:
    """This program trusts whoever connects; it must never be reachable from elsewhere."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigurationError(f"--host {host}: only loopback is served; use 127.0.0.1, ::1 or localhost")


class Server:
    """Serves one simulator on four loopback ports until told to stop."""

    def __init__(self, simulator: Simulator, ports: Ports) -> None:
        require_loopback(ports.host)
        self._simulator = simulator
        self._ports = ports
        self._stop = asyncio.Event()
        self._runners: list[web.ServerRunner] = []
        self._failed: BaseException | None = None
        self._feed = FeedShell(simulator.feed, self._fail)
        self.addresses: dict[str, str] = {}

    async def run(self) -> None:
        """Open the ports, print where they are as one JSON line on stdout, serve until the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            self.addresses = {
                "rest": await self._listen(self._ports.rest, self._rest),
                "graph": await self._listen(self._ports.graph, self._graph),
                "control": await self._listen(self._ports.control, self._control),
                "ws": (await self._listen(self._ports.ws, self._feed.serve)).replace("http", "ws", 1),
            }
            sys.stdout.write(msgspec.json.encode(self.addresses).decode() + "\n")
            sys.stdout.flush()
            await self._pump()
        finally:
            await self._feed.close()
            for runner in self._runners:
                await runner.cleanup()
            self._simulator.close()
        if self._failed is not None:
            raise self._failed

    async def _listen(self, port: int, handler: _Handler) -> str:
        runner = web.ServerRunner(web.Server(handler, access_log=None), handle_signals=False,
                                  shutdown_timeout=_SHUTDOWN_S)  # fmt: skip
        await runner.setup()
        self._runners.append(runner)
        try:
            site = web.TCPSite(runner, self._ports.host, port)
            await site.start()
        except OSError as error:
            raise ConfigurationError(
                f"port {port} on {self._ports.host}: {error.strerror or error}; give another, or 0 for any free one"
            ) from None
        address = runner.addresses[0]
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        return f"http://{host}:{address[1]}"

    async def _pump(self) -> None:
        """Let the market move while nobody asks, and notice when it is over."""
        while not self._stop.is_set() and not self._simulator.is_over:
            try:
                self._simulator.feed.advance(_now_ms())
            except Exception as error:  # noqa: BLE001 (the outermost edge; kept and shown)
                self._fail(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _TICK_S)

    def _fail(self, error: BaseException) -> None:
        """Money that does not add up ends the market but not the control interface: the evidence must be read."""
        if self._failed is None:
            self._failed = error
            _log.critical("the exchange has stopped: %s", error)

    # --- requests ---------------------------------------------------------------------------------------------

    async def _rest(self, http: web.BaseRequest) -> web.StreamResponse:
        return await self._serve(http, Host.REST)

    async def _graph(self, http: web.BaseRequest) -> web.StreamResponse:
        return await self._serve(http, Host.GRAPH)

    async def _serve(self, http: web.BaseRequest, host: Host) -> web.StreamResponse:
        request = Request(
            method=http.method,
            path=http.path,
            query=http.rel_url.raw_query_string,
            headers={name.lower(): value for name, value in http.headers.items()},
            body=await http.read() if http.can_read_body else b"",
            client_ip=http.remote or "",
            host=host,
        )
        try:
            response = self._simulator.api.handle(request, _now_ms())
            if response.transport.delivery is Delivery.DEFER:
                await asyncio.sleep(response.transport.delay_ms / 1000)
                response = self._simulator.api.handle(request, _now_ms(), resumed=True)
        except Exception as error:  # noqa: BLE001 (the outermost edge; kept and shown)
            self._fail(error)
            return web.Response(status=500, body=b'{"success":false,"message":"INTERNAL_ERROR","code":500}',
                                content_type="application/json")  # fmt: skip
        if http.method != "GET" and self._simulator.feed.options.user_events_lag_ms == 0:
            await self._feed.flush()
        return await _deliver(http, response)

    async def _control(self, http: web.BaseRequest) -> web.StreamResponse:
        answer = self._simulator.control.handle(
            http.method, http.path, http.rel_url.raw_query_string, await http.read(), _now_ms()
        )
        if self._simulator.control.shutdown_asked:
            asyncio.get_running_loop().call_later(0.05, self._stop.set)
        return web.Response(status=answer.status, body=answer.body, content_type="application/json")


async def _deliver(http: web.BaseRequest, response: Response) -> web.StreamResponse:
    transport = response.transport
    if transport.delay_ms:
        await asyncio.sleep(transport.delay_ms / 1000)
    match transport.delivery:
        case Delivery.DROP:
            if http.transport is not None:
                http.transport.abort()
            return web.Response()
        case Delivery.TRUNCATE:
            return await _truncate(http, response)
        case Delivery.STREAM:
            return await _stream(http, response)
        case Delivery.HANG:
            return await _hang(http)
        case Delivery.RESET:
            return _reset(http)
        case Delivery.DRIBBLE:
            return await _dribble(http, response)
        case _:
            body, headers = response.body, {"Server": "cloudflare", **dict(response.headers)}
            if len(body) >= _GZIP_FROM_BYTES and "gzip" in http.headers.get("Accept-Encoding", ""):
                body = gzip.compress(body, compresslevel=1, mtime=0)
                headers["Content-Encoding"] = "gzip"
            return web.Response(status=response.status, body=body, headers=headers)


async def _truncate(http: web.BaseRequest, response: Response) -> web.StreamResponse:
    answer = web.StreamResponse(status=response.status, headers=dict(response.headers))
    answer.content_length = len(response.body)
    await answer.prepare(http)
    await answer.write(response.body[: response.transport.cut_at])
    if http.transport is not None:
        http.transport.close()
    return answer


async def _hang(http: web.BaseRequest) -> web.StreamResponse:
    """Nothing at all until the client has had enough; a server that stops cancels this wait."""
    while http.transport is not None and not http.transport.is_closing():
        await asyncio.sleep(_TICK_S)
    return web.Response()


def _reset(http: web.BaseRequest) -> web.StreamResponse:
    """Closing a socket that may not linger sends RST instead of FIN."""
    if http.transport is not None:
        http.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        http.transport.abort()
    return web.Response()


async def _dribble(http: web.BaseRequest, response: Response) -> web.StreamResponse:
    answer = web.StreamResponse(status=response.status, headers=dict(response.headers))
    answer.content_length = length = len(response.body)
    await answer.prepare(http)
    loop = asyncio.get_running_loop()
    started = loop.time()
    spread_s = response.transport.spread_ms / 1000
    try:
        for sent in range(length):
            # The last byte is due at the end; where bytes are due faster than timers tick, some leave together.
            wait_s = started + spread_s * (sent + 1) / length - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await answer.write(response.body[sent : sent + 1])
        await answer.write_eof()
    except ConnectionError:
        pass  # the client has had enough
    return answer


async def _stream(http: web.BaseRequest, response: Response) -> web.StreamResponse:
    answer = web.StreamResponse(status=response.status, headers=dict(response.headers))
    await answer.prepare(http)
    try:
        await answer.write(response.body)
        sent = len(response.body)
        while sent < response.transport.stream_bytes:
            await answer.write(_BLANKS)
            sent += len(_BLANKS)
        await answer.write_eof()
    except ConnectionError:
        pass  # the client has had enough, which is what this fault is for
    return answer


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def serve(simulator: Simulator, ports: Ports) -> None:
    """Run until a signal, a shutdown request or the end of the market."""
    require_loopback(ports.host)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")

    async def run() -> None:
        await Server(simulator, ports).run()

    asyncio.run(run())
