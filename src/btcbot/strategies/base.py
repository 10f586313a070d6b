"""What a strategy is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.market import Quote
from btcbot.domain.positions import Position


class StrategyContext(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one cycle. Only symbols with a fresh, sane quote are in `quotes`.

    `spendable` is free quote currency above the reserve; `symbols_with_open_orders` are busy and best left alone;
    `taker_rate` is a fraction, tax included.
    """

    cycle_id: str
    symbols: Sequence[str]
    instruments: Mapping[str, Instrument]
    quotes: Mapping[str, Quote]
    positions: Mapping[str, Position]
    spendable: Decimal
    symbols_with_open_orders: frozenset[str]
    taker_rate: Decimal


class Strategy(Protocol):
    """Pure: the same context gives the same intents."""

    @property
    def name(self) -> str: ...

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        """Wishes, most wanted first. Sizes and prices are wishes too: risk quantizes and limits them."""
        ...
