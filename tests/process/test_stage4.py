"""`stage4-run` as shipped, over real sockets: killed in the middle of its replacements, asked by its operator while it
runs, choosing out of all listed pairs, and held back by an agent that runs on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import pytest
from tests.unit.adapters.test_agent_llm import Endpoint

from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.domain.notes import NoteKind
from btcbot.domain.orders import make_client_order_id
from btcbot.domain.replacements import OPEN_REPLACEMENTS, ReplacementEnd, ReplacementOutcome
from btcbot.services.agent import AgentNote
from btcbot.services.universe import UniverseNote
from btcbot.testing.bench import Bench
from btcbot.testing.rig import BotProcess, bare_environment, wait_until, write_settings

pytestmark = pytest.mark.slow

SYMBOLS: Final = ("BTCTRY", "ETHTRY", "SOLTRY", "XRPTRY")
LISTED: Final = (
    "ADATRY", "AVAXTRY", "BNBTRY", "BTCTRY", "CHZTRY", "DOGETRY", "DOTTRY", "ETHTRY", "LINKTRY", "LTCTRY", "SHIBTRY",
    "SOLTRY", "TRXTRY", "USDTTRY", "XLMTRY", "XRPTRY",
)  # fmt: skip
#: Four pairs in unlike shares, orders that rest below the market and follow it, and no brake for a wild market.
SETTINGS: Final[Mapping[str, str]] = {
    "PORTFOLIO_TARGETS": "BTCTRY:0.4,ETHTRY:0.3,SOLTRY:0.2,XRPTRY:0.1",
    "PORTFOLIO_DRIFT": "0.02",
    "TRY_CASH_TARGET": "2000",
    "TRY_CASH_MAX": "2000",
    "COOLDOWN_SECONDS": "1",
    "TTL_SECONDS": "6",
    "SETTLE_HORIZON_SECONDS": "2",
    "MAX_ORDERS_PER_CYCLE": "8",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "8000",
    "MAX_INTENT_NOTIONAL_TRY": "1000",
    "MAX_POSITION_TRY_PER_SYMBOL": "12000",
    "REPLACE_MIN_AGE_SECONDS": "1",
    "REPLACE_COOLDOWN_SECONDS": "2",
    "MAX_TOTAL_EXPOSURE_TRY": "40000",
    "RISK_MAX_GROSS_EXPOSURE_TRY": "40000",
    "RISK_MAX_POSITION_PCT": "80",
    "MAX_DAILY_LOSS_TRY": "10000",
    "RISK_MAX_DAILY_DRAWDOWN_TRY": "10000",
    "RISK_MAX_DRAWDOWN_TRY": "10000",
    "MAX_DRAWDOWN_PCT": "60",
    "RISK_BUY_STOP_DAILY_LOSS_PCT": "60",
    "RISK_BUY_STOP_DRAWDOWN_PCT": "60",
    "PNL_DIVERGENCE_TRY_WARN": "1000",
    "PNL_DIVERGENCE_TRY_ERROR": "5000",
}


#: With so much cash at orders of 1,000 it goes on buying for as long as a test may take on a slow machine. With 20,000
#: it has all it wants after some twenty fills, and nothing is left to be replaced.
CASH_FOR_LONG_TRY: Final = Decimal(1_000_000)
SETTINGS_FOR_LONG: Final[Mapping[str, str]] = SETTINGS | {
    "MAX_POSITION_TRY_PER_SYMBOL": "600000",
    "MAX_TOTAL_EXPOSURE_TRY": "2000000",
    "RISK_MAX_GROSS_EXPOSURE_TRY": "2000000",
    "MAX_DAILY_LOSS_TRY": "500000",
    "RISK_MAX_DAILY_DRAWDOWN_TRY": "500000",
    "RISK_MAX_DRAWDOWN_TRY": "500000",
}


class Stage4Bench(Bench):
    """A bench whose bots are `stage4-run` with the live feed."""

    def start_bot(self, *options: str, **more: Any) -> BotProcess:
        number = next(self._names)
        given = {"BTCTURK_WS_URL": self.venue.ws_url, "BTCTURK_GRAPH_URL": self.venue.graph_url, **more}
        env_file = write_settings(self.folder / f"btcbot-{number}.env", self.settings(**given))
        bot = BotProcess(
            self.folder, env_file, self.cycle_seconds, *options, log_name=f"btcbot-{number}.log", command="stage4-run"
        )
        self._bots.append(bot)
        return bot

    def told(self, *arguments: str, status: int = 0) -> Any:
        """What a command says in one line of JSON, as an operator calls it beside the bot."""
        done = subprocess.run(
            [sys.executable, "-m", "btcbot", *arguments, "--json"],
            cwd=self.folder,
            env=bare_environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout)

    def read(self, kind: NoteKind) -> list[Any]:
        """The bodies of all notes of a kind."""
        books = self.books()
        try:
            return [json.loads(note.body) for note in books.notes(kind)]
        finally:
            books.close()

    def replacements(self) -> list[ReplacementEnd]:
        return [msgspec.convert(body, ReplacementEnd, strict=False) for body in self.read(NoteKind.REPLACEMENT)]

    def value(self, key: str) -> str:
        books = self.books()
        try:
            return books.value(key) or ""
        finally:
            books.close()

    def shake(self, random: Random, bps_max: int = 80) -> None:
        """Somebody holds every pair at a price a little away from where it stands."""
        for symbol, row in self.venue.state()["market"]["prices"].items():
            price = Decimal(row["price"])
            places = -int(price.as_tuple().exponent)
            moved = money.round_down(price * (10_000 + random.randint(-bps_max, bps_max)) / 10_000, places)
            if not f"{moved:f}".endswith("0"):  # the venue takes a last zero for a digit too many
                self.venue.control("/market", symbol=symbol, price=f"{moved:f}")

    def by_hand(self, symbol: str, quantity: str, client_id: str | None = None) -> int:
        """A small buy far below the market, by other hands on the bot's own account."""
        price = Decimal(self.venue.state()["market"]["prices"][symbol]["price"])
        fields = {"newOrderClientId": client_id} if client_id is not None else {}
        answer = self.venue.control(
            "/foreign-order", key=self.credentials.key, pairSymbol=symbol, orderType="buy", orderMethod="limit",
            quantity=quantity, price=f"{price * 8 // 10:f}", **fields,
        )  # fmt: skip
        return int(answer["id"])

    def status_of(self, venue_order_id: int) -> str:
        [row] = [row for row in self.account()["orders"] if row["id"] == venue_order_id]
        return str(row["status"])


@pytest.fixture
def stage4(tmp_path: Path) -> Iterator[Stage4Bench]:
    with Stage4Bench(tmp_path, symbols=SYMBOLS, settings=SETTINGS, cycle_seconds=1.5) as made:
        yield made


@pytest.fixture
def stage4_for_long(tmp_path: Path) -> Iterator[Stage4Bench]:
    with Stage4Bench(
        tmp_path, symbols=SYMBOLS, settings=SETTINGS_FOR_LONG, cash_try=CASH_FOR_LONG_TRY, cycle_seconds=1.5
    ) as made:
        yield made


def test_killed_in_the_middle_of_its_replacements_it_doubles_nothing_and_is_played_again(
    stage4_for_long: Stage4Bench,
) -> None:
    """Prices move all the time, so that orders are replaced all the time."""
    stage4, random = stage4_for_long, Random(11)
    bot = stage4.start_bot()
    stage4.wait_for_cycles(3, bot)

    def shake_until(seen: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not seen() and time.monotonic() < deadline:
            stage4.shake(random)
            time.sleep(0.2)
        return seen()

    # A slow machine may end a replacement between our look and the kill: then there is another life to try in.
    lives, hits = 1, 0
    while lives < 5 or (hits < 2 and lives < 12):
        hits += shake_until(lambda: stage4.value(OPEN_REPLACEMENTS) not in ("", "[]"), 12)
        bot.kill()
        bot, lives = stage4.start_bot(), lives + 1
        stage4.wait_for_cycles(3, bot)
    assert hits >= 2

    def went_through() -> int:
        return sum(end.outcome is ReplacementOutcome.DONE for end in stage4.replacements())

    assert shake_until(lambda: went_through() >= 3, 120), "replacements go through as well"
    assert stage4.faults_at_rest(bot) == []
    books = stage4.books()
    try:
        fills, positions = books.fills(), books.positions()
        spent = sum(fill.price * fill.quantity for fill in fills if fill.side is Side.BUY)
        spent -= sum(fill.price * fill.quantity for fill in fills if fill.side is Side.SELL)
        orders = books.order_count()
    finally:
        books.close()
    assert set(positions) == set(SYMBOLS), "it trades them all"
    assert 2_000 < spent <= (CASH_FOR_LONG_TRY - 2_000) * Decimal("1.03"), "all but the 2,000 that are to be kept"

    # What was killed left no last line; everything else is the same.
    same = stage4.told("replay", str(stage4.database))
    assert (same["same"], same["runs"]) == (True, lives + 1)
    cut_off = 4 * (lives - 1)
    assert orders - cut_off <= same["orders"] <= orders, "but for the orders of the cycles that were cut off"


def test_the_operators_doors_while_it_runs(stage4: Stage4Bench) -> None:
    """An order of another database freezes it, a human's own does not; overrides hold and end; nobody is touched."""
    database = ("--db", str(stage4.database))
    bot = stage4.start_bot(STAGE4_UNKNOWN_FREEZE_PERSIST_CYCLES="2")
    humans = stage4.by_hand("BTCTRY", "0.0005")
    stage4.wait_for_cycles(3, bot)
    assert stage4.told("freeze", "status", *database)["active"] is False

    another = stage4.by_hand("ETHTRY", "0.005", make_client_order_id("zzzzzzzz", time.time_ns() // 1_000_000, 1))
    wait_until(lambda: stage4.told("freeze", "status", *database)["active"], 30, "orders to freeze")
    frozen = stage4.told("freeze", "status", *database)
    assert [str(another) in json.dumps(order) for order in frozen["orders"]] == [True]
    sent = len(stage4.posts())
    stage4.shake(Random(3))
    stage4.wait_for_cycles(3, bot)
    assert len(stage4.posts()) == sent, "no new order leaves"
    assert stage4.told("degrade", "status", *database)["level"] == 2

    refused = subprocess.run(
        [sys.executable, "-m", "btcbot", "freeze", "clear", *database],
        env=bare_environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    assert stage4.told("freeze", "clear", "--yes", *database)["done"] is True
    assert stage4.told("freeze", "status", *database)["active"] is False

    # A human narrows it, and lets it go.
    override = ("--mode", "OBSERVE_ONLY", "--cooldown-seconds", "600", "--reason", "maintenance")
    assert stage4.told("degrade", "override", *override, *database)["done"] is True
    stage4.wait_for_cycles(2, bot)
    sent = len(stage4.posts())
    stage4.shake(Random(4), 300)
    stage4.wait_for_cycles(3, bot)
    assert len(stage4.posts()) == sent
    status = stage4.told("degrade", "status", *database)
    assert (status["level"], status["mode"]) == (3, "OBSERVE_ONLY")
    assert stage4.told("degrade", "clear", "--reason", "it is over", *database)["done"] is True
    random = Random(5)

    def trades_again() -> bool:
        stage4.shake(random, 300)
        return len(stage4.posts()) > sent

    wait_until(trades_again, 40, "an order after the override")
    assert {stage4.status_of(humans), stage4.status_of(another)} == {"Untouched"}
    assert bot.terminate() == 0
    assert stage4.told("replay", str(stage4.database))["same"] is True, "with what the operator asked for meanwhile"
    deleted = {row["query"] for row in stage4.venue.requests() if row["method"] == "DELETE"}
    assert not {query for query in deleted if str(humans) in query or str(another) in query}


def test_it_chooses_out_of_all_listed_pairs_and_trades_what_it_chose(tmp_path: Path) -> None:
    """Sixteen pairs, of which SYMBOLS names two; the stable one is no choice."""
    settings = {**SETTINGS, "PORTFOLIO_TARGETS": "", "SYMBOLS": "BTCTRY,ETHTRY"}
    with Stage4Bench(tmp_path, symbols=LISTED, settings=settings, cycle_seconds=2) as bench:
        bot = bench.start_bot(
            DYNAMIC_UNIVERSE_ENABLED="true",
            UNIVERSE_CANDIDATES="listed",
            UNIVERSE_TOP_N="4",
            UNIVERSE_PROBATION_MINUTES="0",
            UNIVERSE_MIN_DEPTH_TRY="20000",
            UNIVERSE_MOMENTUM_LOOKBACK_MINUTES="60",
            UNIVERSE_HISTORY_TOLERANCE_MINUTES="15",
        )
        bench.wait_for_cycles(6, bot, 60)
        notes = [msgspec.convert(body, UniverseNote, strict=False) for body in bench.read(NoteKind.UNIVERSE)]
        chosen = notes[-1]
        assert len(chosen.symbols) == 4
        assert not chosen.is_fallback
        assert set(chosen.scores) == set(LISTED) - {"USDTTRY"}
        assert list(chosen.symbols) == sorted(chosen.scores, key=lambda one: -chosen.scores[one])[:4]
        posts = [json.loads(row["body"]) if isinstance(row["body"], str) else row["body"] for row in bench.posts()]
        ordered = {post["pairSymbol"] for post in posts}
        assert ordered
        assert ordered <= {*chosen.symbols, "BTCTRY", "ETHTRY"}
        assert ordered & set(chosen.symbols)
        assert bench.faults_at_rest(bot) == []
        assert bench.told("replay", str(bench.database))["same"] is True


def test_an_agent_beside_it_makes_it_smaller_and_its_audit_is_kept(stage4: Stage4Bench) -> None:
    endpoint = Endpoint()
    try:
        endpoint.answer = endpoint.says('{"action":"narrow","buy_share":"0.5","rationale":"thin books"}')
        bot = stage4.start_bot(
            AGENT_POLICY_ENABLED="true",
            AGENT_POLICY_PROVIDER="llm",
            AGENT_LLM_URL=endpoint.url,
            AGENT_LLM_MODEL="guard-1",
            AGENT_LLM_TIMEOUT_SECONDS="1",
        )
        stage4.wait_for_cycles(4, bot)
        assert stage4.settle(bot).faults == []
    finally:
        endpoint.close()
    notes = [msgspec.convert(body, AgentNote, strict=False) for body in stage4.read(NoteKind.AGENT)]
    assert len(endpoint.requests) >= len([note for note in notes if note.answer is not None]) >= 1
    assert {note.answer.rationale for note in notes if note.answer is not None} == {"thin books"}
    posts = [json.loads(row["body"]) if isinstance(row["body"], str) else row["body"] for row in stage4.posts()]
    assert posts
    values = [Decimal(str(post["price"])) * Decimal(str(post["quantity"])) for post in posts]
    assert max(values) <= 1_000
    assert stage4.told("replay", str(stage4.database))["same"] is True, "and the endpoint is gone by now"
