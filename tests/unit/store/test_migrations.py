"""An upgrade cut short at any statement, or killed at any moment, has happened or has not: never half."""

from __future__ import annotations

import functools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from proof.lives import DATABASE, digest, unit_rng, write_unit
from sqlalchemy import Engine, event

from btcbot.adapters.store import SqliteStore, migrate, revision
from btcbot.adapters.store.library import PREFERRED
from btcbot.domain.notes import Note, NoteKind
from btcbot.errors import Refused, StoreFailed
from proof import lives, next_revision

ROOT = Path(__file__).parents[3]


class Killed(BaseException):
    """The process is gone; no code of the store may catch it."""


@pytest.fixture
def place() -> Iterator[Path]:
    with lives.scratch() as folder:
        yield folder


@pytest.fixture
def migrations(place: Path) -> Path:
    return next_revision.write_migrations(place)


@pytest.fixture
def old(place: Path) -> Path:
    """A database of today with orders, holds, fills and books in it."""
    path = place / DATABASE
    with closing(SqliteStore.open(path)) as store:
        for number in range(60):
            write_unit(store, number, unit_rng(4, number))
        assert min(store.order_count(), store.fill_count(), store.entry_count()) > 5
        assert store.holds()
    return path


def _revision_and_content(path: Path) -> tuple[str, str]:
    with closing(PREFERRED.module.connect(path)) as raw:
        return raw.execute("SELECT version_num FROM alembic_version").fetchone()[0], digest(raw)


@contextmanager
def _killed_at(statement: int) -> Iterator[list[str]]:
    """Every statement of a migration passes here; at this one the process is killed. 0 lets all pass."""
    passed: list[str] = []

    def look(connection: Any, cursor: Any, sql: str, *_: Any) -> None:
        passed.append(sql)
        if len(passed) == statement:
            raise Killed(sql)

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield passed
    finally:
        event.remove(Engine, "before_cursor_execute", look)


def _is_whole_after(path: Path, before: str, migrations: Path) -> str:
    """Look at the file as it lies there, then let the store open it; the revision that was found."""
    revision, content = _revision_and_content(path)
    if revision == next_revision.TODAY:
        assert content == before
    with next_revision.released(migrations), closing(SqliteStore.open(path)) as store:
        assert store.verify() == []
        assert store._connection.execute("SELECT count(*) FROM remarks").fetchone() == (store.order_count(),)
        assert store._connection.execute("SELECT count(*) FROM orders WHERE wished_by <> strategy").fetchone() == (0,)
        after = digest(store._connection)
        if revision != next_revision.TODAY:
            assert content == after
    for copy in path.parent.glob(f"{path.name}.before-{next_revision.NEXT}*[0-9]"):
        assert _revision_and_content(copy) == (next_revision.TODAY, before)
    return revision


def test_the_next_release_takes_over_every_row(old: Path, migrations: Path) -> None:
    before = _revision_and_content(old)[1]
    with closing(SqliteStore.open(old, read_only=True)) as store:
        orders, entries, holds = store.recent_orders(1000), store.entries(), store.holds()
    with next_revision.released(migrations), closing(SqliteStore.open(old)) as store:
        assert (store.recent_orders(1000), store.entries(), store.holds()) == (orders, entries, holds)
        for number in range(60, 70):
            write_unit(store, number, unit_rng(4, number))
        assert store.verify() == []
    copy = old.with_name(f"{DATABASE}.before-{next_revision.NEXT}")
    assert _revision_and_content(copy) == (next_revision.TODAY, before)
    with pytest.raises(Refused, match="made by a newer btcbot, revision 0003; this one knows 0002: install the newer"):
        SqliteStore.open(old)


def test_a_kill_at_any_statement_of_an_upgrade_leaves_the_database_as_it_was(old: Path, migrations: Path) -> None:
    content, before = old.read_bytes(), _revision_and_content(old)[1]
    with next_revision.released(migrations), _killed_at(0) as passed:
        SqliteStore.open(old).close()
    assert len(passed) > 10
    assert any("DROP TABLE orders" in sql for sql in passed)
    for statement in range(1, len(passed) + 1):
        for leftover in old.parent.glob(f"{DATABASE}*"):
            leftover.unlink()
        old.write_bytes(content)
        with next_revision.released(migrations), _killed_at(statement), pytest.raises((Killed, StoreFailed)):
            SqliteStore.open(old)  # Alembic rebuilding a table may fail on the closed connection in its turn
        assert _is_whole_after(old, before, migrations) == next_revision.TODAY


def test_a_kill_at_any_statement_of_the_making_leaves_nothing_that_disturbs(place: Path) -> None:
    path = place / "new.db"
    with _killed_at(0) as passed:
        SqliteStore.open(path).close()
    expected = _revision_and_content(path)
    assert len(passed) > 15
    for statement in range(1, len(passed) + 1):
        path.unlink()
        with _killed_at(statement), pytest.raises(Killed):
            SqliteStore.open(path)
        with pytest.raises(Refused, match="is empty: start the bot once"):
            SqliteStore.open(path, read_only=True)
        SqliteStore.open(path).close()
        assert _revision_and_content(path) == expected


def test_an_interrupted_upgrade_is_told_as_interrupted(old: Path, migrations: Path) -> None:
    before = _revision_and_content(old)

    def interrupt(connection: Any, cursor: Any, sql: str, *_: Any) -> None:
        if sql.startswith("INSERT INTO remarks"):
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        with next_revision.released(migrations), pytest.raises(KeyboardInterrupt):
            SqliteStore.open(old)
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)
    assert _revision_and_content(old) == before


def test_an_upgrade_that_meets_a_row_it_cannot_take_over_is_refused_and_undone(old: Path, place: Path) -> None:
    migrations = next_revision.write_migrations(place / "odd")
    source = migrations / "versions" / next_revision.FILE
    source.write_text(source.read_text().replace("'taken over'", "NULL"))
    before = _revision_and_content(old)
    with next_revision.released(migrations), pytest.raises(StoreFailed) as told:
        SqliteStore.open(old)
    assert str(told.value) == (
        "the schema of the database could not be made (NOT NULL constraint failed: remarks.remark): nothing was changed"
    )
    assert _revision_and_content(old) == before
    with closing(SqliteStore.open(old)) as store:  # the btcbot of today goes on with it
        write_unit(store, 60, unit_rng(4, 60))
        assert store.verify() == []


def test_a_revision_that_there_is_none_of_is_told_in_one_line() -> None:
    with (
        closing(PREFERRED.module.connect(":memory:", isolation_level=None)) as raw,
        pytest.raises(StoreFailed, match=r"could not be made \(Can't locate revision .*0099.*\): nothing was changed$"),
    ):
        migrate.migrate(raw, PREFERRED, to="0099")


# From the first release to this one


@pytest.fixture
def first(place: Path) -> Path:
    """A database as the first release left it."""
    path = place / DATABASE
    upgrade = functools.partial(migrate.migrate, to="0001")
    with (
        mock.patch.object(revision, "KNOWN", ("0001",)),
        mock.patch.object(revision, "HEAD", "0001"),
        mock.patch.object(migrate, "migrate", upgrade),
        closing(SqliteStore.open(path)) as store,
    ):
        for number in range(60):
            write_unit(store, number, unit_rng(4, number))
        assert store.verify() == []
    assert _revision_and_content(path)[0] == "0001"
    return path


def test_a_database_of_the_first_release_gets_its_notes(first: Path) -> None:
    before = _revision_and_content(first)[1]
    with pytest.raises(Refused, match="made by an older btcbot, revision 0001; this one reads 0002: start the bot"):
        SqliteStore.open(first, read_only=True)
    with closing(SqliteStore.open(first)) as store:
        assert min(store.order_count(), store.fill_count()) > 5
        note = Note(kind=NoteKind.SNAPSHOT, cycle_id="c00000061", at_ms=1, body="{}")
        with store.transaction() as tx:
            tx.insert_note(note)
        assert list(store.notes(NoteKind.SNAPSHOT)) == [note]
        assert store.verify() == []
    assert _revision_and_content(first)[0] == "0002"
    assert _revision_and_content(first.with_name(f"{DATABASE}.before-0002")) == ("0001", before)


def test_a_kill_at_any_statement_of_that_upgrade_leaves_the_database_as_it_was(first: Path) -> None:
    content, before = first.read_bytes(), _revision_and_content(first)
    with _killed_at(0) as passed:
        SqliteStore.open(first).close()
    after = _revision_and_content(first)
    assert after[0] == "0002"
    assert any("CREATE TABLE notes" in sql for sql in passed)
    for statement in range(1, len(passed) + 1):
        for leftover in first.parent.glob(f"{DATABASE}*"):
            leftover.unlink()
        first.write_bytes(content)
        with _killed_at(statement), pytest.raises((Killed, StoreFailed)):
            SqliteStore.open(first)
        assert _revision_and_content(first) == before
        SqliteStore.open(first).close()
        assert _revision_and_content(first) == after


def test_a_recording_of_the_first_release_can_still_be_played(first: Path) -> None:
    """A journal keeps the database with which it began, at the revision of then."""
    with closing(SqliteStore.open(first)) as store:
        orders = store.recent_orders(1_000)
    image = first.with_name(f"{DATABASE}.before-0002").read_bytes()
    with closing(SqliteStore.from_image(image)) as store:
        assert store.recent_orders(1_000) == orders
        assert list(store.notes(NoteKind.SNAPSHOT)) == []


# A real process, really killed

#: Imports once; then, for each path and time that it is told, a child upgrades that database and is killed in the end.
DRIVER = """
import os, signal, sys, time
from pathlib import Path
import btcbot.adapters.store.migrate
from btcbot.adapters.store import SqliteStore
from proof import next_revision
with next_revision.released(Path(sys.argv[1])):
    for line in sys.stdin:
        path, seconds = line.rsplit(" ", 1)
        began = time.monotonic()
        child = os.fork()
        if not child:
            SqliteStore.open(Path(path)).close()
            os._exit(0)
        if float(seconds):
            time.sleep(float(seconds))
            os.kill(child, signal.SIGKILL)
        print(os.waitpid(child, 0)[1], time.monotonic() - began, flush=True)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_of_an_upgrade(old: Path, migrations: Path) -> None:
    content, before = old.read_bytes(), _revision_and_content(old)[1]
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(migrations)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    assert driver.stdin is not None and driver.stdout is not None
    moments = random.Random(20221108)
    seen = {next_revision.TODAY: 0, next_revision.NEXT: 0}
    kills, lasts_s = 0, 0.0
    for number in range(81):
        folder = old.parent / f"round-{number}"
        folder.mkdir()
        path = folder / DATABASE
        path.write_bytes(content)
        driver.stdin.write(f"{path} {moments.uniform(0.0001, lasts_s) if number else 0}\n")
        driver.stdin.flush()
        status, took_s = driver.stdout.readline().split()
        if not number:  # the first one is let alone, to see how long it takes
            lasts_s = float(took_s)
            assert status == "0"
        kills += os.WIFSIGNALED(int(status))
        seen[_is_whole_after(path, before, migrations)] += 1
        shutil.rmtree(folder)
    driver.stdin.close()
    driver.wait()
    driver.stdout.close()
    assert kills > 20
    assert seen[next_revision.TODAY] and seen[next_revision.NEXT]
