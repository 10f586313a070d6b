"""Puts a bot on tape: the same service graph, with a recorder between it and the world."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import msgspec

from btcbot import __version__
from btcbot.adapters.journal import lines, ports
from btcbot.adapters.journal.agent import TapedAgent
from btcbot.adapters.journal.files import JournalFull, open_life
from btcbot.adapters.journal.lines import Start, State
from btcbot.adapters.journal.recorder import IS_ON, Recorder
from btcbot.adapters.journal.samples import TapedSamples
from btcbot.adapters.journal.scanner import TapedScanner
from btcbot.bootstrap.agents import agent_key
from btcbot.bootstrap.assembly import assemble
from btcbot.bootstrap.bot import Bot
from btcbot.bootstrap.sockets import Sockets
from btcbot.config.description import shown, shown_setting
from btcbot.config.settings import SETTING_NAMES
from btcbot.config.sources import SECRET_SETTINGS
from btcbot.domain.cycles import CycleReport
from btcbot.domain.feed import Wake
from btcbot.errors import StoreFailed
from btcbot.profiles import Profile
from btcbot.services.operator import REQUEST
from btcbot.strategies.base import Strategy

if TYPE_CHECKING:
    from btcbot.config.settings import Settings

#: The one value of the database that other processes leave there while the bot runs.
ASKED: Final = frozenset({REQUEST})
#: Neither of use to a replay nor anybody's business: where keys lie, and an address that may carry a password.
_LEFT_OUT: Final = frozenset(
    {
        *SECRET_SETTINGS,
        *(f"{name}_FILE" for name in SECRET_SETTINGS),
        "OBSERVABILITY_OTLP_ENDPOINT",
        "AGENT_LLM_KEY_FILE",
    }
)


class RecordedBot(Bot):
    """A bot whose cycles are written down, each when it is over. To everybody else it is the bot that it records."""

    def __init__(self, bot: Bot, recorder: Recorder, sockets: Sockets) -> None:
        super().__init__(
            bot.cycle,
            bot.services,
            sockets.store,
            sockets.exchange,
            sockets.lock,
            sockets.clock,
            bot.mode,
            sockets.bars,
            sockets.agent,
        )
        self._recorder = recorder

    def run_cycle(self, wake: Wake = Wake.TIME) -> CycleReport:
        self._recorder.begin()
        try:
            report = super().run_cycle(wake)
        except Exception as error:  # whatever ends a cycle is recorded, and goes on to the loop
            self._recorder.end("", wake, None, f"{type(error).__name__}: {error}")
            raise
        self._recorder.end(report.cycle_id, wake, report.outcome.value)
        return report

    def close(self) -> None:
        self._recorder.close()
        super().close()


def assemble_on_record(
    settings: Settings,
    profile: Profile,
    strategy: Strategy,
    *,
    mode: str,
    book_id: str,
    sockets: Sockets,
    image: Callable[[], bytes],
) -> Bot:
    """As `assemble`, with a journal beside the database. Where there can be none, a warning says so and the bot runs
    without. `image` gives the database as it is now."""
    held = (settings.btcturk_api_key, settings.btcturk_api_secret, agent_key(settings))
    secrets = tuple(one for one in held if one is not None)
    try:
        file, state = open_life(settings.state_db_path, image(), settings.journal_mb_max * 2**20)
    except (OSError, JournalFull, StoreFailed) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        sockets.log.warning("journal_off", why=why, database=str(settings.state_db_path))
        sockets.metrics.gauge(IS_ON, 0)
        return assemble(settings, profile, strategy, mode=mode, book_id=book_id, sockets=sockets)
    recorder = Recorder(file, secrets, sockets.metrics, sockets.log)
    with ExitStack() as undo:
        undo.callback(recorder.close, "the bot could not be built")
        bot = assemble(
            settings,
            profile,
            ports.taped_strategy(recorder, strategy),
            mode=mode,
            book_id=book_id,
            sockets=on_tape(sockets, recorder),
        )
        undo.pop_all()
    recorder.start(_start(settings, profile, strategy, mode, book_id, sockets, state))
    return RecordedBot(bot, recorder, sockets)


def on_tape(sockets: Sockets, tape: ports.Tape) -> Sockets:
    """The same sockets, with everything that a cycle is told and writes on the tape.

    Signals that are plugged in are a backtest's, which can be run again and is not recorded.
    """
    return msgspec.structs.replace(
        sockets,
        store=ports.taped_store(tape, sockets.store, ASKED),
        exchange=ports.TapedExchange(tape, sockets.exchange),
        clock=ports.TapedClock(tape, sockets.clock),
        stop=ports.TapedStop(tape, sockets.stop),
        kill_switch=ports.TapedKillSwitch(tape, sockets.kill_switch),
        lock=ports.TapedLock(tape, sockets.lock),
        checks={name: ports.taped_check(tape, name, check) for name, check in sockets.checks.items()},
        feed=None if sockets.feed is None else ports.TapedFeed(tape, sockets.feed),
        bars=None if sockets.bars is None else ports.TapedBars(tape, sockets.bars),
        scanner=None if sockets.scanner is None else TapedScanner(tape, sockets.scanner),
        agent=None if sockets.agent is None else TapedAgent(tape, sockets.agent),
        samples=None if sockets.samples is None else TapedSamples(tape, sockets.samples),
    )


def parameters_of(strategy: Strategy) -> dict[str, str]:
    """What a strategy was set to, as text; of one that is no struct nothing can be told."""
    if not isinstance(strategy, msgspec.Struct):
        return {}
    return {name: shown(value) for name, value in msgspec.structs.asdict(strategy).items()}


def _start(
    settings: Settings,
    profile: Profile,
    strategy: Strategy,
    mode: str,
    book_id: str,
    sockets: Sockets,
    state: State,
) -> Start:
    # Without STRATEGY the profile's own decides, and that is another one than the setting's default.
    left_out = _LEFT_OUT if "strategy" in settings.model_fields_set else _LEFT_OUT | {"STRATEGY"}
    texts = {name: shown_setting(settings, name) for name in SETTING_NAMES if name not in left_out}
    return Start(
        schema=lines.SCHEMA,
        wall_ms=sockets.clock.now_ms(),
        program=f"btcbot {__version__}, Python {platform.python_version()}",
        mode=mode,
        book_id=book_id,
        profile=profile.name,
        strategy=strategy.name,
        parameters=parameters_of(strategy),
        settings={name: text for name, text in texts.items() if text},
        gate_policy=msgspec.structs.asdict(sockets.gate_policy),
        checks=tuple(sockets.checks),
        has_feed=sockets.feed is not None,
        has_bars=sockets.bars is not None,
        parts=profile,
        has_scanner=sockets.scanner is not None,
        has_agent=sockets.agent is not None,
        has_samples=sockets.samples is not None,
        candidates=sockets.candidates,
        state=state,
    )
