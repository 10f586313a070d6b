"""What became of a write: the one total table.

    never reached the socket ............................................... NotSent
    2xx, `success` true and a success code, order id, our client id ......... Accepted / CancelRequested
    well formed and a refusal that the venue documents, whatever the status . Refused
    429 with the limiter's own body ......................................... Refused("RATE")
    everything else ......................................................... InDoubt

Total: every result has exactly one row. Monotone: what is not known is never a proof, so unknown input can only make
InDoubt. That is not caution for its own sake: orders were placed behind error answers and time-outs, and a bot that
takes those for a no orders twice. The message is matched first and the code second, because the venue once shifted all
its codes by one for a year and a half.
"""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn

import msgspec
from msgspec import UNSET

from btcbot.adapters.btcturk import wire
from btcbot.adapters.btcturk.wire.values import WireError, for_people, is_null
from btcbot.domain.outcomes import Accepted, CancelOutcome, CancelRequested, InDoubt, NotSent, Refused, SubmitOutcome

#: `Refused.code` of the answers that the venue gives in free text.
RATE: Final = "RATE"
UNAUTHORIZED: Final = "UNAUTHORIZED"
INVALID_REQUEST: Final = "INVALID_REQUEST_ERROR"


class NeverLeft(msgspec.Struct, frozen=True, gc=False):
    """No byte of the request went out."""

    why: str


class NoAnswer(msgspec.Struct, frozen=True, gc=False):
    """Something may have gone out, and no whole answer came back."""

    why: str


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. `retry_after_s` from its header, None when absent or absurd."""

    status: int
    body: bytes
    retry_after_s: float | None = None


TransportResult = NeverLeft | NoAnswer | Answer

#: Refusals that BtcTurk documents for a new order.
SUBMIT_REFUSALS: Final = frozenset(
    {
        "BALANCE_NOT_ENOUGH",
        "BALANCE_NOT_ENOUGH_WITHOUT_OPEN_ORDERS",
        "FAILED_INVALID_PRICE_SCALE",
        "FAILED_INVALID_QUANTITY_SCALE",
        "FAILED_INVALID_STOP_PRICE_SCALE",
        "FAILED_LIMIT_ORDER",
        "FAILED_MARKET_ORDER",
        "FAILED_MIN_TOTAL_AMOUNT",
        "FAILED_ORDER_PARAMETER",
        "FAILED_ORDER_WITH_OPEN_ORDERS",
        "FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK",
        "FAILED_STOP_PRICE_LESS_THAN_BEST_BID",
        "MIN_TOTAL",
        "ORDER_MAX_PRICE_EXCEEDED",
        "ORDER_METHOD_NOT_SUPPORTED",
        "ORDER_MIN_PRICE_EXCEEDED",
        "ORDER_TYPE_NOT_SUPPORTED",
        "PARAMETERS_ERROR",
        "PRICE_MUST_BE_LESS_THAN_MAXPRICE",
        "PRICE_MUST_BE_LESS_THAN_MINPRICE",
        "STOP_PRICE_GREATER_THAN_MARKET",
        "STOP_PRICE_LESS_THAN_MARKET",
    }
)
#: The same by number, asked only where the message is empty.
SUBMIT_CODES: Final = {
    1055: "BALANCE_NOT_ENOUGH",
    1118: "FAILED_MARKET_ORDER",
    1120: "FAILED_LIMIT_ORDER",
    1122: "FAILED_ORDER_WITH_OPEN_ORDERS",
    1123: "FAILED_MIN_TOTAL_AMOUNT",
    1124: "FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK",
    1125: "FAILED_STOP_PRICE_LESS_THAN_BEST_BID",
    1126: "FAILED_INVALID_PRICE_SCALE",
    1127: "FAILED_INVALID_QUANTITY_SCALE",
    1128: "FAILED_INVALID_STOP_PRICE_SCALE",
    1134: "ORDER_METHOD_NOT_SUPPORTED",
    1193: "ORDER_TYPE_NOT_SUPPORTED",
    1226: "PRICE_MUST_BE_LESS_THAN_MAXPRICE",
    1227: "PRICE_MUST_BE_LESS_THAN_MINPRICE",
}
NO_SUCH_ORDER: Final = "NO_ORDER_MATCHES_YOUR_REQUEST"
#: Refusals that BtcTurk documents for a cancellation.
CANCEL_REFUSALS: Final = frozenset({NO_SUCH_ORDER, "ORDER_COULD_NOT_BE_CANCELED", "ORDER_CANCEL_BLOCKED"})
CANCEL_CODES: Final = {1051: "ORDER_COULD_NOT_BE_CANCELED", 1052: NO_SUCH_ORDER}

INVALID_REQUEST_CODE: Final = 1037
#: `Unauthorized - Invalid Nonce` and its four siblings.
_UNAUTHORIZED: Final = re.compile(
    r"unauthorized(?: - (?:invalid signature|invalid public/private key|headers are missing|invalid request"
    r"|invalid nonce))?",
    re.IGNORECASE,
)
_RATE_MESSAGES: Final = frozenset({"TOO_MANY_REQUESTS", "TOO MANY REQUESTS"})


def of_submit(result: TransportResult, client_order_id: str) -> SubmitOutcome:
    """The outcome of a POST /api/v1/order that carried `client_order_id`. Never raises."""
    if isinstance(result, NeverLeft):
        return NotSent(why=result.why)
    if isinstance(result, NoAnswer):
        return InDoubt(why=result.why)
    try:
        envelope = _proof(result.body)
        if wire.is_success(envelope) and _is_2xx(result.status, envelope):
            venue_order_id, echoed = wire.placed_order(envelope.data)
            if echoed is not None and echoed != client_order_id:
                return InDoubt(why="the answer names another client order id")
            return Accepted(venue_order_id=venue_order_id)
    except WireError as error:
        return InDoubt(why=f"HTTP {result.status}: {error}")
    return _refusal(result, envelope, SUBMIT_REFUSALS, SUBMIT_CODES) or _doubt(result, envelope)


def of_cancel(result: TransportResult) -> CancelOutcome:
    """The outcome of a DELETE /api/v1/order. Never raises. Cancelling is asynchronous: success means it was asked."""
    if isinstance(result, NeverLeft):
        return NotSent(why=result.why)
    if isinstance(result, NoAnswer):
        return InDoubt(why=result.why)
    try:
        envelope = _proof(result.body)
    except WireError as error:
        return InDoubt(why=f"HTTP {result.status}: {error}")
    if wire.is_success(envelope) and _is_2xx(result.status, envelope):
        return CancelRequested()
    return _refusal(result, envelope, CANCEL_REFUSALS, CANCEL_CODES) or _doubt(result, envelope)


def is_unauthorized(status: int, envelope: wire.Envelope | None) -> bool:
    """Whether an answer says that the key, the signature or the stamp is not accepted."""
    if status == 401:
        return True
    return envelope is not None and _is_unauthorized_message(envelope) and envelope.code == INVALID_REQUEST_CODE


def _is_unauthorized_message(envelope: wire.Envelope) -> bool:
    return _UNAUTHORIZED.fullmatch((envelope.message or "").strip()) is not None


def _is_2xx(status: int, envelope: wire.Envelope) -> bool:
    """Both statuses, the one of HTTP and the one that order answers repeat inside, must say so."""
    return 200 <= status < 300 and (envelope.http_status is None or 200 <= envelope.http_status < 300)


def _refusal(
    result: Answer, envelope: wire.Envelope, messages: frozenset[str], codes: dict[int, str]
) -> Refused | None:
    """A refusal that we know, or None. An answer that also says yes, or that names an order, is none."""
    code = envelope.code
    if code is UNSET or code is None or wire.is_success(envelope) or not is_null(envelope.data):
        return None
    message = (envelope.message or "").strip()
    word = message.upper()
    known: str | None = None
    if result.status == 429:
        # Only the venue's own limiter is believed; the same status from what stands before it proves nothing.
        known = RATE if word in _RATE_MESSAGES and code == 429 else None
    elif code in (0, "0", "SUCCESS", ""):
        return None  # refused and successful at once: not a shape that we know
    elif word in messages:
        known = word
    elif _is_unauthorized_message(envelope) and (result.status == 401 or code == INVALID_REQUEST_CODE):
        known = UNAUTHORIZED
    elif code == INVALID_REQUEST_CODE:
        known = INVALID_REQUEST
    elif not word and isinstance(code, int):
        known = codes.get(code)
    if known is None:
        return None
    return Refused(code=known, message=for_people(message), retry_after_s=result.retry_after_s)


def _doubt(result: Answer, envelope: wire.Envelope) -> InDoubt:
    code = "none" if envelope.code is UNSET else for_people(str(envelope.code))
    return InDoubt(why=f"HTTP {result.status}, code {code}, message {for_people(envelope.message or 'none')!r}")


def _proof(body: bytes) -> wire.Envelope:
    """The envelope of an answer that may become a proof: also refused when a key appears twice.

    Readers differ on which of two equal keys counts, so such an answer says two things at once.
    """
    envelope = wire.open_envelope(body)
    try:
        _STRICT.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise WireError("the answer is not plain JSON with each key once") from error
    return envelope


def _unique(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key appears twice")


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_STRICT: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=_no_constant
)
