"""When a book that was kept from the feed may be traded on."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.decisions import book_trust
from btcbot.decisions.book_trust import APART_MS, Comparison, Finding, TrustLimits
from btcbot.domain.feed import FeedBook, FeedView, Top

LIMITS = TrustLimits(silence_ms_max=15_000, check_ms_max=60_000)
ONE = Decimal(1)
NOW = 100_000


def a_top(since_ms: int, bid: str, ask: str) -> Top:
    return Top(since_ms, Decimal(bid), ONE, Decimal(ask), ONE)


def a_book(*tops: Top, snapshot_at_ms: int = 0, changed_at_ms: int | None = None) -> FeedBook:
    shown = tops or (a_top(0, "99", "101"),)
    changed = shown[-1].since_ms if changed_at_ms is None else changed_at_ms
    return FeedBook(symbol="BTCTRY", tops=shown, snapshot_at_ms=snapshot_at_ms, changed_at_ms=changed)


def a_view(
    *books: FeedBook, alive_at_ms: int | None = NOW, why_down: str = "", without: dict[str, str] | None = None
) -> FeedView:
    return FeedView(
        connection=1,
        alive_at_ms=alive_at_ms,
        why_down=why_down,
        is_logged_in=False,
        books={book.symbol: book for book in books},
        without_book=without or {},
    )


def rest(bid: str, ask: str, asked_at_ms: int, answered_at_ms: int, made_at_ms: int | None = None) -> Comparison:
    return Comparison(
        symbol="BTCTRY",
        bid=Decimal(bid),
        ask=Decimal(ask),
        asked_at_ms=asked_at_ms,
        answered_at_ms=answered_at_ms,
        made_at_ms=answered_at_ms if made_at_ms is None else made_at_ms,
    )


class TestComparing:
    BOOK = a_book(a_top(1_000, "99", "101"), a_top(9_000, "100", "102"))

    def test_the_same_prices_at_the_same_time_agree(self) -> None:
        assert book_trust.compare(rest("100", "102", 9_500, 9_600), self.BOOK, 9_600) is Finding.AGREES

    def test_prices_that_the_feed_showed_a_moment_before_agree(self) -> None:
        """REST may answer from a cache."""
        assert book_trust.compare(rest("99", "101", 9_500, 9_600), self.BOOK, 9_600) is Finding.AGREES

    def test_prices_that_the_feed_showed_long_before_do_not(self) -> None:
        asked = 9_000 + APART_MS + 1
        assert book_trust.compare(rest("99", "101", asked, asked), self.BOOK, asked + 5_000) is Finding.DIFFERS

    def test_the_feed_may_catch_up_for_a_while(self) -> None:
        ahead = rest("101", "103", 9_500, 9_600)
        assert book_trust.compare(ahead, self.BOOK, 9_600) is Finding.TOO_EARLY
        caught_up = a_book(*self.BOOK.tops, a_top(10_400, "101", "103"))
        assert book_trust.compare(ahead, caught_up, 10_400) is Finding.AGREES
        assert book_trust.compare(ahead, self.BOOK, 9_600 + APART_MS + 1) is Finding.DIFFERS

    def test_what_the_feed_shows_much_later_proves_nothing(self) -> None:
        late = a_book(*self.BOOK.tops, a_top(9_600 + APART_MS + 1, "101", "103"))
        assert book_trust.compare(rest("101", "103", 9_500, 9_600), late, 20_000) is Finding.DIFFERS

    @pytest.mark.parametrize(
        ("bid", "ask", "finding"),
        [
            ("99.5", "101.5", Finding.AGREES),
            ("98.9", "101", Finding.DIFFERS),
            ("100.1", "102", Finding.DIFFERS),
            ("100", "102.1", Finding.DIFFERS),
            ("99", "100.9", Finding.DIFFERS),
        ],
    )
    def test_on_a_moving_pair_each_side_lies_within_what_the_feed_showed(
        self, bid: str, ask: str, finding: Finding
    ) -> None:
        """The feed's batches swallow what came and went between 99 and 100, 101 and 102."""
        assert book_trust.compare(rest(bid, ask, 9_500, 9_600), self.BOOK, 30_000) is finding

    def test_on_a_quiet_pair_there_is_one_price(self) -> None:
        quiet = a_book(a_top(0, "99", "101"))
        assert book_trust.compare(rest("99", "101.01", 9_500, 9_600), quiet, 30_000) is Finding.DIFFERS

    def test_a_book_younger_than_the_comparison_is_not_judged_by_it(self) -> None:
        young = a_book(a_top(9_700, "100", "102"), snapshot_at_ms=9_700)
        assert book_trust.compare(rest("100", "102", 9_500, 9_600), young, 9_700) is Finding.VOID

    @pytest.mark.parametrize(("snapshot_at_ms", "finding"), [(13_000, Finding.AGREES), (13_001, Finding.VOID)])
    def test_an_answer_that_was_made_before_the_book_came_says_nothing_of_it(
        self, snapshot_at_ms: int, finding: Finding
    ) -> None:
        """Made at 3 s, read at a minute: the process stood still."""
        young = a_book(a_top(snapshot_at_ms, "100", "102"), snapshot_at_ms=snapshot_at_ms)
        assert book_trust.compare(rest("100", "102", 2_900, 60_000, 3_000), young, 60_000) is finding


class TestTrust:
    def distrust(self, view: FeedView, compared_at_ms: int | None) -> str | None:
        compared = {} if compared_at_ms is None else {"BTCTRY": compared_at_ms}
        return book_trust.distrust("BTCTRY", view, compared, LIMITS, NOW)

    def test_a_compared_book_on_a_living_connection_is_trusted(self) -> None:
        assert self.distrust(a_view(a_book()), NOW - 60_000) is None

    def test_a_quiet_pair_is_not_a_stale_pair(self) -> None:
        quiet = a_book(a_top(0, "99", "101"))
        assert NOW - quiet.changed_at_ms > LIMITS.silence_ms_max
        assert self.distrust(a_view(quiet), NOW - 1_000) is None

    @pytest.mark.parametrize(
        ("view", "compared_at_ms", "why"),
        [
            (a_view(a_book(), alive_at_ms=None, why_down="refused"), NOW, "the feed is down: refused"),
            (a_view(a_book(), alive_at_ms=NOW - 15_001), NOW, "no sign of life for 15001 ms"),
            (a_view(without={"BTCTRY": "a gap"}), NOW, "a gap"),
            (a_view(), NOW, "shows no book"),
            (a_view(a_book()), None, "not yet been compared"),
            (a_view(a_book(snapshot_at_ms=NOW - 10)), NOW - 11, "not yet been compared"),
            (a_view(a_book()), NOW - 60_001, "last compared with REST 60001 ms ago"),
        ],
        ids=["down", "silent", "gap", "no book", "never compared", "compared before its snapshot", "long ago"],
    )
    def test_why_a_book_is_not_trusted(self, view: FeedView, compared_at_ms: int | None, why: str) -> None:
        assert why in (self.distrust(view, compared_at_ms) or "")


class TestSilence:
    @pytest.mark.parametrize(
        ("changed_at_ms", "compared_at_ms", "silent"),
        [(NOW - 15_000, 0, False), (NOW - 15_001, NOW - 15_001, True), (0, NOW - 15_000, False)],
        ids=["it moved lately", "neither moved nor compared", "compared lately"],
    )
    def test_either_a_frame_or_a_comparison_breaks_it(
        self, changed_at_ms: int, compared_at_ms: int, silent: bool
    ) -> None:
        book = a_book(a_top(0, "99", "101"), changed_at_ms=changed_at_ms)
        assert book_trust.is_silent(book, compared_at_ms, LIMITS, NOW) is silent


def test_comparisons_are_renewed_before_they_run_out_the_oldest_first() -> None:
    books = [
        FeedBook(symbol=symbol, tops=(a_top(0, "99", "101"),), snapshot_at_ms=5_000, changed_at_ms=5_000)
        for symbol in ("AAATRY", "BBBTRY", "CCCTRY", "DDDTRY")
    ]
    compared = {"AAATRY": NOW - 42_000, "BBBTRY": NOW - 41_999, "CCCTRY": NOW - 50_000}
    wanted = ["AAATRY", "BBBTRY", "CCCTRY", "DDDTRY", "NOBOOKTRY"]
    assert book_trust.due(wanted, a_view(*books), compared, LIMITS, NOW) == ["DDDTRY", "CCCTRY", "AAATRY"]
