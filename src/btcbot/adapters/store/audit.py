"""Proves the books of a database from what is stored: each sentence that comes back is something that must not be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal

from btcbot.adapters.store.rows import Row
from btcbot.domain.money import ZERO, plain
from btcbot.domain.orders import IN_DOUBT, OPEN, OrderStatus

Rows = Callable[[str], list[Row]]

#: A dry run's order is closed at once and keeps its hold until its cycle ends.
_MAY_HOLD = OPEN | {OrderStatus.SIMULATED}


def findings(rows: Rows) -> Iterator[str]:
    """One sentence for each thing that is wrong with the books; nothing for sound ones."""
    try:
        yield from _entries(rows)
        yield from _fills(rows)
        yield from _holds(rows)
        yield from _positions(rows)
    except (ArithmeticError, TypeError, ValueError) as error:
        yield f"an amount cannot be read: {error!r}"
    yield from (f"rows of {table} are missing" for (table,) in rows("gaps"))
    yield from (f"venue order {venue_id} belongs to two of our orders" for (venue_id,) in rows("shared_venue_ids"))


def _entries(rows: Rows) -> Iterator[str]:
    """I4: every entry sums to zero for each asset, and the kept sums are the sums of postings."""
    per_entry: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    for entry_id, account, asset, amount in rows("all_postings"):
        if asset is None:
            yield f"entry {entry_id} has no postings"
            continue
        value = Decimal(amount)
        per_entry[entry_id][asset] += value
        sums[asset, account] += value
    for entry_id, by_asset in per_entry.items():
        for asset, rest in by_asset.items():
            if rest:
                yield f"entry {entry_id} does not sum to zero: {plain(rest)} {asset} is left"
    kept = {(asset, account): Decimal(balance) for asset, account, balance in rows("all_balances")}
    for asset, account in sorted(kept.keys() | sums.keys()):
        told, folded = kept.get((asset, account)), sums.get((asset, account))
        if told is None or folded is None or told != folded:
            yield (
                f"the kept balance of {account} in {asset} is {_or_none(told)}, its postings sum to {_or_none(folded)}"
            )


def _fills(rows: Rows) -> Iterator[str]:
    """I2: what an order says was filled is the sum of its fills."""
    filled: dict[str, Decimal] = {}
    booked: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for client_order_id, told, quantity in rows("filled_by_order"):
        filled[client_order_id] = Decimal(told)
        if quantity is not None:
            booked[client_order_id] += Decimal(quantity)
    for client_order_id, told in filled.items():
        if told != booked[client_order_id]:
            yield (
                f"order {client_order_id} says {plain(told)} is filled, "
                f"its fills sum to {plain(booked[client_order_id])}"
            )


def _holds(rows: Rows) -> Iterator[str]:
    """I10: an order in doubt has its hold, a closed one has none."""
    held = set()
    for client_order_id, amount, status in rows("statuses_of_holds"):
        held.add(client_order_id)
        if status not in _MAY_HOLD:
            yield f"{plain(Decimal(amount))} is held for order {client_order_id}, which is {status or 'unknown'}"
    for client_order_id, status in rows("statuses_of_orders"):
        if status in IN_DOUBT and client_order_id not in held:
            yield f"order {client_order_id} is {status} and has no hold"


def _positions(rows: Rows) -> Iterator[str]:
    """I14: nothing is sold that is not there."""
    for symbol, quantity, *_ in rows("positions"):
        if Decimal(quantity) < 0:
            yield f"the position of {symbol} is negative: {quantity}"


def _or_none(amount: Decimal | None) -> str:
    return "not kept" if amount is None else plain(amount)
