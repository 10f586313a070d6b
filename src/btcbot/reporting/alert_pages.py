"""Writes the page on alerts and the rules for Prometheus from the one table: `python -m btcbot.reporting.alert_pages`.

A test compares the committed files with what this module would write, so that they cannot grow old.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from btcbot.decisions.alert_rules import RULES
from btcbot.domain.alerts import REPEAT_AFTER_S, AlertRule, Comparison, Measure, page_of

_HEAD: Final = """# Alerts

<!-- Written by `python -m btcbot.reporting.alert_pages` from `src/btcbot/decisions/alert_rules.py`. -->

At the end of each cycle the bot holds its own metrics against these rules (`ALERTS_ENABLED`). What fires is written
into the database (`btcbot alerts`) and to the log, event `alert`. The windows live as long as the process; increments
of counters and what was told last outlive a quick restart. The same trouble is told again after a pause that depends on
its severity ({pauses}), at once when it got worse.

The same rules for Prometheus stand in `deploy/prometheus/btcbot.rules.yml`, so that somebody is told when the bot
itself is gone. Metrics are turned on with `OBSERVABILITY_ENABLED=true` and
`OBSERVABILITY_METRICS_EXPORTER=prometheus`. Each name leads to its heading in
[Woken at night](../how-to/woken-at-night.md), which tells where to look.

A `value` has to stand for the whole window. `delta` is the growth of a counter within the window, `p95` what 95 of 100
observations stay below, `count` the number of observations. Where a time is named after the window, the condition has
to hold for so long without a break.

| alert | severity | condition | meaning | what to do |
| --- | --- | --- | --- | --- |
"""
_RULES_HEAD: Final = """# Written by `python -m btcbot.reporting.alert_pages`, from src/btcbot/decisions/alert_rules.py.
# Check with: promtool check rules btcbot.rules.yml; promtool test rules btcbot.rules.test.yml
groups:
  - name: btcbot
    rules:
"""


def alerts_page() -> str:
    """`docs/reference/alerts.md` as text."""
    pauses = ", ".join(f"{severity.value} {seconds} s" for severity, seconds in REPEAT_AFTER_S.items())
    return _HEAD.format(pauses=pauses) + "".join(map(_row, RULES))


def _row(rule: AlertRule) -> str:
    page = page_of(rule.name).removeprefix("docs/")
    condition = rule.condition.replace("|", "\\|")
    cells = (f"[`{rule.name}`](../{page})", rule.severity.value, f"`{condition}`", rule.meaning, rule.todo)
    return f"| {' | '.join(cells)} |\n"


def prometheus_rules() -> str:
    """`deploy/prometheus/btcbot.rules.yml` as text. A text in JSON is a text in YAML."""
    return _RULES_HEAD + "".join(map(_prometheus_rule, RULES))


def _prometheus_rule(rule: AlertRule) -> str:
    lines = [f"- alert: btcbot_{rule.name}", f"  expr: {_text(expression(rule))}"]
    hold_s = rule.window_s if rule.measure is Measure.VALUE else rule.hold_s
    hold_s = hold_s or (_SILENCE_S if _tells_silence(rule) else 0)
    if hold_s:
        lines.append(f"  for: {hold_s}s")
    lines += [
        "  labels:",
        f"    severity: {rule.severity.value}",
        "  annotations:",
        f"    summary: {_text(rule.meaning)}",
        f"    description: {_text(rule.todo)}",
        f"    condition: {_text(rule.condition)}",
        f"    runbook: {_text(page_of(rule.name))}",
    ]
    return "".join(f"      {line}\n" for line in lines)


#: A Prometheus that has just been started has not seen anything happen yet.
_SILENCE_S: Final = 60


def _tells_silence(rule: AlertRule) -> bool:
    return rule.measure is not Measure.VALUE and rule.comparison.holds(0.0, rule.threshold)


def expression(rule: AlertRule) -> str:
    """The rule's condition in PromQL."""
    selector, window = rule.series, f"[{rule.window_s}s]"
    comparison = f" {rule.comparison.value} {rule.threshold:g}"
    match rule.measure:
        case Measure.VALUE:
            return selector.key + comparison
        case Measure.DELTA:
            grown = f"sum(increase({selector.key}{window}))"
        case Measure.RATE_PER_MINUTE:
            grown = f"sum(rate({selector.key}{window})) * 60"
        case Measure.COUNT:
            grown = f"sum(increase({_part(rule, 'count')}{window}))"
        case Measure.P95:
            grown = f"histogram_quantile(0.95, sum by (le) (rate({_part(rule, 'bucket')}{window})))"
    if rule.comparison is Comparison.EQUAL and not rule.threshold:
        grown = f"({grown} or vector(0))"  # a series that never was says nothing by itself
    return grown + comparison


def _part(rule: AlertRule, name: str) -> str:
    """The selector of one of the series that a histogram is made of."""
    return rule.series.key.replace(rule.series.metric, f"{rule.series.metric}_{name}", 1)


def _text(text: str) -> str:
    return msgspec.json.encode(text).decode()


PAGES: Final[Mapping[Path, Callable[[], str]]] = {
    Path("docs/reference/alerts.md"): alerts_page,
    Path("deploy/prometheus/btcbot.rules.yml"): prometheus_rules,
}


def write_pages(root: Path) -> None:
    """Write all of them below the project's folder `root`."""
    for path, text in PAGES.items():
        page = root / path
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path.cwd())
