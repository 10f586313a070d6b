"""When a replacement's new order may be sent, when it waits, and when it is given up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import NOW_MS, a_buy, an_order, decimals

from btcbot.decisions.replacement import Due, End, ReplacementFacts, ReplacementStep, StillOpen, decide
from btcbot.domain import replacements
from btcbot.domain.intents import Side
from btcbot.domain.orders import CLOSED, OPEN, Order, OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.replacements import Replacement, ReplacementOutcome, ReplacementState
from btcbot.errors import InvariantBroken

AGE_MAX_MS = 120_000
#: A buy of 2 ADA at 100 is to become one of 3 at 101.
OLD = an_order(1, status=OrderStatus.PENDING_CANCEL, cancel_requested_at_ms=NOW_MS, created_at_ms=NOW_MS - 60_000)
RECORD = replacements.begun(OLD, a_buy("3", "101"), ReasonCode.REPLACED_DRIFTED, NOW_MS)


def step(record: Replacement = RECORD, **given: Any) -> ReplacementStep:
    """What is next a second after it began, when the old order was cancelled without another fill."""
    facts: dict[str, Any] = {
        "cycle_id": "c9",
        "now_ms": NOW_MS + 1_000,
        "age_ms_max": AGE_MAX_MS,
        "old": replace(OLD, status=OrderStatus.CANCELED),
        "new": None,
        "open_orders": (),
        "last_order_ms": OLD.created_at_ms,
    }
    return decide(record, ReplacementFacts(**{**facts, **given}))


def abandoned(reason: ReasonCode) -> End:
    return End(ReplacementOutcome.ABANDONED, reason.value)


# -- the new order is due ----------------------------------------------------------------------------------------------


def test_with_the_old_order_proved_gone_the_new_one_is_wished() -> None:
    due = step()

    assert isinstance(due, Due)
    intent = due.intent
    assert (intent.symbol, intent.side, intent.price, intent.quantity) == (
        "ADATRY", Side.BUY, Decimal(101), Decimal(3),
    )  # fmt: skip
    assert (intent.intent_id, intent.cycle_id) == (f"replace:{OLD.client_order_id}", "c9")
    assert replacements.replaces_another(intent.intent_id)


def test_every_cycle_gives_the_same_intent_id() -> None:
    """One id, one order: whoever meets it again knows that it is the same wish."""
    first, second = step(cycle_id="c9"), step(cycle_id="c10")

    assert isinstance(first, Due)
    assert isinstance(second, Due)
    assert first.intent.intent_id == second.intent.intent_id


def test_what_the_old_order_filled_meanwhile_is_not_bought_again() -> None:
    due = step(old=replace(OLD, status=OrderStatus.CANCELED, filled_quantity=Decimal("0.5")))

    assert isinstance(due, Due)
    assert due.intent.quantity == Decimal("2.5")


def test_what_it_had_filled_before_was_known_to_the_wish() -> None:
    partly = replace(OLD, filled_quantity=Decimal("0.5"))
    record = replacements.begun(partly, a_buy("3", "101"), ReasonCode.REPLACED_STALE, NOW_MS)

    due = step(record, old=replace(partly, status=OrderStatus.CANCELED, filled_quantity=Decimal("0.7")))

    assert isinstance(due, Due)
    assert due.intent.quantity == Decimal("2.8")


@pytest.mark.parametrize(("filled", "left"), [("2", "1"), ("3", None), ("4", None)])
def test_an_old_order_that_filled_all_that_was_wished_leaves_nothing(filled: str, left: str | None) -> None:
    old = replace(OLD, quantity=Decimal(4), filled_quantity=Decimal(filled), status=OrderStatus.FILLED)
    after = step(old=old)

    if left is None:
        assert after == abandoned(ReasonCode.REPLACEMENT_FILLED)
    else:
        assert isinstance(after, Due)
        assert after.intent.quantity == Decimal(left)


# -- it waits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(OPEN))
def test_the_new_order_is_never_wished_while_the_old_one_is_open_or_in_doubt(status: OrderStatus) -> None:
    assert isinstance(step(old=replace(OLD, status=status)), StillOpen)


@pytest.mark.parametrize("status", sorted(CLOSED - {OrderStatus.CANCELED, OrderStatus.FILLED}))
def test_closed_in_a_way_that_the_venue_may_contradict_is_not_proof(status: OrderStatus) -> None:
    assert not isinstance(step(old=replace(OLD, status=status)), Due)


@pytest.mark.parametrize(
    ("other", "waits"),
    [
        (an_order(5), True),
        (an_order(5, status=OrderStatus.UNKNOWN), True),
        (an_order(5, status=OrderStatus.UNKNOWN, side=Side.SELL), True),
        (an_order(5, side=Side.SELL), False),
        (an_order(5, symbol="BTCTRY"), False),
        (an_order(5, symbol="BTCTRY", status=OrderStatus.UNKNOWN), False),
    ],
)
def test_it_waits_for_other_orders_of_its_side_and_for_doubt_in_its_pair(other: Order, waits: bool) -> None:
    assert isinstance(step(open_orders=(other,)), StillOpen) is waits


# -- it is given up ----------------------------------------------------------------------------------------------------


def test_a_cancel_that_never_left_gives_the_order_back_to_upkeep() -> None:
    taken_back = replace(OLD, status=OrderStatus.ACCEPTED, cancel_requested_at_ms=None)

    assert step(old=taken_back) == abandoned(ReasonCode.REPLACEMENT_NOT_CANCELED)


@pytest.mark.parametrize(("age_ms", "is_late"), [(AGE_MAX_MS - 1, False), (AGE_MAX_MS, True), (-1, True)])
def test_what_is_too_old_is_given_up_and_so_is_what_a_wrong_clock_began(age_ms: int, is_late: bool) -> None:
    after = step(now_ms=NOW_MS + age_ms)

    assert (after == abandoned(ReasonCode.REPLACEMENT_LATE)) is is_late


@pytest.mark.parametrize("status", [OrderStatus.PENDING_CANCEL, OrderStatus.CANCELED])
def test_another_order_of_its_side_since_then_overtakes_it(status: OrderStatus) -> None:
    """Whoever placed it (another profile, a human's restart) did so with the old order's end in view, or beside it."""
    after = step(old=replace(OLD, status=status), last_order_ms=NOW_MS + 1)

    assert after == abandoned(ReasonCode.REPLACEMENT_OVERTAKEN)


def test_an_old_order_that_the_books_have_lost_is_no_proof_of_anything() -> None:
    assert step(old=None) == abandoned(ReasonCode.REPLACEMENT_LOST)


# -- the new order's fate ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(OrderStatus))
def test_a_submitted_replacement_only_waits_for_the_fate_of_its_order(status: OrderStatus) -> None:
    record = replace(RECORD, state=ReplacementState.SUBMITTED, new_client_order_id="btcbot-x-1-2")

    after = step(record, new=an_order(2, status=status), now_ms=NOW_MS + 10 * AGE_MAX_MS)

    if status in {OrderStatus.SUBMITTED, OrderStatus.UNKNOWN, OrderStatus.REFUSED_PROVISIONAL}:
        assert isinstance(after, StillOpen)
    elif status in {OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.NOT_PLACED}:
        assert after == abandoned(ReasonCode.REPLACEMENT_NOT_PLACED)
    else:
        assert after == End(ReplacementOutcome.DONE, ReasonCode.REPLACEMENT_DONE.value)


def test_a_submitted_replacement_is_never_wished_again() -> None:
    record = replace(RECORD, state=ReplacementState.SUBMITTED, new_client_order_id="btcbot-x-1-2")

    assert step(record, new=None) == abandoned(ReasonCode.REPLACEMENT_LOST)


@given(
    wished=decimals("0.0001", "10", 4),
    before=decimals("0", "5", 4),
    during=decimals("0", "5", 4),
    status=st.sampled_from(sorted(OrderStatus)),
)
def test_old_and_new_together_never_fill_more_than_was_wished(
    wished: Decimal, before: Decimal, during: Decimal, status: OrderStatus
) -> None:
    old = replace(OLD, quantity=Decimal(20), filled_quantity=before)
    record = replacements.begun(old, a_buy(str(wished)), ReasonCode.REPLACED_STALE, NOW_MS)

    after = step(record, old=replace(old, filled_quantity=before + during, status=status))

    if isinstance(after, Due):
        assert status in {OrderStatus.CANCELED, OrderStatus.FILLED}
        assert after.intent.quantity > 0
        assert during + after.intent.quantity == wished
    elif status in {OrderStatus.CANCELED, OrderStatus.FILLED}:
        assert during >= wished


# -- what the database keeps -------------------------------------------------------------------------------------------


def test_open_replacements_are_read_back_to_the_last_digit_and_written_without_exponents() -> None:
    tiny = replace(RECORD, price=Decimal("1E+6"), quantity=Decimal("1E-8"), filled_before=Decimal("0.10"))

    text = replacements.written([RECORD, tiny])

    assert list(replacements.read(text)) == [RECORD, tiny]
    assert '"1000000"' in text
    assert '"0.00000001"' in text
    assert '"0.1"' in text


@pytest.mark.parametrize("nothing", [None, "", "[]"])
def test_nothing_open_is_nothing(nothing: str | None) -> None:
    assert list(replacements.read(nothing)) == []


@pytest.mark.parametrize("damaged", ["{", "[1]", '[{"old_client_order_id": 3}]', "null"])
def test_a_damaged_record_halts_instead_of_being_forgotten(damaged: str) -> None:
    with pytest.raises(InvariantBroken, match="I20_REPLACEMENTS"):
        replacements.read(damaged)
