"""CycleTeller: what metrics and log are told of a cycle that is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from btcbot.decisions.cycle_cause import cause_of
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.orders import IN_DOUBT, OPEN
from btcbot.domain.reasons import TradingState
from btcbot.ports import Log, Metrics, StateStore

_OPEN: Final = tuple(OPEN)


class CycleTeller:
    """`is_heard` False where nobody reads metrics and log: then nothing is gathered for them."""

    def __init__(self, store: StateStore, metrics: Metrics, log: Log, *, is_heard: bool) -> None:
        self._store = store
        self._metrics = metrics
        self._log = log
        self._is_heard = is_heard
        #: Gates and trading state as the metrics were told them last.
        self._told: tuple[Mapping[str, bool], TradingState] | None = None

    def cycle(self, report: CycleReport, seconds: float) -> None:
        """`seconds` is how long the cycle took, its report included."""
        if not self._is_heard:
            return
        metrics = self._metrics
        cause = cause_of(report.outcome, report.reasons)
        metrics.count("btcbot_cycles_total", outcome=report.outcome.value, cause=cause.value)
        metrics.observe("btcbot_cycle_seconds", seconds)
        open_orders = self._store.orders(_OPEN)
        metrics.gauge("btcbot_orders_open", len(open_orders))
        metrics.gauge("btcbot_orders_in_doubt", len([order for order in open_orders if order.status in IN_DOUBT]))
        self.states(report, self._store.trading_state()[0])
        log = self._log.info if report.outcome is CycleOutcome.COMPLETED else self._log.warning
        log(
            "cycle_ended",
            outcome=report.outcome,
            reasons=list(report.reasons),
            seconds=round(seconds, 4),
            **{name: count for name, count in report.counts.items() if count},
        )

    def states(self, report: CycleReport, state: TradingState) -> None:
        """Gates and trading state. Gauges keep what they were set to, so only what has changed is told."""
        told = self._told
        if not self._is_heard or (told is not None and told[0] is report.gates and told[1] is state):
            return
        self._told = report.gates, state
        for gate, is_open in report.gates.items():
            self._metrics.gauge("btcbot_gate_open", int(is_open), gate=gate)
        for one in TradingState:
            self._metrics.gauge("btcbot_trading_state", int(one is state), state=one.value)
