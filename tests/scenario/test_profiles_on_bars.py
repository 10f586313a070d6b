"""The profiles over recorded markets: the portfolio of stage4-run and the adaptive one of stage7-run through the crash
of November 2022.

What other bots of this kind got wrong in a backtest is asked for by name: money out of nothing, a drawdown of zero,
orders filled at better prices than their limits, a planner that does not see what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec
import polars as pl
import pytest

from btcbot.adapters.replay.bar_venue import BarVenue
from btcbot.adapters.replay.load import load_bars
from btcbot.backtest.engine import run_backtest
from btcbot.backtest.events import counts_of
from btcbot.backtest.fingerprint import fingerprint
from btcbot.backtest.plan import BacktestPlan, instruments_of, settings_for
from btcbot.backtest.result import BacktestResult
from btcbot.backtest.statistics import measure
from btcbot.bootstrap.strategies import make_strategy
from btcbot.domain.notes import NoteKind
from btcbot.domain.outcomes import Refused, SubmitOutcome
from btcbot.profiles import PROFILES, STAGE4, STAGE7
from btcbot.services.snapshots import Snapshot
from btcbot.services.universe import UniverseNote

CRASH = Path(__file__).parents[3] / "shared" / "market-data" / "try-1m-2022-11-08"
#: Pegged to a currency: no market to trade.
LEFT_OUT = "USDTTRY"
OPENING = Decimal(50_000)
RESERVE, CYCLE_CAP, INTENT_CAP, POSITION_CAP, ORDERS_MAX = (
    Decimal(10_000),
    Decimal(8_000),
    Decimal(1_000),
    Decimal(5_000),
    8,
)
SETTINGS = {
    "TRY_CASH_TARGET": str(RESERVE),
    "TRY_CASH_MAX": str(RESERVE),
    "NOTIONAL_CAP_TRY_PER_CYCLE": str(CYCLE_CAP),
    "MAX_INTENT_NOTIONAL_TRY": str(INTENT_CAP),
    "MAX_POSITION_TRY_PER_SYMBOL": str(POSITION_CAP),
    "MAX_ORDERS_PER_CYCLE": str(ORDERS_MAX),
    "COOLDOWN_SECONDS": "0",
    "TTL_SECONDS": "120",
    "PORTFOLIO_DRIFT": "0.04",
    "MAX_TOTAL_EXPOSURE_TRY": "50000",
    "RISK_MAX_GROSS_EXPOSURE_TRY": "50000",
    "MAX_DAILY_LOSS_TRY": "15000",
    "RISK_MAX_DAILY_DRAWDOWN_TRY": "15000",
    "RISK_MAX_DRAWDOWN_TRY": "15000",
    "MAX_DRAWDOWN_PCT": "30",
    "RISK_BUY_STOP_DAILY_LOSS_PCT": "30",
    "RISK_BUY_STOP_DRAWDOWN_PCT": "30",
    "SELF_FINANCING_ENABLED": "false",
}
BOTH = (STAGE4.name, STAGE7.name)
pytestmark = pytest.mark.skipif(not CRASH.is_dir(), reason="the recorded market data lie beside the project")


def play(profile_name: str, changes: Mapping[str, str] | None = None) -> BacktestResult:
    profile, bars = PROFILES[profile_name], load_bars(CRASH)
    del bars[LEFT_OUT]
    settings = settings_for(bars, {**SETTINGS, **(changes or {})})
    return run_backtest(
        BacktestPlan(
            bars=bars,
            strategy=make_strategy(profile.strategy, {}, settings),
            settings=settings,
            opening=OPENING,
            profile=profile,
            keeps_every_note=True,
        )
    )


played = cache(play)


def bodies(result: BacktestResult, kind: NoteKind) -> list[str]:
    return result.events.filter(pl.col("kind").cast(pl.String) == kind.value)["body"].to_list()


def rows(table: pl.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    """Rows as plain values, oldest first."""
    words = [pl.col(name).cast(pl.String) for name in ("symbol", "side") if name in columns]
    return list(table.with_columns(*words).select(columns).iter_rows())


@pytest.mark.parametrize("profile", BOTH)
def test_a_backtest_makes_no_money_out_of_nothing(profile: str) -> None:
    """Every fill is folded once more, by hand: cash goes out for what comes in, and never below zero."""
    result = played(profile)
    cash, held, fees = OPENING, dict.fromkeys(result.bars, Decimal(0)), Decimal(0)
    for symbol, side, price, quantity, fee in rows(result.fills, "symbol", "side", "price", "quantity", "fee"):
        assert isinstance(symbol, str) and isinstance(price, Decimal)
        assert isinstance(quantity, Decimal) and isinstance(fee, Decimal)
        sign = 1 if side == "buy" else -1
        cash -= sign * price * quantity + fee
        held[symbol] += sign * quantity
        fees += fee
        assert cash >= 0 and held[symbol] >= 0, "nothing is bought without money, or sold without having it"
    assert result.fill_count > 40
    assert {"TRY": cash, **{symbol.removesuffix("TRY"): amount for symbol, amount in held.items() if amount}} == dict(
        result.balances
    )
    assert fees == result.fees > 0
    last_bids = {
        symbol: instrument.price_down(columns.bar(len(columns) - 1).close * Decimal("0.9995"))
        for (symbol, columns), instrument in zip(result.bars.items(), instruments_of(result.bars).values(), strict=True)
    }
    worth = sum((held[symbol] * last_bids[symbol] for symbol in held), Decimal(0))
    assert result.final_equity == cash + worth
    assert result.final_equity < OPENING, "it held coins while they fell, and paid fees"


@pytest.mark.parametrize("profile", BOTH)
def test_the_profit_of_every_cycle_is_its_equity_less_what_was_there_to_the_last_digit(profile: str) -> None:
    result = played(profile)
    snapshots = [msgspec.json.decode(body, type=Snapshot) for body in bodies(result, NoteKind.SNAPSHOT)]
    assert len(snapshots) == result.cycles_run == result.cycles.height
    for snapshot, equity in zip(snapshots, result.cycles["equity"].to_list(), strict=True):
        assert snapshot.equity == equity and snapshot.unrealized is not None
        assert snapshot.realized + snapshot.unrealized == equity - OPENING
    assert snapshots[-1].fees + snapshots[-1].taxes == result.fees


@pytest.mark.parametrize("profile", BOTH)
def test_the_drawdown_of_a_crash_is_not_zero(profile: str) -> None:
    result = played(profile)
    snapshots = [msgspec.json.decode(body, type=Snapshot) for body in bodies(result, NoteKind.SNAPSHOT)]
    seen = max(snapshot.drawdown_pct or Decimal(0) for snapshot in snapshots) / 100
    measured = measure(result)[0].drawdown.depth
    assert measured > 0.02, "the market fell by a sixth"
    assert float(seen) == pytest.approx(measured, rel=0.05), "what limits and rollback look at is what is reported"


@pytest.mark.parametrize("profile", BOTH)
def test_no_order_fills_better_than_the_market_or_its_limit_allows(profile: str) -> None:
    """A resting order fills at its own limit, and only where the bar went through it. One that takes pays half the
    spread beside the open, within its limit."""
    result = played(profile)
    limits = {str(client_order_id): price for client_order_id, price in rows(result.orders, "client_order_id", "price")}
    resting = 0
    for client_order_id, symbol, side, price, at_ms in rows(
        result.fills, "client_order_id", "symbol", "side", "price", "at_ms"
    ):
        assert isinstance(symbol, str) and isinstance(at_ms, int) and isinstance(price, Decimal)
        limit, columns = limits[str(client_order_id)], result.bars[symbol]
        assert isinstance(limit, Decimal)
        at = int(columns.open_time_ms.searchsorted(at_ms, side="right")) - 1
        bar, is_buy = columns.bar(at), side == "buy"
        if at_ms == bar.open_time_ms + 1:  # taken at the open
            assert price <= limit if is_buy else price >= limit
            assert price > bar.open if is_buy else price < bar.open, "half the spread is paid"
            continue
        resting += 1
        assert price == limit
        assert bar.low < limit if is_buy else bar.high > limit
    assert resting > 20


@pytest.mark.parametrize("profile", BOTH)
def test_the_planner_sees_its_positions_and_sells(profile: str) -> None:
    """It does not buy the same share again in every cycle: what it holds counts, and what is too much is sold."""
    result = played(profile)
    values = result.fills.select(
        side=pl.col("side").cast(pl.String),
        value=pl.col("price").cast(pl.Float64) * pl.col("quantity").cast(pl.Float64),
    )
    bought, sold = (values.filter(pl.col("side") == side)["value"].sum() for side in ("buy", "sell"))
    assert sold > 500
    assert bought - sold < float(OPENING - RESERVE)
    held = dict.fromkeys(result.bars, Decimal(0))
    for symbol, side, price, quantity in rows(result.fills, "symbol", "side", "price", "quantity"):
        assert isinstance(symbol, str) and isinstance(price, Decimal) and isinstance(quantity, Decimal)
        held[symbol] += quantity if side == "buy" else -quantity
        assert side == "sell" or held[symbol] * price <= POSITION_CAP, "a position that is full is not bought again"


def test_a_portfolio_of_eleven_pairs_replaces_orders_and_keeps_to_its_caps_at_every_cycle() -> None:
    result = played(STAGE4.name)
    orders = result.orders.with_columns(value=pl.col("price").cast(pl.Float64) * pl.col("quantity").cast(pl.Float64))
    by_cycle = orders.group_by("cycle_id").agg(pl.col("value").sum(), pl.len())

    assert len(result.bars) == 11
    assert len(result.fills["symbol"].unique()) == 11
    assert counts_of(result.events)["replacements"] > 5
    assert result.orders["reason"].is_in(["order:stale_and_replaced", "order:drifted_and_replaced"]).sum() > 5
    for value, count in by_cycle.select("value", "len").iter_rows():
        assert value <= float(CYCLE_CAP) and count <= ORDERS_MAX
    for value in orders["value"]:
        assert value <= float(INTENT_CAP)
    cash = OPENING
    for side, price, quantity, fee in rows(result.fills, "side", "price", "quantity", "fee"):
        assert isinstance(price, Decimal) and isinstance(quantity, Decimal) and isinstance(fee, Decimal)
        cash -= (1 if side == "buy" else -1) * price * quantity + fee
        assert cash >= RESERVE or side == "sell", "the reserve is never spent"


def test_a_portfolio_ends_with_the_books_that_the_venue_has() -> None:
    result = played(STAGE4.name)
    venue = result.postings.filter(pl.col("account").cast(pl.String) == "venue")
    booked = dict(venue.group_by(pl.col("asset").cast(pl.String)).agg(pl.col("amount").sum()).iter_rows())
    assert {asset: amount for asset, amount in booked.items() if amount} == dict(result.balances)
    assert len(result.balances) > 8
    sums = result.postings.group_by("entry_id", "asset").agg(pl.col("amount").sum())["amount"]
    assert sums.abs().max() == 0, "each entry sums to zero for each asset"


def test_only_chosen_symbols_are_bought_and_the_choice_is_on_record() -> None:
    result = played(STAGE7.name)
    noted = result.events.filter(pl.col("kind").cast(pl.String) == NoteKind.UNIVERSE.value)
    choices = [msgspec.json.decode(body, type=UniverseNote) for body in noted["body"]]
    assert counts_of(result.events)["universe_choices"] == sum(choice.frozen is None for choice in choices) > 2
    assert any(choice.scores for choice in choices) and any(choice.added for choice in choices)
    times = noted["at_ms"].to_list()
    for symbol, side, at_ms in rows(result.orders, "symbol", "side", "created_at_ms"):
        assert isinstance(at_ms, int)
        if side == "buy":
            in_force = [choice for time_ms, choice in zip(times, choices, strict=True) if time_ms <= at_ms][-1]
            assert symbol in in_force.symbols


@pytest.mark.parametrize("profile", BOTH)
def test_two_runs_of_the_same_data_are_the_same(profile: str) -> None:
    one, other = played(profile), play(profile)
    assert fingerprint(one) == fingerprint(other)
    assert one.events.equals(other.events)


def test_a_kill_chain_that_trips_stops_orders_and_lets_them_go_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue of the first half hour refuses everything."""
    take_in = BarVenue.submit
    first_ms: list[int] = []

    def submit(venue: BarVenue, order: object, permit: object) -> SubmitOutcome:
        now_ms = venue.venue_time_ms()
        first_ms.append(now_ms)
        if now_ms < first_ms[0] + 1_800_000:
            return Refused(code="FAILED_ORDER_OF_ITS_OWN")
        return take_in(venue, order, permit)  # type: ignore[arg-type]

    monkeypatch.setattr(BarVenue, "submit", submit)
    chain = {"ENABLE_AUTO_KILL_SWITCH": "true", "KILL_CHAIN_MAX_CONSECUTIVE_ERRORS": "3"}

    result = play(STAGE4.name, {**chain, "KILL_CHAIN_COOLDOWN_SECONDS": "600", "REJECT_THRESHOLD": "100"})

    trips = result.events.filter(pl.col("kind").cast(pl.String) == "kill_chain_tripped")
    assert counts_of(result.events)["kill_switch_trips"] == trips.height >= 1
    assert "3 failed cycles in a row" in trips["body"][0]
    closed = result.cycles.filter(pl.col("reasons").str.contains("gate_closed:kill_file"))
    assert closed.height >= 9, "ten minutes, by the minute"
    assert closed["submitted"].sum() == 0
    assert result.fill_count > 0, "and later it trades"
