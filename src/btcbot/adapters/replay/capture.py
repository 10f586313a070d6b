"""Capture: the venue's bars, best quotes and trades, live into a dataset.

The feed tells quotes and trades as they happen; REST fills in what it missed, and stands in for it while it is down.
Each table of each symbol knows how far it has come, so that a second run goes on where the first one ended, however it
ended: it asks for what is missing, writes nothing twice, and names what nobody can get back (`gaps.jsonl`).

`step` looks once at everything and sends at most one request, so that a slow venue holds up nothing but its own answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from decimal import Decimal
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.replay.capture_lines import BarLine, Gap, QuoteLine, QuoteRow, TradeLine
from btcbot.adapters.replay.capture_spool import SPOOL_FILE, Batch, Row, Spool, note_gaps
from btcbot.adapters.replay.dataset import Dataset
from btcbot.adapters.replay.tables import bars_of, quotes_of, trades_of
from btcbot.adapters.replay.writer import Appended, DatasetWriter
from btcbot.domain import money
from btcbot.domain.bars import Bar
from btcbot.domain.feed import FeedView
from btcbot.domain.instrument import Instrument
from btcbot.domain.market import Quote
from btcbot.errors import Refused, VenueUnavailable
from btcbot.ports import BarSource, Clock

_Found = TypeVar("_Found")

TABLES: Final = ("bars", "quotes", "trades")
BAR_MS: Final = 60_000
#: So long after its close a bar is asked for.
SETTLE_MS: Final = 2_000
#: Without a look at a book for longer, what lies between is a hole.
QUOTE_GAP_MS: Final = 5_000
#: The feed is given so long to show its books before REST is asked in its place.
FEED_GRACE_MS: Final = 3_000
#: Trades that the feed tells are held against the venue's list so often.
TRADES_CHECK_MS: Final = 60_000
#: Ids of stored trades are looked up so far back: the venue's list of fifty may reach behind the last one.
TRADES_KNOWN_MS: Final = 3_600_000
#: Between two requests of one kind: within the venue's limits, whatever the number of symbols.
PACE_MS: Final[Mapping[str, int]] = {"bars": 1_200, "trades": 1_200, "quotes": 400}
#: The venue's clock is measured so often, and not oftener while it does not answer.
TIME_MS: Final = 30_000
#: After a failure, doubling.
AGAIN_MS_MIN: Final = 1_000
AGAIN_MS_MAX: Final = 30_000
#: Rows go from the spool into the dataset after so long, or longer where storing them takes its time.
STORE_MS: Final = 30_000
STORE_SHARE: Final = 20
#: Charts are drawn by floating-point arithmetic; no pair of the venue has more decimals than this.
VOLUME_PLACES: Final = 8


class RestSide(Protocol):
    """What is asked by REST; `BtcturkHttpClient` has it. Each raises VenueUnavailable."""

    def venue_time_ms(self) -> int: ...
    def estimated_time_ms(self) -> int | None: ...
    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]: ...
    def public_trades(self, symbol: str) -> Sequence[PublicTrade]: ...


class FeedSide(Protocol):
    """What is looked at in the feed; `BtcturkWsClient` has it."""

    def view(self) -> FeedView: ...
    def trades(self, symbol: str) -> Sequence[PublicTrade]: ...


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be captured. `instruments` tells how many decimals prices have; symbols it lacks are taken as told."""

    symbols: tuple[str, ...]
    tables: frozenset[str]
    interval_ms: int
    instruments: Mapping[str, Instrument]


class Capture:
    """One run into the dataset of `folder`, whose lock `writer` holds. Sources that are None are done without."""

    def __init__(
        self,
        wanted: Wanted,
        writer: DatasetWriter,
        folder: Path,
        *,
        clock: Clock,
        rest: RestSide,
        feed: FeedSide | None,
        charts: BarSource | None,
    ) -> None:
        self._wanted = wanted
        self._writer = writer
        self._folder = folder
        self._clock = clock
        self._rest = rest
        self._feed = feed
        self._charts = charts
        self.stored: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()
        self.gaps = 0
        #: Why the feed, or the last request, gave nothing; for people.
        self.why_feed_down = "" if feed is not None else "there is no feed: REST alone"
        self.trouble = ""
        self._spool = Spool(folder)
        self._batch = Batch.empty()
        with ExitStack() as undo:
            undo.callback(self._spool.close)
            self._take_over()
            self._begin()
            undo.pop_all()  # the spool stays locked
        self._began_ms = self._stored_at_ms = self._now_ms()
        self._store_ms = STORE_MS
        self._time_due_ms = 0
        #: When each kind of request, and each symbol's trades, may be asked for next.
        self._next_ms = dict.fromkeys(TABLES, 0)
        self._failures: Counter[str] = Counter()
        self._trades_due_ms = dict.fromkeys(self._trades, 0)

    def _begin(self) -> None:
        """Each table of each symbol where the dataset leaves off."""
        wanted, writer, symbols = self._wanted, self._writer, self._wanted.symbols
        gap_ms = max(QUOTE_GAP_MS, 3 * wanted.interval_ms)
        self._quotes = {
            symbol: QuoteLine(symbol, writer.last_time_ms("quotes", symbol), wanted.interval_ms, gap_ms)
            for symbol in symbols
            if "quotes" in wanted.tables
        }
        self._trades = {symbol: self._trade_line(symbol) for symbol in symbols if "trades" in wanted.tables}
        self._bars = [
            self._bar_line(symbol) for symbol in symbols if "bars" in wanted.tables and self._charts is not None
        ]

    # -- one look ------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Take what the feed shows, send at most one request, and store what has waited long enough."""
        unseen = self._look()
        for ask in (self._ask_bars, lambda: self._ask_quotes(unseen), self._ask_trades):
            if ask():
                break
        self._spool.hand_over()
        if self._now_ms() - self._stored_at_ms >= self._store_ms:
            self.store()

    def store(self) -> None:
        """Put everything that waits into the dataset."""
        batch, began_ms = self._batch, self._now_ms()
        if batch:
            self._put(batch)
            self._batch = Batch.empty()
            self.waiting.clear()
            self._spool.clear()
        self._stored_at_ms = now_ms = self._now_ms()
        self._store_ms = max(STORE_MS, STORE_SHARE * (now_ms - began_ms))

    def close(self) -> None:
        """Store the rest."""
        try:
            self.store()
        finally:
            self._spool.close()

    @property
    def rows(self) -> Counter[str]:
        """Rows so far, by table: stored and on their way."""
        return self.stored + self.waiting

    # -- the feed ------------------------------------------------------------------------------------------------------

    def _look(self) -> list[str]:
        """Take over what the feed shows; the symbols whose book it does not."""
        if self._feed is None:
            return list(self._quotes)
        view = self._feed.view()
        self.why_feed_down = view.why_down
        for symbol, line in self._trades.items():
            self._take_trades(symbol, line, self._feed.trades(symbol))
        if not self._quotes:
            return []
        time_ms = self._venue_ms()
        unseen = []
        for symbol, quotes in self._quotes.items():
            book = view.books.get(symbol)
            if book is None:
                unseen.append(symbol)
                continue
            top = book.top
            self._take_quote(symbol, quotes, QuoteRow(time_ms, top.bid, top.bid_quantity, top.ask, top.ask_quantity))
        return unseen

    # -- requests ------------------------------------------------------------------------------------------------------

    def _ask_bars(self) -> bool:
        """Whether a request was sent, as for all three."""
        charts, now_ms = self._charts, self._venue_ms()
        due = next((line for line in self._bars if line.is_due(now_ms, SETTLE_MS)), None)
        if charts is None or due is None or not self._may("bars"):
            return False
        since_ms, gap = due.since_ms(now_ms)
        self._add_gap(gap)
        # Whoever fails waits at the end of the line: one pair in trouble must not keep the others waiting.
        self._bars.remove(due)
        self._bars.append(due)

        def take(found: Sequence[Bar]) -> None:
            settled = [bar for bar in found if bar.close_time_ms <= now_ms - SETTLE_MS]
            for each in due.take(settled):
                self._add_gap(each)
            for bar in settled:
                self._add(due.symbol, self._rounded(bar))

        return self._ask("bars", lambda: charts.bars(due.symbol, BAR_MS, since_ms), take)

    def _ask_quotes(self, unseen: Sequence[str]) -> bool:
        if not unseen or not self._may("quotes"):
            return False
        if self._feed is not None and self._now_ms() - self._began_ms < FEED_GRACE_MS:
            return False

        def take(found: Mapping[str, Quote]) -> None:
            time_ms = self._venue_ms()
            for symbol, quote in found.items():
                # A ticker tells no quantities: zero stands for unknown.
                row = QuoteRow(time_ms, quote.bid, quote.bid_quantity or None, quote.ask, quote.ask_quantity or None)
                self._take_quote(symbol, self._quotes[symbol], row)

        sent = self._ask("quotes", lambda: self._rest.quotes(unseen), take)
        pace_ms = max(self._wanted.interval_ms, PACE_MS["quotes"] * min(len(unseen), 5))
        self._next_ms["quotes"] = max(self._next_ms["quotes"], self._now_ms() + pace_ms)
        return sent

    def _ask_trades(self) -> bool:
        now_ms = self._now_ms()
        symbol = min(self._trades_due_ms, key=self._trades_due_ms.__getitem__, default=None)
        if symbol is None or self._trades_due_ms[symbol] > now_ms or not self._may("trades"):
            return False
        wait_ms = TRADES_CHECK_MS if self._feed is not None and not self.why_feed_down else PACE_MS["trades"]
        self._trades_due_ms[symbol] = now_ms + wait_ms
        line = self._trades[symbol]
        return self._ask(
            "trades",
            lambda: self._rest.public_trades(symbol),
            lambda found: self._take_trades(symbol, line, found),
        )

    def _ask(self, kind: str, ask: Callable[[], _Found], take: Callable[[_Found], None]) -> bool:
        try:
            found = ask()
        except VenueUnavailable as unavailable:
            self.trouble = unavailable.reason
            again_ms = min(AGAIN_MS_MIN << min(self._failures[kind], 10), AGAIN_MS_MAX)
            again_ms = max(again_ms, round((unavailable.retry_after_s or 0) * 1_000))
            self._failures[kind] += 1
        else:
            again_ms = PACE_MS[kind]
            self._failures[kind] = 0
            take(found)
        self._next_ms[kind] = self._now_ms() + again_ms
        return True

    def _may(self, kind: str) -> bool:
        return self._next_ms[kind] <= self._now_ms()

    # -- what comes in -------------------------------------------------------------------------------------------------

    def _take_quote(self, symbol: str, line: QuoteLine, row: QuoteRow) -> None:
        if not 0 < row.bid <= row.ask:
            return  # no book that anybody could trade on
        taken, gap = line.take(row)
        self._add_gap(gap)
        if taken is not None:
            self._add(symbol, taken)

    def _take_trades(self, symbol: str, line: TradeLine, listed: Sequence[PublicTrade]) -> None:
        new, gap = line.take(listed)
        self._add_gap(gap)
        for trade in new:
            self._add(symbol, trade)

    def _rounded(self, bar: Bar) -> Bar:
        """Without the noise of the arithmetic that drew it."""
        instrument = self._wanted.instruments.get(bar.symbol)
        changes: dict[str, Decimal] = {"volume": money.round_half_up(bar.volume, VOLUME_PLACES)}
        if instrument is not None:
            prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
            changes |= {name: money.round_half_up(price, instrument.price_scale) for name, price in prices.items()}
        return msgspec.structs.replace(bar, **changes)

    def _add(self, symbol: str, row: Row) -> None:
        kind = self._batch.add(symbol, row)
        self._spool.write(kind, symbol, row)
        if kind != "gap":
            self.waiting[kind] += 1

    def _add_gap(self, gap: Gap | None) -> None:
        if gap is not None:
            self.gaps += 1
            self._add(gap.symbol, gap)

    # -- the dataset ---------------------------------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Store what a process that was killed left in the spool, before asking the dataset how far it goes."""
        if self._spool.left_behind:
            try:
                self._put(self._spool.left_behind)
            except Refused as refused:
                raise Refused(
                    f"{refused}; it was left by a capture that was killed: move {self._folder / SPOOL_FILE} away to "
                    "begin without it"
                ) from refused
        self._spool.clear()

    def _put(self, batch: Batch) -> None:
        for symbol, bars in batch.bars.items():
            self._note("bars", self._writer.append("bars", symbol, bars_of(symbol, BAR_MS, bars)))
        for symbol, quotes in batch.quotes.items():
            self._note("quotes", self._writer.append("quotes", symbol, quotes_of(symbol, quotes)))
        for symbol, trades in batch.trades.items():
            rows = ((one.at_ms, one.price, one.quantity, not one.is_buy, one.trade_id) for one in trades)
            self._note("trades", self._writer.append("trades", symbol, trades_of(symbol, rows)))
        note_gaps(self._folder, batch.gaps)

    def _note(self, table: str, appended: Appended) -> None:
        self.stored[table] += appended.added

    def _bar_line(self, symbol: str) -> BarLine:
        last_ms = self._writer.last_time_ms("bars", symbol)
        if last_ms is not None:
            interval_ms = Dataset.open(self._folder).bars(symbol).interval_ms
            if interval_ms != BAR_MS:
                raise Refused(
                    f"{self._folder}: its bars of {symbol} are {interval_ms // 1000} s long, and those that are "
                    "captured one minute; name another folder, or capture without bars"
                )
        return BarLine(symbol, BAR_MS, last_ms)

    def _trade_line(self, symbol: str) -> TradeLine:
        """As the dataset leaves off. Trades of before the last of them cannot be new."""
        last_ms = self._writer.last_time_ms("trades", symbol)
        if last_ms is None:
            return TradeLine(symbol, (), None)
        stored = Dataset.open(self._folder).trades(symbol, start_ms=last_ms - TRADES_KNOWN_MS)
        ids = () if stored.trade_id is None else stored.trade_id.to_list()
        return TradeLine(symbol, [one for one in ids if one is not None], last_ms)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _venue_ms(self) -> int:
        """The venue's time; ours while it does not tell."""
        now_ms = self._now_ms()
        if now_ms >= self._time_due_ms:
            self._time_due_ms = now_ms + TIME_MS
            with suppress(VenueUnavailable):
                return self._rest.venue_time_ms()
        return self._rest.estimated_time_ms() or self._clock.now_ms()

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000
