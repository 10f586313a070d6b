"""The loop: runs cycles on a timer, and between its ticks when the feed wakes it, until it is told to stop.

Ticks are at a fixed rate on the monotonic clock, with jitter from an injected source; ticks that were missed are
skipped, never caught up. While the venue is in trouble the pause doubles, up to a limit, and every wait ends at once
when the process is asked to stop.

Two things end a pause early. A change of the market starts a woken cycle, at once and then no oftener than the settings
say: a burst of changes is one cycle now and one at its end. News of our own account bring the next whole cycle forward,
no nearer to the last one than the venue's limits allow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

import msgspec

from btcbot.decisions.cycle_cause import CycleCause, cause_of
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import EXIT_DONE, EXIT_FAILED
from btcbot.ports import Clock, Log, Metrics, StopSignal

BACK_OFF_DOUBLINGS_MAX: Final = 4
BACK_OFF_SECONDS_MAX: Final = 60.0
FLUSH_SECONDS: Final = 0.5
#: After what a single cycle ends with EXIT_DONE: a brake that does its work is no failure.
_DONE: Final = frozenset({CycleCause.NONE, CycleCause.NARROWED})


class LoopOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`cycles_max` None: until stopped; it counts the timer's cycles. `jitter_seconds` is the most that is added to a
    pause. `gap_seconds` lies at least between two whole cycles, `wake_seconds` between two that the market woke; None:
    the market wakes none.
    """

    loop: bool
    cycle_seconds: float
    jitter_seconds: float
    cycles_max: int | None
    gap_seconds: float = 0.0
    wake_seconds: float | None = None


class Wait(Protocol):
    def __call__(self, seconds: float, *, for_market: bool) -> Wake:
        """Wait so long, or until something relevant happens; without `for_market` prices are not relevant."""
        ...


RunCycle: TypeAlias = Callable[[Wake], CycleReport]


def run_with_optional_loop(
    run_cycle: RunCycle,
    options: LoopOptions,
    clock: Clock,
    stop: StopSignal,
    jitter: Callable[[], float],
    metrics: Metrics,
    flush_logs: Callable[[float], object],
    log: Log,
    wait: Wait | None = None,
) -> int:
    """Exit status: of one cycle (0 completed, also where a brake let it order nothing; 1 where trouble made it observe
    only, or halted), or of the loop (0 on a signal, 1 on a halt).

    `jitter` gives a number from 0 to 1. `wait` None: there is no feed, a pause is a sleep.
    """
    troubles = 0
    done = 0
    next_ns = clock.monotonic_ns()
    while True:
        started_ns = clock.monotonic_ns()
        report = run_cycle(Wake.TIME)
        done += 1
        metrics.flush(FLUSH_SECONDS)
        flush_logs(FLUSH_SECONDS)
        if report.outcome is CycleOutcome.HALTED:
            return EXIT_FAILED
        if not options.loop:
            return EXIT_DONE if cause_of(report.outcome, report.reasons) in _DONE else EXIT_FAILED
        if options.cycles_max is not None and done >= options.cycles_max:
            return EXIT_DONE
        troubles = troubles + 1 if _is_venue_trouble(report) else 0
        next_ns = next_tick_ns(next_ns, clock.monotonic_ns(), options.cycle_seconds)
        pause_s = (next_ns - clock.monotonic_ns()) / 1e9 + jitter() * options.jitter_seconds
        pause_s += back_off_seconds(troubles, options.cycle_seconds)
        whole_from_ns = started_ns + int(options.gap_seconds * 1e9)
        span = Pause(
            ends_ns=max(clock.monotonic_ns() + int(max(pause_s, 0.0) * 1e9), whole_from_ns),
            whole_from_ns=whole_from_ns,
            wake_ns=None if options.wake_seconds is None else int(options.wake_seconds * 1e9),
        )
        ended = pause(span, run_cycle, clock, stop, None if troubles else wait)
        if ended is Wake.STOP:
            log.info("loop_stopped", cycles=done)
            return EXIT_DONE
        if ended is None:
            return EXIT_FAILED


class Pause(msgspec.Struct, frozen=True):
    """When the timer ticks, from when on a whole cycle may run, and how far apart woken ones are. Monotonic ns."""

    ends_ns: int
    whole_from_ns: int
    wake_ns: int | None


def pause(
    span: Pause, run_cycle: Callable[[Wake], CycleReport], clock: Clock, stop: StopSignal, wait: Wait | None
) -> Wake | None:
    """Wait for the next whole cycle, running those that the market wakes; STOP, TIME, or None after a halt."""
    rests_until_ns = 0
    while wait is not None and (now_ns := clock.monotonic_ns()) < span.ends_ns:
        # A market that moved a moment ago has had its cycle; what it does meanwhile is seen in the next one.
        is_resting = now_ns < rests_until_ns
        until_ns = min(rests_until_ns, span.ends_ns) if is_resting else span.ends_ns
        wake = wait((until_ns - now_ns) / 1e9, for_market=span.wake_ns is not None and not is_resting)
        if wake is Wake.ACCOUNT:
            span = msgspec.structs.replace(span, ends_ns=min(span.ends_ns, span.whole_from_ns))
            break  # the news stay until they are looked at: no use to wait for them
        if wake is Wake.STOP:
            break
        if wake is Wake.MARKET:
            assert span.wake_ns is not None, "prices wake only where they are asked to"
            if run_cycle(Wake.MARKET).outcome is CycleOutcome.HALTED:
                return None
            rests_until_ns = clock.monotonic_ns() + span.wake_ns
    left_s = (span.ends_ns - clock.monotonic_ns()) / 1e9
    return Wake.STOP if clock.sleep(max(left_s, 0.0), stop) else Wake.TIME


def next_tick_ns(last_tick_ns: int, now_ns: int, cycle_seconds: float) -> int:
    """The first tick of the fixed rate after now; missed ones are skipped."""
    step_ns = max(int(cycle_seconds * 1e9), 1)
    # A tick that is still to come stays where it is: a cycle that the account woke before it puts nothing off.
    return last_tick_ns + ((now_ns - last_tick_ns) // step_ns + 1) * step_ns


def back_off_seconds(troubles: int, cycle_seconds: float) -> float:
    """Extra pause after `troubles` observe-only cycles in a row; none after the first, which may be a hiccup."""
    if troubles < 2:
        return 0.0
    doublings = min(troubles - 2, BACK_OFF_DOUBLINGS_MAX)
    return min(cycle_seconds * (1 << doublings), BACK_OFF_SECONDS_MAX)


def _is_venue_trouble(report: CycleReport) -> bool:
    return any(reason.startswith(ReasonCode.VENUE_UNAVAILABLE.value) for reason in report.reasons)
