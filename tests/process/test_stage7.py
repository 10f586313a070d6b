"""`stage7-run` as shipped, on paper against a local BtcTurk over real sockets: it trades and adapts, survives kills, is
played again, and the venue never sees anything but public reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from tests.process.on_paper import Paper, demand_public_reads_only

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain.intents import Side
from btcbot.domain.notes import NoteKind
from btcbot.services import adaptation

pytestmark = pytest.mark.slow

SYMBOLS: Final = ("BTCTRY", "ETHTRY", "SOLTRY", "XRPTRY", "AVAXTRY", "TRXTRY")
#: Public ones, of the venue and of its charts.
ADDRESSES: Final = ("/api/v2/", "/v1/klines/")
#: Few pairs at first, so that there is room to grow; healthy cycles count soon; prices in whole books.
SETTINGS: Final[Mapping[str, str]] = {
    "DRY_RUN_TRY_BALANCE": "20000",
    "TRY_CASH_TARGET": "2000",
    "TRY_CASH_MAX": "4000",
    "COOLDOWN_SECONDS": "1",
    "TTL_SECONDS": "6",
    "SETTLE_HORIZON_SECONDS": "2",
    "MAX_ORDERS_PER_CYCLE": "6",
    "NOTIONAL_CAP_TRY_PER_CYCLE": "6000",
    "MAX_INTENT_NOTIONAL_TRY": "1000",
    "MAX_POSITION_TRY_PER_SYMBOL": "8000",
    "MAX_TOTAL_EXPOSURE_TRY": "40000",
    "RISK_MAX_GROSS_EXPOSURE_TRY": "40000",
    "RISK_MAX_POSITION_PCT": "80",
    "PORTFOLIO_DRIFT": "0.02",
    "PORTFOLIO_ORDER_OFFSET_BPS": "2",
    "REPLACE_MIN_AGE_SECONDS": "1",
    "REPLACE_COOLDOWN_SECONDS": "2",
    "MAX_DAILY_LOSS_TRY": "10000",
    "RISK_MAX_DAILY_DRAWDOWN_TRY": "10000",
    "RISK_MAX_DRAWDOWN_TRY": "10000",
    "MAX_DRAWDOWN_PCT": "60",
    "RISK_BUY_STOP_DAILY_LOSS_PCT": "60",
    "RISK_BUY_STOP_DRAWDOWN_PCT": "60",
    "PNL_DIVERGENCE_TRY_WARN": "1000",
    "PNL_DIVERGENCE_TRY_ERROR": "5000",
    "UNIVERSE_TOP_N": "3",
    "UNIVERSE_PROBATION_MINUTES": "0",
    "UNIVERSE_MIN_QUOTE_VOLUME_TRY": "0",
    "STAGE7_VOL_LOOKBACK": "3",
    "ADAPTATION_UNIVERSE_MIN": "2",
    "ADAPTATION_UNIVERSE_MAX": "6",
    "ADAPTATION_TURNOVER_SHARE": "0.3",
}


class Adaptive(Paper):
    """A local BtcTurk, a database, and `stage7-run` one after the other."""

    COMMAND = ("stage7-run",)
    CYCLE_SECONDS = 2.0
    SETTINGS = SETTINGS

    def __init__(self, folder: Path, symbols: Sequence[str] = SYMBOLS) -> None:
        super().__init__(folder, symbols)

    def settings(self, **more: str) -> dict[str, str]:
        return super().settings(BTCTURK_GRAPH_URL=self.venue.graph_url, **more)

    def answer(self, *arguments: str) -> Any:
        """What a command says in one line of JSON."""
        return json.loads(self.told(*arguments, "--json"))


@pytest.fixture
def adaptive(tmp_path: Path) -> Iterator[Adaptive]:
    made = Adaptive(tmp_path)
    yield made
    made.close()


def test_it_trades_and_adapts_on_paper_survives_kills_and_the_venue_sees_only_reads(adaptive: Adaptive) -> None:
    db = ("--db", str(adaptive.database))
    bot = adaptive.start()
    adaptive.wait_for_cycles(8, bot)
    for _ in range(2):
        bot.kill()
        bot = adaptive.start()
        adaptive.wait_for_cycles(6, bot)
    adaptive.settle(bot)

    assert adaptive.fills()[Side.BUY] >= 3
    assert adaptive.judgement().faults == []
    demand_public_reads_only(adaptive.venue, ADDRESSES)

    status, history = adaptive.answer("params", "status", *db), adaptive.answer("params", "history", *db)["changes"]
    applied = [change for change in history if change["outcome"] == "APPLIED"]
    assert {change["field"] for change in applied} >= {"universe_size"}, history
    assert all(change["reason"] and change["before"] and change["after"] for change in applied)
    assert status["adapted"]
    # A slow machine may see losses taken back: what is in force is what the newest move led to, forward or back.
    moves = [change for change in history if change["outcome"] in ("APPLIED", "ROLLED_BACK")]
    assert status["version"] == moves[-1]["to_version"]
    sizes = [int(change["after"]) for change in moves if change["field"] == "universe_size"]
    assert int(status["parameters"]["universe_size"]["in_force"]) == sizes[-1]
    assert max(sizes) > 3, "above where it began"
    assert all(2 <= size <= 6 for size in sizes), "within its bounds"

    books = SqliteStore.open(adaptive.database, read_only=True)
    try:
        cycles = books.cycle_count()
        assert books.note_count(NoteKind.RUN_METRICS) >= cycles - 1
        assert {report.profile for report in books.cycles(1_000)} == {"stage7-run"}
        assert adaptation.load(books) is not None
        universes = books.notes(NoteKind.UNIVERSE)
    finally:
        books.close()
    assert universes
    same = adaptive.answer("replay", str(adaptive.database))
    assert (same["same"], same["runs"]) == (True, 3)


def test_without_adaptation_nothing_moves(adaptive: Adaptive) -> None:
    bot = adaptive.start(None, "--no-include-adaptation")
    adaptive.wait_for_cycles(8, bot)
    assert bot.terminate() == 0, bot.last_lines()
    assert adaptive.answer("params", "history", "--db", str(adaptive.database))["changes"] == []
    assert adaptive.answer("params", "status", "--db", str(adaptive.database))["adapted"] is False
    demand_public_reads_only(adaptive.venue, ADDRESSES)


def test_keys_and_open_gates_in_its_settings_are_refused_and_nothing_is_asked(adaptive: Adaptive) -> None:
    """Also with keys in hand: this profile never arms."""
    armed = {
        **adaptive.settings(),
        "BTCTURK_API_KEY_FILE": str(adaptive.credentials.key_file),
        "BTCTURK_API_SECRET_FILE": str(adaptive.credentials.secret_file),
        "DRY_RUN": "false",
        "LIVE_TRADING": "true",
        "LIVE_TRADING_ACK": "I_UNDERSTAND",
    }
    bot = adaptive.start(armed)
    assert bot.wait(20) == 2
    assert "stage7-run trades on paper only" in bot.last_lines(1)
    assert adaptive.venue.requests() == []
    assert not adaptive.database.exists()
