"""How the next parameters are proposed, and when a trial is given up early: by name.

Every proposal is drawn from the seed and the trial's own seat in the study, never from a generator that runs on. So a
search that was interrupted and goes on proposes what it would have proposed, two machines of one study never draw the
same, and `random` and `grid` come to the same trials with any number of workers. (`tpe` learns from what has ended, and
with several workers that is a matter of who was first: it is repeatable with one.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from math import gcd
from typing import TYPE_CHECKING, Any, Final

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from btcbot.backtest.optimise.ranges import Range
from btcbot.errors import Refused

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, TrialState

SAMPLERS: Final = ("tpe", "random", "grid")
PRUNERS: Final = ("none", "median", "halving", "hyperband")
#: Quarters of the training stretch after which a pruner is asked; the last is the whole of it.
RUNGS: Final = (1, 2, 4)
#: The user attribute that holds a trial's seat.
SEAT: Final = "seat"
SEED_MAX: Final = 2**32


def make_sampler(name: str, seed: int, ranges: Sequence[Range]) -> BaseSampler:
    """The sampler of that name. `grid` needs ranges whose values can be counted."""
    match name:
        case "tpe":
            return Seated(seed, lambda drawn: TPESampler(seed=drawn, multivariate=True, constant_liar=True))
        case "random":
            return Seated(seed, lambda drawn: RandomSampler(seed=drawn))
        case "grid":
            return Grid(seed, ranges)
    raise Refused(f"--sampler {name}: there are {', '.join(SAMPLERS)}")


def make_pruner(name: str) -> BasePruner:
    """The pruner of that name; each is asked after a quarter and after half of the training stretch."""
    match name:
        case "none":
            return NopPruner()
        case "median":
            return MedianPruner(n_startup_trials=5)
        case "halving":
            return SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
        case "hyperband":
            return HyperbandPruner(min_resource=1, max_resource=RUNGS[-1], reduction_factor=2)
    raise Refused(f"--pruner {name}: there are {', '.join(PRUNERS)}")


def seat_of(trial: FrozenTrial) -> int:
    """The trial's place in the study, counted from 0; one that takes the place of a lost one has that one's."""
    return int(trial.user_attrs.get(SEAT, trial.number))


class Seated(BaseSampler):
    """Another sampler, made anew for each trial from the seed and the trial's seat."""

    def __init__(self, seed: int, make: Callable[[int], BaseSampler]) -> None:
        self._seed = seed
        self._make = make
        self._inner = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        drawn = hashlib.sha256(f"{self._seed} {seat_of(trial)}".encode()).digest()
        self._inner = self._make(int.from_bytes(drawn[:4], "big"))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Nothing is learned here: what was learned is read from the study."""


class Grid(BaseSampler):
    """Every combination once, in an order that jumps about, so that a part of the grid lies all over it."""

    def __init__(self, seed: int, ranges: Sequence[Range]) -> None:
        for one in ranges:
            if one.size is None:
                raise Refused(
                    f"--sampler grid: «{one.name}={one}» has no end of values; give a step, {one.name}=LOW..HIGH:STEP"
                )
        self._ranges = ranges
        self.size = grid_size(ranges) or 1
        # Steps of one length go once round before they come to where they began, if it shares no divisor with the size.
        self._stride = next(
            stride for stride in range(max(1, int(self.size * 0.618)), 2 * self.size + 2) if gcd(stride, self.size) == 1
        )
        self._first = seed % self.size

    def point(self, seat: int) -> Mapping[str, str]:
        """The texts of one combination."""
        index = (self._first + seat * self._stride) % self.size
        texts = {}
        for one in self._ranges:
            index, at = divmod(index, one.size or 1)
            texts[one.name] = one.at(at)
        return texts

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {one.name: one.distribution() for one in self._ranges}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        point = self.point(seat_of(trial))
        return {one.name: one.internal(point[one.name]) for one in self._ranges}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.sample_relative(study, trial, {})[param_name]


def grid_size(ranges: Sequence[Range]) -> int | None:
    """How many combinations there are; None where there is no end of them."""
    size = 1
    for one in ranges:
        if one.size is None:
            return None
        size *= one.size
    return size
