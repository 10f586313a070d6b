"""`python -m proof` as people meet it: one line for wrong input, and nothing is taken for proved that did not run."""

from __future__ import annotations

import subprocess
import sys

import pytest
from proof.plan import PARTS
from proof.tally import ROOT


def proof(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proof", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "rain"], "'rain' is not one of 'canaries'"),
        (["run", "seeds", "--count", "0"], "0 is not in the range x>=1"),
        (["run", "planted", "--first", "3"], "planted is finite: it is cut by --count alone"),
        (["run"], "Missing argument 'PART'"),
        (["rain"], "No such command 'rain'"),
        (["one", "gates", "{"], 'write it like «{"first":1,"count":10}»'),
    ],
)
def test_wrong_input_is_answered_with_one_line_and_status_2(arguments: list[str], told: str):
    done = proof(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("proof: ")
    assert told in done.stderr


def test_a_part_that_is_not_in_ci_runs_whole_when_it_is_asked_for():
    assert list(PARTS["mutation"].ci_tasks()) == []
    assert list(PARTS["mutation"].tasks()) == [{"slice": 0, "of": 1}]
