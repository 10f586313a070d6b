"""A WebSocket server of a test's own, over real sockets: scripted, one thread for each connection.

It speaks the few bytes of the protocol that are needed and nothing by itself: no ping is answered, nothing is closed
unless the script says so. That is what the failures are made of.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.unit.btcturk.feed_support import WELCOME, answer, login_answer, snapshot, trades

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def packed(data: bytes, opcode: int = TEXT) -> bytes:
    """One frame as a server sends it."""
    if len(data) < 126:
        return bytes([0x80 | opcode, len(data)]) + data
    if len(data) < 65_536:
        return bytes([0x80 | opcode, 126]) + struct.pack("!H", len(data)) + data
    return bytes([0x80 | opcode, 127]) + struct.pack("!Q", len(data)) + data


class Line:
    """One connection, on the server's side."""

    def __init__(self, tcp: socket.socket, number: int, venue: WsVenue) -> None:
        self.tcp = tcp
        self.number = number
        self.venue = venue
        self._buffer = b""

    def send(self, *frames: bytes) -> None:
        self.tcp.sendall(b"".join(map(packed, frames)))

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.tcp.sendall(packed(struct.pack("!H", code) + reason.encode(), CLOSE))

    def read(self) -> tuple[int, bytes]:
        """The client's next frame: its kind and what is in it. Raises OSError at the end."""
        first, length = self._take(2)
        length &= 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8))
        mask = self._take(4)
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self._take(length)))
        return first & 0x0F, data

    def serve(self, *, books: tuple[str, ...] = ("BTCTRY",), accepts_login: bool = True, seconds: float = 60.0) -> None:
        """Behave: answer pings, joins, leaves and logins, until the client is gone or the time is up."""
        self.send(WELCOME)
        over_at = time.monotonic() + seconds
        while time.monotonic() < over_at:
            opcode, data = self.read()
            if opcode == PING:
                self.tcp.sendall(packed(data, PONG))
            elif opcode == CLOSE:
                self.tcp.sendall(packed(data, CLOSE))
                raise OSError("the client said goodbye")
            elif opcode == TEXT:
                number, body = json.loads(data)
                if number == 114:
                    self.send(login_answer(ok=accepts_login, message=None if accepts_login else "Invalid Signature"))
                    continue
                verb = "join" if body["join"] else "leave"
                self.send(answer(f"{verb}|{body['channel']}:{body['event']}"))
                if body["join"] and body["event"] in books:
                    self.send(
                        snapshot(body["event"], 10) if body["channel"] == "obdiff" else trades(body["event"], [1])
                    )

    def handshake(self) -> None:
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._received()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.venue.requests.append(head.decode())
        key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest())
        self.tcp.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._buffer += self._received()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _received(self) -> bytes:
        data = self.tcp.recv(65_536)
        if not data:
            raise OSError("the client is gone")
        return data


Script = Callable[[Line], Any]


class WsVenue:
    """`script` is run for each connection after its handshake, in a thread; where it ends, so does the connection.

    `before` runs instead of the handshake. An exception of a script that is no OSError fails the test at `close`.
    """

    def __init__(self, script: Script, *, before: Script | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        self.lines: list[Line] = []
        self._script = script
        self._before = before
        self._tls = tls
        self._errors: list[BaseException] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}/"

    def _accept(self) -> None:
        while True:
            try:
                tcp, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(tcp, len(self.lines) + 1), daemon=True)
            self._threads.append(thread)
            line = Line(tcp, len(self.lines) + 1, self)
            self.lines.append(line)
            thread.start()

    def _run(self, tcp: socket.socket, number: int) -> None:
        line = self.lines[number - 1]
        try:
            if self._tls is not None:
                line.tcp = tcp = self._tls.wrap_socket(tcp, server_side=True)
            if self._before is not None:
                self._before(line)
                return
            line.handshake()
            self._script(line)
        except OSError:
            pass
        except BaseException as error:  # noqa: BLE001 - told at the end
            self._errors.append(error)
        finally:
            tcp.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self.lines:
            with contextlib.suppress(OSError):
                line.tcp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive(), "a script of the test's venue does not end"
        if self._errors:
            raise self._errors[0]

    def __enter__(self) -> WsVenue:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
