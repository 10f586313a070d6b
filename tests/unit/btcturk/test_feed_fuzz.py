"""Whatever comes in on the feed: no exception, bounded time and memory, and no book that cannot be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof.fuzz import attempt
from proof.fuzzing.demands import Case, demand_exact
from proof.fuzzing.feed import FRAMES, talk
from tests.unit.btcturk.feed_support import Talk, diff, snapshot

from btcbot.adapters.btcturk.feed_wire import FRAME_BYTES_MAX

KNOWN = [number for number, _ in (frame for frame in FRAMES.values() if isinstance(frame, list))]
FIELDS = ["CS", "PS", "AO", "BO", "CP", "P", "A", "channel", "event", "type", "items", "symbol", "id", "ok", "message"]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        ["BTCTRY", "obdiff", "trade", "join|obdiff:BTCTRY", "leave|obdiff:BTCTRY", "101", "NaN", "-1", "1e9"]
    )
    | st.text(max_size=8)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=6),
    max_leaves=20,
)
FRAME_LIKE = st.tuples(st.sampled_from(KNOWN) | st.integers(), VALUES).map(lambda value: json.dumps(value).encode())
ANYTHING = st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()) | FRAME_LIKE


def exact(bodies: list[bytes]) -> None:
    told = talk(bodies)
    demand_exact([told.view, told.trades, told.depth])
    for book in told.view.books.values():
        assert all(0 < top.bid < top.ask for top in book.tops)


@settings(max_examples=400, deadline=None)
@given(st.lists(ANYTHING, max_size=6))
def test_anything(bodies: list[bytes]) -> None:
    exact(bodies)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text() | ANYTHING.map(lambda raw: raw.decode("latin-1")), max_size=4))
def test_any_text(texts: list[str]) -> None:
    talking = Talk()
    talking.connect()
    talking.hear(*texts)
    demand_exact(talking.view())


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_what_is_spoiled_was_good_before(name: str) -> None:
    exact([json.dumps(FRAMES[name]).encode()])


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * FRAME_BYTES_MAX,
        b'[432,{"PS":' + b"[" * 500_000,
        b'[432,{"CS":' + b"9" * 1_000_000 + b"}]",
        b'[431,{"CS":1,"PS":"BTCTRY","AO":[' + b'{"A":"1","P":"1"},' * 50_000 + b"]}]",
        b'[421,{"items":[' + b"{}," * 200_000 + b"]}]",
        b'[801,{"message":"' + b"x" * 1_000_000 + b'"}]',
        b'[801,{"message":' + b"[" * 5_000 + b"]" * 5_000 + b"}]",
        b'[100,{"ok":true,"message":"' + b"x" * 1_000_000 + b'"}]',
        b'[114,{"ok":false,"message":"' + b"\\u0000" * 100_000 + b'"}]',
        b" " * (2 * FRAME_BYTES_MAX),
    ],
    ids=range(10),
)
def test_bombs(bomb: bytes) -> None:
    for watches_memory in (False, True):
        attempt(Case("feed", len(bomb), lambda: exact([bomb])), watches_memory=watches_memory)


def test_a_long_story_of_noise_leaves_nothing_behind() -> None:
    """Unseen by the core for tens of thousands of frames: what is kept stays as small as it was."""
    talking = Talk()
    talking.connect()
    noise = [b"", b"null", b'[441,{"id":7,"symbol":"BTCTRY"}]', snapshot("BTCTRY", 5), diff("BTCTRY", 9), b"[777,1]"]
    noise += [b'[422,{"PS":"BTCTRY","D":1,"I":%d,"A":"1","P":"1","S":0}]' % number for number in range(1, 200)]

    def story() -> None:
        for number in range(20_000):
            talking.after(1).hear(noise[number % len(noise)])
            talking.tick()

    story()
    attempt(Case("feed", 0, story, seconds_max=60.0), watches_memory=True)
    assert len(talking.view().events) <= 1_000
    assert len(talking.protocol.trades("BTCTRY")) == 50
