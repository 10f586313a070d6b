"""`btcbot watch` beside a real local BtcTurk: what it shows, how it ends, and what it refuses."""

from __future__ import annotations

import itertools
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.books import Run, Venue, refused

from btcbot.cli.watch_views import spread_bps
from btcbot.testing.rig import Simulator, bare_environment, wait_until

NOWHERE = "http://127.0.0.1:9"
NO_FEED = "ws://127.0.0.1:9"
BEST_PRICES = {"type", "symbol", "bid", "bid_quantity", "ask", "ask_quantity", "at_ms"}
TRADE = {"type", "symbol", "id", "side", "price", "quantity", "at_ms"}


@pytest.fixture
def here(venue: Venue, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that point at the local BtcTurk and its feed, and no key."""
    monkeypatch.setenv("BTCTURK_BASE_URL", venue.url)
    monkeypatch.setenv("BTCTURK_WS_URL", venue.ws_url)


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Simulator]:
    """A BtcTurk of one's own, whose market moves."""
    with Simulator(tmp_path, ["--symbols", "BTCTRY,ETHTRY", "--limits", "off", "--speed", "300"]) as made:
        yield made


def watching(folder: Path, market: Simulator, *options: str, **streams: Any) -> subprocess.Popen[str]:
    """`btcbot watch BTCTRY` as a process of its own."""
    urls = {"BTCTURK_BASE_URL": market.rest_url, "BTCTURK_WS_URL": market.ws_url, "TERM": "xterm"}
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen(
        [sys.executable, "-m", "btcbot", "watch", "BTCTRY", *options],
        cwd=folder, env={**bare_environment(), **urls}, text=True, **given,
    )  # fmt: skip


class TestWithoutATerminal:
    @pytest.mark.usefixtures("here")
    def test_a_line_a_second_with_prices_and_the_state_of_the_feed(self, run: Run) -> None:
        said = run("watch", "btc_try", "--for", "2.5")
        assert (said.status, said.err) == (0, "")
        lines = said.out.splitlines()
        assert len(lines) == 2
        for word in ("BTCTRY · bid ", " · ask ", "spread 10 bps", "connected for ", "frames/s", "change", "ping "):
            assert word in lines[-1]

    @pytest.mark.usefixtures("here")
    def test_it_leaves_no_file_behind(self, run: Run, tmp_path: Path) -> None:
        assert run("watch", "ETHTRY", "--for", "0.5").status in (0, 1)
        assert list(tmp_path.iterdir()) == []

    def test_json_tells_each_change_of_the_best_prices_and_each_trade(self, market: Simulator, tmp_path: Path) -> None:
        with watching(tmp_path, market, "--json", "--for", "4") as process:
            out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        rows = [json.loads(line) for line in out.splitlines()]
        books = [row for row in rows if row["type"] == "book"]
        trades = [row for row in rows if row["type"] == "trade"]
        assert len(books) >= 3
        assert len(trades) >= 10
        assert all(set(row) == BEST_PRICES for row in books)
        assert all(set(row) == TRADE for row in trades)
        assert all(Decimal(row["bid"]) < Decimal(row["ask"]) for row in books)
        prices = [(row["bid"], row["ask"]) for row in books]
        assert all(before != after for before, after in itertools.pairwise(prices)), "changes only"
        assert len({row["id"] for row in trades}) == len(trades), "each once"
        assert all(isinstance(row[name], str) for row in books for name in ("bid", "bid_quantity", "ask"))
        now_ms = time.time_ns() // 1_000_000
        assert all(now_ms - 60_000 < row["at_ms"] <= now_ms for row in books)
        assert [row["at_ms"] for row in books] == sorted(row["at_ms"] for row in books)

    def test_json_says_when_there_is_no_book_any_more(self, market: Simulator, tmp_path: Path) -> None:
        with watching(tmp_path, market, "--json", "--for", "30") as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["type"] == "book"
            market.control("/feed", kind="socket_aborted")
            rows = iter(process.stdout.readline, "")
            none = next(row for row in map(json.loads, rows) if row["type"] == "book" and row["bid"] is None)
            assert none["ask"] is None
            assert none["why"]
            again = next(row for row in map(json.loads, rows) if row["type"] == "book" and row["bid"] is not None)
            assert again["at_ms"] >= none["at_ms"]
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0

    def test_a_reader_that_goes_away_ends_it(self, market: Simulator, tmp_path: Path) -> None:
        with watching(tmp_path, market, "--json") as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.wait(20) == 1
            assert process.stderr.read() == ""


class TestOnATerminal:
    def test_book_trades_and_state_until_ctrl_c(self, market: Simulator, tmp_path: Path) -> None:
        ours, theirs = pty.openpty()
        with watching(tmp_path, market, "--levels", "4", stdin=theirs, stdout=theirs) as process:
            os.close(theirs)
            drawn = bytearray()

            def is_drawn() -> bool:
                drawn.extend(os.read(ours, 65_536))
                return b"frames/s" in drawn and b"ping" in drawn and b"bps" in drawn

            wait_until(is_drawn, 20.0, "the picture")
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
        os.close(ours)
        for word in ("BTCTRY", "last trades", "price", "quantity", "spread", "10 bps", "connected for"):
            assert word.encode() in drawn
        assert b"Traceback" not in drawn


class TestRefusals:
    @pytest.mark.usefixtures("here")
    def test_a_pair_that_the_venue_does_not_list(self, run: Run) -> None:
        refused(run("watch", "BTCTYR"), "the venue does not list BTCTYR; did you mean BTCTRY?")

    @pytest.mark.usefixtures("here")
    def test_a_pair_that_only_the_feeds_silence_tells_to_be_wrong(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BTCTURK_BASE_URL", NOWHERE)  # whom to ask for the list does not answer
        monkeypatch.setenv("MAX_RETRY_ATTEMPTS", "1")
        said = run("watch", "BTCTYR", "--json", "--for", "30")
        assert (said.status, said.out) == (2, "")
        assert "silent for 7 s" in said.err
        assert len(said.err.splitlines()) == 1

    @pytest.mark.usefixtures("here")
    @pytest.mark.parametrize("arguments", [["b t"], ["BTCTRY,ETHTRY"], [""], ["BTCTRY", "--for", "0"],
                                           ["BTCTRY", "--for", "nan"], ["BTCTRY", "--for", "soon"],
                                           ["BTCTRY", "--for", "86401"], ["BTCTRY", "--levels", "0"],
                                           ["BTCTRY", "--levels", "many"], ["BTCTRY", "ETHTRY"],
                                           ["BTCTRY", "--env-file", "/nowhere"], ["BTCTRY", "--jsn"],
                                           []])  # fmt: skip
    def test_what_cannot_be_meant(self, run: Run, arguments: list[str]) -> None:
        refused(run("watch", *arguments))

    def test_a_simulator_whose_feed_has_no_address(
        self, run: Run, venue: Venue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BTCTURK_BASE_URL", venue.url)
        refused(run("watch", "BTCTRY"), "BTCTURK_WS_URL", "«serve» prints it")

    @pytest.mark.usefixtures("here")
    def test_a_feed_that_is_not_there(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BTCTURK_WS_URL", NO_FEED)
        said = run("watch", "BTCTRY", "--for", "1.5")
        assert said.status == 1
        assert "not connected" in said.out
        assert said.err.startswith("btcbot: nothing came of BTCTRY within 1.5 s: ")

    @pytest.mark.usefixtures("here")
    def test_a_bot_that_takes_no_quotes_of_the_feed_does_not_keep_anyone_from_watching(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MARKET_DATA_MODE", "rest")
        assert run("watch", "BTCTRY", "--for", "1.5").status == 0


def test_the_spread_is_told_in_hundredths_of_a_percent_of_the_middle() -> None:
    assert spread_bps(Decimal("999.5"), Decimal("1000.5")) == Decimal(10)
    assert spread_bps(Decimal("0.0021"), Decimal("0.0022")) == Decimal("465.1")
