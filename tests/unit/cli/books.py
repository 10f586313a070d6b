"""What the tests of the command line share: a book with something of everything in it, and a bot that only answers."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from btcbot.adapters.process_lock import acquire
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain.book import BookIdentity, Discrepancy
from btcbot.domain.cycles import CycleOutcome, CycleReport, Verdict
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, Entry, EntryKind, Hold, Posting
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.services import values
from btcbot.services.accounting import set_trading_state
from btcbot.services.operator import ANSWER, REQUEST, Answer, Request

SECRET = base64.b64encode(b"a secret for tests").decode()
#: Its lock is one for the whole machine: test processes beside each other need one each.
KEY = f"KEY{os.getpid()}"
SUSPENSE_ENTRY = "suspense:TRY:5000"


class Said(NamedTuple):
    """What a command line came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        (line,) = self.out.splitlines()
        return json.loads(line)


Run = Callable[..., Said]


class Venue(NamedTuple):
    """A local BtcTurk with one account of KEY, that holds 1000 TRY and 0.5 BTC."""

    url: str
    ws_url: str


def refused(said: Said, *words: str) -> None:
    """Status 2 and one line that holds all the words."""
    assert (said.status, said.out) == (2, ""), said
    (line,) = said.err.splitlines()
    assert line.startswith("btcbot: ")
    for word in words:
        assert word in line


def order(number: int, status: OrderStatus, **changes: Any) -> Order:
    made = Order(
        client_order_id=f"btcbot-test-{number}",
        intent_id=f"intent-{number}",
        cycle_id="c00000007",
        strategy="profit_v1",
        symbol="BTCTRY",
        side=Side.BUY,
        price=Decimal("4000000.50"),
        quantity=Decimal("0.0002"),
        status=status,
        created_at_ms=1_000 + number,
        updated_at_ms=1_000 + number,
    )
    return msgspec.structs.replace(made, **changes)


def verdict(number: int, code: str) -> Verdict:
    return Verdict(
        cycle_id="c00000007",
        intent_id=f"intent-{number}",
        symbol="BTCTRY",
        side=Side.BUY,
        price=Decimal("4000000.50"),
        quantity=Decimal("0.0002"),
        allowed=code == "allowed",
        code=code,
        detail="because of \x1b[31mred",
        at_ms=1_000,
    )


def entry(entry_id: str, kind: EntryKind, counter: Account, asset: str, amount: str) -> Entry:
    value = Decimal(amount)
    postings = (Posting(Account.VENUE, asset, value), Posting(counter, asset, -value))
    return Entry(entry_id=entry_id, kind=kind, at_ms=5_000, postings=postings, memo="memo")


def fill_book(
    path: Path, *, state: TradingState = TradingState.ACTIVE, mode: str = "dry_run", host: str = "api.btcturk.com"
) -> None:
    """Four orders, one fill, a position, a suspense of 12.5 TRY and one cycle."""
    store = SqliteStore.open(path)
    report = CycleReport(
        cycle_id="c00000007",
        number=7,
        mode=mode,
        profile="run",
        outcome=CycleOutcome.COMPLETED,
        reasons=("gate_closed:frozen_by_suspense",),
        started_at_ms=900,
        ended_at_ms=2_000,
        counts={"intents": 2, "fills": 1, "cancels": 0},
        gates={"dry_run": False, "clock_skew": True},
        quotes={"BTCTRY": (Decimal(4000000), Decimal("4000001.5"))},
        equity_try=Decimal("1003.25"),
        realized_pnl_try=Decimal("1.5"),
        unrealized_pnl_try=Decimal("2.50"),
    )
    with store.transaction() as tx:
        tx.put_identity(BookIdentity(book_id="test", mode=mode, venue_host=host, key_fingerprint=None, created_at_ms=1))
        tx.insert_entry(entry("opening:TRY", EntryKind.OPENING, Account.OPENING, "TRY", "1000"))
        tx.insert_entry(entry("opening:BTC", EntryKind.OPENING, Account.OPENING, "BTC", "0.5"))
        tx.insert_entry(entry(SUSPENSE_ENTRY, EntryKind.SUSPENSE, Account.SUSPENSE, "TRY", "12.50"))
        tx.insert_order(order(1, OrderStatus.FILLED, filled_quantity=Decimal("0.0002"), venue_order_id="11"))
        tx.insert_order(order(2, OrderStatus.ACCEPTED, venue_order_id="12"))
        tx.insert_order(order(3, OrderStatus.UNKNOWN))
        tx.insert_order(order(4, OrderStatus.REFUSED_PROVISIONAL))
        for number in (2, 3, 4):
            tx.put_hold(Hold(client_order_id=f"btcbot-test-{number}", asset="TRY", amount=Decimal("802")))
        tx.insert_fill(
            Fill(
                trade_id="t1",
                client_order_id="btcbot-test-1",
                symbol="BTCTRY",
                side=Side.BUY,
                price=Decimal(4000000),
                quantity=Decimal("0.0002"),
                fee=Decimal("1.60"),
                tax=Decimal("0.32"),
                at_ms=1_500,
            )
        )
        tx.put_position(
            Position(symbol="BTCTRY", quantity=Decimal("0.0002"), cost=Decimal("801.92"), realized_pnl=Decimal("1.5"))
        )
        tx.put_position(Position(symbol="ETHTRY"))
        tx.insert_verdict(verdict(1, "allowed"))
        tx.insert_verdict(verdict(9, "risk_block:cooldown"))
        tx.insert_cycle(report)
        tx.put_discrepancies([Discrepancy(asset="ETH", amount=Decimal("-0.1"), first_seen_ms=1, seen_count=2)])
        tx.put_value(values.PNL_DAY, "2026-01-31")
        tx.put_value(values.PNL_DAY_START, "3")
        set_trading_state(tx, state, "for a test")
    store.close()


class FakeBot:
    """Holds the writer lock and answers requests, or lets them lie."""

    def __init__(self, path: Path, *, answers: bool, done: bool = True) -> None:
        self._path = path
        self._answers = answers
        self._done = done
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.requests: list[Request] = []

    def __enter__(self) -> FakeBot:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        with acquire(self._path, None):
            store = SqliteStore.open(self._path)
            self._ready.set()
            while not self._stop.wait(0.02):
                text = store.value(REQUEST)
                if text and self._answers:
                    request = msgspec.json.decode(text, type=Request)
                    self.requests.append(request)
                    answer = Answer(
                        request_id=request.request_id, done=self._done, text=f"the answer to {request.kind}"
                    )
                    with store.transaction() as tx:
                        tx.put_value(ANSWER, msgspec.json.encode(answer).decode())
                        tx.put_value(REQUEST, "")
            store.close()
