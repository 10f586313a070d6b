"""Benches for tests that need real processes: a local BtcTurk that outlives the bot, and bots that get killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from btcbot.testing.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Bots as shipped, at the pace of the venue's own limits."""
    with Bench(tmp_path) as made:
        yield made


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Bench]:
    """Bots that trade all the time, and a network between them and the venue that can fail."""
    with Bench.busy(tmp_path, 7, network=True) as made:
        yield made
