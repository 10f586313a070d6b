"""The risk budget as the settings want it: results of cycles, limits on what they may come to, capital, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from btcbot.decisions.refusals import RefusalLimits
from btcbot.decisions.risk_budget import BudgetLimits
from btcbot.ports import Metrics, StateStore
from btcbot.services.capital import CapitalKeeper
from btcbot.services.days import day
from btcbot.services.refusals import RefusalCooldown
from btcbot.services.risk_budget import RiskBudgetOverseer
from btcbot.services.snapshots import SnapshotRecorder
from btcbot.services.watching import CycleWatcher, Overseer

if TYPE_CHECKING:
    from btcbot.config.settings import Settings

_MINUTE_MS = 60_000


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """`capital` None: realised profit is not split."""

    snapshots: SnapshotRecorder
    overseer: RiskBudgetOverseer
    refusals: RefusalCooldown
    capital: CapitalKeeper | None

    @property
    def overseers(self) -> tuple[Overseer, ...]:
        """In the order in which their reasons are told."""
        found: tuple[Overseer, ...] = (self.overseer, self.refusals)
        return found if self.capital is None else (*found, self.capital)

    @property
    def watchers(self) -> tuple[CycleWatcher, ...]:
        """The snapshot first."""
        found: tuple[CycleWatcher, ...] = (self.snapshots, self.overseer, self.refusals)
        return found if self.capital is None else (*found, self.capital)


def budget_of(settings: Settings, store: StateStore, metrics: Metrics, quote_asset: str) -> Budget:
    """The parts that belong together, on one store."""
    snapshots = SnapshotRecorder(store, day, settings.risk_volatility_lookback)
    capital = None
    if settings.self_financing_enabled:
        capital = CapitalKeeper(store, quote_asset, settings.self_financing_capital_share)
    return Budget(
        snapshots=snapshots,
        overseer=RiskBudgetOverseer(snapshots, budget_limits(settings), metrics),
        refusals=RefusalCooldown(store, refusal_limits(settings)),
        capital=capital,
    )


def budget_limits(settings: Settings) -> BudgetLimits:
    """What the risk budget holds results against."""
    return BudgetLimits(
        daily_loss_max=settings.risk_max_daily_drawdown_try,
        drawdown_max=settings.risk_max_drawdown_try,
        drawdown_pct_max=settings.max_drawdown_pct,
        exposure_max=settings.risk_max_gross_exposure_try,
        position_pct_max=settings.risk_max_position_pct,
        fees_per_day_max=settings.risk_max_fee_try_per_day,
        loss_streak_at=settings.risk_max_consecutive_losses,
        loss_streak_buy_share=settings.risk_loss_streak_buy_share,
        volatility_high=settings.risk_volatility_high,
        volatility_buy_share=settings.risk_volatility_buy_share,
        buy_stop_daily_loss_pct=settings.risk_buy_stop_daily_loss_pct,
        buy_stop_drawdown_pct=settings.risk_buy_stop_drawdown_pct,
    )


def refusal_limits(settings: Settings) -> RefusalLimits:
    """From when on, and for how long, a symbol is left alone."""
    return RefusalLimits(
        threshold=settings.reject_threshold,
        window_ms=settings.reject_window_minutes * _MINUTE_MS,
        cooldown_ms=settings.reject_cooldown_minutes * _MINUTE_MS,
    )
