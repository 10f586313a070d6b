"""What one cycle leaves behind for people: its report, and each verdict with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from btcbot.domain.intents import Side


class CycleOutcome(StrEnum):
    COMPLETED = "completed"
    OBSERVE_ONLY = "observe_only"
    HALTED = "halted"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What risk, a gate or the venue said to an intent. `code` is 'allowed' or a ReasonCode; `detail` is for people."""

    cycle_id: str
    intent_id: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    allowed: bool
    code: str
    detail: str
    at_ms: int


class CycleReport(msgspec.Struct, frozen=True, kw_only=True):
    """One cycle. Times in Unix ms; `counts` by name (intents, allowed, submitted, fills, …); `gates` name → open?"""

    cycle_id: str
    number: int
    mode: str
    profile: str
    outcome: CycleOutcome
    reasons: tuple[str, ...]
    started_at_ms: int
    ended_at_ms: int
    counts: Mapping[str, int]
    gates: Mapping[str, bool]
    quotes: Mapping[str, tuple[Decimal, Decimal]]
    equity_try: Decimal | None
    realized_pnl_try: Decimal
    unrealized_pnl_try: Decimal
