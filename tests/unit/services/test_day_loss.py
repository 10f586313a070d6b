"""The loss of the day against MAX_DAILY_LOSS_TRY: the metric stands exactly where risk refuses buys."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.builders import a_report

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain.stance import FREE
from btcbot.services import values
from btcbot.services.day_loss import DailyLossWatcher
from btcbot.services.execution import ExecutionSummary
from btcbot.services.watching import CycleEnd

METRIC = "btcbot_daily_loss_reached"


class Bench:
    """A book whose day began with a result of 25 TRY, under a limit of 500."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore.open(folder / "day.db")
        self.metrics = MemoryMetrics()
        self.watcher = DailyLossWatcher(self.store, self.metrics, Decimal(500))
        with self.store.transaction() as tx:
            tx.put_value(values.PNL_DAY_START, "25")

    def cycle(self, realized: str, unrealized: str = "0", *, is_whole: bool = True) -> object:
        report = a_report(
            equity_try=Decimal(10_000) if is_whole else None,
            realized_pnl_try=Decimal(realized),
            unrealized_pnl_try=Decimal(unrealized),
        )
        with self.store.transaction() as tx:
            end = CycleEnd(report=report, seconds=0, summary=ExecutionSummary(), stance=FREE)
            self.watcher.cycle_ended(end, tx)
        return self.metrics.value(METRIC)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


def test_it_stands_from_the_very_limit_on_and_falls_when_less_is_lost(bench: Bench) -> None:
    assert bench.cycle("-400", "-74.99") == 0, "499.99 are lost"
    assert bench.cycle("-400", "-75") == 1
    assert bench.cycle("-400", "-300") == 1
    assert bench.cycle("-400", "-74.99") == 0


def test_a_cycle_that_cannot_tell_the_result_changes_nothing(bench: Bench) -> None:
    assert bench.cycle("-900") == 1
    assert bench.cycle("0", is_whole=False) == 1
    with bench.store.transaction() as tx:
        tx.put_value(values.PNL_DAY_START, "-900")
    assert bench.cycle("-900") == 0, "the next day begins with what was lost"


def test_the_limit_in_force_is_kept_for_who_reads_no_settings(bench: Bench) -> None:
    bench.cycle("0")
    assert bench.store.value(values.DAILY_LOSS_MAX) == "500"
    bench.watcher = DailyLossWatcher(bench.store, bench.metrics, Decimal("250.50"))
    bench.cycle("0")
    assert bench.store.value(values.DAILY_LOSS_MAX) == "250.5"
