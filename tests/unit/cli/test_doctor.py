"""What the doctor makes of the last cycles, of the books and of recorded data; the rest is in test_venue.py."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.builders import a_report
from tests.unit.cli.books import SUSPENSE_ENTRY, Run, entry, order

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli.checks import FAIL, PASS, WARN, Finding, shown, summary, worst_of
from btcbot.cli.checks_local import books, ops
from btcbot.cli.checks_slo import drawdown, judged
from btcbot.config.groups.slo import SloSettings, slo_problems
from btcbot.decisions.results import Results
from btcbot.domain.cycles import CycleReport
from btcbot.domain.ledger import Account, EntryKind
from btcbot.domain.orders import Order, OrderStatus
from btcbot.services import budget_record, values
from btcbot.services.snapshots import RESULTS, plain_json

NOW_MS = 1_790_000_000_000


def a_cycle(number: int, milliseconds: int = 500, equity: str | None = "1000") -> CycleReport:
    return a_report(
        number,
        started_at_ms=NOW_MS,
        ended_at_ms=NOW_MS + milliseconds,
        equity_try=None if equity is None else Decimal(equity),
    )


def judgement(
    cycles: Sequence[CycleReport] = (a_cycle(1),), orders: Sequence[Order] = (), **limits: Any
) -> dict[str, Finding]:
    """Findings by name; `cycles` as they happened."""
    return {one.name: one for one in judged(cycles[::-1], orders, SloSettings(**limits))}


def orders(count: int, status: OrderStatus, filled: str = "0") -> list[Order]:
    return [order(number, status, filled_quantity=Decimal(filled)) for number in range(count)]


FILLED = "0.0002"


class TestSlo:
    @pytest.mark.parametrize(("refused", "level"), [(1, PASS), (2, WARN), (3, FAIL)])
    def test_orders_that_the_venue_refuses(self, refused: int, level: str) -> None:
        """Of twenty: a warning above one in twenty, a failure above one in ten."""
        made = orders(refused, OrderStatus.REJECTED) + orders(20 - refused, OrderStatus.FILLED, FILLED)
        found = judgement(orders=made, doctor_slo_max_reject_rate_fail=Decimal("0.1"))["reject rate"]
        assert found.level == level
        assert "of 20 orders" in found.message

    @pytest.mark.parametrize(("filled", "level"), [(10, PASS), (9, WARN), (2, WARN), (1, FAIL)])
    def test_orders_that_end_without_a_fill(self, filled: int, level: str) -> None:
        made = orders(filled, OrderStatus.FILLED, FILLED) + orders(20 - filled, OrderStatus.CANCELED)
        assert judgement(orders=made)["fill rate"].level == level

    def test_a_cancelled_order_with_a_part_filled_counts_as_filled(self) -> None:
        assert judgement(orders=orders(5, OrderStatus.CANCELED, "0.0001"))["fill rate"].level == PASS

    def test_orders_that_never_left_are_not_the_venues(self) -> None:
        made = orders(20, OrderStatus.DENIED) + orders(4, OrderStatus.REJECTED)
        assert judgement(orders=made)["orders"] == Finding(PASS, "slo", "orders", "4 were sent, too few to judge")

    @pytest.mark.parametrize(("slow_ms", "level"), [(2_500, PASS), (2_501, WARN), (10_000, WARN), (10_001, FAIL)])
    def test_the_time_that_one_cycle_in_twenty_exceeds(self, slow_ms: int, level: str) -> None:
        """Twenty cycles, the slowest of which does not count."""
        cycles = [a_cycle(number) for number in range(18)] + [a_cycle(18, slow_ms), a_cycle(19, 60_000)]
        found = judgement(cycles)["latency"]
        assert found.level == level
        assert f"{slow_ms} ms" in found.message

    def test_limits_that_contradict_each_other(self) -> None:
        assert slo_problems(SloSettings()) == []
        wrong = SloSettings(doctor_slo_max_latency_ms_warn=20_000, doctor_slo_min_fill_rate_fail=Decimal("0.9"))
        assert [line.partition(":")[0] for line in slo_problems(wrong)] == [
            "DOCTOR_SLO_MAX_LATENCY_MS_WARN",
            "DOCTOR_SLO_MIN_FILL_RATE_FAIL",
        ]

    def test_only_orders_of_the_last_cycles_are_judged(self, run: Run, book: Path) -> None:
        """The book's four orders are of its one cycle."""
        said = run("doctor", "--json", "--db", book)
        found = {check["name"]: check for check in said.json["checks"] if check["category"] == "slo"}
        assert found["orders"]["message"] == "4 were sent, too few to judge"
        assert found["latency"]["message"].startswith("1100 ms")


class TestDrawdown:
    """Of an account of 50,000 TRY, of which the profit of each cycle is told."""

    @pytest.fixture
    def store(self) -> Iterator[SqliteStore]:
        store = SqliteStore.in_memory()
        yield store
        store.close()

    def earned(self, store: SqliteStore, *profits: str, moved: dict[int, str] | None = None) -> Finding:
        """`moved`: by the number of a cycle, what had been paid in by then (or out, below zero)."""
        with store.transaction() as tx:
            for number, profit in enumerate(profits):
                paid_in = Decimal((moved or {}).get(number, "0"))
                tx.insert_cycle(
                    a_report(
                        number,
                        started_at_ms=NOW_MS + number * 10_000,
                        ended_at_ms=NOW_MS + number * 10_000,
                        equity_try=Decimal(50_000) + Decimal(profit) + paid_in,
                        unrealized_pnl_try=Decimal(profit),
                    )
                )
        return drawdown(store, SloSettings())

    @pytest.mark.parametrize(("now", "level"), [("-5000", PASS), ("-5005", WARN), ("-10000", WARN), ("-10005", FAIL)])
    def test_a_fall_of_the_profit(self, store: SqliteStore, now: str, level: str) -> None:
        found = self.earned(store, "0", "-100", now)
        assert found.level == level
        assert f"{now[1:]} TRY below its highest since 2026-09-21 14:13:20Z (3 cycles)" in found.message

    def test_a_withdrawal_is_no_loss_and_ends_no_canary(self, store: SqliteStore) -> None:
        """39,000 of 50,000 withdrawn, nothing lost: it was told as 0.78 of the highest equity."""
        found = self.earned(store, "0", "10", "10", moved={2: "-39000"})
        assert found.level == PASS
        assert "is 0 TRY below" in found.message

    def test_a_deposit_hides_no_loss(self, store: SqliteStore) -> None:
        assert self.earned(store, "0", "-15000", "-15000", moved={1: "100000", 2: "100000"}).level == FAIL

    def test_a_fall_is_seen_although_it_began_long_before_the_last_twenty_cycles(self, store: SqliteStore) -> None:
        found = self.earned(store, "0", *["-6500"] * 200)
        assert (found.level, "0.13 of the account" in found.message) == (WARN, True)

    def test_a_rise_is_no_fall(self, store: SqliteStore) -> None:
        assert self.earned(store, "0", "1000").level == PASS

    def test_no_cycle_that_could_tell(self, store: SqliteStore) -> None:
        with store.transaction() as tx:
            tx.insert_cycle(a_report(1))
        assert drawdown(store, SloSettings()).level == PASS

    def test_coins_that_were_taken_back_are_no_loss(self, store: SqliteStore) -> None:
        """Their gain leaves the profit with them; it is measured from then on."""
        with store.transaction() as tx:
            at_ms = NOW_MS + 15_000
            tx.insert_entry(
                replace(entry("release:BTCTRY:1", EntryKind.ADOPTION, Account.OPENING, "BTC", "-1"), at_ms=at_ms)
            )
        found = self.earned(store, "0", "20000", "0", "0")
        assert (found.level, "(2 cycles)" in found.message) == (PASS, True)

    def test_an_overseen_run_tells_its_own_with_its_resets(self, store: SqliteStore) -> None:
        """The profit is nothing, 13,000 below the peak; a reset measures it from now on."""
        self.earned(store, "0")
        with store.transaction() as tx:
            tx.put_value(RESULTS, plain_json(Results(peak=Decimal(13_000), peak_equity=Decimal(50_000))))
        found = drawdown(store, SloSettings())
        assert found.level == FAIL
        assert "13000 TRY below its highest since the first cycle of stage4-run or stage7-run, 0.26" in found.message
        budget_record.reset(store, NOW_MS, "looked at it")
        found = drawdown(store, SloSettings())
        assert found.level == PASS
        assert "since the «btcbot budget reset» of 2026-09-21 14:13:20Z" in found.message


class TestBooks:
    def findings(self, path: Path) -> dict[str, Finding]:
        store = SqliteStore.open(path, read_only=True)
        try:
            return {one.name: one for one in books(store, NOW_MS)}
        finally:
            store.close()

    def test_a_fill_without_its_entry(self, book: Path) -> None:
        assert self.findings(book)["fills"].level == FAIL
        store = SqliteStore.open(book)
        with store.transaction() as tx:
            tx.insert_entry(entry("t1", EntryKind.FILL, Account.MARKET, "BTC", "0.0002"))
        store.close()
        assert self.findings(book)["fills"] == Finding(PASS, "books", "fills", "each of 1 fills has its entry")

    def test_suspense_is_told_until_it_is_explained(self, book: Path) -> None:
        assert "TRY not explained" in self.findings(book)["suspense"].message
        store = SqliteStore.open(book)
        made = entry(f"explain:{SUSPENSE_ENTRY}", EntryKind.EXPLANATION, Account.SUSPENSE, "TRY", "-12.50")
        with store.transaction() as tx:
            tx.insert_entry(made)
        store.close()
        assert self.findings(book)["suspense"].level == PASS

    @pytest.mark.parametrize(
        ("cursor", "level"), [(str(NOW_MS - 5_000), PASS), (str(NOW_MS + 60_001), FAIL), ("soon", FAIL)]
    )
    def test_a_cursor_of_the_future_would_pass_trades_over(self, book: Path, cursor: str, level: str) -> None:
        store = SqliteStore.open(book)
        with store.transaction() as tx:
            tx.put_value(values.TRADES_CURSOR_MS, cursor)
        store.close()
        assert self.findings(book)["cursor"].level == level


class TestRecordedData:
    def readiness(self, run: Run, *more: object) -> dict[str, dict[str, Any]]:
        said = run("doctor", "--json", "--db", "none.db", *more)
        return {one["name"]: one for one in said.json["checks"] if one["category"] == "backtest_readiness"}

    def test_none_is_needed(self, run: Run) -> None:
        assert self.readiness(run)["dataset"]["level"] == PASS

    def test_a_folder_without_any(self, run: Run, tmp_path: Path) -> None:
        assert self.readiness(run, "--dataset", tmp_path / "nothing")["dataset"]["level"] == FAIL

    def test_pairs_that_are_not_in_it(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        assert run("data", "init", "starter").status == 0
        held = json.loads(run("data", "info", "starter", "--json").out)
        symbols = sorted({one["symbol"] for one in held["recordings"]})
        monkeypatch.setenv("SYMBOLS", ",".join(symbols))
        assert self.readiness(run, "--dataset", "starter")["dataset"]["level"] == PASS
        monkeypatch.setenv("SYMBOLS", f"{symbols[0]},ZZZTRY")
        found = self.readiness(run, "--dataset", "starter")["dataset"]
        assert (found["level"], "nothing of ZZZTRY" in found["message"]) == (WARN, True)


def test_a_lock_file_that_is_a_link_could_never_be_taken(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bot.db.lock").symlink_to(tmp_path / "elsewhere")
    (found,) = ops(tmp_path / "bot.db")
    assert (found.level, "cannot be looked at" in found.message) == (FAIL, True)
    assert "doctor: FAIL [ops] lock - " in run("doctor", "--db", tmp_path / "bot.db").out
    assert "preflight: FAIL [lock] free - " in run("preflight", "--db", tmp_path / "bot.db").out


def test_findings_are_told_in_one_form_and_the_worst_counts() -> None:
    findings = [Finding(PASS, "a", "b", "c"), Finding(WARN, "a", "b", "c")]
    assert shown("doctor", findings[0]) == "doctor: PASS [a] b - c"
    assert (worst_of(findings), worst_of([]), worst_of([*findings, Finding(FAIL, "", "", "")])) == (WARN, PASS, FAIL)
    assert summary(findings) == "WARN: 1 passed, 1 to think about, 0 failed"


def test_every_line_names_the_command_and_its_category(run: Run) -> None:
    said = run("doctor", "--db", "none.db")
    *lines, last = said.out.splitlines()
    assert lines
    assert all(line.startswith(("doctor: PASS [", "doctor: WARN [", "doctor: FAIL [")) for line in lines)
    assert last.startswith(("FAIL: ", "WARN: "))
