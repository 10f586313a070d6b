"""OrderLifecycle: keeps our record of orders in step with what the venue shows.

It reads the venue and writes the database, never the other way round: nothing in here can place or cancel an order.
What follows from a comparison is decided in `decisions/recovery.py`; here facts are gathered and steps written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, assert_never

import msgspec

from btcbot.decisions import booking, recovery
from btcbot.decisions.fees import FeeRates
from btcbot.decisions.recovery import (
    Adopt,
    AdoptUnknown,
    Close,
    Contradiction,
    FetchFills,
    Listing,
    NoteAbsence,
    RecoveryFacts,
    RecoveryStep,
    Wait,
)
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.instrument import Instrument
from btcbot.domain.ledger import Hold
from btcbot.domain.orders import (
    OPEN,
    REOPENABLE,
    Order,
    OrderEvent,
    OrderStatus,
    apply,
    is_ours,
    reason_of_end,
)
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.venue import VenueOrder
from btcbot.errors import InvariantBroken, VenueUnavailable
from btcbot.ports import Clock, Exchange, Log, StateStore
from btcbot.services import values

#: How long the venue's word may still contradict a closed order (REJECTED, NOT_PLACED).
REOPEN_WINDOW_MS: Final = 86_400_000
#: A strategy name for orders that the venue showed us and our database had lost.
ADOPTED_STRATEGY: Final = "adopted"
#: A list that still shows a closed order may lag for so long before it counts as the truth.
LAG_PATIENCE_MS: Final = 60_000


class LifecycleResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison with the venue left open: symbols with an order whose fate or fills are not settled. And
    every open order of the account as it was listed, foreign ones too. `shown_by_id`: client order ids of our orders
    that the venue does not list as open, and tells when it is asked for them by their own id."""

    steps: Sequence[RecoveryStep]
    unsettled_symbols: frozenset[str]
    venue_open: Sequence[VenueOrder] = ()
    shown_by_id: frozenset[str] = frozenset()


#: Neither we nor the venue know an order that could change.
NOTHING_OPEN: Final = LifecycleResult(steps=(), unsettled_symbols=frozenset())
_OPEN: Final = tuple(OPEN)
_REOPENABLE: Final = tuple(REOPENABLE)


class OrderLifecycle:
    def __init__(
        self,
        store: StateStore,
        exchange: Exchange,
        clock: Clock,
        log: Log,
        book_id: str,
        fee_rates: Callable[[], FeeRates],
        settle_horizon_ms: int,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._clock = clock
        self._log = log
        self._book_id = book_id
        self._fee_rates = fee_rates
        self._settle_horizon_ms = settle_horizon_ms
        #: Closed orders that the list shows without a break, by client order id: since when, by the venue's clock.
        self._closed_shown_since_ms: dict[str, int] = {}

    def _hold(self, order: Order, instrument: Instrument) -> Hold:
        return booking.hold_for(order, instrument.base, instrument.quote, self._fee_rates())

    def doubt_interrupted(self) -> int:
        """Orders that a dead process left as SUBMITTED become UNKNOWN: nobody knows whether they were sent."""
        interrupted = self._store.orders((OrderStatus.SUBMITTED,))
        for order in interrupted:
            after = apply(order, OrderEvent.DOUBT, self._clock.now_ms(), reason="the process ended before the answer")
            with self._store.transaction() as tx:
                tx.update_order(after)
            self._log.warning("order_interrupted", client_order_id=order.client_order_id, symbol=order.symbol)
        return len(interrupted)

    def refresh(
        self,
        account: AccountSnapshot,
        instruments: Mapping[str, Instrument],
        book_fills_of: Callable[[Order], int],
    ) -> LifecycleResult:
        """Compare every open order with the venue and take the steps that are proved. Raises VenueUnavailable."""
        listed_at_ms = self._exchange.venue_time_ms()
        venue_open = self._without_disowned(self._exchange.open_orders())
        ours = self._comparable_orders()
        if not ours and not venue_open:
            self._closed_shown_since_ms.clear()
            return NOTHING_OPEN
        asked = recovery.lookups(ours, venue_open)
        single = {
            order.venue_order_id: self._exchange.order(order.venue_order_id)
            for order in asked.orders
            if order.venue_order_id is not None
        }
        listings = {}
        for symbol, since_ms in asked.listings.items():
            rows = self._listed_since(symbol, since_ms, is_known=symbol in instruments)
            if rows is not None:
                shown = [row for row in venue_open if row.symbol == symbol]
                listings[symbol] = Listing(symbol=symbol, orders=[*shown, *rows], taken_at_ms=listed_at_ms)
        facts = RecoveryFacts(
            book_id=self._book_id,
            ours=ours,
            closed_ids=self._closed_among(ours, venue_open, listings.values()),
            venue_open=venue_open,
            single=single,
            listings=listings,
            account=account,
            instruments=instruments,
            fee_rates=self._fee_rates(),
            venue_time_ms=listed_at_ms,
            settle_horizon_ms=self._settle_horizon_ms,
        )
        self._demand_settled_stay_settled(facts)
        steps = recovery.conclude(facts, {order.client_order_id: order.filled_quantity for order in ours})
        if not steps and not asked.orders:
            return LifecycleResult(steps=(), unsettled_symbols=frozenset(), venue_open=venue_open)
        fetched = [step for step in steps if isinstance(step, FetchFills)]
        if fetched and sum(book_fills_of(step.order) for step in fetched):
            # The fills that were missing may be all that a closing order still waited for.
            ours = self._comparable_orders()
            closed_ids = self._closed_among(ours, venue_open, listings.values())
            facts = msgspec.structs.replace(facts, ours=ours, closed_ids=closed_ids)
            steps = recovery.conclude(facts, {order.client_order_id: order.filled_quantity for order in ours})
        for step in steps:
            self._take(step, instruments)
        unsettled = {step.order.symbol for step in steps if isinstance(step, FetchFills | Wait | NoteAbsence)}
        unsettled |= {order.symbol for order in asked.orders}
        return LifecycleResult(
            steps=steps,
            unsettled_symbols=frozenset(unsettled),
            venue_open=venue_open,
            shown_by_id=frozenset(
                order.client_order_id
                for order in asked.orders
                if (row := single.get(order.venue_order_id or "")) is not None
                and row.client_order_id in (None, order.client_order_id)
            ),
        )

    def _listed_since(self, symbol: str, since_ms: int, *, is_known: bool) -> Sequence[VenueOrder] | None:
        """All orders of a symbol, None where they cannot be had because the venue has taken the pair from its list.

        An order in doubt there waits for a human; all others, in all other pairs, must not wait with it.
        """
        try:
            rows = self._exchange.all_orders(symbol, since_ms - recovery.STAMP_TOLERANCE_MS)
        except VenueUnavailable as unavailable:
            if is_known:
                raise
            self._log.info("orders_of_unlisted_pair", symbol=symbol, why=unavailable.reason)
            return None
        return self._without_disowned(rows)

    def _closed_among(
        self, ours: Sequence[Order], venue_open: Sequence[VenueOrder], listings: Iterable[Listing]
    ) -> frozenset[str]:
        """Client order ids that the venue shows and that our record knows as settled."""
        shown = {row.client_order_id for row in venue_open}
        shown |= {row.client_order_id for listing in listings for row in listing.orders}
        unsettled = {order.client_order_id for order in ours}
        return frozenset(
            client_order_id
            for client_order_id in shown
            if client_order_id is not None
            and client_order_id not in unsettled
            and is_ours(client_order_id)
            and self._store.order(client_order_id) is not None
        )

    def _demand_settled_stay_settled(self, facts: RecoveryFacts) -> None:
        """A closed order that the venue still works, beyond any lag of its lists, is funds that nobody watches.

        Counted by the venue's clock, from the first list that shows it to the moment when this one was asked for: our
        clock may be set in between, and a process may stand still before it looks at the answer.
        """
        patience_ms = max(2 * self._settle_horizon_ms, LAG_PATIENCE_MS)
        before, self._closed_shown_since_ms = self._closed_shown_since_ms, {}
        for row in facts.venue_open:
            order = self._store.order(row.client_order_id) if row.client_order_id in facts.closed_ids else None
            if order is None:
                continue
            if order.status in {OrderStatus.DENIED, OrderStatus.SIMULATED}:
                raise InvariantBroken(
                    "I6_NEVER_SENT", f"order {order.client_order_id} is {order.status} and the venue works it"
                )
            since_ms = before.get(order.client_order_id, facts.venue_time_ms)
            self._closed_shown_since_ms[order.client_order_id] = since_ms
            if facts.venue_time_ms - since_ms > patience_ms:
                raise InvariantBroken(
                    "I7_CLOSED_ORDER_OPEN",
                    f"order {order.client_order_id} is {order.status} and the venue still works it as "
                    f"{row.venue_order_id}; cancel it at the venue, then «btcbot resume --reason …»",
                )

    def _without_disowned(self, shown: Sequence[VenueOrder]) -> Sequence[VenueOrder]:
        """A human may have declared a venue order foreign although it carries our id: then the id is not evidence."""
        return [
            msgspec.structs.replace(row, client_order_id=None)
            if is_ours(row.client_order_id) and self._store.value(values.disowned(row.venue_order_id))
            else row
            for row in shown
        ]

    def _comparable_orders(self) -> Sequence[Order]:
        since_ms = self._clock.now_ms() - REOPEN_WINDOW_MS
        return [*self._store.orders(_OPEN), *self._store.orders(_REOPENABLE, since_ms)]

    def _take(self, step: RecoveryStep, instruments: Mapping[str, Instrument]) -> None:
        now_ms = self._clock.now_ms()
        match step:
            case Adopt(order=order, seen=seen):
                self._write(booking.adopted(order, seen.venue_order_id, now_ms), instruments)
            case AdoptUnknown(seen=seen):
                self.adopt_unknown(seen)
            case Contradiction(evidence=evidence):
                raise InvariantBroken("I1_TWO_ORDERS", evidence)
            case Close(order=order, event=event, reason=proof):
                self._write(apply(order, event, now_ms, reason=reason_of_end(order, proof)), instruments)
            case NoteAbsence(order=order, absent_count=count, absent_since_ms=since_ms):
                noted = msgspec.structs.replace(order, absent_count=count, absent_since_ms=since_ms)
                with self._store.transaction() as tx:
                    tx.update_order(noted)
            case Wait(order=order, why=why):
                self._log.info("order_waits", client_order_id=order.client_order_id, status=order.status.value, why=why)
            case FetchFills():
                pass
            case _:
                assert_never(step)

    def settle(self, order: Order) -> None:
        """Write an order whose fate a human has proved, with the venue up or down.

        Its hold is already there while it was in doubt; only an order that reopens needs the venue's rules for one.
        """
        try:
            instruments = self._exchange.instruments()
        except VenueUnavailable:
            if order.is_open and order.client_order_id not in self._store.holds():
                raise
            instruments = {}
        self._write(order, instruments)

    def _write(self, order: Order, instruments: Mapping[str, Instrument]) -> None:
        """The order with the hold that its status demands, in one transaction."""
        instrument = instruments.get(order.symbol)
        held = self._store.holds().get(order.client_order_id)
        with self._store.transaction() as tx:
            tx.update_order(order)
            if instrument is not None:
                tx.put_hold(self._hold(order, instrument))
            elif held is not None and not order.is_open:
                tx.put_hold(msgspec.structs.replace(held, amount=money.ZERO))
        self._log.info(
            "order_settled",
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            status=order.status,
            reason=order.reason,
        )

    def adopt_unknown(self, seen: VenueOrder) -> Order:
        """A row for an order that carries our id and that this database had lost; the trade list brings its fills.

        That happens when the database was restored from an older backup.
        """
        assert seen.client_order_id is not None, "only an order with our id is adopted"
        now_ms = self._clock.now_ms()
        order = Order(
            client_order_id=seen.client_order_id,
            intent_id=f"{ADOPTED_STRATEGY}:{seen.client_order_id}",
            cycle_id=ADOPTED_STRATEGY,
            strategy=ADOPTED_STRATEGY,
            symbol=seen.symbol,
            side=seen.side,
            price=seen.price,
            quantity=seen.quantity,
            status=OrderStatus.ACCEPTED,
            created_at_ms=seen.updated_at_ms or now_ms,
            updated_at_ms=now_ms,
            venue_order_id=seen.venue_order_id,
            reason=ReasonCode.ADOPTED.value,
        )
        instrument = self._exchange.instruments().get(seen.symbol)
        with self._store.transaction() as tx:
            tx.insert_order(order)
            if instrument is not None:
                tx.put_hold(self._hold(order, instrument))
        self._log.warning("order_adopted", client_order_id=order.client_order_id, symbol=order.symbol)
        return order
