"""Failures in a row that pull the brake, and who may let it go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import NOW_MS

from btcbot.decisions import kill_chain
from btcbot.decisions.kill_chain import (
    CycleFinding,
    Finding,
    KillChainRules,
    KillChainState,
    TurnOff,
    TurnOn,
)
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.reasons import ReasonCode

RULES = KillChainRules(is_enabled=True, failures_max=3, cooldown_ms=0)
QUIET = CycleFinding(
    cycle_id="c00000007",
    outcome=CycleOutcome.COMPLETED,
    reasons=(),
    taken=0,
    refused=0,
    in_doubt=0,
    was_planned=True,
)
TAKEN = replace(QUIET, taken=1)
REFUSED = replace(QUIET, refused=1)
DOUBTED = replace(QUIET, in_doubt=1, taken=1)
RAISED = replace(
    QUIET,
    outcome=CycleOutcome.OBSERVE_ONLY,
    reasons=(f"{ReasonCode.STRATEGY_FAILED.value}: ZeroDivisionError\n\x1b[31m",),
    was_planned=False,
)
HALTED = replace(QUIET, outcome=CycleOutcome.HALTED, reasons=("I10_HOLD: held",), was_planned=False)
DOWN = replace(
    QUIET,
    outcome=CycleOutcome.OBSERVE_ONLY,
    reasons=(f"{ReasonCode.VENUE_UNAVAILABLE.value}: balances: timed out",),
    was_planned=False,
)


class Chain:
    """A chain, its clock (a cycle a minute) and the switch that it shares with people."""

    def __init__(self, rules: KillChainRules = RULES) -> None:
        self.rules, self.state, self.now_ms = rules, KillChainState(), NOW_MS
        self.reason: str | None = None

    def cycle(self, *cycles: CycleFinding, times: int = 1) -> bool:
        """Whether the switch is on after them."""
        for cycle in cycles * times:
            self.now_ms += 60_000
            switch = (self.reason is not None, self.reason or "")
            self.state, act = kill_chain.step(self.state, cycle, switch, self.now_ms, self.rules)
            match act:
                case TurnOn(reason=reason):
                    assert self.reason is None, "it never writes over another's reason"
                    self.reason = reason
                case TurnOff():
                    self.reason = None
        return self.reason is not None


@pytest.mark.parametrize(
    ("cycle", "finding"),
    [
        (QUIET, Finding.IDLE), (TAKEN, Finding.SOUND), (REFUSED, Finding.ORDERS_FAILED),
        (DOUBTED, Finding.ORDERS_FAILED), (RAISED, Finding.BROKE), (HALTED, Finding.BROKE), (DOWN, Finding.SILENT),
    ],
)  # fmt: skip
def test_what_a_cycle_says(cycle: CycleFinding, finding: Finding) -> None:
    assert kill_chain.judge(cycle) is finding


@pytest.mark.parametrize("failure", [REFUSED, DOUBTED, RAISED, HALTED])
def test_the_third_failure_in_a_row_turns_it_on(failure: CycleFinding) -> None:
    chain = Chain()
    assert not chain.cycle(failure, failure)
    assert chain.cycle(failure)
    assert chain.reason is not None
    assert "3 failed cycles in a row, the last c00000007" in chain.reason
    assert chain.reason.endswith("until «btcbot kill off»")
    assert chain.reason.isprintable()
    assert len(chain.reason) <= 500


def test_an_order_that_was_taken_ends_the_row() -> None:
    assert not Chain().cycle(REFUSED, REFUSED, TAKEN, times=50)


def test_cycles_that_sent_nothing_prove_nothing_about_orders() -> None:
    """A refused symbol cools down for minutes; the next refusal is the next in the row all the same."""
    chain = Chain()
    assert not chain.cycle(REFUSED, QUIET, QUIET, DOWN, REFUSED, QUIET)
    assert chain.cycle(REFUSED)


def test_a_strategy_that_works_again_ends_a_row_of_its_failures() -> None:
    assert not Chain().cycle(RAISED, RAISED, QUIET, times=50)
    assert Chain().cycle(RAISED, DOWN, RAISED, DOWN, RAISED)


def test_a_venue_that_is_down_for_a_day_is_no_failure_of_ours() -> None:
    assert not Chain().cycle(DOWN, times=1_440)


def test_without_the_setting_it_never_turns_anything_on() -> None:
    """mistake 29: ENABLE_AUTO_KILL_SWITCH really works, both ways."""
    assert not Chain(replace(RULES, is_enabled=False)).cycle(REFUSED, times=100)


def test_without_a_cooldown_only_a_human_turns_it_off() -> None:
    chain = Chain()
    chain.cycle(RAISED, times=3)
    assert chain.cycle(DOWN, times=10_000)
    chain.reason = None  # btcbot kill off
    assert not chain.cycle(DOWN, RAISED, RAISED)
    assert chain.cycle(RAISED)


def test_its_expiry_is_enforced() -> None:
    """mistake 29: the time that was stored and never looked at."""
    chain = Chain(replace(RULES, cooldown_ms=600_000))
    chain.cycle(REFUSED, times=3)
    assert chain.reason is not None
    assert chain.reason.endswith("off by itself after 600 s")
    assert chain.cycle(DOWN, times=9)
    assert not chain.cycle(DOWN)
    assert not chain.cycle(REFUSED, REFUSED)
    assert chain.cycle(REFUSED)


def test_it_lets_go_of_its_own_brake_alone() -> None:
    chain = Chain(replace(RULES, cooldown_ms=600_000))
    chain.reason = "going on holiday"
    assert chain.cycle(RAISED, times=100)
    assert chain.reason == "going on holiday"
    chain.reason = None
    assert chain.cycle(RAISED, times=3)
    chain.reason = "leave it on"  # a human says kill on again, for a reason of their own
    assert chain.cycle(DOWN, times=1_000)
    assert chain.reason == "leave it on"


def test_a_human_who_turns_it_off_begins_a_new_row() -> None:
    chain = Chain()
    chain.cycle(REFUSED, times=3)
    chain.reason = None
    assert not chain.cycle(QUIET, QUIET, REFUSED, REFUSED)
    assert chain.cycle(REFUSED)


def test_a_chain_that_is_not_wanted_any_more_still_lets_go() -> None:
    chain = Chain(replace(RULES, cooldown_ms=600_000))
    chain.cycle(REFUSED, times=3)
    chain.rules = replace(chain.rules, is_enabled=False)
    assert not chain.cycle(DOWN, times=10)


def test_a_clock_that_is_set_back_lets_nothing_go_early() -> None:
    chain = Chain(replace(RULES, cooldown_ms=600_000))
    chain.cycle(REFUSED, times=3)
    chain.now_ms -= 3_600_000
    assert chain.cycle(DOWN, times=60)


CYCLES = st.sampled_from([QUIET, TAKEN, REFUSED, DOUBTED, RAISED, HALTED, DOWN])
HANDS = st.none() | st.sampled_from(["off", "on"])


@given(st.lists(st.tuples(CYCLES, HANDS), max_size=60), st.sampled_from([0, 120_000, 600_000]))
def test_it_never_takes_a_humans_brake_off_and_never_acts_on_fewer_failures(story: Any, cooldown_ms: int) -> None:
    chain, failures = Chain(replace(RULES, cooldown_ms=cooldown_ms)), 0
    for cycle, hand in story:
        if hand == "off":
            chain.reason = None
        elif hand == "on":
            chain.reason = "a human"
        before = chain.reason
        chain.cycle(cycle)
        failures += kill_chain.judge(cycle) in {Finding.ORDERS_FAILED, Finding.BROKE}
        if before == "a human":
            assert chain.reason == "a human"
        if before is None and chain.reason is not None:
            assert failures >= 3
            failures = 0
