"""The degrade levels: up at once, down slowly, and a human's word."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW_MS

from btcbot.decisions import degrade
from btcbot.decisions.anomalies import Anomaly, AnomalyCode, Severity
from btcbot.decisions.degrade import DegradeRules, DegradeState
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import FREE, TradingMode

RULES = DegradeRules(
    warn_codes=frozenset({AnomalyCode.STALE_MARKET_DATA, AnomalyCode.ORDER_REJECT_SPIKE}),
    warn_threshold=3,
    cooldown_ms=900_000,
    quiet_cycles=4,
    buy_share=Decimal("0.5"),
    symbols_max=8,
)
WARNING = Anomaly(AnomalyCode.STALE_MARKET_DATA, Severity.WARN, "2 of 4 symbols")
IDLE_WARNING = Anomaly(AnomalyCode.EXCHANGE_LATENCY_SPIKE, Severity.WARN, "2100 ms")
ERROR = Anomaly(AnomalyCode.PNL_DIVERGENCE, Severity.ERROR, "250 TRY less")
BREAKER = Anomaly(AnomalyCode.BREAKER_OPEN, Severity.ERROR, "submit")
MINUTE_MS = 60_000


class Run:
    """A machine and its clock: a cycle a minute."""

    def __init__(self, state: DegradeState | None = None, rules: DegradeRules = RULES) -> None:
        self.state, self.rules, self.now_ms = state or DegradeState(), rules, NOW_MS

    def cycle(self, *anomalies: Anomaly, times: int = 1, **changes: Any) -> int:
        """The level in force after so many cycles that all see the same."""
        facts = {"freeze_active": False, "saw_market": True, **changes}
        for _ in range(times):
            self.now_ms += MINUTE_MS
            self.state = degrade.step(self.state, anomalies, now_ms=self.now_ms, rules=self.rules, **facts)
        return self.level

    @property
    def level(self) -> int:
        return degrade.level_in_force(self.state, self.now_ms)

    def stance(self) -> Any:
        return degrade.stance_of(self.state, self.now_ms, self.rules)

    def override(self, mode: TradingMode, minutes: int) -> None:
        self.state = degrade.overridden(self.state, mode, minutes * MINUTE_MS, "a human says so", self.now_ms)


def test_nothing_unusual_narrows_nothing() -> None:
    run = Run()
    assert run.cycle(times=100) == 0
    assert run.stance() == FREE


def test_so_many_warnings_in_a_row_lead_to_level_1_and_twice_as_many_to_level_2() -> None:
    run = Run()
    assert [run.cycle(WARNING) for _ in range(8)] == [0, 0, 1, 1, 1, 2, 2, 2]


def test_a_quiet_cycle_between_them_breaks_the_row() -> None:
    run = Run()
    for _ in range(20):
        assert run.cycle(WARNING, times=2) == 0
        assert run.cycle() == 0


def test_a_warning_that_is_not_among_those_that_count_narrows_nothing() -> None:
    assert Run().cycle(IDLE_WARNING, times=50) == 0


@pytest.mark.parametrize("anomaly", [ERROR, BREAKER])
def test_an_error_or_an_open_breaker_leads_to_level_3_at_once(anomaly: Anomaly) -> None:
    """mistake 19b: level 3 by BREAKER_OPEN does happen."""
    run = Run()
    assert run.cycle(anomaly) == 3
    assert run.stance().mode is TradingMode.OBSERVE_ONLY
    assert anomaly.code.value in run.stance().reasons[0]


def test_what_each_level_lets_through() -> None:
    stances = [degrade.stance_of(DegradeState(level=level, why="because"), NOW_MS, RULES) for level in range(4)]
    assert stances[0] == FREE
    assert [one.mode for one in stances] == [
        TradingMode.NORMAL, TradingMode.NORMAL, TradingMode.REDUCE_RISK_ONLY, TradingMode.OBSERVE_ONLY
    ]  # fmt: skip
    assert (stances[1].buy_share, stances[1].symbols_max) == (Decimal("0.5"), 8)
    assert all((one.buy_share, one.symbols_max) == (0, 0) for one in stances[2:])
    assert stances[2].reasons == (f"{ReasonCode.DEGRADED.value}: level 2: because",)


def test_the_level_is_kept_for_its_cooldown_and_then_goes_down_one_at_a_time() -> None:
    """Level 3 for 30 minutes, then 4 quiet cycles, 4 more, and 8 from level 1."""
    run = Run()
    run.cycle(ERROR)
    assert run.cycle(times=29) == 3
    assert run.state.quiet_in_a_row == 0
    assert [run.cycle() for _ in range(5)] == [3, 3, 3, 2, 2]
    assert [run.cycle() for _ in range(4)] == [2, 2, 1, 1]
    assert [run.cycle() for _ in range(8)] == [1, 1, 1, 1, 1, 1, 0, 0]
    assert run.state.why == ""


def test_what_led_to_the_level_renews_its_cooldown() -> None:
    run = Run()
    run.cycle(ERROR)
    run.cycle(times=29)
    run.cycle(ERROR)
    assert degrade.cooldown_left_ms(run.state, run.now_ms, RULES) == 2 * RULES.cooldown_ms
    assert run.cycle(times=32) == 3
    assert run.cycle() == 2


def test_a_level_can_rise_within_its_cooldown() -> None:
    run = Run()
    run.cycle(WARNING, times=3)
    assert run.cycle(ERROR) == 3


def test_a_cycle_that_saw_nothing_is_no_quiet_one() -> None:
    run = Run()
    run.cycle(ERROR)
    run.cycle(times=30)
    assert run.cycle(saw_market=False, times=500) == 3
    run = Run()
    run.cycle(WARNING, times=2)
    run.cycle(saw_market=False, times=5)
    run.cycle(IDLE_WARNING, saw_market=False, times=5)
    assert run.cycle(WARNING) == 1  # and it breaks no row of warnings


def test_a_freeze_is_a_real_input_of_the_decision() -> None:
    """mistake 20: it was passed as False, always."""
    run = Run()
    assert run.cycle(freeze_active=True) == 2
    assert run.stance().mode is TradingMode.REDUCE_RISK_ONLY
    assert "nobody can explain" in run.stance().reasons[0]
    assert run.cycle(freeze_active=True, times=100) == 2
    assert run.cycle() == 0  # a human has looked
    assert run.cycle(ERROR, freeze_active=True) == 3


def test_no_cycle_is_quiet_while_orders_are_frozen() -> None:
    run = Run()
    run.cycle(ERROR)
    assert run.cycle(freeze_active=True, times=500) == 3
    assert run.cycle(times=3) == 3
    assert run.cycle() == 2


def test_a_human_narrows_for_a_while() -> None:
    run = Run()
    run.override(TradingMode.OBSERVE_ONLY, minutes=10)
    assert run.stance().reasons == (f"{ReasonCode.DEGRADED.value}: level 3: by the operator: a human says so",)
    assert run.cycle(times=9) == 3
    assert run.cycle() == 0


def test_a_human_who_says_normal_wipes_out_the_past_and_what_comes_counts() -> None:
    run = Run()
    run.cycle(ERROR)
    run.override(TradingMode.NORMAL, minutes=0)
    assert run.level == 0
    assert run.cycle(times=5) == 0
    assert run.cycle(WARNING, times=3) == 1


def test_normal_for_a_while_holds_against_what_is_seen_and_not_beyond() -> None:
    run = Run()
    run.override(TradingMode.NORMAL, minutes=10)
    assert run.cycle(ERROR, times=9) == 0
    assert run.stance() == FREE
    assert run.cycle() == 3


def test_a_clock_that_is_set_back_prolongs_nothing() -> None:
    run = Run()
    run.cycle(ERROR)
    run.override(TradingMode.OBSERVE_ONLY, minutes=60)
    run.now_ms -= 1_000 * MINUTE_MS
    run.cycle()
    assert degrade.cooldown_left_ms(run.state, run.now_ms, RULES) <= 2 * RULES.cooldown_ms
    assert run.cycle(times=60 + 16) == 0


def test_what_cannot_be_read_counts_as_the_strictest() -> None:
    run = Run(degrade.unreadable(NOW_MS))
    assert run.level == 3
    assert run.cycle(times=29) == 3
    assert run.cycle(times=17) == 0


# -- whatever comes --------------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(
        st.sampled_from([(), (WARNING,), (IDLE_WARNING,), (ERROR,), (BREAKER, WARNING)]),
        st.booleans(),  # freeze
        st.booleans(),  # saw the market
        st.integers(-5, 60),  # minutes on the clock, which may be set back
        st.none() | st.tuples(st.sampled_from(list(degrade.LEVEL_OF_MODE)), st.integers(1, 90)),
    ),
    max_size=60,
)
SETTINGS = st.builds(
    DegradeRules,
    warn_codes=st.just(RULES.warn_codes),
    warn_threshold=st.integers(1, 4),
    cooldown_ms=st.integers(1_000, 1_200_000),
    quiet_cycles=st.integers(1, 5),
    buy_share=st.just(RULES.buy_share),
    symbols_max=st.just(8),
)
Event = tuple[tuple[Anomaly, ...], bool, bool, int, tuple[TradingMode, int] | None]


def play(events: Sequence[Event], rules: DegradeRules, *, with_overrides: bool) -> Run:
    run = Run(rules=rules)
    for anomalies, freeze, saw, minutes, override in events:
        if override is not None and with_overrides:
            run.override(*override)
        before = run.state
        run.now_ms += (minutes - 1) * MINUTE_MS
        run.cycle(*anomalies, freeze_active=freeze, saw_market=saw)
        rose = run.state.level > before.level
        assert not rose or any(a.severity is Severity.ERROR or a.code in rules.warn_codes for a in anomalies)
        assert run.state.level >= before.level - 1, "never down by more than one"
        assert not (run.state.level < before.level and (freeze or ERROR in anomalies or WARNING in anomalies))
        assert 0 <= run.state.level <= 3
        if any(a.severity is Severity.ERROR for a in anomalies):
            assert run.state.level == 3
        held = run.state.override
        if held is not None and not held.is_over(run.now_ms):
            assert run.level == held.level, "a human's word wins while it lasts"
            assert run.stance().mode is degrade.MODES[held.level]
        else:
            assert run.level == max(run.state.level, 2 if freeze else 0)
    return run


@given(EVENTS, SETTINGS)
def test_the_level_never_rises_without_a_cause_and_an_override_wins_while_it_lasts(
    events: Sequence[Event], rules: DegradeRules
) -> None:
    play(events, rules, with_overrides=True)


@given(EVENTS, SETTINGS)
def test_it_always_comes_back_to_0_when_it_is_quiet_for_long_enough(
    events: Sequence[Event], rules: DegradeRules
) -> None:
    run = play(events, rules, with_overrides=True)
    at_most = 90 + 2 * rules.cooldown_ms // MINUTE_MS + 1 + 3 * 2 * rules.quiet_cycles + 3
    assert run.cycle(times=at_most) == 0
    assert run.stance() == FREE


@given(EVENTS, SETTINGS)
def test_overrides_leave_no_trace_in_what_the_anomalies_come_to(events: Sequence[Event], rules: DegradeRules) -> None:
    """But for NORMAL, which is meant to."""
    strict = [event for event in events if event[4] is None or event[4][0] is not TradingMode.NORMAL]
    with_them, without = play(strict, rules, with_overrides=True), play(strict, rules, with_overrides=False)
    assert with_them.state.level == without.state.level
