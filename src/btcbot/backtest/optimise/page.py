"""The page of a search: one HTML file that needs nothing else, and loads nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from typing import Final, NamedTuple

from btcbot.adapters.replay.load import moment
from btcbot.backtest.findings import percent, ratio
from btcbot.backtest.optimise.outcome import Outcome
from btcbot.backtest.optimise.surface import Cell, Surface

#: Heat maps on the page, of the newest windows; the tables hold all of them.
SURFACES_MAX: Final = 12
#: The best trials that the page lists.
ROWS_MAX: Final = 20
REASONS_MAX: Final = 10
_NUMBERS: Final = re.compile(r"[0-9.]+")
CELL_W, CELL_H, LEFT, TOP, BOTTOM = 74, 30, 96, 8, 46


class Tile(NamedTuple):
    """One cell of a heat map. `share` is 1 for the mean that is farthest from nothing; red or green, and how much."""

    x: int
    y: int
    text: str
    hint: str
    is_loss: bool
    share: float


class Label(NamedTuple):
    x: int
    y: int
    text: str


class Heat(NamedTuple):
    """A heat map as things to draw."""

    title: str
    width: int
    height: int
    x_name: str
    y_name: str
    tiles: list[Tile]
    labels_x: list[Label]
    labels_y: list[Label]


def render(outcome: Outcome) -> str:
    """The whole page. What strategies and people named is escaped."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(value=lambda one: value(outcome.objective, one), percent=percent, ratio=ratio)
    environment.filters.update(day=lambda ms: moment(ms)[:16], metric=lambda one, name: metric(name, one))
    last = [(number, each) for number, each in enumerate(outcome.windows, 1) if each.surface is not None]
    heats = [
        heat_of(each.surface, outcome.objective, f"Window {number}" if len(outcome.windows) > 1 else "")
        for number, each in last[-SURFACES_MAX:]
        if each.surface is not None
    ]
    text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    chosen = outcome.chosen
    best = sorted(
        (row for row in (chosen.rows if chosen is not None else []) if row.value is not None),
        key=lambda row: (-(row.value or 0.0), row.number),
    )
    return environment.from_string(text).render(
        outcome=outcome,
        chosen=chosen,
        counts=outcome.counts,
        heats=heats,
        best=best[:ROWS_MAX],
        metrics=_shown_metrics(outcome),
        hidden_surfaces=max(0, len(last) - SURFACES_MAX),
        inside=outcome.mean_of(outcome.objective, is_test=False),
        outside=outcome.mean_of(outcome.objective, is_test=True),
        without=_without_value(outcome),
    )


#: Metrics that are shares, shown in percent.
_SHARES: Final = frozenset({"return", "max_drawdown", "exposure", "hold_return"})
_COUNTS: Final = frozenset({"fills", "round_trips"})


def metric(name: str, one: float | None) -> str:
    """A metric for people."""
    if one is not None and name in _COUNTS:
        return f"{one:,.0f}"
    return percent(one, signed=name == "return") if name in _SHARES else ratio(one)


def value(objective: str, one: float | None) -> str:
    """The objective for people."""
    return metric(objective, one)


def _shown_metrics(outcome: Outcome) -> list[str]:
    wanted = ("return", "sharpe", "max_drawdown", "fills", "hold_return")
    return [name for name in wanted if name != outcome.objective]


def _without_value(outcome: Outcome) -> Mapping[str, int]:
    """Why trials have no value, by example, and how many, the most frequent first."""
    reasons: Counter[str] = Counter()
    first: dict[str, str] = {}
    for window in outcome.windows:
        for row in window.rows:
            if row.reason and row.state != "complete":
                # Reasons that differ in their numbers alone are one; the first of them is shown.
                kind = _NUMBERS.sub("", f"{row.state}: {row.reason}")
                first.setdefault(kind, f"{row.state}: {row.reason}")
                reasons[kind] += 1
    return {first[kind]: count for kind, count in reasons.most_common(REASONS_MAX)}


def heat_of(surface: Surface, objective: str, title: str) -> Heat:
    """The heat map of a surface: losses red, gains green, the deeper the farther from nothing."""
    means = [cell.mean for cell in surface.cells.values()]
    # Where some lose and some gain, nothing is the pale middle; where all gain, or all lose, the least of them is.
    away = [abs(mean) for mean in means]
    least, most = (0.0 if min(means) < 0 <= max(means) else min(away)), max(away)
    columns, lines = len(surface.x.labels), len(surface.y.labels)
    tiles = []
    for (x, y), cell in sorted(surface.cells.items()):
        share = (abs(cell.mean) - least) / (most - least) if most > least else 1.0
        at_y = TOP + (lines - 1 - y) * CELL_H
        text, hint = metric(objective, cell.mean), _hint(surface, x, y, cell, objective)
        tiles.append(Tile(LEFT + x * CELL_W, at_y, text, hint, cell.mean < 0, share))
    middle = TOP + lines * CELL_H
    return Heat(
        title=title,
        width=LEFT + columns * CELL_W + 8,
        height=middle + BOTTOM,
        x_name=surface.x.name,
        y_name=surface.y.name,
        tiles=tiles,
        labels_x=[
            Label(LEFT + at * CELL_W + CELL_W // 2, middle + 16, text) for at, text in enumerate(surface.x.labels)
        ],
        labels_y=[
            Label(LEFT - 8, TOP + (lines - 1 - at) * CELL_H + CELL_H // 2 + 4, text)
            for at, text in enumerate(surface.y.labels)
        ],
    )


def _hint(surface: Surface, x: int, y: int, cell: Cell, objective: str) -> str:
    where = f"{surface.x.name} {surface.x.labels[x]}"
    if surface.y.name:
        where += f", {surface.y.name} {surface.y.labels[y]}"
    trials = f"{cell.trials} trial{'' if cell.trials == 1 else 's'}"
    return f"{where}: mean {metric(objective, cell.mean)}, best {metric(objective, cell.best)}, {trials}"
