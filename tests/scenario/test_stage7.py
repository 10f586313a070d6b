"""`stage7-run` as it ships: its parameters grow while cycles are healthy, hold for the orders of the next one, go on
after a restart and are rolled back where they did no good; a checkpoint that is damaged is refused, and a recorded run
is decided the same again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from tests.scenario.test_stage4 import PORTFOLIO, PRICES, Market

from btcbot import bootstrap
from btcbot.adapters.replay.load import load_bars
from btcbot.backtest.engine import run_backtest
from btcbot.backtest.plan import BacktestPlan, settings_for
from btcbot.backtest.result import BacktestResult
from btcbot.bootstrap.adaptive import adaptation_rules
from btcbot.bootstrap.replay import replay
from btcbot.bootstrap.strategies import strategy_of
from btcbot.config.loading import load_settings
from btcbot.domain.adaptation import outside
from btcbot.domain.notes import NoteKind
from btcbot.domain.replacements import replaces_another
from btcbot.domain.run_metrics import RunMetrics
from btcbot.domain.tuning import Tuning
from btcbot.errors import Refused
from btcbot.profiles import STAGE7
from btcbot.services import adaptation
from btcbot.services.adaptation import STATE
from btcbot.testing.in_process_rig import Rig
from btcbot.testing.profiles_played import PLAYED
from btcbot.testing.scripted_strategy import ScriptedStrategy

CRASH: Final = Path(__file__).parents[3] / "shared" / "market-data" / "try-1m-2022-11-08"
ADAPTING: Final = {
    **PORTFOLIO,
    "PORTFOLIO_TARGETS": "",
    "PORTFOLIO_ORDER_OFFSET_BPS": "10",
    "UNIVERSE_TOP_N": "2",
    "UNIVERSE_REFRESH_MINUTES": "5",
    "UNIVERSE_PROBATION_MINUTES": "0",
    "UNIVERSE_MIN_QUOTE_VOLUME_TRY": "0",
    "STAGE7_VOL_LOOKBACK": "3",
    "ADAPTATION_UNIVERSE_MIN": "1",
    "ADAPTATION_UNIVERSE_MAX": "9",
    "ADAPTATION_TURNOVER_SHARE": "0.3",
}

MakeAdaptive = Callable[..., Rig]


@pytest.fixture
def make_adaptive(make_rig: Callable[..., Rig]) -> MakeAdaptive:
    """A rig under `stage7-run` with the profile's own strategy, four pairs to choose from, and 20,000 TRY."""

    def make(**options: Any) -> Rig:
        given = {
            "profile": PLAYED[STAGE7.name],  # a rig has no paper; here the venue itself is one
            "symbols": tuple(PRICES),
            "prices": PRICES,
            "balances": {"TRY": "20000"},
            "strategy": partial(strategy_of, STAGE7),
            **ADAPTING,
        }
        return make_rig(**{**given, **options})

    return make


def tuning(rig: Rig) -> Tuning:
    course = adaptation.load(rig.store)
    assert course is not None, "it has begun"
    return course.tuning


class TestInForce:
    def test_it_grows_within_its_bounds_and_each_cycle_orders_within_what_was_in_force(
        self, make_adaptive: MakeAdaptive
    ) -> None:
        rig = make_adaptive()
        market = Market(rig)
        before: list[Tuning] = []
        for _ in range(40):
            course = adaptation.load(rig.store)
            if course is not None:
                before.append(course.tuning)
            orders = len(rig.orders())
            market.walk(1)
            new = rig.orders()[orders:]
            if before:
                fresh = [order for order in new if not replaces_another(order.intent_id)]
                value = sum((order.price * order.quantity for order in fresh), Decimal(0))
                assert value <= before[-1].turnover_per_cycle_max
        grown = tuning(rig)
        assert grown.universe_size == 4 == len(PRICES)
        assert grown.turnover_per_cycle_max > 1_500
        rules = adaptation_rules(load_settings(rig.environment, default_env_file=None).settings)
        assert not [one for one in before if outside(one, rules.bounds)]
        held = {symbol for symbol in PRICES if rig.position(symbol).quantity}
        assert len(held) >= 3, "and the universe that grew is traded"
        sizes = [Decimal(one.after) for one in adaptation.history(rig.store) if one.field == "universe_size"]
        assert max(sizes) == 4, "beyond the pairs that there are to choose from nothing is even tried"
        rig.heal()
        assert rig.faults() == []

    def test_a_restart_goes_on_with_what_was_adapted(self, make_adaptive: MakeAdaptive) -> None:
        rig = make_adaptive()
        market = Market(rig)
        market.walk(10)
        grown, changes = tuning(rig), len(adaptation.history(rig.store))
        assert grown.version >= 2
        rig.restart()
        assert tuning(rig) == grown
        market.walk(1)
        assert tuning(rig).version >= grown.version
        assert len(adaptation.history(rig.store)) >= changes
        assert rig.store.note_count(NoteKind.RUN_METRICS) == 11

    def test_other_settings_than_it_adapted_from_are_refused_with_one_line(self, make_adaptive: MakeAdaptive) -> None:
        rig = make_adaptive()
        Market(rig).walk(6)
        rig.crash()
        with pytest.raises(Refused, match="universe_size 2 then, 3 now") as told:
            rig.start(UNIVERSE_TOP_N="3")
        assert len(str(told.value).splitlines()) == 1

    @pytest.mark.parametrize(
        ("harm", "words"),
        [
            ("cut", "cannot be read"),
            ("number", "damaged"),
            ("empty object", "cannot be read"),
            ("not json", "cannot be read"),
        ],
    )
    def test_a_corrupt_checkpoint_is_refused_with_one_line_and_how_to_mend_it(
        self, make_adaptive: MakeAdaptive, harm: str, words: str
    ) -> None:
        rig = make_adaptive()
        Market(rig).walk(6)
        text = rig.store.value(STATE)
        assert text
        damaged = {
            "cut": text[: len(text) // 2],
            "number": text.replace('"universe_size":', '"universe_size":1'),
            "empty object": "{}",
            "not json": "yes",
        }[harm]
        assert damaged != text
        with rig.store.transaction() as tx:
            tx.put_value(STATE, damaged)
        orders = len(rig.orders())
        rig.crash()
        with pytest.raises(Refused, match=f"{words}.*btcbot params reset") as told:
            rig.start()
        assert len(str(told.value).splitlines()) == 1
        assert len(rig.venue.requests("POST")) == orders


@pytest.mark.parametrize("has_feed", [False, True], ids=["by the timer", "with the feed"])
def test_a_recorded_run_with_its_universe_its_metrics_and_its_changes_is_decided_the_same_again(
    make_adaptive: MakeAdaptive, monkeypatch: pytest.MonkeyPatch, has_feed: bool
) -> None:
    monkeypatch.setattr(bootstrap, "build", partial(bootstrap.build, with_journal=True))
    rig = make_adaptive(has_feed=has_feed)
    market = Market(rig)
    for number in range(30):
        market.walk(1)
        if rig.feed is not None:
            rig.pause(2)
        if number == 15:
            rig.restart()
    assert rig.store.note_count(NoteKind.PARAMETERS) >= 5
    assert rig.store.note_count(NoteKind.UNIVERSE) >= 1
    orders = len(rig.orders())
    rig.crash()
    same = replay(rig.database, lambda settings: ScriptedStrategy(strategy_of(STAGE7, settings)))
    assert same.difference is None
    assert (same.runs, same.orders) == (2, orders)
    assert same.cycles >= 30


@pytest.mark.skipif(not CRASH.is_dir(), reason="the recorded market data lie beside the project")
class TestOnTheCrashOfNovember2022:
    """Twelve pairs, minute by minute, with the very parts that `stage7-run` has."""

    SETTINGS: Final = {
        "COOLDOWN_SECONDS": "0",
        "TTL_SECONDS": "300",
        "MAX_ORDERS_PER_CYCLE": "10",
        "NOTIONAL_CAP_TRY_PER_CYCLE": "20000",
        "MAX_INTENT_NOTIONAL_TRY": "5000",
        "MAX_POSITION_TRY_PER_SYMBOL": "30000",
        "MAX_TOTAL_EXPOSURE_TRY": "150000",
        "RISK_MAX_GROSS_EXPOSURE_TRY": "150000",
        "MAX_DAILY_LOSS_TRY": "90000",
        "RISK_MAX_DAILY_DRAWDOWN_TRY": "90000",
        "RISK_MAX_DRAWDOWN_TRY": "90000",
        "RISK_BUY_STOP_DAILY_LOSS_PCT": "90",
        "RISK_BUY_STOP_DRAWDOWN_PCT": "30",
        "MAX_DRAWDOWN_PCT": "30",
        "PORTFOLIO_DRIFT": "0.02",
        "ADAPTATION_TURNOVER_SHARE": "0.3",
        "ADAPTATION_LOSS_TRY": "200",
        "ADAPTATION_GOOD_CYCLES": "5",
    }

    def play(self) -> BacktestResult:
        bars = load_bars(CRASH)
        settings = settings_for(bars, self.SETTINGS)
        plan = BacktestPlan(
            bars=bars, strategy=strategy_of(STAGE7, settings), settings=settings, profile=STAGE7, keeps_every_note=True
        )
        return run_backtest(plan)

    @staticmethod
    def bodies(result: BacktestResult, kind: NoteKind) -> list[dict[str, Any]]:
        events = result.events
        return [json.loads(body) for body in events.filter(events["kind"] == kind.value)["body"]]

    def test_it_trades_many_pairs_adapts_and_rolls_back_with_reasons(self) -> None:
        result = self.play()
        assert result.order_count > 100
        assert result.fills["symbol"].n_unique() >= 8
        changes = self.bodies(result, NoteKind.PARAMETERS)
        counts = Counter(change["outcome"] for change in changes)
        assert counts["APPLIED"] > 20
        assert counts["ROLLED_BACK"] > 5
        assert all(change["reason"] for change in changes)
        for change in changes:
            if change["outcome"] == "ROLLED_BACK":
                assert change["reason"].startswith("losses: ")
                assert change["to_version"] < change["from_version"]

    def test_its_metrics_have_one_row_for_each_cycle_a_drawdown_that_is_real_and_hashed_inputs(self) -> None:
        result = self.play()
        rows = [msgspec.convert(body, RunMetrics, strict=False) for body in self.bodies(result, NoteKind.RUN_METRICS)]
        assert len(rows) == result.cycles_run
        assert max(row.drawdown_ratio for row in rows) > Decimal("0.01"), "the market fell, and it shows"
        assert len({row.inputs_sha256 for row in rows}) == len(rows)
        assert rows[-1].charges == result.fees

    def test_the_same_bars_give_the_same_changes(self) -> None:
        one, other = self.play(), self.play()
        assert self.bodies(one, NoteKind.PARAMETERS) == self.bodies(other, NoteKind.PARAMETERS)
        assert one.final_equity == other.final_equity
