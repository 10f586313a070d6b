"""Worker processes that run backtests. They know nothing of studies and storages: a question comes, an answer goes.

Each is a new interpreter (a copy of this one would bring its threads' locks along) and loads the data once. One that is
killed is noticed at once, named, and replaced.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Final, Literal, Protocol

import msgspec

from btcbot.backtest.optimise.evaluation import Evaluate, Opening, Scores, Unfit
from btcbot.errors import BtcbotError

#: A reason is a line in a table.
REASON_CHARACTERS_MAX: Final = 300
END_WAIT_S: Final = 5.0


class Question(msgspec.Struct, frozen=True):
    """One backtest: parameters as texts, from `start_ms` to before `end_ms`."""

    parameters: dict[str, str]
    start_ms: int
    end_ms: int


class Answer(msgspec.Struct, frozen=True):
    """What came of it. `died`: the process ended without an answer. `text` is the reason, where there are no scores."""

    kind: Literal["scores", "unfit", "failed", "died"]
    scores: Scores = Scores({})
    text: str = ""


class HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Worker:
    """One process, and what it was asked."""

    def __init__(self, opening: Opening) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        with contextlib.suppress(OSError):  # it died at once: the first look at it finds out
            self.connection.send(opening)
        self.is_ready = False
        #: Whoever asked, as the asker knows it; None while nothing is asked.
        self.asked_by: object = None

    def ask(self, question: Question, asked_by: object) -> None:
        assert self.asked_by is None and self.is_ready, "one question at a time"
        self.asked_by = asked_by
        try:
            self.connection.send(question)
        except OSError:
            return  # it died in this moment: the next look at it finds out

    def end(self) -> None:
        self.process.terminate()
        self.process.join(END_WAIT_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


class Pool:
    """So many workers. Use as a context: they end with it."""

    def __init__(self, opening: Opening, count: int) -> None:
        self._opening = opening
        self.workers: list[Worker] = [Worker(self._opening) for _ in range(count)]

    def idle(self) -> list[Worker]:
        return [each for each in self.workers if each.is_ready and each.asked_by is None]

    def is_busy(self) -> bool:
        return any(each.asked_by is not None or not each.is_ready for each in self.workers)

    def wait(self, timeout_s: float, *also: HasDescriptor) -> list[tuple[object, Answer]]:
        """Answers with whoever asked, after at most `timeout_s`, or when one of `also` can be read.

        BtcbotError when a worker cannot start.
        """
        # The library waits for whatever has a descriptor; its types name three that have.
        watched: list[Any] = [*(each.connection for each in self.workers), *also]
        ready = set(map(id, wait(watched, timeout_s)))
        answers = []
        for number, worker in enumerate(self.workers):
            if id(worker.connection) not in ready:
                continue
            answer = _answer(worker)
            if not worker.is_ready:
                if answer.kind != "scores":
                    raise BtcbotError(f"a worker could not start: {answer.text}")
                worker.is_ready = True
                continue
            asked_by, worker.asked_by = worker.asked_by, None
            if answer.kind == "died":
                worker.end()
                self.workers[number] = Worker(self._opening)
            if asked_by is not None:
                answers.append((asked_by, answer))
        return answers

    def close(self) -> None:
        for worker in self.workers:
            worker.process.terminate()  # all at once; then each is waited for
        for worker in self.workers:
            worker.end()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _answer(worker: Worker) -> Answer:
    try:
        answer = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(END_WAIT_S)
        return Answer("died", text=_ending(worker.process.exitcode))
    assert isinstance(answer, Answer), "workers send answers"
    return answer


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        return f"its worker was killed ({signal.Signals(-status).name})"
    return f"its worker ended with status {status}"


# -- in the worker ---------------------------------------------------------------------------------------------------


def _work(connection: Connection) -> None:
    """Load, say so, then answer until nobody asks any more. An end of the asker is an end of this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the keyboard's interrupt is for the asker; it ends the others
    # Each worker is one thread of work: libraries that would take every core for it are told not to.
    for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    try:
        opening: Opening = connection.recv()  # only now are modules imported that heed the words above
        evaluate = opening.open()
    except BtcbotError as error:
        connection.send(Answer("failed", text=" ".join(str(error).split())))
        return
    except (EOFError, BrokenPipeError):
        return
    connection.send(Answer("scores"))
    while True:
        try:
            question = connection.recv()
        except (EOFError, OSError):
            return
        try:
            connection.send(answer(evaluate, question))
        except OSError:
            return


def answer(evaluate: Evaluate, question: Question) -> Answer:
    """Whatever a strategy does, its trial fails with the reason and the search goes on."""
    try:
        scores = evaluate(question.parameters, question.start_ms, question.end_ms)
    except Unfit as error:
        return Answer("unfit", text=_reason(str(error)))
    except BtcbotError as error:
        return Answer("failed", text=_reason(str(error)))
    except Exception as error:  # noqa: BLE001 - the code of a strategy may raise anything
        return Answer("failed", text=_reason(f"{type(error).__name__}: {error}"))
    return Answer("scores", scores)


def _reason(text: str) -> str:
    """One line of limited length."""
    line = " ".join(text.split())
    return line if len(line) <= REASON_CHARACTERS_MAX else f"{line[:REASON_CHARACTERS_MAX]}…"
