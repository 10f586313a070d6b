"""The port `MarketScanner` with a tape around it: a look over the market is recorded like every other answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from btcbot.adapters.journal.ports import Tape
from btcbot.domain.scan import ScanRow
from btcbot.ports import MarketScanner


class TapedScanner:
    def __init__(self, tape: Tape, scanner: MarketScanner) -> None:
        self._ask = tape.ask
        self._scanner = scanner

    def scan(self, symbols: Sequence[str], now_ms: int) -> Mapping[str, ScanRow]:
        return self._ask("scanner.scan", self._scanner.scan, symbols, now_ms)
