"""Signals bar by bar: when they begin to mean something, what they may be made of."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from btcbot.strategies.base import Signal
from btcbot.strategies.scenes import bars_of
from btcbot.strategies.signals import (
    Above,
    Changed,
    Close,
    Ema,
    Highest,
    Rsi,
    RunningSignals,
    Sma,
    order_of,
    warm_up_of,
)


def told(signals: Mapping[str, Signal], closes: list[int]) -> list[Mapping[str, float] | None]:
    running = RunningSignals(signals)
    return [running.update(bar) for bar in bars_of(closes)]


def test_nothing_is_told_before_all_of_them_mean_something() -> None:
    assert told({"price": Close(), "mean": Sma(3)}, [1, 2, 3, 7]) == [
        None,
        None,
        {"price": 3, "mean": 2},
        {"price": 7, "mean": 4},
    ]


def test_an_exponential_average_starts_at_the_first_close() -> None:
    """alpha = 2 / 4: 8, then half way to 4 is 6, half way to 10 is 8, half way to 0 is 4."""
    assert told({"ema": Ema(3)}, [8, 4, 10, 0])[3] == {"ema": 4}


def test_the_first_value_is_a_change_and_each_other_one() -> None:
    signals = {"mean": Sma(2), "up": Above("close", "mean"), "turned": Changed("up")}

    assert [values and values["turned"] for values in told(signals, [5, 6, 7, 6, 5, 6])] == [None, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("signals", "first_bar"),
    [
        ({}, 0),
        ({"it": Close()}, 0),
        ({"it": Sma(20)}, 19),
        ({"it": Ema(100)}, 100),
        ({"it": Rsi(14)}, 14),
        ({"it": Ema(9, "rsi"), "rsi": Rsi(14)}, 23),
        ({"up": Above("fast", "slow"), "fast": Ema(20), "slow": Ema(100)}, 100),
    ],
)
def test_what_a_signal_is_made_of_warms_up_first(signals: Mapping[str, Signal], first_bar: int) -> None:
    assert warm_up_of(signals) == first_bar
    values = told(signals, [100] * (first_bar + 1))
    assert all(one is None for one in values[:-1])
    assert values[-1] is not None


def test_inputs_come_before_what_needs_them() -> None:
    assert order_of({"c": Above("a", "b"), "b": Sma(2, "a"), "a": Sma(3)}) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        ({"close": Sma(3)}, "a signal cannot be named close: that is a field of the bar"),
        ({"up": Above("fsat", "close")}, "the signal up takes fsat, which is neither another signal nor one of open, "),
        ({"a": Sma(2, "b"), "b": Sma(2, "a")}, "signals go in a circle: a from b from a"),
        ({"a": Sma(2, "a")}, "signals go in a circle: a from a"),
    ],
)
def test_what_cannot_be_computed_is_refused(signals: Mapping[str, Signal], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        warm_up_of(signals)


@pytest.mark.parametrize("period", [0, -3, 600_001])
def test_a_window_has_a_length(period: int) -> None:
    with pytest.raises(ValueError, match=rf"Highest over {period} bars; give 1 to 600000"):
        Highest(period)
