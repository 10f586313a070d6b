"""The witnesses see what is wrong: each is shown one thing that must not be, and says it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from btcbot.testing import witness
from btcbot.testing.chaos_proxy import Passed
from btcbot.testing.witness import Caps, Record

CAPS = Caps(per_order=Decimal(100), per_symbol=Decimal(150), in_all=Decimal(200), open_per_symbol=1)


def sent(stamp: int, client: str | None = None) -> Passed:
    return Passed(at_ms=0, method="POST", target="/api/v1/order", stamp=stamp, client_order_id=client, trouble=None)


def received(seq: int, stamp: int, client: str | None = None) -> dict[str, Any]:
    body = json.dumps({"newOrderClientId": client})
    return {"seq": seq, "method": "POST" if client else "GET", "stamp": str(stamp), "body": body}


def order(client: str, *, start: int = 0, end: int = 10, status: str = "Filled", worth: str = "50") -> dict[str, Any]:
    return {"id": start, "orderClientId": client, "price": worth, "amount": "1", "pairSymbol": "BTCTRY", "time": start,
            "updateTime": end, "status": status}  # fmt: skip


def fill(number: int, side: str, quantity: str, price: str = "100", symbol: str = "BTCTRY") -> dict[str, Any]:
    return {"id": number, "client_id": "btcbot-1", "symbol": symbol, "side": side, "quantity": quantity, "price": price}


def test_what_is_right_is_not_complained_of() -> None:
    assert witness.crooked_requests([sent(1, "a"), sent(2, "b")]) == []
    orders = [order("btcbot-a", start=0, end=10), order("btcbot-b", start=10, end=20), order("by-hand", worth="900")]
    assert witness.strange_orders(orders, {"btcbot-a": "i1", "btcbot-b": "i2"}) == []
    fills = [fill(1, "buy", "1"), fill(2, "sell", "1"), fill(3, "buy", "1.5"), fill(4, "buy", "0.5", symbol="ETHTRY")]
    assert witness.broken_caps(orders, fills, CAPS) == []


def test_an_order_sent_twice_and_a_stamp_that_does_not_rise() -> None:
    found = witness.crooked_requests([sent(5, "a"), sent(5, "b"), sent(6, "a")])
    assert found == ["I11: stamp 5 follows 5", "I1: a was sent 2 times"]


def test_the_same_in_pieces_and_a_gap_in_the_record() -> None:
    record = Record()
    record.add([received(1, 5, "a"), received(2, 6)])
    record.add([received(3, 4, "a"), received(9, 7)])
    assert record.posts == 2
    assert record.faults() == [
        "I11: stamp 4 follows 6",
        "I1: a was sent 2 times",
        "requests 4 to 8 were not kept by the venue",
    ]


def test_orders_that_nobody_knows_that_work_still_or_stand_twice() -> None:
    orders = [order("btcbot-a"), order("btcbot-b"), order("btcbot-c", status="Untouched")]
    found = witness.strange_orders(orders, {"btcbot-a": "same", "btcbot-b": "same"})
    assert [line.split(":")[0] for line in found] == ["I7", "I7", "I1"]


@pytest.mark.parametrize(
    ("orders", "fills", "word"),
    [
        ([order("btcbot-a", worth="101")], [], "is worth 101"),
        ([order("btcbot-a", start=0, end=10), order("btcbot-b", start=9, end=20)], [], "worked at once"),
        ([], [fill(1, "buy", "1"), fill(2, "buy", "0.6")], "lie in BTCTRY"),
        ([], [fill(1, "buy", "1.4"), fill(2, "buy", "0.7", symbol="ETHTRY")], "lie in all pairs"),
        ([], [fill(1, "buy", "1"), fill(2, "sell", "1.1")], "sold short by 0.1"),
    ],
)
def test_each_cap_as_the_venue_sees_it(orders: list[Any], fills: list[Any], word: str) -> None:
    [found] = witness.broken_caps(orders, fills, CAPS)
    assert word in found
