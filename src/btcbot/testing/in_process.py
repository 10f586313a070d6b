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

import base64
import gzip
import itertools
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import httpx2

from btcbot import bootstrap
from btcbot.adapters.btcturk.transport import TIMEOUT_S
from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store.library import PREFERRED
from btcbot.adapters.store.sqlite import SqliteStore, SqliteTransaction
from btcbot.config.settings import Settings, load_settings
from btcbot.domain import money
from btcbot.domain.cycles import CycleReport
from btcbot.domain.intents import Intent, Side
from btcbot.domain.ledger import Account
from btcbot.domain.money import plain
from btcbot.domain.orders import OPEN, Order, OrderStatus, book_of
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.errors import StoreFailed
from btcbot.ports import Log, Metrics, StopSignal
from btcbot.services.operator import Answer, Request
from btcbot.strategies.base import Strategy, StrategyContext
from btcturk_sim import wire
from btcturk_sim.api import TRADES_MAX, ApiOptions
from btcturk_sim.auth import NonceRule
from btcturk_sim.bars import Bar
from btcturk_sim.engine import EngineOptions
from btcturk_sim.instruments import Instrument, instrument_for
from btcturk_sim.money import exact
from btcturk_sim.simulator import Simulator, SimulatorOptions, account
from btcturk_sim.wire import Delivery, Response

#: 23 September 2026, 03:00 in Istanbul: no day begins or ends within a story.
EPOCH_MS: Final = 1_790_121_600_000
#: What a rig's settings are, unless a story says otherwise.
SETTINGS: Final[Mapping[str, str]] = {"COOLDOWN_SECONDS": "0", "SETTLE_HORIZON_SECONDS": "10", "TTL_SECONDS": "60"}
HEAL_CYCLES_MAX: Final = 20
_BASE_URL: Final = "http://127.0.0.1:1"  # nothing listens there, should a request ever miss the transport
_SECRET: Final = base64.b64encode(b"the secret of a rig").decode()
_STRANGER: Final = "stranger"
_GZIP_FROM_BYTES: Final = 1_024
_BLANKS: Final = b" " * 65_536
_NUMBERS: Final = itertools.count(1)


class Crash(BaseException):
    """The process is gone at this point. No code of the bot may catch it."""


class ManualClock:
    """`Clock` in a test's hand. The venue lives by `true_ms`; a step of the wall clock is ours alone."""

    def __init__(self, now_ms: int = EPOCH_MS) -> None:
        self._started_ms = now_ms
        self._elapsed_ns = 0
        self._step_ms = 0

    def now_ms(self) -> int:
        return self.true_ms() + self._step_ms

    def monotonic_ns(self) -> int:
        return self._elapsed_ns

    def sleep(self, seconds: float, stop: StopSignal) -> bool:
        self.advance(max(seconds, 0.0))
        return stop.is_set()

    def true_ms(self) -> int:
        """What all clocks of the world but ours show."""
        return self._started_ms + self._elapsed_ns // 1_000_000

    def advance(self, seconds: float) -> None:
        self._elapsed_ns += round(seconds * 1e9)

    def step(self, seconds: float) -> None:
        """Set our wall clock forward, or back."""
        self._step_ms += round(seconds * 1_000)

    def set_right(self) -> None:
        """Let our wall clock show the world's time again."""
        self._step_ms = 0


class Points:
    """Everything that the bot does to the world passes here first and last, by name: a place to crash, or to meddle."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.watch: Callable[[str], None] | None = None

    def reach(self, name: str) -> None:
        self.passed.append(name)
        if self.watch is not None:
            self.watch(name)

    def crash_at(self, number: int) -> None:
        """Crash at the `number`th point from now on, once."""
        last = len(self.passed) + number

        def crash(name: str) -> None:
            if len(self.passed) == last:
                raise Crash(f"point {number}: {name}")

        self.watch = crash

    def crash_when(self, is_due: Callable[[str], bool]) -> None:
        def crash(name: str) -> None:
            if is_due(name):
                self.watch = None
                raise Crash(name)

        self.watch = crash


class Meddler(Protocol):
    """Who stands on the way between bot and venue. `name` is like `POST /api/v1/order`."""

    def sends(self, name: str, request: wire.Request) -> None:
        """Before the venue gets it. May register a fault for it, or raise what a network raises."""
        ...

    def answers(self, name: str, request: wire.Request, answer: Response) -> Response:
        """What becomes of the venue's answer on its way; also for one that comes too late, and for a DEFER."""
        ...

    def arrives(self, name: str, request: wire.Request, answer: Response) -> None:
        """The bot gets it now, in time; how much of it, its transport tells."""
        ...


class InProcessTransport(httpx2.BaseTransport):
    """Carries each request to the simulator at the clock's time, and its answer back as the simulator wants it carried.

    A trip takes `latency_ms` of the clock; an answer that comes after the request's deadline is a time-out, and a
    request that the venue was told to receive late is acted on then, whether or not anybody still waits.
    """

    def __init__(
        self, simulator: Simulator, clock: ManualClock, points: Points, *, latency_ms: int = 4, packs: bool = True
    ) -> None:
        """`packs`: large answers travel in gzip."""
        self._packs = packs
        self._simulator = simulator
        self._clock = clock
        self._points = points
        self._latency_ms = latency_ms
        self._late: list[tuple[int, wire.Request]] = []
        #: False: no connection comes about.
        self.is_up = True
        #: Stamps of signed requests as they were sent; a delayed one may arrive after its successors.
        self.stamps: list[int] = []
        #: How often each client order id was sent, whatever became of it.
        self.posts: Counter[str] = Counter()
        self.meddler: Meddler | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        asked = _as_simulator_reads(request)
        name = f"{asked.method} {asked.path}"
        self._points.reach(f"before {name}")
        response = self._carried(asked, request.extensions[TIMEOUT_S], name)
        self._points.reach(f"after {name}")
        return response

    def deliver_late(self) -> None:
        """Let the venue act on what has been under way long enough."""
        now_ms = self._clock.true_ms()
        due = [one for one in self._late if one[0] <= now_ms]
        self._late = [one for one in self._late if one[0] > now_ms]
        for due_ms, request in sorted(due, key=lambda one: one[0]):
            self._simulator.api.handle(request, due_ms, resumed=True)

    def forget_late(self) -> None:
        """What is still under way gets lost."""
        self._late = []

    def _carried(self, asked: wire.Request, timeout_s: float, name: str) -> httpx2.Response:
        clock, meddler = self._clock, self.meddler
        if not self.is_up:
            raise httpx2.ConnectError("no route to the venue")
        if meddler is not None:
            meddler.sends(name, asked)
        deadline_ms = clock.true_ms() + round(timeout_s * 1_000)
        clock.advance(self._latency_ms / 2_000)
        self.deliver_late()
        if asked.stamp is not None:
            self.stamps.append(int(asked.stamp))
        if asked.method == "POST":
            self.posts[json.loads(asked.body)["newOrderClientId"]] += 1
        answer = self._simulator.api.handle(asked, clock.true_ms())
        if answer.transport.delivery is Delivery.DEFER:
            if meddler is not None:
                meddler.answers(name, asked, answer)
            due_ms = clock.true_ms() + answer.transport.delay_ms
            if due_ms > deadline_ms:
                self._late.append((due_ms, asked))
                self._wait_in_vain(deadline_ms)
            clock.advance(answer.transport.delay_ms / 1_000)
            answer = self._simulator.api.handle(asked, clock.true_ms(), resumed=True)
        if meddler is not None:
            answer = meddler.answers(name, asked, answer)
        if clock.true_ms() + answer.transport.delay_ms + self._latency_ms // 2 > deadline_ms:
            self._wait_in_vain(deadline_ms)
        clock.advance((answer.transport.delay_ms + self._latency_ms / 2) / 1_000)
        if answer.transport.delivery is Delivery.DROP:
            raise httpx2.RemoteProtocolError("the venue closed the connection without an answer")
        if meddler is not None:
            meddler.arrives(name, asked, answer)
        headers = list(answer.headers)
        body = answer.body
        if self._packs and answer.transport.delivery is Delivery.SEND and len(body) >= _GZIP_FROM_BYTES:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers.append(("Content-Encoding", "gzip"))
        return httpx2.Response(answer.status, headers=headers, stream=_Body(answer, body))

    def _wait_in_vain(self, deadline_ms: int) -> None:
        self._clock.advance(max(deadline_ms - self._clock.true_ms(), 0) / 1_000)
        raise httpx2.ReadTimeout("no whole answer in time")


class _Body(httpx2.SyncByteStream):
    """The answer's bytes, or as many of them as come through."""

    def __init__(self, answer: Response, body: bytes) -> None:
        self._transport = answer.transport
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        if self._transport.delivery is Delivery.TRUNCATE:
            yield self._body[: self._transport.cut_at]
            raise httpx2.RemoteProtocolError("the connection closed before the body's end")
        yield self._body
        sent = len(self._body)
        while self._transport.delivery is Delivery.STREAM and sent < self._transport.stream_bytes:
            yield _BLANKS
            sent += len(_BLANKS)


def _as_simulator_reads(request: httpx2.Request) -> wire.Request:
    url, stream = request.url, request.stream
    assert isinstance(stream, httpx2.SyncByteStream)
    return wire.Request(
        method=request.method,
        path=url.path,
        query=url.query.decode("ascii"),
        headers={_header_name(name): value.decode("ascii") for name, value in request.headers.raw},
        body=b"".join(stream),
    )


@cache
def _header_name(name: bytes) -> str:
    return name.lower().decode("ascii")


class StillMarket:
    """A `BarSource` whose prices hold until somebody moves them."""

    def __init__(self, prices: Mapping[str, str]) -> None:
        self._prices = {symbol: Decimal(price) for symbol, price in prices.items()}
        #: Own copies, so that a story may change the rules of its venue.
        self.instruments: tuple[Instrument, ...] = tuple(
            replace(instrument_for(symbol, [price], ordinal))
            for ordinal, (symbol, price) in enumerate(self._prices.items())
        )
        self.interval_ms = 60_000
        self.length: int | None = None
        self.first_open_ms = 0

    def bar(self, symbol: str, index: int) -> Bar | None:
        return None

    def opening_price(self, symbol: str) -> Decimal:
        return self._prices[symbol]


class Venue:
    """The simulator as a story's narrator sees it: prices, faults, other people, and what it was asked."""

    def __init__(
        self,
        clock: ManualClock,
        points: Points,
        key: str,
        prices: Mapping[str, str],
        balances: Mapping[str, str],
        *,
        nonce: NonceRule = NonceRule.STRICT,
        engine: EngineOptions | None = None,
        packs: bool = True,
        trades_max: int = TRADES_MAX,
    ) -> None:
        """`trades_max` rows are the most that a trade list tells at once."""
        self.key = key
        self._clock = clock
        rich = {"TRY": "100000000", **{one.removesuffix("TRY"): "100000" for one in prices}}
        self.simulator = Simulator(
            accounts=[account(key, _SECRET, balances), account(_STRANGER, _SECRET, rich, 1)],
            source=StillMarket(prices),
            now_ms=clock.true_ms(),
            options=SimulatorOptions(
                engine=engine or EngineOptions(), api=ApiOptions(nonce=nonce, trades_max=trades_max)
            ),
        )
        self.transport = InProcessTransport(self.simulator, clock, points, packs=packs)

    # -- what happens there ----------------------------------------------------------------------------------------

    def price(self, symbol: str, price: str) -> None:
        """Hold the middle of the market there from now on."""
        self._control("/market", symbol=symbol, price=price)

    def halt(self, symbol: str, *, halted: bool = True) -> None:
        """Maintenance of one pair."""
        self._control("/market", symbol=symbol, halted=halted, price=None)

    def human_orders(self, side: str, symbol: str, quantity: str, price: str) -> int:
        """An order that somebody places by hand on the bot's account."""
        return self._place(self.key, side, symbol, quantity, price)

    def stranger_orders(self, side: str, symbol: str, quantity: str, price: str) -> int:
        """An order of another account."""
        return self._place(_STRANGER, side, symbol, quantity, price)

    def cancel(self, venue_order_id: int | str) -> None:
        """A cancellation by hand."""
        self._control("/cancel-order", id=int(venue_order_id))

    def deposit(self, asset: str, amount: str, fee: str = "0") -> None:
        self._control("/deposit", key=self.key, asset=asset, amount=amount, fee=fee)

    def withdraw(self, asset: str, amount: str, fee: str = "0") -> None:
        self._control("/withdraw", key=self.key, asset=asset, amount=amount, fee=fee)

    def take_unseen(self, asset: str, amount: str) -> None:
        """Money goes (or comes, when below zero) and no list of the venue ever tells why."""
        self.simulator.engine.transfer(self._account(), asset, -Decimal(amount), money.ZERO, self._clock.true_ms())
        moved = self._account().transfers.pop()
        opening = self._account().opening  # the venue's own audit must not ask for the transfer that we hide
        opening[asset] = opening.get(asset, money.ZERO) + moved.amount

    def working(self) -> list[Any]:
        """The account's open orders as the engine has them, oldest first."""
        return list(self._account().open_orders.values())

    def fill(self, order: Any, quantity: Decimal) -> None:
        """Somebody takes `quantity` of a resting order, at its price, now."""
        engine, now_ms = self.simulator.engine, self._clock.true_ms()

        @exact
        def take() -> None:
            engine._fill(order, quantity, order.price, maker=True, now_ms=now_ms, match_id=None)
            engine.settle()

        take()

    def change_minimum(self, symbol: str, value: str) -> None:
        """From now on an order of this pair is worth at least so much."""
        instrument = self.simulator.engine.pairs[symbol].instrument
        object.__setattr__(instrument, "min_exchange_value", Decimal(value))

    def fault(
        self, kind: str, method: str | None = None, path: str = "/api/v1", *, count: int | None = 1, **params: Any
    ) -> None:
        """Spoil the next `count` requests (None: all) that fit; the kinds stand in `btcturk_sim.faults`."""
        self.simulator.faults.add(kind, method=method, path_prefix=path, count=count, **params)

    def answer(self, path: str, payload: object, *, count: int | None = 1) -> None:
        """Answer GET requests of `path` with this JSON."""
        self.fault("raw_body", "GET", path, count=count, body=json.dumps(payload), status=200)

    def clear_faults(self) -> None:
        self.simulator.faults.clear()
        self.transport.is_up = True

    def skew(self, seconds: float) -> None:
        """The venue's clock runs ahead of the world's, or behind."""
        self._control("/clock", skew_ms=round(seconds * 1_000))

    # -- what it knows ---------------------------------------------------------------------------------------------

    def state(self) -> Any:
        """The bot's account as the control interface tells it."""
        query = urlencode({"key": self.key})
        answer = self.simulator.control.handle("GET", "/state", query, b"", self._clock.true_ms())
        payload: Any = json.loads(answer.body)
        return payload["accounts"][self.key]

    def totals(self) -> dict[str, Decimal]:
        """Free and locked together, by asset."""
        return {asset: held.total for asset, held in self._account().balances.items()}

    def orders(self) -> list[Any]:
        listed: list[Any] = self.state()["orders"]
        return listed

    def requests(self, method: str) -> list[Any]:
        """Requests of this method, oldest first, also those that a fault kept from the venue."""
        return [one for one in self.simulator.api.requests if one.method == method]

    def posts_by_client(self) -> Counter[str]:
        """How often each client order id was sent."""
        return self.transport.posts

    def _account(self) -> Any:
        return self.simulator.engine.books.accounts[self.key]

    def _place(self, key: str, side: str, symbol: str, quantity: str, price: str) -> int:
        fields = {"pairSymbol": symbol, "orderType": side, "orderMethod": "limit", "quantity": quantity, "price": price}
        return int(self._control("/foreign-order", key=key, **fields)["id"])

    def _control(self, path: str, **body: object) -> Any:
        content = json.dumps(body).encode()
        answer = self.simulator.control.handle("POST", path, "", content, self._clock.true_ms())
        payload: Any = json.loads(answer.body)
        assert answer.status == 200, payload
        return payload


class ScriptedStrategy:
    """Wishes what the story says for the next cycle, once; or what `inner` wishes; or, muted, nothing."""

    name = "script"

    def __init__(self, inner: Strategy | None) -> None:
        self.inner = inner
        self.wishes: list[tuple[Side, str, str, str]] = []
        self.is_muted = False

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        if self.is_muted:
            return []
        if self.inner is not None:
            return self.inner.generate(context)
        wishes, self.wishes = self.wishes, []
        return [
            Intent(
                intent_id=f"{context.cycle_id}:{self.name}:{number}",
                cycle_id=context.cycle_id,
                strategy=self.name,
                symbol=symbol,
                side=side,
                price=Decimal(price),
                quantity=Decimal(quantity),
                why="the script says so",
            )
            for number, (side, symbol, quantity, price) in enumerate(wishes)
        ]


class ListLog:
    """`Log` that remembers: (event, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Mapping[str, object]]] = []

    def debug(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    info = warning = error = debug

    def events(self, name: str) -> list[Mapping[str, object]]:
        return [fields for event, fields in self.lines if event == name]


class _Unit(SqliteTransaction):
    """The real unit of work, which notes the statements that it ran."""

    __slots__ = ()

    def _write(self, name: str, parameters: Mapping[str, object]) -> int:
        store = self._store
        assert isinstance(store, _Store)
        store.written.append((name, parameters))
        if store.breaks(name):
            raise self._fail("the device of the database reports an error (staged)")
        return super()._write(name, parameters)


class _Store(SqliteStore):
    """The real store, with a point before and after each commit, and a disk that can be full.

    `is_lasting`: its database in memory is what a file is to others, and outlives it.
    """

    points: Points
    fails: Callable[[], bool]
    is_busy: Callable[[], bool]
    #: Asked before each writing statement of a unit, by its name: whether the device reports an error there.
    breaks: Callable[[str], bool]
    is_read_only: Callable[[], bool]
    #: Whether the device reports an error at this commit, and whether the commit is on the disk all the same.
    io_error: Callable[[], tuple[bool, bool]]
    is_lasting = False
    #: What the unit under way, or the last one, wrote: (statement, parameters).
    written: list[tuple[str, Mapping[str, object]]]

    def transaction(self) -> SqliteTransaction:
        return _Unit(self)

    def _begin(self) -> None:
        self.points.reach("before unit")
        if self.is_busy():
            raise StoreFailed("another process holds the database: stop it, or wait until it is done (staged)")
        if self.is_read_only():
            raise StoreFailed("the disk of the database can only be read (staged)")
        super()._begin()
        self.written = []

    def _commit(self) -> None:
        self.points.reach("before commit")
        if self.fails():
            self._roll_back()
            raise StoreFailed("no space is left for the database: free some (staged)")
        has_error, is_kept = self.io_error()
        if has_error and not is_kept:
            self._roll_back()
            raise StoreFailed("the device of the database reports an error (staged)")
        super()._commit()
        self.points.reach("after commit")
        if has_error:
            raise StoreFailed("the device of the database reports an error, although the commit is on it (staged)")

    def close(self) -> None:
        if not self.is_lasting:
            super().close()
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def armed_environment(database: Path, key: str, symbols: Sequence[str]) -> dict[str, str]:
    """Settings that open every gate to the venue in this process, for the account of `key`."""
    return {
        "BTCTURK_BASE_URL": _BASE_URL,
        "BTCTURK_API_KEY": key,
        "BTCTURK_API_SECRET": _SECRET,
        "BTCTURK_SECRET_ROTATED_AT": datetime.fromtimestamp(EPOCH_MS / 1_000, tz=UTC).date().isoformat(),
        "STATE_DB_PATH": str(database),
        "SYMBOLS": ",".join(symbols),
        "DRY_RUN": "false",
        "LIVE_TRADING": "true",
        "LIVE_TRADING_ACK": "I_UNDERSTAND",
    }


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
        **settings: str,
    ) -> None:
        """`strategy` None lets the story's `wish`es be the strategy; `settings` are by environment name.

        `image` lets the database live in memory, beginning as these bytes; it was made for `key`.
        """
        self.folder = folder
        self.clock = ManualClock()
        self.points = Points()
        self.log = ListLog()
        self._told_log = log or self.log
        self._metrics = metrics or MemoryMetrics()
        self._image = image
        self._disk: Any = None
        self._opened: _Store | None = None
        self._settings: dict[tuple[tuple[str, str], ...], Settings] = {}
        self.stop = threading.Event()
        self.symbols = tuple(symbols)
        self.database = folder / "books.db"
        self.cycle_seconds = cycle_seconds
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
        self.environment = {**armed_environment(self.database, key, symbols), **SETTINGS, **settings}
        self._make_strategy = strategy
        self.strategy = ScriptedStrategy(None)
        self._bot: bootstrap.Bot | None = None
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
        return self.bot.store

    def start(self, **settings: str) -> None:
        """Build the bot from its settings (changed by `settings`, for good) and what the database file holds."""
        assert self._bot is None, "the bot runs already"
        self.environment |= settings
        environment = tuple(self.environment.items())
        if environment not in self._settings:
            self._settings[environment] = load_settings(self.environment, default_env_file=None).settings
        read = self._settings[environment]
        if self._make_strategy is not None:
            self.strategy.inner = self._make_strategy(read)
        self._bot = bootstrap.build(
            read,
            stop=self.stop,
            metrics=self._metrics,
            log=self._told_log,
            clock=self.clock,
            transport=self.venue.transport,
            open_store=self._open_store,
            strategy=self.strategy,
        )

    def _open_store(self, path: Path, metrics: Metrics) -> SqliteStore:
        if self._image is None:
            store = _Store.open(path, metrics=metrics)
        else:
            if self._disk is None:
                self._disk = _Store.from_image(self._image)._connection
            store = _Store(self._disk, PREFERRED, "in memory", metrics=metrics)
        assert isinstance(store, _Store)
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
        return list(reversed(self.store.recent_orders(1_000)))

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
        return [*self.crooked_money(), *self.crooked_orders(), *self.crooked_stamps(), *self.store.verify()]

    def crooked_money(self) -> list[str]:
        """I2, I3, I10: books equal venue, every fill once, no hold without an open order."""
        store, venue = self.store, self.venue.totals()
        books = store.account_balances(Account.VENUE)
        found = [
            f"books have {plain(books.get(asset, money.ZERO))} {asset}, the venue {plain(venue.get(asset, money.ZERO))}"
            for asset in sorted({*books, *venue})
            if books.get(asset, money.ZERO) != venue.get(asset, money.ZERO)
        ]
        suspense = store.account_balances(Account.SUSPENSE)
        found += [f"{plain(amount)} {asset} lies in suspense" for asset, amount in suspense.items() if amount]
        executed = Counter(
            str(row["id"]) for row in self.venue.state()["fills"] if self._is_of_this_book(row["client_id"])
        )
        booked = Counter(fill.trade_id for fill in store.fills())
        found += [f"trade {trade} is not booked" for trade in executed - booked]
        found += [f"fill {trade} never happened, or was booked twice" for trade in booked - executed]
        held, is_open = set(store.holds()), {order.client_order_id for order in store.orders(tuple(OPEN))}
        found += [f"{order} has a hold and is closed" for order in held - is_open]
        found += [f"{order} is open and has no hold" for order in is_open - held]
        return found

    def crooked_orders(self) -> list[str]:
        """I1, I7, I9: nothing sent twice, one order at the venue per intent, and both sides agree on each."""
        rows = [row for row in self.venue.orders() if self._is_of_this_book(row["orderClientId"])]
        found = [f"{client} was sent {n} times" for client, n in self.venue.posts_by_client().items() if n > 1]
        ours = {order.client_order_id: order for order in self.orders()}
        intents = Counter(ours[row["orderClientId"]].intent_id for row in rows if row["orderClientId"] in ours)
        found += [f"intent {intent} stands {n} times at the venue" for intent, n in intents.items() if n > 1]
        found += [f"{order.client_order_id} is still {order.status}" for order in ours.values() if order.is_in_doubt]
        # By both ids: a venue may give the id of an order that ended to another one.
        by_ids = {(str(row["id"]), row["orderClientId"]): row for row in rows}
        found += [f"venue order {i} is in no book" for i, client in by_ids if client not in ours]
        for order in ours.values():
            row = by_ids.pop((order.venue_order_id or "", order.client_order_id), None)
            if row is None:
                if order.venue_order_id is not None or order.filled_quantity:
                    found.append(f"{order.client_order_id} is {order.status} and the venue has no such order")
                continue
            is_open = row["status"] in {"Untouched", "Partial"}
            if is_open is not order.is_open or Decimal(row["filled"]) != order.filled_quantity:
                found.append(
                    f"{order.client_order_id} is {order.status} with {plain(order.filled_quantity)} filled, "
                    f"at the venue {row['status']} with {row['filled']}"
                )
        return found

    def crooked_stamps(self) -> list[str]:
        """I11: stamps of a key rise for ever, whatever became of the process and its clock."""
        sent = self.venue.transport.stamps
        return [f"stamp {b} follows {a}" for a, b in itertools.pairwise(sent) if b <= a]

    def _is_of_this_book(self, client_order_id: str | None) -> bool:
        identity = self.store.identity()
        return identity is not None and client_order_id is not None and book_of(client_order_id) == identity.book_id
