"""`btcbot replacements`: what lies there, and the way out when it cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tests.unit.cli.books import FakeBot, Run, order, refused

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain import replacements
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order, OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.replacements import OPEN_REPLACEMENTS, Replacement
from btcbot.errors import Refused
from btcbot.services import replacement_record

REASON = "compared with the venue's page, none is open"
CLEAR = ("replacements", "clear", "--yes", "--reason", REASON)
MAKES_ROOM = Replacement(
    old_client_order_id="btcbot-test-2",
    symbol="BTCTRY",
    side=Side.BUY,
    strategy="profit_v1",
    price=Decimal("4000100"),
    quantity=Decimal("0.0002"),
    filled_before=Decimal(0),
    why="cheaper now",
    reason=ReasonCode.REPLACED_DRIFTED,
    begun_at_ms=1_000,
)
DAMAGED = '[{"old_client_order_id":"btcbot-test-2","symb'


def put(path: Path, text: str, change: Callable[[Order], Order] = lambda one: one) -> None:
    """The list as it lies there, and what became of the orders of the book meanwhile."""
    store = SqliteStore.open(path)
    with store.transaction() as tx:
        tx.put_value(OPEN_REPLACEMENTS, text)
        for number in (2, 3, 4):
            kept = store.order(f"btcbot-test-{number}")
            assert kept is not None
            if (after := change(kept)) != kept:
                tx.update_order(after)
    store.close()


def closed(one: Order) -> Order:
    return msgspec.structs.replace(one, status=OrderStatus.CANCELED)


def test_open_replacements_are_told(run: Run, book: Path) -> None:
    put(book, replacements.written([MAKES_ROOM]))
    told = run("replacements", "status", "--json", "--db", book).json
    assert (told["readable"], [one["old_client_order_id"] for one in told["open"]]) == (True, ["btcbot-test-2"])
    assert "CANCELING" in run("replacements", "status", "--db", book).out


def test_a_list_that_can_be_read_is_left_to_the_bot(run: Run, book: Path) -> None:
    refused(run(*CLEAR, "--db", book), "none lies there", "nothing to clear")
    put(book, replacements.written([MAKES_ROOM]))
    refused(run(*CLEAR, "--db", book), "can be read", "nothing to clear")


def test_a_list_that_cannot_be_read_is_shown_and_put_aside_with_its_reason(run: Run, book: Path) -> None:
    """It halted the bot at each start, and no command cleared it."""
    put(book, DAMAGED, closed)
    told = run("replacements", "status", "--json", "--db", book).json
    assert (told["readable"], told["text"], told["orders_in_the_way"]) == (False, DAMAGED, [])
    shown = run("replacements", "status", "--db", book).out
    assert DAMAGED in shown
    assert "btcbot replacements clear --yes" in shown
    refused(run("replacements", "clear", "--reason", REASON, "--db", book), "look at it", "--yes")
    said = run(*CLEAR, "--db", book)
    assert (said.status, "btcbot resume" in said.out) == (0, True), said
    after = run("replacements", "status", "--json", "--db", book).json
    assert (after["readable"], after["open"]) == (True, [])
    ((aside),) = after["put_aside"]
    assert (aside["reason"], aside["text"]) == (REASON, DAMAGED)


@pytest.mark.parametrize("which", ["asked to go", "takes the place of another", "still named in the text"])
def test_nothing_is_cleared_while_an_order_that_it_may_be_about_is_open(run: Run, book: Path, which: str) -> None:
    """Whatever is left of the list: the books know each order that one could be about."""
    asked = {"btcbot-test-2": {"cancel_requested_at_ms": 5_000}} if which == "asked to go" else {}
    text = DAMAGED if which == "still named in the text" else "\x00\x1b[31m"
    put(book, text, lambda one: msgspec.structs.replace(one, **asked.get(one.client_order_id, {})))
    if which == "takes the place of another":
        store = SqliteStore.open(book)
        with store.transaction() as tx:
            tx.insert_order(order(5, OrderStatus.UNKNOWN, intent_id="replace:btcbot-test-1"))
        store.close()
    name = "btcbot-test-5" if which == "takes the place of another" else "btcbot-test-2"
    told = run("replacements", "status", "--json", "--db", book).json
    assert [one["client_order_id"] for one in told["orders_in_the_way"]] == [name]
    shown = run("replacements", "status", "--db", book).out
    assert "btcbot orders resolve ID --closed" in shown
    assert "\x1b" not in shown, "a terminal obeys nothing that lies there"
    refused(run(*CLEAR, "--db", book), name, "orders resolve")
    assert run("replacements", "status", "--json", "--db", book).json["readable"] is False


def test_another_list_than_the_one_that_was_shown_is_not_cleared(run: Run, book: Path) -> None:
    put(book, DAMAGED, closed)
    store = SqliteStore.open(book)
    seen = replacement_record.read_kept(store).sha256
    with store.transaction() as tx:
        tx.put_value(OPEN_REPLACEMENTS, "{other")
    with pytest.raises(Refused, match="another list"):
        replacement_record.clear(store, 1, seen, REASON)
    store.close()


def test_a_running_bot_is_asked(run: Run, book: Path) -> None:
    put(book, DAMAGED, closed)
    with FakeBot(book, answers=True) as bot:
        assert run(*CLEAR, "--json", "--db", book).json["done"] is True
    (asked,) = bot.requests
    assert (asked.kind, asked.arguments["reason"], len(asked.arguments["shown"])) == ("replacements_clear", REASON, 64)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("replacements",), "status or clear"),
        (("replacements", "clear", "--yes"), "--reason"),
        (("replacements", "status", "--db", "none.db"), "no database"),
    ],
)
def test_a_wrong_call_is_one_line(run: Run, arguments: tuple[str, ...], word: str) -> None:
    refused(run(*arguments), word)
