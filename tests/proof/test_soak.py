"""The soak trades, and would notice a leak."""

from __future__ import annotations

from proof import soak


def sampled(kib_per_cycle: float, open_files_at_the_end: int = 20) -> list[tuple[int, int, int, int]]:
    """A soak of 50,000 cycles as it was seen: (cycles, resident KiB, open files and threads, bytes of the database)."""
    return [
        (cycles, 80_000 + int(cycles * kib_per_cycle), open_files_at_the_end if cycles > 40_000 else 20, cycles * 300)
        for cycles in range(500, 50_001, 500)
    ]


def test_a_short_soak_trades_through_mild_faults_and_keeps_its_books():
    result = soak.run(first=3, count=600)
    assert result.failures == []
    assert result.counts["cycles"] == 600
    assert result.counts["fills"] > 20


def test_flat_memory_is_no_leak():
    assert soak.growth(sampled(0)) == []


def test_forty_bytes_a_cycle_are_a_leak():
    [told] = soak.growth(sampled(0.04))
    assert told.startswith("resident memory grew from ")


def test_one_more_open_file_is_a_leak():
    assert soak.growth(sampled(0, open_files_at_the_end=21)) == ["open files or threads grew"]
