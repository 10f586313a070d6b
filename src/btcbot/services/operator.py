"""OperatorService: what a human asks of the books and orders, done by the one process that may write.

When a bot is running it holds the writer lock, so a command leaves its request in the database and the bot carries it
out at the start of its next cycle; when none is running the command takes the lock and calls the same code itself.
Either way there is one writer, one nonce and one place where these things are done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import booking
from btcbot.decisions.booking import EXPLAINS_GAIN, EXPLANATION_ACCOUNTS, Explanation
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.ledger import Account, Entry
from btcbot.domain.orders import REOPENABLE, WORKING, Order, OrderEvent, OrderStatus, apply, is_ours
from btcbot.domain.positions import Position
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.domain.venue import Transfer
from btcbot.errors import Refused, StoreFailed, VenueUnavailable
from btcbot.ports import Clock, Exchange, Log, StateStore
from btcbot.services import budget_record, degrade_record, freeze_record, named_values, replacement_record, values
from btcbot.services.accounting import AccountingService, set_trading_state
from btcbot.services.execution import ExecutionService, ExecutionSummary
from btcbot.services.order_lifecycle import OrderLifecycle

#: Cost of an adopted position: as many decimals as the venue tells of money.
COST_DECIMALS: Final = 8
#: How far back a transfer may lie that a human explains today.
EXPLAINED_LOOKBACK_MS: Final = 30 * 86_400_000
_NEVER_PLACED: Final[Mapping[OrderStatus, OrderEvent]] = {
    OrderStatus.UNKNOWN: OrderEvent.PROVE_ABSENCE,
    OrderStatus.REFUSED_PROVISIONAL: OrderEvent.CONFIRM_REFUSAL,
}
_CLOSED_BY_HAND: Final[Mapping[OrderStatus, OrderEvent]] = dict.fromkeys(WORKING, OrderEvent.CANCEL)

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


_decode_request: Final = msgspec.json.Decoder(Request).decode
_decode_answer: Final = msgspec.json.Decoder(Answer).decode


def read_answer(store: StateStore) -> Answer | None:
    """The last answer. One that cannot be read counts as none: what it answered carries its request's id, so that it is
    not done twice."""
    try:
        return named_values.decoded(store, ANSWER, _decode_answer)
    except StoreFailed:
        return None


class OperatorService:
    def __init__(
        self,
        store: StateStore,
        exchange: Exchange,
        execution: ExecutionService,
        lifecycle: OrderLifecycle,
        accounting: AccountingService,
        clock: Clock,
        log: Log,
        quote_asset: str,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._execution = execution
        self._lifecycle = lifecycle
        self._accounting = accounting
        self._quote_asset = quote_asset
        self._clock = clock
        self._log = log
        self._handlers: Mapping[str, Callable[[Mapping[str, str]], str]] = {
            "cancel": self.cancel,
            "resolve": self.resolve,
            "disown": self.disown,
            "explain": self.explain,
            "adopt": self.adopt,
            "release": self.release,
            "resume": self.resume,
            "freeze_clear": self.freeze_clear,
            "degrade_clear": self.degrade_clear,
            "degrade_override": self.degrade_override,
            "budget_reset": self.budget_reset,
            "replacements_clear": self.replacements_clear,
        }

    def handle_pending(self) -> None:
        """Carry out the request that waits in the database, once, and leave the answer there."""
        text = self._store.value(REQUEST)
        if not text:
            return
        try:
            request = named_values.parsed(REQUEST, text, _decode_request)
        except StoreFailed as failed:
            self._put_aside(text, str(failed))
            return
        answered = read_answer(self._store)
        if answered is None or answered.request_id != request.request_id:
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

    def _put_aside(self, text: str, why: str) -> None:
        """A request that cannot be read is not carried out: no book hangs on it, and it must not take the bot down."""
        with self._store.transaction() as tx:
            if self._store.value(REQUEST) == text:
                tx.put_value(REQUEST, "")
        self._log.error("operator_request_unreadable", reason=why)

    def answer(self, request: Request) -> Answer:
        """Do what is asked; a refusal is an answer too."""
        handler = self._handlers.get(request.kind)
        try:
            if handler is None:
                raise Refused(f"this btcbot does not know the request «{request.kind}»")
            # A process that dies between the act and its answer finds the request again in its next life: what must not
            # be done twice carries the request's id.
            text, done = handler({**request.arguments, "request_id": request.request_id}), True
        except (Refused, VenueUnavailable) as error:
            text, done = str(error), False
        except (KeyError, ArithmeticError) as error:
            # Of another version, or not written by our command line: it must not take the bot down.
            text, done = f"the request cannot be read ({type(error).__name__}); nothing was done", False
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
        if not orders:
            return "no order of ours works at the venue"
        if summary.cancels < len(orders):
            raise Refused(
                f"cancellation asked for {summary.cancels} of {len(orders)} order(s); the venue took no more requests "
                "just now: ask again in a moment"
            )
        return f"cancellation asked for {len(orders)} order(s); the venue confirms within a few cycles"

    def resolve(self, arguments: Mapping[str, str]) -> str:
        """`client_order_id`, `outcome` (placed, not-placed, closed), `venue_order_id`, `reason`: a human's proof.

        «placed» is checked against the venue, because a wrong id could not be taken back; «not-placed» and «closed» are
        believed unless the venue itself shows the contrary.
        """
        order = self._own_order(arguments["client_order_id"])
        outcome, reason = arguments["outcome"], arguments["reason"]
        now_ms = self._clock.now_ms()
        if order.status is OrderStatus.SUBMITTED:
            order = apply(order, OrderEvent.DOUBT, now_ms)
        if outcome == "placed":
            after = self._resolved_as_placed(order, arguments["venue_order_id"], now_ms)
        else:
            events = _CLOSED_BY_HAND if outcome == "closed" else _NEVER_PLACED
            event = events.get(order.status)
            if event is None:
                raise Refused(f"order {order.client_order_id} is {order.status}; «{outcome}» does not apply to it")
            self._demand_not_shown(order)
            after = apply(order, event, now_ms)
        after = msgspec.structs.replace(after, reason=f"{ReasonCode.RESOLVED_BY_OPERATOR.value}: {reason}")
        self._lifecycle.settle(after)
        return f"order {order.client_order_id} is now {after.status}"

    def _resolved_as_placed(self, order: Order, venue_order_id: str, now_ms: int) -> Order:
        if order.status not in {OrderStatus.UNKNOWN, OrderStatus.REFUSED_PROVISIONAL, *REOPENABLE}:
            raise Refused(f"order {order.client_order_id} is {order.status}: there is nothing to resolve")
        holder = self._store.order_by_venue_id(venue_order_id)
        if holder is not None:
            raise Refused(f"venue order {venue_order_id} already belongs to {holder.client_order_id}")
        shown = self._exchange.order(venue_order_id)
        if shown is None:
            raise Refused(f"the venue knows no order {venue_order_id}")
        told = (shown.symbol, shown.side, shown.price, shown.quantity)
        if told != (order.symbol, order.side, order.price, order.quantity):
            raise Refused(
                f"venue order {venue_order_id} is a {shown.side} of {money.plain(shown.quantity)} {shown.symbol} at "
                f"{money.plain(shown.price)}, and {order.client_order_id} is not"
            )
        if shown.client_order_id not in (None, order.client_order_id):
            raise Refused(f"venue order {venue_order_id} carries another client order id: {shown.client_order_id}")
        return booking.adopted(order, venue_order_id, now_ms)

    def _demand_not_shown(self, order: Order) -> None:
        """What the venue works is neither closed nor absent, whoever says so. A venue that is down shows nothing."""
        try:
            working = self._exchange.open_orders(order.symbol)
        except VenueUnavailable:
            return
        for shown in working:
            if order.client_order_id == shown.client_order_id or order.venue_order_id == shown.venue_order_id:
                raise Refused(
                    f"the venue works it as {shown.venue_order_id}; «btcbot orders cancel {order.client_order_id}»"
                )

    def disown(self, arguments: Mapping[str, str]) -> str:
        """`venue_order_id`, `reason`: treat a venue order as foreign although it carries our client id.

        For the case that must never be: one request of ours stands at the venue twice. Its trades are then booked like
        any foreign trade, and the other order keeps the id.
        """
        venue_order_id = arguments["venue_order_id"]
        shown = self._exchange.order(venue_order_id)
        if shown is None or not is_ours(shown.client_order_id):
            raise Refused(f"the venue shows no order {venue_order_id} with an id of ours; there is nothing to disown")
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
        for asset, amount in amounts.items():
            if (amount < 0) is not EXPLAINS_GAIN[meaning]:
                way = "has more than the books say" if amount < 0 else "has less than the books say"
                raise Refused(f"the account {way} in {asset}; that is no {meaning}")
        explanation = Explanation(entry_id=f"explanation:{entry_id}", meaning=meaning, reason=reason)
        booked = booking.book_explanation(entry, explanation, self._clock.now_ms())
        stood_for = self._listed_as(meaning, amounts)
        with self._store.transaction() as tx:
            if not tx.insert_entry(booked):
                raise Refused(f"entry {entry_id} has been explained before")
            after = {asset: left.get(asset, money.ZERO) + booked.moved(Account.SUSPENSE, asset) for asset in left}
            state, _ = self._store.trading_state()
            if state is TradingState.FROZEN and not any(after.values()):
                set_trading_state(tx, TradingState.ACTIVE, f"suspense explained: {reason}")
            for transfer in stood_for:
                tx.put_value(values.explained_transfer(transfer.transfer_id), entry_id)
        return f"booked {entry_id} as {meaning}"

    def _listed_as(self, meaning: str, amounts: Mapping[str, Decimal]) -> Sequence[Transfer]:
        """Transfers of the venue's list that are what was just explained: they must not explain anything else later."""
        if meaning == "fee":
            return []
        try:
            listed = self._exchange.transfers(self._clock.now_ms() - EXPLAINED_LOOKBACK_MS)
        except VenueUnavailable:
            return []
        return [
            transfer
            for transfer in listed
            if not self._store.has_entry(f"transfer:{transfer.transfer_id}")
            and -amounts.get(transfer.asset, money.ZERO) in (transfer.amount, transfer.amount - transfer.fee)
        ][:1]

    def adopt(self, arguments: Mapping[str, str]) -> str:
        """`symbol`, `quantity`, `cost`: hand the bot's position what lies in the account and no position owns."""
        symbol, quantity, cost = arguments["symbol"], Decimal(arguments["quantity"]), Decimal(arguments["cost"])
        instrument = self._exchange.instruments().get(symbol)
        if instrument is None:
            raise Refused(f"the venue lists no {symbol}")
        if instrument.quote != self._quote_asset:
            # Its cost would be added to amounts in another money, and its coins could be adopted a second time.
            raise Refused(
                f"{symbol} is priced in {instrument.quote}; results and limits are in {self._quote_asset}, so only a "
                f"pair priced in {self._quote_asset} can be adopted"
            )
        position = self._store.positions().get(symbol) or Position(symbol=symbol)
        entry_id = f"adoption:{symbol}:{arguments['request_id']}"
        if self._store.has_entry(entry_id):
            return _told(position)
        self._demand_lot(instrument, quantity)
        if not cost.is_finite() or not 0 <= cost < money.MAGNITUDE_MAX or cost != money.round_down(cost, COST_DECIMALS):
            raise Refused(f"the cost must be zero or more, with at most {COST_DECIMALS} decimals")
        idle = self._store.account_balances(Account.VENUE).get(instrument.base, money.ZERO) - position.quantity
        if quantity > idle:
            raise Refused(
                f"{money.plain(max(idle, money.ZERO))} {instrument.base} lie in the account that no position owns; "
                f"{money.plain(quantity)} cannot be adopted"
            )
        now_ms = self._clock.now_ms()
        entry, after = booking.book_adoption(entry_id, position, symbol, instrument.base, quantity, cost, now_ms)
        quote = self._exchange.quotes([symbol]).get(symbol)
        return self._put_position(entry, after, position, None if quote is None else quote.bid)

    def release(self, arguments: Mapping[str, str]) -> str:
        """`symbol`, `quantity`, `reason`: take from the position what a human has sold, moved or wants to keep."""
        symbol, quantity = arguments["symbol"], Decimal(arguments["quantity"])
        position = self._store.positions().get(symbol) or Position(symbol=symbol)
        entry_id = f"release:{symbol}:{arguments['request_id']}"
        if self._store.has_entry(entry_id):
            return _told(position)
        # A pair that the venue has taken from its list is what has to be released most of all: as a whole, for nobody
        # tells its lot any more. The asset is what stands before that of the price.
        instrument = self._exchange.instruments().get(symbol)
        if instrument is None and (not position.quantity or not symbol.endswith(self._quote_asset)):
            raise Refused(f"the venue lists no {symbol}")
        base = symbol.removesuffix(self._quote_asset) if instrument is None else instrument.base
        if quantity != position.quantity:
            if instrument is None:
                whole = money.plain(position.quantity)
                raise Refused(f"the venue lists no {symbol}: its position can be released as a whole, which is {whole}")
            self._demand_lot(instrument, quantity)
        if not 0 < quantity <= position.quantity:
            raise Refused(f"the position of {symbol} is {money.plain(position.quantity)}")
        now_ms = self._clock.now_ms()
        entry, after = booking.book_release(entry_id, position, base, quantity, arguments["reason"], now_ms)
        return self._put_position(entry, after, position, self._last_bid(symbol))

    def _last_bid(self, symbol: str) -> Decimal | None:
        """The bid now; of a pair that shows none, the last one, by which results have counted it until now."""
        try:
            quote = self._exchange.quotes([symbol]).get(symbol)
        except VenueUnavailable:
            quote = None
        return self._accounting.last_price(symbol) if quote is None else quote.bid

    def _put_position(self, entry: Entry, after: Position, before: Position, bid: Decimal | None) -> str:
        """Write both, and keep the unrealised result that came or went by hand out of the day's result.

        The price is kept as well: no cycle may ever see one of a pair outside SYMBOLS, and while what is held has none,
        the loss of the day is unknown and nothing may be bought.
        """
        symbol = after.symbol
        if bid is None:
            raise Refused(f"{symbol} has no quote now, so the position cannot be valued; ask again when it has one")
        start = named_values.amount(self._store, values.PNL_DAY_START)
        shift = after.unrealized_pnl(bid) - before.unrealized_pnl(bid)
        self._accounting.saw_price(symbol, bid)
        with self._store.transaction() as tx:
            if not tx.insert_entry(entry):
                raise Refused("the same request was booked before")
            tx.put_position(after)
            tx.put_value(values.MARKS, self._accounting.marks_text())
            if start is not None:
                tx.put_value(values.PNL_DAY_START, money.plain(start + shift))
        return _told(after)

    def _demand_lot(self, instrument: Instrument, quantity: Decimal) -> None:
        if not quantity.is_finite() or quantity <= 0 or not instrument.is_on_lot(quantity):
            raise Refused(f"the quantity must be above zero, in steps of {money.plain(instrument.lot)}")

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

    def freeze_clear(self, arguments: Mapping[str, str]) -> str:
        """`orders` (keys with commas): a human has looked at these and none of them is to freeze again."""
        return freeze_record.clear(self._store, self._clock.now_ms(), arguments["orders"])

    def degrade_clear(self, arguments: Mapping[str, str]) -> str:
        """`reason`: back to level 0."""
        return degrade_record.clear(self._store, self._clock.now_ms(), arguments["reason"])

    def degrade_override(self, arguments: Mapping[str, str]) -> str:
        """`mode`, `seconds`, `reason`: a human's level in place of the anomalies'."""
        mode, seconds, reason = arguments["mode"], arguments["seconds"], arguments["reason"]
        return degrade_record.override(self._store, self._clock.now_ms(), mode, seconds, reason)

    def budget_reset(self, arguments: Mapping[str, str]) -> str:
        """`reason`: drawdown is measured from the profit of now on."""
        return budget_record.reset(self._store, self._clock.now_ms(), arguments["reason"])

    def replacements_clear(self, arguments: Mapping[str, str]) -> str:
        """`shown` (SHA-256 of what the human saw), `reason`: put aside a list of replacements that cannot be read."""
        now_ms = self._clock.now_ms()
        return replacement_record.clear(self._store, now_ms, arguments["shown"], arguments["reason"])


def _told(position: Position) -> str:
    return f"position of {position.symbol}: {money.plain(position.quantity)} at {money.plain(position.average_cost)}"


def _suspense_of(entry: Entry) -> Mapping[str, Decimal]:
    return {posting.asset: posting.amount for posting in entry.postings if posting.account is Account.SUSPENSE}
