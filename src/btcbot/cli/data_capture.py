"""`btcbot data capture`: the venue's bars, best quotes and trades, live into a dataset. Public data only.

It has no key, opens no database and takes no lock but the dataset's, so it may run beside a bot.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from btcbot.cli import options, output
from btcbot.cli.stopping import ended_by_signals
from btcbot.errors import ConfigurationError, Refused, VenueUnavailable

if TYPE_CHECKING:
    from btcbot.adapters.btcturk.bars import BtcturkCharts
    from btcbot.adapters.btcturk.feed import BtcturkWsClient
    from btcbot.adapters.btcturk.rest import BtcturkHttpClient
    from btcbot.adapters.replay.capture import Capture
    from btcbot.adapters.stop import StopFlag
    from btcbot.config.settings import Settings
    from btcbot.domain.instrument import Instrument

#: A week; who wants more lets it run until it is told to stop.
SECONDS_MAX: Final = 604_800.0
INTERVAL_SECONDS_MAX: Final = 3_600.0
#: From look to look at the feed, which keeps the last fifty trades of a pair.
LOOK_S: Final = 0.2
TELL_S: Final = 1.0
#: Into a pipe a line is enough so often.
TELL_PIPE_S: Final = 60.0
#: One request is given up after so long: the feed is to be looked at meanwhile.
READ_S: Final = 3.0


@click.command(short_help="Record bars, quotes and trades live from the venue.")
@click.option(
    "--into", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The dataset to add to."
)
@click.option("--symbols", required=True, metavar="A,B", help="The pairs.")
@click.option("--seconds", type=float, default=None, help="End by itself after so long; else Ctrl-C ends it.")
@click.option("--bars", "wants_bars", is_flag=True, help="Bars of one minute.")
@click.option("--books", "wants_books", is_flag=True, help="Best bid and ask with their quantities.")
@click.option("--trades", "wants_trades", is_flag=True, help="Trades of everybody.")
@click.option(
    "--interval-seconds", type=float, default=1.0, show_default=True, help="At most one quote of a pair in so long."
)
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
@options.env_file_option
def command(
    folder: Path,
    symbols: str,
    seconds: float | None,
    wants_bars: bool,
    wants_books: bool,
    wants_trades: bool,
    interval_seconds: float,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Record the venue's bars, best quotes and trades live into the dataset DIR, until Ctrl-C or for --seconds.

    Without --bars, --books or --trades all three. The feed tells quotes and trades, REST fills in what it missed and
    stands in while it is down. A second run goes on where the first one ended: it asks for what is missing, writes
    nothing twice, and notes what nobody can get back in DIR/gaps.jsonl. Needs no key and no database.

    \b
    Example:  btcbot data capture --into data/live --symbols BTCTRY,ETHTRY
              btcbot data capture --into data/live --symbols BTCTRY --trades --seconds 3600
    """
    chosen = {"bars": wants_bars, "quotes": wants_books, "trades": wants_trades}
    tables = frozenset(name for name, is_chosen in chosen.items() if is_chosen) or frozenset(chosen)
    capture(folder, symbols, seconds, tables, interval_seconds, as_json=as_json, env_file=env_file)


def capture(
    folder: Path,
    symbols: str,
    seconds: float | None,
    tables: frozenset[str],
    interval_seconds: float,
    *,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Record until stopped, or for `seconds`; the summary is the last line."""
    from btcbot.adapters.replay.extra import demand_research
    from btcbot.adapters.stop import StopFlag
    from btcbot.domain import money

    _demand_seconds(seconds, interval_seconds)
    demand_research("data capture")
    money.arm()
    settings = _settings(symbols, env_file)
    stop = StopFlag()
    with ended_by_signals(stop), _quiet(), _rest(settings, stop) as rest:
        instruments = _instruments(settings, rest)
        with _feed(settings, tables) as feed, _charts(settings, rest, stop, tables) as charts:
            from btcbot.adapters.clock import SystemClock
            from btcbot.adapters.replay.capture import Capture, Wanted
            from btcbot.adapters.replay.writer import DatasetWriter

            wanted = Wanted(
                symbols=settings.symbols,
                tables=tables,
                interval_ms=round(interval_seconds * 1_000),
                instruments=instruments,
            )
            began_s = time.monotonic()
            with DatasetWriter.open(folder) as writer:
                made = Capture(wanted, writer, folder, clock=SystemClock(), rest=rest, feed=feed, charts=charts)
                try:
                    _run(made, feed, stop, began_s, seconds)
                finally:
                    made.close()
    _end(made, folder, time.monotonic() - began_s, as_json=as_json, was_stopped=stop.is_set())


def _run(made: Capture, feed: BtcturkWsClient | None, stop: StopFlag, began_s: float, seconds: float | None) -> None:
    over_at_s = None if seconds is None else began_s + seconds
    show = _Progress(made, began_s)
    while not stop.is_set() and (over_at_s is None or time.monotonic() < over_at_s):
        made.step()
        show.tell()
        left_s = LOOK_S if over_at_s is None else min(LOOK_S, max(over_at_s - time.monotonic(), 0))
        stop.wait(left_s)
    show.end()


class _Progress:
    """On a terminal a line that changes each second, into a pipe one a minute; both on stderr."""

    def __init__(self, made: Capture, began_s: float) -> None:
        self._made = made
        self._began_s = began_s
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._told_s = began_s if not self._is_terminal else 0.0

    def tell(self) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s < (TELL_S if self._is_terminal else TELL_PIPE_S):
            return
        self._told_s = now_s
        made = self._made
        counts = ", ".join(f"{made.rows[name]} {name}" for name in ("bars", "quotes", "trades"))
        line = f"{output.duration(now_s - self._began_s)}: {counts}, {made.gaps} gaps"
        if why := made.why_feed_down or made.trouble:
            line += f" · {output.clean(why)}"
        if self._is_terminal:
            click.echo(f"\r\x1b[2K{line[:100]}", nl=False, err=True)
        else:
            click.echo(line, err=True)

    def end(self) -> None:
        if self._is_terminal:
            click.echo("\r\x1b[2K", nl=False, err=True)


def _end(made: Capture, folder: Path, seconds: float, *, as_json: bool, was_stopped: bool) -> None:
    stored = {name: made.stored[name] for name in ("bars", "quotes", "trades")}
    if not was_stopped and not any(stored.values()):
        why = made.trouble or made.why_feed_down or "the venue told nothing new"
        raise VenueUnavailable(f"nothing was captured within {seconds:.0f} s: {why}")
    if as_json:
        output.json_line({**stored, "gaps": made.gaps, "seconds": round(seconds, 3), "dataset": str(folder)})
        return
    told = ", ".join(f"{count} {name}" for name, count in stored.items())
    gaps = f"; {made.gaps} gaps, named in {folder / 'gaps.jsonl'}" if made.gaps else ""
    output.line(f"captured in {output.duration(seconds)}: {told}{gaps} → {folder}")


# -- where it comes from -----------------------------------------------------------------------------------------------


def _demand_seconds(seconds: float | None, interval_seconds: float) -> None:
    if seconds is not None and not 0 < seconds <= SECONDS_MAX:  # nan too
        raise Refused(f"--seconds: give a number above 0, at most {SECONDS_MAX:.0f}")
    if not 0 < interval_seconds <= INTERVAL_SECONDS_MAX:
        raise Refused(f"--interval-seconds: give a number above 0, at most {INTERVAL_SECONDS_MAX:.0f}")


def _settings(symbols: str, env_file: Path | None) -> Settings:
    """Those of `run`, for these pairs; the feed is wanted, whatever quotes a bot is to take."""
    from btcbot.config import values
    from btcbot.config.loading import load_settings

    try:
        wanted = values.symbols(symbols)
    except ValueError as error:
        raise Refused(f"--symbols {error}") from None
    settings = load_settings(os.environ, env_file, {}).settings
    return settings.model_copy(update={"symbols": wanted, "market_data_mode": "auto"})


@contextmanager
def _rest(settings: Settings, stop: StopFlag) -> Iterator[BtcturkHttpClient]:
    import structlog

    from btcbot.adapters.btcturk.requester import Timing
    from btcbot.adapters.btcturk.rest import BtcturkHttpClient
    from btcbot.adapters.clock import SystemClock
    from btcbot.adapters.metrics import NullMetrics

    client = BtcturkHttpClient(
        settings.btcturk_base_url,
        clock=SystemClock(),
        stop=stop,
        metrics=NullMetrics(),
        log=structlog.get_logger("btcbot"),
        timing=Timing(read_s=READ_S, attempts_max=1, wait_s_max=0.0),
    )
    try:
        yield client
    finally:
        client.close()


def _instruments(settings: Settings, rest: BtcturkHttpClient) -> dict[str, Instrument]:
    """Of the wanted pairs. Refuses one that the venue does not list; a venue in trouble is no reason not to begin."""
    from btcbot.bootstrap.listing import demand_listed

    try:
        listed = rest.instruments()
    except VenueUnavailable:
        return {}
    for symbol in settings.symbols:
        demand_listed(symbol, listed, "--symbols: ")
    return {symbol: listed[symbol] for symbol in settings.symbols}


@contextmanager
def _feed(settings: Settings, tables: frozenset[str]) -> Iterator[BtcturkWsClient | None]:
    """The feed that the settings name, started; None beside a simulator whose feed was not named, or for bars alone."""
    import structlog

    from btcbot.bootstrap import feed_url

    url = feed_url(settings)
    if url is None or tables == {"bars"}:
        yield None
        return
    from btcbot.adapters.btcturk.feed import BtcturkWsClient
    from btcbot.adapters.clock import SystemClock
    from btcbot.adapters.metrics import NullMetrics

    feed = BtcturkWsClient(
        url, settings.symbols, clock=SystemClock(), metrics=NullMetrics(), log=structlog.get_logger("btcbot")
    )
    feed.start()
    try:
        yield feed
    finally:
        feed.close()


@contextmanager
def _charts(
    settings: Settings, rest: BtcturkHttpClient, stop: StopFlag, tables: frozenset[str]
) -> Iterator[BtcturkCharts | None]:
    import structlog

    from btcbot.bootstrap import graph_url

    if "bars" not in tables:
        yield None
        return
    url = graph_url(settings)
    if url is None:
        raise ConfigurationError(
            "BTCTURK_GRAPH_URL: to capture bars of a simulator, give the address of its charts, which its «serve» "
            "prints; or capture --books and --trades alone"
        )
    from btcbot.adapters.btcturk.bars import BtcturkCharts
    from btcbot.adapters.clock import SystemClock
    from btcbot.adapters.metrics import NullMetrics

    charts = BtcturkCharts(
        url,
        venue_time_ms=rest.venue_time_ms,
        clock=SystemClock(),
        stop=stop,
        metrics=NullMetrics(),
        log=structlog.get_logger("btcbot"),
    )
    try:
        yield charts
    finally:
        charts.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """The command's own lines are the report."""
    from btcbot.adapters.logs import configure_logging, shutdown_logging

    configure_logging("CRITICAL", [])
    try:
        yield
    finally:
        shutdown_logging()
