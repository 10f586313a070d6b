"""CapitalKeeper: keeps realised profit apart from what may be risked again, in the unit that closes each cycle.

The state lies in the database beside the totals that are in it already, so a cycle that dies before its end has split
nothing, and one that ended is never split again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import self_financing
from btcbot.decisions.self_financing import Capital, Cause, Change
from btcbot.domain import money
from btcbot.domain.ledger import Account
from btcbot.domain.money import plain
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import FREE, Stance
from btcbot.errors import Refused
from btcbot.ports import StateStore, Transaction
from btcbot.services import named_values
from btcbot.services.snapshots import plain_json
from btcbot.services.watching import CycleEnd, CycleFacts

#: The named value that holds the state.
CAPITAL: Final = "capital"

_decode: Final = named_values.decoder(Capital)


class CapitalNote(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a CAPITAL note: one change, number so and so, and what there was after it. In TRY."""

    number: int
    cause: Cause
    amount: Decimal
    to_capital: Decimal
    to_treasury: Decimal
    capital: Decimal
    treasury: Decimal
    realized_total: Decimal


class CapitalKeeper:
    """An Overseer and a CycleWatcher. `capital_share` is the part of realised profit, 0 to 1, that is traded again."""

    name = "capital"

    def __init__(self, store: StateStore, quote_asset: str, capital_share: Decimal) -> None:
        self._store = store
        self._quote_asset = quote_asset
        self._capital_share = capital_share
        self.state()  # what cannot be read is told at the start, not in the middle of a cycle

    def state(self) -> Capital | None:
        """As it is in the database; None before the first cycle that knew what the account is worth."""
        text = self._store.value(CAPITAL)
        try:
            return None if text is None else _decode(text)
        except msgspec.MsgspecError as error:
            raise Refused(f"the capital in the database cannot be read ({error}): restore a backup") from None

    def look(self, facts: CycleFacts) -> Stance:
        """What is in the treasury may not be invested."""
        state = self.state()
        if state is None:
            return FREE
        after, _ = self._followed(state, facts)
        if after.treasury <= 0:
            return FREE
        why = f"{ReasonCode.TREASURY_KEPT.value}: {plain(after.treasury)} {self._quote_asset} of profit are kept"
        return Stance(cash_kept=after.treasury, reasons=(why,))

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Split what was realised since the last time."""
        facts = end.facts
        if facts is None:
            return
        before = self.state()
        if before is None:
            self._begin(end, facts, tx)
            return
        after, changes = self._followed(before, facts)
        if not changes:
            return
        tx.put_value(CAPITAL, plain_json(after))
        state = before
        for change in changes:
            state = msgspec.structs.replace(
                state,
                capital=state.capital + change.to_capital,
                treasury=state.treasury + change.to_treasury,
                number=state.number + 1,
            )
            self._note(end, change, state, facts, tx)

    def _begin(self, end: CycleEnd, facts: CycleFacts, tx: Transaction) -> None:
        pnl = facts.pnl
        if pnl.equity is None:
            return
        state = self_financing.begin(pnl.equity, pnl.unrealized, pnl.realized, self._transfers())
        tx.put_value(CAPITAL, plain_json(state))
        begun = Change(cause=Cause.BEGIN, amount=state.capital, to_capital=state.capital, to_treasury=money.ZERO)
        self._note(end, begun, state, facts, tx)

    def _followed(self, state: Capital, facts: CycleFacts) -> tuple[Capital, tuple[Change, ...]]:
        return self_financing.follow(state, facts.pnl.realized, self._transfers(), self._capital_share)

    def _transfers(self) -> Decimal:
        """Deposits less withdrawals of the quote asset, as they are booked."""
        return -self._store.account_balances(Account.TRANSFERS).get(self._quote_asset, money.ZERO)

    def _note(self, end: CycleEnd, change: Change, state: Capital, facts: CycleFacts, tx: Transaction) -> None:
        body = CapitalNote(
            number=state.number,
            cause=change.cause,
            amount=change.amount,
            to_capital=change.to_capital,
            to_treasury=change.to_treasury,
            capital=state.capital,
            treasury=state.treasury,
            realized_total=facts.pnl.realized,
        )
        report = end.report
        tx.insert_note(
            Note(kind=NoteKind.CAPITAL, cycle_id=report.cycle_id, at_ms=report.ended_at_ms, body=plain_json(body))
        )
