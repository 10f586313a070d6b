"""Bots on paper as processes, a local BtcTurk over real sockets, and what it must never have seen of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.adapters.paper.file_records import FileRecords, path_beside
from btcbot.adapters.paper.records import Saved
from btcbot.adapters.paper.venue import row_of
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain import money
from btcbot.domain.fills import VenueTrade
from btcbot.domain.intents import Side
from btcbot.domain.orders import OPEN, OrderStatus
from btcbot.errors import BtcbotError
from btcbot.testing.judge import Judgement, is_settled, judge
from btcbot.testing.rig import (
    BotProcess,
    Credentials,
    Simulator,
    bare_environment,
    wait_until,
    write_private,
    write_settings,
)

SYMBOLS = ("BTCTRY", "ETHTRY")
CASH_TRY = Decimal(20_000)
#: Trades all the time: it takes small gains, and turns idle cash into bids that rest below the market.
TRADING: Mapping[str, str] = {
    "DRY_RUN_TRY_BALANCE": str(CASH_TRY),
    "COOLDOWN_SECONDS": "1",
    "TTL_SECONDS": "3",
    "MAX_ORDERS_PER_CYCLE": "5",
    "MAX_OPEN_ORDERS_PER_SYMBOL": "2",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "5000",
    "MAX_DAILY_LOSS_TRY": "5000",
    "SETTLE_HORIZON_SECONDS": "2",
    "MIN_PROFIT_BPS": "0",
    "SWEEP_ENABLED": "true",
    "TARGET_TRY": "18000",
    "OFFSET_BPS": "30",
}

T = TypeVar("T")


class Paper:
    """A local BtcTurk, a database, and bots on paper one after the other. `market` None: a seeded market.

    Another profile that trades on paper is one of a class of its own.
    """

    COMMAND: ClassVar[tuple[str, ...]] = ("run", "--paper")
    CYCLE_SECONDS: ClassVar[float] = 0.75
    SETTINGS: ClassVar[Mapping[str, str]] = TRADING

    def __init__(self, folder: Path, symbols: Sequence[str] = SYMBOLS, market: Path | None = None) -> None:
        money.arm()
        self.folder = folder
        self.symbols = tuple(symbols)
        self.database = folder / "paper.db"
        self.credentials = Credentials(folder)
        accounts = write_private(folder / "accounts", self.credentials.account_line({"TRY": CASH_TRY}))
        self.venue = Simulator(
            folder,
            ["--accounts", str(accounts), "--symbols", ",".join(symbols), "--speed", "1500", "--seed", "7"]
            + (["--market", str(market)] if market is not None else []),
        )
        self.kill_switch = FileKillSwitch(self.database)
        self.bots: list[BotProcess] = []

    def settings(self, **more: str) -> dict[str, str]:
        """What a newcomer has: no key at all."""
        return {
            "BTCTURK_BASE_URL": self.venue.rest_url,
            "BTCTURK_WS_URL": self.venue.ws_url,
            "STATE_DB_PATH": str(self.database),
            "SYMBOLS": ",".join(self.symbols),
            **self.SETTINGS,
            **more,
        }

    def start(self, settings: Mapping[str, str] | None = None, *options: str) -> BotProcess:
        name = f"bot-{len(self.bots)}"
        env_file = write_settings(self.folder / f"{name}.env", settings or self.settings())
        command, *always = self.COMMAND
        bot = BotProcess(
            self.folder, env_file, self.CYCLE_SECONDS, *always, *options, log_name=f"{name}.log", command=command
        )
        self.bots.append(bot)
        return bot

    def books(self) -> SqliteStore:
        return SqliteStore.open(self.database, read_only=True)

    def fills(self) -> Mapping[Side, int]:
        """How many fills the books have, by side."""
        sides = self._read(lambda books: [fill.side for fill in books.fills()], [])
        return {side: sides.count(side) for side in Side}

    def cycles(self) -> int:
        """How many cycles the books tell of."""
        return self._read(lambda books: books.cycle_count(), 0)

    def _read(self, read: Callable[[SqliteStore], T], before: T) -> T:
        """`before`: what is so while there are no books yet."""
        if not self.database.exists():
            return before
        try:
            books = self.books()
        except BtcbotError:
            return before  # being made at this moment
        try:
            return read(books)
        finally:
            books.close()

    def has(self, status: OrderStatus) -> bool:
        """Whether the books have an order of this status."""
        books = self.books()
        try:
            return bool(books.orders((status,)))
        finally:
            books.close()

    def wait_for_fills(self, count: int, bot: BotProcess, seconds_max: float = 60.0) -> None:
        """So many more on each side."""
        before = self.fills()

        def are_there() -> bool:
            assert bot.status() is None, bot.last_lines()
            now = self.fills()
            return all(now[side] >= before[side] + count for side in Side)

        wait_until(are_there, seconds_max, f"{count} fills on each side; {bot.last_lines(1)}")

    def wait_for_cycles(self, more: int, bot: BotProcess, seconds_max: float = 60.0) -> None:
        wanted = self.cycles() + more

        def are_there() -> bool:
            assert bot.status() is None, bot.last_lines()
            return self.cycles() >= wanted

        wait_until(are_there, seconds_max, f"{more} cycles; {bot.last_lines(1)}")

    def settle(self, bot: BotProcess) -> None:
        """No new orders, and everything that is open comes to its end; then the bot stops."""
        self.kill_switch.turn_on("the test is over", time.time_ns() // 1_000_000)

        def is_quiet() -> bool:
            assert bot.status() is None, bot.last_lines()
            books = self.books()
            try:
                return is_settled(books) and not books.orders(tuple(OPEN))
            finally:
                books.close()

        wait_until(is_quiet, 40.0, "every order to come to its end")
        assert bot.terminate() == 0, bot.last_lines()

    def paper_venue(self) -> tuple[Saved, list[VenueTrade], list[Any]]:
        """Balances, fills and orders as the paper venue's own file has them."""
        books = self.books()
        identity = books.identity()
        books.close()
        assert identity is not None
        assert identity.mode == "paper"
        records = FileRecords.open(path_beside(self.database), identity.book_id, {}, is_new_book=False)
        try:
            saved, resting = records.load()
            assert resting == []
            orders = [row_of(order) for symbol in self.symbols for order in records.orders(symbol, 0)]
            return saved, list(records.trades(0)), orders
        finally:
            records.close()

    def judgement(self) -> Judgement:
        saved, trades, orders = self.paper_venue()
        account = {
            "balances": {
                asset: {"free": str(held.free), "locked": str(held.locked)} for asset, held in saved.balances.items()
            },
            "fills": [{"client_id": trade.client_order_id} for trade in trades],
            "orders": [{"orderClientId": order.client_order_id} for order in orders],
        }
        books = self.books()
        try:
            return judge(books, account, {})
        finally:
            books.close()

    def asks(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "btcbot", *arguments],
            env=bare_environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def told(self, *arguments: str) -> str:
        """What a command says that does what it was asked."""
        done = self.asks(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self) -> None:
        for bot in self.bots:
            bot.close()
        self.venue.close()


def demand_public_reads_only(venue: Simulator, addresses: tuple[str, ...] = ("/api/v2/",)) -> None:
    """No write, nothing private, nothing signed, no login: asked of the venue itself."""
    requests = venue.requests()
    assert {row["method"] for row in requests} == {"GET"}, "it asked for public data, and for nothing else"
    paths = {row["path"] for row in requests}
    assert all(path.startswith(addresses) for path in paths), paths
    assert not [row for row in requests if row.get("key")]
    state = venue.state()
    feed = state["feed"]
    assert feed["connections"] > 0
    assert (feed["logins"], feed["logins_refused"]) == (0, 0)
    assert all(account["orders"] == [] and account["fills"] == [] for account in state["accounts"].values())
