"""Commands that the writer carries out: asked of a running bot, or done at once where none runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.unit.cli.books import SUSPENSE_ENTRY, FakeBot, Run, Venue, fill_book, refused

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli import request
from btcbot.domain.ledger import Account
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import TradingState
from btcbot.services.operator import REQUEST, Request

ASKED = {
    "cancel": (("orders", "cancel", "btcbot-test-2"), {"client_order_id": "btcbot-test-2"}),
    "cancel all": (("orders", "cancel", "--all"), {"client_order_id": "all"}),
    "resolve placed": (
        ("orders", "resolve", "btcbot-test-3", "--placed", "77", "--reason", "seen"),
        {"client_order_id": "btcbot-test-3", "outcome": "placed", "venue_order_id": "77", "reason": "seen"},
    ),
    "resolve not placed": (
        ("orders", "resolve", "btcbot-test-3", "--not-placed", "--reason", "not there"),
        {"client_order_id": "btcbot-test-3", "outcome": "not-placed", "venue_order_id": "", "reason": "not there"},
    ),
    "resolve closed": (
        ("orders", "resolve", "btcbot-test-2", "--closed", "--reason", "gone"),
        {"client_order_id": "btcbot-test-2", "outcome": "closed", "venue_order_id": "", "reason": "gone"},
    ),
    "disown": (
        ("orders", "disown", "77", "--reason", "delivered twice"),
        {"venue_order_id": "77", "reason": "delivered twice"},
    ),
    "release": (
        ("position", "release", "btc_try", "0.0150", "--reason", "sold by hand"),
        {"symbol": "BTCTRY", "quantity": "0.015", "reason": "sold by hand"},
    ),
    "explain": (
        ("ledger", "explain", SUSPENSE_ENTRY, "--as", "deposit", "--reason", "bank"),
        {"entry_id": SUSPENSE_ENTRY, "meaning": "deposit", "reason": "bank"},
    ),
    "adopt": (
        ("position", "adopt", "btc_try", "0.0150", "60000"),
        {"symbol": "BTCTRY", "quantity": "0.015", "cost": "60000"},
    ),
    "resume": (("resume", "--reason", "looked at it"), {"reason": "looked at it"}),
    "kill": (("kill", "on", "--cancel-open"), {"client_order_id": "all"}),
}


def value(path: Path, key: str) -> str | None:
    store = SqliteStore.open(path, read_only=True)
    try:
        return store.value(key)
    finally:
        store.close()


@pytest.mark.parametrize("name", ASKED)
def test_a_running_bot_is_asked(run: Run, book: Path, name: str) -> None:
    arguments, wanted = ASKED[name]
    with FakeBot(book, answers=True) as bot:
        said = run(*arguments, "--json", "--db", book)
    (asked,) = bot.requests
    assert dict(asked.arguments) == wanted
    assert said.status == 0
    assert said.json["done"] is True
    assert said.json["text"] == f"the answer to {asked.kind}"
    assert "waiting" in said.err
    assert not value(book, REQUEST)


def test_its_no_is_a_refusal(run: Run, book: Path) -> None:
    with FakeBot(book, answers=True, done=False):
        said = run("resume", "--reason", "x", "--db", book)
    assert (said.status, said.out) == (2, "")
    assert said.err.splitlines()[-1] == "btcbot: the answer to resume"


def test_a_request_that_nobody_answers_is_taken_back(run: Run, book: Path) -> None:
    with FakeBot(book, answers=False):
        said = run("resume", "--reason", "x", "--db", book, "--wait", "0.3")
    assert said.status == 1
    assert "did not answer within 0.3 s" in said.err.splitlines()[-1]
    assert not value(book, REQUEST)


def test_ctrl_c_takes_it_back_too(run: Run, book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(request, "_await_answer", interrupt)
    with FakeBot(book, answers=False):
        assert run("resume", "--reason", "x", "--db", book).status == 1
    assert not value(book, REQUEST)


def test_the_request_of_somebody_else_is_left_alone(run: Run, book: Path) -> None:
    other = msgspec.json.encode(
        Request(request_id="other", kind="resume", arguments={}, made_at_ms=0, wait_ms=1)
    ).decode()
    with FakeBot(book, answers=False):
        store = SqliteStore.open(book)
        with store.transaction() as tx:
            tx.put_value(REQUEST, other)
        store.close()
        refused(run("resume", "--reason", "x", "--db", book), "another request")
    assert value(book, REQUEST) == other


# -- no bot is running -----------------------------------------------------------------------------------------------


def test_resume_alone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "halted.db"
    fill_book(path, state=TradingState.HALTED)
    said = run("resume", "--reason", "looked", "--db", path, "--json")
    assert said.json == {"done": True, "text": "resumed; the bot is now FROZEN", "by": "this command"}
    assert said.err == ""
    refused(run("resume", "--reason", "again", "--db", path), "not halted")


def test_resolve_alone(run: Run, tmp_path: Path, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    book = tmp_path / "book.db"
    fill_book(book, host="127.0.0.1")
    monkeypatch.setenv("BTCTURK_BASE_URL", venue.url)
    said = run("orders", "resolve", "btcbot-test-3", "--not-placed", "--reason", "support said so", "--db", book)
    assert said == (0, "order btcbot-test-3 is now NOT_PLACED\n", "")
    store = SqliteStore.open(book, read_only=True)
    order = store.order("btcbot-test-3")
    assert order is not None
    assert order.status is OrderStatus.NOT_PLACED
    assert "btcbot-test-3" not in store.holds()
    store.close()
    refused(run("orders", "resolve", "none", "--not-placed", "--reason", "x", "--db", book), "no order none")


def test_explain_alone(run: Run, book: Path) -> None:
    assert run("ledger", "explain", SUSPENSE_ENTRY, "--as", "deposit", "--reason", "bank", "--db", book).status == 0
    store = SqliteStore.open(book, read_only=True)
    assert not any(store.account_balances(Account.SUSPENSE).values())
    store.close()
    told = run("ledger", "--json", "--db", book).json
    assert (told["suspense"], told["unexplained"]) == ({}, [])
    refused(run("ledger", "explain", SUSPENSE_ENTRY, "--as", "fee", "--reason", "x", "--db", book), "any more")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("orders", "cancel"), "--all"),
        (("orders", "cancel", "x", "--all"), "--all"),
        (("orders", "resolve", "x", "--reason", "y"), "--not-placed"),
        (("orders", "resolve", "x", "--placed", "1", "--not-placed", "--reason", "y"), "--not-placed"),
        (("orders", "resolve", "x", "--placed", "abc", "--reason", "y"), "number"),
        (("orders", "resolve", "x", "--not-placed"), "--reason"),
        (("orders", "resolve", "x", "--not-placed", "--reason", "  "), "why"),
        (("ledger", "explain", "x", "--as", "gift", "--reason", "y"), "gift"),
        (("position", "adopt", "BTCTRY", "1e3", "5"), "1e3"),
        (("position", "adopt", "BTCTRY", "0", "5"), "above zero"),
        (("position", "adopt", "BTC!", "1", "5"), "SYMBOL"),
        (("orders", "--limit", "9" * 20), "--limit"),
        (("cycles", "--limit", "9" * 20), "--limit"),
        (("ledger", "--entries", "9" * 20), "--entries"),
        (("run", "--cycle-seconds", "nan"), "--cycle-seconds"),
        (("run", "--loop", "--cycle-seconds", "inf"), "--cycle-seconds"),
        (("run", "--loop", "--jitter-seconds", "inf"), "--jitter-seconds"),
        (("run", "--jitter-seconds", "nan"), "--jitter-seconds"),
        (("resume",), "--reason"),
        (("resume", "--reason", "x"), "no database"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_wrong_call_is_one_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
    refused(run(*arguments), word)
    assert list(tmp_path.iterdir()) == []
