"""A seeded market that never ends: calm stretches, trends and storms, in whole numbers throughout.

Each pair walks on its own stream of random integers: a regime sets drift and swing in parts per million for a
while, then another takes over. A gentle pull keeps the price within reach of where it began, so a run of days
does not drift to zero.

What came before is such a walk too, on a stream of its own and told backwards, so that it ends where the market opens
and the market is the same however much of its past is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Final

from btcturk_sim.bars import Bar
from btcturk_sim.instruments import Instrument, instrument_for
from btcturk_sim.listing import Listing
from btcturk_sim.money import exact

INTERVAL_MS: Final = 60_000
DEFAULT_SYMBOLS: Final = ("BTCTRY", "ETHTRY", "XRPTRY", "USDTTRY", "SOLTRY")
_PPM: Final = 1_000_000
# Half of a deviation is gone after some 460 bars: three quarters of a minute at speed 600.
_PULL_PPM: Final = 1_500
_FINE: Final = 10**6  # prices walk in millionths of a tick, so small moves are not lost to rounding

_START_PRICES: Final = {
    "BTCTRY": "3713440", "ETHTRY": "118250", "XRPTRY": "131.125", "USDTTRY": "47.832", "SOLTRY": "7105.5",
    "ADATRY": "34.706", "AVAXTRY": "1105.25", "BNBTRY": "41250", "CHZTRY": "1.8125", "DOGETRY": "9.1235",
    "SHIBTRY": "0.00053125", "TRXTRY": "14.125", "BTCUSDT": "79152", "ETHUSDT": "2460.7",
}  # fmt: skip
_START_DEFAULT: Final = "100.05"

#: (drift, swing) per bar in parts per million, and how many bars it lasts at least and at most.
_REGIMES: Final = (
    (0, 800, 30, 120),
    (200, 1500, 20, 80),
    (-190, 1500, 20, 80),
    (0, 3500, 10, 40),
)
_QUIET: Final = frozenset({"USDTTRY"})  # a stable coin swings a tenth as much


class _Walk:
    def __init__(self, instrument: Instrument, start: Decimal, stream: str) -> None:
        self._random = Random(f"{stream}-{instrument.symbol}")  # noqa: S311 (a market is not a secret)
        self._places = instrument.price_scale if instrument.has_fraction else 0
        self._quantity_scale = instrument.quantity_scale
        self._start = int(start.scaleb(self._places)) * _FINE
        self._now = self._start
        self._calm = 10 if instrument.symbol in _QUIET else 1
        self._drift, self._swing, self._bars_left = 0, 0, 0

    def bar(self) -> Bar:
        random = self._random
        if self._bars_left == 0:
            self._drift, self._swing, shortest, longest = random.choice(_REGIMES)
            self._bars_left = random.randrange(shortest, longest)
        self._bars_left -= 1
        opened = self._now
        swing = self._swing // self._calm
        # The sum of four uniform draws is close enough to a bell, and stays an integer.
        change = self._drift // self._calm + sum(random.randrange(-swing, swing + 1) for _ in range(4)) // 2
        change -= (opened - self._start) * _PULL_PPM // self._start
        closed = max(opened * (_PPM + change) // _PPM, _FINE)
        high = max(opened, closed) * (_PPM + random.randrange(swing + 1)) // _PPM
        low = min(opened, closed) * (_PPM - random.randrange(swing + 1)) // _PPM
        self._now = closed
        # Between 40,000 and 800,000 of the quote currency change hands per bar.
        turnover = random.randrange(40_000, 200_000) * (1 + 3 * (self._swing > 1000))
        lots = turnover * _FINE * 10 ** (self._places + self._quantity_scale) // closed
        return Bar(
            self._price(opened), self._price(high), self._price(low), self._price(closed),
            Decimal(lots).scaleb(-self._quantity_scale),
        )  # fmt: skip

    def _price(self, fine: int) -> Decimal:
        return Decimal(max(1, (fine + _FINE // 2) // _FINE)).scaleb(-self._places)


class GeneratedBars:
    """A `BarSource` made from a seed, with `history_bars` bars of past."""

    def __init__(
        self,
        symbols: Sequence[str] = DEFAULT_SYMBOLS,
        seed: int = 1,
        *,
        listed: Sequence[Listing] = (),
        history_bars: int = 0,
    ) -> None:
        """The pairs of `symbols`, with recorded rules or such as follow from the price; or those of `listed`."""
        starts = {symbol: Decimal(_START_PRICES.get(symbol, _START_DEFAULT)) for symbol in symbols}
        self.instruments = tuple(
            instrument_for(symbol, [start], ordinal) for ordinal, (symbol, start) in enumerate(starts.items())
        )
        if listed:
            starts = {one.instrument.symbol: one.price for one in listed}
            self.instruments = tuple(one.instrument for one in listed)
        self.interval_ms = INTERVAL_MS
        self.length: int | None = None
        self.first_open_ms = 0
        self._starts = starts
        self._seed = seed
        self._history_bars = history_bars
        self._walks = {one.symbol: _Walk(one, starts[one.symbol], f"market-{seed}") for one in self.instruments}

    @exact
    def bar(self, symbol: str, index: int) -> Bar | None:
        return self._walks[symbol].bar()

    def opening_price(self, symbol: str) -> Decimal:
        return self._starts[symbol]

    @exact
    def history(self, symbol: str) -> Sequence[tuple[int, Bar]]:
        instrument = next(one for one in self.instruments if one.symbol == symbol)
        walk = _Walk(instrument, self._starts[symbol], f"past-{self._seed}")
        backwards = [walk.bar() for _ in range(self._history_bars)]
        return [
            (before, bar._replace(open=bar.close, close=bar.open))
            for before, bar in reversed(list(enumerate(backwards, start=1)))
        ]
