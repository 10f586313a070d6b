"""A maker of rigs: each story gets a bot and a venue of its own, on the fastest folder there is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from btcbot.testing.in_process_rig import Rig

MEMORY = Path("/dev/shm")

MakeRig = Callable[..., Rig]


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[MakeRig]:
    folders: list[Path] = []
    rigs: list[Rig] = []

    def make(**options: object) -> Rig:
        folder = Path(tempfile.mkdtemp(prefix="rig-", dir=MEMORY if MEMORY.is_dir() else tmp_path))
        folders.append(folder)
        rigs.append(Rig(folder, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """BTCTRY stands at 1,000,000 (bid 999,500, ask 1,000,500), the account holds 10,000 TRY, one cycle has run."""
    rig = make_rig()
    rig.cycle()
    return rig
