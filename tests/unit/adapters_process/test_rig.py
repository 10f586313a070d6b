"""The rig's processes: what they leave on the disk is for their owner only."""

from __future__ import annotations

import os
from pathlib import Path

from btcbot.testing.rig import Process


def test_the_log_of_a_child_is_for_its_owner_only(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    before = os.umask(0)
    try:
        for _ in range(2):
            with Process(["-c", "print('said')"], log, cwd=tmp_path) as child:
                assert child.terminate() in (0, -15)
    finally:
        os.umask(before)

    assert log.stat().st_mode & 0o777 == 0o600


def test_a_log_is_continued(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    for word in ("first", "second"):
        with Process(["-c", f"print('{word}', flush=True)"], log, cwd=tmp_path) as child:
            child._child.wait(20)

    assert log.read_text() == "first\nsecond\n"
