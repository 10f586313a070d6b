"""The chosen universe as the database keeps it: what holds now, and since when."""

from __future__ import annotations

from typing import Final

import msgspec

from btcbot.domain.notes import NoteKind
from btcbot.domain.universe import Freeze, UniverseState
from btcbot.ports import StateStore
from btcbot.services.universe import UNIVERSE_STATE, UniverseNote

#: So many of the last choices are searched for the one that brought what holds now.
NOTES_READ: Final = 1_000

_STATE: Final = msgspec.json.Decoder(UniverseState)
_NOTE: Final = msgspec.json.Decoder(UniverseNote)


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which symbols may be bought, and since when (Unix ms; None: it is not on record). `looked_at_ms`: the last look
    that came to a decision, None before the first. `frozen`: why a look that was due since changed nothing."""

    symbols: tuple[str, ...]
    is_fallback: bool
    since_ms: int | None
    looked_at_ms: int | None
    frozen: Freeze | None


def chosen_now(store: StateStore) -> Chosen | None:
    """What the last choice in this database came to; None where no look was ever wanted, or where it cannot be read."""
    text = store.value(UNIVERSE_STATE)
    try:
        state = None if text is None else _STATE.decode(text)
        notes = [(note.at_ms, _NOTE.decode(note.body)) for note in store.notes(NoteKind.UNIVERSE, NOTES_READ)]
    except msgspec.MsgspecError:
        return None
    if state is None:
        return None
    since_ms: int | None = None
    for at_ms, note in reversed(notes):
        if frozenset(note.symbols) != frozenset(state.active) or note.is_fallback is bool(state.symbols):
            break
        since_ms = at_ms
    return Chosen(
        symbols=state.active,
        is_fallback=not state.symbols,
        since_ms=since_ms,
        looked_at_ms=state.refreshed_at_ms or None,
        frozen=notes[-1][1].frozen if notes else None,
    )
