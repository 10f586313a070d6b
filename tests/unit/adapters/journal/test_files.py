"""The folder of a journal: bounded, the owner's alone, and never a reason to stop."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from btcbot.adapters.journal import files, lines
from btcbot.adapters.journal.files import JournalFile, JournalFull, folder_of, lives_in, open_life
from btcbot.adapters.journal.lines import Start, State
from btcbot.adapters.journal.reader import Recording, lives_of
from btcbot.adapters.journal.recorder import BYTES, IS_ON, Recorder
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.config.secrets import Secret
from btcbot.domain.feed import Wake
from btcbot.errors import VenueUnavailable
from btcbot.testing.manual_clock import ManualClock

IMAGE = b"SQLite format 3\x00" + bytes(4_000)
KEY = Secret("7f3a9c51-canary-key-2b8e")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


def noise(count: int) -> bytes:
    """Bytes that no compression makes smaller."""
    return random.Random(count).randbytes(count)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def numbers(database: Path) -> list[int]:
    return [life.number for life in lives_in(folder_of(database))]


def start_of(state: State, **settings: str) -> Start:
    return Start(
        schema=lines.SCHEMA,
        wall_ms=1,
        program="btcbot 1, Python 3",
        mode="live",
        book_id="b",
        profile="run",
        strategy="s",
        parameters={},
        settings=settings,
        gate_policy={},
        checks=(),
        has_feed=False,
        has_bars=False,
        state=state,
    )


class TestTheFolder:
    def test_each_life_has_its_own_two_files(self, database: Path) -> None:
        for _ in range(2):
            file, state = open_life(database, IMAGE, 1_000_000)
            file.close()
            assert (folder_of(database) / state.file).read_bytes() == IMAGE
        assert sorted(path.name for path in folder_of(database).iterdir()) == [
            "0001.db",
            "0001.jsonl.gz",
            "0002.db",
            "0002.jsonl.gz",
        ]

    def test_it_is_the_owners_alone(self, database: Path) -> None:
        open_life(database, IMAGE, 1_000_000)[0].close()
        assert folder_of(database).stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder_of(database).iterdir()} == {0o600}

    def test_a_link_in_its_place_is_not_followed(self, database: Path, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        folder_of(database).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(NotADirectoryError):
            open_life(database, IMAGE, 1_000_000)
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_links_to_a_database_share_its_journal(self, database: Path, tmp_path: Path) -> None:
        database.touch()
        (tmp_path / "other.db").symlink_to(database)
        assert folder_of(tmp_path / "other.db") == folder_of(database)


class TestTheBound:
    def test_old_lives_go_when_a_new_one_begins(self, database: Path) -> None:
        for _ in range(5):
            file, _ = open_life(database, IMAGE, 30_000)
            file.write(noise(3_000))
            file.close()
        assert numbers(database) == [4, 5]
        assert size_of(folder_of(database)) <= 30_000

    def test_a_life_that_grows_takes_the_place_of_old_ones(self, database: Path) -> None:
        for _ in range(2):
            file, _ = open_life(database, IMAGE, 30_000)
            file.close()
        grown, _ = open_life(database, IMAGE, 30_000)
        assert numbers(database) == [1, 2, 3]

        seeds = iter(range(1_000, 1_100))

        def grow(times: int = 1) -> None:
            for _ in range(times):
                grown.write(noise(next(seeds)))
                grown.flush()

        for _ in range(23):
            grow()
            assert size_of(folder_of(database)) == grown.size <= 30_000
        assert numbers(database) == [3]
        with pytest.raises(JournalFull, match="all that JOURNAL_MB_MAX allows"):
            grow(5)
        grown.close()

    def test_a_database_that_would_take_most_of_it_is_not_copied(self, database: Path) -> None:
        with pytest.raises(JournalFull, match="more than half of JOURNAL_MB_MAX"):
            open_life(database, IMAGE, len(IMAGE))
        assert list(folder_of(database).iterdir()) == []


class Told:
    """A recorder with one cycle's worth of notes, and what can be read of it afterwards."""

    def __init__(self, database: Path, bytes_max: int = 1_000_000) -> None:
        file, self.state = open_life(database, IMAGE, bytes_max)
        self.file: JournalFile = file
        self.metrics = MemoryMetrics()
        self.log = structlog.testing.CapturingLogger()
        self.recorder = Recorder(file, (KEY,), self.metrics, self.log)
        self.database = database

    def cycle(self, why: str, number: int = 1) -> None:
        def fails() -> None:
            raise VenueUnavailable(why)

        self.recorder.begin()
        with pytest.raises(VenueUnavailable):
            self.recorder.ask("exchange.balances", fails)
        self.recorder.end(f"c{number:08d}", Wake.TIME, "observe_only")

    def read(self) -> tuple[Recording, list[Any]]:
        (life,) = lives_of(self.database)
        recording = Recording(life)
        return recording, list(recording.cycles())


class TestTheRecorder:
    def test_what_it_wrote_can_be_read_before_it_ends(self, database: Path) -> None:
        told = Told(database)
        told.recorder.start(start_of(told.state, SYMBOLS="BTCTRY"))
        told.cycle("no answer")

        recording, cycles = told.read()

        assert recording.start.settings == {"SYMBOLS": "BTCTRY"}
        assert recording.image() == IMAGE
        assert [cycle.cycle_id for cycle in cycles] == ["c00000001"]
        assert "without a farewell" in recording.notes[0]
        told.recorder.close()
        assert told.read()[0].notes == []

    def test_nothing_between_two_cycles_is_noted(self, database: Path) -> None:
        told = Told(database)
        told.recorder.start(start_of(told.state))
        told.recorder.now_ms(ManualClock())
        told.recorder.tell("order", 1)
        told.cycle("no answer")
        (cycle,) = told.read()[1]
        assert (len(cycle.events), cycle.now_ms) == (1, [])
        told.recorder.close()

    def test_a_secret_that_the_venue_echoes_does_not_get_in(self, database: Path) -> None:
        told = Told(database)
        told.recorder.start(start_of(told.state, NOTE=KEY.reveal()))
        told.cycle(f"the venue refused the key {KEY.reveal()}")
        told.cycle(f"and only its beginning {KEY.reveal()[:12]}", 2)
        told.recorder.close()
        recording, cycles = told.read()
        texts = [msgspec.json.encode(recording.start), *(msgspec.json.encode(cycle) for cycle in cycles)]
        assert len(texts) == 3
        assert all(b"[REDACTED]" in text for text in texts)
        assert not any(KEY.reveal()[:8].encode() in text for text in texts)

    def test_where_the_bound_is_reached_it_says_so_and_is_off(self, database: Path) -> None:
        told = Told(database, bytes_max=9_000)
        told.recorder.start(start_of(told.state))
        for number in range(1, 60):
            told.cycle(noise(100 + number).hex(), number)
        assert not told.recorder.is_on
        assert [call.args[0] for call in told.log.calls] == ["journal_full"]
        assert told.metrics.gauges[IS_ON,] == 0
        assert told.metrics.gauges[BYTES,] <= 9_000
        recording, cycles = told.read()
        assert 10 < len(cycles) < 59
        assert len(recording.notes) == 1
        assert "all that JOURNAL_MB_MAX allows" in recording.notes[0]

    def test_what_cannot_be_written_down_ends_the_journal_alone(self, database: Path) -> None:
        told = Told(database)
        told.recorder.start(start_of(told.state))
        told.cycle("no answer")
        told.recorder.begin()
        assert told.recorder.ask("exchange.order", lambda _: object(), "7") is not None
        told.recorder.end("c00000002", Wake.TIME, "completed")
        assert not told.recorder.is_on
        assert [call.args[0] for call in told.log.calls] == ["journal_off"]
        assert [cycle.cycle_id for cycle in told.read()[1]] == ["c00000001"]

    def test_a_life_that_died_before_its_first_line_is_empty(self, database: Path) -> None:
        told = Told(database)
        told.file.close()
        (life,) = lives_of(folder_of(database))
        assert Recording(life).is_empty
        assert files.LINES in life.lines.name
