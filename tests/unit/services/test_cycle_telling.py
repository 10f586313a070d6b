"""What metrics and log hear of a cycle: gauges follow gates, trading state and orders. Nobody is told for nothing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.builders import a_report, an_order

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store.memory import MemoryStore
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import TradingState
from btcbot.services.accounting import set_trading_state
from btcbot.services.cycle_telling import CycleTeller
from btcbot.testing.list_log import ListLog

OPEN: Mapping[str, bool] = {"dry_run": True, "kill_file": True}
KILLED: Mapping[str, bool] = {"dry_run": True, "kill_file": False}


class Bench:
    """A book without orders, and a teller whose words are kept."""

    def __init__(self, *, is_heard: bool = True) -> None:
        self.store = MemoryStore()
        self.metrics = MemoryMetrics()
        self.log = ListLog()
        self.teller = CycleTeller(self.store, self.metrics, self.log, is_heard=is_heard)

    def keep(self, state: TradingState) -> None:
        with self.store.transaction() as tx:
            set_trading_state(tx, state, "somebody said so")

    def gates(self) -> dict[str, object]:
        return {gate: self.metrics.value("btcbot_gate_open", gate=gate) for gate in OPEN}

    def states(self) -> list[str]:
        """Those whose gauge stands at 1."""
        return [one.value for one in TradingState if self.metrics.value("btcbot_trading_state", state=one.value)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_cycle_tells_each_gate_and_each_state(bench: Bench) -> None:
    bench.teller.cycle(a_report(gates=OPEN), 0.25)

    assert bench.gates() == {"dry_run": 1, "kill_file": 1}
    assert bench.states() == ["ACTIVE"]
    assert bench.metrics.value("btcbot_trading_state", state="HALTED") == 0, "an alert needs the 0 as well"


def test_a_gate_that_closes_is_seen_at_once_and_so_is_one_that_opens_again(bench: Bench) -> None:
    bench.teller.cycle(a_report(1, gates=OPEN), 0.25)
    bench.teller.cycle(a_report(2, gates=KILLED), 0.25)
    assert bench.gates() == {"dry_run": 1, "kill_file": 0}

    bench.teller.cycle(a_report(3, gates=OPEN), 0.25)
    assert bench.gates() == {"dry_run": 1, "kill_file": 1}


def test_a_halt_is_seen_although_every_gate_stands_as_before(bench: Bench) -> None:
    bench.teller.cycle(a_report(1, gates=OPEN), 0.25)
    bench.keep(TradingState.HALTED)
    bench.teller.cycle(a_report(2, gates=OPEN), 0.25)

    assert bench.states() == ["HALTED"]


def test_a_halt_is_seen_before_the_cycle_is_over(bench: Bench) -> None:
    """Who closes the cycle tells of it first: after a broken invariant nothing may come of the rest."""
    bench.teller.states(a_report(gates=OPEN), TradingState.HALTED)

    assert bench.states() == ["HALTED"]


def test_what_a_cycle_came_to_is_counted_and_written(bench: Bench) -> None:
    """Two orders are open, of which one is in doubt; a third is filled."""
    with bench.store.transaction() as tx:
        for number, status in enumerate((OrderStatus.ACCEPTED, OrderStatus.UNKNOWN, OrderStatus.FILLED)):
            tx.insert_order(an_order(number, status=status))

    bench.teller.cycle(a_report(counts={"intents": 3, "fills": 0}), 0.25)

    assert bench.metrics.value("btcbot_cycles_total", outcome=CycleOutcome.COMPLETED.value, cause="none") == 1
    assert bench.metrics.value("btcbot_cycle_seconds") == 1
    assert bench.metrics.value("btcbot_orders_open") == 2
    assert bench.metrics.value("btcbot_orders_in_doubt") == 1
    (line,) = bench.log.events("cycle_ended")
    assert (line["outcome"], line["seconds"], line["intents"]) == (CycleOutcome.COMPLETED, 0.25, 3)
    assert "fills" not in line, "what did not happen needs no word"


def test_where_nobody_listens_nothing_is_told() -> None:
    bench = Bench(is_heard=False)

    bench.teller.cycle(a_report(gates=KILLED), 0.25)
    bench.teller.states(a_report(gates=KILLED), TradingState.HALTED)

    assert (bench.metrics.counters, bench.metrics.gauges, bench.metrics.observations) == ({}, {}, {})
    assert bench.log.lines == []
