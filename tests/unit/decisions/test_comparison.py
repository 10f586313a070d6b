"""Runs side by side: what ranks them, and that every value is the one a person would work out."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_fill, decimals
from tests.unit.decisions.adaptive import some_metrics

from btcbot.decisions.comparison import FinishedRun, Snapshot, compare, run_of, table_of
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side


def a_run(
    name: str = "profit_v1", *nets: str, opening: str = "1000", fills: Sequence[Fill] = (), **reasons: int
) -> FinishedRun:
    """A run that began with 1,000 TRY and had these net results, one after the other."""
    snapshots = [
        Snapshot(at_ms=number, equity=Decimal(opening) + Decimal(net), net_pnl=Decimal(net))
        for number, net in enumerate(nets)
    ]
    return FinishedRun(name=name, opening_equity=Decimal(opening), snapshots=snapshots, fills=fills, no_trades=reasons)


def test_the_higher_return_is_ranked_first_and_the_values_are_those_of_the_run() -> None:
    fills = [a_fill(Side.BUY, "2", "100", "0.4", "0.08"), a_fill(Side.SELL, "2", "130", "0.52", "0.1", trade_id="t2")]
    good = a_run("ema_cross", "100", "20", "50", fills=fills, nothing_wished=7, deferred=2)

    first, second = compare([a_run("hold", "-100", "10"), good])

    assert (first.rank, first.name, second.rank, second.name) == (1, "ema_cross", 2, "hold")
    assert (first.opening_equity, first.final_equity, first.net_pnl) == (1000, 1050, 50)
    assert first.total_return == Decimal("0.05")
    assert first.max_drawdown == Decimal("0.072727"), "80 of 1,100"
    assert (first.traded_value, first.fees, first.fills) == (Decimal(460), Decimal("1.10"), 2)
    assert first.turnover == Decimal("0.441247"), "460 over a mean of 1,042.5"
    assert first.no_trades == (("nothing_wished", 7), ("deferred", 2))
    assert second.max_drawdown == Decimal("0.1"), "the beginning is a peak too"


def test_between_equal_returns_the_smaller_drawdown_and_then_the_smaller_turnover_comes_first() -> None:
    busy = a_run("busy", "0", "10", fills=[a_fill()])
    ranked = compare([busy, a_run("deep", "-500", "10"), a_run("calm", "0", "10")])
    assert [(row.rank, row.name) for row in ranked] == [(1, "calm"), (2, "busy"), (3, "deep")]


def test_runs_that_are_equal_share_a_rank_and_the_next_one_is_behind_them_all() -> None:
    ranked = compare([a_run("b", "5"), a_run("c", "1"), a_run("a", "5")])
    assert [(row.rank, row.name) for row in ranked] == [(1, "a"), (1, "b"), (3, "c")]


def test_money_that_was_paid_in_makes_no_run_look_better() -> None:
    paid_in = FinishedRun(
        name="paid_in",
        opening_equity=Decimal(1000),
        snapshots=[Snapshot(1, Decimal(990), Decimal(-10)), Snapshot(2, Decimal(5990), Decimal(-10))],
    )
    ranked = compare([paid_in, a_run("honest", "-5")])
    assert [row.name for row in ranked] == ["honest", "paid_in"]
    assert ranked[1].total_return == Decimal("-0.01")
    assert ranked[1].max_drawdown == Decimal("0.01")


def test_a_run_without_money_or_without_cycles_is_told_and_comes_last() -> None:
    ranked = compare([a_run("empty", opening="0"), a_run("idle"), a_run("lost", "-900")])
    assert [(row.name, row.total_return) for row in ranked] == [
        ("idle", 0),
        ("lost", Decimal("-0.9")),
        ("empty", None),
    ]
    assert (ranked[2].turnover, ranked[2].max_drawdown, ranked[0].final_equity) == (None, 0, 1000)


def test_two_runs_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="more than one run is called hold; give each a name of its own"):
        compare([a_run("hold"), a_run("hold"), a_run("other")])


def test_the_three_most_frequent_reasons_are_told() -> None:
    (row,) = compare([a_run("x", a=1, b=5, c=5, d=2)])
    assert row.no_trades == (("b", 5), ("c", 5), ("d", 2))


def test_the_table_has_plain_text_for_money_and_shares() -> None:
    (row,) = table_of(compare([a_run("x", "100", nothing_wished=3)]))
    assert row == {
        "rank": 1,
        "name": "x",
        "return": "0.1",
        "max_drawdown": "0",
        "turnover": "0",
        "fees": "0",
        "fills": 0,
        "net_pnl": "100",
        "traded_value": "0",
        "opening_equity": "1000",
        "final_equity": "1100",
        "no_trades": {"nothing_wished": 3},
    }
    (empty,) = table_of(compare([a_run("x", opening="0")]))
    assert (empty["return"], empty["turnover"]) == (None, None)


def test_a_run_is_told_by_the_metrics_of_its_cycles() -> None:
    metrics = [
        some_metrics(1, 0, equity=None, net_pnl=None, no_trades_reason="observe_only:venue_unavailable"),
        some_metrics(2, 0, equity=Decimal(990), net_pnl=Decimal(-10), no_trades_reason=""),
        some_metrics(3, 0, equity=Decimal(1030), net_pnl=Decimal(30), no_trades_reason="nothing_wished"),
        some_metrics(4, 0, equity=Decimal(1030), net_pnl=Decimal(30), no_trades_reason="nothing_wished"),
    ]
    (row,) = compare([run_of("stage7", metrics, [a_fill()])])
    assert (row.opening_equity, row.final_equity, row.total_return) == (1000, 1030, Decimal("0.03"))
    assert row.max_drawdown == Decimal("0.01")
    assert row.no_trades == (("nothing_wished", 2), ("observe_only:venue_unavailable", 1))


@given(
    results=st.lists(st.lists(decimals("-900", "900", 2).map(str), max_size=5), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_the_runs_does_not_count_and_no_better_run_is_behind(results: list[list[str]], order: Any) -> None:
    runs = [a_run(f"run {number}", *nets) for number, nets in enumerate(results)]
    shuffled = list(runs)
    order.shuffle(shuffled)

    ranked = compare(runs)

    assert ranked == compare(shuffled)
    assert [row.rank for row in ranked] == sorted(row.rank for row in ranked)
    gains = [row.total_return for row in ranked if row.total_return is not None]
    assert gains == sorted(gains, reverse=True)
