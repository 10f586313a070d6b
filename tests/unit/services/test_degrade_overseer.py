"""The overseer between its cycles: evaluated once a cycle, kept with the report, read anew after an operator."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import pytest
from msgspec.structs import replace
from tests.builders import NOW_MS, a_quote, a_report, an_account, an_instrument

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store.memory import MemoryStore
from btcbot.decisions.anomalies import AnomalyCode, AnomalyRules
from btcbot.decisions.degrade import DegradeRules
from btcbot.decisions.freshness import MarketView
from btcbot.domain.ledger import Account, Entry, EntryKind, Posting
from btcbot.domain.money import ZERO
from btcbot.domain.notes import NoteKind
from btcbot.domain.stance import FREE, Stance, TradingMode
from btcbot.domain.universe import Watched
from btcbot.errors import StoreFailed
from btcbot.ports import Transaction, VenueHealth
from btcbot.services import values
from btcbot.services.accounting import PnL
from btcbot.services.degrade import DegradeOverseer
from btcbot.services.degrade_record import DEGRADE, clear, override, read_degrade
from btcbot.services.execution import ExecutionSummary
from btcbot.services.watching import CycleEnd, CycleFacts

LIMITS = AnomalyRules(
    stale_ms=30_000,
    stale_share=Decimal("0.3"),
    latency_ms=2_000,
    refusals=3,
    refusal_window_cycles=5,
    cursor_stall_cycles=5,
    clock_skew_ms=2_000,
    divergence_warn=Decimal(50),
    divergence_error=Decimal(200),
    feed_stall_ms=30_000,
    stuck_ms=120_000,
)
RULES = DegradeRules(
    warn_codes=frozenset(AnomalyCode),
    warn_threshold=2,
    cooldown_ms=60_000,
    quiet_cycles=2,
    buy_share=Decimal("0.5"),
    symbols_max=3,
)


class SilentLog:
    def debug(self, event: str, **fields: object) -> None:
        """Nobody reads it."""

    info = warning = error = debug


class Bench:
    """One overseer on a store in memory, a cycle each ten seconds."""

    def __init__(self) -> None:
        self.store, self.metrics = MemoryStore(), MemoryMetrics()
        self.health = VenueHealth(clock_skew_ms=0)
        self.number, self.now_ms = 0, NOW_MS
        self.account = an_account(TRY="1000")
        with self.store.transaction() as tx:
            postings = (Posting(Account.VENUE, "TRY", Decimal(1_000)), Posting(Account.OPENING, "TRY", Decimal(-1_000)))
            tx.insert_entry(Entry(entry_id="opening:TRY", kind=EntryKind.OPENING, at_ms=NOW_MS, postings=postings))
        self.restart()

    def restart(self) -> None:
        self.overseer = DegradeOverseer(
            self.store, lambda: self.health, self.metrics, SilentLog(), LIMITS, RULES, has_feed=False
        )

    def look(self) -> Stance:
        self.number += 1
        self.now_ms += 10_000
        self.facts = CycleFacts(
            cycle_id=f"c{self.number:08d}",
            number=self.number,
            now_ms=self.now_ms,
            local_ms=self.now_ms,
            account=self.account,
            instruments={"ADATRY": an_instrument()},
            view=MarketView(quotes={"ADATRY": a_quote()}, unusable={}),
            pnl=PnL(realized=ZERO, unrealized=ZERO, daily=ZERO, equity=ZERO, day="2023-11-14"),
            positions=self.store.positions(),
            open_orders=(),
            venue_open=(),
            health=self.health,
            universe=Watched(active=("ADATRY",), watched=("ADATRY",)),
        )
        return self.overseer.look(self.facts)

    def end(
        self, seconds: float = 0.05, refused: int = 0, counts: Mapping[str, int] | None = None, *, saw: bool = True
    ) -> None:
        """The unit that closes the cycle."""
        with self.store.transaction() as tx:
            if saw:
                tx.put_value(values.TRADES_CURSOR_MS, str(self.now_ms))
            self.overseer.cycle_ended(self.ending(seconds, refused, counts or {}, saw=saw), tx)

    def ending(self, seconds: float, refused: int, counts: Mapping[str, int], *, saw: bool) -> CycleEnd:
        report = a_report(
            self.number,
            profile="stage4-run",
            started_at_ms=self.now_ms,
            ended_at_ms=self.now_ms + 50,
            counts=counts,
        )
        summary = ExecutionSummary(refused=refused)
        return CycleEnd(report=report, seconds=seconds, summary=summary, stance=FREE, facts=self.facts if saw else None)

    def cycle(self, **ended: Any) -> Stance:
        stance = self.look()
        self.end(**ended)
        return stance

    def blind_cycle(self) -> None:
        """One that did not come as far as the market."""
        self.number += 1
        self.now_ms += 10_000
        self.end(saw=False)

    def level(self) -> int:
        return read_degrade(self.store, self.now_ms).machine.level


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_cycle_is_judged_once_whether_it_looked_or_not(bench: Bench) -> None:
    """Evaluating twice would count a warning twice."""
    bench.cycle(seconds=3)
    bench.cycle(seconds=3)
    assert bench.level() == 0
    assert bench.metrics.value("btcbot_anomalies_total", code="EXCHANGE_LATENCY_SPIKE", severity="WARN") == 1
    assert bench.cycle().buy_share == Decimal("0.5")
    assert bench.level() == 1


def test_a_cycle_that_saw_no_market_is_judged_when_it_ends(bench: Bench) -> None:
    bench.health = VenueHealth(clock_skew_ms=0, endpoints_closed=("balances",))
    bench.blind_cycle()
    assert bench.level() == 3
    assert [note.cycle_id for note in bench.store.notes(NoteKind.ANOMALY)] == ["c00000001"]


def test_a_judgement_whose_cycle_died_is_made_again_by_the_next(bench: Bench) -> None:
    """What was looked at and never written down did not happen."""
    bench.cycle(seconds=3)
    bench.look()
    bench.restart()
    bench.cycle(seconds=3)
    assert bench.level() == 0
    bench.cycle()
    assert bench.level() == 1


def test_what_a_failed_unit_wrote_is_not_believed(bench: Bench) -> None:
    bench.cycle()
    before = bench.store.value(DEGRADE)
    bench.look()

    def full_disk() -> None:
        with bench.store.transaction() as tx:
            bench.overseer.cycle_ended(bench.ending(500, 9, {}, saw=True), tx)
            raise StoreFailed("the disk is full")

    with pytest.raises(StoreFailed):
        full_disk()
    assert bench.store.value(DEGRADE) == before
    bench.cycle()
    assert bench.level() == 0


def test_a_cycle_that_the_feed_woke_counts_its_refusals_and_is_no_cycle_of_its_own(bench: Bench) -> None:
    bench.cycle(refused=1)
    for _ in range(9):
        bench.end(counts={"woken_by_feed": 1})
    bench.end(refused=2, counts={"woken_by_feed": 1})
    assert read_degrade(bench.store, bench.now_ms).watch.refusals == (3,)
    bench.cycle()
    assert [note.cycle_id for note in bench.store.notes(NoteKind.ANOMALY)] == ["c00000002"]


def test_an_anomaly_is_noted_when_it_begins_and_not_while_it_lasts(bench: Bench) -> None:
    bench.health = VenueHealth(clock_skew_ms=5_000)
    for _ in range(5):
        bench.cycle()
    bench.health = VenueHealth(clock_skew_ms=0)
    bench.cycle()
    bench.health = VenueHealth(clock_skew_ms=5_000)
    bench.cycle()
    assert [note.cycle_id for note in bench.store.notes(NoteKind.ANOMALY)] == ["c00000001", "c00000007"]
    assert bench.metrics.value("btcbot_anomalies_total", code="CLOCK_SKEW", severity="WARN") == 6


def test_an_operators_word_between_two_cycles_holds_in_the_next(bench: Bench) -> None:
    bench.cycle()
    override(bench.store, bench.now_ms, "OBSERVE_ONLY", "60", "maintenance")
    assert bench.cycle().mode is TradingMode.OBSERVE_ONLY
    clear(bench.store, bench.now_ms, "over")
    assert bench.cycle() == FREE


def test_money_that_is_gone_is_measured_against_the_books(bench: Bench) -> None:
    bench.cycle()
    bench.account = an_account(TRY="790")
    assert bench.cycle().mode is TradingMode.OBSERVE_ONLY
    assert "210 TRY less" in bench.store.notes(NoteKind.ANOMALY)[0].body


def test_results_in_two_assets_are_not_added_up(bench: Bench) -> None:
    from btcbot.domain.positions import Position

    with bench.store.transaction() as tx:
        tx.put_position(Position(symbol="ADATRY"))
    bench.look()
    bench.facts = replace(bench.facts, instruments={"ADATRY": an_instrument(quote="USDT")})
    bench.account = an_account(TRY="1")
    facts = replace(bench.facts, account=bench.account, positions=bench.store.positions())
    assert bench.overseer.look(facts) == FREE


def test_a_woken_cycle_without_a_refusal_writes_nothing(bench: Bench) -> None:
    bench.cycle()

    class NoWrites:
        def put_value(self, key: str, value: str) -> None:
            raise AssertionError(f"{key} was written")

    bench.overseer.cycle_ended(bench.ending(0.01, 0, {"woken_by_feed": 1}, saw=True), cast(Transaction, NoWrites()))
