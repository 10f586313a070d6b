"""The way between a bot and a venue in one process: requests in bytes, a clock for a network, and somebody on it.

It stands where the bot's HTTP client has its sockets. What the simulator wants done to an answer (late, cut off, lost)
is done here, and a `Meddler` may do more.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final, Protocol

import httpx2

from btcbot.adapters.btcturk.transport import TIMEOUT_S
from btcbot.testing.manual_clock import ManualClock
from btcbot.testing.points import Points
from btcturk_sim import wire
from btcturk_sim.simulator import Simulator
from btcturk_sim.wire import Delivery, Response

_GZIP_FROM_BYTES: Final = 1_024
_BLANKS: Final = b" " * 65_536


class Meddler(Protocol):
    """Who stands on the way between bot and venue. `name` is like `POST /api/v1/order`."""

    def sends(self, name: str, request: wire.Request) -> None:
        """Before the venue gets it. May register a fault for it, or raise what a network raises."""
        ...

    def answers(self, name: str, request: wire.Request, answer: Response) -> Response:
        """What becomes of the venue's answer on its way; also for one that comes too late, and for a DEFER."""
        ...

    def arrives(self, name: str, request: wire.Request, answer: Response) -> None:
        """The bot gets it now, in time; how much of it, its transport tells."""
        ...


class InProcessTransport(httpx2.BaseTransport):
    """Carries each request to the simulator at the clock's time, and its answer back as the simulator wants it carried.

    A trip takes `latency_ms` of the clock; an answer that comes after the request's deadline is a time-out, and a
    request that the venue was told to receive late is acted on then, whether or not anybody still waits.
    """

    def __init__(
        self, simulator: Simulator, clock: ManualClock, points: Points, *, latency_ms: int = 4, packs: bool = True
    ) -> None:
        """`packs`: large answers travel in gzip."""
        self._packs = packs
        self._simulator = simulator
        self._clock = clock
        self._points = points
        self._latency_ms = latency_ms
        self._late: list[tuple[int, wire.Request]] = []
        #: False: no connection comes about.
        self.is_up = True
        #: Stamps of signed requests as they were sent; a delayed one may arrive after its successors.
        self.stamps: list[int] = []
        #: How often each client order id was sent, whatever became of it.
        self.posts: Counter[str] = Counter()
        self.meddler: Meddler | None = None
        #: Told when a request will arrive that nobody waits for any more; without it, `deliver_late` has to be called.
        self.on_late: Callable[[int], None] | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        asked = _as_simulator_reads(request)
        name = f"{asked.method} {asked.path}"
        self._points.reach(f"before {name}")
        response = self._carried(asked, request.extensions[TIMEOUT_S], name)
        self._points.reach(f"after {name}")
        return response

    def deliver_late(self) -> None:
        """Let the venue act on what has been under way long enough."""
        now_ms = self._clock.true_ms()
        due = [one for one in self._late if one[0] <= now_ms]
        self._late = [one for one in self._late if one[0] > now_ms]
        for due_ms, request in sorted(due, key=lambda one: one[0]):
            self._simulator.api.handle(request, due_ms, resumed=True)

    def forget_late(self) -> None:
        """What is still under way gets lost."""
        self._late = []

    def _carried(self, asked: wire.Request, timeout_s: float, name: str) -> httpx2.Response:
        clock, meddler = self._clock, self.meddler
        if not self.is_up:
            raise httpx2.ConnectError("no route to the venue")
        if meddler is not None:
            meddler.sends(name, asked)
        deadline_ms = clock.true_ms() + round(timeout_s * 1_000)
        clock.advance(self._latency_ms / 2_000)
        self.deliver_late()
        if asked.stamp is not None:
            self.stamps.append(int(asked.stamp))
        if asked.method == "POST":
            self.posts[json.loads(asked.body)["newOrderClientId"]] += 1
        answer = self._simulator.api.handle(asked, clock.true_ms())
        if answer.transport.delivery is Delivery.DEFER:
            if meddler is not None:
                meddler.answers(name, asked, answer)
            due_ms = clock.true_ms() + answer.transport.delay_ms
            if due_ms > deadline_ms:
                self._late.append((due_ms, asked))
                if self.on_late is not None:
                    self.on_late(due_ms)
                self._wait_in_vain(deadline_ms)
            clock.advance(answer.transport.delay_ms / 1_000)
            answer = self._simulator.api.handle(asked, clock.true_ms(), resumed=True)
        if meddler is not None:
            answer = meddler.answers(name, asked, answer)
        if clock.true_ms() + answer.transport.delay_ms + self._latency_ms // 2 > deadline_ms:
            self._wait_in_vain(deadline_ms)
        clock.advance((answer.transport.delay_ms + self._latency_ms / 2) / 1_000)
        if answer.transport.delivery is Delivery.DROP:
            raise httpx2.RemoteProtocolError("the venue closed the connection without an answer")
        if meddler is not None:
            meddler.arrives(name, asked, answer)
        headers = list(answer.headers)
        body = answer.body
        if self._packs and answer.transport.delivery is Delivery.SEND and len(body) >= _GZIP_FROM_BYTES:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers.append(("Content-Encoding", "gzip"))
        return httpx2.Response(answer.status, headers=headers, stream=_Body(answer, body))

    def _wait_in_vain(self, deadline_ms: int) -> None:
        self._clock.advance(max(deadline_ms - self._clock.true_ms(), 0) / 1_000)
        raise httpx2.ReadTimeout("no whole answer in time")


class _Body(httpx2.SyncByteStream):
    """The answer's bytes, or as many of them as come through."""

    def __init__(self, answer: Response, body: bytes) -> None:
        self._transport = answer.transport
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        if self._transport.delivery is Delivery.TRUNCATE:
            yield self._body[: self._transport.cut_at]
            raise httpx2.RemoteProtocolError("the connection closed before the body's end")
        yield self._body
        sent = len(self._body)
        while self._transport.delivery is Delivery.STREAM and sent < self._transport.stream_bytes:
            yield _BLANKS
            sent += len(_BLANKS)


def _as_simulator_reads(request: httpx2.Request) -> wire.Request:
    url, stream = request.url, request.stream
    assert isinstance(stream, httpx2.SyncByteStream)
    return wire.Request(
        method=request.method,
        path=url.path,
        query=url.query.decode("ascii"),
        headers={_header_name(name): value.decode("ascii") for name, value in request.headers.raw},
        body=b"".join(stream),
        # One way leads to both hosts; their paths are told apart by their beginnings.
        host=wire.Host.GRAPH if url.path.startswith("/v1/") else wire.Host.REST,
    )


@cache
def _header_name(name: bytes) -> str:
    return name.lower().decode("ascii")
