"""What the profiles cost: a cycle of stage4-run over twenty symbols, and stage7-run over recorded bars.

    python -m benchmarks.profiles [--json] [--profile stage4|stage7]

`stage4-run` is the bot of `bootstrap.build` in this process, with its own strategy and its journal, on a venue in a
process of its own: REST, feed and candles over sockets. The market is played sixty times as fast, so that the portfolio
drifts, orders go stale and are replaced. The client keeps to the venue's documented limits, which puts the cycles
apart. Counted are cycles in which all books came from the feed.

`stage7-run` plays three symbols of `benchmarks.year` with adaptation, by the minute: every cycle is a whole one, with
universe, oversight, budget, metrics and adaptation, and every one has to complete.

`--profile` prints where the CPU of one of them goes.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec
import structlog

from benchmarks import year
from benchmarks.backtest import columns_of
from benchmarks.common import RUNS, Figure, Result, Venue, best, child_environment, logs_to, run_alone, working_folder
from btcbot import bootstrap
from btcbot.adapters.logs import flush_logs
from btcbot.adapters.metrics import NullMetrics
from btcbot.backtest.engine import run_backtest
from btcbot.backtest.plan import BacktestPlan, settings_for
from btcbot.bootstrap.strategies import make_strategy
from btcbot.domain.cycles import CycleOutcome
from btcbot.profiles import STAGE4, STAGE7

TWENTY: Final = tuple(
    f"{base}TRY"
    for base in (
        "BTC ETH XRP SOL ADA AVAX BNB CHZ DOGE SHIB TRX DOT LINK LTC ATOM NEAR UNI XLM FIL AAVE".split()  # noqa: SIM905
    )
)
SPEED: Final = 60
CYCLES: Final = 20
#: Time in which the book of every symbol comes to be trusted, and the average of the strategy warm.
WARM_UP_S: Final = 120.0
#: Own CPU of a cycle, and whole cycles a CPU second.
CYCLE_MS_MAX: Final = 25.0
CYCLES_PER_S_MIN: Final = 2_000.0
BARS: Final = 20_000
OPENING: Final = Decimal(1_000_000)
#: Limits wide enough, and positions large enough beside the least order, for a portfolio to be traded all the time.
_WIDE: Final = {
    "COOLDOWN_SECONDS": "0",
    "MAX_DAILY_LOSS_TRY": "1000000",
    "MAX_ORDERS_PER_CYCLE": "20",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "2000000",
    "MAX_TOTAL_EXPOSURE_TRY": "10000000",
    "MAX_INTENT_NOTIONAL_TRY": "50000",
    "RISK_MAX_GROSS_EXPOSURE_TRY": "10000000",
    "RISK_MAX_DAILY_DRAWDOWN_TRY": "1000000",
    "RISK_MAX_DRAWDOWN_TRY": "1000000",
    "MAX_DRAWDOWN_PCT": "99",
    "RISK_BUY_STOP_DRAWDOWN_PCT": "99",
    "RISK_BUY_STOP_DAILY_LOSS_PCT": "99",
    "RISK_MAX_POSITION_PCT": "100",
    "SELF_FINANCING_ENABLED": "false",
}
STAGE4_SETTINGS: Final = {
    **_WIDE,
    "TTL_SECONDS": "6",
    "MAX_POSITION_TRY_PER_SYMBOL": "50000",
    "PORTFOLIO_DRIFT": "0.003",
    "REPLACE_MIN_AGE_SECONDS": "2",
    "REPLACE_COOLDOWN_SECONDS": "4",
    "BOOK_CHECK_SECONDS": "600",
}
STAGE7_SETTINGS: Final = {
    **_WIDE,
    "TTL_SECONDS": "180",
    "MAX_POSITION_TRY_PER_SYMBOL": "400000",
    "PORTFOLIO_DRIFT": "0.001",
    "ADAPTATION_ENABLED": "true",
}


class _Cycle(NamedTuple):
    """One measured cycle. `cpu_ms` is of the whole process, threads of feed, log and journal included."""

    cpu_ms: float
    wall_ms: float
    has_ordered: bool


def stage4(profile: cProfile.Profile | None = None) -> tuple[list[list[_Cycle]], float, int]:
    """The runs, the CPU share of the whole process between first and last cycle, and how many orders were replaced."""
    runs: list[list[_Cycle]] = []
    with working_folder() as folder, Venue(folder, symbols=TWENTY, speed=SPEED) as venue:
        addresses = {"BTCTURK_WS_URL": venue.simulator.ws_url, "BTCTURK_GRAPH_URL": venue.simulator.graph_url}
        settings = venue.settings(folder / "stage4.db", **STAGE4_SETTINGS, **addresses)
        pause_s = float(bootstrap.cycle_seconds_min(settings)) + 0.02
        with logs_to(folder / "stage4.log", settings):
            bot = bootstrap.build(
                settings,
                stop=threading.Event(),
                metrics=NullMetrics(),
                log=structlog.get_logger("btcbot"),
                profile=STAGE4,
                with_journal=True,
            )
            try:
                warm_until_s = time.monotonic() + WARM_UP_S
                while True:
                    next_s = time.monotonic() + pause_s
                    report = bot.run_cycle()
                    if report.counts["quotes_from_feed"] == len(TWENTY) and bot.store.fill_count() >= len(TWENTY):
                        break
                    assert time.monotonic() < warm_until_s, f"not warm: {report.counts}, {report.reasons}"
                    time.sleep(max(next_s - time.monotonic(), 0))
                began_cpu_s, began_s = time.process_time(), time.monotonic()
                while len(runs) < RUNS or len(runs[-1]) < CYCLES:
                    next_s = time.monotonic() + pause_s
                    if profile is not None:
                        profile.enable()
                    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
                    report = bot.run_cycle()
                    flush_logs(0.5)
                    wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
                    if profile is not None:
                        profile.disable()
                    if report.outcome is CycleOutcome.COMPLETED and report.counts["quotes_from_feed"] == len(TWENTY):
                        if not runs or len(runs[-1]) == CYCLES:
                            runs.append([])
                        runs[-1].append(_Cycle(cpu / 1e6, wall / 1e6, report.counts["submitted"] > 0))
                    time.sleep(max(next_s - time.monotonic(), 0))
                share = (time.process_time() - began_cpu_s) / (time.monotonic() - began_s)
                replaced = sum(order.intent_id.startswith("replace:") for order in bot.store.recent_orders(100_000))
            finally:
                bot.close()
    return runs, share, replaced


def stage7(count: int = BARS, profile: cProfile.Profile | None = None) -> dict[str, float]:
    """One run in this process, after a short one that loads what is loaded once."""
    names = ("BTCTRY", "ETHTRY", "XRPTRY")
    bars = {name: columns_of(year.year(year.SEED + at, count), name) for at, name in enumerate(names)}
    settings = settings_for(bars, STAGE7_SETTINGS)
    strategy = make_strategy(STAGE7.strategy, {}, settings)
    short = {name: columns.between(None, year.START_MS + 500 * 60_000) for name, columns in bars.items()}
    plan = BacktestPlan(bars=bars, strategy=strategy, settings=settings, opening=OPENING, profile=STAGE7)
    run_backtest(msgspec.structs.replace(plan, bars=short))
    if profile is not None:
        profile.enable()
    result = run_backtest(plan)
    if profile is not None:
        profile.disable()
    completed = (result.cycles["outcome"].cast(str) == CycleOutcome.COMPLETED.value).sum()
    assert completed == result.cycles_run == count, f"{result.cycles_run - completed} cycles did not complete"
    return {
        "cpu_s": result.cpu_s,
        "cycles": result.cycles_run,
        "orders": result.order_count,
        "fills": result.fill_count,
    }


def _own_process() -> dict[str, float]:
    arguments = [sys.executable, "-m", "benchmarks.profiles", "play"]
    ended = subprocess.run(arguments, stdout=subprocess.PIPE, env=child_environment(), text=True, check=True)
    told: dict[str, float] = json.loads(ended.stdout)
    return told


def measure() -> Result:
    played = [_own_process() for _ in range(RUNS)]
    runs, share, replaced = stage4()

    def of(name: str, *, has_ordered: bool | None = None) -> Sequence[Sequence[float]]:
        return [
            [getattr(cycle, name) for cycle in run if has_ordered is None or cycle.has_ordered is has_ordered]
            for run in runs
        ]

    ordering = sum(cycle.has_ordered for run in runs for cycle in run)
    figures = [
        best("stage4-run, 20 symbols, feed: CPU of a cycle", "ms", of("cpu_ms"), goal=CYCLE_MS_MAX),
        best("of those that order: CPU", "ms", of("cpu_ms", has_ordered=True)),
        best("of those that do not: CPU", "ms", of("cpu_ms", has_ordered=False)),
        best("stage4-run: wall of a cycle", "ms", of("wall_ms")),
        Figure(what="stage4-run: CPU of the whole process", value=100 * share, unit="% of a core"),
        best(
            "stage7-run over three symbols of bars: cycles a CPU second",
            "1/s",
            [[run["cycles"] / run["cpu_s"]] for run in played],
            goal=CYCLES_PER_S_MIN,
            at_least=True,
        ),
    ]
    notes = [
        f"stage4-run: {RUNS} runs of {CYCLES} cycles, {ordering} ordered, {replaced} orders took another's place",
        f"stage7-run: {played[0]['cycles']:,} cycles, {played[0]['orders']:,} orders, {played[0]['fills']:,} fills",
    ]
    return Result(name="profiles", figures=figures, notes=notes)


if __name__ == "__main__":
    if sys.argv[1:2] == ["play"]:
        print(json.dumps(stage7()))
    elif "--profile" in sys.argv[1:]:
        watched = cProfile.Profile()
        if sys.argv[-1] == "stage7":
            stage7(5_000, watched)
        else:
            stage4(watched)
        pstats.Stats(watched).sort_stats("cumulative").print_stats(70).sort_stats("tottime").print_stats(40)
    else:
        run_alone(measure)
