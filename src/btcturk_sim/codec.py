"""Rows of the wire: how each noun of the exchange is written, irregularities and all.

Numbers that the wire writes as JSON numbers go out as raw text made from decimals, so no digit passes through
binary floating point. Times are shifted by the exchange's clock skew here and nowhere else.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, Inexact
from typing import Final

import msgspec

from btcturk_sim.accounts import Account, Transfer
from btcturk_sim.candles import Candle
from btcturk_sim.instruments import FIAT, currency
from btcturk_sim.money import (
    ROUNDING,
    ZERO,
    divide_half_up,
    padded,
    plain,
    round_down,
    round_half_up,
    round_up,
    written,
)
from btcturk_sim.orders import Fill, Method, Order, Side, Status
from btcturk_sim.pair import Pair, PublicTrade

Row = dict[str, object]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PRECISE_DECIMALS: Final = 16
_FIRST_FREE_CURRENCY_ID: Final = 101


def number(value: Decimal) -> msgspec.Raw:
    """A JSON number, written exactly."""
    return msgspec.Raw(plain(value).encode())


def fractional(value: Decimal) -> msgspec.Raw:
    """A JSON number as the graph host writes it: whole numbers end in .0."""
    text = plain(value)
    return msgspec.Raw((text if "." in text else text + ".0").encode())


def ok(data: object, *, code: int | str = 0, message: str | None = None) -> Row:
    return {"data": data, "success": True, "message": message, "code": code}


def failed(message: str, code: int | str) -> Row:
    return {"success": False, "message": message, "code": code}


def order_failed(message: str, code: int) -> Row:
    return {"httpStatusCode": 400, "data": None, "success": False, "message": message, "code": code}


def server_time(venue_ms: int) -> Row:
    moment = _EPOCH + timedelta(milliseconds=venue_ms)
    return {
        "serverTime": venue_ms,
        "serverTime2": f"{moment:%Y-%m-%dT%H:%M:%S}.{venue_ms % 1000:03d}0000+00:00",
    }


# --- public -----------------------------------------------------------------------------------------------------


def symbol_row(pair: Pair) -> Row:
    one = pair.instrument
    return {
        "id": one.id,
        "name": one.symbol,
        "nameNormalized": one.symbol_normalized,
        "status": pair.status,
        "numerator": one.base,
        "denominator": one.quote,
        "numeratorScale": one.quantity_scale,
        "denominatorScale": one.price_scale,
        "hasFraction": one.has_fraction,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.0000000000001",
                "maxPrice": "10000000",
                "tickSize": one.tick_size,
                "minExchangeValue": plain(one.min_exchange_value),
                "minAmount": None,
                "maxAmount": None,
            }
        ],
        "orderMethods": list(one.order_methods),
        "displayFormat": one.display_format,
        "commissionFromNumerator": False,
        "order": one.display_order,
        "priceRounding": False,
        "isNew": False,
        "marketPriceWarningThresholdPercentage": msgspec.Raw(b"0.25"),
        "maximumOrderAmount": None,
        "maximumLimitOrderPrice": number(pair.price_max),
        "minimumLimitOrderPrice": number(pair.price_min),
    }


def currency_row(number_free: int, asset: str) -> Row:
    one = currency(asset)
    shortest, longest = one.address_length or (None, None)
    return {
        "id": one.id or number_free,
        "symbol": asset,
        "minWithdrawal": number(one.min_withdrawal),
        "minDeposit": number(one.min_deposit),
        "precision": one.precision,
        "address": {"minLen": shortest, "maxLen": longest},
        "currencyType": "FIAT" if one.is_fiat else "CRYPTO",
        "tag": {"enable": False, "name": None, "minLen": None, "maxLen": None},
        "color": one.color,
        "name": one.name,
        "isAddressRenewable": one.is_address_renewable,
        "getAutoAddressDisabled": True,
        "isPartialWithdrawalEnabled": True,
        "isNew": False,
    }


def operation_block_row(asset: str) -> Row:
    return {"currencySymbol": asset.capitalize(), "withdrawalDisabled": False, "depositDisabled": False}


def exchange_info(pairs: list[Pair], venue_ms: int) -> Row:
    assets = list(dict.fromkeys(["TRY", *(a for p in pairs for a in (p.instrument.base, p.instrument.quote))]))
    data = {
        "timeZone": "UTC",
        "serverTime": venue_ms,
        "symbols": [symbol_row(pair) for pair in pairs],
        "currencies": [
            currency_row(ordinal, asset) for ordinal, asset in enumerate(assets, start=_FIRST_FREE_CURRENCY_ID)
        ],
        "currencyOperationBlocks": [operation_block_row(asset) for asset in assets if asset not in FIAT],
    }
    return {**ok(data, message=""), "extensions": None}


def ticker_row(pair: Pair, venue_ms: int) -> Row:
    one, day = pair.instrument, pair.day.stats()
    bid, ask = pair.best_bid() or ZERO, pair.best_ask() or ZERO
    change = pair.last - day.open
    percent = divide_half_up(abs(change) * 100, day.open, 2).copy_sign(change)
    return {
        "pair": one.symbol,
        "pairNormalized": one.symbol_normalized,
        "timestamp": venue_ms,
        "last": number(pair.last),
        "high": number(max(day.high, pair.last)),
        "low": number(min(day.low, pair.last)),
        "bid": number(bid),
        "ask": number(ask),
        "open": number(day.open),
        "volume": number(day.volume),
        "average": number(day.average),
        # Not last less open: in both recorded rows it is ask less open, while the percentage is that of last.
        "daily": number((ask or pair.last) - day.open),
        "dailyPercent": number(percent),
        "denominatorSymbol": one.quote,
        "numeratorSymbol": one.base,
        "order": one.display_order,
    }


def _at_scale(value: Decimal, places: int) -> str:
    """With `places` decimals; with its own where it comes from a time of finer rules."""
    try:
        return padded(value, places)
    except Inexact:
        return plain(value)


def order_book(pair: Pair, limit: int, venue_ms: int) -> Row:
    one = pair.instrument
    price_text = _at_scale if pair.rules_changed else padded

    def rows(side: Side) -> list[list[str]]:
        return [
            [price_text(price, one.price_scale), written(round_down(quantity, one.quantity_scale))]
            for price, quantity in pair.levels(side, limit)
        ]

    return ok({"timestamp": venue_ms, "bids": rows(Side.BUY), "asks": rows(Side.SELL)}, code="SUCCESS")


def public_trade_row(pair: Pair, trade: PublicTrade, skew_ms: int, *, side: str = "taker") -> Row:
    """A trade that everybody sees, with the side of its taker or maker."""
    one = pair.instrument
    return {
        "pair": one.symbol,
        "pairNormalized": one.symbol_normalized,
        "numerator": one.base,
        "denominator": one.quote,
        "date": trade.time_ms + skew_ms,
        "tid": str(trade.id),
        "price": _at_scale(trade.price, one.price_scale),
        "amount": format(round_down(trade.quantity, one.quantity_scale), "f"),
        "side": (trade.side if side == "taker" else trade.side.opposite).value,
    }


def daily_row(symbol: str, second: int, candle: Candle, places: int) -> Row:
    change = candle.close - candle.open
    average = divide_half_up(candle.total, candle.volume, places + 2) if candle.volume else candle.close
    return {
        "pair": symbol,
        "time": second,
        "open": fractional(candle.open),
        "high": fractional(candle.high),
        "low": fractional(candle.low),
        "close": fractional(candle.close),
        "volume": fractional(candle.volume),
        "total": fractional(candle.total),
        "average": fractional(average),
        "dailyChangeAmount": fractional(change),
        "dailyChangePercentage": fractional(round_half_up(ROUNDING.divide(change * 100, candle.open), 2)),
    }


def klines(rows: list[tuple[int, Candle]], *, empty: str = "no_data") -> Row:
    return {
        "s": "ok" if rows else empty,
        "t": [second for second, _ in rows],
        "h": [fractional(candle.high) for _, candle in rows],
        "o": [fractional(candle.open) for _, candle in rows],
        "l": [fractional(candle.low) for _, candle in rows],
        "c": [fractional(candle.close) for _, candle in rows],
        "v": [fractional(candle.volume) for _, candle in rows],
    }


# --- private ----------------------------------------------------------------------------------------------------


def balance_rows(account: Account, as_of_ms: int | None, venue_ms: int) -> list[Row]:
    if as_of_ms is None:
        shown = {asset: (held.free, held.locked) for asset, held in account.balances.items()}
    else:
        shown = account.balances_as_of(as_of_ms)
    return [
        {
            "asset": asset,
            "assetname": currency(asset).name,
            "balance": plain(free + locked),
            "locked": plain(locked),
            "free": plain(free),
            "orderFund": plain(locked),
            "requestFund": "0",
            "precision": currency(asset).precision,
            "timestamp": venue_ms,
        }
        for asset, (free, locked) in sorted(shown.items(), key=lambda item: (item[0] not in FIAT, item[0]))
    ]


def submitted(order: Order, skew_ms: int) -> Row:
    """The answer to an accepted order: what was asked for, nothing of what has become of it."""
    return {
        "id": order.wire_id,
        "quantity": format(order.quantity, "f"),
        "price": format(order.price, "f") if order.method.has_price else "0",
        "stopPrice": None if order.stop_price is None else format(order.stop_price, "f"),
        "newOrderClientId": order.client_id,
        "type": order.side.value,
        "method": order.method.value,
        "pairSymbol": order.instrument.symbol,
        "pairSymbolNormalized": order.instrument.symbol_normalized,
        "datetime": order.created_ms + skew_ms,
    }


def order_row(
    order: Order,
    state: tuple[int, Decimal, Status],
    skew_ms: int,
    *,
    with_time: bool,
    canceled_after_partial: str = Status.CANCELED.value,
) -> Row:
    """One order in a list. `openOrders` gives time 0; the others give the time of creation."""
    updated_ms, left, status = state
    one = order.instrument
    amount = quantity = plain(order.quantity)
    price = order.price
    if not order.method.has_price:
        price = order.first_fill_price or order.stop_price or ZERO
    if order.budget is not None:
        # A market buy is asked for in quote currency and listed in base, with `quantity` counting what is left.
        amount = plain(order.filled + left + order.unfilled)
    if order.method is Method.MARKET:
        quantity = plain(left + order.unfilled)
    word = status.value
    if status is Status.CANCELED and order.filled:
        word = canceled_after_partial
    return {
        "id": order.wire_id,
        "price": _at_scale(price, one.price_scale),
        "amount": amount,
        "quantity": quantity if order.budget is None or order.method is Method.MARKET else amount,
        "stopPrice": "0" if order.stop_price is None else plain(order.stop_price),
        "pairSymbol": one.symbol,
        "pairSymbolNormalized": one.symbol_normalized,
        "type": order.side.value,
        "method": order.method.value,
        "orderClientId": order.client_id,
        "time": order.created_ms + skew_ms if with_time else 0,
        "updateTime": updated_ms + skew_ms,
        "status": word,
        "leftAmount": padded(left, _PRECISE_DECIMALS),
    }


def _negative(value: Decimal, places: int) -> str:
    return padded(-value if value else ZERO, places)


def fill_row(fill: Fill, skew_ms: int, *, amount_rounding: str = "down") -> Row:
    """A trade of an account: negative amount for sells, negative fee and tax, exact `preciseAmount`."""
    one = fill.instrument
    rounded = round_down if amount_rounding == "down" else round_up
    signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
    try:
        price = padded(fill.price, one.price_scale)
    except Inexact:
        price = plain(fill.price)  # met an order of finer rules
    return {
        "id": fill.id,
        "timestamp": fill.time_ms + skew_ms,
        "amount": written(rounded(signed, one.quantity_scale)),
        "preciseAmount": msgspec.Raw(padded(signed, _PRECISE_DECIMALS).encode()),
        "fee": _negative(fill.fee, 8),
        "tax": _negative(fill.tax, 8),
        "price": price,
        "numeratorSymbol": one.base,
        "denominatorSymbol": one.quote,
        "orderType": fill.side.value,
        "orderId": fill.order_id,
        "orderClientId": fill.client_id,
    }


def transfer_row(transfer: Transfer, skew_ms: int, *, precise: bool = False) -> Row:
    fiat = transfer.asset in FIAT
    row: Row = {
        "balanceType": "deposit" if transfer.is_deposit else "withdrawal",
        "currencySymbol": transfer.asset,
        "address": None if fiat else "simulated-address",
        "tag": None,
        "txHash": None if fiat else f"simulated-{transfer.id}",
        "confirmationCount": None if fiat else 6,
        "isConfirmed": True,
        "id": transfer.id,
        "timestamp": transfer.time_ms + skew_ms,
        "amount": plain(transfer.amount),
        "fee": plain(-transfer.fee),
        "tax": "0",
    }
    if precise:
        row["preciseAmount"] = number(transfer.amount)
    return row
