"""Runs worlds by the hundred, in one process or several, and counts what they saw.

A batch's result depends on its seeds alone: the worlds are told in the order of their seeds, whoever played them. Of a
world that held, only numbers are kept, so a batch may be as long as anybody likes.
"""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

import msgspec

from btcbot.testing.faults import FAULTS
from btcbot.testing.world import Story, World

#: Seeds that a process plays before it tells of them.
SEEDS_AT_ONCE_MAX: Final = 20
#: Failing stories that are kept whole; more of them are only counted.
FAILING_KEPT_MAX: Final = 20


class Tally(msgspec.Struct, kw_only=True):
    """Sums over seeds, and the hash of all their traces in the order of the seeds."""

    seeds: int = 0
    violations: int = 0
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    #: Worlds by the profile that they were played with.
    profiles: Counter[str] = msgspec.field(default_factory=Counter)
    crashes: int = 0
    crashed_in: Counter[str] = msgspec.field(default_factory=Counter)
    submits: int = 0
    fills: int = 0
    instruments: int = 0
    comparisons: int = 0
    cycles: int = 0
    woken: int = 0
    woken_submits: int = 0
    cpu_s: float = 0.0
    #: The first that failed.
    failing: list[Story] = msgspec.field(default_factory=list)
    _first_hash: str = ""
    _folded: hashlib._Hash = msgspec.field(default_factory=hashlib.sha256)

    def add(self, story: Story) -> None:
        """The next seed's story."""
        self._folded.update((("\n" if self.seeds else "") + story.trace_sha256).encode())
        self._first_hash = self._first_hash or story.trace_sha256
        self.seeds += 1
        self.faults.update(story.faults)
        self.profiles[story.profile] += 1
        self.crashes += story.crashes
        self.crashed_in.update(story.crashed_in)
        self.submits += story.submits
        self.fills += story.fills
        self.instruments += story.instruments
        self.comparisons += story.comparisons
        self.cycles += story.cycles
        self.woken += story.woken
        self.woken_submits += story.woken_submits
        self.cpu_s += story.cpu_s
        if story.violation is not None:
            self.violations += 1
            if len(self.failing) < FAILING_KEPT_MAX:
                self.failing.append(story)

    @property
    def trace_sha256(self) -> str:
        """Of a single seed, the hash of its trace; else of all hashes, one below the other."""
        return self._first_hash if self.seeds == 1 else str(self._folded.hexdigest())

    @property
    def unseen(self) -> list[str]:
        """Faults of the catalogue that never struck."""
        return [name for name in FAULTS if not self.faults[name]]

    @property
    def sums(self) -> Mapping[str, int]:
        """By the names that `demands` has for them."""
        return {
            "submits": self.submits,
            "fault firings": self.faults.total(),
            "crashes": self.crashes,
            "fills": self.fills,
            "instruments": self.instruments,
            "woken cycles": self.woken,
            "woken orders": self.woken_submits,
        }

    def report(self) -> dict[str, object]:
        """The one line of JSON."""
        return {
            "seeds": self.seeds,
            "violations": self.violations,
            "profiles": dict(sorted(self.profiles.items())),
            "faults": dict(sorted(self.faults.items())),
            "crashes": self.crashes,
            "submits": self.submits,
            "fills": self.fills,
            "trace_sha256": self.trace_sha256,
        }

    def averages(self) -> str:
        """Of one seed, and how fast they went."""
        seeds = max(self.seeds, 1)
        told = ", ".join(f"{total / seeds:.1f} {name}" for name, total in self.sums.items())
        per_minute = f"{self.seeds / self.cpu_s * 60:.0f}" if self.cpu_s else "–"
        return (
            f"{self.seeds} seeds, {self.violations} violations; on average {told}, {self.cycles / seeds:.1f} cycles; "
            f"{per_minute} seeds a CPU-minute"
        )


def stories(
    first: int, count: int, *, cycles: int | None = None, only: Collection[str] | None = None
) -> Iterator[Story]:
    """The worlds of `count` seeds from `first` on, one after the other."""
    for seed in range(first, first + count):
        started_s = time.process_time()
        try:
            with _garbage_collected_afterwards():
                story = World(seed, cycles=cycles, only=only).run()
        except BaseException as error:
            error.add_note(f"in the world of seed {seed}")  # the venue's own books, or the test kit, are broken
            raise
        story.cpu_s = time.process_time() - started_s
        yield story


@contextmanager
def _garbage_collected_afterwards() -> Iterator[None]:
    """Let no search for reference cycles interrupt a world: it leaves few, and they are found at its end."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(1)
        if was_enabled:
            gc.enable()


def simulate(
    first: int,
    count: int,
    *,
    cycles: int | None = None,
    only: Collection[str] | None = None,
    watch: Callable[[Story], None] | None = None,
    stop_at_first: bool = False,
    workers: int = 1,
    with_traces: bool = True,
) -> Tally:
    """Run them all, or until the first that fails. `workers` processes share the seeds; the result is the same.

    `watch` sees each story in the order of the seeds; without traces, only those that failed still have theirs.
    """
    tally = Tally()
    told = (
        stories(first, count, cycles=cycles, only=only)
        if workers == 1
        else _shared(first, count, cycles, only, workers, with_traces)
    )
    for story in told:
        tally.add(story)
        if watch is not None:
            watch(story)
        if stop_at_first and story.violation is not None:
            break
    return tally


def _shared(
    first: int, count: int, cycles: int | None, only: Collection[str] | None, workers: int, with_traces: bool
) -> Iterator[Story]:
    """The same stories, played by several processes, told in the order of their seeds."""
    size = max(1, min(SEEDS_AT_ONCE_MAX, count // (workers * 4)))
    slices = [(at, min(size, first + count - at)) for at in range(first, first + count, size)]
    play = partial(_play, cycles=cycles, only=None if only is None else frozenset(only), with_traces=with_traces)
    # New interpreters instead of copies of this one: a copy would bring its threads' locks along.
    with multiprocessing.get_context("spawn").Pool(min(workers, len(slices)), _begin_worker) as pool:
        for told in pool.imap(play, slices):
            yield from told


def _begin_worker() -> None:
    """The keyboard's interrupt is for the process that was asked; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _play(part: tuple[int, int], *, cycles: int | None, only: Collection[str] | None, with_traces: bool) -> list[Story]:
    told = []
    for story in stories(*part, cycles=cycles, only=only):
        if story.violation is None:
            story.fired.clear()  # counted already; what is not needed is not carried over
            if not with_traces:
                story.trace.clear()
        told.append(story)
    return told
