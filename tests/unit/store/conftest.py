"""A small disk of one's own, for what only a real file system does. Needs root; the tests are skipped without."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Disk:
    """A mounted file system of 1 MiB."""

    def __init__(self, folder: Path, run: Callable[..., bool]) -> None:
        self.folder = folder
        self._run = run

    def make_read_only(self) -> None:
        assert self._run("mount", "-o", "remount,ro", str(self.folder))

    def fill(self) -> Path:
        """Leave no byte free; remove the file that comes back to make room."""
        filling = self.folder / "filling"
        with filling.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        assert not os.statvfs(self.folder).f_bavail
        return filling


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    def run(program: str, *arguments: str) -> bool:
        found = shutil.which(program)
        return found is not None and not subprocess.run([found, *arguments], check=False).returncode

    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or not run("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)):
        pytest.skip("mounting needs root")
    yield Disk(folder, run)
    assert run("umount", str(folder))
