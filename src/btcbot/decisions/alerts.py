"""Alerts: what the samples of past cycles say, held against the rules.

The memory goes from cycle to cycle and, but for observations of histograms, from process to process. It is bounded: the
increments of a counter are merged into steps of `GRAIN_MS`, and steps and observations that no rule's window reaches
any more are dropped. Times are ours; a clock that was set back makes the memory begin anew from what is certain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from btcbot.decisions.alert_rules import RULES
from btcbot.domain.alerts import RANK, REPEAT_AFTER_S, Alert, AlertRule, Measure, Sample, Series, Severity

#: Increments that lie so close together are one step.
GRAIN_MS: Final = 10_000
#: Observations of one histogram that are remembered, the newest.
OBSERVATIONS_MAX: Final = 512
#: A process that follows another one so soon goes on with its windows; after a longer rest nothing is known of between.
RESTART_GAP_MS_MAX: Final = 120_000


class Told(msgspec.Struct, frozen=True):
    """When a trouble was told last, and how bad it was."""

    at_ms: int
    severity: Severity


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """`sampled_at_ms` of the newest sample; `since_ms`: from then on without a gap, None before the first sample.

    `steps` by series: (from, to, increment). `held_since_ms` by rule: since when its gauge has stood there, or its
    condition has held. `told` by trouble. `observed` by series: (when, value); it stays in the process.
    """

    sampled_at_ms: int = 0
    since_ms: int | None = None
    steps: Mapping[str, Sequence[tuple[int, int, float]]] = {}
    held_since_ms: Mapping[str, int] = {}
    told: Mapping[str, Told] = {}
    observed: Mapping[str, Sequence[tuple[int, float]]] = {}


def series_of(rules: Sequence[AlertRule]) -> tuple[Series, ...]:
    """Every series that the rules look at, once."""
    return tuple(dict.fromkeys(rule.series for rule in rules))


def after_restart(memory: Memory, now_ms: int) -> Memory:
    """What a new process still knows: everything after a short gap, else only what was told and when."""
    if memory.since_ms is not None and 0 <= now_ms - memory.sampled_at_ms <= RESTART_GAP_MS_MAX:
        return msgspec.structs.replace(memory, observed={})
    return Memory(told=memory.told)


def look(
    memory: Memory, sample: Sample, now_ms: int, rules: Sequence[AlertRule] = RULES
) -> tuple[Memory, Sequence[Alert]]:
    """The memory with this sample, and the alerts to tell now, the worst first."""
    if memory.since_ms is not None and now_ms < memory.sampled_at_ms:
        memory = Memory(told=memory.told)  # the clock was set back: older times mean nothing any more
    held_before, memory = memory.held_since_ms, _with_sample(memory, sample, now_ms, rules)
    held = dict(memory.held_since_ms)
    told = {trouble: last for trouble, last in memory.told.items() if last.at_ms <= now_ms}
    alerts: list[Alert] = []
    for rule in sorted(rules, key=lambda rule: -RANK[rule.severity]):
        value = _fires(rule, memory, sample, now_ms)
        if value is None:
            continue
        if rule.hold_s:
            held[rule.name] = since_ms = held_before.get(rule.name, now_ms)
            if now_ms - since_ms < rule.hold_s * 1000:
                continue
        last = told.get(rule.trouble)
        # A worse one is told at once; a milder one waits out its own pause after the worse one.
        is_no_worse = last is not None and RANK[rule.severity] <= RANK[last.severity]
        if last is not None and is_no_worse and now_ms - last.at_ms < REPEAT_AFTER_S[rule.severity] * 1000:
            continue
        told[rule.trouble] = Told(now_ms, rule.severity)
        alerts.append(
            Alert(
                rule=rule.name,
                severity=rule.severity,
                trouble=rule.trouble,
                value=value,
                condition=rule.condition,
                meaning=rule.meaning,
                todo=rule.todo,
            )
        )
    return msgspec.structs.replace(memory, told=told, held_since_ms=held), alerts


def _with_sample(memory: Memory, sample: Sample, now_ms: int, rules: Sequence[AlertRule]) -> Memory:
    first_ms = now_ms - 1000 * max((rule.window_s for rule in rules), default=0)
    from_ms = memory.sampled_at_ms if memory.since_ms is not None else now_ms
    steps: dict[str, Sequence[tuple[int, int, float]]] = {}
    for key in {*memory.steps, *sample.counted}:
        kept = [step for step in memory.steps.get(key, ()) if step[1] > first_ms]
        amount = sample.counted.get(key, 0.0)
        if amount:
            if kept and now_ms - kept[-1][0] <= GRAIN_MS:
                kept[-1] = (kept[-1][0], now_ms, kept[-1][2] + amount)
            else:
                kept.append((from_ms, now_ms, amount))
        if kept:
            steps[key] = kept
    observed: dict[str, Sequence[tuple[int, float]]] = {}
    for key in {*memory.observed, *sample.observed}:
        seen = [one for one in memory.observed.get(key, ()) if one[0] > first_ms]
        seen.extend((now_ms, value) for value in sample.observed.get(key, ()))
        if seen:
            observed[key] = seen[-OBSERVATIONS_MAX:]
    held: dict[str, int] = {}
    for rule in rules:
        is_known = rule.series.key in sample.gauges  # a new process has not set it yet: it stands as it stood
        if rule.measure is Measure.VALUE and (_standing(rule, sample) is not None or not is_known):
            since_ms = memory.held_since_ms.get(rule.name, now_ms if is_known else None)
            if since_ms is not None:
                held[rule.name] = since_ms
    return Memory(
        sampled_at_ms=now_ms,
        since_ms=now_ms if memory.since_ms is None else memory.since_ms,
        steps=steps,
        held_since_ms=held,
        told=memory.told,
        observed=observed,
    )


def _standing(rule: AlertRule, sample: Sample) -> float | None:
    """The first value of a gauge that is as the rule says, None when none is."""
    values = sample.gauges.get(rule.series.key, ())
    return next((value for value in values if rule.comparison.holds(value, rule.threshold)), None)


def _fires(rule: AlertRule, memory: Memory, sample: Sample, now_ms: int) -> float | None:
    """What was measured, where the rule's condition holds; else None."""
    window_ms = rule.window_s * 1000
    key = rule.series.key
    value: float
    match rule.measure:
        case Measure.VALUE:
            since_ms = memory.held_since_ms.get(rule.name)
            return _standing(rule, sample) if since_ms is not None and now_ms - since_ms >= window_ms else None
        case Measure.DELTA | Measure.RATE_PER_MINUTE:
            within = [step for step in memory.steps.get(key, ()) if step[1] > now_ms - window_ms]
            value = math.fsum(step[2] for step in within)
            if rule.measure is Measure.RATE_PER_MINUTE:
                # A step may reach back beyond the window, when cycles are long: then it is spread over its own time.
                span_ms = max(window_ms, now_ms - within[0][0]) if within else window_ms
                value = value * 60_000 / span_ms
        case Measure.P95:
            seen = sorted(one for at_ms, one in memory.observed.get(key, ()) if at_ms > now_ms - window_ms)
            if not seen:
                return None
            value = seen[math.ceil(0.95 * len(seen)) - 1]
        case Measure.COUNT:
            value = sum(at_ms > now_ms - window_ms for at_ms, _ in memory.observed.get(key, ()))
    if rule.comparison.holds(0.0, rule.threshold) and not _covers(memory, now_ms, window_ms):
        return None  # that nothing happened is known only of a time that was watched
    return value if rule.comparison.holds(value, rule.threshold) else None


def _covers(memory: Memory, now_ms: int, window_ms: int) -> bool:
    return memory.since_ms is not None and now_ms - memory.since_ms >= window_ms
