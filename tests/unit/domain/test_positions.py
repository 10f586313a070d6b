"""A position: what was bought and not sold, with all that it cost."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import a_fill, a_position, decimals

from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.positions import Position, after_adoption, after_fill, after_release
from btcbot.errors import InvariantBroken


def test_cost_includes_the_buys_fee_and_tax() -> None:
    bought = after_fill(a_position(), a_fill(quantity="2", price="100", fee="0.4", tax="0.08"))

    assert (bought.quantity, bought.cost) == (2, Decimal("200.48"))
    assert bought.average_cost == Decimal("100.24")
    assert (bought.fees_paid, bought.taxes_paid, bought.realized_pnl) == (Decimal("0.4"), Decimal("0.08"), 0)


def test_a_second_buy_moves_the_average() -> None:
    bought = after_fill(a_position(quantity="2", cost="200.48"), a_fill(quantity="2", price="110"))

    assert (bought.quantity, bought.cost, bought.average_cost) == (4, Decimal("420.48"), Decimal("105.12"))


def test_a_sell_realises_its_share_net_of_its_own_fee() -> None:
    """Half of what cost 200.48 is 100.24; sold for 110 less 0.22 and 0.044: a gain of 9.496."""
    sold = after_fill(
        a_position(quantity="2", cost="200.48"),
        a_fill(Side.SELL, quantity="1", price="110", fee="0.22", tax="0.044"),
    )

    assert (sold.quantity, sold.cost) == (1, Decimal("100.24"))
    assert sold.realized_pnl == Decimal("9.496")
    assert sold.average_cost == Decimal("100.24")


def test_the_last_sell_takes_all_the_cost_that_is_left() -> None:
    """A third of 100 never ends; the cost that the last sell takes is what the others left, to the last digit."""
    position = a_position(quantity="3", cost="100")
    for _ in range(3):
        position = after_fill(position, a_fill(Side.SELL, quantity="1", price="40"))

    assert (position.quantity, position.cost, position.average_cost) == (0, 0, 0)
    assert position.realized_pnl == Decimal(20)


def test_a_share_of_the_cost_and_an_average_keep_sixteen_decimals() -> None:
    sold = after_fill(a_position(quantity="3", cost="100"), a_fill(Side.SELL, quantity="1", price="40"))

    assert sold.cost == Decimal("66.6666666666666667")
    assert a_position(quantity="3", cost="100").average_cost == Decimal("33.3333333333333333")


def test_and_be_it_longer_than_a_share_is_rounded_to() -> None:
    """0.1111111111111111 at 0.0001 cost 0.00001111111111111111: twenty decimals, of which a share keeps sixteen."""
    bought = after_fill(a_position(), a_fill(quantity="0.1111111111111111", price="0.0001"))
    sold = after_fill(bought, a_fill(Side.SELL, quantity="0.1111111111111111", price="0.0001"))

    assert (sold.quantity, sold.cost, sold.realized_pnl) == (0, 0, 0)


def test_what_selling_at_the_bid_would_add() -> None:
    assert a_position(quantity="2", cost="200.48").unrealized_pnl(Decimal(101)) == Decimal("1.52")
    assert a_position().unrealized_pnl(Decimal(101)) == 0


def test_more_than_is_held_is_never_sold() -> None:
    with pytest.raises(InvariantBroken) as broken:
        after_fill(a_position(quantity="1", cost="100"), a_fill(Side.SELL, quantity="1.0001"))

    assert broken.value.code == "I14_OVERSOLD"
    for told in ("fill t1", "sells 1.0001 of ADATRY", "position is 1"):
        assert told in broken.value.evidence


def test_an_operator_hands_over_what_was_bought_elsewhere() -> None:
    handed = after_adoption(a_position(quantity="1", cost="100"), Decimal(3), Decimal(330))

    assert (handed.quantity, handed.cost, handed.average_cost) == (4, 430, Decimal("107.5"))
    assert handed.realized_pnl == 0


class TestRelease:
    """An operator takes something out of the bot's position: it leaves with its cost, and makes no result."""

    def held(self) -> Position:
        return a_position(
            quantity="4",
            cost="430",
            realized_pnl=Decimal("-7.5"),
            fees_paid=Decimal("0.9"),
            taxes_paid=Decimal("0.1"),
        )

    def test_a_part_leaves_with_its_share_of_the_cost(self) -> None:
        """A quarter of what cost 430 is 107.50; what was gained, paid and taxed so far stays as it was."""
        assert after_release(self.held(), Decimal(1)) == replace(
            self.held(), quantity=Decimal(3), cost=Decimal("322.5")
        )

    def test_the_average_of_the_rest_stays(self) -> None:
        assert after_release(self.held(), Decimal("0.4")).average_cost == self.held().average_cost

    def test_all_of_it_leaves_no_cost_behind(self) -> None:
        assert after_release(self.held(), Decimal(4)) == replace(self.held(), quantity=Decimal(0), cost=Decimal(0))

    def test_a_third_twice_and_the_rest(self) -> None:
        """A third of 100 never ends; the last to leave takes what the others left, to the last digit."""
        position = a_position(quantity="3", cost="100")
        for _ in range(3):
            position = after_release(position, Decimal(1))

        assert (position.quantity, position.cost) == (0, 0)

    @pytest.mark.parametrize("quantity", ["0", "-1", "4.0001"])
    def test_nothing_or_more_than_is_held_cannot_leave(self, quantity: str) -> None:
        with pytest.raises(InvariantBroken) as broken:
            after_release(self.held(), Decimal(quantity))

        assert broken.value.code == "I14_OVERSOLD"
        assert f"{quantity} of ADATRY" in broken.value.evidence
        assert "a position of 4" in broken.value.evidence


@st.composite
def histories(draw: st.DrawFn) -> list[Fill]:
    """Buys and sells of whatever sizes, none selling more than is held, the last one selling all."""
    fills, held = [], Decimal(0)
    for number in range(draw(st.integers(1, 12))):
        selling = bool(held) and draw(st.booleans())
        quantity = draw(decimals("0.00000001", "10", 8))
        if selling:
            quantity = min(quantity, held)
        held += -quantity if selling else quantity
        fills.append(
            a_fill(
                Side.SELL if selling else Side.BUY,
                trade_id=f"t{number}",
                quantity=str(quantity),
                price=str(draw(decimals("0.01", "5000000", 2))),
                fee=str(draw(decimals("0", "10", 8))),
                tax=str(draw(decimals("0", "1", 8))),
            )
        )
    if held:
        fills.append(a_fill(Side.SELL, trade_id="last", quantity=str(held), price="50", fee="0.1", tax="0.02"))
    return fills


@settings(deadline=None)
@given(history=histories())
def test_cost_in_equals_cost_out_to_the_last_digit(history: list[Fill]) -> None:
    """Bought and sold to the end: the profit is exactly what came in less what went out, and no cost is left over."""
    stages = [a_position()]
    for fill in history:
        stages.append(after_fill(stages[-1], fill))
    end = stages[-1]

    paid = sum((f.price * f.quantity + f.fee + f.tax for f in history if f.side is Side.BUY), Decimal(0))
    got = sum((f.price * f.quantity - f.fee - f.tax for f in history if f.side is Side.SELL), Decimal(0))
    assert (end.quantity, end.cost) == (0, 0)
    assert end.realized_pnl == got - paid
    assert end.fees_paid + end.taxes_paid == sum((f.fee + f.tax for f in history), Decimal(0))
    for before, after in pairwise(stages):
        assert after.quantity >= 0 and after.cost >= 0
        assert bool(after.quantity) or not after.cost
        assert after.fees_paid >= before.fees_paid and after.taxes_paid >= before.taxes_paid


@settings(deadline=None, max_examples=300)
@given(quantity=decimals("0.0000000000000002", "0.00000000000001", 16), price=decimals("0.01", "10", 2))
def test_a_sell_never_takes_more_cost_than_there_is(quantity: Decimal, price: Decimal) -> None:
    """The venue tells quantities with sixteen decimals, so cost may have more places than its share is rounded to."""
    bought = after_fill(a_position(), a_fill(quantity=str(quantity), price=str(price)))
    almost_all = quantity - Decimal("0.0000000000000001")

    assert after_fill(bought, a_fill(Side.SELL, quantity=str(almost_all), price=str(price))).cost >= 0
