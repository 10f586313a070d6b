"""What a search asks of a backtest: parameters and a stretch of time in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

#: Name → number; None where it is not defined, such as the Sharpe ratio of a curve that never moved.
Metrics = Mapping[str, float | None]

#: What can be searched for, by name, and what it is. Each is better when it is larger.
OBJECTIVES: Final = {
    "return": "final equity over opening equity, less one",
    "sharpe": "Sharpe ratio, per year",
    "sortino": "Sortino ratio, per year",
    "calmar": "yearly growth over the largest drawdown",
}


class Scores(msgspec.Struct, frozen=True):
    """What a backtest came to. `undefined`: name of a metric that is None → why."""

    metrics: dict[str, float | None]
    undefined: dict[str, str] = {}


class Unfit(Exception):
    """These parameters cannot be played together, such as a fast average that is slower than the slow one."""


class Evaluate(Protocol):
    """One backtest with cash to begin with: the same question has the same answer. Raises Unfit, or what went wrong."""

    def __call__(self, parameters: Mapping[str, str], start_ms: int, end_ms: int) -> Scores: ...


class Opening(Protocol):
    """What a worker process is handed; it can be pickled and holds no secret."""

    def open(self) -> Evaluate:
        """Load data and code, once for each process."""
        ...
