"""`btcbot simulate` as people and machines meet it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.simulation.test_planted_bugs import BUGS, plant

from btcbot.cli import root


def test_the_last_line_is_json() -> None:
    told = CliRunner().invoke(root, ["simulate", "5", "--count", "3", "--cycles", "5", "--json"])

    assert told.exit_code == 0, told.output
    report = json.loads(told.output.splitlines()[-1])
    assert set(report) == {"seeds", "violations", "faults", "crashes", "submits", "fills", "trace_sha256"}
    assert (report["seeds"], report["violations"], len(report["trace_sha256"])) == (3, 0, 64)
    assert "3 seeds, 0 violations; on average" in told.output


def test_only_some_faults() -> None:
    told = CliRunner().invoke(root, ["simulate", "1", "--count", "20", "--only", "lost_after,status_before", "--json"])

    assert told.exit_code == 0, told.output
    assert json.loads(told.output.splitlines()[-1])["faults"].keys() == {"lost_after", "status_before"}


def test_a_fault_that_nobody_knows() -> None:
    told = CliRunner().invoke(root, ["simulate", "1", "--only", "rain"])

    assert told.exit_code != 0
    assert "rain" in str(told.exception)


def test_the_catalogue_and_what_it_lacks() -> None:
    told = CliRunner().invoke(root, ["simulate", "1", "--only", "help"])

    assert told.exit_code == 0
    assert "refused_but_placed" in told.output
    assert "not simulated: feed faults" in told.output


def test_a_failure_says_how_to_repeat_it_and_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(BUGS["an order is sent again when its answer is lost"], monkeypatch)

    told = CliRunner().invoke(root, ["simulate", "1", "--count", "15", "--cycles", "12"])

    assert told.exit_code == 1
    assert "I1 is broken" in told.output
    assert "repeat it with: btcbot simulate " in told.output
    assert "are enough" in told.output
