"""OperatorService: what a human asks of the books and orders, done by the one process that may write.

When a bot is running it holds the writer lock, so a command leaves its request in the database and the bot carries it
out at the start of its next cycle; when none is running the command takes the lock and calls the same code itself.
Either way there is one writer, one nonce and one place where these things are done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import booking
from btcbot.decisions.booking import EXPLANATION_ACCOUNTS, Explanation
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.ledger import Account, Entry
from btcbot.domain.orders import REOPENABLE, WORKING, Order, OrderEvent, OrderStatus, apply
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.errors import BtcbotError, Refused
from btcbot.ports import Clock, Exchange, Log, StateStore
from btcbot.services import values
from btcbot.services.accounting import set_trading_state
from btcbot.services.execution import ExecutionService, ExecutionSummary

REQUEST: Final = "operator_request"
ANSWER: Final = "operator_answer"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One wish. `kind` is a method of OperatorService, `arguments` its texts by name.

    Whoever asked waits for `wait_ms`; later nobody does, and it is not carried out any more.
    """

    request_id: str
    kind: str
    arguments: Mapping[str, str]
    made_at_ms: int
    wait_ms: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    request_id: str
    done: bool
    text: str


class OperatorService:
    def __init__(
        self, store: StateStore, exchange: Exchange, execution: ExecutionService, clock: Clock, log: Log
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._execution = execution
        self._clock = clock
        self._log = log
        self._handlers: Mapping[str, Callable[[Mapping[str, str]], str]] = {
            "cancel": self.cancel,
            "resolve": self.resolve,
            "disown": self.disown,
            "explain": self.explain,
            "adopt": self.adopt,
            "resume": self.resume,
        }

    def handle_pending(self) -> None:
        """Carry out the request that waits in the database, once, and leave the answer there."""
        text = self._store.value(REQUEST)
        if not text:
            return
        request = msgspec.json.decode(text, type=Request)
        answered = self._store.value(ANSWER)
        if not answered or msgspec.json.decode(answered, type=Answer).request_id != request.request_id:
            waited_ms = self._clock.now_ms() - request.made_at_ms
            if 0 <= waited_ms <= request.wait_ms:
                answer = self.answer(request)
            else:
                answer = Answer(request_id=request.request_id, done=False, text="nobody waits for this any more")
                self._log.warning("operator_request_expired", kind=request.kind, waited_ms=waited_ms)
            with self._store.transaction() as tx:
                tx.put_value(ANSWER, msgspec.json.encode(answer).decode())
                if self._store.value(REQUEST) == text:  # a newer request may have come in meanwhile
                    tx.put_value(REQUEST, "")

    def answer(self, request: Request) -> Answer:
        """Do what is asked; a refusal is an answer too."""
        handler = self._handlers.get(request.kind)
        try:
            if handler is None:
                raise Refused(f"this btcbot does not know the request «{request.kind}»")
            text, done = handler(request.arguments), True
        except BtcbotError as error:
            text, done = str(error), False
        self._log.warning("operator_request", kind=request.kind, done=done, answer=text)
        return Answer(request_id=request.request_id, done=done, text=text)

    # -- orders --------------------------------------------------------------------------------------------------

    def cancel(self, arguments: Mapping[str, str]) -> str:
        """`client_order_id`, or `all`: ask the venue to cancel own working orders."""
        wanted = arguments["client_order_id"]
        if wanted == "all":
            orders = self._store.orders(tuple(WORKING))
        else:
            order = self._own_order(wanted)
            if order.status not in WORKING:
                raise Refused(
                    f"order {wanted} is {order.status}; only an order that works at the venue can be cancelled"
                )
            orders = [order]
        summary = ExecutionSummary()
        for order in orders:
            if not self._execution.cancel(order, ReasonCode.CANCEL_OPERATOR, summary):
                gates = ", ".join(reason.value for reason in summary.closed_gates)
                raise Refused(f"no cancel leaves: {gates}")
        return f"cancellation asked for {len(orders)} order(s); the venue confirms within a few cycles"

    def resolve(self, arguments: Mapping[str, str]) -> str:
        """`client_order_id`, `venue_order_id` (empty: not placed), `reason`: a human's proof for an order in doubt."""
        order = self._own_order(arguments["client_order_id"])
        venue_order_id, reason = arguments["venue_order_id"], arguments["reason"]
        why = f"{ReasonCode.RESOLVED_BY_OPERATOR.value}: {reason}"
        now_ms = self._clock.now_ms()
        if order.status is OrderStatus.SUBMITTED:
            order = apply(order, OrderEvent.DOUBT, now_ms)
        if venue_order_id:
            if order.status not in {OrderStatus.UNKNOWN, OrderStatus.REFUSED_PROVISIONAL, *REOPENABLE}:
                raise Refused(f"order {order.client_order_id} is {order.status}: there is nothing to resolve")
            holder = self._store.order_by_venue_id(venue_order_id)
            if holder is not None:
                raise Refused(f"venue order {venue_order_id} already belongs to {holder.client_order_id}")
            after = msgspec.structs.replace(booking.adopted(order, venue_order_id, now_ms), reason=why)
        else:
            events = {
                OrderStatus.UNKNOWN: OrderEvent.PROVE_ABSENCE,
                OrderStatus.REFUSED_PROVISIONAL: OrderEvent.CONFIRM_REFUSAL,
            }
            event = events.get(order.status)
            if event is None:
                raise Refused(f"order {order.client_order_id} is {order.status}: only an order in doubt is not placed")
            after = apply(order, event, now_ms, reason=why)
        self._execution.settle(after)
        return f"order {order.client_order_id} is now {after.status}"

    def disown(self, arguments: Mapping[str, str]) -> str:
        """`venue_order_id`, `reason`: treat a venue order as foreign although it carries our client id.

        For the case that must never be: one request of ours stands at the venue twice. Its trades are then booked like
        any foreign trade, and the other order keeps the id.
        """
        venue_order_id = arguments["venue_order_id"]
        holder = self._store.order_by_venue_id(venue_order_id)
        if holder is not None:
            raise Refused(f"venue order {venue_order_id} is our order {holder.client_order_id}; it cannot be disowned")
        with self._store.transaction() as tx:
            tx.put_value(values.disowned(venue_order_id), arguments["reason"])
        return f"venue order {venue_order_id} counts as foreign from now on; cancel it by hand if it still works"

    def _own_order(self, client_order_id: str) -> Order:
        order = self._store.order(client_order_id)
        if order is None:
            raise Refused(f"no order {client_order_id} in this database; «btcbot orders» lists them")
        return order

    # -- books ---------------------------------------------------------------------------------------------------

    def explain(self, arguments: Mapping[str, str]) -> str:
        """`entry_id`, `meaning` (deposit, withdrawal, fee), `reason`: take an amount out of suspense."""
        entry_id, meaning, reason = arguments["entry_id"], arguments["meaning"], arguments["reason"]
        if meaning not in EXPLANATION_ACCOUNTS:
            raise Refused(f"«{meaning}» explains nothing; say one of {', '.join(EXPLANATION_ACCOUNTS)}")
        entry = self._store.entry(entry_id)
        if entry is None:
            raise Refused(f"no entry {entry_id}; «btcbot ledger» lists what lies in suspense")
        amounts = _suspense_of(entry)
        if not amounts:
            raise Refused(f"entry {entry_id} put nothing into suspense")
        left = self._store.account_balances(Account.SUSPENSE)
        if any(not left.get(asset, money.ZERO) for asset in amounts):
            raise Refused(f"nothing of entry {entry_id} lies in suspense any more")
        explanation = Explanation(entry_id=f"explanation:{entry_id}", meaning=meaning, reason=reason)
        booked = booking.book_explanation(entry, explanation, self._clock.now_ms())
        with self._store.transaction() as tx:
            if not tx.insert_entry(booked):
                raise Refused(f"entry {entry_id} has been explained before")
            after = {asset: left.get(asset, money.ZERO) + booked.moved(Account.SUSPENSE, asset) for asset in left}
            state, _ = self._store.trading_state()
            if state is TradingState.FROZEN and not any(after.values()):
                set_trading_state(tx, TradingState.ACTIVE, f"suspense explained: {reason}")
        return f"booked {entry_id} as {meaning}"

    def adopt(self, arguments: Mapping[str, str]) -> str:
        """`symbol`, `quantity`, `cost`: hand inventory from the opening balance to the bot's position."""
        symbol, quantity, cost = arguments["symbol"], Decimal(arguments["quantity"]), Decimal(arguments["cost"])
        if not (quantity.is_finite() and cost.is_finite()) or quantity <= 0 or cost < 0:
            raise Refused("the quantity must be above zero and the cost not below it")
        instrument = self._instrument(symbol)
        opening = -self._store.account_balances(Account.OPENING).get(instrument.base, money.ZERO)
        if quantity > opening:
            raise Refused(
                f"the opening balance has {money.plain(opening)} {instrument.base} that no position owns; "
                f"{money.plain(quantity)} cannot be adopted"
            )
        now_ms = self._clock.now_ms()
        position = self._store.positions().get(symbol)
        entry, after = booking.book_adoption(
            f"adoption:{symbol}:{now_ms}", position, symbol, instrument.base, quantity, cost, now_ms
        )
        with self._store.transaction() as tx:
            if not tx.insert_entry(entry):
                raise Refused("the same adoption was booked in this very millisecond")
            tx.put_position(after)
        return f"position of {symbol}: {money.plain(after.quantity)} at {money.plain(after.average_cost)}"

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self._exchange.instruments().get(symbol)
        if instrument is None:
            raise Refused(f"the venue lists no {symbol}")
        return instrument

    # -- state ---------------------------------------------------------------------------------------------------

    def resume(self, arguments: Mapping[str, str]) -> str:
        """`reason`: a human has looked at the evidence of a halt and reopens."""
        state, why = self._store.trading_state()
        if state is not TradingState.HALTED:
            raise Refused(f"the bot is {state}, not halted; there is nothing to resume")
        in_suspense = any(self._store.account_balances(Account.SUSPENSE).values())
        after = TradingState.FROZEN if in_suspense else TradingState.ACTIVE
        with self._store.transaction() as tx:
            set_trading_state(tx, after, f"resumed by the operator: {arguments['reason']} (had halted: {why})")
        return f"resumed; the bot is now {after}"


def _suspense_of(entry: Entry) -> Mapping[str, Decimal]:
    return {posting.asset: posting.amount for posting in entry.postings if posting.account is Account.SUSPENSE}
