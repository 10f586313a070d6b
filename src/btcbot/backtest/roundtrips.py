"""Round trips: what was bought and sold again, and what came of it.

A round trip is what one selling order closed. Its profit is the one that the books realised (against the average cost,
net of the fees of both sides), so the sum over all trips is the realised profit of the run. How long it was held goes
by first in, first out: the oldest lots leave first. What was never sold is no round trip; it is the open position.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from btcbot.domain import money

if TYPE_CHECKING:
    import polars as pl

BUY: Final = "buy"
#: Decimals that money is kept with in the columns.
PLACES: Final = 18


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Times in Unix ms. `cost` and `pnl` in quote, both with fees; `gain` is pnl over cost, a fraction.

    `opened_at_ms` is when the oldest lot was bought, `held_ms` the mean over quantity of how long its lots were held;
    both None for a sale of something that was not bought in this run. `gain` is None where the cost is nothing.
    """

    symbol: str
    client_order_id: str
    opened_at_ms: int | None
    closed_at_ms: int
    held_ms: int | None
    quantity: Decimal
    cost: Decimal
    pnl: Decimal
    gain: float | None


class Traded(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's fills added up: `value` is price times quantity over both sides, `position` what is left of them."""

    fills: int
    value: Decimal
    fees: Decimal
    realized_pnl: Decimal
    position: Decimal


class _Sale:
    """A selling order as its fills come in."""

    __slots__ = ("closed_at_ms", "held", "matched", "opened_at_ms", "pnl", "proceeds", "quantity", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.closed_at_ms = 0
        self.opened_at_ms: int | None = None
        self.held = self.matched = self.quantity = self.proceeds = self.pnl = money.ZERO

    def trip(self, client_order_id: str) -> RoundTrip:
        cost = self.proceeds - self.pnl
        return RoundTrip(
            symbol=self.symbol,
            client_order_id=client_order_id,
            opened_at_ms=self.opened_at_ms,
            closed_at_ms=self.closed_at_ms,
            held_ms=int(money.divide_half_even(self.held, self.matched, 0)) if self.matched else None,
            quantity=self.quantity,
            cost=money.round_half_up(cost, PLACES),
            pnl=self.pnl,
            gain=float(money.divide_half_even(self.pnl, cost, PLACES)) if cost > 0 else None,
        )


class _Book:
    """One symbol's lots and sums."""

    __slots__ = ("fees", "fills", "lots", "position", "realized", "value")

    def __init__(self) -> None:
        self.lots: deque[list[Decimal]] = deque()
        self.fills = 0
        self.value = self.fees = self.realized = self.position = money.ZERO

    def sell(self, sale: _Sale, quantity: Decimal, at_ms: int) -> None:
        """Take the oldest lots."""
        left = quantity
        while left and self.lots:
            lot = self.lots[0]
            bought_at, available = lot
            taken = min(left, available)
            sale.held += taken * (at_ms - bought_at)
            sale.matched += taken
            if sale.opened_at_ms is None:
                sale.opened_at_ms = int(bought_at)
            left -= taken
            if taken == available:
                self.lots.popleft()
            else:
                lot[1] = available - taken


def follow(fills: pl.DataFrame) -> tuple[list[RoundTrip], Mapping[str, Traded]]:
    """The round trips, by the time of their last fill, and the sums of each symbol that was traded."""
    sales: dict[str, _Sale] = {}
    books: dict[str, _Book] = {}
    columns = ("client_order_id", "at_ms", "symbol", "side", "price", "quantity", "fee", "realized_pnl")
    for order_id, at_ms, symbol, side, price, quantity, fee, pnl in fills.select(columns).iter_rows():
        book = books.get(symbol)
        if book is None:
            book = books[symbol] = _Book()
        value = price * quantity
        book.fills += 1
        book.value += value
        book.fees += fee
        book.realized += pnl
        if side == BUY:
            book.position += quantity
            book.lots.append([Decimal(at_ms), quantity])
            continue
        book.position -= quantity
        sale = sales.get(order_id)
        if sale is None:
            sale = sales[order_id] = _Sale(symbol)
        sale.closed_at_ms = at_ms
        sale.quantity += quantity
        sale.proceeds += value - fee
        sale.pnl += pnl
        book.sell(sale, quantity, at_ms)
    trips = sorted((sale.trip(order_id) for order_id, sale in sales.items()), key=lambda trip: trip.closed_at_ms)
    traded = {
        symbol: Traded(
            fills=book.fills, value=book.value, fees=book.fees, realized_pnl=book.realized, position=book.position
        )
        for symbol, book in sorted(books.items())
    }
    return trips, traded
