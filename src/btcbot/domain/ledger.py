"""Double entry: money is only moved, never made, changed or deleted.

An entry is a set of postings that sums to zero for each asset. `Account.VENUE` is what we say lies at the venue (free
and locked together); the other accounts say where it came from or went to. The balance of `VENUE` must equal the
venue's own figure to the last digit, and everything else (positions, realised profit, fees) is folded from entries.

    a buy of 0.5 BTC at 100 TRY with a fee of 0.10 and a tax of 0.02:

        VENUE   BTC  +0.5      MARKET  BTC  -0.5
        VENUE   TRY  -50.12    MARKET  TRY  +50      FEE  TRY  +0.10    TAX  TRY  +0.02
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from btcbot.domain import money
from btcbot.errors import InvariantBroken


class Account(StrEnum):
    VENUE = "venue"  # what our books say lies at the venue
    MARKET = "market"  # the other side of our own trades
    FEE = "fee"
    TAX = "tax"
    OPENING = "opening"  # what was there before this database began
    ADOPTED = "adopted"  # the part of the opening that was handed to the bot as a position
    TRANSFERS = "transfers"  # deposits and withdrawals
    FOREIGN = "foreign"  # trades of orders that are not ours
    SUSPENSE = "suspense"  # differences that nobody has explained; not zero freezes new orders


class EntryKind(StrEnum):
    OPENING = "opening"
    FILL = "fill"
    TRANSFER = "transfer"
    FOREIGN = "foreign"
    ADOPTION = "adoption"
    SUSPENSE = "suspense"
    EXPLANATION = "explanation"  # moves an amount out of suspense, with a human's reason


class Posting(msgspec.Struct, frozen=True, gc=False):
    account: Account
    asset: str
    amount: Decimal


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One movement. `entry_id` is made from what it books (`fill:<trade id>`), so that booking twice is impossible."""

    entry_id: str
    kind: EntryKind
    at_ms: int
    postings: tuple[Posting, ...]
    memo: str = ""

    def __post_init__(self) -> None:
        """I4: every entry sums to zero for each asset."""
        sums: dict[str, Decimal] = {}
        for posting in self.postings:
            asset = posting.asset
            sums[asset] = sums[asset] + posting.amount if asset in sums else posting.amount
        if any(sums.values()) or not sums:
            crooked = {asset: money.plain(amount) for asset, amount in sums.items() if amount}
            raise InvariantBroken("I4_ENTRY_BALANCE", f"entry {self.entry_id} does not sum to zero: {crooked}")

    def moved(self, account: Account, asset: str) -> Decimal:
        """What this entry adds to `account` in `asset`."""
        return money.total(p.amount for p in self.postings if p.account is account and p.asset == asset)


class Hold(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Funds set aside for an order that is not closed. Released (amount zero) when it closes."""

    client_order_id: str
    asset: str
    amount: Decimal


def balances(entries: Iterable[Entry], account: Account) -> Mapping[str, Decimal]:
    """Balance of `account` for each asset that its entries touch."""
    sums: dict[str, Decimal] = {}
    for entry in entries:
        for posting in entry.postings:
            if posting.account is account:
                sums[posting.asset] = sums.get(posting.asset, money.ZERO) + posting.amount
    return sums
