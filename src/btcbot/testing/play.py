"""What became of a world that was played to its end, or to its first violation."""

from __future__ import annotations

from collections import Counter

import msgspec

from btcbot.testing.fault import Firing
from btcbot.testing.swarm import Swarm


class Story(msgspec.Struct, kw_only=True):
    """What became of a world. `comparisons` of the books with the venue at rest, all of them without a difference."""

    seed: int
    violation: tuple[str, str] | None
    swarm: Swarm
    profile: str
    fired: list[Firing]
    faults: Counter[str]
    crashes: int
    crashed_in: Counter[str]  # named values that a unit wrote at whose commit the process ended
    submits: int
    fills: int
    instruments: int  # pairs that an order was sent for
    comparisons: int
    cycles: int
    woken: int  # cycles that the feed woke
    woken_submits: int  # orders that left in these
    trace: list[str]
    trace_sha256: str
    cpu_s: float = 0.0  # what it took, where somebody measured
