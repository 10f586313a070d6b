"""The lives of a bot beside its venue, in one process: built, dropped as by a crash, and built anew.

Everything is real but sockets and time. The bot comes out of `bootstrap.build` with its settings, its database file,
its HTTP client and its services; the venue is the simulator behind its own wire, spoken to in bytes. A crash drops
every object of the bot and keeps the database file, as a crash does; `start` builds a new one from it.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

from btcbot import bootstrap
from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store.library import PREFERRED, Connection
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.domain.scan import ScanRow
from btcbot.ports import Log, MarketScanner, Metrics
from btcbot.profiles import RUN, Profile
from btcbot.services.universe import SelectingUniverse
from btcbot.strategies.base import Strategy, UsesSignals
from btcbot.testing.in_process_feed import InProcessFeed, Plug
from btcbot.testing.list_log import ListLog
from btcbot.testing.manual_clock import ManualClock
from btcbot.testing.points import Points
from btcbot.testing.profiles_played import WithSignals
from btcbot.testing.scripted_strategy import ScriptedStrategy
from btcbot.testing.staged_store import DiskInHand, StagedStore
from btcbot.testing.venue import Venue, armed_environment
from btcturk_sim.api import TRADES_MAX
from btcturk_sim.auth import NonceRule
from btcturk_sim.engine import EngineOptions

#: What the settings are, unless a story says otherwise.
SETTINGS: Final[Mapping[str, str]] = {"COOLDOWN_SECONDS": "0", "SETTLE_HORIZON_SECONDS": "10", "TTL_SECONDS": "60"}
_NUMBERS: Final = itertools.count(1)


class _Looking:
    """A scanner that lets its life know while it looks: who watches the wire cannot tell its requests from others."""

    def __init__(self, life: Life, scanner: MarketScanner) -> None:
        self._life = life
        self._scanner = scanner

    def scan(self, symbols: Sequence[str], now_ms: int) -> Mapping[str, ScanRow]:
        self._life.is_looking = True
        try:
            return self._scanner.scan(symbols, now_ms)
        finally:
            self._life.is_looking = False


class Life(DiskInHand):
    """One bot (or, one after the other, its successors) and one venue. `close` it at the end."""

    def __init__(
        self,
        folder: Path,
        *,
        symbols: Sequence[str] = ("BTCTRY",),
        prices: Mapping[str, str] | None = None,
        balances: Mapping[str, str] | None = None,
        strategy: Callable[[Settings], Strategy] | None = None,
        cycle_seconds: float = 10.0,
        nonce: NonceRule = NonceRule.STRICT,
        engine: EngineOptions | None = None,
        image: bytes | None = None,
        key: str | None = None,
        packs: bool = True,
        trades_max: int = TRADES_MAX,
        log: Log | None = None,
        metrics: Metrics | None = None,
        has_feed: bool = False,
        feed_plug: Plug | None = None,
        profile: Profile | None = None,
        **settings: str,
    ) -> None:
        """`strategy` None lets the story's `wish`es be the strategy; `settings` are by environment name.

        `image` lets the database live in memory, beginning as these bytes; it was made for `key`. `has_feed` plugs the
        venue's live feed in, as `feed_plug` says; without it quotes are of REST.
        """
        super().__init__()
        self.folder = folder
        self.profile = profile or RUN
        self.clock = ManualClock()
        self.points = Points()
        self.log = ListLog()
        self._told_log = log or self.log
        self._metrics = metrics or MemoryMetrics()
        self._image = image
        self._disk: Connection | None = None
        self._opened: StagedStore | None = None
        self._settings: dict[tuple[tuple[str, str], ...], Settings] = {}
        self.stop = threading.Event()
        #: Whether the bot looks over the market just now, for symbols to choose.
        self.is_looking = False
        self.symbols = tuple(symbols)
        self.database = folder / "books.db"
        self._kill_switch = FileKillSwitch(self.database)
        self.cycle_seconds = cycle_seconds
        #: What the loop keeps between two whole cycles, and between two that the market wakes.
        self.gap_seconds, self.wake_seconds = 1.0, 0.25
        key = key or f"rig-{os.getpid()}-{next(_NUMBERS)}"
        self.venue = Venue(
            self.clock,
            self.points,
            key,
            prices or dict.fromkeys(symbols, "1000000"),
            balances or {"TRY": "10000"},
            nonce=nonce,
            engine=engine,
            packs=packs,
            trades_max=trades_max,
        )
        feed_settings = {"BTCTURK_WS_URL": "ws://127.0.0.1:1", "BOOK_CHECK_SECONDS": "60"} if has_feed else {}
        self.environment = {**armed_environment(self.database, key, symbols), **SETTINGS, **feed_settings, **settings}
        self._make_strategy = strategy
        self._has_feed = has_feed
        self.feed: InProcessFeed | None = None
        self.feed_is_cut = False
        self._feed_plug = feed_plug
        if feed_plug is not None and feed_plug.options is not None:
            self.venue.simulator.feed.options = feed_plug.options
        self.strategy = ScriptedStrategy(None)
        self._bot: bootstrap.Bot | None = None
        self._lives = itertools.count()
        self.start()

    # -- life and death --------------------------------------------------------------------------------------------

    @property
    def bot(self) -> bootstrap.Bot:
        assert self._bot is not None, "the bot is down: start it"
        return self._bot

    @property
    def is_up(self) -> bool:
        return self._bot is not None

    @property
    def disk(self) -> Connection:
        """The connection under the store, for who checks the store; a database in memory outlives its bot."""
        return self._disk if self._disk is not None else self.store._connection

    @property
    def metrics(self) -> MemoryMetrics:
        assert isinstance(self._metrics, MemoryMetrics), "this rig was given metrics of its own"
        return self._metrics

    @property
    def store(self) -> SqliteStore:
        store = self.bot.store
        assert isinstance(store, SqliteStore)
        return store

    def start(self, **settings: str) -> None:
        """Build the bot from its settings (changed by `settings`, for good) and what the database file holds."""
        assert self._bot is None, "the bot runs already"
        self.environment |= settings
        environment = tuple(self.environment.items())
        if environment not in self._settings:
            self._settings[environment] = load_settings(self.environment, default_env_file=None).settings
        read = self._settings[environment]
        wisher: Strategy = self.strategy
        if self._make_strategy is not None:
            self.strategy.inner = self._make_strategy(read)
            if isinstance(self.strategy.inner, UsesSignals):
                wisher = WithSignals(self.strategy, self.strategy.inner)
        self.feed = self._plug_in(read) if self._has_feed else None
        try:
            self._bot = bootstrap.build(
                read,
                stop=self.stop,
                profile=self.profile,
                metrics=self._metrics,
                log=self._told_log,
                clock=self.clock,
                transport=self.venue.transport,
                open_store=self._open_store,
                strategy=wisher,
                feed=self.feed,
            )
        except BaseException:  # a crash too, which is none of `Exception`: a bot that never came to be has no feed
            if self.feed is not None:
                self.feed.close()
                self.feed = None
            raise
        universe = self._bot.services.universe
        if isinstance(universe, SelectingUniverse):
            universe._scanner = _Looking(self, universe._scanner)

    def _plug_in(self, read: Settings) -> InProcessFeed:
        """A feed for this life."""
        transport, clock = self.venue.transport, self.clock
        feed = InProcessFeed(
            self.venue.simulator.feed,
            clock,
            read.symbols,
            random=Random(f"feed-{next(self._lives)}").random,  # noqa: S311 (no secret)
            signer=bootstrap.signer_of(read),
            plug=self._feed_plug,
        )
        feed.is_cut = self.feed_is_cut
        transport.on_late = lambda due_ms: feed.at(max(due_ms - clock.true_ms(), 0), transport.deliver_late)
        return feed

    def cut_feed(self, *, is_cut: bool) -> None:
        """Nothing passes the network between feed and bot, in this life and the next ones; or it does again."""
        self.feed_is_cut = is_cut
        if self.feed is not None:
            self.feed.is_cut = is_cut

    def _open_store(self, path: Path, metrics: Metrics) -> SqliteStore:
        if self._image is None:
            store = StagedStore.open(path, metrics=metrics)
        else:
            if self._disk is None:
                self._disk = StagedStore.from_image(self._image)._connection
            store = StagedStore(self._disk, PREFERRED, "in memory", metrics=metrics)
        assert isinstance(store, StagedStore)
        store.points, store.disk, store.is_lasting, store.written = self.points, self, self._image is not None, []
        self._opened = store
        return store

    def last_unit(self) -> Sequence[tuple[str, Mapping[str, object]]]:
        """What the unit that was committed last wrote: (statement, parameters)."""
        store = self._opened
        assert store is not None, "nothing was opened yet"
        return store.written

    def crash(self) -> None:
        """Drop every object of the bot. Closing writes nothing: what was not committed is rolled back, as by a kill."""
        if self._bot is not None:
            bot, self._bot = self._bot, None
            bot.close()
        self.feed = None

    def restart(self, **settings: str) -> None:
        self.crash()
        self.start(**settings)

    def close(self) -> None:
        self.crash()
        if self._disk is not None:
            self._disk.close()
        self.venue.simulator.engine.audit()
