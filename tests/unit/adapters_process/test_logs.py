"""Logs: what a line holds, what it never holds, and what it can survive."""

from __future__ import annotations

import base64
import dataclasses
import enum
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, cast

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from btcbot.adapters.logs import configure_logging, flush_logs, shutdown_logging
from btcbot.adapters.redaction import REDACTED, Redactor, is_sensitive_name
from btcbot.config.secrets import Secret, known_secret_forms

KEY = "canary-key-7d1f4f1e-8a52"
SECRET = base64.b64encode(b"canary secret +/ with odd bytes \xfe\xff").decode()
SECRETS = (Secret(KEY), Secret(SECRET))

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stream() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def lines(stream: io.BytesIO) -> Iterator[Lines]:
    configure_logging("INFO", SECRETS, stream)
    structlog.contextvars.clear_contextvars()

    def written() -> list[dict[str, Any]]:
        assert flush_logs(2.0)
        return [json.loads(line) for line in stream.getvalue().decode().splitlines()]

    yield written
    structlog.contextvars.clear_contextvars()
    shutdown_logging()


log = structlog.get_logger("btcbot.example")  # made before logging is configured, as modules do


def test_a_line(lines: Lines) -> None:
    log.info("order_accepted", symbol="BTCTRY", price=Decimal("2500000.10"), quantity=Decimal("1E-8"), count=3)

    (line,) = lines()
    stamp = line.pop("timestamp")
    assert datetime.fromisoformat(stamp).tzinfo is not None and stamp.endswith("Z") and len(stamp) == 24
    assert line == {
        "level": "info",
        "event": "order_accepted",
        "logger": "btcbot.example",
        "symbol": "BTCTRY",
        "price": "2500000.1",
        "quantity": "0.00000001",
        "count": 3,
    }


def test_context_is_added_and_fields_of_the_event_win_but_nulls_hide_nothing(lines: Lines) -> None:
    structlog.contextvars.bind_contextvars(run_id="r1", cycle_id=7, symbol=None)

    log.info("a", symbol="BTCTRY", cycle_id=None)
    log.info("b", cycle_id=8, order_id=None)

    first, second = lines()
    assert (first["run_id"], first["cycle_id"], first["symbol"]) == ("r1", 7, "BTCTRY")
    assert (second["cycle_id"], second["order_id"], second["symbol"]) == (8, None, None)


def test_a_field_cannot_take_the_place_of_the_lines_own(lines: Lines) -> None:
    log.warning("degraded", level=2, timestamp="never", logger="x")

    (line,) = lines()
    assert (line["level"], line["field_level"], line["field_timestamp"], line["field_logger"]) == (
        "warning",
        2,
        "never",
        "x",
    )


def test_the_level_filters(lines: Lines) -> None:
    log.debug("quiet")
    logging.getLogger("some.library").debug("quiet")
    log.error("loud")

    assert [line["event"] for line in lines()] == ["loud"]


def test_the_standard_library_comes_out_in_the_same_form(lines: Lines) -> None:
    structlog.contextvars.bind_contextvars(cycle_id=7)

    logging.getLogger("some.library").warning("lost %d of %s", 2, "three", extra={"peer": "venue"})

    (line,) = lines()
    assert (line["event"], line["logger"], line["level"]) == ("lost 2 of three", "some.library", "warning")
    assert (line["peer"], line["cycle_id"]) == ("venue", 7)


def test_warnings_come_out_as_lines(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"old use of {KEY}", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    (line,) = lines()
    assert line["logger"] == "py.warnings" and KEY not in str(line)


def test_clients_that_log_whole_requests_are_kept_quiet(stream: io.BytesIO) -> None:
    configure_logging("DEBUG", SECRETS, stream)
    logging.getLogger("httpcore2.connection").debug("send_request_headers X-Signature: abc")
    logging.getLogger("some.library").debug("kept")
    shutdown_logging()

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["kept"]


# --- redaction -------------------------------------------------------------------------------------------------------


class Side(enum.Enum):
    BUY = "buy"


@dataclasses.dataclass
class Request:
    url: str
    signature: str


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError(KEY)


def test_secrets_go_wherever_they_are(lines: Lines) -> None:
    nested: dict[str, Any] = {"deep": [{"deeper": (f"x{SECRET}y", {f"k-{KEY}": 1})}]}

    log.info(
        f"event {KEY}",
        nested=nested,
        request=Request(f"https://venue/?k={KEY}", "sig"),
        error=ValueError(f"bad {SECRET}"),
        raw=SECRET.encode(),
        secret_object=SECRETS[0],
        path=Path("/run") / KEY,
        hostile=Hostile(),
        **{f"name-{KEY}": 1},
    )

    text = json.dumps(lines())
    assert "canary" not in text and SECRET[:8] not in text
    assert json.loads(text)[0]["request"] == {"url": f"https://venue/?k={REDACTED}", "signature": REDACTED}


@pytest.mark.parametrize("form", sorted(known_secret_forms(SECRETS[1]) | known_secret_forms(SECRETS[0])))
def test_every_spelling_goes(form: str) -> None:
    assert Redactor(SECRETS).text(f"before {form} after") == f"before {REDACTED} after"


@pytest.mark.parametrize("length", [8, 9, 15, len(KEY) - 1])
def test_so_does_a_beginning_of_eight_characters(length: int) -> None:
    assert Redactor(SECRETS).text(f"cut off: {KEY[:length]}…") == f"cut off: {REDACTED}…"


def test_seven_characters_tell_too_little() -> None:
    assert Redactor(SECRETS).text(KEY[:7]) == KEY[:7]


@settings(max_examples=200)
@given(before=st.text(), after=st.text(), form=st.sampled_from(sorted(known_secret_forms(SECRETS[1]))))
def test_no_surroundings_hide_a_secret(before: str, after: str, form: str) -> None:
    document = json.dumps({"a": [before + form + after]})

    assert form not in Redactor(SECRETS).text(before + form + after)
    assert SECRET not in Redactor(SECRETS).text(document)


@pytest.mark.parametrize(
    "name",
    [
        "api_secret",
        "apiKey",
        "API-KEY",
        "signature",
        "Authorization",
        "x_pck",
        "X-Stamp",
        "x_signature",
        "token",
        "password",
    ],
)
def test_sensitive_names(name: str) -> None:
    assert is_sensitive_name(name)
    assert Redactor().fields({name: "anything", "other": None}) == {name: REDACTED, "other": None}


@pytest.mark.parametrize(
    "name",
    ["api_key_present", "token_bucket", "api_key_fingerprint", "signature_valid", "secret_age_days", "stamp", "symbol"],
)
def test_harmless_names_stay(name: str) -> None:
    assert Redactor().fields({name: True}) == {name: True}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("X-Signature: abc=, X-Stamp: 1", f"X-Signature: {REDACTED}, X-Stamp: {REDACTED}"),
        ("{'authorization': 'Bearer abc'}", f"{{'authorization': '{REDACTED}'}}"),
        ("[(b'X-PCK', b'abc')]", f"[(b'X-PCK', b'{REDACTED}')]"),
        ("GET /?apiKey=abc&x=1", f"GET /?apiKey={REDACTED}&x=1"),
        ("BTCTURK_API_SECRET: is missing", "BTCTURK_API_SECRET: is missing"),
        ("token bucket: 3 of 5", "token bucket: 3 of 5"),
    ],
)
def test_headers_inside_a_text(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown


@pytest.mark.parametrize("quotings", range(3))
def test_the_login_to_the_feed_inside_a_text(quotings: int) -> None:
    """Its signature never changes; nobody can know it beforehand, and its slashes and quotes may come escaped."""
    login = {"type": 114, "publicKey": KEY, "timestamp": 1, "nonce": 3000, "signature": "Ab/+cd9=/x=", "side": "buy"}
    text = json.dumps([114, login])
    for _ in range(quotings):
        text = json.dumps(text.replace("/", "\\/"))

    shown = Redactor(SECRETS).text(f"sent: {text} and no more")

    assert "Ab" not in shown
    assert "cd9" not in shown
    assert (REDACTED in shown, "buy" in shown, "3000" in shown, shown.endswith("no more")) == (True,) * 4


def test_plain_values_stay_what_they_are() -> None:
    value = {"n": 1, "f": 0.5, "b": True, "none": None, "list": [1, "a"]}

    assert Redactor(SECRETS).value(value) == value
    assert Redactor(SECRETS).value({"side": Side.BUY}) == {"side": "buy"}
    assert Redactor().value(date(2026, 1, 31)) == "2026-01-31"


def test_money_is_written_as_everywhere() -> None:
    amounts = [
        Decimal("1.10"),
        Decimal("1E-8"),
        Decimal("2E+3"),
        Decimal("-0.00"),
        Decimal("NaN"),
        Decimal("-Infinity"),
    ]

    assert Redactor().value(amounts) == ["1.1", "0.00000001", "2000", "0", "NaN", "-Infinity"]


def test_sizes_are_limited() -> None:
    endless: list[Any] = []
    endless.append(endless)

    assert len(Redactor().text("x" * 100_000)) < 20_000
    assert len(str(Redactor().value(endless))) < 1000
    assert len(Redactor().fields({str(n): n for n in range(5000)})) == 1001


def test_tracebacks_are_there_without_secrets(lines: Lines) -> None:
    def sign(secret: str) -> None:
        raise RuntimeError(f"cannot sign with {secret}")

    try:
        sign(SECRET)
    except RuntimeError:
        log.exception("signing_failed")
        logging.getLogger("some.library").exception("failed")

    for line in lines():
        assert line["error_type"] == "RuntimeError"
        assert line["error_message"] == f"cannot sign with {REDACTED}"
        assert "in sign" in line["traceback"] and "canary" not in line["traceback"] and SECRET not in str(line)


# --- robustness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "breaker", ["\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[2J", "\x9b2J", "\u202e"]
)
def test_no_event_can_be_forged(lines: Lines, stream: io.BytesIO, breaker: str) -> None:
    forged = f'innocent{breaker}{{"level":"critical","event":"forged"}}'

    log.info(forged, field=forged)

    (line,) = lines()
    assert (line["event"], line["field"]) == (forged, forged)
    assert breaker not in stream.getvalue().decode().rstrip("\n")


@pytest.mark.parametrize(
    "value", [2**70, float("nan"), float("inf"), "\ud800", b"\xff", Decimal("NaN"), object(), {1: 2}, {"a", "b"}]
)
def test_no_value_breaks_a_line(lines: Lines, value: object) -> None:
    log.info("odd", value=value)

    assert lines()[0]["event"] == "odd"


def test_text_streams_do_as_well() -> None:
    stream = io.StringIO()
    configure_logging("INFO", (), stream)
    log.info("hello")
    shutdown_logging()

    assert json.loads(stream.getvalue())["event"] == "hello"


class StalledStream(io.RawIOBase):
    """A pipe whose reader has stopped."""

    def __init__(self) -> None:
        self.reader = threading.Event()
        self.lines: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, line: Any) -> int:
        self.reader.wait()
        self.lines.append(bytes(line))
        return len(line)


def test_a_stalled_reader_stops_nothing_and_what_was_lost_is_counted() -> None:
    stream = StalledStream()
    configure_logging("INFO", (), cast(IO[bytes], stream))
    started = time.monotonic()
    for number in range(10_100):
        log.info("tick", number=number)
    assert flush_logs(0.05) is False
    assert time.monotonic() - started < 5

    stream.reader.set()
    assert flush_logs(5.0)
    log.info("after")
    shutdown_logging()

    text = b"".join(stream.lines)
    assert b'"log_lines_dropped"' in text and text.endswith(b'"event":"after","logger":"btcbot.example"}\n')


def test_a_closed_stream_stops_nothing() -> None:
    stream = io.BytesIO()
    configure_logging("INFO", (), stream)
    stream.close()
    log.info("nobody hears this")
    assert flush_logs(1.0)
    shutdown_logging()


PROGRAM = """
import logging, sys, threading, structlog
from btcbot.adapters.logs import configure_logging
from btcbot.config.secrets import Secret
configure_logging("INFO", [Secret(sys.stdin.readline().strip())])
structlog.get_logger("main").info("started")
logging.getLogger("some.library").warning("wrong arguments %d", "x")
secret = "canary-key-7d1f4f1e-8a52"
def fail(): raise ValueError("with " + secret)
thread = threading.Thread(target=fail); thread.start(); thread.join()
fail()
"""


def test_exceptions_that_nobody_caught_end_as_lines_too() -> None:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environ,
        input=KEY + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "started",
        "wrong arguments %d",
        "uncaught_exception",
        "uncaught_exception",
    ]
    assert done.returncode == 1
    assert KEY not in done.stderr + done.stdout
