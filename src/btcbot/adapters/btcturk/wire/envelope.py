"""What is around every answer of BtcTurk's REST interface, and how any of it is decoded.

The envelope is `{"success", "message", "code", "data"}` with irregularities, all seen on the wire: `code` is 0, "0",
"SUCCESS" or "" when all is well, and `success: true` has come with a code that says no. So `success` alone proves
nothing.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from btcbot.adapters.btcturk.wire import values
from btcbot.adapters.btcturk.wire.values import NULL, WireError

#: Larger answers are not read: the largest honest one (exchangeinfo) has about 0.4 MB.
BODY_BYTES_MAX: Final = 8 * 1024 * 1024

_SUCCESS_CODES: Final = frozenset({0, "0", "SUCCESS", ""})

T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], body: bytes | Raw, name: str) -> T:
    """A part of an answer that is no longer than the answer was. WireError for what does not fit `decoder`."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WireError(f"{name} cannot be read: {values.for_people(str(error))}") from error
    except RecursionError as error:
        raise WireError(f"{name} cannot be read: it is nested too deeply") from error


def decode_body(decoder: msgspec.json.Decoder[T], body: bytes, name: str) -> T:
    """A whole answer, as it came. WireError also for one that is too long to be honest."""
    if len(body) > BODY_BYTES_MAX:
        raise WireError(f"an answer of {len(body)} bytes is beyond the limit")
    return decode(decoder, body, name)


class VenueSaidNo(WireError):
    """A readable answer that is a refusal. `code` as text, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{message or 'no message'} ({code or 'no code'})")


class Envelope(msgspec.Struct, frozen=True, gc=False, rename={"http_status": "httpStatusCode"}):
    """What is around every answer but the server's time. `data` is left unread."""

    success: bool | None = None
    code: int | str | UnsetType | None = UNSET
    message: str | None = None
    data: Raw = NULL
    http_status: int | None = None


_ENVELOPE: Final = msgspec.json.Decoder(Envelope)


def open_envelope(body: bytes) -> Envelope:
    """Read the envelope of an answer, whatever it says."""
    return decode_body(_ENVELOPE, body, "the answer")


def is_success(envelope: Envelope) -> bool:
    """Both words must agree."""
    return envelope.success is True and envelope.code in _SUCCESS_CODES


def unpack(body: bytes, name: str) -> Raw:
    """The `data` of a successful answer. Raises VenueSaidNo for a refusal, WireError for anything unreadable."""
    envelope = open_envelope(body)
    # Lists once came without a code; with one, it has to agree.
    if not (is_success(envelope) or (envelope.success is True and envelope.code in (UNSET, None))):
        if envelope.success is None and envelope.code in (UNSET, None):
            raise WireError(f"{name} came without an envelope")
        code = "" if envelope.code is UNSET or envelope.code is None else str(envelope.code)
        raise VenueSaidNo(values.for_people(code), values.for_people(envelope.message or ""))
    if values.is_null(envelope.data):
        raise WireError(f"{name} came without data")
    return envelope.data


def decode_data(decoder: msgspec.json.Decoder[T], body: bytes, name: str) -> T:
    """The `data` of a successful answer, decoded. Raises as `unpack` does, WireError also for what does not fit."""
    return decode(decoder, unpack(body, name), name)
