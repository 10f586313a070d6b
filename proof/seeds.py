"""G1, G2, G3, G11: worlds of faults from seeds. No invariant broken, books equal to the venue at every rest.

A slice whose averages fall short of what is demanded proves nothing and fails too; `shortfalls` says the same of the
sum of many slices, where rare faults can be judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from btcbot.testing.demands import DEMANDS, missed
from btcbot.testing.simulate import simulate
from proof.result import Result

#: Before the name of a fault in `counts`.
KIND: Final = "fault:"


def run(first: int = 1, count: int = 250) -> Result:
    """The worlds of seeds `first` to `first + count - 1`."""
    tally = simulate(first, count)
    failures = [
        f"seed {story.seed}: {' is broken: '.join(story.violation)} (btcbot simulate {story.seed} --trace)"
        for story in tally.failing
        if story.violation is not None
    ]
    if tally.violations > len(failures):
        failures.append(f"{tally.violations - len(failures)} more seeds broke an invariant")
    failures += [f"seeds {first} to {first + count - 1}: {short}" for short in missed(tally)]
    return Result(
        goal="G1",
        part="seeds",
        counts={
            "seeds": tally.seeds,
            "violations": tally.violations,
            "faults": tally.faults.total(),
            "crashes": tally.crashes,
            "submits": tally.submits,
            "fills": tally.fills,
            "instruments": tally.instruments,
            "comparisons": tally.comparisons,
            "cycles": tally.cycles,
            "woken cycles": tally.woken,
            "woken orders": tally.woken_submits,
            **{f"{KIND}{name}": struck for name, struck in sorted(tally.faults.items())},
        },
        failures=failures,
        notes={"trace_sha256": tally.trace_sha256},
    )


class _Summed(msgspec.Struct, frozen=True):
    """Counts of several runs added up, as `demands` reads them."""

    counts: Mapping[str, int]

    @property
    def seeds(self) -> int:
        return self.counts.get("seeds", 0)

    @property
    def faults(self) -> Mapping[str, int]:
        return {name.removeprefix(KIND): struck for name, struck in self.counts.items() if name.startswith(KIND)}

    @property
    def sums(self) -> Mapping[str, int]:
        return {name: self.counts.get("faults" if name == "fault firings" else name, 0) for name in DEMANDS}


def shortfalls(counts: Mapping[str, int]) -> Sequence[str]:
    """What the added counts of runs of this part fall short of, each in a line."""
    return missed(_Summed(counts))
