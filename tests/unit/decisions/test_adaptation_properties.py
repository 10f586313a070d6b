"""Whatever the market does: adaptation stays within its bounds, explains itself, and goes back to what proved good."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import decimals
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
    Run,
)

from btcbot.decisions.adaptation import CHANGES_MAX
from btcbot.domain.adaptation import ChangeOutcome, Range, Rules, Step, begin, outside
from btcbot.domain.money import plain
from btcbot.domain.tuning import TUNED, amount_of

PHASES: dict[str, dict[str, Any]] = {
    "healthy": HEALTHY,
    "stale": STALE,
    "near": NEAR,
    "breach": BREACH,
    "refused": REFUSED,
    "throttled": THROTTLED,
    "missing": MISSING,
    "loss": {"net_pnl": Decimal(-200)},
    "unknown result": {"net_pnl": None, **STALE},
}
#: Phases that last, as the phases of a market do.
MARKETS = st.lists(st.tuples(st.sampled_from(sorted(PHASES)), st.integers(1, 12)), min_size=1, max_size=12)
TRAVELLED = settings(max_examples=150, deadline=None)


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """Bounds around the start, near or far, and steps that need not divide them."""
    bounds = {}
    for field in TUNED:
        value = amount_of(START, field)
        whole = field in {"universe_size", "orders_per_cycle_max"}
        room = st.integers(0, 3).map(Decimal) if whole else decimals("0", "500", 1)
        least = 1 if field != "order_offset_bps" else 0
        bounds[field] = Range(max(value - draw(room), Decimal(least)), value + draw(room))
    return replace(
        RULES,
        bounds=bounds,
        healthy_cycles=draw(st.integers(1, 5)),
        good_cycles=draw(st.integers(1, 5)),
        throttled_cycles=draw(st.integers(1, 5)),
        losing_cycles=draw(st.integers(1, 5)),
        quiet_cycles=draw(st.integers(1, 8)),
        turnover_step=draw(decimals("0.01", "0.5", 2)),
        offset_step_bps=draw(decimals("0.1", "7", 1)),
        spread_step_bps=draw(decimals("0.1", "70", 1)),
        volume_step=draw(decimals("0.1", "700", 1)),
    )


def play(market: list[tuple[str, int]], with_rules: Rules) -> Run:
    run = Run(begin(START), with_rules)
    for phase, cycles in market:
        run.cycles(cycles, **PHASES[phase])
    return run


@TRAVELLED
@given(market=MARKETS, with_rules=rules())
def test_no_market_drives_the_parameters_out_of_their_bounds(market: list[tuple[str, int]], with_rules: Rules) -> None:
    for step in play(market, with_rules).steps:
        assert not outside(step.course.tuning, with_rules.bounds)
        assert not outside(step.course.good, with_rules.bounds)


@TRAVELLED
@given(market=MARKETS, with_rules=rules())
def test_every_move_is_on_record_with_a_reason_and_every_record_is_a_move(
    market: list[tuple[str, int]], with_rules: Rules
) -> None:
    before = START
    for step in play(market, with_rules).steps:
        after = step.course.tuning
        moved = {field for field in TUNED if amount_of(before, field) != amount_of(after, field)}
        recorded = {change.field for change in step.changes if change.outcome is not ChangeOutcome.REJECTED}
        assert moved == recorded
        for change in step.changes:
            assert change.reason
            if change.outcome is not ChangeOutcome.REJECTED:
                assert change.before == plain(amount_of(before, change.field))
                assert change.after == plain(amount_of(after, change.field))
                assert (change.from_version, change.to_version) == (before.version, after.version)
        assert len([each for each in step.changes if each.outcome is ChangeOutcome.APPLIED]) <= CHANGES_MAX
        before = after


@TRAVELLED
@given(market=MARKETS, with_rules=rules())
def test_a_version_is_one_set_of_parameters_for_ever(market: list[tuple[str, int]], with_rules: Rules) -> None:
    seen = {0: START}
    for step in play(market, with_rules).steps:
        tuning = step.course.tuning
        assert seen.setdefault(tuning.version, tuning) == tuning


@TRAVELLED
@given(market=MARKETS, with_rules=rules())
def test_a_rollback_has_a_cause_and_leaves_nothing_wider_than_the_checkpoint(
    market: list[tuple[str, int]], with_rules: Rules
) -> None:
    for step in play(market, with_rules).steps:
        if not was_rolled_back(step):
            continue
        assert step.causes and all(step.changes[0].reason.count(cause.value) for cause in step.causes)
        tuning, good = step.course.tuning, step.course.good
        assert tuning.turnover_per_cycle_max <= good.turnover_per_cycle_max
        for field in set(TUNED) - {"turnover_per_cycle_max"}:
            assert amount_of(tuning, field) == amount_of(good, field)


@TRAVELLED
@given(market=MARKETS, with_rules=rules())
def test_what_was_rolled_back_is_not_tried_again_before_enough_quiet_cycles(
    market: list[tuple[str, int]], with_rules: Rules
) -> None:
    quiet_since: dict[tuple[str, bool], int] = {}
    for step in play(market, with_rules).steps:
        if not step.causes:
            quiet_since = {key: cycles + 1 for key, cycles in quiet_since.items()}
        for change in step.changes:
            goes_up = Decimal(change.after) > Decimal(change.before)
            if change.outcome is ChangeOutcome.ROLLED_BACK:
                quiet_since[change.field, not goes_up] = 0
            elif change.outcome is ChangeOutcome.APPLIED and (change.field, goes_up) in quiet_since:
                assert quiet_since.pop((change.field, goes_up)) >= with_rules.quiet_cycles


@TRAVELLED
@given(phase=st.sampled_from(sorted(PHASES)), with_rules=rules())
def test_one_phase_that_never_ends_brings_the_parameters_to_rest_or_to_steady_growth(
    phase: str, with_rules: Rules
) -> None:
    run = play([(phase, 200)], with_rules)
    ways: dict[str, set[bool]] = {}
    for step in run.steps[60:]:
        for change in step.changes:
            if change.outcome is not ChangeOutcome.REJECTED:
                ways.setdefault(change.field, set()).add(Decimal(change.after) > Decimal(change.before))
    assert all(len(directions) == 1 for directions in ways.values()), "nothing goes to and fro"


def was_rolled_back(step: Step) -> bool:
    return any(change.outcome is ChangeOutcome.ROLLED_BACK for change in step.changes)
