"""The portfolio, with numbers worked by hand.

Pairs at a mid of 100 with a spread of 10 bps, prices on 0.01, quantities on 0.0001, orders of at least 99.91 TRY, a fee
of 24 bps; no offset unless told, so buys are at 100.05 and sells at 99.95.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from tests.builders import NOW_MS, a_position, a_quote, an_instrument, an_order

from btcbot.domain.intents import Side
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.tuning import Tuning
from btcbot.errors import ConfigurationError
from btcbot.strategies.base import Strategy, StrategyContext
from btcbot.strategies.portfolio import Portfolio
from btcbot.strategies.shipped import shipped
from btcbot.strategies.targets import picture_of, read_weights, weights_text

TWO = ("ADATRY", "BTCTRY")
PLAIN = Portfolio(order_offset_bps=Decimal(0), cash_target=Decimal(0), position_value_max=Decimal(100_000))


def market(cash: str = "1000", held: Mapping[str, str] | None = None, **changes: Any) -> StrategyContext:
    """`cash` of TRY, all of it to spend, and what is held of each pair, at a cost of 100 each."""
    symbols = changes.get("symbols", TWO)
    plain = StrategyContext(
        cycle_id="c00000007",
        symbols=symbols,
        instruments={symbol: an_instrument(symbol) for symbol in symbols},
        quotes={symbol: a_quote(symbol) for symbol in symbols},
        positions={
            symbol: a_position(symbol, quantity, str(Decimal(quantity) * 100))
            for symbol, quantity in (held or {}).items()
        },
        spendable=Decimal(cash),
        cash=Decimal(cash),
        symbols_with_open_orders=frozenset(),
        taker_rate=Decimal("0.0024"),
        now_ms=NOW_MS,
    )
    return replace(plain, **changes)


def wishes(strategy: Strategy, context: StrategyContext) -> list[tuple[str, str, str, str]]:
    found = strategy.generate(context)
    assert found == strategy.generate(context), "the same context gives the same intents"
    return [
        (one.symbol, one.side.value, f"{one.price.normalize():f}", f"{one.quantity.normalize():f}") for one in found
    ]


def tuned(**changes: Any) -> Tuning:
    plain = Tuning(
        version=3, universe_size=5, order_offset_bps=Decimal(0), turnover_per_cycle_max=Decimal(50_000),
        orders_per_cycle_max=10, spread_bps_max=Decimal(100), quote_volume_min=Decimal(0), cash_target=Decimal(0),
    )  # fmt: skip
    return replace(plain, **changes)


class TestTargets:
    def test_all_have_the_same_without_weights(self) -> None:
        """500 each at the mid are 5; what is left of the cash pays 4.9710 of the second at the ask, with its fee."""
        assert wishes(PLAIN, market()) == [("ADATRY", "buy", "100.05", "5"), ("BTCTRY", "buy", "100.05", "4.971")]

    def test_weights_spread_what_is_above_the_cash_target(self) -> None:
        strategy = replace(PLAIN, targets="ADATRY:0.25+BTCTRY:0.75", cash_target=Decimal(500))
        assert wishes(strategy, market("1000", spendable=Decimal(900))) == [
            ("BTCTRY", "buy", "100.05", "3.75"),
            ("ADATRY", "buy", "100.05", "1.2355"),
        ]

    def test_what_was_not_named_is_sold(self) -> None:
        assert wishes(replace(PLAIN, targets="BTCTRY:1"), market("0", {"ADATRY": "3", "BTCTRY": "3"})) == [
            ("ADATRY", "sell", "99.95", "3")
        ]

    def test_no_position_is_to_be_worth_more_than_its_cap_with_fee(self) -> None:
        """400 / 1.0024 = 399.04 at the mid, which is 3.9904; at the ask with the fee there is room for 3.9884."""
        assert wishes(replace(PLAIN, position_value_max=Decimal(400)), market()) == [
            ("ADATRY", "buy", "100.05", "3.9884"),
            ("BTCTRY", "buy", "100.05", "3.9884"),
        ]

    def test_a_fallen_position_is_not_bought_beyond_what_the_caps_count(self) -> None:
        """5 ADA cost 500 and are worth 500 of a cap of 600: what they cost counts where it is more."""
        strategy = replace(PLAIN, position_value_max=Decimal(600), targets="ADATRY:1")
        cheap = market("9000", {"ADATRY": "5"})
        dear = replace(cheap, positions={"ADATRY": a_position("ADATRY", "5", "550")})

        assert wishes(strategy, cheap) == []  # 99.75 of room are no order
        assert wishes(replace(strategy, position_value_max=Decimal(700)), cheap) != []
        assert wishes(replace(strategy, position_value_max=Decimal(700)), dear) != []
        assert wishes(replace(strategy, position_value_max=Decimal(650)), dear) == []

    def test_a_symbol_that_winds_down_has_the_target_zero(self) -> None:
        context = market("1000", {"ADATRY": "3"}, symbols=TWO)
        winding = replace(context, symbols=("BTCTRY",), winding_down=frozenset({"ADATRY"}))

        expected = [("ADATRY", "sell", "99.95", "3"), ("BTCTRY", "buy", "100.05", "9.971")]
        assert wishes(PLAIN, winding) == expected
        assert wishes(PLAIN, replace(winding, symbols=TWO)) == expected, "in whichever list it stands"

    def test_within_the_drift_nothing_is_done(self) -> None:
        """500 is the target of each, and 10 % of it may be away; then 585, with 115 too much and 275 too little."""
        assert wishes(PLAIN, market("0", {"ADATRY": "5.5", "BTCTRY": "4.5"})) == []
        assert [one[:2] for one in wishes(PLAIN, market("160", {"ADATRY": "7", "BTCTRY": "3.1"}))] == [
            ("ADATRY", "sell"),
            ("BTCTRY", "buy"),
        ]

    def test_cash_that_may_not_be_spent_for_another_reason_is_no_money_of_the_portfolio(self) -> None:
        """1,000 TRY, of which 600 are kept: 200 each, and not 500 for the first that comes."""
        assert [one[3] for one in wishes(PLAIN, market("1000", spendable=Decimal(400)))] == ["2", "1.9884"]

    def test_it_works_for_what_is_there_when_the_account_is_worth_less_than_the_cash_target(self) -> None:
        strategy = replace(PLAIN, cash_target=Decimal(5_000))
        assert wishes(strategy, market("1000", spendable=Decimal(0))) == []
        assert wishes(strategy, market("1000", {"ADATRY": "3"}, spendable=Decimal(0))) == [
            ("ADATRY", "sell", "99.95", "3")
        ]


class TestQuotes:
    def test_a_symbol_without_a_quote_is_neither_sold_nor_counted_as_missing_money(self) -> None:
        """500 each. Without ADA's quote, BTC's target must stay 500, and not fall to the half of what is left."""
        held = {"ADATRY": "5", "BTCTRY": "5"}
        blind = market("0", held, quotes={"BTCTRY": a_quote("BTCTRY")})

        assert wishes(PLAIN, market("0", held)) == []
        assert wishes(PLAIN, blind) == []
        assert picture_of(blind, {}, Decimal(0), Decimal(100_000)).targets == {"BTCTRY": 500}

    def test_what_was_never_bought_keeps_its_share_in_cash(self) -> None:
        blind = market("1000", quotes={"BTCTRY": a_quote("BTCTRY")})
        assert wishes(PLAIN, blind) == [("BTCTRY", "buy", "100.05", "5")]

    def test_without_any_quote_nothing_is_wished(self) -> None:
        assert wishes(PLAIN, market("1000", {"ADATRY": "5"}, quotes={})) == []

    def test_a_wide_spread_is_not_bought_and_is_sold_all_the_same(self) -> None:
        wide = {symbol: a_quote(symbol, "99", "101") for symbol in TWO}
        strategy = replace(PLAIN, targets="ADATRY:1")

        assert wishes(strategy, market("1000", {"BTCTRY": "3"}, quotes=wide)) == [("BTCTRY", "sell", "99", "3")]


class TestPrices:
    def test_an_offset_waits_below_the_mid_to_buy_and_above_it_to_sell(self) -> None:
        """5 bps off 100.03 leave 99.979985 and 100.080015, each rounded away from the other side."""
        quotes = {symbol: a_quote(symbol, "99.98", "100.08") for symbol in TWO}
        context = market("500", {"BTCTRY": "5"}, quotes=quotes)
        found = wishes(replace(PLAIN, targets="ADATRY:1", order_offset_bps=Decimal(5)), context)

        assert [one[:3] for one in found] == [("BTCTRY", "sell", "100.09"), ("ADATRY", "buy", "99.97")]

    def test_at_the_touch_without_one(self) -> None:
        found = wishes(replace(PLAIN, targets="ADATRY:1"), market("500", {"BTCTRY": "5"}))
        assert [one[2] for one in found] == ["99.95", "100.05"]

    def test_a_price_that_rounds_to_nothing_is_no_order(self) -> None:
        tiny = {"ADATRY": a_quote("ADATRY", "0.01", "0.02")}
        strategy = replace(PLAIN, order_offset_bps=Decimal(1_000), spread_bps_max=Decimal(10_000))
        coarse = {"ADATRY": an_instrument("ADATRY", price_scale=1)}
        assert wishes(strategy, market(symbols=("ADATRY",), quotes=tiny, instruments=coarse)) == []


class TestSizes:
    def test_the_largest_difference_comes_first_sells_before_buys(self) -> None:
        four = ("ADATRY", "BTCTRY", "ETHTRY", "SOLTRY")
        context = market("1500", {"ADATRY": "2", "ETHTRY": "15", "SOLTRY": "20"}, symbols=four)

        assert [one[:2] for one in wishes(PLAIN, context)] == [
            ("SOLTRY", "sell"),
            ("ETHTRY", "sell"),
            ("BTCTRY", "buy"),
            ("ADATRY", "buy"),
        ]

    def test_a_rest_that_could_never_be_sold_goes_along(self) -> None:
        """The target of 50 is no position that could be sold: 3 go whole."""
        strategy = replace(PLAIN, targets="ADATRY:0.05+BTCTRY:0.95", drift=Decimal("0.01"))
        assert wishes(strategy, market("0", {"ADATRY": "3", "BTCTRY": "7"})) == [("ADATRY", "sell", "99.95", "3")]

    def test_unless_that_leads_further_away_than_it_was(self) -> None:
        """120 with a target of 80: selling 40 is no order, selling all is further from 80 than 120 is."""
        strategy = replace(PLAIN, targets="ADATRY:0.08+BTCTRY:0.92")
        assert wishes(strategy, market("0", {"ADATRY": "1.2", "BTCTRY": "8.8"})) == []

    def test_dust_stays_where_it_is(self) -> None:
        assert wishes(replace(PLAIN, targets="BTCTRY:1"), market("0", {"ADATRY": "0.5", "BTCTRY": "9.5"})) == []

    def test_less_than_an_order_is_no_wish(self) -> None:
        assert wishes(PLAIN, market("150")) == []

    def test_the_turnover_of_a_cycle_is_capped(self) -> None:
        """700 at most: 6.9965 at 100.05 for the first, and 0.01 for nobody."""
        found = wishes(replace(PLAIN, turnover_max=Decimal(700)), market("4000"))
        assert found == [("ADATRY", "buy", "100.05", "6.9965")]

    def test_a_capped_sell_leaves_a_rest_that_can_be_sold(self) -> None:
        """All of 5 are to go, and 450 TRY would leave 0.4977: 1 (99.95 TRY) stays."""
        strategy = replace(PLAIN, targets="BTCTRY:1", turnover_max=Decimal(450))
        assert wishes(strategy, market("0", {"ADATRY": "5"})) == [("ADATRY", "sell", "99.95", "4.0004")]

    def test_the_number_of_orders_is_capped(self) -> None:
        assert [one[0] for one in wishes(replace(PLAIN, orders_max=1), market())] == ["ADATRY"]


class TestTuning:
    def test_what_is_tuned_wins_over_the_parameters(self) -> None:
        strategy = replace(PLAIN, orders_max=2, turnover_max=Decimal(9_000), order_offset_bps=Decimal(50))
        context = market(
            tuning=tuned(orders_per_cycle_max=1, turnover_per_cycle_max=Decimal(300), cash_target=Decimal(200))
        )
        assert wishes(strategy, context) == [("ADATRY", "buy", "100.05", "2.9985")]

    def test_a_tuned_number_of_orders_is_not_exceeded(self) -> None:
        assert [one[0] for one in wishes(PLAIN, market(tuning=tuned(orders_per_cycle_max=1)))] == ["ADATRY"]

    def test_a_turnover_tuned_to_nothing_lets_nothing_pass(self) -> None:
        """Zero is a cap here, and not the lack of one, as in the parameter."""
        assert wishes(PLAIN, market(tuning=tuned(turnover_per_cycle_max=Decimal(0)))) == []

    def test_a_tuned_cash_target_is_kept(self) -> None:
        found = wishes(PLAIN, market(tuning=tuned(cash_target=Decimal(600))))
        assert [one[3] for one in found] == ["2", "1.9884"]


def order(side: Side = Side.BUY, quantity: str = "5", symbol: str = "ADATRY", **changes: Any) -> Order:
    return an_order(side=side, quantity=quantity, price="100.05", symbol=symbol, **changes)


class TestWorkingOrders:
    """1,000 TRY, of which a working buy of 5 ADA locks 501.4506."""

    LOCKED = Decimal("501.4506")

    def with_order(self, one: Order, **changes: Any) -> StrategyContext:
        return market("1000", spendable=Decimal(1_000) - self.LOCKED, open_orders=(one,), **changes)

    def test_a_working_order_is_wished_again_and_not_a_second_time(self) -> None:
        assert wishes(PLAIN, self.with_order(order())) == [
            ("ADATRY", "buy", "100.05", "5"),
            ("BTCTRY", "buy", "100.05", "4.971"),
        ]

    def test_what_is_missing_beyond_it_follows_when_it_is_filled(self) -> None:
        """2 are working of 5 that are wanted: 2 are wished."""
        small = order(quantity="2")
        context = market("1000", spendable=Decimal("799.41976"), open_orders=(small,))
        assert ("ADATRY", "buy", "100.05", "2") in wishes(PLAIN, context)

    def test_what_is_not_needed_any_more_is_not_wished_again(self) -> None:
        """1,350 in all: 675 each. ADA holds 350, so of the 5 that work 3.25 are still wanted."""
        context = self.with_order(order(), positions={"ADATRY": a_position("ADATRY", "3.5", "350")})
        assert wishes(PLAIN, context)[0] == ("BTCTRY", "buy", "100.05", "4.971")
        assert ("ADATRY", "buy", "100.05", "3.25") in wishes(PLAIN, context)

    def test_what_was_begun_is_brought_to_its_end_within_the_drift(self) -> None:
        """A target of 2,000, 1,850 held: within 10 %, unless an order is on its way."""
        held = {"ADATRY": "18.5", "BTCTRY": "20"}
        begun = market("150", held, spendable=Decimal("0"), open_orders=(order(quantity="1.49"),))

        assert wishes(PLAIN, market("150", held)) == []
        assert wishes(PLAIN, begun) == [("ADATRY", "buy", "100.05", "1.49")]

    def test_it_takes_no_turnover_and_no_place_of_new_orders(self) -> None:
        strategy = replace(PLAIN, turnover_max=Decimal(300), orders_max=1)
        assert wishes(strategy, self.with_order(order())) == [
            ("ADATRY", "buy", "100.05", "5"),
            ("BTCTRY", "buy", "100.05", "2.9985"),
        ]

    def test_a_busy_symbol_is_left_alone_and_its_cash_is_spoken_for(self) -> None:
        """Where nobody looks after working orders, the symbol is busy; BTC gets what is not locked."""
        context = self.with_order(order(), symbols_with_open_orders=frozenset({"ADATRY"}))
        assert wishes(PLAIN, context) == [("BTCTRY", "buy", "100.05", "4.971")]

    def test_an_order_in_doubt_is_left_alone(self) -> None:
        context = self.with_order(order(status=OrderStatus.UNKNOWN))
        assert [one[0] for one in wishes(PLAIN, context)] == ["BTCTRY"]

    def test_a_closed_order_says_nothing(self) -> None:
        context = market("1000", open_orders=(order(status=OrderStatus.CANCELED),))
        assert wishes(PLAIN, context) == wishes(PLAIN, market("1000"))

    def test_a_working_sell_is_wished_again(self) -> None:
        selling = order(Side.SELL, quantity="3")
        context = market("0", {"ADATRY": "3"}, open_orders=(selling,))
        assert wishes(replace(PLAIN, targets="BTCTRY:1"), context) == [("ADATRY", "sell", "99.95", "3")]


class TestIntents:
    def test_ids_name_cycle_strategy_symbol_and_side(self) -> None:
        """So none is ever used again: the cycle is in it."""
        first = PLAIN.generate(market("0", {"ADATRY": "9", "BTCTRY": "1"}))
        later = PLAIN.generate(market("0", {"ADATRY": "9", "BTCTRY": "1"}, cycle_id="c00000008"))

        assert [one.intent_id for one in first] == ["c00000007:portfolio:ADATRY:sell"]
        assert not {one.intent_id for one in first} & {one.intent_id for one in later}

    def test_the_reason_tells_the_shares(self) -> None:
        (sell,) = PLAIN.generate(market("0", {"ADATRY": "9", "BTCTRY": "1"}))
        assert sell.why == "90 % of the account, wanted 50 %"


class TestParameters:
    def test_weights_read_back_as_they_are_written(self) -> None:
        weights = {"ADATRY": Decimal("0.618556701031"), "BTCTRY": Decimal("0.381443298969")}
        assert read_weights(weights_text(weights)) == weights
        assert read_weights("") == {} and weights_text({}) == ""

    @pytest.mark.parametrize(
        ("targets", "said"),
        [
            ("ADATRY:0.5,BTCTRY:0.5", "cannot be read; write such as BTCTRY:0.6+ETHTRY:0.4"),
            ("ADATRY:2", "cannot be read; write such as"),
            ("ADATRY:0.5+ADATRY:0.1", "names ADATRY twice"),
            ("ADATRY:0.7+BTCTRY:0.4", "add up to 1.1; they may not exceed 1"),
        ],
    )
    def test_weights_that_cannot_be_meant_are_refused_in_one_line(self, targets: str, said: str) -> None:
        with pytest.raises(ConfigurationError, match=r"^portfolio: targets=") as refused:
            shipped()["portfolio"].make({"targets": targets})
        assert said in str(refused.value)

    def test_a_symbol_that_is_not_traded_is_refused(self) -> None:
        strategy = Portfolio(targets="ADATYR:1")
        with pytest.raises(ValueError, match="targets names ADATYR, which is not traded; it is one of ADATRY, BTCTRY"):
            strategy.demand_symbols(TWO)
