"""Trading pairs: their scales and limits, recorded where known and derived where not.

`tickSize` is shown on the wire but does not limit prices: the granularity of a price is its denominatorScale,
and whole numbers only where hasFraction is false. `quantity_scale` and `price_scale` together never exceed the
16 decimals of the wire, so quantity × price always has an exact text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import Final

from btcturk_sim.errors import ConfigurationError
from btcturk_sim.money import ONE, decimals_of, exact, step_of

ALL_METHODS: Final = ("MARKET", "LIMIT", "STOP_MARKET", "STOP_LIMIT")
QUOTES: Final = ("USDT", "TRY", "USD", "EUR")
SCALE_MAX: Final = 8
STEP_WORTH_MAX: Final = Decimal("0.05")
_SYMBOL: Final = re.compile(r"[A-Z0-9]{2,20}")

# A price outside a tenth and ten times the current one is refused.
BAND_FACTOR: Final = Decimal(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    id: int
    symbol: str
    base: str
    quote: str
    quantity_scale: int
    price_scale: int
    has_fraction: bool = True
    tick_size: str = ""
    min_exchange_value: Decimal = Decimal("99.91")
    order_methods: tuple[str, ...] = ALL_METHODS
    display_order: int = 9000
    #: Smallest price difference, from price_scale and has_fraction.
    price_step: Decimal = field(init=False)
    #: Decimals of a fill made by spending quote currency: as fine as the exact gross allows.
    fill_scale: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "price_step", step_of(self.price_scale) if self.has_fraction else ONE)
        object.__setattr__(self, "fill_scale", 16 - self.price_scale)

    @property
    def symbol_normalized(self) -> str:
        return f"{self.base}_{self.quote}"

    @property
    def display_format(self) -> str:
        return "#,###" if self.price_scale == 0 else "#,##0." + "0" * self.price_scale


#: Pairs whose rules were recorded.
BUILT_IN: Final = {
    row.symbol: row
    for row in (
        Instrument(id=1, symbol="BTCTRY", base="BTC", quote="TRY", quantity_scale=8, price_scale=0,
                   has_fraction=False, tick_size="10", display_order=1000),
        Instrument(id=18, symbol="USDTTRY", base="USDT", quote="TRY", quantity_scale=2, price_scale=3,
                   tick_size="0.001", display_order=1378),
        Instrument(id=19, symbol="BTCUSDT", base="BTC", quote="USDT", quantity_scale=8, price_scale=0,
                   has_fraction=False, tick_size="1", min_exchange_value=Decimal("9.91"), display_order=2000),
        Instrument(id=20, symbol="ETHUSDT", base="ETH", quote="USDT", quantity_scale=8, price_scale=1,
                   tick_size="0.1", min_exchange_value=Decimal("9.91"), display_order=2128),
    )
}  # fmt: skip

# Ids of pairs without recorded rules: far above the recorded ones, stable within a run.
_DERIVED_ID_FIRST: Final = 1001


def normalize_symbol(text: str) -> str:
    """BTC_TRY, btctry and BTCTRY are one pair."""
    return text.upper().replace("_", "", 1)


def split_symbol(symbol: str) -> tuple[str, str]:
    if _SYMBOL.fullmatch(symbol):
        for quote in QUOTES:
            if symbol.endswith(quote) and len(symbol) > len(quote):
                return symbol[: -len(quote)], quote
    raise ConfigurationError(
        f"{symbol!r} is not a pair this exchange can list; name it like BTCTRY, ending in one of {', '.join(QUOTES)}"
    )


@exact
def quantity_scale_for(price_max: Decimal) -> int:
    """The coarsest scale whose single step is worth at most 0.05 of the quote currency."""
    scale = 0
    while scale < SCALE_MAX and price_max * step_of(scale) > STEP_WORTH_MAX:
        scale += 1
    return scale


def instrument_for(symbol: str, prices: list[Decimal], ordinal: int) -> Instrument:
    """Recorded rules if there are any, else rules derived from the prices seen."""
    if symbol in BUILT_IN:
        return BUILT_IN[symbol]
    base, quote = split_symbol(symbol)
    price_scale = min(SCALE_MAX, max((decimals_of(price) for price in prices), default=2))
    return Instrument(
        id=_DERIVED_ID_FIRST + ordinal,
        symbol=symbol,
        base=base,
        quote=quote,
        quantity_scale=quantity_scale_for(max(prices, default=ONE)),
        price_scale=price_scale,
        tick_size=format(step_of(price_scale), "f"),
        min_exchange_value=Decimal("9.91") if quote == "USDT" else Decimal("99.91"),
        display_order=3000 + ordinal,
    )


def without_market_orders(instrument: Instrument) -> Instrument:
    """The same pair as one of the few that take limit and stop-limit orders only."""
    return replace(instrument, order_methods=("LIMIT", "STOP_LIMIT"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency:
    """What exchangeinfo says of one currency; the defaults are plausible for a coin."""

    symbol: str
    name: str
    #: None: whatever number is free.
    id: int | None = None
    is_fiat: bool = False
    min_withdrawal: Decimal = Decimal("0.0001")
    min_deposit: Decimal = Decimal("0.000005")
    precision: int = 8
    address_length: tuple[int, int] | None = (25, 96)
    color: str = "#449192"
    is_address_renewable: bool = False


_RECORDED_CURRENCIES: Final = {
    row.symbol: row
    for row in (
        Currency(symbol="TRY", name="Türk Lirası", id=1, is_fiat=True, min_withdrawal=Decimal(10),
                 min_deposit=Decimal(0), precision=2, address_length=None, color="#04964e"),
        Currency(symbol="BTC", name="Bitcoin", id=2, color="#E7973D", is_address_renewable=True),
        Currency(symbol="USDT", name="Tether", id=7, min_withdrawal=Decimal("2.5"), min_deposit=Decimal("0.5"),
                 precision=2, address_length=(40, 42)),
    )
}  # fmt: skip
_NAMES: Final = {
    "ETH": "Ethereum", "XRP": "Ripple", "USD": "US Dollar", "EUR": "Euro", "ADA": "Cardano", "AVAX": "Avalanche",
    "CHZ": "Chiliz", "DOGE": "Dogecoin", "SHIB": "Shiba Inu", "SOL": "Solana", "TRX": "Tron",
}  # fmt: skip
FIAT: Final = frozenset({"TRY", "USD", "EUR"})


@cache
def currency(asset: str) -> Currency:
    """What was recorded of a currency, or something plausible."""
    if asset in _RECORDED_CURRENCIES:
        return _RECORDED_CURRENCIES[asset]
    if asset in FIAT:
        return replace(_RECORDED_CURRENCIES["TRY"], symbol=asset, name=_NAMES[asset], id=None)
    return Currency(symbol=asset, name=_NAMES.get(asset, asset))
