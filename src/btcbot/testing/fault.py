"""What a fault is: where it may strike, how often, how hard, and how it is told again.

The words in which `faults`, the catalogue, is written; what each fault does stands there and beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from random import Random
from typing import Literal

import msgspec

from btcbot.testing.bodies import Numbers, Remake

Site = Literal["wire", "point", "beat", "feed"]
#: A kind of `btcturk_sim.faults` and its parameters.
Rule = Callable[[Numbers], tuple[str, Mapping[str, object]]]


class Firing(msgspec.Struct, frozen=True):
    """One fault that struck: the `nth` occasion at `place` in this cycle, with what chance gave it."""

    cycle: int
    place: str
    nth: int
    fault: str
    numbers: Numbers = ()

    def __str__(self) -> str:
        drawn = f" {','.join(map(str, self.numbers))}" if self.numbers else ""
        return f"cycle {self.cycle}: {self.place} #{self.nth}: {self.fault}{drawn}"


class Knowing(StrEnum):
    """Which worlds know a fault."""

    EVERY = "every"
    OVERSEEN = "overseen"  # those whose profile watches over the run
    ADAPTIVE = "adaptive"  # those whose parameters may change
    CHARTS = "charts"  # those whose bot reads candles


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """`ppm` is the range of its rate for one occasion, in parts per million; `at` says which places know it."""

    name: str
    group: str
    what: str
    site: Site
    ppm: tuple[int, int]
    at: Callable[[str], bool]
    draw: Callable[[Random], Numbers]
    #: Where the venue itself plays it.
    rule: Rule | None = None
    #: Where the bot gets another body in place of the venue's.
    remake: Remake | None = None
    knowing: Knowing = Knowing.EVERY


def anywhere(place: str) -> bool:
    return True


def only(*places: str) -> Callable[[str], bool]:
    return lambda place: place in places


def is_private(place: str) -> bool:
    return "/api/v1/" in place


def nothing(random: Random) -> Numbers:
    return ()


def between(*ranges: tuple[int, int]) -> Callable[[Random], Numbers]:
    """One number from each range, ends included."""
    return lambda random: tuple(random.randint(low, high) for low, high in ranges)


def one_of(*choices: int) -> Callable[[Random], Numbers]:
    return lambda random: (random.choice(choices),)


def wire(
    name: str,
    group: str,
    what: str,
    ppm: tuple[int, int],
    at: Callable[[str], bool] = anywhere,
    draw: Callable[[Random], Numbers] = nothing,
    rule: Rule | None = None,
    remake: Remake | None = None,
    knowing: Knowing = Knowing.EVERY,
) -> Fault:
    return Fault(name=name, group=group, what=what, site="wire", ppm=ppm, at=at, draw=draw, rule=rule, remake=remake,
                 knowing=knowing)  # fmt: skip


def point(
    name: str,
    group: str,
    what: str,
    ppm: tuple[int, int],
    at: Callable[[str], bool] = anywhere,
    draw: Callable[[Random], Numbers] = nothing,
) -> Fault:
    return Fault(name=name, group=group, what=what, site="point", ppm=ppm, at=at, draw=draw)


def beat(
    name: str,
    group: str,
    what: str,
    ppm: tuple[int, int],
    draw: Callable[[Random], Numbers] = nothing,
    knowing: Knowing = Knowing.EVERY,
) -> Fault:
    return Fault(name=name, group=group, what=what, site="beat", ppm=ppm, at=anywhere, draw=draw, knowing=knowing)
