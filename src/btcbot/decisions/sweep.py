"""Sweep: spend idle cash above a target evenly over the symbols, with resting bids below the market.

Off by default. Its plan is a list of intents like any strategy's: it goes through the same risk and the same gates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from btcbot.decisions.risk import Room
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import Quote


def plan(
    cycle_id: str,
    free: Decimal,
    cash_target: Decimal,
    offset_bps: Decimal,
    taker_rate: Decimal,
    instruments: Mapping[str, Instrument],
    quotes: Mapping[str, Quote],
    busy_symbols: frozenset[str],
    room: Room,
) -> Sequence[Intent]:
    """Buys that bring free quote currency down to `cash_target`, fee included, as far as there is `room` for them.

    The cash is split evenly. Where an even share cannot buy the least that a venue takes, fewer symbols (in
    alphabetical order) get a larger one. What there is no room for now is left for a later cycle.
    """
    symbols = sorted(symbol for symbol in quotes if symbol in instruments and symbol not in busy_symbols)
    excess = min(free - cash_target, room.whole)
    for count in range(len(symbols), 0, -1):
        even = money.divide_down(excess, Decimal(count), 2)
        shares = {symbol: min(even, money.round_down(room.of_symbol[symbol], 2)) for symbol in symbols}
        bids = [_bid(cycle_id, instruments[s], quotes[s], shares[s], offset_bps, taker_rate) for s in symbols]
        able = [bid for bid in bids if bid is not None]
        if len(able) >= count:
            return able[:count]
    return []


def _bid(
    cycle_id: str, instrument: Instrument, quote: Quote, share: Decimal, offset_bps: Decimal, taker_rate: Decimal
) -> Intent | None:
    if share <= 0:
        return None
    price = instrument.price_down(quote.bid * (money.ONE - offset_bps * money.BPS))
    if price <= 0:
        return None
    quantity = money.divide_down(share, price * (money.ONE + taker_rate), instrument.quantity_scale)
    if quantity <= 0 or price * quantity < instrument.value_min:
        return None
    return Intent(
        intent_id=f"{cycle_id}:sweep:{instrument.symbol}:{Side.BUY}",
        cycle_id=cycle_id,
        strategy="sweep",
        symbol=instrument.symbol,
        side=Side.BUY,
        price=price,
        quantity=quantity,
        why=f"sweep {money.plain(share)} of idle cash",
    )
