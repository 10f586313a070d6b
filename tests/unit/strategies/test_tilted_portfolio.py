"""The tilted portfolio: rebalancing and mean reversion, one target.

The market is that of `btcbot.strategies.scenes`: BTCTRY, prices on 0.01, orders of at least 99.91 TRY, a fee of 24 bps,
a spread of 10 bps. Averages are over 4 closes.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import Quote
from btcbot.domain.positions import Position
from btcbot.errors import ConfigurationError
from btcbot.strategies.base import Strategy, StrategyContext
from btcbot.strategies.portfolio import Portfolio
from btcbot.strategies.scenes import a_scene
from btcbot.strategies.shipped import shipped
from btcbot.strategies.tilted_portfolio import TiltedPortfolio

#: A target of half of the account, moved by 40 %; thresholds that four closes can reach.
TILTED = TiltedPortfolio(
    targets="BTCTRY:0.5",
    cash_target=Decimal(0),
    position_value_max=Decimal(100_000),
    position_share_max=Decimal(100),
    order_offset_bps=Decimal(0),
    reversion_window=4,
    reversion_entry_z=Decimal("1.2"),
    tilt=Decimal("0.4"),
)
FLAT = ("100", "100", "100", "100")
FALLEN = ("104", "104", "104", "100")  # z = -1.73
RISEN = ("96", "96", "96", "100")  # z = 1.73
BELOW = ("103", "97", "103", "100")  # z = -0.30
ABOVE = ("97", "103", "97", "100")  # z = 0.30


def scene(strategy: Strategy, closes: tuple[str, ...], *, held: str = "0", cash: str = "10000") -> StrategyContext:
    """`held` BTC at 100, and cash, of which all may be spent."""
    context = a_scene(strategy, closes, held=held, cost=Decimal(held) * 100, cash=cash)
    return replace(context, cash=Decimal(cash))


def wish(strategy: Strategy, context: StrategyContext) -> tuple[str, Decimal] | None:
    """Side and quantity of the one wish."""
    found = strategy.generate(context)
    assert found == strategy.generate(context), "the same context gives the same intents"
    assert len(found) <= 1
    return (found[0].side.value, found[0].quantity) if found else None


def test_the_rebalancing_leg_buys_the_first_position() -> None:
    """Neither warm nor low: half of 10,000 at a close of 100."""
    assert wish(TILTED, scene(TILTED, FLAT[:1])) == ("buy", Decimal(50))
    assert wish(TILTED, scene(TILTED, FLAT)) == ("buy", Decimal(50))


def test_far_below_its_average_the_target_is_raised() -> None:
    """Mean reversion fires: an anchor that is the price of the moment never could. 40 % more than 5,000."""
    context = scene(TILTED, FALLEN, held="50", cash="5000")

    assert wish(TILTED, context) == ("buy", Decimal(20))
    (intent,) = TILTED.generate(context)
    assert intent.why == "50 % of the account, wanted 70 %; close -1.73 deviations from its average of 4 bars"


def test_far_above_its_average_the_target_is_lowered() -> None:
    assert wish(TILTED, scene(TILTED, RISEN, held="50", cash="5000")) == ("sell", Decimal(20))


def test_what_was_bought_low_is_kept_until_it_is_back_at_its_average() -> None:
    held = {"held": "70", "cash": "3000"}

    assert wish(TILTED, scene(TILTED, FALLEN, **held)) is None
    assert wish(TILTED, scene(TILTED, BELOW, **held)) is None
    assert wish(TILTED, scene(TILTED, FLAT, **held)) == ("sell", Decimal(20))
    assert wish(TILTED, scene(TILTED, ABOVE, **held)) == ("sell", Decimal(20))


def test_what_was_sold_high_is_left_sold_until_it_is_back_at_its_average() -> None:
    held = {"held": "30", "cash": "7000"}

    assert wish(TILTED, scene(TILTED, RISEN, **held)) is None
    assert wish(TILTED, scene(TILTED, ABOVE, **held)) is None
    assert wish(TILTED, scene(TILTED, FLAT, **held)) == ("buy", Decimal(20))
    assert wish(TILTED, scene(TILTED, BELOW, **held)) == ("buy", Decimal(20))


def test_an_exit_before_the_average_gives_it_back_sooner() -> None:
    """0.30 deviations below counts as back."""
    sooner = replace(TILTED, reversion_exit_z=Decimal("0.5"))
    assert wish(sooner, scene(sooner, BELOW, held="70", cash="3000")) == ("sell", Decimal(20))


def test_the_legs_never_contradict_each_other() -> None:
    """At its target by rebalancing, low by mean reversion: one wish, to buy. A leg of its own would sell that again."""
    bought = scene(TILTED, FALLEN, held="70", cash="3000")
    for closes in (FALLEN, BELOW):
        assert wish(TILTED, replace(bought, signals=scene(TILTED, closes).signals)) is None


@pytest.mark.parametrize("closes", [FLAT, FALLEN, RISEN, BELOW, ABOVE])
@pytest.mark.parametrize("held", ["0", "20", "50", "80"])
def test_without_a_tilt_it_is_a_portfolio(closes: tuple[str, ...], held: str) -> None:
    level = replace(TILTED, tilt=Decimal(0))
    plain = Portfolio(
        targets="BTCTRY:0.5",
        cash_target=Decimal(0),
        position_value_max=Decimal(100_000),
        order_offset_bps=Decimal(0),
    )
    context = scene(level, closes, held=held, cash="4000")

    assert wish(level, context) == wish(plain, context)


def test_a_position_that_winds_down_is_sold_however_low_it_is() -> None:
    context = scene(TILTED, FALLEN, held="30", cash="0")
    winding = replace(context, symbols=(), winding_down=frozenset({"BTCTRY"}))
    assert wish(TILTED, winding) == ("sell", Decimal(30))


def test_a_raised_target_stays_below_the_cap_of_a_position() -> None:
    """5,100 at most: with 5,000 held, 100 of room are no order with its fee."""
    capped = replace(TILTED, position_value_max=Decimal(5_100))
    assert wish(capped, scene(capped, FALLEN, held="50", cash="5000")) is None


def test_a_target_is_never_raised_above_the_share_that_a_position_may_have() -> None:
    """50 % raised by 40 % would be 70 %: 60 % is the most, above which the risk budget lets nothing be bought."""
    held = scene(TILTED, FALLEN, held="50", cash="5000")
    assert wish(replace(TILTED, position_share_max=Decimal(60)), held) == ("buy", Decimal(10))
    assert wish(replace(TILTED, position_share_max=Decimal(40)), held) is None, "a target that is higher is left alone"


def test_where_all_is_low_nothing_is_raised_and_what_was_bought_low_is_kept() -> None:
    """The whole account is the target: there is nothing left to raise it with, and nothing to sell."""
    whole = replace(TILTED, targets="BTCTRY:1")
    (intent,) = whole.generate(scene(whole, FALLEN, held="50", cash="5000"))
    assert intent.side is Side.BUY and "50 % of the account, wanted 100 %;" in intent.why
    assert wish(whole, scene(whole, FALLEN, held="100", cash="0")) is None


def test_ids_are_unique_in_a_cycle_and_name_it() -> None:
    (intent,) = TILTED.generate(scene(TILTED, FLAT))
    assert intent.intent_id == "c00000001:tilted_portfolio:BTCTRY:buy"


def test_an_exit_beyond_the_entry_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigurationError, match=r"^tilted_portfolio: reversion_exit_z=2 must be below"):
        shipped()["tilted_portfolio"].make({"reversion_exit_z": "2", "reversion_entry_z": "2"})


def walked(strategy: TiltedPortfolio, closes: tuple[str, ...]) -> list[Intent]:
    """The wishes of a whole walk, each of them filled at its price."""
    cash, position, found = Decimal(10_000), Position(symbol="BTCTRY"), []
    for end in range(4, len(closes) + 1):
        context = a_scene(strategy, closes[:end], held=position.quantity, cost=position.cost, cash=cash)
        context = replace(context, cash=cash, cycle_id=f"c{end:08d}")
        for one in strategy.generate(context):
            value, fee = one.value, one.value * context.taker_rate
            sign = 1 if one.side is Side.BUY else -1
            cash -= sign * value + fee
            quantity = position.quantity + sign * one.quantity
            position = replace(position, quantity=quantity, cost=quantity * 100)
            found.append(one)
    return found


def test_over_a_fall_and_a_return_it_buys_low_and_sells_at_the_average() -> None:
    closes = ("100", "100", "100", "100", "100", "90", "91", "92", "93", "94", "94", "94", "94")
    wishes = walked(TILTED, closes)

    assert [one.side for one in wishes][:3] == [Side.BUY, Side.BUY, Side.SELL]
    first, low, back = wishes[:3]
    assert low.price < first.price and back.price > low.price
    assert len({one.intent_id for one in wishes}) == len(wishes)


def test_it_sees_a_quote_far_from_its_last_close_as_it_is() -> None:
    """The signal looks at closes, the sizes at the quote of now."""
    context = scene(TILTED, FLAT, held="50", cash="5000")
    quote = context.quotes["BTCTRY"]
    crashed: Quote = replace(quote, bid=Decimal("79.96"), ask=Decimal("80.04"))

    assert wish(TILTED, replace(context, quotes={"BTCTRY": crashed})) == ("buy", Decimal("6.25"))
