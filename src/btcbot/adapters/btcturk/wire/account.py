"""What the account holds, and what moved it: balances, own trades, deposits and withdrawals. Refused as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Raw

from btcbot.adapters.btcturk.wire import envelope, values
from btcbot.adapters.btcturk.wire.values import NULL, WireError
from btcbot.domain import money
from btcbot.domain.account import Balance
from btcbot.domain.fills import VenueTrade
from btcbot.domain.intents import Side
from btcbot.domain.venue import Transfer, TransferKind

# -- balances ----------------------------------------------------------------------------------------------------------


class _Balance(msgspec.Struct, frozen=True, gc=False):
    asset: str
    free: Raw
    locked: Raw


_BALANCES: Final = msgspec.json.Decoder(list[_Balance])


def balances(body: bytes) -> dict[str, Balance]:
    """Free and locked of GET /api/v1/users/balances by asset, assets without a balance included."""
    held: dict[str, Balance] = {}
    for row in envelope.decode_data(_BALANCES, body, "the balances"):
        asset = values.asset(row.asset)
        if asset in held:
            raise WireError(f"{asset} is listed twice in the balances")
        held[asset] = Balance(
            asset,
            values.not_negative(row.free, "free", takes_comma=True),
            values.not_negative(row.locked, "locked", takes_comma=True),
        )
    return held


# -- trades and transfers ----------------------------------------------------------------------------------------------


class _Trade(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    id: Raw
    timestamp: Raw
    price: Raw
    fee: Raw
    tax: Raw
    numerator_symbol: str
    denominator_symbol: str
    order_type: str
    amount: Raw = NULL
    precise_amount: Raw = NULL
    order_id: Raw = NULL
    order_client_id: str | None = None


class _Transfer(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    balance_type: str
    currency_symbol: str
    id: Raw
    timestamp: Raw
    amount: Raw
    precise_amount: Raw = NULL
    fee: Raw = NULL
    tax: Raw = NULL


_TRADES: Final = msgspec.json.Decoder(list[_Trade])
_TRANSFERS: Final = msgspec.json.Decoder(list[_Transfer])
_TRANSFER_KIND: Final[Mapping[str, TransferKind]] = {kind.value: kind for kind in TransferKind}


def trades(body: bytes) -> list[VenueTrade]:
    """Trades of GET /api/v1/users/transactions/trade, signs taken off.

    `preciseAmount` is the exact quantity; `amount` beside it is shortened to the pair's scale and used only where the
    exact one is missing (rows of before 2022).
    """
    return [_trade(row) for row in envelope.decode_data(_TRADES, body, "the trades")]


def _trade(row: _Trade) -> VenueTrade:
    side = values.side(row.order_type)
    signed = values.decimal(
        row.amount if values.is_null(row.precise_amount) else row.precise_amount, "a trade's amount"
    )
    if not signed or (side is Side.BUY and signed < 0):
        raise WireError("a trade's amount is zero or contradicts its side")
    base, quote = values.asset(row.numerator_symbol), values.asset(row.denominator_symbol)
    return VenueTrade(
        trade_id=values.number_identifier(row.id, "a trade's id"),
        venue_order_id=""
        if values.is_null(row.order_id)
        else values.number_identifier(row.order_id, "a trade's order id"),
        client_order_id=row.order_client_id or None,
        symbol=base + quote,
        base=base,
        quote=quote,
        side=side,
        price=values.positive(row.price, "a trade's price"),
        quantity=signed.copy_abs(),
        fee=values.decimal(row.fee, "a trade's fee").copy_abs(),
        tax=values.decimal(row.tax, "a trade's tax").copy_abs(),
        at_ms=values.time_ms(row.timestamp, "a trade's time"),
    )


def transfers(body: bytes, source: str) -> list[Transfer]:
    """Transfers of GET /api/v1/users/transactions/{source}, source `crypto` or `fiat`.

    The two lists number their rows apart, so the source is part of the id. A tax, where there is one, is kept as fee.
    """
    return [_transfer(row, source) for row in envelope.decode_data(_TRANSFERS, body, "the transfers")]


def _transfer(row: _Transfer, source: str) -> Transfer:
    kind = _TRANSFER_KIND.get(row.balance_type.lower())
    if kind is None:
        raise WireError("a transfer is neither deposit nor withdrawal")
    amount = values.decimal(
        row.amount if values.is_null(row.precise_amount) else row.precise_amount, "amount"
    ).copy_abs()
    return Transfer(
        transfer_id=f"{source}:{values.identifier(row.id, 'a transfer id')}",
        kind=kind,
        asset=values.asset(row.currency_symbol),
        amount=amount if kind is TransferKind.DEPOSIT else amount.copy_negate(),
        fee=_charge(row.fee, "fee") + _charge(row.tax, "tax"),
        at_ms=values.time_ms(row.timestamp, "a transfer's time"),
    )


def _charge(raw: Raw, name: str) -> Decimal:
    return money.ZERO if values.is_null(raw) else values.decimal(raw, name).copy_abs()
