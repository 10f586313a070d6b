"""Whatever arrives: a typed value or WireError, within 50 ms of processor time, without a float anywhere."""

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.btcturk.support import ok, order_row, trade_row
from tests.unit.btcturk.test_wire import PAIR

from btcbot.adapters.btcturk import wire
from btcbot.adapters.btcturk.wire_values import WireError
from btcbot.domain import money

DECODERS: dict[str, tuple[Callable[[bytes], object], object]] = {
    "server_time": (wire.server_time_ms, {"serverTime": 1790133600027}),
    "instruments": (wire.instruments, ok({"symbols": [PAIR]})),
    "order_book": (
        partial(wire.order_book, symbol="BTCTRY", received_at_ms=1),
        ok({"timestamp": 1787525059089, "bids": [["1", "2"]], "asks": [["3", "4"]]}),
    ),
    "tickers": (
        partial(wire.tickers, received_at_ms=1),
        ok([{"pair": "BTCTRY", "timestamp": 1787525058187, "bid": 1.5, "ask": 2.5}]),
    ),
    "balances": (wire.balances, ok([{"asset": "TRY", "free": "1,5", "locked": "2.5"}])),
    "open_orders": (wire.open_orders, ok({"asks": [], "bids": [order_row(1)]})),
    "all_orders": (wire.all_orders, ok([order_row(1)])),
    "order": (wire.order, ok(order_row(1))),
    "trades": (wire.trades, ok([trade_row(1, 5, preciseAmount=0.33840811)])),
    "transfers": (
        partial(wire.transfers, source="fiat"),
        ok([{"balanceType": "deposit", "currencySymbol": "TRY", "id": 3, "timestamp": 5, "amount": "480"}]),
    ),
}

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


def check(value: object) -> None:
    """No float in a decoded value, and every number in range."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.astuple(value)
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple)):
        for each in value:
            check(each)
        return
    assert not isinstance(value, float)
    if isinstance(value, Decimal):
        assert value.is_finite()
        assert abs(value) <= 2 * money.MAGNITUDE_MAX


@contextmanager
def within_50_ms() -> Iterator[None]:
    """Of this thread's processor time, without the collections that the rest of the test process causes."""
    gc.disable()
    started = time.thread_time()
    try:
        yield
        assert time.thread_time() - started < 0.05
    finally:
        gc.enable()


def attempt(decode: Callable[[bytes], object], raw: bytes) -> None:
    with within_50_ms():
        try:
            made = decode(raw)
        except WireError as error:
            made, said = None, str(error)
        else:
            said = ""
    check(made)
    assert said.isprintable()
    assert len(said) < 500


@st.composite
def mutated(draw: st.DrawFn, seed: object) -> bytes:
    """A good answer with one place replaced, then perhaps cut or with a byte changed."""
    value = json.loads(json.dumps(seed))
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


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_structured(name: str) -> None:
    decode, seed = DECODERS[name]
    check(decode(json.dumps(seed).encode()))  # the seed itself is good

    @settings(max_examples=250, deadline=None)
    @given(raw=mutated(seed))
    def run(raw: bytes) -> None:
        attempt(decode, raw)

    run()


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_unstructured(name: str) -> None:
    decode, _ = DECODERS[name]

    @settings(max_examples=100, deadline=None)
    @given(raw=st.binary(max_size=300) | VALUES.map(lambda v: json.dumps(v).encode()))
    def run(raw: bytes) -> None:
        attempt(decode, raw)

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
    attempt(DECODERS[name][0], raw)
