"""Why a cycle came no further than it did: trouble of the venue, of the strategy, or an overseer that let it rest.

An `observe_only` cycle may be trouble or a brake that does its work, and only the first is to wake somebody as trouble
with the exchange, or to end `--once` with a failure. The codes are sorted in here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.reasons import ReasonCode


class CycleCause(StrEnum):
    NONE = "none"  # it completed; closed gates and brakes that leave something are in its reasons
    NARROWED = "narrowed"  # an overseer let it order nothing: budget, degrade level, freeze
    VENUE = "venue"  # the venue, the way to it, or what it told, which was too little to trade on
    STRATEGY = "strategy"  # the strategy raised
    INVARIANT = "invariant"  # something is true that can never be: the cycle halted


#: How reasons begin that overseers give.
_OF_OVERSEERS: Final = ("narrowed:", "budget:", "capital:", "barred:", ReasonCode.UNEXPLAINED_ORDERS.value)
_OF_STRATEGY: Final = ReasonCode.STRATEGY_FAILED.value
#: How every reason begins that is trouble; beside them only quotes that are missing altogether make a cycle observe.
_OF_TROUBLE: Final = "observe_only:"


def cause_of(outcome: CycleOutcome, reasons: Sequence[str]) -> CycleCause:
    """What kept a cycle from more, by its outcome and its reasons as its report has them: first those for which it
    observed, troubles before overseers; then those that only narrowed. Where there are several, trouble counts."""
    if outcome is CycleOutcome.COMPLETED:
        return CycleCause.NONE
    if outcome is CycleOutcome.HALTED:
        return CycleCause.INVARIANT
    troubles = [reason for reason in reasons if reason.startswith(_OF_TROUBLE)]
    if any(reason.startswith(_OF_STRATEGY) for reason in troubles):
        return CycleCause.STRATEGY
    # A pair without a quote stands in the reasons too, after those that made the cycle observe. Only where no pair has
    # one it comes first.
    is_narrowed = not troubles and bool(reasons) and reasons[0].startswith(_OF_OVERSEERS)
    return CycleCause.NARROWED if is_narrowed else CycleCause.VENUE
