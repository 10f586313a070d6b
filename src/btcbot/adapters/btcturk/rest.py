"""The port `Exchange` over BtcTurk's REST interface: which address is asked for what, and what the answer is to us.

How it is asked (limits, repetitions, stamps, deadlines) is `requester`'s affair. A write demands its permit, leaves
once, and whatever comes back is one row of the table in `outcome`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote_plus

import httpx2

from btcbot.adapters.btcturk import listing, outcome, wire
from btcbot.adapters.btcturk.connection import Connection
from btcbot.adapters.btcturk.limits import QUOTAS, Endpoint, Quota
from btcbot.adapters.btcturk.public_reads import PublicReads
from btcbot.adapters.btcturk.requester import RefusedRead, Timing
from btcbot.adapters.btcturk.signing import Signer
from btcbot.adapters.btcturk.wire.values import WireError
from btcbot.domain import orders
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.fills import VenueTrade
from btcbot.domain.orders import Order
from btcbot.domain.outcomes import CancelOutcome, NotSent, SubmitOutcome
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.venue import Transfer, VenueOrder, VenueOrderStatus
from btcbot.errors import InvariantBroken, StoreFailed, VenueUnavailable
from btcbot.ports import Clock, Log, Metrics, StopSignal, VenueHealth

#: A stamp older than this is not sent any more: with the time that the request may take, the venue would refuse it.
STAMP_AGE_MS_MAX: Final = 2_000
#: Rows asked of one page of allOrders: the largest that the venue documents. What it gives is its own affair.
ORDERS_PAGE: Final = 1_000
_MONTH_MS: Final = 30 * 24 * 3_600_000

T = TypeVar("T")


class BtcturkHttpClient(PublicReads):
    """BtcTurk over REST; see the port `Exchange` for what each method promises.

    `signer` None gives a client of public data: every private read raises VenueUnavailable, every write is NotSent.
    `load_mark`/`save_mark` keep the high-water mark of stamps (see `NonceSource`) and are demanded with a signer; where
    they raise StoreFailed, private reads and `take_stamp` let it through, and a cancellation is NotSent. `symbols` are
    those whose open orders are asked one by one, should the venue refuse to list them for the whole account.
    `transport` None opens real sockets. Not for use by several threads at once.

    Raises ConfigurationError for a base URL other than BtcTurk's own over https or one of this machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        stop: StopSignal,
        metrics: Metrics,
        log: Log,
        signer: Signer | None = None,
        load_mark: Callable[[], int] | None = None,
        save_mark: Callable[[int], None] | None = None,
        symbols: Callable[[], Sequence[str]] = tuple,
        quotas: Mapping[Endpoint, tuple[Quota, ...]] = QUOTAS,
        timing: Timing | None = None,
        transport: httpx2.BaseTransport | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        connection = Connection(
            base_url,
            clock=clock,
            stop=stop,
            metrics=metrics,
            log=log,
            quotas=quotas,
            transport=transport,
            ssl_context=ssl_context,
        )
        timing = timing or Timing()
        super().__init__(
            connection,
            connection.requester(timing, signer=signer, load_mark=load_mark, save_mark=save_mark),
            clock=clock,
            log=log,
            quotas=quotas,
            rules_age_s_max=timing.rules_age_s_max,
        )
        self._connection = connection
        self._symbols = symbols
        self._lists_open_orders_by_symbol = False
        #: A trade list that was too long for one go.
        self._trades_begun: listing.TradeReading | None = None

    # -- private reads -------------------------------------------------------------------------------------------------

    def balances(self) -> AccountSnapshot:
        asked_at_ms = self._clock.now_ms()
        held = self._private_request(Endpoint.BALANCES, "/api/v1/users/balances", wire.balances)
        return AccountSnapshot(balances=held, asked_at_ms=asked_at_ms, received_at_ms=self._clock.now_ms())

    def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        if symbol is not None:
            target = f"/api/v1/openOrders?pairSymbol={quote_plus(symbol)}"
            return self._private_request(Endpoint.OPEN_ORDERS, target, wire.open_orders)
        if not self._lists_open_orders_by_symbol:
            try:
                return self._private_request(Endpoint.OPEN_ORDERS, "/api/v1/openOrders", wire.open_orders)
            except RefusedRead as error:
                # BtcTurk's pages disagree on whether the pair may be left out.
                if error.status != 400 or not self._symbols():
                    raise
                self._lists_open_orders_by_symbol = True
                self._log.warning("open_orders_by_symbol", reason=error.reason, symbols=len(self._symbols()))
        return [order for each in self._symbols() for order in self._open_orders_if_listed(each)]

    def _open_orders_if_listed(self, symbol: str) -> Sequence[VenueOrder]:
        """A pair that the venue has taken from its list, and that is held all the same, must not end every cycle."""
        try:
            return self.open_orders(symbol)
        except RefusedRead as error:
            if error.status != 400 or not self._rules or symbol in self._rules:
                raise
            return ()

    def all_orders(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        # Times of this endpoint are in seconds, unlike all others.
        base = (
            f"/api/v1/allOrders?pairSymbol={quote_plus(symbol)}"
            f"&startTime={max(since_ms, 0) // 1000}&limit={ORDERS_PAGE}"
        )

        def fetch(page: int | None, end_s: int | None) -> Sequence[wire.ListedOrder]:
            target = base + (f"&endTime={end_s}" if end_s is not None else "")
            if page is None:
                return self._private_request(Endpoint.ALL_ORDERS, target, wire.all_orders)
            try:
                return self._private_request(Endpoint.ALL_ORDERS, f"{target}&page={page}", wire.all_orders)
            except RefusedRead as error:
                if error.status != 400:
                    raise
                return ()  # a page beyond the last one

        return listing.whole_orders(fetch)

    def order(self, venue_order_id: str) -> VenueOrder | None:
        try:
            found = self._private_request(Endpoint.ORDER, f"/api/v1/order/{quote_plus(venue_order_id)}", wire.order)
        except RefusedRead as error:
            if error.message == outcome.NO_SUCH_ORDER or (not error.message and error.code == "1052"):
                return None
            raise
        if found.venue_order_id != venue_order_id:
            raise VenueUnavailable("BtcTurk answered with another order than the one asked for")
        return found

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        end_ms = max(self._venue_clock.now_ms(), since_ms)
        begun, self._trades_begun = self._trades_begun, None
        reading = listing.TradeReading(since_ms) if begun is None or begun.start_ms != since_ms else begun
        try:
            return reading.go_on(self._trades_between, end_ms)
        except listing.Endless:
            raise
        except VenueUnavailable as error:
            # Of a long list nothing is lost, also where our own limits end a later go early.
            if isinstance(error, listing.TooLong) or reading is begun:
                self._trades_begun = reading
            raise

    def trades_of(self, venue_order_id: str) -> Sequence[VenueTrade]:
        target = f"/api/v1/users/transactions/trade?orderId={quote_plus(venue_order_id)}"
        rows = self._private_request(Endpoint.TRADES, target, wire.trades)
        if len(rows) >= listing.TRADES_CAP:
            # The id cannot be combined with times, so the rest of a very large order is found by time alone.
            start_ms = min(row.at_ms for row in rows) - _MONTH_MS
            rows = [*rows, *listing.whole_trades(self._trades_between, start_ms, self._venue_clock.now_ms())]
        # An answer for another order would be booked to this one: keep what says that it belongs here.
        found = {row.trade_id: row for row in rows if row.venue_order_id == venue_order_id}
        return list(found.values())

    def transfers(self, since_ms: int) -> Sequence[Transfer]:
        end_ms = max(self._venue_clock.now_ms(), since_ms)
        found: dict[str, Transfer] = {}
        for endpoint, source in ((Endpoint.TRANSFERS_CRYPTO, "crypto"), (Endpoint.TRANSFERS_FIAT, "fiat")):
            target = f"/api/v1/users/transactions/{source}?startDate={since_ms}&endDate={end_ms}"
            for row in self._private_request(endpoint, target, partial(wire.transfers, source=source)):
                found[row.transfer_id] = row
        return list(found.values())

    def _trades_between(self, start_ms: int, end_ms: int) -> Sequence[VenueTrade]:
        target = f"/api/v1/users/transactions/trade?startDate={start_ms}&endDate={end_ms}"
        return self._private_request(Endpoint.TRADES, target, wire.trades)

    # -- writes --------------------------------------------------------------------------------------------------------

    def take_stamp(self) -> int:
        return self._requester.keep_stamp()

    def submit(self, order: Order, permit: Permit) -> SubmitOutcome:
        """POST the order. InvariantBroken only for a caller's mistake: permit, stamp or ownership."""
        permit.demand(WriteKind.SUBMIT, PermitScope.VENUE, order.client_order_id)
        _demand_ours(order)
        stamp_ms = self._requester.spend_stamp()
        if stamp_ms is None or order.stamp_ms != stamp_ms:
            # Also what a second submit of one row would meet: its stamp is spent.
            raise InvariantBroken("I11_STAMP", f"order {order.client_order_id} does not carry the stamp taken last")
        if not self._requester.has_key:
            return NotSent(why="there is no API key")
        if not permit.is_fresh(self._monotonic_ms()):
            return NotSent(why="its permit is too old: the gates would have to be asked again")
        why = self._requester.why_closed(Endpoint.SUBMIT)
        if why is not None:
            return NotSent(why=why)
        venue_now_ms = self._venue_clock.estimate_ms()
        if venue_now_ms is None or venue_now_ms - stamp_ms > STAMP_AGE_MS_MAX:
            return NotSent(why=f"its stamp is older than {STAMP_AGE_MS_MAX} ms")
        try:
            body = wire.order_body(order)
        except WireError as error:
            return NotSent(why=f"it cannot be written as an order of BtcTurk: {error}")
        result = self._requester.write(Endpoint.SUBMIT, "POST", "/api/v1/order", stamp_ms, body)
        return outcome.of_submit(result, order.client_order_id)

    def cancel(self, order: Order, permit: Permit) -> CancelOutcome:
        """DELETE the order by its venue id, looked up among the open orders when the row does not have it yet.

        The venue knows no cancellation by client order id. InvariantBroken only for a caller's mistake.
        """
        permit.demand(WriteKind.CANCEL, PermitScope.VENUE, order.client_order_id)
        _demand_ours(order)
        if not self._requester.has_key:
            return NotSent(why="there is no API key")
        why = self._requester.why_closed(Endpoint.CANCEL)
        if why is not None:
            return NotSent(why=why)
        self._requester.spend_stamp()  # signed requests leave from here on: a stamp that waits would be out of order
        try:
            venue_order_id = order.venue_order_id or self._find(order)
            if venue_order_id is None:
                return NotSent(why="BtcTurk lists no open order with its client order id")
            stamp_ms = self._requester.fresh_stamp()
        except (VenueUnavailable, StoreFailed) as error:
            return NotSent(why=f"before it could be sent: {error}")
        if not permit.is_fresh(self._monotonic_ms()):
            return NotSent(why="the permit ran out while the order was looked up")
        target = f"/api/v1/order?id={quote_plus(venue_order_id)}"
        return outcome.of_cancel(self._requester.write(Endpoint.CANCEL, "DELETE", target, stamp_ms, None))

    def _find(self, order: Order) -> str | None:
        ids = {
            row.venue_order_id
            for row in self.open_orders(order.symbol)
            if row.client_order_id == order.client_order_id
            and row.side is order.side
            and row.status in (VenueOrderStatus.UNTOUCHED, VenueOrderStatus.PARTIAL)
        }
        if len(ids) > 1:
            raise VenueUnavailable(f"BtcTurk lists {len(ids)} open orders with its client order id")
        return next(iter(ids), None)

    # -- state ---------------------------------------------------------------------------------------------------------

    def health(self) -> VenueHealth:
        return self._requester.health()

    def close(self) -> None:
        self._connection.close()

    # -- asking --------------------------------------------------------------------------------------------------------

    def _private_request(self, endpoint: Endpoint, target: str, decode: Callable[[bytes], T]) -> T:
        """A signed GET: a fresh stamp for each attempt."""
        return self._requester.read(endpoint, target, decode, is_private=True)


def _demand_ours(order: Order) -> None:
    if not orders.is_ours(order.client_order_id):
        raise InvariantBroken("I16_FOREIGN_ORDER", f"a write was asked for order {order.client_order_id}, not ours")
