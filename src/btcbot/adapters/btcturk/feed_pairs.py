"""The wanted pairs on one connection after another: their subscriptions, their books and their public trades.

Part of the feed's conversation (`feed_protocol`); times are handed in, actions come out. A book is shown from its
snapshot on, while each change follows the one before, and never after a doubt. A doubt ends with a new snapshot, which
is asked for at once and then ever more slowly.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from btcbot.adapters.btcturk import feed_wire
from btcbot.adapters.btcturk.feed_actions import Actions, FeedTiming, Note
from btcbot.adapters.btcturk.feed_book import Depth, Doubt, LocalBook
from btcbot.adapters.btcturk.feed_frames import Answer, BookDiff, BookSnapshot, PublicTrade, TradeList
from btcbot.adapters.btcturk.feed_subscription import Subscription, SubscriptionState
from btcbot.domain.feed import FeedBook

#: Public trades of a pair that are kept; as many as the venue lists.
TRADES_KEPT: Final = 50


class _Pair:
    """What is kept of one wanted symbol."""

    __slots__ = ("book", "book_feed", "is_told_lost", "trade_feed", "trades")

    def __init__(self, symbol: str, timing: FeedTiming) -> None:
        self.book = LocalBook(symbol)
        self.book_feed = Subscription(feed_wire.OBDIFF, symbol, timing)
        self.trade_feed = Subscription(feed_wire.TRADE, symbol, timing)
        self.trades: deque[PublicTrade] = deque(maxlen=TRADES_KEPT)
        self.is_told_lost = False  # the log was told that the book is lost: it will be told when it is back


class FeedPairs:
    """`has_new_top`: the best price of one of them has changed; whoever looks sets it back."""

    def __init__(self, symbols: Sequence[str], timing: FeedTiming) -> None:
        self.has_new_top = False
        #: Since they were last taken, as `feed_metrics` records them: (metric, label) → count.
        self.counts: Counter[tuple[str, str]] = Counter()
        self._timing = timing
        self._pairs = {symbol: _Pair(symbol, timing) for symbol in symbols}
        self._subscriptions = {
            (each.channel, each.symbol): each
            for pair in self._pairs.values()
            for each in (pair.book_feed, pair.trade_feed)
        }
        self._due_ms: int | None = None
        self._is_due_known = False

    # -- the connection ------------------------------------------------------------------------------------------------

    def open(self, now_ms: int) -> Actions:
        """Join everything, on a new connection."""
        self._is_due_known = False
        for pair in self._pairs.values():
            pair.book.break_off(Doubt.BEGINNING, "waiting for its snapshot")
        return [action for each in self._subscriptions.values() for action in each.open(now_ms)]

    def hide(self, why: str) -> None:
        """The connection is given up: from now on every book is old."""
        for pair in self._pairs.values():
            pair.book.break_off(Doubt.OFFLINE, why)

    def close(self) -> None:
        """The connection is gone."""
        self._is_due_known = False
        for subscription in self._subscriptions.values():
            subscription.close()

    def due_ms(self) -> int | None:
        """When `tick` has something to do, if ever."""
        if not self._is_due_known:
            due = [each.due_ms for each in self._subscriptions.values() if each.due_ms is not None]
            self._due_ms = min(due, default=None)
            self._is_due_known = True
        return self._due_ms

    def tick(self, now_ms: int) -> Actions:
        due_ms = self.due_ms()
        if due_ms is None or now_ms < due_ms:
            return []
        self._is_due_known = False
        actions: Actions = []
        for subscription in self._subscriptions.values():
            made, is_missing = subscription.tick(now_ms)
            actions += made
            if is_missing and subscription.channel == feed_wire.OBDIFF:
                seconds = self._timing.first_frame_ms_max / 1000
                why = f"no snapshot came within {seconds:g} s (BtcTurk keeps silent about a pair it does not know)"
                actions += self._doubt(self._pairs[subscription.symbol], Doubt.MISSING, why)
        return actions

    # -- frames --------------------------------------------------------------------------------------------------------

    def snapshot(self, frame: BookSnapshot, now_ms: int) -> Actions:
        pair = self._pairs.get(frame.symbol)
        if pair is None:
            return self._ignored("wrong_symbol")
        book, state = pair.book, pair.book_feed.state
        if state is SubscriptionState.LIVE:
            book.again(frame, now_ms)
        elif state is SubscriptionState.JOINING:
            if book.begin(frame, now_ms):
                self.has_new_top = True
            pair.book_feed.is_live(now_ms)
            self._is_due_known = False
        else:
            return self._ignored("no_book")
        if not book.is_whole:
            return self._renewed(pair, book.doubt, book.why_broken, now_ms)
        if not pair.is_told_lost:
            return []
        pair.is_told_lost = False
        return [Note("info", "feed_book_whole_again", {"symbol": frame.symbol})]

    def diff(self, frame: BookDiff, now_ms: int) -> Actions:
        pair = self._pairs.get(frame.symbol)
        if pair is None:
            return self._ignored("wrong_symbol")
        book, state = pair.book, pair.book_feed.state
        if state is SubscriptionState.LIVE:
            if book.apply(frame, now_ms):
                self.has_new_top = True
            return [] if book.is_whole else self._renewed(pair, book.doubt, book.why_broken, now_ms)
        if state is SubscriptionState.JOINING:
            return self._renewed(pair, Doubt.GAP, "a change came before the snapshot", now_ms)
        return self._ignored("no_book")

    def answer(self, frame: Answer, now_ms: int) -> Actions:
        """What BtcTurk says to a join or a leave: `join|obdiff:BTCTRY`."""
        verb, _, rest = frame.message.partition("|")
        channel, _, symbol = rest.partition(":")
        subscription = self._subscriptions.get((channel, symbol))
        if subscription is None or verb not in ("join", "leave"):
            return self._ignored("wrong_symbol")
        self._is_due_known = False
        actions, is_refused = subscription.answered(is_join=verb == "join", ok=frame.ok, now_ms=now_ms)
        if is_refused and channel == feed_wire.OBDIFF:
            actions += self._doubt(self._pairs[symbol], Doubt.REFUSED, "BtcTurk said no to the subscription")
        return actions

    def traded(self, frame: TradeList, now_ms: int) -> Actions:
        pair = self._pairs.get(frame.symbol)
        if pair is None:
            return self._ignored("wrong_symbol")
        if frame.is_whole:
            pair.trade_feed.is_live(now_ms)
            self._is_due_known = False
            pair.trades = deque(sorted(frame.trades, key=_age), maxlen=TRADES_KEPT)
        else:
            known = {trade.trade_id for trade in pair.trades}
            pair.trades.extend(trade for trade in frame.trades if trade.trade_id not in known)
        return []

    # -- doubts --------------------------------------------------------------------------------------------------------

    def unreadable(self, symbols: Sequence[str], why: str, now_ms: int) -> Actions:
        """A frame that may have been a change of a book cannot be read: a change is missing, of the pairs that it
        names, or of any where it names none."""
        named = (self._pairs[symbol] for symbol in symbols if symbol in self._pairs)
        return self._renewed_all(list(named if symbols else self._pairs.values()), why, now_ms)

    def compared(self, symbol: str, now_ms: int) -> Actions:
        """The core saw this book differ from the one that BtcTurk gave on request."""
        pair = self._pairs.get(symbol)
        if pair is None:
            return []
        return self._renewed(pair, Doubt.COMPARED, "it differed from the book that BtcTurk gave on request", now_ms)

    def _renewed_all(self, pairs: Sequence[_Pair], why: str, now_ms: int) -> Actions:
        if len(pairs) == 1:
            return self._renewed(pairs[0], Doubt.UNREADABLE, why, now_ms)
        actions: Actions = []
        if pairs:
            actions.append(Note("warning", "feed_books_in_doubt", {"reason": why, "books": len(pairs)}))
        for pair in pairs:
            pair.book.break_off(Doubt.UNREADABLE, why)
            self.counts["resyncs", Doubt.UNREADABLE] += 1
            actions += pair.book_feed.renew(now_ms)
        self._is_due_known = False
        return actions

    def _renewed(self, pair: _Pair, doubt: Doubt, why: str, now_ms: int) -> Actions:
        self._is_due_known = False
        return [*self._doubt(pair, doubt, why), *pair.book_feed.renew(now_ms)]

    def _doubt(self, pair: _Pair, doubt: Doubt, why: str) -> Actions:
        pair.book.break_off(doubt, why)
        self.counts["resyncs", doubt] += 1
        if pair.is_told_lost:
            return []
        pair.is_told_lost = True
        return [Note("warning", "feed_book_lost", {"symbol": pair.book.symbol, "reason": why})]

    def _ignored(self, reason: str) -> Actions:
        self.counts["frames_ignored", reason] += 1
        return []

    # -- the core's side -----------------------------------------------------------------------------------------------

    def books(self, now_ms: int) -> tuple[dict[str, FeedBook], dict[str, str]]:
        """The books that may be shown, and of the other symbols why not."""
        shown, without = {}, {}
        for symbol, pair in self._pairs.items():
            book = pair.book.shown(now_ms)
            if book is None:
                without[symbol] = pair.book.why_broken
            else:
                shown[symbol] = book
        return shown, without

    def trades(self, symbol: str) -> tuple[PublicTrade, ...]:
        pair = self._pairs.get(symbol)
        return tuple(pair.trades) if pair else ()

    def depth(self, symbol: str, levels: int) -> Depth | None:
        pair = self._pairs.get(symbol)
        return pair.book.depth(levels) if pair else None

    def take_counts(self) -> Counter[tuple[str, str]]:
        """What was counted since the last time."""
        taken, self.counts = self.counts, Counter()
        for pair in self._pairs.values():
            for kind, count in pair.book.odd.items():
                taken["oddities", kind] += count
            pair.book.odd.clear()
        return taken


def _age(trade: PublicTrade) -> tuple[int, int, str]:
    """Lists were seen with the newest trade first as well as last."""
    return trade.at_ms, len(trade.trade_id), trade.trade_id
