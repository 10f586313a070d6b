"""What was proved so far: one line of JSON for each process that proved something, kept across runs.

Runs write to `.proof/tally.jsonl`, which belongs to the checkout. `python -m proof figures` moves these lines into
`docs/figures.jsonl`, which belongs to the project, and makes docs/figures.md from them.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from proof.result import Result

ROOT: Final = Path(__file__).parent.parent
LOCAL: Final = ROOT / ".proof" / "tally.jsonl"
KEPT: Final = ROOT / "docs" / "figures.jsonl"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A result, with everything that is needed to get it again."""

    at: str  # the day, UTC
    commit: str
    code: str  # the tree of `src` at that commit: figures hold for as long as it is the same
    machine: str
    arguments: Mapping[str, int]
    wall_s: float
    result: Result


def record(result: Result, arguments: Mapping[str, int], wall_s: float) -> Record:
    commit, code = version()
    return Record(
        at=datetime.now(UTC).strftime("%Y-%m-%d"),
        commit=commit,
        code=code,
        machine=machine(),
        arguments=arguments,
        wall_s=round(wall_s, 1),
        result=result,
    )


def append(path: Path, records: Iterable[Record]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        for one in records:
            file.write(msgspec.json.encode(one) + b"\n")


def read(path: Path) -> list[Record]:
    if not path.exists():
        return []
    return [msgspec.json.decode(line, type=Record) for line in path.read_bytes().splitlines()]


def without_repeats(records: Sequence[Record]) -> list[Record]:
    """Each range of a part once for each version of the code: playing a seed again proves nothing new.

    Of a finite part the latest run counts, whatever the code: it has seen all there is.
    """
    kept: list[Record] = []
    ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for one in reversed(records):
        first, count = one.arguments.get("first"), one.arguments.get("count")
        if first is None or count is None:
            key, (start, end) = ("", one.result.part), _slice(one.arguments)
        else:
            key, (start, end) = (one.code, one.result.part), (first, first + count)
        taken = ranges.setdefault(key, [])
        if any(start < other_end and other < end for other, other_end in taken):
            continue
        taken.append((start, end))
        kept.append(one)
    return kept[::-1]


def _slice(arguments: Mapping[str, int]) -> tuple[int, int]:
    """A slice as a range: thousands of a thousandth, so that other cuts of the same whole overlap."""
    of = arguments.get("of", 1)
    start = arguments.get("slice", 0) * 1_000_000 // of
    return start, start + 1_000_000 // of


@cache
def version() -> tuple[str, str]:
    """(commit, tree of src); a plus where the files differ from the commit."""
    commit, code = _git("rev-parse", "--short=12", "HEAD"), _git("rev-parse", "--short=12", "HEAD:src")
    if not commit:
        return "no commit", "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src", "proof", "tests")
    if not changed:
        return commit, code
    return f"{commit}+", f"{code}+" if _git("status", "--porcelain", "--untracked-files=no", "--", "src") else code


def _git(*arguments: str) -> str:
    try:
        told = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""


@cache
def machine() -> str:
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return (
        f"{os.cpu_count()} × {_processor()}, {pages * page_bytes / 2**30:.0f} GiB, {platform.system()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
