"""Commands that only read: what they tell, and how they refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from tests.builders import a_report
from tests.unit.cli.books import SECRET, SUSPENSE_ENTRY, FakeBot, Run, fill_book, refused

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli import COMMANDS
from btcbot.decisions.freeze import FreezeRecord, Unexplained, UnexplainedKind
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.reasons import TradingState
from btcbot.domain.universe import Freeze, UniverseState
from btcbot.services.freeze_record import ORDER_FREEZE, encoded
from btcbot.services.universe import UNIVERSE_STATE, UniverseNote

REPORTS = (
    ("status",),
    ("orders",),
    ("orders", "--open"),
    ("orders", "show", "btcbot-test-1"),
    ("ledger",),
    ("cycles",),
    ("cycles", "show", "c00000007"),
    ("position",),
    ("db", "locks"),
    ("db", "verify"),
    ("kill", "status"),
    ("config",),
)


def put(book: Path, key: str, text: str) -> None:
    store = SqliteStore.open(book)
    with store.transaction() as tx:
        tx.put_value(key, text)
    store.close()


class TestStatus:
    def test_it_tells_everything(self, run: Run, book: Path) -> None:
        told = run("status", "--json", "--db", book).json
        assert told["mode"] == "dry_run"
        assert (told["trading_state"], told["trading_state_reason"]) == ("ACTIVE", "for a test")
        assert (told["fills"], told["unknown_orders"], told["orders_in_doubt"]) == (1, 1, 2)
        assert [order["client_order_id"] for order in told["open_orders"]] == [f"btcbot-test-{n}" for n in (2, 3, 4)]
        assert told["open_orders"][0]["price"] == "4000000.5"
        assert told["positions"] == {"BTCTRY": {"quantity": "0.0002", "average_cost": "4009600"}}
        assert told["discrepancies"] == [{"asset": "ETH", "amount": "-0.1", "first_seen_ms": 1, "seen_count": 2}]
        assert told["suspense"] == {"TRY": "12.5"}
        assert told["pnl_try"] == {
            "realized": "1.5", "unrealized": "2.5", "day": "1", "day_of": "2026-01-31", "equity": "1003.25",
        }  # fmt: skip
        cycle = told["last_cycle"]
        assert (cycle["id"], cycle["number"], cycle["outcome"]) == ("c00000007", 7, "completed")
        assert cycle["reasons"] == ["gate_closed:frozen_by_suspense"]
        assert cycle["counts"]["intents"] == 2
        assert cycle["age_s"] > 0
        assert told["kill_file"] == {"on": False, "reason": "", "path": f"{book}.kill"}
        assert (told["running"], told["pid"], told["self_check"]) == (False, None, None)
        assert (told["db"]["path"], told["db"]["orders"], told["db"]["entries"]) == (str(book), 4, 3)
        assert told["gates"]["dry_run"] is False
        assert told["gates"]["kill_file"] is True
        assert told["gates_last_cycle"] == {"dry_run": False, "clock_skew": True}

    def test_gates_are_those_of_now(self, run: Run, book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SAFE_MODE", "true")
        run("kill", "on", "--db", book)
        gates = run("status", "--json", "--db", book).json["gates"]
        assert (gates["safe_mode"], gates["kill_file"], gates["clock_skew"]) == (False, False, False)

    def test_it_names_a_running_bot(self, run: Run, book: Path) -> None:
        with FakeBot(book, answers=False):
            told = run("status", "--json", "--db", book).json
        assert (told["running"], told["pid"]) == (True, os.getpid())
        assert (told["gates"]["writer_lock_not_held"], told["gates"]["clock_skew"]) == (True, True)

    def test_broken_settings_are_told_and_hide_nothing(
        self, run: Run, book: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LIVE_TRADING", "true")  # without a key, as in a shell beside the service
        told = run("status", "--json", "--db", book).json
        assert told["fills"] == 1
        assert any("BTCTURK_API_KEY" in line for line in told["settings_problems"])
        assert told["gates"] == told["gates_last_cycle"]
        assert "settings: " in run("status", "--db", book).out

    def test_a_halt_shows_its_reason(self, run: Run, tmp_path: Path) -> None:
        fill_book(tmp_path / "halted.db", state=TradingState.HALTED)
        assert "HALTED - for a test" in run("status", "--db", "halted.db").out

    def test_without_a_database(self, run: Run, tmp_path: Path) -> None:
        refused(run("status"), "no database at btcbot_state.db", "btcbot run", "--db")
        assert list(tmp_path.iterdir()) == []


class TestWhatFreezes:
    def test_an_order_that_froze_all_others_is_not_unexplained_none(self, run: Run, book: Path) -> None:
        detail = "buy 0.001 at 990000, \x1b[31mred"
        strange = tuple(
            Unexplained(key=f"venue:{at}", kind=UnexplainedKind.OTHER_BOOK, symbol="BTCTRY", detail=detail)
            for at in range(3)
        )
        put(book, ORDER_FREEZE, encoded(FreezeRecord(since_ms=1, cycle_id="c00000007", orders=strange)))
        told = run("status", "--json", "--db", book).json
        assert told["unexplained_orders"][0] == {
            "key": "venue:0", "kind": "other_book", "symbol": "BTCTRY", "detail": detail,
        }  # fmt: skip
        (line,) = [one for one in run("status", "--db", book).out.splitlines() if one.startswith("unexplained")]
        assert "-0.1 ETH, 3 orders, so no new one leaves (other_book BTCTRY: buy 0.001 at 990000, " in line
        assert line.endswith("; and 1 more); see «btcbot freeze status»")
        assert "\x1b" not in line

    def test_nothing_is_unexplained(self, run: Run, book: Path) -> None:
        assert run("status", "--json", "--db", book).json["unexplained_orders"] == []
        assert "unexplained      -0.1 ETH\n" in run("status", "--db", book).out


class TestPairsChosen:
    """Of a book whose last cycle was one of stage4-run."""

    @pytest.fixture(autouse=True)
    def overseen(self, book: Path) -> None:
        store = SqliteStore.open(book)
        with store.transaction() as tx:
            tx.insert_cycle(a_report(8, mode="dry_run", profile="stage4-run"))
        store.close()

    def chosen(self, book: Path, state: UniverseState, *notes: tuple[int, UniverseNote]) -> None:
        put(book, UNIVERSE_STATE, encoded(state))
        store = SqliteStore.open(book)
        with store.transaction() as tx:
            for at_ms, note in notes:
                tx.insert_note(Note(kind=NoteKind.UNIVERSE, cycle_id="c00000008", at_ms=at_ms, body=encoded(note)))
        store.close()

    def test_the_pairs_and_since_when(self, run: Run, book: Path) -> None:
        """Chosen before them: others. A later look in another order, and one that was frozen, changed nothing."""
        self.chosen(
            book,
            UniverseState(symbols=("SOLTRY", "XRPTRY"), refreshed_at_ms=1_790_000_900_000),
            (1_790_000_000_000, UniverseNote(symbols=("BTCTRY", "XRPTRY"))),
            (1_790_000_600_000, UniverseNote(symbols=("XRPTRY", "SOLTRY"))),
            (1_790_000_900_000, UniverseNote(symbols=("SOLTRY", "XRPTRY"))),
            (1_790_001_000_000, UniverseNote(symbols=("SOLTRY", "XRPTRY"), frozen=Freeze.STALE_DATA)),
        )
        assert run("status", "--json", "--db", book).json["universe"] == {
            "symbols": ["SOLTRY", "XRPTRY"],
            "is_fallback": False,
            "since_ms": 1_790_000_600_000,
            "looked_at_ms": 1_790_000_900_000,
            "frozen": "STALE_DATA",
        }
        assert (
            "pairs chosen     SOLTRY, XRPTRY, since 2026-09-21 14:23:20Z; left as they were: STALE_DATA\n"
            in run("status", "--db", book).out
        )

    def test_that_they_only_stand_in(self, run: Run, book: Path) -> None:
        symbols = ("BTCTRY", "ETHTRY")
        self.chosen(
            book,
            UniverseState(fallback=symbols, refreshed_at_ms=1_790_000_000_000),
            (1_789_999_000_000, UniverseNote(symbols=symbols)),
            (1_790_000_000_000, UniverseNote(symbols=symbols, is_fallback=True)),
        )
        told = run("status", "--json", "--db", book).json["universe"]
        assert (told["is_fallback"], told["since_ms"], told["frozen"]) == (True, 1_790_000_000_000, None)
        assert "nothing was worth choosing: these stand in\n" in run("status", "--db", book).out

    def test_that_there_are_none(self, run: Run, book: Path) -> None:
        self.chosen(book, UniverseState(refreshed_at_ms=1_790_000_000_000))
        assert "none, so nothing is bought; nothing was worth choosing\n" in run("status", "--db", book).out

    def test_nothing_where_the_last_cycle_went_by_the_settings(self, run: Run, book: Path) -> None:
        """They want no choice any more: what was chosen before lies there still, and no longer holds."""
        self.chosen(book, UniverseState(symbols=("SOLTRY",), refreshed_at_ms=1_790_000_000_000))
        store = SqliteStore.open(book)
        both = dict.fromkeys(("BTCTRY", "DOGETRY"), (Decimal(1), Decimal(2)))
        with store.transaction() as tx:
            tx.insert_cycle(a_report(9, mode="dry_run", profile="stage4-run", quotes=both))
        store.close()
        assert run("status", "--json", "--db", book).json["universe"] is None
        assert "pairs chosen" not in run("status", "--db", book).out

    def test_nothing_of_a_run_that_chooses_none(self, run: Run, book: Path) -> None:
        self.chosen(book, UniverseState(symbols=("SOLTRY",), refreshed_at_ms=1_790_000_000_000))
        store = SqliteStore.open(book)
        with store.transaction() as tx:
            tx.insert_cycle(a_report(9, mode="dry_run"))
        store.close()
        assert run("status", "--json", "--db", book).json["universe"] is None


class TestWhichDatabase:
    def test_the_env_files(self, run: Run, book: Path, tmp_path: Path) -> None:
        env_file = tmp_path / "other.env"
        env_file.write_text(f"STATE_DB_PATH={book}\n")
        env_file.chmod(0o600)
        assert run("status", "--json", "--env-file", env_file).json["fills"] == 1

    def test_the_environment_wins_over_the_env_file_and_the_option_over_both(
        self, run: Run, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        env_file = tmp_path / ".env.live"
        env_file.write_text("STATE_DB_PATH=from-file.db\n")
        env_file.chmod(0o600)
        refused(run("status"), "from-file.db")
        monkeypatch.setenv("STATE_DB_PATH", "from-environment.db")
        refused(run("status"), "from-environment.db")
        assert run("status", "--db", book).status == 0

    def test_an_env_file_that_cannot_be_read_is_not_guessed_around(self, run: Run, tmp_path: Path) -> None:
        said = run("kill", "on", "--env-file", tmp_path / "missing.env")
        assert said.status == 2
        assert "give --db PATH" in said.err
        assert list(tmp_path.iterdir()) == []


class TestOrders:
    def test_the_list(self, run: Run, book: Path) -> None:
        told = run("orders", "--json", "--db", book, "--limit", "2").json
        assert [order["client_order_id"] for order in told["orders"]] == ["btcbot-test-4", "btcbot-test-3"]
        assert told["total"] == 4
        assert len(run("orders", "--json", "--db", book, "--all", "--limit", "2").json["orders"]) == 4
        assert len(run("orders", "--json", "--db", book, "--open").json["orders"]) == 3

    def test_one_order(self, run: Run, book: Path) -> None:
        told = run("orders", "show", "btcbot-test-1", "--json", "--db", book).json
        assert (told["order"]["status"], told["hold"], told["verdict"]["code"]) == ("FILLED", None, "allowed")
        (fill,) = told["fills"]
        assert (fill["trade_id"], fill["fee"], fill["tax"]) == ("t1", "1.6", "0.32")
        assert run("orders", "show", "btcbot-test-3", "--json", "--db", book).json["hold"]["amount"] == "802"

    def test_options_of_the_group_count_for_its_subcommands(self, run: Run, book: Path) -> None:
        assert run("orders", "--db", book, "--json", "show", "btcbot-test-1").json["order"]["symbol"] == "BTCTRY"

    def test_refusals(self, run: Run, book: Path) -> None:
        refused(run("orders", "show", "nothing", "--db", book), "no order nothing", "orders --all")
        refused(run("orders", "--limit", "0"), "--limit")
        refused(run("orders", "shw"), "shw")


class TestLedger:
    def test_balances_and_suspense(self, run: Run, book: Path) -> None:
        told = run("ledger", "--json", "--db", book).json
        assert told["balances"] == {"TRY": "1012.5", "BTC": "0.5"}
        assert (told["suspense"], told["entries"]) == ({"TRY": "12.5"}, 3)
        assert [entry["entry_id"] for entry in told["unexplained"]] == [SUSPENSE_ENTRY]

    def test_entries(self, run: Run, book: Path) -> None:
        assert len(run("ledger", "--json", "--entries", "2", "--db", book).json["listed"]) == 2
        assert SUSPENSE_ENTRY in run("ledger", "--db", book).out
        refused(run("ledger", "--entries", "x"), "--entries")


class TestCycles:
    def test_the_list(self, run: Run, book: Path) -> None:
        told = run("cycles", "--json", "--db", book).json
        assert [(cycle["cycle_id"], cycle["equity_try"]) for cycle in told["cycles"]] == [("c00000007", "1003.25")]

    def test_one_cycle_with_every_verdict(self, run: Run, book: Path) -> None:
        told = run("cycles", "show", "c00000007", "--json", "--db", book).json
        assert [v["code"] for v in told["verdicts"]] == ["allowed", "risk_block:cooldown"]
        assert {order["client_order_id"] for order in told["orders"]} == {f"btcbot-test-{n}" for n in (1, 2, 3, 4)}
        assert told["cycle"]["quotes"] == {"BTCTRY": ["4000000", "4000001.5"]}
        text = run("cycles", "show", "c00000007", "--db", book).out
        assert "risk_block:cooldown" in text
        assert "btcbot-test-1" in text
        assert "\x1b" not in text

    def test_refusals(self, run: Run, book: Path) -> None:
        refused(run("cycles", "show", "c9", "--db", book), "no cycle c9")


class TestPosition:
    def test_costs(self, run: Run, book: Path) -> None:
        told = run("position", "--json", "--db", book).json["positions"]
        assert told["BTCTRY"]["cost"] == "801.92"
        assert told["BTCTRY"]["average_cost"] == "4009600"
        assert told["ETHTRY"]["quantity"] == "0"


class TestConfig:
    def test_values_and_their_origin(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BTCTURK_API_KEY", "the-key-itself")
        monkeypatch.setenv("BTCTURK_API_SECRET", SECRET)
        said = run("config", "--json", "--db", "x.db")
        settings = said.json["settings"]
        assert settings["STATE_DB_PATH"]["value"] == "x.db"
        assert settings["STATE_DB_PATH"]["origin"] == "command line"
        assert settings["DRY_RUN"] == {
            "value": "true", "origin": "default", "description": "Simulate: no order reaches the venue.",
        }  # fmt: skip
        assert settings["BTCTURK_API_KEY"]["origin"] == "environment"
        assert "the-key-itself" not in said.out
        assert SECRET not in said.out

    def test_every_problem_is_told(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TTL_SECONDS", "soon")
        monkeypatch.setenv("DRY_RUN", "perhaps")
        said = run("config")
        assert (said.status, len(said.err.splitlines())) == (2, 2)


class TestKill:
    def test_on_and_off_without_a_database(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "new.db.kill"
        told = run("kill", "on", "--reason", "broken market", "--db", tmp_path / "new.db", "--json").json
        assert told == {"on": True, "reason": "broken market", "path": str(path)}
        assert path.exists()
        assert run("kill", "status", "--json", "--db", tmp_path / "new.db").json["reason"] == "broken market"
        assert run("kill", "off", "--json", "--db", tmp_path / "new.db").json["was_on"] is True
        assert not path.exists()
        assert list(tmp_path.iterdir()) == []

    def test_broken_settings_do_not_matter(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TTL_SECONDS", "soon")
        monkeypatch.setenv("STATE_DB_PATH", "there.db")
        assert run("kill", "on").status == 0
        assert Path("there.db.kill").exists()

    def test_a_folder_that_is_missing_counts_as_on(self, run: Run, tmp_path: Path) -> None:
        assert run("kill", "status", "--json", "--db", tmp_path / "none" / "x.db").json["on"] is True
        said = run("kill", "on", "--db", tmp_path / "none" / "x.db")
        assert said.status == 1
        assert "cannot be written" in said.err

    def test_it_says_which_file_and_doubts_a_database_that_is_not_there(
        self, run: Run, book: Path, tmp_path: Path
    ) -> None:
        for words in (("on",), ("status",), ("off",), ("off",)):
            said = run("kill", *words, "--db", tmp_path / "typo.db")
            assert "typo.db.kill" in said.out
            assert "is it the one the bot uses?" in said.err
            assert run("kill", *words, "--db", book).err == ""

    def test_it_wants_to_know_which(self, run: Run) -> None:
        refused(run("kill"), "on, off or status")


class TestDb:
    def test_locks(self, run: Run, book: Path) -> None:
        assert run("db", "locks", "--json", "--db", book).json == {"database": str(book), "held": False, "pid": None}
        with FakeBot(book, answers=False):
            assert run("db", "locks", "--json", "--db", book).json["pid"] == os.getpid()

    def test_migrate(self, run: Run, book: Path) -> None:
        told = run("db", "migrate", "--json", "--db", book).json
        assert (told["revision"], told["migrated"]) == ("0002", False)
        with FakeBot(book, answers=False):
            refused(run("db", "migrate", "--db", book), "another btcbot", str(os.getpid()))
        refused(run("db", "migrate", "--db", "none.db"), "no database at none.db")

    def test_backup_while_a_bot_writes(self, run: Run, book: Path, tmp_path: Path) -> None:
        with FakeBot(book, answers=False):
            told = run("db", "backup", tmp_path / "copy.db", "--json", "--db", book).json
        assert told["bytes"] > 0
        copy = SqliteStore.open(tmp_path / "copy.db", read_only=True)
        assert copy.order_count() == 4
        copy.close()
        refused(run("db", "backup", tmp_path / "copy.db", "--db", book), "exists already")

    def test_a_backup_into_this_folder(self, run: Run, book: Path, tmp_path: Path) -> None:
        assert "proved" in run("db", "backup", "here.db", "--db", book).out
        assert (tmp_path / "here.db").stat().st_mode & 0o777 == 0o600

    def test_a_backup_of_crooked_books_is_kept_and_told(self, run: Run, book: Path) -> None:
        store = SqliteStore.open(book)
        store._connection.execute(
            "UPDATE orders SET filled_quantity = '0.0001' WHERE client_order_id = 'btcbot-test-1'"
        )
        store.close()
        said = run("db", "backup", "copy.db", "--db", book)
        assert said.status == 1
        assert "btcbot-test-1" in said.err
        assert Path("copy.db").exists()

    def test_a_mistyped_path_is_not_called_free(self, run: Run) -> None:
        refused(run("db", "locks", "--db", "typo.db"), "no database at typo.db")

    def test_verify(self, run: Run, book: Path) -> None:
        told = run("db", "verify", "--json", "--db", book).json
        assert told == {"sound": True, "problems": [], "orders": 4, "fills": 1, "entries": 3}

    def test_verify_finds_crooked_books(self, run: Run, book: Path) -> None:
        store = SqliteStore.open(book)
        store._connection.execute(
            "UPDATE orders SET filled_quantity = '0.0001' WHERE client_order_id = 'btcbot-test-1'"
        )
        store.close()
        said = run("db", "verify", "--db", book)
        assert said.status == 1
        assert "btcbot-test-1" in said.err
        assert run("db", "verify", "--json", "--db", book).json["sound"] is False

    def test_a_file_of_another_kind(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("not a database, but long enough to be looked at" * 100)
        refused(run("db", "verify", "--db", tmp_path / "notes.txt"), "not a SQLite database")


@pytest.mark.parametrize("arguments", REPORTS, ids=" ".join)
def test_a_report_is_one_line_of_json_or_text_without_colours(run: Run, book: Path, arguments: tuple[str, ...]) -> None:
    assert isinstance(run(*arguments, "--json", "--db", book).json, dict)
    said = run(*arguments, "--db", book)
    assert (said.status, said.err) == (0, "")
    assert said.out
    assert "\x1b" not in said.out


@pytest.mark.parametrize("arguments", REPORTS, ids=" ".join)
def test_reading_changes_nothing(run: Run, book: Path, arguments: tuple[str, ...]) -> None:
    before = book.read_bytes()
    run(*arguments, "--db", book)
    assert book.read_bytes() == before
    # SQLite keeps an empty log and its index beside a database that is only read; neither lock nor kill file is made.
    left = {path.name for path in book.parent.iterdir()} - {"book.db", "book.db-shm"}
    assert left <= {"book.db-wal"}
    assert all((book.parent / name).stat().st_size == 0 for name in left)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in {"run", "demo", "stage4-run", "stage7-run"}])
def test_help_gives_an_example(run: Run, name: str) -> None:
    said = run(name, "--help")
    assert said.status == 0
    assert f"btcbot {name}" in said.out.split("Example", 1)[1]


def test_help_is_quick() -> None:
    probe = "import resource as r, subprocess, sys; subprocess.run([sys.executable, '-m', 'btcbot', '--help'], check=True, stdout=-3); u = r.getrusage(r.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime)"  # noqa: E501
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True, env=environment)
    assert json.loads(told.stdout) < 0.3
