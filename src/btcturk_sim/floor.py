"""The trading floor: what all parts of the engine share.

`Engine` accepts and times, `matching` pairs orders, `clearing` moves money, `stops` waits for prices; they meet here.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from btcturk_sim.accounts import Account, Books
from btcturk_sim.book import noise_table
from btcturk_sim.events import Event, Listener
from btcturk_sim.fees import FeeSchedule, schedule_for
from btcturk_sim.history import BarHistory
from btcturk_sim.instruments import Instrument
from btcturk_sim.market import Market
from btcturk_sim.money import ZERO, divide_down
from btcturk_sim.options import EngineOptions
from btcturk_sim.pair import Pair

# Without a USDTTRY price on this market, depth given in TRY is converted at this one.
_USDT_IN_TRY: Final = Decimal(40)


class Floor:
    """Pairs, books and commissions of one exchange, and who is told what happens to them."""

    def __init__(
        self, accounts: Iterable[Account], market: Market, now_ms: int, seed: int, options: EngineOptions
    ) -> None:
        self.options = options
        self.listeners: list[Listener] = []
        source = market.source
        #: The rules of every listed pair, as new orders are judged by.
        self.instruments = {one.symbol: one for one in source.instruments}
        noise = noise_table(seed)
        past = source if isinstance(source, BarHistory) else None
        self.pairs = {
            one.symbol: Pair(one, source.opening_price(one.symbol), options=options.book, noise=noise,
                             salt=ordinal * 131, interval_ms=source.interval_ms, past=past, opened_ms=now_ms)
            for ordinal, one in enumerate(source.instruments)
        }  # fmt: skip
        self._fees = {one.symbol: self._schedule(one) for one in source.instruments}
        self._set_depths()
        self.books = Books(accounts)
        for account in self.books.accounts.values():
            self._open_account(account, source.instruments)

    def tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)

    def fees_of(self, instrument: Instrument) -> FeeSchedule:
        """Maker's and taker's commission on this pair."""
        return self._fees[instrument.symbol]

    def _schedule(self, instrument: Instrument) -> FeeSchedule:
        given = self.options.fees or {}
        return (
            given.get(instrument.symbol)
            or given.get(instrument.quote)
            or schedule_for(instrument.quote, self.options.fee_level)
        )

    def _set_depths(self) -> None:
        usdt = self.pairs.get("USDTTRY")
        rate = usdt.price if usdt else _USDT_IN_TRY
        for pair in self.pairs.values():
            if pair.instrument.quote != "TRY":
                pair.depth_quote = divide_down(pair.depth_quote, rate, 2)

    def _open_account(self, account: Account, instruments: Iterable[Instrument]) -> None:
        for asset, held in account.balances.items():
            account.opening[asset] = held.free
            self.books.outside[asset] = self.books.outside.get(asset, ZERO) + held.free
        for one in instruments:
            account.balance(one.base)
            account.balance(one.quote)
