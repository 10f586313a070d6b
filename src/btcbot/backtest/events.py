"""What a profile's parts did beside orders: as rows of a table, and counted for tables, pages and `--json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from btcbot.domain.adaptation import ChangeOutcome
from btcbot.domain.notes import NoteKind
from btcbot.domain.replacements import ReplacementOutcome

if TYPE_CHECKING:
    import polars as pl

#: Notes that every cycle writes: two kilobytes of each. What they tell of money is in the other tables too.
OF_EVERY_CYCLE: Final = frozenset({NoteKind.SNAPSHOT, NoteKind.RUN_METRICS})
_FROZEN: Final = "frozen"
#: By (kind, outcome), or by kind alone, what it counts as.
_COUNTED: Final[Mapping[tuple[str, str], str]] = {
    (NoteKind.PARAMETERS, ChangeOutcome.APPLIED): "param_changes",
    (NoteKind.PARAMETERS, ChangeOutcome.REJECTED): "params_refused",
    (NoteKind.PARAMETERS, ChangeOutcome.ROLLED_BACK): "params_rolled_back",
    ("parameters_proved_good", ""): "params_checkpoints",
    (NoteKind.REPLACEMENT, ReplacementOutcome.DONE): "replacements",
    (NoteKind.REPLACEMENT, ReplacementOutcome.ABANDONED): "replacements_abandoned",
    (NoteKind.DEGRADE, ""): "degrade_changes",
    (NoteKind.ANOMALY, ""): "anomalies",
    (NoteKind.FREEZE, ""): "freezes",
    (NoteKind.UNIVERSE, ""): "universe_choices",
    (NoteKind.UNIVERSE, _FROZEN): "universe_choices_put_off",
    ("kill_chain_tripped", ""): "kill_switch_trips",
}
#: Every count, in the order in which they are told.
COUNTS: Final = tuple(_COUNTED.values())


class Event(msgspec.Struct, frozen=True, gc=False):
    """What happened beside orders and money: a note of a cycle, or something that is told to the log alone. `body` is
    JSON."""

    kind: str
    cycle_id: str
    at_ms: int
    body: str


class _Body(msgspec.Struct):
    """What of a note says as what it counts. `frozen`: why a choice stays as it was."""

    outcome: str = ""
    frozen: str | None = None


def counts_of(events: pl.DataFrame) -> Mapping[str, int]:
    """How often each of `COUNTS` happened. A run without a profile's parts has only zeros."""
    found: Counter[str] = Counter()
    decode = msgspec.json.Decoder(_Body).decode
    for kind, body in zip(events["kind"].to_list(), events["body"].to_list(), strict=True):
        told = decode(body)
        name = _COUNTED.get((kind, _FROZEN if told.frozen else told.outcome))
        if name is not None:
            found[name] += 1
    return {name: found[name] for name in COUNTS}


def told(kind: str, body: str) -> str:
    """An event in words, for a page: what it says, without ids and without what is empty."""
    said = msgspec.json.decode(body)
    match kind:
        case NoteKind.PARAMETERS:
            step = f"{said['before']} > {said['after']}" if said["after"] else f"stays {said['before']}"
            return f"{said['field']} {step} ({said['outcome'].lower().replace('_', ' ')}): {said['reason']}"
        case NoteKind.REPLACEMENT:
            order = f"{said['symbol']} {said['side']} {said['quantity']} at {said['price']}"
            return f"{order} ({said['outcome'].lower()}): {said['reason']}"
        case NoteKind.DEGRADE:
            return f"level {said['before']} > {said['after']} ({said['what']}): {said['why']}"
        case NoteKind.ANOMALY:
            return f"{said['code']} ({said['severity'].lower()}): {said['detail']}"
        case NoteKind.UNIVERSE:
            put_off = f"put off ({said['frozen']}), " if said.get("frozen") else ""
            return put_off + (", ".join(said["symbols"]) or "nothing may be bought")
    return ", ".join(f"{name} {value}" for name, value in said.items() if value not in ("", None, [], {}))
