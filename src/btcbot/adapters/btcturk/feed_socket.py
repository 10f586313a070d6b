"""Connecting to BtcTurk's feed: which addresses are allowed, and one WebSocket opened within one deadline.

The host is pinned, no proxy is asked, no redirect is followed, and nothing is compressed. Names are looked up in a
thread that may be left behind, as the system's look-up knows no time-out. The library's own log is silenced: it would
show the login.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import ssl
import threading
from contextlib import ExitStack
from typing import Final
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import CloseCode

from btcbot import __version__
from btcbot.adapters.btcturk.feed_actions import FeedTiming
from btcbot.adapters.btcturk.feed_wire import FRAME_BYTES_MAX
from btcbot.adapters.btcturk.wire import values
from btcbot.errors import ConfigurationError

VENUE_HOST: Final = "ws-feed-pro.btcturk.com"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_SILENT: Final = logging.getLogger("btcbot.feed.websockets")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_SILENT.setLevel(logging.CRITICAL + 1)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where the feed is."""

    url: str
    host: str
    port: int
    is_tls: bool


class NotConnected(Exception):
    """An attempt failed; its text is for people. `status` is that of an HTTP answer that is no upgrade."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


def pinned(url: str) -> Address:
    """`url` taken apart; ConfigurationError for any host but BtcTurk's over TLS and this machine's own."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"BTCTURK_WS_URL {url!r} cannot be read: {error}") from error
    host = (parts.hostname or "").lower()
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password)
    is_venue = parts.scheme == "wss" and host == VENUE_HOST and port in (None, 443) and parts.path in ("", "/")
    is_local = parts.scheme in ("ws", "wss") and host in LOOPBACK
    if not is_plain or not (is_venue or is_local):
        raise ConfigurationError(f"BTCTURK_WS_URL must be wss://{VENUE_HOST} or a loopback address")
    named = f"[{host}]" if ":" in host else host
    at_port = f":{port}" if port is not None else ""
    is_tls = parts.scheme == "wss"
    return Address(
        url=f"{parts.scheme}://{named}{at_port}{parts.path or '/'}",
        host=host,
        port=port or (443 if is_tls else 80),
        is_tls=is_tls,
    )


async def open_connection(address: Address, ssl_context: ssl.SSLContext | None, timing: FeedTiming) -> ClientConnection:
    """An open WebSocket, within `timing.connect_s`. Raises NotConnected."""
    try:
        async with asyncio.timeout(timing.connect_s):
            return await connect(
                address.url,
                sock=await _connected(address, timing.connect_s),  # given a socket, the library follows no redirect
                ssl=ssl_context if address.is_tls else None,
                server_hostname=address.host if address.is_tls else None,
                compression=None,
                proxy=None,
                user_agent_header=f"btcbot/{__version__}",
                open_timeout=None,
                ping_interval=None,  # ours, to know when it was answered
                close_timeout=timing.goodbye_s,
                max_size=FRAME_BYTES_MAX,
                max_queue=None,  # the queue with an end is ours: pausing the socket would only make its frames older
                logger=_SILENT,
            )
    except TimeoutError:
        why, status = f"no connection within {timing.connect_s:g} s", None
    except InvalidStatus as error:
        status = error.response.status_code
        why = f"BtcTurk answered HTTP {status} instead of opening the feed"
    except OSError as error:
        why, status = _words(error), None
    except (InvalidHandshake, ValueError, EOFError) as error:
        why, status = f"no WebSocket is spoken there ({type(error).__name__})", None
    raise NotConnected(why, status)


def is_oversized(error: ConnectionClosed) -> bool:
    """Whether we closed it over a frame that is longer than we read."""
    return error.sent is not None and not error.rcvd_then_sent and error.sent.code == CloseCode.MESSAGE_TOO_BIG


def why_closed(error: ConnectionClosed) -> str:
    """In words."""
    told, ours = error.rcvd, error.sent
    if is_oversized(error):
        return f"it sent a frame of more than {FRAME_BYTES_MAX} bytes"
    if (
        ours is not None
        and not error.rcvd_then_sent
        and ours.code in (CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_DATA)
    ):
        return f"what it sent was no WebSocket frame ({values.for_people(ours.reason)})"
    if told is None:
        return "the connection was lost"
    reason = f", {values.for_people(told.reason)}" if told.reason else ""
    return f"BtcTurk closed the connection ({told.code}{reason})"


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return values.for_people(f"its certificate is not trusted: {error.verify_message}")
    if isinstance(error, ssl.SSLError | socket.gaierror) or error.errno is None:
        return values.for_people(error.strerror or str(error) or type(error).__name__)
    return os.strerror(error.errno)  # asyncio's own words name addresses


async def _connected(address: Address, timeout_s: float) -> socket.socket:
    """A TCP connection to one of the host's addresses, each of them given its share of the time."""
    loop = asyncio.get_running_loop()
    found = await _addresses(address.host, address.port)
    failure: OSError = OSError("its name has no address")
    for family, at in found:
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.settimeout(0)
        try:
            with ExitStack() as undo:
                undo.callback(tcp.close)
                async with asyncio.timeout(timeout_s / len(found)):
                    await loop.sock_connect(tcp, (at, address.port))
                undo.pop_all()
                return tcp
        except OSError as error:  # a TimeoutError is one as well
            failure = error
    raise failure


async def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    with contextlib.suppress(ValueError):
        literal = ipaddress.ip_address(host)
        return [(socket.AF_INET if literal.version == 4 else socket.AF_INET6, host)]
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[tuple[socket.AddressFamily, str]]] = loop.create_future()

    def tell(found: list[tuple[socket.AddressFamily, str]] | OSError) -> None:
        if answer.done():
            return  # nobody waits any more
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def look_up() -> None:
        told: list[tuple[socket.AddressFamily, str]] | OSError
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            told = list(dict.fromkeys((row[0], str(row[4][0])) for row in rows))
        except OSError as error:
            told = error
        except UnicodeError as error:
            told = OSError(str(error))
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, told)

    threading.Thread(target=look_up, name="btcbot-feed-dns", daemon=True).start()
    return await answer
