"""Runs parts of the proof in processes of their own, as many at once as there are cores, and says what they saw."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final

import msgspec

from proof.plan import Part
from proof.result import Result
from proof.tally import ROOT, Record, record

Task = tuple[Part, Mapping[str, int]]


#: Parts that mostly wait share the machine with those that compute.
WAITING_AT_ONCE: Final = 1


def results(tasks: Sequence[Task], workers: int | None = None) -> Iterator[Record]:
    """Each task's record as it ends. A process that dies or exceeds its time is a failure like any other."""
    at_once = workers or os.cpu_count() or 1
    is_alone = all(part.waits for part, _ in tasks)
    with ThreadPoolExecutor(at_once) as busy, ThreadPoolExecutor(at_once if is_alone else WAITING_AT_ONCE) as waiting:
        running = [(waiting if part.waits else busy).submit(_run, part, arguments) for part, arguments in tasks]
        for done in as_completed(running):
            yield done.result()


def _run(part: Part, arguments: Mapping[str, int]) -> Record:
    started = time.monotonic()
    command = [sys.executable, "-m", "proof", "one", part.name, msgspec.json.encode(arguments).decode()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    try:
        told = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=part.seconds_max, check=False
        )
        lines = told.stdout.splitlines()
        result = msgspec.json.decode(lines[-1], type=Result) if told.returncode == 0 else _died(part, told.stderr)
    except subprocess.TimeoutExpired:
        result = _died(part, f"not done within {part.seconds_max} s")
    except (IndexError, msgspec.DecodeError) as error:
        result = _died(part, f"no result: {error}")
    return record(result, arguments, time.monotonic() - started)


def _died(part: Part, words: str) -> Result:
    lines = words.strip().splitlines()
    return Result(goal="–", part=part.name, counts={}, failures=[lines[-1] if lines else "it ended without a word"])
