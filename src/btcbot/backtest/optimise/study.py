"""One study: the trials of one window, shared by everybody who works on it.

A study has as many *seats* as trials were asked for. Whoever is free claims the next one, exclusively; a trial whose
owner has ended without telling its result is *lost*, and its seat is given to somebody else with the same parameters.
So there are exactly as many results as seats, whoever died on the way.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple

import msgspec
import optuna
from optuna.trial import FrozenTrial, TrialState

from btcbot.backtest.optimise.evaluation import Metrics
from btcbot.backtest.optimise.ranges import Range
from btcbot.backtest.optimise.samplers import SEAT, seat_of
from btcbot.backtest.optimise.storage import StudyStorage
from btcbot.errors import Refused

#: Attributes of a study and of its trials.
IDENTITY: Final = "btcbot"
TESTED: Final = "tested"
OWNER: Final = "owner"
PARAMETERS: Final = "parameters"
METRICS: Final = "metrics"
REASON: Final = "reason"
LOST: Final = "lost"
LOSSES: Final = "losses"
SAME_AS: Final = "same_as"
#: A trial that ended its worker so often is not tried again.
LOSSES_MAX: Final = 3

State = Literal["complete", "pruned", "failed", "lost", "running", "waiting"]
_STATES: Final[Mapping[TrialState, State]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


class TrialRow(msgspec.Struct, frozen=True, kw_only=True):
    """A trial as reports show it. `value` is the objective, larger is better; `wall_s` None while it has not ended."""

    number: int
    seat: int
    state: State
    parameters: Mapping[str, str]
    value: float | None = None
    metrics: Metrics = {}
    reason: str = ""
    same_as: int | None = None
    wall_s: float | None = None


class Claim(NamedTuple):
    """A trial that is ours to run."""

    trial: optuna.Trial
    parameters: Mapping[str, str]


class Tested(NamedTuple):
    """How a window's best did on what it had not seen; `reason` where the backtest failed there."""

    metrics: Metrics
    reason: str


class SharedStudy:
    """A study in a storage. `identity` says what is searched, part by part: a study of anything else is refused."""

    def __init__(
        self,
        storage: StudyStorage,
        name: str,
        identity: Mapping[str, str],
        ranges: Sequence[Range],
        sampler: optuna.samplers.BaseSampler,
        pruner: optuna.pruners.BasePruner,
    ) -> None:
        self.name = name
        self._storage = storage
        self._ranges = ranges
        self._distributions = {one.name: one.distribution() for one in ranges}
        how: dict[str, Any] = {"sampler": sampler, "pruner": pruner, "storage": storage.optuna, "study_name": name}
        with storage.exclusive(name), _quiet():
            try:
                self._study = optuna.load_study(**how)
            except KeyError:
                self._study = optuna.create_study(direction="maximize", **how)
            known = self._study.user_attrs.get(IDENTITY)
            if known is None and not self._study.get_trials(deepcopy=False):
                self._study.set_user_attr(IDENTITY, dict(identity))
            else:
                _demand_same(name, known, identity)

    # -- working on it -----------------------------------------------------------------------------------------------

    def claim(self, seats: int) -> Claim | None:
        """The next trial to run, ours from now on; None when each of the `seats` is taken."""
        with self._storage.exclusive(self.name), _quiet():
            trials = self._study.get_trials(deepcopy=False)
            for trial in trials:
                if trial.state == TrialState.RUNNING and not self._storage.is_alive(trial.user_attrs.get(OWNER, "")):
                    self._lose(trial, "its process ended")
                    trials = self._study.get_trials(deepcopy=False)
            taken = sum(LOST not in trial.user_attrs for trial in trials)
            if not any(trial.state == TrialState.WAITING for trial in trials):
                if taken >= seats:
                    return None
                self._study.enqueue_trial({}, user_attrs={SEAT: taken})
            claimed = self._study.ask(self._distributions)
            claimed.set_user_attr(OWNER, self._storage.owner)
            parameters = {one.name: one.text(claimed.params[one.name]) for one in self._ranges}
            claimed.set_user_attr(PARAMETERS, parameters)
        return Claim(claimed, parameters)

    def known(self, claim: Claim) -> TrialRow | None:
        """A complete trial of the very same parameters: the same question has the same answer."""
        with _quiet():
            trials = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        same = (trial for trial in trials if trial.user_attrs.get(PARAMETERS) == claim.parameters)
        return next(map(_row, same), None)

    def should_prune(self, claim: Claim, step: int, value: float) -> bool:
        """Tell how it stands after a part of the way; whether it is to be given up."""
        with _quiet():
            claim.trial.report(value, step)
            return claim.trial.should_prune()

    def complete(self, claim: Claim, value: float, metrics: Metrics, same_as: int | None = None) -> None:
        self._tell(claim, {METRICS: _finite(metrics), SAME_AS: same_as}, TrialState.COMPLETE, value)

    def prune(self, claim: Claim, reason: str, metrics: Metrics, same_as: int | None = None) -> None:
        self._tell(claim, {METRICS: _finite(metrics), REASON: reason, SAME_AS: same_as}, TrialState.PRUNED)

    def fail(self, claim: Claim, reason: str) -> None:
        self._tell(claim, {REASON: reason}, TrialState.FAIL)

    def _tell(
        self, claim: Claim, attributes: Mapping[str, object], state: TrialState, value: float | None = None
    ) -> None:
        # Somebody may have taken us for dead, because the connection broke: then the seat has another result.
        with _quiet(), contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            for name, attribute in attributes.items():
                if attribute not in (None, {}):
                    claim.trial.set_user_attr(name, attribute)
            self._study.tell(claim.trial, value, state=state, skip_if_finished=True)

    def lose(self, claim: Claim, reason: str, *, is_its_fault: bool = True) -> None:
        """Give the seat back. A trial that ends its worker again and again fails in the end."""
        with self._storage.exclusive(self.name), _quiet():
            number = claim.trial.number
            trial = next(each for each in self._study.get_trials(deepcopy=False) if each.number == number)
            self._lose(trial, reason, is_its_fault=is_its_fault)

    def _lose(self, trial: FrozenTrial, reason: str, *, is_its_fault: bool = True) -> None:
        losses = int(trial.user_attrs.get(LOSSES, 0)) + is_its_fault
        optuna_storage, at = self._storage.optuna, trial._trial_id
        try:
            optuna_storage.set_trial_user_attr(at, REASON, f"{reason}, {losses} times" if losses > 1 else reason)
            if losses < LOSSES_MAX:
                optuna_storage.set_trial_user_attr(at, LOST, value=True)
            optuna_storage.set_trial_state_values(at, TrialState.FAIL)
        except optuna.exceptions.UpdateFinishedTrialError:
            return  # it was told in the last moment
        if losses < LOSSES_MAX:
            self._study.enqueue_trial(trial.params, user_attrs={SEAT: seat_of(trial), LOSSES: losses})

    # -- what has come of it -----------------------------------------------------------------------------------------

    def rows(self) -> list[TrialRow]:
        """Every trial, lost ones too, in the order in which they were claimed."""
        with _quiet():
            return [_row(trial) for trial in self._study.get_trials(deepcopy=False)]

    def best(self) -> TrialRow | None:
        """The complete trial of the highest value; of equals, the first."""
        complete = [row for row in self.rows() if row.state == "complete" and row.value is not None]
        return max(complete, key=lambda row: (row.value or 0.0, -row.seat), default=None)

    def is_finished(self, seats: int) -> bool:
        """Whether each seat has its result."""
        states = [row.state for row in self.rows()]
        return len(states) - states.count("lost") >= seats and not {"running", "waiting"} & set(states)

    def tested(self, number: int) -> Tested | None:
        """How the trial of that number did on the test stretch, where somebody has looked."""
        found = self._study.user_attrs.get(f"{TESTED} {number}")
        return None if found is None else Tested(found["metrics"], found["reason"])

    def set_tested(self, number: int, metrics: Metrics, reason: str = "") -> None:
        with _quiet():
            self._study.set_user_attr(f"{TESTED} {number}", {"metrics": _finite(metrics), "reason": reason})

    def importances(self) -> Mapping[str, float]:
        """How much each parameter has to do with being among the best tenth; together 1. Empty for too few trials."""
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        searched = [one.name for one in self._ranges if not one.is_fixed]
        complete = [row for row in self.rows() if row.state == "complete"]
        if len({row.value for row in complete}) < 2:
            return {}
        with _quiet():
            try:
                found = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator(), params=searched)
            except (ValueError, RuntimeError, ZeroDivisionError):
                return {}  # too few trials to tell
        return {name: float(found[name]) for name in found} if all(map(math.isfinite, found.values())) else {}


def _row(trial: FrozenTrial) -> TrialRow:
    attributes = trial.user_attrs
    duration = trial.duration
    return TrialRow(
        number=trial.number,
        seat=seat_of(trial),
        state="lost" if LOST in attributes else _STATES[trial.state],
        parameters=attributes.get(PARAMETERS, {}),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        metrics=attributes.get(METRICS, {}),
        reason=attributes.get(REASON, ""),
        same_as=attributes.get(SAME_AS),
        wall_s=duration.total_seconds() if duration is not None else None,
    )


def _finite(metrics: Metrics) -> dict[str, float | None]:
    """JSON has no infinity."""
    return {name: one if one is not None and math.isfinite(one) else None for name, one in metrics.items()}


def _demand_same(name: str, known: object, identity: Mapping[str, str]) -> None:
    if not isinstance(known, dict):
        raise Refused(f"study «{name}» was not made by btcbot optimise; give --study another name")
    for part, value in identity.items():
        if known.get(part) != value:
            raise Refused(
                f"study «{name}» is another search: its {part} is «{known.get(part, 'not told')}», here it is "
                f"«{value}»; give --study another name, or search the same"
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna warns of what it calls experimental; nobody who reads our output can do anything about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
