"""SnapshotRecorder: the result of each cycle as one note, and the state that it is measured from.

Fills are folded as they are booked, each once; the state lies in the database as a named value, written in the unit
that closes the cycle. A bot that dies in between folds the same fills again onto the same state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import results as folding
from btcbot.decisions.results import Results
from btcbot.domain import money
from btcbot.domain.cycles import CycleReport
from btcbot.domain.money import plain
from btcbot.domain.notes import Note, NoteKind
from btcbot.errors import Refused
from btcbot.ports import StateStore, Transaction
from btcbot.services import named_values, values
from btcbot.services.watching import CycleEnd, CycleFacts

#: The named value that holds the state.
RESULTS: Final = "results"
#: Cycles with orders whose fills may be booked soon.
DECIDED_KEPT: Final = 256

_decode_state: Final = named_values.decoder(Results)
_encode: Final = msgspec.json.Encoder().encode


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a SNAPSHOT note. In TRY; `…_today` since midnight in Istanbul, the others since the books began.

    `equity`, `unrealized`, `daily` and `drawdown` are None where the cycle could not tell. `fills` and `slippage` are
    of what this cycle booked: how much worse its prices were than the mid that the decision saw, which lies in the
    profit already and is never taken off it. `peak_moved`: how far coins that were handed over or taken back have moved
    the peak in all. `is_woken`: the feed woke the cycle.
    """

    day: str
    is_woken: bool
    equity: Decimal | None
    realized: Decimal
    unrealized: Decimal | None
    daily: Decimal | None
    fees: Decimal
    taxes: Decimal
    fees_today: Decimal
    taxes_today: Decimal
    turnover: Decimal
    turnover_today: Decimal
    fills: int
    slippage: Decimal
    slippage_total: Decimal
    unmeasured: int
    peak: Decimal
    peak_moved: Decimal = money.ZERO
    drawdown: Decimal | None
    drawdown_pct: Decimal | None
    round_trips: int
    loss_streak: int


_decode_snapshot: Final = msgspec.json.Decoder(Snapshot).decode


def plain_json(value: object) -> str:
    """A struct as JSON with its money written plainly: no exponent, no trailing zeros."""
    return _encode(_plain(value)).decode()


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, msgspec.Struct):
        return {name: _plain(one) for name, one in msgspec.structs.asdict(value).items()}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value


def read(store: StateStore, limit: int | None = None, since_ms: int = 0) -> Sequence[Snapshot]:
    """The snapshots on record, oldest first; with a limit the newest ones. Refused for what cannot be read."""
    try:
        return [_decode_snapshot(note.body) for note in store.notes(NoteKind.SNAPSHOT, limit, since_ms)]
    except msgspec.MsgspecError as error:
        raise Refused(f"a snapshot in the database cannot be read ({error}): restore a backup") from None


def read_results(store: StateStore) -> Results:
    """What the last closed unit left, where there is one. Refused for what cannot be read."""
    text = store.value(RESULTS)
    try:
        return Results() if text is None else _decode_state(text)
    except msgspec.MsgspecError as error:
        raise Refused(f"the results in the database cannot be read ({error}): restore a backup") from None


class SnapshotRecorder:
    """A CycleWatcher. `day_of` tells the day in Istanbul of a moment (Unix ms); `points_kept` results are kept for who
    looks at how much they vary."""

    def __init__(self, store: StateStore, day_of: Callable[[int], str], points_kept: int) -> None:
        self._store = store
        self._day_of = day_of
        self._text: str | None = None
        self._state = Results()
        whole = [
            (one.realized + one.unrealized - one.peak_moved, one.equity)
            for one in read(store, limit=2 * points_kept)
            if not one.is_woken and one.equity is not None and one.unrealized is not None
        ]
        #: Reports of the last cycles that sent orders: what their fills are measured against.
        self._decided: dict[str, CycleReport] = {}
        #: Profit without what coins that were handed over or taken back have added to it, and equity.
        self._points: deque[tuple[Decimal, Decimal]] = deque(whole[-points_kept:], maxlen=points_kept)
        self._kept()  # what cannot be read is told at the start, not in the middle of a cycle

    def points(self, results: Results) -> Sequence[tuple[Decimal, Decimal]]:
        """Profit and equity of the last whole cycles, oldest first. The profit is told as if what was handed over or
        taken back up to `results` had been so all along: between two points lies only what was gained or lost."""
        return tuple((profit + results.peak_moved, equity) for profit, equity in self._points)

    def results(self, facts: CycleFacts) -> Results:
        """Everything up to and with this cycle, before it is written down."""
        state = folding.on_day(self._folded(), facts.pnl.day)
        if facts.pnl.equity is None:
            return state
        state = folding.with_positions(state, facts.positions, _Marks(self._store, facts).of)
        return _with_profit(state, facts.pnl.realized + facts.pnl.unrealized, facts.pnl.equity)

    def now(self, marks: Mapping[str, Decimal]) -> Results:
        """Everything that is booked by now, at these bids. Nothing is written."""
        return folding.with_positions(self._folded(), self._store.positions(), marks.get)

    def measured_from(self, profit: Decimal, equity: Decimal, now: Results) -> Results:
        """The state as it is kept, with its peak at `profit`; `now` is what `now()` made of it.

        Coins handed over that no cycle has counted yet lie in that profit, and move the peak when one does.
        """
        kept = self._kept()
        return msgspec.structs.replace(kept, peak=profit - (now.peak - kept.peak), peak_equity=equity)

    def marks(self, facts: CycleFacts) -> Mapping[str, Decimal]:
        """The last bids of the symbols that are held, as far as they have ever shown one."""
        mark_of = _Marks(self._store, facts).of
        held = [position.symbol for position in facts.positions.values() if position.quantity]
        return {symbol: mark for symbol in held if (mark := mark_of(symbol)) is not None}

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Write down what the cycle came to, and the state."""
        before, facts, report = self._kept(), end.facts, end.report
        state = self._folded() if facts is None else self.results(facts)
        is_woken, equity = bool(report.counts.get("woken_by_feed")), report.equity_try
        profit = None
        realized = report.realized_pnl_try
        if equity is not None:
            profit = realized + report.unrealized_pnl_try
            state = _with_profit(state, profit, equity)
            if not is_woken:
                self._points.append((profit - state.peak_moved, equity))
        elif facts is None:  # it ended before it was told what the positions came to
            realized = money.total(position.realized_pnl for position in self._store.positions().values())
        snapshot = Snapshot(
            day=state.day,
            is_woken=is_woken,
            equity=equity,
            realized=realized,
            unrealized=None if profit is None else report.unrealized_pnl_try,
            daily=None if facts is None else facts.pnl.daily,
            fees=state.fees,
            taxes=state.taxes,
            fees_today=state.fees_today,
            taxes_today=state.taxes_today,
            turnover=state.turnover,
            turnover_today=state.turnover_today,
            fills=state.fills_counted - before.fills_counted,
            slippage=state.slippage - before.slippage,
            slippage_total=state.slippage,
            unmeasured=state.unmeasured,
            peak=state.peak,
            peak_moved=state.peak_moved,
            drawdown=None if profit is None else folding.drawdown(state, profit),
            drawdown_pct=None if profit is None else folding.drawdown_pct(state, profit),
            round_trips=state.round_trips,
            loss_streak=state.loss_streak,
        )
        tx.insert_note(
            Note(kind=NoteKind.SNAPSHOT, cycle_id=report.cycle_id, at_ms=report.ended_at_ms, body=plain_json(snapshot))
        )
        if state is not before:
            tx.put_value(RESULTS, plain_json(state))
        self._remember(report)

    def _kept(self) -> Results:
        """The state as it is in the database: a unit that failed has changed nothing."""
        text = self._store.value(RESULTS)
        if text != self._text:
            self._state, self._text = read_results(self._store), text
        return self._state

    def _folded(self) -> Results:
        """The state with the fills that were booked since, and the selling orders that are over since."""
        state = self._kept()
        if self._store.fill_count() > state.fills_counted:
            for fill in self._store.fills_after(state.fills_counted):
                order = self._store.order(fill.client_order_id)
                cycle = self._cycle(order.cycle_id) if order is not None else None
                price = folding.decision_price(order, cycle)
                state = folding.with_fill(state, fill, self._day_of(fill.at_ms), price)
        for client_order_id in state.sales:
            order = self._store.order(client_order_id)
            if order is None or not order.is_open:
                state = folding.with_sale_over(state, client_order_id)
        return state

    def _cycle(self, cycle_id: str) -> CycleReport | None:
        return self._decided.get(cycle_id) or self._store.cycle(cycle_id)

    def _remember(self, report: CycleReport) -> None:
        if report.counts.get("submitted"):
            self._decided[report.cycle_id] = report
            if len(self._decided) > DECIDED_KEPT:
                del self._decided[next(iter(self._decided))]


def _with_profit(state: Results, profit: Decimal, equity: Decimal) -> Results:
    """The state after a whole result. The first one of all is where drawdown is measured from: what the books lost
    before anybody watched over them is no fall of these cycles."""
    if state.peak_equity is None:
        state = msgspec.structs.replace(state, peak=profit)
    return folding.with_profit(state, profit, equity)


class _Marks:
    """Bids of this cycle, and the last ones of symbols that show none now, read only where they are needed."""

    def __init__(self, store: StateStore, facts: CycleFacts) -> None:
        self._store = store
        self._quotes = facts.view.quotes
        self._older: Mapping[str, Decimal] | None = None

    def of(self, symbol: str) -> Decimal | None:
        """None for a symbol that has never shown a bid."""
        quote = self._quotes.get(symbol)
        if quote is not None:
            return quote.bid
        if self._older is None:
            self._older = named_values.amounts(self._store, values.MARKS)
        return self._older.get(symbol)
