"""Charts and tickers that look back beyond the opening of the market."""

from decimal import Decimal
from itertools import pairwise

import pytest
from tests.sim.bench import SECRET, T0, Bench

from btcturk_sim.bars import load_bars
from btcturk_sim.errors import ConfigurationError
from btcturk_sim.generator import GeneratedBars
from btcturk_sim.simulator import Simulator, account
from btcturk_sim.wire import Host

GRAPH = {"host": Host.GRAPH, "key": None}
HEADER = "open_time_ms,open,high,low,close,volume"
M = 60_000


def open_market(source):
    return Bench(Simulator(accounts=[account("ALICE", SECRET, {"TRY": "1"})], source=source, now_ms=T0))


def candles(bench, minutes=1, since=0, until=10**10):
    query = {"symbol": "BTCTRY", "resolution": minutes, "from": since, "to": until}
    ours = bench.call("GET", "/v1/klines/history", **query, **GRAPH)[1]
    return list(zip(*(ours[name] for name in "tohlcv"), strict=True))


def test_a_generated_market_has_a_past_that_ends_where_it_opens():
    bench = open_market(GeneratedBars(("BTCTRY",), seed=3, history_bars=1440))
    rows = candles(bench)
    assert len(rows) == 1441
    assert [row[0] for row in rows] == list(range(T0 // 1000 - 86_400, T0 // 1000 + 60, 60))
    assert rows[-2][4] == bench.engine.market.source.opening_price("BTCTRY")
    assert all(earlier[4] == later[1] for earlier, later in pairwise(rows[:-1]))
    assert all(low <= min(opened, close) <= max(opened, close) <= high for _, opened, high, low, close, _ in rows)
    assert len(candles(bench, 60)) == 25


def test_the_market_is_the_same_whatever_is_known_of_its_past():
    def prices(history_bars):
        bench = open_market(GeneratedBars(("BTCTRY",), seed=3, history_bars=history_bars))
        candles(bench)
        return [bench.wait(7_500) or bench.engine.pairs["BTCTRY"].price for _ in range(40)]

    assert prices(0) == prices(1440)


def test_the_ticker_looks_back_24_hours_into_it():
    past, none = (open_market(GeneratedBars(("BTCTRY",), seed=3, history_bars=bars)) for bars in (1440, 0))
    rows = candles(past)
    ((ticker,), (blind,)) = (bench.get("/api/v2/ticker", pairSymbol="BTCTRY") for bench in (past, none))
    # The day holds 1,440 bars, and the last of them has begun.
    assert ticker["open"] == rows[1][1]
    assert ticker["high"] == max(row[2] for row in rows[1:])
    assert ticker["low"] == min(row[3] for row in rows[1:])
    assert ticker["volume"] > 1000 * blind["volume"]


def write(folder, symbol, closes, every_ms=M):
    rows = [f"{n * every_ms},{close},{close},{close},{close},1" for n, close in enumerate(closes, start=1)]
    (folder / f"{symbol}.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")


def test_the_first_bars_of_a_folder_can_be_the_past(tmp_path):
    write(tmp_path, "BTCTRY", range(100, 110))
    bars = load_bars(tmp_path).after(6)
    assert (bars.length, bars.first_open_ms, bars.opening_price("BTCTRY")) == (4, 7 * M, Decimal(106))
    bench = open_market(bars)
    assert [(row[0] - T0 // 1000, row[4]) for row in candles(bench)] == [
        (-360, 100), (-300, 101), (-240, 102), (-180, 103), (-120, 104), (-60, 105), (0, 106)]  # fmt: skip
    bench.wait(60_000)
    assert [row[4] for row in candles(bench)][-2:] == [106, 107]


def test_a_minute_in_which_the_market_opened_is_one_candle_of_both(tmp_path):
    """Bars of 20 s; the market opens at the last third of a minute."""
    write(tmp_path, "BTCTRY", range(100, 110), 20_000)
    bars = load_bars(tmp_path).after(6)
    bench = Bench(Simulator(accounts=[account("ALICE", SECRET, {})], source=bars, now_ms=T0 + 40_000))
    bench.now_ms = T0 + 40_000
    assert [(row[0] - T0 // 1000, row[1], row[4]) for row in candles(bench)] == [
        (-120, 100, 100), (-60, 101, 103), (0, 104, 106)]  # fmt: skip


def test_a_past_that_was_quiet_has_gaps(tmp_path):
    write(tmp_path, "BTCTRY", range(100, 110))
    text = (tmp_path / "BTCTRY.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "BTCTRY.csv").write_text("\n".join(text[:3] + text[4:]) + "\n", encoding="utf-8")
    bench = open_market(load_bars(tmp_path).after(6))
    assert [row[0] - T0 // 1000 for row in candles(bench)] == [-360, -300, -180, -120, -60, 0]


def test_a_past_longer_than_the_bars_is_refused(tmp_path):
    write(tmp_path, "BTCTRY", range(100, 110))
    with pytest.raises(ConfigurationError, match="--history-bars 10: all pairs have bars up to 9 only; give less"):
        load_bars(tmp_path).after(10)
    assert load_bars(tmp_path).after(9).length == 1


def test_days_of_the_past_are_days_of_the_chart():
    bench = open_market(GeneratedBars(("BTCTRY",), seed=3, history_bars=2 * 1440))
    days = bench.call("GET", "/v1/ohlcs", pair="BTCTRY", **GRAPH)[1]
    assert len(days) == 3
    assert [day["time"] % 86_400 for day in days] == [0, 0, 0]
    first = T0 // 1000 // 86_400 * 86_400
    (today,) = bench.call("GET", "/v1/ohlcs", pair="BTCTRY", **{"from": first + 100}, **GRAPH)[1]
    assert today == days[-1]
