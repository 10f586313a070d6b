"""`btcbot watch`: the order book and the last trades of one pair, live from the venue's feed. Public data only.

It has no key, opens no database and takes no lock, so it may run beside a bot. On a terminal it is a picture that
changes; into a pipe it is a line a second; with `--json` a line for each change of the best prices and each trade.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from btcbot.cli import options, output, watch_views
from btcbot.cli.stopping import ended_by_signals
from btcbot.cli.watch_state import Tally, Watch
from btcbot.errors import ConfigurationError, Refused, VenueUnavailable

if TYPE_CHECKING:
    from btcbot.adapters.btcturk.feed import BtcturkWsClient
    from btcbot.config.settings import Settings
    from btcbot.ports import Metrics

#: What --for may be: a watch for longer than a day needs no end.
SECONDS_MAX: Final = 86_400
LEVELS_MAX: Final = 50
#: From look to look: on a terminal eyes follow no faster, for scripts no trade may slip through.
LOOK_S: Final = 0.2
LOOK_JSON_S: Final = 0.05


@click.command(short_help="Show the order book and trades of a pair, live.")
@click.argument("symbol")
@click.option("--levels", type=click.IntRange(1, LEVELS_MAX), default=10, show_default=True, help="Of each side.")
@click.option("--for", "seconds", type=float, default=None, metavar="SECONDS", help="End by itself after so long.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each change of the best prices, each trade.")
@options.env_file_option
def command(symbol: str, levels: int, seconds: float | None, as_json: bool, env_file: Path | None) -> None:
    """Show the order book and the last trades of SYMBOL, live from the venue's feed, until Ctrl-C.

    Needs no key and no database, and trades nothing. The feed's address is that of `run`: BtcTurk's own, or
    BTCTURK_WS_URL for a simulator. Without a terminal it prints a line a second. Exit status 2 for a pair that the
    venue does not know, 1 when --for ends before there was anything to show.

    \b
    Example:  btcbot watch BTCTRY
              btcbot watch BTCTRY --for 60 --json
    """
    from btcbot.adapters.stop import StopFlag
    from btcbot.bootstrap.listing import demand_listed
    from btcbot.cli import venue
    from btcbot.domain import money

    if seconds is not None and not 0 < seconds <= SECONDS_MAX:  # nan too
        raise Refused(f"--for: give a number above 0, at most {SECONDS_MAX}")
    money.arm()
    settings = _settings(symbol, env_file)
    (wanted,) = settings.symbols
    stop = StopFlag()
    with ended_by_signals(stop), venue.public(settings) as exchange:
        with suppress(VenueUnavailable):  # the feed may serve all the same, and its silence tells of a wrong pair
            demand_listed(wanted, exchange.instruments())
        tally = Tally()
        with _feed(settings, tally) as feed:
            watch = Watch(wanted, feed, tally, levels)
            show = watch_views.of(watch, as_json=as_json)
            look_s = LOOK_JSON_S if as_json else LOOK_S
            over_at_s = None if seconds is None else time.monotonic() + seconds
            with show.opened():
                while not stop.is_set() and (over_at_s is None or time.monotonic() < over_at_s):
                    watch.look()
                    watch.demand_known()
                    show.tell()
                    left_s = look_s if over_at_s is None else min(look_s, max(over_at_s - time.monotonic(), 0))
                    feed.wait(left_s, stop)
                    if not as_json:
                        stop.wait(left_s)  # a moving market must not make a picture a film
            if not stop.is_set() and not watch.has_shown:
                raise VenueUnavailable(f"nothing came of {wanted} within {seconds:g} s: {watch.why_nothing}")


def _settings(symbol: str, env_file: Path | None) -> Settings:
    """Those of `run`, for this one pair; whoever asks to watch the feed wants it, whatever quotes a bot is to take."""
    from btcbot.config import values
    from btcbot.config.loading import load_settings

    try:
        wanted = values.symbols(symbol)
    except ValueError:
        wanted = ()
    if not isinstance(wanted, tuple) or len(wanted) != 1:
        raise Refused(f"«{output.clean(symbol)}» is no pair; write one such as BTCTRY")
    settings = load_settings(os.environ, env_file, {}).settings
    return settings.model_copy(update={"symbols": wanted, "market_data_mode": "auto"})


@contextmanager
def _feed(settings: Settings, metrics: Metrics) -> Iterator[BtcturkWsClient]:
    """The feed that the settings name, started, its counts kept in `metrics`."""
    import structlog

    from btcbot.adapters.btcturk.feed import BtcturkWsClient
    from btcbot.adapters.clock import SystemClock
    from btcbot.bootstrap import feed_url

    url = feed_url(settings)
    if url is None:
        raise ConfigurationError(
            "BTCTURK_WS_URL: to watch a simulator, give the address of its feed; its «serve» prints it"
        )
    feed = BtcturkWsClient(
        url, settings.symbols, clock=SystemClock(), metrics=metrics, log=structlog.get_logger("btcbot")
    )
    feed.start()
    try:
        yield feed
    finally:
        feed.close()
