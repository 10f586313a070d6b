"""ExecutionService: carries decisions out. The only place that writes to the venue.

`submit` is the heart of the product, and its order of steps is the whole protocol:

1. one transaction: the order as SUBMITTED, with its client order id, its stamp and the hold on its funds;
2. the gates are asked for a permit now; where one is closed, one transaction: DENIED, hold released, reason kept;
3. the venue is called once; nothing anywhere sends it a second time;
4. one transaction: what the answer proves. Where it proves nothing, UNKNOWN, the hold kept, the instrument frozen.

A process that dies between 1 and 4 leaves a SUBMITTED row. The next cycle, of whichever process, treats it as UNKNOWN:
nobody knows whether the request left, so no code path ever sends an existing row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, assert_never

import msgspec

from btcbot.decisions import booking, lifecycle
from btcbot.decisions.draft import CancelWish
from btcbot.decisions.fees import FeeRates
from btcbot.decisions.gates import Closed
from btcbot.decisions.risk import Allowed
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.ledger import Hold
from btcbot.domain.orders import (
    WORKING,
    Order,
    OrderEvent,
    OrderStatus,
    apply,
    is_ours,
    make_client_order_id,
)
from btcbot.domain.outcomes import (
    Accepted,
    Canceled,
    CancelRequested,
    InDoubt,
    NotSent,
    Refused,
    Simulated,
    SubmitOutcome,
)
from btcbot.domain.permit import WriteKind
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import InvariantBroken, VenueUnavailable
from btcbot.ports import Clock, Exchange, Log, Metrics, StateStore, StopSignal, Transaction
from btcbot.services.gatekeeper import Gatekeeper
from btcbot.services.order_lifecycle import LifecycleResult, OrderLifecycle

_WORKING: Final = tuple(WORKING)
_NEVER_SENT: Final = (NotSent, Simulated)
_GOOD_NEWS: Final = frozenset({OrderEvent.ACCEPT, OrderEvent.SIMULATE})
#: After an order of which nothing is proved, or that a gate kept back, no other is made in this cycle.
_STOPS_THE_REST: Final = frozenset({OrderStatus.UNKNOWN, OrderStatus.DENIED})
#: What somebody writes in the unit that writes an order: both are durable, or neither ever happened.
Beside = Callable[[Transaction, Order], None]


class ExecutionSummary(msgspec.Struct, kw_only=True):
    """What one cycle's writes came to."""

    submitted: int = 0
    accepted: int = 0
    refused: int = 0
    in_doubt: int = 0
    denied: int = 0
    simulated: int = 0
    cancels: int = 0
    closed_gates: tuple[ReasonCode, ...] = ()
    #: Holds of orders that the venue took out at once: the account was read while it still locked them.
    released: tuple[Hold, ...] = ()


class ExecutionService:
    def __init__(
        self,
        store: StateStore,
        exchange: Exchange,
        gatekeeper: Gatekeeper,
        lifecycle: OrderLifecycle,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        book_id: str,
        fee_rates: Callable[[], FeeRates],
        ttl_ms: int,
        settle_horizon_ms: int,
        stop: StopSignal,
    ) -> None:
        self._stop = stop
        self._store = store
        self._exchange = exchange
        self._gatekeeper = gatekeeper
        self._lifecycle = lifecycle
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._book_id = book_id
        self._fee_rates = fee_rates
        self._ttl_ms = ttl_ms
        self._settle_horizon_ms = settle_horizon_ms
        self._made = 0

    @property
    def is_stopping(self) -> bool:
        """The process was asked to end: nothing new is begun."""
        return self._stop.is_set()

    # -- new orders ----------------------------------------------------------------------------------------------

    def execute_intents(
        self,
        allowed: Sequence[Allowed],
        instruments: Mapping[str, Instrument],
        may_order: Callable[[str], bool],
        summary: ExecutionSummary,
        beside_of: Callable[[Intent], Beside | None] | None = None,
    ) -> None:
        """Place each allowed intent exactly once; `beside_of` gives what is written in the unit that reserves it.

        After an answer that proves nothing, a closed gate or a word to stop, the rest of the cycle's orders stay
        wishes: the next cycle decides anew with what is known then. So it is when the machine stood still meanwhile:
        I15, no order leaves on a quote that has grown old since risk looked at it.
        """
        for decision in allowed:
            if self._stop.is_set():
                return
            if not may_order(decision.intent.symbol):
                self._log.warning("orders_not_made", symbol=decision.intent.symbol, why=ReasonCode.QUOTE_GONE.value)
                return
            started_ns = self._clock.monotonic_ns()
            beside = beside_of(decision.intent) if beside_of is not None else None
            order = self.submit(decision.intent, instruments[decision.intent.symbol], summary, beside)
            self._metrics.observe("btcbot_submit_path_seconds", (self._clock.monotonic_ns() - started_ns) / 1e9)
            if order is None or order.status in _STOPS_THE_REST:
                return

    def submit(
        self, intent: Intent, instrument: Instrument, summary: ExecutionSummary, beside: Beside | None = None
    ) -> Order | None:
        """Reserve, ask leave, send once, record. None when not even a stamp could be had: nothing was written."""
        assert instrument.is_on_tick(intent.price), "I14: a price off the tick never leaves"
        assert instrument.is_on_lot(intent.quantity), "I14: a quantity off the lot never leaves"
        try:
            stamp_ms = self._exchange.take_stamp()
        except VenueUnavailable as unavailable:
            self._log.warning("order_not_made", symbol=intent.symbol, why=unavailable.reason)
            return None
        now_ms = self._clock.now_ms()
        self._made += 1
        order = Order(
            client_order_id=make_client_order_id(self._book_id, now_ms, self._made),
            intent_id=intent.intent_id,
            cycle_id=intent.cycle_id,
            strategy=intent.strategy,
            symbol=intent.symbol,
            side=intent.side,
            price=intent.price,
            quantity=intent.quantity,
            status=OrderStatus.SUBMITTED,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            stamp_ms=stamp_ms,
            reason=intent.why,
        )
        with self._store.transaction() as tx:
            tx.insert_order(order)
            tx.put_hold(self._hold(order, instrument))
            if beside is not None:
                beside(tx, order)

        permit = self._gatekeeper.ask(WriteKind.SUBMIT, order.client_order_id)
        if isinstance(permit, Closed):
            summary.denied += 1
            summary.closed_gates = permit.reasons
            return self._record(order, OrderEvent.DENY, instrument, reason=permit.reasons[0].value)
        return self._record_outcome(order, self._exchange.submit(order, permit), instrument, summary)

    def _record_outcome(
        self, order: Order, outcome: SubmitOutcome, instrument: Instrument, summary: ExecutionSummary
    ) -> Order:
        """Write down what the answer proves, and nothing more."""
        self._metrics.count("btcbot_order_outcomes_total", outcome=type(outcome).__name__)
        if not isinstance(outcome, _NEVER_SENT):
            summary.submitted += 1
            self._metrics.count("btcbot_orders_submitted_total", symbol=order.symbol, side=order.side)
        match outcome:
            case Accepted(venue_order_id=venue_order_id):
                summary.accepted += 1
                return self._record(order, OrderEvent.ACCEPT, instrument, venue_order_id=venue_order_id)
            case Refused(code=code, message=message):
                summary.refused += 1
                return self._record(order, OrderEvent.REFUSE, instrument, reason=f"{code}: {message}".rstrip(": "))
            case InDoubt(why=why):
                summary.in_doubt += 1
                return self._record(order, OrderEvent.DOUBT, instrument, reason=why)
            case NotSent(why=why):
                summary.denied += 1
                reason = f"{ReasonCode.NOT_SENT.value}: {why}"
                return self._record(order, OrderEvent.DENY, instrument, reason=reason)
            case Simulated():
                summary.simulated += 1
                return self._record(order, OrderEvent.SIMULATE, instrument)
            case _:
                assert_never(outcome)

    def _record(
        self,
        order: Order,
        event: OrderEvent,
        instrument: Instrument,
        reason: str | None = None,
        venue_order_id: str | None = None,
    ) -> Order:
        after = apply(order, event, self._clock.now_ms(), reason=reason, venue_order_id=venue_order_id)
        with self._store.transaction() as tx:
            tx.update_order(after)
            tx.put_hold(self._hold(after, instrument))
        log = self._log.info if event in _GOOD_NEWS else self._log.warning
        log(
            "order_recorded",
            client_order_id=after.client_order_id,
            venue_order_id=after.venue_order_id,
            symbol=after.symbol,
            side=after.side,
            price=after.price,
            quantity=after.quantity,
            status=after.status,
            reason=after.reason,
        )
        return after

    def _hold(self, order: Order, instrument: Instrument) -> Hold:
        return booking.hold_for(order, instrument.base, instrument.quote, self._fee_rates())

    # -- cancels -------------------------------------------------------------------------------------------------

    def cancel_stale_orders(self, summary: ExecutionSummary) -> None:
        """Ask for the cancellation of working orders past their time."""
        orders = self._store.orders(_WORKING)
        if not orders:
            return
        retry_ms = lifecycle.cancel_retry_ms(self._ttl_ms, self._settle_horizon_ms)
        for order in lifecycle.stale_orders(orders, self._clock.now_ms(), self._ttl_ms, retry_ms):
            if self._stop.is_set() or not self.cancel(order, ReasonCode.CANCEL_STALE, summary):
                return

    def cancel_wished(self, wishes: Sequence[CancelWish], summary: ExecutionSummary) -> None:
        """Ask for the cancellation of what upkeep wants out of the market, as far as it still works."""
        for wish in wishes:
            order = self._store.order(wish.client_order_id)
            if order is None or order.status not in WORKING:
                continue
            if self._stop.is_set() or not self.cancel(order, wish.reason, summary):
                return

    def cancel_all(self, reason: ReasonCode) -> ExecutionSummary:
        """Ask for the cancellation of every working order that was not asked for yet, whatever its age."""
        summary = ExecutionSummary()
        for order in self._store.orders(_WORKING):
            if order.cancel_requested_at_ms is None and not self.cancel(order, reason, summary):
                break
        return summary

    def cancel_buys(
        self, reason: ReasonCode, summary: ExecutionSummary, symbols: Collection[str] | None = None
    ) -> None:
        """Ask for the cancellation of every working buy (of these symbols; None: of all) that was not asked for yet."""
        buys = [
            order
            for order in self._store.orders(_WORKING)
            if order.side is Side.BUY and (symbols is None or order.symbol in symbols)
        ]
        for order in buys:
            is_asked = order.cancel_requested_at_ms is not None
            if not is_asked and (self._stop.is_set() or not self.cancel(order, reason, summary)):
                return

    def cancel(self, order: Order, reason: ReasonCode, summary: ExecutionSummary, beside: Beside | None = None) -> bool:
        """Ask the venue to cancel; False when a gate is closed. Nothing is final until the venue's lists say so.

        The order's row keeps `reason` for good; asked for again, it keeps the one for which it was asked for first, and
        tells of an operator who asked again.
        `beside` is written in the unit that notes the wish, and not at all where a closed gate keeps it from being one.
        """
        if not is_ours(order.client_order_id):
            raise InvariantBroken("I16_FOREIGN", f"order {order.client_order_id} is not ours and is never cancelled")
        if closed := self._gatekeeper.closed(WriteKind.CANCEL):
            summary.closed_gates = closed  # nothing was asked, so the wish is as due in the next cycle as it is now
            return False
        # The wish is durable before the act: a crash in between leaves a row that says what may have been asked.
        before, why = order, _why_cancelled(order, reason)
        order = msgspec.structs.replace(
            order, cancel_requested_at_ms=self._clock.now_ms(), reason=why, updated_at_ms=self._clock.now_ms()
        )
        with self._store.transaction() as tx:
            tx.update_order(order)
            if beside is not None:
                beside(tx, order)
        permit = self._gatekeeper.ask(WriteKind.CANCEL, order.client_order_id)
        if isinstance(permit, Closed):
            summary.closed_gates = permit.reasons
            self._take_back_cancel(order, before)
            self._log.info(
                "cancel_denied",
                client_order_id=order.client_order_id,
                reason=why,
                gates=[r.value for r in permit.reasons],
            )
            return False
        outcome = self._exchange.cancel(order, permit)
        self._metrics.count("btcbot_cancels_total", outcome=type(outcome).__name__)
        summary.cancels += 1
        match outcome:
            case CancelRequested() | InDoubt():
                after = apply(order, OrderEvent.REQUEST_CANCEL, self._clock.now_ms())
                with self._store.transaction() as tx:
                    tx.update_order(after)
            case Canceled(executed_quantity=executed) if executed == order.filled_quantity:
                held = self._store.holds().get(order.client_order_id)
                after = apply(order, OrderEvent.CANCEL, self._clock.now_ms())
                with self._store.transaction() as tx:
                    tx.update_order(after)
                    if held is not None:
                        tx.put_hold(msgspec.structs.replace(held, amount=money.ZERO))
                        summary.released = (*summary.released, held)
            case Canceled():
                pass  # fills that we have not booked yet: the next comparison books them and closes the order
            case NotSent() | Refused(code="RATE"):
                self._take_back_cancel(order, before)
                summary.cancels -= 1
            case Refused() | Simulated():
                pass  # the venue's lists say what the order is; the next comparison reads them
            case _:
                assert_never(outcome)
        self._log.info(
            "cancel_asked",
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            reason=why,
            outcome=type(outcome).__name__,
        )
        return True

    def _take_back_cancel(self, order: Order, before: Order) -> None:
        """The wish was never taken in: it is as due in the next cycle as it is now, and whoever cancels the order
        meanwhile does it for a reason of their own."""
        with self._store.transaction() as tx:
            tx.update_order(msgspec.structs.replace(order, cancel_requested_at_ms=None, reason=before.reason))

    # -- comparison with the venue -------------------------------------------------------------------------------

    def refresh_order_lifecycle(
        self,
        account: AccountSnapshot,
        instruments: Mapping[str, Instrument],
        book_fills_of: Callable[[Order], int],
    ) -> LifecycleResult:
        """Compare every open order with the venue; see `OrderLifecycle.refresh`."""
        return self._lifecycle.refresh(account, instruments, book_fills_of)


def _why_cancelled(order: Order, reason: ReasonCode) -> str:
    """What the row of an order tells while its cancellation is asked for, perhaps again."""
    before = order.reason
    if not before or not order.is_cancel_asked:
        return reason.value
    is_news = reason is ReasonCode.CANCEL_OPERATOR and reason.value not in before
    return f"{before}; asked again: {reason.value}" if is_news else before
