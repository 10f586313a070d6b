"""Searches as real processes: several on one study, told to stop, killed. Each trial has one result, none has two."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.backtest.optimise import postgres
from tests.unit.backtest.optimise.waves import write_waves

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: A strategy that takes its time: about half a second for a training stretch of 21 days.
SLOW = '''
import time
from typing import Annotated, ClassVar
import msgspec
from btcbot.strategies.parameters import Within

class Slow(msgspec.Struct, frozen=True, kw_only=True):
    """Thinks long and does nothing."""
    name: ClassVar[str] = "slow"
    level: Annotated[int, Within(0, 100_000, "Nothing depends on it.")] = 0

    def generate(self, context):
        time.sleep(0.001)
        return []
'''
TRIALS = 16


class Searching:
    """One `btcbot optimise` in its own group of processes, as a terminal would start it."""

    def __init__(self, folder: Path, storage: str, *options: object) -> None:
        self.out = folder / f"out-{time.monotonic_ns()}"
        search: list[object] = [folder / "BTCTRY.csv", "--strategy", folder / "slow.py", "--param", "level=0..100000"]
        search += ["--sampler", "random", "--trials", str(TRIALS), "--study", "shared", "--storage", storage]
        search += ["--out", self.out, "--json", *map(str, options)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "btcbot", "optimise", *(str(each) for each in search)],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, wait_s: float = 120) -> tuple[int, dict[str, Any], str]:
        """Exit status, the line of JSON, and what was said beside it."""
        out, self.err = self.process.communicate(timeout=wait_s)
        assert "Traceback" not in out + self.err, self.err
        return self.process.returncode, json.loads(out) if out else {}, self.err

    def workers(self) -> list[int]:
        """The processes of its group, but for itself."""
        return [pid for pid in _group(self.process.pid) if pid != self.process.pid]


def _group(group: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # gone meanwhile
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def each_has_one_result(rows: list[dict[str, str]]) -> None:
    """As many results as were asked for, and no parameters played twice."""
    results = [row for row in rows if row["state"] == "complete"]
    assert len(results) == TRIALS, Counter(row["state"] for row in rows)
    assert len({row["param_level"] for row in results}) == TRIALS
    assert {row["state"] for row in rows} <= {"complete", "lost"}


def until(what: str, happened: object, wait_s: float = 60) -> None:
    assert callable(happened)
    deadline = time.monotonic() + wait_s
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen in {wait_s} s"
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_waves(tmp_path, days=30)
    (tmp_path / "slow.py").write_text(SLOW)
    return tmp_path


@pytest.fixture
def database() -> Iterator[postgres.Database]:
    if why_not := postgres.why_not():
        pytest.skip(why_not)
    with postgres.running() as found:
        yield found


def results_told(journal: Path) -> int:
    """How many trials of the journal are complete: operation 6 to state 1."""
    if not journal.exists():
        return 0
    lines = journal.read_text().splitlines()[:-1]
    return sum(one.get("op_code") == 6 and one.get("state") == 1 for one in map(json.loads, lines))


def share(folder: Path, storage: str) -> list[str]:
    """Two processes on one study; everything that they said."""
    pair = [Searching(folder, storage, "--workers", workers) for workers in (1, 2)]
    ended = [each.end() for each in pair]
    assert [status for status, _, _ in ended] == [0, 0], [err for _, _, err in ended]
    reports = [report for _, report, _ in ended]
    assert [report["trials"] for report in reports] == [TRIALS, TRIALS]
    assert sum(report["ran"] for report in reports) == TRIALS
    assert all(report["ran"] > 0 for report in reports), "both took part"
    assert reports[0]["best"] == reports[1]["best"] and reports[0]["windows"] == reports[1]["windows"]
    for each in pair:
        each_has_one_result(trials(each.out))
    written = [path.read_text() for each in pair for path in each.out.iterdir() if path.suffix != ".parquet"]
    return [*written, *(err for _, _, err in ended), *(json.dumps(report) for report in reports)]


def test_two_processes_share_a_study_in_a_journal(folder: Path) -> None:
    share(folder, str(folder / "studies.journal"))


def test_two_processes_share_a_study_in_a_sqlite_file(folder: Path) -> None:
    share(folder, f"sqlite:///{folder}/studies.db")


def test_two_processes_share_a_study_in_postgresql_and_show_no_password(
    folder: Path, database: postgres.Database
) -> None:
    said = share(folder, database.address)
    quoted = database.address.split(":")[2].split("@")[0]
    for text in said:
        assert database.password not in text and quoted not in text
    assert any("127.0.0.1" in text for text in said), "where the study is may be shown"
    # Nor is it in the study itself, where others may look.
    import psycopg

    with psycopg.connect(database.address) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        content = "".join(str(connection.execute(f'select * from "{name}"').fetchall()) for (name,) in tables)
    assert "level" in content and database.password not in content and quoted not in content


def test_a_search_that_is_killed_leaves_its_seats_to_whoever_goes_on(folder: Path, database: postgres.Database) -> None:
    first = Searching(folder, database.address, "--workers", 2)
    second = Searching(folder, database.address, "--workers", 1)
    until("two workers of the first", lambda: len(first.workers()) >= 2)
    time.sleep(3)  # in the midst of it
    workers = first.workers()
    first.process.kill()
    first.process.communicate()
    status, report, err = second.end()
    assert (status, report["trials"]) == (0, TRIALS), err
    each_has_one_result(trials(second.out))
    until("the end of the killed one's workers", lambda: not [pid for pid in workers if Path(f"/proc/{pid}").exists()])


def test_ctrl_c_keeps_what_was_found_and_the_same_command_goes_on(folder: Path) -> None:
    journal = folder / "studies.journal"
    search = Searching(folder, str(journal), "--workers", 2)
    until("three results", lambda: results_told(journal) >= 3)
    os.killpg(search.process.pid, signal.SIGINT)  # a terminal interrupts the whole group
    status, report, err = search.end(30)
    assert status == 1 and report["how"] == "interrupted"
    assert f"interrupted: {report['trials']} of {TRIALS} trials are kept; the same command goes on" in err
    assert 3 <= report["trials"] < TRIALS
    until("nobody is left", lambda: _group(search.process.pid) == [])
    again = Searching(folder, str(journal), "--workers", 2)
    status, more, err = again.end()
    assert (status, more["trials"], more["ran"]) == (0, TRIALS, TRIALS - report["trials"]), err
    each_has_one_result(trials(again.out))
    assert not list(folder.glob("*.owner-*")), "nobody holds anything any more"


def test_a_search_killed_with_its_workers_goes_on_at_once(folder: Path) -> None:
    journal = folder / "studies.journal"
    search = Searching(folder, str(journal), "--workers", 2)
    until("three results", lambda: results_told(journal) >= 3)
    os.killpg(search.process.pid, signal.SIGKILL)
    search.process.communicate()
    again = Searching(folder, str(journal), "--workers", 2)
    status, report, err = again.end()
    assert (status, report["trials"]) == (0, TRIALS), err
    assert 1 <= report["lost"] <= 2, "those that were on their way"
    each_has_one_result(trials(again.out))
    assert not list(folder.glob("*.owner-*"))
