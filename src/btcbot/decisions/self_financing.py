"""Self-financing: which part of what was earned may be risked again.

The capital is what trading works with, the treasury what is kept. Realised profit is split between the two, a loss is
borne by the capital; it is booked like a profit is, and stops nothing. Only where the capital is used up does the
treasury stand in, because then its money is gone. Deposits add to the capital; a withdrawal takes the treasury first,
for what is taken out is what was kept.

    capital 10,000, treasury 0, profit 100, 60 %   capital 10,060, treasury 40
    then a loss of 100                             capital  9,960, treasury 40

Both together always change by exactly what was earned, lost or moved: no split makes or loses money.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from btcbot.domain import money

#: Decimals to which the capital's part of a profit is rounded, down; the treasury has the rest.
PLACES: Final = 8


class Cause(StrEnum):
    BEGIN = "begin"
    PROFIT = "profit"
    LOSS = "loss"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"


class Capital(msgspec.Struct, frozen=True, kw_only=True):
    """In TRY. `realized_seen` and `transfers_seen` are the totals of the books that are in it already, so that the same
    total is never applied twice. `number` counts the changes."""

    capital: Decimal
    treasury: Decimal
    realized_seen: Decimal
    transfers_seen: Decimal
    number: int = 0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One step: why, how much in all, and what of it went where (below zero: came from)."""

    cause: Cause
    amount: Decimal
    to_capital: Decimal
    to_treasury: Decimal


def begin(equity: Decimal, unrealized: Decimal, realized: Decimal, transfers: Decimal) -> Capital:
    """The first state: all that is there, positions at what they cost. Earlier profit is not split in retrospect."""
    return Capital(
        capital=equity - unrealized,
        treasury=money.ZERO,
        realized_seen=realized,
        transfers_seen=transfers,
    )


def follow(
    state: Capital, realized: Decimal, transfers: Decimal, capital_share: Decimal
) -> tuple[Capital, tuple[Change, ...]]:
    """The state after what the books tell: totals of realised profit and of transfers (deposits less withdrawals)."""
    changes: list[Change] = []
    for amount, is_transfer in ((realized - state.realized_seen, False), (transfers - state.transfers_seen, True)):
        if not amount:
            continue
        change = _moved(state, amount) if is_transfer else _earned(state, amount, capital_share)
        changes.append(change)
        state = Capital(
            capital=state.capital + change.to_capital,
            treasury=state.treasury + change.to_treasury,
            realized_seen=state.realized_seen if is_transfer else realized,
            transfers_seen=transfers if is_transfer else state.transfers_seen,
            number=state.number + 1,
        )
    return state, tuple(changes)


def _earned(state: Capital, amount: Decimal, capital_share: Decimal) -> Change:
    if amount > 0:
        to_capital = money.round_down(amount * capital_share, PLACES)
        return Change(cause=Cause.PROFIT, amount=amount, to_capital=to_capital, to_treasury=amount - to_capital)
    from_capital, from_treasury = _borne(-amount, first=state.capital, then=state.treasury)
    return Change(cause=Cause.LOSS, amount=amount, to_capital=-from_capital, to_treasury=-from_treasury)


def _moved(state: Capital, amount: Decimal) -> Change:
    if amount > 0:
        return Change(cause=Cause.DEPOSIT, amount=amount, to_capital=amount, to_treasury=money.ZERO)
    from_treasury, from_capital = _borne(-amount, first=state.treasury, then=None)
    return Change(cause=Cause.WITHDRAWAL, amount=amount, to_capital=-from_capital, to_treasury=-from_treasury)


def _borne(amount: Decimal, *, first: Decimal, then: Decimal | None) -> tuple[Decimal, Decimal]:
    """How an amount is taken from two: the first as far as it goes, the second for the rest, which the second bears as
    far as it goes where `then` says how far; what neither has is owed by the first."""
    of_first = min(amount, max(first, money.ZERO))
    rest = amount - of_first
    of_second = rest if then is None else min(rest, max(then, money.ZERO))
    return of_first + (rest - of_second), of_second
