"""The loop's own look at whether its process is fit to write: how long a result holds."""

from __future__ import annotations

from btcbot.adapters.store.memory import MemoryStore
from btcbot.services.self_check import INTERVAL_MS, SelfCheckService, read_self_check
from btcbot.testing.list_log import ListLog
from btcbot.testing.manual_clock import ManualClock


class Disk:
    """A check that counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.problem: str | None = None

    def __call__(self) -> str | None:
        self.asked += 1
        return self.problem


def test_a_result_that_passed_holds_for_the_interval_and_one_that_failed_until_the_next_cycle() -> None:
    clock, store, disk = ManualClock(), MemoryStore(), Disk()
    service = SelfCheckService({"disk": disk}, store, clock, ListLog())
    assert service.run_if_due().passed
    clock.advance(INTERVAL_MS / 1_000 - 1)
    assert service.run_if_due().passed and disk.asked == 1
    disk.problem = "the disk is full; make room"
    clock.advance(1)
    assert service.run_if_due().problems == {"disk": disk.problem}
    kept = read_self_check(store)
    assert kept is not None and not kept.passed
    disk.problem = None
    assert service.run_if_due().passed and disk.asked == 3


def test_of_nothing_to_check_the_first_result_holds() -> None:
    clock, store = ManualClock(), MemoryStore()
    service = SelfCheckService({}, store, clock, ListLog())
    first = service.run_if_due()
    clock.advance(10 * INTERVAL_MS / 1_000)
    assert first.passed and service.run_if_due() is first
