"""The canary's settings, what it refuses before anything is traded, and the evidence it writes. Its cycles are played
over sockets in tests/process/test_canary.py."""

from __future__ import annotations

import json
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.cli.books import Run, fill_book, refused

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli.canary import POSITION_ORDERS, Canary, command
from btcbot.cli.canary_evidence import Evidence, demand_writable, write
from btcbot.cli.checks import Finding
from btcbot.config.settings import Settings
from btcbot.domain.reasons import TradingState
from btcbot.errors import Refused


def a_canary(**changes: Any) -> Canary:
    given_: dict[str, Any] = {
        "symbol": "BTCTRY",
        "notional_try": Decimal(150),
        "ttl_seconds": 30,
        "allow_warn": False,
        "export_out": None,
        "db": None,
        "env_file": None,
        "as_json": False,
        "is_loop": True,
        "cycle_seconds": 10.0,
        "max_cycles": 60,
    }
    return Canary(**{**given_, **changes})


AMOUNTS = st.decimals(min_value=1, max_value=1_000_000, places=2)


@given(
    notional=AMOUNTS,
    per_order=st.just(Decimal(0)) | AMOUNTS,
    per_cycle=AMOUNTS,
    position=AMOUNTS,
    exposure=AMOUNTS,
    entry=AMOUNTS,
    ttl=st.integers(1, 86_400),
)
def test_no_limit_of_the_run_to_come_is_ever_widened(
    notional: Decimal,
    per_order: Decimal,
    per_cycle: Decimal,
    position: Decimal,
    exposure: Decimal,
    entry: Decimal,
    ttl: int,
) -> None:
    wide = Settings(
        max_notional_per_order_try=per_order,
        notional_cap_try_per_cycle=per_cycle,
        max_position_try_per_symbol=position,
        max_total_exposure_try=exposure,
        entry_budget_try=entry,
        ttl_seconds=ttl,
    )
    forced = a_canary(notional_try=notional)._overrides(wide)
    assert (forced["SYMBOLS"], forced["MAX_ORDERS_PER_CYCLE"], forced["MAX_OPEN_ORDERS_PER_SYMBOL"]) == (
        "BTCTRY",
        "1",
        "1",
    )
    assert forced["SWEEP_ENABLED"] == "false"
    assert 0 < Decimal(forced["MAX_NOTIONAL_PER_ORDER_TRY"]) <= min(notional, per_order or notional)
    assert Decimal(forced["NOTIONAL_CAP_TRY_PER_CYCLE"]) == min(notional, per_cycle)
    assert Decimal(forced["ENTRY_BUDGET_TRY"]) == min(notional, entry)
    assert Decimal(forced["MAX_POSITION_TRY_PER_SYMBOL"]) == min(notional * POSITION_ORDERS, position)
    assert Decimal(forced["MAX_TOTAL_EXPOSURE_TRY"]) == min(notional * POSITION_ORDERS, exposure)
    assert int(forced["TTL_SECONDS"]) == min(30, ttl)


def test_it_has_the_options_that_were_promised() -> None:
    options = {name: {one.name for one in sub.params} for name, sub in command.commands.items()}
    shared = {"symbol", "notional_try", "ttl_seconds", "allow_warn", "export_out", "as_json", "db", "env_file"}
    assert options == {"once": shared, "loop": shared | {"cycle_seconds", "max_cycles"}}
    defaults = {one.name: one.default for one in command.commands["loop"].params}
    assert (defaults["notional_try"], defaults["ttl_seconds"], defaults["max_cycles"]) == ("150", 30, 60)


class TestWhatIsRefused:
    def test_settings_that_send_no_order(self, run: Run) -> None:
        refused(run("canary", "once", "--symbol", "BTCTRY"), "sends real orders", "DRY_RUN=false")

    @pytest.mark.usefixtures("live")
    def test_a_notional_below_the_venues_minimum(self, run: Run) -> None:
        """99.91 and the fee: what is bought has to be sellable."""
        refused(run("canary", "once", "--symbol", "BTCTRY", "--notional-try", "100.15"), "--notional-try", "100.16")

    @pytest.mark.usefixtures("live")
    @pytest.mark.parametrize("text", ["0", "-5", "many", "1e3"])
    def test_a_notional_that_is_no_amount(self, run: Run, text: str) -> None:
        refused(run("canary", "once", "--symbol", "BTCTRY", "--notional-try", text), "--notional-try")

    @pytest.mark.usefixtures("live")
    @pytest.mark.parametrize("targets", ["BTCTRY:0.5,ETHTRY:0.5", "ETHTRY:1"])
    def test_nothing_for_targets_of_a_whole_portfolio(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, targets: str
    ) -> None:
        """The env file of a portfolio names pairs that the canary does not trade: that was refused as its fault."""
        monkeypatch.setenv("SYMBOLS", "BTCTRY,ETHTRY")
        monkeypatch.setenv("PORTFOLIO_TARGETS", targets)
        said = run("canary", "once", "--symbol", "BTCTRY")
        assert said.status == 1, said
        assert "PORTFOLIO_TARGETS" not in said.err
        assert "WARN (--allow-warn goes on): [database] exists" in said.out

    @pytest.mark.usefixtures("live")
    def test_more_than_one_pair(self, run: Run) -> None:
        refused(run("canary", "once", "--symbol", "BTCTRY,ETHTRY"), "--symbol", "one pair")

    @pytest.mark.usefixtures("live")
    def test_a_pair_that_is_not_listed(self, run: Run) -> None:
        said = run("canary", "once", "--symbol", "BTCTRI", "--allow-warn")
        assert said.status == 2
        assert "did you mean BTCTRY?" in said.err

    @pytest.mark.usefixtures("live")
    def test_evidence_that_would_be_overwritten(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "old.jsonl").write_text("precious\n")
        refused(run("canary", "once", "--symbol", "BTCTRY", "--export-out", "old.jsonl"), "old.jsonl", "never")
        assert (tmp_path / "old.jsonl").read_text() == "precious\n"

    def test_evidence_in_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match="no folder"):
            demand_writable(tmp_path / "nowhere" / "x.jsonl")

    @pytest.mark.usefixtures("live")
    def test_a_preflight_that_fails_is_told_and_kept_as_evidence(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("KILL_SWITCH", "true")
        said = run("canary", "loop", "--symbol", "BTCTRY", "--allow-warn", "--export-out", "e.jsonl", "--json")
        assert said.status == 2
        assert said.json["stopped"].startswith("FAIL: [gates] kill_switch")
        assert "canary preflight: FAIL [gates] kill_switch - closed; set KILL_SWITCH=false" in said.err
        head, *rows = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
        assert (head["kind"], head["cycles"]) == ("canary", 0)
        assert {row["kind"] for row in rows} == {"check"}


class TestEvidence:
    def test_is_of_the_cycles_since_it_began(self, tmp_path: Path) -> None:
        path = tmp_path / "book.db"
        evidence = Evidence()
        evidence.begin(path)  # before there is any
        fill_book(path, state=TradingState.ACTIVE)
        evidence.gather(path)
        assert [one.cycle_id for one in evidence.reports] == ["c00000007"]
        counts = evidence.counts()
        assert (counts["orders_filled"], counts["orders_open"], counts["fills"]) == (1, 3, 1)
        assert len(evidence.verdicts) == 2

    def test_is_not_of_cycles_before(self, tmp_path: Path) -> None:
        path = tmp_path / "book.db"
        fill_book(path)
        store = SqliteStore.open(path)
        with store.transaction() as tx:
            tx.put_value("cycle_number", "7")
        store.close()
        evidence = Evidence()
        evidence.begin(path)
        evidence.gather(path)
        assert (evidence.reports, evidence.orders, evidence.counts()["fills"]) == ([], [], 0)

    def test_is_written_whole_privately_and_once(self, tmp_path: Path) -> None:
        book, out = tmp_path / "book.db", tmp_path / "e.jsonl"
        evidence = Evidence()
        evidence.begin(book)
        fill_book(book)
        evidence.looked([Finding("WARN", "a", "b", "c \x1b[31m")])
        evidence.gather(book)
        write(out, evidence, Settings(symbols=("BTCTRY",)), "because")
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        kinds = [row["kind"] for row in rows]
        assert kinds == ["canary", "check", "cycle", "verdict", "verdict", *["order"] * 4, "fill"]
        assert rows[0]["stopped"] == "because"
        assert rows[-1]["price"] == "4000000"  # money is text
        with pytest.raises(FileExistsError):
            write(out, evidence, Settings(), "again")
        assert sorted(one.name for one in tmp_path.iterdir() if "jsonl" in one.name) == ["e.jsonl"]
