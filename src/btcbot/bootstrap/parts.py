"""What a profile's names stand for: the parts that are plugged into the steps of its cycle.

The order of the parts is decided here and nowhere else. Shapers: the agent sees what the strategy wished; the stance
takes out what may not be; upkeep matches what is left with the orders that work, before the allocation counts cash, for
what is locked in an order is not missing for the wish to keep it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from btcbot.bootstrap.adaptive import adaptation_rules, metrics_limits, start_tuning
from btcbot.bootstrap.agents import agent_service
from btcbot.bootstrap.budget import budget_of
from btcbot.bootstrap.oversight import oversight_of
from btcbot.bootstrap.portfolio import allocation_of
from btcbot.bootstrap.universe import chooses, selecting_universe
from btcbot.bootstrap.upkeep import replacements_of, upkeep_of
from btcbot.decisions.draft import Shaper
from btcbot.decisions.narrowing import Narrowing
from btcbot.profiles import Profile, UpkeepKind
from btcbot.services.adaptation import AdaptationService, FixedTuner
from btcbot.services.execution import ExecutionService
from btcbot.services.gatekeeper import Gatekeeper
from btcbot.services.run_metrics import RunMetricsRecorder
from btcbot.services.universe import ConfiguredUniverse, SelectingUniverse
from btcbot.services.watching import CycleWatcher, Overseer, Replacements, Tuner, Universe

if TYPE_CHECKING:
    from btcbot.bootstrap.sockets import Sockets
    from btcbot.config.settings import Settings


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """See `services.watching` for what each of them does."""

    universe: Universe
    tuner: Tuner
    overseers: tuple[Overseer, ...] = ()
    shapers: tuple[Shaper, ...] = ()
    watchers: tuple[CycleWatcher, ...] = ()
    replacements: Replacements | None = None


def parts_of(
    profile: Profile,
    settings: Settings,
    symbols: Sequence[str],
    sockets: Sockets,
    gatekeeper: Gatekeeper,
    execution: ExecutionService,
    quote_asset: str,
) -> Parts:
    """The parts of a profile, as the settings want them."""
    if not profile.is_overseen:
        return Parts(universe=ConfiguredUniverse(symbols), tuner=FixedTuner())
    store, clock, metrics, log = sockets.store, sockets.clock, sockets.metrics, sockets.log
    health = sockets.exchange.health
    watchers: list[CycleWatcher] = []
    shapers: list[Shaper] = []

    tuner: Tuner = FixedTuner()
    if profile.adapts:
        # The recorder is asked by the tuner, and tells the tuning that was in force.
        recorder = RunMetricsRecorder(store, health, lambda: tuner.tuning(), metrics_limits(settings))
        watchers.append(recorder)
        start = start_tuning(settings)
        if settings.adaptation_enabled:
            tuner = adapting = AdaptationService(
                store,
                clock,
                log,
                metrics,
                recorder.window,
                adaptation_rules(settings, len(sockets.candidates or symbols)),
                start,
            )
            watchers.append(adapting)
        else:
            tuner = FixedTuner(start)

    universe = _universe(profile, settings, symbols, sockets, tuner, quote_asset)
    if isinstance(universe, SelectingUniverse):
        watchers.append(universe)
    budget = budget_of(settings, store, metrics, quote_asset)
    oversight = oversight_of(
        settings,
        store,
        sockets.kill_switch,
        health,
        metrics,
        log,
        has_feed=sockets.feed is not None,
        quote_asset=quote_asset,
    )
    agent = agent_service(settings, sockets.agent, store, clock, metrics, log, gatekeeper.states)
    if agent is not None:
        shapers.append(agent)
        watchers.append(agent)
    shapers.append(Narrowing())
    replacements = None
    if profile.upkeep is UpkeepKind.REPLACE:
        shapers.append(upkeep_of(settings))
        replacements = replacements_of(settings, store, execution, clock, metrics, log)
    shapers.append(allocation_of(settings, store))
    return Parts(
        universe=universe,
        tuner=tuner,
        overseers=(*oversight.overseers, *budget.overseers),
        shapers=tuple(shapers),
        watchers=(*budget.watchers, *oversight.watchers, *watchers),
        replacements=replacements,
    )


def _universe(
    profile: Profile,
    settings: Settings,
    symbols: Sequence[str],
    sockets: Sockets,
    tuner: Tuner,
    quote_asset: str,
) -> Universe:
    """Chosen, where the profile chooses, the settings want it and somebody can look; else as configured."""
    if sockets.scanner is None or not chooses(profile, settings):
        # The feed shows the configured symbols alone: where it has to serve alone, no other one ever has a price.
        return ConfiguredUniverse(symbols, marks_others=settings.market_data_mode != "ws")
    return selecting_universe(
        settings,
        profile.universe,
        quote_asset,
        candidates=sockets.candidates or tuple(symbols),
        scanner=sockets.scanner,
        store=sockets.store,
        metrics=sockets.metrics,
        log=sockets.log,
        tuning=tuner.tuning,
    )
