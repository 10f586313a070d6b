"""Adaptation in its own profile, on the crash of November 2022: it grows in quiet hours and rolls back in the crash,
with the reason on record, and what its metrics say is what the run came to, to the last digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec
import polars as pl
import pytest

from btcbot.adapters.replay.load import load_bars
from btcbot.backtest.engine import run_backtest
from btcbot.backtest.events import counts_of
from btcbot.backtest.fingerprint import fingerprint
from btcbot.backtest.plan import BacktestPlan, settings_for
from btcbot.backtest.statistics import measure
from btcbot.bootstrap.adaptive import adaptation_rules, start_tuning
from btcbot.bootstrap.strategies import make_strategy
from btcbot.domain.adaptation import Change, ChangeOutcome, Rules
from btcbot.domain.notes import NoteKind
from btcbot.domain.run_metrics import RunMetrics
from btcbot.domain.tuning import TUNED, amount_of
from btcbot.profiles import STAGE7

CRASH = Path(__file__).parents[3] / "shared" / "market-data" / "try-1m-2022-11-08"
SETTINGS = {
    "COOLDOWN_SECONDS": "0",
    "TTL_SECONDS": "60",
    "MAX_DAILY_LOSS_TRY": "20000",
    "MAX_ORDERS_PER_CYCLE": "12",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "100000",
    "MAX_POSITION_TRY_PER_SYMBOL": "20000",
    "MAX_TOTAL_EXPOSURE_TRY": "90000",
    "MAX_INTENT_NOTIONAL_TRY": "2000",
    "RISK_MAX_GROSS_EXPOSURE_TRY": "90000",
    "RISK_MAX_DAILY_DRAWDOWN_TRY": "20000",
    "RISK_MAX_DRAWDOWN_TRY": "20000",
    "ADAPTATION_TURNOVER_SHARE": "0.1",
    "ADAPTATION_LOSS_TRY": "10",
    "ADAPTATION_TURNOVER_STEP": "0.01",
}
#: A limit that the crash breaks within the hour.
BREACHED = {**SETTINGS, "MAX_DRAWDOWN_PCT": "0.4", "RISK_BUY_STOP_DRAWDOWN_PCT": "0.4"}
pytestmark = pytest.mark.skipif(not CRASH.is_dir(), reason="the recorded market data lie beside the project")


class Adapted:
    """A run of stage7-run over the crash: what it came to, what was measured, and what was changed."""

    def __init__(self, given: Mapping[str, str]) -> None:
        bars = load_bars(CRASH)
        settings = settings_for(bars, given)
        plan = BacktestPlan(
            bars=bars,
            strategy=make_strategy(STAGE7.strategy, {}, settings),
            settings=settings,
            profile=STAGE7,
            keeps_every_note=True,
        )
        self.result = run_backtest(plan)
        self.rules: Rules = adaptation_rules(settings)
        self.metrics: Sequence[RunMetrics] = [
            msgspec.json.decode(body, type=RunMetrics) for body in self.bodies(NoteKind.RUN_METRICS)
        ]
        self.changes: Sequence[Change] = [
            msgspec.json.decode(body, type=Change) for body in self.bodies(NoteKind.PARAMETERS)
        ]
        #: Values of all parameters by the version of the set, told by the changes alone.
        self.in_force = {0: {field: amount_of(start_tuning(settings), field) for field in TUNED}}
        values = dict(self.in_force[0])
        for change in self.changed():
            values[change.field] = Decimal(change.after)
            self.in_force[change.to_version] = dict(values)

    def bodies(self, kind: NoteKind) -> Sequence[str]:
        return self.result.events.filter(pl.col("kind").cast(pl.String) == kind.value)["body"].to_list()

    def changed(self, outcome: ChangeOutcome | None = None) -> Sequence[Change]:
        """What really changed, or what had this outcome."""
        wanted = {ChangeOutcome.APPLIED, ChangeOutcome.ROLLED_BACK} if outcome is None else {outcome}
        return [change for change in self.changes if change.outcome in wanted]

    def values_of(self, metrics: RunMetrics) -> Mapping[str, Decimal]:
        """The parameters that were in force in the cycle of these metrics."""
        assert metrics.tuning_version is not None, "a profile that adapts has parameters in force"
        return self.in_force[metrics.tuning_version]


@cache
def a_run() -> Adapted:
    return Adapted(SETTINGS)


@cache
def a_breach() -> Adapted:
    return Adapted(BREACHED)


def test_a_run_through_the_crash_adapts_and_rolls_back_within_its_bounds() -> None:
    run = a_run()

    grown = [change for change in run.changed(ChangeOutcome.APPLIED) if change.field == "turnover_per_cycle_max"]
    assert len(grown) > 20 and all(change.reason.endswith("healthy cycles in a row") for change in grown)
    back = run.changed(ChangeOutcome.ROLLED_BACK)
    assert len(back) > 20 and all(change.reason.startswith("losses: ") for change in back)
    assert {"turnover_per_cycle_max", "universe_size"} <= {change.field for change in back}
    for values in run.in_force.values():
        assert not [
            field for field, within in run.rules.bounds.items() if not within.least <= values[field] <= within.most
        ]
    sizes = [Decimal(change.after) for change in run.changed() if change.field == "universe_size"]
    assert max(sizes) <= len(run.result.bars), "no set is larger than there are pairs to choose from"
    for change in back:
        assert Decimal(change.after) in {values[change.field] for values in run.in_force.values()}
        if change.field == "universe_size":
            assert Decimal(change.after) < Decimal(change.before)
    counts = counts_of(run.result.events)
    assert counts["params_rolled_back"] == len(run.changed(ChangeOutcome.ROLLED_BACK))
    assert counts["param_changes"] == len(run.changed(ChangeOutcome.APPLIED))
    assert counts["params_checkpoints"] > 5


def test_a_breach_of_the_drawdown_limit_rolls_back_with_its_reason() -> None:
    reasons = {change.reason.partition(":")[0] for change in a_breach().changed(ChangeOutcome.ROLLED_BACK)}
    assert reasons == {"drawdown_breach", "losses"}


def test_in_the_breach_of_the_drawdown_limit_nothing_grows() -> None:
    run = a_breach()
    limit = run.rules.drawdown_ratio_max
    pairs = [
        (run.values_of(before), run.values_of(after))
        for before, after in zip(run.metrics, run.metrics[1:], strict=False)
        if before.drawdown_ratio >= limit
    ]
    assert len(pairs) > 100
    for before, after in pairs:
        assert after["universe_size"] <= before["universe_size"]
        assert after["turnover_per_cycle_max"] <= before["turnover_per_cycle_max"]


def test_the_parameters_in_force_hold_for_the_orders_of_the_next_cycle() -> None:
    run = a_run()
    assert len(run.in_force) > 20
    new_value = dict(
        run.result.orders.filter(~pl.col("reason").str.starts_with("replaces"))
        .group_by("cycle_id")
        .agg((pl.col("price").cast(pl.Float64) * pl.col("quantity").cast(pl.Float64)).sum())
        .iter_rows()
    )
    for each in run.metrics:
        values = run.values_of(each)
        assert each.submitted <= values["orders_per_cycle_max"]
        assert new_value.get(each.cycle_id, 0.0) <= float(values["turnover_per_cycle_max"])


def test_what_the_metrics_say_is_what_the_run_came_to() -> None:
    run = a_run()
    result = run.result

    whole = [each for each in run.metrics if each.equity is not None]
    assert len(whole) == len(run.metrics) == result.cycles_run
    for each in whole:
        assert each.equity is not None and each.net_pnl == each.equity - result.opening_equity
        assert each.gross_pnl == each.net_pnl + each.charges
    last = whole[-1]
    traded = sum(
        (price * quantity for price, quantity in result.fills.select("price", "quantity").iter_rows()), Decimal(0)
    )
    assert (last.charges, last.turnover_total, last.fills_counted) == (result.fees, traded, result.fill_count)
    assert result.fill_count > 50
    depth = measure(result)[0].drawdown.depth
    assert float(max(each.drawdown_ratio for each in whole)) == pytest.approx(depth, rel=0.05), (
        "but for half the spread"
    )


def test_every_wish_is_in_the_trace_with_what_became_of_it() -> None:
    run = a_run()
    traced = [wish for each in run.metrics for wish in each.trace]
    assert len(traced) == run.result.decisions.height
    ordered = [wish for wish in traced if wish.became not in {"refused", "deferred", "kept", "replaces"}]
    assert len(ordered) == run.result.order_count
    standing = [wish for wish in traced if wish.became in {"kept", "replaces"}]
    turned_away = sum(each.refused + each.deferred for each in run.metrics)
    assert len(traced) == len(ordered) + len(standing) + turned_away
    assert len(standing) > 100


def test_two_runs_of_the_same_data_have_the_same_inputs_and_the_same_changes() -> None:
    one, other = a_run(), Adapted(SETTINGS)
    assert [each.inputs_sha256 for each in one.metrics] == [each.inputs_sha256 for each in other.metrics]
    assert len({each.inputs_sha256 for each in one.metrics}) == len(one.metrics)
    assert one.changes == other.changes != []
    assert fingerprint(one.result) == fingerprint(other.result)


def test_without_adaptation_the_parameters_stand_still_and_the_result_is_another() -> None:
    still = Adapted({**SETTINGS, "ADAPTATION_ENABLED": "false"})
    assert still.changes == []
    assert {each.tuning_version for each in still.metrics} == {0}
    assert fingerprint(still.result) != fingerprint(a_run().result)
