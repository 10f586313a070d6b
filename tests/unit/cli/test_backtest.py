"""`btcbot backtest`: from a folder of bars to a table, a report and one line of JSON; and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.books import Run

ROWS = 300


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Two pairs that swing, by the minute."""
    folder = tmp_path / "bars"
    folder.mkdir()
    for symbol, price in (("ADATRY", 10.0), ("XRPTRY", 9.0)):
        lines = ["open_time_ms,open,high,low,close,volume"]
        last = price
        for minute in range(ROWS):
            close = round(price * (1 + 0.02 * ((minute % 40) - 20) / 20), 2)
            high, low = max(last, close) + 0.02, min(last, close) - 0.02
            lines.append(f"{1_667_865_600_000 + minute * 60_000},{last:.2f},{high:.2f},{low:.2f},{close:.2f},5000")
            last = close
        (folder / f"{symbol}.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_run_tells_what_came_of_it_and_writes_a_report(run: Run, bars: Path, tmp_path: Path) -> None:
    said = run("backtest", bars, "--strategy", "ema_cross", "--param", "fast=3", "--param", "slow=9",
               "--set", "COOLDOWN_SECONDS=0", "--out", tmp_path / "out")  # fmt: skip

    assert said.status == 0, said.err
    assert "ema_cross on ADATRY, XRPTRY" in said.out
    assert "fast=3, slow=9" in said.out
    assert "Final equity" in said.out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<svg" in page or "<canvas" in page
    assert (tmp_path / "out" / "orders.parquet").exists()


def test_one_line_of_json_for_a_program(run: Run, bars: Path) -> None:
    first, second = (run("backtest", bars, "--strategy", "ema_cross", "--param", "slow=9", "--param", "fast=3",
                         "--json") for _ in range(2))  # fmt: skip

    assert first.out.count("\n") == 1
    told, again = json.loads(first.out), json.loads(second.out)
    wanted = {"bars", "wall_s", "bars_per_s", "cycles", "orders", "fills", "final_equity", "max_drawdown", "fees"}
    assert wanted < told.keys()
    assert told["bars"] == 2 * ROWS
    assert told["fills"] > 0
    assert isinstance(told["final_equity"], str), "money is text"
    assert told["fingerprint"] == again["fingerprint"]


def test_the_settings_of_the_live_bot_bring_its_strategy(run: Run, bars: Path, tmp_path: Path) -> None:
    """Else a bot that was set up with one strategy would be judged by the results of another."""
    env = tmp_path / "live.env"
    env.write_text("STRATEGY=ema_cross\nSTRATEGY_PARAMS=fast=3,slow=9\n")
    env.chmod(0o600)

    def played(*given: object) -> tuple[str, dict[str, str]]:
        told = run("backtest", bars, "--json", "--env-file", env, *given).json
        return told["strategy"], told["parameters"]

    name, parameters = played()
    assert (name, parameters["fast"], parameters["slow"]) == ("ema_cross", "3", "9")
    name, parameters = played("--param", "slow=12")
    assert (name, parameters["fast"], parameters["slow"]) == ("ema_cross", "3", "12"), "--param wins over the file"
    assert played("--set", "STRATEGY=limit_band", "--set", "STRATEGY_PARAMS=")[0] == "limit_band"
    name, parameters = played("--strategy", "mean_reversion")
    assert name == "mean_reversion" and "fast" not in parameters, "parameters belong to the strategy they were set for"


def test_what_a_strategy_prints_is_no_part_of_the_json(run: Run, bars: Path, tmp_path: Path) -> None:
    """Whoever looks for a mistake prints, and a program that reads the result still reads one line."""
    assert run("strategy", "new", "talker").status == 0
    file = tmp_path / "talker.py"
    talks = file.read_text().replace(
        "        intents: list[Intent] = []", "        print(context.now_ms)\n        intents: list[Intent] = []", 1
    )
    file.write_text(talks)

    said = run("backtest", bars, "--strategy", "talker.py", "--json")

    assert said.status == 0, said.err
    assert said.out.count("\n") == 1 and json.loads(said.out)["strategy"] == "talker"
    assert "1667865660000" in said.err


def test_a_range_and_a_choice_of_symbols(run: Run, bars: Path) -> None:
    said = run("backtest", bars, "--symbols", "xrp_try", "--start", "2022-11-08T01:00", "--end", "2022-11-08T02:00",
               "--json")  # fmt: skip

    told = json.loads(said.out)
    assert told["bars"] == 60
    assert list(told["symbols"]) == ["XRPTRY"]


def test_the_pairs_of_the_live_settings_are_played(run: Run, bars: Path, tmp_path: Path) -> None:
    """Two pairs are recorded, one is traded: buy and hold is of that one too."""
    env = tmp_path / "paper.env"
    env.write_text("SYMBOLS=xrp_try\n")
    env.chmod(0o600)

    def played(*arguments: object) -> list[str]:
        said = run("backtest", bars, *arguments, "--json")
        assert said.status == 0, said.err
        return list(json.loads(said.out)["symbols"])

    assert played("--env-file", env) == ["XRPTRY"]
    assert played("--env-file", env, "--profile", "stage4", "--set", "RISK_MAX_POSITION_PCT=100") == ["XRPTRY"]
    assert played("--set", "SYMBOLS=ADATRY", "--env-file", env) == ["ADATRY"], "--set wins over the file"
    assert played("--set", "UNIVERSE_SYMBOLS=ADATRY") == ["ADATRY"], "by its other name too"
    assert played("--symbols", "ADATRY", "--env-file", env, "--set", "SYMBOLS=XRPTRY") == ["ADATRY"], (
        "it wins over both"
    )
    assert played() == ["ADATRY", "XRPTRY"]
    stage7 = run("stage7-backtest", bars, "--env-file", env, "--json")
    assert stage7.status == 0, stage7.err
    assert list(json.loads(stage7.out)["symbols"]) == ["XRPTRY"]
    missing = run("backtest", bars, "--set", "SYMBOLS=XRPTRY,BTCTRY")
    assert (missing.status, missing.out) == (2, "")
    (line,) = missing.err.splitlines()
    assert "BTCTRY" in line


def test_the_same_pairs_give_the_same_result_by_either_way(run: Run, bars: Path) -> None:
    told = [json.loads(run("backtest", bars, *given, "--json").out)["fingerprint"]
            for given in (["--symbols", "XRPTRY"], ["--set", "SYMBOLS=XRPTRY"])]  # fmt: skip
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--strategy", "ema_crss"], "did you mean ema_cross"),
        (["--strategy", "nowhere.py"], "nowhere.py"),
        (["--strategy", "ema_cross", "--param", "fast=0"], "fast"),
        (["--strategy", "ema_cross", "--param", "fast=50", "--param", "slow=20"], "fast=50 must be below slow=20"),
        (["--param", "fast"], "--param: «fast» is not NAME=VALUE"),
        (["--param", "a=1", "--param", "a=2"], "--param: a is given twice"),
        (["--symbols", "BTCTRY"], "BTCTRY"),
        (["--symbols", ""], "--symbols: names no pair; write such as BTCTRY,ETHTRY, or leave it out for all"),
        (["--symbols", ","], "--symbols: names no pair; write such as BTCTRY,ETHTRY, or leave it out for all"),
        (["--start", "yesterday"], "«yesterday» is no day"),
        (["--start", "2030-01-01"], "no bar in the range"),
        (["--start", "2022-11-09", "--end", "2022-11-08"], "is empty"),
        (["--cash", "-5"], "«-5» is not an amount"),
        (["--cash", "0"], "--cash: give an amount above 0"),
        (["--cash", "1000000000001"], "--cash: give at most 1000000000000, with at most 8 decimals"),
        (["--cash", "0.000000001"], "--cash: give at most 1000000000000, with at most 8 decimals"),
        (["--volume-share", "2"], "--volume-share: give a share above 0, at most 1"),
        (["--half-spread-bps", "5000"], "--half-spread-bps: give less than 5000"),
        (["--set", "TTL_SECOND=60"], "TTL_SECONDS"),
        (["--set", "TTL_SECONDS=soon"], "TTL_SECONDS"),
        (["--profile", "stage9"], "stage9"),
        (["--include-adaptation"], "--include-adaptation: run adapts nothing"),
        (["--profile", "stage7", "--set", "ADAPTATION_ENABLED=true"], "adapts with --include-adaptation"),
        (["--profile", "stage4", "--set", "PORTFOLIO_TARGETS=ADATRY:0.5"], "PORTFOLIO_TARGETS"),
        (["--profile", "stage4", "--set", "MAX_INTENT_NOTIONAL_TRY=50"], "MAX_INTENT_NOTIONAL_TRY: 50 is below"),
        (["--set", "SYMBOLS=BTC-TRY"], "SYMBOLS: holds a pair that is not"),
        (["--set", "MAX_TOTAL_EXPOSURE_TRY=50"], "MAX_TOTAL_EXPOSURE_TRY: 50 is below"),
        (["--set", "ENTRY_BUDGET_TRY=50"], "ENTRY_BUDGET_TRY: 50 less the fee"),
        (["--profile", "stage4", "--set", "RISK_MAX_GROSS_EXPOSURE_TRY=50"], "RISK_MAX_GROSS_EXPOSURE_TRY: 50 is"),
        (["--compare", "ema_cross"], "--compare: name at least two strategies"),
        (["--compare", "ema_cross,ema_cross"], "--compare: name at least two strategies, each once"),
        (["--compare", "ema_cross,rebalence"], "did you mean rebalance"),
        (["--compare", "ema_cross,rebalance", "--strategy", "ema_cross"], "--strategy: is one strategy"),
        (["--compare", "ema_cross,rebalance", "--param", "fast=3"], "--param: whose would it be"),
        (["--env-file", "nowhere.env"], "nowhere.env"),
    ],
)
def test_a_mistake_is_answered_with_one_line(run: Run, bars: Path, arguments: list[str], line: str) -> None:
    said = run("backtest", bars, *arguments)

    assert said.status == 2
    assert line in said.err
    assert said.out == ""


def test_data_that_is_not_there_or_not_right(run: Run, bars: Path, tmp_path: Path) -> None:
    assert run("backtest", tmp_path / "nowhere").status == 2
    broken = bars / "ADATRY.csv"
    broken.write_text(broken.read_text().replace("10.02", "-1", 1))

    said = run("backtest", bars)

    assert said.status == 2
    assert "ADATRY.csv" in said.err
    assert "row" in said.err


def test_a_strategy_that_raises_ends_the_run_and_says_where(run: Run, bars: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from typing import ClassVar\n\nimport msgspec\n\n\n"
        "class Mine(msgspec.Struct, frozen=True, kw_only=True):\n    name: ClassVar[str] = 'mine'\n\n"
        "    def generate(self, context):\n        return context.prices\n"
    )

    said = run("backtest", bars, "--strategy", mine)

    assert said.status == 1
    assert "at 2022-11-08 00:01:00 UTC" in said.err
    assert "mine raised AttributeError" in said.err
    assert "mine.py:10" in said.err


def test_recorded_quotes_and_trades_are_played_too(run: Run, tmp_path: Path, bars: Path) -> None:
    assert run("data", "init", tmp_path / "starter").status == 0

    said = run("backtest", tmp_path / "starter", "--table", "quotes", "--symbols", "BTCTRY", "--cycle-seconds", "60",
               "--end", "2025-01-01T06:00", "--json")  # fmt: skip

    told = json.loads(said.out)
    assert 300 < told["cycles"] < 400, "one a minute"
    assert told["fills"] > 0
    adapting = run("stage7-backtest", tmp_path / "starter", "--table", "quotes", "--cycle-seconds", "60", "--end",
                   "2025-01-01T03:00", *PROFILE_WIDE, "--include-adaptation", "--json")  # fmt: skip
    told = json.loads(adapting.out)
    assert told["cycles_run"] > 150 and told["fills"] > 0 and told["param_changes"] > 0

    assert (
        "no quote in this range"
        in run("backtest", tmp_path / "starter", "--table", "quotes", "--end", "2020-01-01").err
    )
    refused = run("backtest", bars, "--table", "quotes")
    assert refused.status == 2
    assert refused.err.count("\n") == 1


PROFILE_WIDE = (
    "--set", "COOLDOWN_SECONDS=0", "--set", "PORTFOLIO_DRIFT=0.01", "--set", "NOTIONAL_CAP_TRY_PER_CYCLE=20000",
    "--set", "MAX_INTENT_NOTIONAL_TRY=2000", "--set", "RISK_MAX_POSITION_PCT=100",
)  # fmt: skip


def test_stage7_backtest_tells_what_adaptation_did_and_twice_the_same(run: Run, bars: Path, tmp_path: Path) -> None:
    arguments = ("stage7-backtest", bars, *PROFILE_WIDE, "--include-adaptation", "--json")
    first, second = (json.loads(run(*arguments).out) for _ in range(2))

    assert first["profile"] == "stage7-run" and first["strategy"] == "portfolio"
    assert first["cycles_run"] == first["cycles"] == ROWS
    assert first["param_changes"] > 0 and first["params_checkpoints"] > 0
    assert first["final_fingerprint"] == first["fingerprint"] == second["final_fingerprint"]
    assert (first["started_at"], first["ended_at"]) == ("2022-11-08T00:00:00Z", "2022-11-08T05:00:00Z")
    assert first["fills"] > 0 and first["balances"].keys() >= {"TRY"}
    still = json.loads(run("stage7-backtest", bars, *PROFILE_WIDE, "--json").out)
    assert still["param_changes"] == still["params_checkpoints"] == 0, "parameters stand still unless asked for"
    assert still["settings"]["ADAPTATION_ENABLED"] == "false"
    assert still["fingerprint"] != first["fingerprint"]


def test_stage7_backtest_is_backtest_with_that_profile(run: Run, bars: Path) -> None:
    named = run("stage7-backtest", bars, *PROFILE_WIDE, "--json")
    chosen = run("backtest", bars, "--profile", "stage7", *PROFILE_WIDE, "--json")
    assert json.loads(named.out)["fingerprint"] == json.loads(chosen.out)["fingerprint"]
    assert "btcbot stage7-backtest data/replay" in run("stage7-backtest", "--help").out
    refused = run("stage7-backtest", bars, "--profile", "run")
    assert refused.status == 2 and "stage7" in refused.err


def test_a_profile_plays_its_own_strategy_unless_another_is_named(run: Run, bars: Path, tmp_path: Path) -> None:
    own = run("backtest", bars, "--profile", "stage4", *PROFILE_WIDE, "--every-note", "--out", tmp_path / "own")
    assert own.status == 0, own.err
    assert "tilted_portfolio on ADATRY, XRPTRY" in own.out
    assert "stage4-run: " in own.out
    events = json.loads((tmp_path / "own" / "events.json").read_text())
    assert {"snapshot"} <= {event["kind"] for event in events}
    assert "stage4-run" in (tmp_path / "own" / "report.html").read_text()
    other = json.loads(run("backtest", bars, "--profile", "stage4", "--strategy", "rebalance", "--json").out)
    assert (other["profile"], other["strategy"]) == ("stage4-run", "rebalance")


def test_strategies_are_compared_on_the_same_data_with_a_report_for_each(run: Run, bars: Path, tmp_path: Path) -> None:
    names = ("ema_cross,rebalance", "--compare", "limit_band")
    said = run("backtest", bars, "--compare", *names, "--out", tmp_path / "out")
    told = json.loads(run("backtest", bars, "--compare", *names, "--json").out)

    assert said.status == 0, said.err
    assert [row["rank"] for row in told["strategies"]] == [1, 2, 3]
    assert {row["name"] for row in told["strategies"]} == {"ema_cross", "rebalance", "limit_band"}
    alone = json.loads(run("backtest", bars, "--strategy", "rebalance", "--json").out)
    row = next(row for row in told["strategies"] if row["name"] == "rebalance")
    assert (row["final_equity"], row["fingerprint"]) == (alone["final_equity"], alone["fingerprint"])
    for name in ("ema_cross", "rebalance", "limit_band"):
        assert name in said.out
        assert (tmp_path / "out" / name / "report.html").exists()
