"""Runs a profile until it is told to stop: what `run`, `stage4-run`, `stage7-run` and `canary` have in common."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from btcbot.cli.stopping import end_on_signals
from btcbot.errors import EXIT_FAILED, BtcbotError, Refused

if TYPE_CHECKING:
    from btcbot.bootstrap import Bot
    from btcbot.config.loading import LoadedSettings
    from btcbot.config.settings import Settings
    from btcbot.loop import RunCycle
    from btcbot.ports import Log
    from btcbot.profiles import Profile

#: A loop that thinks less than once a day is a typing error.
SECONDS_MAX: Final = 86_400

F = TypeVar("F", bound=Callable[..., Any])


class RunOptions(NamedTuple):
    """The options that all commands that run cycles share. `is_loop` False: one cycle."""

    is_loop: bool
    cycle_seconds: float
    jitter_seconds: float
    max_cycles: int | None
    env_file: Path | None
    db: Path | None
    cancel_on_exit: bool


def running_options(command: F) -> F:
    """The options of `RunOptions`, as click gives them by name; `options_of` reads them back."""
    options = (
        click.option("--once/--loop", "once", default=True, help="One cycle (default), or cycles until stopped."),
        click.option(
            "--cycle-seconds", type=float, default=10.0, show_default=True, help="From tick to tick of the loop."
        ),
        click.option(
            "--jitter-seconds", type=float, default=0.0, show_default=True, help="Most that is added to a pause."
        ),
        click.option(
            "--max-cycles", type=click.IntRange(min=1), default=None, help="End the loop after so many cycles."
        ),
        click.option(
            "--env-file", type=click.Path(path_type=Path), default=None, help="Settings file, instead of .env.live."
        ),
        click.option(
            "--db", type=click.Path(path_type=Path), default=None, help="State database, instead of STATE_DB_PATH."
        ),
        click.option(
            "--cancel-on-exit", is_flag=True, help="Ask for the cancellation of resting orders before ending."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def options_of(given: Mapping[str, Any]) -> RunOptions:
    """The shared options out of what click gives."""
    return RunOptions(
        is_loop=not given["once"],
        cycle_seconds=given["cycle_seconds"],
        jitter_seconds=given["jitter_seconds"],
        max_cycles=given["max_cycles"],
        env_file=given["env_file"],
        db=given["db"],
        cancel_on_exit=given["cancel_on_exit"],
    )


def run_profile(
    profile: Profile,
    options: RunOptions,
    overrides: Mapping[str, str],
    *,
    on_paper: bool = False,
    check: Callable[[Settings], None] | None = None,
    around: Callable[[Bot, RunCycle], RunCycle] | None = None,
) -> int:
    """Exit status of the loop. `overrides` are settings that the command line gives; `check` may refuse the settings;
    `around` may put something around each cycle."""
    from btcbot import bootstrap
    from btcbot.adapters.clock import SystemClock
    from btcbot.adapters.logs import configure_logging, flush_logs, shutdown_logging
    from btcbot.adapters.metrics import make_metrics
    from btcbot.adapters.stop import StopFlag
    from btcbot.bootstrap import paper
    from btcbot.bootstrap.agents import agent_key, asks_an_agent
    from btcbot.bootstrap.room import tradable_now
    from btcbot.config.loading import load_settings
    from btcbot.loop import LoopOptions, run_with_optional_loop

    if options.db is not None:
        overrides = {**overrides, "STATE_DB_PATH": str(options.db)}
    loaded = load_settings(os.environ, options.env_file, overrides)
    settings = loaded.settings
    if not profile.is_overseen:
        _tell_what_has_no_effect(loaded, profile)
    if check is not None:
        check(settings)
    loop = options.is_loop
    _demand_cycle_length(settings, options.cycle_seconds, options.jitter_seconds, loop=loop)
    _demand_armed_or_dry(settings)
    _demand_time_for_books(settings, options.cycle_seconds, loop=loop)
    if profile.is_overseen and loop and asks_an_agent(settings):
        _demand_time_for_an_agent(settings, options.cycle_seconds)

    import structlog

    held = (settings.btcturk_api_key, settings.btcturk_api_secret, agent_key(settings))
    configure_logging(settings.log_level, [secret for secret in held if secret])
    log = structlog.get_logger("btcbot")
    exporter = settings.observability_metrics_exporter if settings.observability_enabled else "none"
    try:
        metrics = make_metrics(exporter, settings.observability_prometheus_port, settings.observability_otlp_endpoint)
    except BtcbotError:
        _demand_alone(settings)  # the port is taken by the bot that runs already: then that is what to say
        raise
    stop = StopFlag()
    end_on_signals(stop)
    build = paper.build if on_paper else bootstrap.build
    try:
        bot = build(settings, stop=stop, metrics=metrics, log=log, profile=profile, with_feed=loop, with_journal=loop)
        try:
            _demand_not_halted(bot)
            tradable_now(bot.exchange, settings, log, profile)
            click.echo(_banner(bot, settings, profile.name), err=True)
            _tell_what_is_held_besides(bot, settings, profile.name)
            _tell_that_nothing_can_be_bought(bot, settings, profile, log)
            status = run_with_optional_loop(
                bot.run_cycle if around is None else around(bot, bot.run_cycle),
                LoopOptions(
                    loop=loop,
                    cycle_seconds=options.cycle_seconds,
                    jitter_seconds=options.jitter_seconds,
                    cycles_max=options.max_cycles,
                    gap_seconds=float(bootstrap.cycle_seconds_min(settings)),
                    wake_seconds=settings.feed_wake_ms / 1000 if settings.feed_wake_ms else None,
                ),
                SystemClock(),
                stop,
                random.SystemRandom().random,
                metrics,
                flush_logs,
                log,
                wait=bot.waiting(stop) if loop else None,
            )
            if options.cancel_on_exit:
                bot.cancel_resting()
            bot.close_feed()
            flush_logs(1.0)  # the farewell is the last line
            click.echo(_farewell(bot, status, profile.name), err=True)
        finally:
            bot.close()
    except BtcbotError as error:
        log.error("run_ended_by_error", error=str(error))  # for whoever reads only the log
        raise
    except Exception:  # a defect of the program: the log keeps it, and `main` tells it
        log.critical("uncaught_exception", exc_info=True)
        raise
    finally:
        metrics.flush(1.0)
        shutdown_logging()
    return status


def _demand_cycle_length(settings: Settings, cycle_seconds: float, jitter_seconds: float, *, loop: bool) -> None:
    from btcbot import bootstrap

    # Written so that nan is refused too.
    if not 0 <= jitter_seconds <= SECONDS_MAX:
        raise Refused(f"--jitter-seconds: give a number from 0 to {SECONDS_MAX}")
    if not 0 < cycle_seconds <= SECONDS_MAX:
        raise Refused(f"--cycle-seconds: give a number above 0, at most {SECONDS_MAX}")
    least = bootstrap.cycle_seconds_min(settings)
    if loop and Decimal(str(cycle_seconds)) < least:
        raise Refused(
            f"--cycle-seconds: the venue's limits allow {len(settings.symbols)} symbols a cycle of at least {least} s; "
            f"give {least} or more, or fewer SYMBOLS"
        )


def _tell_what_has_no_effect(loaded: LoadedSettings, profile: Profile) -> None:
    """A limit that somebody set and that nothing reads protects nothing: that has to be seen."""
    from btcbot.bootstrap.strategies import parameters_in_force
    from btcbot.config.settings import OVERSEEN_ONLY
    from btcbot.config.sources import DEFAULT

    idle = [name for name in sorted(OVERSEEN_ONLY) if loaded.origins[name] != DEFAULT]
    if "RISK_MAX_POSITION_PCT" in idle and "position_share_max" in parameters_in_force(profile, loaded.settings):
        idle.remove("RISK_MAX_POSITION_PCT")  # a portfolio that leans against moves reads it in every profile
    if idle:
        click.echo(
            f"btcbot {profile.name}: no effect here: {', '.join(idle)}; only stage4-run and stage7-run read "
            f"{'it' if len(idle) == 1 else 'them'}",
            err=True,
        )


def _tell_what_is_held_besides(bot: Bot, settings: Settings, name: str) -> None:
    """A position in a symbol that nobody named is easily forgotten: it may lose its worth unseen."""
    for symbol, position in sorted(bot.store.positions().items()):
        if position.quantity and symbol not in settings.symbols:
            click.echo(
                f"btcbot {name}: {symbol} is held and not in SYMBOLS: {bot.services.universe.fate_of_others}; name it "
                f"there, or sell it by hand and «btcbot position release {symbol} …»",
                err=True,
            )


def _tell_that_nothing_can_be_bought(bot: Bot, settings: Settings, profile: Profile, log: Log) -> None:
    """Cycles over too little cash complete, with nothing to say of it: that has to be said once, at the start."""
    from btcbot.bootstrap.meaning import PAPER, QUOTE_ASSET
    from btcbot.bootstrap.room import cash_problem
    from btcbot.bootstrap.strategies import parameters_in_force
    from btcbot.domain.orders import OPEN
    from btcbot.errors import VenueUnavailable

    if any(position.quantity for position in bot.store.positions().values()) or bot.store.orders(tuple(OPEN)):
        return  # what is sold, or cancelled, is cash again
    try:
        cash = bot.exchange.balances().total(QUOTE_ASSET)
        instruments = bot.exchange.instruments()
    except VenueUnavailable:
        return  # the first cycle tells what ails it
    why = cash_problem(settings, instruments, profile, parameters_in_force(profile, settings), cash)
    if why is None:
        return
    more = {
        "dry_run": "raise DRY_RUN_TRY_BALANCE",
        PAPER: "raise DRY_RUN_TRY_BALANCE and begin another STATE_DB_PATH",
    }.get(bot.mode, "pay in more TRY")
    log.warning("nothing_can_be_bought", why=f"{why} {more}")
    click.echo(f"btcbot {profile.name}: nothing can be bought: {why} {more}", err=True)


def _demand_alone(settings: Settings) -> None:
    from btcbot.cli import reading

    held = reading.writer(settings.state_db_path)
    if held is not None:
        raise Refused(
            f"another btcbot ({held}) writes to the database {settings.state_db_path}; "
            "stop it, or give this one its own STATE_DB_PATH"
        )


def _demand_armed_or_dry(settings: Settings) -> None:
    """Without DRY_RUN the wish is to trade; a start that could never trade is refused instead of looking alive."""
    if not settings.dry_run and not settings.live_trading:
        raise Refused(
            "DRY_RUN is false but LIVE_TRADING is not set, so nothing could be sent; set LIVE_TRADING=true and "
            "LIVE_TRADING_ACK=I_UNDERSTAND to trade, or DRY_RUN=true to simulate"
        )


def _demand_time_for_books(settings: Settings, cycle_seconds: float, *, loop: bool) -> None:
    """Books come with time, and are compared with REST in turn: where the feed has to serve alone, that has to do."""
    from btcbot.services.feed import books_compared_max

    if settings.market_data_mode != "ws":
        return
    if not loop:
        raise Refused("MARKET_DATA_MODE=ws needs --loop; a single cycle takes its quotes from REST: set auto or rest")
    chosen = settings.universe_top_n if settings.universe_candidates == "listed" else 0
    books, believed = max(len(settings.symbols), chosen), settings.book_check_seconds
    compared = books_compared_max(believed, cycle_seconds)
    if compared < books:
        raise Refused(
            f"BOOK_CHECK_SECONDS: within {believed} s, at a cycle of {cycle_seconds:g} s, only {compared} of {books} "
            "books can be compared with REST, and with MARKET_DATA_MODE=ws nothing is traded on the others; give more "
            "seconds, fewer pairs, a shorter --cycle-seconds, or MARKET_DATA_MODE=auto"
        )


def _demand_time_for_an_agent(settings: Settings, cycle_seconds: float) -> None:
    """An agent that may think longer than a cycle lasts would make every cycle late."""
    if float(settings.agent_llm_timeout_seconds) >= cycle_seconds:
        raise Refused(
            f"AGENT_LLM_TIMEOUT_SECONDS: {settings.agent_llm_timeout_seconds:f} is no less than --cycle-seconds "
            f"{cycle_seconds:g}; lower the one or raise the other"
        )


def _demand_not_halted(bot: Bot) -> None:
    from btcbot.domain.reasons import TradingState

    state, why = bot.store.trading_state()
    if state is TradingState.HALTED:
        raise Refused(f"the bot halted ({why}); look at «btcbot status», then «btcbot resume --reason …»")


def _banner(bot: Bot, settings: Settings, name: str) -> str:
    """Whether this run can write to the venue, before it does anything."""
    from btcbot.domain.permit import WriteKind

    closed = bot.closed_to_venue(WriteKind.SUBMIT)
    side_effects = f"BLOCKED by {', '.join(gate.value.removeprefix('gate_closed:') for gate in closed)}"
    return (
        f"btcbot {name}: side effects {side_effects if closed else 'ARMED'} · mode {bot.mode} · "
        f"{','.join(settings.symbols)} · {settings.state_db_path}"
    )


def _farewell(bot: Bot, status: int, name: str) -> str:
    resting = bot.resting_order_ids()
    state, why = bot.store.trading_state()
    left = f"left resting at the venue: {', '.join(resting)}" if resting else "no order left at the venue"
    note = f" · {state.value}: {why}" if status == EXIT_FAILED and why else ""
    return f"btcbot {name}: ended · {left}{note}"
