"""What every StateStore must do, whatever keeps its state: subclass, say how to make one, and all of it is demanded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from btcbot.domain import money
from btcbot.domain.cycles import CycleOutcome, CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, Entry, EntryKind, Hold, Posting, balances
from btcbot.domain.notes import NEVER_FORGOTTEN, Note, NoteKind
from btcbot.domain.orders import OPEN, Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.errors import InvariantBroken, StoreFailed
from btcbot.ports import BookIdentity, Discrepancy, StateStore, Transaction

#: Longer than any float holds: a store that passes money through one is found out.
LONG = Decimal("123456789012345678.123456789012345678901234")


def an_order(number: int = 1, **changes: object) -> Order:
    order = Order(
        client_order_id=f"btcbot-test-{number}",
        intent_id=f"intent-{number}",
        cycle_id="cycle-1",
        strategy="test",
        symbol="BTCTRY",
        side=Side.BUY,
        price=Decimal("4000000.5"),
        quantity=Decimal("0.00012345"),
        status=OrderStatus.SUBMITTED,
        created_at_ms=1_000 + number,
        updated_at_ms=1_000 + number,
    )
    return replace(order, **changes)


def a_fill(number: int = 1, **changes: object) -> Fill:
    fill = Fill(
        trade_id=f"trade-{number}",
        client_order_id="btcbot-test-1",
        symbol="BTCTRY",
        side=Side.BUY,
        price=Decimal("4000000.5"),
        quantity=Decimal("0.0001"),
        fee=Decimal("0.5"),
        tax=Decimal("0.1"),
        at_ms=2_000 + number,
    )
    return replace(fill, **changes)


def an_entry(number: int = 1, amount: Decimal = Decimal("10.25"), asset: str = "TRY") -> Entry:
    return Entry(
        entry_id=f"entry:{number}",
        kind=EntryKind.FILL,
        at_ms=3_000 + number,
        memo=f"memo {number}",
        postings=(
            Posting(Account.VENUE, asset, amount),
            Posting(Account.MARKET, asset, -amount - Decimal("0.02")),
            Posting(Account.FEE, asset, Decimal("0.02")),
        ),
    )


def a_report(number: int = 1, **changes: object) -> CycleReport:
    report = CycleReport(
        cycle_id=f"cycle-{number}",
        number=number,
        mode="demo",
        profile="run",
        outcome=CycleOutcome.COMPLETED,
        reasons=("observe_only:venue_unavailable", 'a "quoted" reason, ünïcode'),
        started_at_ms=10,
        ended_at_ms=20,
        counts={"intents": 3, "fills": 0},
        gates={"dry_run": True, "kill_switch": False},
        quotes={"BTCTRY": (Decimal("1E-8"), LONG)},
        equity_try=Decimal("20000.01"),
        realized_pnl_try=Decimal("-3.5"),
        unrealized_pnl_try=Decimal(0),
    )
    return replace(report, **changes)


def a_verdict(number: int = 1, **changes: object) -> Verdict:
    verdict = Verdict(
        cycle_id="cycle-1",
        intent_id=f"intent-{number}",
        symbol="BTCTRY",
        side=Side.SELL,
        price=Decimal("1.5"),
        quantity=Decimal("2.5"),
        allowed=False,
        code="risk_block:cooldown",
        detail="it's too early; try later",
        at_ms=5,
    )
    return replace(verdict, **changes)


def a_note(number: int = 1, **changes: object) -> Note:
    note = Note(
        kind=NoteKind.SNAPSHOT, cycle_id=f"cycle-{number}", at_ms=100 + number, body=f'{{"equity":"{number}.10 ₺"}}'
    )
    return replace(note, **changes)


class StateStoreContract(ABC):
    """Subclass this as `TestMyStore` and implement `make`."""

    @abstractmethod
    def make(self, tmp_path: Path) -> StateStore:
        """A new, empty store."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[StateStore]:
        store = self.make(tmp_path)
        yield store
        store.close()

    # What a new store says

    def test_a_new_store_is_empty(self, store: StateStore) -> None:
        assert store.identity() is None
        assert store.order("x") is store.order_by_venue_id("x") is store.entry("x") is store.cycle("x") is None
        assert not store.orders(tuple(OrderStatus))
        assert not store.recent_orders(5)
        assert not store.fills()
        assert not store.entries()
        assert not store.cycles(5)
        assert not store.discrepancies()
        assert store.holds() == store.positions() == store.last_order_times_ms() == {}
        assert store.account_balances(Account.VENUE) == {}
        assert store.order_count() == store.fill_count() == store.entry_count() == store.cycle_count() == 0
        assert not store.has_fill("x")
        assert not store.has_entry("x")
        assert store.value("x") is None
        assert store.values("") == {}
        assert store.trading_state() == (TradingState.ACTIVE, "")
        for kind in NoteKind:
            assert list(store.notes(kind)) == []
            assert store.note_count(kind) == 0

    # Units

    def test_an_exception_leaves_nothing_of_its_unit(self, store: StateStore) -> None:
        with store.transaction() as tx:
            _write_everything(tx)
        before = everything(store)
        with pytest.raises(ZeroDivisionError):
            _write_and_break(store, _overwrite_everything)
        assert everything(store) == before

    def test_an_exception_in_the_first_unit_leaves_an_empty_store(self, store: StateStore) -> None:
        before = everything(store)
        with pytest.raises(ZeroDivisionError):
            _write_and_break(store, _write_everything)
        assert everything(store) == before

    def test_a_unit_reads_its_own_writes(self, store: StateStore) -> None:
        with store.transaction() as tx:
            tx.insert_order(an_order())
            tx.put_value("key", "value")
            assert store.order("btcbot-test-1") == an_order()
            assert store.value("key") == "value"

    def test_a_failure_that_somebody_swallows_undoes_the_unit_all_the_same(self, store: StateStore) -> None:
        with store.transaction() as tx:
            tx.insert_order(an_order())
        unit = store.transaction()
        tx = unit.__enter__()
        tx.put_value("key", "value")
        with pytest.raises(StoreFailed):
            tx.insert_order(an_order())
        tx.put_value("other", "value")
        with pytest.raises(StoreFailed):
            unit.__exit__(None, None, None)
        assert store.value("key") is store.value("other") is None

    def test_a_store_works_on_after_a_failed_unit(self, store: StateStore) -> None:
        with pytest.raises(StoreFailed), store.transaction() as tx:
            tx.update_order(an_order())
        with store.transaction() as tx:
            tx.insert_order(an_order())
        assert store.order_count() == 1

    def test_units_do_not_nest(self, store: StateStore) -> None:
        with store.transaction() as tx:
            tx.put_value("outer", "kept")
            with pytest.raises(InvariantBroken, match="inside another"), store.transaction():
                pass
            tx.put_value("still", "outer")
        assert store.value("outer") == "kept"
        assert store.value("still") == "outer"

    def test_a_write_after_the_unit_is_a_bug_that_is_told(self, store: StateStore) -> None:
        with store.transaction() as tx:
            pass
        with pytest.raises(InvariantBroken, match="after its unit"):
            tx.put_value("late", "x")
        with pytest.raises(InvariantBroken, match="after its unit"):
            tx.insert_entry(an_entry())
        assert store.value("late") is None

    def test_a_closed_store_fails_and_closes_twice(self, store: StateStore) -> None:
        store.close()
        store.close()
        with pytest.raises(StoreFailed):
            store.order_count()
        with pytest.raises(StoreFailed), store.transaction():
            pass

    # Identity, values

    def test_identity_is_kept_and_may_be_bound_anew(self, store: StateStore) -> None:
        identity = BookIdentity(
            book_id="b1", mode="live", venue_host="api.btcturk.com", key_fingerprint=None, created_at_ms=1
        )
        for each in (identity, replace(identity, key_fingerprint="abc")):
            with store.transaction() as tx:
                tx.put_identity(each)
            assert store.identity() == each

    def test_values_are_replaced(self, store: StateStore) -> None:
        for text in ("one", "", "two\n'quoted' ğ"):
            with store.transaction() as tx:
                tx.put_value("key", text)
            assert store.value("key") == text

    def test_values_are_found_by_how_their_key_begins(self, store: StateStore) -> None:
        with store.transaction() as tx:
            for key in (
                "cooldown:BTCTRY",
                "cooldown:ADATRY",
                "cooldown",
                "Cooldown:X",
                "cooldow",
                "cooldown;",
                "cool%",
            ):
                tx.put_value(key, key.lower())
            assert store.values("cooldown:") == {
                "cooldown:ADATRY": "cooldown:adatry",
                "cooldown:BTCTRY": "cooldown:btctry",
            }
        assert list(store.values("cooldown")) == ["cooldown", "cooldown:ADATRY", "cooldown:BTCTRY", "cooldown;"]
        assert store.values("cool%") == {"cool%": "cool%"}
        assert store.values("cool_own") == {}
        assert len(store.values("")) == 7

    def test_the_trading_state_is_two_values(self, store: StateStore) -> None:
        with store.transaction() as tx:
            tx.put_value("trading_state", "HALTED")
        assert store.trading_state() == (TradingState.HALTED, "")
        with store.transaction() as tx:
            tx.put_value("trading_state_reason", "I4_ENTRY_BALANCE")
        assert store.trading_state() == (TradingState.HALTED, "I4_ENTRY_BALANCE")

    def test_an_unknown_trading_state_is_not_taken_for_active(self, store: StateStore) -> None:
        with store.transaction() as tx:
            tx.put_value("trading_state", "active?")
        with pytest.raises(StoreFailed, match="trading state"):
            store.trading_state()

    # Orders

    def test_an_order_comes_back_as_it_went(self, store: StateStore) -> None:
        full = an_order(
            2,
            price=LONG,
            quantity=Decimal("1E-24"),
            filled_quantity=Decimal("0E-8"),
            side=Side.SELL,
            venue_order_id="61681687",
            stamp_ms=2**53 + 1,
            reason="it's; odd",
            cancel_requested_at_ms=7,
            absent_count=2,
            absent_since_ms=8,
        )
        with store.transaction() as tx:
            tx.insert_order(an_order())
            tx.insert_order(full)
        assert store.order("btcbot-test-1") == an_order()
        assert store.order("btcbot-test-2") == store.order_by_venue_id("61681687") == full
        assert type(store.order("btcbot-test-2").status) is OrderStatus  # type: ignore[union-attr]
        assert store.order_count() == 2

    def test_an_order_id_is_taken_once(self, store: StateStore) -> None:
        with store.transaction() as tx:
            tx.insert_order(an_order())
        with pytest.raises(StoreFailed):
            _write_one_after_another(
                store,
                lambda tx: tx.put_value("key", "value"),
                lambda tx: tx.insert_order(an_order(intent_id="another")),
            )
        assert store.order("btcbot-test-1") == an_order()
        assert store.value("key") is None

    def test_an_update_changes_what_may_change_and_nothing_else(self, store: StateStore) -> None:
        changes: dict[str, object] = {
            "status": OrderStatus.PARTIALLY_FILLED,
            "updated_at_ms": 9_999,
            "filled_quantity": Decimal("0.0001"),
            "venue_order_id": "77",
            "stamp_ms": 5,
            "reason": "order:stale",
            "cancel_requested_at_ms": 6,
            "absent_count": 1,
            "absent_since_ms": 4,
        }
        with store.transaction() as tx:
            tx.insert_order(an_order())
        with store.transaction() as tx:
            tx.update_order(an_order(price=Decimal(1), quantity=Decimal(2), symbol="ETHTRY", **changes))
        assert store.order("btcbot-test-1") == an_order(**changes)
        with store.transaction() as tx:
            tx.update_order(an_order())
        assert store.order("btcbot-test-1") == an_order()

    def test_an_update_of_no_order_fails(self, store: StateStore) -> None:
        with pytest.raises(StoreFailed, match="no such order"), store.transaction() as tx:
            tx.update_order(an_order())

    def test_an_order_for_nothing_is_refused(self, store: StateStore) -> None:
        for quantity in (Decimal(0), Decimal("-0.000000000000000000000001")):
            with pytest.raises(StoreFailed), store.transaction() as tx:
                tx.insert_order(an_order(quantity=quantity))

    def test_orders_are_found_by_status_and_time_oldest_first(self, store: StateStore) -> None:
        statuses = list(OrderStatus)
        with store.transaction() as tx:
            for number, status in enumerate(statuses):
                # the clock goes back meanwhile: "oldest" means written first
                tx.insert_order(an_order(number, status=status, updated_at_ms=100 - number, created_at_ms=50))
        assert [order.status for order in store.orders(statuses)] == statuses
        assert [order.status for order in store.orders(tuple(OPEN))] == [s for s in statuses if s in OPEN]
        assert [order.status for order in store.orders(statuses, since_ms=97)] == statuses[:4]
        assert store.orders(()) == []
        assert [order.status for order in store.orders([OrderStatus.FILLED] * 20)] == [OrderStatus.FILLED]

    def test_recent_orders_are_newest_first(self, store: StateStore) -> None:
        with store.transaction() as tx:
            for number in range(5):
                tx.insert_order(an_order(number))
        assert [order.intent_id for order in store.recent_orders(2)] == ["intent-4", "intent-3"]
        assert len(store.recent_orders(10)) == 5
        assert store.recent_orders(0) == []

    def test_a_cooldown_counts_from_the_newest_order_that_was_not_denied(self, store: StateStore) -> None:
        with store.transaction() as tx:
            tx.insert_order(an_order(1, created_at_ms=10))
            tx.insert_order(an_order(2, created_at_ms=30, status=OrderStatus.DENIED))
            tx.insert_order(an_order(3, created_at_ms=20))
            tx.insert_order(an_order(4, created_at_ms=15, side=Side.SELL))
            tx.insert_order(an_order(5, created_at_ms=12, symbol="ADATRY"))
            tx.insert_order(an_order(6, created_at_ms=12, symbol="XRPTRY", status=OrderStatus.DENIED))
        times = {("BTCTRY", "buy"): 20, ("BTCTRY", "sell"): 15, ("ADATRY", "buy"): 12}
        assert store.last_order_times_ms() == times
        with store.transaction() as tx:
            tx.update_order(an_order(3, status=OrderStatus.DENIED))
        assert store.last_order_times_ms() == times | {("BTCTRY", "buy"): 10}

    def test_an_order_that_is_denied_no_more_counts_for_its_cooldown_again(self, store: StateStore) -> None:
        """The venue turns out to have them after all: the buys of 30 and 5, and the only sell. The oldest changes
        nothing; the others are the last of their side, at the time when they were wished, not when that was found out.
        """
        denied = {"status": OrderStatus.DENIED}
        with store.transaction() as tx:
            tx.insert_order(an_order(1, created_at_ms=10))
            tx.insert_order(an_order(2, created_at_ms=30, **denied))
            tx.insert_order(an_order(3, created_at_ms=5, **denied))
            tx.insert_order(an_order(4, created_at_ms=20, side=Side.SELL, **denied))
        assert store.last_order_times_ms() == {("BTCTRY", "buy"): 10}
        with store.transaction() as tx:
            tx.update_order(an_order(3, updated_at_ms=40, status=OrderStatus.ACCEPTED))
        assert store.last_order_times_ms() == {("BTCTRY", "buy"): 10}
        with store.transaction() as tx:
            tx.update_order(an_order(2, updated_at_ms=41, status=OrderStatus.ACCEPTED))
            tx.update_order(an_order(4, updated_at_ms=42, status=OrderStatus.FILLED, side=Side.SELL))
        assert store.last_order_times_ms() == {("BTCTRY", "buy"): 30, ("BTCTRY", "sell"): 20}

    # Holds

    def test_a_hold_is_set_changed_and_released(self, store: StateStore) -> None:
        hold = Hold(client_order_id="btcbot-test-1", asset="TRY", amount=LONG)
        with store.transaction() as tx:
            tx.insert_order(an_order())
            tx.put_hold(hold)
        assert store.holds() == {"btcbot-test-1": hold}
        with store.transaction() as tx:
            tx.put_hold(replace(hold, amount=Decimal("1E-8")))
        assert store.holds() == {"btcbot-test-1": replace(hold, amount=Decimal("0.00000001"))}
        for _ in range(2):
            with store.transaction() as tx:
                tx.put_hold(replace(hold, amount=Decimal("0.00")))
            assert store.holds() == {}

    def test_a_hold_needs_its_order_and_is_not_negative(self, store: StateStore) -> None:
        hold = Hold(client_order_id="btcbot-test-1", asset="TRY", amount=Decimal(1))
        with pytest.raises(StoreFailed), store.transaction() as tx:
            tx.put_hold(hold)
        with pytest.raises(StoreFailed):
            _write_one_after_another(
                store,
                lambda tx: tx.insert_order(an_order()),
                lambda tx: tx.put_hold(replace(hold, amount=Decimal(-1))),
            )
        assert store.order_count() == 0

    # Fills

    def test_a_trade_id_is_booked_once(self, store: StateStore) -> None:
        with store.transaction() as tx:
            tx.insert_order(an_order())
            assert tx.insert_fill(a_fill()) is True
            assert tx.insert_fill(a_fill()) is False
        with store.transaction() as tx:
            assert tx.insert_fill(a_fill(price=Decimal(9))) is False
            tx.put_value("the unit", "goes on")
        assert store.fills() == [a_fill()]
        assert store.fill_count() == 1
        assert store.has_fill("trade-1")
        assert store.value("the unit") == "goes on"

    def test_fills_that_look_alike_are_still_two(self, store: StateStore) -> None:
        twin = a_fill(trade_id="trade-2")
        with store.transaction() as tx:
            tx.insert_order(an_order())
            tx.insert_fill(a_fill())
            tx.insert_fill(twin)
        assert store.fills_of("btcbot-test-1") == [a_fill(), twin]

    def test_a_fill_needs_its_order(self, store: StateStore) -> None:
        with pytest.raises(StoreFailed), store.transaction() as tx:
            tx.insert_fill(a_fill())

    def test_fills_are_told_by_venue_time(self, store: StateStore) -> None:
        late, early, tie = a_fill(1, at_ms=30), a_fill(2, at_ms=10), a_fill(3, at_ms=30, price=LONG)
        with store.transaction() as tx:
            tx.insert_order(an_order())
            tx.insert_order(an_order(2))
            for fill in (late, early, tie):
                tx.insert_fill(fill)
            tx.insert_fill(a_fill(4, at_ms=20, client_order_id="btcbot-test-2"))
        assert [fill.trade_id for fill in store.fills()] == ["trade-2", "trade-4", "trade-1", "trade-3"]
        assert [fill.trade_id for fill in store.fills(since_ms=20)] == ["trade-4", "trade-1", "trade-3"]
        assert store.fills(limit=2) == [late, tie]
        assert store.fills(limit=0) == []
        assert store.fills_of("btcbot-test-1") == [early, late, tie]
        assert store.fills_of("nobody") == []

    def test_fills_since_a_count_are_told_as_they_were_booked(self, store: StateStore) -> None:
        late, early, tie = a_fill(1, at_ms=30), a_fill(2, at_ms=10), a_fill(3, at_ms=30)
        assert store.fills_after(0) == []
        with store.transaction() as tx:
            tx.insert_order(an_order())
            for fill in (late, early, tie):
                tx.insert_fill(fill)
            assert store.fills_after(1) == [early, tie]
        assert store.fills_after(0) == [late, early, tie]
        assert store.fills_after(store.fill_count()) == []

    # Entries and balances

    def test_an_entry_comes_back_as_it_went(self, store: StateStore) -> None:
        entry = an_entry(amount=LONG)
        with store.transaction() as tx:
            assert tx.insert_entry(entry) is True
        assert store.entry("entry:1") == entry
        assert store.has_entry("entry:1")
        assert store.entries() == [entry]

    def test_an_entry_is_booked_once_and_its_balances_too(self, store: StateStore) -> None:
        for expected in (True, False):
            with store.transaction() as tx:
                assert tx.insert_entry(an_entry()) is expected
        assert store.entry_count() == 1
        assert store.account_balances(Account.VENUE) == {"TRY": Decimal("10.25")}

    def test_entries_are_oldest_first_and_a_limit_takes_the_newest(self, store: StateStore) -> None:
        entries = [an_entry(number) for number in (3, 1, 2)]
        with store.transaction() as tx:
            for entry in entries:
                tx.insert_entry(entry)
        assert store.entries() == entries
        assert store.entries(limit=2) == entries[1:]
        assert store.entries(limit=0) == []

    def test_balances_equal_the_fold_of_all_entries(self, store: StateStore) -> None:
        entries = [
            an_entry(1, LONG),
            an_entry(2, -LONG, "BTC"),
            an_entry(3, Decimal("-1E-24")),
            an_entry(4, Decimal("0.1")),
            an_entry(5, LONG, "BTC"),
            Entry(
                entry_id="twice:1",
                kind=EntryKind.TRANSFER,
                at_ms=1,
                postings=(
                    Posting(Account.VENUE, "TRY", Decimal("0.3")),
                    Posting(Account.VENUE, "TRY", Decimal("-0.1")),
                    Posting(Account.TRANSFERS, "TRY", Decimal("-0.2")),
                ),
            ),
        ]
        for count, entry in enumerate(entries, 1):
            with store.transaction() as tx:
                tx.insert_entry(entry)
            for account in Account:  # what was read of an account before is no balance of now
                assert store.account_balances(account) == balances(entries[:count], account), account
        assert store.account_balances(Account.VENUE)["BTC"] == money.ZERO

    # Positions, cycles, verdicts, discrepancies

    def test_positions_are_replaced(self, store: StateStore) -> None:
        position = Position(symbol="BTCTRY", quantity=LONG, cost=Decimal("1.5"), realized_pnl=Decimal("-2"))
        with store.transaction() as tx:
            tx.put_position(position)
            tx.put_position(Position(symbol="ADATRY"))
        with store.transaction() as tx:
            tx.put_position(replace(position, quantity=money.ZERO, fees_paid=Decimal("3")))
        assert store.positions() == {
            "ADATRY": Position(symbol="ADATRY"),
            "BTCTRY": replace(position, quantity=money.ZERO, fees_paid=Decimal("3")),
        }

    def test_a_position_is_never_negative(self, store: StateStore) -> None:
        with pytest.raises(StoreFailed), store.transaction() as tx:
            tx.put_position(Position(symbol="BTCTRY", quantity=Decimal("-1E-24")))

    def test_cycles_and_verdicts_come_back_as_they_went(self, store: StateStore) -> None:
        empty = a_report(2, reasons=(), counts={}, gates={}, quotes={}, equity_try=None)
        allowed = a_verdict(2, allowed=True, code="allowed", price=LONG)
        with store.transaction() as tx:
            tx.insert_verdict(a_verdict())
            tx.insert_verdict(allowed)
            tx.insert_verdict(a_verdict(3, cycle_id="cycle-2"))
            tx.insert_cycle(a_report())
            tx.insert_cycle(empty)
        assert store.verdicts("cycle-1") == [a_verdict(), allowed]
        assert store.verdicts("cycle-9") == []
        assert store.cycles(5) == [empty, a_report()]
        assert store.cycles(1) == [empty]
        assert store.cycle("cycle-1") == a_report()
        assert store.cycle_count() == 2

    def test_cycles_are_read_page_by_page(self, store: StateStore) -> None:
        with store.transaction() as tx:
            for number in (1, 2, 3, 4, 5):
                tx.insert_cycle(a_report(number))
        assert store.cycles(2) == [a_report(5), a_report(4)]
        assert store.cycles(2, before="cycle-4") == [a_report(3), a_report(2)]
        assert store.cycles(2, before="cycle-2") == [a_report(1)]
        assert not store.cycles(2, before="cycle-1")
        with store.transaction() as tx:
            tx.forget_cycles_before("cycle-3")
        assert not store.cycles(2, before="cycle-2"), "what came before a cycle that is forgotten is forgotten too"

    def test_old_cycles_are_forgotten_and_still_counted(self, store: StateStore) -> None:
        with store.transaction() as tx:
            for number in (1, 2, 3):
                tx.insert_cycle(a_report(number))
                tx.insert_verdict(a_verdict(number, cycle_id=f"cycle-{number}"))
        with store.transaction() as tx:
            tx.forget_cycles_before("cycle-2")
        assert store.cycles(9) == [a_report(3), a_report(2)]
        assert store.verdicts("cycle-1") == []
        assert len(store.verdicts("cycle-2")) == 1
        assert store.cycle_count() == 3

    def test_forgetting_is_undone_with_its_unit(self, store: StateStore) -> None:
        with store.transaction() as tx:
            for number in (1, 2, 3):
                tx.insert_cycle(a_report(number))
                tx.insert_note(a_note(number))
        before, notes = store.cycles(9), list(store.notes(NoteKind.SNAPSHOT))

        def forget_and_fail() -> None:
            with store.transaction() as tx:
                tx.forget_cycles_before("cycle-3")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            forget_and_fail()
        assert store.cycles(9) == before
        assert list(store.notes(NoteKind.SNAPSHOT)) == notes
        assert store.cycle_count() == 3

    # Notes

    def test_notes_of_a_kind_come_back_oldest_first(self, store: StateStore) -> None:
        first, second = a_note(2, body=""), a_note(1)  # the clock went back meanwhile: "oldest" means written first
        other = a_note(3, kind=NoteKind.FREEZE, cycle_id="")
        with store.transaction() as tx:
            for note in (first, other, second, second):
                tx.insert_note(note)
            assert list(store.notes(NoteKind.SNAPSHOT)) == [first, second, second]
        assert list(store.notes(NoteKind.SNAPSHOT)) == [first, second, second]
        assert list(store.notes(NoteKind.FREEZE)) == [other]
        assert list(store.notes(NoteKind.ALERT)) == []
        assert store.note_count(NoteKind.SNAPSHOT) == 3
        assert store.note_count(NoteKind.FREEZE) == 1

    def test_a_limit_takes_the_newest_notes_of_those_since_a_time(self, store: StateStore) -> None:
        notes = [a_note(number) for number in range(5)]
        with store.transaction() as tx:
            for note in notes:
                tx.insert_note(note)
        assert list(store.notes(NoteKind.SNAPSHOT, limit=2)) == notes[3:]
        assert list(store.notes(NoteKind.SNAPSHOT, since_ms=102)) == notes[2:]
        assert list(store.notes(NoteKind.SNAPSHOT, limit=2, since_ms=102)) == notes[3:]
        assert list(store.notes(NoteKind.SNAPSHOT, limit=9, since_ms=104)) == notes[4:]
        assert list(store.notes(NoteKind.SNAPSHOT, limit=0)) == []

    @pytest.mark.parametrize("kind", NoteKind)
    def test_notes_are_forgotten_with_their_cycle_but_not_what_state_was_folded_from(
        self, store: StateStore, kind: NoteKind
    ) -> None:
        old, kept, act = a_note(1, kind=kind), a_note(2, kind=kind), a_note(0, kind=kind, cycle_id="")
        with store.transaction() as tx:
            for note in (act, old, kept):
                tx.insert_note(note)
        with store.transaction() as tx:
            tx.forget_cycles_before("cycle-2")
        left = [act, old, kept] if kind in NEVER_FORGOTTEN else [act, kept]
        assert list(store.notes(kind)) == left
        assert store.note_count(kind) == len(left)
        with store.transaction() as tx:
            tx.insert_note(a_note(3, kind=kind))
        assert list(store.notes(kind)) == [*left, a_note(3, kind=kind)]

    def test_a_cycle_is_reported_once(self, store: StateStore) -> None:
        with store.transaction() as tx:
            tx.insert_cycle(a_report())
        with pytest.raises(StoreFailed), store.transaction() as tx:
            tx.insert_cycle(a_report())

    def test_discrepancies_are_replaced_as_a_set(self, store: StateStore) -> None:
        first = [Discrepancy(asset=asset, amount=LONG, first_seen_ms=1, seen_count=2) for asset in ("TRY", "BTC")]
        with store.transaction() as tx:
            tx.put_discrepancies(first)
        assert store.discrepancies() == first[::-1]  # by asset
        with store.transaction() as tx:
            tx.put_discrepancies(first[:1])
        assert store.discrepancies() == first[:1]
        with store.transaction() as tx:
            tx.put_discrepancies([])
        assert store.discrepancies() == []


def _write_and_break(store: StateStore, write: Callable[[Transaction], None]) -> None:
    """A unit that is seen inside, and then fails for a reason of its caller."""
    before = everything(store)
    with store.transaction() as tx:
        write(tx)
        assert everything(store) != before
        raise ZeroDivisionError


def _write_one_after_another(store: StateStore, *writes: Callable[[Transaction], object]) -> None:
    with store.transaction() as tx:
        for write in writes:
            write(tx)


def _write_everything(tx: Transaction) -> None:
    tx.put_identity(
        BookIdentity(book_id="b", mode="demo", venue_host="127.0.0.1", key_fingerprint="f", created_at_ms=1)
    )
    for number in (1, 2):
        tx.insert_order(an_order(number, venue_order_id=str(number)))
        tx.put_hold(Hold(client_order_id=f"btcbot-test-{number}", asset="TRY", amount=Decimal(number)))
    tx.insert_fill(a_fill())
    tx.insert_entry(an_entry())
    tx.put_position(Position(symbol="BTCTRY", quantity=Decimal(1)))
    tx.insert_verdict(a_verdict())
    tx.insert_cycle(a_report())
    tx.insert_note(a_note())
    tx.put_discrepancies([Discrepancy(asset="TRY", amount=Decimal(1), first_seen_ms=1, seen_count=1)])
    tx.put_value("key", "value")


def _overwrite_everything(tx: Transaction) -> None:
    tx.put_identity(
        BookIdentity(book_id="c", mode="live", venue_host="elsewhere", key_fingerprint=None, created_at_ms=2)
    )
    tx.update_order(an_order(1, status=OrderStatus.UNKNOWN))
    tx.insert_order(an_order(3))
    tx.put_hold(Hold(client_order_id="btcbot-test-1", asset="TRY", amount=Decimal(0)))
    tx.put_hold(Hold(client_order_id="btcbot-test-2", asset="TRY", amount=Decimal(9)))
    tx.insert_fill(a_fill(2))
    tx.insert_entry(an_entry(2))
    tx.put_position(Position(symbol="BTCTRY", quantity=Decimal(2)))
    tx.put_position(Position(symbol="ADATRY", quantity=Decimal(2)))
    tx.insert_verdict(a_verdict(2))
    tx.insert_cycle(a_report(2))
    tx.insert_note(a_note(2))
    tx.insert_note(a_note(2, kind=NoteKind.CAPITAL))
    tx.put_discrepancies([Discrepancy(asset="BTC", amount=Decimal(1), first_seen_ms=1, seen_count=1)])
    tx.put_value("key", "other")
    tx.put_value("new", "value")


def everything(store: StateStore) -> dict[str, object]:
    """All that a store tells, for comparing two moments or two stores."""
    return {
        "identity": store.identity(),
        "orders": list(store.orders(tuple(OrderStatus))),
        "recent": list(store.recent_orders(100)),
        "times": dict(store.last_order_times_ms()),
        "holds": dict(store.holds()),
        "fills": list(store.fills()),
        "entries": list(store.entries()),
        "balances": {account: dict(store.account_balances(account)) for account in Account},
        "positions": dict(store.positions()),
        "verdicts": [list(store.verdicts(f"cycle-{number}")) for number in range(5)],
        "cycles": list(store.cycles(100)),
        "counts": (store.order_count(), store.fill_count(), store.entry_count(), store.cycle_count()),
        "discrepancies": list(store.discrepancies()),
        "notes": {kind: list(store.notes(kind)) for kind in NoteKind},
        "values": dict(store.values("")),
        "state": store.trading_state(),
    }
