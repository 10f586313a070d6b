"""Whatever a venue answers to a cancellation, the same code replaces: at once, later, or not at all.

BtcTurk only takes the request; a paper account and a bar venue cancel at once; a dry run sends nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace
from tests.builders import BOOK_ID, NOW_MS, RATES, a_buy, a_hold, an_instrument, an_order
from tests.unit.btcturk.support import FakeClock

from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.store import SqliteStore
from btcbot.decisions.draft import ReplaceWish
from btcbot.decisions.gates import Closed
from btcbot.decisions.risk import Allowed, RefusedIntent
from btcbot.domain.intents import Intent, Side
from btcbot.domain.notes import NoteKind
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.outcomes import (
    Accepted,
    Canceled,
    CancelOutcome,
    CancelRequested,
    InDoubt,
    NotSent,
    Refused,
    Simulated,
    SubmitOutcome,
)
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.replacements import ReplacementState
from btcbot.errors import InvariantBroken
from btcbot.services.execution import ExecutionService, ExecutionSummary
from btcbot.services.replacement import ReplacementService
from btcbot.testing.stage import NoLog

OLD = an_order(1, created_at_ms=NOW_MS - 60_000)


class Venue:
    """Answers as it is told, and notes what arrives."""

    def __init__(self) -> None:
        self.cancel_answer: CancelOutcome = CancelRequested()
        self.submit_answer: SubmitOutcome = Accepted(venue_order_id="v2")
        self.cancels: list[str] = []
        self.submits: list[Order] = []

    def take_stamp(self) -> int:
        return NOW_MS

    def cancel(self, order: Order, permit: object) -> CancelOutcome:
        self.cancels.append(order.client_order_id)
        return self.cancel_answer

    def submit(self, order: Order, permit: object) -> SubmitOutcome:
        self.submits.append(order)
        return self.submit_answer


class Gates:
    """Open, unless told otherwise: for the first look at a cancel, and for its permit."""

    def __init__(self) -> None:
        self.first: tuple[ReasonCode, ...] = ()
        self.permit: tuple[ReasonCode, ...] = ()

    def closed(self, kind: object) -> tuple[ReasonCode, ...]:
        return self.first

    def ask(self, kind: object, client_order_id: str) -> object:
        return Closed(self.permit) if self.permit else SimpleNamespace()


class Desk:
    """A store with one working buy of 2 ADA at 100, and the services that are to replace it by 3 at 101."""

    def __init__(self, store: SqliteStore) -> None:
        self.store, self.venue, self.gates, self.clock = store, Venue(), Gates(), FakeClock()
        self.stop = threading.Event()
        self.summary = ExecutionSummary()
        self.execution = ExecutionService(
            store,
            cast("Any", self.venue),
            cast("Any", self.gates),
            cast("Any", None),
            self.clock,
            NullMetrics(),
            NoLog(),
            book_id=BOOK_ID,
            fee_rates=lambda: RATES,
            ttl_ms=60_000,
            settle_horizon_ms=10_000,
            stop=self.stop,
        )
        self.replacements = self.another_life()
        with store.transaction() as tx:
            tx.insert_order(OLD)
            tx.put_hold(a_hold(OLD, "200.48"))

    def another_life(self) -> ReplacementService:
        """What the next process builds."""
        self.replacements = ReplacementService(
            self.store, self.execution, self.clock, NullMetrics(), NoLog(), age_ms_max=120_000
        )
        return self.replacements

    def begin(self) -> None:
        wish = ReplaceWish(OLD.client_order_id, a_buy("3", "101"), ReasonCode.REPLACED_DRIFTED)
        self.replacements.begin([wish], self.summary)

    def old_becomes(self, status: OrderStatus, filled: str = "0") -> None:
        with self.store.transaction() as tx:
            order = self.store.order(OLD.client_order_id)
            assert order is not None
            tx.update_order(replace(order, status=status, filled_quantity=Decimal(filled)))
            tx.put_hold(a_hold(OLD, "0"))

    def place(self, intents: list[Intent]) -> None:
        allowed = [Allowed(intent, "") for intent in intents]
        instruments = {"ADATRY": an_instrument()}
        self.execution.execute_intents(
            allowed, instruments, lambda symbol: True, self.summary, self.replacements.beside
        )

    def states(self) -> list[ReplacementState]:
        return [record.state for record in self.replacements.open()]

    def ends(self) -> list[tuple[str, str]]:
        bodies = [json.loads(note.body) for note in self.store.notes(NoteKind.REPLACEMENT)]
        return [(body["outcome"], body["reason"]) for body in bodies]


@pytest.fixture
def desk() -> Iterator[Desk]:
    store = SqliteStore.in_memory()
    yield Desk(store)
    store.close()


# -- the old order -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (CancelRequested(), OrderStatus.PENDING_CANCEL),
        (InDoubt(why="no answer"), OrderStatus.PENDING_CANCEL),
        (Canceled(executed_quantity=Decimal(1)), OrderStatus.ACCEPTED),
        (Refused(code="ORDER_NOT_FOUND"), OrderStatus.ACCEPTED),
        (Simulated(), OrderStatus.ACCEPTED),
    ],
)
def test_until_the_old_order_is_proved_gone_the_replacement_waits(
    desk: Desk, answer: CancelOutcome, status: OrderStatus
) -> None:
    """A venue that cancelled at once but executed more than is booked has still to tell those fills."""
    desk.venue.cancel_answer = answer
    desk.begin()

    assert desk.store.orders((status,))
    assert desk.states() == [ReplacementState.CANCELING]
    assert not desk.replacements.resume("c2")
    desk.replacements.settle([])
    assert desk.states() == [ReplacementState.CANCELING]


def test_where_the_venue_confirms_at_once_the_new_order_is_due_in_the_same_cycle(desk: Desk) -> None:
    desk.venue.cancel_answer = Canceled(executed_quantity=Decimal(0))
    desk.begin()

    assert not desk.store.holds(), "the funds are free again"
    [due] = desk.replacements.resume("c1")
    desk.place([due])

    assert desk.states() == [ReplacementState.SUBMITTED]
    assert [(order.price, order.quantity) for order in desk.venue.submits] == [(Decimal(101), Decimal(3))]


@pytest.mark.parametrize("answer", [NotSent(why="no connection"), Refused(code="RATE")])
def test_a_request_that_never_left_ends_the_replacement_and_the_order_works_on(
    desk: Desk, answer: CancelOutcome
) -> None:
    desk.venue.cancel_answer = answer
    desk.begin()
    assert not desk.replacements.resume("c2")
    desk.replacements.settle([])

    assert desk.states() == []
    assert desk.ends() == [("ABANDONED", ReasonCode.REPLACEMENT_NOT_CANCELED.value)]
    desk.venue.cancel_answer = CancelRequested()
    desk.begin()
    assert desk.states() == [ReplacementState.CANCELING], "upkeep may decide anew"


def test_behind_a_closed_gate_nothing_begins(desk: Desk) -> None:
    desk.gates.first = (ReasonCode.SAFE_MODE,)
    desk.begin()

    assert desk.states() == desk.venue.cancels == []
    assert desk.summary.closed_gates == (ReasonCode.SAFE_MODE,)


def test_a_gate_that_closes_between_record_and_request_leaves_a_record_that_waits(desk: Desk) -> None:
    desk.gates.permit = (ReasonCode.SAFE_MODE,)
    desk.begin()

    assert desk.venue.cancels == []
    assert desk.states() == [ReplacementState.CANCELING]
    assert not desk.replacements.resume("c2")


def test_after_the_word_to_stop_nothing_begins(desk: Desk) -> None:
    desk.stop.set()
    desk.begin()

    assert desk.states() == desk.venue.cancels == []


def test_an_order_on_its_way_out_is_not_replaced_a_second_time(desk: Desk) -> None:
    desk.begin()
    desk.begin()

    assert len(desk.venue.cancels) == len(desk.states()) == 1


# -- the new order -----------------------------------------------------------------------------------------------------


def test_the_next_life_takes_up_what_the_last_one_left(desk: Desk) -> None:
    desk.begin()
    desk.old_becomes(OrderStatus.CANCELED, filled="0.5")

    [due] = desk.another_life().resume("c9")

    assert due.quantity == Decimal("2.5")


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (Accepted(venue_order_id="v2"), ("DONE", "replacement:done")),
        (Simulated(), ("DONE", "replacement:done")),
        (NotSent(why="no connection"), ("ABANDONED", "replacement:new_order_not_placed")),
        (InDoubt(why="no answer"), None),
        (Refused(code="BALANCE_NOT_ENOUGH"), None),
    ],
)
def test_the_fate_of_the_new_order_ends_the_replacement(
    desk: Desk, answer: SubmitOutcome, end: tuple[str, str] | None
) -> None:
    """In doubt, or refused only for the time being, it stays open; it is never wished again."""
    desk.begin()
    desk.old_becomes(OrderStatus.CANCELED)
    desk.venue.submit_answer = answer
    desk.place(list(desk.replacements.resume("c2")))

    assert not desk.another_life().resume("c3")
    desk.replacements.settle([])
    assert desk.ends() == ([end] if end else [])
    assert len(desk.venue.submits) == 1


def test_what_risk_refuses_is_given_up_with_its_reason(desk: Desk) -> None:
    desk.begin()
    desk.old_becomes(OrderStatus.CANCELED)
    [due] = desk.replacements.resume("c2")
    desk.replacements.settle([RefusedIntent(due, ReasonCode.EXPOSURE_CAP, "too much")])

    assert desk.states() == []
    assert desk.ends() == [("ABANDONED", ReasonCode.EXPOSURE_CAP.value)]


@pytest.mark.parametrize(
    "code",
    [ReasonCode.CASH_RESERVE, ReasonCode.ALLOCATION_CASH, ReasonCode.NO_INVENTORY, ReasonCode.NOTHING_TO_SELL],
)
def test_missing_funds_count_from_the_second_time_on(desk: Desk, code: ReasonCode) -> None:
    """Balances and lists are read one after the other: the balances may still show the old order's funds as locked."""
    desk.begin()
    desk.old_becomes(OrderStatus.CANCELED)
    for cycle_id, left in (("c2", 1), ("c3", 0)):
        [due] = desk.replacements.resume(cycle_id)
        desk.replacements.settle([RefusedIntent(due, code, "too little")])
        assert len(desk.states()) == left


def test_an_order_of_the_same_side_from_elsewhere_ends_the_replacement_in_its_own_unit(desk: Desk) -> None:
    """Two wishes for one place never become two orders, whoever forgot to match them."""
    desk.begin()
    desk.old_becomes(OrderStatus.CANCELED)
    [due] = desk.replacements.resume("c2")
    desk.place([replace(a_buy("1", "100"), intent_id="c2:somebody:1", cycle_id="c2")])

    assert desk.states() == []
    assert desk.ends() == [("ABANDONED", ReasonCode.REPLACEMENT_OVERTAKEN.value)]
    with pytest.raises(InvariantBroken, match="I5_REPLACEMENT"):
        desk.place([due])
    assert len(desk.venue.submits) == 1


def test_the_other_side_is_another_matter(desk: Desk) -> None:
    desk.begin()
    desk.place([replace(a_buy("1", "100"), side=Side.SELL, intent_id="c2:somebody:1")])

    assert desk.states() == [ReplacementState.CANCELING]


def test_no_unit_reserves_a_new_order_beside_an_old_one_that_works(desk: Desk) -> None:
    """The last line of defence: the books are asked again where they are written."""
    desk.begin()
    desk.old_becomes(OrderStatus.CANCELED)
    [due] = desk.replacements.resume("c2")
    desk.old_becomes(OrderStatus.PENDING_CANCEL)
    with pytest.raises(InvariantBroken, match="I5_REPLACEMENT"):
        desk.place([due])

    assert desk.store.order_count() == 1, "neither the order nor its hold was kept"
    assert desk.venue.submits == []


def test_one_record_gives_one_order_even_when_its_intent_comes_twice(desk: Desk) -> None:
    desk.begin()
    desk.old_becomes(OrderStatus.CANCELED)
    [due] = desk.replacements.resume("c2")
    desk.place([due])
    with pytest.raises(InvariantBroken, match="I5_REPLACEMENT"):
        desk.place([due])

    assert len(desk.venue.submits) == 1
