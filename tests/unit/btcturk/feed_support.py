"""Frames as BtcTurk sends them, a conversation that a test holds with the protocol, and what it asked to be done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.unit.btcturk.support import NOW_MS, signer

from btcbot.adapters.btcturk.feed_actions import Action, Close, FeedTiming, Note, Send
from btcbot.adapters.btcturk.feed_protocol import FeedProtocol
from btcbot.domain.feed import FeedView

#: Rows of a book: (price, amount); of a change: (kind, price, amount).
Rows = Sequence[tuple[str, str]]
Changes = Sequence[tuple[int, str, str]]

ASKS: Rows = (("101", "1"), ("102", "2"), ("103", "3"))
BIDS: Rows = (("100", "1"), ("99", "2"), ("98", "3"))


def frame(number: int, body: dict[str, Any]) -> bytes:
    return json.dumps([number, {**body, "type": number}], separators=(",", ":")).encode()


def snapshot(symbol: str, sequence: int, asks: Rows = ASKS, bids: Rows = BIDS, channel: str = "obdiff") -> bytes:
    body = {
        "CS": sequence,
        "PS": symbol,
        "AO": [{"A": amount, "P": price} for price, amount in asks],
        "BO": [{"A": amount, "P": price} for price, amount in bids],
        "channel": channel,
        "event": symbol,
    }
    return frame(431, body)


def diff(symbol: str, sequence: int, asks: Changes = (), bids: Changes = ()) -> bytes:
    body = {
        "CS": sequence,
        "PS": symbol,
        "AO": [{"CP": kind, "P": price, "A": amount} for kind, price, amount in asks],
        "BO": [{"CP": kind, "P": price, "A": amount} for kind, price, amount in bids],
        "channel": "obdiff",
        "event": symbol,
    }
    return frame(432, body)


def answer(words: str, *, ok: bool = True) -> bytes:
    return frame(100, {"ok": ok, "message": words})


def login_answer(*, ok: bool = True, message: str | None = None) -> bytes:
    return frame(114, {"id": 5869906, "ok": ok, "message": message})


def trade_row(number: int, price: str = "101") -> dict[str, object]:
    return {"D": str(NOW_MS + number), "I": str(10**17 + number), "A": "0.0100000000", "P": price, "S": number % 2}


def trades(symbol: str, numbers: Sequence[int]) -> bytes:
    rows = [trade_row(number) for number in numbers]
    return frame(421, {"symbol": symbol, "items": rows, "channel": "trade", "event": symbol})


def one_trade(symbol: str, number: int) -> bytes:
    return frame(422, {**trade_row(number), "PS": symbol, "channel": "trade", "event": symbol})


def match(order_id: int = 7968322274, symbol: str = "BTCTRY", client_id: str = "btcbot-test-19a-1") -> bytes:
    body = {"id": order_id, "user": 1, "isBid": False, "method": 0, "pair": 1, "symbol": symbol}
    return frame(441, {**body, "amount": "0.5", "price": "101", "clientId": client_id})


def fill(trade_id: int = 1149163839863900657, order_id: int = 25327923517) -> bytes:
    body = {"id": trade_id, "orderId": order_id, "timestamp": NOW_MS, "orderType": "sell", "price": "101"}
    pair = {"numeratorSymbol": "BTC", "denominatorSymbol": "TRY", "orderClientId": "btcbot-test-19a-1"}
    return json.dumps([423, {**body, **pair, "amount": "-0.5"}]).encode()  # as recorded: no type within


WELCOME = frame(991, {"current": "6.0.0", "min": "2.3.0"})


def sent(actions: Sequence[Action]) -> list[str]:
    """What goes to the venue, in short words: `join obdiff:BTCTRY`, `login`."""
    words = []
    for action in actions:
        if isinstance(action, Send):
            number, body = json.loads(action.text)
            if number == 114:
                words.append("login")
            else:
                assert number == 151
                words.append(f"{'join' if body['join'] else 'leave'} {body['channel']}:{body['event']}")
    return words


def noted(actions: Sequence[Action]) -> list[str]:
    return [action.event for action in actions if isinstance(action, Note)]


def closed(actions: Sequence[Action]) -> list[str]:
    return [action.why for action in actions if isinstance(action, Close)]


class Talk:
    """A conversation in a test's own time: begins at second 1,000, and moves on by `after`."""

    def __init__(self, *symbols: str, has_key: bool = False, timing: FeedTiming | None = None) -> None:
        self.now_ms = 1_000_000
        self.protocol = FeedProtocol(
            symbols or ("BTCTRY",),
            wall_ms=lambda: NOW_MS,
            signer=signer() if has_key else None,
            timing=timing,
        )

    def after(self, ms: int) -> Talk:
        self.now_ms += ms
        return self

    def connect(self) -> list[Action]:
        return self.protocol.connected(self.now_ms)

    def hear(self, *frames: bytes | str) -> list[Action]:
        actions: list[Action] = []
        for data in frames:
            actions += self.protocol.receive(data, self.now_ms)
        return actions

    def tick(self) -> list[Action]:
        return self.protocol.tick(self.now_ms)

    def lose(self, why: str = "the connection was lost") -> list[Action]:
        return self.protocol.disconnected(why, self.now_ms)

    def view(self) -> FeedView:
        return self.protocol.view(self.now_ms)

    def best(self, symbol: str = "BTCTRY") -> tuple[str, str] | None:
        """Best bid and ask as shown, None where no book is."""
        book = self.view().books.get(symbol)
        return (str(book.top.bid), str(book.top.ask)) if book else None

    def pass_quietly(self, ms: int, step_ms: int = 100) -> list[Action]:
        """Time in which the line lives and nothing is said; what became due in it."""
        actions: list[Action] = []
        for _ in range(ms // step_ms):
            self.now_ms += step_ms
            actions += self.protocol.alive(self.now_ms)
            actions += self.protocol.tick(self.now_ms)
        return actions

    def count(self, word: str, label: str) -> int:
        """What was counted since the last time it was asked; asking forgets all else."""
        return self.protocol.take_counts()[word, label]
