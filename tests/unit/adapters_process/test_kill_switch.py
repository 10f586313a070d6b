"""The kill file: on when it is there, on when in doubt."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.errors import StoreFailed


@pytest.fixture
def database(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "bot.db").touch()
    return tmp_path / "state" / "bot.db"


@pytest.fixture
def kill(database: Path) -> FileKillSwitch:
    return FileKillSwitch(database)


def test_on_and_off_again(kill: FileKillSwitch, database: Path) -> None:
    assert kill.is_on() == (False, "")

    kill.turn_on("spread looks wrong", at_ms=1_767_225_600_000)
    assert kill.is_on() == FileKillSwitch(database).is_on() == (True, "spread looks wrong")

    kill.turn_off()
    assert kill.is_on() == (False, "")
    kill.turn_off()  # nothing to do is fine


def test_the_file_is_private_and_lies_beside_the_database(kill: FileKillSwitch, database: Path) -> None:
    kill.turn_on("r", 0)

    assert kill.path == database.with_name("bot.db.kill")
    assert kill.path.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in database.parent.iterdir()) == ["bot.db", "bot.db.kill"]


@pytest.mark.parametrize("content", [b"", b"stop!", b"{}", b"[1]", b"\xff", b"[" * 4000, b'{"reason": null}'])
def test_a_file_made_by_hand_is_on_whatever_it_holds(kill: FileKillSwitch, content: bytes) -> None:
    kill.path.write_bytes(content)

    on, reason = kill.is_on()
    assert on and reason


def test_turning_on_twice_keeps_it_on_with_the_later_reason(kill: FileKillSwitch) -> None:
    kill.turn_on("first", 1)
    kill.turn_on("second " + "x" * 10_000, 2)

    on, reason = kill.is_on()
    assert on and reason.startswith("second") and len(reason) < 1000


def test_a_link_counts_as_on_and_is_replaced_not_followed(kill: FileKillSwitch, tmp_path: Path) -> None:
    kill.path.symlink_to(tmp_path / "nowhere")
    assert kill.is_on() == (True, f"kill file {kill.path} is not a regular file")

    kill.turn_on("r", 0)
    assert not (tmp_path / "nowhere").exists() and kill.is_on() == (True, "r")


def test_a_folder_of_that_name_counts_as_on(kill: FileKillSwitch) -> None:
    kill.path.mkdir()
    kill.turn_on("r", 0)

    assert kill.is_on()[0]


def test_a_missing_folder_counts_as_on_and_cannot_be_written(kill: FileKillSwitch, database: Path) -> None:
    shutil.rmtree(database.parent)

    assert kill.is_on() == (
        True,
        f"folder {database.parent} of the kill file cannot be read (No such file or directory)",
    )
    with pytest.raises(StoreFailed, match="cannot be written"):
        kill.turn_on("r", 0)


@pytest.mark.parametrize("call", ["lstat", "stat"])
def test_a_folder_without_access_counts_as_on(kill: FileKillSwitch, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def denied(*_: object, **__: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(f"btcbot.adapters.kill_switch.os.{call}", denied)
        on, reason = kill.is_on()
    assert on and "Permission denied" in reason


def test_links_to_the_database_share_its_kill_file(kill: FileKillSwitch, database: Path, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(database)

    FileKillSwitch(tmp_path / "link.db").turn_on("r", 0)

    assert kill.is_on() == (True, "r")


# --- a disk that takes nothing more ----------------------------------------------------------------------------------


def _fail_writes(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("btcbot.adapters.kill_switch.os.write", fail)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_costs_the_reason_and_not_the_brake(
    kill: FileKillSwitch, database: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    _fail_writes(monkeypatch, number)
    kill.turn_on("spread looks wrong", 0)

    assert kill.is_on() == (True, f"kill file {kill.path} exists")
    assert kill.path.stat().st_mode & 0o777 == 0o600
    assert _names(database.parent) == ["bot.db", "bot.db.kill"]


def test_a_full_disk_leaves_a_switch_that_is_on_as_it_is(kill: FileKillSwitch, monkeypatch: pytest.MonkeyPatch) -> None:
    kill.turn_on("first", 0)
    _fail_writes(monkeypatch, errno.ENOSPC)
    kill.turn_on("second", 0)

    assert kill.is_on() == (True, "first")


def test_a_full_disk_follows_no_link(kill: FileKillSwitch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill.path.symlink_to(tmp_path / "nowhere")
    _fail_writes(monkeypatch, errno.ENOSPC)
    kill.turn_on("r", 0)

    assert kill.is_on()[0] and not (tmp_path / "nowhere").exists()


def test_another_failure_is_told_and_leaves_no_draft(
    kill: FileKillSwitch, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_writes(monkeypatch, errno.EIO)
    with pytest.raises(StoreFailed, match=r"cannot be written \(Input/output error\); create it by hand"):
        kill.turn_on("r", 0)

    assert _names(database.parent) == ["bot.db"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("mounting needs root")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run([umount, str(disk)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    with (small_disk / "bot.db").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert not os.statvfs(small_disk).f_bavail
    kill = FileKillSwitch(small_disk / "bot.db")
    kill.turn_on("spread looks wrong", 0)

    assert kill.is_on()[0]
    assert _names(small_disk) == ["bot.db", "bot.db.kill"]
