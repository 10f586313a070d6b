"""Books against balances: a difference is explained, or watched while it may be lag, or put into suspense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import NOW_MS, a_transfer, an_account

from btcbot.decisions.booking import Look, Reconciliation, differences, reconcile
from btcbot.domain.book import Discrepancy
from btcbot.domain.ledger import Account, EntryKind, balances

HORIZON_MS = 30_000
CYCLE_MS = 10_000


def seen(amount: str, times: int, since_ms: int = NOW_MS) -> Discrepancy:
    return Discrepancy(asset="TRY", amount=Decimal(amount), first_seen_ms=since_ms, seen_count=times)


def judge(
    amount: str,
    before: Sequence[Discrepancy] = (),
    *,
    busy: bool = False,
    transfers: Sequence[Any] = (),
    suspense: Mapping[str, Decimal] | None = None,
    at_ms: int = NOW_MS,
    took_ms: int = 0,
    differing_since_ms: int | None = None,
) -> Reconciliation:
    """One look at TRY, where the venue holds `amount` more than the books say; asked at `at_ms`, venue time."""
    found = {"TRY": Decimal(amount)} if Decimal(amount) else {}
    busy_assets = frozenset({"TRY"} if busy else set())
    since_ms = {} if differing_since_ms is None else {"TRY": differing_since_ms}
    look = Look(asked_at_ms=at_ms, answered_at_ms=at_ms + took_ms)
    return reconcile(found, before, busy_assets, transfers, suspense or {}, look, HORIZON_MS, since_ms)


def test_differences_are_venue_minus_books_over_the_assets_of_both() -> None:
    books = {"TRY": Decimal(1000), "ADA": Decimal(2), "BTC": Decimal("0.5"), "XRP": Decimal(0)}

    found = differences(books, an_account(TRY=("900", "95"), ADA="2", ETH="1"))

    assert found == {"BTC": Decimal("-0.5"), "ETH": 1, "TRY": -5}


def test_the_first_sight_of_a_difference_is_watched_and_stops_nothing() -> None:
    assert judge("-5") == Reconciliation(entries=[], discrepancies=[seen("-5", 1)], unexplained=())


def test_the_second_sight_stops_new_orders() -> None:
    outcome = judge("-5", [seen("-5", 1)], at_ms=NOW_MS + CYCLE_MS)

    assert outcome == Reconciliation(entries=[], discrepancies=[seen("-5", 2)], unexplained=("TRY",))


def test_further_sights_within_the_horizon_are_no_further_evidence() -> None:
    """However often the feed has cycles run: the lists may simply not be there yet."""
    outcome = judge("-5", [seen("-5", 2)], at_ms=NOW_MS + HORIZON_MS - 1)

    assert outcome == Reconciliation(entries=[], discrepancies=[seen("-5", 2)], unexplained=("TRY",))


def test_the_first_sight_behind_the_horizon_still_waits() -> None:
    """A single list may leave something out."""
    outcome = judge("-5", [seen("-5", 2)], at_ms=NOW_MS + HORIZON_MS)

    assert outcome == Reconciliation(entries=[], discrepancies=[seen("-5", 3)], unexplained=("TRY",))


def test_the_second_sight_behind_the_horizon_goes_to_suspense() -> None:
    outcome = judge("-5", [seen("-5", 3)], at_ms=NOW_MS + HORIZON_MS)

    (entry,) = outcome.entries
    assert (entry.kind, entry.at_ms) == (EntryKind.SUSPENSE, NOW_MS + HORIZON_MS)
    assert entry.entry_id == f"suspense:TRY:{NOW_MS + HORIZON_MS}"
    assert entry.memo == "nobody has explained this difference"
    assert (entry.moved(Account.VENUE, "TRY"), entry.moved(Account.SUSPENSE, "TRY")) == (-5, 5)
    assert (outcome.discrepancies, outcome.unexplained) == ([], ())


def test_a_slow_answer_makes_a_difference_no_older() -> None:
    """Its age runs from the end of the first look to the beginning of the last: what is in between is certain."""
    first = judge("-5", took_ms=8_000)
    assert first.discrepancies == [seen("-5", 1, since_ms=NOW_MS + 8_000)]

    too_early, in_time = NOW_MS + 8_000 + HORIZON_MS - 1, NOW_MS + 8_000 + HORIZON_MS
    lasting = seen("-5", 3, since_ms=NOW_MS + 8_000)
    assert judge("-5", [lasting], at_ms=too_early, took_ms=8_000).discrepancies == [lasting]
    (entry,) = judge("-5", [lasting], at_ms=in_time, took_ms=8_000).entries
    assert entry.at_ms == in_time + 8_000


def test_what_was_dated_ahead_of_time_counts_from_now() -> None:
    """A clock that ran a day ahead dated the first look; it must not keep the difference open for a day."""
    outcome = judge("-5", [seen("-5", 3, since_ms=NOW_MS + 86_400_000)], took_ms=500)

    assert outcome.discrepancies == [seen("-5", 3, since_ms=NOW_MS + 500)]


def test_two_sights_prove_nothing_however_far_apart() -> None:
    assert not judge("-5", [seen("-5", 1)], at_ms=NOW_MS + 100 * HORIZON_MS).entries


def test_a_difference_that_changes_begins_anew() -> None:
    outcome = judge("-6", [seen("-5", 9, since_ms=0)])

    assert outcome == Reconciliation(entries=[], discrepancies=[seen("-6", 1)], unexplained=())


def test_a_difference_that_is_gone_is_forgotten() -> None:
    assert judge("0", [seen("-5", 2)]) == Reconciliation(entries=[], discrepancies=[], unexplained=())


def test_a_busy_asset_is_watched_and_not_judged() -> None:
    """Own trades around the moment of the read: the difference may be nothing but the lag between two lists."""
    long_ago = seen("-5", 2, since_ms=0)

    assert judge("-5", [long_ago], busy=True).entries == []
    assert judge("-5", [long_ago], busy=True).discrepancies == [long_ago]
    assert judge("-5", [seen("-5", 99, since_ms=0)], busy=True).entries == []
    assert judge("-5", busy=True) == Reconciliation(entries=[], discrepancies=[seen("-5", 1)], unexplained=())


def test_a_listed_transfer_explains_it_at_once() -> None:
    outcome = judge("-5", [seen("-5", 2)], transfers=[a_transfer("-5")])

    assert [entry.entry_id for entry in outcome.entries] == ["transfer:x1"]
    assert (outcome.discrepancies, outcome.unexplained) == ([], ())


def test_what_was_missing_turns_up_and_clears_its_suspense() -> None:
    missing = judge("-5", [seen("-5", 3)], at_ms=NOW_MS + HORIZON_MS).entries
    in_suspense = balances(missing, Account.SUSPENSE)
    assert in_suspense == {"TRY": 5}

    back = judge("5", [seen("5", 3, since_ms=0)], suspense=in_suspense).entries

    assert back[0].memo == "what was in suspense has turned up"
    assert balances([*missing, *back], Account.SUSPENSE) == {"TRY": 0}
    assert balances([*missing, *back], Account.VENUE) == {"TRY": 0}


class TestListedLate:
    """5 TRY were missing and went to suspense; only now does the venue's list tell the withdrawal that took them."""

    IN_SUSPENSE: Mapping[str, Decimal] = {"TRY": Decimal(5)}

    def test_the_list_takes_the_place_of_suspense(self) -> None:
        missing = judge("-5", [seen("-5", 3)], at_ms=NOW_MS + HORIZON_MS).entries

        late = judge("0", transfers=[a_transfer("-5")], suspense=self.IN_SUSPENSE, at_ms=NOW_MS + 2 * HORIZON_MS)

        transfer, cleared = late.entries
        assert (transfer.entry_id, transfer.kind) == ("transfer:x1", EntryKind.TRANSFER)
        assert (cleared.kind, cleared.at_ms) == (EntryKind.SUSPENSE, NOW_MS + 2 * HORIZON_MS)
        assert cleared.memo == "the venue's list explains it after all"
        everything = [*missing, *late.entries]
        assert balances(everything, Account.SUSPENSE) == {"TRY": 0}
        assert balances(everything, Account.VENUE) == {"TRY": -5}
        assert balances(everything, Account.TRANSFERS) == {"TRY": 5}
        assert (late.discrepancies, late.unexplained) == ([], ())

    def test_together_with_what_has_moved_since(self) -> None:
        """A deposit of 8 has come in as well: the list tells both, and both are booked."""
        listed = [a_transfer("-5", number=1), a_transfer("8", number=2)]

        late = judge("8", transfers=listed, suspense=self.IN_SUSPENSE)

        assert [entry.moved(Account.VENUE, "TRY") for entry in late.entries] == [-5, 8, 5]
        assert balances(late.entries, Account.SUSPENSE) == {"TRY": -5}

    def test_a_transfer_of_another_size_or_of_another_asset_does_not(self) -> None:
        for transfer in (a_transfer("5"), a_transfer("-4"), a_transfer("-5", asset="ADA")):
            assert judge("0", transfers=[transfer], suspense=self.IN_SUSPENSE).entries == []

    def test_nor_does_it_while_the_asset_is_busy(self) -> None:
        assert judge("0", transfers=[a_transfer("-5")], suspense=self.IN_SUSPENSE, busy=True).entries == []

    def test_what_lies_in_suspense_does_not_keep_a_new_transfer_from_explaining_a_new_difference(self) -> None:
        outcome = judge("8", transfers=[a_transfer("8")], suspense=self.IN_SUSPENSE)

        assert [entry.entry_id for entry in outcome.entries] == ["transfer:x1"]


class TestOverdue:
    """An asset that is always busy is never judged; after ten horizons new orders stop, which makes it quiet."""

    @pytest.mark.parametrize(
        ("for_ms", "unexplained"),
        [(0, ()), (10 * HORIZON_MS - 1, ()), (10 * HORIZON_MS, ("TRY",)), (99 * HORIZON_MS, ("TRY",))],
    )
    def test_after_ten_horizons(self, for_ms: int, unexplained: tuple[str, ...]) -> None:
        outcome = judge("-5", busy=True, differing_since_ms=NOW_MS - for_ms)

        assert outcome == Reconciliation(entries=[], discrepancies=[seen("-5", 1)], unexplained=unexplained)

    def test_an_asset_of_which_nothing_is_known_begins_now(self) -> None:
        assert judge("-5", busy=True).unexplained == ()


def test_several_assets_are_judged_each_by_itself() -> None:
    """Five assets in one look: every one gets its own conclusion, whatever was concluded of those before it."""
    found = {"AAA": Decimal(1), "CCC": Decimal(3), "DDD": Decimal(-5), "EEE": Decimal(6), "FFF": Decimal(7)}
    lasting = [Discrepancy(asset=asset, amount=found[asset], first_seen_ms=0, seen_count=3) for asset in ("DDD", "EEE")]
    listed = [
        a_transfer("1", number=1, asset="AAA"),
        a_transfer("-2", number=2, asset="BBB"),
        a_transfer("3", number=3, asset="CCC"),
    ]

    outcome = reconcile(
        found,
        lasting,
        frozenset(),
        listed,
        {"BBB": Decimal(2), "BBC": Decimal(9)},
        Look(asked_at_ms=NOW_MS, answered_at_ms=NOW_MS),
        HORIZON_MS,
    )

    assert [(entry.entry_id, entry.kind) for entry in outcome.entries] == [
        ("transfer:x1", EntryKind.TRANSFER),
        ("transfer:x2", EntryKind.TRANSFER),
        (f"suspense:BBB:{NOW_MS}", EntryKind.SUSPENSE),  # the list explains it after all
        ("transfer:x3", EntryKind.TRANSFER),  # behind BBC, which stays in suspense and shows no difference
        (f"suspense:DDD:{NOW_MS}", EntryKind.SUSPENSE),
        (f"suspense:EEE:{NOW_MS}", EntryKind.SUSPENSE),
    ]
    assert [watched.asset for watched in outcome.discrepancies] == ["FFF"]


def test_one_assets_trouble_is_not_anothers() -> None:
    outcome = reconcile(
        {"ADA": Decimal(1), "TRY": Decimal(-5)},
        [seen("-5", 3, since_ms=0)],
        frozenset({"ADA"}),
        [],
        {},
        Look(asked_at_ms=NOW_MS, answered_at_ms=NOW_MS),
        HORIZON_MS,
    )

    assert [entry.moved(Account.VENUE, "TRY") for entry in outcome.entries] == [-5]
    assert [discrepancy.asset for discrepancy in outcome.discrepancies] == ["ADA"]


@settings(deadline=None)
@given(looks=st.lists(st.tuples(st.sampled_from(["0", "-5", "7"]), st.booleans()), min_size=1, max_size=12))
def test_suspense_takes_a_difference_only_after_four_equal_quiet_looks_two_of_them_behind_the_horizon(
    looks: list[tuple[str, bool]],
) -> None:
    """Whatever is seen in whatever order, one cycle apart: a booked difference was equal and quiet four times."""
    before: Sequence[Discrepancy] = ()
    run: list[tuple[str, bool]] = []
    for number, (amount, busy) in enumerate(looks):
        run = [*run, (amount, busy)] if run and run[-1][0] == amount else [(amount, busy)]
        outcome = judge(amount, before, busy=busy, at_ms=NOW_MS + number * CYCLE_MS)
        before = outcome.discrepancies
        if outcome.entries:
            assert (len(run) - 1) * CYCLE_MS >= HORIZON_MS
            assert not busy
            assert 1 + sum(not was_busy for _, was_busy in run[1:]) >= 4
            behind = [was_busy for at, (_, was_busy) in enumerate(run) if at * CYCLE_MS >= HORIZON_MS]
            assert sum(not was_busy for was_busy in behind) >= 2
            run = []
