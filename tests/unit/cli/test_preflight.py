"""Preflight: each demand by itself, what it says where it is not met, and that it leaves nothing behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.books import KEY, Run, Said, Venue

from btcbot.adapters.process_lock import acquire
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli.preflight import MENDS
from btcbot.config.secrets import Secret, key_fingerprint
from btcbot.decisions.degrade import DegradeState, Override
from btcbot.decisions.freeze import FreezeRecord, Unexplained, UnexplainedKind
from btcbot.decisions.gates import _NAMES
from btcbot.domain.book import BookIdentity
from btcbot.domain.reasons import TradingState
from btcbot.services.accounting import set_trading_state
from btcbot.services.degrade_record import DEGRADE, Kept, encoded
from btcbot.services.freeze_record import ORDER_FREEZE

Checks = dict[tuple[str, str], dict[str, Any]]


def checks_of(said: Said) -> Checks:
    return {(check["category"], check["name"]): check for check in said.json["checks"]}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Made by an earlier run of the armed bot."""
    path = tmp_path / "live.db"
    store = SqliteStore.open(path)
    with store.transaction() as tx:
        tx.put_identity(
            BookIdentity(
                book_id="test",
                mode="demo",
                venue_host="127.0.0.1",
                key_fingerprint=key_fingerprint(Secret(KEY)),
                created_at_ms=1,
            )
        )
    store.close()
    return path


def put(database: Path, key: str, text: str) -> None:
    store = SqliteStore.open(database)
    with store.transaction() as tx:
        tx.put_value(key, text)
    store.close()


@pytest.fixture
def armed(live: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_NOTIONAL_PER_ORDER_TRY", "600")


@pytest.mark.usefixtures("armed")
def test_all_demands_are_met(run: Run, database: Path) -> None:
    said = run("preflight", "--db", database)
    assert said.status == 0, said.out
    assert "preflight: PASS [key] balances - can be read" in said.out
    assert "preflight: PASS [gates] kill_file - open" in said.out
    assert said.out.splitlines()[-1].startswith("PASS: ")


@pytest.mark.usefixtures("armed")
def test_a_database_that_does_not_exist_yet_is_no_reason_and_is_not_made(run: Run, tmp_path: Path) -> None:
    said = run("preflight", "--json", "--db", "new.db")
    assert said.status == 0, said.out
    assert list(tmp_path.iterdir()) == []
    gates = {name for category, name in checks_of(said) if category == "gates"}
    assert gates >= {"dry_run", "safe_mode", "kill_switch", "kill_file", "live_trading_not_set"}


@pytest.mark.usefixtures("armed")
@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        ({"SAFE_MODE": "true"}, ("gates", "safe_mode"), "set SAFE_MODE=false"),
        ({"KILL_SWITCH": "true"}, ("gates", "kill_switch"), "set KILL_SWITCH=false"),
        ({"MAX_NOTIONAL_PER_ORDER_TRY": "0"}, ("caps", "MAX_NOTIONAL_PER_ORDER_TRY"), "set one"),
        ({"NOTIONAL_CAP_TRY_PER_CYCLE": "99"}, ("exchange_rules", "NOTIONAL_CAP_TRY_PER_CYCLE"), "99 is below 99.91"),
        (
            {"MAX_POSITION_TRY_PER_SYMBOL": "99"},
            ("exchange_rules", "MAX_POSITION_TRY_PER_SYMBOL"),
            "below 100.14",
        ),
        ({"STRATEGY_PARAMS": "entry_budget=50"}, ("exchange_rules", "STRATEGY"), "50 less the fee is below"),
        ({"SYMBOLS": "BTCTRY,NOPETRY"}, ("universe", "symbols"), "NOPETRY"),
        ({"BTCTURK_API_KEY": "ANOTHER"}, ("key", "balances"), "check the key"),
        ({"BTCTURK_BASE_URL": "http://127.0.0.1:9", "MAX_RETRY_ATTEMPTS": "1"}, ("venue", "reachable"), "answer"),
        ({"BTCTURK_SECRET_ROTATED_AT": "2001-01-01"}, ("key", "age"), "make a new key"),
    ],
)
def test_a_demand_that_is_not_met_is_told_with_its_mend(
    run: Run, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], check: tuple[str, str], words: str
) -> None:
    for name, text in change.items():
        monkeypatch.setenv(name, text)
    said = run("preflight", "--json", "--db", "new.db")
    found = checks_of(said)[check]
    assert (said.status, said.json["result"], found["level"]) == (2, "FAIL", "FAIL")
    assert words in found["message"]


@pytest.mark.usefixtures("armed")
def test_caps_that_only_the_portfolio_looks_at_are_told_before_its_start(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_INTENT_NOTIONAL_TRY", "99")
    check = ("exchange_rules", "MAX_INTENT_NOTIONAL_TRY")
    room = ("exchange_rules", "room")
    found = checks_of(run("preflight", "--json", "--db", "new.db"))
    assert check not in found
    assert found[room]["level"] == "PASS"
    for command in ("preflight", "doctor"):
        said = run(command, "--json", "--db", "new.db", "--command", "stage4-run")
        assert checks_of(said)[check]["level"] == "FAIL"
        assert "99 is below 99.91" in checks_of(said)[check]["message"]
        assert room not in checks_of(said), "that there is room as well would be a lie"


@pytest.mark.usefixtures("armed")
def test_the_adaptive_profile_never_trades_live(run: Run) -> None:
    asked = ("preflight", "--json", "--db", "new.db", "--command", "stage7-run")
    found = checks_of(run(*asked))[("gates", "live")]
    assert (found["level"], "--profile dry-run" in found["message"]) == ("FAIL", True)
    assert ("gates", "live") not in checks_of(run(*asked, "--profile", "dry-run"))


@pytest.mark.usefixtures("armed")
def test_settings_that_cannot_be_used_are_told_and_nothing_else(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTL_SECONDS", "soon")
    said = run("preflight", "--db", "new.db")
    assert said.status == 2
    assert "preflight: FAIL [settings] values - TTL_SECONDS" in said.out


@pytest.mark.usefixtures("armed")
class TestWhatTheDatabaseSays:
    def fails(self, run: Run, database: Path, check: tuple[str, str]) -> str:
        said = run("preflight", "--json", "--db", database)
        found = checks_of(said)[check]
        assert (said.status, found["level"]) == (2, "FAIL"), found
        return str(found["message"])

    def test_a_halt(self, run: Run, database: Path) -> None:
        store = SqliteStore.open(database)
        with store.transaction() as tx:
            set_trading_state(tx, TradingState.HALTED, "broken")
        store.close()
        assert "btcbot resume" in self.fails(run, database, ("gates", "halted"))

    def test_a_freeze(self, run: Run, database: Path) -> None:
        put(database, ORDER_FREEZE, "whatever it is")
        assert "freeze clear" in self.fails(run, database, ("freeze", "orders"))

    def test_a_freeze_is_told_once_and_not_as_a_gate_and_a_degrade_level_as_well(
        self, run: Run, database: Path
    ) -> None:
        """Three lines for one cause, with three commands, of which two were of no use."""
        strangers = tuple(
            Unexplained(key=f"venue:{at}", kind=UnexplainedKind.OTHER_BOOK, symbol="BTCTRY", detail=f"buy {at}")
            for at in range(1, 4)
        )
        put(database, ORDER_FREEZE, encoded(FreezeRecord(since_ms=1, cycle_id="c1", orders=strangers)))
        put(database, DEGRADE, encoded(Kept(machine=DegradeState(is_frozen=True))))
        said = run("preflight", "--json", "--db", database)
        failed = {name: check["message"] for name, check in checks_of(said).items() if check["level"] == "FAIL"}
        assert failed == {
            ("freeze", "orders"): "3 that nobody can explain (other_book BTCTRY: buy 1; other_book BTCTRY: buy 2; "
            "and 1 more); «btcbot freeze status», then «btcbot freeze clear --yes»"
        }

    def test_a_freeze_that_was_cleared_leaves_nothing_behind_though_no_cycle_has_run_since(
        self, run: Run, database: Path
    ) -> None:
        put(database, ORDER_FREEZE, "")
        put(database, DEGRADE, encoded(Kept(machine=DegradeState(is_frozen=True))))
        assert run("preflight", "--db", database).status == 0
        assert run("degrade", "status", "--json", "--db", database).json["level"] == 0

    def test_anomalies_beside_a_freeze_are_told_by_themselves(self, run: Run, database: Path) -> None:
        put(database, ORDER_FREEZE, "whatever it is")
        machine = DegradeState(level=1, why="FEED_STALLED: 30 s", is_frozen=True)
        put(database, DEGRADE, encoded(Kept(machine=machine)))
        told = self.fails(run, database, ("degrade", "level"))
        assert told.startswith("1; FEED_STALLED: 30 s; see «btcbot degrade status»")

    def test_a_degrade_level(self, run: Run, database: Path) -> None:
        put(database, DEGRADE, encoded(Kept(machine=DegradeState(level=2))))
        assert self.fails(run, database, ("degrade", "level")).startswith("2;")

    def test_a_degrade_level_that_a_human_set(self, run: Run, database: Path) -> None:
        override = Override(level=3, made_at_ms=0, lasts_ms=10**14, reason="a test")
        put(database, DEGRADE, encoded(Kept(machine=DegradeState(override=override))))
        assert self.fails(run, database, ("degrade", "level")).startswith("3;")

    def test_a_degrade_level_that_cannot_be_read(self, run: Run, database: Path) -> None:
        put(database, DEGRADE, "nonsense")
        assert self.fails(run, database, ("degrade", "level")).startswith("3;")

    def test_a_kill_file(self, run: Run, database: Path) -> None:
        run("kill", "on", "--db", database)
        assert "btcbot kill off" in self.fails(run, database, ("gates", "kill_file"))

    def test_a_database_of_a_dry_run_is_told_once(self, run: Run, tmp_path: Path) -> None:
        """It has no key either, and was told a second time with «db rebind», which is refused for it."""
        path = tmp_path / "dry.db"
        store = SqliteStore.open(path)
        with store.transaction() as tx:
            tx.put_identity(
                BookIdentity(
                    book_id="dry", mode="dry_run", venue_host="127.0.0.1", key_fingerprint=None, created_at_ms=1
                )
            )
        store.close()
        failed = [one for one in checks_of(run("preflight", "--json", "--db", path)).values() if one["level"] == "FAIL"]
        assert "database_not_live" in [one["name"] for one in failed]
        assert "rebind" not in str(failed)

    def test_a_database_of_another_key(self, run: Run, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BTCTURK_API_KEY", "ANOTHER")
        assert "rebind" in self.fails(run, database, ("gates", "database_of_another_key"))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
    def test_a_database_that_cannot_be_written(self, run: Run, database: Path) -> None:
        database.chmod(0o400)
        assert "cannot be written" in self.fails(run, database, ("database", "writable"))

    def test_one_that_is_no_database(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "diary.db"
        path.write_bytes(b"dear diary, " * 100)
        path.chmod(0o600)
        assert "diary.db" in self.fails(run, path, ("database", "opens"))

    def test_a_bot_that_writes(self, run: Run, database: Path) -> None:
        with acquire(database, None):
            assert f"pid {os.getpid()}" in self.fails(run, database, ("lock", "free"))

    def test_a_bot_elsewhere_that_uses_the_key(self, run: Run, database: Path, tmp_path: Path) -> None:
        with acquire(tmp_path / "other.db", key_fingerprint(Secret(KEY))):
            assert "another btcbot uses it" in self.fails(run, database, ("key", "free"))


@pytest.mark.usefixtures("armed")
def test_a_port_of_metrics_that_is_taken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("OBSERVABILITY_ENABLED", "true")
        monkeypatch.setenv("OBSERVABILITY_METRICS_EXPORTER", "prometheus")
        monkeypatch.setenv("OBSERVABILITY_PROMETHEUS_PORT", str(other.getsockname()[1]))
        said = run("preflight", "--json", "--db", "new.db")
    assert said.status == 2
    assert "is taken" in checks_of(said)["metrics", "exporter"]["message"]
    again = run("preflight", "--json", "--db", "new.db")
    assert again.status == 0
    assert run("preflight", "--db", "new.db").status == 0  # it did not keep the port either


def test_a_dry_run_needs_neither_key_nor_arming(run: Run, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BTCTURK_BASE_URL", venue.url)
    said = run("preflight", "--profile", "dry-run", "--json", "--db", "new.db")
    assert said.status == 0, said.out
    assert not {category for category, _ in checks_of(said)} & {"key"}
    live = run("preflight", "--json", "--db", "new.db")
    assert live.status == 2
    failed = {name for (category, name), check in checks_of(live).items() if check["level"] == "FAIL"}
    assert failed >= {"dry_run", "live_trading_not_set", "acknowledgement_missing", "given"}


def test_brakes_hold_for_a_dry_run_too(run: Run, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BTCTURK_BASE_URL", venue.url)
    monkeypatch.setenv("KILL_SWITCH", "true")
    assert run("preflight", "--profile", "dry-run", "--db", "new.db").status == 2


def test_every_gate_that_a_human_opens_says_how() -> None:
    of_a_run = {"writer_lock_not_held", "clock_skew", "self_check_failed"}
    assert set(_NAMES.values()) - of_a_run == set(MENDS)
