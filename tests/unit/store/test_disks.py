"""A full disk and a read-only one are told as what they are, whatever SQLite calls them."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.contract.state_store import an_order
from tests.unit.store.conftest import Disk

from btcbot.adapters.store import SqliteStore, files
from btcbot.adapters.store.sqlite import _failure
from btcbot.errors import Refused, StoreFailed


def _with_an_order(path: Path) -> Path:
    store = SqliteStore.open(path)
    with store.transaction() as tx:
        tx.insert_order(an_order())
    store.close()
    return path


def _as_after_a_crash(folder: Path, *, with_shm: bool) -> Path:
    """A database whose last order is in the log beside it only."""
    store = SqliteStore.open(folder.parent / "alive.db")
    with store.transaction() as tx:
        tx.insert_order(an_order())
    for suffix in ("", "-wal", "-shm") if with_shm else ("", "-wal"):
        shutil.copyfile(folder.parent / f"alive.db{suffix}", folder / f"state.db{suffix}")
    store.close()
    return folder / "state.db"


# What SQLite's codes mean on such a disk; these run everywhere


def _error(code: int, text: str = "disk I/O error") -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def _disk_tells(monkeypatch: pytest.MonkeyPatch, **facts: int) -> None:
    sound = {"f_flag": 0, "f_bavail": 10**6, "f_frsize": 4096, "f_files": 100, "f_favail": 50}
    monkeypatch.setattr(files.os, "statvfs", lambda _: SimpleNamespace(**(sound | facts)))


@pytest.mark.parametrize("code", [10, 10 | 19 << 8, 13, 14])
@pytest.mark.parametrize("facts", [{"f_bavail": 0}, {"f_bavail": 3}, {"f_favail": 0}])
def test_a_full_disk_is_no_failed_one(monkeypatch: pytest.MonkeyPatch, code: int, facts: dict[str, int]) -> None:
    _disk_tells(monkeypatch, **facts)
    told = str(_failure(_error(code), [Path("/srv/state")]))
    assert told == "no space is left in /srv/state: make room (SQLite: disk I/O error)"


@pytest.mark.parametrize("code", [8, 10, 14])
def test_a_disk_that_became_read_only_is_named(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    _disk_tells(monkeypatch, f_flag=os.ST_RDONLY)
    told = str(_failure(_error(code), [Path("/srv/state")]))
    assert told.startswith("the file system of /srv/state is read-only: mount it for writing (SQLite: ")


@pytest.mark.parametrize(
    ("code", "line"), [(10, "the disk failed"), (13, "no space is left"), (14, "cannot be opened"), (11, "is damaged")]
)
def test_a_disk_with_room_is_not_called_full(monkeypatch: pytest.MonkeyPatch, code: int, line: str) -> None:
    _disk_tells(monkeypatch, f_files=0, f_favail=0)  # a file system that counts no names
    told = str(_failure(_error(code, "one\nand two"), [Path("/srv/state")]))
    assert line in told
    assert told.endswith("(SQLite: one and two)")


def test_damage_on_a_full_disk_stays_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    _disk_tells(monkeypatch, f_bavail=0, f_flag=os.ST_RDONLY)
    assert "is damaged" in str(_failure(_error(11), [Path("/srv/state")]))


# Real disks


def test_opening_on_a_full_disk_says_so_and_heals(disk: Disk) -> None:
    path = _with_an_order(disk.folder / "state.db")
    filling = disk.fill()
    with pytest.raises(StoreFailed, match=f"^no space is left in {disk.folder}: make room"):
        _with_an_order(path)
    filling.unlink()
    store = SqliteStore.open(path)
    assert store.order_count() == 1
    store.close()


def test_a_backup_onto_a_full_disk_names_it_and_leaves_nothing(disk: Disk, tmp_path: Path) -> None:
    store = SqliteStore.open(_with_an_order(tmp_path / "state.db"))
    disk.fill()
    with pytest.raises(StoreFailed, match=f"^no space is left in {disk.folder}: make room"):
        store.backup(disk.folder / "copy.db")
    assert [path.name for path in disk.folder.iterdir()] == ["filling"]
    store.close()


def test_a_database_at_rest_can_be_read_on_a_read_only_disk(disk: Disk, tmp_path: Path) -> None:
    path = _with_an_order(disk.folder / "state.db")
    disk.make_read_only()
    store = SqliteStore.open(path, read_only=True)
    assert store.order_count() == 1
    assert store.verify() == ["order btcbot-test-1 is SUBMITTED and has no hold"]
    store.backup(tmp_path / "copy.db")
    store.close()
    with pytest.raises(Refused, match="lies on a read-only file system: mount it for writing, or give another path"):
        SqliteStore.open(path)


def test_what_only_the_log_holds_is_never_read_past(disk: Disk) -> None:
    path = _as_after_a_crash(disk.folder, with_shm=False)
    disk.make_read_only()
    with pytest.raises(
        Refused, match=r"state\.db-wal holds writes that state\.db does not have yet, and its file system"
    ):
        SqliteStore.open(path, read_only=True)


def test_the_log_is_read_where_it_can_be(disk: Disk) -> None:
    path = _as_after_a_crash(disk.folder, with_shm=True)
    disk.make_read_only()
    store = SqliteStore.open(path, read_only=True)
    assert store.order_count() == 1
    store.close()


def test_a_rollback_journal_is_never_read_past(disk: Disk) -> None:
    path = _with_an_order(disk.folder / "state.db")
    path.with_name("state.db-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(504))
    disk.make_read_only()
    with pytest.raises(Refused, match=r"state\.db-journal holds writes that state\.db does not have yet"):
        SqliteStore.open(path, read_only=True)


def test_a_database_at_rest_can_be_read_in_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.joinpath("closed").mkdir()
    path = _with_an_order(tmp_path / "closed" / "state.db")
    path.parent.chmod(0o500)
    if os.access(path.parent, os.W_OK):
        pytest.skip("root may write everywhere")
    try:
        store = SqliteStore.open(path, read_only=True)
        assert store.order_count() == 1
        store.close()
    finally:
        path.parent.chmod(0o700)
