"""What an alert is: a rule over a metric, what was measured, and what fired.

A rule is data. The same table is evaluated inside the bot at the end of each cycle and written out as rules for
Prometheus; its metrics are those that `metric_catalogue` lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec


class Severity(StrEnum):
    """From the mildest to the worst."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


#: How bad, as a number: more is worse.
RANK: Final[Mapping[Severity, int]] = {severity: rank for rank, severity in enumerate(Severity)}
#: The same trouble is not told again before so many seconds.
REPEAT_AFTER_S: Final[Mapping[Severity, int]] = {
    Severity.CRITICAL: 60,
    Severity.HIGH: 120,
    Severity.MEDIUM: 300,
    Severity.LOW: 600,
}


#: Where each rule has a heading of its own: what it means, where to look, what to do.
HOW_TO: Final = "docs/how-to/woken-at-night.md"


def page_of(rule: str) -> str:
    """The place in the documentation that tells about the rule of this name."""
    return f"{HOW_TO}#{rule}"


class Measure(StrEnum):
    """What of a metric is held against the threshold."""

    VALUE = "value"  # a gauge that stands there for the whole window; any of its series is enough
    DELTA = "delta"  # by how much a counter grew within the window
    RATE_PER_MINUTE = "rate_per_minute"  # the same, by the minute
    P95 = "p95"  # what 95 of 100 observations of a histogram within the window stay below
    COUNT = "count"  # how many observations a histogram was given within the window


class Comparison(StrEnum):
    ABOVE = ">"
    AT_LEAST = ">="
    EQUAL = "=="
    NOT_EQUAL = "!="

    def holds(self, value: float, threshold: float) -> bool:
        match self:
            case Comparison.ABOVE:
                return value > threshold
            case Comparison.AT_LEAST:
                return value >= threshold
            case Comparison.EQUAL:
                return value == threshold
            case Comparison.NOT_EQUAL:
                return value != threshold


class Series(msgspec.Struct, frozen=True):
    """Series of one metric: those whose labels have one of the listed values; labels not named are free."""

    metric: str
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(label) in values for label, values in self.where)

    @property
    def key(self) -> str:
        """As Prometheus selects them."""
        parts = [
            f'{label}="{values[0]}"' if len(values) == 1 else f'{label}=~"{"|".join(values)}"'
            for label, values in self.where
        ]
        return f"{self.metric}{{{','.join(parts)}}}" if parts else self.metric


class AlertRule(msgspec.Struct, frozen=True, kw_only=True):
    """`window_s` in seconds. Rules of one `trouble` tell of the same thing: within its pause only a worse one is told.

    `hold_s`: what is measured within the window has to be as the rule says for so long without a break, so that what
    every start does for a while is no alert; a `value` stands for its whole window anyway. `meaning` and `todo` are for
    whoever is woken.
    """

    name: str
    trouble: str
    series: Series
    measure: Measure
    comparison: Comparison
    threshold: float
    window_s: int
    severity: Severity
    meaning: str
    todo: str
    hold_s: int = 0

    @property
    def condition(self) -> str:
        """In words: `p95 of btcbot_cycle_seconds > 2.5 within 600 s`."""
        span = "for" if self.measure is Measure.VALUE else "within"
        when = f" {span} {self.window_s} s" if self.window_s else ""
        when += f", for {self.hold_s} s" if self.hold_s else ""
        return f"{self.measure.value} of {self.series.key} {self.comparison.value} {self.threshold:g}{when}"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What was recorded since the sample before, by `Series.key`.

    `counted` are increments, never totals: a process that begins again at zero gives no wrong difference. `gauges`
    holds the present value of each series that was ever set, `observed` what histograms were given.
    """

    counted: Mapping[str, float]
    gauges: Mapping[str, tuple[float, ...]]
    observed: Mapping[str, tuple[float, ...]]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One that fired: the body of its note. `value` is what was measured."""

    rule: str
    severity: Severity
    trouble: str
    value: float
    condition: str
    meaning: str
    todo: str
