"""The real program on real sockets: started, talked to, told to stop."""

import base64
import gzip
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from tests.sim.program import ENVIRONMENT, KEY, program, run

HEAVY = "import sys, btcturk_sim.cli; print([name in sys.modules for name in ('aiohttp', 'msgspec')])"


@pytest.fixture(scope="module")
def served():
    with program("--speed", "600", "--symbols", "BTCTRY,XRPTRY") as one:
        yield one


@pytest.fixture
def fresh(served):
    served.control("DELETE", "/faults")
    return served


LIMIT = {"pairSymbol": "BTCTRY", "orderType": "buy", "orderMethod": "limit", "quantity": "0.001", "price": "1000000"}


def test_one_json_line_says_where_and_the_market_moves(fresh):
    assert set(fresh.addresses) == {"rest", "graph", "control", "ws"}
    assert all(urlsplit(url).hostname == "127.0.0.1" for url in fresh.addresses.values())

    def last():
        return json.loads(fresh.send("GET", "/api/v2/ticker?pairSymbol=XRPTRY").content)["data"][0]["last"]

    seen = set()
    deadline = time.monotonic() + 5
    while len(seen) < 3 and time.monotonic() < deadline:
        seen.add(last())
        time.sleep(0.05)
    assert len(seen) >= 3


def test_an_order_from_submission_to_cancel(fresh):
    accepted = json.loads(fresh.send("POST", "/api/v1/order", LIMIT).content)["data"]
    assert fresh.send("DELETE", f"/api/v1/order?id={accepted['id']}").status == 200
    time.sleep(0.2)
    single = json.loads(fresh.send("GET", f"/api/v1/order/{accepted['id']}").content)["data"]
    assert (single["status"], single["orderClientId"]) == ("Canceled", accepted["newOrderClientId"])


def test_graph_and_rest_are_different_hosts(fresh):
    path = "/v1/klines/history?symbol=BTCTRY&resolution=1&from=0&to=9999999999"
    assert json.loads(fresh.send("GET", path, connection=fresh.connect("graph")).content)["s"] == "ok"
    assert fresh.send("GET", path).status == 404


def test_long_answers_are_compressed_for_who_accepts_it(fresh):
    response = fresh.send("GET", "/api/v2/orderbook?pairSymbol=BTCTRY", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(response.content))["data"]["asks"]) == 100


@pytest.mark.parametrize(("kind", "placed"), [("lost_before", 0), ("lost_after", 1)])
def test_a_lost_answer_is_a_closed_connection(fresh, kind, placed):
    before = len(fresh.orders())
    fresh.control("POST", "/faults", {"kind": kind, "match": {"method": "POST"}, "count": 1})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        fresh.send("POST", "/api/v1/order", LIMIT)
    assert len(fresh.orders()) - before == placed


def test_a_truncated_answer_ends_early(fresh):
    fresh.control("POST", "/faults", {"kind": "truncated", "match": {"path": "/api/v2/"}, "count": 1})
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        fresh.send("GET", "/api/v2/ticker")


def test_a_huge_answer_goes_on_beyond_8_megabytes(fresh):
    fresh.control("POST", "/faults", {"kind": "huge_body", "match": {"path": "/api/v2/"}, "count": 1})
    assert len(fresh.send("GET", "/api/v2/ticker").content) > 8_000_000


@pytest.mark.parametrize("acted", [True, False])
def test_a_half_open_connection_says_nothing_until_the_client_gives_up(fresh, acted):
    before = len(fresh.orders())
    fresh.control("POST", "/faults", {"kind": "half_open", "params": {"acted": acted}, "count": 1,
                                      "match": {"method": "POST"}})  # fmt: skip
    connection = fresh.connect()
    connection.timeout = 0.4
    with pytest.raises(TimeoutError):
        fresh.send("POST", "/api/v1/order", LIMIT, connection=connection)
    assert len(fresh.orders()) - before == acted
    listed = fresh.control("GET", "/faults")
    assert (listed["rules"], listed["struck"]["half_open"]) == ([], 1 + (not acted))
    assert fresh.control("GET", "/requests")["requests"][-1]["status"] == 0
    assert fresh.send("GET", "/api/v2/server/ping").status == 200


def test_a_half_open_connection_does_not_keep_the_program_alive():
    with program() as one:
        one.control("POST", "/faults", {"kind": "half_open"})
        with closing(one.connect()) as connection:
            connection.request("GET", "/api/v2/server/ping")
            time.sleep(0.1)
            one.process.send_signal(signal.SIGTERM)
            assert one.process.wait(timeout=5) == 0


@pytest.mark.parametrize("acted", [True, False])
def test_a_reset_is_rst_and_not_a_close(fresh, acted):
    before = len(fresh.orders())
    fresh.control("POST", "/faults", {"kind": "reset", "params": {"acted": acted}, "count": 1,
                                      "match": {"method": "POST"}})  # fmt: skip
    with pytest.raises(ConnectionResetError) as raised:
        fresh.send("POST", "/api/v1/order", LIMIT)
    # A mere close would be RemoteDisconnected, which is one of its kinds.
    assert raised.type is ConnectionResetError
    assert len(fresh.orders()) - before == acted


def test_a_slow_body_comes_byte_by_byte(fresh):
    whole = fresh.send("GET", "/api/v2/server/ping").content
    fresh.control("POST", "/faults", {"kind": "slow_body", "params": {"over_ms": 400}, "count": 1,
                                      "match": {"path": "/api/v2/"}})  # fmt: skip
    started = time.monotonic()
    with closing(fresh.connect()) as connection:
        connection.request("GET", "/api/v2/server/ping")
        response = connection.getresponse()
        head_s = time.monotonic() - started
        pieces = [(response.read(1), time.monotonic() - started) for _ in whole]
    assert b"".join(byte for byte, _ in pieces) == whole
    assert head_s < 0.2 < 0.39 < pieces[-1][1]
    assert len({round(at_s, 2) for _, at_s in pieces}) >= len(whole) // 2


def test_a_client_may_leave_in_the_middle_of_a_slow_body():
    """No read of it takes long enough for a timeout: only a deadline for the whole answer ends it."""
    with program() as one:
        one.control("POST", "/faults", {"kind": "slow_body", "params": {"over_ms": 60_000}, "count": 1})
        connection = one.connect()
        connection.timeout = 0.5
        with closing(connection):
            connection.request("GET", "/api/v2/server/exchangeinfo")
            assert len(connection.getresponse().read(20)) == 20
        time.sleep(0.2)
        assert one.send("GET", "/api/v2/server/ping").status == 200
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(timeout=5) == 0
        assert "Traceback" not in one.process.stderr.read()


def test_everything_can_be_done_to_a_running_exchange(fresh):
    """Busts, phases, rules and faults on orders: by the control interface as in process."""
    bought = json.loads(fresh.send("POST", "/api/v1/order", LIMIT | {"price": "9000000", "quantity": "0.0012"}).content)
    trade = next(one for one in fresh.control("GET", "/state")["accounts"][KEY]["fills"]
                 if one["order_id"] == bought["data"]["id"])  # fmt: skip
    assert fresh.control("POST", "/bust", {"id": trade["id"]})["taken_back"][0]["id"] == trade["id"]
    fresh.control("POST", "/faults", {"kind": "accepted_then_canceled", "count": 1})
    order_id = json.loads(fresh.send("POST", "/api/v1/order", LIMIT).content)["data"]["id"]
    assert json.loads(fresh.send("GET", f"/api/v1/order/{order_id}").content)["data"]["status"] == "Canceled"
    for change, message in (
        ({"cancel_only": True}, "FAILED_LIMIT_ORDER"),
        ({"cancel_only": False, "rules": {"quantity_scale": 2}}, "FAILED_INVALID_QUANTITY_SCALE"),
        ({"rules": {"quantity_scale": 8}, "delisted": True}, "Pair BTCTRY does not exists."),
    ):
        fresh.control("POST", "/market", {"symbol": "BTCTRY", **change})
        assert json.loads(fresh.send("POST", "/api/v1/order", LIMIT).content)["message"] == message
    fresh.control("POST", "/market", {"symbol": "BTCTRY", "delisted": False})
    assert fresh.send("POST", "/api/v1/order", LIMIT).status == 200
    fresh.control("POST", "/block", {"who": "127.0.0.1", "block_ms": 60_000})
    assert fresh.send("GET", "/api/v2/ticker").status == 403
    fresh.control("DELETE", "/block")
    assert fresh.send("GET", "/api/v2/ticker").status == 200
    assert fresh.control("GET", "/state")["conservation"] == "ok"


def test_a_proxy_page_is_html(fresh):
    fresh.control("POST", "/faults", {"kind": "html_before", "params": {"status": 502}, "count": 1})
    response = fresh.send("GET", "/api/v2/ticker")
    assert (response.status, response.headers["Content-Type"]) == (502, "text/html; charset=UTF-8")
    assert b"Bad gateway" in response.content


def test_a_late_request_is_acted_on_after_its_sender_has_gone(fresh):
    before = len(fresh.orders())
    fresh.control("POST", "/faults", {"kind": "delay_before", "params": {"delay_ms": 300}, "count": 1,
                                      "match": {"method": "POST"}})  # fmt: skip
    connection = fresh.connect()
    connection.timeout = 0.1  # shorter than the delay
    with pytest.raises(TimeoutError):
        fresh.send("POST", "/api/v1/order", LIMIT, connection=connection)
    assert len(fresh.orders()) == before
    time.sleep(0.5)
    assert len(fresh.orders()) == before + 1


def test_500_orders_a_second(fresh):
    """On a quiet machine several thousand; the floor here leaves room for busy ones."""
    statuses, count = [], 300

    def hammer():
        with closing(fresh.connect()) as connection:
            for _ in range(count):
                connection.request("POST", "/api/v1/order", json.dumps(LIMIT), fresh.signed())
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - started
    assert statuses == [200] * (2 * count)
    assert 2 * count / took > 300, f"{2 * count / took:.0f} orders a second"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(number):
    with program() as one:
        one.send("GET", "/api/v2/server/ping")
        one.process.send_signal(number)
        assert one.process.wait(timeout=5) == 0
        assert "Traceback" not in one.process.stderr.read()


def test_shutdown_and_the_end_of_the_market_end_it_cleanly(tmp_path):
    with program() as one:
        assert one.control("POST", "/shutdown") == {"shutdown": True}
        assert one.process.wait(timeout=5) == 0
    rows = "".join(f"{60_000 * n},7,7,7,7,1\n" for n in range(3))
    (tmp_path / "ADATRY.csv").write_text("open_time_ms,open,high,low,close,volume\n" + rows)
    with program("--market", str(tmp_path), "--speed", "600", "--at-end", "exit") as one:
        assert one.process.wait(timeout=5) == 0


def test_accounts_from_a_file_only_its_owner_can_read(tmp_path):
    file = tmp_path / "accounts"
    file.write_text(f"# two accounts\n\nBOB:{base64.b64encode(b'x').decode()}:TRY=5\n")
    file.chmod(0o644)
    code, _, said = run("serve", "--accounts", str(file))
    assert (code, said) == (
        2, f"btcturk-sim: --accounts {file}: others can read it (mode 0644); run: chmod 600 {file}\n")  # fmt: skip
    file.chmod(0o600)
    with program("--accounts", str(file)) as one:
        assert set(one.control("GET", "/state")["accounts"]) == {KEY, "BOB"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: only loopback is served; use 127.0.0.1, ::1 or localhost"),
        (["--host", "example.com"], "--host example.com: only loopback is served"),
        (["--limits", "maybe"], "--limits maybe: use real, real-ip, scaled=N"),
        (["--speed", "fast"], "--speed fast: give a number above 0"),
        (["--speed", "0"], "--speed 0: give a number above 0"),
        (["--speed", "nan"], "--speed nan: give a number above 0"),
        (["--account", "KEY"], "account KEY: write KEY:SECRET:ASSET=AMOUNT"),
        (["--account", "KEY:!!:TRY=1"], "account KEY: the secret is not base64"),
        (["--account", "KEY:AAAA:TRY"], "account KEY: 'TRY' is not ASSET=AMOUNT"),
        (["--account", "KEY:AAAA:TRY=-1"], "account KEY: TRY=-1 is not an amount"),
        (["--account", "KEY:AAAA:TRY=1e99"], "account KEY: TRY=1e99 is not an amount"),
        (["--account", "KEY:AAAA:TRY=1,BTC=1,TRY=2"], "account KEY: TRY is given twice; keep one"),
        (["--account", "KEY:AAAA", "--account", "KEY:BBBB"], "account KEY is given twice"),
        (["--accounts", "/nowhere/accounts"], "--accounts /nowhere/accounts: No such file or directory"),
        (["--market", "/nowhere"], "--market /nowhere: no such folder"),
        (["--symbols", "FOO"], "'FOO' is not a pair this exchange can list"),
        (["--record", "/nowhere/file"], "--record /nowhere/file: No such file or directory"),
        (["--cancel-lag-ms", "-1"], "--cancel-lag-ms -1: give milliseconds, from 0 to 86400000"),
        (["--cancel-lag-ms", "soon"], "'soon' is not a valid integer"),
        (["--transactions-lag-ms", "-1"], "--transactions-lag-ms -1: give milliseconds, from 0 to 86400000"),
        (["--just-filled-ms", "86400001"], "--just-filled-ms 86400001: give milliseconds, from 0 to 86400000"),
        (["--nonce", "loose"], "'loose' is not one of 'windowed', 'strict'"),
        (["--client-ids", "any"], "'any' is not one of 'repeatable', 'unique'"),
        (["--spread-bps", "0"], "--spread-bps 0: give a number above 0, at most 10000"),
        (["--spread-bps", "10001"], "--spread-bps 10001: give a number above 0, at most 10000"),
        (["--depth-try", "much"], "--depth-try much: give a number above 0"),
        (["--error-401", "2020"], "'2020' is not one of 'current', '2019'"),
        (["--decimal-separator", ";"], "';' is not one of 'dot', 'comma'"),
        (["--trades-max", "0"], "0 is not in the range x>=1"),
        (["--unauthorized-max", "-1"], "-1 is not in the range x>=0"),
        (["--unauthorized-block-ms", "-1"], "-1 is not in the range x>=0"),
        (["--seed", "x"], "'x' is not a valid integer"),
        (["--limit-only", "x"], "'X' is not a pair this exchange can list"),
        (["--limit-only", "ADATRY"], "--limit-only ADATRY: not listed; name some of BTCTRY"),
        (["--at-end", "never"], "'never' is not one of"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--graph-port", "-1"], "-1 is not in the range"),
        (["--control-port", "x"], "'x' is not a valid integer"),
        (["--ws-port", "70000"], "70000 is not in the range"),
        (["--sped", "2"], "No such option '--sped'. (Did you mean one of: "),
        (["BTCTRY"], "unexpected extra argument (BTCTRY)"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(arguments, says):
    code, out, said = run("serve", *arguments)
    assert (code, out) == (2, "")
    assert said.count("\n") == 1
    assert says in said


def test_an_unknown_command_is_one_clear_line_and_none_is_help():
    assert run("sevre") == (2, "", "btcturk-sim: No such command 'sevre'. Did you mean 'serve'?\n")
    code, out, said = run()
    assert (code, out) == (2, "")
    assert said.startswith("Usage: btcturk-sim")


def test_version_and_help_answer_at_once():
    assert run("--version")[:2] == (0, "btcturk-sim, version 0.1.0\n")
    code, out, _ = run("serve", "--help")
    assert code == 0
    assert "--transactions-lag-ms" in out
    imported = subprocess.run(
        [sys.executable, "-c", HEAVY],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert imported.stdout == "[False, False]\n"
