"""What can go wrong on the feed, on order: each fault strikes where it was told to, is counted, and nowhere else."""

import json
from decimal import Decimal

import pytest
from tests.sim.bench import T0
from tests.sim.feed_client import FeedClient, NaiveBook

from btcturk_sim.faults import Kind
from btcturk_sim.feed import Abort, CloseSocket, Refusal, SendPing
from btcturk_sim.feed.faults import FeedKind

ROW = [("1000000", "1010000", "990000", "1005000", "8")]


@pytest.fixture
def client(make_bench):
    """Logged in and joined to deltas and trades of a market that stands still but for what the test does."""
    bench = make_bench()
    client = FeedClient(bench)
    client.log_in()
    client.join("obdiff")
    client.join("trade")
    bench.control("POST", "/market", {"action": "pause"})
    client.wait(760)
    client.snapshot = client.pop(431)[0]
    client.inbox.clear()
    return client


def fault(client, kind, *, count=1, match=None, **params):
    form = {"kind": kind, "match": match or {}, "params": params} | ({"count": count} if count else {})
    status, rule = client.bench.control("POST", "/faults", form)
    assert status == 200, rule
    return rule["id"]


def struck(client):
    return client.bench.control("GET", "/faults")[1]["struck"]


def change_book(client, times=1):
    for _ in range(times):
        client.bench.place("buy", "0.001", "990000")
        client.wait(760)


OBDIFF = {"types": [432]}


# --- frames that do not come as they should -------------------------------------------------------------------------


def test_a_lost_delta_is_a_gap(client):
    fault(client, "frame_lost", match=OBDIFF)
    change_book(client, 3)
    assert [body["CS"] - client.snapshot["CS"] for body in client.pop(432)] == [2, 3]
    assert struck(client) == {"frame_lost": 1}


def test_a_frame_comes_twice(client):
    fault(client, "frame_doubled", match=OBDIFF)
    change_book(client, 2)
    assert [body["CS"] - client.snapshot["CS"] for body in client.pop(432)] == [1, 1, 2]


def test_two_frames_change_places(client):
    fault(client, "frames_swapped", match=OBDIFF)
    change_book(client, 3)
    assert [body["CS"] - client.snapshot["CS"] for body in client.pop(432)] == [2, 1, 3]


def test_what_is_lost_is_not_sent_later_either(client):
    fault(client, "frames_swapped", match=OBDIFF)
    fault(client, "frame_lost", match=OBDIFF)
    change_book(client, 3)
    assert [body["CS"] - client.snapshot["CS"] for body in client.pop(432)] == [2, 3]


def test_a_delta_before_its_snapshot(client):
    client.leave("obdiff")
    fault(client, "frames_swapped", match={"types": [431]})
    client.join("obdiff")
    assert client.inbox == []
    change_book(client, 2)
    frames = [(kind, body["CS"]) for kind, body, _ in client.inbox if kind in (431, 432)]
    first = frames[1][1]
    assert frames == [(432, first + 1), (431, first), (432, first + 2)]


def test_frames_come_late_and_in_order(client):
    fault(client, "frame_delayed", match={"types": [441]}, delay_ms=3_000)
    client.bench.place("sell", "0.001")
    client.wait(100)
    # What was due before the delay began is not held up.
    assert client.kinds() == [422, 451]
    client.bench.place("sell", "0.001")
    client.wait(3_500)
    assert {at // 1000 for _, _, at in client.inbox} == {3}
    assert [kind for kind in client.kinds() if kind != 432] == [441, 423, 201, 422, 451, 441, 423, 201]


def test_a_flood_of_deltas_that_change_nothing(client):
    fault(client, "flood", match=OBDIFF, frames=500)
    book = NaiveBook(client.snapshot)
    change_book(client)
    deltas = client.pop(432)
    assert len(deltas) == 501
    for delta in deltas:
        book.apply(delta)
    rows = book.rows("BO")
    change_book(client)
    book.apply(client.pop(432)[0])
    assert {price for price, _ in rows} == {price for price, _ in book.rows("BO")}


def test_a_flood_of_anything_else_is_the_same_frame_again(client):
    fault(client, "flood", match={"types": [422]}, frames=7)
    client.bench.place("sell", "0.001")
    client.wait(10)
    trades = client.pop(422)
    assert len(trades) == 8
    assert len({json.dumps(trade) for trade in trades}) == 1


def test_order_events_stop_on_a_live_connection_while_trades_go_on(client):
    fault(client, "events_stop", match={"types": [441, 451]})
    for _ in range(3):
        client.bench.place("sell", "0.001")
        client.wait(100)
    assert (len(client.pop(423)), client.pop(441, 451)) == (3, [])
    assert struck(client) == {"events_stop": 1}
    # A new connection is as good as new.
    again = FeedClient(client.bench)
    again.log_in()
    client.bench.place("sell", "0.001")
    for one in (client, again):
        one.wait(10)
    assert (len(again.pop(441, 451)), client.pop(441, 451)) == (2, [])


# --- frames that are not what they should be ------------------------------------------------------------------------


def test_a_stale_snapshot_shows_an_earlier_book(client):
    change_book(client, 2)
    client.leave("obdiff")
    fault(client, "snapshot_stale", match={"types": [431]})
    client.inbox.clear()
    client.join("obdiff")
    stale = client.pop(431)[0]
    client.ask(101, code=431, channel="obdiff", event="BTCTRY")
    fresh = client.pop(431)[0]
    assert stale["CS"] == fresh["CS"]
    assert stale["BO"] != fresh["BO"]
    amounts = [next(row["A"] for row in one["BO"] if row["P"] == "990000") for one in (stale, fresh)]
    assert Decimal(amounts[0]) < Decimal(amounts[1])


def test_a_stale_snapshot_waits_until_there_is_an_earlier_book(client):
    fault(client, "snapshot_stale")
    fresh = FeedClient(client.bench)
    fresh.join("orderbook")
    assert struck(client) == {}
    change_book(client)
    fresh.leave("orderbook")
    assert struck(client) == {"snapshot_stale": 1}  # 431 of the changed book


@pytest.mark.parametrize(("kind", "names"), [(432, ("PS", "event")), (422, ("PS", "event")), (441, ("symbol",))])
def test_a_frame_may_name_another_pair(client, kind, names):
    fault(client, "wrong_symbol", match={"types": [kind]}, symbol="ETHTRY")
    client.bench.place("sell", "0.001")
    client.wait(760)
    body = client.pop(kind)[0]
    assert {body[name] for name in names} == {"ETHTRY"}


@pytest.mark.parametrize("channel", ["obdiff", "orderbook", "ticker"])
def test_a_crossed_book(client, channel):
    client.leave("obdiff")
    fault(client, "book_crossed", match={"channel": channel, "types": [402, 431, 432]})
    client.join(channel)
    body = client.pop(402, 431)[0]
    if channel == "ticker":
        assert Decimal(body["B"]) > Decimal(body["A"])
    else:
        assert Decimal(body["BO"][0]["P"]) > Decimal(body["AO"][0]["P"])


def test_a_crossing_delta(client):
    book = NaiveBook(client.snapshot)
    fault(client, "book_crossed", match=OBDIFF)
    change_book(client)
    book.apply(client.pop(432)[0])
    assert Decimal(book.rows("BO")[0][0]) > Decimal(book.rows("AO")[0][0])


@pytest.mark.parametrize("value", ["0", "-1", "NaN", ""])
@pytest.mark.parametrize("field", ["P", "A"])
def test_any_value_in_a_row(client, field, value):
    fault(client, "value_replaced", match=OBDIFF, field=field, value=value)
    change_book(client)
    assert client.pop(432)[0]["BO"][0][field] == value


def test_prices_a_hundred_times_too_high(client):
    fault(client, "price_spike", match=OBDIFF)
    fault(client, "price_spike", match={"types": [441]}, factor=1000)
    client.bench.place("sell", "0.001")
    client.wait(760)
    assert client.pop(441)[0]["price"] == "999500000"
    assert client.pop(432)[0]["BO"][0]["P"] == "99950000"


def test_numbers_for_text_and_text_for_numbers(client):
    fault(client, "type_changed", match=OBDIFF, field="P")
    fault(client, "type_changed", match=OBDIFF, field="CS")
    change_book(client)
    body = client.pop(432)[0]
    assert (body["BO"][0]["P"], body["CS"]) == (990000, str(client.snapshot["CS"] + 1))
    assert struck(client) == {"type_changed": 2}


def test_time_goes_back(client):
    fault(client, "time_back", match={"types": [422]}, by_ms=5_000)
    fault(client, "time_back", match={"types": [423]}, by_ms=60_000)
    client.join("ticker")
    fault(client, "time_back", count=None, match={"types": [402]}, by_ms=1)
    client.bench.place("sell", "0.001")
    client.wait(760)
    now_ms = T0 + 760
    assert client.pop(422)[0]["D"] == str(now_ms - 5_000)
    assert client.pop(423)[0]["timestamp"] == now_ms - 60_000
    assert struck(client) == {"time_back": 2}  # D of a ticker is not a time


def test_exact_numbers_stay_exact_when_a_frame_is_changed(client):
    fault(client, "wrong_symbol", match={"types": [423]}, symbol="ETHTRY")
    fault(client, "type_changed", match={"types": [423]}, field="orderId")
    order = client.bench.place("buy", "1000")
    client.wait(10)
    trade = client.pop(423)[0]
    assert trade["orderId"] == str(order)
    assert trade["preciseAmount"] == client.bench.fills(order)[0]["preciseAmount"]
    # A trade of an account names its currencies, not its pair: there was nothing to rename.
    assert struck(client) == {"type_changed": 1}


def test_garbage_truncated_huge_and_deep_frames(client):
    fault(client, "garbage", match=OBDIFF)
    change_book(client)
    fault(client, "garbage", match=OBDIFF, text="\x00\ud7ff")
    change_book(client)
    fault(client, "frame_truncated", match=OBDIFF)
    change_book(client)
    assert client.odd[:2] == ['{"this": is not a frame', "\x00\ud7ff"]
    assert client.odd[2].startswith('[432,{"CS":')
    fault(client, "frame_deep", match=OBDIFF)
    change_book(client)
    assert client.odd[3].count("[") > 100_000
    fault(client, "frame_huge", match=OBDIFF)
    change_book(client)
    body = client.pop(432)[0]
    assert (len(body["padding"]), body["CS"]) == (9_000_000, client.snapshot["CS"] + 5)


# --- connections ----------------------------------------------------------------------------------------------------


def test_a_connection_is_closed_with_any_code(client):
    fault(client, "socket_closed", match={"types": [422]}, code=1012, reason="restart")
    client.bench.place("sell", "0.001")
    client.wait(10)
    assert client.others == [CloseSocket(1012, "restart", T0 + 760)]
    assert client.session.is_closed
    assert client.pop(422) == []


def test_connections_are_broken_at_once(client):
    other = FeedClient(client.bench)
    form = {"kind": "socket_aborted", "session": client.session.id}
    assert client.bench.control("POST", "/feed", form) == (200, {"struck": 1})
    for one in (client, other):
        one.read()
    assert (client.others, other.others) == ([Abort(T0 + 760)], [])
    assert client.bench.control("POST", "/feed", {"kind": "socket_aborted"}) == (200, {"struck": 1})
    assert struck(client) == {"socket_aborted": 2}


def test_a_half_open_connection_says_and_hears_nothing_but_stays(client):
    client.bench.place("sell", "0.001")  # what is on its way does not arrive
    client.bench.simulator.feed.strike("socket_half_open", client.bench.now_ms)
    client.pongs = False
    change_book(client, 3)
    client.wait(120_000)
    client.session.receive('[151,{"type":151,"channel":"ticker","event":"all","join":true}]', client.bench.now_ms)
    client.session.client_ping(b"", client.bench.now_ms)
    client.read()
    assert (client.inbox, client.others) == ([], [])
    assert not client.session.is_closed
    assert client.session.next_due_ms() is None
    client.session.disconnect(client.bench.now_ms)
    assert client.session.is_closed


def test_a_connection_falls_silent_instead_of_a_frame(client):
    fault(client, "socket_half_open", match={"types": [441]})
    client.bench.place("sell", "0.001")
    client.wait(5_000)
    assert (client.inbox, client.session.is_silent) == ([], True)
    assert FeedClient(client.bench).log_in()["ok"] is True


def test_without_a_heartbeat_frames_still_come(client):
    client.pongs = False
    client.bench.simulator.feed.strike("heartbeat_lost", client.bench.now_ms)
    client.wait(120_000)
    assert not any(isinstance(out, SendPing | CloseSocket) for out in client.others)
    change_book(client)
    assert len(client.pop(432)) == 1


@pytest.mark.parametrize("announced", [False, True])
def test_a_login_is_lost_on_a_live_connection(client, announced):
    fault(client, "login_lost", match={"types": [441]}, announced=announced)
    client.bench.place("sell", "0.001")
    client.bench.place("sell", "0.001")
    client.wait(10)
    assert len(client.pop(802)) == announced
    # Of the first order the insertion was told; what was on its way when the login went is not.
    assert [kind for kind, _, _ in client.inbox if kind in (423, 441, 451, 452)] == [451]
    change_book(client)
    assert len(client.pop(432)) == 1
    assert client.log_in()["ok"] is True
    client.bench.place("sell", "0.001")
    client.wait(10)
    assert len(client.pop(441)) == 1


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_connection_is_refused(client):
    fault(client, "connect_refused", status=502, body="bad gateway")
    refused = client.bench.simulator.feed.connect(client.bench.now_ms)
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.body) == (502, b"bad gateway")
    FeedClient(client.bench)
    assert struck(client) == {"connect_refused": 1}


def test_a_login_is_refused(client):
    fault(client, "login_refused", message="Invalid Nonce", match={"key": "ALICE"})
    assert client.log_in() == {"type": 114, "id": 0, "ok": False, "message": "Invalid Nonce"}
    assert client.log_in()["ok"] is True


# --- rules ----------------------------------------------------------------------------------------------------------


def test_rules_meet_only_what_they_name(make_bench):
    bench = make_bench(
        {"BTCTRY": ROW, "XRPTRY": [("130", "130", "130", "130", "0")]}, others={"BOB": {"TRY": "100000"}}
    )
    alice, bob = FeedClient(bench), FeedClient(bench)
    alice.log_in()
    bob.log_in("BOB")
    for client in (alice, bob):
        client.join("ticker", "BTCTRY")
        client.join("ticker", "XRPTRY")
        client.inbox.clear()
    fault(alice, "frame_lost", count=None, match={"key": "BOB", "event": "XRPTRY"})
    fault(alice, "frame_lost", count=None, match={"session": alice.session.id, "channel": "ticker", "event": "BTCTRY"})
    fault(alice, "frame_lost", count=None, match={"channel": "private"})
    bench.place("sell", "0.001", key="ALICE")
    alice.wait(760)
    bob.read()
    assert [body["PS"] for body in alice.pop(402)] == ["XRPTRY"]
    assert [body["PS"] for body in bob.pop(402)] == ["BTCTRY"]
    assert (alice.inbox, bob.inbox) == ([], [])


def test_rules_strike_as_often_as_they_say(client):
    rule = fault(client, "frame_lost", count=2, match=OBDIFF)
    change_book(client, 4)
    assert [body["CS"] - client.snapshot["CS"] for body in client.pop(432)] == [3, 4]
    assert client.bench.control("GET", "/faults")[1]["rules"] == []
    assert client.bench.control("DELETE", "/faults", query=f"id={rule}")[0] == 404


def test_a_probability_is_drawn_from_the_seed(make_bench):
    def lost():
        client = FeedClient(make_bench())
        client.join("ticker")
        form = {"kind": "frame_lost", "probability": 0.5, "match": {"types": [402]}}
        assert client.bench.control("POST", "/faults", form)[0] == 200
        client.wait(76_000)
        return [at for _, _, at in client.inbox]

    times = lost()
    assert 20 < len(times) < 80
    assert times == lost()


def test_rules_are_shown_and_removed_with_all_others(client):
    first = fault(client, "frame_lost", count=None, match={"types": [432], "event": "BTCTRY"})
    client.bench.control("POST", "/faults", {"kind": "lost_before", "count": 3})
    rules = client.bench.control("GET", "/faults")[1]["rules"]
    assert {rule["kind"] for rule in rules} == {"frame_lost", "lost_before"}
    assert len({rule["id"] for rule in rules}) == 2
    left = client.bench.control("DELETE", "/faults", query=f"id={first}")[1]["rules"]
    assert [rule["kind"] for rule in left] == ["lost_before"]
    fault(client, "frame_lost", count=None)
    assert client.bench.control("DELETE", "/faults")[1]["rules"] == []
    change_book(client)
    assert len(client.pop(432)) == 1


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"kind": "frame_delayed"}, "frame_delayed needs delay_ms"),
        ({"kind": "frame_delayed", "params": {"delay_ms": "soon"}}, "delay_ms must be int"),
        ({"kind": "frame_lost", "params": {"delay_ms": 5}}, "frame_lost knows no parameter 'delay_ms'"),
        ({"kind": "frame_lost", "count": 0}, "count is at least 1"),
        ({"kind": "frame_lost", "probability": 2}, "probability_ppm lies between"),
    ],
)
def test_wrong_rules_are_refused(client, form, says):
    status, answer = client.bench.control("POST", "/faults", form)
    assert (status, says in answer["error"]) == (400, True), answer


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"kind": "frame_lost"}, "frame_lost waits for a frame"),
        ({"kind": "nothing"}, "nothing"),
        ({}, "give either kind"),
        ({"kind": "garbage", "say": "x"}, "give either kind"),
        ({"kind": "socket_closed", "params": {"code": "x"}}, "code must be int"),
    ],
)
def test_wrong_strikes_are_refused(client, form, says):
    status, answer = client.bench.control("POST", "/feed", form)
    assert (status, says in answer["error"]) == (400, True), answer


def test_no_kind_has_a_name_of_the_rest_api():
    assert not {kind.value for kind in FeedKind} & {kind.value for kind in Kind}


def test_every_kind_is_told_of_in_the_documents():
    from pathlib import Path

    page = (Path(__file__).parent / "../../docs/reference/local-exchange.md").read_text(encoding="utf-8")
    assert [kind for kind in FeedKind if f"`{kind.value}`" not in page] == []


def test_the_state_tells_of_connections(client):
    client.bench.place("sell", "0.001")
    client.wait(20_000)
    client.log_in(signature="wrong")
    gone = FeedClient(client.bench)
    gone.session.disconnect(client.bench.now_ms)
    feed = client.bench.control("GET", "/state")[1]["feed"]
    (session,), (past,) = feed["sessions"], feed["past"]
    assert session["subscriptions"] == ["obdiff:BTCTRY", "trade:BTCTRY"]
    assert (session["key"], session["pings"], session["pongs"]) == ("ALICE", 1, 1)
    assert (session["logins"], session["logins_refused"]) == (1, 1)
    assert session["sent"]["441"] == feed["sent"]["441"] == 1
    assert (past["ended"], feed["connections"]) == ({"code": 0, "reason": "client"}, 2)
    assert feed == client.bench.control("GET", "/feed")[1]
