"""Double entry: money is only moved."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import NOW_MS, decimals

from btcbot.domain.ledger import Account, Entry, EntryKind, Posting, balances
from btcbot.errors import InvariantBroken


def an_entry(*postings: Posting) -> Entry:
    return Entry(entry_id="e1", kind=EntryKind.FILL, at_ms=NOW_MS, postings=postings)


A_BUY = (
    Posting(Account.VENUE, "BTC", Decimal("0.5")),
    Posting(Account.MARKET, "BTC", Decimal("-0.5")),
    Posting(Account.VENUE, "TRY", Decimal("-50.12")),
    Posting(Account.MARKET, "TRY", Decimal(50)),
    Posting(Account.FEE, "TRY", Decimal("0.10")),
    Posting(Account.TAX, "TRY", Decimal("0.02")),
)


def test_a_buy_of_half_a_bitcoin() -> None:
    entry = an_entry(*A_BUY)

    assert entry.moved(Account.VENUE, "BTC") == Decimal("0.5")
    assert entry.moved(Account.VENUE, "TRY") == Decimal("-50.12")
    assert entry.moved(Account.FEE, "TRY") == Decimal("0.10")
    assert entry.moved(Account.FEE, "BTC") == 0


@pytest.mark.parametrize("lost", range(len(A_BUY)))
def test_an_entry_that_forgets_one_posting_does_not_exist(lost: int) -> None:
    with pytest.raises(InvariantBroken, match="I4_ENTRY_BALANCE"):
        an_entry(*A_BUY[:lost], *A_BUY[lost + 1 :])


def test_assets_do_not_balance_each_other() -> None:
    with pytest.raises(InvariantBroken, match="I4_ENTRY_BALANCE"):
        an_entry(Posting(Account.VENUE, "BTC", Decimal(1)), Posting(Account.MARKET, "TRY", Decimal(-1)))


def test_what_does_not_sum_to_zero_is_told_by_entry_asset_and_amount() -> None:
    """Without its fee the buy takes ten kuruş more from the venue than anybody gets; its bitcoin is in order."""
    without_fee = [posting for posting in A_BUY if posting.account is not Account.FEE]

    with pytest.raises(InvariantBroken) as broken:
        an_entry(*without_fee)

    assert broken.value.code == "I4_ENTRY_BALANCE"
    assert "entry e1" in broken.value.evidence
    assert "{'TRY': '-0.1'}" in broken.value.evidence


def test_one_part_in_ten_to_the_twenty_fourth_is_a_difference() -> None:
    with pytest.raises(InvariantBroken, match="I4_ENTRY_BALANCE"):
        an_entry(
            Posting(Account.VENUE, "BTC", Decimal("0.500000000000000000000001")),
            Posting(Account.MARKET, "BTC", Decimal("-0.5")),
        )


def test_an_entry_that_moves_nothing_does_not_exist() -> None:
    with pytest.raises(InvariantBroken, match="I4_ENTRY_BALANCE"):
        an_entry()


def test_balances_are_the_fold_of_the_entries() -> None:
    opening = Entry(
        entry_id="opening:TRY",
        kind=EntryKind.OPENING,
        at_ms=NOW_MS,
        postings=(Posting(Account.VENUE, "TRY", Decimal(1000)), Posting(Account.OPENING, "TRY", Decimal(-1000))),
    )

    assert balances([opening, an_entry(*A_BUY)], Account.VENUE) == {"TRY": Decimal("949.88"), "BTC": Decimal("0.5")}


postings = st.lists(
    st.builds(Posting, st.sampled_from(Account), st.sampled_from(["BTC", "TRY"]), decimals("-1000000", "1000000", 16)),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(postings=postings)
def test_an_entry_sums_to_zero_for_each_asset_or_raises(postings: list[Posting]) -> None:
    missing = {asset: -sum((p.amount for p in postings if p.asset == asset), Decimal(0)) for asset in ("BTC", "TRY")}
    if any(missing.values()):
        with pytest.raises(InvariantBroken):
            an_entry(*postings)
    mended = an_entry(*postings, *(Posting(Account.MARKET, asset, amount) for asset, amount in missing.items()))

    for asset in ("BTC", "TRY"):
        assert sum(mended.moved(account, asset) for account in Account) == 0
