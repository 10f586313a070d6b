"""What the plan's catalogue of faults names and the simulation does not do: why, and until when.

An entry either waits for a feature (`until`: a test fails as soon as one of those modules or names exists, so that a
feature cannot land without its faults), or is proved by other means (`proved_by`: tests or parts of the proof, which
have to exist).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    why: str
    #: Modules, or names in modules (`module:name`), that do not exist yet.
    until: tuple[str, ...] = ()
    #: Files of this project.
    proved_by: tuple[str, ...] = ()


ABSENT: Final[Mapping[str, Absent]] = {
    "PostgreSQL: a lost connection, a lost lease, a failover": Absent(
        why="the books are in SQLite",
        until=("btcbot.adapters.store.postgres", "btcbot.adapters.store.postgresql", "btcbot.adapters.store.pg"),
    ),
    "public trades: late, missing, repeated": Absent(
        why="only paper reads them, and a world trades", proved_by=("tests/process/test_paper.py",)
    ),
    "lists older than the settle horizon": Absent(
        why="limits are then not promised; what is seen late is adopted all the same",
        proved_by=("tests/scenario/test_lagging_lists.py",),
    ),
    "a trade taken back": Absent(
        why="the books unbook nothing: it goes to suspense, and a person has to explain it and to release the position",
        proved_by=("tests/simulation/test_bust.py",),
    ),
    "two of our orders under one id of the venue, for good": Absent(
        why="the books take a venue's order id for unique, and their proof calls two of them damage",
        proved_by=("tests/unit/store/test_failing.py",),
    ),
    "one request placed twice by the venue": Absent(
        why="the bot halts on it, which ends a world", proved_by=("tests/scenario/test_halts.py",)
    ),
    "corrupt page, missing file, other schema, log left behind, backup while open": Absent(
        why="the books of a world live in memory",
        proved_by=("tests/unit/store/test_opening.py", "tests/unit/store/test_failing.py"),
    ),
    "power lost": Absent(why="the books of a world live in memory", proved_by=("proof/power_loss.py",)),
    "second instance": Absent(
        why="a world has one process at a time", proved_by=("tests/process/test_survival.py",)
    ),
    "leap second, text of summer time": Absent(
        why="all time is Unix milliseconds; only the day of a loss has a zone",
        proved_by=("tests/scenario/test_daily_loss.py",),
    ),
}  # fmt: skip
