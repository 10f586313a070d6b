"""Which of many symbols a strategy has to look at: alike on signals of a live run and on recorded columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest
from tests.unit.backtest.market import random_columns

from btcbot.backtest.signals import ColumnSignals
from btcbot.strategies.base import SignalBoard, StrategyContext
from btcbot.strategies.ema_cross import EmaCross


def context(signals: Mapping[str, Mapping[str, float]], symbols: Sequence[str]) -> StrategyContext:
    return StrategyContext(
        cycle_id="c00000001",
        symbols=symbols,
        instruments={},
        quotes={},
        positions={},
        spendable=Decimal(0),
        symbols_with_open_orders=frozenset(),
        taker_rate=Decimal(0),
        signals=signals,
    )


def test_those_of_which_the_signal_is_not_zero_in_alphabetical_order() -> None:
    signals = {"XRPTRY": {"is_low": 1.0}, "ADATRY": {"is_low": -0.5}, "ETHTRY": {"is_low": 0.0}}
    assert context(signals, ("XRPTRY", "ETHTRY", "ADATRY", "BTCTRY")).symbols_with("is_low") == ["ADATRY", "XRPTRY"]


def test_one_that_may_not_be_traded_now_is_left_out() -> None:
    signals = {"XRPTRY": {"is_low": 1.0}, "ADATRY": {"is_low": 1.0}}
    assert context(signals, ("XRPTRY",)).symbols_with("is_low") == ["XRPTRY"]


def test_a_signal_that_nobody_asked_for_is_no_silence() -> None:
    with pytest.raises(KeyError):
        context({"XRPTRY": {"is_low": 1.0}}, ("XRPTRY",)).symbols_with("is_lwo")


def test_recorded_columns_name_the_same_at_every_bar() -> None:
    """From the first bar on, at which nothing means anything yet; one market's bars begin an hour after the other's."""
    minute_ms = 60_000
    early, late = random_columns(1, 400, symbol="ETHTRY"), random_columns(2, 400, symbol="ADATRY")
    late = late.between(int(late.open_time_ms[60]), None)
    source = ColumnSignals(EmaCross(fast=2, slow=5).signals(), {"ETHTRY": early, "ADATRY": late})
    seen: set[tuple[str, ...]] = set()
    for opened_ms in early.open_time_ms:
        _, board = source.at(int(opened_ms) + minute_ms, may_read=True)
        assert isinstance(board, SignalBoard)
        for name in ("has_crossed", "is_above"):
            read_one_by_one = {symbol: dict(board[symbol]) for symbol in board}
            named = context(board, ("ETHTRY", "ADATRY")).symbols_with(name)
            assert named == context(read_one_by_one, ("ETHTRY", "ADATRY")).symbols_with(name)
            seen.add(tuple(named))
    assert seen == {(), ("ADATRY",), ("ETHTRY",), ("ADATRY", "ETHTRY")}
