"""A story that is kept in a file is the same story when it is read again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from btcbot.testing import told
from btcbot.testing.shrink import shrink
from btcbot.testing.world import World


def test_a_kept_story_breaks_again_what_it_broke(sends_again: None, tmp_path: Path) -> None:
    failing = next(story for seed in range(1, 80) if (story := World(seed, cycles=12).run()).violation)
    short = shrink(failing)

    path = told.save(told.told(short), tmp_path / "new" / "folder")
    kept = told.load(path)
    again = kept.play()

    assert path.name.startswith("i1-")
    assert (kept.invariant, kept.swarm) == ("I1", short.swarm)
    assert again.violation == short.violation
    assert again.trace == short.trace


def test_a_kept_story_holds_on_a_bot_without_the_mistake(tmp_path: Path) -> None:
    story = World(3, cycles=8).run()
    assert story.violation is None
    assert story.fired
    story.violation = ("I1", "what it broke then")

    again = told.load(told.save(told.told(story), tmp_path)).play()

    assert again.violation is None
    assert again.fired == story.fired


def test_a_file_that_is_no_story(tmp_path: Path) -> None:
    path = tmp_path / "story.json"
    path.write_text('{"name": "x"}')

    with pytest.raises(msgspec.ValidationError):
        told.load(path)
