"""What an account is told of its own orders, trades and balances: the events of the engine as frames.

Nothing is kept and nothing is said twice: who was not logged in when it happened has to ask the REST API.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from btcturk_sim.accounts import Account
from btcturk_sim.api import Api
from btcturk_sim.codec import fill_row
from btcturk_sim.events import Event, FundsMoved, OrderClosed, OrderDeleted, OrderInserted, OrderMatched, TradeBusted
from btcturk_sim.feed.frames import Body, amount_text, frame
from btcturk_sim.feed.options import (
    BALANCE_UPDATED,
    ORDER_DELETE,
    ORDER_INSERT,
    ORDER_MATCH,
    ORDER_UPDATE,
    USER_TRADE,
    FeedOptions,
)
from btcturk_sim.money import ONE, ZERO, padded, plain, round_half_up
from btcturk_sim.orders import Fill, Method, Order, Side, Status

_METHODS: Final = {Method.LIMIT: 0, Method.MARKET: 1, Method.STOP_LIMIT: 2, Method.STOP_MARKET: 3}
_SIDES: Final = {Side.BUY: 0, Side.SELL: 1}
_ORDER_DECIMALS: Final = 16


class UserEvents:
    """Writes user events as the options say."""

    def __init__(self, api: Api, options: FeedOptions) -> None:
        self._api = api
        self.options = options

    def of(self, event: Event) -> Iterator[tuple[int, str]]:
        """(type, frame) of everything that this event of the engine tells its account, in order."""
        wanted, options = self.options.user_events, self.options
        match event:
            case OrderInserted(order):
                if ORDER_INSERT in wanted and self._shows_insert(order):
                    yield ORDER_INSERT, self._order(ORDER_INSERT, order)
            case OrderMatched(_, order, fill):
                if ORDER_MATCH in wanted:
                    yield ORDER_MATCH, self._match(order, fill)
                if USER_TRADE in wanted:
                    yield USER_TRADE, self._trade(fill)
                if ORDER_UPDATE in wanted and order.status is Status.PARTIAL:
                    yield ORDER_UPDATE, self._order(ORDER_UPDATE, order)
            case OrderDeleted(order):
                if ORDER_DELETE in wanted:
                    yield ORDER_DELETE, self._order(ORDER_DELETE, order)
            case OrderClosed(order):
                if ORDER_DELETE in wanted and options.delete_when_filled:
                    yield ORDER_DELETE, self._order(ORDER_DELETE, order)

    def balance(self, account: Account, assets: set[str]) -> str:
        """What `payload` holds is not known; here: the balances that have changed."""
        rows = []
        for asset in sorted(assets):
            held = account.balance(asset)
            rows.append({"asset": asset, "balance": plain(held.total), "locked": plain(held.locked),
                         "free": plain(held.free)})  # fmt: skip
        return frame(BALANCE_UPDATED, {"type": BALANCE_UPDATED, "userId": account.user_id, "payload": rows})

    def _shows_insert(self, order: Order) -> bool:
        if order.method is Method.MARKET:
            return self.options.insert_market_orders
        return self.options.insert_stop_orders or not order.method.is_stop

    def _order(self, kind: int, order: Order) -> str:
        """An order's state; 452 pads its numbers to 16 decimals."""
        one = order.instrument
        amount = order.quantity if order.budget is None else order.filled + order.left

        def number(value: Decimal) -> str:
            return padded(value, _ORDER_DECIMALS) if kind == ORDER_DELETE else plain(value)

        body: Body = {
            "type": kind,
            "pairId": one.id,
            "symbol": one.symbol,
            "id": order.wire_id,
            "method": _METHODS[order.method],
            "userId": order.account.user_id,
            "orderType": _SIDES[order.side],
            "price": number(order.price),
            "amount": number(amount),
            "numLeft": number(order.left),
            "denomLeft": number(self._worth_left(order)),
        }
        if kind != ORDER_UPDATE:
            body["newOrderClientId"] = order.client_id
        return frame(kind, body)

    def _worth_left(self, order: Order) -> Decimal:
        """What is left in quote currency: with the maker's commission for buys, less it for sells."""
        if order.budget is not None:
            return round_half_up(order.budget, _ORDER_DECIMALS)
        price = order.price if order.method.has_price else order.first_fill_price or ZERO
        rate = self._api.engine.fees_of(order.instrument).maker.total
        factor = ONE + rate if order.side is Side.BUY else ONE - rate
        return round_half_up(price * order.left * factor, _ORDER_DECIMALS)

    def _match(self, order: Order, fill: Fill) -> str:
        one = order.instrument
        body: Body = {
            "type": ORDER_MATCH,
            "id": order.wire_id,
            "user": order.account.user_id,
            "isBid": order.side is Side.BUY,
            "method": _METHODS[order.method],
            "pair": one.id,
            "symbol": one.symbol,
            "amount": amount_text(fill.quantity),
            "price": amount_text(fill.price),
            "clientId": order.client_id,
        }
        if self.options.match_has_timestamp:
            body["timestamp"] = str(fill.time_ms + self._api.skew_ms)
        return frame(ORDER_MATCH, body)

    def _trade(self, fill: Fill) -> str:
        """The row of the REST list, in the order in which the feed names its fields."""
        row = fill_row(fill, self._api.skew_ms, amount_rounding=self._api.options.amount_rounding)
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        body: Body = {name: row[name] for name in (
            "id", "orderId", "timestamp", "numeratorSymbol", "denominatorSymbol", "amount", "fee", "tax", "price",
            "orderType", "orderClientId",
        )}  # fmt: skip
        body["preciseAmount"] = msgspec.Raw(plain(signed).encode())
        if self.options.user_trade_has_type:
            body = {"type": USER_TRADE, **body}
        return frame(USER_TRADE, body)


def assets_of(event: Event) -> tuple[Account, frozenset[str]] | None:
    """Whose balances of what an event has changed."""
    match event:
        case OrderInserted(order) | OrderDeleted(order):
            return order.account, frozenset((order.hold_asset,))
        case OrderMatched(account=account, fill=fill) | TradeBusted(account=account, fill=fill):
            return account, frozenset((fill.instrument.base, fill.instrument.quote))
        case FundsMoved(account, asset):
            return account, frozenset((asset,))
    return None
