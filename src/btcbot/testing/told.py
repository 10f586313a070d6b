"""Stories that are kept: a world that once broke an invariant, with the faults that did it, as a file.

A file holds the whole world (its swarm, not only its seed), so that it stays the same story whatever seeds draw later.
`btcbot simulate` writes one for a seed that fails; moved to `tests/scenario/told/` it is played in every test run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from btcbot.testing.fault import Firing
from btcbot.testing.swarm import Swarm
from btcbot.testing.world import Story, World

SUFFIX: Final = ".json"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """`invariant` and `text`: what was broken when it was written down. `firings`: all that has to go wrong for it."""

    name: str
    invariant: str
    text: str
    seed: int
    firings: tuple[Firing, ...]
    swarm: Swarm

    def play(self) -> Story:
        """Let it happen again."""
        return World(self.seed, script=self.firings, swarm=self.swarm).run()


def told(story: Story) -> Told:
    """A failing story as it is kept."""
    assert story.violation is not None, "only a failing story is kept"
    invariant, text = story.violation
    kinds = sorted({firing.fault for firing in story.fired})
    words = "-".join(kinds) if 0 < len(kinds) <= 3 else f"{len(kinds)}-faults"
    return Told(
        name=re.sub(r"[^a-z0-9]+", "-", f"{invariant}-{words}-{story.seed}".lower()),
        invariant=invariant,
        text=text,
        seed=story.seed,
        firings=tuple(story.fired),
        swarm=story.swarm,
    )


def save(kept: Told, folder: Path) -> Path:
    """Write it as `folder`/name.json, indented for people; the path. OSError where that cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kept.name}{SUFFIX}"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(kept, order="deterministic"), indent=1) + b"\n")
    return path


def load(path: Path) -> Told:
    """msgspec.DecodeError for what is no story."""
    return msgspec.json.decode(path.read_bytes(), type=Told)


def all_told(folder: Path) -> list[Path]:
    """The stories of a folder, by name."""
    return sorted(folder.glob(f"*{SUFFIX}"))
