"""AlertWatcher: holds the metrics of each cycle against the alert rules and tells what fires.

It lives as long as the process, and so do its windows. An alert becomes a note in the unit that closes the cycle and
one line of the log. What was told, and the increments of counters, survive a restart, so that a bot that is started
again and again neither repeats itself nor forgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from btcbot.decisions import alerts
from btcbot.decisions.alert_rules import RULES
from btcbot.decisions.alerts import Memory
from btcbot.domain.alerts import Alert, AlertRule, Sample, page_of
from btcbot.domain.notes import Note, NoteKind
from btcbot.errors import StoreFailed
from btcbot.ports import Log, StateStore, Transaction
from btcbot.services.watching import CycleEnd

#: The memory of the alerts, as JSON.
ALERT_MEMORY: Final = "alert_memory"
#: The memory is written when something was told, and this often.
KEEP_EVERY_MS: Final = 30_000

_decode: Final = msgspec.json.Decoder(Memory).decode
_encode: Final = msgspec.json.Encoder().encode


class Samples(Protocol):
    """Where the numbers come from: the decorator of the metrics."""

    def take(self) -> Sample:
        """What was recorded since it was asked last."""
        ...


class AlertWatcher:
    """A CycleWatcher."""

    def __init__(self, store: StateStore, samples: Samples, log: Log, rules: Sequence[AlertRule] = RULES) -> None:
        self._samples = samples
        self._log = log
        self._rules = rules
        self._before = _read(store)
        self._memory: Memory | None = None
        self._kept_at_ms = 0

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Look at what this cycle recorded; write what fires, and what the next process should know."""
        now_ms = end.report.ended_at_ms
        memory = self._memory if self._memory is not None else alerts.after_restart(self._before, now_ms)
        self._memory, fired = alerts.look(memory, self._samples.take(), now_ms, self._rules)
        for alert in fired:
            note = Note(kind=NoteKind.ALERT, cycle_id=end.report.cycle_id, at_ms=now_ms, body=_encode(alert).decode())
            tx.insert_note(note)
            self._log.warning(
                "alert",
                rule=alert.rule,
                severity=alert.severity.value,
                value=alert.value,
                condition=alert.condition,
                meaning=alert.meaning,
                todo=alert.todo,
                page=page_of(alert.rule),
            )
        if fired or not 0 <= now_ms - self._kept_at_ms < KEEP_EVERY_MS:
            self._kept_at_ms = now_ms
            kept = msgspec.structs.replace(self._memory, observed={})
            tx.put_value(ALERT_MEMORY, _encode(kept).decode())


def _read(store: StateStore) -> Memory:
    """The memory as it was kept. One that cannot be read is begun anew: it holds nothing but convenience."""
    text = store.value(ALERT_MEMORY)
    try:
        return _decode(text) if text else Memory()
    except msgspec.MsgspecError:
        return Memory()


def read_alert(note: Note) -> Alert:
    """The alert of a note of kind ALERT. StoreFailed for one that no btcbot wrote."""
    try:
        return msgspec.json.decode(note.body, type=Alert)
    except msgspec.MsgspecError as error:
        raise StoreFailed(f"an alert of cycle {note.cycle_id} cannot be read ({error}): restore a backup") from error
