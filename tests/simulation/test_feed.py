"""Worlds with a live feed: what the checkers know of it, and what its faults do and do not do."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from btcbot.testing.checkers.feed_eye import FeedEye
from btcbot.testing.fault import Firing
from btcbot.testing.faults import FAULTS
from btcbot.testing.swarm import draw_swarm
from btcbot.testing.world import Story, World

SILENCE_MS, CHECK_MS, MARGIN_MS = 15_000, 60_000, 250
#: The first seeds whose worlds have a feed.
WITH_FEED = [seed for seed in range(1, 40) if draw_swarm(seed, None, ()).feed is not None]


def snapshot(counter: int, bid: str = "100", ask: str = "101") -> str:
    return _frame(431, counter, [(1, bid)], [(1, ask)])


def change(counter: int, bids: Sequence[tuple[int, str]] = (), asks: Sequence[tuple[int, str]] = ()) -> str:
    """Rows are (what: 0 changed, 1 new, 3 gone; price)."""
    return _frame(432, counter, bids, asks)


def _frame(kind: int, counter: int, bids: Sequence[tuple[int, str]], asks: Sequence[tuple[int, str]]) -> str:
    bo, ao = (",".join(f'{{"CP":{what},"P":"{price}","A":"1"}}' for what, price in side) for side in (bids, asks))
    return f'[{kind},{{"CS":{counter},"PS":"BTCTRY","AO":[{ao}],"BO":[{bo}],"channel":"obdiff","event":"BTCTRY"}}]'


@pytest.fixture
def eye() -> FeedEye:
    """A connection since 1,000, a snapshot of 100 / 101 at 1,010; REST showed the same at 1,100."""
    eye = FeedEye()
    eye.connected(1_000)
    eye.heard(snapshot(7), 1_010)
    rest_shows(eye, "100", "101", 1_100)
    return eye


def rest_shows(eye: FeedEye, bid: str, ask: str, now_ms: int, made_ms: int | None = None) -> None:
    eye.asks(is_book=True, now_ms=now_ms - 4)
    eye.told("BTCTRY", Decimal(bid), Decimal(ask), now_ms if made_ms is None else made_ms, now_ms, is_clean=True)
    eye.asks(is_book=False, now_ms=now_ms)


def why_not(eye: FeedEye, now_ms: int) -> str | None:
    return eye.why_not("BTCTRY", now_ms, MARGIN_MS, SILENCE_MS, CHECK_MS)


class TestWhatTheCheckersKnow:
    def test_a_book_that_is_whole_alive_and_compared_may_be_traded_on(self, eye: FeedEye) -> None:
        eye.heard(change(8, bids=[(1, "100.5")]), 2_000)

        assert why_not(eye, 3_000) is None
        assert [(str(top.bid), str(top.ask)) for top in eye.tops("BTCTRY", 2_001, 3_000) or ()] == [("100.5", "101")]

    def test_a_change_that_is_missing(self, eye: FeedEye) -> None:
        eye.heard(change(9), 2_000)
        eye.heard(change(10), 2_100)

        assert why_not(eye, 2_200) is None, "the bot may have looked for the last time just before"
        assert "misses a change" in str(why_not(eye, 2_300))

    def test_the_same_change_twice_is_no_harm(self, eye: FeedEye) -> None:
        eye.heard(change(8), 2_000)
        eye.heard(change(8), 2_001)
        eye.heard(change(9), 2_100)

        assert why_not(eye, 3_000) is None

    def test_a_book_that_is_crossed(self, eye: FeedEye) -> None:
        eye.heard(change(8, bids=[(1, "102")]), 2_000)

        assert "can be no book" in str(why_not(eye, 3_000))

    def test_no_sign_of_life_and_then_one(self, eye: FeedEye) -> None:
        assert "last sign of life" in str(why_not(eye, 1_010 + SILENCE_MS + MARGIN_MS + 1))
        eye.heard(None, 17_000)
        assert "silent of it" in str(why_not(eye, 17_100)), "a pong says nothing of this pair"

    def test_no_connection(self, eye: FeedEye) -> None:
        eye.lost("reset by the venue", 2_000)

        assert why_not(eye, 2_200) is None
        assert why_not(eye, 2_300) == "has no connection"

    def test_another_snapshot_wants_another_comparison(self, eye: FeedEye) -> None:
        eye.lost("reset by the venue", 2_000)
        eye.connected(2_500)
        eye.heard(snapshot(1), 2_600)

        assert "never compared" in str(why_not(eye, 3_000))
        rest_shows(eye, "100", "101", 3_100)
        assert why_not(eye, 3_200) is None

    def test_an_answer_that_was_made_long_before_the_snapshot_compares_nothing(self, eye: FeedEye) -> None:
        eye.lost("reset by the venue", 2_000)
        eye.connected(29_000)
        eye.heard(snapshot(1), 29_100)
        rest_shows(eye, "100", "101", 29_200, made_ms=17_500)

        assert "never compared" in str(why_not(eye, 29_400))

    def test_an_answer_that_waited_a_while_at_the_venue_still_compares(self, eye: FeedEye) -> None:
        """Made 9.1 s before the snapshot: the bot, which knows less of its making, may take it for a comparison."""
        eye.lost("reset by the venue", 2_000)
        eye.connected(29_000)
        eye.heard(snapshot(1), 29_100)
        rest_shows(eye, "100", "101", 29_200, made_ms=20_000)

        assert why_not(eye, 29_400) is None

    def test_who_stood_still_reads_answers_and_frames_late(self, eye: FeedEye) -> None:
        """The venue's book moved after REST had told of it; both were read when the process went on."""
        eye.asks(is_book=True, now_ms=1_996)
        eye.told("BTCTRY", Decimal(102), Decimal(103), 2_000, 2_000, is_clean=True)
        eye.heard(change(8, bids=[(1, "102")], asks=[(3, "101"), (1, "103")]), 9_000)
        eye.stood_still(9_000)

        assert why_not(eye, 9_100) is None

    def test_rest_shows_another_book(self, eye: FeedEye) -> None:
        rest_shows(eye, "90", "91", 5_000)

        assert why_not(eye, 6_000) is None, "the feed may still catch up"
        assert "another book of it than REST" in str(why_not(eye, 7_300))

    def test_what_rest_shows_may_come_and_go_within_a_batch(self, eye: FeedEye) -> None:
        rest_shows(eye, "100.3", "101", 5_000)
        eye.heard(change(8, bids=[(1, "100.5")]), 5_600)

        assert why_not(eye, 8_000) is None

    def test_a_comparison_is_believed_for_a_while(self, eye: FeedEye) -> None:
        for second in range(2, 64):
            eye.heard(change(6 + second), second * 1_000)

        assert why_not(eye, 61_300) is None
        assert "last compared with REST" in str(why_not(eye, 61_400))

    def test_another_process_knows_nothing_of_what_the_last_one_was_told(self, eye: FeedEye) -> None:
        eye.new_life()

        assert "never compared" in str(why_not(eye, 2_000))

    @pytest.mark.parametrize(
        "text", [change(8)[:40], '[432,{"CS":"8","PS":"BTCTRY","AO":[],"BO":[]}]', '[432,{"CS":8}]']
    )
    def test_what_can_be_read_in_two_ways_is_not_held_against_the_bot(self, eye: FeedEye, text: str) -> None:
        eye.heard(text, 2_000)
        eye.heard(change(9), 2_100)

        assert why_not(eye, 3_000) is None
        assert eye.tops("BTCTRY", 2_000, 3_000) is None


# -- worlds ------------------------------------------------------------------------------------------------------------


def told_alone(seed: int, *names: str) -> Story:
    """The world of a seed in which these strike in every cycle, and nothing else does."""
    firings = [
        Firing(cycle, f"beat:{name}", 0, name, FAULTS[name].draw(_Zero())) for cycle in range(8) for name in names
    ]
    return World(seed, cycles=8, script=firings).run()


class _Zero:
    """A `Random` that always draws the least."""

    @staticmethod
    def randint(low: int, high: int) -> int:
        return low


def test_two_of_three_worlds_have_a_feed_and_the_others_are_as_they_were() -> None:
    drawn = [draw_swarm(seed, None, frozenset(FAULTS)) for seed in range(1, 301)]

    assert 0.55 < sum(swarm.feed is not None for swarm in drawn) / len(drawn) < 0.75
    without = [swarm for swarm in drawn if swarm.feed is None]
    assert not any(FAULTS[name].site == "feed" for swarm in without for name in swarm.rates)
    assert not any("MARKET_DATA_MODE" in swarm.settings for swarm in without)


def test_a_calm_world_is_traded_from_the_feed_and_its_cycles_are_woken() -> None:
    stories = [World(seed, cycles=10, script=[]).run() for seed in WITH_FEED[:6]]

    assert [story.violation for story in stories] == [None] * 6
    assert sum(story.woken for story in stories) > 20
    assert sum(story.woken_submits for story in stories) > 3
    assert all("quotes_from_feed" in "\n".join(story.trace) for story in stories)
    assert any("woken completed" in line for story in stories for line in story.trace)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.site == "feed"])
def test_each_fault_of_the_feed_strikes_and_is_survived(name: str) -> None:
    for seed in WITH_FEED:
        story = told_alone(seed, name)
        assert story.violation is None
        if story.faults[name]:
            return
    raise AssertionError(f"{name} never struck")


def test_a_process_that_stands_still_hears_nothing_meanwhile() -> None:
    """The venue hangs up on whoever answers no ping for three quarters of a minute."""
    script = [Firing(3, "before commit", 0, "process_paused", (100_000,))]

    story = World(WITH_FEED[0], cycles=6, script=script).run()

    assert story.violation is None
    assert any("feed closed by the venue with 1000" in line for line in story.trace)
