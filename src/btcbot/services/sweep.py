"""SweepService: turns idle cash into resting bids, when switched on. Its intents go the way of all intents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from btcbot.decisions import sweep
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order


class SweepService:
    def __init__(self, *, enabled: bool, cash_target: Decimal, offset_bps: Decimal, quote_asset: str) -> None:
        self._enabled = enabled
        self._cash_target = cash_target
        self._offset_bps = offset_bps
        self._quote_asset = quote_asset

    def plan(
        self,
        cycle_id: str,
        account: AccountSnapshot,
        instruments: Mapping[str, Instrument],
        quotes: Mapping[str, Quote],
        symbols: Sequence[str],
        open_orders: Sequence[Order],
        taker_rate: Decimal,
    ) -> Sequence[Intent]:
        """Intents that bring free cash down to the target, for `symbols` without an open order; none while switched
        off."""
        if not self._enabled:
            return []
        free = account.free(self._quote_asset)
        buyable = {symbol: quotes[symbol] for symbol in symbols if symbol in quotes}
        busy = frozenset(order.symbol for order in open_orders)
        return sweep.plan(cycle_id, free, self._cash_target, self._offset_bps, taker_rate, instruments, buyable, busy)
