"""The network that fails does to a client and to the venue exactly what it says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from btcbot.testing.chaos_proxy import ChaosProxy, Cut, Trouble
from btcbot.testing.rig import Simulator

pytestmark = pytest.mark.slow

TIME = "/api/v2/server/time"


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("venue"), ["--limits", "off"]) as made:
        yield made


@pytest.fixture
def proxy(venue: Simulator) -> Iterator[ChaosProxy]:
    with ChaosProxy(venue.rest_url) as made:
        yield made


@pytest.fixture
def feed(venue: Simulator) -> Iterator[ChaosProxy]:
    with ChaosProxy(venue.ws_url) as made:
        yield made


@contextmanager
def call(feed: ChaosProxy) -> Iterator[ClientConnection]:
    """A WebSocket that was greeted."""
    with connect(feed.ws_url, proxy=None, compression=None, open_timeout=1.0, close_timeout=0.2) as made:
        assert "991" in str(made.recv(timeout=2.0))
        yield made


def ask(proxy: ChaosProxy, timeout: float = 0.4) -> httpx2.Response:
    with httpx2.Client(base_url=proxy.url, timeout=timeout, trust_env=False) as client:
        return client.get(TIME)


def seen(venue: Simulator) -> int:
    return int(venue.state(orders="0")["requests_seen"])


def test_without_trouble_everything_passes_and_is_remembered(proxy: ChaosProxy) -> None:
    assert ask(proxy).status_code == 200
    assert [(one.method, one.target, one.trouble) for one in proxy.passed()] == [("GET", TIME, None)]


@pytest.mark.parametrize(
    ("kind", "error", "reaches"),
    [
        (Trouble.RESET_AT_CONNECT, httpx2.NetworkError, 0),
        (Trouble.RESET_BEFORE, httpx2.ReadError, 0),
        (Trouble.LOST_BEFORE, httpx2.RemoteProtocolError, 0),
        (Trouble.BLACK_HOLE, httpx2.ReadTimeout, 0),
        (Trouble.RESET_AFTER, httpx2.ReadError, 1),
        (Trouble.LOST_AFTER, httpx2.RemoteProtocolError, 1),
        (Trouble.HALF_OPEN, httpx2.ReadTimeout, 1),
        (Trouble.TRUNCATED, httpx2.RemoteProtocolError, 1),
    ],
)
def test_what_a_client_meets_and_what_reaches_the_venue(
    venue: Simulator, proxy: ChaosProxy, kind: Trouble, error: type[Exception], reaches: int
) -> None:
    before = seen(venue)
    proxy.cause(kind, count=1)
    with pytest.raises(error):
        ask(proxy)
    assert seen(venue) - before == reaches
    assert proxy.struck == {kind.value: 1}
    assert ask(proxy).status_code == 200, "once was once"


def test_a_duplicate_reaches_the_venue_twice_and_is_answered_once(venue: Simulator, proxy: ChaosProxy) -> None:
    before = seen(venue)
    proxy.cause(Trouble.DUPLICATE, count=1)
    assert ask(proxy).status_code == 200
    assert seen(venue) - before == 2


def test_a_late_request_arrives_although_nobody_waits_any_more(venue: Simulator, proxy: ChaosProxy) -> None:
    before = seen(venue)
    proxy.cause(Trouble.DELAY, seconds=0.6, count=1)
    with pytest.raises(httpx2.ReadTimeout):
        ask(proxy, timeout=0.2)
    assert seen(venue) == before
    time.sleep(0.8)
    assert seen(venue) - before == 1


def test_a_dripping_answer_comes_whole_and_takes_its_time(proxy: ChaosProxy) -> None:
    proxy.cause(Trouble.DRIP, seconds=0.02, bytes_=20)
    began = time.monotonic()
    assert ask(proxy, timeout=2.0).json()["serverTime"]
    assert time.monotonic() - began > 0.1


def test_only_what_fits_is_troubled(proxy: ChaosProxy) -> None:
    proxy.cause(Trouble.LOST_BEFORE, method="POST")
    proxy.cause(Trouble.LOST_BEFORE, path="/api/v1")
    assert ask(proxy).status_code == 200
    assert proxy.struck == {}


@pytest.mark.parametrize(("cut", "error"), [(Cut.REFUSED, httpx2.ConnectError), (Cut.SILENT, httpx2.ConnectTimeout)])
def test_a_network_that_is_gone_and_comes_back_at_the_same_address(
    proxy: ChaosProxy, cut: Cut, error: type[Exception]
) -> None:
    address = proxy.url
    with httpx2.Client(base_url=address, timeout=0.4, trust_env=False) as kept:
        assert kept.get(TIME).status_code == 200
        proxy.cut(cut)
        with pytest.raises(httpx2.HTTPError):
            kept.get(TIME)
        with pytest.raises(error):
            ask(proxy)
        proxy.heal()
        assert proxy.url == address
        assert ask(proxy).status_code == 200


def test_a_websocket_passes_both_ways(feed: ChaosProxy) -> None:
    with call(feed) as socket:
        socket.send('[151,{"type":151,"channel":"obdiff","event":"BTCTRY","join":true}]')
        assert "join|obdiff:BTCTRY" in str(socket.recv(timeout=2.0))
        assert "431" in str(socket.recv(timeout=2.0))
        assert socket.ping().wait(2.0)
        assert feed.tunnels == 1
    assert [(one.method, one.target) for one in feed.passed()] == [("GET", "/")]
    assert feed.struck == {}


def test_a_hushed_websocket_stands_without_a_sound_and_a_new_one_is_well(feed: ChaosProxy) -> None:
    with call(feed) as socket:
        assert feed.hush() == 1
        assert not socket.ping().wait(0.5)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.3)
        assert feed.tunnels == 0
        with call(feed) as other:
            assert other.ping().wait(2.0)
        feed.heal()
        assert not socket.ping().wait(0.3), "what went half-open stays so"
    assert feed.struck == {"hushed": 1}


def test_a_dropped_websocket_is_reset(feed: ChaosProxy) -> None:
    with call(feed) as socket:
        assert feed.drop() == 1
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=2.0)
    assert feed.struck == {"dropped": 1}


@pytest.mark.parametrize(
    ("cut", "error"), [(Cut.REFUSED, ConnectionRefusedError), (Cut.SILENT, TimeoutError)]
)  # fmt: skip
def test_a_websocket_meets_a_network_that_is_gone(feed: ChaosProxy, cut: Cut, error: type[Exception]) -> None:
    with call(feed) as socket:
        feed.cut(cut)
        if cut is Cut.REFUSED:
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=2.0)
        else:
            assert not socket.ping().wait(0.5), "nobody says that it is gone"
        with pytest.raises(error), call(feed):
            pass
        feed.heal()
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=2.0)
    with call(feed) as again:
        assert again.ping().wait(2.0)


def test_the_wish_for_a_websocket_may_meet_trouble_like_any_request(feed: ChaosProxy) -> None:
    feed.cause(Trouble.HALF_OPEN, count=1)
    with pytest.raises(TimeoutError), call(feed):
        pass
    with call(feed) as socket:
        assert socket.ping().wait(2.0)
    assert feed.struck == {"half_open": 1}
