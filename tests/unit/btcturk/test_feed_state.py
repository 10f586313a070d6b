"""The queue before the conversation, and what happens when it is full."""

from __future__ import annotations

from tests.unit.btcturk.feed_support import closed, diff, noted, snapshot
from tests.unit.btcturk.support import NOW_MS

from btcbot.adapters.btcturk.feed_state import QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX, FeedState
from btcbot.domain.feed import Wake


def whole() -> FeedState:
    state = FeedState(["BTCTRY"], random=lambda: 0.5, wall_ms=lambda: NOW_MS)
    state.attempting(0)
    state.connected(0)
    state.offer(snapshot("BTCTRY", 1))
    state.work(10)
    assert state.view(10).books
    return state


def test_what_waits_is_read_in_its_order() -> None:
    state = whole()
    for sequence in range(2, 7):
        state.offer(diff("BTCTRY", sequence, bids=[(1, f"100.{sequence}", "1")]))
    assert not state.is_idle
    state.work(20, frames_max=2)
    assert str(state.view(20).books["BTCTRY"].top.bid) == "100.3"
    state.work(20)
    assert state.is_idle
    assert str(state.view(20).books["BTCTRY"].top.bid) == "100.6"
    assert state.take_waiting_max() == 5
    assert state.take_waiting_max() == 0


def test_a_full_queue_is_thrown_away_and_nothing_old_is_shown() -> None:
    state = whole()
    for sequence in range(2, 2 + QUEUE_FRAMES_MAX):
        assert state.offer(diff("BTCTRY", sequence)) == []

    actions = state.offer(diff("BTCTRY", 2 + QUEUE_FRAMES_MAX))

    assert closed(actions) == [f"more frames came than were read: {QUEUE_FRAMES_MAX + 1} were thrown away"]
    assert noted(actions) == ["feed_disconnected"]
    assert state.is_idle
    assert state.view(20).books == {}
    assert state.offer(diff("BTCTRY", 9)) == []
    state.disconnected("we closed it", 20)
    view = state.view(20)
    assert view.has_lost_events
    assert view.why_down.startswith("more frames came")
    assert state.take_counts()["frames_ignored", "dropped"] == QUEUE_FRAMES_MAX + 2
    assert state.attempt_at_ms() == 520


def test_bytes_fill_the_queue_as_well() -> None:
    state = whole()
    large = b" " * 1_000_000
    said = [why for _ in range(QUEUE_BYTES_MAX // 1_000_000 + 1) for why in closed(state.offer(large))]
    assert len(said) == 1


def test_a_pong_counts_after_what_came_before_it() -> None:
    state = whole()
    state.offer(diff("BTCTRY", 2))
    state.offer_sign_of_life()
    state.offer_sign_of_life()
    assert state.view(5_000).alive_at_ms == 10, "nothing was read yet"
    state.work(5_000)
    assert state.view(5_000).alive_at_ms == 5_000


def test_connecting_is_counted_and_told() -> None:
    state = FeedState(["BTCTRY"], random=lambda: 0.5, wall_ms=lambda: NOW_MS)
    assert state.attempt_at_ms() is None
    state.attempting(0)
    state.refused("no connection within 10 s", 10_000)
    state.attempting(11_000)
    state.refused("BtcTurk answered HTTP 429 instead of opening the feed", 11_000, 429)
    assert state.attempt_at_ms() == 11_000 + 66_000
    assert state.view(11_000).why_down == "BtcTurk answered HTTP 429 instead of opening the feed"
    assert state.wake is None
    state.attempting(80_000)
    state.connected(80_000)
    assert state.wake is Wake.ACCOUNT, "the feed came back: the lists are to be read"
    counts = state.take_counts()
    assert [counts["connections", word] for word in ("failed", "refused", "connected")] == [1, 1, 1]
