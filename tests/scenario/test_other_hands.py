"""The account is not ours alone: people trade, pay in, take out; and money moves that nobody explains."""

from __future__ import annotations

from decimal import Decimal

from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.ledger import Account, EntryKind
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode, TradingState

TAKING = ("buy", "0.0005", "1000500")


def kinds(rig):
    return [entry.kind for entry in rig.store.entries()]


def test_a_humans_trade_moves_the_balance_and_never_our_position(rig):
    rig.venue.human_orders("buy", "BTCTRY", "0.001", "1000500")
    rig.wait(1)
    rig.cycle(2)
    assert rig.position().quantity == 0
    assert kinds(rig) == [EntryKind.OPENING, EntryKind.FOREIGN]
    rig.wish("sell", "0.001", "999500")
    rig.cycle()
    assert rig.verdicts() == [ReasonCode.NO_INVENTORY.value]
    rig.heal()
    assert rig.state() is TradingState.ACTIVE
    assert rig.faults() == []


def test_a_humans_order_is_never_cancelled_nor_adopted(rig):
    order_id = rig.venue.human_orders("buy", "BTCTRY", "0.001", "990000")
    rig.cycle(10)
    assert rig.orders() == []
    assert rig.ask("cancel", client_order_id="all").text == "no order of ours works at the venue"
    assert [row["status"] for row in rig.venue.orders() if row["id"] == order_id] == ["Untouched"]
    assert rig.venue.requests("DELETE") == []
    rig.heal()
    assert rig.faults() == []


def test_what_a_human_sold_cannot_be_sold_again(rig):
    rig.wish(*TAKING)
    rig.cycle(2)
    rig.venue.human_orders("sell", "BTCTRY", "0.0003", "999500")
    rig.wait(1)
    rig.wish("sell", "0.0005", "999500")
    rig.cycle()
    assert rig.order().quantity == Decimal("0.0002")
    rig.heal()
    assert rig.position().quantity == Decimal("0.0003")  # ours in the books; the venue has nothing left of it
    assert rig.faults() == []


def test_money_paid_in_and_taken_out_is_booked_as_transfers(rig):
    rig.venue.deposit("TRY", "2500.5")
    rig.cycle()
    rig.venue.withdraw("TRY", "1000", fee="3.5")
    rig.venue.deposit("BTC", "0.02")
    rig.cycle(2)
    assert kinds(rig) == [EntryKind.OPENING, *[EntryKind.TRANSFER] * 3]
    assert rig.store.account_balances(Account.FEE)["TRY"] == Decimal("3.5")
    assert rig.state() is TradingState.ACTIVE
    rig.heal()
    assert rig.faults() == []


def test_a_deposit_while_an_order_is_in_doubt(rig):
    rig.venue.fault("lost_before", "POST")
    rig.wish(*TAKING)
    rig.cycle()
    rig.venue.deposit("TRY", "700")
    rig.cycle(5)
    assert rig.order().status is OrderStatus.NOT_PLACED
    rig.heal()
    assert kinds(rig) == [EntryKind.OPENING, EntryKind.TRANSFER]
    assert rig.faults() == []


def test_a_deposit_that_the_balance_shows_before_the_list(rig):
    rig.venue.fault("lag", "GET", "/api/v1/users/transactions/fiat", count=None, lag_ms=15_000)
    rig.venue.deposit("TRY", "700")
    rig.cycle(4)
    rig.heal()
    assert kinds(rig) == [EntryKind.OPENING, EntryKind.TRANSFER]
    assert rig.faults() == []


def test_what_nobody_explains_freezes_until_a_human_does(rig):
    rig.venue.take_unseen("TRY", "123.45")
    assert rig.cycle().outcome is CycleOutcome.COMPLETED
    assert rig.cycle().outcome is CycleOutcome.OBSERVE_ONLY
    rig.cycle(2)
    assert rig.state() is TradingState.FROZEN
    rig.wish(*TAKING)
    rig.cycle(3)
    assert rig.orders() == []
    assert rig.store.account_balances(Account.SUSPENSE) == {"TRY": Decimal("123.45")}

    entry = next(entry for entry in rig.store.entries() if entry.kind is EntryKind.SUSPENSE)
    assert not rig.ask("explain", entry_id=entry.entry_id, meaning="magic", reason="?").done
    assert rig.ask("explain", entry_id=entry.entry_id, meaning="fee", reason="the venue's mail of today").done
    assert not rig.ask("explain", entry_id=entry.entry_id, meaning="fee", reason="again").done
    assert rig.state() is TradingState.ACTIVE
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    rig.heal()
    assert rig.faults() == []


def test_what_was_missing_turns_up_again(rig):
    rig.venue.take_unseen("TRY", "50")
    rig.cycle(4)
    assert rig.state() is TradingState.FROZEN
    rig.venue.take_unseen("TRY", "-50")
    rig.cycle(4)
    assert rig.state() is TradingState.ACTIVE
    rig.heal()
    assert rig.faults() == []


def test_a_cancel_still_leaves_while_frozen(make_rig):
    rig = make_rig(TTL_SECONDS="60")
    rig.cycle()
    rig.wish("buy", "0.0005", "1000000")
    rig.cycle()
    rig.venue.take_unseen("TRY", "50")
    rig.cycle(8)
    assert rig.state() is TradingState.FROZEN
    assert rig.order().status is OrderStatus.CANCELED
    entry = next(entry for entry in rig.store.entries() if entry.kind is EntryKind.SUSPENSE)
    assert rig.ask("explain", entry_id=entry.entry_id, meaning="withdrawal", reason="a test").done
    rig.heal()
    assert rig.faults() == []


def test_a_humans_trade_is_not_ours_even_under_an_id_that_our_order_had(rig):
    """The client order id says whose trade it is; the venue's own id only where no client order id is told."""
    rig.wish(*TAKING)
    rig.cycle(2)
    rig.venue.human_orders("buy", "BTCTRY", "0.001", "990000")
    [by_hand] = rig.venue.working()
    by_hand.client_id = "by-hand"
    by_hand.wire_id = int(rig.order().venue_order_id)
    rig.venue.fill(by_hand, Decimal("0.001"))
    rig.wait(1)
    rig.cycle(2)
    assert rig.position().quantity == Decimal("0.0005")
    assert kinds(rig) == [EntryKind.OPENING, EntryKind.FILL, EntryKind.FOREIGN]
    assert rig.state() is TradingState.ACTIVE
