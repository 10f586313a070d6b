"""The feed's conversation, told as a script: what BtcTurk says, what we say, and what may be shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import pytest
from tests.unit.btcturk.feed_support import (
    WELCOME,
    Talk,
    answer,
    closed,
    diff,
    fill,
    frame,
    login_answer,
    match,
    noted,
    one_trade,
    sent,
    snapshot,
    trades,
)

from btcbot.adapters.btcturk.feed_actions import Action, Note, Send
from btcbot.adapters.btcturk.feed_protocol import EVENTS_MAX, UNREADABLE_MAX
from btcbot.domain.feed import AccountEventKind, Wake

JOINED = ["join obdiff:BTCTRY", "join trade:BTCTRY"]


def whole(talk: Talk, sequence: int = 10) -> Talk:
    """Connected, with a book of BTCTRY at 100/101."""
    talk.connect()
    talk.hear(WELCOME, answer("join|obdiff:BTCTRY"), snapshot("BTCTRY", sequence), trades("BTCTRY", [1, 2]))
    assert talk.best() == ("100", "101")
    return talk


def rejoin(talk: Talk, sequence: int = 50) -> None:
    """BtcTurk's side of beginning a book anew."""
    assert sent(talk.hear(answer("leave|obdiff:BTCTRY"))) == ["join obdiff:BTCTRY"]
    talk.hear(answer("join|obdiff:BTCTRY"), snapshot("BTCTRY", sequence))


# -- connecting --------------------------------------------------------------------------------------------------------


def test_everything_is_joined_when_the_connection_stands() -> None:
    talk = Talk("BTCTRY", "ETHTRY")
    assert talk.view().why_down == "not connected yet"
    assert talk.view().alive_at_ms is None

    actions = talk.connect()

    assert sent(actions) == [
        f"join {channel}:{pair}" for pair in ("BTCTRY", "ETHTRY") for channel in ("obdiff", "trade")
    ]
    view = talk.view()
    assert (view.connection, view.alive_at_ms, view.why_down, view.is_logged_in) == (1, talk.now_ms, "", False)
    assert view.without_book == dict.fromkeys(("BTCTRY", "ETHTRY"), "waiting for its snapshot")
    assert view.why_not_logged_in == ""  # there is no key to log in with


@pytest.mark.parametrize(
    ("current", "oldest", "is_odd"),
    [
        ("6.0.0", "2.3.0", False),
        ("6.4.1", "6.0.0", False),
        ("7.0.0", "2.3.0", True),
        ("6.5.0", "6.1.0", True),
        ("x", "1", True),
    ],
)
def test_a_version_that_is_not_ours_is_told(current: str, oldest: str, is_odd: bool) -> None:
    talk = Talk()
    talk.connect()
    assert noted(talk.hear(frame(991, {"current": current, "min": oldest}))) == (["feed_version"] if is_odd else [])


# -- books -------------------------------------------------------------------------------------------------------------


def test_a_book_is_shown_from_its_snapshot_on() -> None:
    talk = whole(Talk())

    talk.after(760).hear(diff("BTCTRY", 11, asks=[(1, "100.5", "4")], bids=[(0, "100", "7"), (3, "98", "9")]))

    book = talk.view().books["BTCTRY"]
    assert (book.top.bid, book.top.bid_quantity) == (Decimal(100), Decimal(7))
    assert (book.top.ask, book.top.ask_quantity) == (Decimal("100.5"), Decimal(4))
    assert [top.since_ms for top in book.tops] == [1_000_000, 1_000_760]
    assert (book.snapshot_at_ms, book.changed_at_ms) == (1_000_000, 1_000_760)
    depth = talk.protocol.depth("BTCTRY", 2)
    assert depth is not None
    assert [str(level.price) for level in depth.asks] == ["100.5", "101"]
    assert [str(level.price) for level in depth.bids] == ["100", "99"]


def test_a_gap_ends_a_book_until_a_new_snapshot() -> None:
    talk = whole(Talk())

    actions = talk.hear(diff("BTCTRY", 12, asks=[(1, "100.5", "4")]))

    assert sent(actions) == ["leave obdiff:BTCTRY"]
    assert noted(actions) == ["feed_book_lost"]
    assert talk.best() is None
    assert talk.view().without_book["BTCTRY"] == "a gap: change 12 came after 10"
    # What is under way of the old subscription changes nothing.
    assert talk.hear(diff("BTCTRY", 13), snapshot("BTCTRY", 13)) == []
    assert talk.best() is None

    rejoin(talk)
    assert talk.best() == ("100", "101")
    talk.hear(diff("BTCTRY", 51, bids=[(1, "100.25", "1")]))
    assert talk.best() == ("100.25", "101")


def test_a_change_before_the_snapshot_begins_anew() -> None:
    talk = Talk()
    talk.connect()
    assert sent(talk.hear(diff("BTCTRY", 11))) == ["leave obdiff:BTCTRY"]
    assert talk.hear(snapshot("BTCTRY", 10)) == []  # of the subscription that was left
    assert talk.best() is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (diff("BTCTRY", 11, asks=[(1, "100", "1")]), "it is crossed: bid 100, ask 100"),
        (diff("BTCTRY", 11, bids=[(1, "300", "1")]), "it is crossed: bid 300, ask 101"),
        (diff("BTCTRY", 11, asks=[(3, "101", "1"), (3, "102", "1"), (3, "103", "1")]), "it has no asks"),
        (
            diff("BTCTRY", 11, asks=[(0, "-101", "1")]),
            "a frame 432 cannot be read: a price or an amount is not a number",
        ),
        (diff("BTCTRY", 10), "a gap: change 10 came after 10"),
        (diff("BTCTRY", 9), "a gap: change 9 came after 10"),
        (snapshot("BTCTRY", 11), "a snapshot came that was not asked for"),
        (snapshot("BTCTRY", 9), "a snapshot came that was not asked for"),
        (b'[432,{"CS":11,"PS":"BTCTRY"', "a frame 432 cannot be read"),
        (b"<html>", "a frame cannot be read"),
    ],
)
def test_what_makes_a_book_untrusted(change: bytes, why: str) -> None:
    talk = whole(Talk())
    actions = talk.hear(change)
    assert sent(actions) == ["leave obdiff:BTCTRY"]
    assert talk.view().without_book["BTCTRY"].startswith(why)
    rejoin(talk)
    assert talk.best() == ("100", "101")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (snapshot("BTCTRY", 5, asks=[]), "it has no asks"),
        (snapshot("BTCTRY", 5, asks=[("99", "1")]), "it is crossed: bid 100, ask 99"),
        (snapshot("BTCTRY", 5, bids=[("99", "1"), ("99.0", "2")]), "the snapshot holds the same bid price twice"),
    ],
)
def test_a_snapshot_that_cannot_be_is_not_shown(broken: bytes, why: str) -> None:
    talk = Talk()
    talk.connect()
    assert sent(talk.hear(broken)) == ["leave obdiff:BTCTRY"]
    assert talk.view().without_book["BTCTRY"] == why


def test_the_same_frame_twice_is_harmless() -> None:
    talk = whole(Talk())
    assert talk.hear(snapshot("BTCTRY", 10)) == []
    talk.hear(diff("BTCTRY", 11, asks=[(1, "100.5", "4")]))
    assert talk.hear(diff("BTCTRY", 11, asks=[(1, "100.5", "4")])) == []
    talk.hear(diff("BTCTRY", 12, asks=[(3, "100.5", "4")]))
    assert talk.best() == ("100", "101")
    assert talk.count("oddities", "twice") == 2


def test_levels_that_do_not_fit_are_taken_as_they_are() -> None:
    talk = whole(Talk())
    talk.hear(
        diff("BTCTRY", 11, asks=[(3, "777", "1"), (1, "101", "8"), (0, "100.5", "5")]),
    )
    depth = talk.protocol.depth("BTCTRY", 9)
    assert depth is not None
    assert [(str(level.price), str(level.quantity)) for level in depth.asks] == [
        ("100.5", "5"),
        ("101", "8"),
        ("102", "2"),
        ("103", "3"),
    ]
    assert talk.count("oddities", "level") == 3


def test_a_frame_that_may_have_been_any_books_puts_all_in_doubt() -> None:
    talk = Talk("BTCTRY", "ETHTRY")
    talk.connect()
    talk.hear(snapshot("BTCTRY", 10), snapshot("ETHTRY", 20))

    actions = talk.hear(b'[432,{"CS":11,"P')

    assert sent(actions) == ["leave obdiff:BTCTRY", "leave obdiff:ETHTRY"]
    assert noted(actions) == ["feed_books_in_doubt"]
    assert talk.view().books == {}
    # One that names its pair takes that one alone, and one that is no book's takes none.
    talk.hear(answer("leave|obdiff:BTCTRY"), answer("leave|obdiff:ETHTRY"))
    talk.hear(snapshot("BTCTRY", 1), snapshot("ETHTRY", 1))
    talk.hear(b'[402,{"PS":"BTCTRY"}]', b'[441,{"symbol":"BTCTRY"}]')
    assert set(talk.view().books) == {"BTCTRY", "ETHTRY"}
    talk.hear(b'[432,{"PS":"ETHTRY","event":"ETHTRY"}]')
    assert set(talk.view().books) == {"BTCTRY"}


def test_other_pairs_and_channels_are_counted_and_left_alone() -> None:
    talk = whole(Talk())
    assert (
        talk.hear(diff("ETHTRY", 11), snapshot("ETHTRY", 1), one_trade("ETHTRY", 1), answer("join|obdiff:ETHTRY")) == []
    )
    assert talk.hear(snapshot("BTCTRY", 999, channel="orderbook")) == []
    assert talk.best() == ("100", "101")
    assert talk.protocol.take_counts()["frames_ignored", "wrong_symbol"] == 4


def test_the_best_prices_of_the_last_seconds_are_kept() -> None:
    talk = whole(Talk())
    for number in range(1, 9):
        talk.after(1_000).hear(diff("BTCTRY", 10 + number, bids=[(0, "100", str(number + 1))]))
    tops = talk.view().books["BTCTRY"].tops
    assert [str(top.bid_quantity) for top in tops] == ["4", "5", "6", "7", "8", "9"]

    talk.pass_quietly(4_500)
    assert len(talk.view().books["BTCTRY"].tops) == 2
    talk.pass_quietly(60_000)
    (last,) = talk.view().books["BTCTRY"].tops
    assert str(last.bid_quantity) == "9"


def test_the_core_may_ask_for_a_new_book() -> None:
    talk = whole(Talk())
    assert sent(talk.protocol.resync("BTCTRY", talk.now_ms)) == ["leave obdiff:BTCTRY"]
    assert talk.best() is None
    assert talk.protocol.resync("ETHTRY", talk.now_ms) == []
    rejoin(talk)
    assert talk.best() == ("100", "101")


def with_answers(talk: Talk, actions: Sequence[Action], *, knows_pair: bool) -> list[int]:
    """BtcTurk answers at once, with a snapshot or with silence. When the book was joined in it."""
    joined: list[int] = []
    waiting = list(actions)
    while waiting:
        action = waiting.pop(0)
        if not isinstance(action, Send):
            continue
        body = json.loads(action.text)[1]
        place = f"{body['channel']}:{body['event']}"
        waiting += talk.hear(answer(f"{'join' if body['join'] else 'leave'}|{place}"))
        if body["join"] and body["channel"] == "obdiff":
            joined.append(talk.now_ms)
            if knows_pair:
                waiting += talk.hear(snapshot(body["event"], 50))
    return joined


def test_a_pair_that_btcturk_does_not_know_is_asked_for_ever_more_slowly() -> None:
    talk = Talk("XYZTRY")
    joined = with_answers(talk, talk.connect(), knows_pair=False)
    for _ in range(6_000):
        joined += with_answers(talk, talk.pass_quietly(100), knows_pair=False)

    waits = [after - before for before, after in pairwise(joined)]
    assert len(joined) < 18, "in ten minutes"
    assert waits == sorted(waits)
    assert waits[0] < 6_000
    assert waits[-1] == pytest.approx(60_000, abs=300)
    assert "keeps silent about a pair it does not know" in talk.view().without_book["XYZTRY"]


def test_a_book_that_breaks_again_and_again_is_asked_for_at_a_bounded_rate() -> None:
    talk = Talk()
    joined = with_answers(talk, talk.connect(), knows_pair=True)
    for _ in range(3_000):  # five minutes, in which every book is broken as soon as it stands
        joined += with_answers(talk, [*talk.hear(diff("BTCTRY", 99)), *talk.pass_quietly(100)], knows_pair=True)
    assert 9 <= len(joined) <= 13

    while talk.best() is None:
        with_answers(talk, talk.pass_quietly(100), knows_pair=True)
    talk.pass_quietly(61_000)  # a good minute makes the next doubt cheap again
    assert len(with_answers(talk, talk.hear(diff("BTCTRY", 99)), knows_pair=True)) == 1


def test_a_leave_without_an_answer_is_not_waited_for_for_ever() -> None:
    talk = whole(Talk())
    talk.hear(diff("BTCTRY", 99))
    assert sent(talk.pass_quietly(1_900)) == []
    assert sent(talk.pass_quietly(200)) == ["join obdiff:BTCTRY"]


def test_a_no_to_a_subscription_begins_it_anew() -> None:
    talk = Talk()
    talk.connect()
    assert sent(talk.hear(answer("join|obdiff:BTCTRY", ok=False))) == ["leave obdiff:BTCTRY"]
    assert talk.view().without_book["BTCTRY"] == "BtcTurk said no to the subscription"


# -- the line ----------------------------------------------------------------------------------------------------------


def test_a_lost_connection_shows_nothing_old() -> None:
    talk = whole(Talk())
    talk.view()

    assert noted(talk.lose("the connection was lost")) == ["feed_disconnected"]

    view = talk.view()
    assert (view.books, view.alive_at_ms, view.why_down) == ({}, None, "the connection was lost")
    assert view.without_book == {"BTCTRY": "the feed is down: the connection was lost"}
    assert view.has_lost_events
    assert talk.hear(diff("BTCTRY", 11)) == []
    assert talk.lose("again") == []
    assert talk.protocol.next_tick_ms() is None

    assert sent(talk.after(500).connect()) == JOINED
    assert talk.view().connection == 2
    assert talk.best() is None
    talk.hear(diff("BTCTRY", 11))  # the old count means nothing here
    assert talk.best() is None


def test_silence_ends_a_connection() -> None:
    talk = whole(Talk())
    talk.pass_quietly(60_000)
    assert talk.best() == ("100", "101"), "a quiet pair is not a stale one while the line lives"

    due_ms = talk.protocol.next_tick_ms()
    assert due_ms is not None
    talk.now_ms = due_ms
    actions = talk.tick()

    assert closed(actions) == ["nothing was heard for 12.0 s"]
    assert talk.best() is None
    assert closed(talk.tick()) == []


def test_frames_that_waited_while_this_process_stood_still_are_not_shown() -> None:
    talk = whole(Talk())
    talk.after(60_000)
    assert closed(talk.hear(diff("BTCTRY", 11))) == ["nothing was heard for 60.0 s"]
    assert talk.best() is None


def test_too_much_that_cannot_be_read_ends_a_connection() -> None:
    talk = whole(Talk())
    for number in range(2 * UNREADABLE_MAX):
        assert closed(talk.hear(b"<html>" if number % UNREADABLE_MAX else WELCOME)) == [], "not in a row"
    why = [text for _ in range(UNREADABLE_MAX) for text in closed(talk.hear(b"<html>"))]
    assert len(why) == 1
    assert why[0].startswith("20 frames in a row could not be read")
    assert talk.best() is None


# -- our own account ---------------------------------------------------------------------------------------------------


def test_logging_in() -> None:
    talk = Talk(has_key=True)
    assert sent(talk.connect()) == ["login", *JOINED]
    assert talk.view().why_not_logged_in == "not logged in yet"
    assert talk.view().has_lost_events is False

    assert noted(talk.hear(login_answer())) == ["feed_logged_in"]

    assert talk.protocol.wake is Wake.ACCOUNT
    view = talk.view()
    assert (view.is_logged_in, view.why_not_logged_in, view.has_lost_events) == (True, "", True)
    talk.lose()
    assert (talk.view().is_logged_in, talk.view().why_not_logged_in) == (False, "not connected")
    assert sent(talk.after(1_000).connect())[0] == "login", "once on every connection"


def test_a_refused_login_is_told_and_not_hammered() -> None:
    talk = Talk(has_key=True)
    talk.connect()
    talk.hear(login_answer(ok=False, message="Invalid Signature"), snapshot("BTCTRY", 1))
    assert talk.view().why_not_logged_in == "Invalid Signature"
    assert talk.best() == ("100", "101"), "the public books go on"

    logins = [0]
    for second in range(3_600):  # an hour in which BtcTurk refuses, and in which the connection falls every minute
        talk.after(1_000)
        said = sent(talk.tick())
        if second % 60 == 59:
            talk.lose()
            said += sent(talk.connect())
        talk.protocol.alive(talk.now_ms)
        if "login" in said:
            logins.append(second)
            talk.hear(login_answer(ok=False, message="Invalid Signature"))
    assert 6 <= len(logins) <= 9
    assert talk.protocol.take_counts()["logins", "refused"] == len(logins)


def test_hanging_up_is_an_answer_to_a_login_too() -> None:
    talk = Talk(has_key=True)
    talk.connect()
    talk.lose("BtcTurk closed the connection (1000)")
    assert sent(talk.after(500).connect()) == JOINED
    assert talk.view().why_not_logged_in == "the connection ended before the answer"
    assert "login" in sent(talk.pass_quietly(30_000))


def test_a_login_without_an_answer_is_tried_again_later() -> None:
    talk = Talk(has_key=True)
    talk.connect()
    assert noted(talk.pass_quietly(10_000)).count("feed_login_failed") == 1
    assert talk.view().why_not_logged_in == "no answer within 10 s"
    assert "login" not in sent(talk.pass_quietly(29_000))
    assert "login" in sent(talk.pass_quietly(1_100))
    talk.hear(login_answer())
    assert talk.view().is_logged_in


def test_being_logged_out_is_noticed() -> None:
    talk = Talk(has_key=True)
    talk.connect()
    talk.hear(login_answer())
    talk.view()
    assert noted(talk.hear(frame(802, {"id": 1, "ok": True, "message": "bye"}))) == [
        "feed_system_message",
        "feed_login_failed",
    ]
    view = talk.view()
    assert (view.is_logged_in, view.has_lost_events, view.why_not_logged_in) == (False, True, "BtcTurk logged us out")


def test_a_yes_that_nobody_asked_for_is_none() -> None:
    talk = Talk()
    talk.connect()
    talk.hear(login_answer())
    assert talk.view().is_logged_in is False
    other = Talk(has_key=True)
    other.connect()
    other.hear(login_answer(ok=False, message="no"), login_answer())
    assert other.view().is_logged_in is False


def test_events_of_our_account_are_handed_over_once() -> None:
    talk = whole(Talk())
    talk.view()
    talk.hear(match(), fill())
    assert talk.protocol.wake is Wake.ACCOUNT

    view = talk.view()

    assert [(event.kind, event.symbol, event.venue_order_id, event.trade_id) for event in view.events] == [
        (AccountEventKind.MATCH, "BTCTRY", "7968322274", None),
        (AccountEventKind.FILL, "BTCTRY", "25327923517", "1149163839863900657"),
    ]
    assert {event.client_order_id for event in view.events} == {"btcbot-test-19a-1"}
    assert not view.has_lost_events
    assert talk.view().events == ()
    assert talk.protocol.wake is None


def test_more_events_than_are_kept_are_said_to_be_lost() -> None:
    talk = whole(Talk())
    talk.view()
    talk.hear(*[match(number) for number in range(1, EVENTS_MAX + 4)])
    view = talk.view()
    assert len(view.events) == EVENTS_MAX
    assert view.has_lost_events
    assert (view.events[0].venue_order_id, view.events[-1].venue_order_id) == ("4", str(EVENTS_MAX + 3))


def test_an_event_that_cannot_be_read_may_have_been_anything() -> None:
    talk = whole(Talk())
    talk.view()
    talk.hear(b'[423,{"id":"x"}]')
    assert talk.protocol.wake is Wake.ACCOUNT
    assert talk.view().has_lost_events


# -- waking ------------------------------------------------------------------------------------------------------------


def test_a_new_best_price_is_worth_a_look_and_a_quantity_is_not() -> None:
    talk = whole(Talk())
    talk.view()
    talk.hear(diff("BTCTRY", 11, bids=[(0, "100", "9"), (1, "97", "9")]))
    assert talk.protocol.wake is None
    talk.hear(diff("BTCTRY", 12, bids=[(1, "100.5", "9")]))
    assert talk.protocol.wake is Wake.MARKET
    talk.hear(match())
    assert talk.protocol.wake is Wake.ACCOUNT


# -- public trades -----------------------------------------------------------------------------------------------------


def test_public_trades_are_kept_oldest_first() -> None:
    talk = Talk()
    talk.connect()
    talk.hear(trades("BTCTRY", [3, 2, 1]), one_trade("BTCTRY", 4), one_trade("BTCTRY", 4), one_trade("BTCTRY", 5))
    assert [trade.trade_id[-1] for trade in talk.protocol.trades("BTCTRY")] == ["1", "2", "3", "4", "5"]
    talk.hear(*[one_trade("BTCTRY", number) for number in range(10, 100)])
    assert len(talk.protocol.trades("BTCTRY")) == 50
    assert talk.protocol.trades("ETHTRY") == ()


def test_a_refused_login_says_what_to_look_at() -> None:
    """BtcTurk says «Invalid Request» for a key without the permission, and nothing else."""
    talk = Talk(has_key=True)
    talk.connect()
    (told,) = talk.hear(login_answer(ok=False, message="Invalid Request"))
    assert isinstance(told, Note)
    assert told.fields["reason"] == "Invalid Request"
    assert "its permission for WebSocket" in str(told.fields["mend"])
