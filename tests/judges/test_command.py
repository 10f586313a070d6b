"""`python -m judges` for people: one line for what is wrong, and a table that does not hide a failure."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from judges.__main__ import HERE, JUDGES, missing
from judges.table import Line, call_of, rows, shortened

ROOT = Path(__file__).parents[2]


def judged(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "judges", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_an_unknown_judge_is_refused_in_one_line() -> None:
    done = judged("kraken")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "'kraken' is not one of 'btcturk-api', 'ccxt', 'signing'" in line


def test_an_unknown_option_is_refused_in_one_line() -> None:
    done = judged("--fast")
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["judges: No such option '--fast'."]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ccxt", "kraken"], "'kraken' is not one of 'btcturk-api', 'ccxt', 'signing'"),
        ([""], "'' is not one of 'btcturk-api', 'ccxt', 'signing'"),
        (["--write-vectors=yes"], "Option '--write-vectors' does not take a value"),
        (["--write-vectors", "ccxt"], "--write-vectors goes without judges; give one or the other"),
    ],
)
def test_other_wrong_input_is_refused_in_one_line(arguments: list[str], said: str) -> None:
    done = judged(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("judges: ")
    assert said in line


def test_an_environment_without_the_clients_says_how_to_make_one() -> None:
    assert importlib.util.find_spec("ccxt") is None, "clients of others are no part of this environment"
    done = judged()
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "judges: btcturk-api, ccxt, empyrical-reloaded not installed here; run: make judges"
    ]


def test_what_is_missing() -> None:
    assert missing(["json", "no_such_module", "msgspec"]) == ["no_such_module"]


def test_every_judge_has_its_modules_and_every_module_its_judge() -> None:
    listed = [module for modules in JUDGES.values() for module in modules]
    assert sorted(listed) == sorted(path.name for path in HERE.glob("test_*.py"))


def test_the_table_counts_failures_and_keeps_the_clients_apart() -> None:
    lines = [
        Line("ccxt 4", "fetch_ticker", "GET /api/v2/ticker 200", "ok"),
        Line("btcturk-api 1", "tick", "", "FAILED"),
        Line("ccxt 4", "create_order", "", "ok"),
    ]
    assert rows(lines) == [
        "",
        "ccxt 4: 2 calls, all ok",
        "  ok     fetch_ticker  GET /api/v2/ticker 200",
        "  ok     create_order",
        "",
        "btcturk-api 1: 1 call, 1 failed",
        "  FAILED tick",
    ]


def test_a_call_is_named_by_its_docstring() -> None:
    assert call_of("test_ticker", "fetch_ticker\n\nmore") == "fetch_ticker"
    assert call_of("test_mistake_ids", "forgets ids.") == "mistake: forgets ids"
    with pytest.raises(ValueError, match="test_ticker has no docstring"):
        call_of("test_ticker", None)


def test_many_requests_are_cut_short() -> None:
    assert shortened(["a", "b", "c"]) == "a, b, c"
    assert shortened(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
