"""One simulated world: a bot, its venue, a seed, and everything that goes wrong between them.

Real code runs: cycle, services, decisions, the SQLite store (in memory), the HTTP client and its codec; sockets, clock
and process are replaced. What a seed decides is drawn by one generator for each concern, and market and wishes of a
cycle come from the cycle's number alone, so that taking one fault out of a story leaves the rest of it in place.

`course` tells in which order it goes: a storm, healing, a second life, recoveries that change nothing.
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
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

from btcbot import bootstrap
from btcbot.adapters.btcturk import limits
from btcbot.adapters.metrics import NullMetrics
from btcbot.config.settings import Settings
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.errors import Refused, StoreFailed
from btcbot.strategies.base import Strategy, UsesSignals
from btcbot.testing.at_points import AtPoints
from btcbot.testing.chance import AT_START, NOT_STARTED, Chance, Concern
from btcbot.testing.checkers import Checkers, Violated
from btcbot.testing.checkers.feed_eye import FeedEye
from btcbot.testing.course import LIMITS_SECONDS, Course
from btcbot.testing.effects import Effects
from btcbot.testing.fault import Firing
from btcbot.testing.faults import FAULTS
from btcbot.testing.feed_effects import FeedEffects
from btcbot.testing.in_process_feed import InProcessFeed, Plug
from btcbot.testing.in_process_rig import Rig
from btcbot.testing.manual_clock import EPOCH_MS
from btcbot.testing.moving_market import RULES_AGE_MS, MovingMarket
from btcbot.testing.on_the_way import OnTheWay
from btcbot.testing.past import give_past
from btcbot.testing.play import Story
from btcbot.testing.points import Crash
from btcbot.testing.profiles_played import PLAYED, KeepsOrders, Moody, WithSignals, keeps_orders
from btcbot.testing.stage import NoLog, fast_folder, prepared_image, trades_told_at_once
from btcbot.testing.swarm import PRICES, RandomWishes, Swarm, both_wishes, draw_swarm, limits_of
from btcturk_sim.accounts import Transfer
from btcturk_sim.instruments import FIAT
from btcturk_sim.orders import Order

__all__ = ["Story", "World"]

#: How reasons of a report begin that overseers gave, and gates; of a single pair, after its name.
_OF_OVERSEERS: Final = ("narrowed:", "budget:", "capital:", "barred:", "gate_closed:")


class World:
    """`run` it once. `script` replays firings in place of chance; `only` leaves these faults in the swarm.

    `swarm` None draws it from the seed, and the profile too where `profile` names none; a story that is kept brings its
    own, whatever is drawn today.
    """

    def __init__(
        self,
        seed: int,
        *,
        cycles: int | None = None,
        only: Collection[str] | None = None,
        script: Sequence[Firing] | None = None,
        swarm: Swarm | None = None,
        profile: str | None = None,
    ) -> None:
        self.seed = seed
        names = frozenset(FAULTS) if only is None else frozenset(only)
        self.swarm = swarm or draw_swarm(seed, cycles, names, profile)
        self.profile = PLAYED[self.swarm.profile]
        self.chance = Chance(seed, self.swarm.rates, script)
        self.trace: list[str] = [f"seed {seed} {self.swarm.described()}"]
        self.comparisons = 0
        self.is_stormy = self.is_healing = False
        self.paused_ms = 0
        self.kill_since: int | None = None
        self.is_kill_of_chain = self.has_bad_strategy = self.has_new_limits = False
        self.points_passed = 0
        self.crashed_in: Counter[str] = Counter()
        self.safe_mode_left = 0
        self.woken_cycles = 0
        self.skew_ms = self.swarm.skew_ms
        self.eye = None if self.swarm.feed is None else FeedEye()
        self.market = MovingMarket(self)
        self._restarted_at_ms = -RULES_AGE_MS
        self.report: CycleReport | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="btcbot-world-", dir=fast_folder()))
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, self._folder)
            self.rig = self._build()
            undo.pop_all()  # the folder stays until the world ends
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
        self.rig.points.watch = AtPoints(self).reached

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
            profile=self.profile,
            **swarm.settings,
        )
        if "BTCTURK_GRAPH_URL" in swarm.settings:
            give_past(rig.venue.simulator.engine, self.seed, rig.clock.true_ms(), swarm.volatility_bps)
        if feed is not None:
            rig.gap_seconds = float(limits.cycle_seconds_min(len(swarm.symbols)))
            rig.wake_seconds = int(swarm.settings["FEED_WAKE_MS"]) / 1_000
        return rig

    def _strategy(self, settings: Settings) -> Strategy:
        strategy, wishes = bootstrap.strategy_of(self.profile, settings), self.swarm.wishes
        chance: Strategy = RandomWishes(self)
        if keeps_orders(self.profile):
            chance = KeepsOrders(self.seed, chance)
        wisher = chance if wishes == "random" else both_wishes(self, chance, strategy) if wishes == "both" else strategy
        if not self.profile.is_overseen:
            return wisher
        moody = Moody(wisher, lambda: self.has_bad_strategy)
        return WithSignals(moody, wisher) if isinstance(wisher, UsesSignals) else moody

    @property
    def cycle(self) -> int:
        return self.chance.cycle

    # -- the whole story -------------------------------------------------------------------------------------------

    def run(self) -> Story:
        violation: tuple[str, str] | None = None
        try:
            with trades_told_at_once(self.swarm.trades_max):
                Course(self).run()
        except Violated as violated:
            violation = (violated.invariant, violated.text)
        except Exception as error:  # noqa: BLE001 (whatever the bot lets out is what we look for)
            violation = ("I0", f"{type(error).__name__}: {error}")
        finally:
            self.rig.points.watch = None
            self.rig.close()
            shutil.rmtree(self._folder)
        if violation is not None:
            self.tell(f"VIOLATED {violation[0]}")
        return Story(
            seed=self.seed,
            violation=violation,
            swarm=self.swarm,
            profile=self.profile.name,
            fired=self.chance.fired,
            faults=self.chance.counts,
            crashes=self.chance.counts["crash"],
            crashed_in=self.crashed_in,
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

    # -- one cycle -------------------------------------------------------------------------------------------------

    def live(self, seconds: float | None = None) -> bool:
        """Run one, with its pause; whether it read all that it wanted to read."""
        rig = self.rig
        has_completed = is_in_trouble = False
        self.report = None
        rig.venue.transport.deliver_late()
        self.checkers.cycle_begins()
        with self._life():
            if not rig.is_up:
                self.start()
            self.report = report = rig.bot.run_cycle()
            self._tell_report("", report)
            has_completed = report.outcome is CycleOutcome.COMPLETED or self._only_narrowed(report)
            is_in_trouble = any(reason.startswith(ReasonCode.VENUE_UNAVAILABLE.value) for reason in report.reasons)
        rig.disk_is_full = rig.disk_is_busy = rig.disk_has_error = rig.disk_error_comes_late = False
        self._pause(rig.cycle_seconds if seconds is None else seconds, is_in_trouble=is_in_trouble)
        self.checkers.cycle_ended()
        return has_completed

    @staticmethod
    def _only_narrowed(report: CycleReport) -> bool:
        """It read all that it wanted to read, and its overseers let it order nothing."""
        return report.outcome is CycleOutcome.OBSERVE_ONLY and all(
            reason.startswith(_OF_OVERSEERS) for reason in report.reasons
        )

    @contextmanager
    def _life(self) -> Iterator[None]:
        """What the bot does in here may end its process."""
        rig = self.rig
        try:
            yield
        except Crash as crash:
            self.tell(f"crash {crash}")
            rig.crash()
        except StoreFailed:
            self.tell("store failed")
            rig.crash()
        if rig.stop.is_set():
            self.tell("ended on a signal")
            rig.crash()
            rig.stop.clear()

    def _tell_report(self, how: str, report: CycleReport) -> None:
        counts = ",".join(f"{name}={count}" for name, count in report.counts.items() if count)
        reasons = ",".join(sorted({reason.partition(": ")[0] for reason in report.reasons}))
        self.tell(f"{how}{report.outcome.value} {reasons} {counts}")
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
            self.market.moves_on(feed, round(seconds * 1_000))
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

    def start(self) -> None:
        self._restarted_at_ms = self.rig.clock.true_ms()
        self.checkers.new_life()
        try:
            self.rig.start()
        except Refused as refused:
            # What was adapted from other limits is not what the new ones mean: the operator is told, and resets.
            if not self.has_new_limits or "params reset" not in str(refused):
                raise
            self.tell("refused: the parameters are those of other settings")
            if not self.effects.reset_parameters():
                raise StoreFailed("the operator tries again when the disk takes it") from refused
            self.rig.start()
        self.has_new_limits = False

    def look_for_a_halt(self) -> None:
        """One of which no report tells, because the process ended right after it."""
        state, evidence = self.rig.store.trading_state()
        if state is TradingState.HALTED:
            self._halted(evidence)

    def _halted(self, evidence: str) -> None:
        """An operator looks at it; only a key that was refused too often is nothing that we would call a defect."""
        if not evidence.startswith("I17") or "unauthorized" not in self.chance.counts:
            raise Violated("HALT", evidence)
        self.rig.venue.clear_faults()
        self.rig.restart()
        self.checkers.new_life()
        self.rig.ask("resume", reason="the key is fine")

    def occasion(self, concern: Concern, place: str) -> None:
        firing = self.chance.occasion(concern, place)
        if firing is not None and self.effects.strike(firing):
            self.note(firing)

    def note(self, firing: Firing) -> None:
        """It struck."""
        self.chance.note(firing)
        self.trace.append(f"{self._time()} ! {firing}")

    def stood_still(self, ms: int) -> None:
        """The process has, so long; what came meanwhile is read now."""
        self.paused_ms += ms
        if self.eye is not None:
            self.eye.stood_still(self.rig.clock.true_ms())

    # -- words -----------------------------------------------------------------------------------------------------

    def tell(self, text: str) -> None:
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

    def our_working(self) -> list[Order]:
        return [order for order in self.rig.venue.working() if order.client_id in self.checkers.ours]

    def minimum_lately(self, symbol: str) -> Decimal:
        """The lowest minimum of the pair within the time for which the bot may believe rules."""
        return self.market.minimum_lately(symbol)

    @staticmethod
    def transfer_name(transfer: Transfer) -> str:
        return f"{'fiat' if transfer.asset in FIAT else 'crypto'}:{transfer.id}"
