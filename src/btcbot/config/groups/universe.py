"""Choice of symbols: how often, out of which, by which scores."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from btcbot.config import values
from btcbot.config.groups.base import Group
from btcbot.config.kinds import BAR_SECONDS, BPS_MAX, TRY_MAX, Exact, Kind, Switch, Whole

__all__ = ["UniverseSettings"]

CANDIDATES: Final = ("configured", "listed")
#: A look asks the venue for one symbol's candles once: no more of them than one answer holds.
BARS_MAX: Final = 1_000
_WEIGHT_MAX: Final = 1_000


def _no_symbols(value: object) -> object:
    return () if value == "" else values.symbols(value) if value != () else value


NoneOrSymbols = Annotated[tuple[str, ...], Kind("list of pairs"), BeforeValidator(_no_symbols)]
Candidates = Annotated[
    str,
    Kind(", ".join(CANDIDATES)),
    BeforeValidator(partial(values.choice, allowed=CANDIDATES, upper=False)),
]
BarMinutes = Annotated[
    int, Kind(", ".join(str(seconds // 60) for seconds in BAR_SECONDS)), BeforeValidator(values.whole)
]


class UniverseSettings(Group):
    """Fields of `Settings`; see there. Both kinds of selection go by the same names."""

    # Choice of symbols
    dynamic_universe_enabled: Switch = Field(
        default=False,
        description="Let stage4-run choose pairs by momentum, out of UNIVERSE_CANDIDATES; false: it trades SYMBOLS.",
    )
    universe_candidates: Candidates = Field(
        default="configured",
        description="Choose from SYMBOLS (configured), or from the most traded of all listed pairs (listed).",
    )
    universe_fallback_enabled: Switch = Field(
        default=True,
        description="While nothing is worth choosing, trade the first of SYMBOLS; false: then nothing is bought.",
    )
    universe_top_n: Whole = Field(default=5, ge=1, le=50, description="Pairs chosen, at most.")
    universe_refresh_minutes: Whole = Field(
        default=60, ge=1, le=10_080, description="Minutes from one choice of pairs to the next."
    )
    universe_scan_budget_symbols: Whole = Field(
        default=50,
        ge=1,
        le=100,
        description="Candidates looked at for one choice, at most; of all listed pairs the most traded.",
        validate_default=True,
    )
    universe_max_orderbook_requests_per_cycle: Whole = Field(
        default=50,
        ge=1,
        le=100,
        description="Order books asked for in one cycle to choose pairs, at most; the rest waits for later cycles.",
    )
    universe_exclude_stables: Switch = Field(
        default=True, description="Choose no pair whose base follows a currency, such as USDT or EUR."
    )
    universe_exclude_symbols: NoneOrSymbols = Field(default=(), description="Pairs that are never chosen.")
    universe_spread_max_bps: Exact = Field(
        default=Decimal(60), gt=0, le=BPS_MAX, description="Spread above which a pair is not chosen."
    )
    universe_min_depth_try: Exact = Field(
        default=Decimal(50_000),
        ge=0,
        le=TRY_MAX,
        description="Value at best bid and ask together below which a pair is not chosen by momentum.",
    )
    universe_min_quote_volume_try: Exact = Field(
        default=Decimal(0), ge=0, le=TRY_MAX, description="Traded in 24 hours; a pair below it is not chosen."
    )
    universe_orderbook_max_age_seconds: Whole = Field(
        default=20, ge=1, le=600, description="Age in seconds above which an order book counts for nothing."
    )
    universe_probation_minutes: Whole = Field(
        default=120,
        ge=0,
        le=10_080,
        description="Minutes for which a new pair must have passed at every choice; the first choice demands none.",
    )
    universe_symbol_cooldown_minutes: Whole = Field(
        default=60, ge=0, le=10_080, description="Minutes for which a pair that left is not taken again."
    )
    universe_keep_ranks: Whole = Field(
        default=2,
        ge=0,
        le=50,
        description="Ranks behind the last place at which a pair keeps its place against better ones.",
    )
    universe_churn_max_per_day: Whole = Field(
        default=4, ge=1, le=1_000, description="Choices within 24 hours that may take new pairs."
    )
    universe_reject_threshold: Whole = Field(
        default=3, ge=1, le=1_000, description="Refusals by the venue from which a pair is left out at once."
    )
    universe_reject_window_minutes: Whole = Field(
        default=240, ge=1, le=10_080, description="Minutes for which a refusal by the venue counts."
    )
    universe_history_bucket_minutes: BarMinutes = Field(
        default=5, description="Length in minutes of the bars by which a pair's past is judged."
    )
    universe_momentum_lookback_minutes: Whole = Field(
        default=1_440, ge=1, le=10_080, description="Minutes over which momentum is measured."
    )
    universe_history_tolerance_minutes: Whole = Field(
        default=30,
        ge=1,
        le=1_440,
        description="Minutes by which the first price of the look-back may lie off.",
        validate_default=True,
    )
    universe_score_weight_momentum: Exact = Field(
        default=Decimal(1), ge=0, le=_WEIGHT_MAX, description="Weight of each percent of momentum."
    )
    universe_score_weight_spread: Exact = Field(
        default=Decimal("0.01"), ge=0, le=_WEIGHT_MAX, description="Weight of each basis point of spread, taken off."
    )
    universe_score_weight_depth: Exact = Field(
        default=Decimal("0.1"),
        ge=0,
        le=_WEIGHT_MAX,
        description="Weight of the logarithm of the depth.",
        validate_default=True,
    )
    universe_reject_penalty_weight: Exact = Field(
        default=Decimal("0.05"), ge=0, le=_WEIGHT_MAX, description="Weight of each refusal by the venue, taken off."
    )
    stage7_vol_lookback: Whole = Field(
        default=20,
        ge=2,
        le=BARS_MAX - 1,
        description="Bars of UNIVERSE_HISTORY_BUCKET_MINUTES over which volatility is measured.",
    )
    stage7_score_weight_liquidity: Exact = Field(
        default=Decimal("0.5"), ge=0, le=_WEIGHT_MAX, description="Weight of a pair's volume of 24 hours in stage7-run."
    )
    stage7_score_weight_spread: Exact = Field(
        default=Decimal("0.3"), ge=0, le=_WEIGHT_MAX, description="Weight of a pair's narrow spread in stage7-run."
    )
    stage7_score_weight_volatility: Exact = Field(
        default=Decimal("0.2"),
        ge=0,
        le=_WEIGHT_MAX,
        description="Weight of a pair's calm in stage7-run.",
        validate_default=True,
    )

    @field_validator("universe_history_bucket_minutes")
    @classmethod
    def _is_of_the_venue(cls, value: int) -> int:
        if value * 60 not in BAR_SECONDS:
            lengths = ", ".join(str(seconds // 60) for seconds in BAR_SECONDS)
            raise ValueError(f"is no length of the venue's bars; write one of {lengths}")
        return value

    @field_validator("universe_scan_budget_symbols")
    @classmethod
    def _is_room_to_choose(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("universe_top_n", 0):
            raise ValueError("is less than UNIVERSE_TOP_N, so that many could never be chosen; raise it")
        return value

    @field_validator("universe_history_tolerance_minutes")
    @classmethod
    def _is_a_history_to_be_had(cls, value: int, info: ValidationInfo) -> int:
        bucket = info.data.get("universe_history_bucket_minutes")
        lookback = info.data.get("universe_momentum_lookback_minutes")
        if bucket is None or lookback is None:
            return value
        if value < bucket:
            raise ValueError(
                "is less than UNIVERSE_HISTORY_BUCKET_MINUTES, so that the price may fall between two bars; raise it"
            )
        if value >= lookback:
            raise ValueError("is not less than UNIVERSE_MOMENTUM_LOOKBACK_MINUTES, which then means nothing; lower it")
        if (lookback + value) // bucket + 2 > BARS_MAX:
            raise ValueError(
                f"and UNIVERSE_MOMENTUM_LOOKBACK_MINUTES hold more than {BARS_MAX} bars; raise "
                "UNIVERSE_HISTORY_BUCKET_MINUTES"
            )
        return value

    @field_validator("universe_score_weight_depth", "stage7_score_weight_volatility")
    @classmethod
    def _is_something_to_rank_by(cls, value: Decimal, info: ValidationInfo) -> Decimal:
        stem = "universe" if info.field_name == "universe_score_weight_depth" else "stage7"
        others = [info.data.get(name) for name in _WEIGHTS[stem]]
        if not value and all(other == 0 for other in others):
            raise ValueError(f"and the other {stem.upper()}_SCORE_WEIGHT_… are all 0, so nothing ranks; raise one")
        return value


_WEIGHTS: Final = {
    "universe": ("universe_score_weight_momentum", "universe_score_weight_spread"),
    "stage7": ("stage7_score_weight_liquidity", "stage7_score_weight_spread"),
}
