"""What is wrong with the rows of a database, each with a stable code and one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain, pairwise

import msgspec

from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.fills import Fill
from btcbot.services.days import is_time


class Code(StrEnum):
    MISSING = "missing_critical_field"
    TIME = "invalid_timestamp"
    ORDER = "non_monotonic_ts"
    IDENTITY = "net_pnl_identity_mismatch"
    DRAWDOWN = "drawdown_ratio_out_of_range"


class Finding(msgspec.Struct, frozen=True):
    """`where` names the row: a cycle, a trade, an entry, a symbol."""

    code: Code
    where: str
    what: str

    @property
    def line(self) -> str:
        return f"{self.code.value}: {self.where}: {self.what}"


def of_cycles(cycles: Iterable[CycleReport]) -> Iterator[Finding]:
    """`cycles` oldest first."""
    older: CycleReport | None = None
    before: CycleReport | None = None
    for cycle, after in pairwise(chain(cycles, (None,))):
        assert cycle is not None, "only the last one is followed by nothing"
        where = f"cycle {cycle.cycle_id or cycle.number}"
        named = {"cycle_id": cycle.cycle_id, "mode": cycle.mode, "profile": cycle.profile}
        missing = [name for name, text in named.items() if not text]
        if cycle.outcome is CycleOutcome.COMPLETED and not cycle.gates:
            missing.append("gates")
        if missing:
            yield Finding(Code.MISSING, where, f"it has no {', '.join(missing)}")
        if not (is_time(cycle.started_at_ms) and is_time(cycle.ended_at_ms)):
            yield Finding(Code.TIME, where, f"it began at {cycle.started_at_ms} and ended at {cycle.ended_at_ms} ms")
        elif cycle.ended_at_ms < cycle.started_at_ms:
            yield Finding(Code.TIME, where, f"it ended {cycle.started_at_ms - cycle.ended_at_ms} ms before it began")
        elif before is not None and cycle.started_at_ms < before.started_at_ms:
            yield Finding(
                Code.ORDER,
                where,
                f"it began {before.started_at_ms - cycle.started_at_ms} ms before cycle {before.cycle_id}, which is "
                f"older; {_why_earlier(older, before, cycle, after)}",
            )
        if before is not None and cycle.number <= before.number:
            yield Finding(Code.ORDER, where, f"its number {cycle.number} follows {before.number}")
        older, before = before, cycle


def _why_earlier(older: CycleReport | None, before: CycleReport, cycle: CycleReport, after: CycleReport | None) -> str:
    """A clock that was set back takes all later cycles along; a row that was altered stands alone among the others."""
    if after is None:
        return "the clock was set back, or a row was altered: the next cycle will tell"
    if after.started_at_ms >= before.started_at_ms:
        return f"cycle {after.cycle_id} goes on as before: this row was altered, or the clock was wrong in it alone"
    if after.started_at_ms < cycle.started_at_ms:
        return "and so does the one after it: the clock was set back more than once, or rows were altered"
    if older is not None and older.started_at_ms <= cycle.started_at_ms:
        return (
            f"the clock was set back, or cycle {before.cycle_id} stands alone ahead of the others: its row was "
            "altered, or the clock was wrong in it alone"
        )
    return "those after it go on from there: the clock was set back, which is no fault of the books"


def of_fills(fills: Sequence[Fill]) -> Iterator[Finding]:
    for fill in fills:
        where = f"trade {fill.trade_id}"
        if not (fill.trade_id and fill.client_order_id and fill.symbol):
            yield Finding(Code.MISSING, where, "it has no trade id, order or symbol")
        if not is_time(fill.at_ms):
            yield Finding(Code.TIME, where, f"it happened at {fill.at_ms} ms")
