"""The promise of `HasWakes`: between what it waits for, a strategy wishes nothing, whatever became of its orders.

A small market is played bar by bar. At a bar at which no condition came true the strategy is asked all the same, and
must wish nothing; at the others its wishes become orders that are filled, filled in part, cancelled or left open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import decimals

from btcbot.domain import money
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import Quote
from btcbot.domain.positions import Position, after_fill
from btcbot.strategies import holdings
from btcbot.strategies.base import HasWakes, Signal, Strategy, StrategyContext, UsesSignals, Wakes
from btcbot.strategies.ema_cross import EmaCross
from btcbot.strategies.limit_band import LimitBand
from btcbot.strategies.mean_reversion import MeanReversion
from btcbot.strategies.profit_v1 import ProfitAwareStrategyV1
from btcbot.strategies.rebalance import Rebalance
from btcbot.strategies.scenes import MINUTE_MS, START_MS, an_instrument, bars_of
from btcbot.strategies.signals import RunningSignals

RATE = Decimal("0.0024")
SYMBOLS = ("ADATRY", "BTCTRY")
STRATEGIES: Mapping[str, Strategy] = {
    "profit_v1": ProfitAwareStrategyV1(spread_bps_max=Decimal(40)),
    "ema_cross": EmaCross(fast=2, slow=4, spread_bps_max=Decimal(40)),
    "ema_cross by quantity": EmaCross(fast=2, slow=4, quantity=Decimal("2.5")),
    "ema_cross that persists": EmaCross(fast=2, slow=4, spread_bps_max=Decimal(40), persist=True),
    "mean_reversion": MeanReversion(window=4, entry_z=Decimal("0.9"), spread_bps_max=Decimal(40)),
    "rebalance at times": Rebalance(every_minutes=4, band=Decimal("0.02")),
    "rebalance": Rebalance(band=Decimal("0.02")),
}


class Resting(NamedTuple):
    intent: Intent
    left: Decimal


class Played(NamedTuple):
    """`slept`: bars at which nothing had come true; `woken`: the others; `wishes`: what was wished at those."""

    slept: int
    woken: int
    wishes: int


class Market:
    """Two symbols on one clock, an account, and orders to which anything may happen; all from one seed."""

    def __init__(self, strategy: Strategy, seed: int, length: int) -> None:
        self.chance = Random(seed)
        self.strategy = strategy
        self.cash = Decimal(self.chance.choice([0, 90, 150, 400, 5_000]))
        self.positions: dict[str, Position] = {}
        self.open: dict[str, Resting] = {}
        self.trades = 0
        self.length = length
        self.bars = {symbol: bars_of(self._walk(), symbol) for symbol in SYMBOLS}
        wanted: Mapping[str, Signal] = strategy.signals() if isinstance(strategy, UsesSignals) else {}
        self.running = {symbol: RunningSignals(wanted) for symbol in SYMBOLS}
        for symbol in SYMBOLS:
            if self.chance.random() < 0.6:
                quantity = Decimal(self.chance.choice(["0.5", "0.98", "1.02", "3", "12"]))
                cost = quantity * self.chance.choice([60, 95, 100, 105])
                self.positions[symbol] = Position(symbol=symbol, quantity=quantity, cost=cost)

    def _walk(self) -> list[Decimal]:
        prices, price = [], Decimal(100)
        for _ in range(self.length):
            price += Decimal(self.chance.choice([-12, -3, -1, 0, 0, 0, 1, 3, 12])) / 4
            price = max(price, Decimal(5))
            prices.append(price)
        return prices

    def context(self, step: int) -> StrategyContext:
        bars, signals, quotes = {}, {}, {}
        for symbol in SYMBOLS:
            bar = self.bars[symbol][step]
            values = self.running[symbol].update(bar)
            if values is not None and isinstance(self.strategy, UsesSignals):
                bars[symbol], signals[symbol] = bar, values
            half = bar.close * self.chance.choice([1, 1, 1, 30, 90]) * Decimal("0.0001")
            if self.chance.random() < 0.9:
                quotes[symbol] = Quote(
                    symbol=symbol, bid=bar.close - half, bid_quantity=Decimal(9), ask=bar.close + half,
                    ask_quantity=Decimal(9), venue_time_ms=bar.close_time_ms, received_at_ms=bar.close_time_ms,
                )  # fmt: skip
        held_back = sum(
            (one.left * one.intent.price * (1 + RATE) for one in self.open.values() if one.intent.side is Side.BUY),
            Decimal(0),
        )
        return StrategyContext(
            cycle_id=f"c{step:08d}",
            symbols=SYMBOLS,
            instruments={symbol: an_instrument(symbol) for symbol in SYMBOLS},
            quotes=quotes,
            positions=dict(self.positions),
            spendable=max(self.cash - held_back, Decimal(0)),
            symbols_with_open_orders=frozenset(self.open),
            taker_rate=RATE,
            now_ms=START_MS + (step + 1) * MINUTE_MS,
            bars=bars,
            signals=signals,
        )

    def order(self, intents: Sequence[Intent]) -> None:
        """What risk and the venue take: what is there to be sold, and can be paid."""
        for intent in intents:
            assert intent.symbol not in self.open, "a busy symbol is left alone"
            self.open[intent.symbol] = Resting(intent, intent.quantity)

    def happen(self) -> bool:
        """Something, or nothing, becomes of each open order; True where one was filled, if only in part, or closed."""
        happened = False
        for symbol, (intent, left) in list(self.open.items()):
            fate = self.chance.choice(["wait", "fill", "fill", "part", "cancel"])
            if fate == "wait":
                continue
            happened = True
            quantity = left if fate == "fill" else left / 4 if fate == "part" else Decimal(0)
            if quantity:
                self._fill(intent, quantity)
            if fate == "part":
                self.open[symbol] = Resting(intent, left - quantity)
            else:
                del self.open[symbol]
        return happened

    def _fill(self, intent: Intent, quantity: Decimal) -> None:
        self.trades += 1
        fee = intent.price * quantity * RATE
        fill = Fill(
            trade_id=str(self.trades), client_order_id="it", symbol=intent.symbol, side=intent.side,
            price=intent.price, quantity=quantity, fee=fee, tax=Decimal(0), at_ms=0,
        )  # fmt: skip
        position = self.positions.get(intent.symbol) or Position(symbol=intent.symbol)
        self.positions[intent.symbol] = after_fill(position, fill)
        sign = -1 if intent.side is Side.BUY else 1
        self.cash += sign * intent.price * quantity - fee


def is_due(wakes: Wakes, context: StrategyContext, before: StrategyContext | None, *, something_happened: bool) -> bool:
    """Whether one of the conditions is true now. `before`: the context of the bar before this one."""
    quotes = context.quotes
    return (
        any(symbol in quotes and quotes[symbol].bid >= price for symbol, price in wakes.bid_at_least.items())
        or any(symbol in quotes and quotes[symbol].ask <= price for symbol, price in wakes.ask_at_most.items())
        or any(_value(context, *one) != _value(before, *one) for one in wakes.changes)
        or (wakes.not_before_ms is not None and context.now_ms >= wakes.not_before_ms)
        or (wakes.on_fill and something_happened)
    )


def _value(context: StrategyContext | None, symbol: str, name: str) -> float | None:
    return None if context is None or symbol not in context.signals else context.signals[symbol][name]


def play(strategy: Strategy, seed: int, length: int = 40) -> Played:
    """One market; AssertionError where the strategy wishes something that it had not announced."""
    assert isinstance(strategy, HasWakes)
    market = Market(strategy, seed, length)
    slept = woken = wishes = 0
    wakes: Wakes | None = None
    before: StrategyContext | None = None
    for step in range(length):
        happened = market.happen()
        context = market.context(step)
        intents = strategy.generate(context)
        if wakes is not None and not is_due(wakes, context, before, something_happened=happened):
            assert not intents, f"bar {step}: {wakes} had announced nothing, and yet {intents} given {context}"
            slept += 1
        else:
            woken += 1
            wishes += len(intents)
            market.order(intents)
            wakes = strategy.wakes(context)
        before = context
    return Played(slept, woken, wishes)


@pytest.mark.parametrize("name", STRATEGIES)
@settings(deadline=None, max_examples=150)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_between_what_it_waits_for_it_wishes_nothing(name: str, seed: int) -> None:
    play(STRATEGIES[name], seed)


@pytest.mark.parametrize("name", STRATEGIES)
def test_that_is_a_promise_of_something(name: str) -> None:
    """Over a few markets each of them trades, and each but the one that is asked at every bar sleeps as well."""
    played = [play(STRATEGIES[name], seed) for seed in range(30)]

    assert sum(one.wishes for one in played) > 20
    assert (sum(one.slept for one in played) > 100) is (name != "rebalance")


def test_the_play_notices_a_promise_that_is_broken() -> None:
    """The same cross, asking again until it is in the market, but waiting for crosses alone."""

    class Restless(EmaCross, frozen=True, kw_only=True):
        def wakes(self, context: StrategyContext) -> Wakes:
            changes = tuple((symbol, "is_above") for symbol in context.symbols)
            return Wakes(changes=changes, on_fill=False)

    def play_some() -> None:
        for seed in range(30):
            play(Restless(fast=2, slow=4, persist=True), seed)

    with pytest.raises(AssertionError, match="had announced nothing"):
        play_some()


def test_a_cross_sleeps_from_cross_to_cross() -> None:
    """Closes 5, 5, 5, 5, 5, 8, 9, 2: warm at bar 4, above from bar 5 on, below at bar 7; nothing in between."""
    strategy = EmaCross(fast=2, slow=4)
    running = RunningSignals(strategy.signals())
    crossed = [values and values["has_crossed"] for values in map(running.update, bars_of([5, 5, 5, 5, 5, 8, 9, 2]))]

    assert crossed == [None, None, None, None, 1, 1, 0, 1]


def test_a_limit_band_is_asked_at_every_bar() -> None:
    assert not isinstance(LimitBand(), HasWakes)


def test_a_position_waits_for_the_bid_at_which_it_is_in_profit() -> None:
    """Ten for 1,002.40; 30 bps on top want 100.54072 each, and 24 bps of fee go off the bid: 100.78259823…"""
    strategy = ProfitAwareStrategyV1()
    market = Market(strategy, 1, 1)
    context = msgspec.structs.replace(
        market.context(0),
        symbols=("BTCTRY",),
        positions={"BTCTRY": Position(symbol="BTCTRY", quantity=Decimal(10), cost=Decimal("1002.40"))},
        spendable=Decimal(0),
    )

    wakes = strategy.wakes(context)

    assert money.round_down(wakes.bid_at_least["BTCTRY"], 8) == Decimal("100.78259823")
    assert (wakes.ask_at_most, wakes.not_before_ms, wakes.on_fill) == ({}, None, True)


@given(
    dust=decimals("0.01", "5000", 8),
    below=decimals("0.00000001", "1", 8),
    spread_max=decimals("0.01", "10000", 4),
    width=decimals("0", "1", 6),
)
def test_no_quote_at_which_dust_would_be_bought_lies_above_the_ask_that_is_waited_for(
    dust: Decimal, below: Decimal, spread_max: Decimal, width: Decimal
) -> None:
    """A bid just below the dust price, and an ask as far away as the spread limit allows, or less."""
    bid = dust * (1 - below)
    half = spread_max * width * Decimal("0.00005")
    quote = Quote(
        symbol="BTCTRY", bid=bid, bid_quantity=Decimal(1), ask=money.divide_down(bid * (1 + half), 1 - half, 12),
        ask_quantity=Decimal(1), venue_time_ms=0, received_at_ms=0,
    )  # fmt: skip
    bound = holdings.ask_above_which_no_dust_is_bought(dust, spread_max)

    if quote.bid > 0 and quote.spread_bps <= spread_max:
        assert quote.ask <= bound
    assert bound <= 3 * dust + 1, "and it is no excuse for waking at any price"


def test_a_flat_symbol_without_money_waits_for_an_order_to_end() -> None:
    strategy = ProfitAwareStrategyV1()
    market = Market(strategy, 1, 1)
    context = msgspec.structs.replace(market.context(0), positions={}, spendable=Decimal("99.90"))

    assert strategy.wakes(context) == Wakes()


def test_a_flat_symbol_with_a_wide_spread_has_to_be_looked_at() -> None:
    strategy = ProfitAwareStrategyV1(spread_bps_max=Decimal("0.01"))
    market = Market(strategy, 1, 1)
    context = msgspec.structs.replace(market.context(0), positions={}, spendable=Decimal(1_000))

    assert strategy.wakes(context).not_before_ms == context.now_ms
