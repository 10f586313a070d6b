"""What a narrowed stance does to orders that work already, to cycles that the feed wakes, and with a clock off."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.overseen import OverseenRig

from btcbot.domain.feed import Wake
from btcbot.domain.orders import CONFIRMED_BY_LISTS, OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import TradingMode
from btcbot.errors import VenueUnavailable

RESTING = ("buy", "0.0005", "990000")


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Any]:
    made: list[OverseenRig] = []

    def make(**options: Any) -> OverseenRig:
        rig = OverseenRig(tmp_path, **{"TTL_SECONDS": "3600", "REPLACE_DRIFT_BPS": "5000", **options})
        made.append(rig)
        rig.cycle(2)
        return rig

    yield make
    for rig in made:
        rig.close()


def override(rig: OverseenRig, mode: TradingMode, seconds: int = 3600) -> None:
    answer = rig.ask("degrade_override", mode=mode.value, seconds=str(seconds), reason="a look at it first")
    assert answer.done, answer.text


@pytest.mark.parametrize("mode", [TradingMode.REDUCE_RISK_ONLY, TradingMode.OBSERVE_ONLY])
def test_buys_that_rest_are_taken_out_where_nothing_may_be_bought(rigs: Any, mode: TradingMode) -> None:
    """They would go on filling for as long as an order may stand."""
    rig = rigs()
    rig.wish(*RESTING)
    rig.cycle()
    assert rig.order().status is OrderStatus.ACCEPTED
    override(rig, mode)
    rig.cycle(3)
    why = f"{ReasonCode.CANCEL_NARROWED.value}{CONFIRMED_BY_LISTS}"
    assert (rig.order().status, rig.order().reason) == (OrderStatus.CANCELED, why)
    assert [line["reason"] for line in rig.log.events("cancel_asked")] == ["order:trading_narrowed"]
    assert not rig.venue.working()


def test_sells_that_rest_stay(rigs: Any) -> None:
    rig = rigs()
    rig.wish("buy", "0.0005", "1000500")
    rig.cycle(2)
    rig.wish("sell", "0.0005", "1010000")
    rig.cycle()
    override(rig, TradingMode.REDUCE_RISK_ONLY)
    rig.cycle(3)
    assert [order.status for order in rig.orders()][-1] is OrderStatus.ACCEPTED


def test_a_cycle_that_the_feed_wakes_does_not_trade_before_the_overseers_have_looked(
    rigs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole cycle recovered, and then found no prices; whatever narrowed the one before it is not known yet."""
    rig = rigs()
    override(rig, TradingMode.OBSERVE_ONLY)
    rig.cycle()
    market_data = rig.bot.services.market_data

    def fails(*unused: object) -> Any:
        raise VenueUnavailable("no books")

    with monkeypatch.context() as patch:
        patch.setattr(market_data, "get_best_bid_ask", fails)
        rig.cycle()
    quotes = market_data.get_best_bid_ask(("BTCTRY",))
    monkeypatch.setattr(market_data, "get_from_feed", lambda *unused: quotes)
    rig.wish("buy", "0.0005", "1000500")
    report = rig.bot.run_cycle(Wake.MARKET)
    assert (report.counts["allowed"], rig.store.order_count()) == (0, 0)


def test_a_clock_that_runs_ahead_for_a_cycle_ends_no_override(rigs: Any) -> None:
    rig = rigs()
    override(rig, TradingMode.OBSERVE_ONLY)
    rig.cycle()
    rig.clock.step(7_200)
    rig.cycle()
    rig.clock.step(-7_200)
    rig.cycle(2)
    assert rig.level() == 3


def test_buys_that_rest_of_one_pair_are_taken_out_where_that_pair_may_not_be_bought(rigs: Any) -> None:
    """A position above its share: what rests of its buy would make it larger still; the other pair is left alone."""
    rig = rigs(symbols=("BTCTRY", "ETHTRY"), RISK_MAX_POSITION_PCT="8", NOTIONAL_CAP_TRY_PER_CYCLE="5000")
    rig.wish("buy", "0.0015", "990000")
    rig.wish("buy", "0.0005", "990000", "ETHTRY")
    rig.cycle()
    (bitcoin,) = [order for order in rig.venue.working() if order.quantity == Decimal("0.0015")]
    rig.venue.fill(bitcoin, Decimal("0.0010"))
    rig.cycle(4)
    assert rig.position().quantity == Decimal("0.0010")
    assert [order.symbol for order in rig.orders() if order.is_open] == ["ETHTRY"]
