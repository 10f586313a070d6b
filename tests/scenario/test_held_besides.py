"""A position in a symbol that SYMBOLS does not name any more: what it is worth still counts, and nobody trades it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
from tests.scenario.overseen import WIDE

from btcbot.bootstrap.strategies import strategy_of
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.profiles import RUN, STAGE4
from btcbot.testing.in_process_rig import Rig

BOTH = ("BTCTRY", "ETHTRY")
HELD = Decimal("0.003")


@pytest.fixture
def besides(make_rig: Callable[..., Rig]) -> Rig:
    """0.003 ETH are held, bought under both symbols; the bot was restarted with SYMBOLS=BTCTRY."""
    rig = make_rig(
        symbols=BOTH, profile=STAGE4, TTL_SECONDS="3600", COOLDOWN_SECONDS="0", NOTIONAL_CAP_TRY_PER_CYCLE="4000",
        MAX_POSITION_TRY_PER_SYMBOL="4000", DYNAMIC_UNIVERSE_ENABLED="false", **WIDE,
    )  # fmt: skip
    rig.cycle()
    rig.wish("buy", str(HELD), "1000500", "ETHTRY")
    rig.cycle(2)
    assert rig.position("ETHTRY").quantity == HELD
    rig.restart(SYMBOLS="BTCTRY")
    return rig


def test_a_held_symbol_outside_symbols_cannot_lose_its_worth_unseen(besides: Rig) -> None:
    """What used to happen: its price stood still at the last one seen, and no limit ever saw the loss."""
    before = besides.cycle()
    assert besides.bot.services.universe.current().only_marked == ("ETHTRY",)
    besides.venue.price("ETHTRY", "500000")
    report = besides.cycle()
    assert before.equity_try is not None and report.equity_try is not None
    assert report.quotes["ETHTRY"][0] < 500_000
    assert before.equity_try - report.equity_try == HELD * (before.quotes["ETHTRY"][0] - report.quotes["ETHTRY"][0])
    assert report.outcome is CycleOutcome.OBSERVE_ONLY
    assert report.reasons[0].startswith(ReasonCode.BUDGET_DAILY_LOSS.value)


def test_it_is_not_bought(besides: Rig) -> None:
    besides.wish("buy", "0.0009", "1000500", "ETHTRY")
    besides.wish("buy", "0.0009", "1000500", "BTCTRY")
    besides.cycle()
    assert sorted(besides.verdicts()) == ["allowed", ReasonCode.NOT_SELECTED.value]


def test_the_portfolio_neither_sells_it_nor_counts_it_to_what_it_may_spread(make_rig: Callable[..., Rig]) -> None:
    """Only a universe that chooses lets go of what it no longer chooses."""
    rig = make_rig(
        symbols=BOTH, profile=STAGE4, strategy=partial(strategy_of, STAGE4), STRATEGY="portfolio",
        DYNAMIC_UNIVERSE_ENABLED="false", NOTIONAL_CAP_TRY_PER_CYCLE="4000", MAX_POSITION_TRY_PER_SYMBOL="4000",
        PORTFOLIO_ORDER_OFFSET_BPS="0", RISK_MAX_POSITION_PCT="50", **WIDE,
    )  # fmt: skip
    rig.cycle(12)
    held = rig.position("ETHTRY").quantity
    assert held > 0
    rig.restart(SYMBOLS="BTCTRY")
    orders = len(rig.orders())
    report = rig.cycle(12)
    assert "ETHTRY" in report.quotes
    assert rig.position("ETHTRY").quantity == held
    assert [order.symbol for order in rig.orders()[orders:]] in ([], ["BTCTRY"])


def test_what_is_sold_by_a_wish_is_forgotten_when_nothing_is_left(besides: Rig) -> None:
    besides.wish("sell", str(HELD), "999500", "ETHTRY")
    report = besides.cycle(3)
    assert besides.order().status is OrderStatus.FILLED
    assert (set(report.quotes), besides.bot.services.universe.current().watched) == ({"BTCTRY"}, ("BTCTRY",))


def test_a_pair_that_the_venue_no_longer_trades_is_not_asked_for(besides: Rig) -> None:
    """It would have no quote for ever, which would look like a venue in trouble."""
    besides.cycle()
    instruments = besides.bot.services.market_data.known_instruments
    gone = {symbol: each for symbol, each in instruments.items() if symbol != "ETHTRY"}
    assert besides.bot.services.universe.select(0, gone, ["ETHTRY"]).watched == ("BTCTRY",)


def test_run_watches_its_symbols_alone_as_it_always_did(besides: Rig) -> None:
    besides.profile = RUN
    besides.restart()
    report = besides.cycle()
    assert set(report.quotes) == {"BTCTRY"}
    assert besides.bot.services.universe.current().watched == ("BTCTRY",)


def test_where_the_feed_serves_alone_it_is_left_out_for_it_would_never_have_a_price(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig(symbols=BOTH, profile=STAGE4, has_feed=True, DYNAMIC_UNIVERSE_ENABLED="false", **WIDE)
    rig.cycle(2)
    rig.wish("buy", "0.0009", "1000500", "ETHTRY")
    rig.cycle(2)
    assert rig.position("ETHTRY").quantity > 0
    rig.restart(SYMBOLS="BTCTRY", MARKET_DATA_MODE="ws")
    rig.cycle()
    assert rig.bot.services.universe.current().watched == ("BTCTRY",)
    rig.restart(MARKET_DATA_MODE="auto")
    assert "ETHTRY" in rig.cycle().quotes, "and where it does not, REST tells its price"
