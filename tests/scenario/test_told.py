"""Every story that once broke an invariant, played again: worlds and faults as `btcbot simulate` found and kept them.

A file of `told/` stays for ever. Its world is in it, so it does not depend on what seeds draw today.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from btcbot.testing import told

FOLDER = Path(__file__).parent / "told"


@pytest.mark.parametrize("path", told.all_told(FOLDER), ids=lambda path: path.stem)
def test_it_does_not_happen_again(path: Path) -> None:
    kept = told.load(path)

    story = kept.play()

    assert story.violation is None, f"{kept.invariant} was broken once ({kept.text}), and is again"
    # Up to the first fault nothing is different, so it must strike; otherwise the story tells nothing any more.
    assert story.fired[:1] == list(kept.firings[:1])


def test_there_are_stories() -> None:
    assert told.all_told(FOLDER)
