"""Stale orders are taken out of the market whatever else is down, and a cancel that never left is asked again."""

from __future__ import annotations

import pytest

RESTING = ("buy", "0.0005", "999000")


@pytest.mark.parametrize("path", ["/api/v2/orderbook", "/api/v2/server/exchangeinfo"])
def test_without_market_data_the_stale_order_still_goes(make_rig, path):
    rig = make_rig(TTL_SECONDS="30")
    rig.cycle()
    rig.wish(*RESTING)
    rig.cycle()
    rig.venue.fault("status_before", "GET", path, count=None, status=503)
    rig.wait(400)
    rig.cycle(2)
    assert len(rig.venue.requests("DELETE")) == 1
    rig.heal()
    assert rig.faults() == []


def test_a_cancel_that_the_venue_had_no_room_for_is_asked_again(make_rig):
    rig = make_rig(TTL_SECONDS="86400")
    rig.cycle()
    rig.wish(*RESTING)
    rig.cycle()
    rig.venue.fault("rate_limited", "DELETE", retry_after=1)
    answer = rig.ask("cancel", client_order_id="all")
    assert not answer.done
    assert "0 of 1" in answer.text
    rig.wait(2)
    assert rig.ask("cancel", client_order_id="all").done
    rig.heal()
    assert rig.faults() == []


def test_cancel_on_exit_asks_for_more_than_one_second_of_quota(make_rig):
    rig = make_rig(
        TTL_SECONDS="3600",
        COOLDOWN_SECONDS="0",
        MAX_OPEN_ORDERS_PER_SYMBOL="20",
        MAX_ORDERS_PER_CYCLE="20",
        NOTIONAL_CAP_TRY_PER_CYCLE="100000",
        MAX_POSITION_TRY_PER_SYMBOL="100000",
    )
    rig.cycle()
    for _ in range(3):
        for _ in range(5):
            rig.wish(*RESTING)
        rig.cycle()
        rig.wait(2)
    assert len(rig.orders()) == 15
    rig.bot.cancel_resting()
    assert list(rig.bot.resting_order_ids()) == []


def test_a_sell_larger_than_the_cycles_cap_goes_in_pieces(make_rig):
    rig = make_rig(NOTIONAL_CAP_TRY_PER_CYCLE="1000", COOLDOWN_SECONDS="0")
    rig.cycle()
    rig.wish("buy", "0.0009", "1001000")
    rig.cycle(2)
    rig.venue.price("BTCTRY", "1300000")
    rig.wish("sell", "0.0009", "1290000")
    rig.cycle(2)
    sold = rig.orders()[-1]
    assert sold.side == "sell"
    assert 900 < sold.price * sold.quantity <= 1000
