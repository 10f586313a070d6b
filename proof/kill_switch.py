"""G9: the kill file while many orders a second leave: none may start after the file is there.

A bot trades as fast as it can. The file is put down at a random moment, or, every other time, in the very moment in
which an order passes on its way to the venue. The venue's clock, which is this machine's, says when each order arrived.
One order may have been past its last look at the file already: it is in hand, and has a quarter of a second. Everything
behind it is late. Then the file is taken away, the bot trades on, and so again.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from btcbot.testing.bench import Bench
from btcbot.testing.chaos_proxy import Passed
from btcbot.testing.rig import BotProcess, wait_until
from proof.result import Result
from proof.slices import fast_folder, one_line, spread

IN_HAND_MS_MAX: Final = 250
#: So long the bot is watched with the file in place: many times what a cycle takes.
WATCH_S: Final = 0.15
#: At least so many cycles must have asked for prices meanwhile, or the watch would prove nothing.
CYCLES_WATCHED_MIN: Final = 2
#: Orders that must have left before the next flip, so that every flip meets a bot in full swing.
ORDERS_BEFORE_FLIP_MIN: Final = 3
FLIPS_PER_LIFE: Final = 50
SWING_S_MAX: Final = 20.0


class _Flips:
    """Flips of one bench, over several lives of its bot."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self._bench = bench
        self._dice = random.Random(f"kill-switch-{seed}")
        self._seed = seed
        self.flips = 0
        self.late = 0
        self.in_hand_ms: list[int] = []
        self.orders = 0
        self.trading_s = 0.0
        self.failures: list[str] = []
        self.aimed = 0
        self._seen = 0
        self._passing = threading.Event()
        assert bench.network is not None, "orders are watched on their way"
        bench.network.watch = self._passes

    def flip(self, bot: BotProcess) -> None:
        """Wait for full swing, put the file down, watch, take it away."""
        began = time.monotonic()
        sent: list[Any] = []

        def swings() -> bool:
            assert bot.status() is None, f"the bot ended with {bot.status()}: {bot.last_lines()}"
            sent.extend(self._new_posts())
            return len(sent) >= ORDERS_BEFORE_FLIP_MIN

        wait_until(swings, SWING_S_MAX, "orders to leave again")
        if self.flips % 2:
            self._passing.clear()
            assert self._passing.wait(SWING_S_MAX), "no order passed"
            self.aimed += 1
        else:
            time.sleep(self._dice.uniform(0.0, 0.03))
        self.trading_s += time.monotonic() - began
        asked_ms = time.time_ns() // 1_000_000
        self._bench.kill_switch.turn_on("proof", asked_ms)
        there_ms = time.time_ns() // 1_000_000
        time.sleep(WATCH_S)
        if self._watch(len(sent), asked_ms, there_ms):
            self._bench.kill_switch.turn_off()
            self.flips += 1

    def _watch(self, sent: int, asked_ms: int, there_ms: int) -> bool:
        """What came since the file was put down; False when too little was seen to say anything."""
        over_at = time.monotonic() + SWING_S_MAX
        after: list[Any] = []
        cycles = 0
        while cycles < CYCLES_WATCHED_MIN:
            rows = self._new_rows()
            sent += sum(1 for row in rows if _is_new_order(row) and row["time_ms"] <= asked_ms)
            after += [row for row in rows if _is_new_order(row) and row["time_ms"] > asked_ms]
            cycles += sum(1 for row in rows if row["path"].endswith("/ticker") and row["time_ms"] > there_ms)
            if time.monotonic() > over_at:
                self._fail("the bot stood still while the file was there")
                return False
        self.orders += sent + len(after)
        # Those that came between our asking and the file's being there left before anybody could see it.
        behind = [row["time_ms"] for row in after if row["time_ms"] > there_ms]
        self.in_hand_ms += [row["time_ms"] - asked_ms for row in after]
        late = behind[1:] + [at_ms for at_ms in behind[:1] if at_ms - there_ms > IN_HAND_MS_MAX]
        self.late += len(late)
        for at_ms in late:
            self._fail(f"an order arrived {at_ms - there_ms} ms after the kill file was there")
        return True

    def _new_posts(self) -> list[Any]:
        return [row for row in self._new_rows() if _is_new_order(row)]

    def _new_rows(self) -> list[Any]:
        rows = self._bench.venue.requests(self._seen)
        if rows:
            self._seen = int(rows[-1]["seq"])
        return rows

    def _passes(self, passed: Passed) -> None:
        if passed.client_order_id is not None:
            self._passing.set()

    def _fail(self, what: str) -> None:
        self.failures.append(f"seed {self._seed}, flip {self.flips + 1}: {what}")


def _is_new_order(row: Any) -> bool:
    return bool(row["method"] == "POST" and row["path"] == "/api/v1/order")


def run(count: int = 200, first: int = 1) -> Result:
    """`count` flips in one slice; `first` is its seed. At its end books and venue are compared."""
    with (
        tempfile.TemporaryDirectory(prefix="btcbot-kill-switch-", dir=fast_folder()) as folder,
        Bench.busy(Path(folder), first, network=True) as bench,
    ):
        flips = _Flips(bench, first)
        try:
            while flips.flips < count and not flips.failures:
                bot = bench.start_bot()
                for _ in range(min(FLIPS_PER_LIFE, count - flips.flips)):
                    flips.flip(bot)
                if flips.flips < count:
                    bot.kill()
            flips.failures += bench.faults_at_rest(bot)
        except (AssertionError, TimeoutError) as broken:
            flips.failures.append(f"seed {first}: {one_line(broken)}")
    return Result(
        goal="G9",
        part="kill_switch",
        counts={
            "flips": flips.flips,
            "aimed_flips": flips.aimed,
            "late_orders": flips.late,
            "orders": flips.orders,
            "in_hand": len(flips.in_hand_ms),
            "comparisons": 1,
        },
        failures=flips.failures,
        notes=_notes(flips.in_hand_ms, flips.orders, flips.trading_s),
    )


def _notes(in_hand_ms: Sequence[int], orders: int, trading_s: float) -> dict[str, str]:
    """`reaction`: from the moment the file was asked for to the arrival of the last order, where one came at all."""
    notes = {f"reaction_{name}": f"{value} ms" for name, value in spread(in_hand_ms).items()}
    if trading_s:
        notes["orders_per_second"] = f"{round(orders / trading_s)}"
    return notes
