"""Seeds of an earlier version count for this one only where both were seen to play the same worlds the same way."""

from __future__ import annotations

from collections.abc import Sequence

from proof.alike import alike, seeds_of_alike
from proof.result import Result
from proof.tally import Record

from proof import figures


def played(first: int, code: str, digest: str, *, count: int = 1_000, failures: Sequence[str] = ()) -> Record:
    return Record(
        at="2026-11-23",
        commit=code,
        code=code,
        machine="2 × a processor",
        arguments={"first": first, "count": count},
        wall_s=60.0,
        result=Result(
            goal="G1", part="seeds", counts={"seeds": count}, failures=failures, notes={"trace_sha256": digest}
        ),
    )


def seeds(records: Sequence[Record]) -> int:
    return sum(record.result.counts["seeds"] for record in records)


def test_the_same_traces_over_a_thousand_seeds_make_two_versions_alike():
    records = [played(1, "old", "one"), played(1_001, "old", "two"), played(1, "new", "one")]
    assert alike(records, "new") == {"old", "new"}
    assert seeds(seeds_of_alike(records, "new")) == 2_000


def test_one_trace_that_differs_makes_them_strangers_whatever_else_is_equal():
    records = [played(1, "old", "one"), played(1_001, "old", "two"), played(1, "new", "one"), played(1_001, "new", "x")]
    assert alike(records, "new") == {"new"}


def test_a_few_equal_seeds_prove_nothing():
    assert alike([played(1, "old", "one", count=999), played(1, "new", "one", count=999)], "new") == {"new"}


def test_versions_that_never_played_the_same_seeds_are_strangers():
    assert alike([played(1, "old", "one"), played(1_001, "new", "two")], "new") == {"new"}


def test_likeness_reaches_through_a_version_between():
    records = [played(1, "a", "one"), played(1, "b", "one"), played(1_001, "b", "two"), played(1_001, "c", "two")]
    assert alike(records, "c") == {"a", "b", "c"}


def test_a_chain_of_likeness_ends_where_its_ends_differ():
    records = [
        played(1, "a", "one"),
        played(2_001, "a", "three"),
        played(1, "b", "one"),
        played(1_001, "b", "two"),
        played(1_001, "c", "two"),
        played(2_001, "c", "x"),
    ]
    assert alike(records, "c") == {"b", "c"}


def test_a_run_that_broke_and_was_mended_is_not_compared_and_its_newest_playing_counts():
    records = [
        played(1, "old", "one"),
        played(1_001, "old", "broken", failures=["seed 1500: I5 is broken"]),
        played(1, "new", "one"),
        played(1_001, "new", "two"),
    ]
    assert alike(records, "new") == {"old", "new"}
    counted = seeds_of_alike(records, "new")
    assert seeds(counted) == 2_000
    assert not any(record.result.failures for record in counted)


def test_the_page_counts_them_apart_and_tells_a_failure_of_theirs_as_ours():
    records = [
        played(1, "old", "one"),
        played(1_001, "old", "two", failures=["seed 1500: I5 is broken"]),
        played(1, "new", "one"),
    ]
    page = figures.page(records)
    assert "| G1 | simulated seeds | ≥ 2,500 | 1,000 (missed) | 2,000 | 3,000 | 1,000,000 |" in page
    assert "seed 1500: I5 is broken" in page
