"""RiskBudgetOverseer: gathers what the risk budget looks at, narrows the cycle to what it allows, and keeps what is in
force for who asks."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from btcbot.decisions import results as folding
from btcbot.decisions import risk_budget
from btcbot.decisions.risk_budget import BudgetFacts, BudgetLimits
from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import FREE, Stance, TradingMode
from btcbot.ports import Metrics, Transaction
from btcbot.services.budget_record import BUDGET, InForce
from btcbot.services.snapshots import SnapshotRecorder, plain_json
from btcbot.services.watching import CycleEnd, CycleFacts

_CODES: Final = "budget:"
#: Every limit by which the budget may narrow, as `btcbot_budget_limit_reached` names it.
LIMITS: Final = tuple(code.value.removeprefix(_CODES) for code in ReasonCode if code.value.startswith(_CODES))


class RiskBudgetOverseer:
    """An Overseer and a CycleWatcher. `snapshots` is the watcher of the same bot, which keeps what fills came to."""

    name = "risk_budget"

    def __init__(self, snapshots: SnapshotRecorder, limits: BudgetLimits, metrics: Metrics) -> None:
        self._snapshots = snapshots
        self._limits = limits
        self._metrics = metrics
        self._stance = FREE
        #: Mode and limits as the metrics were told them last.
        self._told: tuple[TradingMode, frozenset[str]] | None = None
        self._kept: InForce | None = None

    def look(self, facts: CycleFacts) -> Stance:
        self._stance = stance = risk_budget.judge(self.measured(facts), self._limits)
        self._tell(stance)
        return stance

    def _tell(self, stance: Stance) -> None:
        """Gauges keep what they were set to, so only what has changed is told."""
        reached = frozenset(reason.partition(": ")[0].removeprefix(_CODES) for reason in stance.reasons)
        told, self._told = self._told, (stance.mode, reached)
        if self._told == told:
            return
        for mode in TradingMode:
            self._metrics.gauge("btcbot_budget_mode", int(mode is stance.mode), mode=mode.value)
        for limit in LIMITS:
            self._metrics.gauge("btcbot_budget_limit_reached", int(limit in reached), limit=limit)

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Keep what is in force where it has changed. A cycle that came to no look leaves what was."""
        if end.facts is None:
            return
        stance, report, kept = self._stance, end.report, self._kept
        found = InForce(
            cycle_id=report.cycle_id if kept is None else kept.cycle_id,
            at_ms=report.ended_at_ms if kept is None else kept.at_ms,
            mode=stance.mode,
            buy_share=stance.buy_share,
            no_buys=stance.no_buys,
            reasons=stance.reasons,
            limits=self._limits,
        )
        if found != kept:
            found = replace(found, cycle_id=report.cycle_id, at_ms=report.ended_at_ms)
            tx.put_value(BUDGET, plain_json(found))
            self._kept = found

    def measured(self, facts: CycleFacts) -> BudgetFacts:
        """The facts of the budget as they are now."""
        pnl, results = facts.pnl, self._snapshots.results(facts)
        marks = self._snapshots.marks(facts)
        held = {position.symbol: position.quantity for position in facts.positions.values() if position.quantity}
        worth = {symbol: held[symbol] * mark for symbol, mark in marks.items()}
        profit = pnl.realized + pnl.unrealized
        points = list(self._snapshots.points(results))
        if pnl.equity is not None:
            points.append((profit, pnl.equity))
        is_whole = pnl.equity is not None and pnl.daily is not None
        return BudgetFacts(
            daily_pnl=pnl.daily,
            equity=pnl.equity,
            drawdown=folding.drawdown(results, profit) if is_whole else None,
            drawdown_pct=folding.drawdown_pct(results, profit) if is_whole else None,
            unmarked=tuple(sorted(held.keys() - marks.keys())),
            is_holding=bool(held),
            exposure=money.total(worth.values()) + _open_buys(facts),
            worth=worth,
            fees_today=results.fees_today + results.taxes_today,
            loss_streak=results.loss_streak,
            volatility=risk_budget.volatility(points),
        )


def _open_buys(facts: CycleFacts) -> Decimal:
    return money.total(order.price * order.leaves_quantity for order in facts.open_orders if order.side is Side.BUY)
