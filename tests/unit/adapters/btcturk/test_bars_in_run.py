"""A strategy with signals in the bot itself: real cycles, the real client, and the local exchange's own candles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from btcbot.bootstrap import graph_url
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.feed import Wake
from btcbot.domain.intents import Intent
from btcbot.errors import ConfigurationError, Refused
from btcbot.strategies.base import Signal, StrategyContext
from btcbot.strategies.signals import Close, Sma
from btcbot.testing.in_process_rig import Rig

CANDLES = "/v1/klines/history"


class Watching:
    """Wishes nothing; keeps what it is asked with."""

    name = "watching"

    def __init__(self) -> None:
        self.seen: list[StrategyContext] = []

    def signals(self) -> Mapping[str, Signal]:
        return {"latest": Close(), "mean": Sma(3)}

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        self.seen.append(context)
        return ()

    @property
    def last(self) -> StrategyContext:
        return self.seen[-1]


class Bench:
    """A rig whose strategy watches, in a market of one-minute candles."""

    def __init__(self, folder: Path, *, has_feed: bool = False) -> None:
        self.rig = Rig(folder, has_feed=has_feed)
        self.rig.crash()
        self.strategy = Watching()
        self.rig.strategy = self.strategy  # type: ignore[assignment]

    def start(self, **settings: str) -> None:
        self.rig.start(BTCTURK_GRAPH_URL="http://127.0.0.1:2", **settings)

    def minutes(self, count: int) -> None:
        """A cycle each ten seconds."""
        for _ in range(count * 6):
            self.rig.cycle()

    @property
    def candle_requests(self) -> int:
        return sum(request.path == CANDLES for request in self.rig.venue.simulator.api.requests)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.start()
    yield made
    made.rig.close()


def test_bars_close_signals_follow_and_each_is_asked_for_once(bench: Bench) -> None:
    bench.minutes(6)
    context = bench.strategy.last
    (last,) = context.bars.values()
    assert last.symbol == bench.rig.symbols[0]
    assert context.now_ms - 62_000 - 10_000 <= last.close_time_ms <= context.now_ms
    assert context.signals[last.symbol]["latest"] == float(last.close)
    before = bench.candle_requests
    bench.minutes(5)
    assert bench.candle_requests - before == 5
    assert bench.strategy.last.bars[last.symbol].open_time_ms == last.open_time_ms + 300_000


def test_a_strategy_without_signals_asks_for_no_candles(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    try:
        rig.cycle(12)
        assert not [request for request in rig.venue.simulator.api.requests if request.path == CANDLES]
    finally:
        rig.close()


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("status_before", {"status": 503}),
        ("html_after", {"status": 200}),
        ("lost_after", {}),
        ("truncated", {"cut_at": 20}),
        ("rate_limited", {"retry_after": 20}),
        ("raw_body", {"status": 200, "body": '{"s":"ok","t":[1],"o":[2],"h":[1],"l":[3],"c":[2],"v":[1]}'}),
        ("delay_after", {"delay_ms": 9_000}),
    ],
)
def test_candles_in_trouble_cost_the_signals_and_nothing_else(
    bench: Bench, kind: str, params: dict[str, object]
) -> None:
    bench.minutes(5)
    bench.rig.venue.fault(kind, "GET", CANDLES, count=None, **params)
    for _ in range(9):
        bench.rig.clock.advance(10)
        began_ms = bench.rig.clock.true_ms()
        assert bench.rig.bot.run_cycle().outcome is CycleOutcome.COMPLETED, "trading goes on: the quotes are sound"
        assert bench.rig.clock.true_ms() - began_ms < 5_000, "a cycle does not wait long for candles"
    assert bench.strategy.last.signals == {}
    assert bench.rig.log.events("signals_missing")
    bench.rig.venue.clear_faults()
    bench.minutes(2)
    assert bench.strategy.last.signals


def test_a_restart_warms_up_anew(bench: Bench) -> None:
    bench.minutes(6)
    before = bench.strategy.last.signals
    bench.rig.crash()
    bench.start()
    bench.rig.cycle()
    assert bench.strategy.last.signals == before


def test_a_local_exchange_without_its_charts_address_is_refused(tmp_path: Path) -> None:
    made = Bench(tmp_path)
    with pytest.raises(Refused, match="BTCTURK_GRAPH_URL"):
        made.rig.start()
    made.rig.close()


def test_more_pairs_than_the_limits_bear_are_refused_with_the_number(tmp_path: Path) -> None:
    made = Bench(tmp_path)
    with pytest.raises(Refused, match="at most 26"):
        made.start(SYMBOLS=",".join(f"P{number}TRY" for number in range(27)))
    made.rig.close()


def test_a_woken_cycle_decides_on_the_last_bar_and_asks_for_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path, has_feed=True)
    bench.start(BOOK_CHECK_SECONDS="600")
    try:
        bench.minutes(5)
        while bench.rig.clock.true_ms() % 60_000 < 45_000:
            bench.rig.cycle()
        bench.rig.wait(20)
        before, asked = bench.strategy.last, len(bench.rig.venue.simulator.api.requests)
        bench.rig.bot.run_cycle(Wake.MARKET)
        woken = bench.strategy.last
        assert woken is not before, "it came to the strategy"
        assert woken.bars == before.bars
        assert woken.signals == before.signals
        assert woken.now_ms // 60_000 > before.now_ms // 60_000, "a bar has closed in between"
        assert len(bench.rig.venue.simulator.api.requests) == asked
    finally:
        bench.rig.close()


# -- settings ----------------------------------------------------------------------------------------------------------


def load(**settings: str) -> Settings:
    return load_settings(settings, default_env_file=None).settings


def test_charts_are_btcturks_beside_btcturk_and_a_simulators_beside_a_simulator() -> None:
    assert graph_url(load()) == "https://graph-api.btcturk.com"
    local = "http://127.0.0.1:8080"
    assert graph_url(load(BTCTURK_BASE_URL=local)) is None
    assert graph_url(load(BTCTURK_BASE_URL=local, BTCTURK_GRAPH_URL="http://127.0.0.1:8081")) == "http://127.0.0.1:8081"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"BTCTURK_GRAPH_URL": "http://127.0.0.1:8081"}, "BTCTURK_GRAPH_URL: names another venue"),
        (
            {"BTCTURK_BASE_URL": "http://127.0.0.1:8080", "BTCTURK_GRAPH_URL": "https://graph-api.btcturk.com"},
            "BTCTURK_GRAPH_URL: names another venue",
        ),
        ({"BTCTURK_GRAPH_URL": "https://graph-api.btcturk.com.example.org"}, "BTCTURK_GRAPH_URL: "),
        ({"BTCTURK_GRAPH_URL": "http://graph-api.btcturk.com"}, "BTCTURK_GRAPH_URL: "),
        (
            {"BAR_INTERVAL_SECONDS": "90"},
            "BAR_INTERVAL_SECONDS: is no length of the venue's bars (environment); write one of 60, 300",
        ),
    ],
)
def test_other_charts_and_other_bars_are_refused(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(**settings)
    assert str(caught.value).startswith(said)
