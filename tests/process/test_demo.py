"""The demo as a newcomer runs it, shortened: two processes, real sockets, books equal to the venue's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from btcbot.testing.rig import bare_environment

RECORDED = Path(__file__).parents[3] / "shared" / "market-data" / "try-1m-2022-11-08"

pytestmark = pytest.mark.slow


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        # Named from where one stands, as people do; its processes stand elsewhere.
        [sys.executable, "-m", "btcbot", "demo", "--json", "--dir", folder.name, *arguments],
        cwd=folder.parent,
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def demand_a_clean_end(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr + done.stdout
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    difference = result["difference"]
    assert isinstance(difference, dict)
    assert set(difference.values()) == {"0"}
    assert result["suspense"] == {}
    assert result["in_doubt"] == 0
    assert result["fills"] == result["venue_fills"]
    assert result["doubled_orders"] == 0
    return result


def test_a_made_market_fills_both_sides_and_the_books_are_equal(tmp_path: Path) -> None:
    result = demand_a_clean_end(demo(tmp_path / "demo", "--cycles", "8", "--speed", "4500"))
    symbols = result["symbols"]
    assert isinstance(symbols, dict)
    assert sum(row["buys"] for row in symbols.values()) > 0
    assert sum(row["sells"] for row in symbols.values()) > 0


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded bars are not beside this checkout")
def test_recorded_bars_fill_both_sides_of_real_pairs(tmp_path: Path) -> None:
    result = demand_a_clean_end(demo(tmp_path / "demo", "--market", str(RECORDED), "--speed", "3000"))
    symbols = result["symbols"]
    assert isinstance(symbols, dict)
    assert [symbol for symbol, row in symbols.items() if row["buys"] and row["sells"]]


def test_a_missing_market_folder_is_one_clear_line(tmp_path: Path) -> None:
    done = demo(tmp_path / "demo", "--market", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--market" in done.stderr


def test_a_bad_bar_is_named_by_file_and_row(tmp_path: Path) -> None:
    bars = tmp_path / "bars"
    bars.mkdir()
    rows = ["open_time_ms,open,high,low,close,volume", "1667946900000,7,8,6,7,10", "1667946960000,7,5,6,7,10"]
    (bars / "ADATRY.csv").write_text("\n".join(rows))
    done = demo(tmp_path / "demo", "--market", str(bars))
    assert done.returncode == 2
    assert "ADATRY.csv" in done.stderr
    assert "3" in done.stderr
    assert "Traceback" not in done.stderr
