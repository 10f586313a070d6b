"""The shipped rules on bars, with numbers worked by hand: ema_cross, limit_band, mean_reversion, rebalance.

The market is that of `btcbot.strategies.scenes`: BTCTRY, prices on 0.01, orders of at least 99.91 TRY, a fee of 24 bps,
a spread of 10 bps unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import example, given
from msgspec.structs import replace
from tests.builders import a_quote, an_instrument, decimals

from btcbot.domain.intents import Intent, Side
from btcbot.domain.positions import Position
from btcbot.errors import ConfigurationError
from btcbot.strategies.base import Strategy, StrategyContext
from btcbot.strategies.ema_cross import EmaCross
from btcbot.strategies.limit_band import LimitBand
from btcbot.strategies.mean_reversion import MeanReversion
from btcbot.strategies.rebalance import Rebalance
from btcbot.strategies.scenes import MINUTE_MS, START_MS, a_scene, bars_of
from btcbot.strategies.shipped import shipped

Wish = tuple[str, str, str]


def wishes(strategy: Strategy, context: StrategyContext) -> list[Wish]:
    """Side, price and quantity as text."""
    return [
        (one.side.value, f"{one.price.normalize():f}", f"{one.quantity.normalize():f}")
        for one in generated(strategy, context)
    ]


def generated(strategy: Strategy, context: StrategyContext) -> Sequence[Intent]:
    found = strategy.generate(context)
    assert found == strategy.generate(context), "the same context gives the same intents"
    return found


class TestEmaCross:
    #: 2 and 3 bars: alpha 2/3 and 1/2; the averages mean something from bar 3 on.
    CROSS = EmaCross(fast=2, slow=3)
    RISING: tuple[str, ...] = ("100", "100", "100", "106")  # fast 104, slow 103: above, at the first bar that counts

    def test_above_at_the_first_bar_it_buys_at_the_ask_for_the_budget(self) -> None:
        """The ask is 106.053; one costs 106.3075272 with the fee, so 500 buy 4.70333581."""
        assert wishes(self.CROSS, a_scene(self.CROSS, self.RISING)) == [("buy", "106.053", "4.70333581")]

    def test_a_quantity_is_bought_as_it_is_given(self) -> None:
        strategy = EmaCross(fast=2, slow=3, quantity=Decimal("1.5"))
        assert wishes(strategy, a_scene(strategy, self.RISING)) == [("buy", "106.053", "1.5")]

    def test_below_it_sells_all_at_the_bid(self) -> None:
        """At the bar of the cross, with the bid at 93.953."""
        below = ("100", "100", "106", "106", "88")  # fast 104, 105.33…, 93.78 and slow 103, 104.5, 96.25
        context = a_scene(self.CROSS, below, held="7.5", cost="750")

        assert wishes(self.CROSS, context) == [("sell", "87.956", "7.5")]

    def test_it_is_not_warm_before_bar_slow(self) -> None:
        assert wishes(self.CROSS, a_scene(self.CROSS, self.RISING[1:])) == []

    def test_after_the_cross_it_lets_things_be_unless_it_persists(self) -> None:
        later = (*self.RISING, "112")
        persists = replace(self.CROSS, persist=True)

        assert wishes(self.CROSS, a_scene(self.CROSS, later)) == []
        assert [side for side, _, _ in wishes(persists, a_scene(persists, later))] == ["buy"]
        assert wishes(persists, a_scene(persists, later, held="3", cost="300")) == []

    @pytest.mark.parametrize(
        "context",
        [
            a_scene(CROSS, RISING, held="3", cost="300"),
            a_scene(CROSS, RISING, busy=True),
            a_scene(CROSS, RISING, spread_bps="100.01"),
            a_scene(CROSS, RISING, cash="100"),
            a_scene(CROSS, ("100", "100", "100", "94")),
        ],
        ids=["held already", "an open order", "a wide spread", "less than the least order with fee", "below and flat"],
    )
    def test_otherwise_it_wishes_nothing(self, context: StrategyContext) -> None:
        assert wishes(self.CROSS, context) == []

    def test_dust_counts_as_flat(self) -> None:
        """0.9 at 105.947 are worth 95.35, less than the least order."""
        assert [side for side, _, _ in wishes(self.CROSS, a_scene(self.CROSS, self.RISING, held="0.9", cost="90"))] == [
            "buy"
        ]

    def test_fast_is_faster_than_slow(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^ema_cross: fast=200 must be below slow=100$"):
            shipped()["ema_cross"].make({"fast": "200"})

    def test_what_it_cannot_pay_for_all_goes_to_the_first_by_name(self) -> None:
        """700: 500 for the first, and 200 for the second."""
        context = two_symbols(self.CROSS, self.RISING, spendable="700")
        bought = generated(self.CROSS, context)

        assert [one.symbol for one in bought] == ["ADATRY", "BTCTRY"]
        assert [round(float(one.value * (1 + context.taker_rate))) for one in bought] == [500, 200]


class TestLimitBand:
    BAND = LimitBand(offset_bps=Decimal(15), quantity=Decimal("0.001"))

    def test_flat_it_rests_a_buy_below_the_close(self) -> None:
        """3,000,000.50 less 15 bps is 2,995,500.499250, which rounds to 2,995,500.50."""
        assert wishes(self.BAND, a_scene(self.BAND, ["3000000.50"])) == [("buy", "2995500.5", "0.001")]

    def test_holding_it_rests_a_sell_of_all_above_the_close(self) -> None:
        """3,000,000.50 and 15 bps are 3,004,500.500750."""
        context = a_scene(self.BAND, ["3000000.50"], held="0.001", cost="3000")
        assert wishes(self.BAND, context) == [("sell", "3004500.5", "0.001")]

    @pytest.mark.parametrize(
        ("close", "price"), [("10.10", "10.08"), ("10.30", "10.28"), ("10", "9.98"), ("30", "29.96")]
    )
    def test_half_a_tick_rounds_to_the_even_one(self, close: str, price: str) -> None:
        """20 bps off 10.10 leave 10.0798. With 15 bps, 10 leaves 9.985 and 30 leaves 29.955: both halves, both even."""
        band = replace(self.BAND, offset_bps=Decimal(15 if close in ("10", "30") else 20), quantity=Decimal(20))
        assert wishes(band, a_scene(band, [close])) == [("buy", price, "20")]

    def test_a_budget_buys_what_it_pays_for_at_the_price_of_the_order(self) -> None:
        """500 / (99.85 × 1.0024) = 4.995522016…"""
        band = LimitBand(entry_budget=Decimal(500))
        assert wishes(band, a_scene(band, ["100"])) == [("buy", "99.85", "4.99552201")]

    def test_a_symbol_with_an_open_order_or_without_a_bar_is_left_alone(self) -> None:
        assert wishes(self.BAND, a_scene(self.BAND, ["3000000"], busy=True)) == []
        assert wishes(self.BAND, replace(a_scene(self.BAND, ["3000000"]), bars={})) == []


class TestMeanReversion:
    #: Four closes; the last lies sqrt(3) deviations below its mean where the others are alike.
    REVERSION = MeanReversion(window=4, entry_z=Decimal("1.5"))
    LOW = ("100", "100", "100", "96")

    def test_far_below_its_average_it_buys_at_the_ask(self) -> None:
        """The ask is 96.048; with the fee one costs 96.2785152, so 500 buy 5.19326662."""
        assert wishes(self.REVERSION, a_scene(self.REVERSION, self.LOW)) == [("buy", "96.048", "5.19326662")]

    def test_back_at_its_average_it_sells_all_at_the_bid(self) -> None:
        context = a_scene(self.REVERSION, ("96", "100", "104", "100"), held="5", cost="480")
        assert wishes(self.REVERSION, context) == [("sell", "99.95", "5")]

    def test_the_anchor_is_no_price_of_its_own(self) -> None:
        """A market that only falls lies below its average at every bar: held is kept, until the fall slows down."""
        falling = ("100", "98", "96", "94")
        slower = ("96", "94", "93.9", "95")
        assert wishes(self.REVERSION, a_scene(self.REVERSION, falling, held="5", cost="480")) == []
        assert wishes(self.REVERSION, a_scene(self.REVERSION, slower, held="5", cost="480")) == [
            ("sell", "94.9525", "5")
        ]

    @pytest.mark.parametrize(
        "context",
        [
            a_scene(REVERSION, ("100", "98", "96", "94")),
            a_scene(REVERSION, ("100", "100", "100", "100")),
            a_scene(REVERSION, LOW, spread_bps=101),
            a_scene(REVERSION, LOW, busy=True),
            a_scene(REVERSION, LOW, cash=100),
            a_scene(REVERSION, LOW, held=5, cost=500),
        ],
        ids=["1.34 deviations", "stands still", "a wide spread", "an open order", "too little money", "held already"],
    )
    def test_otherwise_it_wishes_nothing(self, context: StrategyContext) -> None:
        assert wishes(self.REVERSION, context) == []

    def test_it_may_not_sell_what_it_has_just_bought(self) -> None:
        with pytest.raises(ConfigurationError, match=r"exit_z=-2 must be above -entry_z=-2"):
            shipped()["mean_reversion"].make({"exit_z": "-2"})


class TestRebalance:
    #: Orders as large as they need to be.
    WHOLE = Decimal(1_000_000)

    def test_all_alike(self) -> None:
        """90 % over two symbols of 10,000: 4,500 each; at the ask of 100.05 and with the fee 44.86982366."""
        strategy = Rebalance(order_value_max=self.WHOLE)
        context = two_symbols(strategy, ["100"])
        assert wishes(strategy, context) == [("buy", "100.05", "44.86982366")] * 2

    def test_what_is_too_much_is_sold_before_too_little_is_bought(self) -> None:
        """8,000 in BTC, none in ADA and 2,000 of cash: half and 0.3 of 10,000 are wanted, so 3,000 go and 2,000 come.

        3,000 at the bid of 99.95 are 30.01500751, rounded up; 2,000 at 100.05 with the fee 19.94214385.
        """
        strategy = Rebalance(weights="BTCTRY:0.5+ADATRY:0.3", order_value_max=self.WHOLE)
        context = two_symbols(strategy, ["100"], spendable="2000", held={"BTCTRY": "80"})
        found = generated(strategy, context)

        assert [(one.symbol, one.side) for one in found] == [("BTCTRY", Side.SELL), ("ADATRY", Side.BUY)]
        assert [one.quantity for one in found] == [Decimal("30.01500751"), Decimal("19.94214385")]

    @pytest.mark.parametrize(("held", "sides"), [("44.9", ["buy"]), ("45", []), ("55", []), ("55.1", ["sell"])])
    def test_within_the_band_it_is_left_alone(self, held: str, sides: list[str]) -> None:
        """Half of 10,000 in BTC, five points either way."""
        strategy = Rebalance(weights="BTCTRY:0.5")
        context = a_scene(strategy, ["100"], held=held, cost="1", cash=Decimal(10_000) - Decimal(held) * 100)
        assert [side for side, _, _ in wishes(strategy, context)] == sides

    def test_a_symbol_that_is_not_named_is_sold_whole(self) -> None:
        strategy = Rebalance(weights="ADATRY:0.1", order_value_max=self.WHOLE)
        context = two_symbols(strategy, ["100"], spendable="0", held={"BTCTRY": "9", "ADATRY": "1"})
        assert wishes(strategy, context) == [("sell", "99.95", "9")]

    def test_a_rest_that_could_not_be_sold_goes_along(self) -> None:
        """0.01 of 1,000 would leave 10 TRY of it."""
        strategy = Rebalance(weights="BTCTRY:0.01", order_value_max=self.WHOLE)
        context = a_scene(strategy, ["100"], held="10", cost="1000", cash="0")
        assert wishes(strategy, context) == [("sell", "99.95", "10")]

    def test_a_large_difference_goes_in_steps(self) -> None:
        """500 of 9,000 to be bought are 4.98553596 at the ask of 100.05, with the fee; 500 of 10,000 to be sold are
        5.00250126 at the bid of 99.95, rounded up."""
        strategy = Rebalance(order_value_max=Decimal(500))
        assert wishes(strategy, a_scene(strategy, ["100"])) == [("buy", "100.05", "4.98553596")]
        none = Rebalance(invested=Decimal(0), order_value_max=Decimal(500))
        context = a_scene(none, ["100"], held="100", cost="1", cash=0)
        assert wishes(none, context) == [("sell", "99.95", "5.00250126")]

    def test_it_acts_on_a_whole_picture_only(self) -> None:
        strategy = Rebalance()
        context = two_symbols(strategy, ["100"])
        assert wishes(strategy, replace(context, symbols_with_open_orders=frozenset({"ADATRY"}))) == []
        assert wishes(strategy, replace(context, quotes={"BTCTRY": context.quotes["BTCTRY"]})) == []
        assert wishes(strategy, replace(context, bars={"BTCTRY": context.bars["BTCTRY"]})) == []
        assert wishes(strategy, replace(context, spendable=Decimal(0))) == []

    def test_at_its_times_only(self) -> None:
        """The day begins at midnight UTC; the third bar closes at 00:03."""
        strategy = Rebalance(every_minutes=3)
        assert wishes(strategy, a_scene(strategy, ["100", "100"])) == []
        assert len(wishes(strategy, a_scene(strategy, ["100", "100", "100"]))) == 1
        assert strategy.wakes(a_scene(strategy, ["100", "100"])).not_before_ms == START_MS + 3 * MINUTE_MS
        assert strategy.wakes(a_scene(strategy, ["100", "100", "100"])).not_before_ms == START_MS + 6 * MINUTE_MS

    @pytest.mark.parametrize(
        ("weights", "said"),
        [
            ("BTCTRY", "cannot be read; write such as BTCTRY:0.5"),
            ("BTCTRY:0.5,ADATRY:0.3", "cannot be read"),
            ("BTCTRY:-0.5", "cannot be read"),
            ("BTCTRY:0.5+BTCTRY:0.1", "names BTCTRY twice"),
            ("BTCTRY:0.5+ADATRY:0.51", r"add up to 1\.01; they may not exceed 1"),
        ],
    )
    def test_weights_that_cannot_be(self, weights: str, said: str) -> None:
        with pytest.raises(ConfigurationError, match=said):
            shipped()["rebalance"].make({"weights": weights})

    @given(held=decimals("0", "200", 8), cash=decimals("0", "20000", 2), weight=decimals("0", "1", 2))
    @example(held=Decimal("0.9996"), cash=Decimal(0), weight=Decimal("0.5"))  # to sell it all would be as far away
    @example(held=Decimal("2.5"), cash=Decimal(0), weight=Decimal("0.7"))
    def test_what_it_does_brings_the_share_nearer(self, held: Decimal, cash: Decimal, weight: Decimal) -> None:
        strategy = Rebalance(weights=f"BTCTRY:{weight}", band=Decimal("0.01"))
        for one in generated(strategy, a_scene(strategy, ["100"], held=held, cost="1", cash=cash)):
            worth = held * 100 + cash
            after = held + one.quantity if one.side is Side.BUY else held - one.quantity
            assert abs(after * 100 - weight * worth) < abs(held * 100 - weight * worth)
            assert one.value >= Decimal("99.91")
            assert one.side is Side.SELL or one.value * (1 + Decimal("0.0024")) <= cash


def two_symbols(
    strategy: Strategy, closes: Sequence[str], *, spendable: str = "10000", held: dict[str, str] | None = None
) -> StrategyContext:
    """ADATRY and BTCTRY, both with these closes; the quote lies 10 bps wide around the last one."""
    one = a_scene(strategy, closes)
    symbols = ("BTCTRY", "ADATRY")
    close = Decimal(closes[-1])
    half = close * Decimal("0.0005")
    return replace(
        one,
        symbols=symbols,
        instruments={symbol: an_instrument(symbol, quantity_scale=8) for symbol in symbols},
        quotes={symbol: a_quote(symbol, bid=str(close - half), ask=str(close + half)) for symbol in symbols},
        positions={
            symbol: Position(symbol=symbol, quantity=Decimal(many), cost=Decimal(1))
            for symbol, many in (held or {}).items()
        },
        spendable=Decimal(spendable),
        bars={symbol: bars_of(closes, symbol)[-1] for symbol in symbols},
        signals=dict.fromkeys(symbols, one.signals["BTCTRY"]),
    )


def test_every_wish_names_its_cycle_strategy_symbol_and_side_and_says_why() -> None:
    for strategy, closes in (
        (TestEmaCross.CROSS, TestEmaCross.RISING),
        (TestMeanReversion.REVERSION, TestMeanReversion.LOW),
        (LimitBand(), ["100"]),
        (Rebalance(), ["100"]),
    ):
        (wish,) = generated(strategy, a_scene(strategy, closes))
        assert wish.intent_id == f"c00000001:{strategy.name}:BTCTRY:buy"
        assert wish.strategy == strategy.name
        assert len(wish.why) > 10
