"""I1, I7, I9, I10: an order is sent once, ends as it ended at the venue, and keeps its hold until then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from btcbot.domain.orders import TRANSITIONS, OrderStatus
from btcbot.testing.checkers.scene import NEVER_PLACED, ZERO, Invariant, Scene, Sent, Written
from btcturk_sim.money import exact
from btcturk_sim.orders import Order

#: A hold covers what is left and the fee, and no more than a generous fee.
HOLD_SHARE_MAX: Final = Decimal("1.02")
#: Open orders with their holds, and all other holds.
_HOLDS: Final = """
    SELECT orders.client_order_id, orders.status, orders.side, orders.price, orders.quantity, orders.filled_quantity,
           holds.amount
    FROM orders LEFT JOIN holds USING (client_order_id)
    WHERE orders.status IN ('SUBMITTED', 'ACCEPTED', 'PARTIALLY_FILLED', 'PENDING_CANCEL', 'REFUSED_PROVISIONAL',
                            'UNKNOWN')
       OR holds.client_order_id IS NOT NULL"""
_IN_DOUBT: Final = """
    SELECT client_order_id, status FROM orders
    WHERE symbol = ? AND status IN ('SUBMITTED', 'UNKNOWN') AND client_order_id != ? LIMIT 1"""


def reachable() -> frozenset[tuple[str, str]]:
    """(before, after) for one to three steps of the table: one unit may take an order from in doubt to filled."""
    steps = {(str(a), str(b)) for a, after in TRANSITIONS.items() for b in after.values()}
    found = {(str(status), str(status)) for status in OrderStatus} | steps
    for _ in range(2):
        found |= {(a, d) for a, b in found for c, d in steps if b == c}
    return frozenset(found)


class I1SentOnce(Invariant):
    """At most one POST for a client order id and for an intent, written down before, one venue order for each; and
    nothing new of a pair while the fate of an earlier order of it is unproved."""

    name = "I1"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._sent: Counter[str] = Counter()
        self._intents: Counter[str] = Counter()

    def order_leaves(self, sent: Sent) -> None:
        self._sent[sent.client] += 1
        if self._sent[sent.client] > 1:
            self.violated(f"{sent.client} is sent a second time")
        if sent.row is None:
            self.violated(f"{sent.client} leaves and is not written down")
        intent, status, stamp, price, quantity = sent.row
        if (status, stamp, Decimal(price), Decimal(quantity)) != ("SUBMITTED", sent.stamp, sent.price, sent.quantity):
            self.violated(f"{sent.client} leaves, and the database has {sent.row} for it")
        self._intents[intent] += 1
        if self._intents[intent] > 1:
            self.violated(f"{sent.client} is a second order for {intent}")
        doubtful = self.scene.sql(_IN_DOUBT, sent.symbol, sent.client)
        if doubtful:
            self.violated(f"{sent.client} leaves while {doubtful[0][0]} is {doubtful[0][1]}")

    def placed(self, order: Order) -> None:
        other = self.scene.ours[order.client_id]
        if other is not order:
            self.violated(f"{order.client_id} stands at the venue as {other.id} and as {order.id}")


class I7Settled(Invariant):
    """What is taken for closed is closed at the venue, and what is taken for never placed was never placed."""

    name = "I7"

    def placed(self, order: Order) -> None:
        status = self.scene.statuses.get(order.client_id, ("", ZERO))[0]
        if status in NEVER_PLACED:
            self.violated(f"{order.client_id} is {status}, and the venue takes it now")

    def order_written(self, written: Written) -> None:
        order = written.at_venue
        if order is None:
            return
        if written.status in NEVER_PLACED:
            self.violated(f"{written.client} is taken for {written.status}, and the venue has it as {order.id}")
        is_new = written.before is None or written.before[0] != written.status
        if written.status == "CANCELED" and is_new and order.status.is_open:
            self.violated(f"{written.client} is taken for {written.status}, and the venue works it")

    def at_rest(self) -> None:
        found = self.scene.rig.crooked_orders()
        if found:
            self.violated("; ".join(found[:3]))


class I9LifeCycle(Invariant):
    """Only steps of the table; filled quantity never falls and never exceeds the quantity."""

    name = "I9"
    REACHABLE: Final = reachable()

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._quantities: dict[str, Decimal] = {}

    def unit_committed(self, unit: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        for statement, row in unit:
            if statement == "insert_order":
                self._quantities[row["client_order_id"]] = Decimal(row["quantity"])

    def order_written(self, written: Written) -> None:
        client, status, filled = written.client, written.status, written.filled
        if written.before is None:
            if status not in ("SUBMITTED", "ACCEPTED") or filled:
                self.violated(f"{client} begins as {status} with {filled} filled")
            return
        status_before, filled_before = written.before
        if (status_before, status) not in self.REACHABLE:
            self.violated(f"{client} went from {status_before} to {status}")
        if filled < filled_before:
            self.violated(f"{client} had {filled_before} filled and now {filled}")
        quantity = self._quantities.get(client, filled)
        if filled > quantity or (status == "FILLED") is not (filled == quantity):
            self.violated(f"{client} is {status} with {filled} of {quantity} filled")


class I10Holds(Invariant):
    """An open order has its hold, as large as what it may still cost; a closed one has none."""

    name = "I10"
    _TOUCHING: Final = frozenset(("insert_order", "update_order", "put_hold", "release_hold"))

    def unit_committed(self, unit: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        if any(statement in self._TOUCHING for statement, _ in unit):
            self._compare()

    def at_rest(self) -> None:
        self._compare()
        open_left = self.scene.sql("SELECT client_order_id FROM holds LIMIT 1")
        if open_left:
            self.violated(f"everything is at rest, and something is held for {open_left[0][0]}")

    @exact
    def _compare(self) -> None:
        for client, status, side, price, quantity, filled, amount in self.scene.sql(_HOLDS):
            if status == "SIMULATED":
                continue  # its hold lasts for its cycle
            is_open = status not in ("CANCELED", "FILLED", *NEVER_PLACED)
            if is_open is (amount is None):
                self.violated(f"order {client} is {status}, and {amount or 'nothing'} is held for it")
            if not is_open:
                continue
            needed = Decimal(quantity) - Decimal(filled)
            if side == "buy":
                needed *= Decimal(price)
            if not needed <= Decimal(amount) <= needed * HOLD_SHARE_MAX:
                self.violated(f"{amount} is held for {client}, which may still cost {needed}")
