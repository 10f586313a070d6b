"""G12: the same seed is the same run, to the byte: in another process, under another order of hashes, on other Pythons.

Each seed is played by two processes of this Python that hash differently, and the first quarter of them once more by
every other Python that has an environment of this project in `.venvs` (`make test` makes those).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from proof.result import Result

ROOT: Final = Path(__file__).parent.parent
HASH_SEEDS: Final = ("1", "4242")
SECONDS_PER_SEED_MAX: Final = 5
_PLAY: Final = """
import platform, sys
from btcbot.testing.simulate import stories
print(platform.python_version())
for story in stories(int(sys.argv[1]), int(sys.argv[2])):
    print(story.seed, story.trace_sha256)
"""


def run(first: int = 700_001, count: int = 100) -> Result:
    """Seeds `first` to `first + count - 1`. A pair is one seed played twice."""
    here = Path(sys.executable)
    version, wanted = _traces(here, HASH_SEEDS[0], first, count)
    quarter = max(count // 4, 1)
    others = [(here, HASH_SEEDS[1], count), *((python, HASH_SEEDS[0], quarter) for python in other_pythons())]
    failures, versions, pairs = [], {version}, 0
    for python, hash_seed, played in others:
        version, traces = _traces(python, hash_seed, first, played)
        assert len(traces) == played, f"Python {version} told {len(traces)} of {played} seeds"
        versions.add(version)
        pairs += len(traces)
        failures += [
            f"seed {one.split()[0]} is another run on Python {version} with PYTHONHASHSEED={hash_seed}"
            for one, other in zip(wanted, traces, strict=False)
            if one != other
        ]
    return Result(
        goal="G12",
        part="same_trace",
        counts={"pairs": pairs, "seeds": len(wanted), "differing": len(failures)},
        failures=failures,
        notes={"pythons": ", ".join(sorted(versions))},
    )


def other_pythons() -> Sequence[Path]:
    """Interpreters with an environment of this project, this one's version left out."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = sorted((ROOT / ".venvs").glob("3.*/bin/python"))
    return [python for python in found if python.parent.parent.name != own]


def _traces(python: Path, hash_seed: str, first: int, count: int) -> tuple[str, Sequence[str]]:
    """The version of that Python, and a line for each seed: its number and the hash of its trace."""
    told = subprocess.run(
        [python, "-c", _PLAY, str(first), str(count)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=30 + count * SECONDS_PER_SEED_MAX,
        check=False,
    )
    if told.returncode:
        raise RuntimeError(f"{python} failed: {told.stderr.strip().splitlines()[-1:]}")
    version, *traces = told.stdout.splitlines()
    return version, traces
