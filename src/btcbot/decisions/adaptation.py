"""Adaptation: how the parameters in force answer to what the last cycles came to.

Trouble narrows: refusals bring orders closer to the market, a venue that asks us to wait lowers the number of orders,
a drawdown near its limit the turnover, missing prices make the choice of symbols stricter. Quiet success widens, a
little, and only what has proved itself: a set of parameters becomes the *good* checkpoint after some healthy cycles
under it, and only from there may it grow. Then, too, one parameter that trouble had narrowed returns by a step towards
the settings as given.

What does not prove itself is rolled back: when the drawdown limit is broken, refusals pile up, the venue throttles
cycle after cycle, or the set loses money, the good checkpoint is put back. One thing it never does is raise the
turnover: money that trouble has taken out of the way stays out until success brings it back. The directions that were
taken back are then left alone for some cycles, and these are counted only while no cause of a rollback is there:
nothing swings to and fro as long as the trouble lasts. While such a cause is there and nothing is left to roll back,
nothing is changed either (a pile of refusals may still bring orders closer to the market, once).

Everything here is a pure function of the last metrics and the course so far, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import takewhile
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.adaptation import (
    Cause,
    Change,
    ChangeOutcome,
    Course,
    Rules,
    Step,
    change_of,
    direction,
)
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.money import plain
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.run_metrics import AlertFlag, Quality, RunMetrics
from btcbot.domain.stance import TradingMode
from btcbot.domain.tuning import TUNED, Tuning, amount_of, with_amount

#: Of one cycle, at most.
CHANGES_MAX: Final = 3
UNIVERSE_STEP: Final = money.ONE
ORDERS_STEP: Final = money.ONE
#: Turnover is told to the kuruş.
TURNOVER_PLACES: Final = 2
#: Among many symbols one is always quiet; more than this share of them without a fresh quote is not healthy.
STALE_SHARE_MAX: Final = Decimal("0.3")
_UNHEALTHY: Final = frozenset({Quality.MISSING_MARK_PRICE, Quality.THROTTLED, Quality.BLOCKED_BY_GATE})


class _Wish(msgspec.Struct, frozen=True):
    field: str
    value: Decimal
    reason: str


def is_healthy(metrics: RunMetrics, rules: Rules) -> bool:
    """Completed, not degraded, on data that are fresh enough, without an alert, and not near the drawdown limit."""
    return (
        metrics.outcome == CycleOutcome.COMPLETED.value
        and metrics.mode is TradingMode.NORMAL
        and not any(reason.startswith(ReasonCode.DEGRADED.value) for reason in metrics.narrowed_by)
        and not metrics.alerts
        and metrics.stale_share <= STALE_SHARE_MAX
        and _UNHEALTHY.isdisjoint(metrics.quality)
        and not _is_near_drawdown(metrics, rules)
    )


def step(course: Course, window: Sequence[RunMetrics], rules: Rules) -> Step:
    """What the newest of the metrics in `window` (oldest first, at most `WINDOW`) changes."""
    now = window[-1]
    causes = causes_of(course, window, rules)
    if causes and (fields := _to_take_back(course)):
        return _rolled_back(course, now, fields, causes, rules)
    if course.is_unproven and course.pnl_when_left is None and now.net_pnl is not None:
        course = msgspec.structs.replace(course, pnl_when_left=now.net_pnl)
    healthy = _in_a_row(window, lambda each: is_healthy(each, rules) and _is_under(each, course.tuning))
    became_good = course.is_unproven and healthy >= rules.good_cycles
    if became_good:
        course = msgspec.structs.replace(course, good=course.tuning, pnl_when_left=None)
    if not causes and course.left_alone:
        left = {key: cycles - 1 for key, cycles in course.left_alone.items() if cycles > 1}
        course = msgspec.structs.replace(course, left_alone=left)
    wishes: Sequence[_Wish] = ()
    if set(causes) <= {Cause.REJECT_SPIKE}:
        wishes = _answers(course.tuning, now, rules)
        if not wishes and healthy >= rules.healthy_cycles and not course.is_unproven:
            wishes = _growth(course, healthy, rules)
    course, changes = _applied(course, now, wishes[:CHANGES_MAX], rules)
    return Step(course=course, changes=changes, became_good=became_good, causes=causes)


def causes_of(course: Course, window: Sequence[RunMetrics], rules: Rules) -> tuple[Cause, ...]:
    """What is there now that would roll back."""
    now = window[-1]
    found = []
    if now.drawdown_ratio >= rules.drawdown_ratio_max:
        found.append(Cause.DRAWDOWN_BREACH)
    if AlertFlag.REJECT_SPIKE in now.alerts:
        found.append(Cause.REJECT_SPIKE)
    if _in_a_row(window, lambda each: each.throttled) >= rules.throttled_cycles:
        found.append(Cause.THROTTLED)
    if _in_a_row(window, lambda each: _is_losing(each, course, rules)) >= rules.losing_cycles:
        found.append(Cause.LOSSES)
    return tuple(found)


def _is_losing(metrics: RunMetrics, course: Course, rules: Rules) -> bool:
    """Whether the parameters since the good checkpoint stood at a loss beyond the limit after this cycle."""
    if metrics.net_pnl is None or course.pnl_when_left is None:
        return False
    return metrics.net_pnl - course.pnl_when_left < -rules.loss_max


def _is_under(metrics: RunMetrics, tuning: Tuning) -> bool:
    return metrics.tuning_version == tuning.version


def _is_near_drawdown(metrics: RunMetrics, rules: Rules) -> bool:
    return metrics.drawdown_ratio >= rules.drawdown_ratio_max * rules.drawdown_share


def _in_a_row(window: Sequence[RunMetrics], holds: Callable[[RunMetrics], bool]) -> int:
    """For how many of the newest it holds."""
    return sum(1 for _ in takewhile(holds, reversed(window)))


def _answers(tuning: Tuning, now: RunMetrics, rules: Rules) -> Sequence[_Wish]:
    """Trouble narrows; what touches risk most comes first, should there be more than a cycle may change."""
    found = []
    if _is_near_drawdown(now, rules):
        part = plain(rules.drawdown_share * 100)
        why = f"drawdown {plain(now.drawdown_ratio)} is at {part} % of its limit {plain(rules.drawdown_ratio_max)}"
        shrunk = money.round_down(tuning.turnover_per_cycle_max * (money.ONE - rules.turnover_step), TURNOVER_PLACES)
        found.append(_Wish("turnover_per_cycle_max", shrunk, why))
    if now.throttled:
        orders = Decimal(tuning.orders_per_cycle_max) - ORDERS_STEP
        found.append(_Wish("orders_per_cycle_max", orders, "the venue asked us to wait"))
    if AlertFlag.REJECT_SPIKE in now.alerts:
        why = f"the venue refused {now.venue_refused} of {now.submitted} orders"
        found.append(_Wish("order_offset_bps", tuning.order_offset_bps - rules.offset_step_bps, why))
    if now.missing_marks:
        why = f"{now.missing_marks} symbols have never shown a price"
        found.append(_Wish("spread_bps_max", tuning.spread_bps_max - rules.spread_step_bps, why))
        found.append(_Wish("quote_volume_min", tuning.quote_volume_min + rules.volume_step, why))
    return found


def _growth(course: Course, healthy: int, rules: Rules) -> Sequence[_Wish]:
    """More symbols, more turnover, and a step of one parameter back to where it came from."""
    tuning, why = course.tuning, f"{healthy} healthy cycles in a row"
    grown = money.round_down(tuning.turnover_per_cycle_max * (money.ONE + rules.turnover_step), TURNOVER_PLACES)
    found = [_Wish("turnover_per_cycle_max", grown, why)]
    if rules.candidates is None or tuning.universe_size < rules.candidates:
        found.insert(0, _Wish("universe_size", Decimal(tuning.universe_size) + UNIVERSE_STEP, why))
    steps = {
        "orders_per_cycle_max": ORDERS_STEP,
        "order_offset_bps": rules.offset_step_bps,
        "spread_bps_max": rules.spread_step_bps,
        "quote_volume_min": -rules.volume_step,
    }
    for field, by in steps.items():
        value, given = amount_of(tuning, field), amount_of(course.start, field)
        if (given - value) * by > 0 and not course.left_alone.get(direction(field, value, given)):
            nearer = min(value + by, given) if by > 0 else max(value + by, given)
            return [*found, _Wish(field, nearer, f"{why}; back towards {plain(given)}")]
    return found


def _applied(
    course: Course, now: RunMetrics, wishes: Sequence[_Wish], rules: Rules
) -> tuple[Course, tuple[Change, ...]]:
    """Each wish within its bounds, or refused with the reason; a refusal goes on record once, until the field moves."""
    before = course.tuning
    version = course.last_version + 1
    tuning, told = before, list(course.told)
    done: list[tuple[_Wish, Decimal]] = []
    refused: list[tuple[_Wish, str]] = []
    for wish in wishes:
        value, bound = amount_of(before, wish.field), rules.bounds[wish.field]
        within = min(max(wish.value, bound.least), bound.most)
        key = direction(wish.field, value, wish.value)
        if cycles := course.left_alone.get(key):
            why = f"was rolled back; left alone until {cycles} more cycles were quiet"
        elif within == value:
            why = f"{plain(wish.value)} is outside {plain(bound.least)} to {plain(bound.most)}"
        else:
            tuning = with_amount(tuning, wish.field, within)
            done.append((wish, within))
            told = [each for each in told if not each.startswith(f"{wish.field}:")]
            continue
        if key not in told:
            told.append(key)
            refused.append((wish, f"{wish.reason}; {why}"))
    to_version = version if done else before.version
    changes = [
        _change(now, before, wish.field, within, to_version, ChangeOutcome.APPLIED, wish.reason)
        for wish, within in done
    ]
    changes += [
        _change(now, before, wish.field, wish.value, before.version, ChangeOutcome.REJECTED, why)
        for wish, why in refused
    ]
    course = msgspec.structs.replace(course, told=tuple(told))
    if done:
        course = msgspec.structs.replace(
            course,
            tuning=msgspec.structs.replace(tuning, version=version),
            last_version=version,
            pnl_when_left=course.pnl_when_left if course.is_unproven else now.net_pnl,
        )
    return course, tuple(changes)


def _to_take_back(course: Course) -> Sequence[str]:
    """What a rollback would change. A turnover that is below the checkpoint's stays where it is."""
    return [
        field
        for field in TUNED
        if (value := amount_of(course.tuning, field)) != (good := amount_of(course.good, field))
        and not (field == "turnover_per_cycle_max" and value < good)
    ]


def _rolled_back(
    course: Course, now: RunMetrics, fields: Sequence[str], causes: tuple[Cause, ...], rules: Rules
) -> Step:
    """The good checkpoint under its own version; or, where its turnover is not to come back, a new set."""
    before, good = course.tuning, course.good
    reason = "; ".join(_told(cause, course, now, rules) for cause in causes)
    left_alone = dict(course.left_alone)
    for field in fields:
        left_alone[direction(field, amount_of(good, field), amount_of(before, field))] = rules.quiet_cycles
    tuning, last_version = good, course.last_version
    if before.turnover_per_cycle_max < good.turnover_per_cycle_max:
        last_version += 1
        tuning = msgspec.structs.replace(
            good, version=last_version, turnover_per_cycle_max=before.turnover_per_cycle_max
        )
    after = Course(
        start=course.start,
        tuning=tuning,
        good=good,
        last_version=last_version,
        pnl_when_left=None if tuning is good else now.net_pnl,
        left_alone=left_alone,
    )
    return Step(
        course=after,
        changes=tuple(
            _change(now, before, field, amount_of(good, field), tuning.version, ChangeOutcome.ROLLED_BACK, reason)
            for field in fields
        ),
        causes=causes,
    )


def _told(cause: Cause, course: Course, now: RunMetrics, rules: Rules) -> str:
    match cause:
        case Cause.DRAWDOWN_BREACH:
            facts = f"{plain(now.drawdown_ratio)} is at the limit {plain(rules.drawdown_ratio_max)}"
        case Cause.REJECT_SPIKE:
            facts = f"the venue refused {now.venue_refused} of {now.submitted} orders"
        case Cause.THROTTLED:
            facts = f"the venue asked us to wait in {rules.throttled_cycles} cycles in a row"
        case Cause.LOSSES:
            assert now.net_pnl is not None and course.pnl_when_left is not None, "no loss without a result"
            lost = plain(course.pnl_when_left - now.net_pnl)
            facts = f"{lost} TRY lost since the checkpoint was left, {rules.losing_cycles} cycles beyond the limit"
    return f"{cause.value}: {facts}"


def _change(
    now: RunMetrics, before: Tuning, field: str, after: Decimal, to_version: int, outcome: ChangeOutcome, reason: str
) -> Change:
    value = amount_of(before, field)
    return change_of(now.cycle_id, field, plain(value), plain(after), before.version, to_version, outcome, reason)
