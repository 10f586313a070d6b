"""What the control interface is sent: the bodies of its requests, and how amounts in them are read."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, cast

import msgspec
from msgspec.structs import asdict

from btcturk_sim.instruments import Instrument
from btcturk_sim.money import decimals_of
from btcturk_sim.operations import STATUS_TRADING, Rules

_AMOUNT = re.compile(r"\d{1,18}(\.\d{1,16})?")


class ControlError(Exception):
    """The order could not be carried out; the text says why."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def decimal_of(name: str, text: str) -> Decimal:
    if not _AMOUNT.fullmatch(text) or not text.isascii():
        raise ControlError(f'{name} is {text!r}; give a decimal string such as "100.5"')
    return Decimal(text)


def price_of(text: str, instrument: Instrument) -> Decimal:
    price = decimal_of("price", text)
    if price <= 0 or decimals_of(price) > (instrument.price_scale if instrument.has_fraction else 0):
        raise ControlError(f"price {text} does not fit the scale of {instrument.symbol}")
    return price


class TransferForm(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    asset: str
    amount: str
    fee: str = "0"


class CancelForm(msgspec.Struct, forbid_unknown_fields=True):
    id: int
    key: str | None = None


class Match(msgspec.Struct, forbid_unknown_fields=True):
    method: str | None = None
    path: str = "/"
    key: str | None = None
    types: tuple[int, ...] = ()
    channel: str | None = None
    event: str | None = None
    session: int | None = None


class FaultForm(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    match: Match = msgspec.field(default_factory=Match)
    count: int | None = None
    probability: Decimal = Decimal(1)
    params: dict[str, str | int | bool | None] = msgspec.field(default_factory=dict)


class FeedForm(msgspec.Struct, forbid_unknown_fields=True):
    kind: str | None = None
    session: int | None = None
    params: dict[str, str | int | bool] = msgspec.field(default_factory=dict)
    say: str | None = None


class ClockForm(msgspec.Struct, forbid_unknown_fields=True):
    skew_ms: int


class RulesForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    quantity_scale: int | msgspec.UnsetType = msgspec.UNSET
    price_scale: int | msgspec.UnsetType = msgspec.UNSET
    has_fraction: bool | msgspec.UnsetType = msgspec.UNSET
    tick_size: str | msgspec.UnsetType = msgspec.UNSET
    min_exchange_value: str | msgspec.UnsetType = msgspec.UNSET
    order_methods: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET

    def rules(self) -> Rules:
        given = {name: value for name, value in asdict(self).items() if value is not msgspec.UNSET}
        if "min_exchange_value" in given:
            given["min_exchange_value"] = decimal_of("min_exchange_value", given["min_exchange_value"])
        return cast("Rules", given)  # the fields of this form are its keys


class MarketForm(msgspec.Struct, forbid_unknown_fields=True):
    action: str | None = None
    symbol: str | None = None
    price: str | msgspec.UnsetType | None = msgspec.UNSET
    halted: bool | None = None
    cancel_only: bool | None = None
    status: str = STATUS_TRADING
    delisted: bool | None = None
    delayed: bool | None = None
    rules: RulesForm | None = None


class BustForm(msgspec.Struct, forbid_unknown_fields=True):
    id: int


class BlockForm(msgspec.Struct, forbid_unknown_fields=True):
    who: str | None = None
    after: Annotated[int, msgspec.Meta(ge=0)] | None = None
    block_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
