"""A small life of a bot, booked by the product's own functions, for reports to be made of.

life = Life().open("1000"); life.buy("2", "100"); life.cycle(bid="101")
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from tests.builders import RATES, a_trade, a_transfer, an_account, an_order, base_of, client_id

from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.decisions import booking
from btcbot.domain import money
from btcbot.domain.book import BookIdentity
from btcbot.domain.cycles import CycleOutcome, CycleReport, Verdict
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account
from btcbot.domain.orders import OrderStatus
from btcbot.services import values

#: 7 November 2026, 12:00 in Istanbul.
NOON_MS = 1_794_042_000_000
HOUR_MS = 3_600_000


class Life:
    """Time stands still but for `wait`. Each trade has an order of its own, made in the cycle that was told last."""

    def __init__(self, store: SqliteStore | None = None, at_ms: int = NOON_MS) -> None:
        self.store = store or SqliteStore.in_memory()
        self.at_ms = at_ms
        self.number = 0
        self.trades = 0
        self.bids: dict[str, Decimal] = {}
        with self.store.transaction() as tx:
            tx.put_identity(
                BookIdentity(book_id="life", mode="live", venue_host="x", key_fingerprint=None, created_at_ms=at_ms)
            )

    def open(self, cash: str) -> Life:
        with self.store.transaction() as tx:
            for entry in booking.book_opening(an_account(TRY=cash), self.at_ms):
                tx.insert_entry(entry)
        return self

    def wait(self, hours: float) -> Life:
        self.at_ms += int(hours * HOUR_MS)
        return self

    def buy(self, quantity: str, price: str, **more: Any) -> Life:
        return self._trade(Side.BUY, quantity, price, **more)

    def sell(self, quantity: str, price: str, **more: Any) -> Life:
        return self._trade(Side.SELL, quantity, price, **more)

    def _trade(
        self, side: Side, quantity: str, price: str, symbol: str = "ADATRY", fee: str = "0", tax: str = "0",
        strategy: str = "example",
    ) -> Life:  # fmt: skip
        self.trades += 1
        number = self.trades
        order = an_order(
            number, price, quantity, symbol=symbol, side=side, strategy=strategy, created_at_ms=self.at_ms,
            cycle_id=f"c{self.number:08d}",
        )  # fmt: skip
        trade = a_trade(
            number, side, quantity, price, fee, tax, symbol=symbol, base=base_of(symbol), at_ms=self.at_ms,
            venue_order_id=f"v{number}", client_order_id=client_id(number),
        )  # fmt: skip
        done = booking.book_fill(trade, order, self.store.positions().get(symbol), RATES, self.at_ms)
        with self.store.transaction() as tx:
            tx.insert_order(order)
            tx.insert_fill(done.fill)
            tx.insert_entry(done.entry)
            tx.update_order(done.order)
            tx.put_position(done.position)
        return self

    def order(self, status: OrderStatus, number: int) -> Life:
        """One more order without a trade."""
        with self.store.transaction() as tx:
            tx.insert_order(an_order(number, status=status, created_at_ms=self.at_ms))
        return self

    def transfer(self, amount: str, number: int = 1) -> Life:
        """A deposit above zero, a withdrawal below, booked now."""
        moved = msgspec.structs.replace(a_transfer(amount, number=number), at_ms=self.at_ms)
        (entry,) = booking.match_transfers("TRY", Decimal(amount), [moved])
        with self.store.transaction() as tx:
            tx.insert_entry(entry)
        return self

    def adopt(self, quantity: str, cost: str) -> Life:
        entry, position = booking.book_adoption(
            f"adopt:{self.at_ms}", self.store.positions().get("ADATRY"), "ADATRY", "ADA", Decimal(quantity),
            Decimal(cost), self.at_ms,
        )  # fmt: skip
        with self.store.transaction() as tx:
            tx.insert_entry(entry)
            tx.put_position(position)
        return self

    def release(self, quantity: str) -> Life:
        entry, position = booking.book_release(
            f"release:{self.at_ms}", self.store.positions()["ADATRY"], "ADA", Decimal(quantity), "sold", self.at_ms
        )
        with self.store.transaction() as tx:
            tx.insert_entry(entry)
            tx.put_position(position)
        return self

    def cycle(
        self,
        bid: str | None = None,
        ask: str | None = None,
        symbol: str = "ADATRY",
        refused: tuple[str, ...] = (),
        balance_off: str = "0",
        **changes: Any,
    ) -> Life:
        """A cycle as the bot would report it: the venue's balance is that of the books, unless it is off."""
        self.number += 1
        quotes = {}
        if bid is not None:
            self.bids[symbol] = Decimal(bid)
            quotes = {symbol: (Decimal(bid), Decimal(ask or bid))}
        positions = self.store.positions().values()
        cash = self.store.account_balances(Account.VENUE).get("TRY", money.ZERO) + Decimal(balance_off)
        worth = money.total(p.quantity * self.bids[p.symbol] for p in positions if p.quantity)
        report = CycleReport(
            cycle_id=f"c{self.number:08d}",
            number=self.number,
            mode="live",
            profile="run",
            outcome=CycleOutcome.COMPLETED,
            reasons=(),
            started_at_ms=self.at_ms,
            ended_at_ms=self.at_ms + 100,
            counts={"intents": len(refused)},
            gates={"kill_switch": True},
            quotes=quotes,
            equity_try=cash + worth,
            realized_pnl_try=money.total(p.realized_pnl for p in positions),
            unrealized_pnl_try=money.total(p.unrealized_pnl(self.bids[p.symbol]) for p in positions if p.quantity),
        )
        with self.store.transaction() as tx:
            for number, code in enumerate(refused):
                tx.insert_verdict(
                    Verdict(
                        cycle_id=report.cycle_id, intent_id=f"i{number}", symbol=symbol, side=Side.BUY,
                        price=Decimal(1), quantity=Decimal(1), allowed=code == "allowed", code=code, detail="",
                        at_ms=self.at_ms,
                    )
                )  # fmt: skip
            tx.insert_cycle(msgspec.structs.replace(report, **changes))
            tx.put_value(values.MARKS, msgspec.json.encode(self.bids).decode())
        return self
