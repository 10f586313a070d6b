"""What the tests of the search share: a hill to climb, and studies of it in a folder of the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
from tests.unit.backtest.optimise.hill import Hill

from btcbot.backtest.optimise.ranges import Declared, Range, parse_ranges
from btcbot.backtest.optimise.samplers import make_pruner, make_sampler
from btcbot.backtest.optimise.search import Ended, Order, Search, Stop
from btcbot.backtest.optimise.storage import StudyStorage
from btcbot.backtest.optimise.storage_address import open_storage
from btcbot.backtest.optimise.study import SharedStudy
from btcbot.backtest.optimise.windows import DAY_MS, Window

HILL = (
    Declared(name="x", kind="whole", low=Decimal(0), high=Decimal(100)),
    Declared(name="y", kind="number", low=Decimal(0), high=Decimal(10)),
    Declared(name="side", kind="word", choices=("buy", "sell")),
)
WINDOW = Window(train_start_ms=0, train_end_ms=70 * DAY_MS, test_start_ms=70 * DAY_MS, test_end_ms=100 * DAY_MS)


def ranges(*texts: str) -> tuple[Range, ...]:
    return parse_ranges(texts or ("x=0..100", "y=0..10"), HILL, "hill")


class Table(msgspec.Struct):
    """A study on a table: storage and what is searched in it."""

    storage: StudyStorage
    study: SharedStudy
    windows: Sequence[Window] = (WINDOW,)

    def search(
        self,
        hill: Hill,
        trials: int,
        *,
        workers: int = 1,
        objective: str = "return",
        rungs: bool = False,
        stop: Stop | None = None,
    ) -> Ended:
        order = Order(seats=trials, objective=objective, workers=workers, with_rungs=rungs)
        return Search(order, self.windows, [self.study], hill).run(stop)


def lay(
    address: str | Path,
    *texts: str,
    sampler: str = "tpe",
    pruner: str = "none",
    seed: int = 1,
    name: str = "hill",
    identity: Mapping[str, str] | None = None,
) -> Table:
    """A study of the hill; whoever takes it closes the storage."""
    storage = open_storage(str(address))
    told = identity or {"strategy": "hill"}
    wanted = ranges(*texts)
    study = SharedStudy(storage, name, told, wanted, make_sampler(sampler, seed, wanted), make_pruner(pruner))
    return Table(storage, study)
