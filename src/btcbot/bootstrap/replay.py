"""Replay: the bot of a recording, built anew, with the recording where the world was.

It comes out of `assemble` like every other bot. Its ports answer what they answered then; its store begins with the
database of then; and each of its cycles must ask, decide and write what it did then. The first thing that is not the
same ends the replay and is told.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
from pydantic import ValidationError

from btcbot import __version__
from btcbot.adapters.journal import ports
from btcbot.adapters.journal.lines import CycleLine, Start
from btcbot.adapters.journal.player import Differs, Player, Unreadable
from btcbot.adapters.journal.reader import Recording, lives_of
from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.bootstrap.assembly import assemble
from btcbot.bootstrap.bot import Bot
from btcbot.bootstrap.journal import on_tape
from btcbot.bootstrap.sockets import Sockets
from btcbot.bootstrap.strategies import strategy_of
from btcbot.config.settings import SETTING_NAMES, Settings
from btcbot.domain import money
from btcbot.domain.feed import Wake
from btcbot.errors import Refused
from btcbot.ports import StateStore
from btcbot.profiles import PROFILES
from btcbot.services.gatekeeper import GatePolicy
from btcbot.strategies.base import Strategy

_T = TypeVar("_T")

#: The strategy for a replay, given the settings of then.
MakeStrategy = Callable[[Settings], Strategy]


class ReplayDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Where a replay stopped: in which run and cycle, what differs, what was recorded and what came now."""

    run: str
    cycle: str
    what: str
    recorded: object
    now: object


class Replayed(msgspec.Struct, kw_only=True):
    """What was played. `decisions` counts verdicts, `runs` the lives of the bot that were recorded."""

    runs: int = 0
    cycles: int = 0
    decisions: int = 0
    orders: int = 0
    difference: ReplayDifference | None = None
    notes: list[str] = []


def replay(run: Path, make_strategy: MakeStrategy | None = None) -> Replayed:
    """Play all that is recorded at `run`: a database, its journal's folder, or one file in that. Raises Refused with
    one line where something cannot be played. `make_strategy` None: the strategy of the recorded settings."""
    money.arm()
    played = Replayed()
    for life in lives_of(run):
        recording = Recording(life)
        if recording.is_empty:
            played.notes.append(f"{recording.path.name} holds no cycle: the bot ended before its first one")
            continue
        _Life(recording, played, make_strategy).play()
        played.notes += recording.notes
        if played.difference is not None:
            break
    if not played.runs:
        raise Refused(f"nothing was recorded at {run} that could be replayed: {'; '.join(played.notes)}")
    return played


class _Life:
    """One recording while it is played."""

    def __init__(self, recording: Recording, played: Replayed, make_strategy: MakeStrategy | None) -> None:
        self._recording = recording
        self._played = played
        self._make_strategy = make_strategy
        self._player = Player()

    def play(self) -> None:
        self._played.runs += 1
        try:
            self._play()
        except Unreadable as unreadable:
            raise Refused(f"{self._recording.path}: {unreadable}") from None
        self._played.decisions += self._player.told.get("verdict", 0)
        self._played.orders += self._player.told.get("order", 0)

    def _play(self) -> None:
        start = self._recording.start
        if not start.program.startswith(f"btcbot {__version__},"):
            self._played.notes.append(f"{self._recording.path.name} was recorded by {start.program}")
        image = self._recording.image()
        store = SqliteStore.from_image(image)
        try:
            bot = self._at("start", lambda: self._build(start, store))
            if bot is None:
                return
            for line in self._recording.cycles():
                if line.broken is not None:
                    self._played.notes.append(
                        f"{self._recording.path.name} ends with a cycle that died ({line.broken}); it is left out"
                    )
                    return
                if self._at(line.cycle_id, partial(self._cycle, bot, line)) is None:
                    return
                self._played.cycles += 1
        finally:
            store.close()

    def _at(self, cycle: str, step: Callable[[], _T]) -> _T | None:
        """What the step gives; None where it came out otherwise than recorded, which is then noted."""
        try:
            return step()
        except Differs as differs:
            what, recorded, now = differs.what, differs.recorded, differs.now
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a changed strategy raises is a difference, and no crash
            what, recorded, now = "it raises", "no error", f"{type(error).__name__}: {error}"
        self._played.difference = ReplayDifference(
            run=self._recording.path.name, cycle=cycle, what=what, recorded=recorded, now=now
        )
        return None

    def _cycle(self, bot: Bot, line: CycleLine) -> bool:
        self._player.load(line)
        report = bot.run_cycle(Wake(line.wake))
        self._player.finish()
        for what, recorded, now in (
            ("its number", line.cycle_id, report.cycle_id),
            ("its outcome", line.outcome, report.outcome.value),
        ):
            if recorded != now:
                raise Differs(f"{what} differs", recorded, now)
        return True

    def _build(self, start: Start, store: StateStore) -> Bot:
        settings, profile = _settings(start, self._recording.path), start.parts or PROFILES.get(start.profile)
        if profile is None:
            raise Refused(f"{self._recording.path}: this btcbot has no profile «{start.profile}»")
        strategy = (self._make_strategy or (lambda settings: strategy_of(profile, settings)))(settings)
        if strategy.name != start.strategy:
            raise Refused(
                f"{self._recording.path}: it was recorded with the strategy «{start.strategy}», and these settings "
                f"give «{strategy.name}»"
            )
        self._player.load(self._recording.built)
        bot = assemble(
            settings,
            profile,
            ports.taped_strategy(self._player, strategy),
            mode=start.mode,
            book_id=start.book_id,
            sockets=on_tape(_sockets(start, store), self._player),
        )
        self._player.finish()
        return bot


def _settings(start: Start, path: Path) -> Settings:
    unknown = sorted(set(start.settings) - set(SETTING_NAMES))
    if unknown:
        raise Refused(f"{path}: this btcbot has no setting {unknown[0]}; replay it with {start.program}")
    try:
        return Settings.model_validate(dict(start.settings))
    except ValidationError as error:
        first = error.errors()[0]
        raise Refused(f"{path}: the recorded setting {first['loc'][0]} is not valid here: {first['msg']}") from None


def _sockets(start: Start, store: StateStore) -> Sockets:
    nobody: Any = _Nobody()  # it stands for every port, by a `__getattr__` that no type checker follows
    return Sockets(
        store=store,
        exchange=nobody,
        clock=nobody,
        metrics=NullMetrics(),
        log=_Silence(),
        stop=nobody,
        gate_policy=msgspec.convert(start.gate_policy, GatePolicy),
        kill_switch=nobody,
        lock=nobody,
        checks=dict.fromkeys(start.checks, nobody.check),
        feed=nobody if start.has_feed else None,
        bars=nobody if start.has_bars else None,
        scanner=nobody if start.has_scanner else None,
        agent=nobody if start.has_agent else None,
        samples=nobody if start.has_samples else None,
        candidates=start.candidates,
    )


class _Nobody:
    """What stands behind the ports of a replay. The tape answers before anybody is asked."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        def ask(*arguments: object, **named: object) -> NoReturn:
            raise AssertionError(f"a replay asked the world for {name}")

        return ask

    def start(self) -> None:
        """Nothing is connected."""

    def close(self) -> None:
        """Nothing was open."""


class _Silence:
    """What was logged then is no part of a replay."""

    def debug(self, event: str, **fields: object) -> None:
        """Say nothing."""

    info = warning = error = debug
