"""G5: who checks the checkers? Deliberate mistakes in the product, each to be found, by the invariant that it breaks.

`run` proves a slice of the list. `write` tells all of it once more, makes each story as short as it can be, and writes
docs/explanation/planted-bugs.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from btcbot.testing.shrink import shrink
from proof.bugs import BUGS, Bug, Way
from proof.planting import DoesNotFit, planted, spoiled
from proof.result import Result
from proof.ways import FIRST_SEED, SEEDS_MAX, Found, look_for

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "planted-bugs.md"
#: Invariants each of which has to be the first to notice at least one mistake.
TO_SPEAK_FIRST: Final = (*(f"I{number}" for number in range(1, 21)), *(f"I{number}" for number in range(23, 27)))
#: How often a story is told again to make it short.
TELLINGS_MAX: Final = 30
FAULTS_SHOWN_MAX: Final = 6
#: Ways that take no time where there is nothing to find; worlds without a mistake are the goal G1.
QUICK_WAYS: Final = (Way.KILL_FILE, Way.DRY_RUN, Way.LOCKS, Way.UNDER_WAY, Way.HALTED, Way.AT_ONCE)


def run(slice: int = 0, of: int = 1) -> Result:  # noqa: A002 (the plan names its slices so)
    """Look for every `of`th mistake of the list, from number `slice` on.

    A mistake that no longer fits the product, that lives through its allowance, or that another invariant notices first
    is a failure; so is a way that finds something where nothing is planted.
    """
    bugs = BUGS[slice::of]
    notes: dict[str, str] = {}
    failures = [
        f"without any mistake, {found.where}: {found.by}: {found.text}"
        for way in dict.fromkeys(bug.way for bug in bugs)
        if way in QUICK_WAYS and (found := look_for(nothing_planted(way))) is not None
    ]
    for bug in bugs:
        try:
            found = look_for(bug)
        except DoesNotFit as error:
            failures.append(f"{bug.name}: {error}")
            continue
        if (failure := judged(bug, found)) is not None:
            failures.append(failure)
        elif found is not None:
            notes[bug.name] = f"{found.by}, {found.where}"
    return Result(
        goal="G5",
        part="planted",
        counts={"planted": len(bugs), "found": len(notes)},
        failures=failures,
        notes=notes,
    )


def judged(bug: Bug, found: Found | None) -> str | None:
    """Why this is no proof, or None."""
    if found is None:
        return f"{bug.name}: nothing notices it ({_allowance(bug)})"
    if found.by not in bug.caught_by:
        return f"{bug.name}: {found.by} speaks first and not {' or '.join(bug.caught_by)}; {found.where}: {found.text}"
    return None


def nothing_planted(way: Way) -> Bug:
    return Bug(name="", patches=(), caught_by=(), way=way)


def silent(bugs: Iterable[Bug] = BUGS) -> list[str]:
    """Invariants that are the only one named for no mistake at all."""
    first = {bug.caught_by[0] for bug in bugs if len(bug.caught_by) == 1}
    return [name for name in TO_SPEAK_FIRST if name not in first]


def misfits(bugs: Iterable[Bug] = BUGS) -> list[str]:
    """Mistakes that cannot be planted any more, each with its reason."""
    found = []
    for bug in bugs:
        for patch in bug.patches:
            try:
                spoiled(patch)
            except DoesNotFit as error:
                found.append(f"{bug.name}: {error}")
    return found


def _allowance(bug: Bug) -> str:
    return f"seeds {FIRST_SEED} to {FIRST_SEED + SEEDS_MAX - 1}" if bug.way is Way.SEEDS else bug.way.value


# -- the page ------------------------------------------------------------------------------------------------------


class Row(msgspec.Struct, frozen=True):
    """A mistake, what noticed it, and the shortest story that shows it."""

    bug: Bug
    found: Found
    faults: Sequence[str]


def shortest(bug: Bug, found: Found) -> Sequence[str]:
    """The faults without which the mistake would not have shown, oldest first; none where it shows by itself."""
    if found.story is None:
        return ()
    with planted(*bug.patches):
        return [str(firing) for firing in shrink(found.story, TELLINGS_MAX).fired]


def rows(bugs: Iterable[Bug] = BUGS) -> tuple[list[Row], list[str]]:
    """Look for all of them and make their stories short; and what was not found as it should."""
    made, failures = [], []
    for bug in bugs:
        found = look_for(bug)
        failure = judged(bug, found)
        if failure is None and found is not None:
            made.append(Row(bug, found, shortest(bug, found)))
        else:
            failures.append(failure or bug.name)
    return made, failures


def page(told: Sequence[Row]) -> str:
    """The text of docs/explanation/planted-bugs.md."""
    lines = [
        "# Planted bugs: who checks the checkers",
        "",
        f"Each of these {len(told)} deliberate mistakes was planted into the product's code, one at a time, and had to",
        "be found by the invariant that it breaks. «HALT» means that the product's own assertion of that invariant",
        f"halted it first. Worlds are played from seed {FIRST_SEED} on, {SEEDS_MAX} at most; «of …» are worlds of",
        "these faults alone, which are then frequent. What chance meets too rarely is looked for by placement: the",
        "kill file made at every point of a cycle and in every form, the process ended while its order travels, a",
        "second writer by every path, one seed in two processes.",
        "",
        "The list is `proof/bugs.py`, the proof `python -m proof run planted`; this page is written by",
        "`proof.planted.write`, never by hand.",
        "",
        "| mistake | told after | noticed by | where | faults that it takes |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in told:
        shown = "<br>".join(row.faults[:FAULTS_SHOWN_MAX]) or ("none" if row.bug.way is Way.SEEDS else "–")
        more = len(row.faults) - FAULTS_SHOWN_MAX
        shown += f"<br>and {more} more" if more > 0 else ""
        after = row.bug.after or "–"
        lines.append(f"| {row.bug.name} | {after} | {row.found.by} | {row.found.where} | {shown} |")
    return "\n".join([*lines, ""])


def write(path: Path = PAGE) -> list[str]:
    """Find everything once more and write the page; what is not found is left out, and told here."""
    told, failures = rows()
    path.write_text(page(told), encoding="utf-8")
    return failures
