"""docs/figures.md: the goals G1–G15 and what was seen, written from the tally and never by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from proof.alike import PART, SEEDS_MIN, seeds_of_alike
from proof.plan import DEMANDS, PARTS, Demand
from proof.tally import ROOT, Record, without_repeats

PAGE: Final = ROOT / "docs" / "figures.md"
README: Final = ROOT / "README.md"
_BEGIN: Final = "<!-- figures: written by `make figures` -->\n"
_END: Final = "<!-- end of figures -->"
NOTES_MAX: Final = 8
#: What the README shows: (goal, its demand's key, words for a stranger).
_SHORT: Final = (
    ("G1", "seeds", "worlds of random faults, each played from a seed"),
    ("G2", "faults", "faults that struck in them"),
    ("G3", "crashes", "crashes in them, each followed by a recovery"),
    ("G3", "placements", "crashes placed at every point of every story, one after the other"),
    ("G4", "kills", "`kill -9` of the real process while it trades"),
    ("G5", "found", "deliberate mistakes planted in the code and found"),
    ("G8", "power_losses", "power losses at any write or sync; failed: an acknowledged commit is lost"),
    ("G9", "flips", "flips of the kill switch under load; failed: an order left after it"),
    ("G11", "comparisons", "comparisons of books and venue; failed: they differ in the last digit"),
)

_HEAD: Final = """# Figures of the proof

Written by `make figures` from docs/figures.jsonl, never by hand. Each figure was seen by a run of the command beside
it; a range that was played twice with the same code counts once. «this code» is what was seen with the source as it
stood at the latest run ({code}); «alike» adds the seeds of versions that gave the same traces for {seeds_min:,} seeds
and more, and never another one: they differ from it in speed or in clarity; «ever» adds every version. A goal's
release gate stands beside it where there is one, reached or not. A plus behind a commit: files differed from it.

"""


def page(records: Sequence[Record]) -> str:
    """The whole page. The same records give the same bytes."""
    if not records:
        return _head("none yet") + "Nothing was run yet.\n"
    code = records[-1].code
    ever = without_repeats(records)
    ours = [one for one in ever if one.code == code]
    like = seeds_of_alike(records, code)
    lines = [
        "| goal | what | CI asks | this code | alike | ever | release gate |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [_row(demand, ours, like, ever) for demand in DEMANDS]
    return "\n".join(
        [
            _head(f"tree {code}") + "\n".join(lines),
            _failures(_with_others(ours, like)),
            _notes(ours),
            _commands(),
            _runs(ever),
        ]
    )


def _head(code: str) -> str:
    return _HEAD.format(code=code, seeds_min=SEEDS_MIN)


def _with_others(ours: Sequence[Record], like: Sequence[Record]) -> list[Record]:
    """Our runs, and the seeds that versions like ours played: a failure of theirs is one of ours."""
    return [*ours, *(one for one in like if one not in ours)]


def short(records: Sequence[Record]) -> str:
    """The few lines of the README: what was seen so far, with every version of the code."""
    ever = without_repeats(records)
    code = records[-1].code if records else ""
    lines = ["| what was survived | so far | failed, latest code |", "| --- | ---: | ---: |"]
    for goal, key, words in _SHORT:
        demand = next(demand for demand in DEMANDS if (demand.goal, demand.key) == (goal, key))
        failed = sum(len(one.result.failures) for one in ever if one.code == code and one.result.part in demand.parts)
        lines.append(f"| {words} | {demand.seen([one.result for one in ever]):,} | {failed} |")
    return "\n".join(lines) + "\n"


def with_short(readme: str, records: Sequence[Record]) -> str:
    """The README with its few lines as they should be."""
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    assert after, "the README has lost the marks between which its figures stand"
    return f"{before}{_BEGIN}{short(records)}{_END}{after}"


def _row(demand: Demand, ours: Sequence[Record], like: Sequence[Record], ever: Sequence[Record]) -> str:
    seen = demand.seen([one.result for one in ours])
    total = demand.seen([one.result for one in ever])
    asked = "on demand" if demand.ci is None else f"{'≤' if demand.is_limit else '≥'} {demand.ci:,}"
    gate = "" if demand.gate is None else f"{demand.gate:,}"
    mark = "" if demand.is_met(seen) else " (missed)"
    carried = f"{demand.seen([one.result for one in like]):,}" if PART in demand.parts else ""
    return f"| {demand.goal} | {demand.what} | {asked} | {seen:,}{mark} | {carried} | {total:,} | {gate} |"


def _failures(ours: Sequence[Record]) -> str:
    failures = [f"- {one.result.part} {dict(one.arguments)}: {told}" for one in ours for told in one.result.failures]
    if not failures:
        return "\nFailures with this code: **none**, in any part.\n"
    return "\nFailures with this code:\n\n" + "\n".join(failures) + "\n"


def _notes(ours: Sequence[Record]) -> str:
    """What is no sum, of the latest run of each part."""
    notes: dict[tuple[str, str], str] = {}
    for one in ours:
        if len(one.result.notes) > NOTES_MAX:
            continue  # a list with a page of its own
        for name, text in one.result.notes.items():
            notes[one.result.part, name] = text
    if not notes:
        return ""
    rows = [f"| {part} | {name} | {text} |" for (part, name), text in sorted(notes.items())]
    return "\n".join(["## Beside the sums, as the latest run of each part told", "", "| part | what | seen |",
                      "| --- | --- | --- |", *rows, ""])  # fmt: skip


def _commands() -> str:
    rows = []
    for part in PARTS.values():
        size = "" if part.is_finite else " --first K --count N"
        rows.append(f"| {part.name} | {part.what} | `python -m proof run {part.name}{size}` |")
    return "\n".join(["## Commands", "", "`make proof` runs all of them at the size of CI.", "",
                      "| part | what | command |", "| --- | --- | --- |", *rows, ""])  # fmt: skip


def _runs(ever: Sequence[Record]) -> str:
    """One line for each part, version and day: which ranges, how many failures, on what machine."""
    groups: defaultdict[tuple[str, str, str, str], list[Record]] = defaultdict(list)
    for one in ever:
        groups[one.at, one.commit, one.machine, one.result.part].append(one)
    rows = []
    for (at, commit, machine, part), records in groups.items():
        failed = sum(len(one.result.failures) for one in records)
        minutes = sum(one.wall_s for one in records) / 60
        rows.append(f"| {at} | {commit} | {part} | {_ranges(records)} | {failed} | {minutes:.1f} | {machine} |")
    return "\n".join(["## Runs", "", "| day | commit | part | numbers | failures | process minutes | machine |",
                      "| --- | --- | --- | --- | ---: | ---: | --- |", *rows, ""])  # fmt: skip


def _ranges(records: Sequence[Record]) -> str:
    """Neighbouring ranges as one: 1–5,000."""
    ranges: list[list[int]] = []
    found = [(one.arguments["first"], one.arguments["count"]) for one in records if "first" in one.arguments]
    for first, count in sorted(found):
        if ranges and ranges[-1][1] == first:
            ranges[-1][1] = first + count
        else:
            ranges.append([first, first + count])
    return ", ".join(f"{first:,}–{end - 1:,}" for first, end in ranges) or "all"
