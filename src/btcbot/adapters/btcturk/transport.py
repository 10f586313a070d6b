"""Sockets: one request, one deadline from the name's look-up to the last byte, and word of whether anything left.

The HTTP library has a time-out for each phase and none for the whole: an answer that drips one byte a second would hold
a write for hours. So the sockets themselves are told how much time is left before each of their operations. They also
note whether the first byte of the request went out, because that alone separates "not sent" from "in doubt":

    ConnectError, ConnectTimeout ... not one byte of the request left
    any other RequestError ......... something may have left

Nothing here sends twice: no retries, no redirects, no proxies, no cookies, no authentication flow.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import httpcore2
import httpx2

#: A connection that has been idle for longer is not used again: the shorter, the rarer a write meets one that the
#: venue has just closed.
KEEP_ALIVE_S: Final = 15.0
#: How often a read that waits looks whether the process is asked to stop.
STOP_CHECK_S: Final = 0.2
#: Keys of `Request.extensions` that this transport understands.
TIMEOUT_S: Final = "btcbot_timeout_s"
ABANDON: Final = "btcbot_abandon"

_CORE_ERRORS: Final = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
    httpcore2.ConnectionNotAvailable,
    OSError,
    ValueError,  # a host name that cannot be encoded
)


class BodyUnreadable(Exception):
    """The answer's body is beyond the limit or in an encoding that was not asked for."""


class _Limit(threading.local):
    """The request that this thread is in: when it has to be over, and whether any of it left."""

    over_at_s: float = 0.0
    has_left: bool = False
    abandon: Callable[[], bool] | None = None

    def remaining_s(self) -> float:
        return self.over_at_s - time.monotonic()


class _Stream(httpcore2.NetworkStream):
    """A connection that keeps to the deadline of the request that uses it, whatever time-out the library names."""

    def __init__(self, inner: httpcore2.NetworkStream, limit: _Limit) -> None:
        self._inner = inner
        self._limit = limit

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            left_s = self._limit.remaining_s()
            if left_s <= 0:
                raise httpcore2.ReadTimeout("the deadline has passed")
            abandon = self._limit.abandon
            if abandon is None:
                return self._inner.read(max_bytes, left_s)
            try:
                return self._inner.read(max_bytes, min(left_s, STOP_CHECK_S))
            except httpcore2.ReadTimeout:
                if abandon():
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left_s = self._limit.remaining_s()
        if left_s <= 0:
            raise httpcore2.WriteTimeout("the deadline has passed")
        self._limit.has_left = True  # before the attempt: a failed write may still have put bytes on the wire
        self._inner.write(buffer, left_s)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left_s = self._limit.remaining_s()
        if left_s <= 0:
            raise httpcore2.ConnectTimeout("the deadline has passed")
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left_s), self._limit)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(httpcore2.NetworkBackend):
    """Opens connections within the deadline, the look-up of the name included."""

    def __init__(self, limit: _Limit) -> None:
        self._limit = limit
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = _addresses(host, port, self._limit.remaining_s())
        for number, address in enumerate(addresses):
            # Each address gets its share of the time, so that a dead first one leaves some for the others.
            left_s = self._limit.remaining_s() / (len(addresses) - number)
            if left_s <= 0:
                break
            try:
                return _Stream(
                    self._inner.connect_tcp(address, port, left_s, local_address, socket_options), self._limit
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if number == len(addresses) - 1:
                    raise
        raise httpcore2.ConnectTimeout("the deadline has passed")


def _addresses(host: str, port: int, timeout_s: float) -> list[str]:
    """Addresses of `host`. The system's look-up knows no time-out, so it runs in a thread that may be left behind."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return [host]
    answers: queue.SimpleQueue[list[str] | OSError | ValueError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            answers.put(error)
        else:
            answers.put(list(dict.fromkeys(str(row[4][0]) for row in found)))

    threading.Thread(target=look_up, name="btcbot-dns", daemon=True).start()
    try:
        answer = answers.get(timeout=max(timeout_s, 0))
    except queue.Empty:
        raise httpcore2.ConnectTimeout("the name was not looked up in time") from None
    if isinstance(answer, list) and answer:
        return answer
    raise httpcore2.ConnectError(f"the name {host!r} cannot be looked up")


class _Body(httpx2.SyncByteStream):
    """The raw body, with errors of the library below told in the words of the one above."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except _CORE_ERRORS as error:
            raise _told_after_bytes(error) from error

    def close(self) -> None:
        close = getattr(self._stream, "close", None)  # the library types its streams as iterables, closable or not
        if close is not None:
            close()


class DeadlineTransport(httpx2.BaseTransport):
    """A pool of connections to one host. `ssl_context` None is for plain http.

    `Request.extensions` carries `TIMEOUT_S` (seconds for the whole request) and, for requests that may be given up,
    `ABANDON` (asked every 0.2 s while waiting for bytes).
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None, *, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._limit = _Limit()
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl_context,
            max_connections=4,
            max_keepalive_connections=2,
            keepalive_expiry=keep_alive_s,
            retries=0,
            network_backend=_Network(self._limit),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it, once. The body is read by iterating `response.stream` in the same thread."""
        limit = self._limit
        timeout_s = float(request.extensions[TIMEOUT_S])
        limit.over_at_s = time.monotonic() + timeout_s
        limit.has_left = False
        limit.abandon = request.extensions.get(ABANDON)
        url = request.url
        assert isinstance(request.stream, httpx2.SyncByteStream)
        try:
            answer = self._pool.handle_request(
                httpcore2.Request(
                    request.method,
                    httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": {"pool": timeout_s}},
                )
            )
        except _CORE_ERRORS as error:
            if limit.has_left:
                raise _told_after_bytes(error) from error
            if isinstance(error, (httpcore2.TimeoutException, TimeoutError)):
                raise httpx2.ConnectTimeout("no connection in time") from error
            raise httpx2.ConnectError(_words(error)) from error
        assert isinstance(answer.stream, Iterable)
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    def close(self) -> None:
        self._pool.close()


def _told_after_bytes(error: Exception) -> httpx2.RequestError:
    if isinstance(error, (httpcore2.TimeoutException, TimeoutError)):
        return httpx2.ReadTimeout("no whole answer in time")
    if isinstance(error, httpcore2.ProtocolError):
        return httpx2.RemoteProtocolError(_words(error))
    return httpx2.ReadError(_words(error))


def _words(error: Exception) -> str:
    """What happened, without what was sent: texts of protocol errors may quote a header."""
    if isinstance(error, (httpcore2.NetworkError, OSError)):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__


def header(response: httpx2.Response, name: bytes) -> str | None:
    """The value of the header `name` (lower case); several of them with commas between, None for none.

    The library's own look-up first guesses the encoding of all headers.
    """
    found = [value for key, value in response.headers.raw if key.lower() == name]
    return b", ".join(found).decode("latin-1") if found else None


def read_body(response: httpx2.Response, bytes_max: int) -> bytes:
    """The whole body, unpacked, at most `bytes_max` long packed and unpacked; BodyUnreadable otherwise.

    Unpacked here and not by the library, which would first blow up a small bomb and then tell its size.
    """
    stream = response.stream
    assert isinstance(stream, httpx2.SyncByteStream)
    parts: list[bytes] = []
    size = 0
    for part in stream:
        size += len(part)
        if size > bytes_max:
            raise BodyUnreadable(f"the body is larger than {bytes_max} bytes")
        parts.append(part)
    raw = b"".join(parts)
    encoding = (header(response, b"content-encoding") or "").strip().lower()
    if encoding in ("", "identity") or not raw:
        return raw
    if encoding != "gzip":
        raise BodyUnreadable("the body is in an encoding that was not asked for")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        body = unpacker.decompress(raw, bytes_max + 1)
    except zlib.error as error:
        raise BodyUnreadable("the body is not gzip as it says") from error
    if len(body) > bytes_max:
        raise BodyUnreadable(f"the body is larger than {bytes_max} bytes unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise BodyUnreadable("the packed body is cut short or has something after its end")
    return body
