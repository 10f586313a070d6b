"""What a session wants done with its socket, as values for whoever holds the socket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SendText:
    """A text frame."""

    text: str
    due_ms: int


@dataclass(frozen=True, slots=True)
class SendPing:
    """A ping of the protocol, without payload; answer with `Session.pong`."""

    due_ms: int


@dataclass(frozen=True, slots=True)
class SendPong:
    """The answer to a client's own ping, with the client's payload."""

    payload: bytes
    due_ms: int


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """A closing handshake; nothing comes after it."""

    code: int
    reason: str
    due_ms: int


@dataclass(frozen=True, slots=True)
class Abort:
    """The connection breaks without a closing handshake; nothing comes after it."""

    due_ms: int


Out = SendText | SendPing | SendPong | CloseSocket | Abort


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer instead of the upgrade: there is no session."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]
