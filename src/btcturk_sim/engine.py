"""The exchange itself: accepts orders, matches them, moves money, and knows no socket, clock or chance.

Every call is given the time. Whatever was due before that time (steps of the market, cancels taking effect)
happens first and in order, so a run depends on what was asked when, never on how often. All money moves through
`Books`, which asserts after each operation that nothing was made or lost.

Funds: an order locks its worth plus commission at the taker rate; what it does not match on arrival rests at the
maker rate, and the difference is free again. A cancel is only a request: it takes effect `cancel_lag_ms` later,
and the order may fill in between. A trade appears in the account's list `transactions_lag_ms` after it happened.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from decimal import Decimal
from random import Random
from typing import Final

import msgspec

from btcturk_sim.accounts import Account, Transfer
from btcturk_sim.clearing import Clearing
from btcturk_sim.errors import ConservationError
from btcturk_sim.events import BookChanged, Event, FundsMoved, MarketStepped, OrderInserted
from btcturk_sim.fees import FeeSchedule
from btcturk_sim.floor import Floor
from btcturk_sim.instruments import Instrument, normalize_symbol
from btcturk_sim.market import Market, StepPrice
from btcturk_sim.matching import Matching
from btcturk_sim.money import ONE, WIRE_DECIMALS, ZERO, decimals_of, divide_half_up, exact, plain
from btcturk_sim.options import EngineOptions as EngineOptions
from btcturk_sim.orders import (
    CLIENT_ID_NOT_UNIQUE,
    FAILED_LIMIT_ORDER,
    FAILED_MARKET_ORDER,
    NO_ORDER_MATCHES_YOUR_REQUEST,
    ORDER_CANCEL_BLOCKED,
    ORDER_COULD_NOT_BE_CANCELED,
    Method,
    Order,
    OrderRequest,
    Refusal,
    Status,
)
from btcturk_sim.pair import Pair
from btcturk_sim.rules import CLIENT_ID_LENGTH_MAX, objection
from btcturk_sim.stops import Stops

_FIRST_ORDER_ID: Final = 21_770_789_256
_FIRST_TRANSFER_ID: Final = 34_086_674


class Engine:
    def __init__(
        self,
        *,
        accounts: Iterable[Account],
        market: Market,
        now_ms: int,
        seed: int = 1,
        options: EngineOptions | None = None,
    ) -> None:
        self.market = market
        self.now_ms = now_ms
        self.broken: str | None = None
        #: Told of each moment before what happens in it, so that a feed can show the state just before.
        self.passing: Callable[[int], None] | None = None
        self._random = Random(f"engine-{seed}")  # noqa: S311 (a market is not a secret)
        self._next_order_id = _FIRST_ORDER_ID + self._random.randrange(10**6)
        self._next_transfer_id = _FIRST_TRANSFER_ID
        #: (due time, order id, order): cancels asked for and not yet in effect.
        self._cancels: list[tuple[int, int, Order]] = []
        self._floor = Floor(accounts, market, now_ms, seed, options or EngineOptions())
        self.listeners = self._floor.listeners
        self.pairs = self._floor.pairs
        self.books = self._floor.books
        #: The rules of every listed pair, as new orders are judged by.
        self.instruments = self._floor.instruments
        self._clearing = Clearing(self._floor)
        self._matching = Matching(self._floor, self._clearing)
        self._stops = Stops(self._floor, self._clearing, self._matching, self._carry_on)
        self.advance(now_ms)

    @property
    def options(self) -> EngineOptions:
        """How the exchange behaves; may be replaced at any time, but the book's form and commissions stay."""
        return self._floor.options

    @options.setter
    def options(self, options: EngineOptions) -> None:
        self._floor.options = options

    def known(self, symbol: str) -> Pair | None:
        """The pair of this name, however it is written, if it is listed."""
        pair = self.pairs.get(normalize_symbol(symbol))
        return None if pair is None or pair.delisted else pair

    # --- time -------------------------------------------------------------------------------------------------

    @exact
    def advance(self, now_ms: int) -> None:
        """Let everything happen that is due by `now_ms`, in the order of its time."""
        while True:
            step_ms = self.market.next_step_ms()
            cancel_ms = self._cancels[0][0] if self._cancels else None
            if cancel_ms is not None and cancel_ms <= now_ms and (step_ms is None or cancel_ms <= step_ms):
                self._pass(cancel_ms)
                order = heapq.heappop(self._cancels)[2]
                if order.status.is_open:
                    self._clearing.end(order, Status.CANCELED, cancel_ms)
                    self.settle()
            elif step_ms is not None and step_ms <= now_ms:
                self._pass(step_ms)
                self._take_step(step_ms)
            else:
                break
        self._pass(now_ms)
        self.now_ms = max(self.now_ms, now_ms)

    def next_due_ms(self) -> int | None:
        """When the next thing happens by itself: a step of the market, or a cancel taking effect."""
        step_ms = self.market.next_step_ms()
        if not self._cancels:
            return step_ms
        cancel_ms = self._cancels[0][0]
        return cancel_ms if step_ms is None else min(step_ms, cancel_ms)

    def _pass(self, time_ms: int) -> None:
        if self.passing is not None:
            self.passing(time_ms)

    def _take_step(self, time_ms: int) -> None:
        prices = self.market.step()
        for symbol, step in prices.items():
            self._move(self.pairs[symbol], step, time_ms)
        self.settle()
        if self.listeners:
            seen = {symbol: pair.price for symbol, pair in self.pairs.items()}
            self.tell(MarketStepped(time_ms, self.market.bar_index, self.market.step_in_bar,
                                     self.market.market_time_ms, seen))  # fmt: skip

    def _move(self, pair: Pair, step: StepPrice, time_ms: int) -> None:
        if pair.rules_changed:
            step = pair.fitted(step)
        taker = pair.move(step, time_ms)
        if step.flow and pair.price_override is None:
            self._clearing.print_trade(pair, pair.price, step.flow, taker, time_ms)
        if pair.is_trading:
            if len(pair.clients):
                self._matching.trade_through(pair, step.flow, time_ms)
                self._matching.uncross(pair, time_ms)
            if pair.stops:
                self._stops.trigger(pair, time_ms)

    # --- what accounts do -------------------------------------------------------------------------------------

    @exact
    def submit(
        self,
        account: Account,
        request: OrderRequest,
        now_ms: int,
        *,
        wire_id: int | None = None,
        cancel_after_ms: int | None = None,
    ) -> Order | Refusal:
        """Accept the order and match it, or say which rule it breaks.

        `wire_id` shows the order under an id that was used before. With `cancel_after_ms` the exchange accepts the
        order but never lets it into the book, and cancels it that much later.
        """
        self.advance(now_ms)
        pair = self.pairs[request.instrument.symbol]
        request = self._trimmed(request)
        refusal = objection(request, pair, self.options) or self._account_objection(account, request)
        budget = self._clearing.budget(request)
        if refusal is None and request.method is Method.MARKET and self.options.market_remainder == "refused":
            refusal = None if self._matching.has_room_for(pair, request, budget) else FAILED_MARKET_ORDER
        need_asset, need = self._clearing.need(request)
        refusal = refusal or self._clearing.refusal(account, need_asset, need, now_ms)
        if refusal is not None:
            return refusal
        locks = not request.method.is_stop or self.options.stop_funds == "locked"
        left = request.quantity if budget is None else self._in_base(pair, request, budget)
        order = self._accept(account, request, need if locks else ZERO, now_ms, wire_id, budget, left)
        if cancel_after_ms is not None:
            heapq.heappush(self._cancels, (now_ms + cancel_after_ms, order.id, order))
            self.advance(now_ms)
        elif request.method.is_stop:
            pair.stops.append(order)
        else:
            self._matching.execute(pair, order, now_ms)
        self.settle()
        return order

    @exact
    def cancel(self, account: Account, order_id: int, now_ms: int) -> Refusal | None:
        """Ask for a cancel; None means the request was taken, not that the order is gone."""
        self.advance(now_ms)
        order = account.orders.get(order_id)
        if order is None:
            return NO_ORDER_MATCHES_YOUR_REQUEST
        if order.status is Status.CANCELED or (order.cancel_at_ms is not None and order.status.is_open):
            return None
        if not order.status.is_open or order.method is Method.MARKET:
            return ORDER_COULD_NOT_BE_CANCELED
        if self.pairs[order.instrument.symbol].halted:
            return ORDER_CANCEL_BLOCKED
        order.cancel_at_ms = now_ms + self.options.cancel_lag_ms
        heapq.heappush(self._cancels, (order.cancel_at_ms, order.id, order))
        self.advance(now_ms)
        return None

    @exact
    def transfer(self, account: Account, asset: str, amount: Decimal, fee: Decimal, now_ms: int) -> Transfer:
        """Deposit (amount above zero) or withdraw (below); ValueError says why not."""
        self.advance(now_ms)
        if amount == 0 or fee < 0:
            raise ValueError("amount must not be zero and fee not negative")
        if max(decimals_of(amount), decimals_of(fee)) > WIRE_DECIMALS:
            raise ValueError(f"amounts carry at most {WIRE_DECIMALS} decimals")
        change = amount - fee
        if account.balance(asset).free + change < 0:
            raise ValueError(f"only {plain(account.balance(asset).free)} {asset} is free")
        transfer = Transfer(self._next_transfer_id, asset, amount, fee, now_ms)
        self._next_transfer_id += 1
        account.transfers.append(transfer)
        self.books.post(account, asset, change, ZERO, now_ms)
        self.books.post_outside(asset, change)
        self.settle()
        self.tell(FundsMoved(account, asset, now_ms))
        return transfer

    @exact
    def override_price(self, symbol: str, price: Decimal | None, now_ms: int) -> None:
        """Hold one pair's price at `price`, at once and until None is given."""
        self.advance(now_ms)
        pair = self.pairs[symbol]
        pair.price_override = price
        if price is not None:
            pair.refresh(price)
            if pair.is_trading:
                self._matching.uncross(pair, now_ms)
                self._stops.trigger(pair, now_ms)
            self.settle()
            self.tell(BookChanged(symbol, now_ms))

    @exact
    def settle_everything(self, now_ms: int) -> None:
        """Let pending cancels take effect now."""
        self.advance(now_ms)
        for due_ms, _, order in sorted(self._cancels, key=lambda entry: entry[:2]):
            if order.status.is_open:
                self._clearing.end(order, Status.CANCELED, min(due_ms, now_ms))
        self._cancels.clear()
        self.settle()

    # --- acceptance -------------------------------------------------------------------------------------------

    def _trimmed(self, request: OrderRequest) -> OrderRequest:
        name = request.client_id
        if name is None or len(name) <= CLIENT_ID_LENGTH_MAX or self.options.long_client_ids == "refused":
            return request
        return msgspec.structs.replace(request, client_id=name[:CLIENT_ID_LENGTH_MAX])

    def _account_objection(self, account: Account, request: OrderRequest) -> Refusal | None:
        if self.options.unique_client_ids and request.client_id in account.client_ids:
            return CLIENT_ID_NOT_UNIQUE
        if 0 < self.options.max_open_orders <= len(account.open_orders):
            return FAILED_LIMIT_ORDER if request.method.has_price else FAILED_MARKET_ORDER
        return None

    @staticmethod
    def _in_base(pair: Pair, request: OrderRequest, budget: Decimal) -> Decimal:
        """What a budget will roughly buy: nobody knows better until it is spent."""
        return divide_half_up(budget, request.stop_price or pair.best_ask() or ONE, WIRE_DECIMALS)

    def _carry_on(self, request: OrderRequest, stop: Order, hold: Decimal, now_ms: int) -> Order:
        """The order that follows a stop which has gone off."""
        return self._accept(stop.account, request, hold, now_ms, None, stop.budget, stop.left)

    def _accept(
        self,
        account: Account,
        request: OrderRequest,
        hold: Decimal,
        now_ms: int,
        wire_id: int | None,
        budget: Decimal | None,
        left: Decimal,
    ) -> Order:
        order = Order(
            id=self._next_order_id,
            account=account,
            instrument=request.instrument,
            side=request.side,
            method=request.method,
            price=request.price or ZERO if request.method.has_price else ZERO,
            stop_price=request.stop_price,
            quantity=request.quantity,
            client_id=request.client_id or self._guid(),
            created_ms=now_ms,
            updated_ms=now_ms,
            left=left,
            budget=budget,
            wire_id=wire_id or self._next_order_id,
        )
        self._next_order_id += 1
        if wire_id is not None:
            account.reused[wire_id] = order
        order.changed(now_ms, Status.UNTOUCHED)
        account.orders[order.id] = account.open_orders[order.id] = order
        if self.options.unique_client_ids:
            account.client_ids.add(order.client_id)
        self._clearing.lock(order, hold, now_ms)
        self.tell(OrderInserted(order, now_ms))
        return order

    def _guid(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    # --- books ------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        try:
            self.books.settle_step()
        except ConservationError as error:
            self.broken = str(error)
            raise

    @exact
    def audit(self) -> None:
        """Recompute all books from first facts; raises and remembers any difference."""
        try:
            self.books.audit()
        except ConservationError as error:
            self.broken = str(error)
            raise

    def fill(
        self, order: Order, quantity: Decimal, price: Decimal, *, maker: bool, now_ms: int, match_id: int | None
    ) -> None:
        """Book a match of one order that the market did not make by itself; call `settle` when all is done."""
        self._clearing.fill(order, quantity, price, maker=maker, now_ms=now_ms, match_id=match_id)

    def end(self, order: Order, status: Status, now_ms: int) -> None:
        """Close an order's life at once, whoever wants it."""
        self._clearing.end(order, status, now_ms)

    def hold_for(self, instrument: Instrument, price: Decimal, quantity: Decimal, *, maker: bool) -> Decimal:
        """What a buy of so much locks."""
        return self._clearing.hold_for(instrument, price, quantity, maker=maker)

    def fees_of(self, instrument: Instrument) -> FeeSchedule:
        """Maker's and taker's commission on this pair."""
        return self._floor.fees_of(instrument)

    def tell(self, event: Event) -> None:
        self._floor.tell(event)
