"""What must hold, whatever came in: a typed value or the reader's own error, in time, exact, in words that print."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from btcbot.adapters.btcturk import outcome
from btcbot.adapters.btcturk.wire.values import WireError
from btcbot.domain import money
from btcbot.domain.outcomes import Accepted, CancelRequested, InDoubt, Refused
from proof.fuzzing.answers import Reader

SECONDS_MAX: Final = 0.05


class Finding(Exception):
    """Something came out that must not."""


class TooSlow(Finding):
    """It came out too late."""


def demand(holds: object, what: str) -> None:
    if not holds:
        raise Finding(what)


def demand_exact(value: object) -> None:
    """No float anywhere in it, and every number finite and in range."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.astuple(value)
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        for each in value:
            demand_exact(each)
    elif isinstance(value, Decimal):
        demand(value.is_finite() and abs(value) <= 2 * money.MAGNITUDE_MAX, "a number out of range")
    else:
        demand(not isinstance(value, float), "a float")


def demand_words(text: str) -> None:
    """A line of a log or a report."""
    demand(text.isprintable(), "words that do not print")
    demand(len(text) < 500, "an endless line")


def read(reader: Reader, raw: bytes) -> None:
    """A typed value, or WireError."""
    try:
        made = reader(raw)
    except WireError as error:
        demand_words(str(error))
    else:
        demand_exact(made)


def _plain(raw: bytes) -> dict[str, Any]:
    """What a plain reading of the answer gives; only asked when something was taken for a proof."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        demand(len(dict(pairs)) == len(pairs), "a proof that says a thing twice")
        return dict(pairs)

    value = json.loads(raw, object_pairs_hook=unique)
    demand(isinstance(value, dict), "a proof that is no object")
    return dict(value)


_SUCCESS: Final = (0, "0", "SUCCESS", "")
_WORDS: Final = outcome.SUBMIT_REFUSALS | outcome.CANCEL_REFUSALS
_CODES: Final = {1037, 429, *outcome.SUBMIT_CODES, *outcome.CANCEL_CODES}


def demand_proof(made: object, status: int, raw: bytes) -> None:
    """The outcome is one of the table's; a proof has all that a proof needs, whatever else stands beside it."""
    demand(isinstance(made, Accepted | CancelRequested | Refused | InDoubt), f"an outcome that is none: {made!r}")
    if isinstance(made, InDoubt):
        demand_words(made.why)
        return
    value = _plain(raw)
    code = value.get("code")
    if isinstance(made, Accepted | CancelRequested):
        demand(200 <= status < 300 and value["success"] is True, "a yes behind a no")
        demand(code in _SUCCESS and code is not False, "a yes with a code that says no")
        demand(value.get("httpStatusCode") is None or 200 <= value["httpStatusCode"] < 300, "a yes with another status")
    if isinstance(made, Accepted):
        data = value["data"]
        demand(str(data["id"]) == made.venue_order_id and made.venue_order_id.strip("0"), "an order without its id")
        demand(data.get("newOrderClientId") in (None, "", "mine"), "an order of somebody else")
    if isinstance(made, Refused):
        word = (value.get("message") or "").strip()
        demand(value.get("data") is None, "a refusal that names an order")
        demand(code is not None and code not in _SUCCESS, "a refusal with a code that says yes")
        demand(word.upper() in _WORDS or word.lower().startswith("unauth") or code in _CODES, "an unknown refusal")
        demand((made.code == outcome.RATE) == (status == 429), "a limiter's word without its status")


def demand_line(line: str) -> None:
    """One line for the operator."""
    demand(line and "\n" not in line and "\r" not in line, "a problem that is not one line")
    demand(len(line) < 1_000, "a problem that is an endless line")


class Case(NamedTuple):
    """One input: whom it is for, how large it is, and the act of reading it, which raises Finding."""

    target: str
    size: int
    read: Callable[[], None]
    seconds_max: float = SECONDS_MAX
    is_heavy: bool = False
