"""Keys, stamps and signatures."""

import base64

import pytest
from msgspec.structs import replace

from btcturk_sim.api import ApiOptions
from btcturk_sim.auth import NonceRule, signature

BALANCES = "/api/v1/users/balances"


@pytest.mark.parametrize(
    ("key", "secret", "stamp", "signed"),
    [
        (
            "test-public-key",
            "dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz",
            "1735689600000",
            "7gyFGcOS+qnq46h/rl83VtpaEAsh8Th3Z3lQrF7g2I0=",
        ),
        (
            "PCK1234567890",
            "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0",
            "1000000000000",
            "DbJpXuqufl8YO8bgeGx2pVzyf9GED4juDAMVeWwZT78=",
        ),
    ],
)
def test_published_signature_vectors(key, secret, stamp, signed):
    assert signature(base64.b64decode(secret), key, stamp) == signed


def refusal(bench, **headers):
    request = bench.request("GET", BALANCES)
    kept = {name: value for name, value in (request.headers | headers).items() if value is not None}
    response = bench.send(replace(request, headers=kept))
    return response.status, response.body.decode()


def says(text):
    return 401, f'{{"success":false,"message":"Unauthorized - {text}","code":1037}}'


def test_each_way_of_being_nobody_has_its_text(bench):
    assert refusal(bench, **{"x-signature": None}) == says("Headers are missing")
    assert refusal(bench, **{"x-pck": "MALLORY"}) == says("Invalid Public/Private key")
    assert refusal(bench, **{"x-signature": "AAAA"}) == says("Invalid Signature")


@pytest.mark.parametrize(("off_ms", "status"), [(-5001, 401), (-5000, 200), (5000, 200), (5001, 401)])
def test_stamps_may_be_off_by_5_seconds(bench, off_ms, status):
    stamp = str(bench.now_ms + off_ms)
    assert refusal(bench, **{"x-stamp": stamp, "x-signature": signature(b"bench secret", "ALICE", stamp)})[0] == status


def test_a_stamp_works_once(bench):
    request = bench.request("GET", BALANCES)
    assert bench.send(request).status == 200
    again = bench.send(request)
    assert (again.status, again.body.decode()) == says("Invalid Nonce")


@pytest.mark.parametrize(("rule", "status"), [(NonceRule.WINDOWED, 200), (NonceRule.STRICT, 401)])
def test_an_earlier_unused_stamp_depends_on_the_rule(make_bench, rule, status):
    bench = make_bench(api=ApiOptions(nonce=rule))
    earlier, later = bench.request("GET", BALANCES), bench.request("GET", BALANCES)
    assert bench.send(later).status == 200
    assert bench.send(earlier).status == status


def test_the_401_of_2019_said_success(make_bench, fixture_json):
    bench = make_bench(api=ApiOptions(error_401_of_2019=True))
    request = bench.request("GET", BALANCES)
    bench.send(request)
    status, payload = bench.send(request).status, bench.call("GET", BALANCES, key="MALLORY")[1]
    assert status == 401
    assert payload["success"] is True
    assert payload.keys() == fixture_json("error_invalid_nonce_401").keys()


def test_the_clock_can_be_skewed(bench):
    assert bench.control("POST", "/clock", {"skew_ms": 6000})[0] == 200
    assert bench.call("GET", "/api/v2/server/time")[1]["serverTime"] == bench.now_ms + 6000
    stamp = str(bench.now_ms)
    assert refusal(bench, **{"x-stamp": stamp, "x-signature": signature(b"bench secret", "ALICE", stamp)})[0] == 401
    assert bench.get(BALANCES)[0]["timestamp"] == bench.now_ms + 6000
