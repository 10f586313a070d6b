"""Alerts: a trader is woken when something is wrong, once, and not because a market is quiet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from btcbot.decisions import alerts
from btcbot.decisions.alert_rules import RULES
from btcbot.decisions.alerts import Memory
from btcbot.decisions.cycle_cause import CycleCause
from btcbot.domain.alerts import RANK, REPEAT_AFTER_S, AlertRule, Comparison, Measure, Sample, Series, Severity
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.metric_catalogue import CATALOGUE, MetricKind
from btcbot.services.risk_budget import LIMITS

KINDS = {
    Measure.VALUE: MetricKind.GAUGE,
    Measure.DELTA: MetricKind.COUNTER,
    Measure.RATE_PER_MINUTE: MetricKind.COUNTER,
    Measure.P95: MetricKind.HISTOGRAM,
    Measure.COUNT: MetricKind.HISTOGRAM,
}
BY_NAME = {rule.name: rule for rule in RULES}
START_MS = 1_700_000_000_000


class Night:
    """Cycles one after the other; says which alerts each of them fired."""

    def __init__(self, *names: str, rules: Sequence[AlertRule] = RULES, memory: Memory | None = None) -> None:
        self.rules = [rule for rule in rules if not names or rule.name in names]
        self.memory = memory or Memory()
        self.now_ms = START_MS

    def after(
        self,
        seconds: float,
        *,
        counted: Mapping[str, float] | None = None,
        gauges: Mapping[str, float] | None = None,
        observed: Mapping[str, Sequence[float]] | None = None,
    ) -> list[str]:
        self.now_ms += int(seconds * 1000)
        by_key = {rule.name: rule.series.key for rule in self.rules}
        sample = Sample(
            counted={by_key[name]: amount for name, amount in (counted or {}).items()},
            gauges={by_key[name]: (value,) for name, value in (gauges or {}).items()},
            observed={by_key[name]: tuple(values) for name, values in (observed or {}).items()},
        )
        self.memory, fired = alerts.look(self.memory, sample, self.now_ms, self.rules)
        return [alert.rule for alert in fired]

    def restart(self, seconds: float) -> None:
        """The process ends, and another one begins `seconds` later with what was kept."""
        self.now_ms += int(seconds * 1000)
        self.memory = alerts.after_restart(self.memory, self.now_ms)


class TestTheTable:
    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
    def test_every_rule_looks_at_a_metric_that_is_really_recorded(self, rule: AlertRule) -> None:
        """mistake 19. Every line of the catalogue is recorded: another test sees to that."""
        entry = CATALOGUE[rule.series.metric]
        assert entry.kind is KINDS[rule.measure]
        assert {label for label, _ in rule.series.where} <= set(entry.labels)

    def test_label_values_are_those_that_the_program_uses(self) -> None:
        gates = {code.value.removeprefix("gate_closed:") for code in ReasonCode}
        for rule in RULES:
            for label, values in rule.series.where:
                if label == "gate":
                    assert set(values) <= gates
                if label == "cause":
                    assert set(values) <= {cause.value for cause in CycleCause}
                if label == "limit":
                    assert set(values) <= set(LIMITS)
                if label == "state":
                    assert set(values) <= {state.value for state in TradingState}

    def test_names_are_single_and_every_measure_is_used(self) -> None:
        assert len(BY_NAME) == len(RULES)
        assert {rule.measure for rule in RULES} == set(Measure)

    def test_rules_of_one_series_and_one_measure_differ_in_severity(self) -> None:
        seen = [(rule.series, rule.measure, rule.severity) for rule in RULES]
        assert len(set(seen)) == len(seen)


class TestWindows:
    def test_a_quiet_market_never_fires_stuck_cycles(self) -> None:
        """mistake 19: hours in which cycles complete and nothing is ordered."""
        night = Night()
        for _ in range(2_000):
            assert night.after(10, counted={"stuck_cycles": 1}, observed={"cycle_latency_high": [0.02]}) == []

    def test_cycles_that_never_complete_do(self) -> None:
        night = Night("stuck_cycles")
        fired = [night.after(30) for _ in range(22)]
        assert fired.index(["stuck_cycles"]) == 20, "ten minutes after the first cycle, no sooner"

    def test_one_cycle_in_a_quarter_of_an_hour_is_not_stuck(self) -> None:
        night = Night("stuck_cycles")
        assert not any(night.after(900, counted={"stuck_cycles": 1}) for _ in range(20))

    def test_windows_live_across_cycles_and_are_not_rebuilt(self) -> None:
        """mistake 19: one refused order in each of many cycles comes to a rate."""
        night = Night("reject_spike")
        fired = [night.after(10, counted={"reject_spike": 1}) for _ in range(40)]
        assert fired[0] == [] and ["reject_spike"] in fired, "6 a minute is above 3, once the window has seen it"
        assert fired.index(["reject_spike"]) == 30, "31 in ten minutes are above 3 a minute"

    def test_a_rate_falls_again(self) -> None:
        night = Night("reject_spike")
        for _ in range(60):
            night.after(10, counted={"reject_spike": 1})
        night.after(700)
        assert night.after(10) == []
        assert night.memory.steps == {}, "nothing is kept that no window reaches"

    def test_delta_is_growth_and_no_total(self) -> None:
        """mistake 19. Five connections an hour ago, and one now, are no burst."""
        night = Night("ws_disconnect_burst")
        assert night.after(0, counted={"ws_disconnect_burst": 5}) == []
        assert night.after(3600, counted={"ws_disconnect_burst": 1}) == []
        assert night.after(10, counted={"ws_disconnect_burst": 5}) == ["ws_disconnect_burst"]

    def test_a_gauge_has_to_stand_for_the_whole_window(self) -> None:
        night = Night("breaker_open_persistent")
        assert night.after(0, gauges={"breaker_open_persistent": 1}) == []
        assert night.after(200, gauges={"breaker_open_persistent": 0}) == []
        assert night.after(10, gauges={"breaker_open_persistent": 1}) == []
        assert night.after(299, gauges={"breaker_open_persistent": 1}) == []
        assert night.after(1, gauges={"breaker_open_persistent": 1}) == ["breaker_open_persistent"]

    def test_a_halt_is_told_at_once(self) -> None:
        assert Night("halted").after(0, gauges={"halted": 1}) == ["halted"]

    def test_a_start_with_many_pairs_is_no_fallback_to_rest(self) -> None:
        """Until each book has been compared, thirty in a minute, quotes come from REST: that woke somebody at every
        start with twenty pairs."""
        night = Night("ws_rest_fallback")
        for _ in range(60):
            assert night.after(2, counted={"ws_rest_fallback": 40}) == []
        for _ in range(600):
            assert night.after(2) == []

    def test_quotes_that_keep_coming_from_rest_are_told_after_five_minutes(self) -> None:
        night = Night("ws_rest_fallback")
        fired = [night.after(10, counted={"ws_rest_fallback": 2}) for _ in range(40)]
        assert fired.index(["ws_rest_fallback"]) == 32, "three cycles until it is 6 a minute, then 300 s"

    def test_a_fallback_that_pauses_begins_anew(self) -> None:
        night = Night("ws_rest_fallback")
        for _ in range(4):
            for _ in range(28):
                assert night.after(10, counted={"ws_rest_fallback": 2}) == []
            assert night.after(90) == []

    def test_a_fallback_goes_on_across_a_restart(self) -> None:
        night = Night("ws_rest_fallback")
        for _ in range(28):
            assert night.after(10, counted={"ws_rest_fallback": 2}) == []
        night.restart(20)
        assert [night.after(10, counted={"ws_rest_fallback": 2}) for _ in range(3)][-1] == ["ws_rest_fallback"]

    def test_ninety_five_of_a_hundred(self) -> None:
        night = Night("cycle_latency_high")
        assert night.after(10, observed={"cycle_latency_high": [0.1] * 95 + [9.0] * 5}) == []
        assert night.after(10, observed={"cycle_latency_high": [9.0]}) == ["cycle_latency_high"]
        assert Night("cycle_latency_high").after(10) == [], "without an observation nothing is known"

    def test_the_memory_is_bounded(self) -> None:
        night = Night()
        for _ in range(5_000):
            night.after(0.25, counted={"stuck_cycles": 1}, observed={"cycle_latency_high": [0.01]})
        assert all(len(steps) <= 62 for steps in night.memory.steps.values())
        assert all(len(seen) <= alerts.OBSERVATIONS_MAX for seen in night.memory.observed.values())


class TestRepeats:
    def test_the_same_trouble_is_told_again_after_its_pause(self) -> None:
        night = Night("halted")
        told = [night.after(10, gauges={"halted": 1}) for _ in range(13)]
        assert [number for number, fired in enumerate(told) if fired] == [0, 6, 12], "critical: every 60 s"

    def test_a_worse_one_is_told_at_once_and_a_milder_one_keeps_quiet(self) -> None:
        night = Night("cycle_latency_high", "cycle_stalled")
        assert night.after(10, observed={"cycle_latency_high": [5.0]}) == ["cycle_latency_high"]
        assert night.after(10, observed={"cycle_latency_high": [50.0] * 30}) == ["cycle_stalled"]
        assert night.after(10, observed={"cycle_latency_high": [50.0]}) == []

    def test_pauses_grow_as_severity_falls(self) -> None:
        pauses = [REPEAT_AFTER_S[severity] for severity in sorted(Severity, key=lambda one: RANK[one])]
        assert pauses == [600, 300, 120, 60]


class TestRestarts:
    def test_counters_are_differenced_right_across_a_restart(self) -> None:
        """A process that begins again at zero: four connections before, two after are six within five minutes."""
        night = Night("ws_disconnect_burst")
        assert night.after(10, counted={"ws_disconnect_burst": 4}) == []
        night.restart(20)
        assert night.after(10, counted={"ws_disconnect_burst": 2}) == ["ws_disconnect_burst"]

    def test_a_restart_repeats_nothing_within_the_pause(self) -> None:
        night = Night("halted")
        assert night.after(10, gauges={"halted": 1}) == ["halted"]
        night.restart(20)
        assert night.after(10, gauges={"halted": 1}) == []
        assert night.after(30, gauges={"halted": 1}) == ["halted"]

    def test_what_stood_before_a_restart_still_stands_when_it_is_seen_again(self) -> None:
        night = Night("breaker_open_persistent")
        night.after(0, gauges={"breaker_open_persistent": 1})
        night.after(250, gauges={"breaker_open_persistent": 1})
        night.restart(30)
        assert night.after(0) == [], "not known yet"
        assert night.after(30, gauges={"breaker_open_persistent": 1}) == ["breaker_open_persistent"]

    def test_a_night_without_the_bot_is_not_ten_minutes_of_stuck_cycles(self) -> None:
        night = Night("stuck_cycles")
        for _ in range(100):
            night.after(10, counted={"stuck_cycles": 1})
        night.restart(8 * 3600)
        assert night.after(1) == []
        assert night.after(30) == []

    def test_a_clock_that_was_set_back_neither_storms_nor_silences(self) -> None:
        night = Night("halted")
        assert night.after(0, gauges={"halted": 1}) == ["halted"]
        assert night.after(-86_400, gauges={"halted": 1}) == ["halted"], "what was told lies in the future: told anew"
        assert night.after(10, gauges={"halted": 1}) == []


def test_a_rule_may_compare_in_each_way() -> None:
    for comparison, holds in zip(Comparison, ((1, 0), (1, 1), (0, 1), (1, 0)), strict=True):
        assert (comparison.holds(2, 1), comparison.holds(1, 1)) == tuple(map(bool, holds))


def test_a_series_is_told_as_prometheus_selects_it() -> None:
    series = Series("m", (("a", ("x",)), ("b", ("y", "z"))))
    assert series.key == 'm{a="x",b=~"y|z"}'
    assert series.matches({"a": "x", "b": "z", "c": "1"})
    assert not series.matches({"a": "x", "b": "w"})
