"""Trades that were booked a while ago: listed again they cost no query, and the memory of them is bounded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import pytest
from tests.unit.btcturk.support import FakeClock

from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.store.memory import MemoryStore
from btcbot.decisions.fees import FeeRates
from btcbot.domain.fills import VenueTrade
from btcbot.domain.intents import Side
from btcbot.services import accounting
from btcbot.services.accounting import AccountingService

NOW_MS = 1_790_000_000_000


class Asked(MemoryStore):
    """A store that notes for which trades it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def has_fill(self, trade_id: str) -> bool:
        self.asked.append(trade_id)
        return super().has_fill(trade_id)


def a_trade(number: int) -> VenueTrade:
    """Of another hand."""
    return VenueTrade(
        trade_id=f"t{number}", venue_order_id="7", client_order_id=None, symbol="BTCTRY", base="BTC", quote="TRY",
        side=Side.BUY, price=Decimal(100), quantity=Decimal(1), fee=Decimal(0), tax=Decimal(0), at_ms=NOW_MS + number,
    )  # fmt: skip


def test_the_oldest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "SEEN_TRADES_MAX", 3)
    store, nobody = Asked(), cast(Any, None)
    service = AccountingService(
        store, nobody, FakeClock(NOW_MS), NullMetrics(), cast(Any, Silent()), book_id="b",
        configured_rates=FeeRates(maker=Decimal(0), taker=Decimal(0)), settle_horizon_ms=1, quote_asset="TRY",
        adopt_unknown=nobody,
    )  # fmt: skip
    trades = [a_trade(number) for number in range(5)]
    service.book_trades(trades)
    assert store.entry_count() == 5

    store.asked.clear()
    service.book_trades(trades[2:])
    assert store.asked == []
    service.book_trades(trades[:2])
    assert store.asked == ["t0", "t1"]
    assert store.entry_count() == 5


class Silent:
    def info(self, event: str, **fields: object) -> None:
        """Nobody reads it."""
