"""ReplacementService: carries replacements through cancels, crashes and verdicts to one new order each, or to none.

Where its writes stand is all that matters here (see `domain/replacements`):

1. the record is written in the unit that notes the wish to cancel the old order, before the cancel is asked for;
2. the new order is wished only when the old one is proved closed, by every cycle anew until risk lets it through;
3. the record's step to SUBMITTED is written in the unit that reserves the new order and its funds.

So a process that dies before 3 leaves a record that the next life takes up again, and one that dies after 3 leaves an
order of which nobody knows whether it was sent: recovery finds out, and nothing sends it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from btcbot.decisions import replacement
from btcbot.decisions.draft import ReplaceWish
from btcbot.decisions.replacement import PROVED_CLOSED, Due, End, ReplacementFacts
from btcbot.decisions.risk import RefusedIntent, RiskDecision
from btcbot.domain import replacements
from btcbot.domain.intents import Intent
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import OPEN, WORKING, Order
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.replacements import (
    OPEN_REPLACEMENTS,
    Replacement,
    ReplacementEnd,
    ReplacementOutcome,
    ReplacementState,
)
from btcbot.errors import InvariantBroken
from btcbot.ports import Clock, Log, Metrics, StateStore, Transaction
from btcbot.services.execution import Beside, ExecutionService, ExecutionSummary

_OPEN: Final = tuple(OPEN)
#: The balances of a cycle may have been read before the old order closed, and not show its funds yet: the first such
#: refusal of a replacement is none of the replacement itself.
_FUNDS: Final = frozenset(
    {ReasonCode.CASH_RESERVE, ReasonCode.ALLOCATION_CASH, ReasonCode.NO_INVENTORY, ReasonCode.NOTHING_TO_SELL}
)


class ReplacementNote(ReplacementEnd, frozen=True, kw_only=True):
    """The body of a replacement's note: how it ended, and why it began (`order:drifted_and_replaced`)."""

    begin_reason: str


class ReplacementService:
    """`age_ms_max`: a replacement older than this is given up where the old order is not gone by then."""

    def __init__(
        self,
        store: StateStore,
        execution: ExecutionService,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        *,
        age_ms_max: int,
    ) -> None:
        self._store = store
        self._execution = execution
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._age_ms_max = age_ms_max
        self._cycle_id = ""
        #: Of the last look: what ended, and what was wished by intent id.
        self._ended: list[tuple[Replacement, End]] = []
        self._wished: dict[str, Replacement] = {}
        #: Intent ids that were refused for want of funds once.
        self._short_once: set[str] = set()

    def open(self) -> Sequence[Replacement]:
        """Replacements under way, oldest first."""
        return replacements.read(self._store.value(OPEN_REPLACEMENTS))

    # -- due -----------------------------------------------------------------------------------------------------------

    def resume(self, cycle_id: str) -> Sequence[Intent]:
        """An intent for each replacement whose old order is proved closed. Only looks: `settle` writes what ended."""
        self._cycle_id, self._ended, self._wished = cycle_id, [], {}
        records = self.open()
        if not records:
            return ()
        open_orders, last_ms = self._store.orders(_OPEN), self._store.last_order_times_ms()
        due: list[Intent] = []
        for record in records:
            step = replacement.decide(
                record,
                ReplacementFacts(
                    cycle_id=cycle_id,
                    now_ms=self._clock.now_ms(),
                    age_ms_max=self._age_ms_max,
                    old=self._store.order(record.old_client_order_id),
                    new=self._store.order(record.new_client_order_id) if record.new_client_order_id else None,
                    open_orders=open_orders,
                    last_order_ms=last_ms.get((record.symbol, record.side.value)),
                ),
            )
            match step:
                case Due(intent=intent):
                    self._wished[intent.intent_id] = record
                    due.append(intent)
                case End():
                    self._ended.append((record, step))
                case _:
                    self._log.debug("replacement_waits", client_order_id=record.old_client_order_id, why=step.why)
        return due

    def settle(self, decisions: Sequence[RiskDecision]) -> None:
        """Write down what has ended, and give up what was refused on its way to an order."""
        for decision in decisions:
            record = self._wished.get(decision.intent.intent_id)
            if record is None or not isinstance(decision, RefusedIntent):
                continue
            if decision.code in _FUNDS and record.intent_id not in self._short_once:
                self._short_once.add(record.intent_id)
                continue
            self._ended.append((record, End(ReplacementOutcome.ABANDONED, decision.code.value)))
        ended, self._ended = self._ended, []
        if not ended:
            return
        ends = [self._note_of(record, end.outcome, end.reason) for record, end in ended]
        with self._store.transaction() as tx:
            self._take_out(tx, ends)
        for end in ends:
            self._tell(end)

    # -- begin ---------------------------------------------------------------------------------------------------------

    def begin(self, wishes: Sequence[ReplaceWish], summary: ExecutionSummary) -> None:
        """Write each replacement down together with the wish to cancel its old order, then ask for the cancellation."""
        for wish in wishes:
            if self._execution.is_stopping:
                return
            order = self._store.order(wish.client_order_id)
            if order is None or order.status not in WORKING or order.cancel_requested_at_ms is not None:
                continue  # it is going already, or gone: the next cycle decides with what is known then
            record = replacements.begun(order, wish.intent, wish.reason, self._clock.now_ms())
            is_written = False

            def write(tx: Transaction, _order: Order, record: Replacement = record) -> None:
                nonlocal is_written
                others = [one for one in self.open() if one.old_client_order_id != record.old_client_order_id]
                tx.put_value(OPEN_REPLACEMENTS, replacements.written([*others, record]))
                is_written = True

            may_go_on = self._execution.cancel(order, wish.reason, summary, beside=write)
            if is_written:
                self._short_once.discard(record.intent_id)
                self._metrics.count("btcbot_replacements_total", outcome="BEGUN", reason=wish.reason.value)
            if not may_go_on:
                return

    # -- the new order -------------------------------------------------------------------------------------------------

    def beside(self, intent: Intent) -> Beside | None:
        """What is to be written in the unit that reserves this intent's order; None where it touches no replacement.

        An order that replaces nothing ends an open replacement of its pair and side, in that same unit: two wishes for
        one place never become two orders.
        """
        for record in self.open():
            if record.intent_id == intent.intent_id:
                return self._take_step(record)
            if record.state is ReplacementState.CANCELING and (record.symbol, record.side) == (
                intent.symbol,
                intent.side,
            ):
                return self._give_way(record)
        if replacements.replaces_another(intent.intent_id):
            raise InvariantBroken("I5_REPLACEMENT", f"{intent.intent_id} is to be ordered, and no record asks for it")
        return None

    def _take_step(self, record: Replacement) -> Beside:
        def write(tx: Transaction, order: Order) -> None:
            old = self._store.order(record.old_client_order_id)
            if record.state is not ReplacementState.CANCELING or old is None or old.status not in PROVED_CLOSED:
                status = old.status if old is not None else "not in the books"
                raise InvariantBroken(
                    "I5_REPLACEMENT",
                    f"order {order.client_order_id} would take the place of {record.old_client_order_id}, which is "
                    f"{status}; the replacement is {record.state}",
                )
            after = msgspec.structs.replace(
                record, state=ReplacementState.SUBMITTED, new_client_order_id=order.client_order_id
            )
            self._put(tx, lambda one: after if one.old_client_order_id == record.old_client_order_id else one)

        return write

    def _give_way(self, record: Replacement) -> Beside:
        def write(tx: Transaction, order: Order) -> None:
            end = self._note_of(record, ReplacementOutcome.ABANDONED, ReasonCode.REPLACEMENT_OVERTAKEN.value)
            self._take_out(tx, [end], order.cycle_id)
            self._tell(end)

        return write

    # -- writing -------------------------------------------------------------------------------------------------------

    def _note_of(self, record: Replacement, outcome: ReplacementOutcome, reason: str) -> ReplacementNote:
        end = replacements.ended(record, outcome, reason, self._clock.now_ms())
        return ReplacementNote(**msgspec.structs.asdict(end), begin_reason=record.reason.value)

    def _take_out(self, tx: Transaction, ends: Sequence[ReplacementNote], cycle_id: str | None = None) -> None:
        over = {end.old_client_order_id for end in ends}
        self._put(tx, lambda one: None if one.old_client_order_id in over else one)
        for end in ends:
            tx.insert_note(
                Note(
                    kind=NoteKind.REPLACEMENT,
                    cycle_id=cycle_id or self._cycle_id,
                    at_ms=end.ended_at_ms,
                    body=msgspec.json.encode(end).decode(),
                )
            )

    def _put(self, tx: Transaction, change: Callable[[Replacement], Replacement | None]) -> None:
        kept = [after for one in self.open() if (after := change(one)) is not None]
        tx.put_value(OPEN_REPLACEMENTS, replacements.written(kept))

    def _tell(self, end: ReplacementNote) -> None:
        self._metrics.count("btcbot_replacements_total", outcome=end.outcome.value, reason=end.reason)
        log = self._log.info if end.outcome is ReplacementOutcome.DONE else self._log.warning
        log(
            "replacement_ended",
            client_order_id=end.old_client_order_id,
            new_client_order_id=end.new_client_order_id,
            symbol=end.symbol,
            side=end.side.value,
            outcome=end.outcome.value,
            reason=end.reason,
            begin_reason=end.begin_reason,
        )
