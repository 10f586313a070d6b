"""What is to be played: data, strategy, settings, and what bars do not tell."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from btcbot.adapters.replay.columns import BarColumns
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.errors import Refused
from btcbot.profiles import RUN, Profile
from btcbot.strategies.base import Strategy

if TYPE_CHECKING:
    from btcbot.backtest.tape import Tape
    from btcbot.config.settings import Settings

OPENING: Final = Decimal(100_000)
HALF_SPREAD_BPS: Final = Decimal(5)
VOLUME_SHARE: Final = Decimal("0.1")
#: The least value of an order where the venue's rules of the symbol are not at hand.
VALUE_MIN: Final = Decimal("99.91")
#: One step of the quantity is worth at most so much.
LOT_WORTH_MAX: Final = Decimal("0.05")
QUANTITY_SCALE_MAX: Final = 8
#: Quote assets by which a symbol is told apart, longest first.
QUOTE_ASSETS: Final = ("USDT", "TRY", "USD", "BTC", "EUR")


class BacktestPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`bars` by symbol, all of one interval. `instruments` None: rules are made from the data (see `instruments_of`).

    `opening` is cash of the quote asset. `half_spread_bps` lies between a bar's close and either side of the quote;
    `volume_share` is the most of a bar's volume that our orders take; `fills_at_touch` lets a resting order fill in a
    bar that only touches its price. `every_bar` runs a cycle at each bar although nothing could come of it. With a
    `tape`, its quotes and trades are played instead, `volume_share` is of each trade, and `bars` are those of the tape.
    `profile` says which parts stand around the strategy; one whose cycles are overseen has one at every bar.
    `keeps_every_note`: the notes that every cycle writes (result, metrics, trace) are kept too, two kilobytes of each.
    """

    bars: Mapping[str, BarColumns]
    strategy: Strategy
    settings: Settings
    parameters: Mapping[str, str] = {}
    instruments: Mapping[str, Instrument] | None = None
    opening: Decimal = OPENING
    half_spread_bps: Decimal = HALF_SPREAD_BPS
    volume_share: Decimal = VOLUME_SHARE
    fills_at_touch: bool = False
    every_bar: bool = False
    tape: Tape | None = None
    profile: Profile = RUN
    keeps_every_note: bool = False


def book_id_of(plan: BacktestPlan) -> str:
    """Eight letters from what is played: client order ids are the same each time, and differ from plan to plan."""
    told = "|".join(
        f"{symbol}:{len(columns)}:{int(columns.open_time_ms[0])}:{int(columns.close[-1])}"
        for symbol, columns in sorted(plan.bars.items())
    )
    return hashlib.sha256(f"{plan.strategy.name}|{told}".encode()).hexdigest()[:8]


def quote_asset_of(symbols: Mapping[str, object]) -> str:
    """The asset in which all of them are priced. Raises Refused when they differ."""
    found = {_split(symbol)[1] for symbol in symbols}
    if len(found) != 1:
        raise Refused(
            f"the symbols {', '.join(sorted(symbols))} are priced in {', '.join(sorted(found))}; give one kind"
        )
    return found.pop()


def instruments_of(bars: Mapping[str, BarColumns]) -> Mapping[str, Instrument]:
    """Rules in the manner of the venue: ticks as the prices were recorded, lots worth at most 0.05 of the quote.

    Lots are measured at the first close: rules of a symbol do not know what its price will be.
    """
    return {symbol: _instrument(columns) for symbol, columns in bars.items()}


def _instrument(columns: BarColumns) -> Instrument:
    base, quote = _split(columns.symbol)
    price = int(columns.close[0]) * money.unit(columns.price_scale)
    scale = 0
    while scale < QUANTITY_SCALE_MAX and price * money.unit(scale) > LOT_WORTH_MAX:
        scale += 1
    return Instrument(
        symbol=columns.symbol,
        base=base,
        quote=quote,
        price_scale=columns.price_scale,
        quantity_scale=scale,
        value_min=VALUE_MIN if quote == "TRY" else money.ONE,
    )


def _split(symbol: str) -> tuple[str, str]:
    for quote in QUOTE_ASSETS:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote), quote
    raise Refused(f"{symbol}: which asset it is priced in cannot be told; known are {', '.join(QUOTE_ASSETS)}")


def symbols_of(
    named: Sequence[str] | None, changes: Mapping[str, str] | None = None, env_file: Path | None = None
) -> Sequence[str] | None:
    """Which pairs of the data are played: those that are `named`, else those that SYMBOLS names in `changes` or the env
    file, as the live bot trades them; None: all of them. Raises ConfigurationError."""
    from btcbot.config.loading import symbols_given

    return named if named is not None else symbols_given(env_file, changes or {})


def settings_for(
    bars: Mapping[str, BarColumns], changes: Mapping[str, str] | None = None, env_file: Path | None = None
) -> Settings:
    """Settings of a backtest: the defaults, an env file's and `changes`, with the symbols of the data (see `symbols_of`
    for which data to load).

    Nothing of the process's environment, so that the same data and parameters give the same result. Raises
    ConfigurationError.
    """
    from btcbot.config.loading import load_settings
    from btcbot.config.sources import ALIASES

    given = {name: text for name, text in (changes or {}).items() if ALIASES.get(name, name) != "SYMBOLS"}
    given["SYMBOLS"] = ",".join(bars)
    return load_settings({}, env_file, given, default_env_file=None).settings
