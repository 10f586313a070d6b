"""What the settings of adaptation mean: where it begins, its rules and bounds, what its metrics are held against."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from btcbot.decisions.run_metrics import MetricsLimits
from btcbot.domain import money
from btcbot.domain.adaptation import Range, Rules
from btcbot.domain.tuning import Tuning

if TYPE_CHECKING:
    from btcbot.config.settings import Settings


PERCENT: Final = Decimal("0.01")
#: Turnover is told to the kuruş.
TURNOVER_PLACES: Final = 2


def start_tuning(settings: Settings) -> Tuning:
    """The parameters as the settings give them."""
    turnover = settings.notional_cap_try_per_cycle * settings.adaptation_turnover_share
    return Tuning(
        version=0,
        universe_size=settings.universe_top_n,
        order_offset_bps=settings.portfolio_order_offset_bps,
        turnover_per_cycle_max=money.round_down(turnover, TURNOVER_PLACES),
        orders_per_cycle_max=settings.max_orders_per_cycle,
        spread_bps_max=settings.universe_spread_max_bps,
        quote_volume_min=settings.universe_min_quote_volume_try,
        cash_target=settings.try_cash_target,
    )


def metrics_limits(settings: Settings) -> MetricsLimits:
    return MetricsLimits(
        spread_spike_bps=settings.stage7_spread_spike_bps,
        reject_spike=settings.stage7_reject_spike_threshold,
        drawdown_ratio_max=settings.max_drawdown_pct * PERCENT,
    )


def adaptation_rules(settings: Settings, candidates: int | None = None) -> Rules:
    """What no other setting bounds ends where the settings' own range does. `candidates`: among so many symbols is
    chosen; None: not known."""
    return Rules(
        bounds={
            "universe_size": Range(
                Decimal(settings.adaptation_universe_min), Decimal(settings.adaptation_universe_max)
            ),
            "order_offset_bps": Range(money.ZERO, settings.adaptation_offset_bps_max),
            "turnover_per_cycle_max": Range(settings.adaptation_turnover_min_try, settings.notional_cap_try_per_cycle),
            "orders_per_cycle_max": Range(money.ONE, Decimal(settings.adaptation_orders_max)),
            "spread_bps_max": Range(settings.adaptation_spread_bps_min, settings.adaptation_spread_bps_max),
            "quote_volume_min": Range(money.ZERO, settings.adaptation_quote_volume_max_try),
            "cash_target": Range(money.ZERO, max(settings.try_cash_max, settings.try_cash_target)),
        },
        drawdown_ratio_max=settings.max_drawdown_pct * PERCENT,
        drawdown_share=settings.adaptation_drawdown_share,
        healthy_cycles=settings.adaptation_healthy_cycles,
        good_cycles=settings.adaptation_good_cycles,
        quiet_cycles=settings.adaptation_quiet_cycles,
        loss_max=settings.adaptation_loss_try,
        offset_step_bps=settings.adaptation_offset_step_bps,
        spread_step_bps=settings.adaptation_spread_step_bps,
        volume_step=settings.adaptation_volume_step_try,
        turnover_step=settings.adaptation_turnover_step,
        candidates=candidates,
    )
