"""Those who watch over a run, as the settings want them: anomalies and levels, the freeze, the kill chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from btcbot.decisions import recovery
from btcbot.decisions.anomalies import AnomalyCode, AnomalyRules
from btcbot.decisions.degrade import DegradeRules
from btcbot.decisions.freeze import FreezeRules
from btcbot.decisions.kill_chain import KillChainRules
from btcbot.ports import KillSwitch, Log, Metrics, StateStore, VenueHealth
from btcbot.services.degrade import DegradeOverseer
from btcbot.services.freeze import FreezeOverseer
from btcbot.services.kill_chain import KillChain
from btcbot.services.watching import CycleWatcher, Overseer

if TYPE_CHECKING:
    from btcbot.config.settings import Settings


class Oversight(msgspec.Struct, frozen=True, kw_only=True):
    """The freeze looks first: the degrade level asks whether one holds."""

    freeze: FreezeOverseer
    degrade: DegradeOverseer
    kill_chain: KillChain

    @property
    def overseers(self) -> tuple[Overseer, ...]:
        return self.freeze, self.degrade

    @property
    def watchers(self) -> tuple[CycleWatcher, ...]:
        return self.freeze, self.degrade, self.kill_chain


def oversight_of(
    settings: Settings,
    store: StateStore,
    kill_switch: KillSwitch,
    health: Callable[[], VenueHealth],
    metrics: Metrics,
    log: Log,
    *,
    has_feed: bool,
    quote_asset: str,
) -> Oversight:
    """The parts, on one store. `health` is the venue's; `has_feed`: quotes are to come from the live feed."""
    limits, rules = anomaly_rules(settings), degrade_rules(settings)
    return Oversight(
        freeze=FreezeOverseer(store, metrics, log, freeze_rules(settings)),
        degrade=DegradeOverseer(store, health, metrics, log, limits, rules, has_feed=has_feed, quote_asset=quote_asset),
        kill_chain=KillChain(store, kill_switch, log, kill_chain_rules(settings)),
    )


def anomaly_rules(settings: Settings) -> AnomalyRules:
    return AnomalyRules(
        stale_ms=settings.stale_data_seconds * 1000,
        stale_share=settings.stale_data_share,
        latency_ms=settings.latency_spike_ms,
        refusals=settings.reject_spike_threshold,
        refusal_window_cycles=settings.reject_spike_window_cycles,
        cursor_stall_cycles=settings.cursor_stall_cycles,
        clock_skew_ms=int(settings.clock_skew_seconds_threshold * 1000),
        divergence_warn=settings.pnl_divergence_try_warn,
        divergence_error=settings.pnl_divergence_try_error,
        feed_stall_ms=settings.feed_stall_seconds * 1000,
        stuck_ms=settings.stuck_cycle_seconds * 1000,
    )


def degrade_rules(settings: Settings) -> DegradeRules:
    return DegradeRules(
        warn_codes=frozenset(AnomalyCode(code) for code in settings.degrade_warn_codes),
        warn_threshold=settings.degrade_warn_threshold,
        cooldown_ms=settings.degrade_cooldown_seconds * 1000,
        quiet_cycles=settings.degrade_quiet_cycles,
        buy_share=settings.degrade_buy_share,
        symbols_max=settings.degrade_symbols_max,
    )


def freeze_rules(settings: Settings) -> FreezeRules:
    """An order of ours is missed from when recovery should have proved it one way or the other, two horizons on."""
    fence_ms = recovery.STAMP_TOLERANCE_MS + recovery.STAMP_MARGIN_MS
    return FreezeRules(
        is_enabled=settings.stage4_unknown_freeze_enabled,
        foreign_max=settings.stage4_unknown_freeze_threshold,
        cycles=settings.stage4_unknown_freeze_persist_cycles,
        lasting_ms=settings.stage4_unknown_freeze_persist_seconds * 1000,
        missing_ms=fence_ms + 2 * settings.settle_horizon_seconds * 1000,
    )


def kill_chain_rules(settings: Settings) -> KillChainRules:
    return KillChainRules(
        is_enabled=settings.enable_auto_kill_switch,
        failures_max=settings.kill_chain_max_consecutive_errors,
        cooldown_ms=settings.kill_chain_cooldown_seconds * 1000,
    )
