"""The loss of the day is a limit that neither a missing quote nor a wrong clock opens."""

from __future__ import annotations

import pytest

from btcbot.domain.reasons import ReasonCode

BUY_BTC = ("buy", "0.0009", "1000500")
BUY_ETH = ("buy", "0.0005", "1000500", "ETHTRY")


@pytest.fixture
def losing(make_rig):
    """BTC was bought and has lost 45 TRY; the limit is 20."""
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"), MAX_DAILY_LOSS_TRY="20", TTL_SECONDS="3600")
    rig.cycle()
    rig.wish(*BUY_BTC)
    rig.cycle(2)
    rig.venue.price("BTCTRY", "950000")
    rig.cycle()
    return rig


def wish_is_refused(rig):
    orders = len(rig.orders())
    rig.wish(*BUY_ETH)
    rig.cycle()
    assert ReasonCode.DAILY_LOSS.value in " ".join(rig.verdicts())
    assert len(rig.orders()) == orders


def test_it_stops_buys(losing):
    wish_is_refused(losing)


def test_a_book_that_is_empty_for_a_moment_does_not_open_it(losing):
    losing.venue.answer(
        "/api/v2/orderbook",
        {"data": {"timestamp": 1, "bids": [], "asks": []}, "success": True, "message": None, "code": "SUCCESS"},
        count=1,
    )
    wish_is_refused(losing)


def test_a_book_that_is_empty_for_a_moment_does_not_close_it_either(make_rig):
    """The position is worth what its last quote said: without a loss, other symbols are still bought."""
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"), MAX_DAILY_LOSS_TRY="20", TTL_SECONDS="3600")
    rig.cycle()
    rig.wish(*BUY_BTC)
    rig.cycle(2)
    empty = {"data": {"timestamp": 1, "bids": [], "asks": []}, "success": True, "message": None, "code": "SUCCESS"}
    rig.venue.answer("/api/v2/orderbook", empty, count=1)
    rig.wish(*BUY_ETH)
    rig.cycle()
    assert rig.verdicts() == ["allowed"]


def test_a_wall_clock_a_day_ahead_does_not_forget_it(losing):
    losing.clock.step(86_400)
    losing.cycle()
    losing.clock.step(-86_400)
    wish_is_refused(losing)


def test_it_outlives_a_restart(losing):
    losing.restart()
    losing.cycle()
    wish_is_refused(losing)


def test_adopting_what_is_already_a_loss_is_no_loss_of_today(make_rig):
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"), balances={"TRY": "10000", "BTC": "0.01"}, MAX_DAILY_LOSS_TRY="20")
    rig.cycle()
    assert rig.ask("adopt", symbol="BTCTRY", quantity="0.01", cost="12000").done
    rig.wish(*BUY_ETH)
    rig.cycle()
    assert len(rig.orders()) == 1
