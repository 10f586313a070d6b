"""Capped lists are read whole, whatever the order of rows and the number of the first page."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.btcturk.support import ok, order_row, trade_row

from btcbot.adapters.btcturk import listing, wire
from btcbot.adapters.btcturk.wire import ListedOrder
from btcbot.domain.fills import VenueTrade
from btcbot.errors import VenueUnavailable


def made_trades(times: Sequence[int]) -> list[VenueTrade]:

    return wire.trades(json.dumps(ok([trade_row(n, at_ms) for n, at_ms in enumerate(times)])).encode())


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=30),
    spread_ms=st.sampled_from([1, 3, 1_000]),
    is_newest_first=st.booleans(),
    seed=st.integers(0, 5),
)
def test_trades_are_found_whole(counts: list[int], spread_ms: int, is_newest_first: bool, seed: int) -> None:
    times = [1_000_000 + n * spread_ms for n, count in enumerate(counts) for _ in range(count)]
    rows = made_trades(times)
    random.Random(seed).shuffle(rows)

    def fetch(start_ms: int, end_ms: int) -> Sequence[VenueTrade]:
        inside = [row for row in rows if start_ms <= row.at_ms <= end_ms]
        inside.sort(key=lambda row: row.at_ms, reverse=is_newest_first)
        return inside[:200]

    found = listing.whole_trades(fetch, 0, 2_000_000)
    assert sorted(row.trade_id for row in found) == sorted(row.trade_id for row in rows)


@pytest.mark.parametrize("is_newest_first", [True, False])
@pytest.mark.parametrize("is_cut_off", [True, False], ids=["cut off by limits", "to the end of each go"])
def test_a_list_too_long_for_one_go_is_read_in_several(is_newest_first: bool, is_cut_off: bool) -> None:
    rows = made_trades([1_000_000 + n * 600 for n in range(13_000)])
    end_ms, asked = 9_000_000, 0

    def fetch(start_ms: int, end_ms: int) -> Sequence[VenueTrade]:
        nonlocal asked
        asked += 1
        if is_cut_off and asked % 50 == 0:
            raise VenueUnavailable("the limit of trades lets the next request leave in 9.0 s")
        found = [row for row in rows if start_ms <= row.at_ms <= end_ms]
        return found[-200:] if is_newest_first else found[:200]

    reading = listing.TradeReading(0)
    goes = 1
    expected = VenueUnavailable if is_cut_off else listing.TooLong
    while True:
        try:
            found = reading.go_on(fetch, end_ms)
            break
        except expected:
            # One that is listed only now, and one that is made meanwhile.
            rows += [replaced(rows[-1], f"9{goes}", end_ms - 500_000), replaced(rows[-1], f"8{goes}", end_ms + 1)]
            rows.sort(key=lambda row: row.at_ms)
            goes, end_ms = goes + 1, end_ms + 10_000
        assert goes < 10, "beginning anew it would never end"
    assert goes > 2
    assert sorted(row.trade_id for row in found) == sorted(row.trade_id for row in rows)


def replaced(row: VenueTrade, trade_id: str, at_ms: int) -> VenueTrade:
    return msgspec.structs.replace(row, trade_id=f"{trade_id}0000000", at_ms=at_ms)


def test_a_list_that_goes_on_for_ever_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "TRADES_KEPT_MAX", 1_000)
    rows = made_trades([n * 600 for n in range(13_000)])
    with pytest.raises(listing.Endless, match="more than 1000 rows"):
        listing.TradeReading(0).go_on(lambda a, b: [row for row in rows if a <= row.at_ms <= b][:200], 9_000_000)


def test_more_trades_in_one_millisecond_than_a_page_holds_is_not_taken_for_complete() -> None:
    rows = made_trades([5] * 201)
    with pytest.raises(VenueUnavailable, match="no way to see all"):
        listing.whole_trades(lambda start, end: rows[:200] if start <= 5 <= end else [], 0, 10)


def test_a_trade_list_without_end_ends() -> None:
    def fetch(start_ms: int, end_ms: int) -> Sequence[VenueTrade]:
        return made_trades([end_ms - n % 2 for n in range(200)])

    with pytest.raises(VenueUnavailable, match=r"did not end|no way to see all"):
        listing.whole_trades(fetch, 0, 10_000_000)


def made_orders(count: int, step_ms: int = 1_000) -> list[ListedOrder]:

    rows = [order_row(n + 1, time=10_000_000 - n * step_ms) for n in range(count)]
    return wire.all_orders(json.dumps(ok(rows)).encode())


Fetch = Callable[[int | None, int | None], Sequence[ListedOrder]]


def venue(rows: list[ListedOrder], *, cap: int, base: int | None, has_times: bool, requests: list[int]) -> Fetch:
    """A venue that pages from `base` (None: it ignores the page), and perhaps ignores times."""

    def fetch(page: int | None, end_s: int | None) -> Sequence[ListedOrder]:
        requests.append(1)
        inside = [row for row in rows if end_s is None or not has_times or row.placed_at_ms <= end_s * 1000]
        number = 0 if page is None or base is None else max(page - base, 0)
        return inside[number * cap : (number + 1) * cap]

    return fetch


@pytest.mark.parametrize("cap", [25, 100, 1000])
@pytest.mark.parametrize("base", [0, 1, None])
@pytest.mark.parametrize("has_times", [True, False])
@pytest.mark.parametrize("count", [0, 1, 24, 25, 26, 99, 100, 101, 330])
def test_orders_are_found_whole(cap: int, base: int | None, has_times: bool, count: int) -> None:
    if base is None and not has_times and count > cap:
        pytest.skip("a venue that ignores both cannot be read whole")
    rows = made_orders(count)
    requests: list[int] = []
    found = listing.whole_orders(venue(rows, cap=cap, base=base, has_times=has_times, requests=requests))
    assert {row.venue_order_id for row in found} == {row.order.venue_order_id for row in rows}
    assert count >= 25 or len(requests) == 1  # the usual listing costs one request


def test_an_order_list_without_end_ends() -> None:
    number = iter(range(1, 1_000_000, 30))

    def fetch(page: int | None, end_s: int | None) -> Sequence[ListedOrder]:
        start = next(number)

        rows = [order_row(n, time=5_000_000_000 - n) for n in range(start, start + 30)]
        return wire.all_orders(json.dumps(ok(rows)).encode())

    with pytest.raises(VenueUnavailable, match="did not end"):
        listing.whole_orders(fetch)
