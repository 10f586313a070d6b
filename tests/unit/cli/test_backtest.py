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


def test_a_range_and_a_choice_of_symbols(run: Run, bars: Path) -> None:
    said = run("backtest", bars, "--symbols", "xrp_try", "--start", "2022-11-08T01:00", "--end", "2022-11-08T02:00",
               "--json")  # fmt: skip

    told = json.loads(said.out)
    assert told["bars"] == 60
    assert list(told["symbols"]) == ["XRPTRY"]


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
        (["--start", "yesterday"], "«yesterday» is no day"),
        (["--start", "2030-01-01"], "no bar in the range"),
        (["--start", "2022-11-09", "--end", "2022-11-08"], "is empty"),
        (["--cash", "-5"], "«-5» is not an amount"),
        (["--cash", "0"], "--cash: give an amount above 0"),
        (["--volume-share", "2"], "--volume-share: give a share above 0, at most 1"),
        (["--half-spread-bps", "5000"], "--half-spread-bps: give less than 5000"),
        (["--set", "TTL_SECOND=60"], "TTL_SECONDS"),
        (["--set", "TTL_SECONDS=soon"], "TTL_SECONDS"),
        (["--profile", "stage9"], "stage9"),
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

    assert (
        "no quote in this range"
        in run("backtest", tmp_path / "starter", "--table", "quotes", "--end", "2020-01-01").err
    )
    refused = run("backtest", bars, "--table", "quotes")
    assert refused.status == 2
    assert refused.err.count("\n") == 1
