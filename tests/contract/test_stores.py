"""Every store passes the same suite."""

from __future__ import annotations

from pathlib import Path

from tests.contract.state_store import StateStoreContract

from btcbot.adapters.store import MemoryStore, SqliteStore
from btcbot.adapters.store.library import STANDARD
from btcbot.adapters.store.recording import RecordingStore
from btcbot.backtest.records import Records
from btcbot.ports import StateStore


class TestSqliteFile(StateStoreContract):
    def make(self, tmp_path: Path) -> StateStore:
        return SqliteStore.open(tmp_path / "state.db")


class TestSqliteFileWithTheStandardLibrary(StateStoreContract):
    """With an affected SQLite this is the rollback journal instead of the write-ahead log."""

    def make(self, tmp_path: Path) -> StateStore:
        return SqliteStore.open(tmp_path / "state.db", library=STANDARD)


class TestSqliteMemory(StateStoreContract):
    def make(self, tmp_path: Path) -> StateStore:
        return SqliteStore.in_memory()


class TestSqliteImage(StateStoreContract):
    def make(self, tmp_path: Path) -> StateStore:
        empty = SqliteStore.in_memory()
        try:
            return SqliteStore.from_image(empty.image())
        finally:
            empty.close()


class TestMemory(StateStoreContract):
    def make(self, tmp_path: Path) -> StateStore:
        return MemoryStore()


class TestRecording(StateStoreContract):
    """Before anything is over."""

    def make(self, tmp_path: Path) -> StateStore:
        return RecordingStore(Records())
