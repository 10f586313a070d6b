"""The table of outcomes: each row, and that nothing unknown becomes a proof."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.btcturk.support import no, ok

from btcbot.adapters.btcturk import outcome
from btcbot.adapters.btcturk.outcome import Answer, NeverLeft, NoAnswer
from btcbot.domain.outcomes import Accepted, CancelRequested, InDoubt, NotSent, Refused

PLACED = ok({"id": 5, "newOrderClientId": "mine", "type": "buy"}, httpStatusCode=200)


def submitted(status: int, value: object, retry_after_s: float | None = None) -> object:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return outcome.of_submit(Answer(status, body, retry_after_s), "mine")


def test_a_placed_order_is_accepted() -> None:
    for value in (
        PLACED,
        {**PLACED, "code": "SUCCESS"},
        {**PLACED, "code": "0"},
        {**PLACED, "code": "", "message": "OK"},
        ok({"id": "5"}),
    ):
        assert submitted(200, value) == Accepted(venue_order_id="5")


@pytest.mark.parametrize(
    ("status", "value"),
    [
        (200, ok({"id": 5, "newOrderClientId": "of another"})),
        (200, {**PLACED, "httpStatusCode": 500}),
        (500, PLACED),
        (302, PLACED),
        (200, ok(None)),
        (200, ok({})),
        (200, ok({"id": None})),
        (200, ok({"id": 0})),
        (200, ok([])),
        (200, {"success": True, "data": {"id": 5}}),
        (200, {**PLACED, "code": None}),
        (200, {**PLACED, "success": False}),
        (200, {**PLACED, "success": None}),
        (200, {**PLACED, "code": 7}),
        (200, b'{"success":true,"success":true,"code":0,"data":{"id":5}}'),
        (200, b'{"success":true,"code":0,"data":{"id":4,"id":5}}'),
        (200, b"<html>"),
        (200, b""),
        (200, json.dumps(PLACED).encode()[:-1]),
        (200, b"\xef\xbb\xbf" + json.dumps(PLACED).encode()),
        (500, no("INTERNAL_ERROR", 500)),
        (500, no("INTERNAL_ERROR", "INTERNAL_ERROR")),
        (400, no("SOMETHING_NEW", 1999)),
        (400, no("SOMETHING_NEW", 1055)),  # the word is asked first; a known number behind an unknown word is no proof
        (400, no(None, 1999)),
        (400, no("BALANCE_NOT_ENOUGH", 0)),
        (400, {"success": False, "message": "BALANCE_NOT_ENOUGH"}),
        (400, no("BALANCE_NOT_ENOUGH", 1055, data={"id": 5})),
        (400, no("NO_ORDER_MATCHES_YOUR_REQUEST", 1052)),  # a refusal of something else
        (429, b"<html>slow down</html>"),
        (429, no("BALANCE_NOT_ENOUGH", 1055)),
        (200, no("TOO_MANY_REQUESTS", 429)),
        (401, b""),
        (403, b"<html>"),
        (503, no("SYSTEM_UNDER_MAINTENANCE", 1216)),
    ],
)
def test_what_proves_nothing(status: int, value: object) -> None:
    assert isinstance(submitted(status, value), InDoubt)


@pytest.mark.parametrize("word", sorted(outcome.SUBMIT_REFUSALS))
@pytest.mark.parametrize("status", [200, 400, 422])
def test_documented_refusals_by_word_whatever_the_number(word: str, status: int) -> None:
    refused = submitted(status, no(word, 1999, data=None, httpStatusCode=400))
    assert isinstance(refused, Refused)
    assert refused.code == word


def test_documented_refusals_by_number_where_the_word_is_missing() -> None:
    for code, word in outcome.SUBMIT_CODES.items():
        assert submitted(400, no("", code)) == Refused(code=word, message="")
        assert submitted(400, no(None, code)) == Refused(code=word, message="")


@pytest.mark.parametrize(
    ("status", "value", "code"),
    [
        (401, no("Unauthorized - Invalid Signature", 1037), "UNAUTHORIZED"),
        (401, no("Unauthorized", 401), "UNAUTHORIZED"),
        (200, {"success": True, "message": "Unauthorized - Invalid Nonce", "code": 1037}, "UNAUTHORIZED"),
        (400, no("INVALID_REQUEST_ERROR", 1037), "INVALID_REQUEST_ERROR"),
        (400, no("Pair NOPEUSDT does not exists.", 1037), "INVALID_REQUEST_ERROR"),
    ],
)
def test_refusals_in_free_text(status: int, value: object, code: str) -> None:
    refused = submitted(status, value)
    assert isinstance(refused, Refused)
    assert refused.code == code


def test_the_limiter_in_both_its_words() -> None:
    assert submitted(429, no("TOO_MANY_REQUESTS", 429), 12.0) == Refused(
        code="RATE", message="TOO_MANY_REQUESTS", retry_after_s=12.0
    )
    assert isinstance(submitted(429, no("Too many requests", 429)), Refused)


def test_without_an_answer() -> None:
    assert outcome.of_submit(NeverLeft("x"), "mine") == NotSent(why="x")
    assert outcome.of_submit(NoAnswer("x"), "mine") == InDoubt(why="x")
    assert outcome.of_cancel(NeverLeft("x")) == NotSent(why="x")
    assert outcome.of_cancel(NoAnswer("x")) == InDoubt(why="x")


@pytest.mark.parametrize(
    ("status", "value", "expected"),
    [
        (200, {"success": True, "message": "SUCCESS", "code": 0}, CancelRequested),
        (200, {"success": True, "message": "", "code": "", "data": None}, CancelRequested),
        (400, no("NO_ORDER_MATCHES_YOUR_REQUEST", 1051), Refused),
        (400, no("ORDER_COULD_NOT_BE_CANCELED", 1), Refused),
        (400, no("ORDER_CANCEL_BLOCKED", 1), Refused),
        (400, no(None, 1052), Refused),
        (401, no("Unauthorized - Invalid Nonce", 1037), Refused),
        (429, no("TOO_MANY_REQUESTS", 429), Refused),
        (400, no("BALANCE_NOT_ENOUGH", 1055), InDoubt),
        (500, {"success": True, "message": "SUCCESS", "code": 0}, InDoubt),
        (200, {"success": True, "message": "SUCCESS"}, InDoubt),
        (204, b"", InDoubt),
    ],
)
def test_cancellations(status: int, value: object, expected: type) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    assert isinstance(outcome.of_cancel(Answer(status, body)), expected)


# -- total and monotone ------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [*sorted(outcome.SUBMIT_REFUSALS | outcome.CANCEL_REFUSALS), "Unauthorized - Invalid Nonce", "TOO_MANY_REQUESTS"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20) | WORDS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
DATA = VALUES | st.fixed_dictionaries(
    {"id": LEAVES}, optional={"newOrderClientId": st.sampled_from(["mine", "x"]) | LEAVES}
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "success": st.booleans() | VALUES,
        "code": st.sampled_from([0, "0", "SUCCESS", "", 1037, 1055, 1052, 429, 500]) | VALUES,
        "message": WORDS | VALUES,
        "data": DATA,
        "httpStatusCode": st.sampled_from([200, 400, 500]) | VALUES,
        "other": VALUES,
    },
)
STATUSES = st.sampled_from([200, 201, 204, 301, 400, 401, 404, 422, 429, 500, 502, 503, 520]) | st.integers(100, 599)
BODIES = (
    ENVELOPES.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=200)
    | st.builds(lambda value, cut: json.dumps(value).encode()[: cut % 80], ENVELOPES, st.integers(0, 79))
)
KNOWN_WORDS = outcome.SUBMIT_REFUSALS | outcome.CANCEL_REFUSALS
KNOWN_CODES = {1037, 429, *outcome.SUBMIT_CODES, *outcome.CANCEL_CODES}


def judge(made: object, status: int, body: bytes) -> None:
    """A second, plainer reading: what a proof must at least hold."""
    if isinstance(made, InDoubt):
        return
    value = json.loads(body)
    assert isinstance(value, dict)
    assert made != NotSent(why="")
    if isinstance(made, (Accepted, CancelRequested)):
        assert 200 <= status < 300
        assert value["success"] is True
        assert value["code"] in (0, "0", "SUCCESS", "")
        assert value.get("httpStatusCode") is None or 200 <= value["httpStatusCode"] < 300
    if isinstance(made, Accepted):
        assert str(value["data"]["id"]) == made.venue_order_id
        assert value["data"].get("newOrderClientId") in (None, "", "mine")
    if isinstance(made, Refused):
        assert value.get("data") is None
        assert value["code"] not in (0, "0", "SUCCESS", "", None)
        word = (value.get("message") or "").strip()
        assert word.upper() in KNOWN_WORDS or word.startswith("Unauth") or value["code"] in KNOWN_CODES
        assert (made.code == "RATE") == (status == 429)


@settings(max_examples=1500, deadline=None)
@given(status=STATUSES, body=BODIES)
def test_total_and_monotone(status: int, body: bytes) -> None:
    started = time.thread_time()
    made = outcome.of_submit(Answer(status, body), "mine")
    cancelled = outcome.of_cancel(Answer(status, body))
    assert time.thread_time() - started < 0.1
    judge(made, status, body)
    judge(cancelled, status, body)
    assert isinstance(made, (Accepted, Refused, InDoubt))
    assert isinstance(cancelled, (CancelRequested, Refused, InDoubt))


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 400), byte=st.integers(0, 255))
def test_one_changed_byte_never_makes_another_proof(position: int, byte: int) -> None:
    for value, status in ((PLACED, 200), (no("BALANCE_NOT_ENOUGH", 1055), 400)):
        raw = bytearray(json.dumps(value).encode())
        raw[position % len(raw)] = byte
        judge(submitted(status, bytes(raw)), status, bytes(raw))
