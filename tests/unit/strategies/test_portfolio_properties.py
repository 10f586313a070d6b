"""Portfolios on a closed loop: wishes are allotted, filled, and asked again until there is nothing left to wish."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import NOW_MS, RATES, an_instrument, an_order, decimals, draft_facts

from btcbot.decisions.allocation import allocate
from btcbot.decisions.allotment import AllocationRules, UsageMode
from btcbot.decisions.draft import Draft
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot, Balance
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order
from btcbot.domain.positions import Position, after_fill
from btcbot.strategies.base import StrategyContext
from btcbot.strategies.portfolio import Portfolio
from btcbot.strategies.targets import picture_of, read_weights
from btcbot.strategies.tilted_portfolio import TiltedPortfolio

SYMBOLS = ("ADATRY", "BTCTRY", "ETHTRY", "SOLTRY")
CASH_TARGET = Decimal(300)
#: The least order with its fee, at any of the prices.
ORDER_MIN = Decimal(101)
RULES = AllocationRules(
    cash_target=CASH_TARGET,
    cash_max=Decimal(600),
    usage=UsageMode.USE_ALL,
    usage_fraction=Decimal(1),
    usage_cap=Decimal(0),
    fee_buffer=Decimal("0.0025"),
    rounding_buffer=Decimal(0),
    position_per_symbol_max=Decimal(5_000),
    notional_per_cycle_max=Decimal(1_000),
    notional_per_intent_max=Decimal(500),
    order_notional_min=Decimal(10),
    orders_per_cycle_max=2,
    cooldown_ms=0,
)


class Books:
    """An account, the prices it is worth at, and the orders it has in the market."""

    def __init__(self, cash: Decimal, held: dict[str, Decimal], prices: dict[str, Decimal]) -> None:
        self.cash = cash
        self.prices = prices
        self.positions = {
            symbol: Position(symbol=symbol, quantity=quantity, cost=quantity * prices[symbol])
            for symbol, quantity in held.items()
            if quantity
        }
        self.orders: list[Order] = []
        self.cycle = 0

    def quotes(self) -> dict[str, Quote]:
        half = Decimal("0.0005")
        return {
            symbol: Quote(
                symbol=symbol, bid=price * (1 - half), bid_quantity=Decimal(1), ask=price * (1 + half),
                ask_quantity=Decimal(1), venue_time_ms=NOW_MS, received_at_ms=NOW_MS,
            )
            for symbol, price in self.prices.items()
        }  # fmt: skip

    def locked(self) -> Decimal:
        return money.total(
            one.price * one.leaves_quantity * (1 + RATES.taker) for one in self.orders if one.side is Side.BUY
        )

    def context(self) -> StrategyContext:
        self.cycle += 1
        return StrategyContext(
            cycle_id=f"c{self.cycle:08d}",
            symbols=SYMBOLS,
            instruments={symbol: an_instrument(symbol, quantity_scale=8) for symbol in SYMBOLS},
            quotes=self.quotes(),
            positions=dict(self.positions),
            spendable=max(self.cash - self.locked() - CASH_TARGET, money.ZERO),
            cash=self.cash,
            symbols_with_open_orders=frozenset(),
            open_orders=tuple(self.orders),
            taker_rate=RATES.taker,
            now_ms=NOW_MS,
        )

    def allowed(self, wishes: Sequence[Intent]) -> Sequence[Intent]:
        """What allocation leaves of them."""
        locked = self.locked()
        balances = {"TRY": Balance("TRY", self.cash - locked, locked)}
        for symbol, position in self.positions.items():
            base = symbol.removesuffix("TRY")
            on_sale = money.total(
                one.leaves_quantity for one in self.orders if (one.symbol, one.side) == (symbol, Side.SELL)
            )
            balances[base] = Balance(base, position.quantity - on_sale, on_sale)
        facts = draft_facts(
            *SYMBOLS,
            cycle_id=f"c{self.cycle:08d}",
            instruments={symbol: an_instrument(symbol, quantity_scale=8) for symbol in SYMBOLS},
            quotes=self.quotes(),
            account=AccountSnapshot(balances=balances, asked_at_ms=NOW_MS, received_at_ms=NOW_MS),
            positions=dict(self.positions),
            open_orders=tuple(self.orders),
        )
        return allocate(Draft(intents=wishes), facts, RULES, {}).intents

    def fill(self, symbol: str, side: Side, price: Decimal, quantity: Decimal) -> None:
        fee = money.round_half_up(price * quantity * RATES.taker, 8)
        fill = Fill(
            trade_id=f"t{self.cycle}", client_order_id="it", symbol=symbol, side=side, price=price, quantity=quantity,
            fee=fee, tax=Decimal(0), at_ms=NOW_MS,
        )  # fmt: skip
        before = self.positions.get(symbol) or Position(symbol=symbol)
        self.positions[symbol] = after_fill(before, fill)
        self.cash += price * quantity * (1 if side is Side.SELL else -1) - fee

    def distances(self, strategy: Portfolio) -> dict[str, tuple[Decimal, Decimal]]:
        """Value and target of each symbol."""
        picture = picture_of(
            self.context(), read_weights(strategy.targets), strategy.cash_target, strategy.position_value_max
        )
        return {symbol: (picture.values[symbol], picture.targets[symbol]) for symbol in SYMBOLS}


@st.composite
def books(draw: st.DrawFn) -> Books:
    prices = {symbol: draw(st.sampled_from(["0.5", "7.31", "100", "58000"])) for symbol in SYMBOLS}
    held = {symbol: draw(decimals("0", "4000", 0)) for symbol in SYMBOLS}
    return Books(
        draw(decimals("0", "30000", 0)),
        {
            symbol: money.divide_down(held[symbol], Decimal(prices[symbol]), 8) if draw(st.booleans()) else money.ZERO
            for symbol in SYMBOLS
        },
        {symbol: Decimal(price) for symbol, price in prices.items()},
    )


@st.composite
def portfolios(draw: st.DrawFn) -> Portfolio:
    weights = draw(st.sampled_from(["", "ADATRY:0.4+BTCTRY:0.3+ETHTRY:0.2+SOLTRY:0.1", "BTCTRY:0.5+SOLTRY:0.5"]))
    chosen = draw(st.sampled_from([Portfolio, TiltedPortfolio]))
    return chosen(
        targets=weights,
        drift=draw(st.sampled_from([Decimal("0.02"), Decimal("0.1")])),
        order_offset_bps=draw(st.sampled_from([Decimal(0), Decimal(5)])),
        cash_target=CASH_TARGET,
        turnover_max=draw(st.sampled_from([Decimal(0), Decimal(800)])),
        orders_max=draw(st.sampled_from([0, 3])),
    )


@settings(max_examples=120, deadline=None)
@given(books(), portfolios(), st.booleans())
def test_a_portfolio_whose_wishes_are_filled_comes_to_its_targets_and_stays_there(
    account: Books, strategy: Portfolio, is_allotted: bool
) -> None:
    for _ in range(200):
        wishes = strategy.generate(account.context())
        if is_allotted:
            wishes = account.allowed(wishes)
        if not wishes:
            break
        for one in wishes:
            account.fill(one.symbol, one.side, one.price, one.quantity)
    assert account.cash >= 0
    for _ in range(3):
        last = strategy.generate(account.context())
        assert not (account.allowed(last) if is_allotted else last), "it stays"
    # Too much is less than an order, or within the drift; too little may also be what the others have too much of, and
    # what trading cost.
    distances = account.distances(strategy).values()
    over = money.total(max(value - target, money.ZERO) for value, target in distances)
    fees = money.total(target for _, target in distances) * Decimal("0.006")
    for value, target in distances:
        assert value - target <= max(strategy.drift * target, ORDER_MIN)
        assert target - value <= max(strategy.drift * target, ORDER_MIN) + over + fees


@settings(max_examples=200, deadline=None)
@given(books(), portfolios())
def test_a_portfolio_at_its_targets_wishes_nothing(account: Books, strategy: Portfolio) -> None:
    """Put there by hand, to the last digit that a quantity has."""
    cap = strategy.position_value_max * 10
    strategy = replace(strategy, position_value_max=cap)
    equity = account.cash + money.total(p.quantity * account.prices[s] for s, p in account.positions.items())
    invested = max(equity - CASH_TARGET, money.ZERO)
    weights = read_weights(strategy.targets) or dict.fromkeys(SYMBOLS, Decimal("0.25"))
    held = {
        symbol: money.divide_down(invested * weights.get(symbol, money.ZERO), account.prices[symbol], 8)
        for symbol in SYMBOLS
    }
    cash = equity - money.total(held[symbol] * account.prices[symbol] for symbol in SYMBOLS)
    settled = Books(cash, held, account.prices)

    assert strategy.generate(settled.context()) == []


@settings(max_examples=200, deadline=None)
@given(books(), portfolios(), st.randoms(use_true_random=False))
def test_wishes_do_not_depend_on_the_order_of_mappings_or_symbols(
    account: Books, strategy: Portfolio, chance: Any
) -> None:
    context = account.context()

    def mixed(mapping: Any) -> dict[str, Any]:
        items = list(mapping.items())
        chance.shuffle(items)
        return dict(items)

    names = ("instruments", "quotes", "positions")
    symbols = list(SYMBOLS)
    chance.shuffle(symbols)
    turned = replace(context, symbols=tuple(symbols), **{name: mixed(getattr(context, name)) for name in names})

    assert strategy.generate(turned) == strategy.generate(context)


@settings(max_examples=200, deadline=None)
@given(books(), portfolios())
def test_wishes_are_orders_and_one_for_a_symbol_at_most(account: Books, strategy: Portfolio) -> None:
    context = account.context()
    wishes = strategy.generate(context)
    bought = money.total(one.value for one in wishes if one.side is Side.BUY)

    assert len({one.symbol for one in wishes}) == len(wishes) == len({one.intent_id for one in wishes})
    assert bought * (1 + RATES.taker) <= context.spendable
    assert all(one.value >= context.instruments[one.symbol].value_min for one in wishes)
    if strategy.turnover_max:
        assert money.total(one.value for one in wishes) <= strategy.turnover_max
    if strategy.orders_max:
        assert len(wishes) <= strategy.orders_max


SIGNALS = {
    "low": {"z": -2.5, "is_low": True, "is_high": False, "is_back_from_below": False, "is_back_from_above": True},
    "was low": {"z": -1.0, "is_low": False, "is_high": False, "is_back_from_below": False, "is_back_from_above": True},
    "high": {"z": 2.5, "is_low": False, "is_high": True, "is_back_from_below": True, "is_back_from_above": False},
    "level": {"z": 0.0, "is_low": False, "is_high": False, "is_back_from_below": True, "is_back_from_above": True},
}


@st.composite
def tilts(draw: st.DrawFn) -> TiltedPortfolio:
    weights = ["", "ADATRY:0.4+BTCTRY:0.3+ETHTRY:0.2+SOLTRY:0.1", "BTCTRY:0.5+SOLTRY:0.4", "ETHTRY:0.333333333333"]
    return TiltedPortfolio(
        targets=draw(st.sampled_from(weights)),
        tilt=draw(st.sampled_from([Decimal("0.3"), Decimal("0.777"), Decimal(1)])),
        position_share_max=draw(st.sampled_from([Decimal(27), Decimal(45), Decimal(100)])),
        position_value_max=draw(st.sampled_from([Decimal(5_000), Decimal(100_000)])),
        cash_target=CASH_TARGET,
    )


@settings(max_examples=300, deadline=None)
@given(books(), tilts(), st.tuples(*[st.sampled_from(["cold", *SIGNALS])] * len(SYMBOLS)))
def test_a_tilt_never_wants_more_than_is_invested_nor_more_than_a_position_may_be(
    account: Books, strategy: TiltedPortfolio, moves: tuple[str, ...]
) -> None:
    """In a crash every pair is low at once: the shares that are wanted then come to no more than all there is."""
    signals = {symbol: SIGNALS[move] for symbol, move in zip(SYMBOLS, moves, strict=True) if move != "cold"}
    context = replace(account.context(), signals=signals)
    picture = strategy.picture(context)
    corridors = strategy.corridors(context, picture)

    assert corridors.keys() == picture.targets.keys()
    assert money.total(one.least for one in corridors.values()) <= picture.invested
    for symbol, (least, most, _) in corridors.items():
        target = picture.targets[symbol]
        assert least <= most
        assert most * 100 <= max(strategy.position_share_max * picture.equity, target * 100)
        assert signals.get(symbol) is not SIGNALS["low"] or least >= target, "what is low is never wanted less"


def upkeep(account: Books, wishes: Sequence[Intent]) -> None:
    """A wish that equals a working order leaves it; another one replaces it; an order that nobody wishes is kept."""
    for wish in wishes:
        mine = [one for one in account.orders if (one.symbol, one.side) == (wish.symbol, wish.side)]
        if any(one.leaves_quantity == wish.quantity and one.price == wish.price for one in mine):
            continue
        account.orders = [one for one in account.orders if one.symbol != wish.symbol]
        order = an_order(account.cycle * 10 + len(account.orders), symbol=wish.symbol, side=wish.side)
        account.orders.append(replace(order, price=wish.price, quantity=wish.quantity))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["portfolio", "tilted_portfolio"])
def test_with_orders_at_work_the_same_difference_is_never_ordered_twice(name: str, seed: int) -> None:
    """Orders rest, are filled in part, moved and wished again: what is held and what is on its way stay together below
    the target, and cash below nothing."""
    chance = Random(seed)
    strategy = (Portfolio if name == "portfolio" else TiltedPortfolio)(cash_target=CASH_TARGET, drift=Decimal("0.02"))
    account = Books(Decimal(12_000), {}, {symbol: Decimal(100) for symbol in SYMBOLS})
    target_max = (Decimal(12_000) - CASH_TARGET) / 4
    for _ in range(150):
        upkeep(account, account.allowed(strategy.generate(account.context())))
        assert len({one.symbol for one in account.orders}) == len(account.orders)
        assert account.cash - account.locked() >= CASH_TARGET * Decimal("0.99")
        for symbol in SYMBOLS:
            position = account.positions.get(symbol)
            held = position.quantity * 100 if position else money.ZERO
            coming = money.total(one.price * one.leaves_quantity for one in account.orders if one.symbol == symbol)
            assert held + coming <= target_max * Decimal("1.02")
        for order in list(account.orders):
            part = chance.choice(["none", "none", "half", "all"])
            if part != "none":
                done = (
                    order.leaves_quantity if part == "all" else money.divide_down(order.leaves_quantity, Decimal(2), 8)
                )
                account.fill(order.symbol, order.side, order.price, done)
                account.orders.remove(order)
                if part == "half":
                    account.orders.append(replace(order, filled_quantity=order.filled_quantity + done))
    for value, target in account.distances(strategy).values():
        assert abs(value - target) <= target * Decimal("0.02") + ORDER_MIN
