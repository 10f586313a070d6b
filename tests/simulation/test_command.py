"""`btcbot simulate` as people and machines meet it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from btcbot.cli import main, root


def test_the_last_line_is_json() -> None:
    told = CliRunner().invoke(root, ["simulate", "5", "--count", "3", "--cycles", "5", "--json"])

    assert told.exit_code == 0, told.output
    report = json.loads(told.output.splitlines()[-1])
    assert set(report) == {
        "seeds", "violations", "profiles", "faults", "crashes", "submits", "fills", "trace_sha256",
    }  # fmt: skip
    assert sum(report["profiles"].values()) == 3
    assert (report["seeds"], report["violations"], len(report["trace_sha256"])) == (3, 0, 64)
    assert "3 seeds, 0 violations; on average" in told.output


def test_only_some_faults() -> None:
    told = CliRunner().invoke(root, ["simulate", "1", "--count", "20", "--only", "lost_after,status_before", "--json"])

    assert told.exit_code == 0, told.output
    assert json.loads(told.output.splitlines()[-1])["faults"].keys() == {"lost_after", "status_before"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1", "--only", "rain"], "--only: there is no fault «rain»; «--only help» lists them"),
        (["1", "--only", "lost_after,crsh"], "--only: there is no fault «crsh»; did you mean crash?"),
        (["1", "--only", ","], "--only: name at least one fault; «--only help» lists them"),
        ([], "Missing argument 'SEED'"),
        (["many"], "'many' is not a valid integer"),
        (["1", "2"], "unexpected extra argument (2)"),
        (["1", "--count", "0"], "0 is not in the range x>=1"),
        (["1", "--cycles", "0"], "0 is not in the range 1<=x<=10000"),
        (["1", "--workers", "257"], "257 is not in the range 1<=x<=256"),
        (["1", "--save", __file__], "is a file"),
        (["1", "--trce"], "No such option '--trce'. Did you mean '--trace'?"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["btcbot", "simulate", *arguments])

    with pytest.raises(SystemExit) as ended:
        main()

    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.startswith("btcbot: ")
    assert told.err.count("\n") == 1
    assert said in told.err


def test_the_catalogue_and_what_it_lacks() -> None:
    told = CliRunner().invoke(root, ["simulate", "1", "--only", "help"])

    assert told.exit_code == 0
    assert "refused_but_placed" in told.output
    assert "degrade_override" in told.output
    assert "not simulated: power lost" in told.output


def test_a_failure_says_how_to_repeat_it_what_it_takes_and_where_it_is_kept(sends_again: None, tmp_path: Path) -> None:
    told = CliRunner().invoke(
        root, ["simulate", "1", "--count", "30", "--cycles", "12", "--save", str(tmp_path / "kept")]
    )

    assert told.exit_code == 1
    assert "I1 is broken" in told.output
    assert "repeat it with: btcbot simulate " in told.output
    assert "are enough" in told.output
    (kept,) = (tmp_path / "kept").iterdir()
    assert f"kept as {kept}" in told.output
    assert json.loads(kept.read_text())["invariant"] == "I1"


def test_nothing_is_kept_where_nothing_is_shortened(
    sends_again: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    told = CliRunner().invoke(root, ["simulate", "1", "--count", "30", "--cycles", "12", "--no-shrink"])

    assert told.exit_code == 1
    assert "I1 is broken" in told.output
    assert list(tmp_path.iterdir()) == []


def test_the_number_of_processes_does_not_show() -> None:
    arguments = ["simulate", "40", "--count", "6", "--cycles", "4", "--json"]
    one, two = (CliRunner().invoke(root, [*arguments, "--workers", workers]) for workers in ("1", "2"))

    assert one.exit_code == two.exit_code == 0
    assert one.output.splitlines()[-1] == two.output.splitlines()[-1]


def test_a_batch_in_which_too_little_happened_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from btcbot.testing import simulate
    from btcbot.testing.simulate import Tally

    quiet = Tally(seeds=200, submits=1_999, crashes=400, fills=4_000, instruments=450, woken=2_000, woken_submits=300,
                  faults=Counter(crash=8_000))  # fmt: skip
    monkeypatch.setattr(simulate, "simulate", lambda *arguments, **options: quiet)

    told = CliRunner().invoke(root, ["simulate", "1", "--count", "200"])

    assert told.exit_code == 1
    assert told.output.splitlines()[-1] == (
        "too little happened for this to prove anything: 9.99 submits a seed, at least 10 wanted"
    )
