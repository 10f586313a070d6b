"""How a planted mistake is looked for: each way tells where it was found and what spoke first, or that nothing did."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from btcbot.testing import watched
from btcbot.testing.checkers import Violated
from btcbot.testing.checkers.instances import one_writer
from btcbot.testing.faults import FAULTS
from btcbot.testing.swarm import draw_swarm
from btcbot.testing.world import Story, World
from proof.bugs import Bug, Way
from proof.planting import planted

FIRST_SEED: Final = 1
#: A mistake that so many seeds do not find counts as not found.
SEEDS_MAX: Final = 500
DRY_SEEDS: Final = 6
TRACE_SEEDS: Final = 80
TRACE_CYCLES: Final = 20


class Found(msgspec.Struct, frozen=True):
    """Who spoke first, what was said, and where: a seed, a placement, a way in. `story` is there for a seed."""

    by: str
    text: str
    where: str
    story: Story | None = None


def look_for(bug: Bug) -> Found | None:
    """What finds it, or None within the allowance. The product is as it was when this returns."""
    return _WAYS[bug.way](bug)


def speaker(invariant: str, text: str) -> str:
    """`HALT I9` for an invariant that the product asserts itself and halts on, `ASSERT I14` where it stops dead."""
    if invariant == "HALT":
        return f"HALT {text.partition('_')[0]}"
    said = text.removeprefix("AssertionError: ")
    if invariant == "I0" and said != text:
        return f"ASSERT {said.partition(':')[0]}"
    return invariant


def _by_seeds(bug: Bug) -> Found | None:
    with planted(*bug.patches):
        for seed in range(FIRST_SEED, FIRST_SEED + SEEDS_MAX):
            story = world_of(seed, bug.faults, bug.profile or None).run()
            if story.violation is not None:
                where = f"seed {seed} of {', '.join(bug.faults)}" if bug.faults else f"seed {seed}"
                where += f", {bug.profile}" if bug.profile else ""
                return Found(speaker(*story.violation), story.violation[1], where, story)
    return None


def world_of(seed: int, faults: Mapping[str, int], profile: str | None = None) -> World:
    """The world of this seed, or of this seed and profile; with `faults`, these alone strike, this often."""
    if not faults:
        return World(seed, profile=profile)
    drawn = draw_swarm(seed, None, frozenset(FAULTS), profile)
    return World(seed, swarm=msgspec.structs.replace(drawn, rates=faults, skew_ms=0))


def _by(told: Callable[[], object], where: str) -> Callable[[Bug], Found | None]:
    def look(bug: Bug) -> Found | None:
        with planted(*bug.patches):
            try:
                told()
            except Violated as violated:
                return Found(speaker(violated.invariant, violated.text), violated.text, where)
        return None

    return look


def _dry_runs() -> None:
    for seed in range(FIRST_SEED, FIRST_SEED + DRY_SEEDS):
        watched.dry_run(seed)


def _locks() -> None:
    with tempfile.TemporaryDirectory() as folder:
        one_writer(Path(folder))


def _by_traces(bug: Bug) -> Found | None:
    with _traces_elsewhere(bug, "1") as one, _traces_elsewhere(bug, "2") as other:
        for seed in range(FIRST_SEED, FIRST_SEED + TRACE_SEEDS):
            here, there = one.readline().strip(), other.readline().strip()
            if not here or not there:
                raise RuntimeError(f"a run of seed {seed} ended without its trace")
            if here != there:
                return Found("I19", f"two runs of it differ: {here[:12]} and {there[:12]}", f"seed {seed}")
    return None


@contextmanager
def _traces_elsewhere(bug: Bug, hash_seed: str) -> Iterator[IO[str]]:
    """The lines of `tell_traces` from a process whose sets have another order."""
    code = "import sys; from proof.ways import tell_traces; tell_traces(sys.argv[1])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, bug.name],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None, "asked for"
    try:
        yield process.stdout
    finally:
        process.kill()
        process.communicate()


def tell_traces(name: str) -> None:
    """Print the trace hash of some seeds with this mistake, or without any for an empty name."""
    from proof.bugs import BUGS

    with planted(*(patch for bug in BUGS if bug.name == name for patch in bug.patches)):
        for seed in range(FIRST_SEED, FIRST_SEED + TRACE_SEEDS):
            print(World(seed, cycles=TRACE_CYCLES).run().trace_sha256, flush=True)


_WAYS: Final[Mapping[Way, Callable[[Bug], Found | None]]] = {
    Way.SEEDS: _by_seeds,
    Way.KILL_FILE: _by(watched.kill_file_anywhere, "at a point of a cycle"),
    Way.DRY_RUN: _by(_dry_runs, "in a dry run"),
    Way.LOCKS: _by(_locks, "by a second writer"),
    Way.UNDER_WAY: _by(watched.ends_while_sending, "while an order travels"),
    Way.AT_ONCE: _by(watched.at_once, "at a venue that answers at once"),
    Way.HALTED: _by(watched.halted, "after a halt"),
    Way.TRACES: _by_traces,
}
