"""CycleRecords: the numbers and reports of cycles, and what metrics and log are told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from btcbot.decisions.cycle_cause import cause_of
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.orders import IN_DOUBT, OPEN
from btcbot.domain.reasons import TradingState
from btcbot.ports import Log, Metrics, StateStore, Transaction
from btcbot.services import named_values, values
from btcbot.services.accounting import AccountingService, set_trading_state
from btcbot.services.watching import CycleEnd, CycleWatcher

#: Old reports are forgotten in steps of so many, so that no cycle has much to delete.
FORGET_EVERY_CYCLES: Final = 1_000
#: Trading states that the outcome of a cycle changes; out of the others only a cause that has gone leads.
_FOLLOWS_CYCLES: Final = frozenset({TradingState.ACTIVE, TradingState.OBSERVE_ONLY})
_OPEN: Final = tuple(OPEN)


def cycle_id_of(number: int) -> str:
    """Sorts like the number it is made from."""
    return f"c{number:08d}"


class CycleRecords:
    def __init__(
        self,
        store: StateStore,
        accounting: AccountingService,
        metrics: Metrics,
        log: Log,
        cycles_kept: int,
        watchers: Sequence[CycleWatcher] = (),
    ) -> None:
        self._store = store
        self._accounting = accounting
        self._metrics = metrics
        self._log = log
        self._cycles_kept = cycles_kept
        self._watchers = tuple(watchers)
        #: Gates and trading state as the metrics were told them last.
        self._told: tuple[Mapping[str, bool], TradingState] | None = None

    def next_number(self) -> int:
        """Cycles of a database are numbered upwards across restarts; a cycle that died leaves a gap."""
        return (named_values.whole_number(self._store, values.CYCLE_NUMBER) or 0) + 1

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
        self._tell_states(report, state)  # before the watchers, who may be the last to hear of a halt
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

    def tell(self, report: CycleReport, seconds: float) -> None:
        """Metrics and log."""
        metrics = self._metrics
        cause = cause_of(report.outcome, report.reasons)
        metrics.count("btcbot_cycles_total", outcome=report.outcome.value, cause=cause.value)
        metrics.observe("btcbot_cycle_seconds", seconds)
        open_orders = self._store.orders(_OPEN)
        metrics.gauge("btcbot_orders_open", len(open_orders))
        metrics.gauge("btcbot_orders_in_doubt", len([order for order in open_orders if order.status in IN_DOUBT]))
        self._tell_states(report, self._store.trading_state()[0])
        log = self._log.info if report.outcome is CycleOutcome.COMPLETED else self._log.warning
        log(
            "cycle_ended",
            outcome=report.outcome,
            reasons=list(report.reasons),
            seconds=round(seconds, 4),
            **{name: count for name, count in report.counts.items() if count},
        )

    def _tell_states(self, report: CycleReport, state: TradingState) -> None:
        """Gauges keep what they were set to, so only what has changed is told."""
        told = self._told
        if told is None or told[0] is not report.gates or told[1] is not state:
            self._told = report.gates, state
            for gate, is_open in report.gates.items():
                self._metrics.gauge("btcbot_gate_open", int(is_open), gate=gate)
            for one in TradingState:
                self._metrics.gauge("btcbot_trading_state", int(one is state), state=one.value)
