"""Results: what the fills of the whole book came to, folded one by one so that no cycle has to look at them all again.

Profit is realised plus unrealised, as positions tell it: fees and tax are in it, and so is slippage, because a fill's
price is the price that was paid. Slippage is therefore told beside the result, once, and never taken off it.

Drawdown is measured on profit, not on equity: money that comes or goes by transfer is no result. Coins that a human
hands to the bot, or takes back, change what is unrealised without any trade; the peak is moved along with them.

    profit 0 → 120 → 90      peak 120, drawdown 30
    and 5,000 TRY withdrawn  peak 120, drawdown 30
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.cycles import CycleReport
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order
from btcbot.domain.positions import Position, after_fill

#: Decimals of a share that is told in percent.
PERCENT_PLACES: Final = 4


class Holding(msgspec.Struct, frozen=True, gc=False):
    """`quantity` in base, `cost` in quote, as positions count it."""

    quantity: Decimal = money.ZERO
    cost: Decimal = money.ZERO

    def worth_more(self, mark: Decimal) -> Decimal:
        """What selling all at `mark` would add to the profit."""
        return mark * self.quantity - self.cost


_NOTHING: Final = Holding()


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Everything up to the fill number `fills_counted`, in TRY; a cycle keeps it for the next one.

    `holdings` are the positions as those fills left them. `sales` are selling orders that are not over, with what they
    gained so far: a round trip is what one of them closes. `loss_streak` counts the last round trips in a row that
    lost. `unmeasured` fills have no decision price on record, so they are in no slippage. `peak` is the highest profit;
    the books began with none. `peak_equity` is what the account was worth then, None before the first whole result.
    `peak_moved` is by how much coins that were handed over or taken back have moved the peak in all.
    """

    fills_counted: int = 0
    holdings: Mapping[str, Holding] = {}
    sales: Mapping[str, Decimal] = {}
    round_trips: int = 0
    loss_streak: int = 0
    fees: Decimal = money.ZERO
    taxes: Decimal = money.ZERO
    turnover: Decimal = money.ZERO
    slippage: Decimal = money.ZERO
    unmeasured: int = 0
    day: str = ""
    fees_today: Decimal = money.ZERO
    taxes_today: Decimal = money.ZERO
    turnover_today: Decimal = money.ZERO
    peak: Decimal = money.ZERO
    peak_equity: Decimal | None = None
    peak_moved: Decimal = money.ZERO


def decision_price(order: Order | None, cycle: CycleReport | None) -> Decimal | None:
    """The mid of the quote that the order's cycle decided on; None where that is not on record."""
    quote = cycle.quotes.get(order.symbol) if order is not None and cycle is not None else None
    return None if quote is None else (quote[0] + quote[1]) * money.HALF


def slippage_of(fill: Fill, price: Decimal) -> Decimal:
    """In quote: above zero for worse than `price`, below zero for better."""
    worse = fill.price - price if fill.side is Side.BUY else price - fill.price
    return worse * fill.quantity


def on_day(results: Results, day: str) -> Results:
    """A new day begins with nothing paid and nothing turned over. Days never go back."""
    if day <= results.day:
        return results
    return msgspec.structs.replace(
        results, day=day, fees_today=money.ZERO, taxes_today=money.ZERO, turnover_today=money.ZERO
    )


def with_fill(results: Results, fill: Fill, day: str, price: Decimal | None) -> Results:
    """One more fill, in the order of booking. `day` is the fill's own; `price` its decision price."""
    results = on_day(results, day)
    value = fill.price * fill.quantity
    is_today = day == results.day
    held = results.holdings.get(fill.symbol, _NOTHING)
    sales, after = results.sales, Position(symbol=fill.symbol, quantity=held.quantity, cost=held.cost)
    if fill.side is Side.BUY or fill.quantity <= held.quantity:
        after = after_fill(after, fill)
    if fill.side is Side.SELL:
        # What was handed over and sold before anybody looked has no cost here: nothing is known of its gain.
        gained = sales.get(fill.client_order_id, money.ZERO) + after.realized_pnl
        sales = {**sales, fill.client_order_id: gained}
    return msgspec.structs.replace(
        results,
        fills_counted=results.fills_counted + 1,
        holdings={**results.holdings, fill.symbol: Holding(after.quantity, after.cost)},
        sales=sales,
        fees=results.fees + fill.fee,
        taxes=results.taxes + fill.tax,
        turnover=results.turnover + value,
        slippage=results.slippage + (money.ZERO if price is None else slippage_of(fill, price)),
        unmeasured=results.unmeasured + (price is None),
        fees_today=results.fees_today + (fill.fee if is_today else money.ZERO),
        taxes_today=results.taxes_today + (fill.tax if is_today else money.ZERO),
        turnover_today=results.turnover_today + (value if is_today else money.ZERO),
    )


def with_sale_over(results: Results, client_order_id: str) -> Results:
    """A selling order is over: a round trip is closed, and it lost or it did not."""
    gained = results.sales[client_order_id]
    return msgspec.structs.replace(
        results,
        sales={key: gain for key, gain in results.sales.items() if key != client_order_id},
        round_trips=results.round_trips + 1,
        loss_streak=results.loss_streak + 1 if gained < 0 else 0,
    )


def with_positions(
    results: Results, positions: Mapping[str, Position], mark_of: Callable[[str], Decimal | None]
) -> Results:
    """After all fills: where the books hold something else than the fills left, a human handed it over or took it.

    What that did to the unrealised profit moves the peak along, so that it is no drawdown and no gain. A symbol without
    a mark has no unrealised profit.
    """
    held = {
        symbol: results.holdings.get(symbol, _NOTHING)
        for symbol, position in positions.items()
        if position.quantity or symbol in results.holdings
    }
    changed = [symbol for symbol, known in held.items() if not _is_as(positions[symbol], known)]
    if not changed and held.keys() == results.holdings.keys() and all(one.quantity for one in held.values()):
        return results
    moved = money.ZERO
    for symbol in changed:
        now = Holding(positions[symbol].quantity, positions[symbol].cost)
        mark = mark_of(symbol)
        if mark is not None:
            moved += now.worth_more(mark) - held[symbol].worth_more(mark)
        held[symbol] = now
    left = {symbol: holding for symbol, holding in held.items() if holding.quantity}
    return msgspec.structs.replace(
        results, holdings=left, peak=results.peak + moved, peak_moved=results.peak_moved + moved
    )


def _is_as(position: Position, known: Holding) -> bool:
    return position.quantity == known.quantity and position.cost == known.cost


def with_profit(results: Results, profit: Decimal, equity: Decimal) -> Results:
    """A whole result: perhaps a new peak."""
    if profit <= results.peak and results.peak_equity is not None:
        return results
    peak = max(results.peak, profit)
    return msgspec.structs.replace(results, peak=peak, peak_equity=equity + peak - profit)


def drawdown(results: Results, profit: Decimal) -> Decimal:
    """How far profit has fallen from its peak; never below zero."""
    return max(results.peak - profit, money.ZERO)


def drawdown_pct(results: Results, profit: Decimal) -> Decimal:
    """The same in percent of the equity at the peak, which no later transfer changes."""
    fallen = drawdown(results, profit)
    if not fallen or results.peak_equity is None or results.peak_equity <= 0:
        return money.ZERO
    return money.divide_half_even(fallen * 100, results.peak_equity, PERCENT_PLACES)
