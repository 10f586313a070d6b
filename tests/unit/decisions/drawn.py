"""Wishes and a market for them, drawn: what the properties of allocation and of risk have in common.

XRPTRY is wished for but not listed; ADATRY always has a quote, the others perhaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import RATES, a_hold, a_position, a_quote, an_account, an_instrument, an_intent, an_order, decimals

from btcbot.decisions.fees import hold_amount
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.ledger import Hold
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.positions import Position

WISHED = ("ADATRY", "BTCTRY", "ETHTRY", "XRPTRY")
LISTED = WISHED[:3]


class Market(NamedTuple):
    """What is listed and quoted, and what the account has in it. Every open order holds what it may cost."""

    instruments: Mapping[str, Instrument]
    quotes: Mapping[str, Quote]
    account: AccountSnapshot
    positions: Mapping[str, Position]
    open_orders: Sequence[Order]
    holds: Mapping[str, Hold]


@st.composite
def wishes(draw: st.DrawFn) -> tuple[Intent, ...]:
    """One to ten, some of them of nothing or of less, around a price of 100."""
    return tuple(
        an_intent(
            draw(st.sampled_from(Side)),
            quantity=str(draw(decimals("-1", "30", 6))),
            price=str(draw(decimals("97", "103", 4))),
            symbol=draw(st.sampled_from(WISHED)),
            number=number,
        )
        for number in range(draw(st.integers(1, 10)))
    )


@st.composite
def markets(draw: st.DrawFn) -> Market:
    amount = decimals("0", "30", 4)
    held = {symbol: draw(amount) for symbol in LISTED}
    # What is sold takes its cost along, the last of it all that is left: nothing has cost nothing.
    positions = {
        symbol: a_position(symbol, str(quantity), str(draw(decimals("0", "3000", 4)) if quantity else 0))
        for symbol, quantity in held.items()
    }
    orders = [
        replace(
            an_order(number, quantity="3", filled=draw(st.sampled_from(["0", "1"]))),
            symbol=draw(st.sampled_from(LISTED)),
            side=draw(st.sampled_from(Side)),
            status=draw(st.sampled_from([OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNKNOWN])),
        )
        for number in range(draw(st.integers(0, 3)))
    ]
    holds = {
        order.client_order_id: a_hold(
            order,
            str(hold_amount(order.side, order.price, order.leaves_quantity, RATES)),
            asset="TRY" if order.side is Side.BUY else order.symbol.removesuffix("TRY"),
        )
        for order in orders
    }
    return Market(
        instruments={symbol: an_instrument(symbol, quantity_scale=draw(st.integers(0, 4))) for symbol in LISTED},
        quotes={symbol: a_quote(symbol) for symbol in LISTED if draw(st.booleans()) or symbol == "ADATRY"},
        account=an_account(
            TRY=str(draw(decimals("0", "6000", 2))), ADA=str(draw(amount)), BTC=str(draw(amount)), ETH=str(draw(amount))
        ),
        positions=positions,
        open_orders=orders,
        holds=holds,
    )
