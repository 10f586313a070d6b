"""The loop: runs cycles on a timer until it is told to stop.

Ticks are at a fixed rate on the monotonic clock, with jitter from an injected source; ticks that were missed are
skipped, never caught up. While the venue is in trouble the pause doubles, up to a limit, and every wait ends at once
when the process is asked to stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import EXIT_DONE, EXIT_FAILED
from btcbot.ports import Clock, Log, Metrics, StopSignal

BACK_OFF_DOUBLINGS_MAX: Final = 4
BACK_OFF_SECONDS_MAX: Final = 60.0
FLUSH_SECONDS: Final = 0.5


class LoopOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`cycles_max` None: until stopped. `jitter_seconds` is the most that is added to a pause."""

    loop: bool
    cycle_seconds: float
    jitter_seconds: float
    cycles_max: int | None


def run_with_optional_loop(
    run_cycle: Callable[[], CycleReport],
    options: LoopOptions,
    clock: Clock,
    stop: StopSignal,
    jitter: Callable[[], float],
    metrics: Metrics,
    flush_logs: Callable[[float], object],
    log: Log,
) -> int:
    """Exit status: of one cycle (0 completed, 1 observe-only or halted), or of the loop (0 on a signal, 1 on a halt).

    `jitter` gives a number from 0 to 1.
    """
    troubles = 0
    done = 0
    next_ns = clock.monotonic_ns()
    while True:
        report = run_cycle()
        done += 1
        metrics.flush(FLUSH_SECONDS)
        flush_logs(FLUSH_SECONDS)
        if report.outcome is CycleOutcome.HALTED:
            return EXIT_FAILED
        if not options.loop:
            return EXIT_DONE if report.outcome is CycleOutcome.COMPLETED else EXIT_FAILED
        if options.cycles_max is not None and done >= options.cycles_max:
            return EXIT_DONE
        troubles = troubles + 1 if _is_venue_trouble(report) else 0
        next_ns = next_tick_ns(next_ns, clock.monotonic_ns(), options.cycle_seconds)
        pause_s = (next_ns - clock.monotonic_ns()) / 1e9 + jitter() * options.jitter_seconds
        pause_s += back_off_seconds(troubles, options.cycle_seconds)
        if clock.sleep(max(pause_s, 0.0), stop):
            log.info("loop_stopped", cycles=done)
            return EXIT_DONE


def next_tick_ns(last_tick_ns: int, now_ns: int, cycle_seconds: float) -> int:
    """The first tick of the fixed rate after now; missed ones are skipped."""
    step_ns = max(int(cycle_seconds * 1e9), 1)
    missed = max(now_ns - last_tick_ns, 0) // step_ns
    return last_tick_ns + (missed + 1) * step_ns


def back_off_seconds(troubles: int, cycle_seconds: float) -> float:
    """Extra pause after `troubles` observe-only cycles in a row; none after the first, which may be a hiccup."""
    if troubles < 2:
        return 0.0
    doublings = min(troubles - 2, BACK_OFF_DOUBLINGS_MAX)
    return min(cycle_seconds * (1 << doublings), BACK_OFF_SECONDS_MAX)


def _is_venue_trouble(report: CycleReport) -> bool:
    return any(reason.startswith(ReasonCode.VENUE_UNAVAILABLE.value) for reason in report.reasons)
