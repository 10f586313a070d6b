"""The live state of one trading pair: its price, its books, what the public sees of it."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final

import msgspec

from btcturk_sim.book import BookOptions, ClientBook, SyntheticBook, merged_levels
from btcturk_sim.candles import Chart, Day
from btcturk_sim.history import BarHistory, past_of
from btcturk_sim.instruments import BAND_FACTOR, Instrument
from btcturk_sim.market import StepPrice
from btcturk_sim.money import ZERO, round_down
from btcturk_sim.orders import Order, Side

PUBLIC_TRADES_MAX: Final = 50


class PublicTrade(msgspec.Struct, frozen=True):
    id: int
    time_ms: int
    price: Decimal
    quantity: Decimal
    side: Side  # of the taker


class Pair:
    def __init__(
        self,
        instrument: Instrument,
        price: Decimal,
        *,
        options: BookOptions,
        noise: tuple[int, ...],
        salt: int,
        interval_ms: int,
        past: BarHistory | None = None,
        opened_ms: int = 0,
    ) -> None:
        self.instrument = instrument
        #: The market's price: middle of the synthetic book and reference of the price band.
        self.price = price
        #: The last traded price, by whomever.
        self.last = price
        self.clients = ClientBook()
        self.stops: list[Order] = []
        #: Maintenance: nothing trades, neither orders nor cancels are taken.
        self.halted = False
        #: Nothing trades and no order is taken, but cancels are.
        self.cancel_only = False
        #: Its order book is answered with 503: the data behind it comes too late.
        self.delayed = False
        #: The exchange does not know the pair any more.
        self.delisted = False
        #: What exchangeinfo says of it; no other text than this has been seen of the real exchange.
        self.status = "TRADING"
        self.rules_changed = False
        self.price_override: Decimal | None = None
        self.trades: deque[PublicTrade] = deque(maxlen=PUBLIC_TRADES_MAX)
        before = None if past is None else past_of(past, instrument.symbol, opened_ms, interval_ms)
        self.chart = Chart(before)
        self.day = Day(interval_ms, instrument.price_scale if instrument.has_fraction else 0, before)
        self.depth_quote = options.depth_try
        self._options = options
        self._noise = noise
        self._salt = salt
        self._steps = 0
        self._bar_volume = ZERO
        self._book: SyntheticBook | None = None

    @property
    def is_trading(self) -> bool:
        return not (self.halted or self.cancel_only or self.delisted)

    @property
    def price_max(self) -> Decimal:
        return self.price * BAND_FACTOR

    @property
    def price_min(self) -> Decimal:
        return self.price / BAND_FACTOR

    @property
    def book(self) -> SyntheticBook:
        """The synthetic book of this step, made when first looked at."""
        if self._book is None:
            self._book = SyntheticBook(
                self.instrument, self.price, self._bar_volume, self.depth_quote, self._options, self._noise,
                self._steps * 31 + self._salt,
            )  # fmt: skip
        return self._book

    def take_rules(self, instrument: Instrument) -> None:
        """Judge new orders by these rules from now on; price and book follow them, resting orders do not."""
        self.instrument = instrument
        self.rules_changed = True
        self.price = self._on_tick(self.price)
        self.last = self._on_tick(self.last)
        if self.price_override is not None:
            self.price_override = self.price
        self._book = None

    def fitted(self, step: StepPrice) -> StepPrice:
        """A step of a market that still walks by the pair's first rules, rounded to today's."""
        return StepPrice(self._on_tick(step.price), round_down(step.flow, self.instrument.quantity_scale),
                         step.bar_volume, step.opens_bar)  # fmt: skip

    def _on_tick(self, price: Decimal) -> Decimal:
        one = self.instrument
        return max(one.price_step, round_down(price, one.price_scale if one.has_fraction else 0))

    def move(self, step: StepPrice, time_ms: int) -> Side:
        """Take the market's next price; returns the side of whoever moved it."""
        price = self.price if self.price_override is None else self.price_override
        if self.price_override is None:
            taker = Side.BUY if step.price > price or (step.price == price and self._steps % 2) else Side.SELL
            price = step.price
        else:
            taker = Side.SELL
        self._steps += 1
        self._bar_volume = step.bar_volume
        self._book = None
        self.price = price
        if step.flow:
            self.last = price
        self.chart.add(time_ms, price, step.flow)
        self.day.add(price, step.flow, step.opens_bar)
        return taker

    def refresh(self, price: Decimal) -> None:
        """Jump to a price at once, outside the market's own walk."""
        self.price = self.last = price
        self._book = None

    def best_bid(self) -> Decimal | None:
        return self._best(Side.BUY)

    def best_ask(self) -> Decimal | None:
        return self._best(Side.SELL)

    def _best(self, side: Side) -> Decimal | None:
        level = self.book.best(side)
        order = self.clients.best(side)
        if level is None or order is None:
            return level.price if level else order.price if order else None
        return max(level.price, order.price) if side is Side.BUY else min(level.price, order.price)

    def stop_reference(self, side: Side) -> Decimal:
        """The best price that a stop of this side would meet."""
        best = self.best_ask() if side is Side.BUY else self.best_bid()
        return self.last if best is None else best

    def levels(self, side: Side, limit: int) -> list[tuple[Decimal, Decimal]]:
        return merged_levels(self.book, self.clients, side, limit)
