"""How much memory a bot holds at most: `btcbot run` over 200 cycles, and the demo's bot over a whole demo.

    python -m benchmarks.memory [--json]

Peak resident memory as the kernel tells it (VmHWM). The loop runs as fast as the venue's limits allow three symbols,
about four minutes; the demo is played meanwhile.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Final

from benchmarks.common import Figure, Result, Venue, children_of, peak_mib_of, run_alone, working_folder
from btcbot import bootstrap
from btcbot.adapters.store import SqliteStore
from btcbot.errors import BtcbotError
from btcbot.testing.demo import DemoOptions, DemoProgress, play
from btcbot.testing.demo_stages import STAGINGS
from btcbot.testing.rig import BotProcess

CYCLES: Final = 200
CHECKS: Final = (20, 100, CYCLES)
SECONDS_MAX: Final = 900.0
SETTINGS: Final = {"COOLDOWN_SECONDS": "1", "TTL_SECONDS": "4", "MAX_ORDERS_PER_CYCLE": "5", "MIN_PROFIT_BPS": "5"}


class _Demo(threading.Thread):
    """A demo that is played while its bot's memory is watched."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="demo")
        self._folder = folder
        self.peak_mib = 0.0
        self.cycles = 0
        self.orders = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        staging = STAGINGS["run"]
        options = DemoOptions(
            staging=staging,
            market=None,
            symbols=staging.seeded,
            cycles=None,
            speed=600,
            seed=7,
            folder=self._folder / "demo",
        )
        try:
            play(options, self._watch)
        except BtcbotError as error:
            self.error = error

    def _watch(self, progress: DemoProgress) -> None:
        self.cycles, self.orders = progress.cycles, progress.orders
        for pid, command in children_of(os.getpid()).items():
            if "-m btcbot run" in command and "demo.env" in command:
                self.peak_mib = max(self.peak_mib, peak_mib_of(pid))


def _cycles(database: Path) -> int:
    if not database.exists():
        return 0
    try:
        books = SqliteStore.open(database, read_only=True)
    except BtcbotError:
        return 0  # being made at this moment
    try:
        return books.cycle_count()
    finally:
        books.close()


def measure() -> Result:
    with working_folder() as folder, Venue(folder, speed=600) as venue:
        database = folder / "memory.db"
        env_file = venue.env_file(database, **SETTINGS)
        pause_s = float(bootstrap.cycle_seconds_min(venue.settings(database, **SETTINGS))) + 0.01
        demo = _Demo(folder)
        demo.start()
        peaks: dict[int, float] = {}
        with BotProcess(folder, env_file, pause_s) as bot:
            deadline_s = time.monotonic() + SECONDS_MAX
            for wanted in CHECKS:
                while _cycles(database) < wanted:
                    assert bot.status() is None, f"the bot ended with {bot.status()}: {bot.last_lines()}"
                    assert time.monotonic() < deadline_s, f"no {wanted} cycles in {SECONDS_MAX:g} s"
                    time.sleep(1)
                peaks[wanted] = peak_mib_of(bot.pid)
            status = bot.terminate()
            assert status == 0, f"the bot ended with {status}: {bot.last_lines()}"
        demo.join()
        if demo.error is not None:
            raise demo.error
        books = SqliteStore.open(database, read_only=True)
        orders, fills = books.order_count(), books.fill_count()
        books.close()
    figures = [
        Figure(what=f"btcbot run, peak after {cycles} cycles", value=peak, unit="MiB", goal=120)
        for cycles, peak in peaks.items()
    ]
    figures.append(Figure(what="the demo's bot, peak", value=demo.peak_mib, unit="MiB", goal=120))
    notes = [
        f"btcbot run, 3 symbols, {pause_s:.2f} s a cycle: {orders} orders, {fills} fills",
        f"demo: {demo.cycles} cycles, {demo.orders} orders",
    ]
    return Result(name="memory", figures=figures, notes=notes)


if __name__ == "__main__":
    run_alone(measure)
