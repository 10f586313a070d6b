"""Logging in on the feed, and what an account is told of its own affairs."""

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.sim.bench import T0
from tests.sim.feed_client import FeedClient

from btcturk_sim.errors import ConfigurationError
from btcturk_sim.feed.options import USER_EVENTS, FeedOptions, LoginWindow
from btcturk_sim.permissions import Permission


def options(bench, **changes):
    bench.simulator.feed.options = replace(bench.simulator.feed.options, **changes)


@pytest.fixture
def client(bench):
    client = FeedClient(bench)
    assert client.log_in()["ok"] is True
    client.inbox.clear()
    return client


def refused(message):
    return {"type": 114, "id": 0, "ok": False, "message": message}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"batch_ms": 0}, "batch_ms 0: give 1 or more"),
        ({"ping_ms": -1}, "ping_ms -1: give 1 or more"),
        ({"user_events_lag_ms": -1}, "user_events_lag_ms -1: give 0 or more"),
        ({"user_events": frozenset({423, 7})}, r"user_events \[7\]: give some of \[201, 423"),
    ],
)
def test_options_that_cannot_work_are_refused(wrong, says):
    with pytest.raises(ConfigurationError, match=says):
        FeedOptions(**wrong)


# --- logging in -----------------------------------------------------------------------------------------------------


def test_a_login_is_answered_with_the_accounts_number(bench):
    client = FeedClient(bench)
    assert client.log_in() == {"type": 114, "id": 5869906, "ok": True, "message": None}
    assert (client.session.account.key, client.session.tally.logins) == ("ALICE", 1)


def test_the_published_signature_is_accepted(make_bench):
    """Key, secret, nonce and signature as they were published, with 3000 for the nonce."""
    bench = make_bench(others={"test-public-key": {"TRY": "1"}})
    account = bench.engine.books.accounts["test-public-key"]
    account.secret = b"test-secret-key-for-unit-tests"
    client = FeedClient(bench)
    answer = client.log_in("test-public-key", signature="uLpuzhycwQqE+aC+WnmBoPSIyBrCPo4I0pyJyq6uF98=")
    assert (answer["ok"], answer["id"]) == (True, account.user_id)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signature": "uLpuzhycwQqE+aC+WnmBoPSIyBrCPo4I0pyJyq6uF98="}, "Invalid Signature"),
        ({"signature": "çok yanlış"}, "Invalid Signature"),
        ({"signature": None}, "Invalid Signature"),
        ({"publicKey": "NOBODY"}, "Invalid Public/Private key"),
        ({"publicKey": None}, "Invalid Public/Private key"),
        ({"timestamp": None}, "Invalid Nonce"),
        ({"timestamp": "soon"}, "Invalid Nonce"),
        ({"timestamp": T0 - 3_001}, "Invalid Nonce"),
        ({"timestamp": T0 + 3_001}, "Invalid Nonce"),
        ({"nonce": 0}, "Invalid Nonce"),
        ({"nonce": -5}, "Invalid Nonce"),
        ({"nonce": T0, "timestamp": None}, "Invalid Nonce"),
    ],
)
def test_a_wrong_login_is_told_why_and_the_connection_stays(bench, changes, message):
    client = FeedClient(bench)
    assert client.log_in(**changes) == refused(message)
    assert (client.session.account, client.session.tally.logins_refused) == (None, 1)
    bench.place("sell", "0.001")
    client.wait(100)
    assert client.kinds() == [991]
    assert client.log_in()["ok"] is True


def test_the_signature_covers_key_and_nonce_alone(bench):
    """Signed like a REST request, over the time, it is wrong."""
    from btcturk_sim.auth import signature

    client = FeedClient(bench)
    over_time = signature(b"bench secret", "ALICE", str(bench.now_ms))
    assert client.log_in(signature=over_time) == refused("Invalid Signature")


def test_a_timestamp_is_good_for_as_long_as_the_nonce_says_or_for_ever(bench):
    client = FeedClient(bench)
    old = {"timestamp": T0 - 3_001}
    assert client.log_in(nonce=15_000, **old)["ok"] is True
    assert client.log_in(**old)["ok"] is False
    options(bench, login_window=LoginWindow.NONE)
    assert client.log_in(**old)["ok"] is True


def test_time_is_the_exchanges_own(bench):
    bench.control("POST", "/clock", {"skew_ms": 60_000})
    client = FeedClient(bench)
    assert client.log_in(timestamp=bench.now_ms) == refused("Invalid Nonce")
    assert client.log_in()["ok"] is True


def test_a_key_needs_the_permission_the_right_address_and_to_be_valid(bench):
    account = bench.engine.books.accounts["ALICE"]
    account.permissions = frozenset(Permission) - {Permission.WEBSOCKET}
    assert FeedClient(bench).log_in() == refused("Invalid Request")
    account.permissions, account.addresses = frozenset(Permission), frozenset({"10.0.0.1"})
    assert FeedClient(bench).log_in() == refused("Invalid Request")
    assert FeedClient(bench, ip="10.0.0.1").log_in()["ok"] is True
    account.addresses, account.revoked = None, True
    assert FeedClient(bench).log_in() == refused("Invalid Public/Private key")


def test_a_blocked_key_cannot_log_in(make_bench):
    """With several accounts on one address, the rule blocks keys."""
    bench = make_bench(others={"BOB": {"TRY": "1"}}, limits="real")
    bench.control("POST", "/block", {"who": "ALICE"})
    client = FeedClient(bench)
    assert client.log_in() == refused("Access denied")
    assert client.log_in("BOB")["ok"] is True


def test_one_key_may_be_logged_in_twice_or_once(bench):
    first, second = FeedClient(bench), FeedClient(bench)
    first.log_in()
    second.log_in()
    bench.place("sell", "0.001")
    for client in (first, second):
        client.wait(10)
        assert len(client.pop(441)) == 1
    options(bench, one_login_per_key=True)
    second.log_in()
    first.read()
    assert [body["message"] for body in first.pop(802)] == ["LogoutUser"]
    bench.place("sell", "0.001")
    for client, count in ((first, 0), (second, 1)):
        client.wait(10)
        assert len(client.pop(441)) == count


# --- user events ----------------------------------------------------------------------------------------------------


def test_a_resting_order_from_its_insertion_to_its_cancel(client):
    order = client.bench.place("buy", "0.01", "990000", newOrderClientId="mine")
    client.wait(10)
    assert client.pop(451) == [
        {"type": 451, "pairId": 1, "symbol": "BTCTRY", "id": order, "method": 0, "userId": 5869906, "orderType": 0,
         "price": "990000", "amount": "0.01", "numLeft": "0.01", "denomLeft": "9911.88", "newOrderClientId": "mine"},
    ]  # fmt: skip
    assert client.kinds() == [201]
    client.bench.cancel(order)
    client.wait(10)
    assert client.pop(452) == [
        {"type": 452, "pairId": 1, "symbol": "BTCTRY", "id": order, "method": 0, "userId": 5869906, "orderType": 0,
         "price": "990000.0000000000000000", "amount": "0.0100000000000000", "numLeft": "0.0100000000000000",
         "denomLeft": "9911.8800000000000000", "newOrderClientId": "mine"},
    ]  # fmt: skip
    assert client.kinds() == [201]


def test_what_is_left_in_quote_currency_counts_the_makers_commission_against_the_account(client):
    client.bench.place("sell", "0.01", "1100000")
    client.wait(10)
    assert client.pop(451)[0]["denomLeft"] == "10986.8"  # 0.01 × 1,100,000 × (1 − 0.0012)


def test_each_match_is_told_as_a_match_and_as_a_trade(client):
    order = client.bench.place("sell", "0.0012", "990000", newOrderClientId="s")
    client.wait(10)
    (match,), (trade,) = client.pop(441), client.pop(423)
    assert match == {
        "type": 441, "id": order, "user": 5869906, "isBid": False, "method": 0, "pair": 1, "symbol": "BTCTRY",
        "amount": "0.0012000000", "price": "999500.0000000000", "clientId": "s",
    }  # fmt: skip
    (row,) = client.bench.fills(order)
    assert trade == row
    assert (trade["amount"], trade["preciseAmount"], trade["orderType"]) == ("-0.00120000", Decimal("-0.0012"), "sell")
    assert client.kinds() == [451, 201]


def test_a_market_order_has_method_1_and_one_match_for_each_level(client):
    first = client.bench.call("GET", "/api/v2/orderbook", pairSymbol="BTCTRY", key=None)[1]["data"]["bids"][0]
    client.bench.place("sell", str(Decimal(first[1]) + Decimal("0.001")))
    client.wait(10)
    matches = client.pop(441)
    assert (matches[0]["method"], matches[0]["price"]) == (1, "999500.0000000000")
    assert [Decimal(one["amount"]) for one in matches] == [Decimal(first[1]), Decimal("0.001")]
    assert len({one["id"] for one in client.pop(423)}) == 2


def test_a_partial_fill_leaves_the_rest_to_the_delete(client):
    order = client.bench.place("buy", "0.01", "1000400")
    client.bench.order("sell", "0.004")
    client.bench.cancel(order)
    client.wait(10)
    deleted = [body for body in client.pop(452) if body["id"] == order]
    assert [(body["amount"], body["numLeft"]) for body in deleted] == [("0.0100000000000000", "0.0060000000000000")]
    assert client.pop(453) == []


@pytest.mark.parametrize("told", [False, True])
def test_whether_a_filled_order_is_deleted_is_not_known(client, told):
    options(client.bench, delete_when_filled=told)
    order = client.bench.place("sell", "0.001", "990000")
    client.bench.place("buy", "1000")
    client.wait(10)
    kinds = [kind for kind, _, _ in client.inbox]
    assert [body["numLeft"] for body in client.pop(452) if body["id"] == order] == ["0.0000000000000000"] * told
    assert kinds == [451, 441, 423, *[452] * told, 201] * 2


def test_updates_come_only_if_asked_for(client):
    options(client.bench, user_events=USER_EVENTS)
    order = client.bench.place("buy", "0.01", "1000400")
    client.bench.order("sell", "0.004")
    client.wait(10)
    (update,) = client.pop(453)
    assert (update["id"], update["numLeft"]) == (order, "0.006")
    assert "newOrderClientId" not in update


def test_market_and_stop_orders_may_go_unannounced(client):
    options(client.bench, insert_market_orders=False, insert_stop_orders=False)
    client.bench.order("sell", "0.001")
    client.bench.order("sell", "0.001", "980000", orderMethod="stoplimit", stopPrice="985000")
    client.wait(10)
    assert client.pop(451) == []
    client.bench.order("sell", "0.001", "1100000")
    client.wait(10)
    assert len(client.pop(451)) == 1


def test_a_triggered_stop_is_deleted_and_comes_back_under_another_number(make_bench):
    bench = make_bench({"BTCTRY": [("1000000", "1000000", "970000", "975000", "8")] * 2})
    client = FeedClient(bench)
    client.log_in()
    stop = bench.order("sell", "0.001", "900000", orderMethod="stoplimit", stopPrice="990000", newOrderClientId="x")[1]
    client.wait(60_000)
    inserted, deleted = client.pop(451), client.pop(452)
    assert [body["method"] for body in inserted] == [2, 0]
    assert [body["id"] for body in deleted] == [stop["data"]["id"]]
    assert {body["newOrderClientId"] for body in (*inserted, *deleted)} == {"x"}
    assert [body["id"] for body in client.pop(441)] == [inserted[1]["id"]]


def test_the_newer_forms_of_matches_and_trades(client):
    options(client.bench, match_has_timestamp=True, user_trade_has_type=True)
    client.bench.place("sell", "0.001")
    client.wait(10)
    assert client.pop(441)[0]["timestamp"] == str(T0)
    assert client.pop(423)[0]["type"] == 423


def test_balances_are_told_once_for_what_happened_together(client):
    client.bench.place("sell", "0.001")
    client.wait(10)
    (said,) = client.pop(201)
    assert {row["asset"]: (row["free"], row["locked"]) for row in said["payload"]} == {
        asset: client.bench.balance(asset) for asset in ("BTC", "TRY")
    }
    client.bench.control("POST", "/deposit", {"key": "ALICE", "asset": "TRY", "amount": "5"})
    client.wait(10)
    assert [row["asset"] for row in client.pop(201)[0]["payload"]] == ["TRY"]


def test_a_bust_is_told_of_no_order_but_of_balances(client):
    order = client.bench.place("sell", "0.001")
    client.wait(10)
    client.inbox.clear()
    client.bench.control("POST", "/bust", {"id": client.bench.fills(order)[0]["id"]})
    client.wait(10)
    assert client.kinds() == [201]


def test_only_the_account_itself_is_told(make_bench):
    bench = make_bench(others={"BOB": {"TRY": "100000"}})
    alice, bob, nobody = FeedClient(bench), FeedClient(bench), FeedClient(bench)
    alice.log_in()
    bob.log_in("BOB")
    resting = bench.place("buy", "0.01", "1000400", key="BOB")
    taking = bench.place("sell", "0.01", "1000400")
    for client in (alice, bob, nobody):
        client.wait(10)
    assert [body["id"] for body in alice.pop(441)] == [taking]
    assert [(body["id"], body["isBid"]) for body in bob.pop(441)] == [(resting, True)]
    assert nobody.kinds() == [991]


def test_nothing_is_said_again_after_a_new_login(bench):
    bench.place("sell", "0.001")
    client = FeedClient(bench)
    client.log_in()
    client.wait(10)
    assert client.kinds() == [991]
    client.session.disconnect(bench.now_ms)
    bench.place("sell", "0.001")
    client = FeedClient(bench)
    client.log_in()
    client.wait(10)
    assert client.kinds() == [991]


@pytest.mark.parametrize("lag_ms", [0, 5, 400])
def test_user_events_come_at_once_or_a_little_later(client, lag_ms):
    options(client.bench, user_events_lag_ms=lag_ms)
    client.bench.place("sell", "0.001")
    assert client.session.next_due_ms() == T0 + lag_ms
    client.read()
    assert bool(client.inbox) == (lag_ms == 0)
    client.wait(500)
    assert {at for _, _, at in client.inbox} == {lag_ms}
