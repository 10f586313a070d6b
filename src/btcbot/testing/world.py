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
from collections.abc import Collection, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from btcbot import bootstrap
from btcbot.adapters.metrics import NullMetrics
from btcbot.config.settings import Settings
from btcbot.domain import money
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OPEN
from btcbot.domain.reasons import TradingState
from btcbot.errors import StoreFailed
from btcbot.profiles import RUN
from btcbot.strategies.base import Strategy
from btcbot.testing.chance import AT_START, NOT_STARTED, Chance, Concern, beat_of, place_of
from btcbot.testing.checkers import Checkers, Violated
from btcbot.testing.effects import Effects
from btcbot.testing.faults import FAULTS, Firing
from btcbot.testing.in_process import EPOCH_MS, Crash, Rig
from btcbot.testing.on_the_way import OnTheWay
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
#: What two recoveries without any event may write: reports, and marks of time.
_HEARTBEAT: Final = ("cycle_number", "marks", "nonce_mark_ms", "trades_cursor_ms", "self_check", "pnl_day",
                     "pnl_day_start", "trading_state_reason")  # fmt: skip
_TABLES: Final = ("identity", "orders", "holds", "fills", "entries", "postings", "account_balances", "positions",
                  "verdicts", "discrepancies")  # fmt: skip
_BEATS: Final = tuple(fault.name for fault in FAULTS.values() if fault.site == "beat")


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
        self.is_stormy = self.is_healing = False
        self.paused_ms = 0
        self.kill_since: int | None = None
        self.points_passed = 0
        self.safe_mode_left = 0
        self.skew_ms = self.swarm.skew_ms
        self._minimums: dict[str, list[tuple[int, Decimal]]] = {}
        self._restarted_at_ms = -RULES_AGE_MS
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
        self.on_the_way = OnTheWay(self)
        self.rig.venue.transport.meddler = self.on_the_way
        self.rig.points.watch = self._at_point

    def _build(self) -> Rig:
        swarm, key = self.swarm, f"world-{os.getpid()}"
        return Rig(
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
            **swarm.settings,
        )

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
            self._cycle()
        self.is_stormy = False

    def _heal(self, name: str) -> None:
        self._tell(name)
        rig = self.rig
        self.effects.end_all()
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
        for _ in range(HEAL_CYCLES_MAX):
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
                "I7", f"not settled after {HEAL_CYCLES_MAX} clean cycles: {rig.state()}, {left or 'a difference'}"
            )
        self._compare()
        rig.strategy.is_muted = self.is_healing = False

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
        tables["named_values"] = sorted(row for row in values if row[0] not in _HEARTBEAT)
        return tables

    # -- one cycle -------------------------------------------------------------------------------------------------

    def _cycle(self, seconds: float | None = None) -> bool:
        """Run one, with its pause; whether it read all that it wanted to read."""
        rig = self.rig
        has_completed = False
        rig.venue.transport.deliver_late()
        self.checkers.cycle_begins()
        try:
            if not rig.is_up:
                self._start()
            report = rig.bot.run_cycle()
            counts = ",".join(f"{name}={count}" for name, count in report.counts.items() if count)
            reasons = ",".join(sorted({reason.partition(": ")[0] for reason in report.reasons}))
            self._tell(f"{report.outcome.value} {reasons} {counts}")
            has_completed = report.outcome is CycleOutcome.COMPLETED
            if report.outcome is CycleOutcome.HALTED:
                self._halted(report.reasons[-1])
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
        rig.disk_is_full = rig.disk_is_busy = rig.disk_has_error = rig.disk_error_comes_late = False
        pause_s = rig.cycle_seconds if seconds is None else seconds
        rig.wait(pause_s if rig.is_up else min(pause_s, self.swarm.restart_seconds))
        self.checkers.cycle_ended()
        return has_completed

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
        self.trace.append(f"{self._time()} cycle {self.cycle}: {text}")

    def tell_wire(self, text: str) -> None:
        self.trace.append(f"{self._time()} {text}")

    def _time(self) -> int:
        return self.rig.clock.true_ms() - EPOCH_MS

    # -- what checkers and effects ask -----------------------------------------------------------------------------

    @property
    def has_restarted_lately(self) -> bool:
        """Within the longest period of the venue's limits: a new process cannot know what the old one asked."""
        return self.rig.clock.true_ms() - self._restarted_at_ms < 61_000

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
