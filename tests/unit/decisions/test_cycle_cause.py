"""What kept a cycle from more: trouble, or a brake that does its work."""

from __future__ import annotations

import pytest

from btcbot.decisions.cycle_cause import CycleCause, cause_of
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.reasons import ReasonCode

LOST = "budget:daily_loss: 618 TRY lost today, the limit is 500"
LEVEL_3 = "narrowed:degraded: level 3: STUCK_CYCLE: 130 s"
FROZEN = "gate_closed:frozen_by_unexplained_orders: 1 order"
SILENT = "observe_only:venue_unavailable: balances: HTTP 502"
UNEXPLAINED = "observe_only:balance_not_yet_explained: TRY"
RAISED = "observe_only:strategy_failed: ZeroDivisionError"
NO_QUOTES = "risk_block:stale_market_data: no symbol has a usable quote"
ONE_QUOTE_LESS = "risk_block:stale_market_data: XRPTRY has no usable quote"


@pytest.mark.parametrize(
    ("reasons", "cause"),
    [
        ((SILENT,), CycleCause.VENUE),
        ((UNEXPLAINED,), CycleCause.VENUE),
        ((NO_QUOTES,), CycleCause.VENUE),
        ((RAISED,), CycleCause.STRATEGY),
        ((LOST,), CycleCause.NARROWED),
        ((LEVEL_3,), CycleCause.NARROWED),
        ((FROZEN, FROZEN.partition(": ")[0]), CycleCause.NARROWED),
        ((LOST, ONE_QUOTE_LESS), CycleCause.NARROWED),
        ((LOST, SILENT), CycleCause.VENUE),
        ((NO_QUOTES, LOST), CycleCause.VENUE),
        ((SILENT, LEVEL_3), CycleCause.VENUE),
    ],
)
def test_a_brake_is_no_trouble_and_trouble_beside_a_brake_is(reasons: tuple[str, ...], cause: CycleCause) -> None:
    assert cause_of(CycleOutcome.OBSERVE_ONLY, reasons) is cause


def test_what_only_narrowed_a_cycle_that_completed_kept_it_from_nothing() -> None:
    assert cause_of(CycleOutcome.COMPLETED, ("budget:exposure: 21000 TRY", "gate_closed:dry_run")) is CycleCause.NONE


def test_a_halt_is_a_cause_of_its_own() -> None:
    assert cause_of(CycleOutcome.HALTED, ("I4_NEGATIVE: BTCTRY",)) is CycleCause.INVARIANT


@pytest.mark.parametrize("code", [code for code in ReasonCode if code.value.startswith("budget:")])
def test_no_limit_of_the_budget_is_ever_taken_for_trouble(code: ReasonCode) -> None:
    assert cause_of(CycleOutcome.OBSERVE_ONLY, (f"{code.value}: 1 TRY",)) is CycleCause.NARROWED
