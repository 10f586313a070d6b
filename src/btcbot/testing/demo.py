"""The demo's plot: start venue and bot, watch them trade, stop, settle, judge."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.errors import BtcbotError, Refused
from btcbot.testing.demo_stages import Shown, Staging, Stall, shown_by
from btcbot.testing.judge import Judgement, is_settled, judge
from btcbot.testing.rig import BotProcess, Credentials, Simulator, armed_settings, write_private, write_settings

#: Of a folder in which the demo knows no symbol, the first few.
SYMBOLS_MAX: Final = 5
SEEDED_CYCLES: Final = 45
SETTLE_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.5


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`cycles` None: until the recorded bars end, or `SEEDED_CYCLES` of a seeded market."""

    staging: Staging
    market: Path | None
    symbols: tuple[str, ...]
    cycles: int | None
    speed: int
    seed: int
    folder: Path


class DemoProgress(msgspec.Struct, frozen=True, kw_only=True):
    """For the one who watches: share of the demo that is over (0 to 1), and what has happened."""

    stage: str
    share: float
    cycles: int
    orders: int
    fills: int
    equity_try: Decimal | None


class DemoFailed(BtcbotError):
    """The demo could not be played to its end."""


def choose_symbols(market: Path | None, wanted: Sequence[str], staging: Staging) -> tuple[str, ...]:
    """The symbols to trade: those asked for, else the ones that the demo knows of the folder, else its first ones."""
    if wanted:
        return tuple(wanted)
    if market is None:
        return staging.seeded
    if not market.is_dir():
        raise Refused(f"--market: {market} is no folder; give one of CSV files named by symbol, such as BTCTRY.csv")
    found = sorted(path.stem.upper() for path in market.glob("*.csv"))
    if not found:
        raise Refused(f"--market: {market} holds no CSV file; name each by its symbol, such as BTCTRY.csv")
    known = [symbol for symbol in staging.recorded if symbol in found]
    return tuple(known or found[:SYMBOLS_MAX])


def play(options: DemoOptions, watch: Callable[[DemoProgress], None]) -> tuple[Judgement, Shown]:
    """Play the demo; the judgement of its end, and what the profile's parts did. Raises Refused or DemoFailed with one
    line."""
    staging = options.staging
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    credentials = Credentials(options.folder)
    accounts = write_private(options.folder / "accounts", credentials.account_line({"TRY": staging.cash_try}))
    arguments = ["--accounts", str(accounts), "--speed", str(options.speed), "--seed", str(options.seed)]
    arguments += ["--symbols", ",".join(options.symbols), "--at-end", "hold"]
    if options.market is not None:
        arguments += ["--market", str(options.market.resolve())]
    with Simulator(options.folder, arguments) as venue:
        database = options.folder / "demo.db"
        env_file = write_settings(
            options.folder / "demo.env",
            armed_settings(
                credentials,
                venue.rest_url,
                database,
                options.symbols,
                BTCTURK_WS_URL=venue.ws_url,
                BTCTURK_GRAPH_URL=venue.graph_url,
                **staging.settings,
            ),
        )
        with BotProcess(options.folder, env_file, staging.cycle_seconds, command=staging.command) as bot:
            store = _first_books(database, bot)
            try:
                _trade(options, venue, bot, store, watch)
                _settle(bot, store, database, watch)
            finally:
                store.close()
            status = bot.terminate()
            if status != 0:
                raise DemoFailed(f"the bot ended with status {status}: {bot.last_lines()}")
        venue.control("/settle")
        state = venue.state(key=credentials.key)
        with_books = SqliteStore.open(database, read_only=True)
        try:
            judgement = judge(with_books, state["accounts"][credentials.key], bids_of(state))
            return judgement, shown_by(with_books, len(judgement.symbols))
        finally:
            with_books.close()
            shutil.rmtree(options.folder / "accounts", ignore_errors=True)


def bids_of(state: Any) -> dict[str, Decimal]:
    """Best bids as the simulator's state has them."""
    return {symbol: Decimal(row["bid"]) for symbol, row in state["market"]["prices"].items()}


def _first_books(database: Path, bot: BotProcess) -> SqliteStore:
    """The database, as soon as the bot has closed its first cycle."""
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        if bot.status() is not None:
            raise DemoFailed(f"the bot ended at once: {bot.last_lines(1)}")
        if database.exists() and database.stat().st_size > 0:
            try:
                store = SqliteStore.open(database, read_only=True)
            except BtcbotError:
                pass  # being made at this moment
            else:
                if store.cycle_count():
                    return store
                store.close()
        time.sleep(0.1)
    raise DemoFailed(f"the bot has not finished a cycle in 20 s: {bot.last_lines()}")


def _trade(
    options: DemoOptions,
    venue: Simulator,
    bot: BotProcess,
    store: SqliteStore,
    watch: Callable[[DemoProgress], None],
) -> None:
    cycles_max = options.cycles or (SEEDED_CYCLES if options.market is None else None)
    stall = _Stalling(options.staging.stall, venue)
    while True:
        if bot.status() is not None:
            raise DemoFailed(f"the bot ended with status {bot.status()}: {bot.last_lines()}")
        cycles = store.cycle_count()
        market = venue.state(orders="0")["market"]
        if cycles_max is not None:
            share, over = cycles / cycles_max, cycles >= cycles_max
        else:
            share, over = market["bar"] / max(market["bars"], 1), bool(market["ended"])
        watch(_progress("trading", min(share, 1.0), store))
        stall.look(share)
        if over:
            stall.end()
            return
        time.sleep(POLL_SECONDS)


class _Stalling:
    """Breaks the live feed once, and mends it, as the staging says."""

    def __init__(self, stall: Stall | None, venue: Simulator) -> None:
        self._stall = stall
        self._venue = venue
        self._until: float | None = None

    def look(self, share: float) -> None:
        """The demo has come so far."""
        if self._stall is None:
            return
        if self._until is None and share >= self._stall.at_share:
            self._until = time.monotonic() + self._stall.seconds
            self._venue.control("/faults", kind="connect_refused", count=1_000)
            self._venue.control("/feed", kind="socket_aborted")
        elif self._until is not None and time.monotonic() >= self._until:
            self.end()

    def end(self) -> None:
        """Let connections through again, for good."""
        if self._stall is not None and self._until is not None:
            self._venue.clear_faults()
            self._stall = None


def _settle(bot: BotProcess, store: SqliteStore, database: Path, watch: Callable[[DemoProgress], None]) -> None:
    """Stop the strategies with the kill switch, as an operator would, and let the bot prove and settle what is open."""
    FileKillSwitch(database).turn_on("the demo is over", time.time_ns() // 1_000_000)
    stopped_at = store.cycle_count()
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while time.monotonic() < deadline:
        watch(_progress("settling", 1.0, store))
        if store.cycle_count() >= stopped_at + 2 and is_settled(store):
            return
        if bot.status() is not None:
            raise DemoFailed(f"the bot ended with status {bot.status()}: {bot.last_lines()}")
        time.sleep(POLL_SECONDS)


def _progress(stage: str, share: float, store: SqliteStore) -> DemoProgress:
    last = store.cycles(1)
    return DemoProgress(
        stage=stage,
        share=share,
        cycles=store.cycle_count(),
        orders=store.order_count(),
        fills=store.fill_count(),
        equity_try=last[0].equity_try if last else None,
    )
