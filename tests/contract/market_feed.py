"""What every `MarketFeed` promises, as tests: subclass `FeedContract` and give `make`."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest

from btcbot.adapters.stop import StopFlag
from btcbot.domain.feed import AccountEventKind, FeedView, Wake
from btcbot.ports import MarketFeed

SYMBOL = "BTCTRY"
NOWHERE = "NOSUCHTRY"
#: Longer than anything here takes; a feed that needs it all has failed.
SECONDS_MAX = 15.0


@dataclass
class FeedRig:
    """A feed of `SYMBOL` and of `NOWHERE`, which the venue does not list, and hands at the venue.

    `price` moves the middle of the market, `order` lets the feed's own account place one, `abort` breaks the
    connection, `pause` lets time pass.
    """

    feed: MarketFeed
    price: Callable[[str], None]
    order: Callable[[], None]
    abort: Callable[[], None]
    pause: Callable[[float], None]
    close: Callable[[], None]

    def until(self, holds: Callable[[FeedView], bool]) -> FeedView:
        """The first view of which it holds."""
        deadline = time.monotonic() + SECONDS_MAX
        for _ in range(2_000):
            view = self.feed.view()
            if holds(view):
                return view
            assert time.monotonic() < deadline, view
            self.pause(0.02)
        raise AssertionError(view)

    def quiet(self) -> FeedView:
        """A connected feed whose news have all been looked at."""
        view = self.until(lambda view: SYMBOL in view.books and view.is_logged_in and NOWHERE in view.without_book)
        self.pause(1.0)
        self.feed.view()
        return view


class FeedContract(ABC):
    """The suite. Each test gets a rig of its own."""

    @abstractmethod
    def make(self) -> FeedRig:
        """An implementation to be tried, not yet started."""

    @pytest.fixture
    def rig(self) -> Iterator[FeedRig]:
        rig = self.make()
        yield rig
        rig.feed.close()
        rig.close()

    @pytest.fixture
    def started(self, rig: FeedRig) -> FeedRig:
        rig.feed.start()
        return rig

    def test_before_its_start_it_shows_nothing_and_says_why(self, rig: FeedRig) -> None:
        view = rig.feed.view()

        assert (view.connection, view.alive_at_ms, dict(view.books)) == (0, None, {})
        assert view.why_down

    def test_it_shows_the_book_of_what_is_listed_and_says_why_not_of_the_rest(self, started: FeedRig) -> None:
        """The venue answers every wish with ok; only silence tells that there is no such pair."""
        view = started.until(lambda view: SYMBOL in view.books and "no" in view.without_book.get(NOWHERE, ""))

        assert Decimal(0) < view.books[SYMBOL].top.bid < view.books[SYMBOL].top.ask
        assert view.alive_at_ms is not None and view.connection == 1

    def test_a_change_of_the_best_price_wakes_whoever_waits_for_the_market(self, started: FeedRig) -> None:
        before = started.quiet().books[SYMBOL].top
        stop = StopFlag()

        started.price("1010000")

        assert started.feed.wait(5.0, stop) is Wake.MARKET
        assert started.feed.view().books[SYMBOL].top.bid > before.bid

    def test_and_nobody_else(self, started: FeedRig) -> None:
        started.quiet()

        started.price("1010000")

        assert started.feed.wait(1.5, StopFlag(), for_market=False) is Wake.TIME

    def test_news_that_were_looked_at_wake_nobody_again(self, started: FeedRig) -> None:
        started.quiet()
        started.price("1010000")
        started.feed.wait(5.0, StopFlag())
        started.until(lambda view: view.books[SYMBOL].top.bid > 1_005_000)
        started.pause(1.0)
        started.feed.view()

        assert started.feed.wait(0.3, StopFlag()) is Wake.TIME

    def test_what_happens_to_our_account_wakes_and_is_told_once(self, started: FeedRig) -> None:
        started.quiet()

        started.order()

        assert started.feed.wait(5.0, StopFlag(), for_market=False) is Wake.ACCOUNT
        view = started.until(lambda view: any(event.kind is AccountEventKind.INSERTED for event in view.events))
        event = next(event for event in view.events if event.kind is AccountEventKind.INSERTED)
        assert (event.symbol, bool(event.venue_order_id)) == (SYMBOL, True)
        started.pause(0.5)
        started.feed.view()
        assert started.feed.view().events == ()

    def test_a_word_to_stop_ends_a_wait(self, started: FeedRig) -> None:
        started.quiet()
        stop = StopFlag()
        stop.set()

        assert started.feed.wait(30.0, stop) is Wake.STOP

    def test_a_broken_connection_is_made_again_and_says_that_news_were_missed(self, started: FeedRig) -> None:
        first = started.quiet()

        started.abort()
        started.until(lambda view: not view.books)
        again = started.until(lambda view: SYMBOL in view.books)

        assert again.connection == first.connection + 1
        assert again.books[SYMBOL].snapshot_at_ms > first.books[SYMBOL].snapshot_at_ms

    def test_it_tells_that_news_may_have_been_lost_between_two_connections(self, started: FeedRig) -> None:
        started.quiet()

        started.abort()

        assert started.feed.wait(10.0, StopFlag(), for_market=False) is Wake.ACCOUNT
        started.until(lambda view: view.has_lost_events)

    def test_a_book_that_was_thrown_away_comes_back_from_a_new_snapshot(self, started: FeedRig) -> None:
        before = started.quiet().books[SYMBOL]

        started.pause(0.1)
        started.feed.resync(SYMBOL)

        after = started.until(lambda view: SYMBOL in view.books and view.books[SYMBOL] != before)
        assert after.books[SYMBOL].snapshot_at_ms > before.snapshot_at_ms

    def test_closing_is_harmless_to_repeat_and_ends_what_it_shows(self, started: FeedRig) -> None:
        started.quiet()

        started.feed.close()
        started.feed.close()

        view = started.feed.view()
        assert (view.alive_at_ms, dict(view.books)) == (None, {})
