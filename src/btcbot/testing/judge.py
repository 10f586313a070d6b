"""The judge: are the books of a bot equal to what the venue holds, to the last digit, and was nothing doubled?

Our side is read from the database file alone, the venue's side from the simulator's control interface, after the bot
has stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, EntryKind
from btcbot.domain.money import plain
from btcbot.domain.orders import IN_DOUBT, OrderStatus
from btcbot.ports import StateStore

#: Kinds of entries that explain a balance by something that happened; the others are admissions of not knowing.
#: Reports that are read: more than any demo makes.
CYCLES_MAX = 100_000
EXPLAINED = (EntryKind.OPENING, EntryKind.FILL, EntryKind.TRANSFER, EntryKind.FOREIGN)


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """`difference` is books minus venue for each asset of either; all zero is what we promise.

    `quotes` are those that cycles decided on; `woken_cycles` those that the feed woke and that came to an order.
    """

    orders: int
    fills: int
    venue_fills: int
    doubled_orders: tuple[str, ...]
    symbols: Mapping[str, Mapping[str, int]]
    difference: Mapping[str, Decimal]
    suspense: Mapping[str, Decimal]
    in_doubt: tuple[str, ...]
    adjustments: int
    openings_doubled: bool
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    foreign_trades: int
    cycles: int
    woken_cycles: int
    quotes: int
    quotes_from_feed: int

    @property
    def faults(self) -> list[str]:
        """What is wrong, one line each; empty is a pass."""
        found = [
            f"books and venue differ by {plain(amount)} {asset}" for asset, amount in self.difference.items() if amount
        ]
        found += [f"{plain(amount)} {asset} lies in suspense" for asset, amount in self.suspense.items() if amount]
        found += [f"order {order} is still in doubt" for order in self.in_doubt]
        found += [f"order {order} stands twice at the venue" for order in self.doubled_orders]
        if self.fills != self.venue_fills:
            found.append(f"the books have {self.fills} fills, the venue has {self.venue_fills}")
        if self.adjustments:
            found.append(f"{self.adjustments} entries adjust the books without an explanation")
        if self.openings_doubled:
            found.append("an opening balance was booked twice")
        return found

    @property
    def both_sides_filled(self) -> bool:
        sides = Counter[str]()
        for counts in self.symbols.values():
            sides.update(counts)
        return sides["buys"] > 0 and sides["sells"] > 0


def judge(store: StateStore, venue_account: Mapping[str, Any], bids: Mapping[str, Decimal]) -> Judgement:
    """Compare the database with one account of the simulator's `/state`."""
    entries = store.entries()
    books: dict[str, Decimal] = {}
    for entry in entries:
        if entry.kind in EXPLAINED:
            for posting in entry.postings:
                if posting.account is Account.VENUE:
                    books[posting.asset] = books.get(posting.asset, money.ZERO) + posting.amount
    venue = {asset: Decimal(row["free"]) + Decimal(row["locked"]) for asset, row in venue_account["balances"].items()}
    symbols: dict[str, dict[str, int]] = {}
    fills = store.fills()
    for fill in fills:
        counts = symbols.setdefault(fill.symbol, {"buys": 0, "sells": 0})
        counts["buys" if fill.side is Side.BUY else "sells"] += 1
    ours = {fill.trade_id for fill in fills}
    listed = [row for row in venue_account["fills"] if _is_own(row["client_id"])]
    clients = Counter(row["orderClientId"] for row in venue_account["orders"] if _is_own(row["orderClientId"]))
    positions = store.positions().values()
    cycles = store.cycles(CYCLES_MAX)
    openings = [entry.entry_id for entry in entries if entry.kind is EntryKind.OPENING]
    return Judgement(
        orders=store.order_count(),
        fills=len(ours),
        venue_fills=len(listed),
        doubled_orders=tuple(sorted(client for client, count in clients.items() if count > 1)),
        symbols=symbols,
        difference={
            asset: books.get(asset, money.ZERO) - venue.get(asset, money.ZERO) for asset in sorted({*books, *venue})
        },
        suspense={asset: amount for asset, amount in store.account_balances(Account.SUSPENSE).items() if amount},
        in_doubt=tuple(order.client_order_id for order in store.orders(tuple(IN_DOUBT))),
        adjustments=sum(entry.kind in {EntryKind.SUSPENSE, EntryKind.EXPLANATION} for entry in entries),
        openings_doubled=len(openings) != len(set(openings)),
        realized_pnl=money.total(position.realized_pnl for position in positions),
        unrealized_pnl=money.total(
            position.unrealized_pnl(bids[position.symbol])
            for position in positions
            if position.quantity and position.symbol in bids
        ),
        fees=money.total(fill.fee + fill.tax for fill in fills),
        foreign_trades=sum(entry.kind is EntryKind.FOREIGN for entry in entries),
        cycles=len(cycles),
        woken_cycles=sum(report.counts.get("woken_by_feed", 0) for report in cycles),
        quotes=sum(len(report.quotes) for report in cycles),
        quotes_from_feed=sum(report.counts.get("quotes_from_feed", 0) for report in cycles),
    )


def _is_own(client_order_id: str | None) -> bool:
    return (client_order_id or "").startswith("btcbot-")


def is_settled(store: StateStore) -> bool:
    """No order is open or in doubt, and no difference is being watched: nothing more will change by itself."""
    open_statuses = (*IN_DOUBT, OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_CANCEL)
    return not store.orders(open_statuses) and not store.discrepancies()
