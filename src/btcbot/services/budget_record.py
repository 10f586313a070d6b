"""The risk budget as the database keeps it: what is in force, where drawdown is measured from, and a human's reset.

What an overseen cycle left in force lies there with its limits, so that a report can tell both without the settings of
the bot. A reset moves the peak to the profit of now: what was lost before is not forgotten (it stays in the profit and
in every report), it only no longer counts as a fall from which the bot has to be kept. That holds for everybody who
looks at a fall: the risk budget, the agent's rules (which look at the same peak) and adaptation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import results as folding
from btcbot.decisions.results import Results
from btcbot.decisions.risk_budget import BudgetLimits
from btcbot.domain import money
from btcbot.domain.money import plain
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.stance import TradingMode
from btcbot.errors import Refused
from btcbot.ports import StateStore
from btcbot.services import named_values, values
from btcbot.services.days import day
from btcbot.services.snapshots import RESULTS, SnapshotRecorder, plain_json

#: The named value that holds what is in force.
BUDGET: Final = "budget"
#: The named value with the profit that run metrics measure a fall from in the next cycle; empty: from their own peak.
METRICS_PEAK: Final = "run_metrics_peak"
#: So many of the last cycles are searched for one that could tell what the account is worth.
CYCLES_SEARCHED: Final = 100


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """What the budget left of a cycle, and by which limits; `cycle_id` and `at_ms` are of the cycle that changed it."""

    cycle_id: str
    at_ms: int
    mode: TradingMode
    buy_share: Decimal
    no_buys: Mapping[str, str]
    reasons: tuple[str, ...]
    limits: BudgetLimits


class ResetNote(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a BUDGET note: drawdown is measured from `peak_after` since, and was `drawdown` before. In TRY."""

    what: str
    reason: str
    peak_before: Decimal
    peak_after: Decimal
    drawdown: Decimal


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The books at the last bids seen, in TRY. `unmarked` are held symbols that have never shown one: then nothing that
    hangs on their worth is known, and `unrealized` is of the others. `equity` None: no cycle has told it."""

    realized: Decimal
    unrealized: Decimal
    equity: Decimal | None
    unmarked: tuple[str, ...]
    worth: Mapping[str, Decimal]
    results: Results

    @property
    def profit(self) -> Decimal:
        return self.realized + self.unrealized

    @property
    def drawdown(self) -> Decimal | None:
        """None where it cannot be told: a held symbol without a price, or no cycle that has measured yet."""
        if self.unmarked or self.results.peak_equity is None:
            return None
        return folding.drawdown(self.results, self.profit)

    @property
    def drawdown_pct(self) -> Decimal | None:
        return None if self.drawdown is None else folding.drawdown_pct(self.results, self.profit)


_decode_in_force: Final = named_values.decoder(InForce)


def read_in_force(store: StateStore) -> InForce | None:
    """None before the first overseen cycle. Refused for what cannot be read."""
    text = store.value(BUDGET)
    try:
        return _decode_in_force(text) if text else None
    except msgspec.MsgspecError as error:
        raise Refused(f"the budget in the database cannot be read ({error}): run a cycle, it writes it anew") from None


def read_resets(store: StateStore, limit: int) -> Sequence[tuple[Note, ResetNote]]:
    """The last resets, oldest first."""
    return [(note, msgspec.json.decode(note.body, type=ResetNote)) for note in store.notes(NoteKind.BUDGET, limit)]


def measure(store: StateStore) -> Measured:
    """What the books come to now. Nothing is asked of the venue, and nothing is written."""
    return _measured(store, SnapshotRecorder(store, day, points_kept=1))


def _measured(store: StateStore, recorder: SnapshotRecorder) -> Measured:
    marks = named_values.amounts(store, values.MARKS)
    positions = store.positions()
    held = [position for position in positions.values() if position.quantity]
    marked = [position for position in held if position.symbol in marks]
    realized = money.total(position.realized_pnl for position in positions.values())
    unrealized = money.total(position.unrealized_pnl(marks[position.symbol]) for position in marked)
    return Measured(
        realized=realized,
        unrealized=unrealized,
        equity=_equity(store, realized + unrealized) if len(marked) == len(held) else None,
        unmarked=tuple(sorted({position.symbol for position in held} - marks.keys())),
        worth={position.symbol: position.quantity * marks[position.symbol] for position in marked},
        results=recorder.now(marks),
    )


def _equity(store: StateStore, profit: Decimal) -> Decimal | None:
    """What the account was worth at the end of the last cycle that could tell, and what was earned since."""
    for report in store.cycles(CYCLES_SEARCHED):
        if report.equity_try is not None:
            return report.equity_try + profit - report.realized_pnl_try - report.unrealized_pnl_try
    return None


def reset(store: StateStore, now_ms: int, reason: str) -> str:
    """Measure drawdown from the profit of now on. Raises Refused where there is nothing to reset, or nothing to tell
    the profit by."""
    recorder = SnapshotRecorder(store, day, points_kept=1)
    before = _measured(store, recorder)
    if before.unmarked:
        raise Refused(
            f"{', '.join(before.unmarked)} has never shown a price, so the profit of now is not known; "
            "ask again when it has («btcbot budget status»)"
        )
    peak, fallen = before.results.peak, before.drawdown
    if fallen is None:
        raise Refused("no cycle of stage4-run or stage7-run has measured a result yet; the first one begins to")
    equity = before.equity
    if equity is None:
        assert before.results.peak_equity is not None, "a drawdown is told of a result that was measured"
        equity = before.results.peak_equity - fallen
    note = ResetNote(what="reset", reason=reason, peak_before=peak, peak_after=before.profit, drawdown=fallen)
    with store.transaction() as tx:
        tx.put_value(RESULTS, plain_json(recorder.measured_from(before.profit, equity, before.results)))
        if store.note_count(NoteKind.RUN_METRICS):
            tx.put_value(METRICS_PEAK, plain(before.profit))
        tx.insert_note(Note(kind=NoteKind.BUDGET, cycle_id="", at_ms=now_ms, body=plain_json(note)))
    return (
        f"drawdown is measured from a profit of {plain(before.profit)} TRY on; it was {plain(fallen)} TRY, "
        f"below {plain(peak)} TRY"
    )
