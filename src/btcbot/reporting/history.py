"""The cycles of a database as a report needs them: read a page at a time, without what no report asks for.

A bot of one cycle in ten seconds keeps 200,000 of them, and most of what one holds are the quotes that it saw: they are
asked for only where a cycle ordered, as the prices that it decided on.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final, TypeVar

from msgspec.structs import replace

from btcbot.domain.cycles import CycleReport
from btcbot.ports import StateStore

PAGE_CYCLES: Final = 2_000

_V = TypeVar("_V", int, bool)


def newest_cycles(store: StateStore, limit: int, ordering: Container[str]) -> list[CycleReport]:
    """The newest `limit`, newest first; only those whose ids are in `ordering` have their quotes."""
    found: list[CycleReport] = []
    counts: dict[object, Mapping[str, int]] = {}
    gates: dict[object, Mapping[str, bool]] = {}
    while len(found) < limit:
        last = found[-1].cycle_id if found else None
        page = store.cycles(min(PAGE_CYCLES, limit - len(found)), before=last)
        if not page:
            break
        found += [
            replace(
                cycle,
                counts=_shared(cycle.counts, counts),
                gates=_shared(cycle.gates, gates),
                quotes=cycle.quotes if cycle.cycle_id in ordering else {},
            )
            for cycle in page
        ]
    return found


def _shared(mapping: Mapping[str, _V], known: dict[object, Mapping[str, _V]]) -> Mapping[str, _V]:
    """The same object for the same content: most cycles count nothing, and have the gates of the one before."""
    return known.setdefault(tuple(mapping.items()), mapping)
