"""The estimate of venue time: best of few samples, steps noticed, old estimates used only for a while."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.btcturk.support import FakeClock

from btcbot.adapters.btcturk.clock_sync import VenueClock
from btcbot.errors import VenueUnavailable


class Rig:
    def __init__(self, round_trips_ms: list[int], skew_ms: int = 0) -> None:
        self.clock = FakeClock()
        self.round_trips_ms = round_trips_ms
        self.venue_minus_mono_ms = self.clock.wall_ms + skew_ms - self.clock.mono_ns // 1_000_000
        self.asked = 0
        self.is_down = False
        self.measured: list[int] = []
        self.venue_clock = VenueClock(self.clock, self.ask, on_measured=self.measured.append)

    def ask(self) -> int:
        if self.is_down:
            raise VenueUnavailable("down")
        trip_ms = self.round_trips_ms[self.asked % len(self.round_trips_ms)]
        self.asked += 1
        self.clock.pass_ms(trip_ms // 4)  # not in the middle: the error must stay within half of the round trip
        answer = self.true_ms()
        self.clock.pass_ms(trip_ms - trip_ms // 4)
        return answer

    def true_ms(self) -> int:
        return self.clock.mono_ns // 1_000_000 + self.venue_minus_mono_ms


def test_the_shortest_round_trip_tells_the_time() -> None:
    rig = Rig([900, 20, 400], skew_ms=1_500)
    assert abs(rig.venue_clock.now_ms() - rig.true_ms()) <= 10
    assert rig.asked == 3
    skew_ms = rig.venue_clock.skew_ms()
    assert skew_ms is not None
    assert abs(skew_ms - 1_500) <= 10
    assert rig.measured == [skew_ms]


def test_nothing_is_known_before_the_first_measurement() -> None:
    rig = Rig([20])
    assert rig.venue_clock.skew_ms() is None
    assert rig.venue_clock.estimate_ms() is None
    rig.is_down = True
    with pytest.raises(VenueUnavailable):
        rig.venue_clock.now_ms()


def test_it_is_measured_anew_each_interval_only() -> None:
    rig = Rig([20])
    for _ in range(5):
        rig.venue_clock.now_ms()
        rig.clock.pass_ms(10_000)
    assert rig.asked == 3
    rig.clock.pass_ms(60_000)
    rig.venue_clock.now_ms()
    assert rig.asked == 6
    rig.venue_clock.doubt()
    rig.venue_clock.now_ms()
    assert rig.asked == 9


@pytest.mark.parametrize("step_ms", [-3_600_000, 5_000])
def test_a_step_of_the_wall_clock_shows_in_the_skew_and_nowhere_else(step_ms: int) -> None:
    rig = Rig([20])
    rig.venue_clock.now_ms()
    rig.clock.wall_ms += step_ms
    skew_ms = rig.venue_clock.skew_ms()
    assert skew_ms is not None
    assert abs(skew_ms + step_ms) <= 10  # noticed at once, without asking
    assert abs(rig.venue_clock.now_ms() - rig.true_ms()) <= 10


def test_a_machine_that_slept_measures_before_it_trusts_its_estimate() -> None:
    rig = Rig([20])
    rig.venue_clock.now_ms()
    # The monotonic clock stood still while the world went on.
    rig.clock.wall_ms += 300_000
    rig.venue_minus_mono_ms += 300_000
    assert abs(rig.venue_clock.now_ms() - rig.true_ms()) <= 10
    rig.clock.wall_ms += 300_000
    rig.is_down = True
    with pytest.raises(VenueUnavailable):
        rig.venue_clock.now_ms()


def test_an_old_estimate_serves_for_ten_minutes_without_hammering() -> None:
    rig = Rig([20])
    rig.venue_clock.now_ms()
    rig.is_down = True
    tried: list[int] = []
    rig.venue_clock._ask = counted(rig.ask, tried)
    for _ in range(55):
        rig.clock.pass_ms(10_000)
        assert abs(rig.venue_clock.now_ms() - rig.true_ms()) <= 10
    assert len(tried) <= 55
    rig.clock.pass_ms(60_000)
    with pytest.raises(VenueUnavailable):
        rig.venue_clock.now_ms()


def counted(ask: Callable[[], int], tried: list[int]) -> Callable[[], int]:
    def wrapped() -> int:
        tried.append(1)
        return ask()

    return wrapped


def test_a_venue_too_slow_to_tell_the_time_does_not() -> None:
    with pytest.raises(VenueUnavailable, match="too slowly"):
        Rig([5_000]).venue_clock.now_ms()
