"""The bot of `benchmarks.tick_to_order`: `btcbot run --loop`, but for its strategy, and limits that its venue lacks.

    python -m benchmarks.tick_bot ENV_FILE CYCLE_SECONDS [--profile]

Of each order that the feed brought about it logs, as «stages», the CPU of the core from the wake to the first byte of
the POST, the time spent in durable transactions until then, and how many of those there were until the outcome.
"""

from __future__ import annotations

import cProfile
import pstats
import random
import socket
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import structlog

from benchmarks.common import logs_to
from btcbot import bootstrap
from btcbot.adapters.clock import SystemClock
from btcbot.adapters.logs import flush_logs
from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.stop import StopFlag
from btcbot.adapters.store import SqliteStore
from btcbot.cli.stopping import end_on_signals
from btcbot.config.loading import load_settings
from btcbot.domain import money
from btcbot.domain.cycles import CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.intents import Intent, Side
from btcbot.loop import LoopOptions, run_with_optional_loop
from btcbot.strategies.base import StrategyContext

ORDER_TRY: Final = Decimal(400)
_ORDER: Final = b"POST /api/v1/order "


class OnTop:
    """One order at the best ask whenever the best bid is another than before."""

    name = "on_top"

    def __init__(self) -> None:
        self._bids: dict[str, Decimal] = {}

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        wishes = []
        for symbol, quote in context.quotes.items():
            before, self._bids[symbol] = self._bids.get(symbol), quote.bid
            if before is not None and before != quote.bid:
                scale = context.instruments[symbol].quantity_scale
                wishes.append(
                    Intent(
                        intent_id=f"{context.cycle_id}:{symbol}",
                        cycle_id=context.cycle_id,
                        strategy=self.name,
                        symbol=symbol,
                        side=Side.BUY,
                        price=quote.ask,
                        quantity=money.divide_down(ORDER_TRY, quote.ask, scale),
                        why="the top has changed",
                    )
                )
        return wishes


class _Stages:
    """Of one woken cycle: durable transactions, and until its first order's first byte CPU and time at the disk."""

    def __init__(self) -> None:
        self._send, self._sendall = socket.socket.send, socket.socket.sendall
        self.begin()

    def begin(self) -> None:
        self.commits = 0
        self.commits_ms = self.cpu_ms = self.disk_ms = 0.0
        self._began_ns: int | None = time.thread_time_ns()

    def committed(self, ms: float) -> None:
        self.commits += 1
        self.commits_ms += ms

    def watch_sockets(self) -> None:
        """For the rest of this process."""
        stages = self

        def send(each: socket.socket, data: Any, *more: Any) -> int:
            stages._note(data)
            return stages._send(each, data, *more)

        def sendall(each: socket.socket, data: Any, *more: Any) -> None:
            stages._note(data)
            stages._sendall(each, data, *more)

        vars_of_class: Any = socket.socket
        vars_of_class.send, vars_of_class.sendall = send, sendall

    def _note(self, data: Any) -> None:
        if self._began_ns is not None and bytes(data[: len(_ORDER)]) == _ORDER:
            self.cpu_ms, self._began_ns = (time.thread_time_ns() - self._began_ns) / 1e6, None
            self.disk_ms = self.commits_ms


class _CountingStore(SqliteStore):
    """The product's store, its durable transactions told to `stages`."""

    stages: _Stages

    def _commit(self) -> None:
        started = time.perf_counter_ns()
        super()._commit()
        self.stages.committed((time.perf_counter_ns() - started) / 1e6)


def be_the_bot(env_file: Path, cycle_s: float, *, is_profiled: bool) -> None:
    """`btcbot run --loop`, but for its strategy and the limits that this venue does not have."""
    settings = load_settings({}, env_file, {}).settings
    profile = cProfile.Profile()
    stop = StopFlag()
    end_on_signals(stop)
    with logs_to(env_file.with_suffix(".log"), settings):
        log = structlog.get_logger("btcbot")
        _CountingStore.stages = stages = _Stages()
        stages.watch_sockets()
        bot = bootstrap.build(
            settings,
            stop=stop,
            metrics=NullMetrics(),
            log=log,
            strategy=OnTop(),
            quotas={},
            open_store=_CountingStore.open,
        )

        def run_cycle(wake: Wake) -> CycleReport:
            is_woken = wake is Wake.MARKET
            stages.begin()
            if is_profiled and is_woken:
                profile.enable()
            try:
                report = bot.run_cycle(wake)
            finally:
                profile.disable()
            if is_woken and report.counts["submitted"]:
                log.info(
                    "stages",
                    commits=stages.commits - 1,  # the last of them is the cycle's report, after the outcome
                    cpu_ms=stages.cpu_ms,
                    disk_ms=stages.disk_ms,
                )
            return report

        try:
            run_with_optional_loop(
                run_cycle,
                LoopOptions(
                    loop=True,
                    cycle_seconds=cycle_s,
                    jitter_seconds=0.0,
                    cycles_max=None,
                    wake_seconds=settings.feed_wake_ms / 1000,
                ),
                SystemClock(),
                stop,
                random.SystemRandom().random,
                NullMetrics(),
                flush_logs,
                log,
                wait=bot.waiting(stop),
            )
        finally:
            bot.close()
    if is_profiled:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    be_the_bot(Path(sys.argv[1]), float(sys.argv[2]), is_profiled="--profile" in sys.argv[3:])
