"""What a key may do, from where, and what it is told otherwise."""

import pytest
from msgspec.structs import replace

from btcturk_sim.permissions import Permission

REQUESTS = {
    "funds": [("GET", "/api/v1/users/balances", {})],
    "trade": [
        ("POST", "/api/v1/order", {}),
        ("DELETE", "/api/v1/order", {"id": 7}),
        ("GET", "/api/v1/order/7", {}),
        ("GET", "/api/v1/openOrders", {}),
        ("GET", "/api/v1/allOrders", {"pairSymbol": "BTCTRY"}),
    ],
    "account": [
        ("GET", "/api/v1/users/transactions/trade", {}),
        ("GET", "/api/v1/users/transactions/crypto", {}),
        ("GET", "/api/v1/users/transactions/fiat", {}),
    ],
}
ORDER = {"pairSymbol": "BTCTRY", "orderType": "buy", "orderMethod": "limit", "quantity": "0.001", "price": "990000"}
DENIED = (401, {"success": False, "message": "Unauthorized - Invalid Request", "code": 1037})


def answers(bench, permission):
    return [bench.call(method, path, ORDER if method == "POST" else None, **query)
            for method, path, query in REQUESTS[permission]]  # fmt: skip


@pytest.mark.parametrize("permission", REQUESTS)
def test_each_permission_opens_its_requests_and_no_others(bench, permission):
    assert bench.control("POST", "/keys", {"key": "ALICE", "permissions": [permission]})[0] == 200
    for name in REQUESTS:
        for status, payload in answers(bench, name):
            if name == permission:
                assert status in (200, 400)
            else:
                assert (status, payload) == DENIED


def test_what_is_not_permitted_does_nothing(bench):
    bench.control("POST", "/keys", {"key": "ALICE", "permissions": ["funds", "account", "websocket"]})
    assert bench.call("POST", "/api/v1/order", ORDER) == DENIED
    bench.control("POST", "/keys", {"key": "ALICE", "permissions": list(Permission)})
    assert bench.get("/api/v1/openOrders") == {"asks": [], "bids": []}
    assert bench.call("POST", "/api/v1/order", ORDER)[0] == 200


def test_public_requests_need_no_permission(bench):
    bench.control("POST", "/keys", {"key": "ALICE", "permissions": []})
    assert bench.call("GET", "/api/v2/ticker")[0] == 200


def test_a_key_is_bound_to_addresses(bench):
    bench.control("POST", "/keys", {"key": "ALICE", "addresses": ["127.0.0.2"]})
    assert bench.call("GET", "/api/v1/users/balances") == DENIED
    elsewhere = replace(bench.request("GET", "/api/v1/users/balances"), client_ip="127.0.0.2")
    assert bench.send(elsewhere).status == 200
    bench.control("POST", "/keys", {"key": "ALICE", "addresses": None})
    assert bench.call("GET", "/api/v1/users/balances")[0] == 200


def test_a_revoked_key_is_nobodys(bench):
    bench.control("POST", "/keys", {"key": "ALICE", "revoked": True})
    status, payload = bench.call("GET", "/api/v1/users/balances")
    assert (status, payload["message"]) == (401, "Unauthorized - Invalid Public/Private key")
    bench.control("POST", "/keys", {"key": "ALICE", "revoked": False})
    assert bench.call("GET", "/api/v1/users/balances")[0] == 200


def test_no_key_opens_what_people_do_on_the_web(bench):
    assert bench.call("PUT", "/api/v2/order", {"id": 7, "price": "1"}) == DENIED
    assert bench.call("GET", "/api/v3/account/trade-fee-rates") == DENIED


def test_too_much_that_is_not_permitted_blocks_the_address(bench):
    bench.control("POST", "/keys", {"key": "ALICE", "permissions": ["trade"]})
    assert [bench.call("GET", "/api/v1/users/balances")[0] for _ in range(51)] == [401] * 51
    assert bench.send(bench.request("GET", "/api/v2/ticker")).status == 403


def test_keys_are_shown_and_mistakes_told(bench):
    bench.control("POST", "/keys", {"key": "ALICE", "permissions": ["trade", "funds"], "addresses": ["127.0.0.1"]})
    shown = {"permissions": ["funds", "trade"], "addresses": ["127.0.0.1"], "revoked": False}
    assert bench.control("GET", "/keys") == (200, {"ALICE": shown})
    status, payload = bench.control("POST", "/keys", {"key": "ALICE", "permissions": ["withdraw"]})
    assert (status, payload["error"]) == (
        400, "'withdraw' is no permission of a key; there are funds, trade, account, websocket")  # fmt: skip
    assert bench.control("POST", "/keys", {"key": "BOB"}) == (400, {"error": "no account 'BOB'; there are ALICE"})
    assert bench.control("GET", "/keys")[1] == {"ALICE": shown}
