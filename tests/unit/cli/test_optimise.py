"""`btcbot optimise` as a person meets it: the report, the files, going on, and one line for whatever cannot be."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from tests.unit.backtest.optimise.waves import write_waves
from tests.unit.cli.books import Run, refused

SEARCH = ("--strategy", "ema_cross", "--param", "fast=2..30", "--param", "slow=20..90", "--param", "quantity=0.001")


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    return write_waves(tmp_path)


def test_a_search_from_bars_to_a_report(run: Run, waves: Path, tmp_path: Path) -> None:
    said = run("optimise", waves, *SEARCH, "--trials", 12, "--workers", 2, "--out", "found", "--json")
    assert said.status == 0, said
    report = json.loads(said.out.splitlines()[-1])
    assert report["trials"] == 12 == report["complete"] + report["pruned"] and report["failed"] == 0
    best = report["best"]["parameters"]
    assert 2 <= int(best["fast"]) <= 30 and 20 <= int(best["slow"]) <= 90 and best["quantity"] == "0.001"
    (window,) = report["windows"]
    assert window["train"] == ["2022-01-01 00:00:00Z", "2022-01-22 00:00:00Z"]
    assert window["test"] == ["2022-01-22 00:00:00Z", "2022-01-31 00:00:00Z"]
    assert report["best"]["value"] == window["in_sample"] == window["in_sample_metrics"]["return"] != 0
    assert window["out_of_sample"] == report["out_of_sample_return"] is not None
    assert sum(report["importance"].values()) == pytest.approx(1) and set(report["importance"]) == {"fast", "slow"}
    # The best is what a backtest of the same stretch comes to: nothing is reckoned twice in two ways.
    again = run(
        "backtest", waves, "--strategy", "ema_cross", "--end", "2022-01-22", "--json",
        *(option for name, text in best.items() for option in ("--param", f"{name}={text}")),
    )  # fmt: skip
    assert json.loads(again.out)["return"] == report["best"]["value"]

    with (tmp_path / "found" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    by_value = {row["trial"]: row for row in rows}
    assert float(by_value[str(report["best"]["trial"])]["value"]) == max(float(row["value"] or "-inf") for row in rows)
    import polars as pl

    frame = pl.read_parquet(tmp_path / "found" / "trials.parquet")
    assert frame["param_fast"].to_list() == [int(row["param_fast"]) for row in rows]
    assert frame["state"].to_list() == [row["state"] for row in rows]
    assert json.loads((tmp_path / "found" / "summary.json").read_text()) == report
    page = (tmp_path / "found" / "report.html").read_text()
    assert f"fast={best['fast']}" in page and "<svg" in page
    # Self-contained: nothing is loaded from anywhere.
    assert not re.findall(r"(?:src|href)\s*=|url\(|@import|<script", page)


def test_the_terminal_shows_in_and_out_of_sample_side_by_side(run: Run, waves: Path) -> None:
    said = run("optimise", waves, *SEARCH, "--trials", 5, "--train", 10, "--test", 5, "--objective", "sharpe")
    assert said.status == 0, said
    assert "4 windows of 5 trials" in said.err
    rows = [line.split() for line in said.out.splitlines() if re.match(r"\s+[1-4]  2022", line)]
    assert [row[1:7] for row in rows] == [
        ["2022-01-01", "–", "2022-01-11", "2022-01-11", "–", "2022-01-16"],
        ["2022-01-06", "–", "2022-01-16", "2022-01-16", "–", "2022-01-21"],
        ["2022-01-11", "–", "2022-01-21", "2022-01-21", "–", "2022-01-26"],
        ["2022-01-16", "–", "2022-01-26", "2022-01-26", "–", "2022-01-31"],
    ]
    for words in ("sharpe in sample, mean", "sharpe out of sample, mean", "kept", "best parameters", "Importance",
                  "Surface: mean sharpe"):  # fmt: skip
        assert words in said.out


def test_the_same_command_goes_on_and_then_has_nothing_to_do(run: Run, waves: Path) -> None:
    first = json.loads(run("optimise", waves, *SEARCH, "--trials", 4, "--json").out)
    more = json.loads(run("optimise", waves, *SEARCH, "--trials", 7, "--json").out)
    same = json.loads(run("optimise", waves, *SEARCH, "--trials", 7, "--json").out)
    assert [first["ran"], more["ran"], same["ran"]] == [4, 3, 0]
    assert first["study"] == more["study"] and more["best"] == same["best"]
    # Without what was kept, it comes to the very same again.
    fresh = json.loads(run("optimise", waves, *SEARCH, "--trials", 7, "--storage", "other.journal", "--json").out)
    assert (fresh["best"], fresh["windows"], fresh["importance"]) == (same["best"], same["windows"], same["importance"])


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--objective", "sharpe"), "its objective is «return», here it is «sharpe»"),
        (("--seed", "2"), "its seed is «1», here it is «2»"),
        (("--cash", "5"), "its settings is"),
        (("--param", "entry_budget=100"), "its parameters is"),
        (("--split", "0.5"), "its windows is «split 0.7», here it is «split 0.5»"),
        (("--end", "2022-01-29"), "its data is"),
    ],
)
def test_a_study_of_another_search_is_refused(run: Run, waves: Path, options: tuple[str, ...], part: str) -> None:
    study = ("--study", "mine", "--trials", 1)
    assert run("optimise", waves, *SEARCH, *study, "--json").status == 0
    refused(run("optimise", waves, *SEARCH, *study, *options), "study «mine» is another search", part)


def test_data_that_changed_are_another_search(run: Run, tmp_path: Path) -> None:
    waves = write_waves(tmp_path)
    study = ("--study", "mine", "--trials", 1, "--json")
    assert run("optimise", waves, *SEARCH, *study).status == 0
    text = waves.read_text().replace(",12.5\n", ",12.6\n", 1)
    waves.write_text(text)
    refused(run("optimise", waves, *SEARCH, *study), "its data is")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--trials", 0), ("--trials", "0")),
        (("--trials", 1, "--workers", 0), ("--workers", "0")),
        (("--trials", 1, "--param", "fats=1..5"), ("no parameter «fats»", "did you mean «fast»?")),
        (("--trials", 1, "--param", "spread_bps_max=5..1"), ("it begins above its end",)),
        (("--trials", 1, "--param", "entry_budget=1..99999999999"), ("outside what the strategy allows",)),
        (("--trials", 1, "--objective", "sharp"), ("--objective sharp", "did you mean «sharpe»?")),
        (("--trials", 1, "--sampler", "tpee"), ("--sampler tpee", "tpe, random, grid")),
        (("--trials", 1, "--pruner", "mean"), ("--pruner mean", "none, median, halving, hyperband")),
        (("--trials", 1, "--sampler", "grid", "--param", "entry_budget=100..200"), ("has no end of values",)),
        (("--trials", 1, "--split", "1"), ("--split 1", "above 0 and below 1")),
        (("--trials", 1, "--train", 20), ("needs both --train DAYS and --test DAYS",)),
        (("--trials", 1, "--train", 20, "--test", 11), ("needs 31 days of data and there are 30",)),
        (("--trials", 1, "--train", 20, "--test", 5, "--split", "0.7"), ("give one of them",)),
        (("--trials", 1, "--anchored"), ("--anchored is for --train and --test",)),
        (("--trials", 1, "--objective", "calmar", "--train", 20, "--test", 5), ("is not told of less than 7 days",)),
        (("--trials", 1, "--storage", "nowhere://x"), ("«nowhere:» is no kind of storage",)),
        (("--trials", 1, "--storage", "postgresql://u:hushhush@127.0.0.1:1/x"), ("it cannot be reached",)),
        (("--trials", 1, "--start", "2030-01-01"), ("no bar",)),
        (("--trials", 1, "--symbols", "BTCTYR"), ("BTCTYR", "BTCTRY")),
        (("--trials", 1, "--set", "SYMBOLS=BTCTYR"), ("BTCTYR", "BTCTRY")),
        (("--trials", 1, "--set", "TTL_SECOND=5"), ("TTL_SECOND", "TTL_SECONDS")),
        (("--trials", 1, "--set", "NOTIONAL_CAP_TRY_PER_CYCLE=50"), ("50 is below", "raise it")),
        (("--trials", 1, "--cash", "0"), ("--cash",)),
        (("--trials", 1, "--nonsense"), ("--nonsense",)),
        (("--trials", 1, "--strategy", "ema_croos"), ("ema_croos", "did you mean ema_cross?")),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_line(
    run: Run, waves: Path, options: tuple[object, ...], words: tuple[str, ...]
) -> None:
    said = run("optimise", waves, *SEARCH, *options)
    refused(said, *words)
    assert "hushhush" not in said.err


def test_a_window_in_a_gap_is_refused(run: Run, tmp_path: Path) -> None:
    # Hours 240 to 360 are missing: the test stretch of the first window.
    waves = write_waves(tmp_path, hours_missing=range(240, 360))
    said = run("optimise", waves, *SEARCH, "--trials", 1, "--train", 10, "--test", 5)
    gap, line = said.err.splitlines()
    assert "BTCTRY.csv, row 242" in gap, "a gap is told in any case"
    refused(said._replace(err=line), "window 1 has no bar to be judged on from 2022-01-11 00:00:00Z")


def test_a_folder_that_holds_results_is_not_written_over(run: Run, waves: Path, tmp_path: Path) -> None:
    search = ("optimise", waves, *SEARCH, "--trials", 1, "--out", "found", "--json")
    assert run(*search).status == 0
    before = (tmp_path / "found" / "summary.json").read_text()
    refused(run(*search), "it holds report.html already", "--force")
    assert (tmp_path / "found" / "summary.json").read_text() == before
    assert run(*search, "--force").status == 0


RAISES = '''
from typing import Annotated, ClassVar
import msgspec
from btcbot.strategies.parameters import Within

class Shaky(msgspec.Struct, frozen=True, kw_only=True):
    """Raises a shift after so many."""
    name: ClassVar[str] = "shaky"
    level: Annotated[int, Within(0, 100, "From here on it raises.")] = 0

    def generate(self, context):
        if self.level >= {raises_from}:
            raise RuntimeError("<b>no & idea</b>")
        return {answer}
'''


def test_a_strategy_that_raises_fails_its_trials_and_the_rest_goes_on(run: Run, waves: Path, tmp_path: Path) -> None:
    file = tmp_path / "shaky.py"
    file.write_text(RAISES.format(raises_from=5, answer="[]"))
    said = run("optimise", waves, "--strategy", file, "--param", "level=0..9", "--sampler", "grid", "--trials", 50,
               "--json", "--out", "found")  # fmt: skip
    assert said.status == 0 and "the grid has 10 points" in said.err
    report = json.loads(said.out)
    assert (report["complete"], report["failed"]) == (5, 5)
    with (tmp_path / "found" / "trials.csv").open(newline="") as file_of_trials:
        reasons = {row["reason"] for row in csv.DictReader(file_of_trials) if row["state"] == "failed"}
    assert len(reasons) == 1 and "RuntimeError: <b>no & idea</b>" in reasons.pop()
    page = (tmp_path / "found" / "report.html").read_text()
    assert "&lt;b&gt;no &amp; idea&lt;/b&gt;" in page and "<b>no" not in page


def test_parameters_that_leave_room_for_no_order_are_no_trial(run: Run, waves: Path, tmp_path: Path) -> None:
    """As a backtest refuses them; a search that played them would compare with trials that never trade."""
    said = run("optimise", waves, "--strategy", "ema_cross", "--param", "entry_budget=60..140", "--param", "fast=5",
               "--param", "slow=20", "--sampler", "random", "--trials", 12, "--json", "--out", "found")  # fmt: skip
    assert said.status == 0, said.err
    with (tmp_path / "found" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    unfit = [row for row in rows if "could never be sold" in row["reason"]]
    assert 0 < len(unfit) < 12
    assert (said.json["pruned"], said.json["failed"]) == (len(unfit), 0), "nothing broke: they were no trials"
    assert max(float(row["param_entry_budget"]) for row in unfit) < 101
    assert min(float(row["param_entry_budget"]) for row in rows if row not in unfit) > 99


@pytest.mark.parametrize("answer", ["[]", "[object()]", "7"])
def test_a_search_in_which_everything_fails_ends_with_one_line(
    run: Run, waves: Path, tmp_path: Path, answer: str
) -> None:
    file = tmp_path / "shaky.py"
    file.write_text(RAISES.format(raises_from=0 if answer == "[]" else 1_000, answer=answer))
    said = run("optimise", waves, "--strategy", file, "--param", "level=0..9", "--trials", 3, "--json")
    assert said.status == 1
    last = said.err.splitlines()[-1]
    assert last.startswith("btcbot: none of the 3 trials has a value; the first: "), said.err
    assert json.loads(said.out)["failed"] == 3


def test_a_value_that_is_nowhere_defined_is_told(run: Run, waves: Path, tmp_path: Path) -> None:
    file = tmp_path / "shaky.py"
    file.write_text(RAISES.format(raises_from=1_000, answer="[]"))
    said = run("optimise", waves, "--strategy", file, "--param", "level=0..9", "--trials", 3, "--objective", "sharpe")
    assert said.status == 1
    assert "none of the 3 trials has a value; the first: no sharpe: every day has the same return" in said.err


def test_without_the_research_extra_one_line_says_how_to_get_it(
    run: Run, waves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("btcbot.cli.optimise.find_spec", lambda name: None)
    refused(run("optimise", waves, *SEARCH, "--trials", 1), "needs the research extra: pip install 'btcbot[research]'")
