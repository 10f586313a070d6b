"""Reading the body of an order: JSON in, an `OrderRequest` or a refusal out.

Field names are taken in any case; numbers may be JSON numbers or strings and keep the digits they were written
with. Unknown fields are ignored without a word, so `newClientOrderId` (a common misspelling) loses the id, just
as on the real exchange.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from btcturk_sim.instruments import Instrument, normalize_symbol
from btcturk_sim.orders import FAILED_ORDER_PARAMETER, Method, OrderRequest, Refusal, Side, pair_unknown

INVALID_REQUEST_ERROR: Final = Refusal("INVALID_REQUEST_ERROR", 1037)
_EXPONENT: Final = re.compile(r"\d+(\.\d+)?[eE][+-]?\d{1,2}")
_NUMBER: Final = re.compile(r"\d{0,12}(\.\d{1,16})?")
_SYMBOL_LENGTH_MAX: Final = 20
_METHODS: Final = {
    "limit": Method.LIMIT, "0": Method.LIMIT, "market": Method.MARKET, "1": Method.MARKET,
    "stoplimit": Method.STOP_LIMIT, "2": Method.STOP_LIMIT, "stopmarket": Method.STOP_MARKET,
    "3": Method.STOP_MARKET,
}  # fmt: skip
_SIDES: Final = {"buy": Side.BUY, "0": Side.BUY, "sell": Side.SELL, "1": Side.SELL}
_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Malformed(Exception):
    """A field is there but cannot be read."""


def read_order(
    body: bytes, instruments: Mapping[str, Instrument], *, exponents: bool = False
) -> OrderRequest | Refusal:
    """The order in a request's body; `exponents` lets JSON numbers be written like 1e-3."""
    try:
        fields = {name.lower(): bytes(raw) for name, raw in _decode.decode(body).items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return INVALID_REQUEST_ERROR
    try:
        symbol = _text(fields, "pairsymbol")
        if symbol is None:
            return INVALID_REQUEST_ERROR
        if len(symbol) > _SYMBOL_LENGTH_MAX:
            return FAILED_ORDER_PARAMETER
        instrument = instruments.get(normalize_symbol(symbol))
        if instrument is None:
            return pair_unknown(symbol)
        side = _SIDES.get((_text(fields, "ordertype") or "").lower())
        method = _METHODS.get((_text(fields, "ordermethod") or "").lower())
        quantity = _number(fields, "quantity", exponents)
        if side is None or method is None or quantity is None:
            return FAILED_ORDER_PARAMETER
        return OrderRequest(
            instrument=instrument,
            side=side,
            method=method,
            quantity=quantity,
            price=_number(fields, "price", exponents),
            stop_price=_number(fields, "stopprice", exponents) if method.is_stop else None,
            client_id=_client_id(fields),
        )
    except _Malformed:
        return FAILED_ORDER_PARAMETER


def _literal(fields: Mapping[str, bytes], name: str) -> str | None:
    """The text of a string or number; None if absent, null or empty."""
    raw = fields.get(name)
    if raw is None or raw == b"null":
        return None
    if raw[:1] == b'"':
        try:
            return msgspec.json.decode(raw, type=str) or None
        except msgspec.DecodeError as error:
            raise _Malformed from error
    if raw[:1] in b"-0123456789":
        return raw.decode()
    raise _Malformed


def _text(fields: Mapping[str, bytes], name: str) -> str | None:
    return _literal(fields, name)


def _number(fields: Mapping[str, bytes], name: str, exponents: bool) -> Decimal | None:
    text = _literal(fields, name)
    if text is None:
        return None
    if exponents and _EXPONENT.fullmatch(text) and fields[name][:1] != b'"':
        text = format(Decimal(text), "f")
    if not _NUMBER.fullmatch(text) or not text.isascii():
        raise _Malformed
    return Decimal(text)


def _client_id(fields: Mapping[str, bytes]) -> str | None:
    raw = fields.get("neworderclientid")
    if raw is not None and raw[:1] not in (b'"', b"n"):
        raise _Malformed
    return _literal(fields, "neworderclientid")
