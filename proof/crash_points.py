"""A crash at every point of every story, a failing disk at every commit and statement, a brake at every point.

Finite: all of it is one run, which `slice` and `of` cut into parts of equal size.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from btcbot.testing.stories import STORIES
from btcbot.testing.stories.placement import Seen, place
from proof.result import Result

_MEMORY: Final = Path("/dev/shm")
#: Of one run; more say nothing that the first ones do not.
_FAILURES_TOLD: Final = 50


def run(
    slice: int = 0,  # noqa: A002 (the plan says it so)
    of: int = 1,
    stories: Collection[str] = tuple(STORIES),
    rest_each: int = 1,
) -> Result:
    """A crash, and a kill file, at every point, always; of all other harm, and of second crashes, each `rest_each`th.

    Counts: stories, points, placements (of one crash), pairs, disk_positions, kill_flips, safe_modes, halts,
    words_to_stop, comparisons (of books and venue, after each of them)."""
    seen = Seen()
    folder = Path(tempfile.mkdtemp(prefix="btcbot-stories-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        for number, name in enumerate(stories):
            story = STORIES[name]
            place(
                story,
                folder,
                share=(slice + number) % of,
                of=of,
                with_pairs=story.is_short,
                seen=seen,
                rest_each=rest_each,
            )
    finally:
        shutil.rmtree(folder)
    left = len(seen.failures) - _FAILURES_TOLD
    more = [f"and {left} more"] if left > 0 else []
    return Result(
        goal="G3", part="crash_points", counts=dict(seen.counts), failures=[*seen.failures[:_FAILURES_TOLD], *more]
    )
