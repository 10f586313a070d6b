"""What was read from the memory store stays as it was read, and the next read tells what was written since."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.contract.state_store import an_entry, an_order

from btcbot.adapters.store.memory import MemoryStore
from btcbot.domain.ledger import Account, Hold
from btcbot.domain.orders import OPEN, OrderStatus
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.services.accounting import set_trading_state


def held(symbol: str, quantity: str) -> Position:
    return Position(symbol=symbol, quantity=Decimal(quantity))


def put(store: MemoryStore, *positions: Position) -> None:
    with store.transaction() as tx:
        for position in positions:
            tx.put_position(position)


def test_positions_that_were_read_do_not_change_when_one_is_written() -> None:
    store = MemoryStore()
    put(store, held("BTCTRY", "1"))
    before = store.positions()
    put(store, held("BTCTRY", "2"))
    assert before == {"BTCTRY": held("BTCTRY", "1")}
    assert store.positions() == {"BTCTRY": held("BTCTRY", "2")}


def test_symbols_are_in_order_whenever_they_came() -> None:
    store = MemoryStore()
    for symbol in ("XRPTRY", "BTCTRY", "ETHTRY", "ADATRY"):
        put(store, held(symbol, "1"))
        assert list(store.positions()) == sorted(store.positions())
    assert list(store.positions()) == ["ADATRY", "BTCTRY", "ETHTRY", "XRPTRY"]


def test_a_unit_sees_what_it_has_written_and_nobody_does_after_it_failed() -> None:
    store = MemoryStore()
    put(store, held("ETHTRY", "1"))
    assert list(store.positions()) == ["ETHTRY"]
    with pytest.raises(RuntimeError), store.transaction() as tx:  # noqa: PT012 - the unit is what fails
        tx.put_position(held("BTCTRY", "3"))
        assert list(store.positions()) == ["BTCTRY", "ETHTRY"]
        tx.put_position(held("ADATRY", "4"))
        assert list(store.positions()) == ["ADATRY", "BTCTRY", "ETHTRY"]
        raise RuntimeError("the power failed")
    assert store.positions() == {"ETHTRY": held("ETHTRY", "1")}


def test_a_hold_whose_release_was_undone_stands_where_it_stood() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        for number in (1, 2):
            tx.insert_order(an_order(number))
            tx.put_hold(Hold(client_order_id=f"btcbot-test-{number}", asset="TRY", amount=Decimal(7)))
    before = list(store.holds())
    with pytest.raises(RuntimeError), store.transaction() as tx:  # noqa: PT012 - the unit is what fails
        tx.put_hold(Hold(client_order_id="btcbot-test-1", asset="TRY", amount=Decimal(0)))
        assert list(store.holds()) == ["btcbot-test-2"]
        raise RuntimeError("the power failed")
    assert list(store.holds()) == before == ["btcbot-test-1", "btcbot-test-2"]


def test_an_order_whose_end_was_undone_is_open_in_its_old_place() -> None:
    """The oldest open order comes first, whatever a unit that failed had meanwhile made of it."""
    store, oldest = MemoryStore(), an_order(1)
    with store.transaction() as tx:
        tx.insert_order(oldest)
        tx.insert_order(an_order(2))
    with pytest.raises(RuntimeError), store.transaction() as tx:  # noqa: PT012 - the unit is what fails
        tx.update_order(replace(oldest, status=OrderStatus.FILLED))
        raise RuntimeError("the power failed")
    assert store.orders(tuple(OPEN)) == [oldest, an_order(2)]


def test_a_hold_and_a_balance_are_told_as_they_are_now() -> None:
    store, order = MemoryStore(), an_order()
    assert (store.holds(), store.account_balances(Account.VENUE)) == ({}, {})
    hold = Hold(client_order_id=order.client_order_id, asset="TRY", amount=Decimal(7))
    with store.transaction() as tx:
        tx.insert_order(order)
        tx.put_hold(hold)
        tx.insert_entry(an_entry(1))
    assert store.holds() == {order.client_order_id: hold}
    after_one = dict(store.account_balances(Account.VENUE))
    with store.transaction() as tx:
        tx.insert_entry(an_entry(2))
    assert store.account_balances(Account.VENUE) == {asset: 2 * amount for asset, amount in after_one.items()}


def test_the_time_of_the_last_order_is_the_latest() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        tx.insert_order(an_order(1, created_at_ms=2_000))
        tx.insert_order(an_order(2, created_at_ms=1_000))
    assert list(store.last_order_times_ms().values()) == [2_000]
    with store.transaction() as tx:
        tx.insert_order(an_order(3, created_at_ms=3_000))
    assert list(store.last_order_times_ms().values()) == [3_000]


def test_a_halt_is_seen_within_its_unit_and_is_gone_with_it() -> None:
    store = MemoryStore()
    with pytest.raises(RuntimeError), store.transaction() as tx:  # noqa: PT012 - the unit is what fails
        set_trading_state(tx, TradingState.HALTED, "an invariant is broken")
        assert store.trading_state() == (TradingState.HALTED, "an invariant is broken")
        raise RuntimeError("the disk is full")
    assert store.trading_state() == (TradingState.ACTIVE, "")
