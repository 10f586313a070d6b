"""Columns of bars, and the clocks that stand in them."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy", reason="needs the research extra")

from btcbot.adapters.replay.columns import BarColumns, cursors_of, distinct_times  # noqa: E402

MINUTE_MS = 60_000


def bars_at(symbol: str, *minutes: int, interval_ms: int = MINUTE_MS) -> BarColumns:
    """Bars that open at these minutes."""
    flat = np.full(len(minutes), 100, dtype=np.int64)
    return BarColumns(
        symbol=symbol,
        interval_ms=interval_ms,
        price_scale=2,
        volume_scale=0,
        open_time_ms=np.array(minutes, dtype=np.int64) * MINUTE_MS,
        open=flat,
        high=flat,
        low=flat,
        close=flat,
        volume=flat,
    )


def test_symbols_with_bars_of_the_same_times_share_a_clock() -> None:
    bars = {name: bars_at(name, 1, 2, 3) for name in ("BTCTRY", "ETHTRY", "XRPTRY")}
    assert len(set(cursors_of(bars).values())) == 1
    assert len(distinct_times(bars.values())) == 1


@pytest.mark.parametrize(
    "other",
    [bars_at("ETHTRY", 1, 3), bars_at("ETHTRY", 1, 2, 4), bars_at("ETHTRY", 1, 2, 3, interval_ms=2 * MINUTE_MS)],
    ids=["a gap", "another time", "another length"],
)
def test_a_symbol_with_other_bars_has_a_clock_of_its_own(other: BarColumns) -> None:
    bars = {"BTCTRY": bars_at("BTCTRY", 1, 2, 3), "ETHTRY": other, "XRPTRY": bars_at("XRPTRY", 1, 2, 3)}
    cursors = cursors_of(bars)
    assert cursors["BTCTRY"] is cursors["XRPTRY"]
    assert cursors["ETHTRY"] is not cursors["BTCTRY"]
    assert [cursors[name].move_to(4 * MINUTE_MS) for name in ("BTCTRY", "XRPTRY")] == [2, 2]
    assert cursors["ETHTRY"].move_to(4 * MINUTE_MS) == 1


def test_the_times_of_all_symbols_are_each_told_once() -> None:
    bars = [bars_at("BTCTRY", 1, 2), bars_at("ETHTRY", 2, 3), bars_at("XRPTRY", 1, 2)]
    assert [times.tolist() for times in distinct_times(bars)] == [
        [MINUTE_MS, 2 * MINUTE_MS],
        [2 * MINUTE_MS, 3 * MINUTE_MS],
    ]
