"""The venue of a dry run: real public data, an account of our own making, and no way to a write.

It keeps the public reads of the venue it is made from and nothing else of it, so that even a mistake in here could not
reach an order (I13). It needs no API key: balances, orders, trades and transfers are answered from the balance that the
settings name, which never changes, because nothing is ever filled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot, Balance
from btcbot.domain.fills import VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order
from btcbot.domain.outcomes import CancelOutcome, Simulated, SubmitOutcome
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.venue import Transfer, VenueOrder
from btcbot.ports import Clock, Exchange, VenueHealth


class DryRun:
    """`Exchange` around the public half of another. Writes demand their permit and are `Simulated`."""

    def __init__(self, exchange: Exchange, *, balance_try: Decimal, clock: Clock) -> None:
        self._venue_time_ms: Callable[[], int] = exchange.venue_time_ms
        self._estimated_time_ms: Callable[[], int | None] = exchange.estimated_time_ms
        self._instruments: Callable[[], Mapping[str, Instrument]] = exchange.instruments
        self._quotes: Callable[[Sequence[str]], Mapping[str, Quote]] = exchange.quotes
        self._health: Callable[[], VenueHealth] = exchange.health
        self._close: Callable[[], None] = exchange.close
        self._held = {"TRY": Balance("TRY", balance_try, money.ZERO)}
        self._clock = clock
        self._last_stamp_ms = 0

    def venue_time_ms(self) -> int:
        return self._venue_time_ms()

    def estimated_time_ms(self) -> int | None:
        return self._estimated_time_ms()

    def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments()

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        return self._quotes(symbols)

    def balances(self) -> AccountSnapshot:
        now_ms = self._clock.now_ms()
        return AccountSnapshot(balances=self._held, asked_at_ms=now_ms, received_at_ms=now_ms)

    def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        return ()

    def all_orders(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        return ()

    def order(self, venue_order_id: str) -> VenueOrder | None:
        return None

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        return ()

    def trades_of(self, venue_order_id: str) -> Sequence[VenueTrade]:
        return ()

    def transfers(self, since_ms: int) -> Sequence[Transfer]:
        return ()

    def submit(self, order: Order, permit: Permit) -> SubmitOutcome:
        """Send nothing."""
        permit.demand(WriteKind.SUBMIT, PermitScope.SIMULATION, order.client_order_id)
        return Simulated()

    def cancel(self, order: Order, permit: Permit) -> CancelOutcome:
        """Send nothing."""
        permit.demand(WriteKind.CANCEL, PermitScope.SIMULATION, order.client_order_id)
        return Simulated()

    def take_stamp(self) -> int:
        self._last_stamp_ms = max(self._estimated_time_ms() or self._venue_time_ms(), self._last_stamp_ms + 1)
        return self._last_stamp_ms

    def health(self) -> VenueHealth:
        return self._health()

    def close(self) -> None:
        self._close()
