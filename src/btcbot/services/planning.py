"""PlanningService: from what is known to the draft that risk is asked about.

The strategy wishes; idle cash and replacements that are due are wishes too; the shapers of the profile cut, refuse and
match them with the orders that work already. Nothing is written in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from btcbot.decisions.draft import Draft, DraftFacts, Shaper
from btcbot.decisions.freshness import MarketView
from btcbot.decisions.risk import RiskFacts, Spent
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.orders import IN_DOUBT, OPEN, Order
from btcbot.domain.stance import FREE, Stance
from btcbot.domain.universe import Watched
from btcbot.ports import Clock, Metrics, StateStore
from btcbot.services.accounting import AccountingService, PnL
from btcbot.services.strategy import StrategyService
from btcbot.services.sweep import SweepService
from btcbot.services.watching import Replacements, Tuner

_OPEN: Final = tuple(OPEN)
_NONE: Final[frozenset[str]] = frozenset()


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision stands on. `now_ms` is the venue's time, `may_read` whether it may be asked anything more."""

    now_ms: int
    account: AccountSnapshot
    instruments: Mapping[str, Instrument]
    view: MarketView
    pnl: PnL
    universe: Watched
    stance: Stance = FREE
    may_read: bool


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`wished` counts what was wished in all, before anything was cut."""

    draft: Draft
    facts: RiskFacts
    wished: int


class PlanningService:
    """`replacements` None: working orders are left to time, and a symbol with one is busy."""

    def __init__(
        self,
        store: StateStore,
        strategy: StrategyService,
        sweep: SweepService,
        accounting: AccountingService,
        clock: Clock,
        metrics: Metrics,
        quote_asset: str,
        tuner: Tuner,
        shapers: Sequence[Shaper] = (),
        replacements: Replacements | None = None,
    ) -> None:
        self._store = store
        self._strategy = strategy
        self._sweep = sweep
        self._accounting = accounting
        self._clock = clock
        self._metrics = metrics
        self._quote_asset = quote_asset
        self._tuner = tuner
        self._shapers = tuple(shapers)
        self._replacements = replacements

    def plan(self, cycle_id: str, ground: Ground, spent: Spent) -> Plan:
        """The draft, and what risk is to know. Raises StrategyFailed."""
        account, instruments, quotes = ground.account, ground.instruments, ground.view.quotes
        open_orders = self._store.orders(_OPEN)
        facts = self.facts(ground, account, open_orders, spent)
        tuning = self._tuner.tuning()
        wishes = self._strategy.generate(
            cycle_id,
            instruments,
            quotes,
            account,
            facts.positions,
            open_orders,
            facts.fee_rates.taker,
            ground.universe,
            now_ms=ground.now_ms,
            busy=self._busy(open_orders),
            cash_kept=ground.stance.cash_kept,
            tuning=tuning,
            may_read=ground.may_read,
        )
        # What may not be bought gets no share of the idle cash.
        idle_cash = self._sweep.plan(cycle_id, facts, ground.universe.active)
        due: Sequence[Intent] = () if self._replacements is None else self._replacements.resume(cycle_id)
        intents = [*due, *wishes, *idle_cash]
        for intent in intents:
            self._metrics.count("btcbot_intents_total", symbol=intent.symbol, side=intent.side)
        draft = Draft(intents=intents)
        if self._shapers:
            shaped_by = DraftFacts(
                cycle_id=cycle_id,
                now_ms=ground.now_ms,
                local_ms=facts.now_ms,
                quote_asset=self._quote_asset,
                instruments=instruments,
                quotes=quotes,
                account=account,
                positions=facts.positions,
                open_orders=open_orders,
                holds=facts.holds,
                fee_rates=facts.fee_rates,
                free_cash=account.free(self._quote_asset),
                equity=ground.pnl.equity,
                universe=ground.universe,
                stance=ground.stance,
                tuning=tuning,
                may_read=ground.may_read,
            )
            for shaper in self._shapers:
                draft = shaper.shape(draft, shaped_by)
        return Plan(draft=draft, facts=facts, wished=len(intents))

    def facts(self, ground: Ground, account: AccountSnapshot, open_orders: Sequence[Order], spent: Spent) -> RiskFacts:
        """What risk looks at, as the books are now."""
        return RiskFacts(
            now_ms=self._clock.now_ms(),
            instruments=ground.instruments,
            quotes=ground.view.quotes,
            unusable_quotes=ground.view.unusable,
            account=account,
            open_orders=open_orders,
            holds=self._store.holds(),
            positions=self._store.positions(),
            last_order_times_ms=self._store.last_order_times_ms(),
            daily_pnl=ground.pnl.daily,
            fee_rates=self._accounting.fee_rates,
            spent=spent,
        )

    def _busy(self, open_orders: Sequence[Order]) -> frozenset[str]:
        """Symbols beside whose orders nothing may be wished."""
        if not open_orders:
            return _NONE
        if self._replacements is None:
            return frozenset(order.symbol for order in open_orders)
        return frozenset(order.symbol for order in open_orders if order.status in IN_DOUBT)
