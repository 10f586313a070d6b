"""What a client of the feed sees: answers, books, trades, tickers, charts, and the end of a connection."""

import json
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise

import pytest
from tests.sim.bench import T0
from tests.sim.feed_client import FeedClient, NaiveBook, rows_of

from btcturk_sim.feed import CloseSocket, Refusal, SendPing, SendPong
from btcturk_sim.feed.options import Sides
from btcturk_sim.orders import Side

MOVING = {"BTCTRY": [("1000000", "1010000", "990000", "1005000", "8")] * 3}


@pytest.fixture
def client(bench):
    client = FeedClient(bench)
    client.inbox.clear()
    return client


def options(bench, **changes):
    bench.simulator.feed.options = replace(bench.simulator.feed.options, **changes)


# --- connecting ---------------------------------------------------------------------------------------------------


def test_the_first_frame_is_a_greeting(bench):
    assert FeedClient(bench).inbox == [(991, {"type": 991, "current": "6.0.0", "min": "2.3.0"}, 0)]


def test_fifteen_connections_a_minute_then_none_for_a_minute(make_bench):
    bench = make_bench(limits="real")
    feed = bench.simulator.feed
    for _ in range(15):
        FeedClient(bench).session.disconnect(bench.now_ms)
    refused = feed.connect(bench.now_ms, "127.0.0.1")
    assert isinstance(refused, Refusal)
    assert (refused.status, dict(refused.headers)["Retry-After"]) == (429, "60")
    assert json.loads(refused.body)["message"] == "TOO_MANY_REQUESTS"
    FeedClient(bench, ip="10.0.0.2")  # another address is not concerned
    bench.wait(59_999)
    assert isinstance(feed.connect(bench.now_ms, "127.0.0.1"), Refusal)
    bench.wait(1)
    FeedClient(bench)
    assert (feed.connections, feed.refused) == (17, 2)


def test_limits_can_be_off(bench):
    assert len({FeedClient(bench).session.id for _ in range(40)}) == 40


def test_a_blocked_address_is_shut_out(bench):
    bench.control("POST", "/block", {"who": "127.0.0.1", "block_ms": 1_000})
    refused = bench.simulator.feed.connect(bench.now_ms, "127.0.0.1")
    assert (refused.status, b"Access denied" in refused.body) == (403, True)
    bench.wait(1_000)
    FeedClient(bench)


def test_a_ping_every_15_seconds_and_the_end_after_45_without_an_answer(bench):
    client = FeedClient(bench, pongs=False)
    client.wait(60_000)
    assert client.others == [
        *(SendPing(T0 + ms) for ms in (15_000, 30_000, 45_000)),
        CloseSocket(1000, "", T0 + 45_400),
    ]
    assert client.session.is_closed
    assert client.session.next_due_ms() is None


def test_who_answers_pings_stays(bench):
    client = FeedClient(bench)
    client.wait(600_000)
    assert not client.session.is_closed
    assert (client.session.tally.pings, client.session.tally.pongs) == (40, 40)


def test_other_frames_of_a_client_are_no_pongs(bench):
    client = FeedClient(bench, pongs=False)
    for _ in range(10):
        client.wait(5_000)
        client.session.receive("[]", bench.now_ms)
    assert client.session.is_closed


def test_a_clients_own_ping_is_answered_with_its_payload(client):
    client.session.client_ping(b"abc", client.bench.now_ms)
    client.read()
    assert client.others == [SendPong(b"abc", T0)]


def test_a_connection_can_have_a_lifetime(bench):
    options(bench, lifetime_ms=100_000)
    client = FeedClient(bench)
    client.wait(99_999)
    assert not client.session.is_closed
    client.wait(1)
    assert client.others == [CloseSocket(1000, "", T0 + 100_000)]


def test_next_due_is_never_too_late(make_bench):
    """Who looks only when told to finds every frame at the moment it is due."""
    bench = make_bench(MOVING)
    client = FeedClient(bench)
    for channel in ("obdiff", "orderbook", "ticker", "trade", "tradeview"):
        client.join(channel, "BTCTRY_1" if channel == "tradeview" else "BTCTRY")
    client.log_in()
    bench.place("buy", "0.01", "995000")
    client.inbox.clear()
    while bench.now_ms < T0 + 100_000:
        due_ms = client.session.next_due_ms()
        assert due_ms > bench.now_ms
        bench.now_ms = due_ms
        client.read()
        assert {at for _, _, at in client.inbox} <= {due_ms - T0}
        client.inbox.clear()
    sent = client.session.tally.sent
    assert {kind for kind, count in sent.items() if count} >= {402, 421, 422, 423, 428, 431, 432, 441, 451, 201}
    assert (client.session.tally.pings, sent[402]) == (6, 133)


# --- joining ------------------------------------------------------------------------------------------------------


def test_joining_twice_is_refused_and_the_first_goes_on(client):
    assert client.join("obdiff") == {"type": 100, "ok": True, "message": "join|obdiff:BTCTRY"}
    assert client.join("obdiff") == {"type": 100, "ok": False, "message": "join|obdiff:BTCTRY"}
    assert len(client.pop(431)) == 1
    client.bench.place("buy", "0.01", "990000")
    client.wait(760)
    assert client.kinds() == [432]


@pytest.mark.parametrize(
    ("channel", "event"),
    [
        ("obdiff", "NOPETRY"),
        ("obdiff", "btctry"),
        ("obdiff", "BTC_TRY"),
        ("obdiff", "all"),
        ("depth", "BTCTRY"),
        ("OBDIFF", "BTCTRY"),
        ("tradeview", "BTCTRY"),
        ("tradeview", "BTCTRY_2"),
    ],
)
def test_what_does_not_exist_is_joined_with_success_and_then_silent(make_bench, channel, event):
    client = FeedClient(make_bench(MOVING))
    client.inbox.clear()
    assert client.join(channel, event) == {"type": 100, "ok": True, "message": f"join|{channel}:{event}"}
    client.wait(40_000)
    assert client.inbox == []
    assert client.join(channel, event)["ok"] is False


def test_leaving_ends_it(client):
    client.join("obdiff")
    client.inbox.clear()
    assert client.leave("obdiff") == {"type": 100, "ok": True, "message": "leave|obdiff:BTCTRY"}
    client.bench.place("buy", "0.01", "990000")
    client.wait(5_000)
    assert client.inbox == []
    assert client.leave("obdiff")["ok"] is False
    options(client.bench, leave_unknown_ok=True)
    assert client.leave("obdiff")["ok"] is True


def test_a_channel_that_is_no_text_is_refused(client):
    """Seen of a client that put its members into the wrong places."""
    client.ask(151, channel=True, event="all", join=True)
    assert client.pop(100) == [{"type": 100, "ok": False, "message": "join|true:all"}]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "not json",
        "{}",
        '{"type":151,"channel":"obdiff","event":"BTCTRY","join":true}',
        "[]",
        "[151]",
        "[151,[]]",
        '[151,{"type":151,"channel":"obdiff","event":["BTCTRY"],"join":true}]',
        '[151,{"type":151,"channel":"obdiff","event":"BTCTRY","join":"yes"}]',
        '[151,{"type":151,"channel":"obdiff","event":"BTCTRY"}]',
        '[151,{"type":114,"channel":"obdiff","event":"BTCTRY","join":true}]',
        '["151",{"type":151,"channel":"obdiff","event":"BTCTRY","join":true}]',
        '[151,{"type":151,"channel":"obdiff","event":"BTCTRY","join":true},1]',
        '[777,{"type":777}]',
        '[101,{"type":101,"code":421,"channel":"trade","event":"BTCTRY"}]',
        b'[151,{"type":151,"channel":"obdiff","event":"BTCTRY","join":true}]',
        "[" * 50_000,
        '[151,{"type":151,"deep":' + "[" * 20_000 + "]" * 20_000 + "}]",
        "x" * 100_000,
    ],
)
def test_what_makes_no_sense_is_passed_over_in_silence(client, frame):
    client.send(frame)
    client.wait(2_000)
    assert (client.inbox, client.others) == ([], [])
    assert client.session.tally.ignored == 1
    assert client.join("obdiff")["ok"] is True


# --- books --------------------------------------------------------------------------------------------------------


def test_a_book_begins_with_a_snapshot_and_counts_on_from_it(client):
    client.join("obdiff")
    (snapshot,) = client.pop(431)
    assert (snapshot["PS"], snapshot["channel"], snapshot["event"], snapshot["type"]) == (
        "BTCTRY", "obdiff", "BTCTRY", 431)  # fmt: skip
    for side, best in (("AO", min), ("BO", max)):
        prices = [Decimal(row["P"]) for row in snapshot[side]]
        assert len(prices) == 100
        assert prices == sorted(prices, reverse=side == "BO")
        assert prices[0] == best(prices)
    client.bench.place("buy", "0.01", "990000")
    client.wait(1_000)
    client.bench.place("sell", "0.01", "1000600")
    client.wait(1_000)
    assert [delta["CS"] for delta in client.pop(432)] == [snapshot["CS"] + 1, snapshot["CS"] + 2]


def test_rows_say_what_became_of_a_level(client):
    client.join("obdiff")
    (snapshot,) = client.pop(431)
    far, free = snapshot["BO"][-1], "998850"
    assert free not in {row["P"] for row in snapshot["BO"]}
    order = client.bench.place("buy", "0.01", free)
    client.wait(760)
    # A level that comes in pushes the hundredth out.
    assert client.pop(432)[0]["BO"] == [
        {"CP": 1, "P": free, "A": "0.01"},
        {"CP": 3, "P": far["P"], "A": far["A"]},
    ]
    client.bench.place("buy", "0.02", free)
    client.wait(760)
    assert client.pop(432)[0]["BO"] == [{"CP": 0, "P": free, "A": "0.03"}]
    client.bench.cancel(order)
    client.wait(760)
    assert client.pop(432)[0]["BO"] == [{"CP": 0, "P": free, "A": "0.02"}]
    for one in client.bench.get("/api/v1/openOrders")["bids"]:
        client.bench.cancel(one["id"])
    client.wait(760)
    # And back it comes when there is room again.
    assert client.pop(432)[0]["BO"] == [
        {"CP": 3, "P": free, "A": "0.02"},
        {"CP": 1, "P": far["P"], "A": far["A"]},
    ]


def test_a_level_of_less_than_a_step_is_not_shown(client):
    """A market buy may leave the fraction of a step behind: what counts is what could still be traded."""
    client.join("obdiff")
    best = client.pop(431)[0]["AO"][0]
    worth = Decimal(best["P"]) * Decimal(best["A"]) * Decimal("1.0024")
    client.bench.place("buy", str(worth.quantize(Decimal("0.01"), ROUND_DOWN)))
    assert 0 < client.bench.engine.pairs["BTCTRY"].levels(Side.SELL, 1)[0][1] < Decimal("0.00000001")
    client.wait(760)
    assert {"CP": 3, "P": best["P"], "A": best["A"]} in client.pop(432)[0]["AO"]


def test_batches_come_at_their_own_pace_and_only_when_something_has_changed(client):
    client.join("obdiff")
    client.inbox.clear()
    for _ in range(20):
        client.bench.place("buy", "0.001", "990000")
        client.wait(100)
    times = [at for _, _, at in client.inbox]
    assert len(times) == 3
    assert {later - earlier for earlier, later in pairwise(times)} == {760}
    client.inbox.clear()
    client.wait(760)
    client.inbox.clear()
    client.bench.simulator.control.handle("POST", "/market", "", b'{"action":"pause"}', client.bench.now_ms)
    client.wait(30_000)
    assert client.inbox == []


def test_what_changes_and_changes_back_within_a_batch_was_never_seen(client):
    client.join("obdiff")
    client.inbox.clear()
    client.bench.cancel(client.bench.place("buy", "0.01", "998850"))
    client.wait(5_000)
    assert client.inbox == []


def test_a_batch_shows_the_book_as_it_stood_then_however_late_it_is_fetched(make_bench):
    told = []
    for pause_ms in (250, 40_000):
        client = FeedClient(make_bench(MOVING), pongs=False)
        for channel in ("obdiff", "orderbook", "trade", "ticker"):
            client.join(channel)
        for _ in range(40_000 // pause_ms):
            client.bench.wait(pause_ms)
            client.read()
        told.append(client.inbox)
    often, once = told
    assert len(often) > 70
    assert often == once


def test_the_full_book_comes_at_every_change(client):
    client.join("orderbook")
    client.join("obdiff")
    full, snapshot = client.pop(431)
    assert full["CS"] != snapshot["CS"]
    assert full["AO"] == snapshot["AO"]
    client.bench.place("buy", "0.01", "998850")
    client.wait(760)
    (after,) = client.pop(431)
    assert (after["channel"], after["CS"]) == ("orderbook", full["CS"] + 1)
    assert {"A": "0.01", "P": "998850"} in after["BO"]
    assert after["AO"] == full["AO"]


def test_counters_belong_to_one_subscription(bench):
    first, second = FeedClient(bench), FeedClient(bench)
    for client in (first, second):
        client.join("obdiff")
    counters = {client.pop(431)[0]["CS"] for client in (first, second)}
    assert len(counters) == 2


def bust_a_part(bench):
    """A resting order of which a part was filled gets it back."""
    order = bench.place("buy", "0.01", "1000400")
    bench.place("sell", "0.002")
    bench.control("POST", "/bust", {"id": bench.fills(order)[0]["id"]})


def test_who_joins_between_two_batches_disturbs_nobody(bench):
    first, second, third = FeedClient(bench), FeedClient(bench), FeedClient(bench)
    books = []
    for client in (first, second):
        client.join("obdiff")
        books.append(NaiveBook(client.pop(431)[0]))
        bench.place("buy", "0.01", "998850")
    bench.wait(760)
    for client, book in zip((first, second), books, strict=True):
        client.read()
        book.apply(client.pop(432)[0])
    third.join("obdiff")
    (full,) = third.pop(431)
    assert [book.rows("BO") for book in books] == [rows_of(full, "BO")] * 2
    assert ("998850", "0.02") in books[0].rows("BO")


@pytest.mark.parametrize("how", ["price", "rules", "bust", "taken", "deposit"])
def test_whatever_changes_a_book_is_told(client, how):
    client.join("obdiff")
    book = NaiveBook(client.pop(431)[0])
    bench = client.bench
    changes = {
        "price": lambda: bench.control("POST", "/market", {"symbol": "BTCTRY", "price": "1200000"}),
        "rules": lambda: bench.control("POST", "/market", {"symbol": "BTCTRY", "rules": {"quantity_scale": 3}}),
        "taken": lambda: bench.place("sell", "0.001"),
        "bust": lambda: bust_a_part(bench),
        "deposit": lambda: bench.control("POST", "/deposit", {"key": "ALICE", "asset": "TRY", "amount": "1"}),
    }
    changes[how]()
    client.wait(760)
    deltas = client.pop(432)
    assert len(deltas) == (how != "deposit")
    for delta in deltas:
        book.apply(delta)
    client.leave("obdiff")
    client.join("obdiff")
    (full,) = client.pop(431)
    assert [book.rows(side) for side in ("AO", "BO")] == [rows_of(full, side) for side in ("AO", "BO")]


def test_a_delisted_pair_falls_silent(make_bench):
    client = FeedClient(make_bench(MOVING))
    for channel in ("obdiff", "ticker"):
        client.join(channel)
    client.bench.control("POST", "/market", {"symbol": "BTCTRY", "delisted": True})
    client.inbox.clear()
    client.wait(20_000)
    assert client.inbox == []
    assert client.join("trade")["ok"] is True
    assert client.inbox == []


def test_what_is_late_on_the_rest_api_is_late_here(client):
    client.join("obdiff")
    book = NaiveBook(client.pop(431)[0])
    pair = client.bench.engine.pairs["BTCTRY"]
    pair.delayed = True
    client.bench.place("buy", "0.01", "998850")
    client.wait(3_000)
    assert client.pop(432) == []
    pair.delayed = False
    client.wait(760)
    book.apply(client.pop(432)[0])
    assert ("998850", "0.01") in book.rows("BO")


def test_nobody_listens_to_the_engine_for_who_has_joined_nothing(client):
    engine = client.bench.engine
    assert (engine.listeners, engine.passing) == ([], None)
    client.join("obdiff")
    assert len(engine.listeners) == 1
    client.leave("obdiff")
    assert (engine.listeners, engine.passing) == ([], None)
    client.log_in()
    client.join("trade")
    client.session.disconnect(client.bench.now_ms)
    assert (engine.listeners, engine.passing) == ([], None)


# --- trades, tickers, charts ----------------------------------------------------------------------------------------


def test_trades_begin_with_a_list_and_go_on_one_by_one(make_bench):
    bench = make_bench(MOVING)
    bench.wait(20_000)
    client = FeedClient(bench)
    client.join("trade")
    (listed,) = client.pop(421)
    assert listed["symbol"] == "BTCTRY"
    assert [int(row["D"]) for row in listed["items"]] == [T0, T0 + 7_500, T0 + 15_000]
    assert listed["items"] == sorted(listed["items"], key=lambda row: int(row["I"]))
    bench.place("sell", "0.01")
    client.read()
    (trade,) = client.pop(422)
    rest = bench.call("GET", "/api/v2/trades", pairSymbol="BTCTRY", key=None)[1]["data"][0]
    assert (trade["I"], trade["D"], trade["S"], rest["side"]) == (rest["tid"], str(rest["date"]), 0, "sell")
    assert Decimal(trade["A"]) == Decimal(rest["amount"])
    assert (trade["A"], trade["PS"], trade["event"]) == ("0.0100000000", "BTCTRY", "BTCTRY")


def test_at_most_fifty_trades_are_listed(bench):
    for _ in range(60):
        bench.place("sell", "0.001")
    client = FeedClient(bench)
    client.join("trade")
    assert len(client.pop(421)[0]["items"]) == 50


def test_the_other_reading_of_sides_and_times(bench):
    options(bench, sides=Sides.BUY_0, trade_time_is_text=False)
    client = FeedClient(bench)
    client.join("trade")
    for side, number in (("buy", 0), ("sell", 1)):
        bench.place(side, "1000" if side == "buy" else "0.001")
        client.read()
        assert [(row["S"], row["D"]) for row in client.pop(422)] == [(number, bench.now_ms)]


def test_trades_carry_the_exchanges_own_time(client):
    client.bench.control("POST", "/clock", {"skew_ms": 7_000})
    client.join("trade")
    client.bench.place("sell", "0.001")
    client.read()
    assert client.pop(422)[0]["D"] == str(T0 + 7_000)


def test_tickers_come_with_every_batch_changed_or_not(client):
    client.join("ticker")
    client.wait(7_600)
    said = client.pop(402)
    assert len(said) == 11
    assert said[-1] == said[-2]
    rest = client.bench.call("GET", "/api/v2/ticker", pairSymbol="BTCTRY", key=None)[1]["data"][0]
    for ours, theirs in (("B", "bid"), ("A", "ask"), ("LA", "last"), ("H", "high"), ("L", "low"), ("O", "open"),
                         ("V", "volume"), ("AV", "average"), ("D", "daily"), ("DP", "dailyPercent")):  # fmt: skip
        assert Decimal(said[-1][ours]) == Decimal(rest[theirs]), ours


def test_all_tickers_in_one_frame(make_bench):
    client = FeedClient(make_bench(MOVING | {"XRPUSDT": [("0.5", "0.5", "0.5", "0.5", "0")]}))
    client.inbox.clear()
    client.join("ticker", "all")
    (said,) = client.pop(401)
    assert [(row["PS"], row["Ord"]) for row in said["items"]] == [("BTCTRY", 0), ("XRPUSDT", 1)]
    assert (said["event"], said["type"]) == ("all", 401)
    client.wait(760)
    assert client.kinds() == [401]


@pytest.mark.parametrize(("name", "minutes"), [("1", 1), ("60", 60), ("1D", 1440), ("1W", 10_080), ("1M", 43_200)])
def test_charts_show_the_current_candle(make_bench, name, minutes):
    client = FeedClient(make_bench(MOVING))
    client.join("tradeview", f"BTCTRY_{name}")
    client.wait(50_000)
    said = client.pop(428)
    assert len(said) > 3
    second = T0 // 60_000 // minutes * minutes * 60
    assert {(row["D"], row["P"], row["R"]) for row in said} == {(second, "BTCTRY", minutes)}
    assert [said[-1][name] for name in "OHLC"] == ["1000000", "1010000", "990000", "1007500"]


def test_a_client_may_ask_for_the_first_frame_again(client):
    for channel in ("trade", "obdiff", "ticker"):
        client.join(channel)
    client.bench.place("sell", "0.001")
    client.wait(760)
    delta = client.pop(432)[0]
    client.inbox.clear()
    client.ask(101, code=421, channel="trade", event="BTCTRY")
    client.ask(101, code=431, channel="obdiff", event="BTCTRY")
    client.ask(101, code=422, channel="trade", event="BTCTRY")
    assert [body.get("CS") for body in client.pop(431)] == [delta["CS"]]
    assert client.kinds() == [421]
