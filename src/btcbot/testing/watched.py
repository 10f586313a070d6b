"""A rig under the eyes of the checkers, for stories much shorter than a world, told at every point or in every way.

kill_file_anywhere   the kill file made, in every form, at every point of a cycle that sends two orders
ends_while_sending   the process ends while its order travels, which the venue takes at the last moment
dry_run              random wishes in a dry run, whose database a live start must then refuse
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

from btcbot import bootstrap
from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.config.secrets import Secret, key_fingerprint
from btcbot.config.settings import Settings
from btcbot.domain import money
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import TradingState
from btcbot.errors import Refused
from btcbot.profiles import RUN
from btcbot.services.accounting import set_trading_state
from btcbot.strategies.base import Strategy
from btcbot.testing.checkers import Checkers, Violated
from btcbot.testing.checkers.feed_eye import FeedEye
from btcbot.testing.in_process_rig import Rig
from btcbot.testing.manual_clock import ManualClock
from btcbot.testing.points import Crash
from btcbot.testing.swarm import RandomWishes, limits_of
from btcturk_sim.accounts import Transfer
from btcturk_sim.api import TRADES_MAX
from btcturk_sim.auth import NonceRule
from btcturk_sim.wire import Request, Response

SETTINGS: Final[Mapping[str, str]] = {
    "MAX_ORDERS_PER_CYCLE": "3",
    "MAX_OPEN_ORDERS_PER_SYMBOL": "2",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "3000",
    "MAX_NOTIONAL_PER_ORDER_TRY": "0",
    "MAX_POSITION_TRY_PER_SYMBOL": "6000",
    "MAX_TOTAL_EXPOSURE_TRY": "20000",
    "MAX_DAILY_LOSS_TRY": "5000",
    "PRICE_COLLAR_BPS": "200",
}
SYMBOLS: Final = ("BTCTRY", "ETHTRY")
PRICES: Final[Mapping[str, str]] = {"BTCTRY": "1000000", "ETHTRY": "100000"}
DRY: Final[Mapping[str, str]] = {"DRY_RUN": "true", "LIVE_TRADING": "false"}
DRY_CYCLES: Final = 12
#: A stamp is good for five seconds at the venue; a request that comes within them is taken.
LAST_MOMENT_MS: Final = 4_900
LAG_MS: Final = 3_400
_FOLDER: Final = Path("/dev/shm")  # noqa: S108 # nosec B108 (folders of its own are made in it)


@cache
def _image(key: str) -> bytes:
    """A database made for this key that has seen nothing yet."""
    money.arm()
    store = SqliteStore.in_memory()
    bootstrap.bind(store, "demo", "127.0.0.1", key_fingerprint(Secret(key)), ManualClock())
    image = store.image()
    store.close()
    return image


class NoLog:
    """`Log` that keeps nothing."""

    def debug(self, event: str, **fields: object) -> None:
        """Gone."""

    info = warning = error = debug


class Watched:
    """`Stage` of the checkers and `Meddler` of one rig. `at_point` is told of every point that the bot passes."""

    def __init__(
        self, folder: Path, *, strategy: Callable[[Settings], Strategy] | None = None, **settings: str
    ) -> None:
        settings = {**SETTINGS, **settings}
        self.kill_since: int | None = None
        self.skew_ms = self.paused_ms = self.safe_mode_left = 0
        self.is_healing = self.has_restarted_lately = False
        self.eye: FeedEye | None = None
        self.at_point: Callable[[str], None] | None = None
        self.at_order: Callable[[Request], None] | None = None
        self.limits = limits_of(settings)
        key = f"watched-{os.getpid()}"
        self.rig = Rig(
            folder,
            symbols=SYMBOLS,
            prices=PRICES,
            balances={"TRY": "10000"},
            cycle_seconds=10.0,
            engine=None,
            trades_max=TRADES_MAX,
            strategy=strategy,
            nonce=NonceRule.WINDOWED,
            image=None if settings.get("DRY_RUN") == "true" else _image(key),
            key=key,
            packs=False,
            has_feed=False,
            feed_plug=None,
            log=NoLog(),
            metrics=NullMetrics(),
            profile=RUN,
            **settings,
        )
        self.checkers = Checkers(self)
        self.rig.venue.transport.meddler = self
        self.rig.points.watch = self._passes

    @property
    def points_passed(self) -> int:
        return len(self.rig.points.passed)

    def cycle(self) -> None:
        """One cycle with its pause. A halt is the product's own word that something is broken."""
        self.checkers.cycle_begins()
        report = self.rig.cycle()
        self.checkers.cycle_ended()
        if report.outcome is CycleOutcome.HALTED:
            raise Violated("HALT", report.reasons[-1])

    def make_kill_file(self, form: str) -> None:
        path = self.rig.kill_switch().path
        match form:
            case "file":
                path.touch()
            case "link":
                path.symlink_to("nothing")
            case _:
                path.mkdir()
        self.kill_since = self.points_passed

    def _passes(self, name: str) -> None:
        if name == "after commit":
            self.checkers.committed()
        if self.at_point is not None:
            self.at_point(name)

    # -- Meddler ---------------------------------------------------------------------------------------------------

    def sends(self, name: str, request: Request) -> None:
        self.checkers.leaves(request)
        if request.method == "POST" and self.at_order is not None:
            self.at_order(request)

    def answers(self, name: str, request: Request, answer: Response) -> Response:
        return answer

    def arrives(self, name: str, request: Request, answer: Response) -> None:
        self.checkers.arrives(name, request, answer)

    # -- what checkers ask -----------------------------------------------------------------------------------------

    def minimum_lately(self, symbol: str) -> Decimal:
        return self.rig.venue.simulator.engine.pairs[symbol].instrument.min_exchange_value

    @staticmethod
    def transfer_name(transfer: Transfer) -> str:
        return f"crypto:{transfer.id}"


@contextmanager
def watched(*, strategy: Callable[[Settings], Strategy] | None = None, **settings: str) -> Iterator[Watched]:
    """A rig with a folder of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="btcbot-watched-", dir=_FOLDER if _FOLDER.is_dir() else None))
    try:
        story = Watched(folder, strategy=strategy, **settings)
        try:
            yield story
        finally:
            story.at_point = story.at_order = story.rig.points.watch = None
            story.rig.close()
    finally:
        shutil.rmtree(folder)


def kill_file_anywhere() -> int:
    """How many placements there are. Raises Violated where an order leaves that had no leave yet."""
    placements = 0
    for form in ("file", "link", "folder"):
        number = 1
        while _kill_file_at(number, form):
            number += 1
        placements += number - 1
    return placements


def _kill_file_at(number: int, form: str) -> bool:
    """Whether the cycle has so many points."""
    with watched() as story:
        story.cycle()
        story.rig.wish("buy", "0.0005", "998000", "BTCTRY")
        story.rig.wish("buy", "0.005", "99800", "ETHTRY")
        last = story.points_passed + number

        def make(name: str) -> None:
            if story.points_passed == last:
                story.make_kill_file(form)

        story.at_point = make
        story.cycle()
        if story.kill_since is None:
            assert len(story.rig.orders()) == 2, "both orders have to leave where nobody stops them"
            return False
        story.at_point = None
        story.cycle()
        return True


def ends_while_sending() -> OrderStatus:
    """What becomes of the order; raises Violated where it is given up although the venue takes it."""
    with watched(SETTLE_HORIZON_SECONDS="5") as story:
        rig = story.rig
        rig.cycle_seconds = 2.5
        story.cycle()
        rig.wish("buy", "0.0005", "998000", "BTCTRY")

        def end(request: Request) -> None:
            rig.venue.transport._late.append((rig.clock.true_ms() + LAST_MOMENT_MS, request))
            raise Crash("the process ends while the request travels")

        story.at_order = end
        story.checkers.cycle_begins()
        try:
            rig.cycle()
        except Crash:
            rig.crash()
        story.at_order = None
        rig.venue.fault("lag", "GET", "/api/v1", count=None, lag_ms=LAG_MS)
        story.checkers.new_life()
        rig.start()
        for _ in range(8):
            story.cycle()
        return rig.order().status


def at_once() -> int:
    """How many signed requests left. Raises Violated where two of them carry one stamp."""
    with watched() as story:
        rig = story.rig
        rig.venue.transport._latency_ms = 0
        story.cycle()
        for _ in range(3):
            rig.wish("buy", "0.0005", "998000", "BTCTRY")
            rig.wish("buy", "0.005", "99800", "ETHTRY")
            story.cycle()
        return len(rig.venue.transport.stamps)


def halted() -> int:
    """How many orders were wished for in vain. Raises Violated when one leaves although everything is halted."""
    wishes = 0
    with watched() as story:
        rig = story.rig
        story.cycle()
        with rig.store.transaction() as tx:
            set_trading_state(tx, TradingState.HALTED, "somebody looks at the books")
        for is_restarted in (False, True):
            if is_restarted:
                rig.restart()
                story.checkers.new_life()
            rig.wish("buy", "0.0005", "998000", "BTCTRY")
            wishes += 1
            story.cycle()
        assert rig.state() is TradingState.HALTED, "only a human reopens"
    return wishes


class _Now:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.cycle = 0


def dry_run(seed: int) -> int:
    """How many orders it recorded. Raises Violated when it asked for more than the market, or its database serves."""
    now = _Now(seed)
    with watched(strategy=lambda _: RandomWishes(now), **DRY) as story:
        rig = story.rig
        for number in range(DRY_CYCLES):
            now.cycle = number
            story.cycle()
        simulated = rig.statuses().count(OrderStatus.SIMULATED)
        rig.crash()
        try:
            rig.start(DRY_RUN="false", LIVE_TRADING="true")
        except Refused:
            return simulated
        raise Violated("I13", "a database that a dry run made is used live")
