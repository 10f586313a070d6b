"""`btcbot` on a stage: the product's own command line in a process of its own, with a few parts exchanged.

    python -m btcbot.testing.staged_run STAGE run --loop --cycle-seconds 0.02 --env-file bot.env

STAGE is a `Stage` as JSON. It can lift the venue's rate limits (for a venue that was started without them), shorten
time-outs and the feed's heartbeat, trade busily, step the clock, take all space before the n-th commit, and end the
process with SIGKILL at the n-th point that it passes. Everything else is `btcbot run` as it is shipped: settings,
locks, database file, sockets, signals, logs. The product itself knows none of these hooks; they exist where this module
is run, and nowhere else.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec

from btcbot import bootstrap, cli
from btcbot.adapters.btcturk import feed, limits, transport
from btcbot.adapters.btcturk.feed_actions import FeedTiming
from btcbot.adapters.btcturk.requester import Timing
from btcbot.adapters.btcturk.transport import DeadlineTransport
from btcbot.adapters.clock import SystemClock
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.config.settings import Settings
from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.ports import Metrics
from btcbot.strategies.base import Strategy, StrategyContext
from btcbot.testing.rig import waited_for_processor_ms

#: What a busy strategy's order is worth, in TRY.
BUSY_WORTH: Final = (130, 400)
#: How many of a hundred wishes rest in the book, to be cancelled later, instead of being filled at once.
BUSY_RESTING_OF_100: Final = 6
BUSY_REST_BPS: Final = 60


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What is exchanged; the defaults exchange nothing."""

    #: The documented limits times this; 0 lifts them.
    limits_factor: int = 1
    #: Trade with `BusyStrategy` of this seed instead of the profile's strategy.
    busy_seed: int | None = None
    read_s: float | None = None
    write_s: float | None = None
    #: The feed's pings, the patience with their answers, and the silence that it bears, times this.
    feed_factor: float = 1.0
    #: A file with milliseconds that are added to the wall clock, read anew each time.
    clock_file: str | None = None
    #: SIGKILL at this point, counted from 1 through all points, or through those named `die_name`.
    die_at: int = 0
    die_name: str = ""
    #: Before this commit, counted from 1, a file of this name takes all space that is left on its file system.
    full_at: int = 0
    full_file: str = ""
    #: A file that gets the name of each point that is passed.
    points_file: str | None = None
    #: Tell on stderr when the locks are about to be asked for, in Unix milliseconds, and how long it had waited for a
    #: processor by then.
    tells_start: bool = False


class BusyStrategy:
    """Buys what is flat and sells what is held, over and over, now at the market and now beside it.

    The same seed, cycle and facts give the same wishes.
    """

    name = "busy"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        dice = random.Random(f"{self._seed}-{context.cycle_id}")  # noqa: S311 - a test's dice are no secret
        symbols = sorted(set(context.symbols) & set(context.quotes) & set(context.instruments))
        dice.shuffle(symbols)
        wishes: list[Intent] = []
        for symbol in symbols:
            instrument, quote = context.instruments[symbol], context.quotes[symbol]
            position = context.positions.get(symbol)
            held = instrument.quantity_down(position.quantity) if position is not None else money.ZERO
            side = Side.SELL if held * quote.bid >= instrument.value_min else Side.BUY
            price = quote.bid if side is Side.SELL else quote.ask
            if dice.randrange(100) < BUSY_RESTING_OF_100:
                away = price * BUSY_REST_BPS * money.BPS
                price = instrument.price_up(price + away) if side is Side.SELL else instrument.price_down(price - away)
            if side is Side.SELL:
                quantity = held
            else:
                worth = money.ONE * dice.randint(*BUSY_WORTH)
                quantity = money.divide_up(worth, price, instrument.quantity_scale)
            wishes.append(
                Intent(
                    intent_id=f"{context.cycle_id}:{self.name}:{symbol}",
                    cycle_id=context.cycle_id,
                    strategy=self.name,
                    symbol=symbol,
                    side=side,
                    price=price,
                    quantity=quantity,
                    why="busy",
                )
            )
        return wishes


class SteppedClock(SystemClock):
    """The machine's clock, whose wall time somebody sets forward or back through a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now_ms(self) -> int:
        try:
            step_ms = int(self._file.read_text())
        except (FileNotFoundError, ValueError):  # not written yet, or being written now
            step_ms = 0
        return super().now_ms() + step_ms


def fill_disk(ballast: Path) -> None:
    """Make `ballast` so large that not one byte more fits on its file system."""
    with ballast.open("ab") as file:
        size = 1 << 30
        while size:
            try:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
            except OSError:
                size //= 2


class Points:
    """Places where a process may die, counted as they are passed."""

    def __init__(self, stage: Stage) -> None:
        self._die_at = stage.die_at
        self._die_name = stage.die_name
        self._full_at = stage.full_at
        self._full_file = Path(stage.full_file)
        self._commits = 0
        self._count = 0
        self._log = -1
        if stage.points_file is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._log = os.open(stage.points_file, flags, 0o600)
        #: The request under way, for points below the transport.
        self.request = ""

    def reach(self, name: str) -> None:
        if self._log >= 0:
            os.write(self._log, f"{name}\n".encode())
        if self._full_at and name == "before commit":
            self._commits += 1
            if self._commits == self._full_at:
                fill_disk(self._full_file)
        if self._die_name and name != self._die_name:
            return
        self._count += 1
        if self._count == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class _PointedStream(transport._Stream):
    """A connection with a point after each piece of a request that has left."""

    points: Points

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        super().write(buffer, timeout)
        self.points.reach(f"sent {self.points.request}")


class PointedTransport(DeadlineTransport):
    """The product's sockets, with points before a request, after each of its pieces, and when the answer begins."""

    def __init__(self, points: Points) -> None:
        super().__init__()
        self._points = points

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        name = f"{request.method} {request.url.path}"
        self._points.request = name
        self._points.reach(f"before {name}")
        response = super().handle_request(request)
        self._points.reach(f"after {name}")
        return response


class _PointedStore(SqliteStore):
    """The product's store, with points around each unit and each commit."""

    points: Points

    def _begin(self) -> None:
        self.points.reach("before unit")
        super()._begin()

    def _commit(self) -> None:
        self.points.reach("before commit")
        super()._commit()
        self.points.reach("after commit")


def _open_pointed_store(points: Points) -> Callable[..., SqliteStore]:
    def open_store(path: Path, *, metrics: Metrics) -> SqliteStore:
        points.reach("locked")
        store = _PointedStore.open(path, metrics=metrics)
        assert isinstance(store, _PointedStore)
        store.points = points
        return store

    return open_store


def set_up(stage: Stage) -> None:
    """Exchange the parts, for the whole process."""
    exchanged: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    if stage.limits_factor != 1:
        quotas: Mapping[limits.Endpoint, tuple[limits.Quota, ...]] = (
            limits.scaled(stage.limits_factor) if stage.limits_factor else {}
        )
        parts["quotas"] = quotas
        exchanged["cycle_seconds_min"] = lambda settings: limits.cycle_seconds_min(len(settings.symbols), quotas)
    if stage.read_s is not None or stage.write_s is not None:
        parts["timing_of"] = _timing(stage)
    if stage.feed_factor != 1.0:
        feed.__dict__["FeedTiming"] = partial(FeedTiming, **_heartbeat(stage.feed_factor))
    if stage.clock_file is not None:
        parts["clock"] = SteppedClock(Path(stage.clock_file))
    if stage.busy_seed is not None:
        strategy: Strategy = BusyStrategy(stage.busy_seed)
        parts["strategy"] = strategy
    if stage.die_at or stage.full_at or stage.points_file is not None:
        points = Points(stage)
        _PointedStream.points = points
        transport.__dict__["_Stream"] = _PointedStream
        parts["transport"] = PointedTransport(points)
        parts["open_store"] = _open_pointed_store(points)
    build = partial(bootstrap.build, **parts)
    if stage.tells_start:
        exchanged["build"] = partial(_told, build)
    else:
        exchanged["build"] = build
    bootstrap.__dict__.update(exchanged)


def _timing(stage: Stage) -> Callable[[Settings], Timing]:
    original = bootstrap.timing

    def timing(settings: Settings) -> Timing:
        made = original(settings)
        return msgspec.structs.replace(
            made,
            read_s=made.read_s if stage.read_s is None else stage.read_s,
            write_s=made.write_s if stage.write_s is None else stage.write_s,
        )

    return timing


def _heartbeat(factor: float) -> dict[str, Any]:
    shipped = FeedTiming()
    return {
        "ping_interval_s": shipped.ping_interval_s * factor,
        "pong_s": shipped.pong_s * factor,
        "silence_ms_max": round(shipped.silence_ms_max * factor),
    }


def _told(build: Callable[..., bootstrap.Bot], *given: Any, **named: Any) -> bootstrap.Bot:
    now_ms, waited_ms = time.time_ns() // 1_000_000, waited_for_processor_ms(os.getpid())
    os.write(2, f"staged: asks for the locks at {now_ms} having waited {waited_ms}\n".encode())
    return build(*given, **named)


def main() -> None:
    """Set the stage as the first argument says and run `btcbot` with the others."""
    set_up(msgspec.json.decode(sys.argv[1], type=Stage))
    cli.main(sys.argv[2:])


if __name__ == "__main__":
    main()
