"""RiskService: puts the facts before RiskPolicy and writes down every verdict with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from btcbot.decisions import risk
from btcbot.decisions.risk import Allowed, RefusedIntent, RiskDecision, RiskFacts, RiskLimits
from btcbot.domain.cycles import Verdict
from btcbot.domain.intents import Intent
from btcbot.ports import Log, Metrics, StateStore, Transaction
from btcbot.services.watching import Tuner

ALLOWED = "allowed"


class RiskService:
    def __init__(self, limits: RiskLimits, tuner: Tuner, store: StateStore, metrics: Metrics, log: Log) -> None:
        self._limits = limits
        self._tuner = tuner
        self._store = store
        self._metrics = metrics
        self._log = log

    def would_allow(self, intents: Sequence[Intent], facts: RiskFacts) -> bool:
        """Whether any of them may become an order; nothing is written down."""
        return any(isinstance(decision, Allowed) for decision in risk.evaluate(intents, facts, self._limits_now()))

    def filter(
        self,
        intents: Sequence[Intent],
        facts: RiskFacts,
        beside: Callable[[Transaction], None] | None = None,
        refused: Sequence[RefusedIntent] = (),
    ) -> Sequence[RiskDecision]:
        """A decision for each intent, in their order; all verdicts are durable when it returns, and with them, in one
        unit, those of wishes that were `refused` before they came here, and what `beside` writes."""
        if not intents and not refused and beside is None:
            return []
        decisions = [*risk.evaluate(intents, facts, self._limits_now()), *refused]
        with self._store.transaction() as tx:
            if beside is not None:
                beside(tx)
            for decision in decisions:
                tx.insert_verdict(_verdict(decision, facts.now_ms))
        for decision in decisions:
            if isinstance(decision, RefusedIntent):
                self._metrics.count("btcbot_verdicts_total", verdict="refused", reason=decision.code.value)
                self._log.info(
                    "intent_refused",
                    symbol=decision.intent.symbol,
                    side=decision.intent.side.value,
                    reason=decision.code.value,
                    detail=decision.detail,
                )
            else:
                self._metrics.count("btcbot_verdicts_total", verdict=ALLOWED, reason=ALLOWED)
        return decisions

    def _limits_now(self) -> RiskLimits:
        """The settings' limits; parameters that change during a run may only lower them."""
        tuning = self._tuner.tuning()
        if tuning is None:
            return self._limits
        return msgspec.structs.replace(
            self._limits,
            orders_per_cycle_max=min(self._limits.orders_per_cycle_max, tuning.orders_per_cycle_max),
            notional_per_cycle_max=min(self._limits.notional_per_cycle_max, tuning.turnover_per_cycle_max),
        )


def _verdict(decision: Allowed | RefusedIntent, at_ms: int) -> Verdict:
    intent, allowed = decision.intent, isinstance(decision, Allowed)
    return Verdict(
        cycle_id=intent.cycle_id,
        intent_id=intent.intent_id,
        symbol=intent.symbol,
        side=intent.side,
        price=intent.price,
        quantity=intent.quantity,
        allowed=allowed,
        code=ALLOWED if isinstance(decision, Allowed) else decision.code.value,
        detail="; ".join(filter(None, (intent.why, decision.detail))),
        at_ms=at_ms,
    )
