"""The heat map: which trials lie in which cell, and what the cell says."""

from __future__ import annotations

from tests.unit.backtest.optimise.hills import ranges

from btcbot.backtest.optimise.page import heat_of
from btcbot.backtest.optimise.study import TrialRow
from btcbot.backtest.optimise.surface import Cell, surface_of


def row(number: int, value: float | None, **parameters: str) -> TrialRow:
    state = "complete" if value is not None else "failed"
    return TrialRow(number=number, seat=number, state=state, parameters=parameters, value=value)  # type: ignore[arg-type]


def test_a_cell_is_the_mean_of_its_trials_and_failures_are_in_none() -> None:
    wanted = ranges("x=0..99", "y=0.01..10:log", "side=buy|sell")
    rows = [
        row(0, 1.0, x="4", y="0.01", side="buy"),
        row(1, 3.0, x="9", y="0.0199", side="sell"),
        row(2, 5.0, x="10", y="10", side="buy"),
        row(3, None, x="50", y="1", side="buy"),
    ]
    found = surface_of(rows, wanted, {"x": 0.5, "y": 0.4, "side": 0.1})
    assert found is not None
    assert (found.x.name, found.y.name) == ("x", "y")
    assert found.x.labels == ("0…", "10…", "20…", "30…", "40…", "50…", "60…", "70…", "80…", "90…")
    assert found.y.labels[0] == "0.01…" and found.y.labels[5] == "0.3162…"  # the middle of a logarithmic range
    assert found.cells == {(0, 0): Cell(2, 2.0, 3.0), (1, 9): Cell(1, 5.0, 5.0)}


def test_the_two_that_matter_the_most_are_the_axes_and_few_values_are_told_one_by_one() -> None:
    wanted = ranges("x=0..99", "y=0..1:0.5", "side=buy|sell")
    rows = [row(0, 1.0, x="4", y="0.5", side="sell"), row(1, 2.0, x="90", y="1", side="buy")]
    found = surface_of(rows, wanted, {"side": 0.7, "y": 0.2, "x": 0.1})
    assert found is not None
    assert (found.x.name, found.x.labels) == ("side", ("buy", "sell"))
    assert (found.y.name, found.y.labels) == ("y", ("0", "0.5", "1"))
    assert found.cells == {(1, 1): Cell(1, 1.0, 1.0), (0, 2): Cell(1, 2.0, 2.0)}


def test_one_parameter_makes_a_line_and_no_value_makes_nothing() -> None:
    wanted = ranges("x=1..3", "side=buy")
    line = surface_of([row(0, 1.0, x="2", side="buy")], wanted, {})
    assert line is not None and line.y.labels == ("",) and line.cells == {(1, 0): Cell(1, 1.0, 1.0)}
    assert surface_of([row(0, None, x="2", side="buy")], wanted, {}) is None


def tints(**means: float) -> dict[str, tuple[bool, float]]:
    """By what a tile says: whether it is red, and how deep its colour is."""
    rows = [row(number, mean, x=name[1:], side="buy") for number, (name, mean) in enumerate(means.items())]
    found = surface_of(rows, ranges("x=1..9", "side=buy"), {"x": 1.0})
    assert found is not None
    return {tile.text: (tile.is_loss, tile.share) for tile in heat_of(found, "return", "").tiles}


def test_losses_are_red_gains_are_green_and_nothing_is_pale() -> None:
    assert tints(x1=-0.02, x2=0.0, x3=0.01) == {"-2.00 %": (True, 1.0), "0.00 %": (False, 0.0), "+1.00 %": (False, 0.5)}


def test_where_some_lose_the_least_gain_is_no_paler_than_its_distance_from_nothing() -> None:
    assert tints(x1=-0.02, x2=0.005, x3=0.01) == {
        "-2.00 %": (True, 1.0),
        "+0.50 %": (False, 0.25),
        "+1.00 %": (False, 0.5),
    }


def test_where_all_gain_or_all_lose_the_least_of_them_is_pale() -> None:
    assert tints(x1=0.25, x2=0.5) == {"+25.00 %": (False, 0.0), "+50.00 %": (False, 1.0)}
    assert tints(x1=-0.25, x2=-0.5) == {"-25.00 %": (True, 0.0), "-50.00 %": (True, 1.0)}
    assert tints(x1=0.25) == {"+25.00 %": (False, 1.0)}
