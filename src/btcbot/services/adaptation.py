"""AdaptationService: holds the parameters that are in force, and changes them at the end of a cycle.

Where adaptation stands is a named value in the database, with a checksum: a restart goes on where the last cycle ended.
It is written in the unit that closes the cycle, together with a note for each change. What cannot be read, or belongs
to other settings, is refused at start in one clear line; only an operator puts it aside (`btcbot params reset`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from btcbot.decisions import adaptation
from btcbot.domain.adaptation import Change, ChangeOutcome, Course, Rules, begin, change_of, outside
from btcbot.domain.money import plain
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.run_metrics import RunMetrics
from btcbot.domain.tuning import TUNED, Tuning, amount_of
from btcbot.errors import ConfigurationError, Refused
from btcbot.ports import Clock, Log, Metrics, StateStore, Transaction
from btcbot.services.watching import CycleEnd

#: Where adaptation stands; empty after a reset.
STATE: Final = "adaptation_state"
FORMAT: Final = 1
_RESET: Final = "«btcbot params reset --reason …» begins again with the settings as given"
_ENCODE: Final = msgspec.json.Encoder().encode


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The named value. `sha256` is of the JSON of `course` as it stands in there."""

    format: int
    sha256: str
    course: msgspec.Raw


class FixedTuner:
    """Nothing adapts: the same parameters for ever, or none at all."""

    def __init__(self, tuning: Tuning | None = None) -> None:
        self._tuning = tuning

    def tuning(self) -> Tuning | None:
        return self._tuning


class AdaptationService:
    """A Tuner and a CycleWatcher. `window` gives the last metrics, this cycle's included: whoever notes them down is
    told of the cycle before this one is.

    Raises ConfigurationError where `start`, which the settings give, is outside the bounds, and Refused for a state in
    the database that cannot be read or belongs to other settings.
    """

    def __init__(
        self,
        store: StateStore,
        clock: Clock,
        log: Log,
        metrics: Metrics,
        window: Callable[[], Sequence[RunMetrics]],
        rules: Rules,
        start: Tuning,
    ) -> None:
        demand_within(start, rules)
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._window = window
        self._rules = rules
        kept = load(store)
        self._course = kept if kept is not None else begin(_renumbered(start, store))
        if kept is not None:
            _demand_same_settings(kept, start, rules)

    def tuning(self) -> Tuning:
        """The parameters in force."""
        return self._course.tuning

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Look at the last cycles, change what is to be changed, and write both down."""
        window = self._window()
        assert window and window[-1].cycle_id == end.report.cycle_id, "the metrics of a cycle are noted first"
        before = self._course
        step = adaptation.step(before, window, self._rules)
        for change in step.changes:
            tx.insert_note(note_of(change, self._clock.now_ms(), end.report.cycle_id))
            self._metrics.count("btcbot_parameter_changes_total", outcome=change.outcome.value)
            self._log.info(
                "parameter_changed",
                change_id=change.change_id,
                field=change.field,
                before=change.before,
                after=change.after,
                outcome=change.outcome.value,
                reason=change.reason,
            )
        if step.became_good:
            self._log.info("parameters_proved_good", version=step.course.good.version)
        if step.course != before:
            tx.put_value(STATE, encode(step.course))
            self._course = step.course


# -- state -----------------------------------------------------------------------------------------------------------


def encode(course: Course) -> str:
    """The named value for a course."""
    text = _ENCODE(course)
    return _ENCODE(Kept(format=FORMAT, sha256=hashlib.sha256(text).hexdigest(), course=msgspec.Raw(text))).decode()


def load(store: StateStore) -> Course | None:
    """Where adaptation stands, None where it has not begun. Refused for what is not whole or not ours."""
    text = store.value(STATE)
    if not text:
        return None
    try:
        kept = msgspec.json.decode(text, type=Kept)
        if kept.format != FORMAT:
            raise Refused(
                f"the adapted parameters in the database are of another btcbot (format {kept.format}); {_RESET}"
            )
        if hashlib.sha256(bytes(kept.course)).hexdigest() != kept.sha256:
            raise Refused(f"the adapted parameters in the database are damaged: their checksum is wrong; {_RESET}")
        return msgspec.json.decode(kept.course, type=Course, strict=True)
    except msgspec.DecodeError:
        raise Refused(f"the adapted parameters in the database cannot be read; {_RESET}") from None


#: What of the settings a parameter begins with.
_SETTING_OF: Final[Mapping[str, str]] = {
    "universe_size": "UNIVERSE_TOP_N",
    "order_offset_bps": "PORTFOLIO_ORDER_OFFSET_BPS",
    "turnover_per_cycle_max": "ADAPTATION_TURNOVER_SHARE of NOTIONAL_CAP_TRY_PER_CYCLE",
    "orders_per_cycle_max": "MAX_ORDERS_PER_CYCLE",
    "spread_bps_max": "UNIVERSE_SPREAD_MAX_BPS",
    "quote_volume_min": "UNIVERSE_MIN_QUOTE_VOLUME_TRY",
    "cash_target": "TRY_CASH_TARGET",
}


def demand_within(start: Tuning, rules: Rules) -> None:
    """Raise ConfigurationError, a line for each parameter that the settings begin outside of its bounds."""
    lines = [
        f"{_SETTING_OF[field]}: gives {plain(value)}, and adaptation keeps it within {plain(bounds.least)} to "
        f"{plain(bounds.most)}; correct the one or the other, or set ADAPTATION_ENABLED=false"
        for field, value, bounds in outside(start, rules.bounds)
    ]
    if lines:
        raise ConfigurationError(lines)


def _demand_same_settings(course: Course, start: Tuning, rules: Rules) -> None:
    """What was adapted from other settings, or within other bounds, is not what these settings mean."""
    differing = [
        f"{field} {plain(amount_of(course.start, field))} then, {plain(amount_of(start, field))} now"
        for field in TUNED
        if amount_of(course.start, field) != amount_of(start, field)
    ]
    if differing:
        raise Refused(
            f"the parameters in the database were adapted from other settings ({'; '.join(differing)}); {_RESET}"
        )
    for tuning in (course.tuning, course.good):
        for field, value, bounds in outside(tuning, rules.bounds):
            raise Refused(
                f"the adapted {field} {plain(value)} in the database is outside its bounds {plain(bounds.least)} to "
                f"{plain(bounds.most)}; widen them, or {_RESET}"
            )


def _renumbered(start: Tuning, store: StateStore) -> Tuning:
    """With a version that no earlier set of this database had: 0, or the next one after a reset."""
    versions = [change.to_version for change in history(store)]
    return msgspec.structs.replace(start, version=max(versions) + 1) if versions else start


# -- history ---------------------------------------------------------------------------------------------------------


def note_of(change: Change, at_ms: int, cycle_id: str) -> Note:
    """The line of the history; `cycle_id` is empty for an operator's act."""
    return Note(kind=NoteKind.PARAMETERS, cycle_id=cycle_id, at_ms=at_ms, body=_ENCODE(change).decode())


def history(store: StateStore, limit: int | None = None) -> Sequence[Change]:
    """Changes on record, oldest first; with a limit the newest ones. Refused for what cannot be read."""
    return [change for _, change in dated_history(store, limit)]


def dated_history(store: StateStore, limit: int | None = None) -> Sequence[tuple[int, Change]]:
    """As `history`, each with when it was written, in Unix ms."""
    try:
        return [
            (note.at_ms, msgspec.json.decode(note.body, type=Change))
            for note in store.notes(NoteKind.PARAMETERS, limit)
        ]
    except msgspec.DecodeError:
        raise Refused(
            "the history of parameters in the database cannot be read; «btcbot db verify» tells more"
        ) from None


def reset(store: StateStore, reason: str, at_ms: int) -> Sequence[Change]:
    """Put the state aside, whatever it is, and write down who wanted it and why: the next run begins with its settings.

    Gives what is put on record: a line for each parameter that goes back, or one for all of them where nothing had been
    adapted or nothing could be read.
    """
    try:
        course = load(store)
    except Refused:
        course = None
    latest = max((change.to_version for change in history(store)), default=0)
    origin = f"operator@{at_ms}"
    if course is not None and (texts := _differences(course)):
        version, latest = course.tuning.version, max(latest, course.last_version)
    else:
        version, texts = latest, [("all", "", "")]
    changes = [
        change_of(origin, field, before, after, version, latest, ChangeOutcome.RESET, reason)
        for field, before, after in texts
    ]
    with store.transaction() as tx:
        tx.put_value(STATE, "")
        for change in changes:
            tx.insert_note(note_of(change, at_ms, cycle_id=""))
    return changes


def _differences(course: Course) -> list[tuple[str, str, str]]:
    """Each parameter in force that the settings gave another value, with both."""
    both = ((field, plain(amount_of(course.tuning, field)), plain(amount_of(course.start, field))) for field in TUNED)
    return [(field, now, given) for field, now, given in both if now != given]
