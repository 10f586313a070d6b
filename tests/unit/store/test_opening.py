"""A path or file that is not ours to use is refused in one line that says what to do, and is left as it was."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contract.state_store import an_entry, an_order, everything

from btcbot.adapters.store import SqliteStore, files, revision, sqlite_opening
from btcbot.adapters.store.library import STANDARD, Library, is_wal_safe
from btcbot.domain.orders import OrderStatus
from btcbot.errors import BtcbotError, Refused, StoreFailed


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _filled(path: Path, units: int = 3) -> Path:
    store = SqliteStore.open(path)
    for number in range(units):
        with store.transaction() as tx:
            tx.insert_order(an_order(number, reason="x" * 200, status=OrderStatus.DENIED))
            tx.insert_entry(an_entry(number))
    store.close()
    return path


# Whose file it is


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_only_the_owner_may_read_what_is_written(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "deep" / "er" / "state.db"
    before = os.umask(umask)
    try:
        tmp_path.joinpath("deep").mkdir(mode=0o700)
        tmp_path.joinpath("deep").chmod(0o755)
        store = SqliteStore.open(path)
        with store.transaction() as tx:
            tx.insert_order(an_order())
        assert {name.name: _mode(name) for name in path.parent.iterdir()} == {
            "state.db": 0o600,
            "state.db-wal": 0o600,
            "state.db-shm": 0o600,
        }
        store.backup(tmp_path / "copy.db")
        store.close()
    finally:
        os.umask(before)
    assert _mode(path.parent) & 0o077 == 0
    assert _mode(tmp_path / "deep") == 0o755  # a folder that was there stays as it was
    assert _mode(tmp_path / "copy.db") == 0o600


def test_a_copy_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    path = _filled(tmp_path / "state.db")
    path.chmod(0o644)
    SqliteStore.open(path).close()
    assert _mode(path) == 0o600


# What is refused


def _directory(path: Path) -> None:
    path.mkdir()


def _symlink(path: Path) -> None:
    path.symlink_to(_filled(path.with_name("real.db")))


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere.db"))


def _hard_link(path: Path) -> None:
    path.hardlink_to(_filled(path.with_name("real.db")))


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _text(path: Path) -> None:
    path.write_text("not a database, but longer than the header that SQLite looks for\n" * 40)


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()


def _foreign_id(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA application_id = 77")
    other.close()


def _newer(path: Path) -> None:
    _tell_revision(_filled(path), "0099")


def _tell_revision(path: Path, told: str) -> None:
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("UPDATE alembic_version SET version_num = ?", (told,))
    other.close()


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (_directory, "is a directory: give the path of a file"),
        (_symlink, "is a symbolic link: give the path of the database itself"),
        (_dangling, "is a symbolic link: give the path of the database itself"),
        (_hard_link, "2 names .* remove the other names"),
        (_fifo, "no ordinary file"),
        (_text, "is no SQLite database|is not a SQLite database"),
        (_foreign, "another program"),
        (_foreign_id, "another program"),
        (_newer, "made by a newer btcbot, revision 0099; this one knows 0002: install"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_not_ours_is_refused_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], None], line: str, read_only: bool
) -> None:
    path = tmp_path / "state.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(Refused, match=line) as refusal:
        SqliteStore.open(path, read_only=read_only)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)
    if before is not None:
        assert path.read_bytes() == before


def test_an_unreadable_path_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _filled(tmp_path / "state.db")
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(Refused, match="may not be read and written by this user: mend"):
        SqliteStore.open(path)
    with pytest.raises(Refused, match="may not be read by this user: mend"):
        SqliteStore.open(path, read_only=True)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(Refused, match="cannot be made"):
        SqliteStore.open(tmp_path / "file" / "state.db")


def test_a_database_that_lost_its_revision_is_refused(tmp_path: Path) -> None:
    path = _filled(tmp_path / "state.db")
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM alembic_version")
    other.close()
    with pytest.raises(StoreFailed, match="does not tell its schema revision: restore a backup"):
        SqliteStore.open(path)


# Making


def test_a_file_whose_making_was_cut_short_is_made_now(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for begin in (
        lambda: path.touch(),
        lambda: sqlite3.connect(path).execute("PRAGMA journal_mode = WAL").connection.close(),
    ):
        begin()
        store = SqliteStore.open(path)
        assert store.order_count() == 0
        assert store.verify() == []
        store.close()
        path.unlink()


def test_reading_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no database at"):
        SqliteStore.open(tmp_path / "state.db", read_only=True)
    tmp_path.joinpath("state.db").touch()
    with pytest.raises(Refused, match="is empty: start the bot once"):
        SqliteStore.open(tmp_path / "state.db", read_only=True)
    assert tmp_path.joinpath("state.db").stat().st_size == 0


def test_a_reader_sees_what_was_committed_while_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    writer = SqliteStore.open(path)
    reader = SqliteStore.open(path, read_only=True)
    with writer.transaction() as tx:
        tx.insert_order(an_order())
        assert reader.order_count() == 0
    assert reader.order_count() == 1
    with pytest.raises(StoreFailed, match="reading only"), reader.transaction():
        pass
    reader.close()
    writer.close()


# Damage


@pytest.mark.parametrize("read_only", [False, True])
def test_damage_is_told_at_opening(tmp_path: Path, read_only: bool) -> None:
    whole = _filled(tmp_path / "whole.db", units=60).read_bytes()
    page = 4096
    damaged = {
        "truncated": whole[: len(whole) // 2 // page * page],
        "cut inside a page": whole[: len(whole) // 2 + 100],
        "schema overwritten": whole[:100] + b"\xff" * 40 + whole[140:],
        "middle zeroed": whole[: page * 2] + bytes(len(whole) - page * 3) + whole[-page:],
        "middle garbled": whole[: page * 2] + b"\xa5" * (len(whole) - page * 3) + whole[-page:],
    }
    for what, content in damaged.items():
        path = tmp_path / f"{what}.db"
        path.write_bytes(content)
        with pytest.raises(BtcbotError, match=r"damaged|restore") as error:
            SqliteStore.open(path, read_only=read_only)
        assert isinstance(error.value, StoreFailed), what
        assert "\n" not in str(error.value), what
        assert "*" not in str(error.value), what
        assert path.read_bytes() == content, what


def test_a_large_database_is_checked_in_its_books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _filled(tmp_path / "state.db", units=60)
    monkeypatch.setattr(sqlite_opening, "WHOLE_CHECK_BYTES_MAX", 0)
    SqliteStore.open(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[: 4096 * 2] + b"\xa5" * (len(whole) - 4096 * 3) + whole[-4096:])
    with pytest.raises(StoreFailed, match="damaged"):
        SqliteStore.open(path)


def test_damage_is_told_in_a_line_for_each_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _filled(tmp_path / "whole.db", units=60).read_bytes()
    # It would refuse before anything else is asked.
    monkeypatch.setattr(sqlite_opening, "demand_ours", lambda *_, **__: None)
    told = []
    for start in range(4096 * 2, len(whole), 4096):
        path = tmp_path / "damaged.db"
        path.write_bytes(whole[:start] + b"\xa5" * 4096 + whole[start + 4096 :])
        store = SqliteStore.open(path, read_only=True)
        told += store.verify()
        store.close()
    assert not [line for line in told if "\n" in line or "*" in line]
    assert [line for line in told if line.startswith("the file is damaged: Tree ")]


def test_each_line_of_a_check_is_a_sign_of_its_own() -> None:
    told = "*** in database main ***\nTree 11 page 11: cannot be read\nPage 9:  never  used"
    assert sqlite_opening.signs_of_damage(told) == ["Tree 11 page 11: cannot be read", "Page 9: never used"]
    assert sqlite_opening.signs_of_damage("ok") == []


# Which SQLite


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 6, 23), True),
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), False),
        ((3, 53, 0), True),
        ((4, 0, 0), True),
    ],
)
def test_which_versions_have_the_wal_reset_bug(version: tuple[int, int, int], safe: bool) -> None:
    assert is_wal_safe(version) is safe


@pytest.mark.parametrize(("version", "journal", "synchronous"), [((3, 40, 1), "delete", 3), ((3, 53, 4), "wal", 2)])
def test_an_affected_library_writes_without_the_log(
    tmp_path: Path, version: tuple[int, int, int], journal: str, synchronous: int
) -> None:
    library = Library(name="a test", module=STANDARD.module, version=version)
    SqliteStore.open(tmp_path / "state.db").close()
    store = SqliteStore.open(tmp_path / "state.db", library=library)
    assert store._connection.execute("PRAGMA journal_mode").fetchone()[0] == journal
    assert store._connection.execute("PRAGMA synchronous").fetchone()[0] == synchronous
    assert f"journal_mode={journal.upper()}" in store.library_note()
    store.close()


# Backup and image


def test_a_copy_that_is_damaged_is_thrown_away(tmp_path: Path) -> None:
    store = SqliteStore.open(_filled(tmp_path / "state.db"))
    store._connection.execute("PRAGMA ignore_check_constraints = ON")
    store._connection.execute("UPDATE orders SET quantity = '-1'")
    with pytest.raises(StoreFailed, match=r"the copy is damaged.*CHECK constraint failed in orders"):
        store.backup(tmp_path / "copy.db")
    assert not list(tmp_path.glob("copy*"))
    store.close()


def test_a_backup_holds_everything_in_one_file(tmp_path: Path) -> None:
    store = SqliteStore.open(_filled(tmp_path / "state.db"))
    tmp_path.joinpath("copies").mkdir()
    store.backup(tmp_path / "copies" / "copy.db")
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["copy.db"]
    copy = SqliteStore.open(tmp_path / "copies" / "copy.db")
    assert everything(copy) == everything(store)
    with pytest.raises(Refused, match="exists already"):
        store.backup(tmp_path / "copies" / "copy.db")
    copy.close()
    store.close()


def test_a_backup_and_a_database_may_be_named_from_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore.open(Path("state.db"))
    assert store.backup(Path("copy.db")) == []
    store.close()
    SqliteStore.open(Path("copy.db"), read_only=True).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "state.db"]


@pytest.mark.parametrize("folder", ["not-mounted", "state.db", "deep/er"])
def test_a_backup_makes_no_folder(tmp_path: Path, folder: str) -> None:
    store = SqliteStore.open(_filled(tmp_path / "state.db"))
    with pytest.raises(Refused, match=f"^there is no folder {tmp_path / folder}: make it, or mount its disk$"):
        store.backup(tmp_path / folder / "copy.db")
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["state.db"]


def test_a_backup_tells_what_is_wrong_with_the_books_it_holds(tmp_path: Path) -> None:
    store = SqliteStore.open(_filled(tmp_path / "state.db"))
    store._connection.execute("UPDATE account_balances SET balance = '1' WHERE account = 'fee'")
    assert store.backup(tmp_path / "copy.db") == [
        "the kept balance of fee in TRY is 1, its postings sum to 0.06",
    ]
    assert tmp_path.joinpath("copy.db").exists()
    store.close()


def test_an_image_begins_a_store_of_its_own(tmp_path: Path) -> None:
    store = SqliteStore.open(_filled(tmp_path / "state.db"))
    image = store.image()
    first, second = SqliteStore.from_image(image), SqliteStore.from_image(image)
    with first.transaction() as tx:
        tx.insert_order(an_order(77))
    assert everything(second) == everything(store) != everything(first)
    store.backup(tmp_path / "copy.db")
    third = SqliteStore.from_image((tmp_path / "copy.db").read_bytes())
    assert everything(third) == everything(second)
    with pytest.raises(Refused):
        SqliteStore.from_image(b"nonsense" * 1000)
    for each in (store, first, second, third):
        each.close()


def test_the_file_says_whose_it_is(tmp_path: Path) -> None:
    header = _filled(tmp_path / "state.db").read_bytes()[:100]
    assert int.from_bytes(header[68:72], "big") == revision.APPLICATION_ID
