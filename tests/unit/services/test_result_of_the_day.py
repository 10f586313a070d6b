"""What was won or lost today: counted from the day's first whole result, and days never go back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

from tests.builders import RATES, a_position, a_quote, an_account
from tests.unit.btcturk.support import FakeClock

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store.memory import MemoryStore
from btcbot.services.accounting import AccountingService, PnL
from btcbot.testing.list_log import ListLog

#: 1 January 2026 in Istanbul.
MIDNIGHT_MS = 1_767_214_800_000


class Bench:
    """10 ADA, bought for 1,000 TRY."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        with self.store.transaction() as tx:
            tx.put_position(a_position(quantity="10", cost="1000"))
        self.metrics = MemoryMetrics()
        self.begin()

    def begin(self, *, is_heard: bool = True) -> None:
        """Another process on the same books."""
        nobody = cast(Any, None)
        self.service = AccountingService(
            self.store, nobody, FakeClock(MIDNIGHT_MS), self.metrics, ListLog(), book_id="b", configured_rates=RATES,
            settle_horizon_ms=1, quote_asset="TRY", adopt_unknown=nobody, is_heard=is_heard,
        )  # fmt: skip

    def at(self, venue_ms: int, bid: str) -> PnL:
        ask = str(Decimal(bid) + Decimal("0.10"))
        account = an_account(TRY="5000", ADA="10")
        return self.service.mark({"ADATRY": a_quote(bid=bid, ask=ask)}, account, venue_ms)


def test_a_day_begins_with_what_was_lost_before() -> None:
    bench = Bench()
    assert bench.at(MIDNIGHT_MS - 60_000, "95").daily == 0
    assert bench.at(MIDNIGHT_MS - 1, "90").daily == -50
    assert bench.at(MIDNIGHT_MS, "90").daily == 0
    assert bench.at(MIDNIGHT_MS + 1, "80") == PnL(
        realized=Decimal(0), unrealized=Decimal(-200), daily=Decimal(-100), equity=Decimal(5_800), day="2026-01-01"
    )


def test_a_clock_that_goes_back_over_midnight_brings_no_day_back_and_forgets_no_loss() -> None:
    """Else 100 TRY of a loss would be forgotten twice: when the old day begins anew, and when the new one does."""
    bench = Bench()
    bench.at(MIDNIGHT_MS, "90")
    assert bench.at(MIDNIGHT_MS + 1_000, "80").daily == -100

    back = bench.at(MIDNIGHT_MS - 1_000, "80")
    assert (back.day, back.daily) == ("2026-01-01", Decimal(-100))
    bench.begin()
    back = bench.at(MIDNIGHT_MS - 500, "80")
    assert (back.day, back.daily) == ("2026-01-01", Decimal(-100)), "another process knows the day as well"
    assert bench.at(MIDNIGHT_MS + 2_000, "80").daily == -100


def test_what_is_held_and_what_it_came_to_is_told_to_who_listens_and_to_nobody_else() -> None:
    bench = Bench()
    bench.begin(is_heard=False)
    assert bench.at(MIDNIGHT_MS, "90").unrealized == -100
    assert bench.metrics.gauges == {}

    bench.begin()
    bench.at(MIDNIGHT_MS, "90")
    assert bench.metrics.value("btcbot_position_quantity", symbol="ADATRY") == 10
    assert bench.metrics.value("btcbot_unrealized_pnl_try") == -100
