"""What is lived on a disk that fails: a database made, written, upgraded, copied, and the trades of a bot."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from btcbot.adapters.store import SqliteStore
from btcbot.adapters.store.library import PREFERRED, Library
from btcbot.errors import BtcbotError, StoreFailed
from btcbot.testing.disks import Failing, Kind, watched
from btcbot.testing.in_process_rig import Rig
from btcturk_sim import wire
from btcturk_sim.wire import Response
from proof import next_revision
from proof.lives import DATABASE, JOURNAL, digest, scratch, unit_rng, write_unit

#: Lives once in a folder, with this disk, killed or ending by itself when the disk fails; what went wrong.
Story = Callable[[Path, Failing, bool], list[str]]
_UNITS: Final = 12
_CHECKPOINT_PAGES: Final = 20


def _tells(error: BtcbotError) -> list[str]:
    """Whether a failure is told as the operator has to read it."""
    told = str(error)
    return [] if told and "\n" not in told else [f"it is told in no single line: {told!r}"]


def kill(folder: Path, failing: Failing, end: Callable[[], None]) -> None:
    """End as a kill does: what the ending itself would do to the files is undone."""
    files = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    end()
    with failing.spared():
        for path in [path for path in folder.iterdir() if path not in files]:
            path.unlink()
        for path, content in files.items():
            path.write_bytes(content)


# -- a store -------------------------------------------------------------------------------------------------------


@functools.cache
def _states(library_version: tuple[int, int, int]) -> tuple[str, ...]:
    """The contents of the database of `_written`, unit by unit, on a disk that is well."""
    with scratch() as folder, closing(_open(folder, _library(library_version))) as store:
        states = [digest(store._connection)]
        for number in range(_UNITS):
            write_unit(store, number, unit_rng(1, number))
            states.append(digest(store._connection))
    return tuple(states)


def _library(version: tuple[int, int, int]) -> Library:
    return PREFERRED if version == PREFERRED.version else JOURNAL


def _open(folder: Path, library: Library) -> SqliteStore:
    store = SqliteStore.open(folder / DATABASE, library=library)
    store._connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    return store


def written(folder: Path, failing: Failing, is_killed: bool, *, library: Library = PREFERRED) -> list[str]:
    """A database made, written and checkpointed. A unit that failed is not there for its process, and after that it is
    there wholly or not at all; all units before it are there."""
    states = _states(library.version)
    found: list[str] = []
    acknowledged = -1  # not even made
    with watched(folder, failing, library=library):
        try:
            store = _open(folder, library)
        except BtcbotError as error:
            found += _tells(error)
        except library.module.Error:
            pass  # of this story's own PRAGMA
        else:
            acknowledged = 0
            for number in range(_UNITS):
                try:
                    write_unit(store, number, unit_rng(1, number))
                except StoreFailed as error:
                    found += _tells(error)
                    break
                acknowledged += 1
            if is_killed and failing.struck:
                kill(folder, failing, store.close)
            else:
                store.close()
        failing.heal()
        with closing(_open(folder, library)) as store:
            state = digest(store._connection)
            if state not in states[max(acknowledged, 0) : acknowledged + 2]:
                found.append(f"after {acknowledged} acknowledged units its content is another")
                return found
            for number in range(states.index(state), _UNITS):
                write_unit(store, number, unit_rng(1, number))
            found += store.verify()
            if digest(store._connection) != states[-1]:
                found.append("what was written on the mended disk is not what was to be written")
    return found


def written_with_a_journal(folder: Path, failing: Failing, is_killed: bool) -> list[str]:
    """The same where the library's write-ahead log is not to be trusted."""
    return written(folder, failing, is_killed, library=JOURNAL)


# -- an upgrade and a copy -----------------------------------------------------------------------------------------


@functools.cache
def _old() -> tuple[bytes, str]:
    """A database of today's revision: its bytes, its content."""
    with scratch() as folder:
        with closing(_open(folder, PREFERRED)) as store:
            for number in range(_UNITS):
                write_unit(store, number, unit_rng(2, number))
            state = digest(store._connection)
        return (folder / DATABASE).read_bytes(), state


def _left_behind(folder: Path, failing: Failing) -> list[str]:
    """Parts of a copy that failed; a disk that removes nothing any more is forgiven, the next copy removes them."""
    if any(one.kind is Kind.DELETE for one in failing.struck):
        return []
    return [f"{path.name} is left behind" for path in folder.glob("*.partial*")]


def upgraded(folder: Path, failing: Failing, is_killed: bool) -> list[str]:
    """An upgrade that fails leaves the database as it was, or has happened; what it copied first is whole."""
    content, before = _old()
    place = folder / "place"
    place.mkdir()
    path = place / DATABASE
    path.write_bytes(content)
    migrations = next_revision.write_migrations(folder)
    found: list[str] = []
    with next_revision.released(migrations):
        with watched(place, failing):
            try:
                SqliteStore.open(path).close()
            except BtcbotError as error:
                found += _tells(error)
                found += _left_behind(place, failing)
        failing.heal()
        with closing(PREFERRED.module.connect(path)) as raw:
            revision = raw.execute("SELECT version_num FROM alembic_version").fetchone()[0]
            if revision != next_revision.NEXT and digest(raw) != before:
                found.append("it is not migrated, and yet changed")
        store = SqliteStore.open(path)
        with closing(store):
            found += store.verify()
            (remarks,) = store._connection.execute("SELECT count(*) FROM remarks").fetchone()
            if remarks != store.order_count():
                found.append(f"{remarks} of {store.order_count()} orders were taken over")
    copies = list(place.glob(f"{DATABASE}.before-{next_revision.NEXT}*"))
    if not copies:
        found.append("no copy from before is there")
    for copy in copies:
        with closing(PREFERRED.module.connect(copy)) as raw:
            if digest(raw) != before:
                found.append(f"the copy {copy.name} is not the database as it was")
    return found


def copied(folder: Path, failing: Failing, is_killed: bool) -> list[str]:
    """A backup that fails leaves nothing under its name, and no harm in what was copied."""
    content, before = _old()
    path, to = folder / DATABASE, folder / "copy.db"
    path.write_bytes(content)
    found: list[str] = []
    with closing(SqliteStore.open(path)) as store:
        with watched(folder, failing):
            try:
                store.backup(to)
            except BtcbotError as error:
                found += _tells(error)
                found += _left_behind(folder, failing)
        failing.heal()
        if not to.exists():
            store.backup(to)
        found += store.verify()
    with closing(PREFERRED.module.connect(to)) as raw:
        if digest(raw) != before:
            found.append("the copy is not the database as it was")
    return found


# -- a bot ---------------------------------------------------------------------------------------------------------

_TAKING: Final = ("buy", "0.0005", "1000500")
_KEY: Final = "disk"


class _Onlooker:
    """Stands between bot and venue: an order leaves only when its row can be read from the files as they lie there."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self._rig = rig
        self._folder = folder
        self.found: list[str] = []

    def sends(self, name: str, request: wire.Request) -> None:
        if request.method != "POST":
            return
        client_order_id = json.loads(request.body)["newOrderClientId"]
        units = [point for point in self._rig.points.passed if point.endswith((" unit", " commit"))]
        if units[-1] != "after commit":
            self.found.append(f"{client_order_id} was sent although the last unit failed")
        if not self._is_written(client_order_id):
            self.found.append(f"{client_order_id} was sent and is not in the database")

    def answers(self, name: str, request: wire.Request, answer: Response) -> Response:
        return answer

    def arrives(self, name: str, request: wire.Request, answer: Response) -> None:
        pass

    def _is_written(self, client_order_id: str) -> bool:
        copy = self._folder / "seen.db"
        for suffix in ("", "-wal"):
            source = self._rig.database.with_name(self._rig.database.name + suffix)
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        with closing(PREFERRED.module.connect(copy)) as raw:
            row = raw.execute("SELECT status FROM orders WHERE client_order_id = ?", (client_order_id,)).fetchone()
        return bool(row == ("SUBMITTED",))


@functools.cache
def _bound() -> tuple[bytes, str]:
    """A database with its purpose and opening balances, and the key that it was made for."""
    key = f"{_KEY}-{os.getpid()}"
    with scratch() as folder:
        rig = Rig(folder, key=key)
        rig.cycle()
        rig.close()
        return rig.database.read_bytes(), key


def traded(folder: Path, failing: Failing, is_killed: bool) -> list[str]:
    """A cycle sends an order, the next books its fill. Whatever the disk does, nothing leaves that is not written down,
    and when the disk is well books and venue agree to the last digit."""
    content, key = _bound()
    place, seen = folder / "place", folder / "seen"
    place.mkdir()
    seen.mkdir()
    (place / DATABASE).write_bytes(content)
    rig = Rig(place, key=key)
    rig.crash()
    rig.points.passed.clear()
    onlooker = _Onlooker(rig, seen)
    rig.venue.transport.meddler = onlooker
    found: list[str] = []

    def end() -> None:
        if is_killed and failing.struck:
            kill(place, failing, rig.crash)
        else:
            rig.crash()

    with watched(place, failing):
        for _ in range(3):
            try:
                if not rig.is_up:
                    rig.start()
                if not rig.strategy.wishes and not rig.venue.transport.posts:
                    rig.wish(*_TAKING)
                rig.cycle()
            except BtcbotError as error:
                found += _tells(error)
                end()  # a process whose store failed ends with 1, and is started again
                rig.wait(rig.cycle_seconds)
        end()
        failing.heal()
        rig.heal()
        rig.wish(*_TAKING)
        rig.cycle(2)
        rig.heal()
        found += rig.faults()
        if not rig.store.fill_count():
            found.append("nothing was traded on the mended disk")
    rig.close()
    return [*found, *onlooker.found]


STORIES: Final[Mapping[str, Story]] = {
    "bot": traded,
    "store": written,
    "journal": written_with_a_journal,
    "upgrade": upgraded,
    "backup": copied,
}
