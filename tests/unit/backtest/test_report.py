"""The page: whole in one file, safe with odd text, small with much data. How it looks: tests/browser."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace
from tests.unit.backtest.results import (
    HOUR_MS,
    NEW_YEAR_MS,
    a_decision,
    a_fill,
    a_large_result,
    a_result,
    an_order,
    some_events,
)

from btcbot.backtest.findings import examine
from btcbot.backtest.report import render
from btcbot.backtest.report.rows import ROWS_MAX, tables
from btcbot.backtest.report.series import CANDLES_MAX, charts, pack

FILLS = (
    a_fill(1, NEW_YEAR_MS + HOUR_MS, "buy", "100", "3", fee="0.72"),
    a_fill(2, NEW_YEAR_MS + 2 * HOUR_MS, "sell", "101", "3", fee="0.73", pnl="1.55"),
)
RUN = a_result((10_000.0, 10_000.1, 10_001.0), FILLS)


class Page(html.parser.HTMLParser):
    """What a browser would see: elements, texts, scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.inline:
            self.inline[self._inside].append(data)
        elif data.strip():
            self.texts.append(" ".join(data.split()))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self) -> Any:
        return json.loads(self.inline["script"][0])


def unpacked(text: str) -> list[int]:
    """The way back from packed integers, written once more by itself."""
    values, value, weight, part = [], 0, 0, 0
    for byte in base64.b64decode(text):
        part |= (byte & 127) << weight
        weight += 7
        if byte < 128:
            value += (part >> 1) ^ -(part & 1)
            values.append(value)
            weight = part = 0
    return values


class TestOnePage:
    def test_it_loads_nothing(self) -> None:
        """No element that fetches, no address in the style, and a policy that forbids both."""
        page = Page(render(a_large_result(5_000)))
        assert {name for name, _ in page.elements} & {
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "video",
            "audio",
        } == set()
        assert all("src" not in attributes for _, attributes in page.elements)
        assert not re.search(r"url\(|@import|https?:|//[a-z]", "".join(page.inline["style"]))
        assert not re.search(r"https?:|fetch\(|XMLHttpRequest|WebSocket|import\(|eval\(", page.inline["script"][1])
        (policy,) = (one["content"] for one in page.of("meta") if one.get("http-equiv") == "Content-Security-Policy")
        assert policy is not None and policy.startswith("default-src 'none'; ")

    def test_the_policy_names_the_very_script_and_style(self) -> None:
        page = Page(render(RUN))
        (policy,) = (one["content"] for one in page.of("meta") if one.get("http-equiv") == "Content-Security-Policy")
        for text in (page.inline["script"][1], "".join(page.inline["style"])):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in (policy or "")
        assert all("style" not in attributes and "onclick" not in attributes for _, attributes in page.elements)

    def test_it_says_what_it_is(self) -> None:
        text = render(RUN)
        assert "<title>example on ADATRY, 2026-01-01 to 2026-01-01 – btcbot backtest</title>" in text
        page = Page(text)
        assert [name for name, _ in page.elements].count("h1") == 1
        for heading in (
            "What happened",
            "Monthly returns",
            "Statistics",
            "By symbol",
            "Decisions and orders",
            "Made with",
        ):
            assert heading in page.texts

    def test_the_same_run_gives_the_same_bytes(self) -> None:
        assert render(a_large_result(5_000)) == render(a_large_result(5_000, wall_s=9.0, cpu_s=8.0))

    def test_every_canvas_says_in_words_what_it_shows(self) -> None:
        names = [canvas["aria-label"] for canvas in Page(render(RUN)).of("canvas")]
        assert names[0] == "Equity from 10,000.00 to 10,001.00 TRY, +0.01 %; buy and hold 0.00 %"
        assert len(names) == 3 and all(names)

    def test_headings_do_not_skip_a_level(self) -> None:
        levels = [int(name[1]) for name, _ in Page(render(RUN)).elements if re.fullmatch("h[1-6]", name)]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))

    def test_statistics_parameters_and_fingerprint_stand_in_the_page_itself(self) -> None:
        found = examine(RUN)
        texts = Page(render(RUN, found)).texts
        for told in ("10,001.00", "+0.01 %", "fast=20", found.fingerprint, "ADATRY", "10000"):
            assert told in texts

    def test_what_is_undefined_is_a_dash_with_its_reason(self) -> None:
        text = render(a_result())
        assert "needs two whole days of returns at least; this run has 0" in text
        assert not re.search(r"\b(nan|NaN|inf|None|undefined)\b", " ".join(Page(text).texts))


class TestOddText:
    ODD = '</script><script>alert(1)</script><b>&amp;\u2028"quoted"'

    def test_text_is_text_wherever_it_comes_from(self) -> None:
        """A strategy's name, a parameter, a note, and the reason of a decision."""
        odd = a_result(
            (10_000.0, 10_001.0),
            FILLS[:1],
            decisions=[a_decision(an_order(FILLS[0]), detail=self.ODD)],
            strategy=self.ODD,
            parameters={self.ODD: self.ODD},
            settings={"path": self.ODD},
            notes=(self.ODD,),
        )
        page = Page(render(odd))
        assert len(page.of("script")) == 2
        assert page.of("b") == []
        reasons = page.data["tables"][0]["columns"][-1]
        assert self.ODD in (reasons["words"] or reasons["values"])[0]
        assert "alert(1)" not in page.inline["script"][1]


class TestPacking:
    @pytest.mark.parametrize(
        "values",
        [[], [0], [5], [-1, 1, -64, 64, 63], [2**50, -(2**50), 0], list(range(0, 3_000, 7)), [127, 128, 16_384]],
    )
    def test_there_and_back(self, values: list[int]) -> None:
        assert unpacked(pack(np.array(values, dtype=np.int64))) == values

    def test_random_walks_too(self) -> None:
        walk = np.cumsum(np.random.default_rng(1).integers(-(10**7), 10**7, 5_000))
        assert unpacked(pack(walk)) == walk.tolist()


class TestCharts:
    def test_a_bar_is_a_candle_while_there_is_room(self) -> None:
        result = a_large_result(5_000)
        drawn = charts(examine(result))
        price = next(one for one in drawn["prices"] if one["symbol"] == "ETHTRY")
        bars = result.bars["ETHTRY"]
        assert price["bars"] == 1
        assert unpacked(price["time"]) == (bars.open_time_ms - drawn["start"]).tolist()
        for name in ("open", "high", "low", "close"):
            assert unpacked(price[name]) == getattr(bars, name).tolist()

    def test_bars_drawn_together_lose_no_extreme(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("btcbot.backtest.report.series.CANDLES_MAX", 300)
        result = a_large_result(5_000, symbols=["BTCTRY"])
        bars = result.bars["BTCTRY"]
        (price,) = charts(examine(result))["prices"]
        assert price["bars"] == 17 and len(unpacked(price["time"])) == -(-len(bars) // 17) <= 300
        assert max(unpacked(price["high"])) == bars.high.max()
        assert min(unpacked(price["low"])) == bars.low.min()
        assert unpacked(price["close"])[-1] == bars.close[-1]
        assert unpacked(price["open"])[1] == bars.open[17]

    def test_every_fill_has_its_mark(self) -> None:
        result = a_large_result(5_000)
        marked = charts(examine(result))["prices"]
        counts = [sum(unpacked(one["marks"][side]["count"])) for one in marked for side in ("buys", "sells")]
        assert sum(counts) == result.fill_count
        first = result.fills.filter(pl.col("symbol") == "ADATRY", pl.col("side") == "buy").row(0, named=True)
        buys = marked[0]["marks"]["buys"]
        assert unpacked(buys["time"])[0] == first["at_ms"] - NEW_YEAR_MS
        assert unpacked(buys["price"])[0] == first["price"] * 100

    def test_many_fills_share_marks_and_none_is_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("btcbot.backtest.report.series.MARKS_MAX", 10)
        result = a_large_result(5_000)
        marked = charts(examine(result))["prices"]
        assert marked[0]["marks"]["together"] == -(-result.fill_count // 10)
        assert sum(
            sum(unpacked(one["marks"][side]["count"])) for one in marked for side in ("buys", "sells")
        ) == result.fill_count  # fmt: skip

    def test_the_curve_begins_at_the_opening_and_keeps_the_deepest_fall(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("btcbot.backtest.report.series.POINTS_MAX", 100)
        result = a_large_result(5_000)
        found = examine(result)
        curve = charts(found)["curve"]
        assert unpacked(curve["time"])[-1] == found.statistics.end_ms - found.statistics.start_ms
        assert unpacked(curve["high"])[0] >= 100_000_00
        assert max(unpacked(curve["drawdown"])) == pytest.approx(found.statistics.drawdown.depth * 1e6, abs=1)
        assert unpacked(curve["equity"])[-1] == pytest.approx(float(result.final_equity) * 100, abs=1)
        assert unpacked(curve["hold"])[-1] == pytest.approx((1 + found.statistics.hold_return) * 100_000_00, abs=2)


class TestRecords:
    def test_each_decision_stands_with_its_reason_and_what_became_of_its_order(self) -> None:
        bought, sold = (an_order(fill) for fill in FILLS)
        refused = a_decision(sold, allowed=False, code="risk_block:cooldown", detail="12 s left")
        result = a_result(
            (10_000.0, 10_001.0), FILLS, decisions=[a_decision(bought), refused, a_decision(sold, detail="")]
        )
        stale = pl.when(pl.col("side") == "sell").then(pl.lit("order:stale")).otherwise(pl.col("reason"))
        result = replace(result, orders=result.orders.with_columns(reason=stale))
        listed = shown(tables(examine(result))[0])
        assert [(row["Verdict"], row["Order"], row["Reason"]) for row in listed] == [
            ("allowed", "FILLED", "an example"),
            ("refused", "", "risk_block:cooldown: 12 s left"),
            ("allowed", "FILLED", "order:stale"),
        ]

    def test_two_orders_of_one_cycle_keep_apart(self) -> None:
        one = a_fill(1, NEW_YEAR_MS + HOUR_MS, "buy", "100", "1")
        two = a_fill(2, NEW_YEAR_MS + HOUR_MS, "buy", "99", "1")
        result = a_result((10_000.0, 10_001.0), (one, two))
        result = replace(result, orders=result.orders.with_columns(reason=pl.Series(["near", "far"])))
        listed = shown(tables(examine(result))[0])
        assert [(row["Price"], row["Reason"]) for row in listed] == [
            ("100", "near; an example"),
            ("99", "far; an example"),
        ]

    def test_beyond_the_first_rows_the_page_says_so_and_names_the_files(self) -> None:
        few = a_large_result(5_000)
        times = ROWS_MAX // few.decisions.height + 1
        many = replace(few, decisions=pl.concat([few.decisions] * times))
        total = f"{many.decisions.height:,}"
        said = " ".join(Page(render(many, with_tables=True)).texts)
        assert f"These are the first {ROWS_MAX:,} of {total} decisions. All of them: decisions.csv" in said
        alone = " ".join(Page(render(many)).texts)
        assert f"the first {ROWS_MAX:,} of {total} decisions. All of them are in the files that --out writes" in alone
        assert len(Page(render(many)).data["tables"][0]["columns"][0]["values"]) == ROWS_MAX

    def test_links_lead_to_files_beside_the_page(self) -> None:
        links = [one["href"] or "" for one in Page(render(RUN, with_tables=True)).of("a")]
        assert {"decisions.csv", "orders.parquet", "fills.json", "round_trips.csv"} <= set(links)
        assert all(link.startswith("#") or re.fullmatch(r"[a-z_]+\.(csv|parquet|json)", link) for link in links)


def shown(table: Any) -> list[dict[str, Any]]:
    """The rows of a packed table."""
    columns = {
        column.title: [column.words[place] for place in column.values] if column.words else column.values
        for column in table.columns
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_a_year_of_minutes_with_a_decision_at_each_is_a_page_of_less_than_five_megabytes() -> None:
    bars = 525_600
    result = a_large_result(bars, symbols=["BTCTRY"], every=44)
    assert result.fill_count > 8_000
    times = bars // result.decisions.height + 1
    full = replace(
        result,
        decisions=pl.concat([result.decisions] * times),
        orders=pl.concat([result.orders] * times),
        final_equity=result.final_equity + Decimal(0),
    )
    page = render(full, with_tables=True)
    assert full.decisions.height > bars and bars > CANDLES_MAX
    assert len(page.encode()) < 5_000_000


def test_what_a_profile_did_has_figures_and_a_list_of_its_own() -> None:
    found = examine(replace(RUN, profile="stage7-run", events=some_events()))
    page = Page(render(found.result, found))
    assert "Profile" in page.texts and "stage7-run" in page.texts
    assert "1 rolled back, 1 refused, 1 checkpoints" in page.texts
    events = next(table for table in tables(found) if table.name == "events")
    assert events.total == events.shown == 12
    assert [column.title for column in events.columns] == ["Time (UTC)", "What", "Cycle", "Told"]
    assert "<b>" not in render(found.result, found).split("</main>")[0], "what was told is shown, never obeyed"


def test_a_run_without_a_profiles_parts_shows_nothing_of_them() -> None:
    found = examine(RUN)
    assert "events" not in {table.name for table in tables(found)}
    assert "Profile" not in Page(render(RUN, found)).texts
