"""A bot with the live feed: what its books are worth, what wakes it, and what the feed can never do to our books."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.testing.in_process_rig import Rig

RESTING = ("buy", "0.0005", "1000000")
TAKING = ("buy", "0.0005", "1000500")


@pytest.fixture
def rig(make_rig) -> Rig:
    """BTCTRY stands at 1,000,000; the feed's book has been compared with REST, and agrees."""
    rig = make_rig(has_feed=True)
    rig.cycle(2)
    return rig


def books_asked(rig: Rig) -> int:
    return len(rig.venue.requests("GET", "/api/v2/orderbook"))


def requests(rig: Rig) -> int:
    return len(rig.venue.requests())


class TestQuotes:
    def test_the_first_cycle_trusts_rest_and_compares(self, make_rig) -> None:
        rig = make_rig(has_feed=True)

        report = rig.cycle()

        assert report.outcome is CycleOutcome.COMPLETED
        assert (report.counts["quotes_from_feed"], books_asked(rig)) == (0, 1)

    def test_then_the_feed_serves_and_no_book_is_asked_for(self, rig: Rig) -> None:
        before = books_asked(rig)

        reports = [rig.cycle() for _ in range(3)]

        assert [report.counts["quotes_from_feed"] for report in reports] == [1, 1, 1]
        assert books_asked(rig) == before

    def test_a_quiet_pair_is_compared_again_before_its_trust_runs_out(self, rig: Rig) -> None:
        before = books_asked(rig)

        reports = [rig.cycle() for _ in range(12)]  # two minutes without a change

        assert all(report.counts["quotes_from_feed"] == 1 for report in reports)
        assert 2 <= books_asked(rig) - before <= 3

    def test_the_quote_follows_the_feed(self, rig: Rig) -> None:
        rig.venue.price("BTCTRY", "1010000")
        rig.wait(1)

        report = rig.cycle()

        assert report.quotes["BTCTRY"] == (Decimal("1009495"), Decimal("1010505"))
        assert report.counts["quotes_from_feed"] == 1

    def test_a_feed_that_is_down_is_replaced_by_rest_and_comes_back(self, rig: Rig) -> None:
        assert rig.feed is not None
        rig.feed.is_cut = True
        rig.wait(60)
        cut = rig.cycle()
        rig.feed.is_cut = False
        rig.wait(60)
        rig.cycle(2)
        back = rig.cycle()

        assert (cut.outcome, cut.counts["quotes_from_feed"]) == (CycleOutcome.COMPLETED, 0)
        assert back.counts["quotes_from_feed"] == 1

    def test_the_feed_alone_has_no_quote_while_its_book_is_not_trusted(self, make_rig) -> None:
        rig = make_rig(has_feed=True, MARKET_DATA_MODE="ws")

        first, second = rig.cycle(), rig.cycle()

        assert first.outcome is CycleOutcome.OBSERVE_ONLY
        assert (second.outcome, second.counts["quotes_from_feed"]) == (CycleOutcome.COMPLETED, 1)

    def test_a_book_that_differs_from_rest_is_thrown_away(self, rig: Rig) -> None:
        """The feed goes on to show old prices on a connection that lives."""
        rig.venue.simulator.feed.faults.add("frame_lost", types=[432])
        rig.venue.price("BTCTRY", "1010000")
        for _ in range(6):
            report = rig.cycle()

        assert rig.log.events("book_differs_from_rest")
        assert report.quotes["BTCTRY"] == (Decimal("1009495"), Decimal("1010505"))


class TestWokenCycles:
    def test_a_change_of_the_market_wakes_a_cycle_that_orders_and_asks_nothing(self, rig: Rig) -> None:
        assert rig.feed is not None
        rig.feed.at(2_000, lambda: rig.venue.price("BTCTRY", "1010000"))
        rig.wish("buy", "0.0005", "1010000")
        asked = requests(rig)

        report = rig.pause(10)

        assert report is not None
        assert rig.order().status is OrderStatus.ACCEPTED
        assert [request.method for request in rig.venue.requests()[asked:]] == ["POST"]
        assert (rig.store.cycles(1)[0].counts["woken_by_feed"], rig.store.cycles(1)[0].counts["submitted"]) == (1, 1)
        rig.heal()
        assert rig.faults() == []

    def test_one_that_comes_to_no_order_leaves_no_record(self, rig: Rig) -> None:
        assert rig.feed is not None
        rig.feed.at(2_000, lambda: rig.venue.price("BTCTRY", "1010000"))
        before = rig.store.cycle_count()

        report = rig.pause(10)

        assert report is not None
        assert rig.store.cycle_count() == before
        assert rig.bot.run_cycle().number == before + 1

    def test_the_caps_of_a_cycle_hold_from_tick_to_tick(self, make_rig) -> None:
        """The feed tells nothing of the orders, or the next whole cycle would come at once."""
        rig = make_rig(has_feed=True, MAX_ORDERS_PER_CYCLE="2", MAX_OPEN_ORDERS_PER_SYMBOL="9")
        rig.cycle(2)
        assert rig.feed is not None
        rig.venue.simulator.feed.faults.add("frame_lost", channel="private")
        for after_ms in (2_000, 4_000, 6_000):
            rig.feed.at(after_ms, lambda: rig.wish("buy", "0.0002", "995000"))
            rig.feed.at(after_ms, lambda after_ms=after_ms: rig.venue.price("BTCTRY", str(1_000_000 + after_ms)))

        rig.pause(10)
        assert len(rig.orders()) == 2, "the third is one too many since the last tick"

        rig.wish("buy", "0.0002", "995000")
        rig.cycle()
        assert len(rig.orders()) == 3

    def test_what_was_ordered_since_the_last_comparison_is_not_spent_twice(self, make_rig) -> None:
        rig = make_rig(has_feed=True, balances={"TRY": "900"}, TRY_CASH_TARGET="0", MAX_OPEN_ORDERS_PER_SYMBOL="9")
        rig.cycle(2)
        assert rig.feed is not None
        rig.venue.simulator.feed.faults.add("frame_lost", channel="private")
        for after_ms in (2_000, 4_000):
            rig.feed.at(after_ms, lambda: rig.wish("buy", "0.0005", "995000"))
            rig.feed.at(after_ms, lambda after_ms=after_ms: rig.venue.price("BTCTRY", str(1_000_000 + after_ms)))

        rig.pause(10)

        assert len(rig.orders()) == 1
        assert len(rig.venue.requests("POST")) == 1

    def test_no_cycle_is_woken_on_an_account_that_is_not_explained(self, rig: Rig) -> None:
        assert rig.feed is not None
        rig.venue.fault("status_before", "GET", "/api/v1/users/balances", count=None, status=503)
        assert rig.cycle().outcome is CycleOutcome.OBSERVE_ONLY
        rig.venue.clear_faults()
        rig.wish(*RESTING)
        rig.feed.at(2_000, lambda: rig.venue.price("BTCTRY", "1010000"))

        rig.pause(10)

        assert rig.orders() == []

    def test_an_order_in_doubt_bars_its_symbol_in_a_woken_cycle_too(self, rig: Rig) -> None:
        assert rig.feed is not None
        rig.venue.fault("lost_after", "POST")
        rig.wish(*RESTING)
        rig.cycle()
        assert rig.order().status is OrderStatus.UNKNOWN
        rig.wish(*RESTING)
        rig.feed.at(500, lambda: rig.venue.price("BTCTRY", "1001000"))
        rig.pause(0.9)

        assert len(rig.venue.requests("POST")) == 1

    def test_the_kill_file_is_asked_in_a_woken_cycle(self, rig: Rig) -> None:
        assert rig.feed is not None
        rig.kill_switch().turn_on("enough", rig.clock.now_ms())
        rig.wish("buy", "0.0005", "1010000")
        rig.feed.at(2_000, lambda: rig.venue.price("BTCTRY", "1010000"))

        rig.pause(10)

        assert rig.venue.requests("POST") == []


class TestSilence:
    def test_an_order_on_a_silent_pair_wants_a_comparison_first(self, rig: Rig) -> None:
        rig.venue.simulator.engine.market.pause(rig.clock.true_ms())
        rig.wait(20)  # longer than a quote may be old, shorter than a comparison is believed
        before = books_asked(rig)
        rig.wish(*RESTING)

        rig.cycle()

        assert rig.order().status is OrderStatus.ACCEPTED
        assert books_asked(rig) == before + 1

    def test_and_is_not_made_where_rest_shows_something_else(self, rig: Rig) -> None:
        rig.venue.simulator.feed.faults.add("frame_lost", types=[432])
        rig.venue.price("BTCTRY", "1002000")
        rig.wait(20)
        rig.wish(*RESTING)

        rig.cycle()

        assert rig.orders() == []
        assert rig.log.events("orders_not_made")[0]["why"] == ReasonCode.QUOTE_GONE.value


class TestOurAccount:
    def test_a_fill_brings_the_next_whole_cycle_forward(self, rig: Rig) -> None:
        assert rig.feed is not None
        rig.wish("buy", "0.0005", "999900")
        rig.cycle(2)  # the second one has looked at the news of the first one's order
        began_ms = rig.clock.true_ms()
        rig.feed.at(3_000, lambda: rig.venue.price("BTCTRY", "998000"))

        rig.pause(10)

        assert 3_000 <= rig.clock.true_ms() - began_ms < 4_000
        rig.cycle(2)
        assert {line["kind"] for line in rig.log.events("told_by_feed")} >= {"inserted", "fill"}
        assert rig.order().status is OrderStatus.FILLED
        rig.heal()
        assert rig.faults() == []

    @pytest.mark.parametrize(
        ("kind", "arguments"),
        [
            ("frame_lost", {}),
            ("frame_doubled", {"times": 3}),
            ("frame_delayed", {"delay_ms": 30_000}),
            ("value_replaced", {"field": "amount", "value": "999"}),
            ("garbage", {}),
        ],
        ids=["lost", "doubled", "late", "untrue", "garbage"],
    )
    def test_whatever_the_feed_tells_of_our_account_the_books_are_those_of_the_lists(
        self, rig: Rig, kind: str, arguments: dict[str, object]
    ) -> None:
        rig.venue.simulator.feed.faults.add(kind, channel="private", **arguments)
        for _ in range(4):
            rig.wish(*TAKING)
            rig.cycle()
            rig.pause(10)
        rig.heal()

        assert rig.position().quantity == Decimal("0.002")
        assert len(rig.venue.requests("POST")) == 4
        assert rig.faults() == []


def test_a_pair_that_nothing_can_quote_is_told_and_the_others_trade_on(make_rig) -> None:
    """Not even a line of the log used to say why a pair stood still while the others were traded."""
    rig = make_rig(symbols=("BTCTRY", "ETHTRY"))
    rig.cycle()
    rig.venue.hide_book("ETHTRY")

    reports = [rig.cycle() for _ in range(3)]
    rig.venue.hide_book("ETHTRY", hidden=False)
    healed = rig.cycle()

    assert {report.outcome for report in reports} == {CycleOutcome.COMPLETED}
    assert {report.reasons for report in reports} == {(f"{ReasonCode.STALE_QUOTE.value}: ETHTRY has no usable quote",)}
    assert all(set(report.quotes) == {"BTCTRY"} for report in reports)
    assert rig.log.events("symbol_without_quote") == [{"symbol": "ETHTRY", "why": ReasonCode.STALE_QUOTE.value}]
    assert rig.log.events("symbol_with_quote_again") == [{"symbol": "ETHTRY"}]
    assert healed.reasons == ()


def test_a_pair_whose_book_rest_hides_leaves_the_others_their_trust(make_rig) -> None:
    """The comparison used to stop at it in every cycle, until no book of any pair was trusted."""
    rig = make_rig(has_feed=True, symbols=("BTCTRY", "ETHTRY"), MARKET_DATA_MODE="ws", BOOK_CHECK_SECONDS="40")
    rig.cycle(4)
    rig.venue.hide_book("BTCTRY")

    reports = [rig.cycle() for _ in range(12)]

    assert all("ETHTRY" in report.quotes for report in reports)
    assert "BTCTRY" not in reports[-1].quotes
    assert reports[-1].reasons == (f"{ReasonCode.BOOK_UNTRUSTED.value}: BTCTRY has no usable quote",)
