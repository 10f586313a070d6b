"""Just enough HTTP to know where a request and an answer begin and end, and how connections end badly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Final

import msgspec

HEAD_BYTES_MAX: Final = 64 * 1024
PIECE_BYTES: Final = 65_536
_LINGER_NOT: Final = struct.pack("ii", 1, 0)  # close with a reset instead of a farewell


class Message(msgspec.Struct, frozen=True):
    """A request or an answer: its first line and headers as bytes, and its body."""

    head: bytes
    body: bytes

    @property
    def first_line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    @property
    def is_upgrade(self) -> bool:
        """An answer after which the connection speaks another protocol."""
        return self.first_line.startswith("HTTP/1.1 101 ")

    def header(self, name: bytes) -> bytes | None:
        for line in self.head.split(b"\r\n")[1:]:
            found, _, value = line.partition(b":")
            if found.strip().lower() == name:
                return value.strip()
        return None


class Over(Exception):
    """This connection is done with."""


async def read_answer(reader: asyncio.StreamReader) -> Message:
    head = await reader.readuntil(b"\r\n\r\n")
    answer = Message(head, b"")
    if answer.is_upgrade:
        return answer
    length = answer.header(b"content-length")
    if length is not None:
        return Message(head, await reader.readexactly(int(length)))
    if (answer.header(b"transfer-encoding") or b"").lower() != b"chunked":
        return Message(head, await reader.read(-1))
    parts: list[bytes] = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        parts += [line, await reader.readexactly(size + 2)]
        if size == 0:
            return Message(head, b"".join(parts))


async def send(writer: asyncio.StreamWriter, answer: Message) -> None:
    writer.write(answer.head + answer.body)
    await writer.drain()


async def until_gone(reader: asyncio.StreamReader) -> None:
    """Hold the connection, and its request, until the other side gives it up."""
    while await reader.read(PIECE_BYTES):
        pass
    raise Over


def reset(writer: asyncio.StreamWriter) -> None:
    inner = writer.get_extra_info("socket")
    if inner is not None:
        with contextlib.suppress(OSError):
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()


def bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made
