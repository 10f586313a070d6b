"""`data capture` as a program: a feed that breaks, a process that is killed, and a second run that goes on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("polars")

from btcbot.adapters.replay.capture_lines import Gap
from btcbot.adapters.replay.capture_spool import SPOOL_FILE, read_gaps
from btcbot.adapters.replay.dataset import Dataset
from btcbot.testing.rig import Process, Simulator

WAIT_S = 20.0


class Site:
    """A local BtcTurk with one pair, whose trades are numbered one by one, and captures of it."""

    def __init__(self, folder: Path, *, speed: int = 40, venue: Sequence[str] = ()) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.venue = Simulator(folder, ["--symbols", "BTCTRY", "--speed", str(speed), *venue])
        self._runs = 0

    def environment(self, **changes: str) -> dict[str, str]:
        addresses = {
            "BTCTURK_BASE_URL": self.venue.rest_url,
            "BTCTURK_WS_URL": self.venue.ws_url,
            "BTCTURK_GRAPH_URL": self.venue.graph_url,
        }
        return {name: text for name, text in {**addresses, **changes}.items() if text}

    def start(self, *options: str, command: Sequence[str] = (), **changes: str) -> Process:
        self._runs += 1
        words = command or ("replay-capture", "--dataset", str(self.data), "--seconds", "60")
        return Process(
            ["-m", "btcbot", *words, "--symbols", "BTCTRY", "--json", *options],
            self.folder / f"capture-{self._runs}.log",
            cwd=self.folder,
            wants_stdout=True,
            environment=self.environment(**changes),
        )

    def spooled(self) -> list[bytes]:
        path = self.data / SPOOL_FILE
        return path.read_bytes().splitlines() if path.exists() else []

    def until(self, holds: Callable[[], bool], what: str) -> None:
        over_at_s = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < over_at_s, f"in vain waited for: {what}"
            time.sleep(0.05)

    def trades(self) -> list[tuple[int, int]]:
        """(number, time) of every trade in the dataset, in its order."""
        columns = Dataset.open(self.data).trades("BTCTRY")
        assert columns.trade_id is not None
        return list(zip(map(int, columns.trade_id.to_list()), columns.time_ms.tolist(), strict=True))

    def demand_sound(self) -> Sequence[Gap]:
        """No trade twice, and wherever numbers are left out, a gap says so. The gaps."""
        trades = self.trades()
        numbers = [number for number, _ in trades]
        assert len(set(numbers)) == len(numbers)
        gaps = [gap for gap in read_gaps(self.data) if gap.table == "trades"]
        for (before, before_ms), (after, after_ms) in pairwise(sorted(trades)):
            if after != before + 1:
                assert any(gap.from_ms <= before_ms and gap.to_ms >= after_ms for gap in gaps), (before, after)
        times = Dataset.open(self.data).quotes("BTCTRY").time_ms.tolist()
        assert times == sorted(times)
        return gaps


def summary(process: Process) -> Mapping[str, Any]:
    told: Mapping[str, Any] = json.loads(process.stdout.read().splitlines()[-1])
    return told


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.venue.close()


def test_a_feed_that_breaks_in_the_middle_costs_no_trade(site: Site) -> None:
    with site.start() as process:
        site.until(lambda: any(b'"trades"' in line for line in site.spooled()), "the first trades")
        site.venue.control("/feed", kind="socket_aborted")
        time.sleep(3)
        site.venue.control("/feed", kind="socket_closed")
        time.sleep(3)
        assert process.terminate() == 0
        told = summary(process)
    assert site.demand_sound() == []
    assert told["trades"] == len(site.trades()) > 20
    assert told["quotes"] == len(Dataset.open(site.data).quotes("BTCTRY")) > 3
    assert told["gaps"] == 0
    assert told["bars"] >= 1


def test_rest_stands_in_for_a_feed_that_does_not_come_back(site: Site) -> None:
    with site.start(BTCTURK_WS_URL="ws://127.0.0.1:9") as process:
        site.until(lambda: sum(b'"quotes"' in line for line in site.spooled()) >= 3, "quotes of REST")
        assert process.terminate() == 0
    assert site.demand_sound() == []
    assert len(Dataset.open(site.data).quotes("BTCTRY")) >= 2


def test_a_venue_that_answers_nothing_for_a_while_leaves_a_hole_that_is_named(tmp_path: Path) -> None:
    site = Site(tmp_path, speed=400)
    try:
        with site.start() as process:
            site.until(lambda: len(site.spooled()) > 60, "the first rows")
            site.venue.control("/faults", kind="status_before", params={"status": 503})
            site.venue.control("/feed", kind="socket_half_open")
            time.sleep(9)
            site.venue.clear_faults()
            site.venue.control("/feed", kind="socket_aborted")
            seen = len(site.spooled())
            site.until(lambda: len(site.spooled()) > seen + 60 or not site.spooled(), "the rows after it")
            assert process.terminate() == 0
            told = summary(process)
        gaps = site.demand_sound()
        assert gaps, "more was traded in nine seconds than the venue lists"
        assert told["gaps"] == len(read_gaps(site.data))
        bars = Dataset.open(site.data).bars("BTCTRY").open_time_ms.tolist()
        assert len(set(bars)) == len(bars) >= 1
    finally:
        site.venue.close()


def test_a_kill_and_a_second_run(tmp_path: Path) -> None:
    site = Site(tmp_path, speed=200)
    try:
        with site.start() as first:
            site.until(lambda: len(site.spooled()) > 80, "the first rows")
            first.kill()
        left = [line for line in site.spooled() if line.startswith(b'["trades"')]
        time.sleep(4)
        with site.start() as second:
            site.until(lambda: (site.data / "schema.json").exists(), "the first run's rows in the dataset")
            time.sleep(3)
            assert second.terminate() == 0
            assert summary(second)["gaps"] >= 1
        gaps = site.demand_sound()
        assert len(gaps) == 1, "what was traded between the two runs is more than the venue lists"
        numbers = {number for number, _ in site.trades()}
        assert {int(json.loads(line)[2]["trade_id"]) for line in left} <= numbers, "what the first run saw is there"
    finally:
        site.venue.close()


def test_a_kill_within_reach_of_the_venues_list_loses_nothing(site: Site) -> None:
    for _ in range(2):
        left = site.spooled()
        with site.start() as process:
            # The second run's spool begins anew, once the first one's is in the dataset.
            site.until(lambda left=left: len(site.spooled()) > 10 and site.spooled()[:1] != left[:1], "some rows")
            process.kill()
    left = site.spooled()
    with site.start() as process:
        site.until(lambda: len(site.spooled()) > 5 and site.spooled()[:1] != left[:1], "the rows of the third run")
        assert process.terminate() == 0
    assert site.demand_sound() == []


def test_ctrl_c_is_an_end_like_any_other(site: Site) -> None:
    words = ("data", "capture", "--into", str(site.data), "--trades")
    with site.start(command=words) as process:
        site.until(lambda: len(site.spooled()) > 10, "some trades")
        process._child.send_signal(signal.SIGINT)
        assert process._child.wait(10) == 0
        told = summary(process)
    assert told["trades"] > 0
    assert told["bars"] == told["quotes"] == 0
    assert Dataset.open(site.data).tables("BTCTRY") == ("trades",)


def test_it_ends_by_itself(site: Site) -> None:
    words = ("data", "capture", "--into", str(site.data), "--books", "--seconds", "3")
    with site.start(command=words) as process:
        assert process._child.wait(WAIT_S) == 0
        assert 3 <= summary(process)["seconds"] < 6


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--symbols", "BTCTYR"), 2, "does not list BTCTYR; did you mean BTCTRY?"),
        (("--symbols", "b t c"), 2, "--symbols holds a pair that is not 2 to 20 letters and digits"),
        (("--seconds", "0"), 2, "--seconds: give a number above 0"),
        (("--seconds", "nan"), 2, "--seconds: give a number above 0"),
        (("--interval-seconds", "-1"), 2, "--interval-seconds: give a number above 0"),
    ],
)
def test_what_cannot_be_captured_is_refused_in_one_line(
    site: Site, words: Sequence[str], status: int, said: str
) -> None:
    with site.start(*words) as process:
        assert process._child.wait(WAIT_S) == status
        assert said in process.last_lines(1)
        assert len(process.log.read_text().splitlines()) == 1
    assert not site.data.exists()


def test_charts_of_a_simulator_have_to_be_named(site: Site) -> None:
    with site.start(BTCTURK_GRAPH_URL="") as process:
        assert process._child.wait(WAIT_S) == 2
        assert "BTCTURK_GRAPH_URL: to capture bars of a simulator" in process.last_lines(1)


def test_nothing_at_all_is_a_failure_with_its_reason(site: Site) -> None:
    nowhere = {"BTCTURK_BASE_URL": "http://127.0.0.1:9", "BTCTURK_WS_URL": "", "BTCTURK_GRAPH_URL": ""}
    words = ("data", "capture", "--into", str(site.data), "--trades", "--seconds", "2")
    with site.start(command=words, **nowhere) as process:
        assert process._child.wait(WAIT_S) == 1
        assert "nothing was captured within 2 s: " in process.last_lines(1)
        assert "no connection" in process.last_lines(1)


def test_a_folder_has_one_writer(site: Site) -> None:
    with site.start() as first:
        site.until(lambda: bool(site.spooled()), "the first rows")
        with site.start() as second:
            assert second._child.wait(WAIT_S) == 2
            assert "another btcbot writes to it" in second.last_lines(1)
        assert first.terminate() == 0
