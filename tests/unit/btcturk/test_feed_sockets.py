"""The live feed over real sockets: it comes back, it notices silence and floods, it wakes, stops and ends at once."""

from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from tests.feed_watcher import FeedWatcher
from tests.unit.btcturk.feed_support import diff, fill, frame, match
from tests.unit.btcturk.support import KEY, SECRET, signer
from tests.unit.btcturk.ws_venue import Line, Script, WsVenue, packed

from btcbot.adapters.btcturk import feed as feed_module
from btcbot.adapters.btcturk.feed_actions import FeedTiming
from btcbot.adapters.btcturk.feed_socket import pinned
from btcbot.adapters.clock import SystemClock
from btcbot.adapters.stop import StopFlag
from btcbot.domain.feed import FeedView, Wake
from btcbot.errors import ConfigurationError
from btcbot.metric_catalogue import CATALOGUE
from btcbot.ports import StopSignal

QUICK = FeedTiming(
    connect_s=2.0,
    ping_interval_s=0.05,
    pong_s=1.0,
    goodbye_s=0.3,
    silence_ms_max=1_500,
    first_frame_ms_max=500,
    leave_ms_max=200,
    login_ms_max=500,
    renew_ms_min=100,
    login_again_ms_min=300,
)


class Desk(FeedWatcher):
    """A client on a venue, and what it logged and measured."""

    def __init__(self, url: str, log: Any = None, **options: Any) -> None:
        super().__init__(url, ("BTCTRY",), log=log, **{"timing": QUICK, **options})
        self.stop = StopFlag()

    def until_whole(self) -> FeedView:
        return self.until(lambda view: "BTCTRY" in view.books)

    def logged(self) -> list[str]:
        return [call.args[0] for call in self.log.calls]


@contextmanager
def desk(url: str, **options: Any) -> Iterator[Desk]:
    made = Desk(url, **options)
    made.feed.start()
    try:
        yield made
    finally:
        made.feed.close()


@contextmanager
def on(script: Script, **options: Any) -> Iterator[tuple[Desk, WsVenue]]:
    with WsVenue(script) as venue, desk(venue.url, **options) as made:
        yield made, venue


def serve(line: Line) -> None:
    line.serve()


# -- working -----------------------------------------------------------------------------------------------------------


def test_a_book_and_our_own_events_arrive() -> None:
    with on(serve, signer=signer()) as (made, venue):
        view = made.until(lambda view: view.books and view.is_logged_in)
        assert str(view.books["BTCTRY"].top.bid) == "100"
        assert (view.connection, view.why_down, view.without_book) == (1, "", {})

        venue.lines[0].send(diff("BTCTRY", 11, bids=[(1, "100.5", "2")]), match(), fill())
        made.until(lambda view: len(made.events) == 2)
        assert made.view().books["BTCTRY"].top.bid == Decimal("100.5")
        assert made.lost >= 1
        depth = made.feed.depth("BTCTRY", 2)
        assert depth is not None
        assert [str(level.price) for level in depth.bids] == ["100.5", "100"]
        assert len(made.feed.trades("BTCTRY")) == 1

        head = venue.requests[0]
        assert "permessage-deflate" not in head
        assert f"Host: 127.0.0.1:{venue.port}" in head
        assert "User-Agent: btcbot/" in head


def test_an_alive_line_without_changes_stays_trusted() -> None:
    with on(serve) as (made, _):
        first = made.until_whole()
        time.sleep(2.5)  # longer than the silence that would end it, were it not for the pongs
        later = made.view()
        assert later.connection == 1
        assert later.books["BTCTRY"].changed_at_ms == first.books["BTCTRY"].changed_at_ms
        assert later.alive_at_ms is not None
        assert SystemClock().monotonic_ns() // 1_000_000 - later.alive_at_ms < 500


# -- waking ------------------------------------------------------------------------------------------------------------


def waited(made: Desk, seconds: float, stop: StopSignal | None = None, **options: bool) -> tuple[Wake, float]:
    started = time.monotonic()
    wake = made.feed.wait(seconds, stop or made.stop, **options)
    return wake, time.monotonic() - started


def settled(made: Desk) -> None:
    """Connected, with its book, and nothing new since the last look."""
    made.until_whole()
    made.until(lambda view: made.feed.wait(0.05, made.stop) is Wake.TIME)


def test_waiting_ends_with_the_time() -> None:
    with on(serve) as (made, _):
        settled(made)
        used_s = time.thread_time()
        wake, took_s = waited(made, 0.5)
        assert wake is Wake.TIME
        assert 0.49 < took_s < 0.7
        assert time.thread_time() - used_s < 0.05, "waiting costs nothing"


def test_a_new_best_price_wakes_and_a_deep_level_does_not() -> None:
    with on(serve) as (made, venue):
        settled(made)
        send = venue.lines[0].send
        threading.Timer(0.1, send, [diff("BTCTRY", 11, bids=[(1, "50", "2")])]).start()
        assert waited(made, 0.4)[0] is Wake.TIME
        threading.Timer(0.1, send, [diff("BTCTRY", 12, bids=[(1, "100.5", "2")])]).start()
        wake, took_s = waited(made, 5)
        assert wake is Wake.MARKET
        assert took_s < 0.3
        assert waited(made, 5)[0] is Wake.MARKET, "until it was looked at"
        assert waited(made, 0.1, for_market=False)[0] is Wake.TIME
        made.view()
        assert waited(made, 0.1)[0] is Wake.TIME
        threading.Timer(0.1, send, [match()]).start()
        assert waited(made, 5, for_market=False)[0] is Wake.ACCOUNT


def test_a_feed_that_comes_back_wakes() -> None:
    with on(serve) as (made, venue):
        settled(made)
        threading.Timer(0.05, venue.lines[0].close).start()
        wake, took_s = waited(made, 5)
        assert wake is Wake.ACCOUNT
        assert 0.3 < took_s < 2, "the shortest wait before a new attempt is 0.4 s"
        assert made.view().connection == 2


@pytest.mark.parametrize("kind", [StopFlag, threading.Event])
def test_the_word_to_stop_ends_a_wait_at_once(kind: type) -> None:
    with on(serve) as (made, _):
        settled(made)
        stop = kind()
        threading.Timer(0.2, stop.set).start()
        wake, took_s = waited(made, 10, stop)
        assert wake is Wake.STOP
        assert took_s < 0.3
        assert waited(made, 10, stop)[0] is Wake.STOP


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_it_comes_back_after_the_venue_hangs_up() -> None:
    with on(lambda line: line.serve(seconds=0 if line.number == 1 else 60)) as (made, venue):
        made.until(lambda view: view.connection == 2 and view.books)
        made.view()
        lost_before = made.lost
        venue.lines[1].close(1001, "going\naway")
        view = made.until(lambda view: view.connection == 3 and view.books)
        assert view.why_down == ""
        assert made.lost > lost_before
        told = [call.kwargs["reason"] for call in made.log.calls if call.args[0] == "feed_disconnected"]
        assert told[-1] == "BtcTurk closed the connection (1001, going away)"
        assert made.logged().count("feed_connected") == 3


def test_a_half_open_line_is_given_up() -> None:
    """It takes what we send, and never says another word: not even a pong."""

    def half_open(line: Line) -> None:
        if line.number > 1:
            line.serve()
        line.serve(seconds=0.4)
        time.sleep(3)

    with on(half_open) as (made, _):
        made.until_whole()
        view = made.until(lambda view: view.why_down)
        assert view.books == {}
        assert view.why_down == "no answer to a ping within 1 s"
        made.until(lambda view: view.connection == 2 and view.books)


def test_a_flood_is_thrown_away_and_nothing_old_is_shown() -> None:
    changes = b"".join(packed(diff("BTCTRY", 11 + n, bids=[(0, "100", str(n + 2))])) for n in range(60_000))

    def flood(line: Line) -> None:
        if line.number == 1:
            line.serve(seconds=0.2)
            line.tcp.sendall(changes)
            time.sleep(1)
        line.serve()

    with on(flood, timing=msgspec.structs.replace(QUICK, pong_s=5.0, silence_ms_max=12_000)) as (made, _):
        made.until_whole()
        last = Decimal(0)
        why: set[str] = set()

        def seen(view: FeedView) -> bool:
            nonlocal last
            why.add(view.why_down)
            for book in view.books.values():
                if view.connection == 1:
                    assert book.top.bid_quantity >= last, "never back in time"
                    last = book.top.bid_quantity
            return view.connection == 2 and bool(view.books)

        view = made.until(seen, seconds=30)
        assert view.books["BTCTRY"].top.bid_quantity == 1
        assert any(text.startswith("more frames came than were read") for text in why), why
        dropped = made.metrics.value("btcbot_feed_frames_ignored_total", reason="dropped")
        assert dropped is not None
        assert dropped > 4_000
        waiting = made.metrics.gauges[("btcbot_feed_waiting_frames",)]
        assert waiting <= 4_200


def test_a_frame_that_is_too_large_ends_the_connection() -> None:
    def large(line: Line) -> None:
        if line.number == 1:
            line.serve(seconds=0.2)
            line.send(b" " * (2 * 1024 * 1024))
        line.serve()

    with on(large) as (made, _):
        made.until(lambda view: view.connection == 2 and view.books)


def test_noise_is_survived() -> None:
    def noisy(line: Line) -> None:
        if line.number == 1:
            line.serve(seconds=0.2)
            line.send(b"<html>", b"[432,", b"[" * 50_000, b'[441,{"id":"x"}]', b"\xff\xfe"[:0] + b"null")
        line.serve()

    with on(noisy) as (made, _):
        made.until(lambda view: made.metrics.counters.get(("btcbot_feed_frames_ignored_total", "unreadable"), 0) == 5)
        made.until_whole()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "BtcTurk answered HTTP 429 instead of"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "BtcTurk answered HTTP 403 instead of"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", "BtcTurk answered HTTP 502 instead of"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: ws://example.invalid/\r\nContent-Length: 0\r\n\r\n",
            "no WebSocket is spoken",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "BtcTurk answered HTTP 200 instead of"),
        (b"SSH-2.0-OpenSSH\r\n", "no WebSocket is spoken"),
        (b"", "no WebSocket is spoken"),
    ],
    ids=["429", "403", "502", "redirect", "200", "ssh", "nothing"],
)
def test_no_upgrade(reply: bytes, why: str) -> None:
    def refuse(line: Line) -> None:
        line.tcp.recv(4_096)
        line.tcp.sendall(reply)

    with WsVenue(serve, before=refuse) as venue, desk(venue.url) as made:
        view = made.until(lambda view: view.why_down != "not connected yet")
        assert view.why_down.startswith(why)
        assert view.without_book["BTCTRY"] == f"the feed is down: {view.why_down}"
        time.sleep(1.0)
        is_blocked = b"429" in reply or b"403" in reply
        assert len(venue.lines) == (1 if is_blocked else 2), "0.4 s, then 0.8 s, or a whole minute"
        assert made.logged() == ["feed_unreachable"], "one line for a state, not for an attempt"


def test_nobody_there() -> None:
    with WsVenue(serve) as venue:
        url = venue.url
    with desk(url) as made:
        view = made.until(lambda view: view.why_down != "not connected yet")
        assert view.why_down == "Connection refused"


def test_a_failure_of_the_thread_is_told_and_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "AGAIN_S_MIN", 0.9)

    class Log(structlog.testing.CapturingLogger):
        """Fails at its first line: a defect of ours, anywhere in the thread."""

        has_failed = False

        def info(self, event: str, **fields: object) -> None:
            if not self.has_failed:
                self.has_failed = True
                raise ZeroDivisionError("a defect")
            self.calls.append(structlog.testing.CapturedCall("info", (event,), fields))

    with on(serve, log=Log()) as (made, _):
        view = made.until(lambda view: "thread" in view.why_down)
        assert view.why_down == "the feed's thread failed (ZeroDivisionError); it starts again after 0.9 s"
        assert view.books == {}
        made.until_whole()
        assert "feed_thread_failed" in made.logged()
        assert made.metrics.value("btcbot_feed_crashes_total") == 1


# -- ending ------------------------------------------------------------------------------------------------------------


def closes_quickly(made: Desk) -> None:
    started = time.monotonic()
    made.feed.close()
    made.feed.close()
    assert time.monotonic() - started < 1.0
    assert not [thread for thread in threading.enumerate() if thread.name == "btcbot-feed"]
    assert made.view().books == {}
    assert made.feed.wait(0.05, made.stop) in (Wake.TIME, Wake.ACCOUNT)


def test_closing_says_goodbye() -> None:
    with on(serve) as (made, _):
        made.until_whole()
        closes_quickly(made)
        assert made.view().why_down == "it was closed"
        assert made.logged() == ["feed_connected"], "an end that was wanted is no trouble"


def test_closing_while_it_connects() -> None:
    with WsVenue(serve, before=lambda line: time.sleep(1.5)) as venue, desk(venue.url) as made:
        while not venue.lines:
            time.sleep(0.01)
        closes_quickly(made)


def test_closing_while_it_waits_for_its_turn() -> None:
    with WsVenue(serve, before=lambda line: None) as venue, desk(venue.url) as made:
        made.until(lambda view: view.why_down != "not connected yet")
        closes_quickly(made)


def test_a_venue_that_does_not_say_goodbye_is_not_waited_for() -> None:
    with on(lambda line: (line.serve(seconds=0.2), time.sleep(2))) as (made, _):
        made.until_whole()
        closes_quickly(made)


def test_a_feed_that_was_never_started() -> None:
    made = Desk("ws://127.0.0.1:1/")
    assert made.view().why_down == "not connected yet"
    made.feed.resync("BTCTRY")
    assert made.feed.wait(0.01, made.stop) is Wake.TIME
    made.feed.close()
    made.feed.start()
    assert not [thread for thread in threading.enumerate() if thread.name == "btcbot-feed"]


# -- addresses, TLS, secrets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "wss://ws-feed-pro.btcturk.com",
        "wss://WS-feed-pro.btcturk.com:443/",
        "ws://127.0.0.1:5/ws",
        "ws://[::1]:5",
        "wss://localhost",
    ],
)
def test_addresses_that_are_allowed(url: str) -> None:
    assert pinned(url).url.startswith(url[:2])


@pytest.mark.parametrize(
    "url",
    [
        *("ws://ws-feed-pro.btcturk.com", "wss://ws-feed-pro.btcturk.com.evil", "wss://evil/ws-feed-pro.btcturk.com"),
        *("wss://ws-feed-pro.btcturk.com:444", "wss://ws-feed-pro.btcturk.com/x", "https://ws-feed-pro.btcturk.com"),
        *(
            "ws://user@127.0.0.1",
            "ws://127.0.0.1/?a=b",
            "ws://0.0.0.0:5",
            "ws://127.0.0.1:x",
            "127.0.0.1:5",
            "",
            "ws://[",
        ),
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="BTCTURK_WS_URL"):
        Desk(url)


def test_a_certificate_that_nobody_vouches_for_is_refused(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, trusting = tls
    with WsVenue(serve, tls=server) as venue:
        with desk(venue.url) as made:
            view = made.until(lambda view: view.why_down != "not connected yet")
            assert view.why_down.startswith("its certificate is not trusted: self")
        with desk(venue.url, ssl_context=trusting) as made:
            made.until_whole()


def test_no_log_shows_the_login(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with on(lambda line: line.serve(accepts_login=False), signer=signer()) as (made, _):
        made.until(lambda view: view.why_not_logged_in == "Invalid Signature")
        shown = caplog.text + repr(made.log.calls) + repr(made.view())
    assert "feed_login_failed" in shown
    for secret in (SECRET, KEY, signer().signature(3_000)):
        assert secret not in shown


# -- metrics -----------------------------------------------------------------------------------------------------------

#: Recorded by the core, about the feed.
OF_THE_CORE = {"btcbot_feed_account_events_total"}


def test_every_metric_of_the_feed_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "AGAIN_S_MIN", 0.1)

    def script(line: Line) -> None:
        line.serve(seconds=0.1)
        line.send(diff("BTCTRY", 11, bids=[(3, "1", "1")]), diff("BTCTRY", 13), frame(999, {}))
        line.send(*[match(number) for number in range(1, 1_010)])
        line.serve()

    with on(script, signer=signer()) as (made, _):
        time.sleep(0.6)  # unseen: more events than are kept
        made.until_whole()
        monkeypatch.setattr(made.feed._state, "work", None)  # a defect, to be counted
        made.until(lambda view: made.metrics.value("btcbot_feed_crashes_total"))
    recorded = {
        series[0] for kept in (made.metrics.counters, made.metrics.gauges, made.metrics.observations) for series in kept
    }
    assert recorded == {name for name in CATALOGUE if name.startswith("btcbot_feed_")} - OF_THE_CORE
    assert made.metrics.value("btcbot_feed_resyncs_total", reason="gap") == 1
    assert made.metrics.value("btcbot_feed_logins_total", result="ok") is not None
    assert made.metrics.value("btcbot_feed_frames_total", type="441") == 1_009
    assert made.metrics.value("btcbot_feed_events_dropped_total") == 9


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own for 127.0.0.1, and a client's that trusts it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [openssl, "req", "-x509", *kind, *name, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))
