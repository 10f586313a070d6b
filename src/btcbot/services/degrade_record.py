"""The degrade level as the database keeps it: read by the overseer, the command line, and who wants to know.

One named value holds the machine, what is watched from cycle to cycle, and the rules in force when it was written, so
that a report can tell cooldowns without knowing the settings of the bot.
"""

from __future__ import annotations

from typing import Final

import msgspec

from btcbot.decisions import degrade
from btcbot.decisions.anomalies import Anomaly, Watch
from btcbot.decisions.degrade import MODES, DegradeRules, DegradeState
from btcbot.decisions.divergence import Baseline
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.stance import TradingMode
from btcbot.errors import Refused
from btcbot.ports import StateStore, Transaction
from btcbot.services import named_values

DEGRADE: Final = "degrade"
#: A human's word holds for at most a week: whoever wants more means a setting.
OVERRIDE_MS_MAX: Final = 7 * 86_400_000
_SECONDS_DIGITS: Final = 10


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What one cycle leaves for the next. `rules` None: no cycle has written it yet."""

    machine: DegradeState = DegradeState()
    watch: Watch = Watch()
    baseline: Baseline = Baseline()
    rules: DegradeRules | None = None


class AnomalyNote(msgspec.Struct, frozen=True, kw_only=True):
    """An anomaly at its onset; it is not noted again while it lasts."""

    code: str
    severity: str
    detail: str


class DegradeNote(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the level in force. `what`: raised, lowered, overridden, override_ended, cleared."""

    what: str
    before: int
    after: int
    mode: TradingMode
    why: str


_decode_kept: Final = named_values.decoder(Kept)


def read_degrade(store: StateStore, now_ms: int) -> Kept:
    """What is kept; where it cannot be read, the strictest level, because nobody knows how strict it was."""
    return decode_kept(store.value(DEGRADE), now_ms)


def decode_kept(text: str | None, now_ms: int) -> Kept:
    """The same from the value's text."""
    if not text:
        return Kept()
    try:
        return _decode_kept(text)
    except msgspec.DecodeError:
        return Kept(machine=degrade.unreadable(now_ms))


def encoded(value: object) -> str:
    """As the database keeps it."""
    return msgspec.json.encode(value).decode()


def put_anomaly(tx: Transaction, anomaly: Anomaly, cycle_id: str, at_ms: int) -> None:
    note = AnomalyNote(code=anomaly.code.value, severity=anomaly.severity.value, detail=anomaly.detail)
    tx.insert_note(Note(kind=NoteKind.ANOMALY, cycle_id=cycle_id, at_ms=at_ms, body=encoded(note)))


def put_change(tx: Transaction, what: str, before: int, after: int, why: str, cycle_id: str, at_ms: int) -> None:
    """Note that another level is in force."""
    note = DegradeNote(what=what, before=before, after=after, mode=MODES[after], why=why)
    tx.insert_note(Note(kind=NoteKind.DEGRADE, cycle_id=cycle_id, at_ms=at_ms, body=encoded(note)))


def clear(store: StateStore, now_ms: int, reason: str) -> str:
    """Back to level 0, and forget what was counted. What is seen from now on counts as ever."""
    kept = read_degrade(store, now_ms)
    before = degrade.level_in_force(kept.machine, now_ms)
    watch = msgspec.structs.replace(kept.watch, refusals=(), cycle_ms=0, cursor_unmoved=0)
    after = msgspec.structs.replace(kept, machine=DegradeState(since_ms=now_ms), watch=watch)
    with store.transaction() as tx:
        tx.put_value(DEGRADE, encoded(after))
        put_change(tx, "cleared", before, 0, reason, "", now_ms)
    return f"cleared; the degrade level was {before} and is 0"


def override(store: StateStore, now_ms: int, mode: str, seconds: str, reason: str) -> str:
    """Put the level of `mode` in force for `seconds`. Raises Refused for what makes no sense."""
    if mode not in degrade.LEVEL_OF_MODE:
        raise Refused(f"«{mode}» is no mode; say one of {', '.join(one.value for one in degrade.LEVEL_OF_MODE)}")
    is_whole = seconds.isascii() and seconds.isdecimal() and len(seconds) < _SECONDS_DIGITS
    wanted, lasts_ms = TradingMode(mode), int(seconds) * 1000 if is_whole else -1
    if not 0 <= lasts_ms <= OVERRIDE_MS_MAX:
        raise Refused(f"an override lasts from 1 to {OVERRIDE_MS_MAX // 1000} seconds")
    if not lasts_ms and wanted is not TradingMode.NORMAL:
        raise Refused(f"an override to {mode} that lasts no time narrows nothing; give --cooldown-seconds")
    kept = read_degrade(store, now_ms)
    before = degrade.level_in_force(kept.machine, now_ms)
    machine = degrade.overridden(kept.machine, wanted, lasts_ms, reason, now_ms)
    after = degrade.level_in_force(machine, now_ms)
    with store.transaction() as tx:
        tx.put_value(DEGRADE, encoded(msgspec.structs.replace(kept, machine=machine)))
        put_change(tx, "overridden", before, after, reason, "", now_ms)
    held = f" for {lasts_ms // 1000} s, whatever is seen" if lasts_ms else "; what is seen from now on counts"
    return f"degrade level {after} ({mode}) is in force{held}"
