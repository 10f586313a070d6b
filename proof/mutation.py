"""G5: mutants of `domain` and `decisions`, made by mutmut; each is killed by the unit tests, or it lives.

A mutant is one small change of one line. One that lives points at a test that is missing, or at a line that does not
matter. Runs in a copy of the tree, on demand: `make mutation`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from proof.result import Result
from proof.tally import ROOT

SCORE_MIN: Final = 80
_NEEDED: Final = ("src", "tests", "proof", "benchmarks", "docs", "pyproject.toml", "README.md", "Makefile")
_SECONDS_MAX: Final = 3_000


class _Stats(msgspec.Struct):
    killed: int
    survived: int
    total: int
    no_tests: int
    timeout: int
    suspicious: int


def run(slice: int, of: int) -> Result:  # noqa: A002 (every finite part is cut by these names)
    """All mutants; there is one slice. Fails when fewer than `SCORE_MIN` in a hundred are killed."""
    assert (slice, of) == (0, 1), "mutmut runs as a whole"
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder)
        for name in _NEEDED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        mutmut = [sys.executable, "-m", "mutmut"]
        told = subprocess.run(
            [*mutmut, "run"], cwd=copy, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False
        )
        subprocess.run([*mutmut, "export-cicd-stats"], cwd=copy, capture_output=True, timeout=60, check=False)
        path = copy / "mutants" / "mutmut-cicd-stats.json"
        if not path.exists():
            return Result(
                goal="G5", part="mutation", counts={}, failures=[f"mutmut gave no figures: {told.stdout[-300:]}"]
            )
        stats = msgspec.json.decode(path.read_bytes(), type=_Stats)
        listed = subprocess.run([*mutmut, "results"], cwd=copy, capture_output=True, text=True, timeout=60, check=False)
    killed = stats.killed + stats.timeout + stats.suspicious
    score = killed * 1000 // max(stats.total, 1)
    (ROOT / ".proof").mkdir(exist_ok=True)
    (ROOT / ".proof" / "living-mutants.txt").write_text(listed.stdout, encoding="utf-8")
    return Result(
        goal="G5",
        part="mutation",
        counts={"mutants": stats.total, "killed": killed, "survived": stats.survived, "without a test": stats.no_tests},
        failures=[f"only {score / 10:.1f} % of the mutants are killed"] if score < SCORE_MIN * 10 else [],
        notes={"score": f"{score // 10}.{score % 10} %"},
    )
