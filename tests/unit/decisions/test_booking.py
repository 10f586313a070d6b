"""Booking: trades, transfers and differences become entries, each of them once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import (
    NOW_MS,
    RATES,
    a_fill,
    a_hold,
    a_position,
    a_trade,
    a_transfer,
    an_account,
    an_order,
    client_id,
    decimals,
)

from btcbot.decisions import booking
from btcbot.decisions.booking import Explanation, FillBooking
from btcbot.domain.fills import VenueTrade
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, EntryKind, balances
from btcbot.domain.orders import CLOSED, IN_DOUBT, REOPENABLE, WORKING, Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import InvariantBroken


def book(trade: VenueTrade, order: Order, position: Position | None = None) -> FillBooking:
    return booking.book_fill(trade, order, position, RATES, NOW_MS + 5)


class TestFills:
    def test_a_buy_with_fee_and_tax(self) -> None:
        """2 ADA at 100 with a fee of 0.40 and a tax of 0.08 take 200.48 TRY from what lies at the venue."""
        done = book(a_trade(fee="0.4", tax="0.08"), an_order())

        assert {(p.account, p.asset): p.amount for p in done.entry.postings} == {
            (Account.VENUE, "ADA"): Decimal(2),
            (Account.MARKET, "ADA"): Decimal(-2),
            (Account.VENUE, "TRY"): Decimal("-200.48"),
            (Account.MARKET, "TRY"): Decimal(200),
            (Account.FEE, "TRY"): Decimal("0.4"),
            (Account.TAX, "TRY"): Decimal("0.08"),
        }
        assert (done.entry.entry_id, done.entry.kind, done.entry.at_ms) == ("fill:t1", EntryKind.FILL, NOW_MS)
        assert done.entry.memo == "buy 2 ADATRY at 100"
        assert (done.order.status, done.order.filled_quantity) == (OrderStatus.FILLED, 2)
        assert (done.position.quantity, done.position.cost) == (2, Decimal("200.48"))
        assert done.hold == a_hold(an_order(), "0")
        assert done.position.symbol == "ADATRY"

    def test_the_fill_is_the_trade_and_names_our_order(self) -> None:
        """It keeps the venue's time, and our order notes when we booked it."""
        done = book(a_trade(fee="0.4", tax="0.08", at_ms=NOW_MS - 300), an_order())

        assert done.fill == a_fill(fee="0.4", tax="0.08", at_ms=NOW_MS - 300)
        assert done.order.updated_at_ms == NOW_MS + 5

    def test_a_sell_with_fee_and_tax(self) -> None:
        """What is listed with minus signs arrives here without them: 2 ADA go, 199.52 TRY come."""
        done = book(
            a_trade(side=Side.SELL, fee="0.4", tax="0.08"),
            an_order(side=Side.SELL),
            a_position(quantity="2", cost="190"),
        )

        assert done.entry.moved(Account.VENUE, "ADA") == -2
        assert done.entry.moved(Account.VENUE, "TRY") == Decimal("199.52")
        assert done.entry.moved(Account.FEE, "TRY") == Decimal("0.4")
        assert done.entry.moved(Account.TAX, "TRY") == Decimal("0.08")
        assert done.fill.quantity == 2
        assert (done.position.quantity, done.position.realized_pnl) == (0, Decimal("9.52"))

    def test_a_part_leaves_the_hold_of_the_rest(self) -> None:
        """1.5 of 2 ADA are left at 100: 150 TRY and 24 bps stay held."""
        done = book(a_trade(quantity="0.5"), an_order())

        assert done.order.status is OrderStatus.PARTIALLY_FILLED
        assert (done.hold.asset, done.hold.amount) == ("TRY", Decimal("150.36"))

    def test_a_sells_hold_is_in_the_base(self) -> None:
        done = book(
            a_trade(side=Side.SELL, quantity="0.5"), an_order(side=Side.SELL), a_position(quantity="2", cost="1")
        )

        assert (done.hold.asset, done.hold.amount) == ("ADA", Decimal("1.5"))

    def test_a_trade_of_the_other_side_or_of_another_pair_breaks_the_books(self) -> None:
        for trade, told in (
            (a_trade(side=Side.SELL), "trade t1 is a sell of ADATRY"),
            (a_trade(symbol="BTCTRY", base="BTC"), "trade t1 is a buy of BTCTRY"),
        ):
            with pytest.raises(InvariantBroken) as broken:
                book(trade, an_order())
            assert broken.value.code == "I2_FILL"
            assert told in broken.value.evidence
            assert f"{client_id(1)} is a buy of ADATRY" in broken.value.evidence

    def test_more_than_was_ordered_breaks_the_books(self) -> None:
        with pytest.raises(InvariantBroken, match="I9_OVERFILL"):
            book(a_trade(quantity="2.0001"), an_order(quantity="2"))

    def test_two_venue_orders_under_one_client_id_break_the_books(self) -> None:
        with pytest.raises(InvariantBroken) as broken:
            book(a_trade(quantity="1", venue_order_id="v2"), an_order(quantity="2", venue_order_id="v1"))

        assert broken.value.code == "I1_TWO_ORDERS"
        assert f"{client_id(1)} traded as venue orders v1 and v2" in broken.value.evidence

    def test_a_canceled_order_whose_venue_id_was_never_told_learns_it_from_its_late_fill(self) -> None:
        done = book(a_trade(quantity="0.5"), an_order(status=OrderStatus.CANCELED, venue_order_id=None))

        assert (done.order.status, done.order.venue_order_id) == (OrderStatus.CANCELED, "v1")

    def test_selling_what_was_never_bought_breaks_the_books(self) -> None:
        with pytest.raises(InvariantBroken, match="I14_OVERSOLD"):
            book(a_trade(side=Side.SELL), an_order(side=Side.SELL), None)

    @pytest.mark.parametrize("status", sorted(IN_DOUBT | REOPENABLE))
    def test_a_fill_of_an_order_that_was_doubted_or_given_up_proves_it(self, status: OrderStatus) -> None:
        done = book(a_trade(quantity="0.5"), an_order(status=status, absent_count=2, absent_since_ms=NOW_MS))

        assert (done.order.status, done.order.venue_order_id) == (OrderStatus.PARTIALLY_FILLED, "v1")
        assert done.order.reason == ReasonCode.ADOPTED
        assert (done.order.absent_count, done.order.absent_since_ms) == (0, None)
        assert done.hold.amount == Decimal("150.36")

    def test_a_fill_on_not_placed_reopens_it_and_the_rest_closes_it(self) -> None:
        reopened = book(a_trade(quantity="0.5"), an_order(status=OrderStatus.NOT_PLACED))
        done = book(a_trade(2, quantity="1.5"), reopened.order, reopened.position)

        assert (done.order.status, done.hold.amount, done.position.quantity) == (OrderStatus.FILLED, 0, 2)

    @pytest.mark.parametrize(("quantity", "after"), [("0.5", OrderStatus.CANCELED), ("2", OrderStatus.FILLED)])
    def test_a_fill_told_late_is_booked_on_a_canceled_order(self, quantity: str, after: OrderStatus) -> None:
        done = book(a_trade(quantity=quantity), an_order(status=OrderStatus.CANCELED))

        assert (done.order.status, done.order.reason) == (after, ReasonCode.LATE_FILL)
        assert done.order.filled_quantity == Decimal(quantity)
        assert done.hold.amount == 0

    def test_why_an_order_was_cancelled_is_not_lost_when_its_fills_come_late(self) -> None:
        why = "order:drifted; confirmed by the venue's lists"
        part = book(a_trade(quantity="0.5"), an_order(status=OrderStatus.CANCELED, reason=why))
        assert part.order.reason == f"{why}; order:late_fill"
        rest = book(a_trade(2, quantity="1.5"), part.order, part.position)
        assert (rest.order.status, rest.order.reason) == (OrderStatus.FILLED, f"{why}; order:late_fill")

    @pytest.mark.parametrize("status", [OrderStatus.FILLED, OrderStatus.DENIED, OrderStatus.SIMULATED])
    def test_an_order_that_cannot_have_filled_breaks_the_books(self, status: OrderStatus) -> None:
        with pytest.raises(InvariantBroken):
            book(a_trade(quantity="0.5"), an_order(status=status, filled="2" if status is OrderStatus.FILLED else "0"))


class TestHolds:
    @pytest.mark.parametrize("status", sorted(IN_DOUBT | WORKING))
    def test_an_open_order_has_its_hold(self, status: OrderStatus) -> None:
        assert booking.hold_for(an_order(status=status), "ADA", "TRY", RATES).amount == Decimal("200.48")

    @pytest.mark.parametrize("status", sorted(CLOSED))
    def test_a_closed_order_has_none(self, status: OrderStatus) -> None:
        assert booking.hold_for(an_order(status=status), "ADA", "TRY", RATES).amount == 0


def test_adoption_on_sight_makes_the_evidence_of_absence_void() -> None:
    order = an_order(status=OrderStatus.SUBMITTED, absent_count=1, absent_since_ms=NOW_MS)

    seen = booking.adopted(order, "v9", NOW_MS + 5)

    assert (seen.status, seen.venue_order_id, seen.absent_count) == (OrderStatus.ACCEPTED, "v9", 0)
    assert (seen.reason, seen.updated_at_ms) == (ReasonCode.ADOPTED, NOW_MS + 5)


def test_a_foreign_trade_moves_the_balance_and_never_a_position() -> None:
    entry = booking.book_foreign(a_trade(client_order_id=None, fee="0.4", tax="0.08"))

    assert (entry.entry_id, entry.kind) == ("foreign:t1", EntryKind.FOREIGN)
    assert entry.moved(Account.VENUE, "TRY") == Decimal("-200.48")
    assert entry.moved(Account.FOREIGN, "ADA") == -2
    assert entry.moved(Account.MARKET, "ADA") == 0


def test_the_opening_is_everything_that_was_there_free_and_locked() -> None:
    entries = booking.book_opening(an_account(TRY=("900", "100"), ADA="5", BTC="0"), NOW_MS)

    assert [(entry.entry_id, entry.kind, entry.at_ms, entry.memo) for entry in entries] == [
        ("opening:ADA", EntryKind.OPENING, NOW_MS, "opening balance"),
        ("opening:TRY", EntryKind.OPENING, NOW_MS, "opening balance"),
    ]
    assert balances(entries, Account.VENUE) == {"ADA": 5, "TRY": 1000}
    assert balances(entries, Account.OPENING) == {"ADA": -5, "TRY": -1000}


def test_what_an_operator_hands_over_becomes_a_position_and_moves_nothing_at_the_venue() -> None:
    entry, position = booking.book_adoption("adopt:1", None, "ADATRY", "ADA", Decimal(3), Decimal(330), NOW_MS)

    assert position == a_position(quantity="3", cost="330")
    assert (entry.entry_id, entry.kind, entry.at_ms) == ("adopt:1", EntryKind.ADOPTION, NOW_MS)
    assert "3 ADATRY at a cost of 330" in entry.memo
    assert entry.moved(Account.VENUE, "ADA") == 0
    assert (entry.moved(Account.OPENING, "ADA"), entry.moved(Account.ADOPTED, "ADA")) == (3, -3)


def test_what_an_operator_hands_over_is_added_to_what_is_held() -> None:
    held = a_position(quantity="1", cost="100", realized_pnl=Decimal(7))

    _, position = booking.book_adoption("adopt:1", held, "ADATRY", "ADA", Decimal(3), Decimal(330), NOW_MS)

    assert position == a_position(quantity="4", cost="430", realized_pnl=Decimal(7))


def test_what_an_operator_takes_out_goes_back_to_the_opening_with_its_cost_and_makes_no_result() -> None:
    """Half of 4 ADA that cost 430: 215 of cost go along, the account still holds all of it."""
    held = a_position(quantity="4", cost="430", realized_pnl=Decimal(7))

    entry, position = booking.book_release("release:1", held, "ADA", Decimal(2), "sold by hand", NOW_MS)

    assert position == a_position(quantity="2", cost="215", realized_pnl=Decimal(7))
    assert (entry.entry_id, entry.kind, entry.at_ms) == ("release:1", EntryKind.ADOPTION, NOW_MS)
    assert "2 ADATRY: sold by hand" in entry.memo
    assert entry.moved(Account.VENUE, "ADA") == 0
    assert (entry.moved(Account.ADOPTED, "ADA"), entry.moved(Account.OPENING, "ADA")) == (2, -2)


def test_handing_over_and_taking_back_leaves_nothing_in_the_books() -> None:
    handed, position = booking.book_adoption("adopt:1", None, "ADATRY", "ADA", Decimal(3), Decimal(330), NOW_MS)
    taken, after = booking.book_release("release:1", position, "ADA", Decimal(3), "by mistake", NOW_MS)

    assert after == a_position()
    assert balances([handed, taken], Account.ADOPTED) == balances([handed, taken], Account.OPENING) == {"ADA": 0}


def test_more_than_is_held_is_not_taken_out() -> None:
    with pytest.raises(InvariantBroken, match=r"^I14_OVERSOLD: 5 of ADATRY"):
        booking.book_release("release:1", a_position(quantity="4", cost="430"), "ADA", Decimal(5), "all", NOW_MS)


class TestTransfers:
    """A listed transfer is booked when the balance shows that the money moved, by whatever reading of its fee."""

    def moved(self, difference: str, *listed: object) -> dict[str, Decimal]:
        entries = booking.match_transfers("TRY", Decimal(difference), listed)  # type: ignore[arg-type]
        return {entry.entry_id: entry.moved(Account.VENUE, "TRY") for entry in entries}

    def test_a_deposit(self) -> None:
        (entry,) = booking.match_transfers("TRY", Decimal(500), [a_transfer("500")])

        assert (entry.entry_id, entry.kind) == ("transfer:x1", EntryKind.TRANSFER)
        assert (entry.at_ms, entry.memo) == (a_transfer("500").at_ms, "deposit of 500 TRY")
        assert entry.moved(Account.VENUE, "TRY") == 500
        assert entry.moved(Account.TRANSFERS, "TRY") == -500

    def test_a_withdrawal_whose_fee_is_on_top(self) -> None:
        (entry,) = booking.match_transfers("TRY", Decimal(-503), [a_transfer("-500", fee="3")])

        assert entry.memo == "withdrawal of 500 TRY"
        assert entry.moved(Account.VENUE, "TRY") == -503
        assert entry.moved(Account.TRANSFERS, "TRY") == 500
        assert entry.moved(Account.FEE, "TRY") == 3

    def test_a_withdrawal_whose_amount_includes_the_fee(self) -> None:
        (entry,) = booking.match_transfers("TRY", Decimal(-500), [a_transfer("-500", fee="3")])

        assert entry.moved(Account.VENUE, "TRY") == -500
        assert entry.moved(Account.TRANSFERS, "TRY") == 497
        assert entry.moved(Account.FEE, "TRY") == 3

    def test_several_at_once_each_with_its_own_reading(self) -> None:
        """+1000, -200 with 2 on top and -300 with 3 inside: 498 moved."""
        listed = [a_transfer("1000"), a_transfer("-200", "2", 2), a_transfer("-300", "3", 3)]

        assert self.moved("498", *listed) == {"transfer:x1": 1000, "transfer:x2": -202, "transfer:x3": -300}

    def test_the_fewest_transfers_that_explain_it(self) -> None:
        listed = [a_transfer("200", number=1), a_transfer("300", number=2), a_transfer("500", number=3)]

        assert self.moved("500", *listed) == {"transfer:x3": 500}

    def test_a_listed_transfer_whose_money_has_not_moved_is_left(self) -> None:
        assert self.moved("0.01", a_transfer("500")) == {}
        assert self.moved("499.99", a_transfer("500")) == {}

    def test_another_assets_transfer_explains_nothing(self) -> None:
        assert self.moved("500", a_transfer("500", asset="ADA")) == {}

    def test_of_many_the_newest_are_searched(self) -> None:
        listed = [a_transfer(str(1000 + number), number=number) for number in range(20)]

        assert self.moved("1019", *listed) == {"transfer:x19": 1019}
        assert self.moved("1012", *listed) == {"transfer:x12": 1012}  # the eighth from the end
        assert self.moved("1011", *listed) == {}
        assert self.moved("1000", *listed) == {}

    @pytest.mark.parametrize("moved", [12, 11, 10, 9])
    def test_after_a_long_absence_a_long_run_from_the_oldest_on_is_found(self, moved: int) -> None:
        """Twelve deposits are listed, more than are searched; the newest of them may not have moved yet."""
        listed = [a_transfer(str(100 + number), number=number) for number in range(12)]
        total = sum(100 + number for number in range(moved))

        assert self.moved(str(total), *reversed(listed)) == {
            f"transfer:x{number}": 100 + number for number in range(moved)
        }

    @pytest.mark.parametrize("each", [-103, -100], ids=["fee on top", "fee inside"])
    def test_a_long_run_of_withdrawals_reads_all_their_fees_alike(self, each: int) -> None:
        listed = [a_transfer("-100", "3", number) for number in range(12)]

        assert self.moved(str(12 * each), *listed) == {f"transfer:x{number}": each for number in range(12)}

    def test_a_run_with_a_gap_explains_nothing(self) -> None:
        """All but the second oldest: neither a few of the newest nor a run from the oldest on."""
        listed = [a_transfer(str(100 + number), number=number) for number in range(12)]
        total = sum(100 + number for number in range(12) if number != 1)

        assert self.moved(str(total), *listed) == {}


@settings(deadline=None, max_examples=60)
@given(
    data=st.lists(
        st.tuples(decimals("-1000", "1000", 2).filter(bool), decimals("0", "9", 2), st.booleans(), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_moved_is_explained_to_the_last_digit(data: list[tuple[Decimal, Decimal, bool, bool]]) -> None:
    listed = [a_transfer(str(amount), str(fee), number) for number, (amount, fee, _, _) in enumerate(data)]
    difference = sum(
        (amount - fee if fee_apart else amount for amount, fee, fee_apart, arrived in data if arrived), Decimal(0)
    )
    entries = booking.match_transfers("TRY", difference, listed) if difference else []

    assert sum((entry.moved(Account.VENUE, "TRY") for entry in entries), Decimal(0)) == difference
    assert len({entry.entry_id for entry in entries}) == len(entries)


class TestExplanations:
    @pytest.mark.parametrize(
        ("meaning", "account"),
        [("deposit", Account.TRANSFERS), ("withdrawal", Account.TRANSFERS), ("fee", Account.FEE)],
    )
    def test_a_humans_word_moves_it_out_of_suspense(self, meaning: str, account: Account) -> None:
        look = booking.Look(asked_at_ms=NOW_MS, answered_at_ms=NOW_MS)
        found = booking.reconcile({"TRY": Decimal(-5)}, WATCHED_LONG, frozenset(), [], {}, look, 0)
        (suspense,) = found.entries

        entry = booking.book_explanation(
            suspense, Explanation(entry_id="explain:1", meaning=meaning, reason="card fee"), NOW_MS + 60_000
        )

        assert (entry.entry_id, entry.kind, entry.at_ms) == ("explain:1", EntryKind.EXPLANATION, NOW_MS + 60_000)
        assert entry.memo == f"{meaning}: card fee"
        assert balances([suspense, entry], Account.SUSPENSE) == {"TRY": 0}
        assert balances([suspense, entry], account) == {"TRY": 5}
        assert entry.moved(Account.VENUE, "TRY") == 0


WATCHED_LONG = [booking.Discrepancy(asset="TRY", amount=Decimal(-5), first_seen_ms=0, seen_count=3)]
