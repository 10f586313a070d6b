"""Whatever arrives: a typed value or WireError, within 50 ms of processor time, without a float anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof.fuzz import attempt
from proof.fuzzing.answers import DECODERS
from proof.fuzzing.demands import Case, Finding, TooSlow, demand_exact, demand_proof, read
from proof.fuzzing.spoil import body
from tests.unit.btcturk.support import no, ok

from btcbot.adapters.btcturk import outcome, wire
from btcbot.adapters.btcturk.outcome import Answer
from btcbot.domain.outcomes import Accepted, CancelRequested, InDoubt, NotSent, Refused
from proof import fuzz

NASTY = st.sampled_from(
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "1e5",
        "0x10",
        "",
        "-1",
        "1,5",
        "9" * 30,
        "0." + "1" * 30,
        "\u0661",
        "null",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | NASTY | st.text(max_size=10)
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3))


def tried(decode: Callable[[bytes], object], raw: bytes) -> None:
    attempt(Case("wire", len(raw), lambda: read(decode, raw)))


@st.composite
def mutated(draw: st.DrawFn, good: object) -> bytes:
    """A good answer with one place replaced, then perhaps cut or with a byte changed."""
    value = json.loads(json.dumps(good))
    node, path = value, []
    while isinstance(node, (dict, list)) and node and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        path.append((node, key))
        node = node[key]
    if path:
        parent, key = path[-1]
        if isinstance(parent, dict) and draw(st.booleans()):
            del parent[key]
        else:
            parent[key] = draw(VALUES)
    raw = bytearray(json.dumps(value).encode())
    if draw(st.integers(0, 3)) == 0:
        raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    if draw(st.integers(0, 9)) == 0:
        del raw[draw(st.integers(0, len(raw))) :]
    return bytes(raw)


def test_every_decoder_of_the_wire_is_fuzzed() -> None:
    """What takes the body of an answer, or a part of one, is in the table."""
    table = {decode.func if hasattr(decode, "func") else decode for decode, _ in DECODERS.values()}
    helpers = {"open_envelope", "unpack", "is_success", "order_body", "placed_order"}
    decoders = {getattr(wire, name) for name in wire.__all__ if name[0].islower() and callable(getattr(wire, name))} - {
        getattr(wire, name) for name in helpers
    }

    assert decoders <= table
    assert "placed_order" in DECODERS


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_structured(name: str) -> None:
    decode, good = DECODERS[name]
    demand_exact(decode(json.dumps(good).encode()))  # what is spoiled was good before

    @settings(max_examples=250, deadline=None)
    @given(raw=mutated(good))
    def run(raw: bytes) -> None:
        tried(decode, raw)

    run()


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_unstructured(name: str) -> None:
    decode, _ = DECODERS[name]

    @settings(max_examples=100, deadline=None)
    @given(raw=st.binary(max_size=300) | VALUES.map(lambda v: json.dumps(v).encode()))
    def run(raw: bytes) -> None:
        tried(decode, raw)

    run()


@pytest.mark.parametrize("name", sorted(DECODERS))
@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"serverTime":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
        b'{"success":true,"code":0,"data":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        b'{"code":' + b"9" * 1_000_000 + b"}",
        b'{"serverTime":' + b"9" * 1_000_000 + b"}",
        b'{"success":true,"code":0,"data":[{"id":' + b"9" * 1_000_000 + b"}]}",
        b'"' + b"\\u0000" * 100_000 + b'"',
        b'{"success":true,"message":"' + b"x" * 1_000_000 + b'","code":5}',
    ],
    ids=range(9),
)
def test_bombs(name: str, raw: bytes) -> None:
    tried(DECODERS[name][0], raw)
    attempt(Case("wire", len(raw), lambda: read(DECODERS[name][0], raw)), watches_memory=True)


# -- the fuzzer of the proof ------------------------------------------------------------------------------------------


def test_a_slice_of_the_proof() -> None:
    result = fuzz.run(first=1_000_001, count=4_000)

    assert result.failures == []
    assert result.counts["inputs"] == 4_000
    targets = {name.removeprefix("inputs:") for name in result.counts if name.startswith("inputs:")}
    assert targets == {f"wire.{name}" for name in DECODERS} | {
        *("outcome.submit", "outcome.cancel", "retry_after", "feed.receive"),
        *("env_file", "settings", "operator.amount", "operator.request"),
    }


def test_it_reaches_what_lies_behind_the_envelope() -> None:
    """Inputs that a reader turns away at once try little: of each decoder's, some are still read and some are not."""
    for name, (decode, good) in DECODERS.items():
        read_well = refused = 0
        for number in range(400):
            raw = body(Random(number), json.dumps(good).encode())
            try:
                decode(raw)
            except wire.WireError:
                refused += 1
            else:
                read_well += 1
        assert read_well >= 20 and refused >= 100, (name, read_well, refused)


def test_it_makes_all_outcomes_and_not_only_doubt() -> None:
    made: set[type] = set()
    for number in range(4_000):
        random = Random(number)
        good = ok({"id": 5, "newOrderClientId": "mine"}) if number % 2 else no("BALANCE_NOT_ENOUGH", 1055)
        answer = Answer(200, body(random, json.dumps(good).encode()))
        made |= {type(outcome.of_submit(answer, "mine")), type(outcome.of_cancel(answer))}

    assert made == {Accepted, CancelRequested, Refused, InDoubt}


def test_the_same_number_is_the_same_input() -> None:
    for number in range(1, 400):
        first, again = fuzz.case(number), fuzz.case(number)
        assert (first.target, first.size) == (again.target, again.size)


# -- whether it would notice ------------------------------------------------------------------------------------------


def binary_price(raw: bytes) -> object:
    try:
        return json.loads(raw)["data"]["bids"][0][0] * 1.0
    except (ValueError, LookupError, TypeError):
        raise wire.WireError("no") from None


def raises_something_else(raw: bytes) -> object:
    return json.loads(raw)


def takes_its_time(raw: bytes) -> object:
    return sum(range(30_000_000))


def keeps_it_all(raw: bytes) -> object:
    return len([bytes(100) for _ in range(200_000)])


@pytest.mark.parametrize(
    ("decode", "raw", "expected"),
    [
        (binary_price, b'{"data":{"bids":[[0.1]]}}', Finding),
        (raises_something_else, b"<html>", ValueError),
        (takes_its_time, b"", TooSlow),
    ],
)
def test_a_reader_with_a_fault_is_found(
    decode: Callable[[bytes], object], raw: bytes, expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        tried(decode, raw)


def test_a_reader_that_takes_too_much_memory_is_found() -> None:
    with pytest.raises(Finding, match="bytes"):
        attempt(Case("wire", 0, lambda: read(keeps_it_all, b"")), watches_memory=True)


@pytest.mark.parametrize(
    ("made", "status", "value"),
    [
        (Accepted(venue_order_id="5"), 500, ok({"id": 5})),
        (Accepted(venue_order_id="6"), 200, ok({"id": 5})),
        (Accepted(venue_order_id="5"), 200, ok({"id": 5, "newOrderClientId": "of another"})),
        (Accepted(venue_order_id="5"), 200, {**ok({"id": 5}), "code": 7}),
        (CancelRequested(), 200, no("SUCCESS", 0)),
        (Refused(code="BALANCE_NOT_ENOUGH"), 400, no("BALANCE_NOT_ENOUGH", 1055, data={"id": 5})),
        (Refused(code="SOMETHING_NEW"), 400, no("SOMETHING_NEW", 1999)),
        (Refused(code="RATE"), 503, no("TOO_MANY_REQUESTS", 429)),
        (NotSent(why="x"), 200, ok({"id": 5})),
    ],
)
def test_a_table_that_believes_too_much_is_found(made: Any, status: int, value: object) -> None:
    with pytest.raises(Finding):
        demand_proof(made, status, json.dumps(value).encode())
