"""Real sockets and a server that misbehaves: writes are seen exactly once, and every request ends in time."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.unit.btcturk.support import CLIENT_ID, make_order, make_permit, ok, signer

from btcbot.adapters.btcturk import transport
from btcbot.adapters.btcturk.requester import Timing
from btcbot.adapters.btcturk.rest import BtcturkHttpClient
from btcbot.adapters.btcturk.transport import DeadlineTransport
from btcbot.adapters.clock import SystemClock
from btcbot.adapters.metrics import NullMetrics
from btcbot.domain.outcomes import Accepted, CancelOutcome, InDoubt, NotSent, SubmitOutcome
from btcbot.domain.permit import WriteKind
from btcbot.errors import VenueUnavailable

PLACED = json.dumps(ok({"id": 77, "newOrderClientId": CLIENT_ID})).encode()
CANCELLED = b'{"success":true,"message":"SUCCESS","code":0}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
FAST = Timing(read_s=0.6, write_s=0.6, attempts_max=2, backoff_s=0.01, wait_s_max=0.2)

Misdeed = Callable[[socket.socket, bytes], None]


def whole(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Server:
    """Answers server/time honestly and everything else by `misdeed`; keeps the first line of each request."""

    def __init__(self, misdeed: Misdeed) -> None:
        self.misdeed = misdeed
        self.requests: list[str] = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while True:
                    request = read_request(connection)
                    if request is None:
                        return
                    line = request.split(b"\r\n", 1)[0].decode()
                    if "/server/time" in line:
                        connection.sendall(whole(b'{"serverTime":%d}' % (time.time_ns() // 1_000_000)))
                        continue
                    self.requests.append(line)
                    self.misdeed(connection, request)
            except OSError:
                return

    def close(self) -> None:
        # Without the shutdown a thread that waits in accept() keeps the port open.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def read_request(connection: socket.socket) -> bytes | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        part = connection.recv(65536)
        if not part:
            return None
        raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


class Rig:
    def __init__(self, port: int, timing: Timing = FAST, **options: object) -> None:
        self.stop = threading.Event()
        self.clock = SystemClock()
        self.marks = [0]
        self.client = BtcturkHttpClient(
            f"http://127.0.0.1:{port}",
            clock=self.clock,
            stop=self.stop,
            metrics=NullMetrics(),
            log=_Silent(),
            signer=signer(),
            load_mark=lambda: self.marks[-1],
            save_mark=self.marks.append,
            timing=timing,
            **options,  # type: ignore[arg-type]
        )

    def permit(self, kind: WriteKind) -> object:
        return make_permit(kind, CLIENT_ID, time.monotonic_ns() // 1_000_000)

    def submit(self) -> SubmitOutcome:
        order = make_order(stamp_ms=self.client.take_stamp())
        return self.client.submit(order, self.permit(WriteKind.SUBMIT))  # type: ignore[arg-type]

    def cancel(self) -> CancelOutcome:
        return self.client.cancel(make_order(venue_order_id="77"), self.permit(WriteKind.CANCEL))  # type: ignore[arg-type]


class _Silent:
    def debug(self, event: str, **fields: object) -> object: ...
    def info(self, event: str, **fields: object) -> object: ...
    def warning(self, event: str, **fields: object) -> object: ...
    def error(self, event: str, **fields: object) -> object: ...


@contextmanager
def misbehaving(misdeed: Misdeed) -> Iterator[tuple[Server, Rig]]:
    server = Server(misdeed)
    rig = Rig(server.port)
    try:
        yield server, rig
    finally:
        rig.client.close()
        server.close()


# -- misdeeds ----------------------------------------------------------------------------------------------------------


def lose_the_answer(connection: socket.socket, request: bytes) -> None:
    time.sleep(3)


def close_without_answer(connection: socket.socket, request: bytes) -> None:
    connection.close()


def reset(connection: socket.socket, request: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


def reset_in_the_body(connection: socket.socket, request: bytes) -> None:
    connection.sendall(whole(PLACED)[:-20])
    reset(connection, request)


def end_in_the_body(connection: socket.socket, request: bytes) -> None:
    connection.sendall(whole(PLACED)[:-20])
    connection.close()


def drip_the_body(connection: socket.socket, request: bytes) -> None:
    connection.sendall(whole(PLACED)[: -len(PLACED)])
    for byte in PLACED:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def drip_the_head(connection: socket.socket, request: bytes) -> None:
    for byte in HEAD + b"X-Slow: " + b"y" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def fifty_megabytes(connection: socket.socket, request: bytes) -> None:
    connection.sendall(HEAD + b"Content-Length: 50000000\r\n\r\n")
    for _ in range(500):
        connection.sendall(b" " * 100_000)


def chunks_without_end(connection: socket.socket, request: bytes) -> None:
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1\r\n \r\n")
        time.sleep(0.002)


def html(connection: socket.socket, request: bytes) -> None:
    connection.sendall(whole(b"<html>Bad gateway</html>").replace(b"200 OK", b"502 Bad Gateway"))


def redirect(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://localhost:9/\r\nContent-Length: 0\r\n\r\n")


def redirect_to_itself(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 308 Permanent Redirect\r\nLocation: /api/v1/order\r\nContent-Length: 0\r\n\r\n")


def not_http(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"220 mail.example ESMTP\r\n")
    connection.close()


def a_head_without_end(connection: socket.socket, request: bytes) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(b"X-More: " + b"y" * 10_000 + b"\r\n")


MISDEEDS = [
    *(lose_the_answer, close_without_answer, reset, reset_in_the_body, end_in_the_body, drip_the_body, drip_the_head),
    *(fifty_megabytes, chunks_without_end, html, redirect, redirect_to_itself, not_http, a_head_without_end),
]


@pytest.mark.parametrize("misdeed", MISDEEDS, ids=lambda each: each.__name__)
def test_an_order_is_sent_once_and_in_doubt(misdeed: Misdeed) -> None:
    with misbehaving(misdeed) as (server, rig):
        stamp_ms = rig.client.take_stamp()
        started_s = time.monotonic()
        made = rig.client.submit(make_order(stamp_ms=stamp_ms), rig.permit(WriteKind.SUBMIT))  # type: ignore[arg-type]
        assert isinstance(made, InDoubt), made
        assert time.monotonic() - started_s < FAST.write_s + 0.4
        time.sleep(0.05)
        assert server.requests == ["POST /api/v1/order HTTP/1.1"]


@pytest.mark.parametrize("misdeed", [lose_the_answer, reset, drip_the_body, html], ids=lambda each: each.__name__)
def test_a_cancellation_is_sent_once_and_in_doubt(misdeed: Misdeed) -> None:
    with misbehaving(misdeed) as (server, rig):
        assert isinstance(rig.cancel(), InDoubt)
        assert server.requests == ["DELETE /api/v1/order?id=77 HTTP/1.1"]


@pytest.mark.parametrize("misdeed", MISDEEDS, ids=lambda each: each.__name__)
def test_a_read_ends_in_time_with_one_word(misdeed: Misdeed) -> None:
    with misbehaving(misdeed) as (server, rig):
        rig.client.venue_time_ms()
        started_s = time.monotonic()
        with pytest.raises(VenueUnavailable):
            rig.client.balances()
        assert time.monotonic() - started_s < 2 * FAST.read_s + 0.6
        assert 1 <= len(server.requests) <= FAST.attempts_max


def test_a_kept_connection_that_the_server_closes_is_never_used_to_resend() -> None:
    """The first order makes the connection; the second meets a server that hangs up on it unread."""

    def once(connection: socket.socket, request: bytes) -> None:
        connection.sendall(whole(PLACED))
        # Read the next request on this connection and hang up without a word, as a proxy with a time-out does.
        following = read_request(connection)
        if following is not None:
            server.requests.append(following.split(b"\r\n", 1)[0].decode())
        connection.close()

    with misbehaving(once) as (server, rig):
        assert isinstance(rig.submit(), Accepted)
        assert isinstance(rig.submit(), InDoubt)
        time.sleep(0.05)
        assert server.requests == ["POST /api/v1/order HTTP/1.1"] * 2


def test_a_connection_closed_while_idle_is_noticed_before_sending() -> None:
    def close_after(connection: socket.socket, request: bytes) -> None:
        connection.sendall(whole(PLACED))
        connection.close()

    with misbehaving(close_after) as (server, rig):
        for _ in range(3):
            assert isinstance(rig.submit(), Accepted)
            time.sleep(0.05)
        assert len(server.requests) == 3


def test_nothing_listens() -> None:
    server = Server(lambda connection, request: connection.sendall(whole(PLACED)))
    client = DeadlineTransport()
    rig = Rig(server.port, transport=client)
    stamp_ms = rig.client.take_stamp()
    client.close()  # drops the connection, not the client
    server.close()
    made = rig.client.submit(make_order(stamp_ms=stamp_ms), rig.permit(WriteKind.SUBMIT))  # type: ignore[arg-type]
    assert isinstance(made, NotSent), made
    with pytest.raises(VenueUnavailable):
        rig.client.quotes(["BTCTRY"])
    rig.client.close()
    with pytest.raises(VenueUnavailable, match="closed"):
        rig.client.quotes(["BTCTRY"])


def test_a_listener_that_never_speaks_tls_is_not_sent_anything() -> None:
    """The handshake is part of the deadline, and a failed one means that no request left."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            seen.append(connection.recv(65536))
            time.sleep(2)

    threading.Thread(target=accept, daemon=True).start()
    client = DeadlineTransport(ssl.create_default_context())
    request = transport.httpx2.Request(
        "POST",
        f"https://127.0.0.1:{listener.getsockname()[1]}/",
        content=b"secret order",
        extensions={transport.TIMEOUT_S: 0.3},
    )
    started_s = time.monotonic()
    with pytest.raises((transport.httpx2.ConnectTimeout, transport.httpx2.ConnectError)):
        client.handle_request(request)
    assert time.monotonic() - started_s < 0.8
    assert b"secret order" not in b"".join(seen)
    client.close()
    listener.close()


def test_a_slow_look_up_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport.socket, "getaddrinfo", lambda *args, **options: time.sleep(1) or [])
    client = DeadlineTransport()
    request = transport.httpx2.Request("GET", "http://venue.example/", extensions={transport.TIMEOUT_S: 0.2})
    started_s = time.monotonic()
    with pytest.raises(transport.httpx2.ConnectTimeout):
        client.handle_request(request)
    assert time.monotonic() - started_s < 0.6


def test_asked_to_stop_a_read_under_way_is_given_up() -> None:
    timing = Timing(read_s=8.0)
    server = Server(lose_the_answer)
    rig = Rig(server.port, timing)
    rig.client.venue_time_ms()
    threading.Timer(0.2, rig.stop.set).start()
    started_s = time.monotonic()
    with pytest.raises(VenueUnavailable):
        rig.client.balances()
    assert time.monotonic() - started_s < 1.5
    rig.client.close()
    server.close()


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with misbehaving(lambda connection, request: connection.sendall(whole(PLACED))) as (server, rig):
        assert isinstance(rig.submit(), Accepted)
        assert len(server.requests) == 1


def test_one_connection_serves_many_requests() -> None:
    with misbehaving(
        lambda connection, request: connection.sendall(whole(CANCELLED.replace(b"}", b',"data":[]}')))
    ) as (
        server,
        rig,
    ):
        for _ in range(20):
            rig.client.balances()
        assert server.connections == 1
