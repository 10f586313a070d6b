"""The command line in process, in an empty folder and an environment without settings; a book; a local BtcTurk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.books import KEY, SECRET, Run, Said, Venue, fill_book

from btcbot.cli import main
from btcbot.config.settings import SETTING_NAMES


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`run("status", "--json")`, in an empty folder and an environment without any setting."""
    for name in (*SETTING_NAMES, "UNIVERSE_SYMBOLS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Said:
        capfd.readouterr()
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 1
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return Said(status, out, err)

    return call


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.db"
    fill_book(path)
    return path


@pytest.fixture(scope="session")
def venue() -> Iterator[Venue]:
    process = subprocess.Popen(
        [sys.executable, "-m", "btcturk_sim", "serve", "--symbols", "BTCTRY,ETHTRY,SOLTRY", "--limits", "off",
         "--account", f"{KEY}:{SECRET}:TRY=1000,BTC=0.5"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield Venue(url=str(told["rest"]), ws_url=str(told["ws"]))
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def live(venue: Venue, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of an armed bot against the local BtcTurk (mode demo)."""
    for name, text in {
        "DRY_RUN": "false",
        "LIVE_TRADING": "true",
        "LIVE_TRADING_ACK": "I_UNDERSTAND",
        "BTCTURK_API_KEY": KEY,
        "BTCTURK_API_SECRET": SECRET,
        "BTCTURK_BASE_URL": venue.url,
        "BTCTURK_SECRET_ROTATED_AT": time.strftime("%Y-%m-%d"),
    }.items():
        monkeypatch.setenv(name, text)
