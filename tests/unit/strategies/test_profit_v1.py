"""ProfitAwareStrategyV1, with numbers worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from tests.builders import RATES, a_position, a_quote, an_instrument, decimals

from btcbot.domain.intents import Intent, Side
from btcbot.strategies.base import StrategyContext
from btcbot.strategies.profit_v1 import ProfitAwareStrategyV1

STRATEGY = ProfitAwareStrategyV1(
    entry_budget=Decimal(500),
    profit_bps_min=Decimal(30),
    slice_fraction=Decimal("0.25"),
    spread_bps_max=Decimal(100),
)


def context(**changes: Any) -> StrategyContext:
    """One flat symbol at 99.95 to 100.05, 10,000 TRY to spend, a taker rate of 24 bps."""
    plain = StrategyContext(
        cycle_id="c1",
        symbols=("ADATRY",),
        instruments={"ADATRY": an_instrument()},
        quotes={"ADATRY": a_quote()},
        positions={},
        spendable=Decimal(10_000),
        symbols_with_open_orders=frozenset(),
        taker_rate=RATES.taker,
    )
    return replace(plain, **changes)


def holding(quantity: str, cost: str, bid: str, **changes: Any) -> StrategyContext:
    ask = str(Decimal(bid) + Decimal("0.10"))
    return context(
        positions={"ADATRY": a_position(quantity=quantity, cost=cost)},
        quotes={"ADATRY": a_quote(bid=bid, ask=ask)},
        **changes,
    )


def wishes(found: StrategyContext, strategy: ProfitAwareStrategyV1 = STRATEGY) -> Sequence[Intent]:
    return strategy.generate(found)


def wished(found: StrategyContext, strategy: ProfitAwareStrategyV1 = STRATEGY) -> tuple[Side, Decimal, Decimal] | None:
    intents = wishes(found, strategy)
    assert len(intents) <= 1
    return (intents[0].side, intents[0].price, intents[0].quantity) if intents else None


class TestEntry:
    def test_a_flat_symbol_is_bought_at_the_ask_for_the_budget_with_the_fee(self) -> None:
        """One costs 100.05 × 1.0024 = 100.29012 TRY, so 500 TRY buy 4.9855."""
        assert wished(context()) == (Side.BUY, Decimal("100.05"), Decimal("4.9855"))

    def test_no_more_than_there_is_to_spend(self) -> None:
        """200 TRY buy 1.9942."""
        assert wished(context(spendable=Decimal(200))) == (Side.BUY, Decimal("100.05"), Decimal("1.9942"))

    @pytest.mark.parametrize("spendable", ["0", "99.90", "100"])
    def test_nothing_that_the_venue_would_refuse_as_too_small(self, spendable: str) -> None:
        """100 TRY buy 0.9971, worth 99.76, and the venue wants 99.91."""
        assert wished(context(spendable=Decimal(spendable))) is None

    @pytest.mark.parametrize(("ask", "buys"), [("100", True), ("100.01", False)])
    def test_a_wide_spread_is_left_alone(self, ask: str, buys: bool) -> None:
        """99.005 to 100 are exactly 100 bps of the mid of 99.5025."""
        found = context(
            instruments={"ADATRY": an_instrument(price_scale=3)}, quotes={"ADATRY": a_quote(bid="99.005", ask=ask)}
        )

        assert (wished(found) is not None) is buys

    def test_several_symbols_in_alphabetical_order_share_what_can_be_spent(self) -> None:
        """800 TRY: 500 go to ADA (4.9855, costing 499.996…), 300 to BTC, nothing is left for ETH."""
        symbols = ("ETHTRY", "BTCTRY", "ADATRY")
        found = context(
            symbols=symbols,
            instruments={symbol: an_instrument(symbol) for symbol in symbols},
            quotes={symbol: a_quote(symbol) for symbol in symbols},
            spendable=Decimal(800),
        )

        assert [(intent.symbol, intent.quantity) for intent in wishes(found)] == [
            ("ADATRY", Decimal("4.9855")),
            ("BTCTRY", Decimal("2.9913")),
        ]

    def test_dust_counts_as_flat(self) -> None:
        """0.9995 ADA at 99.95 are worth 99.90, below the venue's minimum of 99.91: it cannot be sold, so buy."""
        found = context(positions={"ADATRY": a_position(quantity="0.9995", cost="500")})

        assert wished(found) == (Side.BUY, Decimal("100.05"), Decimal("4.9855"))


class TestTakeProfit:
    """4 ADA for 400.96 in all, so 100.24 each; 30 bps on top want 100.54072 net of the sell's fee of 24 bps."""

    @pytest.mark.parametrize(
        ("bid", "sells"),
        [
            ("100.78", False),  # 100.538128 net
            ("100.79", True),  # 100.548104 net
        ],
    )
    def test_it_sells_when_the_bid_net_of_the_fee_is_enough_above_cost(self, bid: str, sells: bool) -> None:
        assert (wished(holding("4", "400.96", bid)) is not None) is sells

    def test_a_position_without_enough_profit_is_kept_and_not_added_to(self) -> None:
        assert wished(holding("4", "400.96", "50")) is None
        assert wished(holding("4", "400.96", "100.24")) is None

    def test_a_quarter_of_it_is_sold_at_the_bid(self) -> None:
        assert wished(holding("8", "800", "110")) == (Side.SELL, Decimal(110), Decimal(2))

    def test_a_slice_below_the_minimum_is_raised_to_it(self) -> None:
        """A quarter of 3 is 0.75, worth 82.50 at 110; 99.91 TRY are 0.9083 of it."""
        assert wished(holding("3", "300", "110")) == (Side.SELL, Decimal(110), Decimal("0.9083"))

    def test_when_the_rest_would_be_too_small_all_is_sold(self) -> None:
        """1.8 at 110: a slice of 0.9083 would leave 0.8917, worth 98.09."""
        assert wished(holding("1.8", "180", "110")) == (Side.SELL, Decimal(110), Decimal("1.8"))

    def test_a_rest_of_just_the_minimum_stays(self) -> None:
        """1.8166 at 110 leaves 0.9083, worth 99.913."""
        assert wished(holding("1.8166", "180", "110")) == (Side.SELL, Decimal(110), Decimal("0.9083"))

    def test_a_slice_is_on_the_lot_whatever_the_position_is(self) -> None:
        assert wished(holding("8.00037", "800", "110")) == (Side.SELL, Decimal(110), Decimal("2.0000"))

    def test_a_fraction_of_one_sells_everything_on_the_lot(self) -> None:
        whole = replace(STRATEGY, slice_fraction=Decimal(1))

        assert wished(holding("8.00037", "800", "110"), whole) == (Side.SELL, Decimal(110), Decimal("8.0003"))

    def test_a_sell_needs_no_cash_and_no_narrow_spread(self) -> None:
        found = holding("8", "800", "110", spendable=Decimal(0))
        wide = replace(found, quotes={"ADATRY": a_quote(bid="110", ask="150")})

        assert wished(wide) == (Side.SELL, Decimal(110), Decimal(2))


class TestLeftAlone:
    def test_a_symbol_with_an_open_order(self) -> None:
        assert wished(context(symbols_with_open_orders=frozenset({"ADATRY"}))) is None

    def test_a_symbol_without_a_quote_or_without_rules(self) -> None:
        assert wished(context(quotes={})) is None
        assert wished(context(instruments={})) is None

    def test_a_symbol_that_is_not_wanted(self) -> None:
        assert wished(context(symbols=())) is None


def test_an_intent_names_its_cycle_strategy_symbol_and_side() -> None:
    (intent,) = wishes(context())

    assert (intent.intent_id, intent.cycle_id, intent.strategy) == ("c1:profit_v1:ADATRY:buy", "c1", "profit_v1")


def test_the_same_context_gives_the_same_intents() -> None:
    assert wishes(context()) == wishes(context())


@settings(deadline=None)
@given(
    quantity=decimals("0", "50", 6),
    cost=decimals("0.01", "5000", 4),
    bid=decimals("1", "200", 2),
    spendable=decimals("0", "2000", 2),
    fraction=decimals("0.01", "1", 2),
)
def test_every_wish_can_be_ordered_and_no_sell_leaves_dust(
    quantity: Decimal, cost: Decimal, bid: Decimal, spendable: Decimal, fraction: Decimal
) -> None:
    pair = an_instrument()
    found = holding(str(quantity), str(cost), str(bid), spendable=spendable)
    for intent in wishes(found, replace(STRATEGY, slice_fraction=fraction)):
        assert pair.is_on_lot(intent.quantity) and pair.is_on_tick(intent.price)
        if intent.side is Side.BUY:
            assert intent.value >= pair.value_min
            assert intent.value * (1 + RATES.taker) <= min(spendable, STRATEGY.entry_budget)
        else:
            left = pair.quantity_down(quantity) - intent.quantity
            assert left == 0 or left * bid >= pair.value_min
            gain = intent.value * (1 - RATES.taker) * quantity - cost * intent.quantity
            assert gain > 0
