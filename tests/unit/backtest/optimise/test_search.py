"""The search on hills whose top is known: what is found, what is repeatable, what survives, what ends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.unit.backtest.optimise.hill import Hill, Unopened
from tests.unit.backtest.optimise.hills import WINDOW, Table, lay, ranges

from btcbot.adapters.stop import StopFlag
from btcbot.backtest.optimise.outcome import window_outcomes
from btcbot.backtest.optimise.samplers import Grid, make_sampler
from btcbot.backtest.optimise.search import Order, Progress, Search
from btcbot.backtest.optimise.study import TrialRow
from btcbot.errors import BtcbotError, Refused


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[list[Table]]:
    """Tables that were laid, to be cleared."""
    laid: list[Table] = []
    yield laid
    for table in laid:
        table.storage.close()


def proposals(table: Table) -> list[tuple[object, ...]]:
    """What was asked and what came of it, seat by seat."""
    rows = [row for row in table.study.rows() if row.state != "lost"]
    return [(*row.parameters.values(), row.state, row.value) for row in sorted(rows, key=lambda row: row.seat)]


def states(table: Table) -> Counter[str]:
    return Counter(row.state for row in table.study.rows())


def test_the_top_of_the_hill_is_found_and_judged_on_the_unseen_part(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal")
    tables.append(table)
    log = tmp_path / "log"
    ended = table.search(Hill(log=str(log)), 60)
    best = table.study.best()
    assert ended.how == "finished" and best is not None
    assert abs(int(best.parameters["x"]) - 40) <= 5 and (best.value or 0) > 0.95
    tested = table.study.tested(best.number)
    assert tested is not None and tested.metrics["return"] == pytest.approx((best.value or 0) / 10)
    # Every trial saw the training stretch alone; the test stretch was played once, at the very end.
    spans = [line.split()[2:] for line in log.read_text().splitlines()]
    assert spans[:-1] == [["0", str(WINDOW.train_end_ms)]] * 60
    assert spans[-1] == [str(WINDOW.test_start_ms), str(WINDOW.test_end_ms)]


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_one_worker_and_one_seed_come_to_the_same(sampler: str, tmp_path: Path, tables: list[Table]) -> None:
    texts = ("x=0..100:10", "y=0..10:2.5")
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        table = lay(tmp_path / f"{name}.journal", *texts, sampler=sampler, seed=seed)
        tables.append(table)
        table.search(Hill(), 18)
        found.append(proposals(table))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_chance_and_grids_come_to_the_same_with_any_number_of_workers(tmp_path: Path, tables: list[Table]) -> None:
    for sampler, texts in (("random", ()), ("grid", ("x=0..90:10", "y=0..2:1"))):
        alone = lay(tmp_path / f"{sampler}1.journal", *texts, sampler=sampler)
        shared = lay(tmp_path / f"{sampler}3.journal", *texts, sampler=sampler)
        tables += [alone, shared]
        alone.search(Hill(), 16)
        shared.search(Hill(), 16, workers=3)
        assert proposals(alone) == proposals(shared)


def test_a_search_that_was_interrupted_comes_to_what_it_would_have_come_to(tmp_path: Path, tables: list[Table]) -> None:
    whole, parts = lay(tmp_path / "whole.journal"), lay(tmp_path / "parts.journal")
    tables += [whole, parts]
    whole.search(Hill(), 20)

    class AfterTen(StopFlag):
        """Set by the tenth result."""

        def heard(self, progress: Progress) -> None:
            if progress.done >= 10:
                self.set()

    stop = AfterTen()
    order = Order(seats=20, objective="return", workers=1, with_rungs=False)
    ended = Search(order, [WINDOW], [parts.study], Hill()).run(stop, stop.heard)
    assert ended.how == "interrupted"
    assert 10 <= states(parts)["complete"] < 20
    parts.search(Hill(), 20)
    assert proposals(parts) == proposals(whole)


def test_more_trials_go_on_where_fewer_ended(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal")
    tables.append(table)
    assert table.search(Hill(), 5).ran == 5
    assert table.search(Hill(), 8).ran == 3
    assert table.search(Hill(), 8).ran == 0  # all is known
    assert states(table) == {"complete": 8}


def test_a_grid_is_walked_once_over_and_jumps_about(tmp_path: Path, tables: list[Table]) -> None:
    wanted = ranges("x=0..90:10", "y=0..1:0.5", "side=buy|sell")
    sampler = make_sampler("grid", 3, wanted)
    assert isinstance(sampler, Grid) and sampler.size == 60
    points = [tuple(sampler.point(seat).values()) for seat in range(60)]
    assert len(set(points)) == 60
    for axis, values in enumerate((10, 3, 2)):
        assert len({point[axis] for point in points[:20]}) == values, "the first third lies all over the grid"
    table = lay(tmp_path / "s.journal", "x=0..90:10", "y=0..1:0.5", sampler="grid")
    tables.append(table)
    table.search(Hill(), 20, workers=2)
    assert len({tuple(row.parameters.values()) for row in table.study.rows()}) == 20
    with pytest.raises(Refused, match=r"«y=0..1» has no end of values; give a step"):
        make_sampler("grid", 1, ranges("y=0..1"))


def test_what_is_known_is_not_played_again(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal", "x=38..42")
    tables.append(table)
    log = tmp_path / "log"
    table.search(Hill(log=str(log)), 20)
    played = [line.split()[0] for line in log.read_text().splitlines()]
    assert len(played) == len(set(played[:-1])) + 1 <= 6  # five values at most, and the test
    repeated = [row for row in table.study.rows() if row.same_as is not None]
    assert len(table.study.rows()) == 20 and len(repeated) == 20 - (len(played) - 1)
    by_number = {row.number: row for row in table.study.rows()}
    for row in repeated:
        assert row.same_as is not None and by_number[row.same_as].value == row.value


def test_a_killed_worker_is_replaced_and_its_trial_run_again(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal", "x=35..45", sampler="grid")
    tables.append(table)
    table.search(Hill(kills_at=40, log=str(tmp_path / "log")), 11, workers=2)
    lost = [row for row in table.study.rows() if row.state == "lost"]
    assert [row.reason for row in lost] == ["its worker was killed (SIGKILL)"]
    assert states(table) == {"complete": 11, "lost": 1}
    again = next(row for row in table.study.rows() if row.parameters == {"x": "40"} and row.state == "complete")
    assert (again.value, again.seat) == (1.0, lost[0].seat)


def test_a_trial_that_kills_every_worker_fails_in_the_end(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal", "x=39..41", sampler="grid")
    tables.append(table)
    ended = table.search(Hill(kills_at=40, dies_once=False, log=str(tmp_path / "log")), 3)
    assert (ended.how, states(table)) == ("finished", {"complete": 2, "lost": 2, "failed": 1})
    (failed,) = (row for row in table.study.rows() if row.state == "failed")
    assert failed.reason == "its worker was killed (SIGKILL), 3 times"


def test_a_strategy_that_raises_fails_its_trial_with_the_reason(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal", "x=0..100:10", sampler="grid")
    tables.append(table)
    table.search(Hill(raises_from=80, unfit_from=100, idle_below=10), 11, objective="sharpe")
    reasons = {row.parameters["x"]: (row.state, row.reason) for row in table.study.rows() if row.reason}
    assert reasons == {
        "0": ("pruned", "no sharpe: every day has the same return"),
        "80": ("failed", "ZeroDivisionError: x is 80"),
        "90": ("failed", "ZeroDivisionError: x is 90"),
        "100": ("pruned", "x=100 must be below 100"),
    }
    assert states(table) == {"complete": 7, "pruned": 2, "failed": 2}


def test_a_search_of_nothing_but_failures_ends_early(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal", "x=50..100", "y=0..10")
    tables.append(table)
    ended = table.search(Hill(raises_from=0), 500)
    assert ended.how == "hopeless"
    assert "the first 25 trials all failed: ZeroDivisionError: x is" in ended.reason
    assert len(table.study.rows()) < 30


def test_a_worker_that_cannot_begin_ends_the_search(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal")
    tables.append(table)
    order = Order(seats=3, objective="return", workers=1, with_rungs=False)
    with pytest.raises(BtcbotError, match="a worker could not start: the data are gone"):
        Search(order, [WINDOW], [table.study], Unopened()).run()


def test_a_pruner_gives_up_early_what_begins_badly(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal", sampler="random", pruner="median")
    tables.append(table)
    log = tmp_path / "log"
    table.search(Hill(log=str(log)), 40, rungs=True)
    pruned = [row for row in table.study.rows() if row.state == "pruned"]
    complete = [row for row in table.study.rows() if row.state == "complete"]
    assert 5 <= len(pruned) <= 30 and len(pruned) + len(complete) == 40
    assert {row.reason for row in pruned} <= {f"given up after {rung} of 4 quarters" for rung in (1, 2)}
    # A trial that was given up never played the whole stretch; a complete one is valued by the whole of it.
    ends = Counter(int(line.split()[3]) for line in log.read_text().splitlines())
    assert ends[WINDOW.train_end_ms] == len(complete)
    worst = min(row.value or 0 for row in complete if row.number >= 20)
    assert worst > min(_height(row) for row in pruned), "what was given up was worth less"


def _height(row: TrialRow) -> float:
    x, y = int(row.parameters["x"]), float(row.parameters["y"])
    return 1.0 - (x - 40) ** 2 / 2_000 - (y - 2.5) ** 2 / 100


@pytest.mark.parametrize("pruner", ["halving", "hyperband"])
def test_the_other_pruners_prune_as_well(pruner: str, tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal", sampler="random", pruner=pruner)
    tables.append(table)
    table.search(Hill(), 40, rungs=True)
    assert states(table)["pruned"] >= 5 and states(table)["complete"] >= 5
    assert sum(states(table).values()) == 40


def test_a_study_of_something_else_is_refused_and_says_what_differs(tmp_path: Path, tables: list[Table]) -> None:
    identity = {"strategy": "ema_cross", "objective": "return", "data": "BTCTRY, 035decf0"}
    tables.append(lay(tmp_path / "s.journal", identity=identity))
    for part, value in (("strategy", "limit_band"), ("objective", "sharpe"), ("data", "BTCTRY, ffffffff")):
        with pytest.raises(Refused) as refused:
            lay(tmp_path / "s.journal", identity={**identity, part: value})
        assert f"its {part} is «{identity[part]}», here it is «{value}»" in str(refused.value)
    tables.append(lay(tmp_path / "s.journal", identity=identity))  # the same goes on
    tables.append(lay(tmp_path / "s.journal", identity={**identity, "objective": "sharpe"}, name="another"))


def test_importance_names_the_parameter_that_decides(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal", sampler="random")
    tables.append(table)
    table.search(Hill(), 60)
    importances = table.study.importances()
    # x takes the value from 1 to -0.8, y from 1 to 0.44.
    assert importances["x"] > importances["y"] > 0
    assert sum(importances.values()) == pytest.approx(1)
    few = lay(tmp_path / "few.journal")
    tables.append(few)
    few.search(Hill(), 1)
    assert few.study.importances() == {}, "one trial tells nothing of what matters"


def test_windows_are_searched_apart_and_shown_side_by_side(tmp_path: Path, tables: list[Table]) -> None:
    first, second = lay(tmp_path / "s.journal", name="one"), lay(tmp_path / "s.journal", name="two")
    tables += [first, second]
    order = Order(seats=12, objective="return", workers=2, with_rungs=False)
    ended = Search(order, [WINDOW, WINDOW], [first.study, second.study], Hill()).run()
    assert ended.ran == 24
    found = window_outcomes([WINDOW, WINDOW], [first.study, second.study], ranges())
    for window in found:
        assert window.best is not None and len(window.rows) == 12
        assert window.test["return"] == pytest.approx((window.best.value or 0) / 10)
        inside = (1 + (window.best.value or 0)) ** (1 / 70) - 1
        outside = (1 + (window.test["return"] or 0)) ** (1 / 30) - 1
        assert window.kept("return") == pytest.approx(outside / inside)
        assert window.kept("sharpe") == pytest.approx(0.1)
        assert window.kept("of nothing") is None
        nearly = msgspec.structs.replace(window.best, metrics={"return": 0.0001, "sharpe": 0.01})
        hollow = msgspec.structs.replace(window, best=nearly, test={"return": 0.1, "sharpe": 1.0})
        assert hollow.kept("return") is None and hollow.kept("sharpe") is None, "3,592 % of nothing is no triumph"


def test_a_range_that_is_known_by_heart_can_still_be_interrupted(tmp_path: Path, tables: list[Table]) -> None:
    table = lay(tmp_path / "s.journal", "x=1..2")
    tables.append(table)

    class AfterTen(StopFlag):
        def heard(self, progress: Progress) -> None:
            if progress.done >= 10:
                self.set()

    stop = AfterTen()
    order = Order(seats=100_000, objective="return", workers=1, with_rungs=False)
    ended = Search(order, [WINDOW], [table.study], Hill()).run(stop, stop.heard)
    assert ended.how == "interrupted" and len(table.study.rows()) <= 12
