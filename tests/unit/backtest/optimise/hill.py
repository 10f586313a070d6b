"""A backtest that is a formula. Workers import this alone: it needs no library of a search."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from btcbot.backtest.optimise.evaluation import Evaluate, Scores, Unfit
from btcbot.errors import Refused


class Hill(msgspec.Struct, frozen=True, kw_only=True):
    """Returns are highest at x = 40, y = 2.5, and a tenth of it on data that begin later. Each run is noted in `log`.

    `raises_from`: x from which the strategy raises; `unfit_from`: from which it cannot be made; `kills_at`: at which
    its process dies, the first time only if `dies_once`; `idle_below`: below which it never trades.
    """

    log: str = ""
    raises_from: int = 1_000
    unfit_from: int = 1_000
    idle_below: int = -1
    kills_at: int = -1
    dies_once: bool = True
    takes_s: float = 0.0

    def open(self) -> Evaluate:
        return self.evaluate

    def evaluate(self, parameters: Mapping[str, str], start_ms: int, end_ms: int) -> Scores:
        x, y = int(parameters["x"]), float(parameters.get("y", "2.5"))
        time.sleep(self.takes_s)
        if x == self.kills_at and not (self.dies_once and "killed" in self.lines()):
            self.note("killed")
            os.kill(os.getpid(), signal.SIGKILL)
        if x >= self.unfit_from:
            raise Unfit(f"x={x} must be below {self.unfit_from}")
        self.note(f"{x} {y} {start_ms} {end_ms}")
        if x >= self.raises_from:
            raise ZeroDivisionError(f"x is {x}")
        if x < self.idle_below:
            return Scores({"return": 0.0, "sharpe": None}, {"sharpe": "every day has the same return"})
        height = 1.0 - (x - 40) ** 2 / 2_000 - (y - 2.5) ** 2 / 100
        share = 1.0 if start_ms == 0 else 0.1
        return Scores({"return": height * share, "sharpe": height * share * 2, "fills": 3.0})

    def note(self, line: str) -> None:
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{line}\n")

    def lines(self) -> list[str]:
        return Path(self.log).read_text().splitlines() if Path(self.log).exists() else []


class Unopened(Hill):
    """Whatever a worker needs is not there."""

    def open(self) -> Evaluate:
        raise Refused("the data are gone")
