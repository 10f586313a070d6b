"""A trade that the venue takes back: what a person has to explain, and a world of faults therefore does not do.

The books never unbook anything. So the money that comes back and the coins that go are a difference that no list of the
venue tells: it goes to suspense, nothing new is bought, and the operator says what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from btcbot.domain.ledger import Account
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import TradingState
from btcbot.testing.in_process_rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """0.0005 BTC were bought for 500.25 TRY, and booked."""
    rig = Rig(tmp_path)
    rig.cycle()
    rig.wish("buy", "0.0005", "1000500")
    rig.cycle(3)
    assert rig.order().status is OrderStatus.FILLED
    yield rig
    rig.close()


def test_a_bust_freezes_until_a_person_explains_it(rig: Rig) -> None:
    (fill,) = rig.store.fills()

    rig.venue.simulator.operations.bust(int(fill.trade_id), rig.clock.true_ms())
    rig.cycle(6)

    assert rig.state() is TradingState.FROZEN
    suspense = rig.store.account_balances(Account.SUSPENSE)
    assert suspense["BTC"] == fill.quantity
    assert suspense["TRY"] == -(fill.quantity * fill.price + fill.fee + fill.tax)
    assert rig.store.fills() == [fill], "what was booked stays booked"
    assert rig.order().status is OrderStatus.FILLED

    rig.wish("buy", "0.0005", "1000500")
    rig.cycle()
    assert len(rig.orders()) == 1, "nothing is bought while nobody knows what happened"
    rig.strategy.wishes.clear()

    for entry in [entry for entry in rig.store.entries() if entry.moved(Account.SUSPENSE, "BTC")]:
        assert rig.ask("explain", entry_id=entry.entry_id, meaning="withdrawal", reason="trade taken back").done
    for entry in [entry for entry in rig.store.entries() if entry.moved(Account.SUSPENSE, "TRY")]:
        assert rig.ask("explain", entry_id=entry.entry_id, meaning="deposit", reason="trade taken back").done
    assert rig.ask("release", symbol="BTCTRY", quantity="0.0005", reason="trade taken back").done
    rig.cycle()

    assert rig.state() is TradingState.ACTIVE
    assert not any(rig.store.account_balances(Account.SUSPENSE).values())
    assert rig.position().quantity == 0
    books, venue = rig.store.account_balances(Account.VENUE), rig.venue.totals()
    assert {asset: books[asset] for asset in ("TRY", "BTC")} == {asset: venue[asset] for asset in ("TRY", "BTC")}
    assert rig.store.verify() == []
