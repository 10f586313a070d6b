"""What looks after working orders where they are replaced: a shaper that decides, and a service that carries it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from btcbot.decisions import lifecycle
from btcbot.decisions.upkeep import Upkeep, UpkeepRules
from btcbot.ports import Clock, Log, Metrics, StateStore
from btcbot.services.execution import ExecutionService
from btcbot.services.replacement import ReplacementService

if TYPE_CHECKING:
    from btcbot.config.settings import Settings


def upkeep_rules(settings: Settings) -> UpkeepRules:
    """Times in milliseconds. What risk's cooldown would refuse to order anew is too young to be taken out."""
    age_ms_min = max(settings.replace_min_age_seconds, settings.cooldown_seconds) * 1000
    ttl_ms = settings.ttl_seconds * 1000
    return UpkeepRules(
        ttl_ms=ttl_ms,
        drift_bps=settings.replace_drift_bps,
        order_notional_min=settings.min_order_notional_try,
        age_ms_min=age_ms_min,
        age_ms_min_again=max(age_ms_min, settings.replace_cooldown_seconds * 1000),
        cancel_retry_ms=lifecycle.cancel_retry_ms(ttl_ms, settings.settle_horizon_seconds * 1000),
    )


def upkeep_of(settings: Settings) -> Upkeep:
    """The shaper; it comes after the stance and before the allocation."""
    return Upkeep(upkeep_rules(settings))


def replacements_of(
    settings: Settings, store: StateStore, execution: ExecutionService, clock: Clock, metrics: Metrics, log: Log
) -> ReplacementService:
    """The service that gives each replacement one new order, or none."""
    age_ms_max = settings.replace_max_seconds * 1000
    return ReplacementService(store, execution, clock, metrics, log, age_ms_max=age_ms_max)
