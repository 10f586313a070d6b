"""More than 50 unauthorised requests in a row block an address."""

import pytest
from msgspec.structs import replace

from btcturk_sim.api import ApiOptions

BALANCES = "/api/v1/users/balances"
PING = "/api/v2/server/ping"


def nobody(bench, count, key="ALICE"):
    """So many requests with a wrong signature; the statuses they got."""
    requests = [bench.request("GET", BALANCES, key=key) for _ in range(count)]
    wrong = [replace(one, headers=one.headers | {"x-signature": "AAAA"}) for one in requests]
    return [bench.send(one).status for one in wrong]


def ask(bench, path=BALANCES, **more):
    return bench.send(bench.request("GET", path, **more)).status


def test_after_51_refusals_in_a_row_everything_is_denied_for_ten_minutes(bench):
    assert nobody(bench, 51) == [401] * 51
    assert (ask(bench), ask(bench, PING, key=None)) == (403, 403)
    response = bench.send(bench.request("POST", "/api/v1/order", {}))
    assert response.headers == (("Content-Type", "text/html; charset=UTF-8"),)
    assert b"Access denied" in response.body
    bench.wait(599_999)
    assert ask(bench) == 403
    bench.wait(1)
    assert ask(bench) == 200


def test_a_good_request_ends_the_row_and_a_public_one_does_not(bench):
    nobody(bench, 50)
    assert ask(bench) == 200
    assert nobody(bench, 50) == [401] * 50
    assert ask(bench, PING, key=None) == 200
    nobody(bench, 1)
    assert ask(bench) == 403


def test_other_addresses_are_not_concerned(bench):
    nobody(bench, 51)
    elsewhere = replace(bench.request("GET", BALANCES), client_ip="127.0.0.2")
    assert (ask(bench), bench.send(elsewhere).status) == (403, 200)


@pytest.mark.parametrize(("limits", "status"), [("off", 200), ("real-ip", 403)])
def test_several_accounts_of_one_address_are_told_apart_unless_asked_not_to(make_bench, limits, status):
    bench = make_bench(others={"BOB": {"TRY": "1"}}, limits=limits)
    nobody(bench, 51)
    assert (ask(bench), ask(bench, key="BOB")) == (403, status)


def test_refusals_that_are_staged_do_not_count(bench):
    bench.control("POST", "/faults", {"kind": "unauthorized", "count": 60})
    assert [ask(bench) for _ in range(60)] == [401] * 60
    assert ask(bench) == 200


def test_the_rule_can_be_changed_and_switched_off(make_bench):
    bench = make_bench(api=ApiOptions(unauthorized_max=3, unauthorized_block_ms=1_000))
    nobody(bench, 4)
    assert ask(bench) == 403
    bench.wait(1_000)
    assert ask(bench) == 200
    assert bench.control("POST", "/block", {"after": 0}) == (200, {"after": 0, "block_ms": 1_000, "blocked": {}})
    nobody(bench, 100)
    assert ask(bench) == 200


def test_a_block_can_be_ordered_seen_and_lifted(bench):
    until_ms = bench.now_ms + 5_000
    answer = bench.control("POST", "/block", {"who": "127.0.0.1", "block_ms": 5_000})
    assert answer == (200, {"after": 50, "block_ms": 600_000, "blocked": {"127.0.0.1": until_ms}})
    assert ask(bench) == 403
    assert bench.control("GET", "/state")[1]["blocked"] == {"127.0.0.1": until_ms}
    bench.control("DELETE", "/block")
    assert ask(bench) == 200
    assert bench.control("POST", "/block", {"after": -1})[0] == 400
