"""A look over recorded bars: the book that is made of them, the volume of the day, the closes of the look-back."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from msgspec.structs import replace
from tests.builders import an_instrument

from btcbot.adapters.replay.columns import BarColumns
from btcbot.adapters.replay.scanner import ReplayScanner
from btcbot.domain.scan import ScanRow

MINUTE_MS = 60_000
START_MS = 1_700_000_040_000 // MINUTE_MS * MINUTE_MS
#: Bars at 100.00, 100.01, … with 10.0000 of the base each, one a minute.
COUNT = 2_000


def some_bars(*, leave_out: range = range(0), first: int = 0, interval_ms: int = MINUTE_MS) -> BarColumns:
    index = np.array([at for at in range(first, COUNT) if at not in leave_out], dtype=np.int64)
    closes = 10_000 + index
    return BarColumns(
        symbol="ADATRY",
        interval_ms=interval_ms,
        price_scale=2,
        volume_scale=4,
        open_time_ms=START_MS + index * interval_ms,
        open=closes,
        high=closes,
        low=closes,
        close=closes,
        volume=np.full(len(index), 100_000, dtype=np.int64),
    )


def look(bars: BarColumns, now_ms: int, **changes: object) -> ScanRow:
    options: dict[str, object] = {
        "half_spread": Decimal("0.0005"),
        "depth_share": Decimal("0.05"),
        "interval_ms": 5 * MINUTE_MS,
        "history_ms": 20 * MINUTE_MS,
        **changes,
    }
    scanner = ReplayScanner({"ADATRY": bars}, {"ADATRY": an_instrument("ADATRY")}, **options)  # type: ignore[arg-type]
    return scanner.scan(["ADATRY"], now_ms)["ADATRY"]


def closed(bars: int) -> int:
    """The moment at which so many bars have closed."""
    return START_MS + bars * MINUTE_MS


def test_the_book_is_the_last_close_and_a_share_of_half_an_hours_volume() -> None:
    row = look(some_bars(), closed(101))
    assert row.quote is not None
    assert (row.quote.bid, row.quote.ask) == (Decimal("100.94"), Decimal("101.06")), "101.00 less and plus 5 bps"
    assert row.quote.bid_quantity == row.quote.ask_quantity == 30 * 10 * Decimal("0.05")
    assert row.depth == 15 * Decimal("202.00")


def test_without_a_spread_a_tick_lies_between_bid_and_ask() -> None:
    row = look(some_bars(), closed(1), half_spread=Decimal(0))
    assert row.quote is not None
    assert (row.quote.bid, row.quote.ask) == (Decimal("100.00"), Decimal("100.01"))


def test_the_future_is_not_seen() -> None:
    """A moment before a bar has closed its price is not known."""
    before, after = look(some_bars(), closed(101) - 1), look(some_bars(), closed(101))
    assert before.quote is not None and after.quote is not None
    assert before.quote.mid < after.quote.mid
    assert look(some_bars(), START_MS + MINUTE_MS - 1) == ScanRow(symbol="ADATRY", at_ms=START_MS + MINUTE_MS - 1)


def test_a_book_is_stale_from_where_the_next_bar_should_have_closed() -> None:
    gap = some_bars(leave_out=range(100, 110))
    for late_ms, age_ms in ((0, 0), (59_999, 0), (60_000, 0), (61_000, 1_000), (300_000, 240_000)):
        row = look(gap, closed(100) + late_ms)
        assert row.quote is not None
        assert row.at_ms - row.quote.venue_time_ms == age_ms


def test_what_does_not_trade_has_no_depth() -> None:
    row = look(some_bars(leave_out=range(100, 200)), closed(140))
    assert row.quote is not None
    assert row.depth is None


def test_the_volume_is_that_of_24_hours_and_exact() -> None:
    assert look(some_bars(), closed(2)).quote_volume_24h == 10 * (Decimal("100.00") + Decimal("100.01"))
    day = 24 * 60
    expected = sum(Decimal(10_000 + at) for at in range(COUNT - day, COUNT)) * Decimal("0.1")
    assert look(some_bars(), closed(COUNT)).quote_volume_24h == expected


def test_closes_are_those_of_the_look_back_at_marks_of_the_grid() -> None:
    now_ms = closed(102)
    row = look(some_bars(), now_ms)
    marks = [close.at_ms for close in row.closes]
    assert all(mark % (5 * MINUTE_MS) == 0 for mark in marks)
    assert marks == list(range(marks[0], marks[-1] + 1, 5 * MINUTE_MS))
    assert now_ms - marks[-1] < 5 * MINUTE_MS
    assert 0 <= now_ms - 20 * MINUTE_MS - marks[0] < 5 * MINUTE_MS, "one of them is at or before its beginning"
    for close in row.closes:
        bars_closed = (close.at_ms - START_MS) // MINUTE_MS
        assert close.price == Decimal(10_000 + bars_closed - 1) * Decimal("0.01")


def test_marks_without_a_bar_are_left_out() -> None:
    first_mark = -(-START_MS // (5 * MINUTE_MS)) * 5 * MINUTE_MS + 5 * MINUTE_MS
    before = (first_mark - START_MS) // MINUTE_MS
    row = look(some_bars(leave_out=range(before, before + 12)), first_mark + 15 * MINUTE_MS)
    told = [close.at_ms for close in row.closes if close.at_ms >= first_mark]
    assert told == [first_mark, first_mark + 15 * MINUTE_MS]


def test_bars_longer_than_the_grid_are_taken_as_they_are() -> None:
    hour_ms = 60 * MINUTE_MS
    hours = some_bars(interval_ms=hour_ms)
    hours = replace(hours, open_time_ms=hours.open_time_ms // hour_ms * hour_ms)
    now_ms = START_MS // hour_ms * hour_ms + 10 * hour_ms
    closes = look(hours, now_ms, history_ms=3 * hour_ms).closes
    assert [close.price for close in closes] == [
        Decimal(at) * Decimal("0.01") for at in (10_006, 10_007, 10_008, 10_009)
    ]
    assert [now_ms - close.at_ms for close in closes] == [3 * hour_ms, 2 * hour_ms, hour_ms, 0]


def test_a_symbol_that_was_not_recorded_has_an_empty_row() -> None:
    scanner = ReplayScanner(
        {}, {}, half_spread=Decimal(0), depth_share=Decimal(1), interval_ms=MINUTE_MS, history_ms=MINUTE_MS
    )
    assert scanner.scan(["XRPTRY"], START_MS) == {"XRPTRY": ScanRow(symbol="XRPTRY", at_ms=START_MS)}
