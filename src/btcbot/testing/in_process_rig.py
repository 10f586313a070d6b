"""A bot and its venue in one process, on one clock that a test turns: the same script gives the same run.

Everything is real but sockets and time. The bot comes out of `bootstrap.build` with its settings, its database file,
its HTTP client and its services; the venue is the simulator behind its own wire, spoken to in bytes. A crash drops
every object of the bot and keeps the database file, as a crash does; `start` builds a new one from it.

A story drives it like this, and ends with `faults()`, the same judge for every story:

    rig.wish("buy", "0.0005", "1000500")
    rig.venue.fault("lost_after", "POST")
    rig.cycle()
    assert rig.order().status is OrderStatus.UNKNOWN
    rig.heal()
    assert rig.faults() == []
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from btcbot import bootstrap
from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store.library import PREFERRED
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.domain.cycles import CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.intents import Side
from btcbot.domain.orders import OPEN, Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.domain.scan import ScanRow
from btcbot.loop import Pause, pause
from btcbot.ports import Log, MarketScanner, Metrics
from btcbot.profiles import RUN, Profile
from btcbot.services.operator import Answer, Request
from btcbot.services.universe import SelectingUniverse
from btcbot.strategies.base import Strategy, UsesSignals
from btcbot.testing import at_rest
from btcbot.testing.in_process_feed import InProcessFeed, Plug
from btcbot.testing.manual_clock import ManualClock
from btcbot.testing.points import Crash, Points
from btcbot.testing.profiles_played import WithSignals
from btcbot.testing.scripted_strategy import ScriptedStrategy
from btcbot.testing.staged_store import StagedStore
from btcbot.testing.venue import Venue, armed_environment
from btcturk_sim.api import TRADES_MAX
from btcturk_sim.auth import NonceRule
from btcturk_sim.engine import EngineOptions

#: What a rig's settings are, unless a story says otherwise.
SETTINGS: Final[Mapping[str, str]] = {"COOLDOWN_SECONDS": "0", "SETTLE_HORIZON_SECONDS": "10", "TTL_SECONDS": "60"}
HEAL_CYCLES_MAX: Final = 20
_NUMBERS: Final = itertools.count(1)


class ListLog:
    """`Log` that remembers: (event, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Mapping[str, object]]] = []

    def debug(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    info = warning = error = debug

    def events(self, name: str) -> list[Mapping[str, object]]:
        return [fields for event, fields in self.lines if event == name]


class _Looking:
    """A scanner that lets its rig know while it looks: who watches the wire cannot tell its requests from others."""

    def __init__(self, rig: Rig, scanner: MarketScanner) -> None:
        self._rig = rig
        self._scanner = scanner

    def scan(self, symbols: Sequence[str], now_ms: int) -> Mapping[str, ScanRow]:
        self._rig.is_looking = True
        try:
            return self._scanner.scan(symbols, now_ms)
        finally:
            self._rig.is_looking = False


class Rig:
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
        self.folder = folder
        self.profile = profile or RUN
        self.clock = ManualClock()
        self.points = Points()
        self.log = ListLog()
        self._told_log = log or self.log
        self._metrics = metrics or MemoryMetrics()
        self._image = image
        self._disk: Any = None
        self._opened: StagedStore | None = None
        self._settings: dict[tuple[tuple[str, str], ...], Settings] = {}
        self.stop = threading.Event()
        #: Whether the bot looks over the market just now, for symbols to choose.
        self.is_looking = False
        self.symbols = tuple(symbols)
        self.database = folder / "books.db"
        self.cycle_seconds = cycle_seconds
        #: What the loop keeps between two whole cycles, and between two that the market wakes.
        self.gap_seconds, self.wake_seconds = 1.0, 0.25
        self.disk_is_full = self.disk_is_busy = self.disk_is_read_only = False
        #: Asked before each writing statement, by its name: whether the device reports an error there.
        self.disk_breaks: Callable[[str], bool] = lambda statement: False
        #: An error of the device at each commit; the second: the commit is kept all the same.
        self.disk_has_error = self.disk_error_comes_late = False
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
    def disk(self) -> Any:
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
        except BaseException:
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
        store.points, store.is_lasting, store.written = self.points, self._image is not None, []
        store.fails, store.is_busy = lambda: self.disk_is_full, lambda: self.disk_is_busy
        store.breaks = lambda statement: self.disk_breaks(statement)
        store.is_read_only = lambda: self.disk_is_read_only
        store.io_error = lambda: (self.disk_has_error, self.disk_error_comes_late)
        self._opened = store
        return store

    def last_unit(self) -> Sequence[tuple[str, Mapping[str, object]]]:
        """What the unit that was committed last wrote: (statement, parameters)."""
        store = self._opened
        assert store is not None, "nothing was opened yet"
        return store.written

    def mend_disk(self) -> None:
        """The disk is well again."""
        self.disk_is_full = self.disk_is_busy = self.disk_is_read_only = False
        self.disk_has_error = self.disk_error_comes_late = False

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

    # -- the story -------------------------------------------------------------------------------------------------

    def wish(self, side: str, quantity: str, price: str, symbol: str = "") -> None:
        """What the strategy wants in the next cycle that asks it."""
        self.strategy.wishes.append((Side(side), symbol or self.symbols[0], quantity, price))

    def cycle(self, times: int = 1) -> CycleReport:
        """Run cycles, with their pause; the last report."""
        for _ in range(times):
            self.venue.transport.deliver_late()
            report = self.bot.run_cycle()
            self.wait(self.cycle_seconds)
        return report

    def pause(self, seconds: float, run_cycle: Callable[[Wake], CycleReport] | None = None) -> CycleReport | None:
        """What the loop does between two ticks: wait on the feed, and run the cycles that it wakes.

        The report of the last one that it woke, None when it woke none. Ends early where the feed brings the next whole
        cycle forward. `run_cycle` None runs the bot's.
        """
        reports: list[CycleReport] = []

        def run(wake: Wake) -> CycleReport:
            reports.append((run_cycle or self.bot.run_cycle)(wake))
            return reports[-1]

        now_ns = self.clock.monotonic_ns()
        gap_ns, wake_ns = (round(seconds * 1e9) for seconds in (self.gap_seconds, self.wake_seconds))
        span = Pause(ends_ns=now_ns + round(seconds * 1e9), whole_from_ns=now_ns + gap_ns, wake_ns=wake_ns or None)
        pause(span, run, self.clock, self.stop, self.bot.waiting(self.stop))
        self.wait(0)
        return reports[-1] if reports else None

    def crashing_cycle(self) -> str:
        """Run a cycle that has to crash, drop the bot, and say where it crashed."""
        try:
            self.cycle()
        except Crash as crash:
            self.crash()
            self.points.watch = None
            self.wait(self.cycle_seconds)
            return str(crash)
        raise AssertionError("the cycle came to its end")

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.venue.transport.deliver_late()
        self.venue.simulator.engine.advance(self.clock.true_ms())

    def heal(self) -> None:
        """End all trouble and let the bot settle what is open: faults off, no new wish, cycles until nothing is open.

        Then two cycles more, which must not change the books: what is settled is settled (I7).
        """
        self.venue.clear_faults()
        self.points.watch = None
        self.mend_disk()
        self.strategy.is_muted = True
        if self._bot is None:
            self.start()
        for _ in range(HEAL_CYCLES_MAX):
            self.cycle()
            if not self.store.orders(tuple(OPEN)) and not self.store.discrepancies():
                break
        before = self.books()
        self.cycle(2)
        assert self.books() == before, "two cycles without any event changed the books"
        self.strategy.is_muted = False

    def books(self) -> tuple[object, ...]:
        """Everything that a recovery may change, apart from its own notes of absence."""
        store = self.store
        orders = [(o.client_order_id, o.status, o.filled_quantity, o.venue_order_id) for o in self.orders()]
        return orders, store.fills(), store.entries(), store.holds(), store.positions(), store.discrepancies()

    def ask(self, kind: str, **arguments: str) -> Answer:
        """What an operator's command does, when the bot is running."""
        request = Request(
            request_id=f"request-{next(_NUMBERS)}",
            kind=kind,
            arguments=arguments,
            made_at_ms=self.clock.now_ms(),
            wait_ms=60_000,
        )
        return self.bot.services.operator.answer(request)

    def kill_switch(self) -> FileKillSwitch:
        return FileKillSwitch(self.database)

    # -- what became of it -----------------------------------------------------------------------------------------

    def orders(self) -> list[Order]:
        """Oldest first."""
        return at_rest.orders_of(self.store)

    def order(self, number: int = -1) -> Order:
        return self.orders()[number]

    def statuses(self) -> list[OrderStatus]:
        return [order.status for order in self.orders()]

    def position(self, symbol: str = "") -> Position:
        symbol = symbol or self.symbols[0]
        return self.store.positions().get(symbol) or Position(symbol=symbol)

    def state(self) -> TradingState:
        return self.store.trading_state()[0]

    def verdicts(self) -> list[str]:
        """Codes of the last cycle's verdicts."""
        return [verdict.code for verdict in self.store.verdicts(self.store.cycles(1)[0].cycle_id)]

    # -- the judge -------------------------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """What is wrong now that everything has come to rest, one line each; empty is a pass."""
        return at_rest.faults(self.store, self.venue)

    def crooked_orders(self) -> list[str]:
        return at_rest.crooked_orders(self.store, self.venue)

    def crooked_stamps(self) -> list[str]:
        return at_rest.crooked_stamps(self.venue)
