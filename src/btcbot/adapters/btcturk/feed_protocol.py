"""The conversation with BtcTurk's feed, over one connection after another, without a socket.

Frames go in, actions come out: what to send, when to close, what to log. Whoever holds the connection calls

    connected → receive … alive … tick … → disconnected

and looks at `view`. Times are monotonic milliseconds, handed in; the same calls give the same answers.

Books are kept by `feed_pairs`, the login by `feed_login`. Events of our own account are hints, kept up to a number;
that some may have been missed is said after every connection, login and overflow.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final

from btcbot.adapters.btcturk import feed_wire
from btcbot.adapters.btcturk.feed_actions import Actions, Close, FeedTiming, Note
from btcbot.adapters.btcturk.feed_book import Depth
from btcbot.adapters.btcturk.feed_frames import (
    AccountFrame,
    Answer,
    BookDiff,
    BookSnapshot,
    LoginAnswer,
    PublicTrade,
    SystemMessage,
    TradeList,
    Unknown,
    Welcome,
)
from btcbot.adapters.btcturk.feed_login import Login
from btcbot.adapters.btcturk.feed_pairs import FeedPairs
from btcbot.adapters.btcturk.feed_wire import ACCOUNT_TYPES, KNOWN_TYPES, FrameError
from btcbot.adapters.btcturk.signing import Signer
from btcbot.domain.feed import AccountEvent, FeedView, Wake

#: Frames in a row that cannot be read before the connection is given up.
UNREADABLE_MAX: Final = 20
#: Events of our account that are kept between two looks.
EVENTS_MAX: Final = 1_000
#: The version of the interface that this is written for.
VERSION: Final = (6, 0, 0)
LOGGED_OUT: Final = 802

_TYPE_NAMES: Final = {number: str(number) for number in KNOWN_TYPES}


class FeedProtocol:
    """`signer` None: the public feed alone. `wall_ms` gives Unix milliseconds, for the login's stamp."""

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        wall_ms: Callable[[], int],
        signer: Signer | None = None,
        timing: FeedTiming | None = None,
    ) -> None:
        self._timing = timing or FeedTiming()
        self._pairs = FeedPairs(symbols, self._timing)
        self._login = Login(signer, wall_ms, self._timing)
        self._connection = 0
        self._is_connected = False
        self._alive_at_ms = 0
        self._why_down = "not connected yet"  # empty while all is well
        self._unreadable_in_a_row = 0
        self._events: deque[AccountEvent] = deque()
        self._has_lost_events = False
        self._has_account_news = False
        self._counts: Counter[tuple[str, str]] = Counter()

    # -- the connection ------------------------------------------------------------------------------------------------

    def connected(self, now_ms: int) -> Actions:
        """A new connection stands: log in, join everything."""
        self._connection += 1
        self._is_connected, self._alive_at_ms, self._why_down = True, now_ms, ""
        self._unreadable_in_a_row = 0
        self._lose_events()
        note = Note("info", "feed_connected", {"connection": self._connection})
        return [note, *self._login.connected(now_ms), *self._pairs.open(now_ms)]

    def disconnected(self, why: str, now_ms: int) -> Actions:
        """The connection is gone. Harmless to repeat."""
        if not self._is_connected:
            return []
        notes = self._end(why)
        self._is_connected = False
        self._pairs.close()
        self._has_lost_events = True
        return [*notes, *self._login.disconnected(now_ms)]

    def down(self, why: str) -> None:
        """There is no connection, and this is the newest reason: an attempt that failed."""
        if not self._is_connected:
            self._why_down = why
            self._pairs.hide(why)

    def alive(self, now_ms: int) -> Actions:
        """The other side proved that it lives: a pong, or a ping."""
        if self._why_down:
            return []
        if self._is_silent(now_ms):
            return self._close_silent(now_ms)
        self._alive_at_ms = now_ms
        return []

    def give_up(self, why: str) -> Actions:
        """Close this connection: what was received and not yet read is not going to be. No book is shown any more."""
        return [] if self._why_down else [*self._end(why), Close(why)]

    def tick(self, now_ms: int) -> Actions:
        """Do what is due."""
        if self._why_down:
            return []
        if self._is_silent(now_ms):
            return self._close_silent(now_ms)
        return [*self._login.tick(now_ms), *self._pairs.tick(now_ms)]

    def next_tick_ms(self) -> int | None:
        """When `tick` has something to do; None while there is no connection."""
        if self._why_down:
            return None
        silent_ms = self._alive_at_ms + self._timing.silence_ms_max + 1
        return min(due for due in (silent_ms, self._login.due_ms, self._pairs.due_ms()) if due is not None)

    # -- frames --------------------------------------------------------------------------------------------------------

    def receive(self, data: str | bytes, now_ms: int) -> Actions:
        """One frame. Never raises, whatever is in it."""
        if self._why_down:
            self._counts["frames_ignored", "dropped"] += 1
            return []
        if self._is_silent(now_ms):  # this process stood still, and who knows since when the frame has waited
            return self._close_silent(now_ms)
        self._alive_at_ms = now_ms
        try:
            frame = feed_wire.decode(data)
        except FrameError as error:
            return self._unreadable(error, now_ms)
        self._unreadable_in_a_row = 0
        match frame:
            case BookDiff():
                return self._counted("432", self._pairs.diff(frame, now_ms))
            case BookSnapshot():
                return self._counted("431", self._pairs.snapshot(frame, now_ms))
            case TradeList():
                return self._counted("421" if frame.is_whole else "422", self._pairs.traded(frame, now_ms))
            case AccountFrame():
                return self._counted(_TYPE_NAMES[frame.type], self._told(frame, now_ms))
            case Answer():
                return self._counted("100", self._pairs.answer(frame, now_ms))
            case LoginAnswer():
                return self._counted("114", self._login_changed(self._login.answered(frame, now_ms)))
            case SystemMessage():
                return self._counted(_TYPE_NAMES[frame.type], self._system(frame, now_ms))
            case Welcome():
                return self._counted("991", _judged(frame))
            case Unknown():
                self._counts["frames_ignored", "unknown"] += 1
            case _:
                self._counts["frames_ignored", "unasked"] += 1  # tickers and candles
        return []

    def _counted(self, name: str, actions: Actions) -> Actions:
        self._counts["frames", name] += 1
        return actions

    def _unreadable(self, error: FrameError, now_ms: int) -> Actions:
        self._counts["frames_ignored", "unreadable"] += 1
        self._unreadable_in_a_row += 1
        if self._unreadable_in_a_row >= UNREADABLE_MAX:
            return self.give_up(f"{UNREADABLE_MAX} frames in a row could not be read; the last one: {error}")
        if error.type in ACCOUNT_TYPES or (error.type is None and self._login.is_in):
            self._lose_events()
        return self._pairs.unreadable(error.symbols, str(error), now_ms) if error.may_be_book else []

    def _told(self, frame: AccountFrame, now_ms: int) -> Actions:
        self._has_account_news = True
        if len(self._events) >= EVENTS_MAX:
            self._events.popleft()
            self._has_lost_events = True
            self._counts["events_dropped", ""] += 1
        self._events.append(
            AccountEvent(
                kind=frame.kind,
                received_at_ms=now_ms,
                symbol=frame.symbol,
                venue_order_id=frame.venue_order_id,
                client_order_id=frame.client_order_id,
                trade_id=frame.trade_id,
            )
        )
        return []

    def _system(self, frame: SystemMessage, now_ms: int) -> Actions:
        note = Note("info", "feed_system_message", {"type": frame.type, "text": frame.message})
        if frame.type != LOGGED_OUT:
            return [note]
        return [note, *self._login_changed(self._login.logged_out(now_ms))]

    def _login_changed(self, actions: Actions) -> Actions:
        """After a login, and after its loss: what happened before it, or from now on, was not told."""
        if actions:
            self._lose_events()
        return actions

    def _lose_events(self) -> None:
        self._has_lost_events = self._has_account_news = True

    # -- the core's side -----------------------------------------------------------------------------------------------

    def resync(self, symbol: str, now_ms: int) -> Actions:
        """Throw this symbol's book away and ask for a new one: the core saw it differ from the venue's."""
        return [] if self._why_down else self._pairs.compared(symbol, now_ms)

    @property
    def wake(self) -> Wake | None:
        """What happened since the last view that is worth a look."""
        if self._has_account_news:
            return Wake.ACCOUNT
        return Wake.MARKET if self._pairs.has_new_top else None

    def view(self, now_ms: int) -> FeedView:
        """Everything known now. Events are handed over once."""
        books, without = self._pairs.books(now_ms)
        if self._why_down:  # then all of them are hidden
            without = dict.fromkeys(without, f"the feed is down: {self._why_down}")
        view = FeedView(
            connection=self._connection,
            alive_at_ms=None if self._why_down else self._alive_at_ms,
            why_down=self._why_down,
            is_logged_in=self._login.is_in and not self._why_down,
            why_not_logged_in=self._login.why_not,
            books=books,
            without_book=without,
            events=tuple(self._events),
            has_lost_events=self._has_lost_events,
        )
        self._events.clear()
        self._has_lost_events = self._has_account_news = self._pairs.has_new_top = False
        return view

    def trades(self, symbol: str) -> tuple[PublicTrade, ...]:
        """The last public trades of a wanted symbol, oldest first; those while there was no connection are missing."""
        return self._pairs.trades(symbol)

    def depth(self, symbol: str, levels: int) -> Depth | None:
        """The best levels of a wanted symbol's book; None where none may be shown."""
        return None if self._why_down else self._pairs.depth(symbol, levels)

    def take_counts(self) -> Counter[tuple[str, str]]:
        """What was counted since the last time, as `feed_metrics` records it: (metric, label) → count."""
        taken, self._counts = self._counts, Counter()
        taken.update(self._pairs.take_counts())
        for result, count in self._login.results.items():
            taken["logins", result] += count
        self._login.results.clear()
        return taken

    # -- inside --------------------------------------------------------------------------------------------------------

    def _is_silent(self, now_ms: int) -> bool:
        return now_ms - self._alive_at_ms > self._timing.silence_ms_max

    def _close_silent(self, now_ms: int) -> Actions:
        return self.give_up(f"nothing was heard for {(now_ms - self._alive_at_ms) / 1000:.1f} s")

    def _end(self, why: str) -> Actions:
        if self._why_down:
            return []
        self._why_down = why
        self._pairs.hide(why)
        return [Note("warning", "feed_disconnected", {"reason": why, "connection": self._connection})]


def _judged(frame: Welcome) -> Actions:
    """A line in the log when BtcTurk no longer speaks the version that this is written for."""
    current, oldest = _parsed(frame.current), _parsed(frame.oldest)
    if current is not None and oldest is not None and oldest <= VERSION and current[0] == VERSION[0]:
        return []
    spoken = ".".join(map(str, VERSION))
    return [Note("warning", "feed_version", {"current": frame.current, "oldest": frame.oldest, "written_for": spoken})]


def _parsed(version: str) -> tuple[int, ...] | None:
    parts = version.split(".")
    return (
        tuple(map(int, parts)) if all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts) else None
    )
