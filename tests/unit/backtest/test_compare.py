"""Strategies side by side: each row says what the strategy's own run says, and leaving cycles out changes none."""

from __future__ import annotations

import io
from collections.abc import Mapping
from decimal import Decimal

import pytest
from rich.console import Console
from tests.unit.backtest.market import WIDE, a_plan, random_columns
from tests.unit.backtest.results import CYCLES, a_result, frame

from btcbot.adapters.replay.columns import BarColumns
from btcbot.backtest.compare import comparison, finished_run, ranked, show_comparison
from btcbot.backtest.engine import run_backtest
from btcbot.backtest.findings import Findings, examine
from btcbot.backtest.plan import settings_for
from btcbot.bootstrap.strategies import make_strategy
from btcbot.domain import money
from btcbot.profiles import RUN, STAGE7, Profile

STRATEGIES: Mapping[str, Mapping[str, str]] = {
    "ema_cross": {"fast": "3", "slow": "9"},
    "limit_band": {"offset_bps": "30"},
    "portfolio": {"drift": "0.01"},
}
BARS = [random_columns(5, 800, symbol) for symbol in ("ADATRY", "XRPTRY")]


def played(bars: list[BarColumns], profile: Profile = RUN, *, every_bar: bool = False) -> dict[str, Findings]:
    settings = settings_for({one.symbol: one for one in bars}, WIDE)
    return {
        name: examine(
            run_backtest(
                a_plan(
                    bars,
                    make_strategy(name, given, settings),
                    {"PRICE_COLLAR_BPS": "100", "MAX_ORDERS_PER_CYCLE": "12"},
                    half_spread_bps=Decimal(5),
                    profile=profile,
                    every_bar=every_bar,
                )
            )
        )
        for name, given in STRATEGIES.items()
    }


@pytest.mark.parametrize("profile", [RUN, STAGE7], ids=lambda profile: profile.name)
def test_each_row_is_what_its_own_run_tells_and_the_best_comes_first(profile: Profile) -> None:
    runs = played(BARS, profile)
    rows = ranked(runs)
    assert {row.name for row in rows} == set(STRATEGIES)
    assert [row.rank for row in rows] == [1, 2, 3]
    returns = [row.total_return for row in rows]
    assert returns == sorted(returns, key=lambda share: -(share or Decimal(0)))
    for row in rows:
        result, statistics = runs[row.name].result, runs[row.name].statistics
        assert (row.fills, row.fees, row.final_equity) == (result.fill_count, result.fees, result.final_equity)
        assert row.fills > 0 and row.fees > 0
        assert row.net_pnl == result.final_equity - result.opening_equity
        assert row.total_return is not None and row.turnover is not None
        assert float(row.total_return) == pytest.approx(statistics.total_return, abs=1e-6)
        assert float(row.max_drawdown) == pytest.approx(statistics.drawdown.depth, rel=0.01, abs=1e-4)
        assert float(row.turnover) == pytest.approx(statistics.turnover, rel=0.001)
        assert row.traded_value == statistics.traded_value


def test_leaving_cycles_out_changes_no_row_but_why_nothing_was_traded() -> None:
    skipping, whole = played(BARS), played(BARS, every_bar=True)
    assert skipping["ema_cross"].result.cycles_run < whole["ema_cross"].result.cycles_run
    told = [[{**row, "no_trades": None} for row in table(runs)] for runs in (skipping, whole)]
    assert told[0] == told[1]


def table(runs: Mapping[str, Findings]) -> list[dict[str, object]]:
    rows = comparison(runs, ranked(runs))["strategies"]
    assert isinstance(rows, list)
    return [{name: value for name, value in row.items() if name not in {"cycles"}} for row in rows]


def test_the_reasons_for_which_a_cycle_did_not_trade_are_counted() -> None:
    runs = played(BARS, every_bar=True)
    for row in ranked(runs):
        cycles = runs[row.name].result.cycles
        idle = cycles.filter((cycles["submitted"] == 0) & (cycles["fills"] == 0)).height
        assert 0 < sum(count for _, count in row.no_trades) <= idle
    ema = next(row for row in ranked(runs) if row.name == "ema_cross")
    assert ema.no_trades[0][0] == "nothing_wished"


@pytest.mark.parametrize(
    ("outcome", "reasons", "why"),
    [
        ("observe_only", "budget:daily_loss: 618 TRY lost today; the limit is 500", "budget:daily_loss"),
        ("observe_only", "BTCTRY: barred:repeated_refusals: 3 sells; 5 minutes are left", "barred:repeated_refusals"),
        (
            "observe_only",
            "observe_only:venue_unavailable: HTTP 502; gate_closed:dry_run",
            "observe_only:venue_unavailable",
        ),
        ("completed", "budget:exposure: 4000 TRY; gate_closed:kill_file", "gate_closed:kill_file"),
        ("completed", "budget:exposure: 4000 TRY", "risk_block:cooldown"),
        ("completed", "", "risk_block:cooldown"),
    ],
)
def test_why_a_cycle_did_not_trade_is_a_code_and_no_pair(outcome: str, reasons: str, why: str) -> None:
    cycle = {"number": 1, "cycle_id": "c1", "at_ms": 1, "outcome": outcome, "reasons": reasons, "intents": 1,
             "allowed": 0, "submitted": 0, "cancels": 0, "fills": 0, "equity": "10000"}  # fmt: skip
    refused = {"cycle_id": "c1", "at_ms": 1, "symbol": "ADATRY", "side": "buy", "price": "1", "quantity": "1",
               "allowed": False, "code": "risk_block:cooldown", "detail": ""}  # fmt: skip
    result = a_result(decisions=[refused], cycles=frame([cycle], CYCLES))
    assert finished_run("example", result).no_trades == {why: 1}


def test_the_table_fits_a_terminal_and_shows_every_strategy() -> None:
    runs = played(BARS)
    rows, page = ranked(runs), io.StringIO()
    show_comparison(runs, rows, console=Console(file=page, width=80))
    lines = page.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    shown = [line.split()[1] for line in lines if line[:2].strip().isdigit() and line.split()[1] in STRATEGIES]
    assert shown == [row.name for row in rows]
    told = comparison(runs, rows)
    assert told["profile"] == "run" and told["symbols"] == ["ADATRY", "XRPTRY"]
    assert [row["final_equity"] for row in table(runs)] == [money.plain(row.final_equity) for row in rows]
