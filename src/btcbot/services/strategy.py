"""StrategyService: gathers what a strategy may know and asks it for intents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order
from btcbot.domain.positions import Position
from btcbot.strategies.base import Strategy, StrategyContext


class StrategyService:
    def __init__(self, strategy: Strategy, symbols: Sequence[str], quote_asset: str, cash_reserve: Decimal) -> None:
        self._strategy = strategy
        self._symbols = tuple(symbols)
        self._quote_asset = quote_asset
        self._cash_reserve = cash_reserve

    def generate(
        self,
        cycle_id: str,
        instruments: Mapping[str, Instrument],
        quotes: Mapping[str, Quote],
        account: AccountSnapshot,
        positions: Mapping[str, Position],
        open_orders: Sequence[Order],
        taker_rate: Decimal,
    ) -> Sequence[Intent]:
        """Raw intents of the strategy, most wanted first."""
        context = StrategyContext(
            cycle_id=cycle_id,
            symbols=self._symbols,
            instruments=instruments,
            quotes=quotes,
            positions=positions,
            spendable=max(account.free(self._quote_asset) - self._cash_reserve, money.ZERO),
            symbols_with_open_orders=frozenset(order.symbol for order in open_orders),
            taker_rate=taker_rate,
        )
        return self._strategy.generate(context)
