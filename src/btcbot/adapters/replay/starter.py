"""`data init`: a new dataset, with the starter set of the generator or empty."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from btcbot.adapters.replay import generator
from btcbot.adapters.replay.csv_files import Progress
from btcbot.adapters.replay.dataset import Dataset, is_dataset
from btcbot.adapters.replay.findings import refuse
from btcbot.adapters.replay.tables import Table
from btcbot.adapters.replay.writer import DatasetWriter

_README: Final = """# Starter data

Made by «btcbot data init», seed {seed}: {days} days of an invented market, with bars of a minute, quotes and trades of
{symbols}. The same seed makes the same files. Use it to try things; a strategy that earns money here proves nothing.

    btcbot data info DIR
    btcbot data validate DIR
    btcbot backtest DIR

Your own data: btcbot data import FILES --into DIR
"""

_EMPTY_README: Final = """# Recorded market data

An empty dataset. Fill it with one of

    btcbot data import FILES --into DIR
    btcbot data capture --help
"""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One recording of the starter set."""

    symbol: str
    table: Table
    rows: int


def make(folder: Path, seed: int, *, synthetic: bool, progress: Progress | None = None) -> list[Made]:
    """Make a dataset in a folder that holds none yet; `synthetic` fills it. Raises BadData where there is data."""
    if is_dataset(folder) and Dataset.open(folder).symbols:
        raise refuse(
            "dataset_exists", "holds recorded data already", "name another folder; «btcbot data info» shows this one",
            file=folder,
        )  # fmt: skip
    made = []
    with DatasetWriter.open(folder) as writer:
        if synthetic:
            total = 3 * len(generator.MARKETS)
            for recording in generator.recordings(seed):
                writer.stage(recording)
                made.append(Made(symbol=recording.symbol, table=recording.table, rows=len(recording)))
                if progress is not None:
                    progress(f"{recording.table} of {recording.symbol}", len(made), total)
            writer.commit()
        symbols = ", ".join(market.symbol for market in generator.MARKETS)
        filled = _README.format(seed=seed, days=generator.DAYS, symbols=symbols)
        writer.add_text("README.md", filled if synthetic else _EMPTY_README)
    return made
