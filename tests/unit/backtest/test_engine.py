"""The engine plays the cycle of `btcbot run` over recorded bars, and comes to what a plain loop over them comes to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

import msgspec
import numpy as np
import polars as pl
import pytest
from tests.unit.backtest.market import START_MS, WIDE, Wishes, a_plan, columns_of, random_columns

from btcbot.adapters.replay.bar_venue import BarVenue
from btcbot.adapters.replay.columns import BarColumns
from btcbot.backtest import bench
from btcbot.backtest.engine import BacktestFailed, run_backtest
from btcbot.backtest.fingerprint import fingerprint
from btcbot.backtest.plan import settings_for
from btcbot.bootstrap.strategies import make_strategy
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.fills import VenueTrade
from btcbot.domain.intents import Intent, Side
from btcbot.domain.market import NOT_TOLD
from btcbot.errors import Refused
from btcbot.profiles import STAGE4, STAGE7, Profile
from btcbot.strategies.base import StrategyContext, Wakes
from btcbot.strategies.ema_cross import EmaCross
from btcbot.strategies.limit_band import LimitBand

QUANTITY = Decimal("2")
FEE = Decimal("0.0015")
CASH = Decimal(100_000)
#: The rules of the loops below: a resting order fills where a bar touches it, everything costs 15 bps, no spread.
AS_THE_LOOPS = {"fills_at_touch": True}
FEES = {"FEE_BPS_TAKER": "15", "FEE_BPS_MAKER": "15", "TTL_SECONDS": "60"}


def prices(bars: BarColumns) -> list[tuple[Decimal, Decimal, Decimal, Decimal]]:
    return [(bar.open, bar.high, bar.low, bar.close) for bar in map(bars.bar, range(len(bars)))]


def ema_loop(bars: BarColumns, fast: int, slow: int) -> tuple[Decimal, int]:
    """In the market while the fast average is above the slow one; decided at a close, filled at the next open."""
    cash, held, fills, pending = CASH, Decimal(0), 0, 0
    quick = slowly = float(bars.bar(0).close)
    close = Decimal(0)
    for at, (open_, _, _, close) in enumerate(prices(bars)):
        if pending:
            cash -= pending * open_ * QUANTITY + open_ * QUANTITY * FEE
            held, fills, pending = held + pending * QUANTITY, fills + 1, 0
        quick += 2 / (fast + 1) * (float(close) - quick)
        slowly += 2 / (slow + 1) * (float(close) - slowly)
        if at >= slow and (quick > slowly) != (held > 0):
            pending = 1 if quick > slowly else -1
    return cash + held * close, fills


def limit_loop(bars: BarColumns, offset: Decimal) -> tuple[Decimal, int]:
    """One limit order a bar: below the close to buy while flat, above it to sell while holding."""
    cash, held, fills, side, limit = CASH, Decimal(0), 0, 0, Decimal(0)
    close = Decimal(0)
    for _, high, low, close in prices(bars):
        if (side == 1 and low <= limit) or (side == -1 and high >= limit):
            cash -= side * limit * QUANTITY + limit * QUANTITY * FEE
            held, fills = held + side * QUANTITY, fills + 1
        side = -1 if held else 1
        limit = money.divide_half_even(close * (1 - side * offset), money.ONE, 2)
    return cash + held * close, fills


@pytest.mark.parametrize("seed", [1, 2])
def test_the_ema_rule_comes_to_what_a_plain_loop_over_the_bars_comes_to(seed: int) -> None:
    bars = random_columns(seed, 4_000, depth=12)
    strategy = EmaCross(fast=10, slow=50, quantity=QUANTITY)

    result = run_backtest(a_plan(bars, strategy, FEES, **AS_THE_LOOPS))

    equity, fills = ema_loop(bars, 10, 50)
    assert result.fill_count == fills > 50
    assert abs(result.final_equity - equity) < Decimal("0.0001"), "but for fees that the venue rounds"
    assert result.cycles_run < len(bars) / 5, "most cycles could be left out"


@pytest.mark.parametrize("seed", [1, 2])
def test_the_limit_rule_comes_to_what_a_plain_loop_over_the_bars_comes_to(seed: int) -> None:
    bars = random_columns(seed, 2_000, depth=12)
    strategy = LimitBand(offset_bps=Decimal(15), quantity=QUANTITY)

    result = run_backtest(a_plan(bars, strategy, FEES, **AS_THE_LOOPS))

    equity, fills = limit_loop(bars, Decimal("0.0015"))
    assert result.fill_count == fills > 500
    assert abs(result.final_equity - equity) < Decimal("0.0001")
    assert result.order_count == len(bars), "an order at each bar"


def test_every_record_of_the_live_pipeline_is_kept() -> None:
    bars = random_columns(3, 500)

    result = run_backtest(a_plan(bars, LimitBand(quantity=QUANTITY), FEES, **AS_THE_LOOPS))

    assert result.orders.height == result.order_count
    assert result.fills.height == result.fill_count
    assert result.decisions.height == result.orders.height, "each verdict, with its reason"
    assert result.decisions["detail"].str.contains("15 bps from the close").all()
    assert result.cycles.height == result.cycles_run == len(bars)
    assert result.equity.height == len(bars)
    entries = set(result.postings["entry_id"].to_list())
    assert {f"fill:{trade_id}" for trade_id in result.fills["trade_id"].to_list()} < entries
    end = result.equity["equity"][-1]
    assert abs(end - float(result.final_equity)) < 1e-6, "the curve ends at what the books say"


def test_the_same_plan_gives_the_same_run_to_the_last_byte() -> None:
    bars = random_columns(4, 600)

    first, second = (run_backtest(a_plan(bars, LimitBand(quantity=QUANTITY), FEES)) for _ in range(2))

    for name in ("orders", "fills", "decisions", "postings", "cycles", "equity"):
        assert getattr(first, name).equals(getattr(second, name)), name
    assert fingerprint(first) == fingerprint(second)


def test_several_symbols_share_one_clock_and_one_account() -> None:
    ada = columns_of([("100", "100", "100", "100", "1000")] * 4, "ADATRY", [0, 1, 2, 3])
    xrp = columns_of([("10", "10", "10", "10", "1000")] * 3, "XRPTRY", [0, 2, 3])
    wishes = Wishes({2: (Side.BUY, "101", "100")})

    result = run_backtest(a_plan([ada, xrp], wishes))

    seen = [(context.now_ms, sorted(context.quotes)) for context in wishes.asked]
    assert seen == [
        (START_MS + 60_000, ["ADATRY", "XRPTRY"]),
        (START_MS + 120_000, ["ADATRY"]),
        (START_MS + 180_000, ["ADATRY", "XRPTRY"]),
        (START_MS + 240_000, ["ADATRY", "XRPTRY"]),
    ], "a symbol whose bar is missing has no quote that may be traded on"
    assert result.fill_count == 1


class Raises:
    name = "hopeful"

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        raise ZeroDivisionError("no bars, no average")


class Leaves:
    name = "gone"

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        sys.exit(0)


class Waits:
    """Wishes nothing, and says something strange when it is asked what it waits for."""

    name = "sleepy"

    def __init__(self, wakes: object) -> None:
        self._wakes = wakes

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return []

    def wakes(self, context: StrategyContext) -> Wakes:
        if isinstance(self._wakes, BaseException):
            raise self._wakes
        return self._wakes  # type: ignore[return-value]


class Forges:
    """Writes ten times the price into what it is given to look at, to be allowed to buy at ten times the price."""

    name = "forger"

    def __init__(self, what: str) -> None:
        self._what = what

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        shown = getattr(context, self._what)
        shown["ADATRY"] = None
        return []


class Nonsense:
    name = "hasty"

    def __init__(self, wish: object) -> None:
        self._wish = wish

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        return None if self._wish is None else [self._wish]  # type: ignore[return-value, list-item]


def an_intent(price: object, side: object = Side.BUY, symbol: object = "ADATRY", why: str = "") -> Intent:
    return Intent(
        intent_id="1", cycle_id="1", strategy="hasty", symbol=symbol, side=side, price=price,  # type: ignore[arg-type]
        quantity=Decimal(1), why=why,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        (Raises(), "hopeful raised ZeroDivisionError: no bars, no average (test_engine.py:"),
        (Nonsense("buy!"), "hasty wished a str instead of an Intent"),
        (Nonsense(an_intent(100.5)), "hasty wished a price of ADATRY that is a float; money is Decimal"),
        (Nonsense(None), "hasty gave a NoneType instead of a list of intents"),
        (Nonsense(an_intent(Decimal(100), "buy")), "hasty wished a side of ADATRY that is a str; write Side.BUY"),
        (Nonsense(an_intent(Decimal("NaN"))), "hasty wished a price of ADATRY that is NaN"),
        (Nonsense(an_intent(Decimal("1e30"))), "hasty wished a price of ADATRY that is 1E+30, which no venue takes"),
        (Nonsense(an_intent(Decimal("1e-30"))), "hasty wished a price of ADATRY that is 1E-30, which no venue takes"),
        (Nonsense(an_intent(Decimal(100), symbol=5)), "hasty wished a symbol that is a int; write text"),
        (
            Nonsense(an_intent(Decimal(100), why="the dip \ud83d")),
            "hasty wished a why that holds half a character, which no file can hold; write whole ones",
        ),
        (Leaves(), "gone raised SystemExit: 0 (test_engine.py:"),
        (Waits(RuntimeError("boom")), "wakes of sleepy raised RuntimeError: boom (test_engine.py:"),
        (Waits(SystemExit(0)), "wakes of sleepy raised SystemExit: 0 (test_engine.py:"),
        (Waits("never"), "wakes of sleepy gave a str instead of Wakes"),
        (Waits(Wakes(changes=(("ADATRY", "nosuch"),))), "wakes of sleepy named what there is not, Wakes("),
        (Waits(Wakes(bid_at_least={"NOTRY": Decimal(1)})), "wakes of sleepy named what there is not, Wakes("),
        (Forges("quotes"), "forger raised TypeError: 'mappingproxy' object does not support item assignment"),
        (Forges("instruments"), "forger raised TypeError: 'mappingproxy' object does not support item assignment"),
        (Forges("positions"), "forger raised TypeError: 'mappingproxy' object does not support item assignment"),
    ],
)
def test_a_strategy_that_fails_ends_the_run_with_one_line_that_says_where(strategy: object, told: str) -> None:
    with pytest.raises(BacktestFailed) as failed:
        run_backtest(a_plan(random_columns(1, 10), strategy))  # type: ignore[arg-type]

    line = str(failed.value)
    assert told in line
    assert line.startswith("at 2022-11-08 00:01:00 UTC: ")
    assert "\n" not in line


def test_bars_of_different_lengths_are_not_played_together() -> None:
    minute, other = random_columns(1, 10), random_columns(1, 10, "XRPTRY")
    hours = BarColumns(**{**{name: getattr(other, name) for name in other.__struct_fields__}, "interval_ms": 3_600_000})

    with pytest.raises(Refused, match="different intervals"):
        run_backtest(a_plan([minute, hours], Wishes({})))


def test_a_strategy_is_handed_values_of_closed_bars_and_nothing_to_look_ahead_with() -> None:
    """Whatever the future holds, what is decided before it is the same; and the context holds no column."""
    bars = random_columns(5, 400)
    strategy = EmaCross(fast=5, slow=20, quantity=QUANTITY)
    whole = run_backtest(a_plan(bars, strategy, FEES))
    cut_ms = int(bars.open_time_ms[250])
    part = run_backtest(a_plan(bars.between(None, cut_ms), strategy, FEES))

    before = whole.decisions.filter(whole.decisions["at_ms"] <= cut_ms)
    assert before.height >= 10
    assert before.drop("cycle_id").equals(part.decisions.drop("cycle_id"))

    watcher = Wishes({})
    run_backtest(a_plan(bars, watcher, FEES))
    for step, context in enumerate(watcher.asked):
        closed_ms = START_MS + (step + 1) * 60_000
        assert context.now_ms == closed_ms
        assert all(quote.venue_time_ms <= closed_ms for quote in context.quotes.values())
        assert all(bar.close_time_ms <= closed_ms for bar in context.bars.values())
        for name in context.__struct_fields__:
            assert "numpy" not in type(getattr(context, name)).__module__


def test_a_bar_tells_prices_and_no_quantity_that_stands_at_them() -> None:
    watcher = Wishes({})

    run_backtest(a_plan([columns_of([("100", "101", "99", "100.50", "1000")])], watcher))

    (quote,) = watcher.asked[0].quotes.values()
    assert quote.bid == Decimal("100.50") < quote.ask
    assert (quote.bid_quantity, quote.ask_quantity) == (NOT_TOLD, NOT_TOLD)


class WellRemembered(BarVenue):
    """A venue that holds its lists of trades against all trades that it ever listed."""

    listed: ClassVar[dict[str, VenueTrade]] = {}
    asked: ClassVar[list[int]] = []

    def trades(self, since_ms: int) -> Sequence[VenueTrade]:
        found = super().trades(since_ms)
        self.listed.update({trade.trade_id: trade for trade in found})
        self.asked.append(since_ms)
        assert [*found] == [trade for trade in self.listed.values() if trade.at_ms >= since_ms]
        return found


def test_a_trade_is_listed_for_as_long_as_anybody_asks_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over five days of bars, two hours apart, the venue forgets old trades and never one that was asked for."""
    bars = random_columns(5, 60)
    spaced = msgspec.structs.replace(bars, open_time_ms=START_MS + np.arange(60, dtype=np.int64) * 7_200_000)
    monkeypatch.setattr(bench, "BarVenue", WellRemembered)
    for kept in (WellRemembered.listed, WellRemembered.asked):
        kept.clear()

    result = run_backtest(a_plan(spaced, LimitBand(offset_bps=Decimal(1), quantity=QUANTITY), every_bar=True))

    assert len(WellRemembered.listed) == result.fill_count >= 5
    assert WellRemembered.asked[-1] - WellRemembered.asked[0] > 4 * 86_400_000


class OneTooMany(BarVenue):
    """A venue that finds one lira more than there was, once nobody looks any more."""

    looks_left = 0

    def balances(self) -> AccountSnapshot:
        account = super().balances()
        type(self).looks_left -= 1
        if self.looks_left:
            return account
        lira = account.balances["TRY"]
        more = msgspec.structs.replace(lira, free=lira.free + 1)
        return msgspec.structs.replace(account, balances={**account.balances, "TRY": more})


def test_a_run_whose_books_end_otherwise_than_the_venue_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, strategy = random_columns(3, 100), EmaCross(fast=3, slow=9, quantity=QUANTITY)
    whole = run_backtest(a_plan(bars, strategy))
    assert (
        whole.balances["TRY"]
        == whole.postings.filter(
            (pl.col("account").cast(pl.String) == "venue") & (pl.col("asset").cast(pl.String) == "TRY")
        )["amount"].sum()
    )
    monkeypatch.setattr(bench, "BarVenue", OneTooMany)
    OneTooMany.looks_left = whole.cycles_run + 1

    with pytest.raises(BacktestFailed, match=r"the venue holds \S+ TRY at the end, the books say \S+: a defect"):
        run_backtest(a_plan(bars, strategy))


@pytest.mark.parametrize("profile", [STAGE4, STAGE7], ids=lambda profile: profile.name)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_profile_gets_over_gaps_and_shallow_bars(profile: Profile, seed: int) -> None:
    """Minutes are missing and volumes are small: orders fill in part, prices grow old, and the books stay whole."""
    bars = [random_columns(seed, 600, symbol, gaps=0.2, depth=1.0) for symbol in ("ADATRY", "XRPTRY", "TRXTRY")]
    wide = {"MAX_INTENT_NOTIONAL_TRY": "5000", "PORTFOLIO_DRIFT": "0.01", "MAX_ORDERS_PER_CYCLE": "12"}
    of_profile = make_strategy(profile.strategy, {}, settings_for({one.symbol: one for one in bars}, WIDE))

    result = run_backtest(a_plan(bars, of_profile, wide, profile=profile, volume_share=Decimal("0.1")))

    assert result.cycles_run == len({int(at) for one in bars for at in one.open_time_ms})
    assert result.fill_count > result.orders["status"].cast(pl.String).eq("FILLED").sum(), "some were filled in parts"
    assert result.profile == profile.name
    assert result.settings["PORTFOLIO_DRIFT"] == "0.01"
    assert ("ADAPTATION_ENABLED" in result.settings) is profile.adapts


def test_a_cap_within_which_no_order_fits_is_refused_before_the_first_bar() -> None:
    bars = random_columns(1, 50)
    strategy = make_strategy("portfolio", {}, settings_for({bars.symbol: bars}, WIDE))
    with pytest.raises(Refused, match="MAX_INTENT_NOTIONAL_TRY: 50 is below"):
        run_backtest(a_plan(bars, strategy, {"MAX_INTENT_NOTIONAL_TRY": "50"}, profile=STAGE4))


def test_an_agent_is_not_asked_and_the_result_says_so() -> None:
    bars = random_columns(1, 50)
    asks = {
        "AGENT_POLICY_ENABLED": "true",
        "AGENT_POLICY_PROVIDER": "llm",
        "AGENT_LLM_URL": "http://127.0.0.1:9/v1",
        "AGENT_LLM_MODEL": "none",
    }
    strategy = make_strategy("portfolio", {}, settings_for({bars.symbol: bars}, WIDE))
    result = run_backtest(a_plan(bars, strategy, asks, profile=STAGE4))
    assert result.notes and "a backtest asks nobody outside" in result.notes[0]
    assert run_backtest(a_plan(bars, strategy, asks)).notes == (), "run asks nobody anyway"


def test_cash_that_buys_nothing_is_told_beside_the_result() -> None:
    bars = random_columns(1, 50)
    strategy = make_strategy("ema_cross", {"fast": "2", "slow": "5"}, settings_for({bars.symbol: bars}, WIDE))
    poor = run_backtest(a_plan(bars, strategy, opening=Decimal(5)))
    assert poor.order_count == 0
    (note,) = poor.notes
    assert note.startswith("nothing can be bought: 5 TRY are there")
    assert note.endswith("or begin with more --cash")
    assert run_backtest(a_plan(bars, strategy)).notes == ()
