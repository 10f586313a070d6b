"""Every file that we make is the owner's alone, whatever the umask says; links are refused where they could deceive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.errors import Refused
from btcbot.testing.rig import bare_environment, write_settings

WIDE_OPEN = "import os, sys; os.umask(0); from btcbot.cli import main; main(sys.argv[1:])"


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process whose umask allows everything to everybody, and which does not harden itself."""
    environment = {**bare_environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", WIDE_OPEN, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def modes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): f"{path.stat().st_mode & 0o777:04o}" for path in sorted(folder.rglob("*"))}


def test_files_and_folders_of_a_dry_run_with_an_open_umask(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    env = write_settings(
        tmp_path / "dry.env", {"BTCTURK_BASE_URL": "http://127.0.0.1:9", "MAX_RETRY_ATTEMPTS": "1", "DRY_RUN": "true"}
    )
    where = ("--env-file", str(env), "--db", str(tmp_path / "new" / "deep" / "bot.db"))
    (tmp_path / "new").mkdir(mode=0o700)
    (tmp_path / "new" / "deep").mkdir(mode=0o700)

    ran = command(tmp_path, "run", *where)
    assert ran.returncode == 1, ran.stderr  # nobody answers at that address
    assert command(tmp_path, "kill", "on", "--db", where[3]).returncode == 0
    assert command(tmp_path, "db", "backup", str(tmp_path / "copy.db"), *where).returncode == 0

    found = modes(tmp_path)
    assert {"new/deep/bot.db", "new/deep/bot.db.lock", "new/deep/bot.db.kill", "copy.db"} <= found.keys()
    for name, mode in found.items():
        assert mode == ("0700" if (tmp_path / name).is_dir() else "0600"), name


def test_log_and_shared_memory_of_an_open_database_with_an_open_umask(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        store = SqliteStore.open(tmp_path / "made" / "here" / "bot.db")
    finally:
        os.umask(former)
    with store.transaction() as tx:
        tx.put_value("key", "value")
    found = modes(tmp_path)
    store.close()
    assert {"made/here/bot.db-wal", "made/here/bot.db-shm"} <= found.keys()
    for name, mode in found.items():
        assert mode == ("0700" if (tmp_path / name).is_dir() else "0600"), name


def test_a_database_behind_a_link_is_refused(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "real.db").close()
    (tmp_path / "link.db").symlink_to("real.db")
    with pytest.raises(Refused, match="symbolic link"):
        SqliteStore.open(tmp_path / "link.db")


def test_a_kill_file_that_is_a_link_counts_as_on_and_is_never_written_through(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    kill = FileKillSwitch(tmp_path / "bot.db")
    kill.path.symlink_to(target)

    assert kill.is_on()[0]
    kill.turn_on("test", 1)
    assert kill.is_on()[0]
    assert target.read_text() == "precious"


def test_a_backup_is_not_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "copy.db").symlink_to(target)
    store = SqliteStore.open(tmp_path / "bot.db")
    with pytest.raises(Refused):
        store.backup(tmp_path / "copy.db")
    store.close()
    assert target.read_text() == "precious"


def test_an_env_file_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    env = write_settings(tmp_path / "open.env", {"DRY_RUN": "true"})
    env.chmod(0o644)
    done = command(tmp_path, "run", "--env-file", str(env))
    assert done.returncode == 2
    assert "chmod 600" in done.stderr
