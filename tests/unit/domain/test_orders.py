"""The life of an order: the whole table, and what no sequence of events can do."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import NOW_MS, an_order, decimals

from btcbot.domain.orders import (
    CLOSED,
    IN_DOUBT,
    OPEN,
    REOPENABLE,
    TRANSITIONS,
    WORKING,
    Order,
    OrderEvent,
    OrderStatus,
    apply,
    apply_fill,
    reason_of_end,
)
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import InvariantBroken

#: The table once more, by hand, as a trader would tell it: status, what happens, what it is then.
TOLD = """
    SUBMITTED            ACCEPT           ACCEPTED
    SUBMITTED            REFUSE           REFUSED_PROVISIONAL
    SUBMITTED            DOUBT            UNKNOWN
    SUBMITTED            DENY             DENIED
    SUBMITTED            SIMULATE         SIMULATED
    ACCEPTED             FILL_PART        PARTIALLY_FILLED
    ACCEPTED             FILL_REST        FILLED
    ACCEPTED             REQUEST_CANCEL   PENDING_CANCEL
    ACCEPTED             CANCEL           CANCELED
    PARTIALLY_FILLED     FILL_PART        PARTIALLY_FILLED
    PARTIALLY_FILLED     FILL_REST        FILLED
    PARTIALLY_FILLED     REQUEST_CANCEL   PENDING_CANCEL
    PARTIALLY_FILLED     CANCEL           CANCELED
    PENDING_CANCEL       FILL_PART        PENDING_CANCEL
    PENDING_CANCEL       FILL_REST        FILLED
    PENDING_CANCEL       REQUEST_CANCEL   PENDING_CANCEL
    PENDING_CANCEL       CANCEL           CANCELED
    REFUSED_PROVISIONAL  SEEN             ACCEPTED
    REFUSED_PROVISIONAL  CONFIRM_REFUSAL  REJECTED
    UNKNOWN              SEEN             ACCEPTED
    UNKNOWN              PROVE_ABSENCE    NOT_PLACED
    CANCELED             FILL_PART        CANCELED
    CANCELED             FILL_REST        FILLED
    REJECTED             SEEN             ACCEPTED
    NOT_PLACED           SEEN             ACCEPTED
"""
NEXT: Mapping[tuple[OrderStatus, OrderEvent], OrderStatus] = {
    (OrderStatus(status), OrderEvent(event)): OrderStatus(after)
    for status, event, after in (line.split() for line in TOLD.strip().splitlines())
}
EVERY_STEP = list(product(OrderStatus, OrderEvent))


@pytest.mark.parametrize(("status", "event"), EVERY_STEP, ids=[f"{s}-{e}" for s, e in EVERY_STEP])
def test_a_step_is_in_the_table_or_it_is_a_broken_invariant(status: OrderStatus, event: OrderEvent) -> None:
    order = an_order(status=status, reason="before")

    if (status, event) not in NEXT:
        with pytest.raises(InvariantBroken) as broken:
            apply(order, event, NOW_MS + 1)
        assert broken.value.code == "I9_ORDER_LIFE_CYCLE"
        for told in (event, status, order.client_order_id):
            assert told in broken.value.evidence
        return
    after = apply(order, event, NOW_MS + 1)

    assert after == replace(order, status=NEXT[status, event], updated_at_ms=NOW_MS + 1)


def test_the_table_knows_every_status() -> None:
    assert set(TRANSITIONS) == set(OrderStatus)


def test_every_status_can_be_reached_and_every_event_can_happen() -> None:
    assert {OrderStatus.SUBMITTED, *NEXT.values()} == set(OrderStatus)
    assert {event for _, event in NEXT} == set(OrderEvent)


def test_open_and_closed_share_out_all_statuses() -> None:
    assert set(OrderStatus) == OPEN | CLOSED
    assert not OPEN & CLOSED
    assert IN_DOUBT | WORKING == OPEN
    assert not IN_DOUBT & WORKING
    assert {"CANCELED", "FILLED", "REJECTED", "NOT_PLACED", "DENIED", "SIMULATED"} == CLOSED


def test_only_the_documented_two_reopen() -> None:
    reopened = {status for (status, _), after in NEXT.items() if status in CLOSED and after in OPEN}

    assert reopened == REOPENABLE == {OrderStatus.REJECTED, OrderStatus.NOT_PLACED}
    assert all(event is OrderEvent.SEEN for status, event in NEXT if status in REOPENABLE)


def test_filled_denied_and_simulated_are_final() -> None:
    for status in (OrderStatus.FILLED, OrderStatus.DENIED, OrderStatus.SIMULATED):
        assert not TRANSITIONS[status]


def test_nobody_can_change_the_table() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[OrderStatus.FILLED] = {OrderEvent.SEEN: OrderStatus.ACCEPTED}  # type: ignore[index]


def test_a_new_reason_replaces_the_old_one() -> None:
    order = an_order(status=OrderStatus.SUBMITTED, reason="flat")

    assert apply(order, OrderEvent.DOUBT, NOW_MS, reason="no answer in 4 s").reason == "no answer in 4 s"
    assert apply(order, OrderEvent.ACCEPT, NOW_MS).reason == "flat"


def test_a_part_and_then_the_rest() -> None:
    order = an_order(quantity="2")

    part = apply_fill(order, Decimal("0.5"), NOW_MS + 7)
    assert (part.status, part.filled_quantity, part.leaves_quantity) == (
        "PARTIALLY_FILLED",
        Decimal("0.5"),
        Decimal("1.5"),
    )
    assert part.updated_at_ms == NOW_MS + 7

    rest = apply_fill(part, Decimal("1.5"), NOW_MS + 9)
    assert rest.updated_at_ms == NOW_MS + 9
    assert (rest.status, rest.filled_quantity, rest.leaves_quantity) == ("FILLED", 2, 0)


def test_a_fill_between_the_wish_to_cancel_and_the_cancellation() -> None:
    pending = apply(an_order(quantity="2"), OrderEvent.REQUEST_CANCEL, NOW_MS)

    part = apply_fill(pending, Decimal(1), NOW_MS)

    assert part.status is OrderStatus.PENDING_CANCEL
    assert apply(part, OrderEvent.CANCEL, NOW_MS).status is OrderStatus.CANCELED


@pytest.mark.parametrize("quantity", ["0", "-1", "2.0001"])
def test_a_fill_of_nothing_or_of_more_than_is_left_breaks_the_books(quantity: str) -> None:
    with pytest.raises(InvariantBroken) as broken:
        apply_fill(an_order(quantity="2"), Decimal(quantity), NOW_MS)

    assert broken.value.code == "I9_OVERFILL"


def test_a_fill_of_more_than_is_left_tells_what_was_ordered_what_is_filled_and_what_is_told() -> None:
    order = an_order(quantity="2", filled="1.5", status=OrderStatus.PARTIALLY_FILLED)

    with pytest.raises(InvariantBroken) as broken:
        apply_fill(order, Decimal("0.6"), NOW_MS)

    for told in (order.client_order_id, "of 2 has", "1.5 filled", "a fill of 0.6"):
        assert told in broken.value.evidence


def test_the_value_of_an_order_is_price_times_quantity() -> None:
    assert an_order(price="100.5", quantity="2").value == Decimal(201)


Step = OrderEvent | Decimal
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.sampled_from(OrderEvent) | decimals("-0.5", "2.5", 1), min_size=1, max_size=30
)


def _take(order: Order, step: Step) -> Order:
    """An event by name, or a fill of so much. Fill events come with a quantity, never alone."""
    if isinstance(step, Decimal):
        return apply_fill(order, step, NOW_MS)
    assert step not in {OrderEvent.FILL_PART, OrderEvent.FILL_REST}
    return apply(order, step, NOW_MS)


@settings(deadline=None, max_examples=300)
@given(steps=steps, start=st.sampled_from(OrderStatus))
def test_whatever_happens_in_whatever_order(steps: list[Step], start: OrderStatus) -> None:
    """Filled quantity only grows and never beyond the quantity; closed is final but for the documented reopening."""
    order = an_order(status=start, quantity="2", filled="2" if start is OrderStatus.FILLED else "0")
    for step in steps:
        if step in {OrderEvent.FILL_PART, OrderEvent.FILL_REST}:
            continue
        try:
            after = _take(order, step)
        except InvariantBroken:
            continue
        assert order.filled_quantity <= after.filled_quantity <= after.quantity == order.quantity
        assert (after.status is OrderStatus.FILLED) == (after.filled_quantity == after.quantity)
        if order.status in CLOSED:
            reopened = order.status in REOPENABLE and step is OrderEvent.SEEN
            told_late = order.status is OrderStatus.CANCELED and isinstance(step, Decimal)
            assert (reopened and after.status is OrderStatus.ACCEPTED) or (told_late and after.status in CLOSED)
        order = after


# -- why it ended ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "asked_ms", "proof", "told"),
    [
        ("order:drifted", NOW_MS, ReasonCode.CANCELED_AT_VENUE, "order:drifted; confirmed by the venue's lists"),
        ("the average crossed", None, ReasonCode.CANCELED_AT_VENUE, "order:cancelled_at_venue"),
        (None, NOW_MS, ReasonCode.CANCELED_AT_VENUE, "order:cancelled_at_venue"),
        (
            "FAILED_LIMIT_ORDER: the pair is closed",
            None,
            ReasonCode.REFUSAL_CONFIRMED,
            "FAILED_LIMIT_ORDER: the pair is closed; confirmed by two listings",
        ),
        (None, None, ReasonCode.REFUSAL_CONFIRMED, "order:refusal_confirmed_by_two_listings"),
        ("no answer in 4 s", None, ReasonCode.ABSENCE_PROVED, "order:absence_proved: no answer in 4 s"),
        (None, None, ReasonCode.ABSENCE_PROVED, "order:absence_proved"),
    ],
)
def test_what_proved_the_end_is_added_to_why_it_came(
    reason: str | None, asked_ms: int | None, proof: ReasonCode, told: str
) -> None:
    order = an_order(reason=reason, cancel_requested_at_ms=asked_ms)

    assert reason_of_end(order, proof) == told


def test_a_cancellation_is_ours_while_it_is_asked_for_and_when_it_was_taken_in() -> None:
    """Asked for again, and that request turned away: the first one stands."""
    assert not an_order().is_cancel_asked
    assert an_order(cancel_requested_at_ms=NOW_MS).is_cancel_asked
    assert an_order(status=OrderStatus.PENDING_CANCEL).is_cancel_asked


@pytest.mark.parametrize(
    ("asked_ms", "told"),
    [(NOW_MS, "order:drifted; it was filled before it could be cancelled"), (None, "order:drifted")],
)
def test_filled_to_the_end_while_it_was_to_be_cancelled(asked_ms: int | None, told: str) -> None:
    order = an_order(quantity="2", reason="order:drifted", cancel_requested_at_ms=asked_ms)

    part = apply_fill(order, Decimal("0.5"), NOW_MS)
    assert part.reason == "order:drifted"
    assert apply_fill(part, Decimal("1.5"), NOW_MS).reason == told
