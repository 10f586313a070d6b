"""Deposits that come in number, late, or while nobody looks."""

from __future__ import annotations

from btcbot.domain.reasons import TradingState


def test_a_bot_that_was_away_finds_many_deposits(rig):
    rig.crash()
    for number in range(12):
        rig.venue.deposit("TRY", str(100 + number))
        rig.wait(3600)
    rig.start()
    rig.cycle(4)
    assert rig.state() is TradingState.ACTIVE
    assert rig.faults() == []


def test_a_deposit_that_the_list_tells_after_the_horizon_clears_suspense_by_itself(rig):
    late = {"data": [], "success": True, "message": "SUCCESS", "code": 0}
    rig.venue.answer("/api/v1/users/transactions/fiat", late, count=None)
    rig.venue.deposit("TRY", "500")
    for _ in range(8):
        rig.wait(5)
        rig.cycle()
    assert rig.state() is TradingState.FROZEN
    rig.venue.clear_faults()
    rig.wait(5)
    rig.cycle(2)
    assert rig.state() is TradingState.ACTIVE
    assert rig.faults() == []


def test_a_trade_of_equal_size_before_every_read_is_no_standing_difference(rig):
    """A timer elsewhere in step with ours, its trades listed a moment late: each difference has its own explanation."""

    def buys_just_before_the_balances(point):
        if point == "before GET /api/v1/users/balances":
            rig.venue.human_orders("buy", "BTCTRY", "0.0002", "1001000")

    rig.points.watch = buys_just_before_the_balances
    for _ in range(6):
        rig.wait(5)
        rig.cycle()
    rig.points.watch = lambda point: None
    assert rig.state() is TradingState.ACTIVE
    rig.cycle(3)
    assert rig.faults() == []
