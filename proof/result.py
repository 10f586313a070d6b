"""What one part of the proof saw: counts that add up over runs, and failures, each told in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`counts` are sums: two runs of a part are one run with both counts added. No failure is a pass."""

    goal: str  # G1 … G15
    part: str  # the module of `proof` that ran it
    counts: Mapping[str, int]
    failures: Sequence[str] = ()
    #: What is no sum: a score, a longest time, a hash, each as text with its unit.
    notes: Mapping[str, str] = {}
