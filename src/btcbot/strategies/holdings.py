"""What strategies that are either in or out of a symbol have in common: what they hold, what they can afford.

A position that is worth less than the venue's least order cannot be sold: it is dust, and its symbol counts as flat.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum, auto

from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import Quote
from btcbot.strategies.base import StrategyContext

#: A price that is compared and not ordered at needs no tick, only more places than any.
EXACT_PLACES = 24


class Standing(Enum):
    """Where a symbol stands. BUSY: an order of it is open. UNKNOWN: it has no rules or no usable quote now."""

    FLAT = auto()
    HELD = auto()
    BUSY = auto()
    UNKNOWN = auto()


def held_of(context: StrategyContext, symbol: str) -> Decimal:
    """What could be sold of it, on the lot; nothing where its rules are not known."""
    position, instrument = context.positions.get(symbol), context.instruments.get(symbol)
    return (
        instrument.quantity_down(position.quantity) if position is not None and instrument is not None else money.ZERO
    )


def standing_of(context: StrategyContext, symbol: str) -> Standing:
    if symbol in context.symbols_with_open_orders:
        return Standing.BUSY
    instrument, quote = context.instruments.get(symbol), context.quotes.get(symbol)
    if instrument is None or quote is None:
        return Standing.UNKNOWN
    position = context.positions.get(symbol)
    if position is None or not position.quantity:
        return Standing.FLAT
    held = instrument.quantity_down(position.quantity)
    return Standing.HELD if held and held * quote.bid >= instrument.value_min else Standing.FLAT


def affordable(instrument: Instrument, budget: Decimal, price: Decimal, taker_rate: Decimal) -> Decimal:
    """What `budget` buys at `price`, fee included; zero where that is less than the venue's least order."""
    quantity = money.divide_down(budget, price * (money.ONE + taker_rate), instrument.quantity_scale)
    return quantity if quantity * price >= instrument.value_min else money.ZERO


def could_ever_buy(context: StrategyContext, budget: Decimal, value_min: Decimal) -> bool:
    """Whether there is a price at which this budget buys something. What can be spent only grows by own orders."""
    return min(context.spendable, budget) >= value_min * (money.ONE + context.taker_rate)


def dust_price_of(context: StrategyContext, symbol: str, value_min: Decimal) -> Decimal | None:
    """The bid below which the position is dust, rounded down; None where nothing is held."""
    held = held_of(context, symbol)
    return money.divide_down(value_min, held, EXACT_PLACES) if held else None


def ask_above_which_no_dust_is_bought(dust_price: Decimal, spread_bps_max: Decimal) -> Decimal:
    """Where the bid is below `dust_price` and the spread within its limit, the ask is at most this.

    With s as the spread's share of the mid, ask / bid = (2 + s) / (2 - s). The spread is compared rounded, hence the
    last half step that is added, and the dust price rounded down, hence the last place.
    """
    share = (spread_bps_max + Decimal("0.0001")) * money.BPS
    bid = dust_price + money.unit(EXACT_PLACES)
    return money.divide_up(bid * (2 + share), 2 - share, EXACT_PLACES)


def dust_edges(
    context: StrategyContext, spread_bps_max: Decimal
) -> tuple[Mapping[str, Decimal], Mapping[str, Decimal]]:
    """For what is held: the bid from which it is worth selling, where it is dust; the ask above which it has not become
    dust that would be bought again, where it is not. Both by symbol, as `Wakes` has them."""
    bids: dict[str, Decimal] = {}
    asks: dict[str, Decimal] = {}
    for symbol in context.symbols:
        instrument, quote = context.instruments.get(symbol), context.quotes.get(symbol)
        dust = dust_price_of(context, symbol, instrument.value_min) if instrument is not None else None
        if dust is None:
            continue
        if quote is None or quote.bid < dust:
            bids[symbol] = dust
        if quote is None or quote.bid >= dust:
            asks[symbol] = ask_above_which_no_dust_is_bought(dust, spread_bps_max)
    return bids, asks


def wish(
    context: StrategyContext, strategy: str, quote: Quote, side: Side, price: Decimal, quantity: Decimal, why: str
) -> Intent:
    return Intent(
        intent_id=f"{context.cycle_id}:{strategy}:{quote.symbol}:{side}",
        cycle_id=context.cycle_id,
        strategy=strategy,
        symbol=quote.symbol,
        side=side,
        price=price,
        quantity=quantity,
        why=why,
    )
