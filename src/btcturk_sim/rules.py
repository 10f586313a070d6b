"""Everything that can be said against an order before it is accepted, in the order the exchange says it."""

from __future__ import annotations

from decimal import Decimal

from btcturk_sim.money import ROUNDING, ZERO, decimals_of
from btcturk_sim.options import EngineOptions
from btcturk_sim.orders import (
    FAILED_INVALID_PRICE_SCALE,
    FAILED_INVALID_QUANTITY_SCALE,
    FAILED_INVALID_STOP_PRICE_SCALE,
    FAILED_LIMIT_ORDER,
    FAILED_MARKET_ORDER,
    FAILED_MIN_TOTAL_AMOUNT,
    FAILED_ORDER_PARAMETER,
    FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK,
    FAILED_STOP_PRICE_LESS_THAN_BEST_BID,
    ORDER_METHOD_NOT_SUPPORTED,
    PRICE_ABOVE_MAX,
    PRICE_BELOW_MIN,
    PRICE_MUST_BE_AN_INTEGER,
    SYSTEM_UNDER_MAINTENANCE,
    Method,
    OrderRequest,
    Refusal,
    Side,
    pair_unknown,
)
from btcturk_sim.pair import Pair

CLIENT_ID_LENGTH_MAX = 50

_METHOD_NAMES = {
    Method.LIMIT: "LIMIT",
    Method.MARKET: "MARKET",
    Method.STOP_LIMIT: "STOP_LIMIT",
    Method.STOP_MARKET: "STOP_MARKET",
}


def objection(request: OrderRequest, pair: Pair, options: EngineOptions) -> Refusal | None:
    """The first rule the request breaks, funds aside; None if it breaks none."""
    instrument = pair.instrument
    if pair.delisted:
        return pair_unknown(instrument.symbol)
    if pair.halted:
        return SYSTEM_UNDER_MAINTENANCE
    if pair.cancel_only:
        return FAILED_LIMIT_ORDER if request.method.has_price else FAILED_MARKET_ORDER
    if _METHOD_NAMES[request.method] not in instrument.order_methods:
        return ORDER_METHOD_NOT_SUPPORTED
    if request.client_id is not None and len(request.client_id) > CLIENT_ID_LENGTH_MAX:
        return FAILED_ORDER_PARAMETER
    return (
        _scale_objection(request, pair, options)
        or _price_objection(request, pair, options)
        or _worth_objection(request, pair, options)
    )


def _spends_quote(request: OrderRequest, options: EngineOptions) -> bool:
    """Whether the quantity counts quote currency."""
    if request.side is Side.SELL or request.method.has_price:
        return False
    return request.method is Method.MARKET or options.stop_market_buy == "quote"


def _scale_objection(request: OrderRequest, pair: Pair, options: EngineOptions) -> Refusal | None:
    instrument = pair.instrument
    decimals = decimals_of if options.trailing_zeros == "ignored" else decimals_written
    spends_quote = _spends_quote(request, options)
    quantity_scale = instrument.price_scale if spends_quote else instrument.quantity_scale
    if spends_quote:
        # BTCTRY has no decimals of price, yet nobody is made to spend whole lira: money has two.
        quantity_scale = max(quantity_scale, 2)
    if decimals(request.quantity) > quantity_scale:
        return FAILED_INVALID_QUANTITY_SCALE
    # Checked even on market orders, where a price means nothing.
    if request.price is not None and decimals(request.price) > instrument.price_scale:
        return FAILED_INVALID_PRICE_SCALE
    if request.price is not None and not instrument.has_fraction and decimals_of(request.price) > 0:
        return PRICE_MUST_BE_AN_INTEGER
    # As written: "604560.0" on BTCTRY is refused by the exchange, trailing zero and all.
    if request.stop_price is not None and decimals_written(request.stop_price) > instrument.price_scale:
        return FAILED_INVALID_STOP_PRICE_SCALE
    return None


def decimals_written(value: Decimal) -> int:
    """How many decimals the number was written with: 1.50 → 2."""
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _price_objection(request: OrderRequest, pair: Pair, options: EngineOptions) -> Refusal | None:
    if request.quantity <= 0:
        return FAILED_ORDER_PARAMETER
    if request.method.is_stop:
        if request.stop_price is None or request.stop_price <= 0:
            return FAILED_ORDER_PARAMETER
        reference = pair.stop_reference(request.side) if options.stop_reference == "book" else pair.last
        if request.side is Side.BUY and request.stop_price <= reference:
            return FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK
        if request.side is Side.SELL and request.stop_price >= reference:
            return FAILED_STOP_PRICE_LESS_THAN_BEST_BID
    if request.method.has_price:
        if request.price is None or request.price <= 0:
            return FAILED_ORDER_PARAMETER
        if request.price > pair.price_max:
            return PRICE_ABOVE_MAX
        if request.price < pair.price_min:
            return PRICE_BELOW_MIN
    return None


def _worth_objection(request: OrderRequest, pair: Pair, options: EngineOptions) -> Refusal | None:
    worth: Decimal
    if request.method.has_price:
        worth = (request.price or ZERO) * request.quantity
    elif _spends_quote(request, options):
        worth = request.quantity
    else:
        # What a market sell will fetch is not known; the best bid is what the exchange can see.
        reference = request.stop_price if request.method.is_stop else pair.best_bid()
        worth = ROUNDING.multiply(reference or ZERO, request.quantity)
    if worth < pair.instrument.min_exchange_value:
        return FAILED_MIN_TOTAL_AMOUNT
    if request.method is Method.MARKET:
        against = pair.best_ask() if request.side is Side.BUY else pair.best_bid()
        if against is None:
            return FAILED_MARKET_ORDER
    return None
