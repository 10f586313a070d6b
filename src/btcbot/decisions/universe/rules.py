"""What a selection of symbols is bound by: the settings of a universe, as values."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from btcbot.domain.tuning import Tuning


class UniverseRules(msgspec.Struct, frozen=True, kw_only=True):
    """`depth_min` (best bid and ask together) and `quote_volume_min` (24 h) in the quote asset, 0 for no such limit.

    `lookback_ms`: how far back the price must be known, to within `lookback_tolerance_ms`; None: it need not be.
    `keep_ranks`: a symbol of the set keeps its place until so many ranks behind the last one. `additions_per_day_max`
    counts looks that added symbols, within any 24 hours. `refusals_max` of the venue within `refusal_window_ms` keep a
    symbol out.
    """

    quote_asset: str
    size: int
    spread_bps_max: Decimal
    depth_min: Decimal
    quote_volume_min: Decimal
    excludes: frozenset[str]
    excludes_stables: bool
    book_age_ms_max: int
    lookback_ms: int | None
    lookback_tolerance_ms: int
    probation_ms: int
    cooldown_ms: int
    keep_ranks: int
    additions_per_day_max: int
    refusals_max: int
    refusal_window_ms: int
    scan_symbols_max: int
    has_fallback: bool


def tuned(rules: UniverseRules, tuning: Tuning | None) -> UniverseRules:
    """The rules with the parameters that are in force."""
    if tuning is None:
        return rules
    return replace(
        rules,
        size=tuning.universe_size,
        spread_bps_max=tuning.spread_bps_max,
        quote_volume_min=tuning.quote_volume_min,
    )
