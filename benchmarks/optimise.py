"""What a second worker brings: the same search with one worker and with two, wall time against wall time.

    python -m benchmarks.optimise [--json]

The sampler is `random`, whose trials are the same with any number of workers; that they were is checked by their
results. The runs with one and with two take turns, so that whatever else the machine does hits both. Start of the
processes, the loading of the data and the judgement at the end count, as they do for whoever waits. Nothing else should
run meanwhile: two workers want two cores.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

from benchmarks.common import RUNS, Ended, Figure, Result, best, run_alone, spend, working_folder

GOAL: Final = 1.8
TRIALS: Final = 30
DAYS: Final = 10
MINUTE_MS: Final = 60_000
START_MS: Final = 1_640_995_200_000


def measure() -> Result:
    walls: dict[int, list[list[float]]] = {1: [], 2: []}
    cpus: dict[int, list[list[float]]] = {1: [], 2: []}
    with working_folder() as folder:
        data = _bars(folder)
        _search(folder, data, "warm", 1, trials=1)
        found: list[dict[str, Any]] = []
        for run in range(RUNS):
            for workers in (1, 2) if run % 2 == 0 else (2, 1):
                ended, summary = _search(folder, data, f"{run}-{workers}", workers)
                walls[workers].append([ended.wall_s])
                cpus[workers].append([ended.cpu_s])
                found.append({name: summary[name] for name in ("best", "windows", "trials", "failed", "importance")})
    assert all(each == found[0] for each in found), "the same search came to something else"
    assert found[0]["trials"] == TRIALS and found[0]["failed"] == 0, "every trial was played"
    ratios = [[one[0] / two[0]] for one, two in zip(walls[1], walls[2], strict=True)]
    figures: list[Figure] = [
        best("two workers against one, wall time", "times", ratios, goal=GOAL, at_least=True),
        best("whole search, one worker", "s", walls[1]),
        best("whole search, two workers", "s", walls[2]),
        best("CPU of the whole search, one worker", "CPU s", cpus[1]),
        best("CPU of the whole search, two workers", "CPU s", cpus[2]),
    ]
    notes = [
        f"{TRIALS} trials of {DAYS * 1440 * 7 // 10:,} bars with a decision at each; worst and best of {RUNS} runs, "
        "one worker and two in turn"
    ]
    return Result(name="optimise", figures=figures, notes=notes)


def _search(folder: Path, data: Path, name: str, workers: int, trials: int = TRIALS) -> tuple[Ended, dict[str, Any]]:
    out = folder / f"out-{name}"
    arguments = [
        *("-m", "btcbot", "optimise", str(data), "--strategy", "limit_band", "--param", "offset_bps=10..30"),
        *("--sampler", "random", "--trials", str(trials), "--workers", str(workers)),
        *("--storage", str(folder / f"{name}.journal"), "--out", str(out)),
    ]
    ended = spend(arguments, cwd=folder)
    assert ended.status == 0, ended.stderr[-1000:]
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return ended, summary


def _bars(folder: Path) -> Path:
    """Minute bars of three waves: no random numbers, the same on every machine."""
    lines = ["open_time_ms,open,high,low,close,volume"]
    close = 500_000
    for minute in range(DAYS * 1440):
        waves = sum(size * math.sin(minute / length) for size, length in ((9_000, 700), (2_500, 90), (700, 11)))
        opened, close = close, round(500_000 + waves)
        high, low = max(opened, close) + 150, min(opened, close) - 150
        lines.append(f"{START_MS + minute * MINUTE_MS},{opened},{high},{low},{close},3.5")
    path = folder / "BTCTRY.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


if __name__ == "__main__":
    run_alone(measure)
