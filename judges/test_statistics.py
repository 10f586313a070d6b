"""Judge: what a backtest says of return and risk, against empyrical-reloaded on the same numbers.

Its conventions are not all ours, and the difference is named where one is: it calls a drawdown negative, counts a year
by the number of returns, and answers NaN or infinity where we say that there is no answer. Curves are drawn from seeds:
calm, wild, rising, falling, with flat days, and of many lengths.
"""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Final

import empyrical
import numpy as np
import numpy.typing as npt
import pytest

from btcbot.backtest.statistics import (
    DAY_MS,
    DAYS_A_YEAR,
    Undefined,
    cagr,
    daily_returns,
    max_drawdown,
    sharpe,
    sortino,
    underwater,
    volatility,
)

CLIENT = f"empyrical-reloaded {version('empyrical-reloaded')}"
SEEDS: Final = range(200)
OPENING: Final = 100_000.0
CLOSE: Final = 1e-9

Floats = npt.NDArray[np.float64]


def drawn(seed: int) -> Floats:
    """Daily returns of a made-up account."""
    draw = np.random.default_rng(seed)
    days = int(draw.integers(8, 1_200))
    returns = draw.normal(draw.normal(0.0, 0.002), draw.choice([0.001, 0.01, 0.05]), days)
    returns[draw.random(days) < 0.1] = 0.0
    return np.asarray(np.maximum(returns, -0.9), dtype=np.float64)


def equity_of(returns: Floats) -> Floats:
    return np.asarray(OPENING * np.cumprod(1 + returns), dtype=np.float64)


def days_of(equity: Floats) -> npt.NDArray[np.int64]:
    return DAY_MS * np.arange(1, len(equity) + 1, dtype=np.int64)


def test_sharpe() -> None:
    """Sharpe, a year of 365 days."""
    for seed in SEEDS:
        returns = drawn(seed)
        theirs = empyrical.sharpe_ratio(returns, risk_free=0, annualization=DAYS_A_YEAR)
        assert sharpe(returns.tolist()) == pytest.approx(theirs, rel=CLOSE), seed


def test_sortino() -> None:
    """Sortino, losses over all days."""
    for seed in SEEDS:
        returns = drawn(seed)
        theirs = empyrical.sortino_ratio(returns, required_return=0, annualization=DAYS_A_YEAR)
        if returns.min() < 0:
            assert sortino(returns.tolist()) == pytest.approx(theirs, rel=CLOSE), seed
            continue
        assert math.isinf(theirs)
        with pytest.raises(Undefined, match="no day lost anything"):
            sortino(returns.tolist())


def test_volatility() -> None:
    """Volatility, of a sample."""
    for seed in SEEDS:
        returns = drawn(seed)
        theirs = empyrical.annual_volatility(returns, annualization=DAYS_A_YEAR)
        assert volatility(returns.tolist()) == pytest.approx(theirs, rel=CLOSE), seed


def test_growth() -> None:
    """CAGR, with as many days as returns."""
    for seed in SEEDS:
        returns = drawn(seed)
        ours = cagr(OPENING, float(equity_of(returns)[-1]), len(returns))
        assert ours == pytest.approx(empyrical.cagr(returns, annualization=DAYS_A_YEAR), rel=CLOSE), seed


def test_drawdown() -> None:
    """Deepest drawdown, the opening counted as a peak; theirs is negative."""
    for seed in SEEDS:
        returns = drawn(seed)
        equity = np.concatenate(([OPENING], equity_of(returns)))
        times = np.concatenate(([0], days_of(equity_of(returns))))
        ours = max_drawdown(times, equity)
        assert -ours.depth == pytest.approx(empyrical.max_drawdown(returns), rel=CLOSE), seed
        assert (ours.peak_at_ms < ours.trough_at_ms) == (returns.min() < 0)


def test_every_drawdown() -> None:
    """How far below its peak at each day, not at the deepest alone."""
    for seed in SEEDS:
        equity = np.concatenate(([OPENING], equity_of(drawn(seed))))
        for day in range(2, len(equity), 97):
            theirs = empyrical.max_drawdown(np.diff(equity[: day + 1]) / equity[:day])
            assert -underwater(equity[: day + 1]).max() == pytest.approx(theirs, rel=CLOSE, abs=1e-12), (seed, day)


def test_returns() -> None:
    """Daily returns made of a curve are the returns that the curve was made of, and come to the same in the end."""
    for seed in SEEDS:
        returns = drawn(seed)
        equity = equity_of(returns)
        ours = daily_returns(days_of(equity), equity, opening=OPENING, start_ms=0)
        assert ours == pytest.approx(returns.tolist(), abs=1e-12), seed
        assert math.prod(1 + one for one in ours) - 1 == pytest.approx(empyrical.cum_returns_final(returns), rel=CLOSE)


def test_no_answer() -> None:
    """Where it answers NaN, infinity or noise, we say that there is none."""
    assert math.isnan(empyrical.sharpe_ratio(np.array([0.01])))
    assert math.isinf(empyrical.sortino_ratio(np.array([0.01, 0.02])))
    assert not empyrical.sharpe_ratio(np.array([0.1, 0.1, 0.1])) < 1e12, "no deviation but the float's own"
    for ours, returns in ((sharpe, [0.01]), (sortino, [0.01, 0.02]), (sharpe, [0.1, 0.1, 0.1])):
        with pytest.raises(Undefined):
            ours(returns)
