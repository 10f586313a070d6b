"""RiskService: puts the facts before RiskPolicy and writes down every verdict with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from btcbot.decisions import risk
from btcbot.decisions.risk import Allowed, RefusedIntent, RiskFacts, RiskLimits
from btcbot.domain.cycles import Verdict
from btcbot.domain.intents import Intent
from btcbot.ports import Log, Metrics, StateStore, Transaction

ALLOWED = "allowed"


class RiskService:
    def __init__(self, limits: RiskLimits, store: StateStore, metrics: Metrics, log: Log) -> None:
        self._limits = limits
        self._store = store
        self._metrics = metrics
        self._log = log

    def would_allow(self, intents: Sequence[Intent], facts: RiskFacts) -> bool:
        """Whether any of them may become an order; nothing is written down."""
        return any(isinstance(decision, Allowed) for decision in risk.evaluate(intents, facts, self._limits))

    def filter(
        self, intents: Sequence[Intent], facts: RiskFacts, beside: Callable[[Transaction], None] | None = None
    ) -> Sequence[Allowed]:
        """The intents that may become orders, in their order; all verdicts are durable when it returns, and with them,
        in one unit, what `beside` writes."""
        if not intents:
            return []
        decisions = risk.evaluate(intents, facts, self._limits)
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
        return [decision for decision in decisions if isinstance(decision, Allowed)]


def _verdict(decision: Allowed | RefusedIntent, at_ms: int) -> Verdict:
    intent = decision.intent
    allowed = isinstance(decision, Allowed)
    return Verdict(
        cycle_id=intent.cycle_id,
        intent_id=intent.intent_id,
        symbol=intent.symbol,
        side=intent.side,
        price=intent.price,
        quantity=intent.quantity,
        allowed=allowed,
        code=ALLOWED if isinstance(decision, Allowed) else decision.code.value,
        detail="; ".join(part for part in (intent.why, decision.detail) if part),
        at_ms=at_ms,
    )
