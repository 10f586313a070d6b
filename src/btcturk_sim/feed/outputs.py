"""What a session wants done with its socket, as values for whoever holds the socket."""

from __future__ import annotations

import msgspec


class SendText(msgspec.Struct, frozen=True):
    """A text frame."""

    text: str
    due_ms: int


class SendPing(msgspec.Struct, frozen=True):
    """A ping of the protocol, without payload; answer with `Session.pong`."""

    due_ms: int


class SendPong(msgspec.Struct, frozen=True):
    """The answer to a client's own ping, with the client's payload."""

    payload: bytes
    due_ms: int


class CloseSocket(msgspec.Struct, frozen=True):
    """A closing handshake; nothing comes after it."""

    code: int
    reason: str
    due_ms: int


class Abort(msgspec.Struct, frozen=True):
    """The connection breaks without a closing handshake; nothing comes after it."""

    due_ms: int


Out = SendText | SendPing | SendPong | CloseSocket | Abort


class Refusal(msgspec.Struct, frozen=True):
    """An HTTP answer instead of the upgrade: there is no session."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]
