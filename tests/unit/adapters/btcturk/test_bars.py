"""BtcTurk's candles: what their bytes mean, what they are asked for with, and how soon they are given up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from btcbot.adapters.btcturk import limits
from btcbot.adapters.btcturk.bars import BARS_PER_REQUEST, BtcturkCharts
from btcbot.adapters.btcturk.limits import Endpoint, Quota
from btcbot.adapters.btcturk.wire import WireError, klines
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.domain.bars import Bar
from btcbot.errors import ConfigurationError, VenueUnavailable
from btcbot.testing.manual_clock import ManualClock

FIXTURES = Path(__file__).parents[5] / "shared" / "btcturk" / "fixtures" / "rest"
MINUTE_MS = 60_000
NOON_MS = 1_790_164_800_000


def answer(rows: Sequence[tuple[object, ...]], **changes: object) -> bytes:
    """Rows (seconds, open, high, low, close, volume) as BtcTurk sends them; text is put in as it is."""
    columns: dict[str, object] = {
        name: "[" + ",".join(str(row[at]) for row in rows) + "]" for at, name in enumerate("tohlcv")
    }
    columns = {"s": '"ok"', **columns, **changes}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in columns.items() if text is not None) + "}").encode()


ONE = (NOON_MS // 1000, "3802189.0", "3809691.0", "3787859.0", "3796125.0", "0.54581564")


# -- what the bytes mean -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not FIXTURES.exists(), reason="the recorded answers are not on this machine")
def test_a_recorded_answer_is_read_to_the_last_digit() -> None:
    body = (FIXTURES / "graph_klines_history_2026-08.json").read_bytes()
    first, second, third = klines(body, "BTCTRY", 3_600_000)
    assert first == Bar(
        symbol="BTCTRY",
        interval_ms=3_600_000,
        open_time_ms=1_787_684_400_000,
        open=Decimal(3802189),
        high=Decimal(3809691),
        low=Decimal(3787859),
        close=Decimal(3796125),
        volume=Decimal("0.54581564"),
    )
    assert second.close_time_ms == third.open_time_ms


def test_numbers_never_pass_through_a_float() -> None:
    fine = "0.30000000000000004"
    (bar,) = klines(answer([(NOON_MS // 1000, fine, "0.3000000000000001", "1e-7", "0.1", "5e-06")]), "XTRY", MINUTE_MS)
    assert (bar.open, bar.low, bar.volume) == (Decimal(fine), Decimal("0.0000001"), Decimal("0.000005"))


def test_zeros_at_the_end_are_no_digits() -> None:
    (bar,) = klines(answer([ONE]), "BTCTRY", MINUTE_MS)
    assert str(bar.open) == "3802189"


@pytest.mark.parametrize(
    "body",
    [
        answer([], s='"no_data"'),
        answer([]),
        b'{"s":"no_data"}',
        b'{"s":"no_data","nb":1790164800}',
    ],
)
def test_an_answer_without_bars_is_an_answer(body: bytes) -> None:
    assert klines(body, "BTCTRY", MINUTE_MS) == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "cannot be read"),
        (b"<html>502</html>", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"s":"ok"}', "without times"),
        (b'{"s":"error","errmsg":"unknown symbol"}', "the word 'error'"),
        (answer([ONE], s='"no_data"'), "unequal length"),
        (answer([ONE], v="[]"), "unequal length"),
        (answer([ONE], v=None), "unequal length"),
        (answer([ONE], h="[1,2]"), "unequal length"),
        (answer([ONE, ONE]), "out of order"),
        (answer([(ONE[0] + 60, *ONE[1:]), ONE]), "out of order"),  # type: ignore[operator]
        (answer([(ONE[0] + 1, *ONE[1:])]), "not on its grid"),  # type: ignore[operator]
        (answer([(NOON_MS, *ONE[1:])]), "not on its grid|not a time"),
        (answer([(ONE[0], "NaN", *ONE[2:])]), "cannot be read"),
        (answer([(ONE[0], '"abc"', *ONE[2:])]), "open is not a number"),
        (answer([(ONE[0], 0, *ONE[2:])]), "open is not positive"),
        (answer([(ONE[0], -1, *ONE[2:])]), "open is not positive"),
        (answer([(ONE[0], "null", *ONE[2:])]), "open is not a number"),
        (answer([(*ONE[:5], "-0.1")]), "volume is negative"),
        (answer([(ONE[0], 10, 9, 8, 9, 1)]), "contradict"),
        (answer([(ONE[0], 10, 12, 11, 12, 1)]), "contradict"),
        (b"[" * 100_000, "cannot be read|too deeply"),
    ],
)
def test_what_cannot_be_bars_is_refused_whole(body: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        klines(body, "BTCTRY", MINUTE_MS)


@given(st.binary(max_size=200) | st.text(alphabet='{}[],:"sohlctv0123456789.-eE ok', max_size=120).map(str.encode))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    with contextlib.suppress(WireError):
        klines(body, "BTCTRY", MINUTE_MS)


prices = st.decimals(min_value="0.00000001", max_value="99999999", places=8)


@given(st.lists(st.tuples(prices, prices, prices, prices), max_size=5))
def test_every_bar_that_can_be_comes_back_as_it_was(quadruples: list[tuple[Decimal, ...]]) -> None:
    rows = []
    for number, four in enumerate(quadruples):
        low, opened, close, high = sorted(four)
        rows.append((NOON_MS // 1000 + 60 * number, f"{opened:f}", f"{high:f}", f"{low:f}", f"{close:f}", "1"))
    read = klines(answer(rows), "BTCTRY", MINUTE_MS)
    assert [(f"{bar.open:f}", f"{bar.high:f}") for bar in read] == [
        (f"{Decimal(str(row[1])).normalize():f}", f"{Decimal(str(row[2])).normalize():f}") for row in rows
    ]


# -- how they are asked for --------------------------------------------------------------------------------------------


class Charts:
    """A client whose venue is a function of the request's parameters."""

    def __init__(self, reply: Callable[[dict[str, str]], httpx2.Response], **options: Any) -> None:
        self.clock = ManualClock()
        self.asked: list[dict[str, str]] = []
        self.metrics = MemoryMetrics()
        self.now_ms = NOON_MS

        def handle(request: httpx2.Request) -> httpx2.Response:
            assert request.url.path == "/v1/klines/history"
            self.asked.append(dict(request.url.params))
            return reply(self.asked[-1])

        self.client = BtcturkCharts(
            options.pop("base_url", "https://graph-api.btcturk.com"),
            venue_time_ms=lambda: self.now_ms,
            clock=self.clock,
            stop=threading.Event(),
            metrics=self.metrics,
            log=structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()]),
            transport=httpx2.MockTransport(handle),
            **options,
        )


def minutes(params: dict[str, str]) -> httpx2.Response:
    """A venue that has drawn every minute."""
    step_s = int(params["resolution"]) * 60
    first = -(-int(params["from"]) // step_s) * step_s
    rows = [(second, 10, 12, 9, 11, 1) for second in range(first, int(params["to"]) + 1, step_s)]
    return httpx2.Response(200, content=answer(rows))


def test_only_closed_bars_are_given() -> None:
    charts = Charts(minutes)
    charts.now_ms = NOON_MS + 30_000
    found = charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - 3 * MINUTE_MS)
    assert [bar.open_time_ms - NOON_MS for bar in found] == [-180_000, -120_000, -60_000]
    assert charts.asked[0]["symbol"] == "BTCTRY"
    assert charts.asked[0]["resolution"] == "1"


def test_a_bar_closes_at_its_last_moment_not_before() -> None:
    charts = Charts(minutes)
    charts.now_ms = NOON_MS - 1
    assert charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - MINUTE_MS) == []
    assert charts.asked == [], "nothing can have closed: nothing is asked"
    charts.now_ms = NOON_MS
    assert len(charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - MINUTE_MS)) == 1


def test_a_look_back_is_asked_in_pieces_that_the_venue_can_answer() -> None:
    charts = Charts(minutes)
    count = 2 * BARS_PER_REQUEST + 7
    found = charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - count * MINUTE_MS)
    assert len(charts.asked) == 3
    assert [bar.open_time_ms for bar in found] == [NOON_MS - (count - number) * MINUTE_MS for number in range(count)], (
        "each once, none left out"
    )


def test_a_whole_year_is_no_look_back() -> None:
    charts = Charts(minutes, quotas={})
    with pytest.raises(VenueUnavailable, match="at once"):
        charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - 525_600 * MINUTE_MS)


@pytest.mark.parametrize("ends", ["both exclusive", "both inclusive"])
def test_whether_the_bounds_belong_to_the_range_does_not_matter(ends: str) -> None:
    def reply(params: dict[str, str]) -> httpx2.Response:
        if ends == "both exclusive":
            params = {**params, "from": str(int(params["from"]) + 1), "to": str(int(params["to"]) - 1)}
        return minutes(params)

    charts = Charts(reply)
    count = BARS_PER_REQUEST + 2
    found = charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - count * MINUTE_MS)
    assert [bar.open_time_ms - NOON_MS for bar in found] == [-number * MINUTE_MS for number in range(count, 0, -1)]


@pytest.mark.parametrize(
    "reply",
    [
        httpx2.Response(200, content=b"<html>"),
        httpx2.Response(200, json={"s": "ok", "t": [1], "o": [], "h": [], "l": [], "c": [], "v": []}),
        httpx2.Response(502, content=b"<html>Bad gateway</html>"),
        httpx2.Response(400, json={"success": False, "message": "Pair X does not exists.", "code": 1037}),
    ],
)
def test_trouble_of_any_kind_is_the_venues_and_is_not_waited_for(reply: httpx2.Response) -> None:
    charts = Charts(lambda params: reply)
    with pytest.raises(VenueUnavailable, match="charts"):
        charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - MINUTE_MS)
    assert len(charts.asked) == 1, "a trading cycle waits for it: another cycle may ask again"


def test_a_pause_that_the_venue_asks_for_is_kept() -> None:
    charts = Charts(lambda params: httpx2.Response(429, headers={"Retry-After": "30"}, json={}))
    for _ in range(3):
        with pytest.raises(VenueUnavailable) as caught:
            charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - MINUTE_MS)
        assert caught.value.retry_after_s == pytest.approx(30, abs=1)
    assert len(charts.asked) == 1


def test_our_own_limit_holds_requests_back_without_waiting() -> None:
    charts = Charts(minutes, quotas={Endpoint.CHARTS: (Quota(10, 60_000),)})
    began_ms = charts.clock.monotonic_ns()
    for _ in range(9):
        charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - MINUTE_MS)
    with pytest.raises(VenueUnavailable, match="limit of charts") as caught:
        charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - MINUTE_MS)
    assert caught.value.retry_after_s
    assert charts.clock.monotonic_ns() == began_ms
    assert len(charts.asked) == 9


def test_sixty_seconds_bars_of_as_many_pairs_as_the_limit_bears_twice() -> None:
    # 600 requests in ten minutes, of which 540 are used, half of them for what is tried again.
    assert limits.bar_symbols_max(MINUTE_MS) == 26
    assert limits.bar_symbols_max(15 * MINUTE_MS) == 404


@pytest.mark.parametrize("url", ["https://api.btcturk.com", "http://graph-api.btcturk.com", "https://example.org"])
def test_charts_are_asked_of_btcturk_alone(url: str) -> None:
    with pytest.raises(ConfigurationError, match="BTCTURK_GRAPH_URL"):
        Charts(minutes, base_url=url)


def test_counted_apart_from_what_trading_needs() -> None:
    charts = Charts(minutes)
    charts.client.bars("BTCTRY", MINUTE_MS, NOON_MS - MINUTE_MS)
    assert charts.metrics.value("btcbot_venue_requests_total", endpoint="charts", result="2xx") == 1
