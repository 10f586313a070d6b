"""One writer per database and per key, tried with real processes."""

from __future__ import annotations

import os
import pwd
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from btcbot.adapters.process_lock import acquire
from btcbot.errors import EXIT_REFUSED, Refused

SOURCES = Path(__file__).parents[3] / "src"
HOLDER = """
import sys
from pathlib import Path
from btcbot.adapters.process_lock import acquire
lock = acquire(Path(sys.argv[1]), sys.argv[2] or None)
print("held", flush=True)
sys.stdin.read()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def hold(database: Path, key: str = "", cwd: Path | None = None, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(database), key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(SOURCES), **environ},
        )
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def key(tmp_path: Path) -> str:
    return f"{abs(hash(tmp_path)):016x}"[:16]  # no two tests share a key


def refusal(database: Path, key: str | None = None) -> str:
    started = time.monotonic()
    with pytest.raises(Refused) as caught:
        acquire(database, key)
    assert time.monotonic() - started < 1.0
    assert caught.value.exit_code == EXIT_REFUSED
    return str(caught.value)


def test_a_second_writer_is_told_who_holds_the_database(start: Start, database: Path) -> None:
    holder = start(database)

    assert refusal(database) == (
        f"another btcbot (pid {holder.pid}) writes to the database {database}; "
        "stop it, or give this one its own STATE_DB_PATH"
    )


def test_a_hard_link_is_the_same_database(start: Start, database: Path, tmp_path: Path) -> None:
    start(database)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.db").hardlink_to(database)

    assert "another btcbot" in refusal(tmp_path / "elsewhere" / "other.db")


def test_a_symbolic_link_is_the_same_database(start: Start, database: Path, tmp_path: Path) -> None:
    start(database)
    (tmp_path / "link.db").symlink_to(database)

    assert "another btcbot" in refusal(tmp_path / "link.db")


def test_another_folder_for_temporary_files_changes_nothing(start: Start, database: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    start(Path("state.db"), cwd=tmp_path, TMPDIR=str(tmp_path / "a"), HOME=str(tmp_path / "a"), XDG_RUNTIME_DIR="/x")

    assert "another btcbot" in refusal(database)


def test_the_same_process_cannot_have_it_twice(database: Path) -> None:
    with acquire(database, None):
        assert f"pid {os.getpid()}" in refusal(database)


def test_other_databases_are_free(start: Start, database: Path, tmp_path: Path) -> None:
    start(database)

    with acquire(tmp_path / "another.db", None) as lock:
        assert lock.is_held()


def test_one_key_has_one_user_whatever_the_database(start: Start, database: Path, tmp_path: Path, key: str) -> None:
    holder = start(database, key)

    assert refusal(tmp_path / "another.db", key) == (
        f"another btcbot (pid {holder.pid}) uses the API key {key}; stop it, or make a key of its own for this one"
    )
    with acquire(tmp_path / "another.db", key[::-1] + "0"):
        pass  # the refusal let go of the database again


def test_after_sigkill_the_next_start_succeeds_at_once(start: Start, database: Path, key: str) -> None:
    holder = start(database, key)
    holder.send_signal(signal.SIGKILL)

    with acquire(database, key) as lock:
        assert lock.is_held()


def test_of_many_that_start_at_once_exactly_one_gets_it(database: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(database), ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
        )
        for _ in range(6)
    ]
    said = [racer.stdout.readline() for racer in racers if racer.stdout is not None]  # each says "held" or ends
    for racer in racers:
        racer.kill()
        racer.communicate()

    assert sorted(said) == ["", "", "", "", "", "held\n"]


def test_a_stopped_process_still_holds(start: Start, database: Path) -> None:
    holder = start(database)
    holder.send_signal(signal.SIGSTOP)

    assert f"pid {holder.pid}" in refusal(database)


def test_the_lock_file_alone_covers_what_socket_names_do_not(
    start: Start, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = start(database)
    # Another network namespace has socket names of its own: here, nobody holds them.
    monkeypatch.setattr("btcbot.adapters.process_lock._hold_name", lambda name, held: None)

    assert f"pid {holder.pid}" in refusal(database)


def test_without_abstract_sockets_a_fixed_folder_takes_their_place(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = pwd.struct_passwd(("me", "x", 1, 1, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr("btcbot.adapters.process_lock.pwd.getpwuid", lambda uid: me)
    monkeypatch.setattr("btcbot.adapters.process_lock.sys.platform", "darwin")
    with acquire(database, "k1"):
        (tmp_path / "hard.db").hardlink_to(database)
        assert "another btcbot" in refusal(tmp_path / "hard.db")


def test_release_and_the_file_stays(database: Path) -> None:
    lock = acquire(database, None)
    lock.release()

    assert not lock.is_held()
    assert database.with_name("state.db.lock").exists()
    assert database.with_name("state.db.lock").stat().st_mode & 0o777 == 0o600
    acquire(database, None).release()


def test_a_new_database_is_private(database: Path) -> None:
    with acquire(database, None):
        assert database.stat().st_mode & 0o777 == 0o600


def test_a_database_that_was_replaced_is_no_longer_covered(database: Path, tmp_path: Path) -> None:
    with acquire(database, None) as lock:
        (tmp_path / "restored.db").touch()
        (tmp_path / "restored.db").replace(database)

        assert not lock.is_held()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "create its folder (mkdir -m 700) or correct STATE_DB_PATH" in refusal(tmp_path / "absent" / "state.db")


def test_a_lock_file_that_is_a_link_is_refused(database: Path, tmp_path: Path) -> None:
    (tmp_path / "state.db.lock").symlink_to(tmp_path / "target")

    assert "it must not be a link" in refusal(database)
    assert not (tmp_path / "target").exists()


def test_sqlites_own_locks_are_not_disturbed(database: Path) -> None:
    """A refused second try in the same process must not drop the POSIX locks of an open transaction."""
    with acquire(database, None):
        books = sqlite3.connect(database, isolation_level=None)
        books.execute("BEGIN IMMEDIATE")
        refusal(database)
        program = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        other = subprocess.run(
            [sys.executable, "-c", program, str(database)], capture_output=True, text=True, check=False
        )
        books.close()
    assert "database is locked" in other.stderr
