"""A market to choose symbols from, made of as little as an example needs.

Every pair has a book of 10 bps around its price with 40,000 TRY on each side, was traded for 1,000,000 TRY in 24 hours,
and closed at its price every five minutes of the last day, unless an example says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace
from tests.builders import NOW_MS, a_quote, an_instrument

from btcbot.decisions.universe import UniverseFacts, UniverseRules
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.scan import Close, ScanRow
from btcbot.domain.universe import UniverseState

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
STEP_MS = 5 * MINUTE_MS
FIVE = ("ADATRY", "AVAXTRY", "BNBTRY", "DOGETRY", "XRPTRY")


def rules(**changes: Any) -> UniverseRules:
    """Three places, spreads up to 60 bps, 50,000 TRY of depth, a day's look-back; no probation, an hour's cool-down."""
    made = UniverseRules(
        quote_asset="TRY",
        size=3,
        spread_bps_max=Decimal(60),
        depth_min=Decimal(50_000),
        quote_volume_min=Decimal(0),
        excludes=frozenset(),
        excludes_stables=True,
        book_age_ms_max=20_000,
        lookback_ms=24 * HOUR_MS,
        lookback_tolerance_ms=30 * MINUTE_MS,
        probation_ms=0,
        cooldown_ms=HOUR_MS,
        keep_ranks=0,
        additions_per_day_max=4,
        refusals_max=3,
        refusal_window_ms=4 * HOUR_MS,
        scan_symbols_max=50,
        has_fallback=True,
    )
    return replace(made, **changes)


def listed(*symbols: str) -> Mapping[str, Instrument]:
    return {symbol: an_instrument(symbol) for symbol in symbols}


def a_row(
    symbol: str,
    *,
    risen: str = "0",
    spread_bps: str = "10",
    depth: str = "80000",
    volume: str | None = "1000000",
    swing: str = "0",
    now_ms: int = NOW_MS,
    hours: int = 24,
) -> ScanRow:
    """`risen` percent over the whole of its history, `swing` percent from each close to the next and back."""
    price = 100 + Decimal(risen)
    half = price * Decimal(spread_bps) * Decimal("0.00005")
    bid, ask = price - half, price + half
    quantity = money.divide_up(Decimal(depth), 2 * price, 8)
    steps = hours * HOUR_MS // STEP_MS
    closes = tuple(
        Close(
            now_ms - (steps - step) * STEP_MS,
            (Decimal(100) if step == 0 else price) * (1 + Decimal(swing) * Decimal("0.01") * (step % 2)),
        )
        for step in range(steps + 1)
    )
    return ScanRow(
        symbol=symbol,
        at_ms=now_ms,
        quote=a_quote(
            symbol,
            str(bid),
            str(ask),
            bid_quantity=quantity,
            ask_quantity=quantity,
            venue_time_ms=now_ms,
            received_at_ms=now_ms,
        ),
        quote_volume_24h=None if volume is None else Decimal(volume),
        closes=closes,
    )


def a_look(
    rows: Sequence[ScanRow],
    state: UniverseState | None = None,
    *,
    now_ms: int = NOW_MS,
    candidates: Sequence[str] | None = None,
    **changes: Any,
) -> UniverseFacts:
    """All of them are candidates, listed, and were asked for, unless told otherwise."""
    seen = {row.symbol: row for row in rows}
    wanted = tuple(seen) if candidates is None else tuple(candidates)
    facts = UniverseFacts(
        now_ms=now_ms,
        candidates=wanted,
        fallback=wanted,
        instruments=listed(*wanted),
        asked=wanted,
        rows=seen,
        state=state or UniverseState(),
    )
    return replace(facts, **changes)
