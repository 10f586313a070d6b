"""The service graph: every part of the one pipeline, connected, whatever is plugged into its sockets.

A live run, a dry run, paper, a backtest and a replay are told apart by their `Sockets` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from btcbot.bootstrap.bot import Bot
from btcbot.bootstrap.meaning import QUOTE_ASSET, fee_rates, risk_limits, trust_limits
from btcbot.bootstrap.parts import parts_of
from btcbot.bootstrap.sockets import Sockets
from btcbot.cycle import Cycle, Services
from btcbot.errors import ConfigurationError
from btcbot.ports import SignalSource
from btcbot.profiles import Profile
from btcbot.services.accounting import AccountingService
from btcbot.services.alerts import AlertWatcher
from btcbot.services.cycle_records import CycleRecords
from btcbot.services.cycle_telling import CycleTeller
from btcbot.services.day_loss import DailyLossWatcher
from btcbot.services.execution import ExecutionService
from btcbot.services.feed import FeedService
from btcbot.services.gatekeeper import Gatekeeper
from btcbot.services.market_data import MarketDataService
from btcbot.services.operator import OperatorService
from btcbot.services.order_lifecycle import OrderLifecycle
from btcbot.services.planning import PlanningService
from btcbot.services.portfolio import PortfolioService
from btcbot.services.risk import RiskService
from btcbot.services.self_check import SelfCheckService
from btcbot.services.signals import SignalService
from btcbot.services.startup_recovery import StartupRecoveryService
from btcbot.services.strategy import StrategyService
from btcbot.services.sweep import SweepService
from btcbot.strategies.base import Strategy, UsesSignals

if TYPE_CHECKING:
    from btcbot.config.settings import Settings


def assemble(
    settings: Settings,
    profile: Profile,
    strategy: Strategy,
    *,
    mode: str,
    book_id: str,
    sockets: Sockets,
    symbols: Sequence[str] | None = None,
    quote_asset: str = QUOTE_ASSET,
) -> Bot:
    """The service graph, top-down as the cycle uses it. Starts the feed, where there is one.

    `symbols` None: those of the settings.
    """
    store, exchange, clock = sockets.store, sockets.exchange, sockets.clock
    metrics, log = sockets.metrics, sockets.log
    symbols = settings.symbols if symbols is None else symbols
    horizon_ms = settings.settle_horizon_seconds * 1000
    gatekeeper = Gatekeeper(sockets.gate_policy, store, exchange, sockets.kill_switch, sockets.lock, clock)
    lifecycle = OrderLifecycle(
        store,
        exchange,
        clock,
        log,
        book_id=book_id,
        fee_rates=lambda: accounting.fee_rates,
        settle_horizon_ms=horizon_ms,
    )
    execution = ExecutionService(
        store,
        exchange,
        gatekeeper,
        lifecycle,
        clock,
        metrics,
        log,
        book_id=book_id,
        fee_rates=lambda: accounting.fee_rates,
        ttl_ms=settings.ttl_seconds * 1000,
        settle_horizon_ms=horizon_ms,
        stop=sockets.stop,
    )
    accounting = AccountingService(
        store,
        exchange,
        clock,
        metrics,
        log,
        book_id=book_id,
        configured_rates=fee_rates(settings),
        settle_horizon_ms=horizon_ms,
        quote_asset=quote_asset,
        adopt_unknown=lifecycle.adopt_unknown,
        is_heard=sockets.is_heard,
    )
    portfolio = PortfolioService(exchange)
    feed_service = None
    if sockets.feed is not None:
        feed_service = FeedService(sockets.feed, exchange, store, clock, metrics, log, trust_limits(settings))
        feed_service.start()
    market_data = MarketDataService(
        exchange,
        clock,
        metrics,
        log,
        settings.max_market_data_age_ms,
        feed_service,
        falls_back=settings.market_data_mode != "ws",
        is_heard=sockets.is_heard,
    )
    parts = parts_of(profile, settings, symbols, sockets, gatekeeper, execution, quote_asset)
    watchers = (DailyLossWatcher(store, metrics, settings.max_daily_loss_try), *parts.watchers)
    if sockets.samples is not None:
        watchers = (*watchers, AlertWatcher(store, sockets.samples, log))
    teller = CycleTeller(store, metrics, log, is_heard=sockets.is_heard)
    signals = _signals(settings, strategy, symbols, sockets)
    limits = risk_limits(settings, is_overseen=profile.is_overseen)
    sweep = SweepService(
        enabled=settings.sweep_enabled,
        cash_target=settings.target_try,
        offset_bps=settings.offset_bps,
        quote_asset=quote_asset,
        limits=limits,
    )
    services = Services(
        recovery=StartupRecoveryService(
            store, exchange, clock, metrics, portfolio, accounting, execution, lifecycle, market_data
        ),
        market_data=market_data,
        universe=parts.universe,
        planning=PlanningService(
            store,
            StrategyService(strategy, quote_asset, settings.try_cash_target, signals),
            sweep,
            accounting,
            clock,
            metrics,
            quote_asset,
            parts.tuner,
            parts.shapers,
            parts.replacements,
        ),
        risk=RiskService(limits, parts.tuner, store, metrics, log),
        execution=execution,
        accounting=accounting,
        gatekeeper=gatekeeper,
        self_check=SelfCheckService(sockets.checks, store, clock, log),
        operator=OperatorService(store, exchange, execution, lifecycle, accounting, clock, log, quote_asset),
        records=CycleRecords(store, accounting, teller, settings.cycles_kept, watchers),
        teller=teller,
        feed=feed_service,
        overseers=parts.overseers,
        replacements=parts.replacements,
    )
    cycle = Cycle(services, store, exchange, clock, metrics, log, mode, profile.name)
    return Bot(cycle, services, store, exchange, sockets.lock, clock, mode, sockets.bars, sockets.agent)


def _signals(settings: Settings, strategy: Strategy, symbols: Sequence[str], sockets: Sockets) -> SignalSource | None:
    """What a strategy that asks for signals gets them from; for another one nothing is computed."""
    if sockets.signals is not None or sockets.bars is None or not isinstance(strategy, UsesSignals):
        return sockets.signals
    interval_ms = settings.bar_interval_seconds * 1000
    wanted = strategy.signals()
    try:
        return SignalService(sockets.bars, wanted, symbols, interval_ms, sockets.clock, sockets.metrics, sockets.log)
    except ValueError as error:
        raise ConfigurationError(f"the signals of strategy {strategy.name}: {error}") from error
