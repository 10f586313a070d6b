"""What this venue has to remember, and where: in memory for a recording, in a file of its own for a paper account.

Everything that one look at the market or one write changes is saved as one unit, so that orders, fills, balances and
the place up to which public trades were used can never disagree, whatever dies when.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Final, Protocol

import msgspec

from btcbot.adapters.paper.matching import PaperOrder, Taken
from btcbot.domain import money
from btcbot.domain.account import Balance
from btcbot.domain.fills import VenueTrade

#: In memory, fills are kept for so long and closed orders so many: whoever trades here asks for no more.
MEMORY_MS: Final = 86_400_000
CLOSED_KEPT: Final = 10_000


class TapeMark(msgspec.Struct, frozen=True):
    """Up to where a pair's public trades were used: the time of the newest, and the ids of those of that time."""

    at_ms: int = 0
    ids: frozenset[str] = frozenset()


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the venue beside its lists of orders and fills. `fees` were charged in all, tax included."""

    balances: Mapping[str, Balance]
    marks: Mapping[str, TapeMark]
    taken: Mapping[str, tuple[Taken, ...]]
    orders_made: int = 0
    trades_made: int = 0
    fees: Decimal = money.ZERO


class Records(Protocol):
    """Where orders and fills are kept. Raises StoreFailed where that fails: the venue then is as it was saved last."""

    def load(self) -> tuple[Saved, Sequence[PaperOrder]]:
        """The state as saved last, with the open orders, oldest first."""
        ...

    def save(self, saved: Saved, orders: Sequence[PaperOrder], trades: Sequence[VenueTrade]) -> None:
        """Keep the state, the orders that changed and the fills that are new, all or nothing."""
        ...

    def order(self, venue_order_id: str) -> PaperOrder | None: ...

    def order_of(self, client_order_id: str) -> PaperOrder | None: ...

    def orders(self, symbol: str, since_ms: int) -> Sequence[PaperOrder]:
        """Those of a symbol that are open, or were placed or changed at or after a time, oldest first."""
        ...

    def trades(self, since_ms: int) -> Sequence[VenueTrade]: ...

    def trades_of(self, venue_order_id: str) -> Sequence[VenueTrade]: ...

    def close(self) -> None: ...


class MemoryRecords:
    """`Records` of one process."""

    def __init__(self, opening: Mapping[str, Decimal]) -> None:
        self._saved = Saved(
            balances={asset: Balance(asset, amount, money.ZERO) for asset, amount in opening.items()},
            marks={},
            taken={},
        )
        self._orders: dict[str, PaperOrder] = {}
        self._by_client: dict[str, PaperOrder] = {}
        self._trades: list[VenueTrade] = []

    def load(self) -> tuple[Saved, Sequence[PaperOrder]]:
        return self._saved, [order for order in self._orders.values() if order.is_open]

    def save(self, saved: Saved, orders: Sequence[PaperOrder], trades: Sequence[VenueTrade]) -> None:
        self._saved = saved
        for order in orders:
            self._orders[order.venue_order_id] = order
            self._by_client[order.client_order_id] = order
        self._trades += trades
        if len(self._orders) > 2 * CLOSED_KEPT:
            self._forget()

    def order(self, venue_order_id: str) -> PaperOrder | None:
        return self._orders.get(venue_order_id)

    def order_of(self, client_order_id: str) -> PaperOrder | None:
        return self._by_client.get(client_order_id)

    def orders(self, symbol: str, since_ms: int) -> Sequence[PaperOrder]:
        return [
            order
            for order in self._orders.values()
            if order.symbol == symbol and (order.is_open or order.updated_at_ms >= since_ms)
        ]

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        return self._trades[bisect_left(self._trades, since_ms, key=attrgetter("at_ms")) :]

    def trades_of(self, venue_order_id: str) -> Sequence[VenueTrade]:
        return [trade for trade in self._trades if trade.venue_order_id == venue_order_id]

    def close(self) -> None:
        """Nothing is held."""

    def _forget(self) -> None:
        closed = [order for order in self._orders.values() if not order.is_open]
        for order in closed[:-CLOSED_KEPT]:
            del self._orders[order.venue_order_id], self._by_client[order.client_order_id]
        if self._trades:
            newest_ms = self._trades[-1].at_ms
            del self._trades[: bisect_left(self._trades, newest_ms - MEMORY_MS, key=attrgetter("at_ms"))]
