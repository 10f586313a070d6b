"""G4, G11, G15: `kill -9` of real bots that trade, again and again, at random moments and at named points.

Each slice has a venue, a network and a database of its own. Every bot dies in one of three ways: at a random moment
from its very start on, at a random moment while it trades, or by its own hand at the n-th point that it passes (a
commit, a request, a piece of a request that has left). In a quarter of the lives the network fails as well. Two lives
of three have the live feed, by a network of its own; some of those pause long enough for the feed to wake cycles, and
die in the middle of one. Every few kills everything is healed, and venue, network and books are compared.
"""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from btcbot.testing.bench import CYCLE_SECONDS_BUSY, Bench
from btcbot.testing.chaos_proxy import ChaosProxy, Cut, Trouble
from btcbot.testing.rig import BotProcess, time_of
from btcbot.testing.staged_run import Stage
from proof.result import Result
from proof.slices import fast_folder, one_line, spread

KILLS_PER_COMPARISON: Final = 20
#: A start takes about a fifth of a second: half of these deaths come before the first cycle.
EARLY_S_MAX: Final = 0.4
TRADING_S_MAX: Final = 0.25
#: A cycle has some 15 to 60 points, a start about 30.
POINT_MAX: Final = 300
POINT_S_MAX: Final = 6.0
#: Points that are aimed at by name, every other time: all about an order or a cancellation, and the start.
POINT_NAMES: Final[Sequence[str]] = (
    "locked",
    "before unit",
    "before commit",
    "after commit",
    *(
        f"{when} {what}"
        for what in ("POST /api/v1/order", "DELETE /api/v1/order")
        for when in ("before", "sent", "after")
    ),
)
NAMED_POINT_MAX: Final = 5
READY_S_MAX: Final = 20.0
#: G15, without the time in which the machine gave the bot no processor.
READY_MS_MAX: Final = 2_000
ROUGH_OF_100: Final = 25
#: Time-outs of a bot in rough weather: as shipped, one half-open connection would fill its whole life.
ROUGH_TIMEOUT_S: Final = 0.4
POLL_S: Final = 0.004
FED_OF_3: Final = 2
#: Lives that are to end in a woken cycle: between two ticks nothing but the market moves them, and after the cooldown
#: it brings orders.
WOKEN_CYCLE_S: Final = 8.0
WOKEN_SETTINGS: Final[Mapping[str, str]] = {"COOLDOWN_SECONDS": "1"}
COOLED_S: Final = 0.9
WOKEN_S_MAX: Final = 5.0
#: A woken cycle of the busy bot takes a few hundredths of a second.
IN_WOKEN_S_MAX: Final = 0.03

#: What the weather is made of: kind, method, share of a hundred requests, seconds.
WEATHER: Final[Sequence[tuple[Trouble, str, int, float]]] = (
    (Trouble.RESET_AT_CONNECT, "", 30, 0.0),
    (Trouble.RESET_BEFORE, "", 5, 0.0),
    (Trouble.LOST_BEFORE, "POST", 30, 0.0),
    (Trouble.BLACK_HOLE, "POST", 20, 0.0),
    (Trouble.DELAY, "POST", 30, 1.5),
    (Trouble.DELAY_ANSWER, "", 5, 0.3),
    (Trouble.RESET_AFTER, "POST", 40, 0.0),
    (Trouble.LOST_AFTER, "", 5, 0.0),
    (Trouble.HALF_OPEN, "POST", 30, 0.0),
    (Trouble.TRUNCATED, "", 5, 0.0),
    (Trouble.DRIP, "DELETE", 50, 0.01),
    (Trouble.DUPLICATE, "POST", 50, 0.0),
)


class _Loop:
    """One slice: lives and deaths on one bench."""

    def __init__(self, bench: Bench, seed: int) -> None:
        assert bench.network is not None, "the weather needs a network"
        self._bench = bench
        self._network: ChaosProxy = bench.network
        self.feed = ChaosProxy(bench.venue.ws_url, seed)
        self._seed = seed
        self._dice = random.Random(f"kills-{seed}")
        self.counts: Counter[str] = Counter()
        self.ready_ms: list[int] = []
        self.own_ms: list[int] = []
        self.failures: list[str] = []
        self._number = 0

    def kill_one(self) -> None:
        """One life and its end."""
        self._number += 1
        is_rough = self._dice.randrange(100) < ROUGH_OF_100
        is_fed = self._dice.randrange(3) < FED_OF_3
        ways = ("early", "trading", "trading", "woken" if is_fed and not is_rough else "trading", "point")
        way = self._dice.choice(ways)
        stage = Stage(limits_factor=0, busy_seed=self._seed)
        befalls_feed: Callable[[], object] | None = None
        if is_rough:
            self._make_weather()
            befalls_feed = self._feed_weather()
            stage = msgspec.structs.replace(stage, read_s=ROUGH_TIMEOUT_S, write_s=ROUGH_TIMEOUT_S)
        if way == "point":
            name = self._dice.choice(POINT_NAMES) if self._dice.randrange(2) else ""
            at = 1 if name == "locked" else self._dice.randint(1, NAMED_POINT_MAX if name else POINT_MAX)
            stage = msgspec.structs.replace(stage, die_at=at, die_name=name)
        more: dict[str, Any] = self._feed_settings() if is_fed else {}
        if way == "woken":
            more |= WOKEN_SETTINGS
        self._bench.cycle_seconds = WOKEN_CYCLE_S if way == "woken" else CYCLE_SECONDS_BUSY
        bot = self._bench.start_bot(stage=stage, **more)
        seen = self._live(bot, way, is_rough=is_rough, befalls_feed=befalls_feed)
        if bot.status() is None:
            self.counts["points_not_reached"] += way == "point"
            bot.kill()
        elif bot.status() != -signal.SIGKILL:
            self._fail(f"the bot ended by itself with {bot.status()}: {bot.last_lines()}")
        self.counts["kills"] += 1
        self.counts[f"kills_{way}"] += 1
        self.counts["kills_in_rough_weather"] += is_rough
        self.counts["kills_with_feed"] += is_fed
        self.counts["feeds_connected"] += seen["feed_connected"]
        self.counts["kills_in_woken_cycles"] += seen["woken"]
        self.counts["interrupted_orders"] += seen["order_interrupted"]
        self._network.heal()
        self.feed.heal()
        self._bench.forget(bot)

    def compare(self) -> None:
        """Heal everything and let venue, network and books be compared."""
        try:
            self._bench.cycle_seconds = CYCLE_SECONDS_BUSY
            bot = self._bench.start_bot(**(self._feed_settings() if self.counts["comparisons"] % 2 == 0 else {}))
            for fault in self._bench.faults_at_rest(bot):
                self._fail(fault)
        except (AssertionError, TimeoutError) as broken:
            self._fail(str(broken))
        self._bench.kill_switch.turn_off()
        self._bench.forget_all()
        self.counts["comparisons"] += 1

    def _feed_settings(self) -> dict[str, Any]:
        return {"BTCTURK_WS_URL": self.feed.ws_url}

    def _live(
        self, bot: BotProcess, way: str, *, is_rough: bool, befalls_feed: Callable[[], object] | None
    ) -> Counter[str]:
        """Let it live as long as it may; the names of what it logged. `befalls_feed` comes after its first cycle."""
        if way == "early":
            time.sleep(self._dice.uniform(0.0, EARLY_S_MAX))
            return Counter(str(event["event"]) for event in bot.new_events())
        lifetime_s = POINT_S_MAX if way == "point" else READY_S_MAX
        over_at = time.monotonic() + lifetime_s
        seen: Counter[str] = Counter()
        cooled_at = over_at
        while bot.status() is None and time.monotonic() < over_at:
            for event in bot.new_events():
                seen[str(event["event"])] += 1
                if event["event"] == "order_recorded" and time.monotonic() > cooled_at:
                    time.sleep(self._dice.uniform(0.0, IN_WOKEN_S_MAX))
                    seen["woken"] += 1
                    return seen
                if event["event"] != "cycle_ended":
                    continue
                if befalls_feed is not None:
                    befalls_feed()
                    befalls_feed = None
                if event["outcome"] == "completed" and not is_rough and seen["ready"] == 0:
                    seen["ready"] += 1
                    self._is_ready(time_of(event) - bot.started_ms, bot)
                    if way == "woken":
                        cooled_at = time.monotonic() + COOLED_S
                        over_at = cooled_at + WOKEN_S_MAX
                if way == "trading" and (event["outcome"] == "completed" or is_rough):
                    time.sleep(self._dice.uniform(0.0, TRADING_S_MAX))
                    return seen
            time.sleep(POLL_S)
        if way == "trading" and bot.status() is None:
            self._fail(f"no completed cycle within {READY_S_MAX:g} s of a start: {bot.last_lines()}")
        if way == "woken" and seen["ready"] == 0 and bot.status() is None:
            self._fail(f"no completed cycle within {READY_S_MAX:g} s of a start with the feed: {bot.last_lines()}")
        return seen

    def _is_ready(self, ready_ms: int, bot: BotProcess) -> None:
        self.counts["restarts"] += 1
        self.ready_ms.append(ready_ms)
        own_ms = ready_ms - bot.waited_for_processor_ms()
        self.own_ms.append(own_ms)
        if own_ms > READY_MS_MAX:
            self._fail(f"G15: a restart took {ready_ms} ms, {own_ms} of them its own")

    def _make_weather(self) -> None:
        for kind, method, share, seconds in self._dice.sample(WEATHER, self._dice.randint(1, 3)):
            self._network.cause(kind, method=method, share=share, seconds=seconds)

    def _feed_weather(self) -> Callable[[], object]:
        """What befalls the feed in rough weather: some of it now, some of it once the bot runs."""
        how = self._dice.randrange(5)
        if how == 0:
            self.feed.cause(Trouble.HALF_OPEN)
        if how == 1:
            self.feed.cause(Trouble.RESET_AT_CONNECT, share=50)
        later: Sequence[Callable[[], object]] = (
            lambda: None,
            lambda: None,
            self.feed.hush,
            self.feed.drop,
            lambda: self.feed.cut(self._dice.choice((Cut.REFUSED, Cut.SILENT))),
        )
        return later[how]

    def _fail(self, what: str) -> None:
        self.failures.append(f"seed {self._seed}, kill {self._number}: {one_line(what)}")


def run(count: int = 200, first: int = 1) -> Result:
    """`count` kills in one slice; `first` is its seed. Slices share nothing and may run at the same time."""
    with (
        tempfile.TemporaryDirectory(prefix="btcbot-kills-", dir=fast_folder()) as folder,
        Bench.busy(Path(folder), first, network=True) as bench,
    ):
        loop = _Loop(bench, first)
        try:
            for number in range(1, count + 1):
                loop.kill_one()
                if number % KILLS_PER_COMPARISON == 0 or number == count:
                    loop.compare()
                if loop.failures:
                    break  # what follows would only repeat it
        finally:
            loop.feed.close()
        assert bench.network is not None
        account = bench.account()
        counts = {
            **loop.counts,
            "network_troubles": bench.network.struck.total(),
            "feed_troubles": loop.feed.struck.total(),
            "orders_at_venue": len(account["orders"]),
            "fills_at_venue": len(account["fills"]),
        }
    return Result(
        goal="G4",
        part="kills",
        counts=counts,
        failures=loop.failures,
        notes={**_times("restart", loop.ready_ms), **_times("restart_own", loop.own_ms)},
    )


def _times(name: str, times_ms: Sequence[int]) -> dict[str, str]:
    """From the start of a process to the end of its first completed cycle, after a kill, in good weather.

    `restart` by the clock on the wall, `restart_own` without the waits for a processor.
    """
    return {f"{name}_{word}": f"{value} ms" for word, value in spread(times_ms).items()}
