"""What a search has come to: each window's best in sample and out of sample, side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final

import msgspec

from btcbot.backtest.optimise.evaluation import Metrics
from btcbot.backtest.optimise.ranges import Range
from btcbot.backtest.optimise.search import Ended
from btcbot.backtest.optimise.study import SharedStudy, TrialRow
from btcbot.backtest.optimise.surface import Surface, surface_of
from btcbot.backtest.optimise.windows import DAY_MS, Window
from btcbot.backtest.statistics import tidy

#: In sample, what is worth asking how much of it was kept: growth of a day, and any other objective.
DAILY_MIN: Final = 0.0001
RATIO_MIN: Final = 0.05


class WindowOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One window. `best` None: no trial of it has a value; `test` empty: its best was not judged, or failed there."""

    window: Window
    rows: Sequence[TrialRow]
    best: TrialRow | None
    test: Metrics
    test_reason: str
    importances: Mapping[str, float]
    surface: Surface | None

    def kept(self, objective: str) -> float | None:
        """What part of the objective is left out of sample; None where there was next to nothing to keep: a share of
        almost zero tells of neither.

        Returns over stretches of different length are compared as growth of a day.
        """
        if self.best is None:
            return None
        inside, outside = self.best.metrics.get(objective), self.test.get(objective)
        if inside is None or outside is None or inside <= 0:
            return None
        if objective == "return":
            window = self.window
            inside = _daily(inside, window.train_end_ms - window.train_start_ms)
            outside = _daily(outside, window.test_end_ms - window.test_start_ms)
        return outside / inside if inside >= (DAILY_MIN if objective == "return" else RATIO_MIN) else None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A whole search. `seats` are trials asked for in each window."""

    study: str
    storage: str
    strategy: str
    fixed: Mapping[str, str]
    symbols: Sequence[str]
    data: str
    windows_text: str
    objective: str
    sampler: str
    pruner: str
    seed: int
    workers: int
    seats: int
    ranges: Sequence[Range]
    windows: Sequence[WindowOutcome]
    ended: Ended

    @property
    def counts(self) -> Mapping[str, int]:
        """How many trials there are in each state."""
        return Counter(row.state for window in self.windows for row in window.rows)

    @property
    def repeated(self) -> int:
        """How many proposals were known already and not played again."""
        return sum(row.same_as is not None for window in self.windows for row in window.rows)

    @property
    def chosen(self) -> WindowOutcome | None:
        """The window whose best is the one to go on with: the last, which has learned from the newest data."""
        return next((each for each in reversed(self.windows) if each.best is not None), None)

    @property
    def importances(self) -> Mapping[str, float]:
        """The mean over the windows that tell, largest first."""
        return mean_importances([window.importances for window in self.windows])

    @property
    def test_return(self) -> float | None:
        """The test stretches one after the other, each with its window's best, as one run with all the money."""
        gains = [window.test.get("return") for window in self.windows]
        known = [gain for gain in gains if gain is not None]
        return tidy(math.prod(1 + gain for gain in known) - 1) if known else None

    def mean_of(self, metric: str, *, is_test: bool) -> float | None:
        """Over the windows that have it both in and out of sample."""
        pairs = [
            (window.best.metrics.get(metric), window.test.get(metric))
            for window in self.windows
            if window.best is not None
        ]
        known = [pair[is_test] for pair in pairs if pair[0] is not None and pair[1] is not None]
        return fmean(one for one in known if one is not None) if known else None

    @property
    def first_reason(self) -> str:
        """Why the first trial without a value has none."""
        rows = [row for window in self.windows for row in window.rows]
        return next((row.reason for row in rows if row.state in ("failed", "pruned") and row.reason), "")


def window_outcomes(
    windows: Sequence[Window], studies: Sequence[SharedStudy], ranges: Sequence[Range]
) -> list[WindowOutcome]:
    """Read what the studies hold by now. All surfaces have the same axes: what matters the most over all windows."""
    importances = [study.importances() for study in studies]
    overall = mean_importances(importances)
    found = []
    for window, study, own in zip(windows, studies, importances, strict=True):
        rows, best = study.rows(), study.best()
        tested = study.tested(best.number) if best is not None else None
        found.append(
            WindowOutcome(
                window=window,
                rows=rows,
                best=best,
                test=tested.metrics if tested is not None else {},
                test_reason=tested.reason if tested is not None else "",
                importances=own,
                surface=surface_of(rows, ranges, overall),
            )
        )
    return found


def mean_importances(told: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The mean over those that tell, largest first."""
    known = [one for one in told if one]
    if not known:
        return {}
    means = {name: fmean(one.get(name, 0.0) for one in known) for name in known[0]}
    return dict(sorted(means.items(), key=lambda pair: (-pair[1], pair[0])))


def _daily(gain: float, span_ms: int) -> float:
    """The growth of one day that makes `gain` over the span; all of it lost is lost."""
    return float((1 + gain) ** (DAY_MS / span_ms)) - 1 if gain > -1 else -1.0
