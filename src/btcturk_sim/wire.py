"""Requests and responses as values, and what the shell is to do with a response besides sending it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl

import msgspec

JSON_TYPE: Final = "application/json; charset=utf-8"


class Host(StrEnum):
    REST = "rest"
    GRAPH = "graph"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request. Header names are lower case; `query` is the raw text after the question mark."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    client_ip: str = "127.0.0.1"
    host: Host = Host.REST

    @property
    def key(self) -> str | None:
        return self.headers.get("x-pck")

    @property
    def stamp(self) -> str | None:
        return self.headers.get("x-stamp")


class Delivery(StrEnum):
    SEND = "send"
    DROP = "drop"
    TRUNCATE = "truncate"
    STREAM = "stream"
    DEFER = "defer"
    HANG = "hang"
    RESET = "reset"
    DRIBBLE = "dribble"

    @property
    def is_silent(self) -> bool:
        """Not one byte of the answer goes out."""
        return self in _SILENT


_SILENT: Final = frozenset((Delivery.DROP, Delivery.HANG, Delivery.RESET))


@dataclass(frozen=True, slots=True)
class Transport:
    """How the answer travels.

    SEND      as it is, after `delay_ms`
    DROP      close the connection without an answer, after `delay_ms`
    TRUNCATE  announce the whole body, send `cut_at` bytes of it, close
    STREAM    send spaces after the body until `stream_bytes` have gone out
    DEFER     nothing has been done yet: wait `delay_ms`, then hand the request in again with `resumed=True`
    HANG      send nothing and keep the connection open until the client closes it
    RESET     break the connection (RST) without an answer, after `delay_ms`
    DRIBBLE   send the head at once and the body byte by byte, the last one `spread_ms` later
    """

    delivery: Delivery = Delivery.SEND
    delay_ms: int = 0
    cut_at: int = 0
    stream_bytes: int = 0
    spread_ms: int = 0


SEND: Final = Transport()


class Response(msgspec.Struct, frozen=True):
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", JSON_TYPE),)
    transport: Transport = SEND
    #: Name of the fault that made or changed this answer.
    fault: str | None = None

    def via(self, transport: Transport, fault: str) -> Response:
        return msgspec.structs.replace(self, transport=transport, fault=fault)


def json_response(status: int, payload: object, *headers: tuple[str, str]) -> Response:
    return Response(status, msgspec.json.encode(payload), (("Content-Type", JSON_TYPE), *headers))


EMPTY_404: Final = Response(404, b"", ())


class Params:
    """Query parameters: names in any case, values repeatable."""

    __slots__ = ("_values",)

    def __init__(self, query: str) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True) if query else ():
            self._values.setdefault(name.lower(), []).append(value)

    def one(self, name: str) -> str | None:
        values = self._values.get(name.lower())
        return values[0] if values and values[0] else None

    def many(self, name: str) -> list[str]:
        return [value for value in self._values.get(name.lower(), []) if value]

    def integer(self, name: str) -> int | None:
        """ValueError if it is there and not a whole number."""
        text = self.one(name)
        if text is None:
            return None
        if not text.isascii() or not text.lstrip("-").isdigit() or len(text) > 19:
            raise ValueError(f"{name} is not a whole number")
        return int(text)
