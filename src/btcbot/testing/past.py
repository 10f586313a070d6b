"""A past for the charts of a world: an hour of candles before it begins, from the seed alone.

The last one closes where the market opens, so that signals and a choice by momentum have something to stand on.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from random import Random
from typing import Final

from btcbot.domain import money
from btcturk_sim.bars import Bar
from btcturk_sim.engine import Engine

MINUTES: Final = 60
_MINUTE_MS: Final = 60_000
_VOLUMES: Final = ("0", "0.5", "3", "12")


def give_past(engine: Engine, seed: int, now_ms: int, volatility_bps: int) -> None:
    """Let the chart of every pair remember the last hour, once somebody looks."""
    for symbol, pair in engine.pairs.items():
        places = pair.instrument.price_scale if pair.instrument.has_fraction else 0
        pair.chart._past = partial(_candles, f"{seed}/past/{symbol}", pair.price, places, now_ms, volatility_bps)


def _candles(seed: str, price: Decimal, places: int, now_ms: int, volatility_bps: int) -> Sequence[tuple[int, Bar]]:
    """Backwards from the price at which the market opens; told oldest first."""
    random = Random(seed)  # noqa: S311 (no secret)
    found: list[tuple[int, Bar]] = []
    close, first_ms = price, now_ms // _MINUTE_MS * _MINUTE_MS
    for before in range(1, MINUTES + 1):
        moved = 10_000 + random.randint(-volatility_bps, volatility_bps)
        opened = max(money.round_down(close * moved / 10_000, places), Decimal(1).scaleb(-places))
        low, high = sorted((opened, close))
        found.append((first_ms - before * _MINUTE_MS, Bar(opened, high, low, close, Decimal(random.choice(_VOLUMES)))))
        close = opened
    return found[::-1]
