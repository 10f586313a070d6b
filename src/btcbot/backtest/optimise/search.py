"""The search: claims trials, has workers run them, tells the study, and judges each window's best on unseen data.

Windows are searched one after the other, each in a study of its own that sees its training stretch and nothing else;
what the sampler proposes for one window never rests on data that another window is judged by. A worker that finds no
trial left in one goes on to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from btcbot.backtest.optimise.evaluation import Opening
from btcbot.backtest.optimise.samplers import RUNGS
from btcbot.backtest.optimise.study import LOSSES_MAX, Claim, SharedStudy, TrialRow
from btcbot.backtest.optimise.windows import Window
from btcbot.backtest.optimise.workers import Answer, HasDescriptor, Pool, Question, Worker

#: How often a search looks whether others have given something back, in seconds.
LOOK_EVERY_S: Final = 0.5
#: So many failures before the first success end a search: the range, or the strategy, is wrong.
FAILURES_FIRST_MAX: Final = 25


class Stop(HasDescriptor, Protocol):
    def is_set(self) -> bool: ...


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a search: `seats` trials in each study, `objective` by name, workers, and whether to prune."""

    seats: int
    objective: str
    workers: int
    with_rungs: bool


class Progress(NamedTuple):
    """`done` of `total` trials have a result, over all windows; `best` of the window that was told last."""

    done: int
    total: int
    best: float | None


class Ended(NamedTuple):
    """How a search came to its end; `reason` where it did not come to a good one."""

    how: Literal["finished", "interrupted", "hopeless"]
    reason: str
    wall_s: float
    ran: int


class _Asked(NamedTuple):
    """A question on its way, and what for. `rung` counts quarters of the training stretch; `tested` is a trial's
    number where its test stretch is played."""

    window: int
    claim: Claim | None
    rung: int
    tested: int | None
    question: Question


class Search:
    """One machine's part in it."""

    def __init__(
        self, order: Order, windows: Sequence[Window], studies: Sequence[SharedStudy], opening: Opening
    ) -> None:
        self._order = order
        self._windows = windows
        self._studies = studies
        self._opening = opening
        self._tested: set[int] = set()
        self._testing: set[int] = set()
        self._rows = [_ended(study.rows()) for study in studies]
        self._deaths = 0
        #: Windows that have no free seat, as far as we know.
        self._full: set[int] = set()
        self._finished: set[int] = set()
        self._looked_at = 0.0
        self._waiting: list[_Asked] = []
        self._ran = 0
        self._stop: Stop | None = None
        self._watch: Callable[[Progress], None] | None = None

    def run(self, stop: Stop | None = None, watch: Callable[[Progress], None] | None = None) -> Ended:
        """Until every seat has its result and every best its judgement, or `stop` is set. Whatever was told is kept."""
        started = time.perf_counter()
        also = () if stop is None else (stop,)
        self._stop, self._watch = stop, watch
        self._say(0)
        if self._is_done():
            return Ended("finished", "", 0.0, 0)
        with Pool(self._opening, min(self._order.workers, self._order.seats * len(self._windows))) as pool:
            try:
                while not self._is_stopped():
                    for worker in pool.idle():
                        if not self._employ(worker):
                            break
                    if not pool.is_busy() and self._is_done():
                        return self._ended("finished", started)
                    if hopeless := self._hopeless():
                        return self._ended("hopeless", started, hopeless)
                    for asked, answer in pool.wait(LOOK_EVERY_S, *also):
                        assert isinstance(asked, _Asked), "we asked"
                        self._hear(asked, answer)
                return self._ended("interrupted", started)
            finally:
                self._give_back(pool)

    def _is_stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def _ended(self, how: Literal["finished", "interrupted", "hopeless"], started: float, reason: str = "") -> Ended:
        return Ended(how, reason, time.perf_counter() - started, self._ran)

    # -- what to do next ---------------------------------------------------------------------------------------------

    def _employ(self, worker: Worker) -> bool:
        """Give a free worker something to do; False when there is nothing now."""
        asked = self._waiting.pop(0) if self._waiting else self._next()
        if asked is None:
            return False
        worker.ask(asked.question, asked)
        return True

    def _next(self) -> _Asked | None:
        """The next trial, or the judgement of a window's best."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._full.clear()  # somebody who died may have left a seat
            self._looked_at = now
        for number, study in enumerate(self._studies):
            if number not in self._finished and number not in self._full:
                if (asked := self._claim(number, study)) is not None:
                    return asked
                if study.is_finished(self._order.seats):
                    self._finished.add(number)
            if number in self._finished and (asked := self._judge(number, study)) is not None:
                return asked
        return None

    def _claim(self, number: int, study: SharedStudy) -> _Asked | None:
        """A trial to run. One whose answer is known is told at once."""
        while not self._is_stopped() and (claim := study.claim(self._order.seats)) is not None:
            known = study.known(claim)
            if known is None or known.value is None:
                return self._rung(number, claim, RUNGS[0] if self._order.with_rungs else RUNGS[-1])
            study.complete(claim, known.value, known.metrics, same_as=known.number)
            self._say(number)
        self._full.add(number)
        return None

    def _rung(self, number: int, claim: Claim, rung: int) -> _Asked:
        window = self._windows[number]
        span = window.train_end_ms - window.train_start_ms
        end_ms = window.train_start_ms + span * rung // RUNGS[-1]
        return _Asked(number, claim, rung, None, Question(dict(claim.parameters), window.train_start_ms, end_ms))

    def _judge(self, number: int, study: SharedStudy) -> _Asked | None:
        """The best of a finished window, on its test stretch, unless somebody has."""
        if number in self._tested or number in self._testing:
            return None
        best = study.best()
        if best is None or study.tested(best.number) is not None:
            self._tested.add(number)
            return None
        self._testing.add(number)
        window = self._windows[number]
        question = Question(dict(best.parameters), window.test_start_ms, window.test_end_ms)
        return _Asked(number, None, 0, best.number, question)

    def _is_done(self) -> bool:
        return all(
            study.is_finished(self._order.seats)
            and ((best := study.best()) is None or study.tested(best.number) is not None)
            for study in self._studies
        )

    def _hopeless(self) -> str:
        """Why it is no use to go on: a window's first trials have all failed."""
        for rows in self._rows:
            if len(rows) >= FAILURES_FIRST_MAX and all(row.state == "failed" for row in rows):
                return f"the first {len(rows)} trials all failed: {rows[0].reason}"
        return ""

    # -- what was answered -------------------------------------------------------------------------------------------

    def _hear(self, asked: _Asked, answer: Answer) -> None:
        study = self._studies[asked.window]
        if asked.tested is not None:
            self._testing.discard(asked.window)
            self._deaths += answer.kind == "died"
            if answer.kind != "died" or self._deaths >= LOSSES_MAX:
                study.set_tested(asked.tested, answer.scores.metrics, answer.text)
                self._tested.add(asked.window)
            return
        assert asked.claim is not None, "a trial or a test"
        self._full.discard(asked.window)  # it may have been the last
        if answer.kind == "died":
            study.lose(asked.claim, answer.text)
            return
        if answer.kind == "scores" and asked.rung < RUNGS[-1] and not self._is_pruned(study, asked, answer):
            self._waiting.append(self._rung(asked.window, asked.claim, asked.rung * 2))
            return
        self._ran += 1
        self._tell(study, asked, answer)
        self._say(asked.window)

    def _is_pruned(self, study: SharedStudy, asked: _Asked, answer: Answer) -> bool:
        """Whether a trial is given up after a part of the way. One without a value yet goes on."""
        assert asked.claim is not None, "only trials have rungs"
        value = answer.scores.metrics.get(self._order.objective)
        return value is not None and study.should_prune(asked.claim, asked.rung, value)

    def _tell(self, study: SharedStudy, asked: _Asked, answer: Answer) -> None:
        assert asked.claim is not None, "only trials are told"
        scores, objective = answer.scores, self._order.objective
        value = scores.metrics.get(objective)
        if answer.kind == "failed":
            study.fail(asked.claim, answer.text)
        elif answer.kind == "unfit":
            study.prune(asked.claim, answer.text, {})
        elif asked.rung < RUNGS[-1]:
            study.prune(asked.claim, f"given up after {asked.rung} of {RUNGS[-1]} quarters", scores.metrics)
        elif value is None:
            why = scores.undefined.get(objective, "it is not defined here")
            study.prune(asked.claim, f"no {objective}: {why}", scores.metrics)
        else:
            study.complete(asked.claim, value, scores.metrics)

    def _say(self, number: int) -> None:
        self._rows[number] = _ended(self._studies[number].rows())
        if self._watch is not None:
            values = [row.value for row in self._rows[number] if row.value is not None]
            total = sum(max(self._order.seats, len(rows)) for rows in self._rows)
            self._watch(Progress(sum(map(len, self._rows)), total, max(values, default=None)))

    def _give_back(self, pool: Pool) -> None:
        """Trials that are still on their way are for whoever goes on."""
        on_their_way = [worker.asked_by for worker in pool.workers] + list(self._waiting)
        pool.close()
        for asked in on_their_way:
            if isinstance(asked, _Asked) and asked.claim is not None:
                self._studies[asked.window].lose(asked.claim, "interrupted", is_its_fault=False)


def _ended(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The trials that have a result, even if it is none."""
    return [row for row in rows if row.state in ("complete", "pruned", "failed")]
