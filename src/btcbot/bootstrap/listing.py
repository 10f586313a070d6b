"""Whether the venue lists what is named, and lists it in the currency of our limits."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from btcbot.bootstrap.meaning import QUOTE_ASSET
from btcbot.domain.instrument import Instrument
from btcbot.errors import Refused

if TYPE_CHECKING:
    from btcbot.config.settings import Settings


def demand_listed(symbol: str, instruments: Mapping[str, Instrument], named_by: str = "") -> None:
    """Raise Refused for a symbol that the venue does not list. `named_by` begins the line, such as `SYMBOLS: `."""
    if symbol not in instruments:
        near = get_close_matches(symbol, instruments, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Refused(f"{named_by}the venue does not list {symbol}{hint}")


def demand_symbols_tradable(settings: Settings, instruments: Mapping[str, Instrument]) -> None:
    """Raise Refused for symbols that the venue does not list, or that are priced in another asset than TRY."""
    for symbol in settings.symbols:
        demand_listed(symbol, instruments, "SYMBOLS: ")
        instrument = instruments[symbol]
        if instrument.quote != QUOTE_ASSET:
            raise Refused(
                f"SYMBOLS: {symbol} is priced in {instrument.quote}; limits are in TRY, so only TRY pairs trade"
            )
