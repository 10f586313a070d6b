"""The page of a backtest in a real browser: it draws, lists, searches and zooms, asks nobody, and reads in any light.

Chromium of this machine, without a window. Screenshots lie in the test's own folder for whoever wants to look.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("polars", reason="needs the research extra")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

from tests.unit.backtest.results import a_large_result, a_result  # noqa: E402

from btcbot.backtest.export import write_all  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RECORDED = Path(__file__).parents[3] / "shared" / "market-data" / "try-1m-2022-11-08"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or chromium-browser on this machine")


class Opened:
    """A page, and what went wrong or went out while it was looked at."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_page(**({"viewport": {"width": 1200, "height": 1000}} | options))
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_function("document.getElementById('range').textContent !== ''")
        self.drawn()

    def drawn(self) -> None:
        """Wait until what was asked for is on the screen."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def ink_like(self, canvas: str, variable: str) -> int:
        """How many pixels of a canvas have the colour that a part of the charts is drawn in, faint edges aside."""
        found: int = self.page.evaluate(
            """([id, name]) => {
                const wanted = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
                const colour = [1, 3, 5].map((at) => parseInt(wanted.slice(at, at + 2), 16));
                const drawn = document.getElementById(id);
                const sheet = new OffscreenCanvas(drawn.width, drawn.height);
                const copy = sheet.getContext("2d", {willReadFrequently: true});
                copy.drawImage(drawn, 0, 0);
                const pixels = copy.getImageData(0, 0, drawn.width, drawn.height).data;
                let count = 0;
                for (let at = 0; at < pixels.length; at += 4) {
                    const off = Math.max(...colour.map((part, channel) => Math.abs(pixels[at + channel] - part)));
                    if (pixels[at + 3] > 64 && off <= 6) count++;
                }
                return count;
            }""",
            [canvas, variable],
        )
        return found

    def text(self, of: str) -> str:
        found: str = self.page.inner_text(of)
        return found

    def rows(self) -> list[str]:
        found: list[str] = self.page.locator("#rows tbody tr").all_inner_texts()
        return [" ".join(row.split()) for row in found]

    def screenshot(self, path: Path) -> None:
        self.page.screenshot(path=str(path), full_page=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "results"
    write_all(a_large_result(50_000, every=211), folder)
    return folder


@pytest.fixture
def opened(browser: Any, folder: Path) -> Iterator[Opened]:
    """The report of some weeks of three symbols; nothing may go wrong or go out in any test."""
    opened = Opened(browser, folder / "report.html")
    yield opened
    assert opened.complaints == []
    assert opened.requests == [(folder / "report.html").as_uri()]
    opened.page.close()


def test_every_chart_is_drawn(opened: Opened) -> None:
    assert opened.ink_like("equity", "--equity") > 500
    assert opened.ink_like("equity", "--hold") > 200
    assert opened.ink_like("drawdown", "--drawdown") > 200
    assert opened.ink_like("price", "--candle") > 500
    assert opened.ink_like("price", "--buy") > 100
    assert opened.ink_like("price", "--sell") > 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_reads_in_light_and_in_dark(browser: Any, folder: Path, tmp_path: Path, scheme: str) -> None:
    """Text against its ground has the contrast that WCAG demands of small text, 4.5 to 1."""
    opened = Opened(browser, folder / "report.html", color_scheme=scheme)
    opened.screenshot(tmp_path / f"{scheme}.png")
    assert (tmp_path / f"{scheme}.png").stat().st_size > 50_000
    contrasts: dict[str, float] = opened.page.evaluate(
        """() => {
            const style = getComputedStyle(document.documentElement);
            const linear = (part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
            const light = (name) => {
                const text = style.getPropertyValue(name).trim();
                const [red, green, blue] = [1, 3, 5].map((at) => linear(parseInt(text.slice(at, at + 2), 16) / 255));
                return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
            };
            const found = {};
            for (const ground of ["--back", "--raised"]) {
                for (const name of ["--text", "--muted", "--accent", "--gain", "--loss"]) {
                    const [low, high] = [light(name), light(ground)].sort((one, other) => one - other);
                    found[name + " on " + ground] = (high + 0.05) / (low + 0.05);
                }
            }
            return found;
        }"""
    )
    assert len(contrasts) == 10
    assert {name: contrast for name, contrast in contrasts.items() if contrast < 4.5} == {}
    ground: str = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 28)"}[scheme]
    assert opened.complaints == []
    opened.page.close()


def test_the_reader_may_choose_the_light(opened: Opened) -> None:
    before = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = opened.ink_like("equity", "--equity")
    opened.page.click("#theme")
    opened.drawn()
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert opened.ink_like("equity", "--equity") == pytest.approx(ink, rel=0.2), "drawn anew in the other colours"


def test_the_table_is_searched_by_every_word(opened: Opened) -> None:
    assert opened.text("#found") == "236 decisions"
    assert len(opened.rows()) == 50
    opened.page.fill("#search", "btctry REFUSED")
    found = opened.rows()
    assert 0 < len(found) < 50
    assert all("BTCTRY" in row and "refused" in row and "risk_block:price_collar" in row for row in found)
    assert opened.text("#found") == f"{len(found)} of 236 decisions"
    opened.page.fill("#search", "no such thing")
    assert opened.rows() == ["Nothing here matches the search."]


def test_the_table_is_paged_and_sorted(opened: Opened) -> None:
    first = opened.rows()[0]
    opened.page.click("#next")
    assert opened.text("#page") == "2 of 5"
    assert opened.rows()[0] != first
    opened.page.click("#rows thead th:nth-child(4) button")
    prices = [float(row.split()[4].replace(",", "")) for row in opened.rows()]
    assert prices == sorted(prices) and len(set(prices)) > 10
    opened.page.click("#rows thead th:nth-child(4) button")
    assert opened.page.get_attribute("#rows thead th:nth-child(4)", "aria-sort") == "descending"
    assert float(opened.rows()[0].split()[4].replace(",", "")) > 3_000_000


@pytest.mark.parametrize("name", ["orders", "fills", "round_trips"])
def test_the_other_lists(opened: Opened, name: str) -> None:
    opened.page.click(f"#tab-{name}")
    assert opened.page.get_attribute(f"#tab-{name}", "aria-selected") == "true"
    assert len(opened.rows()) > 10
    assert opened.page.locator(f"[data-of={name}]").is_visible()
    assert not opened.page.locator("[data-of=decisions]").is_visible()


def test_a_decision_leads_to_its_moment_in_the_charts(opened: Opened) -> None:
    row = opened.rows()[7]
    opened.page.locator("#rows .when").nth(7).click()
    opened.drawn()
    moment, symbol = row[:16], row.split()[2]
    first, last = opened.text("#range").split(" to ")
    assert first < moment < last
    assert opened.page.input_value("#symbol") == symbol
    assert opened.text("#price-at").startswith(moment[:10])


def test_charts_obey_the_keyboard(opened: Opened) -> None:
    whole = opened.text("#range")
    opened.page.focus("#price")
    for key in ("+", "+", "ArrowRight"):
        opened.page.keyboard.press(key)
    opened.drawn()
    closer = opened.text("#range")
    assert closer != whole
    opened.page.keyboard.press("ArrowLeft")
    opened.drawn()
    assert opened.text("#range") < closer
    opened.page.keyboard.press("0")
    opened.drawn()
    assert opened.text("#range") == whole


def test_everything_is_reached_by_the_tab_key(opened: Opened) -> None:
    reached = set()
    for _ in range(40):
        opened.page.keyboard.press("Tab")
        reached.add(opened.page.evaluate("document.activeElement.id || document.activeElement.dataset.move || ''"))
    assert {"theme", "in", "equity", "drawdown", "symbol", "price", "tab-decisions", "search", "next"} <= reached


def test_dragging_looks_closer_and_a_double_click_goes_back(opened: Opened) -> None:
    whole = opened.text("#range")
    opened.page.locator("#equity").scroll_into_view_if_needed()
    box = opened.page.locator("#equity").bounding_box()
    assert box is not None
    opened.page.mouse.move(box["x"] + 300, box["y"] + 100)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 420, box["y"] + 110, steps=4)
    opened.page.mouse.up()
    opened.drawn()
    first, last = opened.text("#range").split(" to ")
    assert whole.split(" to ")[0] < first < last < whole.split(" to ")[1]
    assert "equity" in opened.text("#equity-at")
    opened.page.mouse.dblclick(box["x"] + 300, box["y"] + 100)
    opened.drawn()
    assert opened.text("#range") == whole


def test_another_symbol_is_drawn(opened: Opened) -> None:
    before = opened.text("#price-at")
    opened.page.select_option("#symbol", "ETHTRY")
    opened.drawn()
    assert opened.text("#price-at") != before
    assert opened.ink_like("price", "--candle") > 500


def test_equity_alone_has_the_whole_scale(opened: Opened) -> None:
    opened.page.uncheck("#compare")
    opened.drawn()
    assert opened.ink_like("equity", "--hold") == 0
    assert opened.ink_like("equity", "--equity") > 500


def test_a_phone_scrolls_one_way_only(browser: Any, folder: Path) -> None:
    opened = Opened(browser, folder / "report.html", viewport={"width": 390, "height": 844})
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
    assert opened.ink_like("price", "--candle") > 100
    assert opened.complaints == []
    opened.page.close()


def test_paper_is_light_and_leaves_out_what_one_clicks(browser: Any, folder: Path) -> None:
    opened = Opened(browser, folder / "report.html", color_scheme="dark")
    opened.page.emulate_media(media="print", color_scheme="dark")
    opened.drawn()
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not opened.page.locator("nav").is_visible()
    assert not opened.page.locator("#search").is_visible()
    assert opened.page.locator("#equity").is_visible()
    assert opened.ink_like("equity", "--equity") > 500, "drawn anew in the colours of paper"
    opened.page.close()


def test_without_scripts_the_statistics_are_there(browser: Any, folder: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto((folder / "report.html").as_uri())
    assert "need JavaScript" in page.inner_text("#charts")
    assert "Profit factor" in page.inner_text("#statistics")
    page.close()


def test_a_run_of_two_bars_without_a_trade(browser: Any, tmp_path: Path) -> None:
    write_all(a_result(), tmp_path / "results")
    opened = Opened(browser, tmp_path / "results" / "report.html")
    assert opened.rows() == ["There are none in this run."]
    assert opened.ink_like("equity", "--equity") > 300
    assert opened.complaints == []
    opened.page.close()


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded bars are not beside the project")
def test_a_real_run_over_recorded_bars(browser: Any, tmp_path: Path) -> None:
    """From the command to the screen: twelve symbols through the hours of a crash."""
    out = tmp_path / "results"
    command = [sys.executable, "-m", "btcbot", "backtest", str(RECORDED), "--strategy", "ema_cross", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=tmp_path, env={}, check=False)
    assert done.returncode == 0, done.stderr
    opened = Opened(browser, out / "report.html")
    assert opened.text("h1") == "ema_cross on 12 symbols"
    assert opened.page.locator("#symbol option").count() == 12
    assert opened.ink_like("price", "--candle") > 500
    assert opened.ink_like("price", "--buy") > 50
    assert len(opened.rows()) == 50
    assert opened.complaints == []
    assert opened.requests == [(out / "report.html").as_uri()]
    opened.page.close()
