"""A process of ours leaves no core file, shows its memory to nobody, and makes files for its owner alone."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from btcbot.adapters import process_lock
from btcbot.adapters.hardening import harden, state
from btcbot.errors import Refused
from btcbot.testing.rig import bare_environment

ABORT = "import os, resource as r; r.setrlimit(r.RLIMIT_CORE, (r.getrlimit(r.RLIMIT_CORE)[1],) * 2); "
HARDEN = "from btcbot.adapters.hardening import harden; harden(); "


def child(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**bare_environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_crash_leaves_no_core_file_where_it_would_have(tmp_path: Path) -> None:
    """The same crash twice: the limit is lifted first, so that it is the hardening that takes it away."""
    plain, hardened = tmp_path / "plain", tmp_path / "hardened"
    for folder, code in ((plain, ABORT), (hardened, ABORT + HARDEN)):
        folder.mkdir()
        assert child(code + "os.abort()", folder).returncode == -signal.SIGABRT
    assert list(hardened.iterdir()) == []
    pattern = Path("/proc/sys/kernel/core_pattern")
    writes_here = pattern.exists() and not pattern.read_text().startswith(("|", "/"))
    if writes_here and resource.getrlimit(resource.RLIMIT_CORE)[1] == resource.RLIM_INFINITY:
        assert len(list(plain.iterdir())) == 1


def test_neither_core_nor_dump_nor_anybody_elses_file(tmp_path: Path) -> None:
    told = child(HARDEN + "print(harden(), oct(__import__('os').umask(0)))", tmp_path).stdout
    is_dumpable = False if sys.platform == "linux" else None
    assert told.strip() == f"Hardening(core_bytes_max=0, is_dumpable={is_dumpable}) 0o77"


def test_the_limit_cannot_be_lifted_again(tmp_path: Path) -> None:
    code = HARDEN + "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
    assert child(code, tmp_path).stdout.strip() == "(0, 0)"


def test_every_command_is_hardened_before_anything_else(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['btcbot', '--version']\nimport btcbot.cli as c\ntry: c.main()\nfinally:\n"
    told = child(code + " from btcbot.adapters.hardening import state; print(state())", tmp_path).stdout
    assert "core_bytes_max=0" in told


def test_a_command_called_within_another_program_leaves_that_one_alone() -> None:
    from btcbot.cli import main

    before = state(), os.umask(0o022)
    try:
        with pytest.raises(SystemExit):
            main(["no-such-command"])
        assert state() == before[0]
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before[1])
    assert callable(harden)


def test_a_bot_that_hides_is_still_named_by_its_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root nobody finds the process behind a socket any more; the lock file tells it."""
    monkeypatch.setattr(process_lock, "_pid_bound_to", lambda address: None)
    monkeypatch.setattr(process_lock, "PATIENCE_S", 0.0)
    database = tmp_path / "state.db"
    with (
        process_lock.acquire(database, None),
        pytest.raises(Refused, match=rf"another btcbot \(pid {os.getpid()}\) writes"),
    ):
        process_lock.acquire(database, None)
    assert process_lock._pid_that_locks(f"{database}.lock") is None  # nobody holds it any more
