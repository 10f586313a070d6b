"""G5: mutants of `domain` and `decisions`, made by mutmut; each is killed by the unit tests, or it lives.

A mutant is one small change of one line. One that lives points at a test that is missing, or at a line that does not
matter; those that no test can tell from the code stand in `ALIKE`, by function, with the reason. Runs in a copy of the
tree, on demand: `make mutation`.

mutmut runs the tests more than once in one process, so a property is a function and no method: Hypothesis refuses to
call a method of two instances.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from proof.result import Result
from proof.tally import ROOT

#: Of a hundred mutants that can be told from the code, so many are killed at least.
SCORE_MIN: Final = 95
_NEEDED: Final = ("src", "tests", "proof", "benchmarks", "docs", "pyproject.toml", "README.md", "Makefile")
_SECONDS_MAX: Final = 3_000

#: How many mutants of a function nobody can tell from the code, and why. One more than this counts as a survivor; one
#: fewer is a failure as well, for a test that kills what is the same as the code fails for a reason of its own.
ALIKE: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "btcbot.domain.money.x_divide_half_even": (
            2,
            "the context rounds half to even, too, when the call names nothing",
        ),
        "btcbot.domain.money.x_plain": (3, "«F» is «f» for a finite number, and in digits there is no «X» to strip"),
        "btcbot.decisions.booking.x__when_sum_fits": (6, "both sequences are of one length, strict or not"),
        "btcbot.decisions.booking.x_match_transfers": (
            5,
            "of one length again; and no transfers, or too many, fit nothing",
        ),
        "btcbot.decisions.booking.x_adopted": (1, "the time of the doubt is overwritten by that of the sight"),
        "btcbot.decisions.booking.x_book_fill": (2, "what adoption sets, id and time, is set again by the fill"),
        "btcbot.decisions.booking.x_reconcile": (2, "zero and None in suspense are both no amount"),
        "btcbot.decisions.recovery.x_conclude": (2, "the words of an assertion for the type checker; it cannot fail"),
        "btcbot.decisions.risk.x__refuse_buy": (1, "what is no sell is held as a buy, be it no side at all"),
    }
)
_LIVING: Final = re.compile(r"^\s*(\S+)__mutmut_\d+: survived$", re.MULTILINE)


class Stats(msgspec.Struct):
    """What `mutmut export-cicd-stats` writes, as far as it is read here. `total` counts every mutant that was made."""

    killed: int
    survived: int
    total: int
    no_tests: int


def run(slice: int, of: int) -> Result:  # noqa: A002 (every finite part is cut by these names)
    """All mutants; there is one slice. Fails when fewer than `SCORE_MIN` in a hundred are killed."""
    assert (slice, of) == (0, 1), "mutmut runs as a whole"
    if importlib.util.find_spec("mutmut") is None:
        missing = "mutmut is not in this environment; «make mutation» makes one that has it"
        return Result(goal="G5", part="mutation", counts={}, failures=[missing])
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
        if told.returncode or not path.exists():
            # Survivors are no error of mutmut's; tests that fail without any mutant are.
            said = (told.stdout + told.stderr)[-600:]
            return Result(goal="G5", part="mutation", counts={}, failures=[f"mutmut could not do its work: {said}"])
        stats = msgspec.json.decode(path.read_bytes(), type=Stats)
        listed = subprocess.run([*mutmut, "results"], cwd=copy, capture_output=True, text=True, timeout=60, check=False)
    (ROOT / ".proof").mkdir(exist_ok=True)
    (ROOT / ".proof" / "living-mutants.txt").write_text(listed.stdout, encoding="utf-8")
    return judge(stats, listed.stdout)


def judge(stats: Stats, listed: str) -> Result:
    """The score from mutmut's figures and its list of what was not killed, a line `<mutant>: <status>` each.

    A mutant under which the tests ran out of time is not counted as killed, nor is one that was not tried to its end:
    a busy machine does that as well. The counts add up to the number of mutants.
    """
    living = Counter(_LIVING.findall(listed))
    alike = sum(min(count, ALIKE[function][0]) for function, count in living.items() if function in ALIKE)
    counts = {
        "mutants": stats.total,
        "killed": stats.killed,
        "alike": alike,
        "survived": stats.survived - alike,
        "without a test": stats.no_tests,
        "undecided": stats.total - stats.killed - stats.survived - stats.no_tests,
    }
    failures = [
        f"{function}: {count} mutants are said to be like the code, and {living[function]} live"
        for function, (count, _) in ALIKE.items()
        if living[function] < count
    ]
    if living.total() != stats.survived:
        failures.append(f"{stats.survived} mutants live, and {living.total()} are listed")
    if stats.killed * 100 < SCORE_MIN * (stats.total - alike) or not stats.killed:
        failures.append(f"only {_percent(stats.killed, stats.total - alike)} of the mutants are killed")
    return Result(
        goal="G5",
        part="mutation",
        counts=counts,
        failures=failures,
        notes={
            "score": _percent(stats.killed, stats.total - alike),
            "score with those that nobody can tell apart": _percent(stats.killed, stats.total),
        },
    )


def _percent(part: int, whole: int) -> str:
    """Rounded down to a tenth."""
    tenths = part * 1_000 // max(whole, 1)
    return f"{tenths // 10}.{tenths % 10} %"
