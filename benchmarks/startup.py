"""What a start costs: `--help`, `--version`, and the time from the start of the process to its first cycle's end.

    python -m benchmarks.startup [--json]

Bytecode is compiled: the children may write it, and one start of each kind goes before the ones that count. The first
cycle is that of an armed bot on the local venue: locks, database, clock, rules, recovery, three books.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.common import RUNS, Ended, Figure, Result, Venue, best, run_alone, spend, working_folder

STARTS: Final = 5
FIRST_CYCLE: Final = b'"cycle_ended"'


def _starts(arguments: Sequence[str], folder: Path, *, mark: bytes | None = None) -> list[Ended]:
    """The first one compiles what is not compiled yet and is thrown away."""
    ended = [spend(arguments, cwd=folder, mark=mark) for _ in range(STARTS + 1)]
    for each in ended:
        assert each.status == 0, each.stderr[-1000:]
    return ended[1:]


def _cpu(what: str, runs: Sequence[Sequence[Ended]], goal: float | None = None) -> Figure:
    return best(what, "CPU s", [[each.cpu_s for each in run] for run in runs], goal=goal)


def _first_cycle(folder: Path, venue: Venue, database: Path) -> Ended:
    env_file = venue.env_file(database)
    ended = spend(["-m", "btcbot", "run", "--env-file", str(env_file)], cwd=folder, mark=FIRST_CYCLE)
    assert ended.status == 0, ended.stderr[-1000:]
    assert ended.mark_s is not None, "the log tells of no cycle"
    return ended


def measure() -> Result:
    has_ccxt = importlib.util.find_spec("ccxt") is not None
    commands = {
        "btcbot --help": ["-m", "btcbot", "--help"],
        "btcbot --version": ["-m", "btcbot", "--version"],
        "beside: python -c pass": ["-c", "pass"],
    }
    if has_ccxt:
        commands["beside: python -c 'import ccxt'"] = ["-c", "import ccxt"]
    runs: dict[str, list[list[Ended]]] = {name: [] for name in commands}
    fresh: list[list[Ended]] = []
    again: list[list[Ended]] = []
    with working_folder() as folder, Venue(folder) as venue:
        _first_cycle(folder, venue, folder / "warm.db")
        for run in range(RUNS):
            for name, arguments in commands.items():
                runs[name].append(_starts(arguments, folder))
            databases = [folder / f"first-{run}-{number}.db" for number in range(STARTS)]
            fresh.append([_first_cycle(folder, venue, database) for database in databases])
            again.append([_first_cycle(folder, venue, database) for database in databases])
    figures = [
        _cpu("btcbot --help", runs["btcbot --help"], 0.3),
        _cpu("btcbot --version", runs["btcbot --version"], 0.3),
        _cpu("beside: python -c pass", runs["beside: python -c pass"]),
    ]
    if has_ccxt:
        figures.append(_cpu("beside: python -c 'import ccxt'", runs["beside: python -c 'import ccxt'"]))
    for what, taken in (("new database", fresh), ("existing database", again)):
        marks = [[each.mark_s for each in run if each.mark_s is not None] for run in taken]
        figures.append(best(f"start to first cycle's end, {what}", "s", marks, goal=2))
        figures.append(_cpu(f"btcbot run, one cycle, whole process, {what}", taken))
    notes = [f"{RUNS} runs of {STARTS} starts each, bytecode compiled"]
    if not has_ccxt:
        notes.append("ccxt is not installed (it is no dependency): its import was not measured")
    return Result(name="startup", figures=figures, notes=notes)


if __name__ == "__main__":
    run_alone(measure)
