"""A benchmark takes minutes: a word that it does not know is told at once."""

from __future__ import annotations

import pytest
from benchmarks.common import Figure, Result, run_alone


def result(value: float) -> Result:
    return Result(name="one", figures=[Figure(what="time", value=value, unit="ms", goal=10)], notes=[])


def never() -> Result:
    raise AssertionError("it was measured")


@pytest.mark.parametrize(
    ("words", "also", "said"),
    [
        (["--help"], [], "there is no option --help; give nothing, or --json\n"),
        (["--json", "fast"], ["--profile"], "there is no option fast; give nothing, or --json or --profile\n"),
    ],
)
def test_an_unknown_word_is_refused_before_anything_is_measured(
    words: list[str], also: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["one.py", *words])
    with pytest.raises(SystemExit) as ended:
        run_alone(never, also=also)
    assert (ended.value.code, capsys.readouterr().err) == (2, said)


@pytest.mark.parametrize(("value", "status"), [(9.0, 0), (11.0, 1)])
def test_a_missed_goal_is_its_exit_status(value: float, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["one.py", "--json"])
    with pytest.raises(SystemExit) as ended:
        run_alone(lambda: result(value))
    assert ended.value.code == status
