"""Runs worlds by the hundred and counts what they saw. The command `btcbot simulate` tells it to people."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator

import msgspec

from btcbot.testing.faults import FAULTS
from btcbot.testing.world import Story, World


class Tally(msgspec.Struct, kw_only=True):
    """Sums over seeds. `trace_sha256` is the trace of a single seed, or the hash of all traces in their order."""

    seeds: int = 0
    violations: int = 0
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    crashes: int = 0
    submits: int = 0
    fills: int = 0
    cycles: int = 0
    cpu_s: float = 0.0
    failing: list[Story] = msgspec.field(default_factory=list)
    hashes: list[str] = msgspec.field(default_factory=list)

    def add(self, story: Story) -> None:
        self.seeds += 1
        self.faults.update(story.faults)
        self.crashes += story.crashes
        self.submits += story.submits
        self.fills += story.fills
        self.cycles += story.cycles
        self.hashes.append(story.trace_sha256)
        if story.violation is not None:
            self.violations += 1
            self.failing.append(story)

    @property
    def trace_sha256(self) -> str:
        return self.hashes[0] if len(self.hashes) == 1 else hashlib.sha256("\n".join(self.hashes).encode()).hexdigest()

    @property
    def unseen(self) -> list[str]:
        """Faults of the catalogue that never struck."""
        return [name for name in FAULTS if not self.faults[name]]

    def report(self) -> dict[str, object]:
        """The one line of JSON."""
        return {
            "seeds": self.seeds,
            "violations": self.violations,
            "faults": dict(sorted(self.faults.items())),
            "crashes": self.crashes,
            "submits": self.submits,
            "fills": self.fills,
            "trace_sha256": self.trace_sha256,
        }

    def averages(self) -> str:
        """Of one seed, and how fast they went."""
        seeds = max(self.seeds, 1)
        per_minute = f"{self.seeds / self.cpu_s * 60:.0f}" if self.cpu_s else "–"
        return (
            f"{self.seeds} seeds, {self.violations} violations; on average {self.faults.total() / seeds:.1f} faults, "
            f"{self.crashes / seeds:.1f} crashes, {self.submits / seeds:.1f} submits, {self.fills / seeds:.1f} fills, "
            f"{self.cycles / seeds:.1f} cycles; {per_minute} seeds a CPU-minute"
        )


def stories(
    first: int, count: int, *, cycles: int | None = None, only: Collection[str] | None = None
) -> Iterator[Story]:
    """The worlds of `count` seeds from `first` on, one after the other."""
    for seed in range(first, first + count):
        yield World(seed, cycles=cycles, only=only).run()


def simulate(
    first: int,
    count: int,
    *,
    cycles: int | None = None,
    only: Collection[str] | None = None,
    watch: Callable[[Story], None] | None = None,
    stop_at_first: bool = False,
) -> Tally:
    """Run them all, or until the first that fails."""
    tally = Tally()
    started_s = time.process_time()
    for story in stories(first, count, cycles=cycles, only=only):
        tally.add(story)
        tally.cpu_s = time.process_time() - started_s
        if watch is not None:
            watch(story)
        if stop_at_first and story.violation is not None:
            break
    return tally
