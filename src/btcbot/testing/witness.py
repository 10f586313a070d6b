"""Witnesses of what bots really did: the venue's records and the network's, read after the bots are gone.

Each function gives what is wrong, one line each; an empty list is a pass. Nothing in here reads a bot's database or its
log, except for the names of the orders that the database claims.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from btcbot.domain import money
from btcbot.testing.chaos_proxy import Passed

_PREFIX: Final = "btcbot-"
_OPEN: Final = frozenset({"Untouched", "Partial"})


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that the venue's records are held against, in TRY; zero for `per_order` means no such limit."""

    per_order: Decimal
    per_symbol: Decimal
    in_all: Decimal
    open_per_symbol: int


class Record:
    """Requests as the venue received them, read piece by piece: a long run makes more than the venue keeps."""

    def __init__(self) -> None:
        self.seen = 0
        self.requests = 0
        self._clients: Counter[str] = Counter()
        self._last_stamp = 0
        self._found: list[str] = []

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """The next rows of the control interface's `/requests`, oldest first, none left out."""
        for row in rows:
            if int(row["seq"]) != self.seen + 1:
                self._found.append(f"requests {self.seen + 1} to {int(row['seq']) - 1} were not kept by the venue")
            self.seen = int(row["seq"])
            self.requests += 1
            if row["stamp"]:
                stamp = int(row["stamp"])
                if stamp <= self._last_stamp:
                    self._found.append(f"I11: stamp {stamp} follows {self._last_stamp}")
                self._last_stamp = stamp
            if row["method"] == "POST":
                client = str(json.loads(row["body"])["newOrderClientId"])
                self._clients[client] += 1
                if self._clients[client] > 1:
                    self._found.append(f"I1: {client} was sent {self._clients[client]} times")

    @property
    def posts(self) -> int:
        """New orders that were sent."""
        return self._clients.total()

    def faults(self) -> list[str]:
        return list(self._found)


def crooked_requests(passed: Iterable[Passed]) -> list[str]:
    """I1 and I11 on the bot's side of a network that may repeat, delay and swallow."""
    found: list[str] = []
    clients: Counter[str] = Counter()
    last_stamp = 0
    for one in passed:
        if one.client_order_id is not None:
            clients[one.client_order_id] += 1
        if one.stamp is not None:
            if one.stamp <= last_stamp:
                found.append(f"I11: stamp {one.stamp} follows {last_stamp}")
            last_stamp = one.stamp
    return found + [f"I1: {client} was sent {count} times" for client, count in clients.items() if count > 1]


def strange_orders(orders: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> list[str]:
    """I1, I7: orders at the venue that the books do not know, intents that stand twice, orders that still work.

    `known` gives the intent of each client order id in the books.
    """
    ours = [row for row in orders if str(row["orderClientId"]).startswith(_PREFIX)]
    found = [
        f"I7: venue order {row['id']} ({row['orderClientId']}) is in no book"
        for row in ours
        if row["orderClientId"] not in known
    ]
    found += [f"I7: venue order {row['id']} still works" for row in ours if row["status"] in _OPEN]
    intents = Counter(known[row["orderClientId"]] for row in ours if row["orderClientId"] in known)
    return found + [f"I1: intent {intent} stands {count} times" for intent, count in intents.items() if count > 1]


def broken_caps(orders: Sequence[Mapping[str, Any]], fills: Sequence[Mapping[str, Any]], caps: Caps) -> list[str]:
    """I5 as seen at the venue: value of an order, orders of a pair open at once, and what is invested by fills.

    Cost is counted without fees, so it is never more than what the bot counts: the check errs to the bot's favour by
    the fees, and by nothing else.
    """
    found: list[str] = []
    events: list[tuple[int, int, str]] = []
    for row in orders:
        if not str(row["orderClientId"]).startswith(_PREFIX):
            continue
        value = Decimal(row["price"]) * Decimal(row["amount"])
        if caps.per_order and value > caps.per_order:
            found.append(f"I5: order {row['orderClientId']} is worth {value}, at most {caps.per_order}")
        events.append((int(row["time"]), 1, str(row["pairSymbol"])))
        if row["status"] not in _OPEN:
            events.append((int(row["updateTime"]), -1, str(row["pairSymbol"])))
    working: Counter[str] = Counter()
    for _, change, symbol in sorted(events):  # within one millisecond what ends goes first
        working[symbol] += change
        if working[symbol] > caps.open_per_symbol:
            found.append(f"I5: {working[symbol]} orders of {symbol} worked at once, at most {caps.open_per_symbol}")
    return found + _overspent(fills, caps)


def _overspent(fills: Sequence[Mapping[str, Any]], caps: Caps) -> list[str]:
    found: list[str] = []
    quantities: dict[str, Decimal] = {}
    costs: dict[str, Decimal] = {}
    for row in sorted(fills, key=lambda one: int(one["id"])):
        if not str(row["client_id"]).startswith(_PREFIX):
            continue
        symbol, quantity = str(row["symbol"]), Decimal(row["quantity"])
        held, cost = quantities.get(symbol, money.ZERO), costs.get(symbol, money.ZERO)
        if row["side"] == "buy":
            cost += quantity * Decimal(row["price"])
            held += quantity
            if cost > caps.per_symbol:
                found.append(f"I5: {cost} lie in {symbol}, at most {caps.per_symbol}")
        else:
            left = held - quantity
            if left < 0:
                found.append(f"I14: {symbol} was sold short by {-left}")
            # Rounded down: cost that is too low can only let an order pass.
            cost = money.divide_down(cost * left, held, 12) if left > 0 else money.ZERO
            held = left
        quantities[symbol], costs[symbol] = held, cost
        invested = money.total(costs.values())
        if row["side"] == "buy" and invested > caps.in_all:
            found.append(f"I5: {invested} lie in all pairs, at most {caps.in_all}")
    return found
