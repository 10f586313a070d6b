"""Old books, other books: what a database does not know of its own account."""

from __future__ import annotations

import shutil

import pytest

from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode, TradingState

RESTING = ("buy", "0.0005", "1000000")
TAKING = ("buy", "0.0005", "1000500")


def restore(rig, backup):
    """Replace the database by an older one, as an operator with a stopped bot would."""
    rig.crash()
    for left in rig.folder.glob("books.db-*"):
        left.unlink()
    shutil.copyfile(backup, rig.database)
    rig.start()


@pytest.mark.parametrize("wish", [RESTING, TAKING], ids=["resting", "filled"])
@pytest.mark.parametrize("is_stale", [False, True], ids=["at once", "a day later"])
def test_a_backup_that_is_older_than_an_order(rig, wish, is_stale):
    backup = rig.folder / "old.db"
    rig.store.backup(backup)
    rig.wish(*wish)
    rig.cycle(2)
    sent = rig.order().client_order_id
    if is_stale:
        rig.crash()
        rig.wait(86_400)
    restore(rig, backup)
    rig.cycle(2)
    assert rig.order().client_order_id == sent
    assert rig.order().strategy == "adopted"
    assert rig.state() is TradingState.ACTIVE
    rig.heal()
    assert rig.faults() == []


@pytest.mark.parametrize("told", [None, "somebody-elses", "btcbot-another-1-1"])
def test_a_trade_of_a_lost_order_whose_row_tells_no_id_or_another_one(rig, told):
    """What used to happen: without an id the bot fell at each start; another id became the name of an order of ours."""
    backup = rig.folder / "old.db"
    rig.store.backup(backup)
    rig.wish(*TAKING)
    rig.cycle(2)
    sent = rig.order()
    restore(rig, backup)
    row = {
        "id": int(sent.venue_order_id), "pairSymbol": "BTCTRY", "type": "buy", "method": "limit", "status": "Closed",
        "price": "1000500", "amount": "0.0005", "leftAmount": "0", "orderClientId": told,
    }  # fmt: skip
    answer = {"success": True, "message": None, "code": 0, "data": row}
    rig.venue.answer(f"/api/v1/order/{sent.venue_order_id}", answer, count=None)
    rig.cycle(2)
    expected = [sent.client_order_id] if told is None else []
    assert [order.client_order_id for order in rig.orders()] == expected
    rig.heal()  # another's row is the venue's slip, and passes
    assert [order.client_order_id for order in rig.orders()] == [sent.client_order_id]
    assert rig.position().quantity == sent.quantity
    assert rig.faults() == []


def test_a_backup_from_the_middle_of_an_orders_life(rig):
    backup = rig.folder / "old.db"
    rig.wish(*RESTING)
    rig.cycle()
    rig.store.backup(backup)
    rig.venue.stranger_orders("sell", "BTCTRY", "0.0002", "1000000")
    rig.cycle(8)
    assert rig.order().status is OrderStatus.CANCELED
    restore(rig, backup)
    rig.cycle(2)
    assert rig.order().status is OrderStatus.CANCELED
    rig.heal()
    assert rig.faults() == []


def test_the_orders_of_another_database_of_this_key_are_foreign(rig):
    rig.wish(*RESTING)
    rig.cycle()
    theirs = rig.order().venue_order_id
    rig.crash()
    rig.start(STATE_DB_PATH=str(rig.folder / "other.db"))
    rig.cycle(2)
    assert rig.orders() == []
    rig.venue.stranger_orders("sell", "BTCTRY", "0.0002", "1000000")
    rig.cycle(8)
    assert rig.position().quantity == 0
    assert rig.venue.requests("DELETE") == []
    assert [row["status"] for row in rig.venue.orders() if str(row["id"]) == theirs] == ["Partial"]
    rig.wish("sell", "0.0002", "999500")
    rig.cycle()
    assert rig.verdicts() == [ReasonCode.NO_INVENTORY.value]
    rig.heal()
    assert rig.faults() == []

    # The first one comes back: its order is its own, the second's would be foreign.
    rig.wish(*TAKING)
    rig.cycle(2)
    rig.crash()
    rig.start(STATE_DB_PATH=str(rig.database))
    rig.cycle(3)
    rig.heal()
    assert rig.faults() == []
