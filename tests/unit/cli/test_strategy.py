"""`btcbot strategy`: the list, one of them, and a new one that works as it is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.books import Run


def test_the_list_names_every_shipped_one_with_what_it_does(run: Run) -> None:
    said = run("strategy", "list")

    assert said.status == 0
    for name in ("profit_v1", "mean_reversion", "ema_cross", "limit_band", "rebalance"):
        assert f"\n  {name} " in said.out
    assert "Keep each symbol at its share of what the account is worth." in said.out


def test_the_list_for_programs_has_parameters_with_their_ranges(run: Run) -> None:
    told = json.loads(run("strategy", "list", "--json").out)
    (cross,) = [one for one in told["strategies"] if one["name"] == "ema_cross"]
    fast = cross["parameters"][0]

    assert told["broken"] == []
    assert (cross["origin"], cross["uses_signals"], cross["has_wakes"]) == ("shipped", True, True)
    assert fast == {
        "name": "fast", "kind": "int", "default": "20", "low": "1", "high": "5000", "step": None, "log": True,
        "choices": [], "meaning": "Bars of the fast average.",
    }  # fmt: skip


def test_one_of_them_is_shown_with_its_parameters(run: Run) -> None:
    said = run("strategy", "show", "limit_band")

    assert said.status == 0
    assert "is asked      at every bar" in said.out
    assert "offset_bps    decimal  15       0 to 5000" in said.out
    assert json.loads(run("strategy", "show", "limit_band", "--json").out)["name"] == "limit_band"


def test_a_name_that_is_none_is_answered_with_the_nearest(run: Run) -> None:
    said = run("strategy", "show", "limit_bnad")

    assert (said.status, said.out) == (2, "")
    assert said.err == "btcbot: there is no strategy limit_bnad; did you mean limit_band?\n"


def test_a_new_one_works_as_it_is_written(run: Run, tmp_path: Path) -> None:
    """Its own tests pass, in a process and a folder of their own."""
    said = run("strategy", "new", "dip_buyer", "--into", "strategies")
    assert said.status == 0
    assert "try it: python -m pytest strategies/test_dip_buyer.py" in said.out

    tried = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "strategies/test_dip_buyer.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip

    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "10 passed" in tried.stdout
    shown = run("strategy", "show", "strategies/dip_buyer.py")
    assert "name          dip_buyer" in shown.out
    assert "window        int      20       2 to 1000" in shown.out


def test_the_tests_of_a_new_one_notice_when_it_is_changed(run: Run, tmp_path: Path) -> None:
    run("strategy", "new", "dip_buyer")
    path = tmp_path / "dip_buyer.py"
    text = path.read_text(encoding="utf-8")
    assert text.count("away > margin") == 1
    path.write_text(text.replace("away > margin", "away < margin"), encoding="utf-8")

    tried = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_dip_buyer.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip

    assert tried.returncode == 1
    assert "test_a_flat_symbol_above_its_average_is_bought_at_the_ask_for_the_budget" in tried.stdout


def test_what_is_there_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "test_dip_buyer.py").write_text("mine", encoding="utf-8")

    said = run("strategy", "new", "dip_buyer")

    assert said.status == 2
    assert said.err == (
        "btcbot: test_dip_buyer.py is there already; choose another name, or another folder with --into\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["test_dip_buyer.py"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DipBuyer", "«DipBuyer» cannot be a strategy's name; take small letters, digits and _, such as dip_buyer"),
        ("../dip", "«../dip» cannot be a strategy's name; take small letters, digits and _, such as dip_buyer"),
        ("class", "class is a word of Python's own, and no name; choose another, such as dip_buyer"),
        ("test_dip", "test_dip.py would be taken for tests; choose a name that does not begin with test_"),
        ("ema_cross", "a strategy ema_cross comes with btcbot; choose another name"),
        ("random", "random.py would stand before Python's own random; choose another name"),
    ],
)
def test_a_name_that_cannot_be_is_refused(run: Run, tmp_path: Path, name: str, said: str) -> None:
    result = run("strategy", "new", name)

    assert (result.status, result.err) == (2, f"btcbot: {said}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("time,close\n")

    result = run("strategy", "new", "dip_buyer", "--into", "bars.csv/mine")

    said = "bars.csv/mine cannot be written to (Not a directory); name another folder with --into"
    assert run("strategy", "new", "dip_buyer", "--into", "bars.csv").err == (
        "btcbot: bars.csv cannot be written to (File exists); name another folder with --into\n"
    )
    assert (result.status, result.err) == (2, f"btcbot: {said}\n")


def test_the_bot_refuses_to_start_with_a_strategy_that_is_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, before anything is asked of the venue."""
    monkeypatch.setenv("STRATEGY", "ema_cross")
    monkeypatch.setenv("STRATEGY_PARAMS", "fast=200")

    said = run("run")

    assert said.status == 2
    assert said.err.splitlines()[-1] == "btcbot: STRATEGY: ema_cross: fast=200 must be below slow=100"


HOW_TO = Path(__file__).parents[3] / "docs/how-to/strategy.md"


def blocks(kind: str) -> list[str]:
    """The fenced blocks of the how-to, as a reader copies them."""
    parts = HOW_TO.read_text(encoding="utf-8").split("```")
    return [part.partition("\n")[2] for part in parts[1::2] if part.partition("\n")[0] == kind]


def test_the_example_of_the_how_to_runs_as_it_is_written(run: Run, tmp_path: Path) -> None:
    """Its file, and every command that ends by itself. Two of them must come to the same: with and without sleeping."""
    pytest.importorskip("polars", reason="needs the research extra")
    pytest.importorskip("jinja2", reason="needs the research extra")
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies/rsi_dip.py").write_text(blocks("python")[0], encoding="utf-8")
    commands = [line.split() for block in blocks("") for line in block.splitlines() if line.startswith("btcbot ")]
    assert len(commands) == 6

    told = [(command, run(*command[1:])) for command in commands]

    assert [(" ".join(command), said.status, said.err) for command, said in told if said.status] == []
    assert (tmp_path / "results/rsi_dip/report.html").stat().st_size > 10_000
    sleeping, awake = (said.out for command, said in told if command[1] == "backtest" and "rsi_dip" in command[4])
    for line in ("Final equity", "Orders / fills", "Realised profit"):
        assert (
            [one for one in sleeping.splitlines() if line in one]
            == [one for one in awake.splitlines() if line in one]
            != []
        )
    cycles = [int(out.partition(" cycles")[0].rpartition(" ")[2].replace(",", "")) for out in (sleeping, awake)]
    assert cycles[0] < cycles[1]


def test_the_test_of_the_how_to_is_one(tmp_path: Path) -> None:
    """Its example of a scene, with the example's strategy."""
    from btcbot.adapters.strategy_plugins import make

    path = tmp_path / "rsi_dip.py"
    path.write_text(blocks("python")[0], encoding="utf-8")
    names: dict[str, object] = {"strategy": make(str(path), {"period": "2"})}

    exec(blocks("python")[1], names)

    assert names["wishes"] == []  # held, and low
