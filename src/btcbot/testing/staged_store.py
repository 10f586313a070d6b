"""The real store on a stage: it reports its commits as points, and its disk fails when it is told to.

A fault of the disk is asked for at the moment that it would strike, so that a story may end one at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from btcbot.adapters.store.sqlite import SqliteStore, SqliteTransaction
from btcbot.errors import StoreFailed
from btcbot.testing.points import Points


class DiskInHand:
    """What is wrong with the disk under a store just now; a story may change it at any time."""

    def __init__(self) -> None:
        self.disk_is_full = self.disk_is_busy = self.disk_is_read_only = False
        #: Asked before each writing statement, by its name: whether the device reports an error there.
        self.disk_breaks: Callable[[str], bool] = lambda statement: False
        #: An error of the device at each commit; the second: the commit is kept all the same.
        self.disk_has_error = self.disk_error_comes_late = False

    def mend_disk(self) -> None:
        """The disk is well again."""
        self.disk_is_full = self.disk_is_busy = self.disk_is_read_only = False
        self.disk_has_error = self.disk_error_comes_late = False


class StagedUnit(SqliteTransaction):
    """The real unit of work, which notes the statements that it ran."""

    __slots__ = ()

    def _write(self, name: str, parameters: Mapping[str, object]) -> int:
        store = self._store
        assert isinstance(store, StagedStore)
        store.written.append((name, parameters))
        if store.disk.disk_breaks(name):
            raise self._fail("the device of the database reports an error (staged)")
        return super()._write(name, parameters)


class StagedStore(SqliteStore):
    """The real store, with a point before and after each commit, and a disk that can be full.

    `is_lasting`: its database in memory is what a file is to others, and outlives it.
    """

    points: Points
    disk: DiskInHand
    is_lasting = False
    #: What the unit under way, or the last one, wrote: (statement, parameters).
    written: list[tuple[str, Mapping[str, object]]]

    def transaction(self) -> SqliteTransaction:
        return StagedUnit(self)

    def _begin(self) -> None:
        self.points.reach("before unit")
        if self.disk.disk_is_busy:
            raise StoreFailed("another process holds the database: stop it, or wait until it is done (staged)")
        if self.disk.disk_is_read_only:
            raise StoreFailed("the disk of the database can only be read (staged)")
        super()._begin()
        self.written = []

    def _commit(self) -> None:
        self.points.reach("before commit")
        disk = self.disk
        if disk.disk_is_full:
            self._roll_back()
            raise StoreFailed("no space is left for the database: free some (staged)")
        has_error = disk.disk_has_error
        if has_error and not disk.disk_error_comes_late:
            self._roll_back()
            raise StoreFailed("the device of the database reports an error (staged)")
        super()._commit()
        self.points.reach("after commit")
        if has_error:
            raise StoreFailed("the device of the database reports an error, although the commit is on it (staged)")

    def close(self) -> None:
        if not self.is_lasting:
            super().close()
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
