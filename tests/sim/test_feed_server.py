"""The feed of the real program on a real socket, listened to by a client that somebody else wrote."""

import json
import select
import signal
import socket
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from decimal import Decimal
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from tests.sim.feed_client import NaiveBook
from tests.sim.program import KEY, program, sign
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

BEFORE, AFTER = ("--assume", "user-events-lag-ms=0"), ("--assume", "user-events-lag-ms=400")


@pytest.fixture(scope="module")
def served():
    with program("--speed", "60", "--symbols", "BTCTRY,XRPTRY") as one:
        yield one


@pytest.fixture
def fresh(served):
    served.control("DELETE", "/faults")
    return served


def ask(socket, kind, **body):
    socket.send(json.dumps([kind, {"type": kind, **body}]))


def join(socket, channel, event="BTCTRY"):
    ask(socket, 151, channel=channel, event=event, join=True)


def log_in(socket):
    ask(socket, 114, publicKey=KEY, timestamp=time.time_ns() // 1_000_000, nonce=3000, signature=sign("3000"))


def next_of(socket, *kinds, timeout=5):
    """The body of the next frame of these types; all others are passed over."""
    deadline = time.monotonic() + timeout
    while True:
        kind, body = json.loads(socket.recv(timeout=max(0.0, deadline - time.monotonic())))
        if kind in kinds:
            return body


def test_the_address_is_printed_and_the_greeting_comes_first(fresh):
    assert urlsplit(fresh.addresses["ws"]).hostname == "127.0.0.1"
    with fresh.listen() as socket:
        assert json.loads(socket.recv(timeout=5)) == [991, {"type": 991, "current": "6.0.0", "min": "2.3.0"}]


def test_compression_is_not_agreed_to(fresh):
    with fresh.listen(compression="deflate") as socket:
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
        join(socket, "obdiff")
        assert next_of(socket, 431)["PS"] == "BTCTRY"


def test_a_book_grows_from_its_snapshot(fresh):
    with fresh.listen() as socket:
        join(socket, "obdiff")
        assert next_of(socket, 100) == {"type": 100, "ok": True, "message": "join|obdiff:BTCTRY"}
        book = NaiveBook(next_of(socket, 431))
        started = time.monotonic()
        for _ in range(4):
            book.apply(next_of(socket, 432))
        assert 4 * 0.76 - 0.9 < time.monotonic() - started < 4 * 0.76 + 2
        assert len(book.rows("AO")) == 100


def test_everything_public_comes_through(fresh):
    with fresh.listen() as socket:
        for channel, event, kinds in (
            ("orderbook", "BTCTRY", [431, 431]),
            ("trade", "BTCTRY", [421, 422]),
            ("ticker", "XRPTRY", [402, 402]),
            ("ticker", "all", [401, 401]),
            ("tradeview", "BTCTRY_1", [428, 428]),
        ):
            join(socket, channel, event)
            assert [next_of(socket, kind)["event"] for kind in kinds] == [event] * 2


def test_all_pairs_can_be_joined_on_one_connection():
    """The real one was seen to send 379 books within 1.3 seconds; this machine may be busy."""
    with program("--pairs", "379") as one, one.listen(max_queue=None) as socket:
        rest = urllib.request.urlopen(one.addresses["rest"] + "/api/v2/server/exchangeinfo", timeout=10)
        with rest as answer:
            symbols = [row["name"] for row in json.load(answer)["data"]["symbols"]]
        for symbol in symbols:
            join(socket, "obdiff", symbol)
        seen = [next_of(socket, 431, timeout=10)["PS"] for _ in symbols]
        assert (len(seen), set(seen)) == (379, set(symbols))


def test_joins_of_nothing_and_frames_without_sense_are_borne(fresh):
    with fresh.listen() as socket:
        next_of(socket, 991)
        join(socket, "obdiff", "btctry")
        assert next_of(socket, 100)["ok"] is True
        for text in ("garbage", "{}", "[151]", "[" * 1000, b"\x00\xff"):
            socket.send(text)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.5)
        join(socket, "obdiff", "btctry")
        assert next_of(socket, 100)["ok"] is False


def test_an_account_is_told_of_its_order(fresh):
    with fresh.listen() as socket:
        log_in(socket)
        assert next_of(socket, 114)["ok"] is True
        placed, _ = fresh.order("buy", "0.001", "1000000")
        inserted = next_of(socket, 451)
        assert (inserted["id"], inserted["newOrderClientId"]) == (placed["id"], placed["newOrderClientId"])
        sold, _ = fresh.order("sell", "0.001", "2000000")
        match, trade = next_of(socket, 441), next_of(socket, 423)
        assert match["id"] == trade["orderId"] == sold["id"]
        fresh.control("POST", "/cancel-order", {"id": placed["id"]})
        assert next_of(socket, 452)["id"] == placed["id"]


def test_a_wrong_login_is_told_so(fresh):
    with fresh.listen() as socket:
        ask(socket, 114, publicKey=KEY, timestamp=0, nonce=3000, signature="AAAA")
        assert next_of(socket, 114) == {"type": 114, "id": 0, "ok": False, "message": "Invalid Signature"}


class RawListener:
    """A connection without a thread: what has arrived lies in the socket until somebody looks."""

    def __init__(self, url):
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=5)
        self._protocol = ClientProtocol(parse_uri(url))
        self._frames = []
        self._protocol.send_request(self._protocol.connect())
        self._send()
        while self._protocol.state is not State.OPEN:
            self._read()

    def _send(self):
        self._socket.sendall(b"".join(self._protocol.data_to_send()))

    def send(self, text):
        self._protocol.send_text(text.encode())
        self._send()

    def has_something(self):
        return bool(self._frames) or bool(select.select([self._socket], [], [], 0)[0])

    def recv(self, timeout):
        self._socket.settimeout(timeout)
        while not self._frames:
            self._read()
        return self._frames.pop(0).data

    def _read(self):
        self._protocol.receive_data(self._socket.recv(65_536))
        self._frames += [event for event in self._protocol.events_received() if isinstance(event, Frame)]

    def close(self):
        self._socket.close()


@pytest.mark.parametrize(("flags", "there"), [(BEFORE, True), (AFTER, False)])
def test_user_events_come_before_or_after_the_rest_answer(flags, there):
    """Whoever has the answer finds the event in the socket already, or does not."""
    with program("--symbols", "BTCTRY", *flags) as one, closing(RawListener(one.addresses["ws"])) as listener:
        log_in(listener)
        next_of(listener, 114)
        for _ in range(5):
            placed, _ = one.order("buy", "0.001", "1000000")
            assert listener.has_something() == there
            assert next_of(listener, 451)["id"] == placed["id"]
            next_of(listener, 201)


def test_fifteen_connections_a_minute():
    with program(limits="real") as one, ExitStack() as sockets:
        for _ in range(15):
            sockets.enter_context(one.listen())
        with pytest.raises(InvalidStatus) as refused:
            sockets.enter_context(one.listen())
        assert refused.value.response.status_code == 429
        assert 59 <= int(refused.value.response.headers["Retry-After"]) <= 60
        assert one.control("GET", "/feed")["refused"] == 1


def test_a_plain_request_is_no_connection(fresh):
    with closing(HTTPConnection(urlsplit(fresh.addresses["ws"]).netloc, timeout=5)) as connection:
        connection.request("GET", "/")
        assert connection.getresponse().status == 400


def deafen(socket):
    """Keep a client from answering pings, which its library would; returns the growing list of when they came."""
    pings, answer = [], socket.protocol.send_frame

    def send_frame(frame):
        if frame.opcode is Opcode.PONG:
            pings.append(time.monotonic())
        else:
            answer(frame)

    socket.protocol.send_frame = send_frame
    return pings


def closed_by_the_other_side(socket):
    """How the connection ended; everything that came before is passed over."""
    try:
        while True:
            socket.recv(timeout=60)
    except ConnectionClosed as ended:
        return ended


def live_without_pongs(one):
    """(how a client that answers no ping ended, after how long, when pings came, whether another one still hears)."""
    started = time.monotonic()
    with one.listen() as deaf, one.listen() as awake:
        pings = deafen(deaf)
        ended = closed_by_the_other_side(deaf)
        lived_s = time.monotonic() - started
        join(awake, "obdiff")
        return ended, lived_s, [at - started for at in pings], next_of(awake, 431)["PS"] == "BTCTRY"


@pytest.fixture(scope="module", autouse=True)
def without_pongs():
    """It takes 45 seconds: a program of its own bears it while the other tests run."""
    with ThreadPoolExecutor(1) as beside, program("--symbols", "BTCTRY") as one:
        yield beside.submit(live_without_pongs, one)


def test_pings_of_a_client_are_answered(fresh):
    with fresh.listen() as socket:
        assert socket.ping(b"hello").wait(5)


# --- faults on a real socket ----------------------------------------------------------------------------------------


def test_connections_are_closed_broken_and_refused(fresh):
    with fresh.listen() as socket:
        next_of(socket, 991)
        fresh.control("POST", "/feed", {"kind": "socket_closed", "params": {"code": 1012, "reason": "restart"}})
        with pytest.raises(ConnectionClosedError) as closed:
            socket.recv(timeout=5)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "restart")
    with fresh.listen() as socket:
        next_of(socket, 991)
        fresh.control("POST", "/feed", {"kind": "socket_aborted"})
        with pytest.raises(ConnectionClosedError) as closed:
            socket.recv(timeout=5)
        assert closed.value.rcvd is None
    fresh.control("POST", "/faults", {"kind": "connect_refused", "params": {"status": 503}, "count": 1})
    with pytest.raises(InvalidStatus) as refused:
        fresh.listen()
    assert refused.value.response.status_code == 503


def test_a_half_open_connection_is_silent_and_open(fresh):
    with fresh.listen(close_timeout=0.2) as socket:
        join(socket, "ticker", "all")
        next_of(socket, 401)
        fresh.control("POST", "/feed", {"kind": "socket_half_open"})
        time.sleep(0.1)
        for _ in range(100):
            try:
                socket.recv(timeout=0)
            except TimeoutError:
                break
        pong = socket.ping()
        with pytest.raises(TimeoutError):
            socket.recv(timeout=1.6)
        assert not pong.is_set()
    # Not even the goodbye was answered.
    assert socket.close_code == 1006


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("frame_truncated", {}),
        ("garbage", {"text": "\x00 not json"}),
        ("frame_deep", {"depth": 20_000}),
        ("value_replaced", {"field": "P", "value": "-1"}),
        ("frame_huge", {"bytes": 3_000_000}),
    ],
)
def test_spoilt_frames_go_out_as_they_are(fresh, kind, params):
    with fresh.listen(max_size=None) as socket:
        fresh.control("POST", "/faults", {"kind": kind, "match": {"types": [431]}, "count": 1, "params": params})
        join(socket, "obdiff")
        next_of(socket, 100)
        text = socket.recv(timeout=5)
        if kind == "value_replaced":
            assert {row["P"] for row in json.loads(text)[1]["BO"]} == {"-1"}
        elif kind == "frame_huge":
            assert len(json.loads(text)[1]["padding"]) == 3_000_000
        else:
            with pytest.raises((ValueError, RecursionError)):
                json.loads(text)
    assert fresh.control("GET", "/faults")["struck"][kind] == 1


def test_a_flood_reaches_who_reads_and_does_not_stop_the_exchange(fresh):
    with fresh.listen() as reader, fresh.listen(max_queue=1, close_timeout=0.2) as sleeper:
        for socket in (reader, sleeper):
            join(socket, "obdiff", "XRPTRY")
            next_of(socket, 431)
        fresh.control("POST", "/faults", {"kind": "flood", "match": {"types": [432], "event": "XRPTRY"}, "count": 2,
                                          "params": {"frames": 20_000}})  # fmt: skip
        first = next_of(reader, 432)["CS"]
        counters = [next_of(reader, 432)["CS"] for _ in range(20_000)]
        assert counters == list(range(first + 1, first + 20_001))
        assert fresh.control("GET", "/state")["conservation"] == "ok"


# --- the end, and the record ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_open_connections_do_not_keep_the_program_alive(number):
    with program() as one, one.listen(close_timeout=0.2) as socket:
        join(socket, "ticker", "all")
        next_of(socket, 401)
        one.process.send_signal(number)
        assert one.process.wait(timeout=5) == 0
        assert "Traceback" not in one.process.stderr.read()
        assert closed_by_the_other_side(socket).rcvd.code == 1001


def test_frames_are_recorded_without_secrets(tmp_path):
    file = tmp_path / "record.jsonl"
    with program("--record", str(file)) as one:
        with one.listen() as socket:
            log_in(socket)
            next_of(socket, 114)
            spelt = json.dumps(sign("3000"))
            socket.send(f'[114,{{"type":114,"\\u0073ignature":{spelt}}}]')
            socket.send(f'[114,{{"type":114,"signature" : {spelt}')
            join(socket, "obdiff")
            next_of(socket, 431)
        deadline = time.monotonic() + 5
        while one.control("GET", "/feed")["sessions"] and time.monotonic() < deadline:
            time.sleep(0.02)
        one.control("POST", "/shutdown")
        assert one.process.wait(timeout=5) == 0
    text = file.read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    whole = [row for row in rows if row["kind"] == "frame" and row["text"].endswith("]")]
    frames = [(row["way"], json.loads(row["text"])[0]) for row in whole]
    assert [kind for way, kind in frames if way == "in"] == [114, 114, 151]
    assert [kind for way, kind in frames if way == "out"] == [991, 114, 114, 100, 431]
    assert [row["what"] for row in rows if row["kind"] == "socket"] == ["open", "close"]
    assert all(row["session"] == 1 and row["wall_ms"] <= row["venue_ms"] for row in rows if row["kind"] == "frame")
    assert sign("3000") not in text


def test_money_of_the_feed_is_that_of_the_books(fresh):
    """What 423 says of commission, 441 of amounts and the books of balances is one and the same."""
    with fresh.listen() as socket:
        log_in(socket)
        next_of(socket, 114)
        sold, _ = fresh.order("sell", "0.0012", "2000000")
        trade = json.loads(json.dumps(next_of(socket, 423)), parse_float=Decimal)
        state = fresh.control("GET", "/state")["accounts"][KEY]["fills"]
        booked = next(fill for fill in state if fill["order_id"] == sold["id"])
        assert -Decimal(trade["fee"]) == Decimal(booked["fee"])
        assert -Decimal(trade["tax"]) == Decimal(booked["tax"])
        assert -Decimal(trade["amount"]) == Decimal(booked["quantity"])


@pytest.mark.slow
def test_a_ping_every_15_seconds_and_the_end_for_who_does_not_answer(without_pongs):
    ended, lived_s, pings_s, awake_hears = without_pongs.result()
    assert (type(ended), ended.rcvd.code, ended.rcvd.reason) == (ConnectionClosedOK, 1000, "")
    assert 45.2 < lived_s < 46.5
    assert [round(at_s / 15, 1) for at_s in pings_s] == [1.0, 2.0, 3.0]
    assert awake_hears
