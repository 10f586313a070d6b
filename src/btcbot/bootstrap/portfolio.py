"""A portfolio as the settings want it: how wishes are allotted, and what strategies start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from btcbot.decisions.allocation import Allocation
from btcbot.decisions.allotment import AllocationRules, UsageMode
from btcbot.domain import money
from btcbot.ports import StateStore
from btcbot.strategies.parameters import Value
from btcbot.strategies.targets import weights_text

if TYPE_CHECKING:
    from btcbot.config.settings import Settings


def allocation_of(settings: Settings, store: StateStore) -> Allocation:
    """The shaper, for a profile that looks after working orders by what is wished."""
    return Allocation(allocation_rules(settings), store.last_order_times_ms)


def allocation_rules(settings: Settings) -> AllocationRules:
    profit_bps = settings.min_profit_bps + settings.slippage_bps_buffer
    return AllocationRules(
        cash_target=settings.try_cash_target,
        cash_max=max(settings.try_cash_max, settings.try_cash_target),
        usage=UsageMode(settings.investable_usage_mode),
        usage_fraction=settings.investable_usage_fraction,
        usage_cap=settings.max_try_per_cycle,
        fee_buffer=settings.allocation_fee_buffer_bps * money.BPS,
        rounding_buffer=settings.rounding_buffer_try,
        position_per_symbol_max=settings.max_position_try_per_symbol,
        notional_per_cycle_max=settings.notional_cap_try_per_cycle,
        notional_per_intent_max=settings.max_intent_notional_try,
        order_notional_min=settings.min_order_notional_try,
        orders_per_cycle_max=settings.max_orders_per_cycle,
        cooldown_ms=settings.cooldown_seconds * 1000,
        sell_profit_min=profit_bps * money.BPS if settings.sell_floor_enabled else None,
    )


def portfolio_defaults(settings: Settings) -> Mapping[str, Value]:
    """Defaults of the parameters that only strategies of a portfolio have, by name.

    Their own caps on turnover and on the number of orders stay off: allocation and risk cap both, and know which wish
    cannot be had, so that it takes nobody's place.
    """
    return {
        "targets": weights_text(settings.portfolio_targets.weights),
        "drift": settings.portfolio_drift,
        "order_offset_bps": settings.portfolio_order_offset_bps,
        "cash_target": settings.try_cash_target,
        "position_value_max": settings.max_position_try_per_symbol,
        "tilt": settings.reversion_tilt,
        "position_share_max": settings.risk_max_position_pct,
        "reversion_window": settings.reversion_window,
        "reversion_entry_z": settings.reversion_entry_z,
    }
