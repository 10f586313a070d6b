"""The pairs that BtcTurk lists, with the rules of each. A pair that cannot be read is left out, and counted."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw

from btcbot.adapters.btcturk.wire import envelope, values
from btcbot.adapters.btcturk.wire.values import NULL, WireError
from btcbot.domain import money
from btcbot.domain.instrument import Instrument


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """All listed pairs by symbol, and how many rows could not be read."""

    instruments: Mapping[str, Instrument]
    skipped: int


class _Filter(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    filter_type: str = ""
    min_exchange_value: Raw = NULL


class _Pair(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    name: str
    numerator: str
    denominator: str
    numerator_scale: int
    denominator_scale: int
    has_fraction: bool
    filters: list[_Filter]
    order_methods: list[str]
    status: str = ""
    maximum_limit_order_price: Raw = NULL
    minimum_limit_order_price: Raw = NULL


class _ExchangeInfo(msgspec.Struct, frozen=True, gc=False):
    symbols: list[Raw]


_EXCHANGE_INFO: Final = msgspec.json.Decoder(_ExchangeInfo)
_PAIR: Final = msgspec.json.Decoder(_Pair)


def instruments(body: bytes) -> Listing:
    """Pairs of GET /api/v2/server/exchangeinfo. WireError when not one row can be read."""
    rows = envelope.decode_data(_EXCHANGE_INFO, body, "the list of pairs").symbols
    listed: dict[str, Instrument] = {}
    skipped = 0
    for row in rows:
        try:
            instrument = _instrument(envelope.decode(_PAIR, row, "a pair"))
        except WireError:
            skipped += 1
            continue
        if instrument.symbol in listed:
            skipped += 1
        else:
            listed[instrument.symbol] = instrument
    if not listed:
        raise WireError(f"none of {len(rows)} pairs can be read")
    return Listing(instruments=listed, skipped=skipped)


def _instrument(pair: _Pair) -> Instrument:
    symbol = values.symbol(pair.name)
    base, quote = values.asset(pair.numerator), values.asset(pair.denominator)
    if symbol != base + quote:
        raise WireError("a pair is not named after its assets")
    if not (0 <= pair.numerator_scale <= money.PLACES_MAX and 0 <= pair.denominator_scale <= money.PLACES_MAX):
        raise WireError("a scale is out of range")
    price_filter = next((row for row in pair.filters if row.filter_type == "PRICE_FILTER"), None)
    if price_filter is None:
        raise WireError("a pair has no price filter")
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        # `tickSize` is not what limits prices: live books hold prices between those ticks.
        price_scale=pair.denominator_scale if pair.has_fraction else 0,
        quantity_scale=pair.numerator_scale,
        value_min=values.not_negative(price_filter.min_exchange_value, "minExchangeValue"),
        price_min=_limit_price(pair.minimum_limit_order_price, "minimumLimitOrderPrice"),
        price_max=_limit_price(pair.maximum_limit_order_price, "maximumLimitOrderPrice"),
        is_trading=pair.status.upper() == "TRADING",
        takes_limit_orders=any(method.upper() == "LIMIT" for method in pair.order_methods),
    )


def _limit_price(raw: Raw, name: str) -> Decimal | None:
    return None if values.is_null(raw) else values.positive(raw, name)
