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
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Final

from btcturk_sim.accounts import Account, Books, Transfer
from btcturk_sim.book import BookOptions, Level, noise_table
from btcturk_sim.errors import ConservationError
from btcturk_sim.events import (
    Event,
    Listener,
    MarketStepped,
    OrderDeleted,
    OrderInserted,
    OrderMatched,
    TradePrinted,
)
from btcturk_sim.fees import COMMISSION_DECIMALS, FeeSchedule, schedule_for
from btcturk_sim.instruments import normalize_symbol
from btcturk_sim.market import Market, StepPrice
from btcturk_sim.money import (
    ONE,
    WIRE_DECIMALS,
    ZERO,
    decimals_of,
    divide_down,
    exact,
    plain,
    round_down,
    round_up,
)
from btcturk_sim.orders import (
    BALANCE_NOT_ENOUGH,
    CLIENT_ID_NOT_UNIQUE,
    FAILED_ORDER_WITH_OPEN_ORDERS,
    NO_ORDER_MATCHES_YOUR_REQUEST,
    ORDER_CANCEL_BLOCKED,
    ORDER_COULD_NOT_BE_CANCELED,
    Fill,
    Method,
    Order,
    OrderRequest,
    Refusal,
    Side,
    Status,
)
from btcturk_sim.pair import Pair, PublicTrade
from btcturk_sim.rules import objection

_FIRST_ORDER_ID: Final = 21_770_789_256
_FIRST_TRADE_ID: Final = 1_181_163_798_924_649_598  # 19 digits: beyond what a float can tell apart
_FIRST_PUBLIC_ID: Final = 101_963_779_399_182_808
_FIRST_TRANSFER_ID: Final = 34_086_674
_COLLAR_UP: Final = Decimal("1.05")
_COLLAR_DOWN: Final = Decimal("0.95")
# At a touched, not crossed, price a resting order stands in a queue with others: it gets a quarter of the flow.
_TOUCH_SHARE: Final = Decimal(4)
# Without a USDTTRY price on this market, depth given in TRY is converted at this one.
_USDT_IN_TRY: Final = Decimal(40)
# Half-up rounding of fee and tax can exceed the hold by this much per fill and no more.
_ROUNDING_SLACK: Final = Decimal("0.00000002")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    cancel_lag_ms: int = 50
    transactions_lag_ms: int = 150
    #: Money from a fill cannot be spent for this long (1122); 0 switches the rule off.
    just_filled_ms: int = 0
    unique_client_ids: bool = False
    book: BookOptions = field(default_factory=BookOptions)
    fees: dict[str, FeeSchedule] | None = None


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
        self.options = options or EngineOptions()
        self.market = market
        self.now_ms = now_ms
        self.broken: str | None = None
        self.listeners: list[Listener] = []
        self._random = Random(f"engine-{seed}")  # noqa: S311 (a market is not a secret)
        self._next_order_id = _FIRST_ORDER_ID + self._random.randrange(10**6)
        self._next_trade_id = _FIRST_TRADE_ID
        self._next_public_id = _FIRST_PUBLIC_ID
        self._next_transfer_id = _FIRST_TRANSFER_ID
        #: (due time, order id, order): cancels asked for and not yet in effect.
        self._cancels: list[tuple[int, int, Order]] = []
        source = market.source
        #: The rules of every listed pair, as new orders are judged by.
        self.instruments = {one.symbol: one for one in source.instruments}
        noise = noise_table(seed)
        self.pairs = {
            one.symbol: Pair(one, source.opening_price(one.symbol), options=self.options.book, noise=noise,
                             salt=ordinal * 131, interval_ms=source.interval_ms)
            for ordinal, one in enumerate(source.instruments)
        }  # fmt: skip
        self._fees = {one.quote: self._schedule(one.quote) for one in source.instruments}
        self._set_depths()
        self.books = Books(accounts)
        for account in self.books.accounts.values():
            self._open_account(account)
        self.advance(now_ms)

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
                order = heapq.heappop(self._cancels)[2]
                if order.status.is_open:
                    self.end(order, Status.CANCELED, cancel_ms)
                    self.settle()
            elif step_ms is not None and step_ms <= now_ms:
                self._take_step(step_ms)
            else:
                break
        self.now_ms = max(self.now_ms, now_ms)

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
            self._print(pair, pair.price, step.flow, taker, time_ms)
        if pair.is_trading:
            if len(pair.clients):
                self._trade_through(pair, step.flow, time_ms)
                self._uncross(pair, time_ms)
            if pair.stops:
                self._trigger_stops(pair, time_ms)

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
        refusal = objection(request, pair)
        if refusal is None and self.options.unique_client_ids and request.client_id in account.client_ids:
            refusal = CLIENT_ID_NOT_UNIQUE
        need_asset, need = self._need(request)
        refusal = refusal or self._funds_refusal(account, need_asset, need, now_ms)
        if refusal is not None:
            return refusal
        order = self._accept(account, request, need, now_ms, wire_id)
        if cancel_after_ms is not None:
            heapq.heappush(self._cancels, (now_ms + cancel_after_ms, order.id, order))
            self.advance(now_ms)
        elif request.method.is_stop:
            pair.stops.append(order)
        else:
            self._execute(pair, order, now_ms)
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
                self._uncross(pair, now_ms)
                self._trigger_stops(pair, now_ms)
            self.settle()

    @exact
    def settle_everything(self, now_ms: int) -> None:
        """Let pending cancels take effect now."""
        self.advance(now_ms)
        for due_ms, _, order in sorted(self._cancels, key=lambda entry: entry[:2]):
            if order.status.is_open:
                self.end(order, Status.CANCELED, min(due_ms, now_ms))
        self._cancels.clear()
        self.settle()

    # --- acceptance -------------------------------------------------------------------------------------------

    def _need(self, request: OrderRequest) -> tuple[str, Decimal]:
        """What the order must lock: its worth and the taker's commission for buys, its quantity for sells."""
        instrument = request.instrument
        if request.side is Side.SELL:
            return instrument.base, request.quantity
        if not request.method.has_price:
            return instrument.quote, request.quantity
        return instrument.quote, self.hold_for(instrument.quote, request.price or ZERO, request.quantity, maker=False)

    def hold_for(self, quote: str, price: Decimal, quantity: Decimal, *, maker: bool) -> Decimal:
        schedule = self._fees[quote]
        rate = schedule.maker if maker else schedule.taker
        return round_up(price * quantity * (ONE + rate.hold_rate), WIRE_DECIMALS)

    def _funds_refusal(self, account: Account, asset: str, need: Decimal, now_ms: int) -> Refusal | None:
        held = account.balance(asset)
        if held.total < need:
            return BALANCE_NOT_ENOUGH
        usable = held.free
        if self.options.just_filled_ms:
            while account.just_filled and account.just_filled[0][0] + self.options.just_filled_ms <= now_ms:
                account.just_filled.popleft()
            usable -= sum((amount for _, what, amount in account.just_filled if what == asset), ZERO)
        return FAILED_ORDER_WITH_OPEN_ORDERS if usable < need else None

    def _accept(
        self, account: Account, request: OrderRequest, hold: Decimal, now_ms: int, wire_id: int | None = None
    ) -> Order:
        budget = None
        left = request.quantity
        if request.side is Side.BUY and not request.method.has_price:
            rate = self._fees[request.instrument.quote].taker
            budget = divide_down(request.quantity, ONE + rate.hold_rate, WIRE_DECIMALS)
            reference = request.stop_price or self.pairs[request.instrument.symbol].best_ask() or ONE
            left = divide_down(budget, reference, request.instrument.fill_scale)
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
        order.hold = hold
        self.books.post(account, order.hold_asset, -hold, hold, now_ms)
        self.tell(OrderInserted(order, now_ms))
        return order

    def _guid(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    # --- matching ---------------------------------------------------------------------------------------------

    def _execute(self, pair: Pair, order: Order, now_ms: int) -> None:
        """Match on arrival; rest what is left of a limit order, end what is left of a market order."""
        self._match(pair, order, now_ms)
        if not order.status.is_open:
            return
        if order.method is Method.LIMIT:
            if order.side is Side.BUY:
                self._set_hold(
                    order, self.hold_for(order.instrument.quote, order.price, order.left, maker=True), now_ms
                )
            order.resting = True
            pair.clients.add(order)
        else:
            self.end(order, Status.CANCELED, now_ms)

    def _limit_price(self, pair: Pair, order: Order) -> Decimal | None:
        """The worst price the order takes: its own, or for market orders 5 % from the best at submission."""
        if order.method is Method.LIMIT:
            return order.price
        best = pair.best_ask() if order.side is Side.BUY else pair.best_bid()
        return None if best is None else best * (_COLLAR_UP if order.side is Side.BUY else _COLLAR_DOWN)

    def _match(self, pair: Pair, order: Order, now_ms: int) -> None:
        worst = self._limit_price(pair, order)
        buying = order.side is Side.BUY
        against = order.side.opposite
        while order.status.is_open and worst is not None:
            resting = pair.clients.best(against)
            level = pair.book.best(against)
            # At one price the clients' orders come first: they were there before this step's synthetic level.
            if resting is not None and (
                level is None or (resting.price <= level.price if buying else resting.price >= level.price)
            ):
                price = resting.price
            elif level is not None:
                price, resting = level.price, None
            else:
                break
            if price > worst if buying else price < worst:
                break
            if not self._take(pair, order, resting, level, price, now_ms):
                break

    def _take(
        self, pair: Pair, order: Order, resting: Order | None, level: Level | None, price: Decimal, now_ms: int
    ) -> bool:
        """Trade once at `price`; False when the order has come to its end by dust."""
        scale = order.instrument.quantity_scale
        if resting is not None:
            wanted = self._wanted(order, price)
            quantity = min(resting.left, wanted if order.budget is None else round_down(wanted, scale))
        else:
            assert level is not None
            if order.budget is None and decimals_of(level.quantity) > scale:
                # A market buy left a fraction behind; limit orders trade in whole steps.
                level.quantity = round_down(level.quantity, scale)
                if level.quantity == 0:
                    return True
            quantity = min(level.quantity, self._wanted(order, price))
        if quantity <= 0:
            if order.budget is not None:
                self.end(order, Status.CLOSED if order.filled else Status.CANCELED, now_ms)
            return False
        if resting is not None:
            self._fill(resting, quantity, price, maker=True, now_ms=now_ms, match_id=self._next_public_id)
        elif level is not None:
            level.quantity -= quantity
        self._fill(order, quantity, price, maker=False, now_ms=now_ms, match_id=self._next_public_id)
        self._print(pair, price, quantity, order.side, now_ms)
        return True

    @staticmethod
    def _wanted(order: Order, price: Decimal) -> Decimal:
        if order.budget is None:
            return order.left
        return divide_down(order.budget, price, order.instrument.fill_scale)

    def _trade_through(self, pair: Pair, flow: Decimal, now_ms: int) -> None:
        """The bar's trades at this price hit resting orders that are as good or better, as far as volume goes."""
        for side in (Side.BUY, Side.SELL):
            queueing = False
            while flow > 0:
                order = pair.clients.best(side)
                if order is None or (order.price < pair.price if side is Side.BUY else order.price > pair.price):
                    break
                if order.price == pair.price and not queueing:
                    queueing = True
                    flow = divide_down(flow, _TOUCH_SHARE, order.instrument.quantity_scale)
                quantity = min(order.left, flow)
                if quantity <= 0:
                    break
                # The public saw it as a part of the bar's own flow.
                self._fill(order, quantity, order.price, maker=True, now_ms=now_ms, match_id=None)
                flow -= quantity

    def _uncross(self, pair: Pair, now_ms: int) -> None:
        """Where the new synthetic book would cross resting orders, its levels trade with them at their price."""
        for side in (Side.BUY, Side.SELL):
            while (order := pair.clients.best(side)) is not None:
                level = pair.book.best(side.opposite)
                if level is None or (order.price < level.price if side is Side.BUY else order.price > level.price):
                    break
                quantity = min(order.left, round_down(level.quantity, order.instrument.quantity_scale))
                level.quantity -= quantity
                if quantity == 0:
                    level.quantity = ZERO
                    continue
                self._fill(order, quantity, order.price, maker=True, now_ms=now_ms, match_id=self._next_public_id)
                self._print(pair, order.price, quantity, side.opposite, now_ms)

    def _trigger_stops(self, pair: Pair, now_ms: int) -> None:
        """A triggered stop ends as Canceled, and a new order with a new id carries on under its client id."""
        due = [
            order for order in pair.stops
            if order.stop_price is not None
            and (pair.price >= order.stop_price if order.side is Side.BUY else pair.price <= order.stop_price)
        ]  # fmt: skip
        for stop in due:
            hold = stop.hold
            self.end(stop, Status.CANCELED, now_ms)
            request = OrderRequest(
                instrument=stop.instrument, side=stop.side, quantity=stop.quantity,
                method=Method.LIMIT if stop.method is Method.STOP_LIMIT else Method.MARKET,
                price=stop.price or None, stop_price=stop.stop_price, client_id=stop.client_id,
            )  # fmt: skip
            self._execute(pair, self._accept(stop.account, request, hold, now_ms), now_ms)

    # --- consequences -----------------------------------------------------------------------------------------

    def _fill(
        self,
        order: Order,
        quantity: Decimal,
        price: Decimal,
        *,
        maker: bool,
        now_ms: int,
        match_id: int | None,
    ) -> None:
        """Book one match on one order: balances, hold, commission, state, trade list."""
        instrument, account = order.instrument, order.account
        base, quote = instrument.base, instrument.quote
        schedule = self._fees[quote]
        gross = quantity * price
        commission = (schedule.maker if maker else schedule.taker).commission(gross)
        fee, tax = commission.fee, commission.tax
        order.filled += quantity
        if order.budget is None:
            order.left -= quantity
        else:
            order.budget -= gross
            order.left = max(ZERO, order.left - quantity)
        if order.side is Side.BUY:
            if order.budget is None:
                hold = self.hold_for(quote, order.price, order.left, maker=order.resting)
            else:
                hold = max(ZERO, order.hold - gross - fee - tax)
            released = order.hold - hold
            short = gross + fee + tax - released - account.balance(quote).free
            if short > 0:
                # An account emptied to the last digit cannot pay what half-up rounding added: round down for it.
                if short > _ROUNDING_SLACK:
                    raise ConservationError(f"{order!r}: hold falls short by {plain(short)} {quote}")
                short = round_up(short, COMMISSION_DECIMALS)
                from_tax = min(tax, short)
                tax, fee = tax - from_tax, fee - (short - from_tax)
            order.hold = hold
            self.books.post(account, quote, released - gross - fee - tax, -released, now_ms)
            self.books.post(account, base, quantity, ZERO, now_ms)
            self.books.post_counterparty(base, -quantity)
            self.books.post_counterparty(quote, gross)
            gained, amount = base, quantity
        else:
            order.hold -= quantity
            self.books.post(account, base, ZERO, -quantity, now_ms)
            self.books.post(account, quote, gross - fee - tax, ZERO, now_ms)
            self.books.post_counterparty(base, quantity)
            self.books.post_counterparty(quote, -gross)
            gained, amount = quote, gross - fee - tax
        self.books.post_commission(quote, fee, tax)
        if self.options.just_filled_ms:
            account.just_filled.append((now_ms, gained, amount))
        if order.first_fill_price is None:
            order.first_fill_price = price
        fill = Fill(self._next_trade_id, order.wire_id, order.client_id, instrument, order.side, now_ms, quantity,
                    price, fee, tax, maker, match_id, order)  # fmt: skip
        self._next_trade_id += 1
        account.remember_fill(fill)
        if (order.budget is None and order.left == 0) or order.budget == 0:
            self.end(order, Status.CLOSED, now_ms)
        else:
            order.changed(now_ms, Status.PARTIAL)
        self.tell(OrderMatched(account, order, fill))

    def end(self, order: Order, status: Status, now_ms: int) -> None:
        """Close the order's life: out of the book, out of the open orders, its hold free again."""
        pair = self.pairs[order.instrument.symbol]
        if order.resting:
            pair.clients.remove(order)
            order.resting = False
        elif order.method.is_stop and order in pair.stops:
            pair.stops.remove(order)
        self._set_hold(order, ZERO, now_ms)
        if status is Status.CLOSED:
            order.left = ZERO
        order.changed(now_ms, status)
        order.account.remember_ended(order)
        if status is Status.CANCELED:
            self.tell(OrderDeleted(order, now_ms))

    def _set_hold(self, order: Order, hold: Decimal, now_ms: int) -> None:
        released = order.hold - hold
        if released:
            order.hold = hold
            self.books.post(order.account, order.hold_asset, released, -released, now_ms)

    def _print(self, pair: Pair, price: Decimal, quantity: Decimal, taker: Side, now_ms: int) -> None:
        pair.last = price
        trade = PublicTrade(self._next_public_id, now_ms, price, quantity, taker)
        self._next_public_id += 1
        pair.trades.append(trade)
        if self.listeners:
            self.tell(TradePrinted(pair.instrument.symbol, trade))

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

    def _open_account(self, account: Account) -> None:
        for asset, held in account.balances.items():
            account.opening[asset] = held.free
            self.books.outside[asset] = self.books.outside.get(asset, ZERO) + held.free
        for one in self.market.source.instruments:
            account.balance(one.base)
            account.balance(one.quote)

    def _schedule(self, quote: str) -> FeeSchedule:
        given = self.options.fees or {}
        return given.get(quote) or schedule_for(quote)

    def _set_depths(self) -> None:
        usdt = self.pairs.get("USDTTRY")
        rate = usdt.price if usdt else _USDT_IN_TRY
        for pair in self.pairs.values():
            if pair.instrument.quote != "TRY":
                pair.depth_quote = divide_down(pair.depth_quote, rate, 2)

    def tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)
