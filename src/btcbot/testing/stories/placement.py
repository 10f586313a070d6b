"""Harm at every place of a story: each point, each commit, each statement, and each pair of points.

A story is told once without harm, to be sure that it is what it says and to learn its places; then once for each place.
Runs are the same each time, so a story and a number are all that is needed to see one again:

    print(told(STORIES["an order rests"], folder, Crashes(17)).wrong)
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from btcbot.testing.stories.harm import (
    POST,
    Crashes,
    DiskFails,
    Halt,
    Harm,
    Kill,
    SafeMode,
    StatementFails,
    Terminate,
)
from btcbot.testing.stories.performance import Performance
from btcbot.testing.stories.story import Story

#: No life of a story has so many points: whoever counts further runs away.
_POINTS_MAX: Final = 2_000
#: What is tried at every place however much the rest is thinned out.
_ALWAYS: Final = ("placements", "kill_flips")


class Seen(msgspec.Struct, kw_only=True):
    """`counts`: how many placements of each kind, and `comparisons` of books and venue; `failures`, a line each."""

    counts: Counter[str] = msgspec.field(default_factory=Counter)
    failures: list[str] = msgspec.field(default_factory=list)

    def note(self, performance: Performance, kind: str) -> None:
        self.counts[kind] += 1
        self.counts["comparisons"] += not performance.wrong
        what = "told without harm" if performance.harm is None else str(performance.harm)
        struck = "" if performance.harm is None else f" ({', '.join(performance.harm.struck) or 'never struck'})"
        self.failures += [f"{performance.story.name}: {what}{struck}: {wrong}" for wrong in performance.wrong]


Place = tuple[str, Callable[[], Harm]]


def told(story: Story, folder: Path, harm: Harm | None = None) -> Performance:
    """The story, played to its end in `folder`, which holds nothing but its lock and its kill file."""
    performance = Performance(story, folder, harm)
    performance.play()
    if harm is not None and not harm.struck and not performance.wrong:
        performance.wrong.append("it never came to this place")
    return performance


def places(whole: Performance) -> Iterator[Place]:
    """Every place of a story that was told without harm, and what strikes there."""
    for number, name in enumerate(whole.points, start=1):
        yield "placements", partial(Crashes, number)
        if name == "before commit":
            yield "disk_positions", partial(DiskFails, number, "full")
            yield "disk_positions", partial(DiskFails, number, "late error")
        elif name == "before unit":
            yield "disk_positions", partial(DiskFails, number, "busy")
    for number in range(1, whole.statements + 1):
        yield "disk_positions", partial(StatementFails, number)
    if POST in whole.points and not whole.story.has_brakes:
        yield from _brakes(whole)


def _brakes(whole: Performance) -> Iterator[Place]:
    """Up to the last order that leaves, and two points more: afterwards there is nothing left to stop.

    A word to stop leaves the order in hand alone, so it says most where a second one would follow in the same cycle.
    """
    has_more = whole.story.is_short or len(whole.story.symbols) > 1
    last = len(whole.points) - whole.points[::-1].index(POST)
    for number, name in enumerate(whole.points[: last + 2], start=1):
        yield "kill_flips", partial(Kill, number)
        yield "safe_modes", partial(SafeMode, number)
        if has_more:
            yield "words_to_stop", partial(Terminate, number)
        if "/api/" in name:
            yield "halts", partial(Halt, number)


def place(
    story: Story,
    folder: Path,
    *,
    share: int = 0,
    of: int = 1,
    with_pairs: bool = False,
    rest_each: int = 1,
    seen: Seen | None = None,
) -> Seen:
    """Tell a story with harm at each place whose number, divided by `of`, leaves `share`.

    `with_pairs` adds, for these first crashes, every second one. With `rest_each`, only each so many-th place is tried
    of all harm but single crashes and the kill file.
    """
    seen = seen or Seen()
    whole = told(story, folder)
    if share == 0 or whole.wrong:
        seen.note(whole, "stories")
        seen.counts["points"] += len(whole.points)
    for number, (kind, harm) in enumerate(_thinned(places(whole), rest_each)):
        if number % of == share:
            seen.note(told(story, folder, harm()), kind)
    if with_pairs:
        for first in range(1, len(whole.points) + 1):
            if first % of == share:
                _seconds(story, folder, first, rest_each, seen)
    return seen


def _thinned(found: Iterator[Place], rest_each: int) -> Iterator[Place]:
    rest = 0
    for kind, harm in found:
        is_always = kind in _ALWAYS
        rest += not is_always
        if is_always or rest % rest_each == 0:
            yield kind, harm


def _seconds(story: Story, folder: Path, first: int, each: int, seen: Seen) -> None:
    """After a crash at `first`, another at each point of the next life, or at each so many-th of them."""
    for second in itertools.count(1 + first % each, each):
        harm = Crashes(first, second)
        performance = told(story, folder, harm)
        if len(harm.struck) < 2 and not performance.wrong:
            return
        seen.note(performance, "pairs")
        if second > _POINTS_MAX:
            seen.failures.append(f"{story.name}: {harm}: the story does not end")
            return
