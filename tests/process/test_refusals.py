"""Bad input meets one clear line and a documented exit status, before anything was touched."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from btcbot.errors import Refused
from btcbot.testing.bench import Bench
from btcbot.testing.rig import Simulator, bare_environment, write_settings


def run_once(folder: Path, settings: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    env_file = write_settings(folder / "one.env", settings)
    return subprocess.run(
        [sys.executable, "-m", "btcbot", "run", "--env-file", str(env_file), *options],
        cwd=folder,
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def demand_refusal(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("btcbot: ")]
    assert lines, done.stderr
    for word in words:
        assert word in " ".join(lines)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SYMBOLS": "BTCTRY,NOPETRY"}, ["SYMBOLS", "NOPETRY"]),
        ({"SYMBOLS": "btc try"}, ["SYMBOLS"]),
        ({"TTL_SECONDS": "soon"}, ["TTL_SECONDS"]),
        ({"TTL_SECOND": "5"}, ["TTL_SECONDS"]),
        ({"LIVE_TRADING": "false"}, ["LIVE_TRADING"]),
        ({"LIVE_TRADING_ACK": "I understand"}, ["LIVE_TRADING_ACK", "I_UNDERSTAND"]),
        ({"DRY_RUN": "maybe"}, ["DRY_RUN"]),
        ({"DRY_RUN": "true"}, ["DRY_RUN"]),
        ({"ENTRY_BUDGET_TRY": "50"}, ["ENTRY_BUDGET_TRY", "99.91"]),
        ({"MAX_NOTIONAL_PER_ORDER_TRY": "20"}, ["MAX_NOTIONAL_PER_ORDER_TRY"]),
        ({"BTCTURK_BASE_URL": "https://evil.example"}, ["BTCTURK_BASE_URL"]),
        ({"BTCTURK_API_SCOPES": "read,trade,withdraw"}, ["BTCTURK_API_SCOPES"]),
        ({"BTCTURK_SECRET_ROTATED_AT": "2001-01-01"}, ["BTCTURK_SECRET_ROTATED_AT"]),
        ({"MAX_DAILY_LOSS_TRY": "NaN"}, ["MAX_DAILY_LOSS_TRY"]),
    ],
)
def test_settings_that_cannot_be_meant(bench: Bench, change: dict[str, str], words: list[str]) -> None:
    demand_refusal(run_once(bench.folder, {**bench.settings(), **change}), *words)
    assert bench.posts() == []


def test_a_secret_that_is_not_base64(bench: Bench) -> None:
    bench.credentials.secret_file.write_text("not*base64\n")
    done = run_once(bench.folder, bench.settings())
    demand_refusal(done, "BTCTURK_API_SECRET")
    assert "not*base64" not in done.stderr


def test_a_missing_env_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "btcbot", "run", "--env-file", str(tmp_path / "none.env")],
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    demand_refusal(done, "none.env")


def test_a_database_of_somebody_else(bench: Bench) -> None:
    connection = sqlite3.connect(bench.database)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.commit()
    connection.close()
    demand_refusal(run_once(bench.folder, bench.settings()), str(bench.database))


def test_a_file_that_is_no_database(bench: Bench) -> None:
    bench.database.write_bytes(b"dear diary, " * 100)
    bench.database.chmod(0o600)
    demand_refusal(run_once(bench.folder, bench.settings()), str(bench.database))


def test_a_dry_run_database_never_trades(bench: Bench) -> None:
    dry = {**bench.settings(), "DRY_RUN": "true", "LIVE_TRADING": "false"}
    assert run_once(bench.folder, dry).returncode == 0
    demand_refusal(run_once(bench.folder, bench.settings()), "dry_run")


def test_another_key_is_not_taken_for_the_same_account(bench: Bench) -> None:
    assert run_once(bench.folder, bench.settings(KILL_SWITCH="true")).returncode == 0
    bench.credentials.key_file.write_text("another-key\n")
    demand_refusal(run_once(bench.folder, bench.settings()), "another API key")


def test_a_cycle_shorter_than_the_venue_allows_is_refused_with_the_number(bench: Bench) -> None:
    demand_refusal(run_once(bench.folder, bench.settings(), "--loop", "--cycle-seconds", "0.1"), "0.742")


def test_a_venue_that_is_down_makes_a_cycle_that_only_observes(tmp_path: Path) -> None:
    settings = {
        "BTCTURK_BASE_URL": "http://127.0.0.1:9",
        "STATE_DB_PATH": str(tmp_path / "dry.db"),
        "MAX_RETRY_ATTEMPTS": "1",
    }
    done = run_once(tmp_path, settings)
    assert done.returncode == 1
    assert "venue_unavailable" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_any_setting_it_simulates(tmp_path: Path, bench: Bench) -> None:
    settings = {
        "BTCTURK_BASE_URL": bench.venue.rest_url,
        "SYMBOLS": "BTCTRY,ETHTRY",
        "STATE_DB_PATH": str(tmp_path / "dry.db"),
    }
    done = run_once(tmp_path, settings)
    assert done.returncode == 0, done.stderr
    assert '"simulated":2' in done.stderr
    assert bench.posts() == []
    assert not [row for row in bench.venue.requests() if row["key"]]


def test_a_local_exchange_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"btcturk-sim did not start: .*nowhere"):
        Simulator(tmp_path, ["--market", str(tmp_path / "nowhere")])
