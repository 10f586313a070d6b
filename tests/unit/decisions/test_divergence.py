"""Our result against what the account is worth: equal to the last digit, whatever was traded or paid in."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW_MS, RATES, a_trade, an_account, an_order

from btcbot.decisions import booking
from btcbot.decisions.divergence import Baseline, BookFacts, measure
from btcbot.domain.account import AccountSnapshot, Balance
from btcbot.domain.book import Discrepancy
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, Entry, EntryKind, Posting, balances
from btcbot.domain.positions import Position

ZERO = Decimal(0)


class Books:
    """An account that opened with 1000 TRY and 5 ADA, and everything that is booked on it."""

    def __init__(self) -> None:
        self.account = {"TRY": Decimal(1_000), "ADA": Decimal(5)}
        self.entries: list[Entry] = [*booking.book_opening(an_account(TRY="1000", ADA="5"), NOW_MS)]
        self.position = Position(symbol="ADATRY")
        self.price = Decimal(100)
        self.watched: list[Discrepancy] = []
        self.baseline = Baseline()
        self._number = 0

    def _moved(self, **amounts: Decimal) -> None:
        for asset, amount in amounts.items():
            self.account[asset] += amount

    def trade(self, side: Side, quantity: Decimal, price: Decimal, fee: Decimal, *, ours: bool = True) -> None:
        self._number += 1
        trade = a_trade(self._number, side, str(quantity), str(price), fee=str(fee), tax="0.01")
        sign = 1 if side is Side.BUY else -1
        self._moved(ADA=sign * quantity, TRY=-sign * quantity * price - fee - Decimal("0.01"))
        if not ours:
            self.entries.append(booking.book_foreign(trade))
            return
        order = an_order(quantity=str(quantity), price=str(price), side=side)
        done = booking.book_fill(trade, order, self.position, RATES, NOW_MS)
        self.entries.append(done.entry)
        self.position = done.position

    def hand_over(self, quantity: Decimal, cost: Decimal) -> None:
        self._number += 1
        entry, self.position = booking.book_adoption(
            f"a{self._number}", self.position, "ADATRY", "ADA", quantity, cost, NOW_MS
        )
        self.entries.append(entry)

    def take_back(self, quantity: Decimal) -> None:
        self._number += 1
        entry, self.position = booking.book_release(
            f"r{self._number}", self.position, "ADA", quantity, "for a test", NOW_MS
        )
        self.entries.append(entry)

    def post(self, kind: EntryKind, account: Account, amount: Decimal) -> None:
        self._number += 1
        postings = (Posting(Account.VENUE, "TRY", amount), Posting(account, "TRY", -amount))
        self.entries.append(Entry(entry_id=f"e{self._number}", kind=kind, at_ms=NOW_MS, postings=postings))

    def pay_in(self, amount: Decimal) -> None:
        self._moved(TRY=amount)
        self.post(EntryKind.TRANSFER, Account.TRANSFERS, amount)

    def divergence(self) -> Decimal:
        held = {asset: Balance(asset, amount, ZERO) for asset, amount in self.account.items()}
        facts = BookFacts(
            account=AccountSnapshot(balances=held, asked_at_ms=NOW_MS, received_at_ms=NOW_MS),
            venue=balances(self.entries, Account.VENUE),
            market=balances(self.entries, Account.MARKET),
            suspense=balances(self.entries, Account.SUSPENSE),
            adopted=balances(self.entries, Account.ADOPTED),
            positions=[self.position],
            base_of={"ADATRY": "ADA"},
            prices={"TRY": Decimal(1), "ADA": self.price},
            watched=self.watched,
            quote_asset="TRY",
        )
        found, self.baseline = measure(facts, self.baseline)
        return found


@pytest.fixture
def books() -> Books:
    return Books()


def test_coins_that_were_there_before_may_rise_without_being_our_result(books: Books) -> None:
    books.price = Decimal(250)
    assert books.divergence() == 0


def test_a_loss_of_ours_is_no_divergence(books: Books) -> None:
    """mistake 8: a loss is booked like anything else."""
    books.trade(Side.BUY, Decimal(2), Decimal(100), Decimal("0.24"))
    books.price = Decimal(50)
    books.trade(Side.SELL, Decimal(1), Decimal(50), Decimal("0.12"))
    assert books.position.realized_pnl < 0
    assert books.divergence() == 0


def test_transfers_and_trades_of_other_hands_are_none_either(books: Books) -> None:
    books.pay_in(Decimal(5_000))
    books.trade(Side.SELL, Decimal(3), Decimal(101), Decimal("0.3"), ours=False)
    assert books.divergence() == 0


def test_money_that_is_gone_is(books: Books) -> None:
    books.account["TRY"] -= Decimal("123.45")
    assert books.divergence() == Decimal("-123.45")


def test_coins_that_are_gone_count_at_their_price(books: Books) -> None:
    books.account["ADA"] -= 2
    assert books.divergence() == -200


def test_a_difference_that_is_being_watched_may_be_lag(books: Books) -> None:
    books.account["TRY"] += 700
    books.watched = [Discrepancy(asset="TRY", amount=Decimal(700), first_seen_ms=NOW_MS, seen_count=1)]
    assert books.divergence() == 0


def test_what_lies_in_suspense_counts_until_somebody_explains_it(books: Books) -> None:
    books.account["TRY"] -= 80
    books.post(EntryKind.SUSPENSE, Account.SUSPENSE, Decimal(-80))
    assert books.divergence() == -80
    postings = (Posting(Account.SUSPENSE, "TRY", Decimal(-80)), Posting(Account.TRANSFERS, "TRY", Decimal(80)))
    books.entries.append(Entry(entry_id="x", kind=EntryKind.EXPLANATION, at_ms=NOW_MS, postings=postings))
    assert books.divergence() == 0


def test_coins_handed_over_came_at_a_cost_that_no_account_holds(books: Books) -> None:
    books.hand_over(Decimal(2), Decimal(150))
    assert books.divergence() == 0
    books.price = Decimal(300)
    assert books.divergence() == 0
    books.account["TRY"] -= 60
    assert books.divergence() == -60
    books.take_back(Decimal(1))
    assert books.divergence() == -60


AMOUNTS = st.integers(1, 400).map(lambda number: Decimal(number) / 100)
STEPS = st.lists(
    st.tuples(st.sampled_from(["buy", "sell", "foreign buy", "pay in", "hand over", "take back", "price"]), AMOUNTS),
    max_size=25,
)


@given(steps=STEPS, stolen=st.integers(-500, 500).map(Decimal))
def test_whatever_happens_only_what_was_stolen_is_left_over(
    steps: Sequence[tuple[str, Decimal]], stolen: Decimal
) -> None:
    books, given_up = Books(), ZERO
    for what, amount in steps:
        own = min(amount, books.position.quantity)
        match what:
            case "buy":
                books.trade(Side.BUY, amount, books.price, Decimal("0.07"))
            case "sell" if own:
                books.trade(Side.SELL, own, books.price, Decimal("0.07"))
            case "foreign buy":
                books.trade(Side.BUY, amount, books.price, Decimal("0.03"), ours=False)
            case "pay in":
                books.pay_in(amount - 2)
            case "hand over":
                books.hand_over(amount, amount * 3)
            case "take back" if own:
                books.take_back(own)
            case "price":
                books.price = amount * 10
            case _:
                given_up += 1
        assert books.divergence() == 0
    books.account["TRY"] -= stolen
    assert books.divergence() == -stolen
