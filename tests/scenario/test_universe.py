"""The choice of symbols against the local exchange, with the real client, its limits and its charts; and on recorded
bars, in their own time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.builders import a_report, an_instrument
from tests.counting import calls_of

from btcbot import bootstrap
from btcbot.adapters.btcturk.bars import BtcturkCharts
from btcbot.adapters.btcturk.rest import BtcturkHttpClient
from btcbot.adapters.btcturk.scanner import BtcturkScanner
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.replay.columns import BarColumns
from btcbot.adapters.replay.load import load_bars
from btcbot.adapters.replay.scanner import ReplayScanner
from btcbot.adapters.store import SqliteStore
from btcbot.backtest.plan import instruments_of
from btcbot.bootstrap.replay import replay
from btcbot.bootstrap.universe import bar_interval_ms, candidates_of, history_ms, selecting_universe, universe_rules
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.notes import NoteKind
from btcbot.domain.stance import FREE
from btcbot.domain.universe import Exclusion, Freeze, Watched
from btcbot.ports import MarketScanner
from btcbot.profiles import STAGE4, UniverseKind
from btcbot.services.execution import ExecutionSummary
from btcbot.services.universe import SelectingUniverse, UniverseNote
from btcbot.services.watching import CycleEnd
from btcbot.strategies.base import StrategyContext
from btcbot.testing.in_process_rig import ListLog, Rig
from btcbot.testing.manual_clock import ManualClock
from btcbot.testing.points import Points
from btcbot.testing.scripted_strategy import ScriptedStrategy
from btcbot.testing.venue import Venue
from btcturk_sim.bars import Bar

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
BOOKS = "/api/v2/orderbook"
NO_BARS = '{"s":"no_data","t":[],"h":[],"o":[],"l":[],"c":[],"v":[]}'
PRICES = {"ADATRY": "34.703", "BNBTRY": "38001", "DOGETRY": "9.1037", "USDTTRY": "44.107", "XRPTRY": "120.03"}
MARKET_DATA = Path(__file__).parents[3] / "shared" / "market-data" / "try-1m-2022-11-08"


CHOICE = {
    "SYMBOLS": ",".join(PRICES),
    "UNIVERSE_TOP_N": "2",
    "UNIVERSE_KEEP_RANKS": "0",
    "UNIVERSE_REFRESH_MINUTES": "15",
    "UNIVERSE_PROBATION_MINUTES": "0",
    "UNIVERSE_MIN_DEPTH_TRY": "30000",
    "UNIVERSE_MOMENTUM_LOOKBACK_MINUTES": "30",
    "UNIVERSE_HISTORY_TOLERANCE_MINUTES": "10",
}


def settings_of(**changes: str) -> Settings:
    """Two places, half an hour of momentum, a choice each quarter of an hour, 30,000 TRY of depth."""
    given = {**CHOICE, **changes}
    return load_settings(given, default_env_file=None).settings


class Bench:
    """A universe over a scanner and a database, cycle by cycle, without the rest of a bot."""

    def __init__(self, scanner: MarketScanner, settings: Settings, kind: UniverseKind, **options: Any) -> None:
        self.metrics, self.log = MemoryMetrics(), ListLog()
        self.store = SqliteStore.in_memory()
        self.universe: SelectingUniverse = selecting_universe(
            settings,
            kind,
            "TRY",
            candidates=options.pop("candidates", settings.symbols),
            scanner=scanner,
            store=self.store,
            metrics=self.metrics,
            log=self.log,
        )

    def cycle(self, now_ms: int, instruments: Mapping[str, Instrument], held: Sequence[str] = ()) -> Watched:
        watched = self.universe.select(now_ms, instruments, held)
        with self.store.transaction() as tx:
            self.universe.cycle_ended(an_end(now_ms), tx)
        return watched

    @property
    def notes(self) -> list[UniverseNote]:
        return [msgspec.json.decode(note.body, type=UniverseNote) for note in self.store.notes(NoteKind.UNIVERSE)]

    @property
    def last(self) -> UniverseNote:
        return self.notes[-1]


def an_end(now_ms: int) -> CycleEnd:
    """A cycle in which nothing else happened."""
    report = a_report(profile="stage4-run", started_at_ms=now_ms, ended_at_ms=now_ms)
    return CycleEnd(report=report, seconds=0.01, summary=ExecutionSummary(), stance=FREE)


class Exchange:
    """The local exchange with two of its hosts, and a client of each."""

    def __init__(self, settings: Settings, kind: UniverseKind = UniverseKind.MOMENTUM) -> None:
        self.clock = ManualClock()
        self.venue = Venue(self.clock, Points(), "scan-1", PRICES, {"TRY": "10000"})
        metrics, log, stop = MemoryMetrics(), ListLog(), threading.Event()
        common: dict[str, Any] = {"clock": self.clock, "stop": stop, "metrics": metrics, "log": log}
        self.client = BtcturkHttpClient("http://127.0.0.1:1", transport=self.venue.transport, **common)
        self.charts = BtcturkCharts(
            "http://127.0.0.1:2", venue_time_ms=self.client.venue_time_ms, transport=self.venue.transport, **common
        )
        self.scanner = BtcturkScanner(
            self.client,
            self.charts,
            self.clock,
            interval_ms=bar_interval_ms(settings),
            history_ms=history_ms(settings, kind),
        )
        rules = universe_rules(settings, kind, "TRY")
        self.candidates = candidates_of(settings, rules, self.client.instruments(), self.client.look_at_tickers)
        self.bench = Bench(self.scanner, settings, kind, candidates=self.candidates)

    def cycle(self, held: Sequence[str] = ()) -> Watched:
        watched = self.bench.cycle(self.client.venue_time_ms(), self.client.instruments(), held)
        self.clock.advance(10)
        return watched

    def minutes(self, count: int, held: Sequence[str] = ()) -> Watched:
        for _ in range(count * 6):
            watched = self.cycle(held)
        return watched

    def trade(self, **volumes: str) -> None:
        """From the next minute on so much of the base is traded in every minute, at the price that stands."""

        def bar(symbol: str, index: int) -> Bar:
            price = Decimal(PRICES[symbol])
            return Bar(price, price, price, price, Decimal(volumes.get(symbol, "0")))

        self.venue.simulator.engine.market.source.bar = bar  # type: ignore[method-assign]

    def books(self) -> list[str]:
        return [request.query for request in self.venue.requests("GET", BOOKS)]


class TestAgainstTheLocalExchange:
    def test_the_real_client_chooses_something(self) -> None:
        """What used to happen: no sizes, so no depth, so nothing was ever chosen."""
        exchange = Exchange(settings_of())
        assert exchange.cycle().active == ("ADATRY", "BNBTRY"), "without any history the configured ones stand in"
        assert set(exchange.bench.last.excluded.values()) == {Exclusion.HISTORY, Exclusion.STABLE}
        exchange.minutes(40)
        exchange.venue.price("DOGETRY", "9.4037")
        exchange.venue.price("XRPTRY", "122.03")
        watched = exchange.minutes(10)
        assert watched.active == ("DOGETRY", "XRPTRY")
        note = exchange.bench.last
        assert note.excluded == {
            "ADATRY": Exclusion.OUTRANKED,
            "BNBTRY": Exclusion.OUTRANKED,
            "USDTTRY": Exclusion.STABLE,
        }
        assert abs(note.scores["DOGETRY"] - note.scores["ADATRY"] - Decimal("3.295")) < Decimal("0.5"), (
            "it rose by 3.3 %"
        )

    def test_charts_that_answer_with_nothing_exchange_nobody(self) -> None:
        """What used to happen: the whole set left, was sold, and the configured ones were bought instead."""
        exchange = Exchange(settings_of())
        exchange.minutes(40)
        exchange.venue.price("DOGETRY", "9.4037")
        exchange.venue.price("XRPTRY", "122.03")
        assert exchange.minutes(10).active == ("DOGETRY", "XRPTRY")
        exchange.venue.fault("raw_body", "GET", "/v1/klines", count=None, status=200, body=NO_BARS)
        exchange.clock.advance(6 * 3_600)
        assert exchange.minutes(20).active == ("DOGETRY", "XRPTRY")
        assert exchange.bench.last.frozen is Freeze.STALE_DATA
        assert exchange.bench.last.excluded["DOGETRY"] is Exclusion.HISTORY
        exchange.venue.clear_faults()
        exchange.minutes(50)
        assert exchange.bench.last.frozen is None

    def test_nobody_is_asked_between_two_looks(self) -> None:
        exchange = Exchange(settings_of())
        exchange.cycle()
        assert len(exchange.books()) == 4
        exchange.minutes(14)
        assert len(exchange.books()) == 4
        exchange.minutes(2)
        assert len(exchange.books()) == 8

    def test_depth_is_that_of_the_real_order_book(self) -> None:
        """The exchange shows some 20,000 TRY and more at each best price, and a ticker shows none."""
        exchange = Exchange(settings_of())
        row = exchange.scanner.scan(["XRPTRY"], exchange.client.venue_time_ms())["XRPTRY"]
        assert row.quote is not None and row.depth is not None
        assert row.depth >= 40_000
        exchange = Exchange(settings_of(UNIVERSE_MIN_DEPTH_TRY="1000000"))
        exchange.cycle()
        assert exchange.bench.last.excluded["XRPTRY"] is Exclusion.DEPTH

    def test_a_look_over_many_pairs_is_spread_over_cycles(self) -> None:
        exchange = Exchange(settings_of(UNIVERSE_MAX_ORDERBOOK_REQUESTS_PER_CYCLE="1"))
        counts = []
        for _ in range(6):
            exchange.cycle()
            counts.append(len(exchange.books()))
        assert counts == [1, 2, 3, 4, 4, 4]

    def test_a_pair_that_is_delisted_leaves_and_what_is_held_of_it_is_still_watched(self) -> None:
        exchange = Exchange(settings_of())
        exchange.minutes(50)
        before = exchange.cycle()
        gone = before.active[0]
        exchange.venue._control("/market", symbol=gone, delisted=True)
        watched = exchange.minutes(10, held=[gone])
        assert gone not in watched.active
        assert watched.winding_down == {gone}

    def test_a_venue_that_is_gone_leaves_the_choice_as_it_is(self) -> None:
        exchange = Exchange(settings_of())
        exchange.minutes(50)
        before = exchange.cycle().active
        instruments = exchange.client.instruments()
        exchange.venue.transport.is_up = False
        now_ms = exchange.clock.true_ms() + 16 * MINUTE_MS
        for _ in range(5):
            assert exchange.bench.cycle(now_ms, instruments).active == before
        assert len(exchange.bench.log.events("universe_look_failed")) == 1
        exchange.venue.transport.is_up = True

    def test_scored_takes_the_pairs_that_trade(self) -> None:
        settings = settings_of(STAGE7_VOL_LOOKBACK="3")
        exchange = Exchange(settings, UniverseKind.SCORED)
        exchange.trade(XRPTRY="1000", DOGETRY="900")
        exchange.minutes(46)
        assert exchange.cycle().active[0] == "XRPTRY"
        scores = exchange.bench.last.scores
        assert scores["XRPTRY"] > scores["DOGETRY"]

    def test_all_listed_pairs_are_candidates_by_volume_where_the_settings_say_so(self) -> None:
        settings = settings_of(UNIVERSE_CANDIDATES="listed", UNIVERSE_SCAN_BUDGET_SYMBOLS="2")
        exchange = Exchange(settings)
        exchange.trade(XRPTRY="100", DOGETRY="500", BNBTRY="0.2", USDTTRY="9999")
        exchange.minutes(5)
        rules = universe_rules(settings, UniverseKind.MOMENTUM, "TRY")
        found = candidates_of(settings, rules, exchange.client.instruments(), exchange.client.look_at_tickers)
        assert found == ("XRPTRY", "BNBTRY"), "a minute 12,000 and 7,600 TRY; DOGETRY 4,550; USDTTRY is no choice"


class Quiet:
    """Wishes nothing."""

    name = ScriptedStrategy.name

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return ()


class TestInTheWholeBot:
    @pytest.fixture
    def rig(self, make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> Rig:
        """A stage4-run that chooses two pairs each quarter of an hour, and is recorded."""
        monkeypatch.setattr(bootstrap, "build", partial(bootstrap.build, with_journal=True))
        settings = {name: text for name, text in CHOICE.items() if name != "SYMBOLS"}
        return make_rig(
            symbols=tuple(PRICES),
            prices=PRICES,
            profile=STAGE4,
            strategy=lambda _: Quiet(),
            DYNAMIC_UNIVERSE_ENABLED="true",
            BTCTURK_GRAPH_URL="http://127.0.0.1:2",
            **settings,
        )

    def notes(self, rig: Rig) -> list[UniverseNote]:
        return [msgspec.json.decode(note.body, type=UniverseNote) for note in rig.store.notes(NoteKind.UNIVERSE)]

    def test_it_watches_what_it_chose_and_a_replay_comes_to_the_same_choices(self, rig: Rig) -> None:
        rig.cycle(40 * 6)
        rig.venue.price("XRPTRY", "122.03")
        report = rig.cycle(10 * 6)
        assert report.outcome is CycleOutcome.COMPLETED
        chosen = self.notes(rig)[-1].symbols
        assert chosen[0] == "XRPTRY"
        assert set(report.quotes) == set(chosen), "and quotes no others"
        assert rig.metrics.value("btcbot_universe_symbols") == 2
        assert len(self.notes(rig)) == 4

        rig.crash()
        same = replay(rig.database, lambda _: Quiet())

        assert same.difference is None
        assert same.cycles == 300

    def test_a_restart_goes_on_with_the_choice_and_does_not_look_before_its_time(self, rig: Rig) -> None:
        rig.cycle(50 * 6)
        chosen = self.notes(rig)[-1].symbols
        books = len(rig.venue.requests("GET", BOOKS))
        rig.restart()
        report = rig.cycle(3)
        assert set(report.quotes) == set(chosen)
        assert len(rig.venue.requests("GET", BOOKS)) == books + 3 * len(chosen), "quotes, and no look"


needs_data = pytest.mark.skipif(not MARKET_DATA.is_dir(), reason="the recorded market data lie beside the project")


@needs_data
class TestOnRecordedBars:
    """Twelve pairs through the hours in which SOLTRY fell by a third."""

    def play(self, settings: Settings, kind: UniverseKind, hours: int = 16) -> list[tuple[int, Watched, UniverseNote]]:
        """Each choice, with its time."""
        bars = load_bars(MARKET_DATA)
        instruments = instruments_of(bars)
        bench = Bench(self.scanner(bars, instruments, settings, kind), settings, kind)
        start_ms = max(int(columns.open_time_ms[0]) for columns in bars.values()) + MINUTE_MS
        found: list[tuple[int, Watched, UniverseNote]] = []
        for minute in range(hours * 60):
            now_ms = start_ms + minute * MINUTE_MS
            before = bench.store.note_count(NoteKind.UNIVERSE)
            watched = bench.cycle(now_ms, instruments)
            found += [(now_ms, watched, note) for note in bench.notes[before:]]
        return found

    def scanner(
        self,
        bars: Mapping[str, BarColumns],
        instruments: Mapping[str, Instrument],
        settings: Settings,
        kind: UniverseKind,
    ) -> ReplayScanner:
        return ReplayScanner(
            bars,
            instruments,
            half_spread=Decimal("0.0005"),
            depth_share=Decimal("0.05"),
            interval_ms=bar_interval_ms(settings),
            history_ms=history_ms(settings, kind),
        )

    SYMBOLS = "ADATRY,AVAXTRY,BNBTRY,BTCTRY,CHZTRY,DOGETRY,ETHTRY,SHIBTRY,SOLTRY,TRXTRY,USDTTRY,XRPTRY"

    def settings(self, **changes: str) -> Settings:
        return settings_of(
            SYMBOLS=self.SYMBOLS,
            UNIVERSE_TOP_N="5",
            UNIVERSE_REFRESH_MINUTES="60",
            UNIVERSE_MIN_DEPTH_TRY="5000",
            UNIVERSE_MOMENTUM_LOOKBACK_MINUTES="240",
            UNIVERSE_HISTORY_TOLERANCE_MINUTES="30",
            **changes,
        )

    def test_momentum_looks_back_as_far_as_the_setting_says_in_the_time_of_the_bars(self) -> None:
        """Compared with the bars themselves, read by hand."""
        settings = self.settings(
            UNIVERSE_SCORE_WEIGHT_SPREAD="0", UNIVERSE_SCORE_WEIGHT_DEPTH="0", UNIVERSE_CHURN_MAX_PER_DAY="1000"
        )
        bars = load_bars(MARKET_DATA)
        choices = [one for one in self.play(settings, UniverseKind.MOMENTUM) if one[2].scores]
        first_ms, _, _ = choices[0]
        start_ms = max(int(columns.open_time_ms[0]) for columns in bars.values()) + MINUTE_MS
        assert 210 * MINUTE_MS <= first_ms - start_ms <= 300 * MINUTE_MS, "not before the bars go back so far"
        assert len(choices) >= 11
        for now_ms, _, note in choices:
            for symbol, score in note.scores.items():
                now, then = _close_at(bars[symbol], now_ms), _close_near(bars[symbol], now_ms - 240 * MINUTE_MS)
                assert min(abs(score * one - 100 * (now - one)) - one * Decimal("0.000001") for one in then) <= 0, (
                    symbol,
                    score,
                )

    def test_solana_is_not_among_the_chosen_while_it_falls_by_a_third(self) -> None:
        choices = self.play(self.settings(), UniverseKind.MOMENTUM)
        chosen = [watched.active for _, watched, note in choices if note.scores]
        assert chosen
        assert all("SOLTRY" not in active for active in chosen[-6:])
        assert all("USDTTRY" not in active for active in chosen), (
            "it rises against the lira, and is no market of its own"
        )

    def test_an_hour_passes_between_two_choices_and_additions_are_counted(self) -> None:
        choices = self.play(self.settings(UNIVERSE_CHURN_MAX_PER_DAY="2"), UniverseKind.MOMENTUM)
        times = [now_ms for now_ms, _, _ in choices]
        assert all(later - earlier == HOUR_MS for earlier, later in pairwise(times))
        firsts = [note for _, _, note in choices if note.added]
        assert 2 <= len(firsts) <= 3, "the first choice, and two that added"

    def test_scored_chooses_the_liquid_and_calm_from_the_first_hour_on(self) -> None:
        choices = self.play(self.settings(), UniverseKind.SCORED)
        ended = choices[-1][1].active
        assert len(ended) == 5
        assert "BTCTRY" in ended
        assert "USDTTRY" not in ended

    def test_the_same_bars_give_the_same_choices(self) -> None:
        settings = self.settings()
        for kind in (UniverseKind.MOMENTUM, UniverseKind.SCORED):
            assert self.play(settings, kind, hours=6) == self.play(settings, kind, hours=6)


def _close_at(bars: BarColumns, now_ms: int) -> Decimal:
    at = int(bars.open_time_ms.searchsorted(now_ms - bars.interval_ms, side="right")) - 1
    return Decimal(int(bars.close[at]))


def _close_near(bars: BarColumns, then_ms: int) -> list[Decimal]:
    """Closes within one mark of the grid of a moment."""
    return [_close_at(bars, then_ms + minutes * MINUTE_MS) for minutes in range(-5, 6)]


def test_a_universe_costs_next_to_nothing_between_two_looks() -> None:
    exchange = Exchange(settings_of())
    exchange.minutes(1)
    instruments, held = exchange.client.instruments(), ["ADATRY", "SOLTRY"]
    now_ms = exchange.clock.true_ms()
    assert calls_of(lambda: exchange.bench.universe.select(now_ms, instruments, held)) < 50


def test_an_instrument_of_another_quote_asset_is_no_candidate_of_all_listed_pairs() -> None:
    settings = settings_of(UNIVERSE_CANDIDATES="listed")
    exchange = Exchange(settings)
    exchange.trade(XRPTRY="100", ADATRY="10")
    exchange.minutes(5)
    instruments = {**exchange.client.instruments(), "XRPTRY": an_instrument("XRPTRY", quote="USDT")}
    rules = universe_rules(settings, UniverseKind.MOMENTUM, "TRY")
    assert candidates_of(settings, rules, instruments, exchange.client.look_at_tickers) == ("ADATRY",)
