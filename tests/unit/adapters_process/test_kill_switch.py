"""The kill file: on when it is there, on when in doubt."""

from __future__ import annotations

import os
import shutil
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
        if call == "lstat":
            patch.setattr("btcbot.adapters.kill_switch.os.lstat", denied)
        else:
            patch.setattr(Path, "stat", denied)
        on, reason = kill.is_on()
    assert on and "Permission denied" in reason


def test_links_to_the_database_share_its_kill_file(kill: FileKillSwitch, database: Path, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(database)

    FileKillSwitch(tmp_path / "link.db").turn_on("r", 0)

    assert kill.is_on() == (True, "r")
