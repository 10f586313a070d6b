"""SweepService: turns idle cash into resting bids, when switched on. Its intents go the way of all intents."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from btcbot.decisions import sweep
from btcbot.decisions.risk import RiskFacts, RiskLimits, room_for_buys
from btcbot.domain.intents import Intent


class SweepService:
    """`cash_target` is left untouched, and the reserve of `limits` as well."""

    def __init__(
        self, *, enabled: bool, cash_target: Decimal, offset_bps: Decimal, quote_asset: str, limits: RiskLimits
    ) -> None:
        self._enabled = enabled
        self._cash_target = max(cash_target, limits.cash_reserve)
        self._offset_bps = offset_bps
        self._quote_asset = quote_asset
        self._limits = limits

    def plan(self, cycle_id: str, facts: RiskFacts, symbols: Sequence[str]) -> Sequence[Intent]:
        """Intents that bring free cash down to the target, for `symbols` without an open order; none while switched
        off."""
        if not self._enabled:
            return []
        buyable = {symbol: facts.quotes[symbol] for symbol in symbols if symbol in facts.quotes}
        return sweep.plan(
            cycle_id,
            facts.account.free(self._quote_asset),
            self._cash_target,
            self._offset_bps,
            facts.fee_rates.taker,
            facts.instruments,
            buyable,
            busy_symbols=frozenset(order.symbol for order in facts.open_orders),
            room=room_for_buys(facts, self._limits, buyable),
        )
