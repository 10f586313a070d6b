"""A full disk, a read-only one and damage are told as what they are, whatever SQLite calls them."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace

import pytest
from proof.lives import DATABASE, digest, unit_rng, write_unit
from tests.contract.state_store import an_order
from tests.unit.store.conftest import Disk

from btcbot.adapters.store import SqliteStore, files
from btcbot.adapters.store.library import PREFERRED
from btcbot.adapters.store.sqlite_failures import failure
from btcbot.errors import Refused, StoreFailed
from proof import lives


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
    told = str(failure(_error(code), [Path("/srv/state")]))
    assert told == "no space is left in /srv/state: make room (SQLite: disk I/O error)"


@pytest.mark.parametrize("code", [8, 10, 14])
def test_a_disk_that_became_read_only_is_named(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    _disk_tells(monkeypatch, f_flag=os.ST_RDONLY)
    told = str(failure(_error(code), [Path("/srv/state")]))
    assert told.startswith("the file system of /srv/state is read-only: mount it for writing (SQLite: ")


@pytest.mark.parametrize(
    ("code", "line"), [(10, "the disk failed"), (13, "no space is left"), (14, "cannot be opened"), (11, "is damaged")]
)
def test_a_disk_with_room_is_not_called_full(monkeypatch: pytest.MonkeyPatch, code: int, line: str) -> None:
    _disk_tells(monkeypatch, f_files=0, f_favail=0)  # a file system that counts no names
    told = str(failure(_error(code, "one\nand two"), [Path("/srv/state")]))
    assert line in told
    assert told.endswith("(SQLite: one and two)")


def test_damage_on_a_full_disk_stays_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    _disk_tells(monkeypatch, f_bavail=0, f_flag=os.ST_RDONLY)
    assert "is damaged" in str(failure(_error(11), [Path("/srv/state")]))


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


# Damage that nobody's hand did on purpose, and files that do not belong together


class _Fate(StrEnum):
    REFUSED = "refused at opening"
    TOLD = "told by verify, which every start runs before it trades"
    HARMLESS = "nothing that is read was hit"
    UNSEEN = "a value is another"


@pytest.fixture(scope="module")
def whole() -> tuple[bytes, str]:
    """A database at rest with orders, fills and books: its bytes, its content."""
    with lives.scratch() as folder:
        with closing(SqliteStore.open(folder / DATABASE)) as store:
            for number in range(40):
                write_unit(store, number, unit_rng(1, number))
            content = digest(store._connection)
        return (folder / DATABASE).read_bytes(), content


@contextlib.contextmanager
def _told_in_a_line() -> Iterator[list[str]]:
    """Gets what the store refuses, in the one line that it must be told in."""
    told: list[str] = []
    try:
        yield told
    except (StoreFailed, Refused) as refused:
        told.append(str(refused))
    assert not [line for line in told if "\n" in line]


def _fate(folder: Path, files_: dict[str, bytes], content: str, *, read_only: bool = False) -> _Fate:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files_.items():
        (folder / name).write_bytes(data)
    with _told_in_a_line() as refusal:
        store = SqliteStore.open(folder / DATABASE, read_only=read_only)
    if refusal:
        assert (folder / DATABASE).read_bytes() == files_[DATABASE]  # the evidence stays
        return _Fate.REFUSED
    with closing(store):
        with _told_in_a_line() as told:
            told += store.verify()
        assert not [line for line in told if "\n" in line]
        if told:
            return _Fate.TOLD
        try:
            return _Fate.HARMLESS if digest(store._connection) == content else _Fate.UNSEEN
        except (UnicodeDecodeError, sqlite3.Error, PREFERRED.module.Error):
            return _Fate.UNSEEN


def test_a_page_that_is_lost_is_never_traded_on(whole: tuple[bytes, str], tmp_path: Path) -> None:
    data, content = whole
    pages = len(data) // 4096
    assert pages > 30
    for page in range(pages):
        for filler in (bytes(4096), b"\xff" * 4096, data[:4096]):
            damaged = data[: page * 4096] + filler + data[(page + 1) * 4096 :]
            if damaged != data:
                assert _fate(tmp_path / "a", {DATABASE: damaged}, content) is _Fate.REFUSED, page
    # One byte is to SQLite what none is, a file to be made; of a last page that is cut it reads the rest as zeros.
    for length in range(2, len(data) - 4096, 4096 // 3):
        assert _fate(tmp_path / "a", {DATABASE: data[:length]}, content) is _Fate.REFUSED, length


def test_a_flipped_bit_is_refused_told_or_changes_no_more_than_a_value(
    whole: tuple[bytes, str], tmp_path: Path
) -> None:
    """A file of SQLite has no checksums: a bit within a text or number that adds up with nothing is not seen."""
    data, content = whole
    rng = random.Random(20221108)
    seen: Counter[_Fate] = Counter()
    for number in range(300):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data) if number % 2 else 6 * 4096)] ^= 1 << rng.randrange(8)
        seen[_fate(tmp_path / "a", {DATABASE: bytes(damaged)}, content, read_only=number % 3 == 0)] += 1
    assert seen[_Fate.REFUSED] > 5
    assert seen[_Fate.TOLD] > 0
    assert seen[_Fate.UNSEEN] < 60


def test_a_schema_that_is_no_text_any_more_is_damage(whole: tuple[bytes, str], tmp_path: Path) -> None:
    data, _ = whole
    path = tmp_path / DATABASE
    for read_only in (False, True):
        path.write_bytes(data.replace(b"CREATE TABLE", b"CREATE \xceABLE"))
        with pytest.raises(StoreFailed, match="the database is damaged: keep a copy of it and restore a backup"):
            SqliteStore.open(path, read_only=read_only)


def _alive(folder: Path, seed: int, units: int) -> tuple[dict[str, bytes], list[str]]:
    """A database and its log as they lie there while it is open, and every content that it had."""
    folder.mkdir()
    states = []
    with closing(SqliteStore.open(folder / DATABASE)) as store:
        store._connection.execute("PRAGMA wal_autocheckpoint = 25")
        for number in range(units):
            write_unit(store, number, unit_rng(seed, number))
            states.append(digest(store._connection))
        return {name: (folder / name).read_bytes() for name in (DATABASE, f"{DATABASE}-wal")}, states


def test_a_log_left_behind_is_brought_in_and_a_damaged_one_to_its_last_whole_unit(tmp_path: Path) -> None:
    files_, states = _alive(tmp_path / "alive", 3, 20)
    assert _fate(tmp_path / "a", files_, states[-1]) is _Fate.HARMLESS
    rng = random.Random(3)
    log = files_[f"{DATABASE}-wal"]
    for _ in range(40):
        damaged = bytearray(log)
        damaged[rng.randrange(len(log))] ^= 0x10
        shutil.rmtree(tmp_path / "a")
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / DATABASE).write_bytes(files_[DATABASE])
        (tmp_path / "a" / f"{DATABASE}-wal").write_bytes(damaged)
        with contextlib.suppress(StoreFailed), closing(SqliteStore.open(tmp_path / "a" / DATABASE)) as store:
            if not store.verify():
                assert digest(store._connection) in states


def test_a_file_copied_while_it_is_written_is_refused_told_or_one_whole_moment(tmp_path: Path) -> None:
    seen: Counter[_Fate] = Counter()
    for units in range(2, 30):
        files_, states = _alive(tmp_path / f"alive-{units}", 4, units)
        fate = _fate(tmp_path / "a", {DATABASE: files_[DATABASE]}, states[-1])
        if fate is _Fate.UNSEEN:
            with closing(SqliteStore.open(tmp_path / "a" / DATABASE)) as store:
                made_anew = not store.order_count() and store.value("unit") is None
                assert made_anew or digest(store._connection) in states
        seen[fate] += 1
    assert seen[_Fate.UNSEEN] + seen[_Fate.REFUSED] + seen[_Fate.TOLD] > 0  # without its log it is an older one


def test_the_log_of_another_database_is_refused_told_or_is_that_database(tmp_path: Path) -> None:
    """SQLite cannot tell whose log it is; pages of two databases mixed are found, one database whole is not."""
    for units in range(3, 24, 4):
        ours, our_states = _alive(tmp_path / f"ours-{units}", 5, 25)
        theirs, their_states = _alive(tmp_path / f"theirs-{units}", 6, units)
        mixed = {DATABASE: ours[DATABASE], f"{DATABASE}-wal": theirs[f"{DATABASE}-wal"]}
        with contextlib.suppress(StoreFailed):
            shutil.rmtree(tmp_path / "a", ignore_errors=True)
            (tmp_path / "a").mkdir()
            for name, data in mixed.items():
                (tmp_path / "a" / name).write_bytes(data)
            with closing(SqliteStore.open(tmp_path / "a" / DATABASE)) as store:
                assert store.verify() or digest(store._connection) in (*our_states, *their_states)
