"""What one cycle costs the bot: three symbols, real HTTP, the venue in a process of its own.

    python -m benchmarks.cycle [--json] [--profile]

The bot is the one that `bootstrap.build` makes, in this process; only its strategy is a plan of this page: buy all
symbols, book the fills, do nothing; sell all, book, do nothing. The client keeps to the venue's documented limits, so
the cycles are as far apart as those demand, and each starts as cold as in life. `--profile` prints where the CPU goes.

Then the same bot has the live feed: once its books are trusted, no cycle asks for an order book at all.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import structlog

from benchmarks.common import RUNS, Figure, Result, Venue, best, logs_to, run_alone, working_folder
from btcbot import bootstrap
from btcbot.adapters.logs import flush_logs
from btcbot.adapters.metrics import NullMetrics
from btcbot.domain import money
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.intents import Intent, Side
from btcbot.strategies.base import StrategyContext

CYCLES: Final = 24
WARM_UP: Final = 6
ORDER_TRY: Final = Decimal(400)
SETTINGS: Final = {
    "COOLDOWN_SECONDS": "0",
    "MAX_ORDERS_PER_CYCLE": "5",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "100000",
    "MAX_POSITION_TRY_PER_SYMBOL": "1000000",
    "MAX_TOTAL_EXPOSURE_TRY": "3000000",
    "MAX_DAILY_LOSS_TRY": "1000000",
}
KINDS: Final = ("quiet", "3 orders placed", "3 fills booked")
CYCLES_FED: Final = 12
#: Cycles in which the books of the feed come to be trusted: each was compared with REST once.
WARM_UP_FED: Final = 12
#: What an order book can be had from.
BOOK_PATHS: Final = frozenset({"/api/v2/orderbook", "/api/v2/ticker"})


class Plan:
    """Buy, rest, rest, sell, rest, rest."""

    name = "plan"

    def __init__(self) -> None:
        self._calls = 0

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        turn, self._calls = self._calls % 6, self._calls + 1
        if turn not in (0, 3):
            return ()
        side = Side.BUY if turn == 0 else Side.SELL
        return [self._intent(context, symbol, side) for symbol in context.symbols if symbol in context.quotes]

    def _intent(self, context: StrategyContext, symbol: str, side: Side) -> Intent:
        quote, instrument = context.quotes[symbol], context.instruments[symbol]
        if side is Side.BUY:
            price, quantity = quote.ask, money.divide_down(ORDER_TRY, quote.ask, instrument.quantity_scale)
        else:
            price, quantity = quote.bid, instrument.quantity_down(context.positions[symbol].quantity)
        return Intent(
            intent_id=f"{context.cycle_id}:{symbol}:{side.value}",
            cycle_id=context.cycle_id,
            strategy=self.name,
            symbol=symbol,
            side=side,
            price=price,
            quantity=quantity,
            why="the plan",
        )


class _Sample:
    """Cycles of one run, by kind."""

    def __init__(self) -> None:
        self.cpu_ms: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self.wall_ms: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self.requests: dict[str, list[int]] = {kind: [] for kind in KINDS}


def _kind(report: CycleReport) -> str:
    assert report.outcome is CycleOutcome.COMPLETED, f"{report.cycle_id}: {report.reasons}"
    placed, booked = report.counts["accepted"], report.counts["fills"]
    if placed and not booked:
        return KINDS[1]
    if booked and not placed:
        return KINDS[2]
    return KINDS[0] if not placed else "mixed"


def measure(profile: cProfile.Profile | None = None) -> Result:
    samples: list[_Sample] = []
    paths: Counter[str] = Counter()
    mixed = 0
    with working_folder() as folder, Venue(folder) as venue:
        settings = venue.settings(folder / "cycle.db", **SETTINGS)
        pause_s = float(bootstrap.cycle_seconds_min(settings)) + 0.02
        with logs_to(folder / "cycle.log", settings):
            bot = bootstrap.build(
                settings,
                stop=threading.Event(),
                metrics=NullMetrics(),
                log=structlog.get_logger("btcbot"),
                strategy=Plan(),
            )
            try:
                seen = 0
                for number in range(-WARM_UP, RUNS * CYCLES):
                    next_s = time.monotonic() + pause_s
                    if profile is not None and number >= 0:
                        profile.enable()
                    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
                    report = bot.run_cycle()
                    flush_logs(0.5)
                    wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
                    if profile is not None:
                        profile.disable()
                    rows: list[dict[str, Any]] = venue.simulator.requests(seen)
                    seen = rows[-1]["seq"] if rows else seen
                    if number >= 0:
                        if number % CYCLES == 0:
                            samples.append(_Sample())
                        kind = _kind(report)
                        if kind in KINDS:
                            samples[-1].cpu_ms[kind].append(cpu / 1e6)
                            samples[-1].wall_ms[kind].append(wall / 1e6)
                            samples[-1].requests[kind].append(len(rows))
                        else:
                            mixed += 1
                        if kind == KINDS[0]:
                            paths.update(f"{row['method']} {row['path']}" for row in rows)
                    time.sleep(max(next_s - time.monotonic(), 0))
            finally:
                bot.close()
    figures: list[Figure] = []
    for kind in KINDS:
        figures += [
            best(f"{kind}: CPU of the bot", "ms", [sample.cpu_ms[kind] for sample in samples], goal=10),
            best(f"{kind}: wall", "ms", [sample.wall_ms[kind] for sample in samples], goal=60),
            best(f"{kind}: requests", "", [sample.requests[kind] for sample in samples]),
        ]
    quiet = sum(len(sample.cpu_ms[KINDS[0]]) for sample in samples)
    asked = ", ".join(f"{count / quiet:.2g} {path}" for path, count in paths.most_common())
    notes = [f"{RUNS} runs of {CYCLES} cycles, {pause_s:.2f} s apart", f"a quiet cycle asks {asked}"]
    if profile is None:
        fed = _requests_with_feed()
        figures += [
            best(
                "quiet, with the feed: requests",
                "",
                [[cycle.requests for cycle in run if cycle.is_quiet] for run in fed],
            ),
            Figure(
                what="with the feed: order books asked for, most in a cycle",
                value=max(cycle.books for run in fed for cycle in run),
                unit="",
                goal=0,
            ),
        ]
        notes.append(f"with the feed: {RUNS} runs of {CYCLES_FED} cycles, all books trusted, nothing stale")
    if mixed:
        notes.append(f"{mixed} cycles both placed and booked; left out")
    return Result(name="cycle", figures=figures, notes=notes)


class _Asked(NamedTuple):
    """What one cycle asked for."""

    requests: int
    books: int
    is_quiet: bool


def _requests_with_feed() -> list[list[_Asked]]:
    """Of each cycle of each run: all requests, and those for order books."""
    runs: list[list[_Asked]] = []
    with working_folder() as folder, Venue(folder) as venue:
        feed = {"BTCTURK_WS_URL": venue.simulator.ws_url, "BOOK_CHECK_SECONDS": "600"}
        settings = venue.settings(folder / "fed.db", **SETTINGS, **feed)
        pause_s = float(bootstrap.cycle_seconds_min(settings)) + 0.02
        stop = threading.Event()
        with logs_to(folder / "fed.log", settings):
            bot = bootstrap.build(
                settings, stop=stop, metrics=NullMetrics(), log=structlog.get_logger("btcbot"), strategy=Plan()
            )
            try:
                seen = 0
                for number in range(-WARM_UP_FED, RUNS * CYCLES_FED):
                    next_s = time.monotonic() + pause_s
                    report = bot.run_cycle()
                    rows = venue.simulator.requests(seen)
                    seen = rows[-1]["seq"] if rows else seen
                    if number >= 0:
                        assert report.counts["quotes_from_feed"] == len(venue.symbols), "a book is not trusted"
                        if number % CYCLES_FED == 0:
                            runs.append([])
                        books = sum(row["path"] in BOOK_PATHS for row in rows)
                        runs[-1].append(_Asked(len(rows), books, _kind(report) == KINDS[0]))
                    time.sleep(max(next_s - time.monotonic(), 0))
            finally:
                bot.close()
    return runs


if __name__ == "__main__":
    if "--profile" in sys.argv[1:]:
        watched = cProfile.Profile()
        measure(watched)
        pstats.Stats(watched).sort_stats("cumulative").print_stats(70).sort_stats("tottime").print_stats(30)
    else:
        run_alone(measure)
