"""The profiles that worlds are played with, what such a world draws beside all others, and who wishes in it.

A world of `run` is drawn as if there were no other profile. Cooldowns, ages and periods are short, so that what they
end is seen within the minutes of a world; some budgets are tight, and some universes smaller than the list of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.profiles import RUN, STAGE4, STAGE7, Profile, UpkeepKind
from btcbot.strategies.base import Signal, Strategy, StrategyContext, UsesSignals

#: By name. The adaptive one runs on paper alone; in a world it trades, because its venue is one of our own.
PLAYED: Final[Mapping[str, Profile]] = {
    profile.name: profile for profile in (RUN, STAGE4, msgspec.structs.replace(STAGE7, is_on_paper_only=False))
}
#: In how many worlds of a hundred each is played.
PERCENT: Final[Mapping[str, int]] = {RUN.name: 45, STAGE4.name: 35, STAGE7.name: 20}
#: The strategy of `run`, in some of its worlds: one that asks for signals.
WITH_SIGNALS: Final = "ema_cross"
RUN_WITH_SIGNALS_PERCENT: Final = 10

#: What a world of an overseen profile draws for each of these settings.
OVERSEEN: Final[Mapping[str, tuple[str, ...]]] = {
    # replacement
    "REPLACE_DRIFT_BPS": ("5", "25", "100", "300"),
    "REPLACE_MIN_AGE_SECONDS": ("1", "2", "10"),
    "REPLACE_COOLDOWN_SECONDS": ("2", "10", "30"),
    "REPLACE_MAX_SECONDS": ("20", "60", "120"),
    # anomalies and levels
    "STALE_DATA_SECONDS": ("5", "15", "30"),
    "REJECT_SPIKE_THRESHOLD": ("1", "2", "3"),
    "CURSOR_STALL_CYCLES": ("3", "5"),
    "FEED_STALL_SECONDS": ("15", "30"),
    "DEGRADE_WARN_THRESHOLD": ("1", "2", "3"),
    "DEGRADE_COOLDOWN_SECONDS": ("5", "15", "30"),
    "DEGRADE_QUIET_CYCLES": ("1", "1", "2"),
    "DEGRADE_BUY_SHARE": ("0.5", "0.5", "1"),
    "DEGRADE_SYMBOLS_MAX": ("1", "2", "8"),
    # freeze and kill chain
    "STAGE4_UNKNOWN_FREEZE_THRESHOLD": ("0", "0", "0", "1"),
    "STAGE4_UNKNOWN_FREEZE_PERSIST_CYCLES": ("2", "3"),
    "STAGE4_UNKNOWN_FREEZE_PERSIST_SECONDS": ("8", "30"),
    "KILL_CHAIN_MAX_CONSECUTIVE_ERRORS": ("2", "3", "6"),
    "KILL_CHAIN_COOLDOWN_SECONDS": ("0", "10", "30"),
    # risk budget, capital, refusals
    "RISK_MAX_DAILY_DRAWDOWN_TRY": ("1000", "1000", "1000", "1000", "100", "15"),
    "RISK_MAX_DRAWDOWN_TRY": ("3000", "3000", "3000", "3000", "200", "20"),
    "RISK_MAX_GROSS_EXPOSURE_TRY": ("20000", "20000", "20000", "20000", "20000", "3000", "800"),
    "RISK_MAX_POSITION_PCT": ("100", "100", "100", "40", "15"),
    "RISK_MAX_FEE_TRY_PER_DAY": ("0", "0", "0", "0", "0", "4"),
    "RISK_MAX_CONSECUTIVE_LOSSES": ("1", "3"),
    "SELF_FINANCING_ENABLED": ("true", "true", "false"),
    "SELF_FINANCING_CAPITAL_SHARE": ("0.6", "0", "1"),
    "REJECT_THRESHOLD": ("1", "2", "3"),
    "REJECT_WINDOW_MINUTES": ("1", "5"),
    "REJECT_COOLDOWN_MINUTES": ("1", "2"),
    # portfolio
    "TRY_CASH_TARGET": ("0", "300", "300"),
    "INVESTABLE_USAGE_MODE": ("use_all", "use_all", "fraction"),
    "INVESTABLE_USAGE_FRACTION": ("0.4", "1"),
    "MAX_INTENT_NOTIONAL_TRY": ("200", "500", "1000"),
    "SELL_FLOOR_ENABLED": ("false", "false", "false", "true"),
    "PORTFOLIO_DRIFT": ("0.02", "0.1"),
    "PORTFOLIO_ORDER_OFFSET_BPS": ("0", "5", "20"),
    "REVERSION_WINDOW": ("2", "4"),
    "REVERSION_ENTRY_Z": ("0.5", "1.5"),
    "REVERSION_TILT": ("0.3", "0.8"),
    # universe
    "DYNAMIC_UNIVERSE_ENABLED": ("true", "false"),
    "UNIVERSE_TOP_N": ("1", "2", "2", "3"),
    "UNIVERSE_REFRESH_MINUTES": ("1",),
    "UNIVERSE_MAX_ORDERBOOK_REQUESTS_PER_CYCLE": ("1", "50"),
    "UNIVERSE_SPREAD_MAX_BPS": ("60", "500"),
    "UNIVERSE_MIN_DEPTH_TRY": ("0", "100"),
    "UNIVERSE_FALLBACK_ENABLED": ("true", "true", "true", "false"),
    "UNIVERSE_PROBATION_MINUTES": ("0", "0", "1"),
    "UNIVERSE_SYMBOL_COOLDOWN_MINUTES": ("0", "1"),
    "UNIVERSE_KEEP_RANKS": ("0", "1"),
    "UNIVERSE_CHURN_MAX_PER_DAY": ("100",),
    "UNIVERSE_REJECT_THRESHOLD": ("1", "3"),
    "UNIVERSE_REJECT_WINDOW_MINUTES": ("1", "3"),
    "UNIVERSE_HISTORY_BUCKET_MINUTES": ("1",),
    "UNIVERSE_MOMENTUM_LOOKBACK_MINUTES": ("5", "20"),
    "UNIVERSE_HISTORY_TOLERANCE_MINUTES": ("4",),
    "STAGE7_VOL_LOOKBACK": ("5",),
}  # fmt: skip
#: And for these where parameters adapt. The smallest universe has to have room for what is drawn above.
ADAPTIVE: Final[Mapping[str, tuple[str, ...]]] = {
    "ADAPTATION_ENABLED": ("true", "true", "true", "true", "false"),
    "ADAPTATION_HEALTHY_CYCLES": ("1", "2"),
    "ADAPTATION_GOOD_CYCLES": ("1", "2"),
    "ADAPTATION_QUIET_CYCLES": ("2", "5"),
    "ADAPTATION_LOSS_TRY": ("2", "50"),
    "ADAPTATION_TURNOVER_SHARE": ("0.5", "0.9"),
    "ADAPTATION_TURNOVER_STEP": ("0.05", "0.3"),
    "ADAPTATION_UNIVERSE_MIN": ("1",),
    "ADAPTATION_QUOTE_VOLUME_MAX_TRY": ("0", "0", "1000000"),  # what a world trades in a day is next to nothing
    "ADAPTATION_UNIVERSE_MAX": ("4", "50"),
    "STAGE7_REJECT_SPIKE_THRESHOLD": ("1", "2"),
}
#: The venue's charts; the transport brings what is asked there to the same venue.
GRAPH_URL: Final = "http://127.0.0.1:2"
#: How often an order is wished again, and how often a pair that may only be sold is to be bought.
KEEPS_SHARE: Final = 0.3
BUYS_MORE_SHARE: Final = 0.3
_WISHES: Final = ("random", "random", "random", "both", "both", "both", "strategy")
#: A replacement takes some cycles: the storm of such a world lasts so much longer than that of others, in per cent.
LONGER_PERCENT: Final = 200


def draw_profile(seed: int) -> str:
    """The name of the profile that the world of this seed is played with."""
    drawn = Random(f"{seed}/profile").randrange(100)  # noqa: S311 (no secret)
    for name, percent in PERCENT.items():
        if drawn < percent:
            return name
        drawn -= percent
    raise AssertionError("a hundred of a hundred")


def draw_beside(seed: int, profile: Profile, settings: dict[str, str]) -> str | None:
    """Add to `settings` what this profile knows beside the others; whose wishes are traded, None for those drawn."""
    random = Random(f"{seed}/{profile.name} swarm")  # noqa: S311 (no secret)
    if not profile.is_overseen:
        if random.randrange(100) >= RUN_WITH_SIGNALS_PERCENT:
            return None
        settings |= {"BTCTURK_GRAPH_URL": GRAPH_URL, "STRATEGY": WITH_SIGNALS, "STRATEGY_PARAMS": "fast=2,slow=4"}
        return "both"
    settings |= {name: random.choice(choices) for name, choices in OVERSEEN.items()}
    if settings["INVESTABLE_USAGE_MODE"] != "fraction":
        del settings["INVESTABLE_USAGE_FRACTION"]
    if profile.adapts:
        settings |= {name: random.choice(choices) for name, choices in ADAPTIVE.items()}
    settings["BTCTURK_GRAPH_URL"] = GRAPH_URL
    return random.choice(_WISHES)


class KeepsOrders:
    """What `inner` wishes; now and then, as a good strategy does, once more what works already: it is to stay; and now
    and then, as a bad one might, more of what may only be sold."""

    name = "keeper"

    def __init__(self, seed: int, inner: Strategy) -> None:
        self._seed = seed
        self._inner = inner

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        random = Random(f"{self._seed}/keeps/{context.cycle_id}")  # noqa: S311 (no secret)
        wishes = list(self._inner.generate(context))
        again = [order for order in context.open_orders if random.random() < KEEPS_SHARE and order.leaves_quantity > 0]
        wishes += [self._wish(context, one.symbol, one.side, one.price, one.leaves_quantity) for one in again]
        for symbol in sorted(context.winding_down):
            quote, instrument = context.quotes.get(symbol), context.instruments.get(symbol)
            if random.random() < BUYS_MORE_SHARE and quote is not None and instrument is not None:
                quantity = money.divide_down(Decimal(random.randint(100, 400)), quote.ask, instrument.quantity_scale)
                wishes.append(self._wish(context, symbol, Side.BUY, quote.ask, quantity))
        return wishes

    def _wish(self, context: StrategyContext, symbol: str, side: Side, price: Decimal, quantity: Decimal) -> Intent:
        return Intent(
            intent_id=f"{context.cycle_id}:{self.name}:{symbol}:{side}:{money.plain(price)}",
            cycle_id=context.cycle_id,
            strategy=self.name,
            symbol=symbol,
            side=side,
            price=price,
            quantity=quantity,
            why="once more",
        )


class WithSignals:
    """`script`, for a bot that is to know which signals the strategy behind it asks for."""

    def __init__(self, script: Strategy, asks: UsesSignals) -> None:
        self._script = script
        self._asks = asks

    @property
    def name(self) -> str:
        return self._script.name

    def signals(self) -> Mapping[str, Signal]:
        return self._asks.signals()

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return self._script.generate(context)


def keeps_orders(profile: Profile) -> bool:
    """Whether a wish beside a working order is a wish to keep it."""
    return profile.upkeep is UpkeepKind.REPLACE


class Moody:
    """The strategy of a world that is overseen: sometimes it raises."""

    def __init__(self, inner: Strategy, has_bad_day: Callable[[], bool]) -> None:
        self._inner = inner
        self._has_bad_day = has_bad_day

    @property
    def name(self) -> str:
        return self._inner.name

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        if self._has_bad_day():
            raise RuntimeError("the strategy has a bad day")
        return self._inner.generate(context)
