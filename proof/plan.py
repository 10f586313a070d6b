"""What is to be proved, in data: the goals G1–G15, which part of the proof brings which count, and how much of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from proof.result import Result


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A module of `proof`. Endless ones take `first` and `count`; finite ones come in slices, `slice` of `of`."""

    name: str
    what: str
    #: How many make up the CI column, 0 for what runs on demand only; for a finite part, in how many slices it is run.
    ci: int
    is_finite: bool = False
    #: How many go into one process.
    chunk: int = 1
    seconds_max: int = 600
    first: int = 1
    #: Thins it out in CI: arguments of `run` beside the slice.
    ci_arguments: Mapping[str, int] = {}
    #: It waits for processes and sockets more than it computes: it runs beside the others.
    waits: bool = False

    def ci_tasks(self) -> Iterator[Mapping[str, int]]:
        """The arguments of each process of the CI column."""
        if self.ci:
            yield from ({**task, **self.ci_arguments} for task in self.tasks())

    def tasks(self, count: int | None = None, first: int | None = None) -> Iterator[Mapping[str, int]]:
        """The arguments of each process of a run of this size."""
        if self.is_finite:
            slices = count or max(self.ci, 1)
            yield from ({"slice": number, "of": slices} for number in range(slices))
            return
        at, left = self.first if first is None else first, self.ci if count is None else count
        while left > 0:
            taken = min(self.chunk, left)
            yield {"first": at, "count": taken}
            at, left = at + taken, left - taken


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: the sum of `key` over `parts` has to reach `ci` (or must not exceed it)."""

    goal: str
    what: str
    parts: tuple[str, ...]
    key: str
    ci: int | None  # None: on demand, not in CI
    gate: int | None = None
    is_limit: bool = False

    def seen(self, results: list[Result]) -> int:
        return sum(result.counts.get(self.key, 0) for result in results if result.part in self.parts)

    def is_met(self, seen: int) -> bool:
        if self.ci is None:
            return True
        return seen <= self.ci if self.is_limit else seen >= self.ci


#: In the order in which they start: what takes long in one process comes first.
PARTS: Final[Mapping[str, Part]] = {
    part.name: part
    for part in (
        Part(name="soak", what="cycles without a restart, in simulated time", ci=20_000, chunk=50_000),
        Part(name="kills", what="kill -9 of real processes", ci=200, chunk=50, waits=True),
        Part(name="network", what="a real network that fails", ci=2, is_finite=True, waits=True),
        Part(name="kill_switch", what="the kill file under load", ci=200, chunk=100, waits=True),
        Part(name="instances", what="several bots at once", ci=100, chunk=25, waits=True),
        Part(name="crash_points", what="a crash at every point of every story", ci=8, is_finite=True,
             ci_arguments={"rest_each": 16}),
        Part(name="seeds", what="worlds of faults", ci=2_500, chunk=250),
        Part(name="planted", what="deliberate mistakes, each to be found", ci=8, is_finite=True),
        Part(name="power_loss", what="power lost at any write or sync", ci=2_000, chunk=500),
        Part(name="disk_errors", what="no space and I/O errors at every operation", ci=4, is_finite=True,
             ci_arguments={"step": 12}),
        Part(name="fuzz", what="bad bytes into every decoder", ci=200_000, chunk=50_000),
        Part(name="same_trace", what="the same seed twice", ci=200, chunk=100),
        Part(name="canaries", what="secrets looked for wherever they could leak", ci=1, is_finite=True),
        Part(name="gates", what="the arming truth table", ci=1, is_finite=True),
        Part(name="mutation", what="mutants of domain and decisions", ci=0, is_finite=True, seconds_max=3_600),
    )
}  # fmt: skip

DEMANDS: Final[tuple[Demand, ...]] = (
    Demand(goal="G1", what="simulated seeds", parts=("seeds",), key="seeds", ci=2_500, gate=1_000_000),
    Demand(goal="G1", what="cycles that the live feed woke", parts=("seeds",), key="woken cycles", ci=12_500),
    Demand(goal="G1", what="orders that left in these", parts=("seeds",), key="woken orders", ci=2_000),
    Demand(goal="G2", what="fault events survived", parts=("seeds",), key="faults", ci=75_000, gate=25_000_000),
    Demand(goal="G3", what="simulated crashes, random", parts=("seeds",), key="crashes", ci=4_000, gate=1_500_000),
    Demand(goal="G3", what="stories crashed at every point", parts=("crash_points",), key="stories", ci=30, gate=30),
    Demand(goal="G3", what="crash placements", parts=("crash_points",), key="placements", ci=1_500),
    Demand(goal="G3", what="placements of two crashes", parts=("crash_points",), key="pairs", ci=400, gate=6_600),
    Demand(goal="G4", what="real `kill -9` survived", parts=("kills",), key="kills", ci=200, gate=10_000),
    Demand(goal="G5", what="planted bugs found", parts=("planted",), key="found", ci=40),
    Demand(goal="G5", what="mutants of domain and decisions", parts=("mutation",), key="mutants", ci=None),
    Demand(goal="G5", what="of these killed by unit tests", parts=("mutation",), key="killed", ci=None),
    Demand(goal="G6", what="bad inputs tried on codecs", parts=("fuzz",), key="inputs", ci=200_000, gate=50_000_000),
    Demand(goal="G7", what="starts of several instances", parts=("instances",), key="starts", ci=100, gate=2_000),
    Demand(goal="G8", what="power losses", parts=("power_loss",), key="power_losses", ci=2_000, gate=100_000),
    Demand(goal="G8", what="acknowledged commits lost", parts=("power_loss",), key="lost", ci=0, gate=0,
           is_limit=True),
    Demand(goal="G8", what="disk-full and I/O-error positions", parts=("disk_errors",), key="positions", ci=1_000),
    Demand(goal="G8", what="stories with the disk failing at a commit", parts=("crash_points",), key="disk_positions",
           ci=300, gate=5_500),
    Demand(goal="G9", what="flips of the kill switch", parts=("kill_switch",), key="flips", ci=200, gate=2_000),
    Demand(goal="G9", what="orders that left after the flip", parts=("kill_switch",), key="late_orders", ci=0, gate=0,
           is_limit=True),
    Demand(goal="G9", what="flips at each point of each story", parts=("crash_points",), key="kill_flips", ci=2_000),
    Demand(goal="G10", what="soak cycles", parts=("soak",), key="cycles", ci=20_000, gate=1_000_000),
    Demand(goal="G11", what="comparisons of books and venue, difference 0", parts=("seeds", "kills", "crash_points"),
           key="comparisons", ci=10_000),
    Demand(goal="G12", what="pairs of the same seed, same trace", parts=("same_trace",), key="pairs", ci=200,
           gate=100_000),
    Demand(goal="G13", what="rows of the arming truth table, one opens", parts=("gates",), key="rows", ci=512),
    Demand(goal="G14", what="places searched for secrets", parts=("canaries",), key="places", ci=20),
    Demand(goal="G14", what="secrets found", parts=("canaries",), key="hits", ci=0, gate=0, is_limit=True),
    Demand(goal="G15", what="restarts timed", parts=("kills",), key="restarts", ci=100),
)  # fmt: skip
