"""Adaptation on a real database: a closed loop of good and bad phases, restarts, and state not to be trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import a_report
from tests.unit.decisions.adaptive import (
    BREACH,
    HEALTHY,
    MISSING,
    NEAR,
    REFUSED,
    RULES,
    STALE,
    START,
    THROTTLED,
    some_metrics,
)

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store.memory import MemoryStore
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain.adaptation import WINDOW, Change, ChangeOutcome, Range, Rules, outside
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.run_metrics import RunMetrics
from btcbot.domain.stance import FREE
from btcbot.domain.tuning import Tuning
from btcbot.errors import ConfigurationError, Refused, StoreFailed
from btcbot.ports import StateStore
from btcbot.services import adaptation
from btcbot.services.adaptation import AdaptationService, FixedTuner
from btcbot.services.execution import ExecutionSummary
from btcbot.services.watching import CycleEnd
from btcbot.testing.in_process_rig import ListLog
from btcbot.testing.manual_clock import ManualClock


class Loop:
    """A market of metrics around one adaptation service: what it changes is what the next cycle is measured under."""

    def __init__(self, store: StateStore, rules: Rules = RULES, start: Tuning = START) -> None:
        self.store = store
        self.clock = ManualClock()
        self.log = ListLog()
        self.metrics = MemoryMetrics()
        self.window: list[RunMetrics] = []
        self.number = 0
        self.begin(rules, start)

    def begin(self, rules: Rules = RULES, start: Tuning = START) -> None:
        """What a start of the bot does."""
        self.service = AdaptationService(
            self.store, self.clock, self.log, self.metrics, lambda: self.window, rules, start
        )

    def cycle(self, **changes: Any) -> Tuning:
        self.number += 1
        measured = some_metrics(self.number, self.service.tuning().version, **changes)
        self.window = [*self.window, measured][-WINDOW:]
        with self.store.transaction() as tx:
            self.service.cycle_ended(an_end(measured), tx)
        return self.service.tuning()

    def cycles(self, count: int, **changes: Any) -> Tuning:
        for _ in range(count):
            self.cycle(**changes)
        return self.service.tuning()

    @property
    def history(self) -> list[Change]:
        return list(adaptation.history(self.store))


def an_end(measured: RunMetrics) -> CycleEnd:
    report = a_report(
        measured.number,
        cycle_id=measured.cycle_id,
        mode="paper",
        profile="stage7-run",
        started_at_ms=measured.at_ms,
        ended_at_ms=measured.at_ms,
        equity_try=measured.equity,
    )
    return CycleEnd(report=report, seconds=0.01, summary=ExecutionSummary(), stance=FREE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "books.db")
    yield store
    store.close()


# -- the loop --------------------------------------------------------------------------------------------------------


def test_a_run_adapts_rolls_back_with_its_reason_on_record_and_recovers(store: SqliteStore) -> None:
    loop = Loop(store)

    assert loop.cycles(6).universe_size == 22
    assert loop.cycle(**BREACH) == replace(START, version=1, universe_size=21, turnover_per_cycle_max=Decimal(1050))
    rolled_back = [change for change in loop.history if change.outcome is ChangeOutcome.ROLLED_BACK]
    assert [(change.field, change.before, change.after) for change in rolled_back] == [
        ("universe_size", "22", "21"),
        ("turnover_per_cycle_max", "1102.5", "1050"),
    ]
    assert {change.reason for change in rolled_back} == {"drawdown_breach: 0.25 is at the limit 0.25"}
    assert loop.cycles(9).universe_size == 21, "left alone"
    assert loop.cycles(1).universe_size == 22, "and tried again"


def test_every_change_has_its_note_metric_and_log_line(store: SqliteStore) -> None:
    loop = Loop(store)
    loop.cycles(3)
    loop.cycle(**BREACH)

    notes = store.notes(NoteKind.PARAMETERS)
    assert [note.cycle_id for note in notes] == ["c00000003"] * 2 + ["c00000004"] * 2
    assert loop.metrics.value("btcbot_parameter_changes_total", outcome="APPLIED") == 2
    assert loop.metrics.value("btcbot_parameter_changes_total", outcome="ROLLED_BACK") == 2
    told = loop.log.events("parameter_changed")
    assert [line["change_id"] for line in told] == [change.change_id for change in loop.history]


def test_a_restart_goes_on_where_the_last_cycle_ended(store: SqliteStore) -> None:
    loop, twin = Loop(store), Loop(MemoryStore())
    for trouble in (HEALTHY, HEALTHY, HEALTHY, THROTTLED, BREACH, HEALTHY, HEALTHY, REFUSED, *[HEALTHY] * 14):
        loop.cycle(**trouble)
        loop.begin()
        twin.cycle(**trouble)
    assert loop.service.tuning() == twin.service.tuning()
    assert loop.history == twin.history, "the same changes with the same ids"


def test_what_a_cycle_could_not_write_down_did_not_happen(store: SqliteStore) -> None:
    loop = Loop(store)
    loop.cycles(2)

    def a_cycle_on_a_full_disk() -> None:
        with store.transaction() as tx:
            loop.window.append(some_metrics(3, 0))
            loop.service.cycle_ended(an_end(loop.window[-1]), tx)
            raise StoreFailed("the disk is full")

    with pytest.raises(StoreFailed):
        a_cycle_on_a_full_disk()
    assert loop.service.tuning().universe_size == 21, "it would have grown"
    loop.begin()

    assert loop.service.tuning() == START
    assert loop.history == []


def test_metrics_are_noted_before_adaptation_looks_at_them(store: SqliteStore) -> None:
    loop = Loop(store)
    loop.cycle()
    with pytest.raises(AssertionError, match="noted first"), store.transaction() as tx:
        loop.service.cycle_ended(an_end(some_metrics(2, 0)), tx)


PHASES = st.lists(
    st.tuples(
        st.sampled_from([HEALTHY, STALE, NEAR, BREACH, REFUSED, THROTTLED, MISSING, {"net_pnl": Decimal(-90)}]),
        st.integers(1, 9),
        st.booleans(),
    ),
    max_size=10,
)


@settings(max_examples=60, deadline=None)
@given(phases=PHASES)
def test_no_market_and_no_restart_brings_the_parameters_out_of_their_bounds(
    phases: list[tuple[dict[str, Any], int, bool]],
) -> None:
    loop = Loop(MemoryStore())
    for phase, cycles, restarts in phases:
        for _ in range(cycles):
            assert not outside(loop.cycle(**phase), RULES.bounds)
        if restarts:
            before = loop.service.tuning()
            loop.begin()
            assert loop.service.tuning() == before


def test_without_adaptation_the_parameters_are_the_same_for_ever() -> None:
    assert FixedTuner(START).tuning() == START
    assert FixedTuner().tuning() is None


# -- what is refused at start ----------------------------------------------------------------------------------------


def test_settings_outside_the_bounds_are_refused_with_a_line_for_each(store: SqliteStore) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Loop(store, start=replace(START, universe_size=3, cash_target=Decimal("600.5")))
    assert refused.value.lines == (
        "UNIVERSE_TOP_N: gives 3, and adaptation keeps it within 5 to 50; correct the one or the other, or set "
        "ADAPTATION_ENABLED=false",
        "TRY_CASH_TARGET: gives 600.5, and adaptation keeps it within 0 to 600; correct the one or the other, or set "
        "ADAPTATION_ENABLED=false",
    )


def adapted(store: SqliteStore) -> str:
    """The state after some cycles."""
    Loop(store).cycles(7)
    text = store.value(adaptation.STATE)
    assert text is not None
    return text


def with_sum(text: str, **changes: Any) -> str:
    """Forged with care: the checksum fits."""
    kept = msgspec.json.decode(text)
    kept["course"].update(changes)
    course = msgspec.json.encode(kept["course"])
    kept["sha256"] = hashlib.sha256(course).hexdigest()
    return msgspec.json.encode({**kept, "course": msgspec.Raw(course)}).decode()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: text.replace('"universe_size":22', '"universe_size":23'), "their checksum is wrong"),
        (lambda text: text[:-20], "cannot be read"),
        (lambda text: "[]", "cannot be read"),
        (lambda text: "\x00", "cannot be read"),
        (lambda text: text.replace('"format":1', '"format":2'), "of another btcbot"),
        (lambda text: with_sum(text, tuning={"universe_size": 7}), "cannot be read"),
        (lambda text: with_sum(text, good="best"), "cannot be read"),
    ],
)
def test_a_checkpoint_that_is_damaged_or_foreign_is_refused_and_never_silently_reset(
    store: SqliteStore, damage: Any, why: str
) -> None:
    text = damage(adapted(store))
    with store.transaction() as tx:
        tx.put_value(adaptation.STATE, text)

    with pytest.raises(Refused) as refused:
        Loop(store)

    said = str(refused.value)
    assert why in said and "«btcbot params reset --reason …»" in said and "\n" not in said
    assert store.value(adaptation.STATE) == text, "left as it was, for whoever wants to look"


def test_parameters_that_other_settings_began_with_are_refused(store: SqliteStore) -> None:
    adapted(store)
    with pytest.raises(Refused, match=r"other settings \(universe_size 20 then, 30 now\); «btcbot params reset"):
        Loop(store, start=replace(START, universe_size=30))


def test_parameters_outside_bounds_that_have_been_narrowed_since_are_refused(store: SqliteStore) -> None:
    adapted(store)
    narrow = replace(RULES, bounds={**RULES.bounds, "universe_size": Range(Decimal(5), Decimal(21))})
    with pytest.raises(
        Refused, match=r"universe_size 22 in the database is outside its bounds 5 to 21; widen them, or"
    ):
        Loop(store, rules=narrow)


# -- reset -----------------------------------------------------------------------------------------------------------


def test_a_reset_begins_again_with_the_settings_and_stays_on_record(store: SqliteStore) -> None:
    adapted(store)

    changes = adaptation.reset(store, "other pairs", 5_000)

    assert [(change.field, change.before, change.after) for change in changes] == [
        ("universe_size", "22", "20"),
        ("turnover_per_cycle_max", "1102.5", "1000"),
    ]
    note = store.notes(NoteKind.PARAMETERS, limit=1)[0]
    assert (note.cycle_id, note.at_ms) == ("", 5_000), "an operator's act"
    assert {change.reason for change in changes} == {"other pairs"}
    fresh = Loop(store).service.tuning()
    assert replace(fresh, version=0) == START
    assert fresh.version == 3, "a version is one set of parameters for ever, resets included"


def test_a_reset_is_how_to_go_on_from_a_damaged_checkpoint(store: SqliteStore) -> None:
    text = adapted(store)
    with store.transaction() as tx:
        tx.put_value(adaptation.STATE, text[:-9])

    changes = adaptation.reset(store, "damaged", 5_000)

    assert [(change.field, change.outcome) for change in changes] == [("all", ChangeOutcome.RESET)]
    assert Loop(store).cycles(3).universe_size == 21


def test_a_history_that_cannot_be_read_is_refused_in_one_line(store: SqliteStore) -> None:
    with store.transaction() as tx:
        tx.insert_note(Note(kind=NoteKind.PARAMETERS, cycle_id="", at_ms=1, body="?"))
    with pytest.raises(Refused, match="history of parameters"):
        Loop(store)
