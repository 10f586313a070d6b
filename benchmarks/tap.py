"""A tap on the two lines between a bot and its venue, as a process of its own: passes everything on, notes when.

    python -m benchmarks.tap REST_URL WS_URL

prints one JSON line with the addresses to use instead, {"rest": …, "ws": …}, and at the end of its standard input
another with what it saw, in nanoseconds of this machine's monotonic clock: `changes`, a moment for each write to the
bot that held a change of a book (432), taken just before the write; and `orders`, a moment for each new order whose
first byte had come from the bot.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

_PIECE_BYTES: Final = 65_536
_CHANGE: Final = b"[432,"
_ORDER: Final = b"POST /api/v1/order "


class Tap:
    """One line: a port of this machine, and the venue's behind it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None, f"an address with a port, not {url}"
        self._venue = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{parts.scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.changes: list[int] = []
        self.orders: list[int] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            bot, _ = self._listener.accept()
            venue = socket.create_connection(self._venue)
            for each in (bot, venue):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, note in ((bot, venue, self._note_request), (venue, bot, self._note_frame)):
                threading.Thread(target=_pass_on, args=(source, sink, note), daemon=True).start()

    def _note_request(self, data: bytes) -> None:
        if data.startswith(_ORDER):
            self.orders.append(time.monotonic_ns())

    def _note_frame(self, data: bytes) -> None:
        # The venue's frames are not masked, and its answers over REST hold no such text.
        if _CHANGE in data:
            self.changes.append(time.monotonic_ns())


def _pass_on(source: socket.socket, sink: socket.socket, note: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE_BYTES):
            note(data)
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def main() -> None:
    rest, ws = (Tap(url) for url in sys.argv[1:3])
    print(json.dumps({"rest": rest.url, "ws": ws.url}), flush=True)
    sys.stdin.read()
    print(json.dumps({"changes": ws.changes, "orders": rest.orders}), flush=True)


if __name__ == "__main__":
    main()
