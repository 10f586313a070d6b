"""The loop: a fixed rate, nothing caught up, patience with a venue in trouble, and an end at once when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from tests.builders import a_report

from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.reasons import ReasonCode
from btcbot.loop import LoopOptions, back_off_seconds, next_tick_ns, run_with_optional_loop
from btcbot.ports import StopSignal

SECOND_NS = 1_000_000_000
VENUE_DOWN = f"{ReasonCode.VENUE_UNAVAILABLE.value}: no answer in 8 s"


def ended(outcome: CycleOutcome, *reasons: str) -> CycleReport:
    return a_report(outcome=outcome, reasons=reasons)


COMPLETED = a_report()
OBSERVED = ended(CycleOutcome.OBSERVE_ONLY, VENUE_DOWN)
UNEXPLAINED = ended(CycleOutcome.OBSERVE_ONLY, f"{ReasonCode.BALANCE_UNEXPLAINED.value}: TRY")
LOST_TODAY = ended(CycleOutcome.OBSERVE_ONLY, f"{ReasonCode.BUDGET_DAILY_LOSS.value}: 618 TRY lost today")
RAISED = ended(CycleOutcome.OBSERVE_ONLY, f"{ReasonCode.STRATEGY_FAILED.value}: ZeroDivisionError")
HALTED = ended(CycleOutcome.HALTED, "I4")


class Bench:
    """A clock that only moves when somebody waits or a cycle takes its time, and everything else that a loop needs."""

    def __init__(
        self,
        reports: Sequence[CycleReport] = (COMPLETED,),
        cycle_takes: Sequence[float] = (0.0,),
        stop_after: int | None = None,
        stop_within: int | None = None,
    ) -> None:
        self.ns = 5_000 * SECOND_NS
        self.started_ns = self.ns
        self.reports, self.cycle_takes = reports, cycle_takes
        self.stop_after, self.stop_within = stop_after, stop_within
        self.starts: list[float] = []
        self.pauses: list[float] = []
        self.flushed = 0
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self._is_set = False
        self.has_feed = False
        self.woken: list[float] = []
        self.woken_takes = 0.0
        self.woken_report = COMPLETED
        #: Seconds from the start at which the feed has news, and of what kind; told once each.
        self.news: list[tuple[float, Wake]] = []

    # the feed
    def wait_on_feed(self, seconds: float, *, for_market: bool) -> Wake:
        assert seconds > 0, "no use to wait for nothing"
        until = (self.ns - self.started_ns) / SECOND_NS + seconds
        for at, wake in self.news:
            if wake is Wake.MARKET and not for_market:
                continue
            if at <= until:
                self.news.remove((at, wake))
                self.ns = max(self.ns, self.started_ns + round(at * SECOND_NS))
                return wake
        self.ns += round(seconds * SECOND_NS)
        return Wake.TIME

    # the cycle
    def run_cycle(self, wake: Wake) -> CycleReport:
        if wake is Wake.MARKET:
            self.woken.append((self.ns - self.started_ns) / SECOND_NS)
            self.ns += round(self.woken_takes * SECOND_NS)
            return self.woken_report
        number = len(self.starts)
        self.starts.append((self.ns - self.started_ns) / SECOND_NS)
        self.ns += round(self.cycle_takes[min(number, len(self.cycle_takes) - 1)] * SECOND_NS)
        if self.stop_within is not None and number + 1 == self.stop_within:
            self._is_set = True
        return self.reports[min(number, len(self.reports) - 1)]

    # the clock
    def now_ms(self) -> int:
        raise AssertionError("a loop counts on the monotonic clock")

    def monotonic_ns(self) -> int:
        return self.ns

    def sleep(self, seconds: float, stop: StopSignal) -> bool:
        assert stop is self and seconds >= 0
        self.pauses.append(round(seconds, 6))
        if self._is_set or (self.stop_after is not None and len(self.pauses) >= self.stop_after):
            return True
        self.ns += round(seconds * SECOND_NS)
        return False

    # the stop signal
    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        raise AssertionError("a loop waits on its clock")

    # metrics and log
    def flush(self, timeout_s: float) -> None:
        assert 0 < timeout_s <= 1
        self.flushed += 1

    def info(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    def run(
        self,
        *,
        loop: bool = True,
        cycle_seconds: float = 10.0,
        jitter_seconds: float = 0.0,
        cycles_max: int | None = None,
        jitter: Callable[[], float] = lambda: 0.0,
        gap_seconds: float = 0.0,
        wake_seconds: float | None = None,
    ) -> int:
        anything: Any = self
        return run_with_optional_loop(
            self.run_cycle,
            LoopOptions(
                loop=loop,
                cycle_seconds=cycle_seconds,
                jitter_seconds=jitter_seconds,
                cycles_max=cycles_max,
                gap_seconds=gap_seconds,
                wake_seconds=wake_seconds,
            ),
            anything,
            anything,
            jitter,
            anything,
            self.flush,
            anything,
            self.wait_on_feed if self.has_feed else None,
        )


class TestExitStatus:
    @pytest.mark.parametrize(
        ("report", "status"),
        [(COMPLETED, 0), (LOST_TODAY, 0), (OBSERVED, 1), (UNEXPLAINED, 1), (RAISED, 1), (HALTED, 1)],
        ids=lambda v: str(v)[:0],
    )
    def test_one_cycle_tells_how_it_ended(self, report: CycleReport, status: int) -> None:
        bench = Bench([report])

        assert bench.run(loop=False) == status
        assert (len(bench.starts), bench.pauses) == (1, [])

    def test_a_loop_ends_with_0_on_a_signal_even_after_trouble(self) -> None:
        assert Bench([OBSERVED], stop_after=2).run() == 0

    def test_a_loop_ends_with_1_at_once_on_a_halt(self) -> None:
        bench = Bench([COMPLETED, HALTED, COMPLETED])

        assert bench.run() == 1
        assert len(bench.starts) == 2

    def test_a_loop_of_so_many_cycles_ends_with_0_and_without_a_last_pause(self) -> None:
        bench = Bench([COMPLETED, OBSERVED])

        assert bench.run(cycles_max=3) == 0
        assert (len(bench.starts), len(bench.pauses)) == (3, 2)

    def test_a_cycle_that_raises_ends_the_loop(self) -> None:
        bench = Bench([])

        with pytest.raises(IndexError):
            bench.run()


class TestRate:
    def test_cycles_start_at_a_fixed_rate_whatever_they_take(self) -> None:
        bench = Bench(cycle_takes=[1.0, 9.5, 0.0, 3.25])

        bench.run(cycles_max=5)

        assert bench.starts == [0, 10, 20, 30, 40]
        assert bench.pauses == [9, 0.5, 10, 6.75]

    def test_missed_ticks_are_skipped_and_never_caught_up(self) -> None:
        """A cycle of 25 s misses the ticks at 10 and 20; the next starts at 30, once."""
        bench = Bench(cycle_takes=[25.0, 1.0])

        bench.run(cycles_max=4)

        assert bench.starts == [0, 30, 40, 50]

    def test_a_cycle_as_long_as_the_step_misses_the_tick_it_ends_on(self) -> None:
        bench = Bench(cycle_takes=[10.0, 1.0])

        bench.run(cycles_max=3)

        assert bench.starts == [0, 20, 30]

    @pytest.mark.parametrize(("now_s", "tick_s"), [(0, 10), (9.999, 10), (10, 20), (10.001, 20), (99.5, 100), (-3, 0)])
    def test_the_next_tick_lies_after_now(self, now_s: float, tick_s: int) -> None:
        assert next_tick_ns(0, round(now_s * SECOND_NS), 10.0) == tick_s * SECOND_NS

    def test_jitter_comes_from_its_source_and_does_not_add_up(self) -> None:
        drawn = iter([0.5, 1.0, 0.0, 0.25])
        bench = Bench()

        bench.run(cycles_max=5, jitter_seconds=2.0, jitter=lambda: next(drawn))

        assert bench.starts == [0, 11, 22, 30, 40.5]


class TestTroubleAtTheVenue:
    def test_one_bad_cycle_may_be_a_hiccup(self) -> None:
        bench = Bench([OBSERVED, COMPLETED])

        bench.run(cycles_max=3)

        assert bench.starts == [0, 10, 20]

    def test_then_the_pause_doubles_up_to_a_limit(self) -> None:
        bench = Bench([OBSERVED], stop_after=8)

        bench.run(cycle_seconds=2.0)

        assert bench.pauses == [2, 4, 6, 10, 18, 34, 34, 34]

    def test_one_good_cycle_ends_the_patience(self) -> None:
        bench = Bench([OBSERVED, OBSERVED, OBSERVED, COMPLETED, COMPLETED, OBSERVED, COMPLETED], stop_after=7)

        bench.run()

        assert bench.pauses == [10, 20, 30, 10, 10, 10, 10]

    def test_only_trouble_at_the_venue_makes_it_patient(self) -> None:
        """A balance that is not yet explained is looked at again at the usual rate."""
        bench = Bench([UNEXPLAINED], stop_after=4)

        bench.run()

        assert bench.pauses == [10, 10, 10, 10]

    @pytest.mark.parametrize(
        ("troubles", "cycle_seconds", "seconds"),
        [(0, 10, 0), (1, 10, 0), (2, 10, 10), (3, 10, 20), (4, 10, 40), (5, 10, 60), (99, 10, 60), (99, 1, 16)],
    )
    def test_how_long(self, troubles: int, cycle_seconds: float, seconds: float) -> None:
        assert back_off_seconds(troubles, cycle_seconds) == seconds


class TestEnding:
    def test_a_word_to_stop_within_a_cycle_ends_after_it_without_another(self) -> None:
        bench = Bench(stop_within=2)

        assert bench.run() == 0
        assert len(bench.starts) == 2
        assert bench.events == [("loop_stopped", {"cycles": 2})]

    def test_a_word_to_stop_ends_the_longest_wait(self) -> None:
        bench = Bench([OBSERVED], stop_after=7)

        assert bench.run() == 0
        assert len(bench.starts) == 7

    def test_metrics_and_logs_are_flushed_after_each_cycle_the_last_one_too(self) -> None:
        for bench, status in ((Bench([COMPLETED, HALTED]), 1), (Bench(stop_after=2), 0)):
            assert bench.run() == status
            assert bench.flushed == 2 * len(bench.starts) == 4


def a_bench_with_feed(*news: tuple[float, Wake], reports: Sequence[CycleReport] = (COMPLETED,)) -> Bench:
    bench = Bench(list(reports))
    bench.has_feed, bench.news = True, list(news)
    return bench


class TestTheFeedWakes:
    def test_a_change_of_the_market_starts_a_cycle_at_once(self) -> None:
        bench = a_bench_with_feed((3.0, Wake.MARKET))

        bench.run(cycles_max=2, wake_seconds=0.25)

        assert bench.woken == [3.0]
        assert bench.starts == [0.0, 10.0], "the timer keeps its rate"

    def test_a_burst_is_one_cycle_now_and_one_at_its_end(self) -> None:
        bench = a_bench_with_feed(*[(3.0 + 0.01 * number, Wake.MARKET) for number in range(3)])

        bench.run(cycles_max=2, wake_seconds=0.25)

        assert bench.woken == [3.0, 3.25, 3.5]

    def test_prices_wake_nothing_where_the_settings_say_so(self) -> None:
        bench = a_bench_with_feed((3.0, Wake.MARKET))

        bench.run(cycles_max=2, wake_seconds=None)

        assert (bench.woken, bench.starts) == ([], [0.0, 10.0])

    def test_nor_while_the_venue_is_in_trouble(self) -> None:
        bench = a_bench_with_feed((3.0, Wake.MARKET), reports=[OBSERVED])

        bench.run(cycles_max=2, wake_seconds=0.25)

        assert bench.woken == []

    def test_news_of_our_account_bring_the_whole_cycle_forward(self) -> None:
        bench = a_bench_with_feed((6.0, Wake.ACCOUNT))

        bench.run(cycles_max=2, gap_seconds=1.5, wake_seconds=0.25)

        assert bench.starts == [0.0, 6.0]

    def test_but_no_nearer_to_the_last_one_than_the_limits_of_the_venue_allow(self) -> None:
        bench = a_bench_with_feed((0.2, Wake.ACCOUNT))

        bench.run(cycles_max=2, gap_seconds=1.5, wake_seconds=0.25)

        assert bench.starts == [0.0, 1.5]

    def test_news_of_our_account_are_heard_between_two_woken_cycles_too(self) -> None:
        bench = a_bench_with_feed((3.0, Wake.MARKET), (3.1, Wake.ACCOUNT))

        bench.run(cycles_max=2, gap_seconds=1.5, wake_seconds=0.25)

        assert (bench.woken, bench.starts) == ([3.0], [0.0, 3.1])

    def test_a_halt_of_a_woken_cycle_ends_the_loop(self) -> None:
        bench = a_bench_with_feed((3.0, Wake.MARKET))
        bench.woken_report = HALTED

        assert bench.run(wake_seconds=0.25) == 1
        assert bench.starts == [0.0]

    def test_a_word_to_stop_ends_the_wait(self) -> None:
        bench = a_bench_with_feed((3.0, Wake.STOP))
        bench.stop_after = 1

        assert bench.run(wake_seconds=0.25) == 0
        assert bench.starts == [0.0]
