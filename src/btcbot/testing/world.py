"""One simulated world: a bot, its venue, a seed, and everything that goes wrong between them.

Real code runs: cycle, services, decisions, the SQLite store (in memory), the HTTP client and its codec; sockets, clock
and process are replaced. What a seed decides is drawn by one generator for each concern, and market and wishes of a
cycle come from the cycle's number alone, so that taking one fault out of a story leaves the rest of it in place.

    storm         faults, crashes, other people; safety is checked after every request and every commit
    heal          faults off, nothing wished; everything settles within a few cycles, and books equal the venue
    second life   another process on the same database trades a little, and settles
    idempotence   two more recoveries change nothing

What may strike stands in `faults`, whether it strikes is up to `chance`, what it then does to this world stands in
`effects` and `on_the_way`, and what must hold all the while in `checkers`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from btcbot import bootstrap
from btcbot.adapters.btcturk import limits
from btcbot.adapters.metrics import NullMetrics
from btcbot.config.settings import Settings
from btcbot.domain import money
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.orders import OPEN
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.errors import StoreFailed
from btcbot.profiles import RUN
from btcbot.strategies.base import Strategy
from btcbot.testing.chance import AT_START, NOT_STARTED, Chance, Concern, beat_of, place_of
from btcbot.testing.checkers import Checkers, Violated
from btcbot.testing.checkers.feed_eye import FeedEye
from btcbot.testing.effects import Effects
from btcbot.testing.faults import FAULTS, Firing
from btcbot.testing.feed_effects import FeedEffects
from btcbot.testing.in_process_feed import InProcessFeed, Plug
from btcbot.testing.in_process_rig import Rig
from btcbot.testing.manual_clock import EPOCH_MS
from btcbot.testing.on_the_way import OnTheWay
from btcbot.testing.points import Crash
from btcbot.testing.stage import NoLog as NoLog
from btcbot.testing.stage import fast_folder, prepared_image, trades_told_at_once
from btcbot.testing.swarm import PRICES, BothWishes, RandomWishes, Swarm, draw_swarm, limits_of
from btcturk_sim.accounts import Transfer
from btcturk_sim.instruments import FIAT
from btcturk_sim.pair import Pair

HEAL_CYCLES_MAX: Final = 30
HEAL_SECONDS: Final = 12.0
SECOND_LIFE_CYCLES: Final = 4
RULES_AGE_MS: Final = 300_000
#: The longest period of the venue's limits: for so long a new process cannot know what the old one asked.
LIMITS_SECONDS: Final = 61.0
#: What two recoveries without any event may write: reports, and marks of time.
_HEARTBEAT: Final = ("cycle_number", "marks", "nonce_mark_ms", "trades_cursor_ms", "self_check", "pnl_day",
                     "pnl_day_start", "trading_state_reason")  # fmt: skip
_TABLES: Final = ("identity", "orders", "holds", "fills", "entries", "postings", "account_balances", "positions",
                  "verdicts", "discrepancies")  # fmt: skip
_BEATS: Final = tuple(fault.name for fault in FAULTS.values() if fault.site == "beat")
_FEED: Final = tuple(fault.name for fault in FAULTS.values() if fault.site == "feed")
#: After everything has healed, the feed serves every pair again within so many cycles: a connection that the venue
#: refused a minute long, a snapshot, and a comparison. And after its connection broke once more, within so many.
FEED_CYCLES_MAX: Final = 20


class Story(msgspec.Struct, kw_only=True):
    """What became of a world. `comparisons` of the books with the venue at rest, all of them without a difference."""

    seed: int
    violation: tuple[str, str] | None
    swarm: Swarm
    fired: list[Firing]
    faults: Counter[str]
    crashes: int
    submits: int
    fills: int
    instruments: int  # pairs that an order was sent for
    comparisons: int
    cycles: int
    woken: int  # cycles that the feed woke
    woken_submits: int  # orders that left in these
    trace: list[str]
    trace_sha256: str
    cpu_s: float = 0.0  # what it took, where somebody measured


class World:
    """`run` it once. `script` replays firings in place of chance; `only` leaves these faults in the swarm.

    `swarm` None draws it from the seed; a story that is kept brings its own, whatever is drawn today.
    """

    def __init__(
        self,
        seed: int,
        *,
        cycles: int | None = None,
        only: Collection[str] | None = None,
        script: Sequence[Firing] | None = None,
        swarm: Swarm | None = None,
    ) -> None:
        self.seed = seed
        self.swarm = swarm or draw_swarm(seed, cycles, frozenset(FAULTS) if only is None else frozenset(only))
        self.chance = Chance(seed, self.swarm.rates, script)
        self.trace: list[str] = [f"seed {seed} {self.swarm.described()}"]
        self.comparisons = 0
        self.is_stormy = self.is_healing = self._has_healed = False
        self.paused_ms = 0
        self.kill_since: int | None = None
        self.points_passed = 0
        self.safe_mode_left = 0
        self.woken_cycles = 0
        self.skew_ms = self.swarm.skew_ms
        self.eye = None if self.swarm.feed is None else FeedEye()
        self._minimums: dict[str, list[tuple[int, Decimal]]] = {}
        self._restarted_at_ms = -RULES_AGE_MS
        self._report: CycleReport | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="btcbot-world-", dir=fast_folder()))
        try:
            self.rig = self._build()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        self.limits = limits_of(self.swarm.settings)
        skew = Firing(NOT_STARTED, AT_START, 0, "venue_skew", (self.skew_ms,))
        if self.skew_ms and not self.chance.has_in_script(skew):
            self.skew_ms = 0
        if self.skew_ms:
            self.rig.venue.skew(self.skew_ms / 1_000)
            self.note(skew)
        self.checkers = Checkers(self)
        self.effects = Effects(self)
        self.feed_effects = FeedEffects(self)
        self.on_the_way = OnTheWay(self)
        self.rig.venue.transport.meddler = self.on_the_way
        self.rig.points.watch = self._at_point

    def _build(self) -> Rig:
        swarm, feed, key = self.swarm, self.swarm.feed, f"world-{os.getpid()}"
        rig = Rig(
            self._folder,
            symbols=swarm.symbols,
            prices={symbol: PRICES[symbol] for symbol in swarm.symbols},
            balances=swarm.balances,
            strategy=self._strategy,
            cycle_seconds=swarm.cycle_seconds,
            nonce=swarm.nonce,
            engine=swarm.engine,
            image=prepared_image(key),
            key=key,
            packs=swarm.packs,
            log=NoLog(),
            metrics=NullMetrics(),
            trades_max=swarm.trades_max,
            has_feed=feed is not None,
            feed_plug=None
            if feed is None
            else Plug(options=feed.options, listener=self.eye, watches_pongs=feed.watches_pongs),
            **swarm.settings,
        )
        if feed is not None:
            rig.gap_seconds = float(limits.cycle_seconds_min(len(swarm.symbols)))
            rig.wake_seconds = int(swarm.settings["FEED_WAKE_MS"]) / 1_000
        return rig

    def _strategy(self, settings: Settings) -> Strategy:
        profit = bootstrap.strategy_of(RUN, settings)
        match self.swarm.wishes:
            case "random":
                return RandomWishes(self)
            case "profit_v1":
                return profit
            case _:
                return BothWishes(self, RandomWishes(self), profit)

    @property
    def cycle(self) -> int:
        return self.chance.cycle

    # -- the whole story -------------------------------------------------------------------------------------------

    def run(self) -> Story:
        violation: tuple[str, str] | None = None
        try:
            with trades_told_at_once(self.swarm.trades_max):
                self._calm_cycle()
                self._storm()
                self._heal("heal")
                self._second_life()
                self._idempotence()
        except Violated as violated:
            violation = (violated.invariant, violated.text)
        except Exception as error:  # noqa: BLE001 (whatever the bot lets out is what we look for)
            violation = ("I0", f"{type(error).__name__}: {error}")
        finally:
            self.rig.points.watch = None
            self.rig.close()
            shutil.rmtree(self._folder)
        if violation is not None:
            self._tell(f"VIOLATED {violation[0]}")
        return Story(
            seed=self.seed,
            violation=violation,
            swarm=self.swarm,
            fired=self.chance.fired,
            faults=self.chance.counts,
            crashes=self.chance.counts["crash"],
            submits=sum(self.rig.venue.transport.posts.values()),
            fills=len(self.checkers.fills),
            instruments=len(self.on_the_way.pairs),
            comparisons=self.comparisons,
            cycles=self.cycle,
            woken=self.woken_cycles,
            woken_submits=self.checkers.woken_submits,
            trace=self.trace,
            trace_sha256=hashlib.sha256("\n".join(self.trace).encode()).hexdigest(),
        )

    def _calm_cycle(self) -> None:
        """The opening balances are booked before anything moves: what they are made of cannot be told later."""
        self._cycle()

    def _storm(self) -> None:
        self.is_stormy = True
        for number in range(self.swarm.cycles):
            self.chance.begin(number)
            self._market()
            self.effects.end_due()
            for name in _BEATS:
                self._occasion("beat", beat_of(name))
            if self.swarm.feed is not None:
                self._disturb_feed()
            self._cycle()
            self.feed_effects.look()
        self.is_stormy = False

    def _disturb_feed(self) -> None:
        self.feed_effects.end_due()
        for name in _FEED:
            firing = self.chance.occasion("feed", beat_of(name))
            if firing is not None:
                self.feed_effects.strike(firing)

    def _heal(self, name: str) -> None:
        self._tell(name)
        rig = self.rig
        self.effects.end_all()
        self.feed_effects.end_all()
        rig.venue.clear_faults()
        rig.mend_disk()
        rig.stop.clear()
        rig.crash()
        self._start()
        for order in rig.venue.working():
            if order.client_id not in self.checkers.ours:
                rig.venue.cancel(order.id)  # other people go home too: nothing may trade while books are compared
        rig.venue.simulator.engine.settle_everything(rig.clock.true_ms())
        rig.strategy.is_muted = self.is_healing = True
        until_ms = rig.clock.true_ms() + round(HEAL_CYCLES_MAX * HEAL_SECONDS * 1_000)
        while rig.clock.true_ms() < until_ms:  # cycles that the feed brings forward take less time
            self.chance.cycle += 1
            has_completed = self._cycle(HEAL_SECONDS)
            if (
                has_completed
                and not rig.store.orders(tuple(OPEN))
                and not rig.store.discrepancies()
                and rig.state() is not TradingState.FROZEN
            ):
                break
        else:
            left = [f"{order.client_order_id} is {order.status}" for order in rig.store.orders(tuple(OPEN))]
            raise Violated(
                "I7",
                f"not settled in the time of {HEAL_CYCLES_MAX} clean cycles: {rig.state()}, {left or 'a difference'}",
            )
        self._compare()
        if self.swarm.feed is not None and not self._has_healed:
            self._feed_serves("after everything has healed")
            if self.seed % 2:
                rig.venue.simulator.feed.strike("socket_aborted", rig.clock.true_ms())
                self._feed_serves("after its connection broke")
        self._has_healed = True
        rig.strategy.is_muted = self.is_healing = False

    def _feed_serves(self, when: str) -> None:
        """Every pair that has a market is quoted from the feed again, as the venue shows it."""
        for _ in range(FEED_CYCLES_MAX):
            self.chance.cycle += 1
            self._cycle(HEAL_SECONDS)
            report, pairs = self._report, {symbol: self.pair(symbol) for symbol in self.swarm.symbols}
            wanted = {
                symbol: (bid, ask)
                for symbol, pair in pairs.items()
                if (bid := pair.best_bid()) is not None and (ask := pair.best_ask()) is not None
            }
            if report is None or report.counts["quotes_from_feed"] < len(wanted):
                continue
            if all(report.quotes.get(symbol) == prices for symbol, prices in wanted.items()):
                return
        raise Violated("I7", f"{when}, the feed does not serve {sorted(wanted)} within {FEED_CYCLES_MAX} clean cycles")

    def _second_life(self) -> None:
        self._tell("second life")
        self.rig.restart()
        self.checkers.new_life()
        for _ in range(SECOND_LIFE_CYCLES):
            self.chance.cycle += 1
            self._market()
            self._cycle()
        self._heal("heal again")

    def _idempotence(self) -> None:
        self._tell("idempotence")
        if self.swarm.feed is not None:
            self.rig.wait(LIMITS_SECONDS)  # cycles that the feed brought forward have asked much of late
        before = self._books()
        self.rig.strategy.is_muted = self.is_healing = True
        for _ in range(2):
            self.rig.restart()
            self.checkers.new_life()
            self.chance.cycle += 1
            self._cycle(HEAL_SECONDS)
        after = self._books()
        if after != before:
            changed = [name for name in before if before[name] != after[name]]
            rows = [row for name in changed for row in after[name] if row not in before[name]]
            raise Violated("I7", f"two recoveries without any event changed {', '.join(changed)}: {rows[:2]}")
        self._compare()

    def _compare(self) -> None:
        self.checkers.at_rest()
        self.comparisons += 1

    def _books(self) -> dict[str, list[Any]]:
        disk = self.rig.disk
        tables: dict[str, list[Any]] = {name: disk.execute(f"SELECT * FROM {name}").fetchall() for name in _TABLES}  # noqa: S608 # nosec B608
        values = disk.execute("SELECT name, value FROM named_values").fetchall()
        # A process that lives on the feed alone observes until its books are compared.
        of_no_weight = (*_HEARTBEAT, "trading_state") if self._lives_on_feed else _HEARTBEAT
        tables["named_values"] = sorted(row for row in values if row[0] not in of_no_weight)
        return tables

    @property
    def _lives_on_feed(self) -> bool:
        return self.swarm.settings.get("MARKET_DATA_MODE") == "ws"

    # -- one cycle -------------------------------------------------------------------------------------------------

    def _cycle(self, seconds: float | None = None) -> bool:
        """Run one, with its pause; whether it read all that it wanted to read."""
        rig = self.rig
        has_completed = is_in_trouble = False
        self._report = None
        rig.venue.transport.deliver_late()
        self.checkers.cycle_begins()
        with self._life():
            if not rig.is_up:
                self._start()
            self._report = report = rig.bot.run_cycle()
            self._tell_report("", report)
            has_completed = report.outcome is CycleOutcome.COMPLETED
            is_in_trouble = any(reason.startswith(ReasonCode.VENUE_UNAVAILABLE.value) for reason in report.reasons)
        rig.disk_is_full = rig.disk_is_busy = rig.disk_has_error = rig.disk_error_comes_late = False
        self._pause(rig.cycle_seconds if seconds is None else seconds, is_in_trouble=is_in_trouble)
        self.checkers.cycle_ended()
        return has_completed

    @contextmanager
    def _life(self) -> Iterator[None]:
        """What the bot does in here may end its process."""
        rig = self.rig
        try:
            yield
        except Crash as crash:
            self._tell(f"crash {crash}")
            rig.crash()
        except StoreFailed:
            self._tell("store failed")
            rig.crash()
        if rig.stop.is_set():
            self._tell("ended on a signal")
            rig.crash()
            rig.stop.clear()

    def _tell_report(self, how: str, report: CycleReport) -> None:
        counts = ",".join(f"{name}={count}" for name, count in report.counts.items() if count)
        reasons = ",".join(sorted({reason.partition(": ")[0] for reason in report.reasons}))
        self._tell(f"{how}{report.outcome.value} {reasons} {counts}")
        if report.outcome is CycleOutcome.HALTED:
            self._halted(report.reasons[-1])

    def _pause(self, seconds: float, *, is_in_trouble: bool) -> None:
        """With a feed, what the loop does between two cycles: it may wake some, and end the pause."""
        rig = self.rig
        until_ms = rig.clock.true_ms() + round(seconds * 1_000)
        if rig.feed is not None and not is_in_trouble:
            if self._lives_through(rig.feed, seconds):
                return
            seconds = max((until_ms - rig.clock.true_ms()) / 1_000, 0.0)
        rig.wait(seconds if rig.is_up else min(seconds, self.swarm.restart_seconds))

    def _lives_through(self, feed: InProcessFeed, seconds: float) -> bool:
        """A pause on the feed; whether the process is still there when it ends."""
        rig = self.rig
        if not self.is_healing:
            self._market_moves_on(feed, round(seconds * 1_000))
        with self._life():
            rig.pause(seconds, self._woken_cycle)
        rig.disk_is_full = rig.disk_is_busy = rig.disk_has_error = rig.disk_error_comes_late = False
        return rig.is_up

    def _woken_cycle(self, wake: Wake) -> CycleReport:
        self.woken_cycles += 1
        self.checkers.woken_begins()
        report = self.rig.bot.run_cycle(wake)
        self.checkers.woken_ended()
        self._tell_report("woken ", report)
        return report

    def _start(self) -> None:
        self._restarted_at_ms = self.rig.clock.true_ms()
        self.checkers.new_life()
        self.rig.start()

    def _halted(self, evidence: str) -> None:
        """An operator looks at it; only a key that was refused too often is nothing that we would call a defect."""
        if not evidence.startswith("I17") or "unauthorized" not in self.chance.counts:
            raise Violated("HALT", evidence)
        self.rig.venue.clear_faults()
        self.rig.restart()
        self.checkers.new_life()
        self.rig.ask("resume", reason="the key is fine")

    # -- market and faults -----------------------------------------------------------------------------------------

    def _market(self) -> None:
        random = Random(f"{self.seed}/market/{self.cycle}")  # noqa: S311 (no secret)
        for symbol in self.swarm.symbols:
            if random.random() < 0.6:
                self.move(symbol, random.randint(-self.swarm.volatility_bps, self.swarm.volatility_bps))

    def _market_moves_on(self, feed: InProcessFeed, pause_ms: int) -> None:
        """In the pause after a cycle too: prices move, and other people take what we offer."""
        assert self.swarm.feed is not None, "there is a feed"
        random = Random(f"{self.seed}/pause/{self.cycle}")  # noqa: S311 (no secret)
        for _ in range(random.randint(0, self.swarm.feed.moves_max)):
            symbol = random.choice(self.swarm.symbols)
            bps = random.randint(-self.swarm.volatility_bps, self.swarm.volatility_bps)
            after_ms, which, takes = random.randrange(pause_ms), random.randrange(1_000), random.random() < 0.15
            if takes:
                feed.at(after_ms, partial(self.effects.partial_fill, (which, 1 + which)))
            else:
                feed.at(after_ms, partial(self.move, symbol, bps))

    def move(self, symbol: str, bps: int) -> None:
        pair = self.pair(symbol)
        places = pair.instrument.price_scale if pair.instrument.has_fraction else 0
        price = money.round_down(pair.price * (10_000 + bps) / 10_000, places)
        engine = self.rig.venue.simulator.engine
        engine.override_price(symbol, price, self.rig.clock.true_ms())

    def _at_point(self, name: str) -> None:
        self.points_passed = len(self.rig.points.passed)
        if name == "after commit":
            self.trace.append("+" + ",".join(statement for statement, _ in self.rig.last_unit()))
            self.checkers.committed()
        if not self.is_stormy:
            return
        place = place_of(name)
        crash = self.chance.occasion("crash", f"crash:{place}")
        if crash is not None:
            self.note(crash)
            raise Crash(name)
        self._occasion("point", place)

    def _occasion(self, concern: Concern, place: str) -> None:
        firing = self.chance.occasion(concern, place)
        if firing is not None and self.effects.strike(firing):
            self.note(firing)

    def note(self, firing: Firing) -> None:
        """It struck."""
        self.chance.note(firing)
        self.trace.append(f"{self._time()} ! {firing}")

    # -- words -----------------------------------------------------------------------------------------------------

    def _tell(self, text: str) -> None:
        if self.eye is not None:
            self.trace += [f"{at_ms - EPOCH_MS} {what}" for at_ms, what in self.eye.news]
            self.eye.news.clear()
        self.trace.append(f"{self._time()} cycle {self.cycle}: {text}")

    def tell_wire(self, text: str) -> None:
        self.trace.append(f"{self._time()} {text}")

    def _time(self) -> int:
        return self.rig.clock.true_ms() - EPOCH_MS

    # -- what checkers and effects ask -----------------------------------------------------------------------------

    @property
    def has_restarted_lately(self) -> bool:
        """Within the longest period of the venue's limits."""
        return self.rig.clock.true_ms() - self._restarted_at_ms < LIMITS_SECONDS * 1_000

    def our_working(self) -> list[Any]:
        return [order for order in self.rig.venue.working() if order.client_id in self.checkers.ours]

    def pair(self, symbol: str) -> Pair:
        return self.rig.venue.simulator.engine.pairs[symbol]

    def remember_minimum(self, symbol: str) -> None:
        """The least value of an order of this pair is about to change."""
        told = self._minimums.setdefault(symbol, [])
        told.append((self.rig.clock.true_ms(), self._minimum(symbol)))

    def _minimum(self, symbol: str) -> Decimal:
        return self.pair(symbol).instrument.min_exchange_value

    def minimum_lately(self, symbol: str) -> Decimal:
        """The lowest minimum of the pair within the time for which the bot may believe rules."""
        since_ms = self.rig.clock.true_ms() - RULES_AGE_MS - 60_000
        lately = [value for changed_ms, value in self._minimums.get(symbol, ()) if changed_ms >= since_ms]
        return min([self._minimum(symbol), *lately])

    @staticmethod
    def transfer_name(transfer: Transfer) -> str:
        return f"{'fiat' if transfer.asset in FIAT else 'crypto'}:{transfer.id}"
