"""Recovery concludes only what is proved: adoption on sight, closing on agreement, absence on proof."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import BOOK_ID, NOW_MS, RATES, a_venue_order, an_account, an_instrument, an_order, client_id

from btcbot.decisions.recovery import (
    Adopt,
    AdoptUnknown,
    Close,
    Contradiction,
    FetchFills,
    Listing,
    Lookups,
    NoteAbsence,
    RecoveryFacts,
    RecoveryStep,
    Wait,
    conclude,
    lookups,
    unexplained_lock,
)
from btcbot.domain.intents import Side
from btcbot.domain.orders import IN_DOUBT, REOPENABLE, TRANSITIONS, WORKING, Order, OrderEvent, OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.venue import VenueOrder, VenueOrderStatus

HORIZON_MS = 30_000
#: The venue takes a request for 5 s after its stamp; one second of margin on top.
FENCE_MS = NOW_MS + 6_000
#: The first moment at which a second listing can prove absence, when the first was taken just behind the fence.
PROOF_MS = FENCE_MS + 1 + HORIZON_MS


def facts(*ours: Order, **changes: Any) -> RecoveryFacts:
    """Nothing is listed, nothing is locked, and the venue's clock is where a first absence has been noted."""
    plain = RecoveryFacts(
        book_id=BOOK_ID,
        ours=ours,
        closed_ids=frozenset(),
        venue_open=(),
        single={},
        listings={},
        account=an_account(TRY="1000"),
        instruments={"ADATRY": an_instrument(), "BTCTRY": an_instrument("BTCTRY")},
        fee_rates=RATES,
        venue_time_ms=PROOF_MS,
        settle_horizon_ms=HORIZON_MS,
    )
    return replace(plain, **changes)


def a_listing(*shown: VenueOrder, at_ms: int = PROOF_MS, symbol: str = "ADATRY") -> dict[str, Listing]:
    return {symbol: Listing(symbol=symbol, orders=shown, taken_at_ms=at_ms)}


def steps(found: RecoveryFacts, booked: str = "0") -> Sequence[RecoveryStep]:
    return conclude(found, {order.client_order_id: Decimal(booked) for order in found.ours})


def doubted(**changes: Any) -> Order:
    """Sent at NOW_MS; one complete listing, just behind the fence, has not shown it."""
    return replace(
        an_order(status=OrderStatus.UNKNOWN), **{"absent_count": 1, "absent_since_ms": FENCE_MS + 1, **changes}
    )


def assert_waits(found: RecoveryFacts, because: str) -> None:
    """The only step is to wait, for this very order, and it says why: `because` are whole words of it."""
    (step,) = steps(found)
    assert isinstance(step, Wait), step
    assert step.order == found.ours[0]
    assert f" {because}" in f" {step.why}"


class TestLookups:
    def test_a_working_order_that_is_listed_needs_no_further_question(self) -> None:
        order = an_order()

        assert lookups([order], [a_venue_order(order)]) == Lookups(orders=[], listings={})

    @pytest.mark.parametrize("status", sorted(WORKING))
    def test_a_working_order_that_is_not_listed_is_asked_for_by_its_id(self, status: OrderStatus) -> None:
        order = an_order(status=status, venue_order_id="v1")

        assert lookups([order], []) == Lookups(orders=[order], listings={})

    @pytest.mark.parametrize("status", sorted(IN_DOUBT))
    def test_an_order_in_doubt_asks_for_a_complete_listing_of_its_symbol(self, status: OrderStatus) -> None:
        order = an_order(status=status, stamp_ms=NOW_MS - 700)

        assert lookups([order], []) == Lookups(orders=[], listings={"ADATRY": NOW_MS - 700})
        assert lookups([order], [a_venue_order(order)]) == Lookups(orders=[], listings={})

    def test_a_listing_reaches_back_to_the_oldest_order_it_is_for(self) -> None:
        orders = [
            an_order(number, status=OrderStatus.UNKNOWN, created_at_ms=at_ms, stamp_ms=stamp_ms)
            for number, (at_ms, stamp_ms) in enumerate([(NOW_MS, NOW_MS), (NOW_MS - 50, NOW_MS), (NOW_MS, None)])
        ]

        assert lookups(orders, []).listings == {"ADATRY": NOW_MS - 50}

    @pytest.mark.parametrize("status", sorted(REOPENABLE))
    def test_a_closed_order_asks_nothing(self, status: OrderStatus) -> None:
        assert lookups([an_order(status=status)], []) == Lookups(orders=[], listings={})


class TestAdoption:
    @pytest.mark.parametrize("status", sorted(IN_DOUBT | REOPENABLE))
    def test_what_the_venue_shows_is_adopted_whatever_we_believed(self, status: OrderStatus) -> None:
        order = an_order(status=status)
        shown = a_venue_order(order, venue_order_id="v9")

        assert steps(facts(order, venue_open=[shown])) == [Adopt(order, shown)]
        assert steps(facts(order, listings=a_listing(shown))) == [Adopt(order, shown)]

    def test_it_is_adopted_even_when_the_venue_has_closed_it_already(self) -> None:
        order = an_order(status=OrderStatus.UNKNOWN)
        shown = a_venue_order(order, status=VenueOrderStatus.CANCELED)

        assert steps(facts(order, listings=a_listing(shown))) == [Adopt(order, shown)]

    def test_sight_beats_all_evidence_of_absence(self) -> None:
        order = doubted(absent_count=99)
        shown = a_venue_order(order)

        assert steps(facts(order, venue_open=[shown], listings=a_listing())) == [Adopt(order, shown)]

    def test_the_newest_of_two_sights_counts(self) -> None:
        order = an_order(status=OrderStatus.UNKNOWN)
        old, new = a_venue_order(order), a_venue_order(order, executed="1")

        assert steps(facts(order, listings=a_listing(old), venue_open=[new])) == [Adopt(order, new)]

    def test_an_order_of_this_database_that_the_database_has_lost_is_adopted(self) -> None:
        lost = a_venue_order(an_order(7))

        assert steps(facts(venue_open=[lost])) == [AdoptUnknown(lost)]

    @pytest.mark.parametrize(
        "client_order_id", [None, "by-hand", "", client_id(book_id="other"), "btcbot-k7f3", "btcbot-k7f3-1-2-3"]
    )
    def test_a_foreign_order_never_is(self, client_order_id: str | None) -> None:
        foreign = replace(a_venue_order(an_order()), client_order_id=client_order_id)
        unknown = an_order(5, status=OrderStatus.UNKNOWN)

        assert steps(facts(venue_open=[foreign])) == []
        assert not any(
            isinstance(step, Adopt | AdoptUnknown)
            for step in steps(facts(unknown, venue_open=[foreign], listings=a_listing(foreign)))
        )

    def test_an_order_that_is_closed_here_is_settled_and_not_adopted(self) -> None:
        """A complete listing shows closed orders too, and a list of open orders may lag."""
        done = a_venue_order(an_order(7))
        settled = frozenset({client_id(7)})

        assert steps(facts(venue_open=[done], closed_ids=settled)) == []
        assert steps(facts(listings=a_listing(done), closed_ids=settled)) == []


class TestTwoOrdersUnderOneId:
    """I1: one intent, one order. The venue showing two is a contradiction, and nothing else is concluded."""

    @pytest.mark.parametrize("status", [OrderStatus.UNKNOWN, OrderStatus.NOT_PLACED, OrderStatus.ACCEPTED])
    def test_two_in_the_lists(self, status: OrderStatus) -> None:
        order = an_order(status=status)
        one, two = a_venue_order(order), a_venue_order(order, venue_order_id="v2")

        for found in (
            facts(order, venue_open=[one, two]),
            facts(order, venue_open=[one], listings=a_listing(two)),
            facts(order, listings=a_listing(one, two)),
        ):
            (step,) = steps(found)
            assert isinstance(step, Contradiction)
            assert f"client order id {client_id(1)} stands" in step.evidence
            assert "v1" in step.evidence and "v2" in step.evidence

    def test_another_one_than_the_one_we_know(self) -> None:
        order = an_order(venue_order_id="v1")

        (step,) = steps(facts(order, venue_open=[a_venue_order(order, venue_order_id="v2")]))

        assert step == Contradiction(f"client order id {client_id(1)} stands at the venue as orders v1 and v2")

    def test_the_same_one_in_two_lists_is_one(self) -> None:
        order = an_order(status=OrderStatus.UNKNOWN)
        shown = a_venue_order(order)

        assert steps(facts(order, venue_open=[shown], listings=a_listing(shown))) == [Adopt(order, shown)]

    @pytest.mark.parametrize("client_order_id", [None, "by-hand", client_id(book_id="other")])
    def test_what_others_do_with_their_ids_is_their_own_affair(self, client_order_id: str | None) -> None:
        rows = [a_venue_order(an_order(n), client_order_id=client_order_id, venue_order_id=f"v{n}") for n in (1, 2)]

        assert steps(facts(venue_open=rows)) == []


class TestWorkingOrders:
    """An order with a venue order id: follow what the venue says of it."""

    def test_listed_and_in_agreement_needs_nothing(self) -> None:
        order = an_order()

        assert steps(facts(order, venue_open=[a_venue_order(order)])) == []

    def test_executed_beyond_our_fills_asks_for_its_trades(self) -> None:
        order = an_order()

        assert steps(facts(order, venue_open=[a_venue_order(order, executed="0.5")])) == [
            FetchFills(order, Decimal("0.5"))
        ]

    @pytest.mark.parametrize(
        ("executed", "booked", "step"),
        [("0.5", "0.5", Close), ("0.5", "0", FetchFills), ("0", "0", Close)],
        ids=["all fills booked", "a fill is missing", "nothing was filled"],
    )
    def test_a_cancelled_order_is_closed_only_when_our_fills_equal_what_was_executed(
        self, executed: str, booked: str, step: type[RecoveryStep]
    ) -> None:
        order = an_order()
        shown = a_venue_order(order, executed=executed, status=VenueOrderStatus.CANCELED)

        (concluded,) = steps(facts(order, single={"v1": shown}), booked)

        assert isinstance(concluded, step)
        if isinstance(concluded, Close):
            assert concluded == Close(order, OrderEvent.CANCEL, ReasonCode.CANCELED_AT_VENUE)

    def test_a_row_older_than_our_fills_is_waited_out(self) -> None:
        order = an_order()
        shown = a_venue_order(order, executed="0.5", status=VenueOrderStatus.CANCELED)

        assert steps(facts(order, single={"v1": shown}), booked="1") == []

    def test_what_the_venue_knows_nothing_of_is_waited_for(self) -> None:
        order = an_order()

        for single in ({}, {"v1": None}):
            assert_waits(facts(order, single=single), because="the venue neither lists it as open nor knows its id")

    def test_an_untouched_order_that_no_list_shows_is_waited_for_however_long_it_takes(self) -> None:
        """The venue knows it by its id and nothing of it is executed: it may still rest in the book."""
        order = replace(an_order(), absent_count=9, absent_since_ms=0)
        untouched = {"v1": a_venue_order(order)}

        assert_waits(facts(order, single=untouched), because="the venue tells it as untouched by its id")

    @pytest.mark.parametrize("told_as", ["by-hand", client_id(2), client_id(book_id="other")])
    def test_a_row_of_another_order_under_its_id_tells_nothing_of_it(self, told_as: str) -> None:
        """Whatever that row says was executed or cancelled, it is not said of our order."""
        order = an_order()
        other = {
            "v1": replace(
                a_venue_order(order, executed="0.5"), client_order_id=told_as, status=VenueOrderStatus.CANCELED
            )
        }

        assert_waits(facts(order, single=other), because="the venue tells another order under its id")

    def test_a_row_without_a_client_id_is_taken_by_the_venues_id(self) -> None:
        order = an_order()
        unnamed = {"v1": replace(a_venue_order(order, executed="0.5"), client_order_id=None)}

        assert steps(facts(order, single=unnamed)) == [FetchFills(order, Decimal("0.5"))]

    def test_an_order_of_which_nothing_is_booked_has_no_fills(self) -> None:
        """Orders without a fill do not stand among the booked ones at all."""
        order = an_order()

        assert conclude(facts(order, venue_open=[a_venue_order(order)]), {}) == []
        assert conclude(facts(order, venue_open=[a_venue_order(order, executed="0.5")]), {}) == [
            FetchFills(order, Decimal("0.5"))
        ]

    def test_told_by_its_id_but_not_listed_as_open_is_noted_first_and_closed_after_the_horizon(self) -> None:
        """The venue was seen to leave a cancelled order with a fill as «Partial»; a list may also just lag."""
        order = an_order(status=OrderStatus.PENDING_CANCEL, venue_order_id="v1")
        partial = {"v1": a_venue_order(order, executed="0.5")}

        assert steps(facts(order, single=partial), "0.5") == [NoteAbsence(order, 1, PROOF_MS)]

        once = replace(order, absent_count=1, absent_since_ms=PROOF_MS - HORIZON_MS + 1)
        assert steps(facts(once, single=partial), "0.5") == [NoteAbsence(once, 2, PROOF_MS - HORIZON_MS + 1)]

        long = replace(order, absent_count=1, absent_since_ms=PROOF_MS - HORIZON_MS)
        assert steps(facts(long, single=partial), "0.5") == [
            Close(long, OrderEvent.CANCEL, ReasonCode.CANCELED_AT_VENUE)
        ]

    def test_an_order_younger_than_the_horizon_is_not_noted_as_absent(self) -> None:
        """A list may leave young orders out while they work; then a row by its id that lags would be believed later."""
        order = an_order(status=OrderStatus.PENDING_CANCEL, venue_order_id="v1")
        order = replace(order, stamp_ms=PROOF_MS - HORIZON_MS)
        partial = {"v1": a_venue_order(order, executed="0.5")}
        assert steps(facts(order, single=partial), "0.5") == [NoteAbsence(order, 1, PROOF_MS)]

        for younger in (
            replace(order, stamp_ms=PROOF_MS - HORIZON_MS + 1),
            replace(order, stamp_ms=None, created_at_ms=PROOF_MS - HORIZON_MS + 1),
        ):
            (step,) = steps(facts(younger, single=partial), "0.5")
            assert step == Wait(younger, f"a list may not show it before it is {HORIZON_MS} ms old")

    def test_seen_open_again_makes_such_evidence_void(self) -> None:
        order = replace(an_order(), absent_count=1, absent_since_ms=NOW_MS)

        assert steps(facts(order, venue_open=[a_venue_order(order)])) == [NoteAbsence(order, 0, None)]

    def test_it_is_not_closed_for_lack_of_a_listing_while_a_fill_is_missing(self) -> None:
        order = replace(an_order(), absent_count=9, absent_since_ms=0)

        assert steps(facts(order, single={"v1": a_venue_order(order, executed="0.5")})) == [
            FetchFills(order, Decimal("0.5"))
        ]

    def test_an_order_that_works_without_the_venues_id_cannot_be(self) -> None:
        """ACCEPTED means that the venue named it; without the name no step is built on it."""
        with pytest.raises(AssertionError, match=r"^a working order has a venue order id"):
            steps(facts(an_order(venue_order_id=None)))


class TestProofOfAbsence:
    """Fenced, listed twice a horizon apart without it, and no locked funds that could be its own."""

    @pytest.mark.parametrize(
        ("status", "close"),
        [
            (OrderStatus.UNKNOWN, (OrderEvent.PROVE_ABSENCE, ReasonCode.ABSENCE_PROVED)),
            (OrderStatus.REFUSED_PROVISIONAL, (OrderEvent.CONFIRM_REFUSAL, ReasonCode.REFUSAL_CONFIRMED)),
        ],
    )
    def test_with_all_conditions_met_it_is_concluded(
        self, status: OrderStatus, close: tuple[OrderEvent, ReasonCode]
    ) -> None:
        order = doubted(status=status)

        assert steps(facts(order, listings=a_listing())) == [Close(order, *close)]

    def test_without_a_listing_nothing_is_noted(self) -> None:
        assert_waits(facts(doubted(), listings=a_listing(symbol="BTCTRY")), because="no complete listing of its symbol")

    def test_an_order_whose_answer_is_not_recorded_is_not_judged_by_any_listing(self) -> None:
        """Its one request may be under way this very moment; all other evidence would do."""
        order = doubted(status=OrderStatus.SUBMITTED)

        assert_waits(facts(order, listings=a_listing()), because="its answer is not recorded")

    @pytest.mark.parametrize(("at_ms", "left_ms"), [(NOW_MS, 6_000), (FENCE_MS - 1, 1), (FENCE_MS, 0)])
    def test_while_its_request_may_still_be_accepted_no_listing_counts(self, at_ms: int, left_ms: int) -> None:
        found = facts(an_order(status=OrderStatus.UNKNOWN), listings=a_listing(at_ms=at_ms))

        assert_waits(found, because=f"may still be accepted for {left_ms} ms")

    def test_behind_the_fence_the_first_listing_is_noted(self) -> None:
        order = an_order(status=OrderStatus.UNKNOWN)

        assert steps(facts(order, listings=a_listing(at_ms=FENCE_MS + 1))) == [NoteAbsence(order, 1, FENCE_MS + 1)]

    def test_an_order_without_a_stamp_is_fenced_from_its_making(self) -> None:
        order = an_order(status=OrderStatus.UNKNOWN, stamp_ms=None)

        assert isinstance(steps(facts(order, listings=a_listing(at_ms=FENCE_MS)))[0], Wait)
        assert isinstance(steps(facts(order, listings=a_listing(at_ms=FENCE_MS + 1)))[0], NoteAbsence)

    def test_one_listing_proves_nothing_however_late_it_is(self) -> None:
        order = an_order(status=OrderStatus.UNKNOWN)

        late = a_listing(at_ms=PROOF_MS + 10 * HORIZON_MS)
        assert isinstance(steps(facts(order, listings=late))[0], NoteAbsence)

    def test_without_any_horizon_it_still_takes_two(self) -> None:
        order = an_order(status=OrderStatus.UNKNOWN)

        assert steps(facts(order, listings=a_listing(), settle_horizon_ms=0)) == [NoteAbsence(order, 1, PROOF_MS)]

    def test_many_listings_within_the_horizon_prove_nothing_either(self) -> None:
        order = doubted(absent_count=20)

        assert steps(facts(order, listings=a_listing(at_ms=PROOF_MS - 1))) == [NoteAbsence(order, 21, FENCE_MS + 1)]

    def test_a_lock_that_could_be_its_funds_speaks_against_it(self) -> None:
        """2 ADA at 100 lock at least 200.24 TRY, at the maker rate; nothing listed explains the 200.24."""
        found = facts(doubted(), listings=a_listing(), account=an_account(TRY=("799.76", "200.24")))

        assert_waits(found, because="200.24 TRY is locked")


class TestLocks:
    """Evidence, not equality: only a lock that could hold the order in doubt blocks the proof."""

    @pytest.mark.parametrize(
        ("locked", "blocks"), [("0", False), ("200.23", False), ("200.24", True), ("200.48", True), ("5000", True)]
    )
    def test_a_buy_needs_quote_at_the_maker_rate_at_least(self, locked: str, blocks: bool) -> None:
        found = facts(account=an_account(TRY=("0", locked)))

        assert (unexplained_lock(doubted(), found) is not None) is blocks

    @pytest.mark.parametrize(("locked", "blocks"), [("1.9999", False), ("2", True)])
    def test_a_sell_needs_its_quantity_of_the_base(self, locked: str, blocks: bool) -> None:
        found = facts(account=an_account(TRY=("0", "5000"), ADA=("0", locked)))

        assert (unexplained_lock(doubted(side=Side.SELL), found) is not None) is blocks

    @pytest.mark.parametrize("foreign_id", [None, "by-hand"])
    def test_listed_orders_explain_their_locks_whoever_placed_them(self, foreign_id: str | None) -> None:
        """An open buy of 3 at 100 explains 300.36 TRY; with 500 locked, 199.64 is left, too little for 200.24."""
        other = replace(a_venue_order(an_order(2, quantity="3", venue_order_id="v2")), client_order_id=foreign_id)

        enough = facts(venue_open=[other], account=an_account(TRY=("0", "500")))
        assert unexplained_lock(doubted(), enough) is None
        too_much = facts(venue_open=[other], account=an_account(TRY=("0", "500.60")))
        assert unexplained_lock(doubted(), too_much) is not None

    def test_an_open_order_explains_only_the_asset_that_it_locks(self) -> None:
        """An open sell of ADA locks ADA, an open buy of BTC locks TRY."""
        sell = replace(a_venue_order(an_order(2, quantity="9", venue_order_id="v2")), side=Side.SELL)
        buy = replace(a_venue_order(an_order(3, quantity="9", venue_order_id="v3")), symbol="BTCTRY")
        locked = an_account(TRY=("0", "300"))

        assert unexplained_lock(doubted(), facts(venue_open=[sell], account=locked)) is not None
        assert unexplained_lock(doubted(), facts(venue_open=[buy], account=locked)) is None

    def test_without_the_pairs_rules_locks_cannot_be_read_and_nothing_is_proved(self) -> None:
        found = facts(doubted(), listings=a_listing(), instruments={})

        assert_waits(found, because="no rules for ADATRY")

    def test_several_listed_orders_explain_their_locks_together(self) -> None:
        """Open buys of 3 and of 1 at 100 explain 400.48 TRY; of 600 locked 199.52 are left, too little for 200.24."""
        others = [
            a_venue_order(an_order(number, quantity=quantity, venue_order_id=f"v{number}"))
            for number, quantity in [(2, "3"), (3, "1")]
        ]

        enough = facts(venue_open=others, account=an_account(TRY=("0", "600")))
        assert unexplained_lock(doubted(), enough) is None
        too_much = facts(venue_open=others, account=an_account(TRY=("0", "600.72")))
        assert unexplained_lock(doubted(), too_much) is not None

    def test_a_listed_sell_explains_no_lira_and_a_listed_buy_no_coin(self) -> None:
        """201 TRY may be the 200.24 in doubt, for an open sell of 2 ADA locks ADA; the other way round as well."""
        sell = replace(a_venue_order(an_order(2, venue_order_id="v2")), side=Side.SELL)
        buy = a_venue_order(an_order(3, venue_order_id="v3"))

        lira = facts(venue_open=[sell], account=an_account(TRY=("0", "201"), ADA=("0", "2")))
        assert unexplained_lock(doubted(), lira) is not None
        coins = facts(venue_open=[buy], account=an_account(TRY=("0", "200.24"), ADA=("0", "2")))
        assert unexplained_lock(doubted(side=Side.SELL), coins) is not None

    def test_a_listed_sell_explains_its_coins(self) -> None:
        """3 ADA are locked, 2 of them for the open sell; the 1 that is left cannot be the 2 in doubt. Of 4 it could."""
        sell = replace(a_venue_order(an_order(2, venue_order_id="v2")), side=Side.SELL)

        for locked, blocks in (("3", False), ("4", True)):
            found = facts(venue_open=[sell], account=an_account(ADA=("0", locked)))
            assert (unexplained_lock(doubted(side=Side.SELL), found) is not None) is blocks

    def test_an_order_that_pays_in_another_currency_explains_nothing(self) -> None:
        """An open buy of ADA against USDT locks USDT: the 300 TRY stay unexplained."""
        in_usdt = replace(a_venue_order(an_order(2, quantity="9", venue_order_id="v2")), symbol="ADAUSDT")
        rules = {"ADATRY": an_instrument(), "ADAUSDT": an_instrument("ADAUSDT", base="ADA", quote="USDT")}
        found = facts(venue_open=[in_usdt], instruments=rules, account=an_account(TRY=("0", "300")))

        assert unexplained_lock(doubted(), found) is not None

    def test_an_order_of_a_pair_without_rules_explains_nothing(self) -> None:
        unlisted = replace(a_venue_order(an_order(2, quantity="9", venue_order_id="v2")), symbol="XRPTRY")
        found = facts(venue_open=[unlisted], account=an_account(TRY=("0", "300")))

        assert unexplained_lock(doubted(), found) is not None


@st.composite
def situations(draw: st.DrawFn) -> RecoveryFacts:
    """An order in doubt with any evidence, any listing, any locks, any order of somebody else beside it."""
    order = doubted(
        status=draw(st.sampled_from([OrderStatus.UNKNOWN, OrderStatus.REFUSED_PROVISIONAL])),
        side=draw(st.sampled_from(Side)),
        absent_count=draw(st.integers(0, 3)),
        absent_since_ms=draw(st.none() | st.integers(FENCE_MS - 5_000, PROOF_MS + 5_000)),
        stamp_ms=draw(st.none() | st.integers(NOW_MS - 3_000, NOW_MS + 3_000)),
    )
    if not order.absent_count:
        order = replace(order, absent_since_ms=None)
    shown = [a_venue_order(order)] if draw(st.booleans()) else []
    other = replace(
        a_venue_order(an_order(9, quantity=str(draw(st.integers(1, 4))), venue_order_id="v9")),
        client_order_id=draw(st.none() | st.just("by-hand")),
        side=draw(st.sampled_from(Side)),
    )
    at_ms = draw(st.integers(NOW_MS, PROOF_MS + 10_000))
    return facts(
        order,
        venue_open=[*(shown if draw(st.booleans()) else []), *([other] if draw(st.booleans()) else [])],
        listings=a_listing(*shown, at_ms=at_ms) if draw(st.booleans()) else {},
        account=an_account(
            TRY=("500", str(draw(st.sampled_from([0, 150, 201, 300, 500, 900])))),
            ADA=("5", str(draw(st.integers(0, 6)))),
        ),
        venue_time_ms=at_ms,
    )


@settings(deadline=None, max_examples=500)
@given(found=situations())
def test_absence_is_never_concluded_while_any_condition_fails(found: RecoveryFacts) -> None:
    (order,) = found.ours
    listing = found.listings.get("ADATRY")
    shown = [*found.venue_open, *(listing.orders if listing else [])]
    (step,) = steps(found)

    is_shown = any(one.client_order_id == order.client_order_id for one in shown)
    assert isinstance(step, Adopt) == is_shown
    if not isinstance(step, Close):
        return
    assert listing is not None
    assert listing.taken_at_ms > (order.stamp_ms or order.created_at_ms) + 6_000
    assert order.absent_count >= 1
    assert order.absent_since_ms is not None and listing.taken_at_ms - order.absent_since_ms >= HORIZON_MS
    asset = "TRY" if order.side is Side.BUY else "ADA"
    explained = sum(
        (Decimal("100.12") if one.side is Side.BUY else Decimal(1)) * one.leaves_quantity
        for one in found.venue_open
        if one.side is order.side
    )
    needed = Decimal("200.24") if order.side is Side.BUY else Decimal(2)
    assert found.account.locked(asset) - explained < needed


@settings(deadline=None, max_examples=300)
@given(found=situations())
def test_every_step_can_be_taken_by_the_order_it_is_for(found: RecoveryFacts) -> None:
    for step in steps(found):
        if isinstance(step, Close):
            assert step.event in TRANSITIONS[step.order.status]
