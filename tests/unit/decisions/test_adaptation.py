"""Adaptation, cycle by cycle: what trouble narrows, success widens, a rollback takes back; and nothing swings."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
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
from btcbot.domain.adaptation import Change, ChangeOutcome, begin, outside
from btcbot.domain.run_metrics import AlertFlag, Quality
from btcbot.domain.tuning import TUNED, Tuning, amount_of

APPLIED, REJECTED, ROLLED_BACK = ChangeOutcome.APPLIED, ChangeOutcome.REJECTED, ChangeOutcome.ROLLED_BACK


def a_run(**changes: Any) -> Run:
    return Run(begin(replace(START, **changes)))


def values(tuning: Tuning) -> list[Decimal]:
    return [amount_of(tuning, field) for field in TUNED]


def told(changes: tuple[Change, ...]) -> list[tuple[str, str, str, str]]:
    return [(change.field, change.before, change.after, change.outcome.value) for change in changes]


# -- success widens --------------------------------------------------------------------------------------------------


def test_three_healthy_cycles_bring_one_more_symbol_and_five_percent_more_turnover() -> None:
    run = a_run()
    run.cycles(2)
    assert run.tuning == START, "two are not enough"

    grown = run.cycle()

    assert told(grown.changes) == [
        ("universe_size", "20", "21", "APPLIED"),
        ("turnover_per_cycle_max", "1000", "1050", "APPLIED"),
    ]
    assert (run.tuning.version, run.course.good.version) == (1, 0), "grown, and not proved yet"
    assert grown.changes[0].reason == "3 healthy cycles in a row"


def test_the_universe_does_not_grow_beyond_what_can_be_chosen_at_all() -> None:
    """It used to grow to ADAPTATION_UNIVERSE_MAX, a line of history for each symbol that is not there."""
    run = Run(begin(START), replace(RULES, candidates=21))
    run.cycles(12)
    assert run.tuning.universe_size == 21
    assert run.tuning.turnover_per_cycle_max > START.turnover_per_cycle_max * Decimal("1.06"), "the rest goes on"


def test_what_has_grown_proves_itself_before_it_grows_again() -> None:
    run = a_run()
    run.cycles(5)
    assert (run.tuning.version, run.course.good.version) == (1, 0)

    proved = run.cycle()

    assert proved.became_good
    assert run.course.good.universe_size == 21
    assert run.tuning.universe_size == 22, "the third healthy cycle proves it, and lets it grow"


def test_a_set_that_needs_longer_to_prove_itself_does_not_grow_before() -> None:
    run = Run(begin(START), replace(RULES, good_cycles=5))
    run.cycles(7)
    assert (run.tuning.version, run.course.is_unproven) == (1, True)
    run.cycle()
    assert (run.tuning.version, run.course.good.version) == (2, 1)


@pytest.mark.parametrize(
    "trouble",
    [
        STALE,
        NEAR,
        {"outcome": "observe_only"},
        {"quality": (Quality.BLOCKED_BY_GATE,)},
        {"stale_share": Decimal("0.3001")},
        {"alerts": (AlertFlag.MISSING_DATA,)},
    ],
)
def test_a_cycle_that_was_not_healthy_begins_the_count_anew(trouble: dict[str, Any]) -> None:
    run = a_run(turnover_per_cycle_max=Decimal(100))
    run.cycles(2)
    run.cycle(**trouble)
    run.cycles(2)
    assert run.tuning.universe_size == 20
    run.cycle()
    assert run.tuning.universe_size == 21


def test_one_quiet_symbol_among_many_and_a_wide_spread_are_no_trouble() -> None:
    run = a_run()
    run.cycles(3, stale_share=Decimal("0.3"), quality=(Quality.STALE_DATA, Quality.SPREAD_SPIKE))
    assert run.tuning.universe_size == 21


def test_turnover_stays_a_whole_number_of_kurus_however_often_it_grows() -> None:
    run = a_run(turnover_per_cycle_max=Decimal("333.33"))
    run.cycles(130)
    assert run.tuning.turnover_per_cycle_max == Decimal(2000), "the bound, reached without losing a digit on the way"
    amounts = {step.course.tuning.turnover_per_cycle_max for step in run.steps}
    assert all(amount * 100 == int(amount * 100) for amount in amounts) and len(amounts) > 20


# -- trouble narrows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (REFUSED, [("order_offset_bps", "5", "3", "APPLIED")]),
        (THROTTLED, [("orders_per_cycle_max", "4", "3", "APPLIED")]),
        (NEAR, [("turnover_per_cycle_max", "1000", "950", "APPLIED")]),
        (MISSING, [("spread_bps_max", "100", "90", "APPLIED"), ("quote_volume_min", "1000", "1100", "APPLIED")]),
    ],
)
def test_each_trouble_has_its_answer(trouble: dict[str, Any], expected: list[tuple[str, str, str, str]]) -> None:
    run = a_run()
    answer = run.cycle(**trouble)
    assert told(answer.changes) == expected
    assert run.tuning.version == 1


def test_the_reason_of_an_answer_says_what_was_seen() -> None:
    answers = [a_run().cycle(**trouble).changes[0].reason for trouble in (REFUSED, THROTTLED, NEAR, MISSING)]
    assert answers == [
        "the venue refused 3 of 4 orders",
        "the venue asked us to wait",
        "drawdown 0.2 is at 80 % of its limit 0.25",
        "2 symbols have never shown a price",
    ]


def test_a_drawdown_below_four_fifths_of_its_limit_changes_nothing() -> None:
    assert a_run().cycle(drawdown_ratio=Decimal("0.199999")).changes == ()


def test_of_many_troubles_at_once_at_most_three_are_answered_and_risk_comes_first() -> None:
    run = a_run()
    everything = {**THROTTLED, **NEAR, "missing_marks": 1, "venue_refused": 3, "submitted": 3}
    everything["alerts"] = (*THROTTLED["alerts"], *REFUSED["alerts"])

    answer = run.cycle(**everything)

    assert [change.field for change in answer.changes] == [
        "turnover_per_cycle_max",
        "orders_per_cycle_max",
        "order_offset_bps",
    ]
    assert len(answer.changes) == CHANGES_MAX


def test_while_there_is_something_to_answer_nothing_grows() -> None:
    run = a_run()
    run.cycles(3, missing_marks=1)  # healthy but for symbols that have no price yet
    assert {change.field for step in run.steps for change in step.changes} == {"spread_bps_max", "quote_volume_min"}


def test_what_trouble_had_narrowed_returns_by_a_step_with_success() -> None:
    run = a_run()
    run.cycle(**THROTTLED)
    assert run.tuning.orders_per_cycle_max == 3
    run.cycles(3)
    assert run.tuning.orders_per_cycle_max == 4
    assert run.steps[-1].changes[-1].reason == "3 healthy cycles in a row; back towards 4"
    run.cycles(6)
    assert run.tuning.orders_per_cycle_max == 4, "and never beyond what the settings gave"


def test_a_parameter_never_returns_beyond_what_the_settings_gave() -> None:
    run = a_run(order_offset_bps=Decimal(1))
    run.cycle(**REFUSED)
    assert run.tuning.order_offset_bps == 0
    run.cycles(3)
    assert run.tuning.order_offset_bps == 1, "half a step"


def test_what_was_rolled_back_does_not_keep_another_parameter_from_returning() -> None:
    run = a_run()
    run.cycle(**THROTTLED)
    run.cycle(**MISSING)
    run.cycles(3)
    assert (run.tuning.orders_per_cycle_max, run.tuning.spread_bps_max) == (4, 90), "orders return first"

    run.cycle(**REFUSED)
    assert run.tuning.orders_per_cycle_max == 3, "and it was no good"
    run.cycles(3)

    assert (run.tuning.orders_per_cycle_max, run.tuning.spread_bps_max) == (3, 100)


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_a_step_that_would_leave_the_bounds_ends_at_the_bound() -> None:
    run = a_run(order_offset_bps=Decimal(1))
    assert told(run.cycle(**REFUSED).changes) == [("order_offset_bps", "1", "0", "APPLIED")]


def test_a_change_beyond_the_bounds_is_refused_with_its_reason_and_told_once() -> None:
    run = a_run(order_offset_bps=Decimal(0))

    first, second = run.cycle(**REFUSED), run.cycle(**REFUSED)

    assert told(first.changes) == [("order_offset_bps", "0", "-2", "REJECTED")]
    assert first.changes[0].reason == "the venue refused 3 of 4 orders; -2 is outside 0 to 50"
    assert first.changes[0].from_version == first.changes[0].to_version == 0
    assert second.changes == (), "a history of refusals that repeat themselves tells nothing"
    assert run.tuning == replace(START, order_offset_bps=Decimal(0))


def test_a_refused_change_is_told_again_once_its_parameter_has_moved() -> None:
    run = a_run(spread_bps_max=Decimal(20))
    run.cycles(4, **MISSING)
    run.cycles(3)
    assert run.tuning.spread_bps_max == 20
    run.cycles(4, **MISSING)
    told_of_spread = [
        change.outcome for step in run.steps for change in step.changes if change.field == "spread_bps_max"
    ]
    assert told_of_spread == [APPLIED, REJECTED, APPLIED, APPLIED, REJECTED]


def test_settings_outside_their_bounds_are_named_with_both() -> None:
    found = outside(replace(START, universe_size=3, spread_bps_max=Decimal(1000)), RULES.bounds)
    assert [(field, value, bound.least, bound.most) for field, value, bound in found] == [
        ("universe_size", 3, 5, 50),
        ("spread_bps_max", 1000, 10, 500),
    ]
    assert not outside(START, RULES.bounds)


# -- rollback --------------------------------------------------------------------------------------------------------


def a_grown_run() -> Run:
    run = a_run()
    run.cycles(3)
    assert run.tuning.universe_size == 21
    return run


@pytest.mark.parametrize(
    ("troubles", "reason"),
    [
        ([BREACH], "drawdown_breach: 0.25 is at the limit 0.25"),
        ([REFUSED], "reject_spike: the venue refused 3 of 4 orders"),
    ],
)
def test_what_has_not_proved_itself_is_rolled_back_with_the_reason(troubles: list[dict[str, Any]], reason: str) -> None:
    run = a_grown_run()

    for trouble in troubles:
        taken_back = run.cycle(**trouble)

    assert told(taken_back.changes) == [
        ("universe_size", "21", "20", "ROLLED_BACK"),
        ("turnover_per_cycle_max", "1050", "1000", "ROLLED_BACK"),
    ]
    assert {change.reason for change in taken_back.changes} == {reason}
    assert run.tuning == START, "the checkpoint itself, under its own version"


def test_three_throttled_cycles_in_a_row_roll_back() -> None:
    run = a_grown_run()
    run.cycles(2, **THROTTLED)
    assert (run.tuning.universe_size, run.tuning.orders_per_cycle_max) == (21, 2), "two are answered"

    taken_back = run.cycle(**THROTTLED)

    assert taken_back.changes[0].reason == "throttled: the venue asked us to wait in 3 cycles in a row"
    assert run.tuning == START


def test_three_cycles_beyond_the_loss_limit_roll_back_and_two_do_not() -> None:
    run = a_grown_run()
    run.cycles(2, net_pnl=Decimal("-50.01"), **STALE)
    run.cycle(net_pnl=Decimal("-50"), **STALE)
    assert run.tuning.universe_size > 20, "at the limit is not beyond it"
    run.cycles(2, net_pnl=Decimal("-60"), **STALE)
    assert run.tuning.universe_size > 20

    taken_back = run.cycle(net_pnl=Decimal("-61.5"), **STALE)

    assert taken_back.changes[0].outcome is ROLLED_BACK
    assert taken_back.changes[0].reason == (
        "losses: 61.5 TRY lost since the checkpoint was left, 3 cycles beyond the limit"
    )


def test_the_loss_is_counted_from_the_checkpoint_however_often_parameters_changed_since() -> None:
    run = a_grown_run()
    run.cycle(net_pnl=Decimal(-40), **THROTTLED)
    run.cycles(3, net_pnl=Decimal(-60), **STALE)
    assert run.steps[-1].changes[0].reason.startswith("losses: 60 TRY lost")
    assert run.tuning == START


def test_a_loss_of_long_ago_is_not_held_against_parameters_that_came_later() -> None:
    run = a_run()
    run.cycles(6, net_pnl=Decimal(-5000))
    assert run.tuning.universe_size == 22
    run.cycles(2, net_pnl=Decimal(-5049), **STALE)
    run.cycle(net_pnl=Decimal(-5049), **STALE)
    assert not any(change.outcome is ROLLED_BACK for step in run.steps for change in step.changes)


def test_a_checkpoint_without_whole_result_counts_its_loss_from_the_first_one() -> None:
    run = a_run()
    run.cycles(3, net_pnl=None)
    assert run.course.pnl_when_left is None
    run.cycle(net_pnl=Decimal(-700), **STALE)
    assert run.course.pnl_when_left == Decimal(-700)


def test_a_rollback_never_raises_the_turnover_that_trouble_has_lowered() -> None:
    run = a_run()
    run.cycles(2, **NEAR)
    assert run.tuning.turnover_per_cycle_max == Decimal("902.5")
    run.cycle(**MISSING)

    run.cycle(net_pnl=Decimal(-2500), **BREACH)

    assert run.tuning.turnover_per_cycle_max == Decimal("902.5")
    assert run.course.pnl_when_left == Decimal(-2500), "what was lost before is not lost by what is left"
    assert replace(run.tuning, turnover_per_cycle_max=Decimal(1000), version=0) == START, "all else is the checkpoint's"
    assert run.tuning.version == 4
    assert run.cycle(**BREACH).changes == (), "nothing is left to take back"


def test_at_the_good_checkpoint_there_is_nothing_to_roll_back_and_a_breach_changes_nothing() -> None:
    run = a_run()
    run.cycles(20, **BREACH)
    assert run.tuning == START
    assert not [change for step in run.steps for change in step.changes]


def test_a_rollback_goes_back_to_what_had_proved_itself_not_to_the_beginning() -> None:
    run = a_run()
    run.cycles(6)
    assert (run.course.good.universe_size, run.tuning.universe_size) == (21, 22)
    run.cycle(**BREACH)
    assert run.tuning == run.course.good
    assert run.tuning.universe_size == 21


# -- nothing flaps ---------------------------------------------------------------------------------------------------


def test_a_direction_that_was_taken_back_is_left_alone_for_ten_quiet_cycles() -> None:
    run = a_grown_run()
    run.cycle(**BREACH)
    assert run.course.left_alone == {"universe_size:up": 10, "turnover_per_cycle_max:up": 10}

    run.cycles(9)
    assert run.tuning == START
    assert [change.outcome for step in run.steps[4:] for change in step.changes] == [REJECTED, REJECTED], (
        "and told once"
    )
    assert run.steps[6].changes[0].reason == (
        "3 healthy cycles in a row; was rolled back; left alone until 7 more cycles were quiet"
    )

    run.cycle()
    assert run.tuning.universe_size == 21


def test_directions_of_earlier_rollbacks_are_left_alone_beside_those_of_later_ones() -> None:
    run = a_grown_run()
    run.cycle(**BREACH)
    run.cycle(**MISSING)
    run.cycle(**BREACH)
    assert run.course.left_alone == {
        "universe_size:up": 9,
        "turnover_per_cycle_max:up": 9,
        "spread_bps_max:down": 10,
        "quote_volume_min:up": 10,
    }


def test_as_long_as_the_trouble_lasts_the_quiet_cycles_are_not_counted() -> None:
    run = a_grown_run()
    run.cycles(50, **BREACH)
    assert run.course.left_alone == {"universe_size:up": 10, "turnover_per_cycle_max:up": 10}
    assert sum(len(step.changes) for step in run.steps[3:]) == 2, "one rollback of two fields, and then quiet"


def test_refusals_that_last_for_ever_do_not_swing_the_offset_to_and_fro() -> None:
    run = a_run()
    run.cycles(100, **REFUSED)
    outcomes = [(change.before, change.after, change.outcome) for step in run.steps for change in step.changes]
    assert outcomes[:2] == [("5", "3", APPLIED), ("3", "5", ROLLED_BACK)]
    assert [outcome for _, _, outcome in outcomes[2:]] == [REJECTED], "tried once, taken back, and then left alone"


# -- the same run ----------------------------------------------------------------------------------------------------


def test_the_same_run_makes_the_same_changes_with_the_same_ids() -> None:
    def ids() -> list[str]:
        run = a_grown_run()
        for trouble in (THROTTLED, BREACH, HEALTHY, REFUSED, MISSING):
            run.cycle(**trouble)
        return [change.change_id for step in run.steps for change in step.changes]

    assert ids() == ids()
    assert len(set(ids())) == len(ids())
    assert ids()[0].startswith("chg:c00000003:0-1:")
