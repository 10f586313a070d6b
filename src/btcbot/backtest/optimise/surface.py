"""The values of a search over its two most telling parameters: is the best a hill, or a needle?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.backtest.optimise.ranges import Range
from btcbot.backtest.optimise.study import TrialRow

#: A longer axis is cut into so many parts.
PARTS_MAX: Final = 10


class Cell(msgspec.Struct, frozen=True):
    """Complete trials whose parameters lie there: how many, the mean of their values, and the best."""

    trials: int
    mean: float
    best: float


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter and the labels of its parts, ascending."""

    name: str
    labels: tuple[str, ...]


class Surface(msgspec.Struct, frozen=True, kw_only=True):
    """`cells` by the number of the part on the x axis and on the y axis; where nothing was tried there is none. The y
    axis has a single part where only one parameter was searched."""

    x: Axis
    y: Axis
    cells: Mapping[tuple[int, int], Cell]


def surface_of(rows: Sequence[TrialRow], ranges: Sequence[Range], importances: Mapping[str, float]) -> Surface | None:
    """Over the two parameters of the most importance; None where no trial is complete."""
    complete = [row for row in rows if row.state == "complete" and row.value is not None]
    searched = [one for one in ranges if not one.is_fixed]
    ranked = sorted(searched, key=lambda one: -importances.get(one.name, 0.0))
    if not complete or not ranked:
        return None
    first, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    values: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for row in complete:
        at = (
            _part(first, row.parameters[first.name]),
            0 if second is None else _part(second, row.parameters[second.name]),
        )
        values[at].append(row.value or 0.0)
    cells = {at: Cell(len(found), math.fsum(found) / len(found), max(found)) for at, found in values.items()}
    y = Axis(name="", labels=("",)) if second is None else Axis(name=second.name, labels=_labels(second))
    return Surface(x=Axis(name=first.name, labels=_labels(first)), y=y, cells=cells)


def _is_counted(one: Range) -> bool:
    return one.size is not None and one.size <= PARTS_MAX


def _labels(one: Range) -> tuple[str, ...]:
    if _is_counted(one):
        return tuple(one.at(index) for index in range(one.size or 0))
    if one.size is not None:
        return tuple(f"{one.at(-(-part * one.size // PARTS_MAX))}…" for part in range(PARTS_MAX))
    edges = [_at_share(one, part / PARTS_MAX) for part in range(PARTS_MAX)]
    return tuple(f"{edge:.4g}…" for edge in edges)


def _at_share(one: Range, share: float) -> float:
    low, high = float(one.low), float(one.high)
    return low * (high / low) ** share if one.is_log else low + (high - low) * share


def _part(one: Range, text: str) -> int:
    """The number of the part in which a value lies."""
    if _is_counted(one):
        return _labels(one).index(text)
    if one.size is not None:  # more values than parts: they share them, in their order
        index = one.choices.index(text) if one.choices else int((Decimal(text) - one.low) / (one.step or Decimal(1)))
        return index * PARTS_MAX // one.size
    low, high, value = float(one.low), float(one.high), float(text)
    share = math.log(value / low) / math.log(high / low) if one.is_log else (value - low) / (high - low)
    return min(PARTS_MAX - 1, max(0, int(share * PARTS_MAX)))
