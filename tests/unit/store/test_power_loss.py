"""The power goes at any write: what was acknowledged is there. The same test loses commits where a sync is left out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from proof.lives import DATABASE, JOURNAL, Life

from btcbot.adapters.store import SqliteStore
from btcbot.adapters.store.library import PREFERRED, STANDARD, Library
from btcbot.testing.disks import Kind, NotWatchable, Operation, watched
from btcbot.testing.power import Loss, Tape
from proof import lives, power_loss

MAKERS = {"bot": 0, "checkpoints": 1, "journal": 2, "upgrade": 3, "upgrade with a journal": 5, "short": 6}


@pytest.fixture
def disk_in_memory() -> Iterator[Path]:
    with lives.scratch() as folder:
        yield folder


@pytest.fixture
def folder(disk_in_memory: Path) -> Path:
    folder = disk_in_memory / "life"
    folder.mkdir()
    return folder


@pytest.fixture
def after(disk_in_memory: Path) -> Path:
    return disk_in_memory / "after"


# Nothing is lost


@pytest.mark.parametrize("which", MAKERS)
def test_no_power_loss_takes_an_acknowledged_unit(folder: Path, after: Path, which: str) -> None:
    life = lives.LIVES[MAKERS[which]](folder, 7)
    seen = power_loss.judge(life, power_loss.chosen(life, 7), after)
    assert seen.failures == []
    assert seen.losses == power_loss.PER_LIFE
    assert seen.acknowledged >= 5


@pytest.mark.parametrize("library", [PREFERRED, JOURNAL], ids=["log", "journal"])
@pytest.mark.parametrize("loss", [Loss.ALL, Loss.NOTHING, Loss.TORN])
def test_at_every_single_operation_of_a_short_life(folder: Path, after: Path, library: Library, loss: Loss) -> None:
    life = lives.store_life(folder, 3, library=library, units=4, openings=2)
    seen = power_loss.judge(life, ((cut, loss) for cut in life.tape.cuts()), after)
    assert seen.failures == []
    assert seen.losses == len(life.tape) + 1 > 150


@pytest.mark.slow
@pytest.mark.parametrize("which", ["upgrade", "upgrade with a journal"])
def test_an_upgrade_is_done_or_not_begun_at_every_single_operation(folder: Path, after: Path, which: str) -> None:
    life = lives.LIVES[MAKERS[which]](folder, 5)
    losses = random.Random(5)
    seen = power_loss.judge(life, ((cut, losses.choice(tuple(Loss))) for cut in life.tape.cuts()), after)
    assert seen.failures == []
    assert seen.losses == len(life.tape) + 1 > 200


def test_the_interpreters_own_sqlite_keeps_its_word_too(folder: Path, after: Path) -> None:
    try:
        life = lives.store_life(folder, 11, library=STANDARD, units=12)
    except NotWatchable as why:
        pytest.skip(str(why))
    assert power_loss.judge(life, power_loss.chosen(life, 11), after).failures == []


def test_the_part_of_the_proof_counts_what_it_did() -> None:
    result = power_loss.run(first=41, count=70)
    assert not result.failures
    assert result.counts["power_losses"] == 70
    assert result.counts["lost"] == 0
    again = power_loss.run(first=41, count=70)
    assert again.counts == result.counts


# The test has teeth: it sees what a weaker store would lose


def _lost(life: Life, folder: Path) -> tuple[int, int]:
    """Power losses right after each acknowledgement, everything lost that was not synced: (how many, lost)."""
    cuts = [cut for cut in life.tape.cuts() if life.tape.acknowledged_at(cut) > life.tape.acknowledged_at(cut - 1)]
    seen = power_loss.judge(life, ((cut, Loss.ALL) for cut in cuts), folder)
    return seen.losses, seen.lost


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_a_log_that_is_not_synced_at_each_commit_loses_nearly_all(folder: Path, after: Path, synchronous: str) -> None:
    losses, lost = _lost(lives.store_life(folder, 3, units=30, openings=1, synchronous=synchronous), after)
    assert lost > 0.9 * losses


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL", "OFF"])
def test_a_journal_whose_removal_is_not_synced_takes_commits_back(folder: Path, after: Path, synchronous: str) -> None:
    life = lives.store_life(folder, 3, library=JOURNAL, units=30, openings=1, synchronous=synchronous)
    losses, lost = _lost(life, after)
    assert lost > 0.9 * losses


@pytest.mark.parametrize("library", [PREFERRED, JOURNAL], ids=["log", "journal"])
def test_the_store_as_it_is_loses_none_of_them(folder: Path, after: Path, library: Library) -> None:
    losses, lost = _lost(lives.store_life(folder, 3, library=library, units=30, openings=1), after)
    assert losses == 31
    assert lost == 0


def test_a_file_that_is_torn_without_order_is_told(folder: Path, after: Path) -> None:
    life = lives.store_life(folder, 9, library=JOURNAL, units=30, openings=1, synchronous="OFF")
    cuts = random.Random(9).choices(range(len(life.tape)), k=60)
    seen = power_loss.judge(life, ((cut, Loss.TORN) for cut in sorted(cuts)), after)
    assert any("cannot be opened" in line or "damaged" in line or "no moment" in line for line in seen.failures)


def test_a_database_that_nobody_can_find_again_is_lost(folder: Path, after: Path) -> None:
    life = lives.store_life(folder, 1, units=2, openings=1)
    kept = [one for one in life.tape._operations if one.kind is not Kind.SYNC_FOLDER]
    life.tape._operations, life.tape._acknowledged = kept, [len(kept)]
    seen = power_loss.judge(life, [(len(kept), Loss.ALL)], after)
    assert seen.lost == 1
    assert "the database is gone" in seen.failures[0]


# The model of a disk


def _tape(*operations: Operation, **files: bytes) -> Tape:
    tape = Tape(files)
    for operation in operations:
        tape.done(operation)
    return tape


def _write(offset: int, data: bytes) -> Operation:
    return Operation(Kind.WRITE, "a", 1, offset, len(data), data)


OPEN, SYNC, SYNC_FOLDER = Operation(Kind.OPEN, "a", 1), Operation(Kind.SYNC, "a", 1), Operation(Kind.SYNC_FOLDER, "")


def test_what_was_synced_is_kept_and_what_came_after_may_go() -> None:
    tape = _tape(OPEN, _write(0, b"old"), SYNC, SYNC_FOLDER, _write(0, b"new"))
    for loss, content in ((Loss.ALL, b"old"), (Loss.NOTHING, b"new")):
        assert tape.lose_power(5, loss, random.Random(1)) == {"a": content}
    seen = {tape.lose_power(5, Loss.TORN, random.Random(seed))["a"] for seed in range(40)}
    assert seen == {b"old", b"new"}


def test_a_name_lasts_once_its_folder_was_synced() -> None:
    tape = _tape(OPEN, _write(0, b"old"), SYNC, SYNC_FOLDER, Operation(Kind.DELETE, "a"))
    rng = random.Random(1)
    assert tape.lose_power(3, Loss.ALL, rng) == {}
    assert tape.lose_power(4, Loss.ALL, rng) == {"a": b"old"}
    assert tape.lose_power(5, Loss.ALL, rng) == {"a": b"old"}
    assert tape.lose_power(5, Loss.NOTHING, rng) == {}


def test_a_rename_is_there_or_is_not() -> None:
    tape = _tape(OPEN, _write(0, b"x"), SYNC, SYNC_FOLDER, Operation(Kind.RENAME, "a", data=b"b"))
    seen = {tuple(tape.lose_power(5, Loss.SOME, random.Random(seed))) for seed in range(40)}
    assert seen == {("a",), ("b",)}


def test_sectors_are_lost_one_by_one_and_rubbish_may_fill_what_grew() -> None:
    tape = _tape(Operation(Kind.OPEN, "a", 1), _write(512, b"n" * 1024), a=b"o" * 1024)
    contents = {tape.lose_power(2, Loss.TORN, random.Random(seed))["a"] for seed in range(200)}
    assert {len(content) for content in contents} == {1024, 1536}
    assert all(content.startswith(b"o" * 512) for content in contents)
    assert {content[512:1024] for content in contents} == {b"o" * 512, b"n" * 512}
    assert len({content[1024:] for content in contents}) == 4  # not there, new, zeros, rubbish


def test_what_is_written_by_the_store_itself_is_on_the_tape(folder: Path) -> None:
    with closing(SqliteStore.open(folder / DATABASE)) as store, watched(folder, Tape()) as tape:
        store.backup(folder / "copy.db")
    steps = [(one.kind, one.name) for one in tape._operations if one.kind not in (Kind.WRITE, Kind.TRUNCATE)]
    assert steps.index((Kind.OPEN, "copy.db.partial")) < steps.index((Kind.SYNC, "copy.db.partial"))
    assert steps[-2:] == [(Kind.RENAME, "copy.db.partial"), (Kind.SYNC_FOLDER, "")]
    power_lost = [tape.lose_power(cut, Loss.ALL, random.Random(cut)) for cut in tape.cuts()]
    assert all("copy.db" not in files for files in power_lost[:-1])
    (folder / "after.db").write_bytes(power_lost[-1]["copy.db"])
    with closing(SqliteStore.open(folder / "after.db", read_only=True)) as copy:
        assert copy.verify() == []
