"""The choice of symbols: facts of a look over the market in, a set with its reasons out.

Two selections share every filter (`filters`), every reason and every rule about change (`changes`), and differ in what
they rank by (`scores`):

- `momentum` ranks by how far the price has come since a look-back, less the spread, plus the depth of the real book;
- `scored` ranks by liquidity, spread and volatility, each put between 0 (the worst of the candidates) and 1 (the best).
"""

from __future__ import annotations

from btcbot.decisions.universe.changes import fallback, kept, without_barred
from btcbot.decisions.universe.filters import listed_candidates, to_ask
from btcbot.decisions.universe.rules import UniverseRules, tuned
from btcbot.decisions.universe.scores import MomentumWeights, ScoreWeights
from btcbot.decisions.universe.selection import Select, Selection, UniverseFacts, momentum, scored

__all__ = [
    "MomentumWeights",
    "ScoreWeights",
    "Select",
    "Selection",
    "UniverseFacts",
    "UniverseRules",
    "fallback",
    "kept",
    "listed_candidates",
    "momentum",
    "scored",
    "to_ask",
    "tuned",
    "without_barred",
]
