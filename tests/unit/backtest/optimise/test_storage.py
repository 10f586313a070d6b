"""Where studies are kept: what is refused, and what survives processes that die at the worst moment."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.backtest.optimise import postgres
from tests.unit.backtest.optimise.hill import Hill
from tests.unit.backtest.optimise.hills import lay

from btcbot.backtest.optimise.storage_address import open_storage
from btcbot.errors import Refused


def _claim_and_die(address: str) -> None:
    """In a process of its own: claim a trial, and end without a word."""
    table = lay(address)
    assert table.study.claim(5) is not None
    # The process ends here, as `kill -9` would end it: nothing is closed or told.
    os.kill(os.getpid(), signal.SIGKILL)


def _in_another_process(address: str) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_claim_and_die, args=(address,))
    process.start()
    process.join(60)
    assert process.exitcode == -9


@pytest.fixture(scope="module")
def database() -> Iterator[postgres.Database]:
    why_not = postgres.why_not()
    if why_not:
        pytest.skip(why_not)
    with postgres.running() as found:
        yield found


@pytest.mark.parametrize("form", ["{}/s.journal", "sqlite:///{}/s.db", "postgres"])
def test_the_trial_of_a_killed_process_is_free_at_once(
    form: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = form.format(tmp_path)
    if form == "postgres":
        address = request.getfixturevalue("database").address
    _in_another_process(address)
    table = lay(address)
    try:
        lost = table.study.rows()[0]
        assert lost.state == "running"
        taken = table.study.claim(5)
        assert taken is not None and dict(taken.parameters) == dict(lost.parameters)  # the same question, asked again
        first, second = table.study.rows()
        assert (first.state, first.reason, second.state, second.seat) == ("lost", "its process ended", "running", 0)
    finally:
        table.storage.close()


@pytest.mark.parametrize("form", ["{}/s.journal", "sqlite:///{}/s.db"])
def test_the_trial_of_a_living_process_is_its_own(form: str, tmp_path: Path) -> None:
    mine, theirs = lay(form.format(tmp_path)), lay(form.format(tmp_path))
    assert mine.study.claim(2) is not None
    assert theirs.study.claim(2) is not None
    assert mine.study.claim(2) is None, "both seats are taken"
    assert [row.state for row in mine.study.rows()] == ["running", "running"]
    mine.storage.close()
    theirs.storage.close()


def test_half_a_line_at_the_end_of_a_journal_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.journal"
    table = lay(path)
    table.search(Hill(), 3)
    table.storage.close()
    with path.open("ab") as file:
        file.write(b'{"op_code":8,"worker_id":"a line that the power fail')
    table = lay(path)
    ended = table.search(Hill(), 5)
    assert (ended.how, ended.ran, len(table.study.rows())) == ("finished", 2, 5)
    table.storage.close()
    reread = lay(path)
    assert [row.state for row in reread.study.rows()] == ["complete"] * 5
    reread.storage.close()


def test_files_are_for_their_owner_alone_and_no_lock_is_left_behind(tmp_path: Path) -> None:
    table = lay(tmp_path / "s.journal")
    table.search(Hill(), 2)
    table.storage.close()
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()}
    assert modes == {"s.journal": 0, "s.journal.lock": 0}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("redis://localhost/0", "«redis:» is no kind of storage"),
        ("mysql://root@localhost/db", "«mysql:» is no kind of storage"),
        ("sqlite://", "a study in memory would be lost"),
        ("sqlite:///:memory:", "a study in memory would be lost"),
        (".", "this is a folder"),
        ("/proc/nowhere/s.journal", "it cannot be written"),
    ],
)
def test_a_place_that_cannot_keep_studies_is_refused_in_one_line(
    address: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused) as refused:
        open_storage(address)
    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["open_time_ms,open,high\n1,2,3\n", "a line without an end", "[1]\n", '{"a": 1}\n'])
def test_another_file_is_never_written_to(content: str, tmp_path: Path) -> None:
    path = tmp_path / "BTCTRY.csv"
    path.write_text(content)
    with pytest.raises(Refused, match="this is no journal of studies"):
        open_storage(str(path))
    assert path.read_text() == content
    with pytest.raises(Refused, match="cannot be used"):
        open_storage(f"sqlite:///{path}")
    assert path.read_text() == content


def test_a_password_is_in_no_message(database: postgres.Database) -> None:
    quoted = database.address.split(":")[2].split("@")[0]
    storage = open_storage(database.address)
    shown = [storage.shown, storage.without_secrets(f"broken: {database.password} and {quoted}")]
    storage.close()
    for wrong in (
        database._replace(name="nowhere").address,
        database._replace(user="nobody").address,
        database._replace(port=1).address,
        database.address + " x y",
    ):
        with pytest.raises(Refused) as refused:
            open_storage(wrong)
        assert "cannot be reached" in str(refused.value)
        shown.append(str(refused.value))
    for text in shown:
        assert database.password not in text and quoted not in text
        assert len(text.splitlines()) == 1


def test_a_server_that_goes_away_ends_a_search_in_one_line(tmp_path: Path) -> None:
    if why_not := postgres.why_not():
        pytest.skip(why_not)
    from btcbot.backtest.optimise.storage import StorageLost

    with postgres.running() as gone:
        table = lay(gone.address)
        assert table.study.claim(3) is not None
    with pytest.raises(StorageLost, match=r"the connection to postgresql://.* was lost") as lost:
        table.study.claim(3)
    assert gone.password not in str(lost.value)
    table.storage.close()


def test_a_storage_that_somebody_keeps_locked_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("btcbot.backtest.optimise.storage.LOCK_WAIT_S", 0.3)
    table = lay(tmp_path / "s.journal")
    with (tmp_path / "s.journal.lock").open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="has been locked by another process"):
            table.study.claim(1)
    assert table.study.claim(1) is not None, "let go, it goes on"
    table.storage.close()

    lay(f"sqlite:///{tmp_path}/s.db").storage.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as held_database:
        held_database.execute("begin exclusive")
        with pytest.raises(Refused, match=r"it cannot be used .*database is locked"):
            open_storage(f"sqlite:///{tmp_path}/s.db")
        held_database.rollback()


def test_in_postgresql_one_process_at_a_time_claims(
    database: postgres.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("btcbot.backtest.optimise.storage.LOCK_WAIT_S", 0.3)
    mine, theirs = lay(database.address, name="claims"), lay(database.address, name="claims")
    with theirs.storage.exclusive("claims"):
        with pytest.raises(Refused, match="the study «claims» has been locked by another process"):
            mine.study.claim(1)
        with theirs.storage.exclusive("another"):
            """Another study has a lock of its own."""
    assert mine.study.claim(1) is not None
    assert theirs.study.claim(1) is None
    mine.storage.close()
    theirs.storage.close()
