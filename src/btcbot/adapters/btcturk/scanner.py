"""The port `MarketScanner` over BtcTurk: one list of all pairs, then for each symbol its order book and its candles.

Trading comes first. A look takes a short time of a cycle and leaves some of the limit of order books to it; whoever was
not reached is asked for again by a later cycle. Depth is what the order book holds: the list of all pairs tells no
quantities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from btcbot.adapters.btcturk.public_reads import PublicReads
from btcbot.adapters.btcturk.requester import RefusedRead
from btcbot.domain.market import Quote
from btcbot.domain.scan import Close, ScanRow, TickerRow
from btcbot.errors import VenueUnavailable
from btcbot.ports import BarSource, Clock

#: One cycle looks no longer than this, but for the request that is under way.
SCAN_MS_MAX: Final = 1_000
#: So many order books are left to trading: the comparisons of the feed (30 a minute), and some to spare. One symbol a
#: cycle is looked at all the same, or a look would never end beside a bot that uses its limit to the full.
BOOKS_LEFT: Final = 40
#: After so many failures a cycle asks no more.
FAILURES_MAX: Final = 2
#: The list of all pairs is asked for anew when it is older than this.
TICKERS_MS_MAX: Final = 60_000


class BtcturkScanner:
    """See the port. `bars` None (a venue without charts): no symbol has any closes. Closes are of bars of `interval_ms`
    over the last `history_ms`. `clock` is the one that really runs, not one of a tape."""

    def __init__(
        self, client: PublicReads, bars: BarSource | None, clock: Clock, *, interval_ms: int, history_ms: int
    ) -> None:
        self._client = client
        self._bars = bars
        self._clock = clock
        self._interval_ms = interval_ms
        self._history_ms = history_ms
        self._tickers: Mapping[str, TickerRow] = {}
        self._tickers_at_ms: int | None = None

    def scan(self, symbols: Sequence[str], now_ms: int) -> Mapping[str, ScanRow]:
        over_at_ms = self._monotonic_ms() + SCAN_MS_MAX
        tickers = self._all_tickers()
        rows: dict[str, ScanRow] = {}
        failures = 0
        for symbol in symbols:
            is_enough = self._client.book_room() <= BOOKS_LEFT or self._monotonic_ms() >= over_at_ms
            if is_enough and (rows or failures):
                break
            try:
                quote = self._quote(symbol)
                closes = self._closes(symbol, now_ms)
            except VenueUnavailable:
                failures += 1
                if failures >= FAILURES_MAX:
                    break
                continue
            ticker = tickers.get(symbol)
            rows[symbol] = ScanRow(
                symbol=symbol,
                at_ms=now_ms,
                quote=quote,
                quote_volume_24h=None if ticker is None else ticker.quote_volume_24h,
                closes=closes,
            )
        if failures and not rows:
            raise VenueUnavailable("no symbol could be looked at: order books or charts do not answer")
        return rows

    def _all_tickers(self) -> Mapping[str, TickerRow]:
        now_ms = self._monotonic_ms()
        if self._tickers_at_ms is None or now_ms - self._tickers_at_ms >= TICKERS_MS_MAX:
            self._tickers, self._tickers_at_ms = self._client.look_at_tickers(), now_ms
        return self._tickers

    def _quote(self, symbol: str) -> Quote | None:
        try:
            return self._client.look_at_orderbook(symbol)
        except RefusedRead:
            return None  # the venue has no such book

    def _closes(self, symbol: str, now_ms: int) -> tuple[Close, ...]:
        if self._bars is None:
            return ()
        # One bar more: the one that ends where the look-back begins.
        since_ms = now_ms - self._history_ms - self._interval_ms
        bars = self._bars.bars(symbol, self._interval_ms, since_ms)
        return tuple(Close(bar.close_time_ms, bar.close) for bar in bars)

    def _monotonic_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000
