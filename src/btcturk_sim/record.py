"""The recording: one JSON object a line, appended as things happen.

    {"kind": "start", "wall_ms", "symbols", "accounts"}
    {"kind": "request", "wall_ms", "venue_ms", "seq", "host", "method", "path", "query", "key", "stamp", "body"}
    {"kind": "answer", "wall_ms", "venue_ms", "seq", "status", "fault", "body"}
    {"kind": "socket", "wall_ms", "venue_ms", "session", "what": "open" | "close" | "refused", "code", "reason"}
    {"kind": "frame", "wall_ms", "venue_ms", "session", "way": "in" | "out", "text"}
    {"kind": "market", "wall_ms", "venue_ms", "market_time_ms", "bar", "step", "prices": {symbol: text}}

Bodies and frames are text. Signatures and secrets are never written: a login is recorded without its signature.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from btcturk_sim.api import Api, RequestRecord
from btcturk_sim.engine import Engine
from btcturk_sim.errors import ConfigurationError
from btcturk_sim.events import Event, MarketStepped
from btcturk_sim.money import plain
from btcturk_sim.wire import Response

if TYPE_CHECKING:
    from btcturk_sim.feed import Feed, Session

_SIGNATURE: Final = re.compile(r'("signature"\s*:\s*")[^"]*')
_FRAME_MAX: Final = 1_000_000


class Recorder:
    def __init__(self, path: Path, engine: Engine, api: Api, feed: Feed) -> None:
        try:
            self._file = path.open("ab")
        except OSError as error:
            raise ConfigurationError(f"--record {path}: {error.strerror}; give a file in a writable folder") from None
        self._api = api
        start = {"kind": "start", "wall_ms": engine.now_ms, "symbols": list(engine.pairs),
                 "accounts": list(engine.books.accounts)}  # fmt: skip
        self._write(start)
        engine.listeners.append(self._event)
        api.on_request = self._request
        feed.on_frame = self._frame
        feed.on_socket = self._socket

    def _write(self, row: dict[str, object]) -> None:
        self._file.write(msgspec.json.encode(row) + b"\n")

    def _event(self, event: Event) -> None:
        if isinstance(event, MarketStepped):
            self._write(
                {
                    "kind": "market",
                    "wall_ms": event.time_ms,
                    "venue_ms": event.time_ms + self._api.skew_ms,
                    "market_time_ms": event.market_time_ms,
                    "bar": event.bar,
                    "step": event.step,
                    "prices": {symbol: plain(price) for symbol, price in event.prices.items()},
                }
            )

    def _request(self, record: RequestRecord, response: Response) -> None:
        both = {"wall_ms": record.time_ms, "venue_ms": record.time_ms + self._api.skew_ms, "seq": record.seq}
        self._write(
            {
                "kind": "request",
                **both,
                "host": record.host.value,
                "method": record.method,
                "path": record.path,
                "query": record.query,
                "key": record.key,
                "stamp": record.stamp,
                "body": record.body.decode("utf-8", "replace"),
            }
        )
        self._write(
            {
                "kind": "answer",
                **both,
                "status": record.status,
                "fault": record.fault,
                "body": response.body.decode("utf-8", "replace"),
            }
        )
        if record.method != "GET":
            # What moved money is on disk before the client knows; reads may wait for the buffer.
            self._file.flush()

    def _frame(self, session: Session, way: str, text: str | bytes, time_ms: int) -> None:
        if isinstance(text, bytes):
            text = text[:_FRAME_MAX].decode("utf-8", "replace")
        if way == "in":
            text = _without_signature(text)
        both = {"wall_ms": time_ms, "venue_ms": time_ms + self._api.skew_ms, "session": session.id}
        self._write({"kind": "frame", **both, "way": way, "text": text[:_FRAME_MAX]})

    def _socket(self, session: Session | None, what: str, time_ms: int) -> None:
        code, reason = (None, None) if session is None or session.ended is None else session.ended
        both = {"wall_ms": time_ms, "venue_ms": time_ms + self._api.skew_ms}
        self._write({"kind": "socket", **both, "session": None if session is None else session.id, "what": what,
                     "code": code, "reason": reason})  # fmt: skip

    def close(self) -> None:
        self._file.close()


def _without_signature(text: str) -> str:
    """A client's frame as it came, but for the signature of a login, however it is spelt."""
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return _SIGNATURE.sub(r"\1", text)
    if isinstance(message, list):
        for part in message:
            if isinstance(part, dict) and "signature" in part:
                part["signature"] = ""
                text = msgspec.json.encode(message).decode()
    return text
