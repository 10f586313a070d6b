"""The store of backtests tells its past to a recorder, and still answers what the pipeline asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contract.state_store import a_fill, a_note, a_report, an_order

from btcbot.adapters.store.recording import NOTES_KEPT, RecordingStore
from btcbot.domain.notes import Note, NoteKind


class Heard:
    """Everything that was told, by kind."""

    def __init__(self) -> None:
        self.of: dict[str, list[Any]] = {}

    def __getattr__(self, kind: str) -> Callable[[object], None]:
        return self.of.setdefault(kind, []).append


def write_notes(store: RecordingStore, first: int, last: int, kind: NoteKind = NoteKind.SNAPSHOT) -> list[Note]:
    notes = [a_note(number, kind=kind) for number in range(first, last + 1)]
    with store.transaction() as tx:
        for note in notes:
            tx.insert_note(note)
    return notes


def test_each_note_is_told_once_and_the_newest_stay_at_hand() -> None:
    heard = Heard()
    store = RecordingStore(heard)
    written = write_notes(store, 1, NOTES_KEPT + 3)
    store.drain()
    assert heard.of["note"] == written
    assert list(store.notes(NoteKind.SNAPSHOT)) == written[3:]
    assert store.note_count(NoteKind.SNAPSHOT) == len(written)
    written += write_notes(store, NOTES_KEPT + 4, NOTES_KEPT + 4)
    store.drain()
    assert list(store.notes(NoteKind.SNAPSHOT, limit=2)) == written[-2:]
    store.tell_all()
    assert heard.of["note"] == written
    assert store.note_count(NoteKind.SNAPSHOT) == len(written)


def test_a_note_is_told_before_it_is_forgotten_with_the_reports_of_old_cycles() -> None:
    heard = Heard()
    store = RecordingStore(heard)
    written = write_notes(store, 1, 4)
    store.drain()
    with store.transaction() as tx:
        tx.forget_cycles_before(a_note(9).cycle_id)
    assert list(store.notes(NoteKind.SNAPSHOT)) == []
    written += write_notes(store, 9, 9)
    store.tell_all()
    assert heard.of["note"] == written


def test_an_undone_unit_tells_no_note() -> None:
    heard = Heard()
    store = RecordingStore(heard)
    kept = write_notes(store, 1, 2, NoteKind.CAPITAL)
    try:
        with store.transaction() as tx:
            tx.insert_note(a_note(3, kind=NoteKind.CAPITAL))
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    store.tell_all()
    assert heard.of["note"] == kept


def test_what_was_booked_since_a_count_is_told_after_older_fills_went_into_columns() -> None:
    store = RecordingStore(Heard())
    with store.transaction() as tx:
        tx.insert_order(an_order())
        tx.insert_fill(a_fill(1))
        tx.insert_fill(a_fill(2))
        tx.insert_cycle(a_report())
    store.drain()
    seen = store.fill_count()
    with store.transaction() as tx:
        tx.insert_fill(a_fill(3))
    assert store.fills_after(seen) == [a_fill(3)]
    assert store.fills_after(seen + 1) == []
