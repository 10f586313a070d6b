"""Stamps strictly increase whatever clocks, restarts and failing disks do."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.btcturk.support import NOW_MS

from btcbot.adapters.btcturk.nonce import AHEAD_MS_MAX, BLOCK_MS, NonceSource
from btcbot.errors import StoreFailed, VenueUnavailable


class Disk:
    def __init__(self) -> None:
        self.mark = 0
        self.saves = 0
        self.is_broken = False

    def load(self) -> int:
        return self.mark

    def save(self, mark: int) -> None:
        if self.is_broken:
            raise StoreFailed("disk full")
        self.mark = mark
        self.saves += 1


class Time:
    def __init__(self) -> None:
        self.ms = NOW_MS

    def now(self) -> int:
        return self.ms


def source(disk: Disk, time: Time) -> NonceSource:
    return NonceSource(venue_now_ms=time.now, load_mark=disk.load, save_mark=disk.save)


def test_two_in_one_millisecond_and_a_step_back() -> None:
    disk, time = Disk(), Time()
    nonces = source(disk, time)
    assert [nonces.take(), nonces.take()] == [NOW_MS, NOW_MS + 1]
    time.ms -= 2_000
    assert nonces.take() == NOW_MS + 2


def test_too_far_ahead_waits_and_says_how_long() -> None:
    disk, time = Disk(), Time()
    disk.mark = NOW_MS + 10_000
    nonces = source(disk, time)
    with pytest.raises(VenueUnavailable, match="10001 ms ahead") as caught:
        nonces.take()
    assert caught.value.retry_after_s == pytest.approx(7.001)
    time.ms += 7_001
    assert nonces.take() == NOW_MS + 10_001


def test_a_restart_starts_above_all_that_may_have_been_signed_and_need_not_wait() -> None:
    disk, time = Disk(), Time()
    before = source(disk, time)
    taken = [before.take() for _ in range(50)]
    after = source(disk, time)
    assert after.take() > max(taken)


def test_quick_restarts_do_not_add_up_to_a_wait() -> None:
    disk, time = Disk(), Time()
    taken: list[int] = []
    for _ in range(200):
        nonces = source(disk, time)
        taken += [nonces.take() for _ in range(3)]
        time.ms += 60
    assert all(a < b for a, b in pairwise(taken))


def test_the_mark_is_written_once_per_block_and_before_use() -> None:
    disk, time = Disk(), Time()
    nonces = source(disk, time)
    for _ in range(BLOCK_MS):
        stamp = nonces.take()
        assert stamp <= disk.mark <= stamp + BLOCK_MS
        time.ms += 1
    assert disk.saves == 1
    time.ms += 10
    nonces.take()
    assert disk.saves == 2


def test_no_stamp_without_a_durable_mark() -> None:
    disk, time = Disk(), Time()
    nonces = source(disk, time)
    disk.is_broken = True
    with pytest.raises(StoreFailed):
        nonces.take()
    assert disk.mark == 0
    disk.is_broken = False
    assert nonces.take() == NOW_MS


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.disk, self.time = Disk(), Time()
        self.nonces = source(self.disk, self.time)
        self.taken: list[int] = []

    @rule(count=st.integers(1, 30))
    def take(self, count: int) -> None:
        for _ in range(count):
            try:
                stamp = self.nonces.take()
            except (VenueUnavailable, StoreFailed):
                continue
            assert stamp - self.time.ms <= AHEAD_MS_MAX
            assert stamp >= self.time.ms
            assert stamp <= self.disk.mark
            self.taken.append(stamp)

    @rule(ms=st.integers(0, 5_000))
    def pass_time(self, ms: int) -> None:
        self.time.ms += ms

    @rule(ms=st.integers(-100_000, 100_000))
    def step(self, ms: int) -> None:
        self.time.ms += ms

    @rule()
    def restart(self) -> None:
        self.nonces = source(self.disk, self.time)

    @rule(is_broken=st.booleans())
    def break_disk(self, is_broken: bool) -> None:
        self.disk.is_broken = is_broken

    @invariant()
    def strictly_increasing(self) -> None:
        assert all(a < b for a, b in zip(self.taken, self.taken[1:], strict=False))


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
