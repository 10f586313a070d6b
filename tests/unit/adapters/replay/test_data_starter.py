"""The starter set: the same from the same seed, and bars, quotes and trades that tell one story."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from btcbot.adapters.replay import generator, inspection, starter
from btcbot.adapters.replay.aggregate import bars_from_trades
from btcbot.adapters.replay.dataset import Dataset
from btcbot.adapters.replay.load import load_bars
from btcbot.errors import Refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("starter") / "set"
    starter.make(path, 123, synthetic=True)
    return path


def content(folder: Path) -> str:
    """A hash over every number of a dataset, in columns, whatever wrote the files."""
    dataset, digest = Dataset.open(folder), hashlib.sha256()
    for (symbol, table), _ in sorted(dataset.files.items()):
        digest.update(f"{table} {symbol}".encode())
        digest.update(dataset.recording(table, symbol).frame.write_csv().encode())
    return digest.hexdigest()


def test_it_is_sound_and_without_gaps(folder: Path) -> None:
    found = inspection.validate(folder)
    assert found.findings == ()
    assert found.recordings == 3 * len(generator.MARKETS)
    bars = load_bars(folder)
    assert list(bars) == ["BTCTRY", "ETHTRY", "SOLTRY", "USDTTRY", "XRPTRY"]
    assert {len(one) for one in bars.values()} == {7 * 24 * 60}


def test_a_seed_means_the_same_market_on_every_machine(folder: Path, tmp_path: Path) -> None:
    starter.make(tmp_path / "again", 123, synthetic=True)
    starter.make(tmp_path / "other", 124, synthetic=True)
    for file in folder.rglob("*.parquet"):
        assert (tmp_path / "again" / file.relative_to(folder)).read_bytes() == file.read_bytes()
    assert content(tmp_path / "other") != content(folder)
    assert content(folder) == "a0fcd37251fbc45d4256d7e2437293f9f293168e463d9903dab20cafb3c02fe8"


@pytest.mark.parametrize("symbol", [market.symbol for market in generator.MARKETS])
def test_bars_quotes_and_trades_tell_one_story(folder: Path, symbol: str) -> None:
    dataset = Dataset.open(folder)
    quotes, trades, bars = dataset.quotes(symbol), dataset.trades(symbol), dataset.bars(symbol)
    assert quotes.bid_quantity is not None and quotes.ask_quantity is not None and trades.is_buyer_maker is not None
    # The quote in force when a trade happened, which takes what is shown there.
    at = quotes.time_ms.searchsorted(trades.time_ms, side="right") - 1
    assert (at >= 0).all() and (quotes.bid < quotes.ask).all()
    taken = np.where(trades.is_buyer_maker, quotes.bid[at], quotes.ask[at])
    shown = np.where(trades.is_buyer_maker, quotes.bid_quantity[at], quotes.ask_quantity[at])
    assert (trades.price == taken).all() and (trades.quantity <= shown).all()
    assert 0.4 < trades.is_buyer_maker.mean() < 0.6
    made = bars_from_trades(dataset.recording("trades", symbol), 60_000).frame
    for name in ("open_time_ms", "open", "high", "low", "close", "volume"):
        assert (made[name].to_numpy() == getattr(bars, name)).all()


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_no_seed_makes_a_market_that_nobody_would_believe(seed: int) -> None:
    for recording in generator.recordings(seed):
        if recording.table == "bars":
            closes = recording.frame["close"].to_numpy()
            assert closes.min() > 0.4 * closes[0] and closes.max() < 2.5 * closes[0]
            assert closes.std() > 0
            assert len(recording) == 7 * 24 * 60


def test_data_that_is_there_is_never_overwritten(folder: Path) -> None:
    before = content(folder)
    with pytest.raises(Refused, match="holds recorded data already; name another folder"):
        starter.make(folder, 5, synthetic=True)
    assert content(folder) == before


def test_an_empty_one_can_be_filled_later(tmp_path: Path) -> None:
    assert starter.make(tmp_path, 1, synthetic=False) == []
    assert Dataset.open(tmp_path).symbols == ()
    with pytest.raises(Refused, match="holds no bars; import some"):
        load_bars(tmp_path)
    assert starter.make(tmp_path, 1, synthetic=True)
    assert len(load_bars(tmp_path)) == len(generator.MARKETS)
