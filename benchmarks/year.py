"""A year of invented one-minute bars: the workload of `benchmarks.backtest` and of the engines beside it.

A geometric random walk from a seed, on a tick of 0.01, each bar opening where the last one closed. Numbers and order of
draws are part of the workload: with seed 42, the rule `ema` has 7,634 fills.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BARS = 525_600
SEED = 42
START_MS = 1_735_689_600_000
PRICE = 3_000_000.0
SIGMA = 0.0006


def year(seed: int = SEED, count: int = BARS) -> dict[str, npt.NDArray[np.float64]]:
    """open, high, low, close and volume of `count` minutes."""
    random = np.random.default_rng(seed)
    returns = random.normal(0.0, SIGMA, count) - SIGMA * SIGMA / 2
    close = np.round(PRICE * np.exp(np.cumsum(returns)), 2)
    opened = np.concatenate([[PRICE], close[:-1]])
    above, below = (np.abs(random.normal(0, SIGMA / 2, count)) for _ in range(2))
    return {
        "open": opened,
        "high": np.round(np.maximum(opened, close) * (1 + above), 2),
        "low": np.round(np.minimum(opened, close) * (1 - below), 2),
        "close": close,
        "volume": np.round(random.lognormal(0.0, 1.0, count) + 0.01, 6),
    }
