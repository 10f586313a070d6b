"""Mistakes that no other test is named after: each test here says in its name what cannot happen any more. The whole
list is in docs/explanation/mistakes-prevented.md."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from tests.scenario.test_stage4 import PORTFOLIO, PRICES, TAKING, Market
from tests.unit.test_loop import a_report

from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.replay.load import load_bars
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.backtest.engine import run_backtest
from btcbot.backtest.plan import BacktestPlan, settings_for
from btcbot.bootstrap.strategies import strategy_of
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.intents import Side
from btcbot.domain.notes import NoteKind
from btcbot.domain.orders import OrderStatus
from btcbot.errors import InvariantBroken
from btcbot.loop import LoopOptions, run_with_optional_loop
from btcbot.ports import StopSignal
from btcbot.profiles import STAGE4, Profile
from btcbot.testing.in_process_rig import ListLog, Rig
from btcbot.testing.profiles_played import PLAYED

CRASH: Final = Path(__file__).parents[3] / "shared" / "market-data" / "try-1m-2022-11-08"
BOOKS: Final = "/api/v2/orderbook"


@pytest.fixture
def make_stage(make_rig: Callable[..., Rig]) -> Callable[..., Rig]:
    """A rig under a profile, with the profile's own strategy and four pairs."""

    def make(profile: Profile, **options: Any) -> Rig:
        given = {
            "symbols": tuple(PRICES),
            "prices": PRICES,
            "balances": {"TRY": "20000"},
            "strategy": partial(strategy_of, profile),
            **PORTFOLIO,
            **TAKING,
        }
        return make_rig(profile=profile, **{**given, **options})

    return make


@pytest.mark.parametrize("profile", PLAYED.values(), ids=lambda profile: profile.name)
@pytest.mark.parametrize("mode", ["dry run", "armed"])
def test_without_market_data_no_order_is_invented(make_stage: Callable[..., Rig], profile: Profile, mode: str) -> None:
    dry = {"DRY_RUN": "true", "LIVE_TRADING": "false", "DRY_RUN_TRY_BALANCE": "20000"} if mode == "dry run" else {}
    rig = make_stage(profile, **dry)
    rig.venue.fault("status_before", "GET", BOOKS, count=None, status=503)
    rig.venue.fault("status_before", "GET", "/api/v2/ticker", count=None, status=503)
    for _ in range(5):
        assert rig.cycle().outcome is CycleOutcome.OBSERVE_ONLY
    assert rig.orders() == []
    assert not rig.venue.requests("POST")
    rig.venue.clear_faults()
    rig.cycle(3)
    assert rig.orders(), "and with prices there are orders again"


@pytest.mark.parametrize("profile", PLAYED.values(), ids=lambda profile: profile.name)
def test_no_client_order_id_is_used_twice_not_even_by_the_same_wish_after_a_restart(
    make_stage: Callable[..., Rig], profile: Profile
) -> None:
    rig = make_stage(profile, PORTFOLIO_ORDER_OFFSET_BPS="20", TTL_SECONDS="20")
    market = Market(rig)
    for _ in range(4):
        market.walk(8)
        rig.restart()
    orders = rig.orders()
    assert len(orders) >= 4
    assert len({order.client_order_id for order in orders}) == len(orders)
    assert max(rig.venue.posts_by_client().values()) == 1
    by_id = {row["orderClientId"]: row for row in rig.venue.orders()}
    for order in orders:
        if order.client_order_id in by_id:
            row = by_id[order.client_order_id]
            assert (Decimal(row["price"]), Decimal(row["quantity"])) == (order.price, order.quantity)


@pytest.mark.skipif(not CRASH.is_dir(), reason="the recorded market data lie beside the project")
def test_mean_reversion_fires_in_both_directions_with_an_average_and_not_with_the_price_itself() -> None:
    """In the portfolio that `stage4-run` keeps, over a day on which most pairs fell far below their averages."""
    bars = load_bars(CRASH)
    wide = {
        "MAX_DAILY_LOSS_TRY": "90000", "RISK_MAX_DAILY_DRAWDOWN_TRY": "90000", "RISK_MAX_DRAWDOWN_TRY": "90000",
        "RISK_BUY_STOP_DAILY_LOSS_PCT": "90", "RISK_BUY_STOP_DRAWDOWN_PCT": "90", "MAX_DRAWDOWN_PCT": "90",
        "MAX_TOTAL_EXPOSURE_TRY": "150000", "RISK_MAX_GROSS_EXPOSURE_TRY": "150000", "COOLDOWN_SECONDS": "0",
        "MAX_POSITION_TRY_PER_SYMBOL": "30000", "MAX_INTENT_NOTIONAL_TRY": "2000", "PORTFOLIO_DRIFT": "0.2",
        "NOTIONAL_CAP_TRY_PER_CYCLE": "20000", "MAX_ORDERS_PER_CYCLE": "12",
    }  # fmt: skip
    settings = settings_for(bars, wide)
    plan = BacktestPlan(bars=bars, strategy=strategy_of(STAGE4, settings), settings=settings, profile=STAGE4)
    orders = run_backtest(plan).orders
    tilted = [
        (side, float(reason.split("close ")[1].split(" deviations")[0]))
        for side, reason in orders.select("side", "reason").iter_rows()
        if "deviations" in reason
    ]
    assert any(side == Side.BUY and z <= -2 for side, z in tilted), "bought below its average"
    assert any(side == Side.SELL and z >= 2 for side, z in tilted), "sold above it"


def test_no_unit_waits_for_a_second_writer_of_its_own(make_stage: Callable[..., Rig], tmp_path: Path) -> None:
    """Everything that a cycle writes beside a fill goes into units of the one connection; a unit in a unit is an error
    at once, and never half a minute of waiting for oneself."""
    store = SqliteStore.open(tmp_path / "books.db")
    started = time.monotonic()
    with store.transaction() as tx:
        tx.put_value("outer", "1")
        with pytest.raises(InvariantBroken, match="STORE_UNIT"):
            store.transaction().__enter__()
    assert time.monotonic() - started < 1
    store.close()

    rig = make_stage(STAGE4)
    rig.cycle(6)
    assert rig.store.fill_count() > 4
    cursors = rig.store.value("trades_cursor_ms")
    assert cursors, "fills are booked and the cursor moves on"
    assert rig.store.note_count(NoteKind.SNAPSHOT) == 6


def test_the_price_of_one_pair_never_judges_the_orders_of_another(make_stage: Callable[..., Rig]) -> None:
    """Orders of four pairs, whose prices lie four orders of magnitude apart, rest for half an hour untouched."""
    rig = make_stage(STAGE4, PORTFOLIO_ORDER_OFFSET_BPS="20", TTL_SECONDS="86400")
    rig.cycle(2)
    rig.strategy.is_muted = True  # nobody wishes them any more, so that only their own market judges them
    rig.cycle(180)
    assert {order.symbol for order in rig.orders()} == set(PRICES)
    assert set(rig.statuses()) == {OrderStatus.ACCEPTED}
    assert not rig.venue.requests("DELETE")


class _Fills:
    """A clock and a feed: for a while our account has news all the time, then nothing happens any more."""

    def __init__(self, news: int) -> None:
        self.news = news
        self.now_ns = 10**12
        self.whole: list[float] = []

    def monotonic_ns(self) -> int:
        return self.now_ns

    def now_ms(self) -> int:
        return self.now_ns // 10**6

    def sleep(self, seconds: float, stop: StopSignal) -> bool:
        self.now_ns += round(seconds * 1e9)
        return False

    def wait(self, seconds: float, *, for_market: bool) -> Wake:
        if self.news:
            self.news -= 1
            self.now_ns += 1_000_000
            return Wake.ACCOUNT
        self.now_ns += round(seconds * 1e9)
        return Wake.TIME

    def cycle(self, wake: Wake) -> CycleReport:
        assert wake is Wake.TIME
        self.whole.append(self.now_ns / 1e9 - 1_000)
        return a_report()


def test_a_burst_of_fills_never_puts_off_the_next_whole_cycle() -> None:
    """Thirty fills, each looked at as soon as the venue's limits allow; then the timer goes on as before."""
    world = _Fills(news=30)
    options = LoopOptions(
        loop=True, cycle_seconds=10.0, jitter_seconds=0.0, cycles_max=40, gap_seconds=1.5, wake_seconds=0.25
    )
    run_with_optional_loop(
        world.cycle, options, world, threading.Event(), lambda: 0.0, MemoryMetrics(), lambda seconds: None, ListLog(),
        wait=world.wait,
    )  # fmt: skip
    pauses = [later - earlier for earlier, later in pairwise(world.whole)]
    assert len(pauses) == 39
    assert max(pauses) <= 10.001, "no whole cycle is later than the timer says"
    assert min(pauses) >= 1.499, "and none is earlier than the venue allows"
