"""What the unit says that closes a cycle, read by code of our own: for all that watch those who watch over a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

Unit = Sequence[tuple[str, Mapping[str, Any]]]


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """`values` are named values as this unit writes them, `notes` bodies by kind."""

    cycle_id: str
    outcome: str
    reasons: tuple[str, ...]
    ended_at_ms: int
    is_woken: bool
    values: Mapping[str, str]
    notes: Mapping[str, Sequence[Mapping[str, Any]]]


def closing_of(unit: Unit) -> Closing | None:
    """None for a unit that closes no cycle."""
    row = next((row for statement, row in unit if statement == "insert_cycle"), None)
    if row is None:
        return None
    notes: dict[str, list[Mapping[str, Any]]] = {}
    for statement, note in unit:
        if statement == "insert_note":
            notes.setdefault(str(note["kind"]), []).append(
                {**msgspec.json.decode(note["body"]), "cycle_id": note["cycle_id"]}
            )
    return Closing(
        cycle_id=row["cycle_id"],
        outcome=row["outcome"],
        reasons=tuple(msgspec.json.decode(row["reasons"])),
        ended_at_ms=row["ended_at_ms"],
        is_woken=bool(msgspec.json.decode(row["counts"]).get("woken_by_feed")),
        values={row["name"]: row["value"] for statement, row in unit if statement == "put_value"},
        notes=notes,
    )
