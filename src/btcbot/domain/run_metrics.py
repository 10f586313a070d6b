"""What one cycle of an adaptive run came to: what adaptation looks at, and what two runs are compared by.

One of these is kept for each cycle as a note. Each cost is in it once: the books take a buy's charges into the cost of
the position and a sell's out of its proceeds, so realised and unrealised profit are net already. `gross_pnl` is what
they would be without any charge, and `net_pnl` is what they are.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.domain.stance import TradingMode

RATIO_PLACES = 6


class Quality(StrEnum):
    """What was wrong with the ground that a cycle stood on."""

    STALE_DATA = "stale_data"  # a watched symbol had no fresh quote, or nothing was seen at all
    MISSING_MARK_PRICE = "missing_mark_price"  # a watched symbol has never shown a price
    SPREAD_SPIKE = "spread_spike"  # told only: a wide spread is the strategy's business
    THROTTLED = "throttled"  # the venue asked us to wait
    BLOCKED_BY_GATE = "blocked_by_gate"


class AlertFlag(StrEnum):
    """What a cycle is not healthy with, whatever else it came to."""

    DRAWDOWN_BREACH = "drawdown_breach"
    REJECT_SPIKE = "reject_spike"
    MISSING_DATA = "missing_data"
    THROTTLED = "throttled"


class Traced(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A wish and what became of it: the order's status in lower case, `kept` or `replaces` where a working order stands
    for it, else `refused` or `deferred`. `why`: the code of the refusal, or what the order's row says of its reason."""

    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    became: str
    why: str


class RunMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Money in TRY, shares as fractions of one. Profit counts from the beginning of the database.

    `refused` wishes were refused for good by a shaper or by risk, `deferred` ones only for this cycle; `venue_refused`
    orders were sent, and the venue said no. `equity` and all profit are None while a held symbol has never shown a
    price, or where the cycle did not come so far. `peak_pnl` is the highest net profit since the first cycle or the
    last `budget reset`; `drawdown` how far it has fallen from there, and `drawdown_ratio` that as a share of what the
    equity would be at the peak: money that is paid in or taken out moves neither. `turnover` is what this cycle's fills
    traded, `fills_before` how many fills had been counted when it began. `inputs_sha256` is of what the decision stood
    on, without ids and our own clock.
    """

    cycle_id: str
    number: int
    at_ms: int
    outcome: str
    mode: TradingMode
    narrowed_by: tuple[str, ...]
    tuning_version: int | None
    wished: int
    allowed: int
    refused: int
    deferred: int
    submitted: int
    filled: int
    venue_refused: int
    in_doubt: int
    denied: int
    simulated: int
    cancels: int
    reject_rate: Decimal
    stale_share: Decimal
    throttled: bool
    missing_marks: int
    equity: Decimal | None
    realized_pnl: Decimal | None
    unrealized_pnl: Decimal | None
    gross_pnl: Decimal | None
    charges: Decimal
    net_pnl: Decimal | None
    peak_pnl: Decimal | None
    drawdown: Decimal
    drawdown_ratio: Decimal
    turnover: Decimal
    turnover_total: Decimal
    fills_before: int
    seconds: float
    quality: tuple[Quality, ...]
    alerts: tuple[AlertFlag, ...]
    no_trades_reason: str
    inputs_sha256: str
    trace: tuple[Traced, ...]

    @property
    def fills_counted(self) -> int:
        """How many fills of the database are in these metrics and those of earlier cycles."""
        return self.fills_before + self.filled


def drawdown_ratio(fall: Decimal, worth: Decimal) -> Decimal:
    """A fall of the profit as a share of what would be there without it, 0 to 1. `worth` is what is there now."""
    before = worth + fall
    if fall <= 0 or before <= 0:
        return money.ZERO if fall <= 0 else money.ONE
    return min(money.divide_half_even(fall, before, RATIO_PLACES), money.ONE)
