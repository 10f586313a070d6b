"""G6: bad input into everything that reads: answers and frames of the venue, env files, settings, operators' requests.

Whatever comes in, a typed value or the reader's own error comes out, within its time and memory, without a float. Input
number n is made from n alone, so a slice can be run anywhere and a finding told by its number: `replay(n)` shows it.

The inputs are good answers with something wrong in them: a place replaced, lost, repeated, nested or renamed, numbers
in spellings that a float would swallow, bytes flipped, texts cut; and some that are noise from the first byte.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

from proof.fuzzing import people, venue
from proof.fuzzing.answers import DECODERS
from proof.fuzzing.demands import Case, TooSlow, demand
from proof.result import Result

#: Beyond the input itself.
MEMORY_BYTES_MAX: Final = 10 * 1024 * 1024
#: Every so-manieth input is watched for its memory, which makes it ten times slower.
MEMORY_EVERY: Final = 97
FAILURES_TOLD_MAX: Final = 20
_PERIOD: Final = 400


def case(number: int) -> Case:
    """Input `number`, from the number alone (but for the books that an operator's requests meet)."""
    random = Random(number)
    at = number % _PERIOD
    if at == 0:
        return people.of_operator(random)
    if at < 20:
        return people.of_settings(random)
    if at < 50:
        return people.of_env_file(random)
    if at < 60:
        return people.of_amount(random)
    if at < 70:
        return venue.of_retry_after(random)
    if at < 200:
        return venue.of_outcome(random)
    if at < 240:
        return venue.of_feed(random)
    return venue.of_wire(random.choice(_DECODER_NAMES), random)


_DECODER_NAMES: Final = sorted(DECODERS)


@contextmanager
def within(seconds_max: float) -> Iterator[None]:
    """Of this thread's processor time, without collections of what the rest of the process left lying."""
    gc.disable()
    started = time.thread_time()
    try:
        yield
        took_s = time.thread_time() - started
        if took_s > seconds_max:
            raise TooSlow(f"it took {took_s * 1000:.0f} ms of processor time")
    finally:
        gc.enable()


def attempt(tried: Case, *, watches_memory: bool = False) -> int:
    """Read it; the peak of memory in bytes where that is watched, else 0. Raise Finding."""
    if not watches_memory:
        try:
            with within(tried.seconds_max):
                tried.read()
        except TooSlow:
            with within(tried.seconds_max):  # what is slow is slow twice; a page that had to be fetched is not
                tried.read()
        return 0
    tracemalloc.start()
    try:
        tried.read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    demand(peak <= MEMORY_BYTES_MAX + 2 * tried.size, f"it took {peak:,} bytes for {tried.size:,}")
    return peak


def replay(number: int) -> str:
    """What became of input `number`, in a line; an empty line when all was well."""
    try:
        attempt(case(number))
    except Exception as error:  # noqa: BLE001 - whatever a reader raises is the finding
        return f"{type(error).__name__}: {error}"
    return ""


def run(first: int = 1, count: int = 10_000) -> Result:
    """`count` inputs from number `first` on."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    peak = longest_us = 0
    try:
        for number in range(first, first + count):
            tried = case(number)
            counts["inputs"] += 1
            counts[f"inputs:{tried.target}"] += 1
            try:
                started = time.thread_time_ns()
                watches = number % MEMORY_EVERY == 0 and not tried.is_heavy
                peak = max(peak, attempt(tried, watches_memory=watches))
                if not tried.is_heavy and not watches:
                    longest_us = max(longest_us, (time.thread_time_ns() - started) // 1_000)
            except Exception as error:  # noqa: BLE001 - whatever a reader raises is the finding
                counts["findings"] += 1
                if len(failures) < FAILURES_TOLD_MAX:
                    failures.append(f"input {number} ({tried.target}): {type(error).__name__}: {str(error)[:300]}")
        if people.bench.cache_info().currsize:
            failures += [f"books after an operator's requests: {fault}" for fault in people.bench()[0].store.verify()]
    finally:
        people.close_bench()
    counts["findings"] += 0
    notes = {"longest": f"{longest_us / 1000:.1f} ms", "largest": f"{peak / 1024:.0f} KiB"}
    return Result(goal="G6", part="fuzz", counts=dict(counts), failures=failures, notes=notes)
