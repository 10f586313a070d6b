"""`btcbot freeze` and its `stage4-freeze-*` names: what they tell, and what a human's word does."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.unit.cli.books import FakeBot, Run, refused

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.cli import reading
from btcbot.decisions.freeze import FreezeRecord, Sighting, Unexplained, UnexplainedKind
from btcbot.services.freeze_record import ORDER_FREEZE, ORDER_FREEZE_ACKNOWLEDGED, ORDER_FREEZE_WATCH, encoded

STRANGER = Unexplained(
    key="venue:77", kind=UnexplainedKind.OTHER_BOOK, symbol="BTCTRY", detail="buy 0.001 at 990000, \x1b[31mred"
)
WATCHED = Unexplained(key="own:btcbot-test-3", kind=UnexplainedKind.MISSING, symbol="BTCTRY", detail="our buy")
STATUS = (("freeze", "status"), ("stage4-freeze-status",))
CLEAR = (("freeze", "clear"), ("stage4-freeze-clear",))


@pytest.fixture
def frozen(book: Path) -> Path:
    record = FreezeRecord(since_ms=reading.now_ms() - 90_000, cycle_id="c00000007", orders=(STRANGER,))
    watched = {order.key: Sighting(order=order, first_ms=5, since_ms=6, cycles=4) for order in (STRANGER, WATCHED)}
    store = SqliteStore.open(book)
    with store.transaction() as tx:
        tx.put_value(ORDER_FREEZE, encoded(record))
        tx.put_value(ORDER_FREEZE_WATCH, encoded(watched))
    store.close()
    return book


@pytest.mark.parametrize("command", STATUS)
def test_nothing_is_frozen(run: Run, book: Path, command: tuple[str, ...]) -> None:
    told = run(*command, "--json", "--db", book).json
    assert told == {
        "active": False, "reason": "", "since_ms": None, "age_s": None, "cycle_id": None, "orders": [], "watched": [],
        "acknowledged": [],
    }  # fmt: skip
    assert run(*command, "--db", book).out.startswith("frozen        no\n")


@pytest.mark.parametrize("command", STATUS)
def test_a_freeze_is_told_with_its_orders(run: Run, frozen: Path, command: tuple[str, ...]) -> None:
    told = run(*command, "--json", "--db", frozen).json
    assert told["active"] is True
    assert "other_book BTCTRY: buy 0.001 at 990000" in told["reason"]
    assert [order["key"] for order in told["orders"]] == ["venue:77"]
    assert [(one["order"]["key"], one["cycles"]) for one in told["watched"]] == [("own:btcbot-test-3", 4)]
    assert 90 <= told["age_s"] <= 120
    shown = run(*command, "--db", frozen)
    assert "btcbot freeze clear --yes" in shown.out
    assert "\x1b" not in shown.out


@pytest.mark.parametrize("command", STATUS)
def test_an_acknowledged_order_is_told_from_one_that_may_freeze(
    run: Run, frozen: Path, command: tuple[str, ...]
) -> None:
    """Both are still shown by the venue; only one of them can stop orders again."""
    assert run("freeze", "clear", "--yes", "--db", frozen).status == 0
    told = run(*command, "--json", "--db", frozen).json
    assert {one["order"]["key"]: one["acknowledged"] for one in told["watched"]} == {
        "venue:77": True,
        "own:btcbot-test-3": False,
    }
    lines = run(*command, "--db", frozen).out.splitlines()
    (stranger,) = [line for line in lines if line.lstrip().startswith("other_book")]
    (ours,) = [line for line in lines if line.lstrip().startswith("missing")]
    assert stranger.rstrip().endswith("yes, never freezes again")
    assert ours.split()[-1] == "no"


def test_the_orders_of_a_freeze_that_holds_are_not_acknowledged_yet(run: Run, frozen: Path) -> None:
    store = SqliteStore.open(frozen)
    with store.transaction() as tx:
        tx.put_value(ORDER_FREEZE_ACKNOWLEDGED, encoded(["venue:5"]))
    store.close()
    lines = run("freeze", "status", "--db", frozen).out.splitlines()
    (stranger,) = [line for line in lines if line.lstrip().startswith("other_book")]
    assert stranger.split()[-1] == "no"
    assert "acknowledged  1 order(s) that do not freeze again" in lines


@pytest.mark.parametrize("command", CLEAR)
def test_clearing_needs_a_yes_and_acknowledges_what_it_shows(run: Run, frozen: Path, command: tuple[str, ...]) -> None:
    refused(run(*command, "--db", frozen), "--yes", "BTCTRY")
    assert run("freeze", "status", "--json", "--db", frozen).json["active"] is True
    said = run(*command, "--yes", "--json", "--db", frozen)
    assert said.json == {"done": True, "text": "cleared; 1 order(s) acknowledged: venue:77", "by": "this command"}
    told = run("freeze", "status", "--json", "--db", frozen).json
    assert (told["active"], told["acknowledged"]) == (False, ["venue:77"])
    refused(run(*command, "--yes", "--db", frozen), "nothing is frozen")


def test_the_orders_are_shown_before_they_are_acknowledged(run: Run, frozen: Path) -> None:
    said = run("freeze", "clear", "--yes", "--db", frozen)
    assert "buy 0.001 at 990000" in said.out.split("cleared;")[0]


def test_a_running_bot_is_asked_and_told_what_was_seen(run: Run, frozen: Path) -> None:
    with FakeBot(frozen, answers=True) as bot:
        assert run("freeze", "clear", "--yes", "--json", "--db", frozen).json["done"] is True
    (asked,) = bot.requests
    assert (asked.kind, dict(asked.arguments)) == ("freeze_clear", {"orders": "venue:77"})


def test_a_freeze_that_cannot_be_read_is_told_and_can_be_cleared(run: Run, book: Path) -> None:
    store = SqliteStore.open(book)
    with store.transaction() as tx:
        tx.put_value(ORDER_FREEZE, "{damaged")
        tx.put_value(ORDER_FREEZE_WATCH, "{damaged")
    store.close()
    told = run("freeze", "status", "--json", "--db", book).json
    assert told["active"] is True
    assert "cannot be read" in told["reason"]
    assert run("freeze", "clear", "--yes", "--db", book).status == 0


def test_no_command_asks_the_exchange(run: Run, frozen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mistake 27."""

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a command opened a connection")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "create_connection", no_network)
    assert run("freeze", "status", "--db", frozen).status == 0
    assert run("freeze", "clear", "--yes", "--db", frozen).status == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("freeze",), "status or clear"),
        (("freeze", "cleer"), "did you mean «clear»?"),
        (("freeze", "foo"), "say status or clear"),
        (("budget", "rest"), "did you mean «reset»?"),
        (("degrade", "overide"), "did you mean «override»?"),
        (("canary", "lop"), "did you mean «loop»?"),
        (("db", "cuont"), "did you mean «count»?"),
        (("orders", "cancle"), "did you mean «cancel»?"),
        (("freeze", "status"), "no database"),
        (("stage4-freeze-clear", "--yes"), "no database"),
    ],
)
def test_a_wrong_call_is_one_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
    refused(run(*arguments), word)
    assert list(tmp_path.iterdir()) == []
