"""G8: the disk fails at operation N below SQLite, for every N, and the bot never sends what it could not write down.

Stories (disk_stories.py) are lived once to count the operations that can meet a trouble, then once for each of them and
again with the trouble lasting from there on. Troubles are no space, I/O errors, half a read or write, and a lock that
somebody else holds. What each story demands stands there; in all of them every failure is told in one line, and a disk
that is well again is enough to go on.
"""

from __future__ import annotations

from collections import Counter

from btcbot.testing.disks import Failing, Trouble
from proof.disk_stories import STORIES, Story
from proof.lives import scratch
from proof.result import Result

FAILURES_MAX = 20
#: The life of a bot is tried whole, whatever the step.
WHOLE = "bot"


def run(slice: int = 0, of: int = 1, *, step: int = 1) -> Result:  # noqa: A002 - the plan names it so
    """Every `of`-th position, beginning with number `slice`; `step` thins out the stories of the store alone."""
    counts: Counter[str] = Counter({"positions": 0, "lives": 0})
    failures: list[str] = []
    number = 0
    for name, story in STORIES.items():
        for trouble in Trouble:
            for at in range(1, positions(story, trouble) + 1, 1 if name == WHOLE else step):
                number += 1
                if number % of != slice:
                    continue
                counts["positions"] += 1
                counts[f"positions_{trouble.name.lower()}"] += 1
                counts[f"positions_of_{name}"] += 1
                for lasting in (False, True):
                    failures += live(name, story, trouble, at, lasting=lasting)
                    counts["lives"] += 1
    return Result(goal="G8", part="disk_errors", counts=dict(counts), failures=failures[:FAILURES_MAX])


def positions(story: Story, trouble: Trouble) -> int:
    """How many operations of a story can meet a trouble."""
    counting = Failing(trouble)
    with scratch() as folder:
        found = story(folder, counting, False)
    assert not found, f"a well disk is enough to fail: {found}"
    return counting.seen


def live(name: str, story: Story, trouble: Trouble, at: int, *, lasting: bool) -> list[str]:
    """One life with one trouble; what went wrong."""
    failing = Failing(trouble, at, lasting=lasting)
    # Every other process is killed with its disk in trouble, and every other ends by itself.
    is_killed = (at + lasting) % 2 == 0
    with scratch() as folder:
        found = story(folder, failing, is_killed)
    if not failing.struck:
        found.append("the operation never came")
    span = "from there on" if lasting else "once"
    return [f"{name}, {trouble} at operation {at} {span}, {'killed' if is_killed else 'ended'}: {one}" for one in found]
