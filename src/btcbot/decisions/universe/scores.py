"""How the symbols that passed every filter are ranked: by momentum, or by what trading them costs.

Scores are statistics, the same on every machine, and no money is made of them.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec

from btcbot.decisions.universe.filters import price_then
from btcbot.decisions.universe.rules import UniverseRules
from btcbot.domain import money
from btcbot.domain.scan import ScanRow

#: The score of a component that could not be measured: below the worst that could.
MISSING: Final = Decimal(-1)
#: Scores are told with so many decimals.
SCORE_PLACES: Final = 6
#: Scores are rounded as they come.
_STATISTICS: Final = decimal.Context(
    prec=80,
    rounding=decimal.ROUND_HALF_EVEN,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)

Passed = Mapping[str, ScanRow]


class MomentumWeights(msgspec.Struct, frozen=True, kw_only=True):
    """For each percent of the price's way, each basis point of spread (taken off), each e-fold of depth, and each
    recent refusal by the venue (taken off)."""

    momentum: Decimal = Decimal(1)
    spread: Decimal = Decimal("0.01")
    depth: Decimal = Decimal("0.1")
    refusal: Decimal = Decimal("0.05")


class ScoreWeights(msgspec.Struct, frozen=True, kw_only=True):
    """For liquidity (24 h volume), spread (the narrower the better) and volatility (the calmer the better), which is
    the standard deviation of the returns over the last `volatility_bars`."""

    liquidity: Decimal = Decimal("0.5")
    spread: Decimal = Decimal("0.3")
    volatility: Decimal = Decimal("0.2")
    volatility_bars: int = 20


def scores(passed: Passed, score: Callable[[Passed], Mapping[str, Decimal]]) -> Mapping[str, Decimal]:
    """What `score` makes of all that passed, as it is told and ranked: in the context of statistics, and rounded."""
    with decimal.localcontext(_STATISTICS):
        return {symbol: round(made, SCORE_PLACES) for symbol, made in score(passed).items()}


def by_momentum(
    passed: Passed, rules: UniverseRules, weights: MomentumWeights, refusals: Mapping[str, int]
) -> Mapping[str, Decimal]:
    """`refusals`: how often the venue refused each symbol of late, 0 where it is not told."""
    found = {}
    for symbol, row in passed.items():
        then = price_then(row, rules)
        assert row.quote is not None and row.depth is not None and then is not None, "it passed the filters"
        risen_percent = (row.quote.mid / then - 1) * 100
        found[symbol] = (
            weights.momentum * risen_percent
            - weights.spread * row.quote.spread_bps
            + weights.depth * (row.depth + 1).ln()
            - weights.refusal * refusals.get(symbol, 0)
        )
    return found


def by_cost(passed: Passed, weights: ScoreWeights) -> Mapping[str, Decimal]:
    """Liquidity, spread and volatility, each put between the worst and the best of all that passed."""
    liquidity = {symbol: row.quote_volume_24h for symbol, row in passed.items()}
    spread = {symbol: -row.quote.spread_bps for symbol, row in passed.items() if row.quote is not None}
    calm = {symbol: _calm(row, weights.volatility_bars) for symbol, row in passed.items()}
    parts = (
        (weights.liquidity, _between_0_and_1(liquidity)),
        (weights.spread, _between_0_and_1(spread)),
        (weights.volatility, _between_0_and_1(calm)),
    )
    return {symbol: money.total(weight * part[symbol] for weight, part in parts) for symbol in passed}


def _calm(row: ScanRow, bars: int) -> Decimal | None:
    """Minus the standard deviation of the last returns; None without enough of them."""
    prices = [close.price for close in row.closes[-(bars + 1) :]]
    if len(prices) <= bars or min(prices) <= 0:
        return None
    returns = [later / earlier for earlier, later in pairwise(prices)]
    mean = money.total(returns) / len(returns)
    return -(money.total((one - mean) ** 2 for one in returns) / len(returns)).sqrt()


def _between_0_and_1(values: Mapping[str, Decimal | None]) -> Mapping[str, Decimal]:
    """0 for the worst, 1 for the best (and for all where all are the same), MISSING for what is not known."""
    known = [value for value in values.values() if value is not None]
    worst, best = min(known, default=money.ZERO), max(known, default=money.ZERO)
    width = best - worst
    return {
        symbol: MISSING if value is None else (value - worst) / width if width > 0 else money.ONE
        for symbol, value in values.items()
    }
