"""The port `MarketScanner` over recorded bars.

Bars hold no order book, so one is made of them, by a rule that anybody can check: the best bid and ask are the last
close less and plus half the spread, on the tick and a tick apart at least; at each of them stands `depth_share` of what
was traded in the last `DEPTH_WINDOW_MS`. A symbol that hardly trades has no depth then, as it should. The book of a bar
is as old as nothing until the next bar should have closed. The volume of 24 hours is what the bars of these hours were
worth at their closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from btcbot.adapters.replay.columns import BarColumns
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.domain.scan import Close, ScanRow

DEPTH_WINDOW_MS: Final = 1_800_000
DAY_MS: Final = 86_400_000


class ReplayScanner:
    """See the port. `half_spread` and `depth_share` are fractions. Closes are of each `interval_ms` (of each bar, where
    these are longer) over the last `history_ms`."""

    def __init__(
        self,
        bars: Mapping[str, BarColumns],
        instruments: Mapping[str, Instrument],
        *,
        half_spread: Decimal,
        depth_share: Decimal,
        interval_ms: int,
        history_ms: int,
    ) -> None:
        self._bars = bars
        self._instruments = instruments
        self._half_spread = half_spread
        self._depth_share = depth_share
        self._interval_ms = interval_ms
        self._history_ms = history_ms

    def scan(self, symbols: Sequence[str], now_ms: int) -> Mapping[str, ScanRow]:
        return {symbol: self._row(symbol, now_ms) for symbol in symbols}

    def _row(self, symbol: str, now_ms: int) -> ScanRow:
        bars, instrument = self._bars.get(symbol), self._instruments.get(symbol)
        last = -1 if bars is None else _closed_by(bars, now_ms)
        if bars is None or instrument is None or last < 0:
            return ScanRow(symbol=symbol, at_ms=now_ms)
        return ScanRow(
            symbol=symbol,
            at_ms=now_ms,
            quote=self._quote(bars, instrument, last, now_ms),
            quote_volume_24h=_worth(bars, _closed_by(bars, now_ms - DAY_MS) + 1, last),
            closes=self._closes(bars, now_ms),
        )

    def _quote(self, bars: BarColumns, instrument: Instrument, last: int, now_ms: int) -> Quote:
        close = int(bars.close[last]) * money.unit(bars.price_scale)
        half = close * self._half_spread
        bid, ask = instrument.price_down(close - half), instrument.price_up(close + half)
        first = _closed_by(bars, now_ms - DEPTH_WINDOW_MS) + 1
        traded = int(bars.volume[first : last + 1].sum()) * money.unit(bars.volume_scale)
        quantity = instrument.quantity_down(traded * self._depth_share)
        closed_ms = int(bars.open_time_ms[last]) + bars.interval_ms
        return Quote(
            symbol=bars.symbol,
            bid=bid,
            bid_quantity=quantity,
            ask=ask if ask > bid else bid + instrument.tick,
            ask_quantity=quantity,
            venue_time_ms=min(now_ms, closed_ms + bars.interval_ms),
            received_at_ms=now_ms,
        )

    def _closes(self, bars: BarColumns, now_ms: int) -> tuple[Close, ...]:
        """The last close at or before each mark of the grid; marks without a new bar are left out."""
        step_ms = max(self._interval_ms, bars.interval_ms)
        first_ms = (now_ms - self._history_ms) // step_ms * step_ms
        found: list[Close] = []
        before = _closed_by(bars, first_ms - step_ms)
        for mark_ms in range(first_ms, now_ms + 1, step_ms):
            at = _closed_by(bars, mark_ms)
            if at > before:
                found.append(Close(mark_ms, int(bars.close[at]) * money.unit(bars.price_scale)))
            before = at
        return tuple(found)


def _closed_by(bars: BarColumns, now_ms: int) -> int:
    """The last bar that has closed, -1 before the first."""
    return int(bars.open_time_ms.searchsorted(now_ms - bars.interval_ms, side="right")) - 1


def _worth(bars: BarColumns, first: int, last: int) -> Decimal:
    """What the bars `first` to `last` were worth at their closes; whole numbers of any size, so nothing is lost."""
    rows = zip(bars.close[first : last + 1].tolist(), bars.volume[first : last + 1].tolist(), strict=True)
    worth = sum(close * volume for close, volume in rows)
    return Decimal(worth) * money.unit(bars.price_scale + bars.volume_scale)
