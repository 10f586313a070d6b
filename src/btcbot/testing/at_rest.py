"""The judge of a rig: what is wrong with books and venue once everything has come to rest, one line for each fault.

It reads both sides from within, the store and the engine, and is the same for every story.
"""

from __future__ import annotations

import itertools
from collections import Counter
from decimal import Decimal

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.domain import money
from btcbot.domain.ledger import Account
from btcbot.domain.money import plain
from btcbot.domain.orders import OPEN, Order, book_of
from btcbot.testing.venue import Venue


def faults(store: SqliteStore, venue: Venue) -> list[str]:
    """What is wrong now that everything has come to rest, one line each; empty is a pass."""
    return [*crooked_money(store, venue), *crooked_orders(store, venue), *crooked_stamps(venue), *store.verify()]


def crooked_money(store: SqliteStore, venue: Venue) -> list[str]:
    """I2, I3, I10: books equal venue, every fill once, no hold without an open order."""
    totals = venue.totals()
    books = store.account_balances(Account.VENUE)
    found = [
        f"books have {plain(books.get(asset, money.ZERO))} {asset}, the venue {plain(totals.get(asset, money.ZERO))}"
        for asset in sorted({*books, *totals})
        if books.get(asset, money.ZERO) != totals.get(asset, money.ZERO)
    ]
    suspense = store.account_balances(Account.SUSPENSE)
    found += [f"{plain(amount)} {asset} lies in suspense" for asset, amount in suspense.items() if amount]
    executed = Counter(str(row["id"]) for row in venue.state()["fills"] if _is_of_book(store, row["client_id"]))
    booked = Counter(fill.trade_id for fill in store.fills())
    found += [f"trade {trade} is not booked" for trade in executed - booked]
    found += [f"fill {trade} never happened, or was booked twice" for trade in booked - executed]
    held, is_open = set(store.holds()), {order.client_order_id for order in store.orders(tuple(OPEN))}
    found += [f"{order} has a hold and is closed" for order in held - is_open]
    found += [f"{order} is open and has no hold" for order in is_open - held]
    return found


def crooked_orders(store: SqliteStore, venue: Venue) -> list[str]:
    """I1, I7, I9: nothing sent twice, one order at the venue per intent, and both sides agree on each."""
    rows = [row for row in venue.orders() if _is_of_book(store, row["orderClientId"])]
    found = [f"{client} was sent {n} times" for client, n in venue.posts_by_client().items() if n > 1]
    ours = {order.client_order_id: order for order in orders_of(store)}
    intents = Counter(ours[row["orderClientId"]].intent_id for row in rows if row["orderClientId"] in ours)
    found += [f"intent {intent} stands {n} times at the venue" for intent, n in intents.items() if n > 1]
    found += [f"{order.client_order_id} is still {order.status}" for order in ours.values() if order.is_in_doubt]
    # By both ids: a venue may give the id of an order that ended to another one.
    by_ids = {(str(row["id"]), row["orderClientId"]): row for row in rows}
    found += [f"venue order {i} is in no book" for i, client in by_ids if client not in ours]
    for order in ours.values():
        row = by_ids.pop((order.venue_order_id or "", order.client_order_id), None)
        if row is None:
            if order.venue_order_id is not None or order.filled_quantity:
                found.append(f"{order.client_order_id} is {order.status} and the venue has no such order")
            continue
        is_open = row["status"] in {"Untouched", "Partial"}
        if is_open is not order.is_open or Decimal(row["filled"]) != order.filled_quantity:
            found.append(
                f"{order.client_order_id} is {order.status} with {plain(order.filled_quantity)} filled, "
                f"at the venue {row['status']} with {row['filled']}"
            )
    return found


def crooked_stamps(venue: Venue) -> list[str]:
    """I11: stamps of a key rise for ever, whatever became of the process and its clock."""
    sent = venue.transport.stamps
    return [f"stamp {b} follows {a}" for a, b in itertools.pairwise(sent) if b <= a]


def orders_of(store: SqliteStore) -> list[Order]:
    """The orders of the books, oldest first."""
    return list(reversed(store.recent_orders(1_000)))


def _is_of_book(store: SqliteStore, client_order_id: str | None) -> bool:
    identity = store.identity()
    return identity is not None and client_order_id is not None and book_of(client_order_id) == identity.book_id
