"""CycleRecords: the numbers and reports of cycles, and all that is kept in the unit that closes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.reasons import TradingState
from btcbot.ports import StateStore, Transaction
from btcbot.services import values
from btcbot.services.accounting import AccountingService, set_trading_state
from btcbot.services.cycle_telling import CycleTeller
from btcbot.services.named_values import KeptValue, as_whole_number
from btcbot.services.watching import CycleEnd, CycleWatcher

#: Old reports are forgotten in steps of so many, so that no cycle has much to delete.
FORGET_EVERY_CYCLES: Final = 1_000
#: Trading states that the outcome of a cycle changes; out of the others only a cause that has gone leads.
_FOLLOWS_CYCLES: Final = frozenset({TradingState.ACTIVE, TradingState.OBSERVE_ONLY})


def cycle_id_of(number: int) -> str:
    """Sorts like the number it is made from."""
    return f"c{number:08d}"


class CycleRecords:
    def __init__(
        self,
        store: StateStore,
        accounting: AccountingService,
        teller: CycleTeller,
        cycles_kept: int,
        watchers: Sequence[CycleWatcher] = (),
    ) -> None:
        self._store = store
        self._accounting = accounting
        self._teller = teller
        self._cycles_kept = cycles_kept
        self._watchers = tuple(watchers)
        self._number = KeptValue(store, values.CYCLE_NUMBER, as_whole_number)

    def next_number(self) -> int:
        """Cycles of a database are numbered upwards across restarts; a cycle that died leaves a gap."""
        return (self._number.read() or 0) + 1

    def take_number(self, number: int) -> None:
        """Durable before anything is done with it: a cycle that dies in the middle must not lend its name, nor the
        names of its intents, to another."""
        with self._store.transaction() as tx:
            self.put_number(number, tx)

    def put_number(self, number: int, tx: Transaction) -> None:
        """As `take_number`, within a unit."""
        tx.put_value(values.CYCLE_NUMBER, str(number))

    def keep(self, end: CycleEnd, trades_read_to_ms: int | None, *, has_marks: bool) -> None:
        """The report, the trade cursor, the trading state and what watchers keep: one transaction closes the cycle."""
        report = end.report
        state, why = self._store.trading_state()
        self._teller.states(report, state)  # before the watchers, who may be the last to hear of a halt
        with self._store.transaction() as tx:
            tx.insert_cycle(report)
            if trades_read_to_ms is not None:
                tx.put_value(values.TRADES_CURSOR_MS, str(trades_read_to_ms))
            if report.number % FORGET_EVERY_CYCLES == 0 and report.number > self._cycles_kept:
                tx.forget_cycles_before(cycle_id_of(report.number - self._cycles_kept))
            if has_marks:
                tx.put_value(values.MARKS, self._accounting.marks_text())
            if state in _FOLLOWS_CYCLES:
                observes = report.outcome is CycleOutcome.OBSERVE_ONLY
                after = TradingState.OBSERVE_ONLY if observes else TradingState.ACTIVE
                # The reason is the one of now: an older trouble, or a gate that stood closed, explains nothing.
                reason = "; ".join(report.reasons) if observes else ""
                if after is not state or (observes and reason != why):
                    set_trading_state(tx, after, reason)
            for watcher in self._watchers:
                watcher.cycle_ended(end, tx)
