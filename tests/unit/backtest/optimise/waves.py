"""Recorded bars for a search: a price that goes up and down, so that averages cross."""

from __future__ import annotations

import math
from pathlib import Path

HOUR_MS = 3_600_000
START_MS = 1_640_995_200_000  # 2022-01-01


def write_waves(folder: Path, *, days: int = 30, symbol: str = "BTCTRY", hours_missing: range = range(0)) -> Path:
    """A CSV file of hourly bars. The wave is slow in the first half and quick in the second."""
    lines = ["open_time_ms,open,high,low,close,volume"]
    phase, close = 0.0, 500_000
    for hour in range(days * 24):
        phase += 2 * math.pi / (60 if hour < days * 12 else 25)
        opened, close = close, round(500_000 + 25_000 * math.sin(phase) + 40 * hour)
        if hour not in hours_missing:
            high, low = max(opened, close) + 200, min(opened, close) - 200
            lines.append(f"{START_MS + hour * HOUR_MS},{opened},{high},{low},{close},12.5")
    path = folder / f"{symbol}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
