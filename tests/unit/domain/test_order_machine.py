"""The life of an order as a machine: any sequence of events that anybody can think of, told to one order."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.builders import NOW_MS, an_order
from tests.unit.domain.test_orders import NEXT

from btcbot.domain.orders import CLOSED, OPEN, REOPENABLE, Order, OrderEvent, OrderStatus, apply, apply_fill
from btcbot.errors import InvariantBroken

FILLS = (OrderEvent.FILL_PART, OrderEvent.FILL_REST)
QUANTITY = Decimal("2.0000")


class Life(RuleBasedStateMachine):
    """One order from its birth. A step that the table does not have must raise and change nothing."""

    @initialize()
    def written_down(self) -> None:
        self.order = an_order(status=OrderStatus.SUBMITTED, quantity=str(QUANTITY))
        self.past: list[Order] = [self.order]
        self.told_fills = Decimal(0)
        self.now_ms = NOW_MS

    def follow(self, after: Order) -> None:
        self.order = after
        self.past.append(after)

    @rule(event=st.sampled_from([event for event in OrderEvent if event not in FILLS]))
    def event(self, event: OrderEvent) -> None:
        before, self.now_ms = self.order, self.now_ms + 1
        expected = NEXT.get((before.status, event))
        if expected is None:
            with pytest.raises(InvariantBroken, match="I9_ORDER_LIFE_CYCLE"):
                apply(before, event, self.now_ms)
            return
        self.follow(apply(before, event, self.now_ms))
        assert self.order.status is expected
        assert self.order.updated_at_ms == self.now_ms

    @rule(ten_thousandths=st.integers(-1, 25_000))
    def fill(self, ten_thousandths: int) -> None:
        before, quantity = self.order, Decimal(ten_thousandths).scaleb(-4)
        rest = quantity == before.leaves_quantity
        step = NEXT.get((before.status, OrderEvent.FILL_REST if rest else OrderEvent.FILL_PART))
        if not 0 < quantity <= before.leaves_quantity or step is None:
            with pytest.raises(InvariantBroken, match="I9"):
                apply_fill(before, quantity, self.now_ms)
            return
        self.follow(apply_fill(before, quantity, self.now_ms))
        self.told_fills += quantity
        assert self.order.status is step

    @rule()
    def fill_what_is_left(self) -> None:
        if self.order.leaves_quantity:
            self.fill(int(self.order.leaves_quantity.scaleb(4)))

    @invariant()
    def filled_quantity_is_the_sum_of_its_fills_and_never_beyond_the_quantity(self) -> None:
        if not hasattr(self, "order"):
            return
        assert self.order.filled_quantity == self.told_fills <= self.order.quantity == QUANTITY
        assert (self.order.status is OrderStatus.FILLED) == (self.told_fills == QUANTITY)
        assert all(a.filled_quantity <= b.filled_quantity for a, b in zip(self.past, self.past[1:], strict=False))

    @invariant()
    def closed_is_final_but_for_the_documented_reopening(self) -> None:
        if len(getattr(self, "past", ())) < 2:
            return
        before, after = self.past[-2:]
        if before.status in CLOSED and after.status in OPEN:
            assert before.status in REOPENABLE
            assert after.status is OrderStatus.ACCEPTED
        if before.status in (OrderStatus.FILLED, OrderStatus.DENIED, OrderStatus.SIMULATED):
            raise AssertionError(f"{before.status} was left for {after.status}")

    @invariant()
    def what_it_is_never_changes(self) -> None:
        if not hasattr(self, "order"):
            return
        first = self.past[0]
        for name in (
            "client_order_id",
            "intent_id",
            "symbol",
            "side",
            "price",
            "quantity",
            "created_at_ms",
            "stamp_ms",
        ):
            assert getattr(self.order, name) == getattr(first, name)


Life.TestCase.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase
