"""Signals over columns: the same as bar by bar, to the last bit, and never from a bar that is still to come."""

from __future__ import annotations

import itertools
import math
import statistics
import struct
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy", reason="needs the research extra")

from btcbot.adapters.replay.columns import BarColumns  # noqa: E402
from btcbot.backtest.signal_columns import change_points, compute, floats_of  # noqa: E402
from btcbot.strategies import signals as kinds  # noqa: E402
from btcbot.strategies.base import Running, Signal  # noqa: E402
from btcbot.strategies.ema_cross import EmaCross  # noqa: E402
from btcbot.strategies.signals import (  # noqa: E402
    BAR_FIELDS,
    Above,
    AtLeast,
    AtMost,
    Changed,
    Close,
    Ema,
    Highest,
    Lowest,
    Rsi,
    RunningSignals,
    Sma,
    Stdev,
    ZScore,
    warm_up_of,
)

MINUTE_MS = 60_000

#: Every kind, over windows that end within a block, at its end, and over more than the data has.
ALL: Mapping[str, Signal] = {
    "same": Close(),
    "ema": Ema(5),
    "ema_of_one": Ema(1),
    "sma": Sma(4),
    "sma_of_one": Sma(1),
    "sma_of_volume": Sma(3, "volume"),
    "stdev": Stdev(6),
    "stdev_of_one": Stdev(1),
    "score": ZScore(7),
    "rsi": Rsi(4),
    "highest": Highest(3),
    "lowest": Lowest(5),
    "highest_close": Highest(2, "close"),
    "above": Above("ema", "sma"),
    "at_least": AtLeast("score", 0.5),
    "at_most": AtMost("rsi", 50.0),
    "changed": Changed("above"),
    "ema_of_rsi": Ema(3, "rsi"),
}


def columns(closes: Sequence[int], *, price_scale: int = 2, volumes: Sequence[int] | None = None) -> BarColumns:
    """One bar a minute; the high two steps above the close and the low three below, so that each field is another."""
    close = np.array(closes, dtype=np.int64)
    return BarColumns(
        symbol="BTCTRY",
        interval_ms=MINUTE_MS,
        price_scale=price_scale,
        volume_scale=8,
        open_time_ms=np.arange(len(close), dtype=np.int64) * MINUTE_MS,
        open=close - 1,
        high=close + 2,
        low=close - 3,
        close=close,
        volume=np.array(volumes if volumes is not None else range(1, len(close) + 1), dtype=np.int64),
    )


def one_by_one(signals: Mapping[str, Signal], bars: BarColumns) -> Mapping[str, Sequence[float]]:
    """What the incremental form says; NaN where it says nothing yet."""
    running = RunningSignals(signals)
    told = [running.update(bars.bar(index)) for index in range(len(bars))]
    return {name: [math.nan if values is None else values[name] for values in told] for name in signals}


def bits(values: Sequence[float]) -> list[bytes]:
    """So that -0.0 is not 0.0, and NaN is NaN."""
    return [struct.pack("<d", value) for value in values]


prices = st.lists(st.integers(min_value=4, max_value=400_000_000), min_size=0, max_size=60)
calm_prices = st.lists(st.integers(min_value=9_998, max_value=10_002), min_size=0, max_size=60)


@pytest.mark.parametrize("field", BAR_FIELDS)
def test_every_field_that_a_bar_offers_is_taken_by_both(field: str) -> None:
    bars = columns([10_000, 10_007, 9_950])
    exact = {"open": "99.49", "high": "99.52", "low": "99.47", "close": "99.50", "volume": "0.00000003"}
    signals = {"it": Close(field)}
    assert compute(signals, bars)["it"].tolist()[-1] == one_by_one(signals, bars)["it"][-1] == float(exact[field])


@settings(deadline=None)
@given(closes=prices | calm_prices)
def test_columns_and_bar_by_bar_are_equal_to_the_last_bit(closes: list[int]) -> None:
    bars = columns(closes)
    for name, signal in ALL.items():
        alone = _with_inputs(name)
        assert bits(compute(alone, bars)[name].tolist()) == bits(one_by_one(alone, bars)[name]), (name, signal)
    together, apart = compute(ALL, bars), one_by_one(ALL, bars)
    assert {name: bits(column.tolist()) for name, column in together.items()} == {
        name: bits(values) for name, values in apart.items()
    }


def _with_inputs(name: str) -> Mapping[str, Signal]:
    """The signal, and those that it is made of."""
    needed: dict[str, Signal] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in ALL:
            needed[one] = ALL[one]
            waiting += ALL[one].inputs
    return needed


@settings(deadline=None)
@given(closes=prices | calm_prices, cut=st.integers(min_value=0, max_value=60))
def test_nothing_looks_ahead(closes: list[int], cut: int) -> None:
    """Whatever comes later, the values up to a bar are those that were there when it closed."""
    whole, so_far = compute(ALL, columns(closes)), compute(ALL, columns(closes[:cut]))

    for name, column in so_far.items():
        assert bits(column.tolist()) == bits(whole[name][:cut].tolist()), name


def test_the_averages_of_a_cross_are_those_of_the_plain_loop() -> None:
    """`f = s = close[0]`, then for every bar `f += alpha * (x - f)`: 3,000 closes that go up and down."""
    closes = [3_000_000_00 + int(40_000 * math.sin(index / 37)) + (index * 7919) % 1_003 for index in range(3_000)]
    fast, slow = [], []
    f = s = closes[0] / 100
    for close in closes:
        f += 2 / (20 + 1) * (close / 100 - f)
        s += 2 / (100 + 1) * (close / 100 - s)
        fast.append(f)
        slow.append(s)

    found = compute(EmaCross(fast=20, slow=100).signals(), columns(closes))

    assert np.isnan(found["fast"][:100]).all()
    assert bits(found["fast"][100:].tolist()) == bits(fast[100:])
    assert bits(found["slow"][100:].tolist()) == bits(slow[100:])
    above = [a > b for a, b in zip(fast, slow, strict=True)]
    crossed = [100, *(index for index in range(101, 3_000) if above[index] != above[index - 1])]
    assert change_points(found["is_above"]).tolist() == crossed
    assert np.flatnonzero(found["has_crossed"] == 1).tolist() == crossed
    assert len(crossed) > 10


@pytest.mark.parametrize("length", [4_095, 4_096, 4_097, 9_000])
def test_an_average_goes_on_where_one_portion_ends_and_the_next_begins(length: int) -> None:
    closes = np.random.default_rng(7).integers(90_000, 110_000, length).tolist()
    bars, signals = columns(closes), {"fast": Ema(20), "slow": Ema(100)}
    found, expected = compute(signals, bars), one_by_one(signals, bars)
    for name in signals:
        assert bits(found[name][100:].tolist()) == bits(list(expected[name])[100:])


def test_windows_by_hand() -> None:
    """Closes 1, 2, 3, 4, 10 at scale 0: every window of three."""
    bars = columns([1, 2, 3, 4, 10], price_scale=0)
    found = compute({"mean": Sma(3), "deviation": Stdev(3), "score": ZScore(3), "top": Highest(3, "close")}, bars)

    assert found["mean"][2:].tolist() == [2, 3, 17 / 3]
    assert found["top"][2:].tolist() == [3, 4, 10]
    assert found["deviation"][2:].tolist() == pytest.approx(
        [statistics.pstdev(w) for w in ((1, 2, 3), (2, 3, 4), (3, 4, 10))]
    )
    assert found["score"][4] == pytest.approx((10 - 17 / 3) / statistics.pstdev((3, 4, 10)))


def test_the_strength_index_by_hand() -> None:
    """Moves +2, -1, then +3 and -2 over 2: gains 1, 2, 1; losses 0.5, 0.25, 1.125."""
    bars = columns([10, 12, 11, 14, 12], price_scale=0)

    found = compute({"rsi": Rsi(2)}, bars)["rsi"].tolist()

    assert found[2:] == pytest.approx([100 / 1.5, 200 / 2.25, 100 / 2.125])
    assert all(math.isnan(value) for value in found[:2])


def test_a_market_that_stands_still_has_no_deviation_and_no_score() -> None:
    """Also while the block of the window still holds another price: the deviation is zero, not almost."""
    bars = columns([300_000_001] * 7 + [300_000_107] * 20)
    found = compute({"deviation": Stdev(5), "score": ZScore(5), "rsi": Rsi(3)}, bars)

    assert set(found["deviation"][12:].tolist()) == {0.0}
    assert set(found["score"][12:].tolist()) == {0.0}
    assert compute({"rsi": Rsi(3)}, columns([500] * 9))["rsi"][3:].tolist() == [50.0] * 6


def test_a_year_of_large_prices_leaves_no_rounding_error_behind() -> None:
    """After 300,000 bars around 90 million the deviation over 60 is still that of these 60 closes."""
    closes = [9_000_000_000 + (index * 7919) % 401 for index in range(300_000)]
    found = compute({"deviation": Stdev(60), "mean": Sma(60)}, columns(closes))

    for end in (59, 150_000, 299_999):
        window = [close / 100 for close in closes[end - 59 : end + 1]]
        assert found["deviation"][end] == pytest.approx(statistics.pstdev(window), rel=1e-6)
        assert found["mean"][end] == pytest.approx(statistics.fmean(window), rel=1e-15)


def test_all_signals_begin_with_the_one_that_warms_up_last() -> None:
    found = compute({"price": Close(), "slow": Sma(4)}, columns([5, 5, 5, 6, 7]))

    assert [math.isnan(value) for value in found["price"]] == [True, True, True, False, False]
    assert change_points(found["price"]).tolist() == [3, 4]


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ([], []),
        ([1.0], [0]),
        ([1.0, 1.0, 2.0, 2.0, 1.0], [0, 2, 4]),
        ([math.nan, math.nan, 0.0, 0.0], [2]),
        ([math.nan] * 3, []),
        ([0.0, math.nan, math.nan, 0.0], [0, 1, 3]),
    ],
)
def test_a_change_is_another_value_than_before(values: list[float], changes: list[int]) -> None:
    found = change_points(np.array(values, dtype=np.float64))

    assert found.tolist() == changes
    assert found.dtype == np.int64


@settings(deadline=None)
@given(whole=st.integers(min_value=-(2**63), max_value=2**63 - 1), scale=st.integers(min_value=0, max_value=30))
@example(whole=854_601_903_266_364_130, scale=4)  # its float is rounded, and dividing would round it again
@example(whole=-854_601_903_266_364_130, scale=4)
def test_a_float_is_the_nearest_to_its_exact_decimal(whole: int, scale: int) -> None:
    bars = msgspec.structs.replace(columns([whole], price_scale=scale))

    assert floats_of(bars, "close").tolist() == [float(Decimal(whole).scaleb(-scale))]


class Momentum(msgspec.Struct, frozen=True):
    """A kind of a user's own: the close less the one of `back` bars ago."""

    back: int
    inputs: tuple[str, ...] = ("close",)

    @property
    def warm_up(self) -> int:
        return self.back

    def start(self) -> Running:
        return _Momentum(self.back)


class _Momentum:
    def __init__(self, back: int) -> None:
        self._seen: list[float] = []
        self._back = back

    def update(self, *values: float) -> float:
        self._seen.append(values[0])
        return values[0] - self._seen[-1 - self._back] if len(self._seen) > self._back else math.nan


def test_a_kind_of_ones_own_is_run_bar_by_bar() -> None:
    signals: Mapping[str, Signal] = {"momentum": Momentum(2), "is_up": AtLeast("momentum", 1.0)}
    bars = columns([1, 2, 4, 8, 7], price_scale=0)

    assert compute(signals, bars)["momentum"][2:].tolist() == [3, 6, 3]
    assert compute(signals, bars)["is_up"][2:].tolist() == [1, 1, 1]
    assert warm_up_of(signals) == 2


def test_every_shipped_kind_has_a_column_form_and_stands_in_these_tests() -> None:
    shipped = {
        kind
        for kind in vars(kinds).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and hasattr(kind, "start")
    }
    assert shipped == {type(signal) for signal in ALL.values()}
    from btcbot.backtest.signal_columns import _COLUMNS

    assert shipped == set(_COLUMNS)


def test_longer_than_the_data_means_nothing() -> None:
    for signal in (Sma(9), Stdev(9), ZScore(9), Rsi(9), Highest(9), Lowest(9), Ema(9)):
        for length in itertools.chain(range(3), (8,)):
            assert np.isnan(compute({"it": signal}, columns([7] * length))["it"]).all()
