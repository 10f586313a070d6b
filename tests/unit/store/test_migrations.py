"""An upgrade cut short at any statement, or killed at any moment, has happened or has not: never half."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from proof.lives import DATABASE, digest, unit_rng, write_unit
from sqlalchemy import Engine, event

from btcbot.adapters.store import SqliteStore
from btcbot.adapters.store.library import PREFERRED
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
    if revision == "0001":
        assert content == before
    with next_revision.released(migrations), closing(SqliteStore.open(path)) as store:
        assert store.verify() == []
        assert store._connection.execute("SELECT count(*) FROM notes").fetchone() == (store.order_count(),)
        assert store._connection.execute("SELECT count(*) FROM orders WHERE wished_by <> strategy").fetchone() == (0,)
        after = digest(store._connection)
        if revision != "0001":
            assert content == after
    for copy in path.parent.glob(f"{path.name}.before-0002*[0-9]"):
        assert _revision_and_content(copy) == ("0001", before)
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
    assert _revision_and_content(old.with_name(f"{DATABASE}.before-0002")) == ("0001", before)
    with pytest.raises(Refused, match="made by a newer btcbot, revision 0002; this one knows 0001: install the newer"):
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
        assert _is_whole_after(old, before, migrations) == "0001"


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
        if sql.startswith("INSERT INTO notes"):
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
    source = migrations / "versions" / "0002_next.py"
    source.write_text(source.read_text().replace("'taken over'", "NULL"))
    before = _revision_and_content(old)
    with next_revision.released(migrations), pytest.raises(StoreFailed, match=r"NOT NULL.*nothing was changed") as told:
        SqliteStore.open(old)
    assert "\n" not in str(told.value)
    assert _revision_and_content(old) == before
    with closing(SqliteStore.open(old)) as store:  # the btcbot of today goes on with it
        write_unit(store, 60, unit_rng(4, 60))
        assert store.verify() == []


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
    seen = {"0001": 0, "0002": 0}
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
    assert seen["0001"] and seen["0002"]
