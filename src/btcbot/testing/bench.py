"""A bench for real processes: one venue that outlives every bot, one account, one database, and bots that get killed.

    with Bench(folder) as bench:
        bot = bench.start_bot()
        bench.wait_for_cycles(3, bot)
        bot.kill()
        assert bench.faults_at_rest(bench.start_bot()) == []

By default bots are `btcbot run` as shipped, at the pace that the venue's own limits allow. `Bench.busy` is for those
who want many orders a second: a venue without limits, and bots on a stage (see `staged_run`) that trade all the time.
`network=True` puts a `ChaosProxy` between bot and venue.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain import money
from btcbot.domain.orders import OPEN
from btcbot.errors import BtcbotError
from btcbot.testing import witness
from btcbot.testing.chaos_proxy import ChaosProxy
from btcbot.testing.demo import bids_of
from btcbot.testing.judge import Judgement, is_settled, judge
from btcbot.testing.rig import (
    BotProcess,
    Credentials,
    Simulator,
    armed_settings,
    wait_until,
    write_private,
    write_settings,
)
from btcbot.testing.staged_run import Stage

#: The venue's own limits allow two symbols no less.
CYCLE_SECONDS: Final = 0.75
CYCLE_SECONDS_BUSY: Final = 0.01
CYCLES_SECONDS_MAX: Final = 30.0
SETTLE_SECONDS_MAX: Final = 60.0
#: Bots that end when they have settled are given so long.
END_SECONDS_MAX: Final = 20.0

SETTINGS: Final[Mapping[str, str]] = {
    "COOLDOWN_SECONDS": "1",
    "TTL_SECONDS": "3",
    "MAX_ORDERS_PER_CYCLE": "5",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "2500",
    "SETTLE_HORIZON_SECONDS": "2",
    "MAX_DAILY_LOSS_TRY": "5000",
}
BUSY_SYMBOLS: Final = ("BTCTRY", "ETHTRY", "SOLTRY", "AVAXTRY", "BNBTRY", "ADATRY", "XRPTRY", "TRXTRY")
BUSY_CASH_TRY: Final = Decimal(5_000_000)
BUSY_SETTINGS: Final[Mapping[str, str]] = {
    "COOLDOWN_SECONDS": "0",
    "TTL_SECONDS": "1",
    "MAX_ORDERS_PER_CYCLE": "8",
    "MAX_NOTIONAL_PER_ORDER_TRY": "350",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "2500",
    "MAX_POSITION_TRY_PER_SYMBOL": "600",
    "MAX_TOTAL_EXPOSURE_TRY": "2400",
    "MAX_DAILY_LOSS_TRY": "1000000",
    "SETTLE_HORIZON_SECONDS": "1",
}


class Bench:
    """One venue, one account, one database, and bots one after the other or at the same time."""

    def __init__(
        self,
        folder: Path,
        *,
        database: Path | None = None,
        symbols: Sequence[str] = ("BTCTRY", "ETHTRY"),
        cash_try: Decimal = Decimal(20_000),
        cycle_seconds: float = CYCLE_SECONDS,
        stage: Stage | None = None,
        settings: Mapping[str, str] = SETTINGS,
        venue: Sequence[str] = (),
        network: bool = False,
        seed: int = 7,
    ) -> None:
        """`database` None puts it into `folder`; `stage` None runs the product as shipped.

        `venue` are further options of `btcturk-sim serve`.
        """
        money.arm()  # what is compared here is compared to the last digit
        self.folder = folder
        self.symbols = tuple(symbols)
        self.database = database or folder / "bot.db"
        self.cycle_seconds = cycle_seconds
        self.stage = stage
        self._settings = dict(settings)
        self.credentials = Credentials(folder)
        accounts = write_private(folder / "accounts", self.credentials.account_line({"TRY": cash_try}))
        self.venue = Simulator(
            folder,
            ["--accounts", str(accounts), "--seed", str(seed), "--symbols", ",".join(symbols), "--speed", "1500",
             *venue],
        )  # fmt: skip
        self.network = ChaosProxy(self.venue.rest_url, seed) if network else None
        self.kill_switch = FileKillSwitch(self.database)
        self._bots: list[BotProcess] = []
        self._names = itertools.count()
        self._record = witness.Record()

    @classmethod
    def busy(
        cls,
        folder: Path,
        seed: int,
        *,
        network: bool = False,
        stage: Stage | None = None,
        database: Path | None = None,
    ) -> Bench:
        """Many orders a second: a venue without limits, eight pairs, bots that buy and sell all the time."""
        return cls(
            folder,
            database=database,
            symbols=BUSY_SYMBOLS,
            cash_try=BUSY_CASH_TRY,
            cycle_seconds=CYCLE_SECONDS_BUSY,
            stage=stage or Stage(limits_factor=0, busy_seed=seed),
            settings=BUSY_SETTINGS,
            venue=("--limits", "off", "--transactions-lag-ms", "30"),
            network=network,
            seed=seed,
        )

    # -- bots --------------------------------------------------------------------------------------------------------

    def settings(self, **more: str) -> dict[str, str]:
        """Settings that open every gate, as an env file has them."""
        address = self.venue.rest_url if self.network is None else self.network.url
        return armed_settings(
            self.credentials, address, self.database, self.symbols, **{**self._settings, **more}
        )  # fmt: skip

    def start_bot(
        self,
        *options: str,
        stage: Stage | None = None,
        environment: Mapping[str, str] | None = None,
        **more: str,
    ) -> BotProcess:
        """One more bot. `stage` instead of the bench's own; `more` are settings."""
        number = next(self._names)
        env_file = write_settings(self.folder / f"btcbot-{number}.env", self.settings(**more))
        set_up = stage or self.stage
        bot = BotProcess(
            self.folder,
            env_file,
            self.cycle_seconds,
            *options,
            log_name=f"btcbot-{number}.log",
            stage=None if set_up is None else msgspec.json.encode(set_up).decode(),
            environment=environment,
        )
        self._bots.append(bot)
        return bot

    def forget(self, bot: BotProcess) -> None:
        """Close a bot that has ended, and throw its files away: a long loop starts thousands."""
        bot.close()
        self._bots.remove(bot)
        bot.log.unlink(missing_ok=True)
        bot.log.with_suffix(".env").unlink(missing_ok=True)

    def forget_all(self) -> None:
        for bot in list(self._bots):
            self.forget(bot)

    # -- books ---------------------------------------------------------------------------------------------------------

    def books(self) -> SqliteStore:
        """The database as others may read it. Close it."""
        return SqliteStore.open(self.database, read_only=True)

    def cycles(self) -> int:
        """Cycles that have been reported so far."""
        if not self.database.exists():
            return 0
        try:
            books = self.books()
        except BtcbotError:
            return 0  # being made at this moment
        try:
            return books.cycle_count()
        finally:
            books.close()

    def wait_for_cycles(self, more: int, bot: BotProcess, seconds_max: float = CYCLES_SECONDS_MAX) -> None:
        """Until `more` further cycles have been reported. AssertionError when the bot ends before."""
        wanted = self.cycles() + more

        def is_there() -> bool:
            assert bot.status() is None, f"the bot ended with {bot.status()}: {bot.last_lines()}"
            return self.cycles() >= wanted

        wait_until(is_there, seconds_max, f"{more} more cycles; the bot says: {bot.last_lines()}")

    def contents(self) -> tuple[object, ...]:
        """Everything of the books that a recovery may change, apart from its own notes and marks of time."""
        books = self.books()
        try:
            orders = [
                (order.client_order_id, order.status, order.filled_quantity, order.venue_order_id)
                for order in books.recent_orders(1_000_000)
            ]
            return orders, books.fills(), books.entries(), books.holds(), books.positions(), books.discrepancies()
        finally:
            books.close()

    # -- the end of a story -------------------------------------------------------------------------------------------

    def settle(self, bot: BotProcess) -> Judgement:
        """Stop the strategy, let the bot prove what is open, end it, compare books and venue. The brake stays on."""
        self.kill_switch.turn_on("the story is over", 0)
        self.wait_for_cycles(2, bot)
        books = self.books()
        try:
            wait_until(lambda: is_settled(books), SETTLE_SECONDS_MAX, "everything to settle")
        finally:
            books.close()
        status = bot.terminate()
        assert status == 0, f"the bot ended with {status}: {bot.last_lines()}"
        self.venue.control("/settle")
        state = self.venue.state(key=self.credentials.key)
        assert state["conservation"] == "ok", state["conservation"]
        books = self.books()
        try:
            return judge(books, state["accounts"][self.credentials.key], bids_of(state))
        finally:
            books.close()

    def faults_at_rest(self, bot: BotProcess) -> list[str]:
        """Settle, and everything that is wrong then, one line each: I1, I2, I3, I4, I5, I7, I10, I11.

        A second recovery, by a bot of its own, must change nothing.
        """
        found = [*self.settle(bot).faults, *self.faults_of_orders(), *self.faults_of_requests()]
        before = self.contents()
        again = self.start_bot("--max-cycles", "2")
        status = again.wait(END_SECONDS_MAX)
        if status != 0:
            found.append(f"a second recovery ended with {status}: {again.last_lines()}")
        if self.contents() != before:
            found.append("a second recovery changed the books")
        return found

    def faults_of_orders(self) -> list[str]:
        """The books' own proof, holds, and whether the venue's orders are ours and within the caps."""
        account = self.account()
        books = self.books()
        try:
            found = list(books.verify())
            is_open = {order.client_order_id for order in books.orders(tuple(OPEN))}
            found += [f"{order} is closed and has a hold" for order in set(books.holds()) - is_open]
            found += [f"{order} is open and has no hold" for order in is_open - set(books.holds())]
            known = {order.client_order_id: order.intent_id for order in books.recent_orders(1_000_000)}
        finally:
            books.close()
        found += witness.strange_orders(account["orders"], known)
        return found + witness.broken_caps(account["orders"], account["fills"], self._caps())

    def faults_of_requests(self) -> list[str]:
        """I1 and I11 as the bot sent its requests: one POST for a client order id, stamps that only rise."""
        if self.network is not None:
            return witness.crooked_requests(self.network.passed())
        self._record.add(self.venue.requests(self._record.seen))
        return self._record.faults()

    def account(self) -> Any:
        """The account as the venue has it, with orders and fills."""
        return self.venue.state(key=self.credentials.key)["accounts"][self.credentials.key]

    def _caps(self) -> witness.Caps:
        return witness.Caps(
            per_order=Decimal(self._settings.get("MAX_NOTIONAL_PER_ORDER_TRY", "0")),
            per_symbol=Decimal(self._settings.get("MAX_POSITION_TRY_PER_SYMBOL", "5000")),
            in_all=Decimal(self._settings.get("MAX_TOTAL_EXPOSURE_TRY", "20000")),
            open_per_symbol=int(self._settings.get("MAX_OPEN_ORDERS_PER_SYMBOL", "1")),
        )

    def posts(self, since: int = 0) -> list[dict[str, Any]]:
        """Every order POST that the venue received after request number `since`."""
        return [row for row in self.venue.requests(since) if row["method"] == "POST" and row["path"] == "/api/v1/order"]

    def close(self) -> None:
        for bot in self._bots:
            bot.close()
        if self.network is not None:
            self.network.close()
        self.venue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()
