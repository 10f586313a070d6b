"""`btcbot watch`: the order book and the last trades of one pair, live from the venue's feed. Public data only.

It has no key, opens no database and takes no lock, so it may run beside a bot. On a terminal it is a picture that
changes; into a pipe it is a line a second; with `--json` a line for each change of the best prices and each trade.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from btcbot.cli import output, watch_views
from btcbot.errors import ConfigurationError, Refused, VenueUnavailable

if TYPE_CHECKING:
    from btcbot.adapters.btcturk.feed import BtcturkWsClient
    from btcbot.adapters.btcturk.feed_book import Depth
    from btcbot.adapters.btcturk.feed_frames import PublicTrade
    from btcbot.adapters.stop import StopFlag
    from btcbot.config.settings import Settings
    from btcbot.domain.feed import FeedBook, FeedView
    from btcbot.ports import Metrics

#: What --for may be: a watch for longer than a day needs no end.
SECONDS_MAX: Final = 86_400
LEVELS_MAX: Final = 50
#: From look to look: on a terminal eyes follow no faster, for scripts no trade may slip through.
LOOK_S: Final = 0.2
LOOK_JSON_S: Final = 0.05
#: Frames are told per second, over so long.
RATE_S: Final = 10.0
#: The feed answers a wish for a pair that it does not know with yes, and then says nothing: so long is that believed.
SILENCE_S: Final = 7.0


@click.command(short_help="Show the order book and trades of a pair, live.")
@click.argument("symbol")
@click.option("--levels", type=click.IntRange(1, LEVELS_MAX), default=10, show_default=True, help="Of each side.")
@click.option("--for", "seconds", type=float, default=None, metavar="SECONDS", help="End by itself after so long.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each change of the best prices, each trade.")
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Read settings from this file, instead of .env.live.",
)
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
    from btcbot.cli import venue
    from btcbot.domain import money

    if seconds is not None and not 0 < seconds <= SECONDS_MAX:  # nan too
        raise Refused(f"--for: give a number above 0, at most {SECONDS_MAX}")
    money.arm()
    settings = _settings(symbol, env_file)
    (wanted,) = settings.symbols
    stop = StopFlag()
    with _ended_by_signals(stop), venue.public(settings) as exchange:
        with suppress(VenueUnavailable):  # the feed may serve all the same, and its silence tells of a wrong pair
            _demand_listed(wanted, exchange.instruments())
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


def _demand_listed(symbol: str, listed: Any) -> None:
    from difflib import get_close_matches

    if symbol not in listed:
        near = get_close_matches(symbol, listed, n=1)
        raise Refused(f"the venue does not list {symbol}" + (f"; did you mean {near[0]}?" if near else ""))


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


@contextmanager
def _ended_by_signals(stop: StopFlag) -> Iterator[None]:
    import signal

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


# -- what is known -----------------------------------------------------------------------------------------------------


class Tally:
    """The feed's own counts (`Metrics`): how many frames come, and how long a ping takes."""

    def __init__(self) -> None:
        self.frames = 0
        self.ping_s: float | None = None

    def count(self, name: str, amount: int | Decimal = 1, **labels: str) -> None:
        if name == "btcbot_feed_frames_total":
            self.frames += int(amount)

    def gauge(self, name: str, value: Decimal | int | float, **labels: str) -> None:
        pass

    def observe(self, name: str, value: float, **labels: str) -> None:
        if name == "btcbot_feed_ping_seconds":
            self.ping_s = value

    def flush(self, timeout_s: float) -> None:
        pass


class Watch:
    """One pair as the feed shows it, look after look."""

    def __init__(self, symbol: str, feed: BtcturkWsClient, tally: Tally, levels: int) -> None:
        self.symbol = symbol
        self.levels = levels
        self.has_shown = False
        self.trades: Sequence[PublicTrade] = ()
        self.depth: Depth | None = None
        self._feed = feed
        self._tally = tally
        self._down_s = time.monotonic()
        self._connection = 0
        self._connected_s: float | None = None
        self._frames: deque[tuple[float, int]] = deque()
        self._view: FeedView = feed.view()

    def look(self) -> None:
        """Take over what the feed shows now."""
        now_s = time.monotonic()
        self._view = view = self._feed.view()
        self.depth = self._feed.depth(self.symbol, self.levels)
        self.trades = self._feed.trades(self.symbol)
        self.has_shown = self.has_shown or self.depth is not None or bool(self.trades)
        if view.why_down:
            if self._connected_s is not None:
                self._connected_s, self._down_s = None, now_s
        elif self._connected_s is None or self._connection != view.connection:
            self._connection, self._connected_s = view.connection, now_s
        self._frames.append((now_s, self._tally.frames))
        while now_s - self._frames[0][0] > RATE_S:
            self._frames.popleft()

    def demand_known(self) -> None:
        """Refuse a pair of which a living connection says nothing at all."""
        if self.has_shown or self._connected_s is None or time.monotonic() - self._connected_s < SILENCE_S:
            return
        raise Refused(
            f"{self.symbol}: the feed agreed and has been silent for {SILENCE_S:g} s, as it is about a pair that it "
            "does not know; «btcbot health» tells whether the venue answers otherwise"
        )

    @property
    def book(self) -> FeedBook | None:
        return self._view.books.get(self.symbol)

    @property
    def why_nothing(self) -> str:
        """Why there is no book, for people; empty when there is one."""
        if self.book is not None:
            return ""
        return self._view.why_down or self._view.without_book.get(self.symbol, "no snapshot has come yet")

    def status(self) -> str:
        """Connection, frames, the age of the last change, and the latency, in one line."""
        now_s = time.monotonic()
        if self._connected_s is None:
            return f"not connected for {output.duration(now_s - self._down_s)}: {self._view.why_down}"
        said = [f"connected for {output.duration(now_s - self._connected_s)}"]
        (first_s, first), (last_s, last) = self._frames[0], self._frames[-1]
        if last_s > first_s:
            said.append(f"{(last - first) / (last_s - first_s):.1f} frames/s")
        if self.book is not None:
            said.append(f"last change {max(now_s - self.book.changed_at_ms / 1000, 0):.1f} s ago")
        if self._tally.ping_s is not None:
            said.append(f"ping {self._tally.ping_s * 1000:.1f} ms")
        return " · ".join([*said, self.why_nothing] if self.why_nothing else said)
