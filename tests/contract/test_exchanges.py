"""The contract of `Exchange`, kept by BtcTurk's client, by the dry run and the paper venue around it, and by replays.

The client keeps it twice: against canned answers, and over real sockets against the local BtcTurk, which was written by
another reader of the same documents.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import structlog
from tests.contract.exchange import CLIENT_ID, ExchangeContract, ExchangeRig
from tests.unit.btcturk.support import KEY, NOW_MS, Call, Rig, no, ok, signer
from tests.unit.btcturk.test_wire import PAIR

from btcbot.adapters.btcturk.rest import BtcturkHttpClient
from btcbot.adapters.clock import SystemClock
from btcbot.adapters.dry_run import DryRun
from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.paper.exchange import PaperExchange
from btcbot.adapters.paper.records import MemoryRecords
from btcbot.adapters.paper.venue import QuoteFillRules
from btcbot.domain.account import Balance
from btcbot.domain.permit import PermitScope

PAPER_RULES = QuoteFillRules(maker=Decimal("0.0012"), taker=Decimal("0.0024"))


class CannedVenue:
    """Just enough of BtcTurk to place and cancel one order."""

    def __init__(self) -> None:
        self.writes = 0

    def __call__(self, call: Call) -> Any:
        match call.method, call.path:
            case "GET", "/api/v2/server/exchangeinfo":
                return ok({"symbols": [PAIR]})
            case "GET", "/api/v2/orderbook":
                return ok({"timestamp": NOW_MS, "bids": [["3712281", "1"]], "asks": [["3715990", "1"]]})
            case "GET", "/api/v2/ticker":
                return ok([{"pair": "BTCTRY", "timestamp": NOW_MS, "bid": 3712281, "ask": 3715990}])
            case "GET", "/api/v1/users/balances":
                return ok([{"asset": "TRY", "free": "1000", "locked": "0"}])
            case "GET", "/api/v1/openOrders":
                return ok({"asks": [], "bids": []})
            case "GET", path if path.startswith("/api/v1/order/"):
                return 400, no("NO_ORDER_MATCHES_YOUR_REQUEST", 1052)
            case "POST", "/api/v1/order":
                self.writes += 1
                assert json.loads(call.body)["newOrderClientId"] == CLIENT_ID
                return ok({"id": 77, "newOrderClientId": CLIENT_ID}, httpStatusCode=200)
            case "DELETE", "/api/v1/order":
                self.writes += 1
                return {"success": True, "message": "SUCCESS", "code": 0}
        return ok([])


def live(*, has_key: bool = True) -> tuple[Rig, CannedVenue]:
    venue = CannedVenue()
    return Rig(venue, has_key=has_key), venue


class TestBtcturk(ExchangeContract):
    def make(self) -> ExchangeRig:
        rig, venue = live()
        return ExchangeRig(
            exchange=rig.client,
            scope=PermitScope.VENUE,
            symbol="BTCTRY",
            price=Decimal("3712281"),
            quantity=Decimal("0.0001"),
            writes_seen=lambda: venue.writes,
            monotonic_ms=lambda: rig.clock.mono_ns // 1_000_000,
        )


SECRET = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0"


@pytest.fixture(scope="module")
def local_venue() -> Iterator[str]:
    """The base URL of a local BtcTurk with one account, in a process of its own."""
    command = [sys.executable, "-m", "btcturk_sim", "serve", "--symbols", "BTCTRY,ETHTRY", "--nonce", "strict"]
    process = subprocess.Popen(
        [*command, "--account", f"{KEY}:{SECRET}:TRY=100000"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdout is not None
    with process.stdout:
        yield json.loads(process.stdout.readline())["rest"]
        process.terminate()
        process.wait(10)


#: Stamps of one key go on increasing from test to test, as they do from process to process.
MARKS = [0]


class TestBtcturkOverSockets(ExchangeContract):
    @pytest.fixture(autouse=True)
    def _venue(self, local_venue: str) -> None:
        self.base_url = local_venue

    def make(self) -> ExchangeRig:
        client = BtcturkHttpClient(
            self.base_url,
            clock=SystemClock(),
            stop=threading.Event(),
            metrics=NullMetrics(),
            log=structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()]),
            signer=signer(KEY, SECRET),
            load_mark=lambda: MARKS[-1],
            save_mark=MARKS.append,
        )
        instrument = client.instruments()["BTCTRY"]
        price = instrument.price_down(client.quotes(["BTCTRY"])["BTCTRY"].bid * Decimal("0.9"))
        return ExchangeRig(
            exchange=client,
            scope=PermitScope.VENUE,
            symbol="BTCTRY",
            price=price,
            quantity=instrument.quantity_up(Decimal("0.0001")),
            writes_seen=lambda: 0,  # counted at the canned venue; the local one has no count for one test
            close=client.close,
        )


def dry(*, has_key: bool = False) -> tuple[DryRun, Rig, CannedVenue]:
    rig, venue = live(has_key=has_key)
    return DryRun(rig.client, balance_try=Decimal("1000"), clock=rig.clock), rig, venue


class TestDryRun(ExchangeContract):
    def make(self) -> ExchangeRig:
        exchange, rig, venue = dry()
        return ExchangeRig(
            exchange=exchange,
            scope=PermitScope.SIMULATION,
            symbol="BTCTRY",
            price=Decimal("3712281"),
            quantity=Decimal("0.0001"),
            writes_seen=lambda: venue.writes,
            takes_orders=False,
            monotonic_ms=lambda: rig.clock.mono_ns // 1_000_000,
        )


def test_a_dry_run_has_the_balance_it_was_given_and_asks_nobody() -> None:
    exchange, rig, _ = dry()
    snapshot = exchange.balances()
    assert dict(snapshot.balances) == {"TRY": Balance("TRY", Decimal(1000), Decimal(0))}
    assert list(exchange.open_orders()) == list(exchange.trades(0)) == list(exchange.transfers(0)) == []
    assert rig.calls == []


def test_a_dry_run_keeps_no_way_to_a_write() -> None:
    """I13: of the exchange that it is made from, only public reads are kept, with or without a key."""
    exchange, rig, venue = dry(has_key=True)
    kept = {value.__name__ for value in vars(exchange).values() if callable(value) and hasattr(value, "__self__")}
    assert kept == {"venue_time_ms", "estimated_time_ms", "instruments", "quotes", "health", "close"}
    assert not any(value is rig.client for value in vars(exchange).values())
    assert venue.writes == 0


@pytest.mark.parametrize("count", [1, 3])
def test_a_dry_runs_stamps_never_repeat_while_the_clock_stands(count: int) -> None:
    exchange, _, _ = dry()
    assert [exchange.take_stamp() for _ in range(count)] == [NOW_MS + n for n in range(count)]


def on_paper(*, has_key: bool = False) -> tuple[PaperExchange, Rig, CannedVenue]:
    rig, venue = live(has_key=has_key)
    exchange = PaperExchange(
        rig.client,
        MemoryRecords({"TRY": Decimal(1000)}),
        PAPER_RULES,
        clock=rig.clock,
        log=structlog.wrap_logger(None, processors=[rig.log]),
        read_trades=lambda symbol: (),
    )
    exchange.instruments()
    return exchange, rig, venue


class TestPaper(ExchangeContract):
    """Its orders are taken, by itself: `writes_seen` counts what reached the venue behind it."""

    def make(self) -> ExchangeRig:
        exchange, rig, venue = on_paper()
        return ExchangeRig(
            exchange=exchange,
            scope=PermitScope.SIMULATION,
            symbol="BTCTRY",
            price=Decimal("3712281"),
            quantity=Decimal("0.0001"),
            writes_seen=lambda: venue.writes,
            monotonic_ms=lambda: rig.clock.mono_ns // 1_000_000,
        )


def test_paper_keeps_no_way_to_a_write_at_the_real_venue() -> None:
    """I13, as for a dry run, with or without a key in the client that it is made from."""
    exchange, rig, venue = on_paper(has_key=True)
    kept = {
        value.__name__
        for value in vars(exchange).values()
        if callable(value) and getattr(value, "__self__", None) is rig.client
    }
    assert kept == {"venue_time_ms", "estimated_time_ms", "instruments", "quotes", "health", "close"}
    assert not any(value is rig.client for value in vars(exchange).values())
    assert venue.writes == 0


class TestReplayedQuotes(ExchangeContract):
    def make(self) -> ExchangeRig:
        pytest.importorskip("polars")
        from btcbot.adapters.paper.replay import ReplayQuoteVenue
        from btcbot.adapters.replay.clock import ReplayClock
        from btcbot.adapters.replay.tables import quotes_of

        (instrument,) = Rig(CannedVenue()).client.instruments().values()
        clock = ReplayClock(NOW_MS)
        quotes = quotes_of("BTCTRY", [(NOW_MS, Decimal(3712281), Decimal(1), Decimal(3715990), Decimal(1))])
        venue = ReplayQuoteVenue(
            clock, {"BTCTRY": quotes}, {}, {"BTCTRY": instrument}, {"TRY": Decimal(1000)}, PAPER_RULES
        )
        venue.play_to(NOW_MS)
        return ExchangeRig(
            exchange=venue,
            scope=PermitScope.VENUE,
            symbol="BTCTRY",
            price=Decimal("3712281"),
            quantity=Decimal("0.0001"),
            writes_seen=lambda: len(venue.open_orders()),
            monotonic_ms=lambda: clock.monotonic_ns() // 1_000_000,
        )
