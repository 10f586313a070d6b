"""`btcbot run`: the main job. Trading cycles, once or in a loop, until told to stop."""

from __future__ import annotations

import os
import random
import signal
import sys
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import click

from btcbot.errors import EXIT_FAILED, BtcbotError, Refused

if TYPE_CHECKING:
    from btcbot.adapters.stop import StopFlag
    from btcbot.bootstrap import Bot
    from btcbot.config.settings import Settings


#: A loop that thinks less than once a day is a typing error.
SECONDS_MAX: Final = 86_400


@click.command("run")
@click.option("--dry-run", is_flag=True, help="Simulate whatever the settings say.")
@click.option("--paper", is_flag=True, help="Trade at a venue of our own against the real market; needs no keys.")
@click.option("--once/--loop", "once", default=True, help="One cycle (default), or cycles until stopped.")
@click.option("--cycle-seconds", type=float, default=10.0, show_default=True, help="From tick to tick of the loop.")
@click.option("--jitter-seconds", type=float, default=0.0, show_default=True, help="Most that is added to a pause.")
@click.option("--max-cycles", type=click.IntRange(min=1), default=None, help="End the loop after so many cycles.")
@click.option("--env-file", type=click.Path(path_type=Path), default=None, help="Settings file, instead of .env.live.")
@click.option("--db", type=click.Path(path_type=Path), default=None, help="State database, instead of STATE_DB_PATH.")
@click.option("--cancel-on-exit", is_flag=True, help="Ask for the cancellation of resting orders before ending.")
def command(
    dry_run: bool,
    paper: bool,
    once: bool,
    cycle_seconds: float,
    jitter_seconds: float,
    max_cycles: int | None,
    env_file: Path | None,
    db: Path | None,
    cancel_on_exit: bool,
) -> None:
    """Run trading cycles.

    Without any setting this is a dry run: simulated orders are recorded, none is sent. Real orders need every safety
    gate open; the first line says which are not. A signal (Ctrl-C, SIGTERM) ends the loop after the write in hand; a
    second one ends it at once, and the next start recovers either way.

    With --paper, orders go to a venue of our own, in a file beside a database of its own: they rest, fill against the
    real market's prices and trades, and cost fees, and nothing reaches the real venue.

    \b
    btcbot run                               one cycle, simulated
    btcbot run --loop --cycle-seconds 10     until Ctrl-C
    btcbot run --loop --env-file live.env    with the settings of a file
    btcbot run --paper --loop --db paper.db  fills against the live market, on paper
    """
    from btcbot import bootstrap
    from btcbot.adapters.clock import SystemClock
    from btcbot.adapters.logs import configure_logging, flush_logs, shutdown_logging
    from btcbot.adapters.metrics import make_metrics
    from btcbot.adapters.stop import StopFlag
    from btcbot.config.loading import load_settings
    from btcbot.loop import LoopOptions, run_with_optional_loop

    if dry_run and paper:
        raise Refused("--dry-run and --paper: give one of them; only --paper fills orders")
    overrides = {"DRY_RUN": "true"} if dry_run or paper else {}
    if db is not None:
        overrides["STATE_DB_PATH"] = str(db)
    settings = load_settings(os.environ, env_file, overrides).settings
    _demand_cycle_length(settings, cycle_seconds, jitter_seconds, loop=not once)
    _demand_armed_or_dry(settings)
    _demand_time_for_books(settings, loop=not once)

    import structlog

    configure_logging(settings.log_level, [s for s in (settings.btcturk_api_key, settings.btcturk_api_secret) if s])
    log = structlog.get_logger("btcbot")
    exporter = settings.observability_metrics_exporter if settings.observability_enabled else "none"
    try:
        metrics = make_metrics(exporter, settings.observability_prometheus_port, settings.observability_otlp_endpoint)
    except BtcbotError:
        _demand_alone(settings)  # the port is taken by the bot that runs already: then that is what to say
        raise
    stop = StopFlag()
    _end_on_signals(stop)
    try:
        loop = not once
        if paper:
            from btcbot.bootstrap import paper as on_paper

            bot = on_paper.build(settings, stop=stop, metrics=metrics, log=log, with_feed=loop, with_journal=loop)
        else:
            bot = bootstrap.build(settings, stop=stop, metrics=metrics, log=log, with_feed=loop, with_journal=loop)
        try:
            _demand_not_halted(bot)
            bootstrap.tradable_now(bot.exchange, settings, log)
            click.echo(_banner(bot, settings), err=True)
            status = run_with_optional_loop(
                bot.run_cycle,
                LoopOptions(
                    loop=not once,
                    cycle_seconds=cycle_seconds,
                    jitter_seconds=jitter_seconds,
                    cycles_max=max_cycles,
                    gap_seconds=float(bootstrap.cycle_seconds_min(settings)),
                    wake_seconds=settings.feed_wake_ms / 1000 if settings.feed_wake_ms else None,
                ),
                SystemClock(),
                stop,
                random.SystemRandom().random,
                metrics,
                flush_logs,
                log,
                wait=bot.waiting(stop) if not once else None,
            )
            if cancel_on_exit:
                bot.cancel_resting()
            bot.close_feed()
            flush_logs(1.0)  # the farewell is the last line
            click.echo(_farewell(bot, status), err=True)
        finally:
            bot.close()
    except BtcbotError as error:
        log.error("run_ended_by_error", error=str(error))  # for whoever reads only the log
        raise
    except Exception:
        log.critical("uncaught_exception", exc_info=True)
        raise
    finally:
        metrics.flush(1.0)
        shutdown_logging()
    sys.exit(status)


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


def _demand_time_for_books(settings: Settings, *, loop: bool) -> None:
    """Books come with time; a single cycle would end before the first of them."""
    if settings.market_data_mode == "ws" and not loop:
        raise Refused("MARKET_DATA_MODE=ws needs --loop; a single cycle takes its quotes from REST: set auto or rest")


def _demand_not_halted(bot: Bot) -> None:
    from btcbot.domain.reasons import TradingState

    state, why = bot.store.trading_state()
    if state is TradingState.HALTED:
        raise Refused(f"the bot halted ({why}); look at «btcbot status», then «btcbot resume --reason …»")


def _banner(bot: Bot, settings: Settings) -> str:
    """Whether this run can write to the venue, before it does anything."""
    from btcbot.domain.permit import WriteKind

    closed = bot.closed_to_venue(WriteKind.SUBMIT)
    side_effects = f"BLOCKED by {', '.join(gate.value.removeprefix('gate_closed:') for gate in closed)}"
    return (
        f"btcbot run: side effects {side_effects if closed else 'ARMED'} · mode {bot.mode} · "
        f"{','.join(settings.symbols)} · {settings.state_db_path}"
    )


def _farewell(bot: Bot, status: int) -> str:
    resting = bot.resting_order_ids()
    state, why = bot.store.trading_state()
    left = f"left resting at the venue: {', '.join(resting)}" if resting else "no order left at the venue"
    note = f" · {state.value}: {why}" if status == EXIT_FAILED and why else ""
    return f"btcbot run: ended · {left}{note}"


def _end_on_signals(stop: StopFlag) -> None:
    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)  # asked twice: at once, as a crash would; the next start recovers
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask)
