"""The books as a machine: whatever trades, transfers, strangers and unexplained money do, in whatever order it is told.

The real AccountingService and OperatorService write into the real store; the venue is a page of this test that knows
what really moved. Between two steps the process may end at any place and begin again from its file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from tests.builders import BOOK_ID, NOW_MS, RATES, a_trade, an_instrument, an_order
from tests.unit.btcturk.support import FakeClock

from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.store import SqliteStore
from btcbot.decisions import booking
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot, Balance
from btcbot.domain.fills import VenueTrade
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, EntryKind, balances
from btcbot.domain.orders import OPEN, WORKING, Order, OrderEvent, OrderStatus, apply
from btcbot.domain.reasons import TradingState
from btcbot.domain.venue import Transfer, TransferKind
from btcbot.services.accounting import AccountingService
from btcbot.services.operator import OperatorService, Request

HORIZON_MS = 2_000
ASSETS = ("ADA", "TRY")
INSTRUMENTS = {"ADATRY": an_instrument()}


def _empty() -> bytes:
    store = SqliteStore.in_memory()
    image = store.image()
    store.close()
    return image


_EMPTY = _empty()

quantities = st.integers(1, 20_000).map(lambda number: Decimal(number).scaleb(-4))
charges = st.integers(0, 999).map(lambda number: Decimal(number).scaleb(-8))
#: With a tail of their own, so that two amounts do not explain each other by chance.
odd_amounts = st.integers(1, 10**9).map(lambda number: Decimal(number).scaleb(-6) + Decimal("0.0000000001"))


class Venue:
    """What the account really holds, and what its lists tell."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.held = {"TRY": Decimal(100_000), "ADA": Decimal(100)}
        self.listed: list[VenueTrade] = []
        self.hidden: list[VenueTrade] = []  # happened, and not listed yet
        self.transfers_listed: list[Transfer] = []
        self.transfers_hidden: list[Transfer] = []
        self.is_suspect = False

    def moved(self, trade: VenueTrade) -> None:
        sign = 1 if trade.side is Side.BUY else -1
        self.held["ADA"] += sign * trade.quantity
        self.held["TRY"] -= sign * trade.value + trade.fee + trade.tax
        self.hidden.append(trade)

    def account(self) -> AccountSnapshot:
        held = {asset: Balance(asset, amount, Decimal(0)) for asset, amount in self.held.items()}
        return AccountSnapshot(balances=held, asked_at_ms=self.now_ms(), received_at_ms=self.now_ms())

    # The part of an Exchange that the books ask.

    def transfers(self, since_ms: int) -> Sequence[Transfer]:
        return self.transfers_listed

    def order(self, venue_order_id: str) -> None:
        return None

    def venue_time_ms(self) -> int:
        return NOW_MS


class Books(RuleBasedStateMachine):
    @initialize()
    def open_the_books(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.path = Path(self.folder.name) / "books.db"
        self.path.write_bytes(_EMPTY)
        self.clock = FakeClock(NOW_MS)
        self.venue = Venue(self.clock.now_ms)
        self.numbers = 0
        self.begin()
        self.accounting.book_opening(self.venue.account(), NOW_MS)

    def begin(self) -> None:
        self.store = SqliteStore.open(self.path)
        log = structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()])
        self.accounting = AccountingService(
            self.store,
            cast(Any, self.venue),
            self.clock,
            NullMetrics(),
            log,
            book_id=BOOK_ID,
            configured_rates=RATES,
            settle_horizon_ms=HORIZON_MS,
            quote_asset="TRY",
            adopt_unknown=cast(Any, None),
        )
        nobody: Any = None
        self.operator = OperatorService(
            self.store, cast(Any, self.venue), nobody, nobody, self.accounting, self.clock, log, "TRY"
        )

    def next_number(self) -> int:
        self.numbers += 1
        return self.numbers

    def orders(self, statuses: Sequence[OrderStatus]) -> list[Order]:
        return list(self.store.orders(tuple(statuses)))

    # -- what happens --------------------------------------------------------------------------------------------

    def unbooked(self, order: Order) -> Decimal:
        """What the venue has executed of it and the books do not know."""
        trades = (*self.venue.hidden, *self.venue.listed)
        mine = (trade for trade in trades if trade.client_order_id == order.client_order_id)
        return sum((trade.quantity for trade in mine if not self.store.has_fill(trade.trade_id)), Decimal(0))

    def sellable(self) -> Decimal:
        """The position, less what sells may still take: a bot never offers more."""
        position = self.store.positions().get("ADATRY")
        sells = [order for order in self.store.recent_orders(1_000) if order.side is Side.SELL]
        promised = (order.leaves_quantity if order.is_open else self.unbooked(order) for order in sells)
        return (position.quantity if position else Decimal(0)) - sum(promised, Decimal(0))

    @rule(side=st.sampled_from(Side), quantity=quantities)
    def reserve(self, side: Side, quantity: Decimal) -> None:
        """An order is written down with its hold, and the venue takes it."""
        if side is Side.SELL:
            quantity = min(quantity, self.sellable())
            if not quantity:
                return
        order = an_order(self.next_number(), quantity=str(quantity), side=side)
        with self.store.transaction() as tx:
            tx.insert_order(order)
            tx.put_hold(booking.hold_for(order, "ADA", "TRY", RATES))

    @precondition(lambda self: self.numbers)
    @rule(which=st.integers(0, 50), part=st.integers(1, 4), fee=charges, tax=charges, is_listed=st.booleans())
    def settle(self, which: int, part: int, fee: Decimal, tax: Decimal, is_listed: bool) -> None:
        """A part of an order trades, of a cancelled buy too: a cancellation and a fill may cross on their way."""
        crossed = [order for order in self.orders([OrderStatus.CANCELED]) if order.side is Side.BUY]
        candidates = [*self.orders(sorted(WORKING)), *crossed]
        if not candidates:
            return
        order = candidates[which % len(candidates)]
        left = order.leaves_quantity - self.unbooked(order)
        quantity = left if part == 4 else money.divide_down(left, Decimal(4), 4)
        if quantity <= 0:
            return
        self.venue.moved(
            a_trade(
                self.next_number(),
                side=order.side,
                quantity=str(quantity),
                fee=str(fee),
                tax=str(tax),
                client_order_id=order.client_order_id,
                venue_order_id=order.venue_order_id,
                at_ms=NOW_MS + self.numbers,
            )
        )
        if is_listed:
            self.list_everything()

    @rule(side=st.sampled_from(Side), quantity=quantities)
    def a_stranger_trades(self, side: Side, quantity: Decimal) -> None:
        number = self.next_number()
        trade = a_trade(number, side=side, quantity=str(quantity), at_ms=NOW_MS + number)
        self.venue.moved(replace(trade, client_order_id=f"web-{number}", venue_order_id=f"w{number}"))

    @precondition(lambda self: self.numbers)
    @rule(which=st.integers(0, 50))
    def cancel(self, which: int) -> None:
        working = self.orders(sorted(WORKING))
        if not working:
            return
        order = apply(working[which % len(working)], OrderEvent.CANCEL, NOW_MS)
        with self.store.transaction() as tx:
            tx.update_order(order)
            tx.put_hold(booking.hold_for(order, "ADA", "TRY", RATES))

    @rule(
        amount=odd_amounts, fee=charges, is_deposit=st.booleans(), is_listed=st.booleans(), is_fee_apart=st.booleans()
    )
    def transfer(self, amount: Decimal, fee: Decimal, is_deposit: bool, is_listed: bool, is_fee_apart: bool) -> None:
        signed = amount if is_deposit else -amount
        number = self.next_number()
        kind = TransferKind.DEPOSIT if is_deposit else TransferKind.WITHDRAWAL
        made = Transfer(
            transfer_id=f"fiat:{number}", kind=kind, asset="TRY", amount=signed, fee=fee, at_ms=NOW_MS + number
        )
        self.venue.held["TRY"] += signed - fee if is_fee_apart else signed
        (self.venue.transfers_listed if is_listed else self.venue.transfers_hidden).append(made)

    @rule(amount=odd_amounts, asset=st.sampled_from(ASSETS), is_gain=st.booleans())
    def money_moves_unexplained(self, amount: Decimal, asset: str, is_gain: bool) -> None:
        self.venue.held[asset] += amount if is_gain else -amount

    @rule(asset=st.sampled_from(ASSETS))
    def what_lies_in_suspense_turns_up(self, asset: str) -> None:
        self.venue.held[asset] += self.store.account_balances(Account.SUSPENSE).get(asset, Decimal(0))
        self.come_to_rest()

    # -- what we are told ----------------------------------------------------------------------------------------

    def list_everything(self) -> None:
        self.venue.listed += self.venue.hidden
        self.venue.hidden.clear()

    @rule(shuffle=st.randoms(use_true_random=False), share=st.integers(1, 3))
    def book_what_is_listed(self, shuffle: Any, share: int) -> None:
        """The list repeats itself, is out of order and incomplete."""
        shuffle.shuffle(self.venue.hidden)
        count = len(self.venue.hidden) * share // 3
        self.venue.listed += self.venue.hidden[:count]
        del self.venue.hidden[:count]
        told = [*self.venue.listed, *self.venue.listed[-3:]]
        shuffle.shuffle(told)
        fills = self.store.fill_count()
        booked = self.accounting.book_trades(told)
        assert self.store.fill_count() == fills + booked
        assert self.accounting.book_trades(told) == 0  # told once more, nothing is new

    @rule(are_moving=st.booleans(), ms=st.sampled_from([0, 500, HORIZON_MS]))
    def compare(self, are_moving: bool, ms: int) -> None:
        self.clock.pass_ms(ms)
        moving = frozenset(ASSETS) if are_moving or self.venue.hidden else frozenset[str]()
        self.look(moving)

    def look(self, moving: frozenset[str]) -> None:
        now_ms = self.clock.now_ms()
        look = booking.Look(asked_at_ms=now_ms, answered_at_ms=now_ms)
        self.accounting.reconcile(self.venue.account(), moving, frozenset(), INSTRUMENTS, look)

    @rule()
    def come_to_rest(self) -> None:
        """Everything is listed, and time passes: then the books are the venue's, to the last digit."""
        self.list_everything()
        self.venue.transfers_listed += self.venue.transfers_hidden
        self.venue.transfers_hidden.clear()
        self.accounting.book_trades(self.venue.listed)
        for _ in range(booking.OBSERVATIONS_MIN + 1):
            self.clock.pass_ms(HORIZON_MS)
            self.look(frozenset())
        books = self.store.account_balances(Account.VENUE)
        assert {asset: books.get(asset, Decimal(0)) for asset in ASSETS} == self.venue.held
        assert not self.store.discrepancies()
        in_suspense = any(self.store.account_balances(Account.SUSPENSE).values())
        assert (self.store.trading_state()[0] is TradingState.FROZEN) == in_suspense

    @rule(which=st.integers(0, 9), meaning=st.sampled_from(["deposit", "withdrawal", "fee", "gift"]))
    def explain(self, which: int, meaning: str) -> None:
        """A human explains an amount in suspense, rightly or wrongly; what is refused changes nothing."""
        entries = [entry for entry in self.store.entries() if entry.kind is EntryKind.SUSPENSE]
        if not entries:
            return
        entry = entries[which % len(entries)]
        before = self.store.entry_count(), self.store.account_balances(Account.SUSPENSE)
        wish = Request(
            request_id="r",
            kind="explain",
            arguments={"entry_id": entry.entry_id, "meaning": meaning, "reason": "a bank statement"},
            made_at_ms=0,
            wait_ms=1,
        )
        answer = self.operator.answer(wish)
        after = self.store.entry_count(), self.store.account_balances(Account.SUSPENSE)
        if not answer.done:
            assert after == before
            return
        for posting in entry.postings:
            if posting.account is Account.SUSPENSE:
                assert meaning in ({"deposit"} if posting.amount < 0 else {"withdrawal", "fee"})
                assert before[1][posting.asset], "nothing of it lay in suspense any more"
        assert after[0] == before[0] + 1
        assert not self.operator.answer(wish).done  # the same amount is explained once
        if not any(after[1].values()):
            assert self.store.trading_state()[0] is TradingState.ACTIVE

    @rule()
    def end_and_begin_again(self) -> None:
        self.store.close()
        self.begin()

    # -- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def every_entry_sums_to_zero_and_balances_are_their_fold(self) -> None:
        if not hasattr(self, "store"):
            return
        entries = self.store.entries()
        for entry in entries:
            for asset in {posting.asset for posting in entry.postings}:
                assert sum(p.amount for p in entry.postings if p.asset == asset) == 0
        for account in Account:
            folded = {asset: amount for asset, amount in balances(entries, account).items() if amount}
            kept = {asset: amount for asset, amount in self.store.account_balances(account).items() if amount}
            assert kept == folded
        assert len({entry.entry_id for entry in entries}) == len(entries)

    @invariant()
    def exactly_the_open_orders_have_holds(self) -> None:
        if hasattr(self, "store"):
            assert set(self.store.holds()) == {order.client_order_id for order in self.orders(sorted(OPEN))}

    @invariant()
    def orders_and_position_are_their_fills(self) -> None:
        if not hasattr(self, "store"):
            return
        fills = self.store.fills()
        assert {fill.trade_id for fill in fills} <= {trade.trade_id for trade in self.venue.listed}
        for order in self.store.recent_orders(1_000):
            mine = [fill for fill in fills if fill.client_order_id == order.client_order_id]
            assert order.filled_quantity == sum((fill.quantity for fill in mine), Decimal(0))
        signed = sum((fill.quantity if fill.side is Side.BUY else -fill.quantity for fill in fills), Decimal(0))
        position = self.store.positions().get("ADATRY")
        assert (position.quantity if position else 0) == signed

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


Books.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestBooks = Books.TestCase


def test_what_was_missing_and_has_turned_up_is_not_explained_any_more() -> None:
    """The rarest of its stories, told once for sure."""
    books = Books()
    books.open_the_books()
    try:
        books.money_moves_unexplained(amount=Decimal("12.5"), asset="TRY", is_gain=True)
        books.come_to_rest()
        assert books.store.trading_state()[0] is TradingState.FROZEN
        books.what_lies_in_suspense_turns_up(asset="TRY")
        assert books.store.trading_state()[0] is TradingState.ACTIVE
        first = next(entry for entry in books.store.entries() if entry.kind is EntryKind.SUSPENSE)
        wish = {"entry_id": first.entry_id, "meaning": "deposit", "reason": "it came late"}

        answer = books.operator.answer(Request(request_id="r", kind="explain", arguments=wish, made_at_ms=0, wait_ms=1))

        assert not answer.done
        assert "in suspense any more" in answer.text
    finally:
        books.teardown()
