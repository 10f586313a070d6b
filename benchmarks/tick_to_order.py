"""From a change of the market on the socket to the bot's order on the socket, durable record included.

    python -m benchmarks.tick_to_order [--json] [--profile]

The bot is a process of its own, as in production: made by `bootstrap.build`, its books on a real disk, the loop of
`run` around it; only its strategy is a plan, one order for each change of the best bid (`benchmarks.tick_bot`). The
venue is `btcturk-sim` without rate limits. Between them sits a tap (`benchmarks.tap`) that notes when a change of the
book was about to be written to the bot, and when the first byte of the order came back. A stranger's orders change the
top.

Beside it, on the same venue: the same bot without the feed, on the shortest cycle that the venue's limits allow, timed
from the change at the venue, for nothing is told to it; and ccxt's `create_order` alone, in the judges' environment.
`--profile` prints where the bot's time goes.
"""

from __future__ import annotations

import bisect
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, Self

import msgspec
import structlog

from benchmarks.common import RUNS, Figure, Result, Venue, best, child_environment, run_alone, working_folder
from benchmarks.tick_bot import ORDER_TRY
from btcbot import bootstrap
from btcbot.adapters.metrics import NullMetrics
from btcbot.config.loading import load_settings
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.testing.rig import wait_until

SYMBOL: Final = "XRPTRY"
BASE: Final = "XRP"
#: What the stranger offers at the best ask: more than the bot ever buys, so that no order of it is left resting there.
WALL: Final = Decimal(10_000_000)
#: Changes of the top in each of the runs.
TICKS: Final = 62
WARM_UP: Final = 8
TICKS_OF_TIMER: Final = 12
CCXT_ORDERS: Final = 60
#: The venue sends changes every 0.76 s; the next one comes when the order of the last is in the books.
TICK_S: Final = 0.8
#: The bot's timer beside the feed, as shipped. What is measured are cycles that the feed woke.
CYCLE_S: Final = 10.0
_BLOCK_BYTES: Final = 4_096
JUDGES: Final = Path(".venvs/judges/bin/python")
SETTINGS: Final = {
    "COOLDOWN_SECONDS": "0",
    "MAX_ORDERS_PER_CYCLE": "100",
    "MAX_OPEN_ORDERS_PER_SYMBOL": "20",  # the list of trades shows a fill seconds later
    "NOTIONAL_CAP_TRY_PER_CYCLE": "1000000",
    "MAX_POSITION_TRY_PER_SYMBOL": "10000000",
    "MAX_TOTAL_EXPOSURE_TRY": "10000000",
    "MAX_DAILY_LOSS_TRY": "1000000",
}


# -- processes --------------------------------------------------------------------------------------------------------


class _Child:
    """A process of this benchmark, ended with it."""

    def __init__(self, *arguments: str, stdout: int | IO[Any] | None = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=stdout,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class _Bot(_Child):
    def __init__(self, env_file: Path, cycle_s: float, *, is_profiled: bool = False) -> None:
        more = ("--profile",) if is_profiled else ()
        super().__init__("benchmarks.tick_bot", str(env_file), str(cycle_s), *more, stdout=None)
        self._log = env_file.with_suffix(".log")

    def events(self, name: str) -> list[Mapping[str, Any]]:
        if not self._log.exists():
            return []
        lines = self._log.read_bytes().splitlines()
        found = [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}")]
        return [event for event in found if event["event"] == name]

    def wait_for(self, name: str) -> None:
        def is_told() -> bool:
            assert self.process.poll() is None, f"the bot ended with {self.process.poll()}; see {self._log}"
            return bool(self.events(name))

        wait_until(is_told, 30.0, f"«{name}» of the bot")


class _Tap(_Child):
    def __init__(self, venue: Venue) -> None:
        super().__init__("benchmarks.tap", venue.url, venue.simulator.ws_url)
        assert self.process.stdout is not None
        addresses = json.loads(self.process.stdout.readline())
        self.rest_url: str = addresses["rest"]
        self.ws_url: str = addresses["ws"]

    def seen(self) -> Mapping[str, list[int]]:
        """`changes` and `orders`, in monotonic nanoseconds; the tap has ended then."""
        told: dict[str, list[int]] = json.loads(self.process.communicate(timeout=10.0)[0])
        return told


# -- the market --------------------------------------------------------------------------------------------------------


class _Stranger:
    """Changes the best bid: a bid just above it, and that bid's end, in turn."""

    def __init__(self, venue: Venue, tick: Decimal) -> None:
        self._venue = venue.simulator
        self._key = venue.others[0].key
        self._order_id: int | None = None
        self._bid = venue.bid(SYMBOL) + tick

    def build_wall(self) -> None:
        ask = Decimal(self._venue.state(orders="0")["market"]["prices"][SYMBOL]["ask"])
        self._order("sell", ask, WALL)

    def _order(self, side: str, price: Decimal, quantity: Decimal) -> int:
        made = self._venue.control(
            "/foreign-order", key=self._key, pairSymbol=SYMBOL, orderType=side, orderMethod="limit",
            quantity=money.plain(quantity), price=money.plain(price),
        )  # fmt: skip
        return int(made["id"])

    def change(self) -> int:
        """When the venue had done it, in monotonic nanoseconds."""
        if self._order_id is None:
            self._order_id = self._order("buy", self._bid, Decimal(1_000))
        else:
            self._venue.control("/cancel-order", id=self._order_id, key=self._key)
            self._order_id = None
        return time.monotonic_ns()


class Series(msgspec.Struct, frozen=True):
    """Milliseconds of one series, by run; `at_venue_ms` are from the change at the venue."""

    ms: list[list[float]]
    at_venue_ms: list[list[float]]
    sync_ms: list[list[float]]
    woken: int
    orders: int
    commits_max: int
    cpu_ms: list[float]
    disk_ms: list[float]


def _series(
    folder: Path, venue: Venue, stranger: _Stranger, name: str, *, has_feed: bool, ticks: int, is_profiled: bool
) -> Series:
    """`RUNS` runs of `ticks` changes each, one bot."""
    runs = 1 if is_profiled else RUNS
    with _Tap(venue) as tap:
        more = {"BTCTURK_WS_URL": tap.ws_url} if has_feed else {}
        env_file = venue.env_file(folder / f"{name}.db", **SETTINGS, **more, BTCTURK_BASE_URL=tap.rest_url)
        cycle_s = CYCLE_S if has_feed else float(bootstrap.cycle_seconds_min(load_settings({}, env_file, {}).settings))
        changed: list[list[int]] = []
        syncs: list[list[float]] = []
        dice = random.Random(7)
        disk = _Disk(folder)
        with _Bot(env_file, cycle_s, is_profiled=is_profiled) as bot:
            bot.wait_for("cycle_ended")
            if has_feed:
                bot.wait_for("book_trusted")
            time.sleep(2.0)
            for number in range(-WARM_UP, runs * ticks):
                at_ns = stranger.change()
                if number >= 0:
                    if number % ticks == 0:
                        changed.append([])
                        syncs.append([])
                    changed[-1].append(at_ns)
                    syncs[-1].append(disk.sync_ms())  # right after a change: its batch comes later
                time.sleep(TICK_S if has_feed else cycle_s + dice.random() * cycle_s)
            if number % 2 == 0:
                stranger.change()  # the top is left as it was found
                time.sleep(TICK_S)
        disk.close()
        cycles = bot.events("cycle_ended")
        stages = bot.events("stages")
        seen = tap.seen()
    made: list[list[float]] = []
    at_venue: list[list[float]] = []
    ends = [*[at_ns for run in changed for at_ns in run][1:], time.monotonic_ns()]
    number = 0
    for run in changed:
        made.append([])
        at_venue.append([])
        for at_ns in run:
            first = bisect.bisect(seen["orders"], at_ns)
            order_ns = seen["orders"][first] if first < len(seen["orders"]) else ends[number]
            if order_ns < ends[number]:
                at_venue[-1].append((order_ns - at_ns) / 1e6)
                last = bisect.bisect(seen["changes"], order_ns) - 1
                if last >= 0 and seen["changes"][last] > at_ns - int(TICK_S * 1e9):
                    made[-1].append((order_ns - seen["changes"][last]) / 1e6)
            number += 1
    return Series(
        ms=made,
        at_venue_ms=at_venue,
        sync_ms=syncs,
        woken=sum(cycle.get("submitted", 0) for cycle in cycles if cycle.get("woken_by_feed")),
        orders=sum(cycle.get("submitted", 0) for cycle in cycles),
        commits_max=max((int(stage["commits"]) for stage in stages), default=0),
        cpu_ms=[float(stage["cpu_ms"]) for stage in stages],
        disk_ms=[float(stage["disk_ms"]) for stage in stages],
    )


# -- beside it ---------------------------------------------------------------------------------------------------------


def _instrument(venue: Venue, folder: Path) -> Instrument:
    settings = venue.settings(folder / "none.db")
    exchange = bootstrap.public_exchange(settings, threading.Event(), NullMetrics(), structlog.get_logger("btcbot"))
    try:
        return exchange.instruments()[SYMBOL]
    finally:
        exchange.close()


def _ccxt(venue: Venue, instrument: Instrument) -> tuple[list[float], str]:
    """Milliseconds of ccxt's orders, and what there is to say about them."""
    if not JUDGES.exists():
        return [], "ccxt was not measured: «make judges» makes the environment that has it"
    price = instrument.price_down(venue.bid(SYMBOL) * 97 / 100)  # rests: the venue's matching takes no part
    quantity = money.divide_down(ORDER_TRY, price, instrument.quantity_scale)
    arguments = [venue.url, SYMBOL, BASE, *map(money.plain, (price, quantity, instrument.tick, instrument.lot))]
    account = venue.others[1]
    done = subprocess.run(
        [str(JUDGES), "benchmarks/ccxt_order.py", *arguments, str(CCXT_ORDERS), "0.05"],
        input=f"{account.key} {account.secret}\n",
        stdout=subprocess.PIPE,
        env=child_environment(),
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode != 0:
        return [], "ccxt was not measured: it failed; what it said stands above"
    told = json.loads(done.stdout)
    return told["ms"], f"ccxt {told['version']}, {CCXT_ORDERS} orders: create_order alone, answered, nothing durable"


class _Disk:
    """The yardstick: one block synced to the disk that the books are on, beside each change."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "yardstick", os.O_CREAT | os.O_RDWR)
        os.posix_fallocate(self._file, 0, _BLOCK_BYTES)

    def sync_ms(self) -> float:
        started = time.perf_counter_ns()
        os.pwrite(self._file, os.urandom(_BLOCK_BYTES), 0)
        os.fdatasync(self._file)
        return (time.perf_counter_ns() - started) / 1e6

    def close(self) -> None:
        os.close(self._file)


def _percentile(samples: Sequence[float], hundredths: int) -> float:
    """The smallest sample that so many of a hundred do not exceed."""
    return sorted(samples)[max(-(-len(samples) * hundredths // 100) - 1, 0)]


def measure(*, is_profiled: bool = False) -> Result:
    with working_folder() as folder, Venue(folder, others=2, symbols=(SYMBOL,)) as venue:
        money.arm()
        venue.simulator.control("/market", action="pause")  # only the stranger moves it
        instrument = _instrument(venue, folder)
        stranger = _Stranger(venue, instrument.tick)
        stranger.build_wall()
        fed = _series(folder, venue, stranger, "fed", has_feed=True, ticks=TICKS, is_profiled=is_profiled)
        timed = None
        ccxt_ms: list[float] = []
        note = "profiled: nothing was measured beside it"
        if not is_profiled:
            timed = _series(folder, venue, stranger, "timed", has_feed=False, ticks=TICKS_OF_TIMER, is_profiled=False)
            ccxt_ms, note = _ccxt(venue, instrument)
    samples = [each for run in fed.ms for each in run]
    assert len(samples) > TICKS * len(fed.ms) * 9 // 10, (
        f"of {TICKS * len(fed.ms)} changes {len(samples)} were ordered on"
    )
    tails = [_percentile(run, 99) for run in fed.ms]
    figures = [
        best("change on the socket to POST on the socket, median", "ms", fed.ms, goal=5),
        Figure(what="the same, p99 of all", value=_percentile(samples, 99), worst=max(tails), unit="ms", goal=15),
        best("from the change at the venue, which tells in batches", "ms", fed.at_venue_ms),
        best("of it: CPU of the core, from the wake to the POST", "ms", [fed.cpu_ms]),
        best("of it: durable transactions before the POST", "ms", [fed.disk_ms]),
        Figure(
            what="durable transactions from intent to recorded outcome, most", value=fed.commits_max, unit="", goal=4
        ),
        best("beside: fdatasync of 4 KiB", "ms", fed.sync_ms),
    ]
    notes = [
        f"{len(samples)} samples in {len(fed.ms)} runs, one every {TICK_S} s; "
        f"{fed.woken} of {fed.orders} orders left in cycles that the feed woke",
        f"median of all {statistics.median(samples):.2f} ms, best {min(samples):.2f}, worst {max(samples):.2f}; "
        "the aims are a median of 2 ms and a p99 of 10",
        note,
    ]
    if timed is not None:
        figures.append(
            best("beside: the timer's loop over REST, from the change at the venue", "ms", timed.at_venue_ms)
        )
    if ccxt_ms:
        figures.append(best("beside: ccxt create_order alone", "ms", [ccxt_ms]))
    return Result(name="tick_to_order", figures=figures, notes=notes)


if __name__ == "__main__":
    run_alone(lambda: measure(is_profiled="--profile" in sys.argv[1:]), also=["--profile"])
