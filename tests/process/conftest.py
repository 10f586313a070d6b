"""Rigs for tests that need real processes: a local BtcTurk that outlives the bot, and bots that get killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.errors import BtcbotError
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

CYCLE_SECONDS = 0.75  # the venue's own limits allow two symbols no less


class Rig:
    """One venue, one account, one database, and bots one after the other."""

    def __init__(self, folder: Path, *, symbols: tuple[str, ...] = ("BTCTRY", "ETHTRY"), speed: int = 1500) -> None:
        self.folder = folder
        self.symbols = symbols
        self.database = folder / "bot.db"
        self.credentials = Credentials(folder)
        accounts = write_private(folder / "accounts", self.credentials.account_line({"TRY": Decimal(20_000)}))
        arguments = ["--accounts", str(accounts), "--speed", str(speed), "--seed", "7", "--symbols", ",".join(symbols)]
        self.venue = Simulator(folder, arguments)
        self._bots: list[BotProcess] = []

    def settings(self, **more: str) -> dict[str, str]:
        defaults = {
            "COOLDOWN_SECONDS": "1",
            "TTL_SECONDS": "3",
            "MAX_ORDERS_PER_CYCLE": "5",
            "NOTIONAL_CAP_TRY_PER_CYCLE": "2500",
            "SETTLE_HORIZON_SECONDS": "2",
            "MAX_DAILY_LOSS_TRY": "5000",
        }
        return armed_settings(
            self.credentials, self.venue.rest_url, self.database, self.symbols, **{**defaults, **more}
        )

    def start_bot(self, *options: str, **more: str) -> BotProcess:
        env_file = write_settings(self.folder / "bot.env", self.settings(**more))
        log_name = f"btcbot-{len(self._bots)}.log"
        bot = BotProcess(self.folder, env_file, CYCLE_SECONDS, *options, log_name=log_name)
        self._bots.append(bot)
        return bot

    def books(self) -> SqliteStore:
        return SqliteStore.open(self.database, read_only=True)

    def cycles(self) -> int:
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

    def wait_for_cycles(self, more: int, bot: BotProcess) -> None:
        wanted = self.cycles() + more

        def is_there() -> bool:
            assert bot.status() is None, f"the bot ended with {bot.status()}: {bot.last_lines()}"
            return self.cycles() >= wanted

        wait_until(is_there, 30.0, f"{more} more cycles")

    def settle(self, bot: BotProcess) -> Judgement:
        """Stop the strategy, let the bot prove what is open, end it, compare."""
        FileKillSwitch(self.database).turn_on("the test is over", 0)
        self.wait_for_cycles(2, bot)
        books = self.books()
        try:
            wait_until(lambda: is_settled(books), 60.0, f"everything to settle; the bot says: {bot.last_lines()}")
        finally:
            books.close()
        assert bot.terminate() == 0, bot.last_lines()
        self.venue.control("/settle")
        state = self.venue.state(key=self.credentials.key)
        assert state["conservation"] == "ok"
        books = self.books()
        try:
            return judge(books, state["accounts"][self.credentials.key], bids_of(state))
        finally:
            books.close()

    def posts(self) -> list[dict[str, str]]:
        """Every order POST that the venue received."""
        return [row for row in self.venue.requests() if row["method"] == "POST" and row["path"] == "/api/v1/order"]

    def demand_nothing_doubled(self) -> None:
        """I1 and I11 as the venue saw them: one POST per client order id, stamps that only rise."""
        import json

        clients = Counter(json.loads(row["body"])["newOrderClientId"] for row in self.posts())
        assert not [client for client, count in clients.items() if count > 1]
        stamps = [int(row["stamp"]) for row in self.venue.requests() if row["stamp"]]
        assert stamps == sorted(set(stamps))

    def close(self) -> None:
        for bot in self._bots:
            bot.close()
        self.venue.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()
