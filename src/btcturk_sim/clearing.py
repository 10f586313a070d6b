"""What orders do to money: the funds they lock, and what each match moves between balances, fees and taxes.

An order locks its worth plus commission at the taker rate; what it does not match on arrival rests at the maker rate,
and the difference is free again. All money moves through `Books`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from btcturk_sim.accounts import Account
from btcturk_sim.errors import ConservationError
from btcturk_sim.events import OrderClosed, OrderDeleted, OrderMatched, TradePrinted
from btcturk_sim.fees import COMMISSION_DECIMALS
from btcturk_sim.floor import Floor
from btcturk_sim.instruments import Instrument
from btcturk_sim.money import ONE, WIRE_DECIMALS, ZERO, divide_down, plain, round_up
from btcturk_sim.orders import (
    BALANCE_NOT_ENOUGH,
    FAILED_ORDER_WITH_OPEN_ORDERS,
    Fill,
    Method,
    Order,
    OrderRequest,
    Refusal,
    Side,
    Status,
)
from btcturk_sim.pair import Pair, PublicTrade

_FIRST_TRADE_ID: Final = 1_181_163_798_924_649_598  # 19 digits: beyond what a float can tell apart
_FIRST_PUBLIC_ID: Final = 101_963_779_399_182_808
# Half-up rounding of fee and tax can exceed the hold by this much per fill and no more.
_ROUNDING_SLACK: Final = Decimal("0.00000002")


class Clearing:
    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._books = floor.books
        self._next_trade_id = _FIRST_TRADE_ID
        #: The number that the next public trade will get.
        self.next_public_id = _FIRST_PUBLIC_ID

    # --- funds ------------------------------------------------------------------------------------------------

    def need(self, request: OrderRequest) -> tuple[str, Decimal]:
        """What the order must lock: its worth and the taker's commission for buys, its quantity for sells."""
        instrument = request.instrument
        if request.side is Side.SELL:
            return instrument.base, request.quantity
        if request.method.has_price:
            return instrument.quote, self.hold_for(instrument, request.price or ZERO, request.quantity, maker=False)
        if self._is_in_base(request):
            return instrument.quote, self.hold_for(
                instrument, request.stop_price or ZERO, request.quantity, maker=False
            )
        return instrument.quote, request.quantity

    def need_of(self, stop: Order) -> Decimal:
        """What a stop order that has locked nothing must lock to go on."""
        if stop.side is Side.SELL:
            return stop.left
        if stop.budget is not None:
            return self.hold_for(stop.instrument, stop.budget, ONE, maker=False)
        return self.hold_for(stop.instrument, stop.price, stop.left, maker=False)

    def budget(self, request: OrderRequest) -> Decimal | None:
        """The quote currency that a market buy has to spend, commission apart; None for all other orders."""
        if request.side is not Side.BUY or request.method.has_price:
            return None
        if self._is_in_base(request):
            return request.quantity * (request.stop_price or ZERO)
        rate = self._floor.fees_of(request.instrument).taker
        return divide_down(request.quantity, ONE + rate.hold_rate, WIRE_DECIMALS)

    def _is_in_base(self, request: OrderRequest) -> bool:
        return request.method is Method.STOP_MARKET and self._floor.options.stop_market_buy == "base"

    def hold_for(self, instrument: Instrument, price: Decimal, quantity: Decimal, *, maker: bool) -> Decimal:
        schedule = self._floor.fees_of(instrument)
        rate = schedule.maker if maker else schedule.taker
        return round_up(price * quantity * (ONE + rate.hold_rate), WIRE_DECIMALS)

    def refusal(self, account: Account, asset: str, need: Decimal, now_ms: int) -> Refusal | None:
        """Why the account cannot lock so much; None if it can."""
        held = account.balance(asset)
        if held.total < need:
            return BALANCE_NOT_ENOUGH
        usable = held.free
        just_filled_ms = self._floor.options.just_filled_ms
        if just_filled_ms:
            while account.just_filled and account.just_filled[0][0] + just_filled_ms <= now_ms:
                account.just_filled.popleft()
            usable -= sum((amount for _, what, amount in account.just_filled if what == asset), ZERO)
        return FAILED_ORDER_WITH_OPEN_ORDERS if usable < need else None

    def lock(self, order: Order, hold: Decimal, now_ms: int) -> None:
        """Lock the funds of a new order."""
        order.hold = hold
        self._books.post(order.account, order.hold_asset, -hold, hold, now_ms)

    def set_hold(self, order: Order, hold: Decimal, now_ms: int) -> None:
        released = order.hold - hold
        if released:
            order.hold = hold
            self._books.post(order.account, order.hold_asset, released, -released, now_ms)

    # --- matches ----------------------------------------------------------------------------------------------

    def fill(
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
        schedule = self._floor.fees_of(instrument)
        gross = quantity * price
        commission = (schedule.maker if maker else schedule.taker).commission(gross)
        fee, tax = commission.fee, commission.tax
        order.filled += quantity
        if order.budget is None:
            order.left -= quantity
        else:
            order.budget -= gross
            order.left = max(ZERO, order.left - quantity)
        books = self._books
        if order.side is Side.BUY:
            if order.budget is None:
                hold = self.hold_for(instrument, order.price, order.left, maker=order.resting)
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
            books.post(account, quote, released - gross - fee - tax, -released, now_ms)
            books.post(account, base, quantity, ZERO, now_ms)
            books.post_counterparty(base, -quantity)
            books.post_counterparty(quote, gross)
            gained, amount = base, quantity
        else:
            order.hold -= quantity
            books.post(account, base, ZERO, -quantity, now_ms)
            books.post(account, quote, gross - fee - tax, ZERO, now_ms)
            books.post_counterparty(base, quantity)
            books.post_counterparty(quote, -gross)
            gained, amount = quote, gross - fee - tax
        books.post_commission(quote, fee, tax)
        if self._floor.options.just_filled_ms:
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
        self._floor.tell(OrderMatched(account, order, fill))
        if order.status is Status.CLOSED:
            self._floor.tell(OrderClosed(order, now_ms))

    def end(self, order: Order, status: Status, now_ms: int) -> None:
        """Close the order's life: out of the book, out of the open orders, its hold free again."""
        pair = self._floor.pairs[order.instrument.symbol]
        if order.resting:
            pair.clients.remove(order)
            order.resting = False
        elif order.method.is_stop and order in pair.stops:
            pair.stops.remove(order)
        self.set_hold(order, ZERO, now_ms)
        if status is Status.CLOSED:
            order.left = ZERO
        order.changed(now_ms, status)
        order.account.remember_ended(order)
        if status is Status.CANCELED:
            self._floor.tell(OrderDeleted(order, now_ms))

    def print_trade(self, pair: Pair, price: Decimal, quantity: Decimal, taker: Side, now_ms: int) -> None:
        """Show a trade to the public."""
        pair.last = price
        trade = PublicTrade(self.next_public_id, now_ms, price, quantity, taker)
        self.next_public_id += 1
        pair.trades.append(trade)
        if self._floor.listeners:
            self._floor.tell(TradePrinted(pair.instrument.symbol, trade))
