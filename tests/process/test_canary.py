"""The canary as a process against a local BtcTurk: real orders, tiny caps, evidence, and the reasons to stop."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from btcbot.adapters.process_lock import acquire
from btcbot.testing.bench import Bench
from btcbot.testing.rig import bare_environment, wait_until, write_settings


def start(bench: Bench, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    env_file = write_settings(bench.folder / "canary.env", bench.settings(**settings))
    return subprocess.Popen(
        [sys.executable, "-m", "btcbot", "canary", *arguments, "--env-file", str(env_file)],
        cwd=bench.folder,
        env=bare_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def canary(bench: Bench, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    process = start(bench, *arguments, **settings)
    try:
        out, err = process.communicate(timeout=90)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def evidence(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows by kind."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        rows.setdefault(row.pop("kind"), []).append(row)
    return rows


LOOP = ("loop", "--symbol", "btc_try", "--cycle-seconds", "0.8", "--allow-warn")


def test_a_loop_trades_one_pair_within_its_caps_checks_again_and_leaves_evidence(bench: Bench) -> None:
    out = bench.folder / "evidence.jsonl"
    done = canary(bench, *LOOP, "--max-cycles", "6", "--export-out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["result"], summary["symbol"], summary["cycles"], summary["stopped"]) == ("PASS", "BTCTRY", 6, "")
    assert summary["orders_submitted"] >= 1
    assert "canary doctor: WARN [database] exists" in done.stderr

    # What the venue saw: one pair, and no order above the notional.
    orders = [json.loads(row["body"]) if isinstance(row["body"], str) else row["body"] for row in bench.posts()]
    assert orders
    assert {order["pairSymbol"] for order in orders} == {"BTCTRY"}
    assert all(Decimal(str(o["price"])) * Decimal(str(o["quantity"])) <= 150 for o in orders)
    assert bench.faults_of_orders() == []

    rows = evidence(out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    (head,) = rows["canary"]
    assert head["settings"]["SYMBOLS"] == "BTCTRY"
    assert head["settings"]["MAX_NOTIONAL_PER_ORDER_TRY"] == "150"
    assert len(rows["cycle"]) == 6
    assert all(cycle["gates"]["live_trading_not_set"] for cycle in rows["cycle"])
    assert len(rows["order"]) == summary["orders_submitted"] == len(orders)
    assert len(rows["fill"]) == summary["fills"]
    assert rows["verdict"]
    assert {row["after_cycles"] for row in rows["check"]} == {0, 5}
    again = [row for row in rows["check"] if row["after_cycles"] == 5]
    assert {row["name"]: row["level"] for row in again if row["category"] == "key"}["balances"] == "PASS"
    assert "FAIL" not in {row["level"] for row in again}


def test_a_loop_ends_at_the_first_cycle_that_does_not_complete(bench: Bench) -> None:
    """The kill file appears meanwhile: the cycle ends without an order, and is the last one."""
    out = bench.folder / "evidence.jsonl"
    process = start(bench, *LOOP, "--max-cycles", "60", "--export-out", str(out), "--json")
    try:
        wait_until(lambda: bench.cycles() >= 2, 40, "two cycles of the canary")
        bench.kill_switch.turn_on("enough", 0)
        told, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 1, err
    summary = json.loads(told)
    assert "gate_closed:kill_file" in summary["stopped"]
    assert summary["cycles"] < 60
    assert evidence(out)["cycle"][-1]["gates"]["kill_file"] is False


def test_a_loop_that_was_told_to_stop_says_so_and_one_that_ended_says_nothing_empty(bench: Bench) -> None:
    process = start(bench, *LOOP, "--max-cycles", "60")
    try:
        wait_until(lambda: bench.cycles() >= 2, 40, "two cycles of the canary")
        process.send_signal(signal.SIGTERM)
        told, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, err
    lines = dict(line.split("  ", 1) for line in told.splitlines())
    assert re.fullmatch(r"it was told to, after \d+ of 60 cycles", lines["stopped"].strip())
    assert "evidence" not in lines, "none was asked for"
    done = canary(bench, "once", "--symbol", "BTCTRY", "--allow-warn")
    assert done.returncode == 0, done.stderr
    assert "stopped" not in done.stdout


def test_once(bench: Bench) -> None:
    done = canary(bench, "once", "--symbol", "BTCTRY", "--allow-warn", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cycles"] == 1
    assert len(bench.posts()) == 1


def test_a_doubt_of_the_doctor_ends_it_before_the_first_order(bench: Bench) -> None:
    """A new database is one; --allow-warn says that this is meant."""
    done = canary(bench, "once", "--symbol", "BTCTRY", "--json")
    assert done.returncode == 1
    assert "--allow-warn goes on" in json.loads(done.stdout)["stopped"]
    assert bench.posts() == []
    assert not bench.database.exists()


def test_a_notional_below_what_the_venue_takes_is_refused_with_the_number(bench: Bench) -> None:
    done = canary(bench, "once", "--symbol", "BTCTRY", "--notional-try", "100")
    assert (done.returncode, bench.posts()) == (2, [])
    assert "--notional-try: 100 is below the 100.16" in done.stderr


def test_the_canarys_database_is_guarded_like_any_other(bench: Bench) -> None:
    """mistake 25: given by --db too."""
    bench_settings = {**bench.settings(), "DRY_RUN": "true", "LIVE_TRADING": "false"}
    env_file = write_settings(bench.folder / "dry.env", bench_settings)
    other = bench.folder / "other.db"
    dry = [sys.executable, "-m", "btcbot", "run", "--env-file", str(env_file), "--db", str(other)]
    subprocess.run(dry, cwd=bench.folder, env=bare_environment(), timeout=60, check=True, capture_output=True)

    done = canary(bench, "once", "--symbol", "BTCTRY", "--db", str(other), "--allow-warn")
    assert (done.returncode, bench.posts()) == (2, [])
    assert "was made for mode dry_run" in done.stderr


def test_a_canary_and_a_run_never_write_to_one_database_together(bench: Bench) -> None:
    with acquire(bench.database, None):
        done = canary(bench, "once", "--symbol", "BTCTRY", "--allow-warn")
    assert (done.returncode, bench.posts()) == (2, [])
    assert "another btcbot" in done.stderr


def test_preflight_passes_after_doctor_and_leaves_nothing_behind(bench: Bench) -> None:
    """mistake 23: neither registers anything; and a run may start the moment after them, and again after that."""
    env_file = write_settings(bench.folder / "live.env", bench.settings(MAX_NOTIONAL_PER_ORDER_TRY="500"))

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "btcbot", *arguments, "--env-file", str(env_file)],
            cwd=bench.folder,
            env=bare_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    before = sorted(bench.folder.iterdir())
    for _ in range(2):
        assert call("doctor").returncode == 1  # no database yet
        flight = call("preflight")
        assert flight.returncode == 0, flight.stdout
    assert sorted(bench.folder.iterdir()) == before
    for _ in range(2):
        assert call("run").returncode == 0
        contents = bench.database.read_bytes()
        assert call("preflight").returncode == 0, call("preflight").stdout
        assert bench.database.read_bytes() == contents


def test_preflight_beside_a_running_bot_says_who_writes(bench: Bench) -> None:
    bot = bench.start_bot()
    bench.wait_for_cycles(1, bot)
    env_file = write_settings(bench.folder / "live.env", bench.settings())
    done = subprocess.run(
        [sys.executable, "-m", "btcbot", "preflight", "--env-file", str(env_file)],
        cwd=bench.folder,
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"FAIL [lock] free - another btcbot (pid {bot.pid})" in done.stdout
    assert "FAIL [key] free - another btcbot uses it" in done.stdout
    bench.wait_for_cycles(2, bot)  # which has not been disturbed
