"""Divergence: our result against what the venue's account says it must be.

What our own trading is worth at the venue is all that lies there, less what opened the books, came or went by transfer,
and was moved by trades of other hands. It must equal the result that positions tell, realised and unrealised, to the
last digit: prices cancel out, because both sides are valued at the same ones. What is left over is money that our
result does not know of, or result that the account does not have.

Two things are kept apart. A difference that the reconciliation still watches may be nothing but the lag between two
lists; it counts when it has been put into suspense. And coins that a human handed to the bot came at a cost that no
account of the ledger holds: it shows as a constant, which is taken anew when more of them come or go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.book import Discrepancy
from btcbot.domain.positions import Position


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """The constant of coins that were handed over: `offset` in TRY, taken when `adopted` (by asset) lay so."""

    adopted: Mapping[str, Decimal] = {}
    offset: Decimal = money.ZERO


class BookFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Account and books of one cycle. `venue`, `market`, `suspense`, `adopted` are sums of the ledger's accounts of
    those names by asset; `prices` are TRY for one unit of an asset, TRY itself being 1."""

    account: AccountSnapshot
    venue: Mapping[str, Decimal]
    market: Mapping[str, Decimal]
    suspense: Mapping[str, Decimal]
    adopted: Mapping[str, Decimal]
    positions: Iterable[Position]
    base_of: Mapping[str, str]
    prices: Mapping[str, Decimal]
    watched: Iterable[Discrepancy]
    quote_asset: str


def measure(facts: BookFacts, baseline: Baseline) -> tuple[Decimal, Baseline]:
    """What the account is worth above our result, in TRY, and the baseline that holds from now on."""
    not_in_account = _valued(_beyond_books(facts), facts.prices)
    surplus = _own_worth(facts) - _result(facts)
    adopted = {asset: amount for asset, amount in facts.adopted.items() if amount}
    if adopted != dict(baseline.adopted):
        # What was handed over or taken back changes the constant by its cost; all else was measured before it.
        baseline = Baseline(adopted=adopted, offset=surplus)
    return not_in_account + surplus - baseline.offset, baseline


def _beyond_books(facts: BookFacts) -> Mapping[str, Decimal]:
    """By asset, what the venue holds beyond what is explained: differences that are judged, and suspense."""
    watched = {each.asset: each.amount for each in facts.watched}
    beyond: dict[str, Decimal] = {}
    for asset in {*facts.venue, *facts.account.balances, *facts.suspense}:
        difference = facts.account.total(asset) - facts.venue.get(asset, money.ZERO)
        if difference == watched.get(asset):
            difference = money.ZERO
        # What lies in suspense is in the books, with nobody's word for it.
        beyond[asset] = difference - facts.suspense.get(asset, money.ZERO)
    return beyond


def _own_worth(facts: BookFacts) -> Decimal:
    """What our own trades, and coins handed to us, are worth by the ledger; fees and taxes of our trades are paid."""
    own = {asset: -amount for asset, amount in facts.market.items()}
    for asset, amount in facts.adopted.items():
        own[asset] = own.get(asset, money.ZERO) - amount
    charges = money.total(position.fees_paid + position.taxes_paid for position in facts.positions)
    own[facts.quote_asset] = own.get(facts.quote_asset, money.ZERO) - charges
    return _valued(own, facts.prices)


def _result(facts: BookFacts) -> Decimal:
    """Realised and unrealised by the positions; coins without a price count on neither side."""
    worth = money.ZERO
    for position in facts.positions:
        price = facts.prices.get(facts.base_of.get(position.symbol, ""), money.ZERO)
        worth += position.realized_pnl + position.unrealized_pnl(price)
    return worth


def _valued(amounts: Mapping[str, Decimal], prices: Mapping[str, Decimal]) -> Decimal:
    return money.total(amount * prices[asset] for asset, amount in amounts.items() if amount and asset in prices)
