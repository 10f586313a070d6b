"""`report`, `export`, `alerts` and `db count`, by both their names."""

from __future__ import annotations

import csv
import json
import sqlite3
from importlib.util import find_spec as real_find_spec
from pathlib import Path

import msgspec
import pytest
from tests.unit.cli.books import FakeBot, Run, fill_book, refused
from tests.unit.reporting.ledgers import NOON_MS, Life

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain.alerts import Alert, Severity
from btcbot.domain.notes import Note, NoteKind


def a_life(path: Path, bid: str = "105") -> Path:
    life = Life(SqliteStore.open(path)).open("1000").cycle("100", "101").buy("2", "100.5", fee="0.5")
    life.wait(1).sell("1", "110", fee="0.25").cycle(bid)
    life.store.close()
    return path


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return a_life(tmp_path / "life.db")


class TestReport:
    def test_json_has_a_version_and_money_as_text(self, run: Run, db: Path) -> None:
        told = run("report", "--json", "--db", db).json
        assert (told["schema_version"], told["cycles"], told["mode"]) == (1, 2, "live")
        assert told["result"]["equity"] == "1013.25"
        assert told["result"]["identity_holds"] is True
        assert told["traded"]["fees"] == "0.75"
        assert told["drawdown"]["amount"] == "0"
        assert told["compared"] == {}

    def test_a_database_without_a_cycle_claims_nothing(self, run: Run, tmp_path: Path) -> None:
        """It used to say that books and cycles agree, and a result of «–: – realised, – unrealised»."""
        SqliteStore.open(tmp_path / "new.db").close()
        shown = run("report", "--db", tmp_path / "new.db").out
        assert "books and cycles   no cycle to compare yet" in shown
        assert "  result           – (no cycle could tell it)" in shown

    def test_text_is_for_people(self, run: Run, db: Path) -> None:
        said = run("report", "--db", db)
        assert said.status == 0
        for words in ("agree to the last digit", "by symbol", "days (Istanbul)", "2026-11-07", "ADATRY"):
            assert words in said.out

    def test_it_reads_while_a_bot_runs(self, run: Run, db: Path) -> None:
        with FakeBot(db, answers=False):
            assert run("report", "--json", "--db", db).json["cycles"] == 2

    def test_two_databases_side_by_side(self, run: Run, db: Path, tmp_path: Path) -> None:
        other = a_life(tmp_path / "other.db", bid="90")
        told = run("report", "--json", "--db", db, "--compare", other).json
        assert told["compared"][str(other)]["result"]["equity"] == "998.25"
        assert "side by side" in run("report", "--db", db, "--compare", other).out

    def test_wrong_books_are_one_line_each_and_status_1(self, run: Run, tmp_path: Path) -> None:
        fill_book(tmp_path / "crooked.db")
        said = run("report", "--db", tmp_path / "crooked.db")
        assert said.status == 1
        lines = said.err.splitlines()
        assert any(line.startswith("btcbot: missing_critical_field: trade t1: ") for line in lines)
        assert any(line.startswith("btcbot: net_pnl_identity_mismatch: position BTCTRY: ") for line in lines)
        assert "DISAGREE" in said.out

    def test_a_row_that_no_btcbot_wrote_is_one_line_and_status_1(self, run: Run, db: Path) -> None:
        with sqlite3.connect(db) as connection:
            connection.execute("UPDATE cycles SET equity_try = 'many' WHERE number = 2")
        said = run("report", "--db", db)
        assert (said.status, said.out) == (1, "")
        assert len(said.err.splitlines()) == 1

    @pytest.mark.parametrize("at_ms", [10**17, -5, 0])
    def test_a_time_that_cannot_be_is_one_line_and_status_1(self, run: Run, db: Path, at_ms: int) -> None:
        with sqlite3.connect(db) as connection:
            connection.execute("UPDATE cycles SET started_at_ms = ? WHERE number = 1", (at_ms,))
        said = run("report", "--db", db)
        assert said.status == 1
        assert "btcbot: invalid_timestamp: cycle c00000001: " in said.err
        said = run("export", "--what", "cycles", "--out", "c.csv", "--db", db)
        assert (said.status, len(said.err.splitlines())) == (1, 1)
        assert not Path("c.csv").exists()

    def test_marks_that_no_btcbot_wrote(self, run: Run, db: Path) -> None:
        with sqlite3.connect(db) as connection:
            connection.execute("UPDATE named_values SET value = '[' WHERE name = 'marks'")
        said = run("report", "--db", db)
        assert (said.status, len(said.err.splitlines())) == (1, 1)

    def test_an_altered_equity_names_its_cycle(self, run: Run, db: Path) -> None:
        with sqlite3.connect(db) as connection:
            connection.execute("UPDATE cycles SET equity_try = '1013.26' WHERE number = 2")
        said = run("report", "--json", "--db", db)
        assert said.status == 1
        (line,) = said.err.splitlines()
        assert line.startswith("btcbot: net_pnl_identity_mismatch: cycle c00000002: ")
        assert line.endswith("0.01 is left")

    def test_without_a_database(self, run: Run) -> None:
        refused(run("report", "--db", "none.db"), "no database at none.db")

    def test_its_other_name(self, run: Run, db: Path) -> None:
        assert run("stage7-report", "--db", db).out == run("report", "--db", db).out


class TestExport:
    def test_the_tax_list_of_a_year_with_its_sums(self, run: Run, db: Path, tmp_path: Path) -> None:
        out = tmp_path / "tax.csv"
        said = run("export", "--what", "tax", "--year", 2026, "--out", out, "--db", db)
        assert said.status == 0
        assert "equal to the books" in said.out
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["side"] for row in rows] == ["buy", "sell"]
        assert (rows[1]["proceeds"], rows[1]["acquisition_cost"], rows[1]["profit"]) == ("110", "100.75", "9")

    def test_a_tax_document_holds_its_sums(self, run: Run, db: Path, tmp_path: Path) -> None:
        out = tmp_path / "tax.json"
        run("export", "--what", "tax", "--format", "json", "--out", out, "--db", db)
        told = json.loads(out.read_text())
        assert (told["schema_version"], told["quote_asset"]) == (1, "TRY")
        assert [(one["period"], one["profit"]) for one in (*told["months"], *told["years"])] == [
            ("2026-11", "9"),
            ("2026", "9"),
        ]

    def test_a_tax_list_that_would_not_equal_the_books_is_not_written(self, run: Run, tmp_path: Path) -> None:
        fill_book(tmp_path / "crooked.db")
        said = run("export", "--what", "tax", "--out", "tax.csv", "--db", tmp_path / "crooked.db")
        assert said.status == 1
        assert "tax.csv was not written" in said.err
        assert not (tmp_path / "tax.csv").exists()

    @pytest.mark.parametrize("what", ["cycles", "fills", "orders", "ledger", "tax"])
    @pytest.mark.parametrize("form", ["csv", "json", "jsonl", "parquet"])
    def test_everything_in_every_format(self, run: Run, db: Path, tmp_path: Path, what: str, form: str) -> None:
        out = tmp_path / "out"
        said = run("export", "--what", what, "--format", form, "--out", out, "--json", "--db", db)
        assert said.status == 0, said
        assert said.json["rows"] == {"cycles": 2, "fills": 2, "orders": 2, "ledger": 12, "tax": 2}[what]
        assert out.stat().st_size > 0

    @pytest.mark.parametrize("form", ["csv", "json", "jsonl", "parquet"])
    def test_notes_keep_their_bodies(self, run: Run, db: Path, tmp_path: Path, form: str) -> None:
        store = SqliteStore.open(db)
        with store.transaction() as tx:
            for at_ms, kind in ((1_795_000_002_000, NoteKind.DEGRADE), (1_795_000_001_000, NoteKind.ANOMALY)):
                tx.insert_note(Note(kind=kind, cycle_id="c00000001", at_ms=at_ms, body='{"why":"an example"}'))
        store.close()
        out = tmp_path / "notes"
        said = run("export", "--what", "notes", "--format", form, "--out", out, "--json", "--db", db)
        assert (said.status, said.json["rows"]) == (0, 2)
        if form == "jsonl":
            rows = [json.loads(line) for line in out.read_text().splitlines()]
            assert [row["kind"] for row in rows] == ["anomaly", "degrade"]
            assert rows[0]["body"] == {"why": "an example"}
            assert rows[0]["at"] == "2026-11-18T11:06:41.000Z"

    def test_the_newest_come_last(self, run: Run, db: Path, tmp_path: Path) -> None:
        run("export", "--what", "cycles", "--format", "jsonl", "--last", 1, "--out", tmp_path / "c", "--db", db)
        (line,) = (tmp_path / "c").read_text().splitlines()
        assert json.loads(line)["number"] == 2

    def test_it_never_replaces_a_file_unasked(self, run: Run, db: Path, tmp_path: Path) -> None:
        (tmp_path / "mine.csv").write_text("mine")
        call = ("export", "--what", "fills", "--out", tmp_path / "mine.csv", "--db", db)
        refused(run(*call), "exists already", "--force")
        assert (tmp_path / "mine.csv").read_text() == "mine"
        assert run(*call, "--force").status == 0
        assert (tmp_path / "mine.csv").read_text().startswith("at,trade_id")

    def test_parquet_without_the_research_extra_is_one_line(
        self, run: Run, db: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from btcbot.adapters.replay import extra

        monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "polars" else real_find_spec(name))
        said = run("export", "--what", "fills", "--format", "parquet", "--out", "fills.parquet", "--db", db)
        refused(said, "--format parquet", "pip install 'btcbot[research]'")

    def test_options_that_do_not_fit_are_refused(self, run: Run, db: Path) -> None:
        refused(run("export", "--what", "fills", "--year", 2026, "--out", "x", "--db", db), "--year", "--last")
        refused(run("export", "--what", "tax", "--last", 3, "--out", "x", "--db", db), "--last", "--year")
        refused(run("export", "--what", "fills", "--out", "no/x", "--db", db), "no folder no")

    def test_its_other_name(self, run: Run, db: Path, tmp_path: Path) -> None:
        assert run("stage7-export", "--what", "fills", "--out", tmp_path / "f", "--db", db).status == 0
        assert (tmp_path / "f").exists()


class TestAlerts:
    @pytest.fixture
    def alerted(self, db: Path) -> Path:
        store = SqliteStore.open(db)
        with store.transaction() as tx:
            for number, rule in enumerate(("cycle_latency_high", "halted")):
                alert = Alert(
                    rule=rule, severity=Severity.CRITICAL, trouble="t", value=2.75, condition="c", meaning="it is slow",
                    todo="look",
                )  # fmt: skip
                body = msgspec.json.encode(alert).decode()
                tx.insert_note(Note(kind=NoteKind.ALERT, cycle_id="c00000002", at_ms=NOON_MS + number, body=body))
        store.close()
        return db

    def test_what_fired(self, run: Run, alerted: Path) -> None:
        told = run("alerts", "--json", "--db", alerted).json
        assert told["total"] == 2
        assert [one["alert"]["rule"] for one in told["alerts"]] == ["cycle_latency_high", "halted"]
        out = run("alerts", "--last", 1, "--db", alerted).out
        assert "alerts (1 of 2)" in out
        assert "halted" in out
        assert "cycle_latency_high" not in out

    def test_a_note_that_no_btcbot_wrote_is_one_line_and_status_1(self, run: Run, alerted: Path) -> None:
        with sqlite3.connect(alerted) as connection:
            connection.execute("UPDATE notes SET body = '{}'")
        said = run("alerts", "--db", alerted)
        assert (said.status, len(said.err.splitlines())) == (1, 1)

    def test_nothing_fired(self, run: Run, db: Path) -> None:
        assert run("alerts", "--db", db).out == "alerts: none\n"

    def test_the_rules_need_no_database(self, run: Run) -> None:
        told = run("alerts", "--rules", "--json").json["rules"]
        assert {"name", "metric", "threshold", "window_s", "severity", "todo"} <= told[0].keys()
        assert "stuck_cycles" in run("alerts", "--rules").out

    def test_its_other_name(self, run: Run, alerted: Path) -> None:
        assert run("stage7-alerts", "--db", alerted).out == run("alerts", "--db", alerted).out


class TestCount:
    def test_it_counts(self, run: Run, db: Path) -> None:
        told = run("db", "count", "--json", "--db", db).json
        assert {name: told[name] for name in ("orders", "fills", "entries", "positions", "cycles")} == {
            "orders": 2, "fills": 2, "entries": 3, "positions": 1, "cycles": 2,
        }  # fmt: skip
        assert told["notes_alert"] == 0

    def test_its_other_name(self, run: Run, db: Path) -> None:
        assert run("stage7-db-count", "--json", "--db", db).json == run("db", "count", "--json", "--db", db).json


@pytest.mark.parametrize("name", ["export", "stage7-export"])
def test_a_missing_choice_is_told_in_one_line(run: Run, name: str) -> None:
    refused(run(name, "--out", "a.csv"), "--what", "cycles")
