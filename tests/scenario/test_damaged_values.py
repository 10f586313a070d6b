"""A named value of the database that no btcbot wrote is told in one line, whoever reads it; it ends in no traceback."""

from __future__ import annotations

import copy
import json
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli import main
from btcbot.config.settings import SETTING_NAMES
from btcbot.errors import BtcbotError, StoreFailed
from btcbot.profiles import STAGE4, STAGE7, Profile
from btcbot.services import named_values, values
from btcbot.services.agent import AGENT_RESULT
from btcbot.services.budget_record import BUDGET, METRICS_PEAK
from btcbot.services.degrade_record import DEGRADE
from btcbot.services.operator import ANSWER, REQUEST
from btcbot.services.snapshots import RESULTS
from btcbot.testing.in_process_rig import Rig

#: No btcbot wrote one of these, whatever the value: cut, empty of sense, too large, of another kind.
NONSENSE: Final = (
    "xx", "{", "[]", "{}", "null", "-1", "1.5.2", "NaN", "1e999999", "9" * 5_000, "\x00", "٣", '{"BTCTRY":"NaN"}',
    '{"BTCTRY":null}', "[" * 100_000, '"2026-01-31"', "2026-02-30", "20260131",
)  # fmt: skip
#: Without these nobody knows what is owned, lost or sent: no cycle runs. With what each of them may not be.
VITAL: Final = (
    (values.OPENING_AT_MS, "soon"),
    (values.TRADES_CURSOR_MS, "soon"),
    (values.NONCE_MARK_MS, "1.5"),
    (values.CYCLE_NUMBER, "seven"),
    (values.PNL_DAY, "xx"),
    (values.PNL_DAY, "20260131"),
    (values.PNL_DAY_START, "NaN"),
    (values.MARKS, '{"BTCTRY":"much"}'),
    (values.MARKS, '{"BTCTRY":"Infinity"}'),
    (AGENT_RESULT, '{"last":"NaN"}'),
    (AGENT_RESULT, "{"),
    (METRICS_PEAK, "high"),
)
READERS: Final = (
    ("status",), ("doctor",), ("preflight", "--profile", "dry-run"), ("budget", "status"), ("report",), ("position",),
    ("degrade", "status"), ("freeze", "status"), ("db", "verify"), ("replacements", "status"), ("cycles",),
)  # fmt: skip

LEAVES_MAX: Final = 30

AGENT: Final = {"AGENT_POLICY_ENABLED": "true"}


def put(rig: Rig, name: str, text: str) -> None:
    with rig.store.transaction() as tx:
        tx.put_value(name, text)


@pytest.fixture(params=[STAGE4, STAGE7], ids=lambda profile: profile.name)
def profile(request: pytest.FixtureRequest) -> Profile:
    return request.param


@pytest.fixture
def traded(make_rig: Callable[..., Rig], profile: Profile) -> Rig:
    """A bot with every part, that has bought."""
    rig = make_rig(profile=profile, MAX_INTENT_NOTIONAL_TRY="5000", **AGENT)
    rig.cycle()
    rig.wish("buy", "0.0009", "1000500")
    rig.cycle(2)
    return rig


def mend(rig: Rig, name: str, text: str | None) -> None:
    """As after a restored backup: the value is what it was."""
    if rig.is_up:
        rig.crash()
    store = SqliteStore.open(rig.database)
    with store.transaction() as tx:
        tx.put_value(name, text or "")
    store.close()
    rig.start()


def with_a_leaf_that_is_no_number(text: str | None) -> Iterator[str]:
    """What JSON is kept, with one of its numbers after the other as one that no arithmetic knows."""
    try:
        kept = json.loads(text or "")
    except ValueError:
        return
    leaves = [path for path, leaf in leaves_of(kept, ()) if re.fullmatch(r"-?[0-9.]+", str(leaf))]
    for path in leaves[:LEAVES_MAX]:
        damaged = copy.deepcopy(kept)
        inner = damaged
        for step in path[:-1]:
            inner = inner[step]
        if path:
            inner[path[-1]] = "NaN"
            yield json.dumps(damaged)


def leaves_of(kept: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    steps = kept.items() if isinstance(kept, dict) else enumerate(kept) if isinstance(kept, list) else ()
    for step, inner in steps:
        yield from leaves_of(inner, (*path, step))
    if not isinstance(kept, dict | list):
        yield path, kept


def start_and_cycle(rig: Rig) -> None:
    rig.crash()
    rig.start()
    rig.cycle()


def what_a_cycle_says(rig: Rig) -> str:
    """Nothing, the line of an error that is meant for people, or a traceback."""
    try:
        start_and_cycle(rig)
    except BtcbotError as error:
        return str(error)
    except Exception:  # noqa: BLE001 - what is looked for
        return traceback.format_exc()
    return ""


def test_no_named_value_ends_a_bot_with_a_traceback(traded: Rig) -> None:
    """Each of them, with each nonsense: a cycle, or one line for a person."""
    names = sorted({*traded.store.values(""), METRICS_PEAK, REQUEST, ANSWER})
    assert {*named_values.READERS, AGENT_RESULT, RESULTS, BUDGET, DEGRADE} <= set(names)
    for name in names:
        kept = traded.store.value(name)
        for text in (*NONSENSE, *with_a_leaf_that_is_no_number(kept)):
            put(traded, name, text)
            told = what_a_cycle_says(traded)
            assert len(told.splitlines()) <= 1, f"{name} = {text[:60]!r}: {told}"
            mend(traded, name, kept)


@pytest.mark.parametrize(("name", "text"), VITAL)
def test_a_value_without_which_no_cycle_may_run_is_named(traded: Rig, profile: Profile, name: str, text: str) -> None:
    if name == METRICS_PEAK and profile is not STAGE7:
        pytest.skip("only what adapts measures its own peak")
    put(traded, name, text)
    with pytest.raises(StoreFailed, match=rf"the database holds {name} = .*restore a backup"):
        start_and_cycle(traded)


def test_a_request_that_cannot_be_read_is_put_aside_and_takes_nothing_down(traded: Rig) -> None:
    put(traded, REQUEST, '{"kind":')
    start_and_cycle(traded)
    assert traded.store.value(REQUEST) == ""
    assert "operator_request = '{\"kind\":'" in traded.log.events("operator_request_unreadable")[0]["reason"]


def test_a_day_that_is_none_does_not_keep_the_loss_of_the_day_from_ever_beginning_anew(
    traded: Rig, profile: Profile
) -> None:
    """«xx» comes after every date there is: the day would never have changed again."""
    put(traded, values.PNL_DAY, "xx")
    with pytest.raises(StoreFailed, match="pnl_day = 'xx'"):
        traded.cycle()
    assert traded.store.value(values.PNL_DAY) == "xx", "kept, for who looks at it"


def run(*command: str) -> int | str | None:
    """The exit status."""
    try:
        main(command)
    except SystemExit as left:
        return left.code
    return 0


def test_commands_that_read_tell_a_damaged_value_in_one_line(
    traded: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in SETTING_NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, text in {"BTCTURK_BASE_URL": "http://127.0.0.1:9", "MAX_RETRY_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.chdir(tmp_path)
    database = str(traded.database)
    for name, text in (*VITAL, (values.SELF_CHECK, "passed"), (ANSWER, "yes"), (BUDGET, "{"), (RESULTS, "{")):
        kept = traded.store.value(name)
        put(traded, name, text)
        traded.crash()
        for command in READERS:
            status = run(*command, "--db", database)
            said = capsys.readouterr()
            assert "Traceback" not in said.out + said.err, (name, command)
            assert len(said.err.splitlines()) <= 1, (name, command, said.err)
            if command[0] in ("doctor", "preflight") and name in named_values.READERS:
                assert f"the database holds {name} = " in said.out, (name, command)
                assert status == 2
        mend(traded, name, kept)
