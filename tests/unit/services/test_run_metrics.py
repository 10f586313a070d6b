"""The recorder of run metrics on a real database: what it gathers, that nothing is counted twice, and a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.builders import NOW_MS, a_buy, a_fill, a_position, a_quote, a_report, an_account, an_instrument, an_order
from tests.unit.decisions.adaptive import START

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.decisions.draft import Draft
from btcbot.decisions.freshness import MarketView
from btcbot.decisions.run_metrics import MetricsLimits
from btcbot.domain.adaptation import WINDOW
from btcbot.domain.cycles import Verdict
from btcbot.domain.market import Quote
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.run_metrics import AlertFlag, Quality, RunMetrics
from btcbot.domain.stance import FREE
from btcbot.domain.universe import Watched
from btcbot.errors import Refused
from btcbot.ports import VenueHealth
from btcbot.services import budget_record, values
from btcbot.services.accounting import PnL
from btcbot.services.days import day
from btcbot.services.execution import ExecutionSummary
from btcbot.services.run_metrics import RunMetricsRecorder, read
from btcbot.services.snapshots import SnapshotRecorder
from btcbot.services.watching import CycleEnd, CycleFacts

LIMITS = MetricsLimits(spread_spike_bps=Decimal(300), reject_spike=3, drawdown_ratio_max=Decimal("0.25"))
TUNING = replace(START, version=3)


class Bench:
    """A database, a recorder on it, and cycles that end."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore.open(folder / "books.db")
        self.health = VenueHealth()
        self.number = 0
        self.start()

    def start(self) -> None:
        """What a restart of the bot does."""
        self.recorder = RunMetricsRecorder(self.store, lambda: self.health, lambda: TUNING, LIMITS)

    def end(self, *, pnl: str = "0", quotes: Mapping[str, Quote] | None = None, **changes: Any) -> CycleEnd:
        self.number += 1
        cycle_id = f"c{self.number:08d}"
        quotes = {"ADATRY": a_quote()} if quotes is None else quotes
        report = a_report(
            self.number,
            mode="paper",
            profile="stage7-run",
            ended_at_ms=NOW_MS + self.number,
            counts=changes.pop("counts", {}),
            quotes={symbol: (quote.bid, quote.ask) for symbol, quote in quotes.items()},
            equity_try=Decimal(10_000) + Decimal(pnl),
            realized_pnl_try=Decimal(pnl),
        )
        unusable = dict.fromkeys(changes.pop("unusable", ()), ReasonCode.STALE_QUOTE)
        facts = CycleFacts(
            cycle_id=cycle_id,
            number=self.number,
            now_ms=NOW_MS,
            local_ms=NOW_MS,
            account=an_account(TRY="10000"),
            instruments={"ADATRY": an_instrument()},
            view=MarketView(quotes=quotes, unusable=unusable),
            pnl=PnL(realized=Decimal(pnl), unrealized=Decimal(0), daily=None, equity=report.equity_try, day=""),
            positions=self.store.positions(),
            open_orders=(),
            venue_open=(),
            health=self.health,
            universe=Watched(active=("ADATRY",), watched=("ADATRY",)),
        )
        end = CycleEnd(report=report, seconds=0.02, summary=ExecutionSummary(), stance=FREE, facts=facts)
        return replace(end, **changes)

    def cycle(self, **changes: Any) -> RunMetrics:
        end = self.end(**changes)
        with self.store.transaction() as tx:
            tx.insert_cycle(end.report)
            self.recorder.cycle_ended(end, tx)
        return read(self.store)[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


def test_each_cycle_leaves_one_note_in_the_unit_that_closes_it(bench: Bench) -> None:
    for _ in range(7):
        bench.cycle()

    assert bench.store.note_count(NoteKind.RUN_METRICS) == 7
    assert [each.number for each in bench.recorder.window()] == [3, 4, 5, 6, 7]
    assert len(bench.recorder.window()) == WINDOW
    assert read(bench.store, limit=2)[0].tuning_version == 3


def test_fills_are_counted_in_one_cycle_and_never_again_not_even_after_a_restart(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.insert_order(an_order(1, status=OrderStatus.FILLED))
        tx.insert_fill(a_fill(quantity="2", price="100", fee="0.4", tax="0.08"))
        tx.put_position(a_position(quantity="2", cost="200.48", fees_paid=Decimal("0.4"), taxes_paid=Decimal("0.08")))

    first = bench.cycle()
    assert (first.filled, first.turnover, first.charges) == (1, Decimal(200), Decimal("0.48"))

    bench.start()
    with bench.store.transaction() as tx:
        tx.insert_fill(a_fill(quantity="1", price="99", trade_id="late", at_ms=NOW_MS - 60_000))
    second = bench.cycle()
    assert (second.filled, second.turnover, second.turnover_total) == (1, Decimal(99), Decimal(299))
    assert bench.cycle().filled == 0


def test_fills_from_before_the_first_metrics_are_not_the_first_cycle_s(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path / "books.db").transaction() as tx:
        tx.insert_order(an_order(1, status=OrderStatus.FILLED))
        tx.insert_fill(a_fill())
    assert Bench(tmp_path).cycle().turnover == 0


def test_the_peak_of_the_profit_outlives_a_restart(bench: Bench) -> None:
    bench.cycle(pnl="1000")
    bench.start()
    assert bench.cycle(pnl="-100").drawdown == Decimal(1100)


def test_a_reset_of_the_budget_measures_the_fall_of_an_adaptive_run_anew(bench: Bench) -> None:
    """Adaptation kept the old peak: it went on rolling back for a fall that the operator had decided to live with."""
    snapshots = SnapshotRecorder(bench.store, day, points_kept=1)

    def cycle(pnl: str) -> RunMetrics:
        end = bench.end(pnl=pnl)
        with bench.store.transaction() as tx:
            tx.insert_cycle(end.report)
            snapshots.cycle_ended(end, tx)
            bench.recorder.cycle_ended(end, tx)
        return read(bench.store)[-1]

    with bench.store.transaction() as tx:
        tx.put_position(a_position(quantity="0", cost="0", realized_pnl=Decimal(-4_000)))
    cycle("0")
    assert cycle("-4000").alerts == (AlertFlag.DRAWDOWN_BREACH,)
    budget_record.reset(bench.store, NOW_MS, "looked at it")
    bench.start()
    after = cycle("-4000")
    assert (after.peak_pnl, after.drawdown, after.alerts) == (Decimal(-4_000), 0, ())
    assert cycle("-4300").drawdown == 300, "and it counts on from there, once"


def test_wishes_their_verdicts_and_orders_become_the_trace(bench: Bench) -> None:
    wishes = [a_buy("2"), replace(a_buy("1", symbol="BTCTRY"), intent_id="intent-2")]
    with bench.store.transaction() as tx:
        tx.insert_order(an_order(1, cycle_id="c00000001", status=OrderStatus.ACCEPTED, reason="cheap"))
        for wish, code in zip(wishes, ("allowed", "draft_block:symbol_barred"), strict=True):
            tx.insert_verdict(
                Verdict(
                    cycle_id="c00000001",
                    intent_id=wish.intent_id,
                    symbol=wish.symbol,
                    side=wish.side,
                    price=wish.price,
                    quantity=wish.quantity,
                    allowed=code == "allowed",
                    code=code,
                    detail="",
                    at_ms=NOW_MS,
                )
            )

    found = bench.cycle(
        draft=Draft(intents=wishes), summary=ExecutionSummary(submitted=1, accepted=1), counts={"submitted": 1}
    )

    assert [(each.symbol, each.became, each.why) for each in found.trace] == [
        ("ADATRY", "accepted", "cheap"),
        ("BTCTRY", "refused", "draft_block:symbol_barred"),
    ]
    assert (found.refused, found.no_trades_reason) == (1, "")


def test_a_venue_that_asks_to_wait_is_noticed_even_when_the_cycle_came_to_nothing(bench: Bench) -> None:
    bench.health = VenueHealth(endpoints_closed=("balances",))
    found = bench.cycle(facts=None)
    assert found.throttled
    assert Quality.THROTTLED in found.quality and Quality.STALE_DATA in found.quality


def test_a_symbol_that_has_shown_a_price_once_is_stale_and_not_missing(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.put_value(values.MARKS, '{"BTCTRY": "4000000"}')
    assert bench.cycle(unusable=["BTCTRY", "XYZTRY"]).missing_marks == 1
    bench.cycle(quotes={"XYZTRY": a_quote("XYZTRY")})
    found = bench.cycle(unusable=["XYZTRY"])
    assert (found.missing_marks, found.quality) == (0, (Quality.STALE_DATA,))


def test_the_same_cycle_on_another_database_has_the_same_hash_of_its_inputs(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other")
    assert bench.cycle().inputs_sha256 == other.cycle().inputs_sha256
    assert bench.cycle(quotes={"ADATRY": a_quote(bid="99.96")}).inputs_sha256 != other.cycle().inputs_sha256
    other.store.close()


def test_metrics_that_cannot_be_read_are_refused_in_one_line(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.insert_note(Note(kind=NoteKind.RUN_METRICS, cycle_id="c00000001", at_ms=1, body="{}"))
    with pytest.raises(Refused, match=r"run metrics in the database cannot be read .*«btcbot db verify»"):
        bench.start()
