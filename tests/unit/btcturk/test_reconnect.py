"""When the feed connects again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.adapters.btcturk.reconnect import Reconnect


def middle() -> float:
    return 0.5


def waits(reconnect: Reconnect, count: int, act: Callable[[Reconnect, int], None]) -> list[int]:
    """How long each of `count` attempts had to wait, all of them ended by `act`."""
    now_ms, found = 1_000, []
    for _ in range(count):
        at_ms = reconnect.attempt_at_ms()
        wait_ms = 0 if at_ms is None else max(at_ms - now_ms, 0)
        found.append(wait_ms)
        now_ms += wait_ms
        reconnect.attempting(now_ms)
        act(reconnect, now_ms)
    return found


def test_failures_stand_further_and_further_apart() -> None:
    assert waits(Reconnect(middle), 9, lambda each, now_ms: each.refused(now_ms)) == [
        *(0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000)
    ]


def test_a_connection_that_ends_at_once_is_no_success() -> None:
    def act(each: Reconnect, now_ms: int) -> None:
        each.connected(now_ms)
        each.disconnected(now_ms)

    assert waits(Reconnect(middle), 5, act) == [0, 500, 1_000, 2_000, 4_000]


def test_a_good_connection_makes_the_next_wait_short_again() -> None:
    reconnect = Reconnect(middle)
    waits(reconnect, 6, lambda each, now_ms: each.refused(now_ms))
    reconnect.connected(100_000)
    reconnect.disconnected(131_000)
    assert reconnect.attempt_at_ms() == 131_500
    reconnect.connected(132_000)
    reconnect.disconnected(161_000)  # not good for long enough
    assert reconnect.attempt_at_ms() == 162_000


@pytest.mark.parametrize("status", [403, 429])
def test_a_block_is_waited_out(status: int) -> None:
    for chance in (0.0, 0.5, 0.999):
        reconnect = Reconnect(lambda chance=chance: chance)  # type: ignore[misc]
        reconnect.attempting(0)
        reconnect.refused(0, status)
        at_ms = reconnect.attempt_at_ms()
        assert at_ms is not None
        assert 60_000 <= at_ms <= 72_000
    reconnect.attempting(70_000)
    reconnect.refused(70_000, 502)
    assert reconnect.attempt_at_ms() == pytest.approx(71_000, abs=250)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["refused", "short", "good", "blocked"]), st.integers(0, 40_000), st.floats(0, 0.999)
        ),
        max_size=60,
    )
)
def test_no_minute_ever_holds_more_than_ten_attempts(story: list[tuple[str, int, float]]) -> None:
    chances = iter([chance for _, _, chance in story] * 3 + [0.0] * 99)
    reconnect = Reconnect(lambda: next(chances))
    now_ms, attempts = 0, list[int]()
    for what, lasted_ms, _ in story:
        at_ms = reconnect.attempt_at_ms()
        now_ms = max(now_ms, at_ms or 0)
        reconnect.attempting(now_ms)
        attempts.append(now_ms)
        if what in ("short", "good"):
            reconnect.connected(now_ms)
            now_ms += lasted_ms if what == "good" else 0
            reconnect.disconnected(now_ms)
        else:
            reconnect.refused(now_ms, 429 if what == "blocked" else None)
    for first, eleventh in zip(attempts, attempts[10:], strict=False):
        assert eleventh - first > 60_000


def test_that_bound_is_reached() -> None:
    """Connections that are good and then fall, over and over, would otherwise be as many as they like."""
    reconnect = Reconnect(lambda: 0.0)
    now_ms, attempts = 0, list[int]()
    for _ in range(12):
        now_ms = max(now_ms, reconnect.attempt_at_ms() or 0)
        reconnect.attempting(now_ms)
        attempts.append(now_ms)
        # As if each had been a good one.
        reconnect.connected(now_ms - 31_000)
        reconnect.disconnected(now_ms)
    assert attempts[9] == 9 * 400
    assert attempts[10] > 60_000
