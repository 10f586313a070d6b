"""What a profile's parts did, counted."""

from __future__ import annotations

import polars as pl
from tests.unit.backtest.market import WIDE, a_plan, random_columns
from tests.unit.backtest.results import some_events

from btcbot.backtest.engine import run_backtest
from btcbot.backtest.events import COUNTS, counts_of, told
from btcbot.backtest.plan import settings_for
from btcbot.bootstrap.strategies import make_strategy
from btcbot.profiles import STAGE7


def test_each_thing_is_counted_as_what_became_of_it() -> None:
    assert counts_of(some_events()) == {
        "param_changes": 2,
        "params_refused": 1,
        "params_rolled_back": 1,
        "params_checkpoints": 1,
        "replacements": 1,
        "replacements_abandoned": 1,
        "degrade_changes": 1,
        "anomalies": 1,
        "freezes": 0,
        "universe_choices": 1,
        "universe_choices_put_off": 1,
        "kill_switch_trips": 1,
    }


def test_where_nothing_happened_there_are_zeros() -> None:
    assert counts_of(some_events()[:0]) == dict.fromkeys(COUNTS, 0)


def test_each_thing_is_told_in_words() -> None:
    assert [told(kind, body) for kind, body in some_events().select("kind", "body").iter_rows()] == [
        "put off (STALE_DATA), BTCTRY",
        "BTCTRY",
        "universe_size 5 > 6 (applied): 3 healthy cycles in a row",
        "universe_size 6 > 7 (applied): 3 healthy cycles in a row",
        "version 2",
        "universe_size 7 > 8 (rejected): 8 is outside",
        "universe_size 7 > 5 (rolled back): losses: 63 TRY",
        "BTCTRY buy 0.001 at 1850000 (done): replacement:done",
        "BTCTRY buy 0.001 at 1850000 (abandoned): replacement:too_late",
        "LATENCY_SPIKE (warn): a cycle took 9000 ms",
        "level 0 > 1 (raised): LATENCY_SPIKE",
        "reason kill chain: 3 failed cycles in a row <b>",
    ]


def test_what_the_real_parts_write_can_be_told() -> None:
    """Every event of a run with adaptation; none of them is an empty line."""
    bars = [random_columns(5, 400, symbol) for symbol in ("ADATRY", "XRPTRY")]
    settings = {"MAX_ORDERS_PER_CYCLE": "12", "PORTFOLIO_DRIFT": "0.01"}
    strategy = make_strategy("portfolio", {}, settings_for({one.symbol: one for one in bars}, WIDE))
    events = run_backtest(a_plan(bars, strategy, settings, profile=STAGE7, keeps_every_note=True)).events
    kinds = {"parameters", "replacement", "universe", "snapshot", "run_metrics"}
    assert kinds <= set(events["kind"].cast(pl.String))
    assert all(told(kind, body) for kind, body in events.select(pl.col("kind").cast(pl.String), "body").iter_rows())
