"""What the parts with real processes share: where a slice works, and how times and failures are told."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path


def fast_folder() -> str | None:
    """Memory, where there is such a folder: what is proved here is processes, not disks. None for the system's own."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def spread(values_ms: Sequence[int]) -> Mapping[str, int]:
    """Least, median, 95th percentile and largest of some times in milliseconds; nothing of nothing."""
    if not values_ms:
        return {}
    ordered = sorted(values_ms)
    return {
        "min": ordered[0],
        "median": round(statistics.median(ordered)),
        "p95": ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)],
        "max": ordered[-1],
    }


def one_line(told: object) -> str:
    """Whatever was said, as one line of at most a thousand characters."""
    return " / ".join(str(told).split("\n"))[:1_000]
