"""One performance of a story: told from its first cycle until everything has come to rest, and watched throughout.

The same watchers as in the fault simulation (`btcbot.testing.checkers`) look at every request and every commit, so a
crash has to leave not only books that settle: nothing on the way there may break an invariant either. At the end
everything is made well, and within a few cycles all has to be settled, books equal the venue to the last digit, and one
cycle more changes nothing.

A *harm* looks on at every point, and may raise `Crash`, or make the disk fail, or turn the kill switch on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

from btcbot import bootstrap
from btcbot.adapters.metrics import NullMetrics
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.orders import OPEN
from btcbot.domain.reasons import TradingState
from btcbot.errors import StoreFailed
from btcbot.profiles import RUN
from btcbot.testing.checkers import Checkers, Violated
from btcbot.testing.checkers.feed_eye import FeedEye
from btcbot.testing.in_process_feed import Plug
from btcbot.testing.in_process_rig import Rig
from btcbot.testing.manual_clock import EPOCH_MS, Agenda
from btcbot.testing.points import Crash
from btcbot.testing.stage import NoLog
from btcbot.testing.stories.hands import Hands
from btcbot.testing.stories.harm import Harm
from btcbot.testing.stories.stage import blank, limits
from btcbot.testing.stories.story import Story
from btcturk_sim import wire
from btcturk_sim.accounts import Transfer
from btcturk_sim.api import TRADES_MAX
from btcturk_sim.engine import EngineOptions
from btcturk_sim.instruments import FIAT
from btcturk_sim.wire import Response

HEAL_CYCLES_MAX: Final = 30
HEAL_SECONDS: Final = 20.0
#: Levels of a book: no order of a story reaches further, and a story is told many thousand times.
LEVELS: Final = 12
#: Longest period of the venue's limits: for so long a new process cannot know what the old one asked.
_LIMITS_FORGIVE_MS: Final = 61_000
#: What a story's settings are, unless it says otherwise.
_SETTINGS: Final[Mapping[str, str]] = {"COOLDOWN_SECONDS": "0", "TTL_SECONDS": "35"}


class Performance(Hands):
    """`play` it once. `wrong` is empty when all was well, `points` are the names of all points of the story itself."""

    def __init__(self, story: Story, folder: Path, harm: Harm | None = None) -> None:
        self.eye = FeedEye() if story.has_feed else None
        super().__init__(_rig_of(story, folder, self.eye))
        self.story = story
        self.wrong: list[str] = []
        self.points: list[str] = []
        #: Writing statements that ran in units: where a disk may break in the middle of one.
        self.statements = 0
        self.breaks_at: int | None = None
        self.lives: dict[str, list[str]] = {}
        self.crashes = 0
        self.safe_mode_left = 0
        self.is_healing = False
        self.paused_ms = 0
        self.skew_ms = round(story.skew_seconds * 1_000)
        self.halts = 0
        self.harm = harm
        self._is_counting = False
        self._restarted_at_ms = EPOCH_MS - _LIMITS_FORGIVE_MS
        self.agenda = Agenda(self.rig.clock)
        self.limits = limits(tuple(self.rig.environment.items()))
        if self.skew_ms:
            self.rig.venue.skew(story.skew_seconds)
        self.checkers = Checkers(self)
        self.rig.venue.transport.meddler = self
        self.rig.points.watch = self._at_point
        self.rig.disk_breaks = self._breaks

    # -- from beginning to end -----------------------------------------------------------------------------------------

    def play(self) -> list[str]:
        """Tell it, let it settle, and give what was wrong; the same list as `wrong`."""
        try:
            for number in range(-self.story.prelude, self.story.cycles):
                self._is_counting = number >= 0
                self._cycle(number)
            number = self.story.cycles
            while not self.rig.is_up and number < self.story.cycles + HEAL_CYCLES_MAX:
                self._cycle(number)  # whoever died in the last cycle has a life after it
                number += 1
            self._is_counting = False
            if self.harm is None:
                self._is_what_it_says()
            else:
                self.wrong += self.harm.after(self)
            self._heal()
        except Violated as violated:
            self.wrong.append(str(violated))
        except Exception as error:  # noqa: BLE001 (whatever the bot lets out is what we look for)
            self.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            self.rig.points.watch = None
            try:
                self.rig.close()
            except Exception as error:  # noqa: BLE001 (the venue's own books)
                self.wrong.append(f"the venue: {type(error).__name__}: {error}")
            self.rig.kill_switch().path.unlink(missing_ok=True)
        return self.wrong

    def _cycle(self, number: int) -> None:
        """What happens before it, the cycle, and the pause; who dies is born again for the next one."""
        rig = self.rig
        rig.strategy.is_muted = self.story.is_traded and number < 0
        for act in self.story.acts.get(number, ()):
            act(self)
        self._run(rig.cycle_seconds)

    def _run(self, pause_seconds: float) -> bool:
        """Run a cycle, with its pause; whether it read all that it wanted to read."""
        rig, has_completed = self.rig, False
        rig.venue.transport.deliver_late()
        self.checkers.cycle_begins()
        with self._life():
            if not rig.is_up:
                self._start()
            report = rig.bot.run_cycle()
            has_completed = report.outcome is CycleOutcome.COMPLETED
            self._look_at(report)
        until_ms = rig.clock.true_ms() + round(pause_seconds * 1_000)
        if rig.feed is not None:
            with self._life():
                rig.pause(pause_seconds, self._woken)
        if not rig.is_up or rig.feed is None:
            rig.wait(max(until_ms - rig.clock.true_ms(), 0) / 1_000)
        self._promised(self.checkers.cycle_ended)
        return has_completed

    @contextmanager
    def _life(self) -> Iterator[None]:
        """What the bot does in here may end its process."""
        rig = self.rig
        try:
            yield
        except Crash:
            self.crashes += 1
            rig.crash()
        except StoreFailed:
            rig.crash()
        if rig.stop.is_set():
            rig.crash()
            rig.stop.clear()
        rig.mend_disk()

    def _woken(self, wake: Wake) -> CycleReport:
        self.checkers.woken_begins()
        report = self.rig.bot.run_cycle(wake)
        self._promised(self.checkers.woken_ended)
        self._look_at(report)
        return report

    def _look_at(self, report: CycleReport) -> None:
        if report.outcome is CycleOutcome.HALTED:
            self.halts += 1
            if not self._may_halt:
                raise Violated("HALT", report.reasons[-1])
            self.rig.crash()  # the loop ends on a halt

    def _start(self) -> None:
        rig = self.rig
        self._restarted_at_ms = rig.clock.true_ms()
        self.checkers.new_life()
        self.limits = limits(tuple(rig.environment.items()))
        self.safe_mode_left = int(rig.environment.get("SAFE_MODE") == "true")
        rig.start()

    def _heal(self) -> None:
        """End all trouble; everything settles, and what is settled stays so (I7)."""
        rig = self.rig
        self.once, self.breaks_at = [], None
        rig.venue.clear_faults()
        rig.mend_disk()
        rig.clock.set_right()
        self.kill(is_on=False)
        for symbol in self.story.symbols:
            rig.venue.simulator.engine.pairs[symbol].halted = False
        closed = {"SAFE_MODE": "false", "KILL_SWITCH": "false", "SWEEP_ENABLED": "false"}
        if any(rig.environment.get(name, value) != value for name, value in closed.items()):
            self.end(closed)
        for order in rig.venue.working():
            if order.client_id not in self.checkers.ours:
                rig.venue.cancel(order.id)  # nobody else may trade while books are compared
        rig.venue.simulator.engine.settle_everything(rig.clock.true_ms())
        rig.strategy.is_muted = self.is_healing = True
        until_ms = rig.clock.true_ms() + round(HEAL_CYCLES_MAX * HEAL_SECONDS * 1_000)
        while rig.clock.true_ms() < until_ms:  # cycles that the feed brings forward take less time
            if not rig.is_up:
                self._start()
            if self._may_halt:
                self.resume()
            if self.story.mends is not None:
                self.story.mends(self)
            if self._run(HEAL_SECONDS) and self._is_settled():
                break
        else:
            left = [f"{order.client_order_id} is {order.status}" for order in rig.store.orders(tuple(OPEN))]
            raise Violated(
                "I7", f"not settled in the time of {HEAL_CYCLES_MAX} cycles: {rig.state()}, {left or 'a difference'}"
            )
        before = rig.books()
        self._run(HEAL_SECONDS)
        if rig.books() != before:
            raise Violated("I7", "a cycle without any event changed the books")
        self.checkers.at_rest()
        self.wrong += [f"it is not true that {what}" for what, is_so in self.story.always(self).items() if not is_so]

    def _is_settled(self) -> bool:
        store = self.rig.store
        return not store.orders(tuple(OPEN)) and not store.discrepancies() and self.rig.state() is TradingState.ACTIVE

    def _is_what_it_says(self) -> None:
        """Told without harm: the faults really struck, and the orders lived as the story says."""
        story = self.story
        lives = [" ".join(life[1:]) for life in self.lives.values()]
        if lives != list(story.lives):
            self.wrong.append(f"the lives of its orders are {lives}, not {list(story.lives)}")
        struck = self.rig.venue.simulator.faults.struck
        self.wrong += [f"{kind} struck {struck[kind]} times" for kind, n in story.struck.items() if struck[kind] < n]
        self.wrong += [f"it is not true that {what}" for what, is_so in story.shows(self).items() if not is_so]
        if bool(self.halts) is not story.halts:
            self.wrong.append(f"it halted {self.halts} times")
        if self.once:
            self.wrong.append(f"it never came to {self.once[0][0]}")

    @property
    def _may_halt(self) -> bool:
        return self.story.halts or (self.harm is not None and self.harm.halts)

    # -- points --------------------------------------------------------------------------------------------------------

    def _at_point(self, name: str) -> None:
        self.points_passed = len(self.rig.points.passed)
        if self._is_counting:
            self.points.append(name)
        if name == "after commit":
            self._note_lives()
            self._promised(self.checkers.committed)
        for waiting in self.once:
            if name.startswith(waiting[0]):
                self.once.remove(waiting)
                waiting[1](self)
                break
        if self._is_counting and self.harm is not None:
            self.harm(self, name)

    def _note_lives(self) -> None:
        for statement, row in self.rig.last_unit():
            if statement in ("insert_order", "update_order"):
                life = self.lives.setdefault(str(row["client_order_id"]), [])
                status = str(row["status"])
                if not life or life[-1] != status:
                    life.append(status)

    def _breaks(self, statement: str) -> bool:
        if not self._is_counting:
            return False
        self.statements += 1
        return self.statements == self.breaks_at

    def _promised(self, check: Callable[[], None]) -> None:
        try:
            check()
        except Violated as violated:
            if violated.invariant not in self.story.not_promised:
                raise

    # -- on the wire (Meddler) -----------------------------------------------------------------------------------------

    def sends(self, name: str, request: wire.Request) -> None:
        self._promised(lambda: self.checkers.leaves(request))

    def answers(self, name: str, request: wire.Request, answer: Response) -> Response:
        return answer

    def arrives(self, name: str, request: wire.Request, answer: Response) -> None:
        self.checkers.arrives(name, request, answer)

    # -- what checkers ask ---------------------------------------------------------------------------------------------

    @property
    def has_restarted_lately(self) -> bool:
        return self.rig.clock.true_ms() - self._restarted_at_ms < _LIMITS_FORGIVE_MS

    def minimum_lately(self, symbol: str) -> Decimal:
        least: Decimal = self.rig.venue.simulator.engine.pairs[symbol].instrument.min_exchange_value
        return least

    @staticmethod
    def transfer_name(transfer: Transfer) -> str:
        return f"{'fiat' if transfer.asset in FIAT else 'crypto'}:{transfer.id}"


def _rig_of(story: Story, folder: Path, eye: FeedEye | None) -> Rig:
    key = f"story-{os.getpid()}"
    settings = {**_SETTINGS, **story.settings}
    mode = "dry_run" if settings.get("DRY_RUN") == "true" else "demo"
    engine = story.engine or EngineOptions()
    return Rig(
        folder,
        symbols=story.symbols,
        prices=story.prices,
        balances=story.balances,
        strategy=(lambda read: bootstrap.strategy_of(RUN, read)) if story.is_traded else None,
        cycle_seconds=story.cycle_seconds,
        nonce=story.nonce,
        engine=replace(engine, book=replace(engine.book, levels=LEVELS)),
        image=blank(key, mode),
        key=key,
        packs=False,
        has_feed=story.has_feed,
        feed_plug=Plug(listener=eye),
        trades_max=TRADES_MAX,
        log=NoLog(),
        metrics=NullMetrics(),
        profile=story.profile,
        **settings,
    )
