"""Which stretch is learned from and which one judges: nothing that judges was ever learned from before it."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcbot.backtest.optimise.windows import DAY_MS, Window, split, walk_forward
from btcbot.errors import Refused

HOUR_MS = 3_600_000


def days(window: Window) -> tuple[float, ...]:
    return tuple(
        ms / DAY_MS for ms in (window.train_start_ms, window.train_end_ms, window.test_start_ms, window.test_end_ms)
    )


def test_a_split_learns_from_the_first_part() -> None:
    (window,) = split(0, 100 * DAY_MS, Decimal("0.7"), HOUR_MS)
    assert days(window) == (0, 70, 70, 100)
    (window,) = split(0, 100 * DAY_MS, Decimal("0.7"), HOUR_MS, embargo_ms=2 * DAY_MS)
    assert days(window) == (0, 70, 72, 100)


def test_rolling_windows_move_on_by_the_test_and_end_with_the_data() -> None:
    # 105 days: 60 to learn and 20 to judge fit twice; the 5 days too many are left out at the beginning.
    found = walk_forward(0, 105 * DAY_MS, 60 * DAY_MS, 20 * DAY_MS)
    assert [days(window) for window in found] == [(5, 65, 65, 85), (25, 85, 85, 105)]


def test_anchored_windows_learn_from_everything_before() -> None:
    found = walk_forward(0, 105 * DAY_MS, 60 * DAY_MS, 20 * DAY_MS, anchored=True, embargo_ms=DAY_MS)
    assert [days(window) for window in found] == [(0, 64, 65, 85), (0, 84, 85, 105)]


@given(
    start=st.integers(0, 10**12),
    total=st.integers(2, 2_000),
    train=st.integers(1, 500),
    test=st.integers(1, 100),
    embargo=st.integers(0, 20),
    anchored=st.booleans(),
)
def test_no_window_is_judged_on_what_it_learned(
    start: int, total: int, train: int, test: int, embargo: int, anchored: bool
) -> None:
    hours = [each * HOUR_MS for each in (total, train, test, embargo)]
    try:
        found = walk_forward(start, start + hours[0], hours[1], hours[2], embargo_ms=hours[3], anchored=anchored)
    except Refused:
        assert total < train + embargo + test or total // test > 1_000
        return
    assert found[-1].test_end_ms == start + hours[0]
    for window in found:
        assert start <= window.train_start_ms < window.train_end_ms
        assert window.test_start_ms - window.train_end_ms == hours[3]
        assert window.test_end_ms - window.test_start_ms == hours[2]
        assert window.train_end_ms - window.train_start_ms >= hours[1]
    for one, following in pairwise(found):
        assert one.test_end_ms == following.test_start_ms  # side by side, never overlapping


@pytest.mark.parametrize("share", ["0", "1", "1.5", "0.001"])
def test_a_split_that_leaves_nothing_is_refused(share: str) -> None:
    with pytest.raises(Refused, match="--split"):
        split(0, 10 * HOUR_MS, Decimal(share), HOUR_MS)


def test_too_little_data_is_told_in_days() -> None:
    with pytest.raises(Refused, match=r"--train 60 --test 20 .* needs 80 days of data and there are 79"):
        walk_forward(0, 79 * DAY_MS, 60 * DAY_MS, 20 * DAY_MS)
    with pytest.raises(Refused, match="makes 1001 windows"):
        walk_forward(0, 1_002 * DAY_MS, DAY_MS, DAY_MS)
    with pytest.raises(Refused, match="each above 0"):
        walk_forward(0, 1_002 * DAY_MS, DAY_MS, 0)
