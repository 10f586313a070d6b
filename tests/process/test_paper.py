"""Paper, as shipped, on a local BtcTurk over real sockets: fills on both sides, kills in the middle, and no way out.

The paper venue's file is the other party: after everything, the books must be equal to it to the last digit.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import structlog
from tests.process.on_paper import CASH_TRY, SYMBOLS, TRADING, Paper, demand_public_reads_only

from btcbot import bootstrap
from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.paper.file_records import path_beside
from btcbot.bootstrap import paper as on_paper
from btcbot.config.loading import load_settings
from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.outcomes import SubmitOutcome
from btcbot.domain.permit import Permit
from btcbot.testing.judge import is_settled
from btcbot.testing.rig import (
    armed_settings,
    wait_until,
    write_settings,
)

RECORDED = Path(__file__).parents[3] / "shared" / "market-data" / "try-1m-2022-11-08"
pytestmark = pytest.mark.slow


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[Paper]:
    made = Paper(tmp_path)
    yield made
    made.close()


def test_paper_fills_both_sides_survives_kills_and_needs_no_key(paper: Paper) -> None:
    bot = paper.start()
    paper.wait_for_fills(1, bot)
    for pause_s in (0.3, 1.1, 0.0):
        bot.kill()
        bot = paper.start()
        paper.wait_for_fills(1, bot)
        time.sleep(pause_s)  # somewhere in the middle of whatever it does
    wait_until(lambda: paper.has(OrderStatus.CANCELED), 40.0, "an order that rested too long to be cancelled")
    paper.settle(bot)

    judgement = paper.judgement()
    assert judgement.faults == []
    assert judgement.both_sides_filled
    assert set(judgement.difference) >= {"TRY", "BTC"}
    assert judgement.foreign_trades == 0
    assert judgement.quotes_from_feed > 0

    saved, trades, orders = paper.paper_venue()
    spent = money.total((one.value if one.side is Side.BUY else -one.value) + one.fee + one.tax for one in trades)
    assert saved.balances["TRY"].total == CASH_TRY - spent
    assert saved.fees == money.total(one.fee + one.tax for one in trades) > 0
    filled: dict[str, Decimal] = {}
    for trade in trades:
        filled[trade.venue_order_id] = filled.get(trade.venue_order_id, money.ZERO) + trade.quantity
    assert all(filled.get(one.venue_order_id, money.ZERO) == one.executed_quantity for one in orders)
    demand_public_reads_only(paper.venue)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded bars beside the project")
def test_paper_on_a_recorded_day(tmp_path: Path) -> None:
    paper = Paper(tmp_path, ("CHZTRY", "TRXTRY"), RECORDED)
    try:
        bot = paper.start()
        paper.wait_for_fills(2, bot)
        paper.settle(bot)
        judgement = paper.judgement()
        assert judgement.faults == []
        assert judgement.both_sides_filled
        demand_public_reads_only(paper.venue)
    finally:
        paper.close()


def test_keys_that_are_given_are_not_used(paper: Paper) -> None:
    """An env file that would trade for real, with every gate open: --paper is the closed word, and it wins."""
    armed = armed_settings(
        paper.credentials, paper.venue.rest_url, paper.database, SYMBOLS, BTCTURK_WS_URL=paper.venue.ws_url, **TRADING
    )
    bot = paper.start(armed)
    wait_until(lambda: paper.fills()[Side.BUY] > 0, 30.0, "a fill on paper")
    assert bot.terminate() == 0, bot.last_lines()
    assert "side effects BLOCKED by dry_run" in bot.log.read_text()
    demand_public_reads_only(paper.venue)


@pytest.mark.parametrize("brake", ["SAFE_MODE", "KILL_SWITCH", "file"])
def test_the_brakes_hold_on_paper_too(paper: Paper, brake: str) -> None:
    more = {brake: "true"} if brake != "file" else {}
    if brake == "file":
        paper.kill_switch.turn_on("not today", time.time_ns() // 1_000_000)
    bot = paper.start(paper.settings(**more))

    wait_until(lambda: paper.cycles() >= 4, 20.0, "four cycles")
    assert bot.terminate() == 0, bot.last_lines()
    _, trades, orders = paper.paper_venue()
    assert (trades, orders) == ([], [])


def test_a_database_is_of_one_mode_for_ever(paper: Paper) -> None:
    once = {**paper.settings(), "MARKET_DATA_MODE": "rest"}
    env_file = write_settings(paper.folder / "once.env", once)

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return paper.asks("run", "--env-file", str(env_file), *options)

    assert run("--paper").returncode == 0
    refused = run("--dry-run")
    assert refused.returncode == 2
    assert "made for mode paper and is never used for dry_run" in refused.stderr
    other = str(paper.folder / "dry.db")
    assert run("--dry-run", "--db", other).returncode == 0
    refused = run("--paper", "--db", other)
    assert refused.returncode == 2
    assert "made for mode dry_run and is never used for paper" in refused.stderr
    both = run("--paper", "--dry-run")
    assert both.returncode == 2
    assert "give one of them" in both.stderr

    path_beside(paper.database).unlink()
    refused = run("--paper")
    assert refused.returncode == 2
    assert "paper.db.venue is missing" in refused.stderr
    assert msgspec.json.decode(status(paper, "--json"))["mode"] == "paper"
    assert "none on paper; to the real venue dry_run" in status(paper)
    paper.kill_switch.turn_on("not now", time.time_ns() // 1_000_000)
    assert "kill_file on paper; to the real venue dry_run" in status(paper)


def status(paper: Paper, *options: str) -> str:
    return paper.told("status", "--db", str(paper.database), *options)


def test_an_account_that_exists_goes_on_with_what_it_has(paper: Paper) -> None:
    log = structlog.testing.CapturingLogger()
    for balance in ("20000", "30000"):
        text = paper.settings(MARKET_DATA_MODE="rest", DRY_RUN_TRY_BALANCE=balance, KILL_SWITCH="true")
        settings = load_settings({}, write_settings(paper.folder / "balance.env", text), {}).settings
        bot = on_paper.build(settings, stop=threading.Event(), metrics=NullMetrics(), log=log)
        try:
            report = bot.run_cycle()
            assert report.equity_try == 20_000
        finally:
            bot.close()
    [told] = [call for call in log.calls if call.args == ("paper_balance_kept",)]
    assert (told.kwargs["began_with"], told.kwargs["setting"]) == ("20000", "30000")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_bot_that_dies_while_the_paper_venue_takes_its_order_finds_it_in_the_lists_or_proves_that_it_is_not_there(
    paper: Paper, moment: str
) -> None:
    """The one moment in which the two parties know different things, as at any venue."""
    text = paper.settings(MARKET_DATA_MODE="rest", SWEEP_ENABLED="false", SETTLE_HORIZON_SECONDS="1")
    settings = load_settings({}, write_settings(paper.folder / "dies.env", text), {}).settings
    parts = {"stop": threading.Event(), "metrics": NullMetrics(), "log": structlog.get_logger("test")}
    first = on_paper.build(settings, **parts)
    takes = first.exchange.submit

    def dies(order: Order, permit: Permit) -> SubmitOutcome:
        if moment == "after":
            takes(order, permit)
        raise KeyboardInterrupt

    first.exchange.submit = dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        first.run_cycle()
    [left] = first.store.orders((OrderStatus.SUBMITTED,))
    first.close()
    paper.kill_switch.turn_on("no further order", time.time_ns() // 1_000_000)

    again = on_paper.build(settings, **parts)
    try:
        wait_until(lambda: again.run_cycle() is not None and is_settled(again.store), 25.0, "the order to be settled")
        found = again.store.order(left.client_order_id)
        assert found is not None
        wanted = OrderStatus.NOT_PLACED if moment == "before" else OrderStatus.FILLED
        assert found.status is wanted, found
    finally:
        again.close()
    judgement = paper.judgement()
    assert judgement.faults == []
    assert judgement.orders == 1


@pytest.mark.parametrize("mode", ["paper", "dry_run"])
def test_an_operators_request_is_carried_out_in_the_mode_of_the_database(paper: Paper, mode: str) -> None:
    settings = load_settings({}, write_settings(paper.folder / "request.env", paper.settings()), {}).settings
    parts = {"stop": threading.Event(), "metrics": NullMetrics(), "log": structlog.get_logger("test")}
    build = {"paper": on_paper.build, "dry_run": bootstrap.build}[mode]
    build(settings, **parts).close()

    bot = on_paper.build_for_request(settings, **parts)
    try:
        assert bot.mode == mode
    finally:
        bot.close()
