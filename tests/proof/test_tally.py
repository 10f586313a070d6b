"""The figures of the proof add up honestly: nothing counts twice, a failure is never lost, nothing is made up."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from proof.plan import DEMANDS, PARTS, Part
from proof.result import Result
from proof.run import results
from proof.tally import KEPT, Record, append, read, without_repeats

from proof import figures


def seen(first: int, count: int, *, code: str = "aaa", part: str = "seeds", **counts: int) -> Record:
    return Record(
        at="2026-11-22",
        commit="c0ffee",
        code=code,
        machine="2 × a processor",
        arguments={"first": first, "count": count},
        wall_s=60.0,
        result=Result(goal="G1", part=part, counts={"seeds": count, **counts}),
    )


def slice_seen(number: int, of: int, **counts: int) -> Record:
    return Record(
        at="2026-11-22",
        commit="c0ffee",
        code="aaa",
        machine="2 × a processor",
        arguments={"slice": number, "of": of},
        wall_s=60.0,
        result=Result(goal="G3", part="crash_points", counts=counts),
    )


def seeds_of(records: list[Record]) -> int:
    return sum(record.result.counts["seeds"] for record in records)


def test_neighbouring_ranges_add_up():
    assert seeds_of(without_repeats([seen(1, 500), seen(501, 500)])) == 1_000


def test_a_range_that_was_played_twice_counts_once():
    assert seeds_of(without_repeats([seen(1, 500), seen(1, 500), seen(250, 10)])) <= 500


def test_other_code_is_another_proof():
    assert seeds_of(without_repeats([seen(1, 500), seen(1, 500, code="bbb")])) == 1_000


def test_of_a_finite_part_the_latest_run_counts():
    records = [
        slice_seen(0, 2, stories=15),
        slice_seen(1, 2, stories=15),
        *(slice_seen(n, 3, stories=11) for n in range(3)),
    ]
    assert sum(record.result.counts["stories"] for record in without_repeats(records)) == 33


def test_the_tally_is_a_file_of_lines_and_survives_being_read(tmp_path: Path):
    path = tmp_path / "kept" / "tally.jsonl"
    append(path, [seen(1, 5)])
    append(path, [seen(6, 5)])
    kept = read(path)
    assert [record.arguments for record in kept] == [{"first": 1, "count": 5}, {"first": 6, "count": 5}]
    assert seeds_of(kept) == 10
    assert read(tmp_path / "nothing.jsonl") == []


def test_the_page_shows_sums_misses_failures_and_ranges():
    failed = seen(6, 5)
    failed = Record(
        **{name: getattr(failed, name) for name in Record.__struct_fields__ if name != "result"},
        result=Result(goal="G1", part="seeds", counts={"seeds": 5}, failures=["seed 7: I5 is broken"]),
    )
    page = figures.page([seen(1, 5), failed])
    assert "| G1 | simulated seeds | ≥ 2,500 | 10 (missed) | 10 | 10 | 1,000,000 |" in page
    assert "seed 7: I5 is broken" in page
    assert "| seeds | 1–10 | 1 | 2.0 | 2 × a processor |" in page


def test_earlier_code_stands_in_its_own_column():
    page = figures.page([seen(1, 5_000, code="old"), seen(1, 6_000, code="new")])
    assert "| G1 | simulated seeds | ≥ 2,500 | 6,000 | 6,000 | 11,000 | 1,000,000 |" in page


def test_every_part_is_a_module_that_runs_and_every_demand_names_parts():
    for name in PARTS:
        assert callable(importlib.import_module(f"proof.{name}").run)
    assert {part for demand in DEMANDS for part in demand.parts} <= PARTS.keys()
    assert {demand.goal for demand in DEMANDS} == {f"G{number}" for number in range(1, 16)}


def test_the_tasks_of_a_part_cover_its_size_without_overlap():
    part = Part(name="seeds", what="worlds", ci=1_000, chunk=300)
    assert [tuple(task.values()) for task in part.tasks()] == [(1, 300), (301, 300), (601, 300), (901, 100)]
    assert [tuple(task.values()) for task in part.tasks(count=10, first=5_001)] == [(5_001, 10)]
    finite = Part(name="planted", what="bugs", ci=2, is_finite=True)
    assert list(finite.tasks()) == [{"slice": 0, "of": 2}, {"slice": 1, "of": 2}]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"first": 1, "count": -1, "unknown": 3}, "unexpected keyword argument"), ({"nothing": 1}, "argument")],
)
def test_a_process_that_dies_is_a_failure(arguments: dict[str, int], told: str):
    [record] = results([(PARTS["gates"], arguments)], workers=1)
    assert len(record.result.failures) == 1
    assert told in record.result.failures[0]


def test_a_process_that_takes_too_long_is_a_failure():
    [record] = results([(Part(name="gates", what="slow", ci=1, is_finite=True, seconds_max=0), {"slice": 0, "of": 1})])
    assert record.result.failures == ["not done within 0 s"]


def test_the_kept_figures_are_what_the_kept_tally_gives():
    """docs/figures.md and the lines of the README are written by `make figures` alone."""
    kept = read(KEPT)
    readme = figures.README.read_text(encoding="utf-8")
    assert figures.PAGE.read_text(encoding="utf-8") == figures.page(kept)
    assert figures.with_short(readme, kept) == readme
