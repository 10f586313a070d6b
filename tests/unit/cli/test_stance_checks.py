"""What keeps a bot that runs from trading is never told as fit: preflight and doctor say so, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.builders import a_report
from tests.unit.cli.books import Run, Venue

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli import reading
from btcbot.cli.checks import FAIL, PASS, WARN, Finding
from btcbot.cli.checks_stance import budget
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.decisions.degrade import DegradeState
from btcbot.decisions.freeze import FreezeRecord, Unexplained, UnexplainedKind
from btcbot.decisions.results import Holding, Results
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.services import budget_record, values
from btcbot.services.accounting import set_trading_state
from btcbot.services.days import day
from btcbot.services.degrade_record import DEGRADE, Kept, encoded
from btcbot.services.freeze_record import ORDER_FREEZE
from btcbot.services.snapshots import RESULTS, plain_json

NOW_MS = 1_790_000_000_000
TODAY, YESTERDAY = day(NOW_MS), day(NOW_MS - 86_400_000)


def settings(**changed: str) -> Settings:
    limits = {"RISK_MAX_DAILY_DRAWDOWN_TRY": "800", "RISK_MAX_DRAWDOWN_TRY": "2000", "MAX_DAILY_LOSS_TRY": "500"}
    return load_settings({**limits, **changed}, None, {}).settings


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    store = SqliteStore.in_memory()
    yield store
    store.close()


def put_results(
    store: SqliteStore, *, peak: str = "0", held: bool = True, began: str = TODAY, start: str = "0", **more: Any
) -> None:
    """An account of 50,000 TRY. Of what was bought for 10,000 TRY now 9,000 are left (held), or nothing is held."""
    position = Position(symbol="BTCTRY", quantity=Decimal("0.01"), cost=Decimal(10_000))
    holdings = {"BTCTRY": Holding(position.quantity, position.cost)} if held else {}
    with store.transaction() as tx:
        if held:
            tx.put_position(position)
        tx.put_value(values.MARKS, '{"BTCTRY":"900000"}')
        tx.put_value(values.PNL_DAY, began)
        tx.put_value(values.PNL_DAY_START, start)
        tx.insert_cycle(a_report(1, profile="stage4-run", equity_try=Decimal(50_000)))
        results = Results(peak=Decimal(peak), peak_equity=Decimal(50_000), holdings=holdings, **more)
        tx.put_value(RESULTS, plain_json(results))


def told(store: SqliteStore, **changed: str) -> list[Finding]:
    return list(budget(store, settings(**changed), NOW_MS))


class TestBudget:
    def test_a_book_that_no_overseen_cycle_has_measured(self, store: SqliteStore) -> None:
        assert [(one.level, one.message) for one in told(store)] == [
            (PASS, "no cycle of stage4-run or stage7-run has measured yet")
        ]

    def test_nothing_is_narrowed(self, store: SqliteStore) -> None:
        put_results(store, start="-1000")
        assert [(one.level, one.message) for one in told(store)] == [(PASS, "nothing is narrowed")]

    def test_a_day_that_lost_too_much_is_no_pass(self, store: SqliteStore) -> None:
        """Three budgets stopped everything, and both commands exited with 0."""
        put_results(store, start="0")
        found = told(store)
        assert [(one.name, one.level) for one in found] == [("daily loss", WARN), ("risk budget", WARN)]
        assert found[0].message.startswith("1000 TRY lost today, MAX_DAILY_LOSS_TRY is 500, so nothing is bought")
        assert found[1].message.startswith("OBSERVE_ONLY: budget:daily_loss: 1000 TRY lost today, the limit is 800")
        assert all("ends at midnight in Istanbul" in one.message for one in found)

    def test_a_loss_of_yesterday_keeps_nothing_from_trading(self, store: SqliteStore) -> None:
        put_results(store, start="0", began=YESTERDAY)
        assert [one.level for one in told(store)] == [PASS]

    def test_a_drawdown_with_something_to_sell_may_recover(self, store: SqliteStore) -> None:
        put_results(store, peak="1500", start="-1000")
        (found,) = told(store)
        assert found.level == WARN
        assert found.message.startswith("REDUCE_RISK_ONLY: budget:drawdown: 2500 TRY below the highest profit")

    def test_a_drawdown_with_nothing_to_sell_ends_by_a_human_alone(self, store: SqliteStore) -> None:
        put_results(store, peak="2500", held=False)
        (found,) = told(store)
        assert found.level == FAIL
        assert found.message.startswith("OBSERVE_ONLY: budget:drawdown: 2500 TRY below")
        assert found.message.endswith("«btcbot budget reset --reason …»")

    def test_a_human_has_ended_it_though_no_cycle_has_run_since(self, store: SqliteStore) -> None:
        put_results(store, peak="2500", held=False)
        assert [one.level for one in told(store, RISK_MAX_DRAWDOWN_TRY="3000")] == [PASS]
        budget_record.reset(store, NOW_MS, "looked at it")
        assert [one.level for one in told(store)] == [PASS]

    @pytest.mark.parametrize(
        ("changed", "start", "words"),
        [
            ({"RISK_MAX_GROSS_EXPOSURE_TRY": "8000"}, "-1000", "ends when positions and open buys are worth less"),
            ({"RISK_MAX_POSITION_PCT": "15"}, "-1000", "ends when it is a smaller part of the account"),
            ({"RISK_BUY_STOP_DAILY_LOSS_PCT": "1"}, "-400", "ends at midnight in Istanbul"),
        ],
    )
    def test_what_narrows_says_what_ends_it(
        self, store: SqliteStore, changed: dict[str, str], start: str, words: str
    ) -> None:
        put_results(store, start=start)
        narrowed = [one for one in told(store, MAX_DAILY_LOSS_TRY="5000", **changed) if one.level == WARN]
        assert [words in one.message for one in narrowed] == [True], narrowed

    def test_a_streak_of_losses_makes_buys_smaller(self, store: SqliteStore) -> None:
        put_results(store, start="-1000", loss_streak=3)
        (found,) = told(store)
        assert (found.level, "ends with a round trip that gains" in found.message) == (WARN, True)

    def test_a_held_pair_without_a_price(self, store: SqliteStore) -> None:
        put_results(store, start="-1000")
        with store.transaction() as tx:
            tx.put_value(values.MARKS, "{}")
        (found,) = told(store)
        assert (found.level, "BTCTRY has never shown a price" in found.message) == (WARN, True)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A dry run whose last cycles only observed, at degrade level 1."""
    path = tmp_path / "stopped.db"
    store = SqliteStore.open(path)
    with store.transaction() as tx:
        set_trading_state(tx, TradingState.OBSERVE_ONLY, "venue_unavailable: balances: HTTP 502")
        tx.put_value(DEGRADE, encoded(Kept(machine=DegradeState(level=1, why="ORDER_REJECT_SPIKE: 3"))))
    store.close()
    return path


class TestCommands:
    @pytest.fixture(autouse=True)
    def local(self, venue: Venue, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
        monkeypatch.setenv("BTCTURK_BASE_URL", venue.url)
        monkeypatch.setenv("SYMBOLS", "BTCTRY")

    def levels(self, run: Run, *command: str) -> dict[tuple[str, str], tuple[str, str]]:
        checks = run(*command, "--json").json["checks"]
        return {(one["category"], one["name"]): (one["level"], one["message"]) for one in checks}

    def test_the_doctor_has_doubts_about_a_bot_that_only_observes(self, run: Run, stopped: Path) -> None:
        found = self.levels(run, "doctor", "--db", str(stopped))
        level, message = found["gates", "trading state"]
        assert (level, "balances: HTTP 502; ends with the next cycle that completes" in message) == (WARN, True)
        level, message = found["degrade", "level"]
        assert (level, message.startswith("1; ORDER_REJECT_SPIKE: 3; see «btcbot degrade status»")) == (WARN, True)

    def test_preflight_tells_the_state_and_lets_a_run_start(self, run: Run, stopped: Path) -> None:
        store = SqliteStore.open(stopped)
        with store.transaction() as tx:
            tx.put_value(DEGRADE, "")
        store.close()
        said = run("preflight", "--profile", "dry-run", "--db", stopped)
        assert "WARN [gates] trading state - OBSERVE_ONLY: venue_unavailable" in said.out
        assert said.status == 0, said.out

    def test_a_run_that_would_never_trade_may_not_start(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "fallen.db"
        store = SqliteStore.open(path)
        put_results(store, peak="25000", held=False, began=day(reading.now_ms()))
        store.close()
        said = run("preflight", "--profile", "dry-run", "--db", path)
        assert (said.status, "FAIL [budget] risk budget - OBSERVE_ONLY: budget:drawdown" in said.out) == (2, True)

    def test_the_doctor_tells_orders_that_froze_all_others(self, run: Run, stopped: Path) -> None:
        strange = Unexplained(key="venue:1", kind=UnexplainedKind.OTHER_BOOK, symbol="BTCTRY", detail="buy 1")
        store = SqliteStore.open(stopped)
        with store.transaction() as tx:
            tx.put_value(ORDER_FREEZE, encoded(FreezeRecord(since_ms=1, cycle_id="c1", orders=(strange,))))
        store.close()
        level, message = self.levels(run, "doctor", "--db", str(stopped))["freeze", "orders"]
        assert (level, "other_book BTCTRY: buy 1" in message) == (FAIL, True)
