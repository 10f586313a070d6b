"""I2, I3, I4, I16, I20: the books say what happened, all of it, once, and of nobody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from btcbot.testing.checkers.scene import ZERO, Invariant, Scene, Sent, Written, is_ours
from btcturk_sim.money import exact
from btcturk_sim.orders import Side

_BALANCES: Final = "SELECT asset, account, balance FROM account_balances WHERE account IN ('venue', 'suspense')"
_BALANCES_OF: Final = "SELECT account, balance FROM account_balances WHERE asset = ?"
_FILLED: Final = "SELECT client_order_id, filled_quantity FROM orders"
_UNPROVED: Final = """
    SELECT orders.client_order_id FROM orders LEFT JOIN verdicts
    ON verdicts.intent_id = orders.intent_id AND verdicts.cycle_id = orders.cycle_id AND verdicts.allowed = 1
    WHERE verdicts.intent_id IS NULL AND orders.strategy != 'adopted' LIMIT 1"""
_LAST_CYCLE: Final = "SELECT number, outcome, counts FROM cycles ORDER BY sequence DESC LIMIT 1"
_PARTS_OF_A_FILL: Final = frozenset(("insert_entry", "update_order", "put_position"))
#: After so many cycles without any trouble every trade has found its book.
CALM_CYCLES: Final = 8
_AMOUNTS: Final = ("quantity", "price", "fee", "tax")
#: Of the last cycle that left a record: its number, its outcome, its counts as they are written.
_Told = tuple[int, str, str]


def goes_into_suspense(unit: Sequence[tuple[str, Mapping[str, Any]]]) -> bool:
    return any(statement == "insert_entry" and row["entry_id"].startswith("suspense:") for statement, row in unit)


class _NothingLeftOut(Invariant):
    """Trades that the venue told long ago are booked: when all was calm, and before anything goes into suspense."""

    #: Whose trades: those of orders with our prefix, or those of other hands.
    of_ours: bool

    def unit_committed(self, unit: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        if goes_into_suspense(unit):
            self._look()

    def cycle_ended(self) -> None:
        if self.scene.calm_cycles > CALM_CYCLES:
            self._look()

    def _look(self) -> None:
        for fill in self.scene.not_booked():
            if is_ours(fill.client_id) is self.of_ours:
                whose = fill.client_id if self.of_ours else "other hands"
                self.violated(f"trade {fill.id} of {whose} was told long ago and is not booked")


class I2Fills(_NothingLeftOut):
    """Every fill of the venue is booked once, as it was, with all that it changes in one unit."""

    name = "I2"
    of_ours = True

    def fill_written(self, row: Mapping[str, Any]) -> None:
        fill = self.scene.fills.get(int(row["trade_id"]))
        if fill is None or fill.client_id != row["client_order_id"]:
            self.violated(f"fill {row['trade_id']} of {row['client_order_id']} never happened")
        told = tuple(Decimal(row[name]) for name in _AMOUNTS)
        if told != (fill.quantity, fill.price, fill.fee, fill.tax):
            self.violated(f"fill {fill.id} is booked as {told}")

    def unit_committed(self, unit: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        written = {statement for statement, _ in unit}
        if "insert_fill" in written and not written >= _PARTS_OF_A_FILL:
            self.violated(f"a fill is booked without {sorted(_PARTS_OF_A_FILL - written)}")
        super().unit_committed(unit)

    def order_written(self, written: Written) -> None:
        order = written.at_venue
        is_new = written.before is None or written.before[0] != written.status
        if order is not None and written.status == "CANCELED" and is_new and order.filled != written.filled:
            self.violated(f"{written.client} is closed with {written.filled} filled; the venue executed {order.filled}")

    @exact
    def at_rest(self) -> None:
        executed = {fill.id for fill in self.scene.fills.values() if is_ours(fill.client_id)}
        booked = {int(trade) for (trade,) in self.scene.sql("SELECT trade_id FROM fills")}
        if booked != executed:
            self.violated(f"trades of the venue and of the books differ: {sorted(executed ^ booked)[:3]}")
        for client, filled in self.scene.sql(_FILLED):
            order = self.scene.ours.get(client)
            if Decimal(filled) != (order.filled if order is not None else ZERO):
                self.violated(f"{client} has {filled} filled; the venue executed {order.filled if order else 0}")


class I3Balances(Invariant):
    """Books without suspense, plus all that is not booked yet, are the venue's balances, to the last digit."""

    name = "I3"

    def unit_committed(self, unit: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        if goes_into_suspense(unit):
            self.violated("something goes into suspense, and the venue tells of everything that happens")

    @exact
    def cycle_ended(self) -> None:
        scene = self.scene
        if scene.is_dry:
            return  # its account is made up
        opening = scene.sql("SELECT value FROM named_values WHERE name = 'opening_at_ms'")
        if not opening:
            return
        books: dict[str, Decimal] = {}
        for asset, _, balance in scene.sql(_BALANCES):
            books[asset] = books.get(asset, ZERO) + Decimal(balance)
        opening_ms, entries = int(opening[0][0]) - scene.stage.skew_ms, scene.entries
        for fill in scene.fills.values():
            is_booked = f"fill:{fill.id}" in entries or f"foreign:{fill.id}" in entries
            if fill.time_ms >= opening_ms and not is_booked:
                sign = 1 if fill.side is Side.BUY else -1
                base, quote = fill.instrument.base, fill.instrument.quote
                books[base] = books.get(base, ZERO) + sign * fill.quantity
                paid = sign * fill.quantity * fill.price + fill.fee + fill.tax
                books[quote] = books.get(quote, ZERO) - paid
        for transfer in scene.account.transfers:
            if f"transfer:{scene.stage.transfer_name(transfer)}" not in scene.entries:
                books[transfer.asset] = books.get(transfer.asset, ZERO) + transfer.amount - transfer.fee
        for asset, held in scene.account.balances.items():
            if books.get(asset, ZERO) != held.total:
                self.violated(
                    f"{asset}: books and all that is under way give {books.get(asset, ZERO)}, not {held.total}"
                )

    @exact
    def at_rest(self) -> None:
        self.cycle_ended()
        books = {(account, asset): Decimal(balance) for asset, account, balance in self.scene.sql(_BALANCES)}
        for asset, held in self.scene.account.balances.items():
            if books.get(("venue", asset), ZERO) != held.total:
                self.violated(f"books have {books.get(('venue', asset), ZERO)} {asset}, the venue {held.total}")
        for (account, asset), balance in books.items():
            if account == "suspense" and balance:
                self.violated(f"{balance} {asset} lies in suspense, and everything that happened was told")


class I4Entries(Invariant):
    """Every entry sums to zero for each asset, kept balances are the sums of postings, nothing is changed later."""

    name = "I4"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._sums: dict[tuple[str, str], Decimal] = {}
        self._known: set[str] = set()
        self._postings = 0

    @exact
    def unit_committed(self, unit: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        if len(self.scene.entries) == len(self._known):
            return
        touched: set[str] = set()
        for entry_id in self.scene.entries - self._known:
            self._known.add(entry_id)
            touched |= self._added(entry_id)
        for asset in touched:
            for account, balance in self.scene.sql(_BALANCES_OF, asset):
                if Decimal(balance) != self._sums.get((asset, account), ZERO):
                    summed = self._sums.get((asset, account), ZERO)
                    self.violated(f"{balance} {asset} is kept for {account}, its postings sum to {summed}")

    def _added(self, entry_id: str) -> set[str]:
        rest: dict[str, Decimal] = {}
        for account, asset, amount in self.scene.sql(
            "SELECT account, asset, amount FROM postings WHERE entry_id = ?", entry_id
        ):
            value = Decimal(amount)
            self._postings += 1
            rest[asset] = rest.get(asset, ZERO) + value
            self._sums[asset, account] = self._sums.get((asset, account), ZERO) + value
        if not rest or any(rest.values()):
            self.violated(f"entry {entry_id} leaves {rest or 'nothing'}")
        return set(rest)

    @exact
    def at_rest(self) -> None:
        for entry_id in self.scene.entries - self._known:
            self._known.add(entry_id)
            self._added(entry_id)
        sums: dict[tuple[str, str], Decimal] = {}
        postings = self.scene.sql("SELECT asset, account, amount FROM postings")
        for asset, account, amount in postings:
            sums[asset, account] = sums.get((asset, account), ZERO) + Decimal(amount)
        if len(postings) != self._postings or sums != self._sums:
            self.violated("what was booked is not what stands there now")
        found = self.scene.rig.store.verify()
        if found:
            self.violated("; ".join(found[:3]))


class I16Foreign(_NothingLeftOut):
    """Orders of other hands are never cancelled, adopted or counted as ours, and their trades are booked as foreign."""

    name = "I16"
    of_ours = False

    def cancel_leaves(self, venue_order_id: int) -> None:
        order = self.scene.account.find(venue_order_id)
        if order is not None and not is_ours(order.client_id):
            self.violated(f"order {venue_order_id} is not ours and is cancelled")

    def order_written(self, written: Written) -> None:
        if not is_ours(written.client):
            self.violated(f"order {written.client} is not ours and stands in our books")

    def fill_written(self, row: Mapping[str, Any]) -> None:
        fill = self.scene.fills.get(int(row["trade_id"]))
        if fill is not None and not is_ours(fill.client_id):
            self.violated(f"trade {fill.id} is not ours and is booked to {row['client_order_id']}")

    def unit_committed(self, unit: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        for statement, row in unit:
            if statement == "insert_entry" and row["entry_id"].startswith("foreign:"):
                fill = self.scene.fills.get(int(row["entry_id"].removeprefix("foreign:")))
                if fill is None or is_ours(fill.client_id):
                    self.violated(f"{row['entry_id']} is booked, and no trade of other hands has that id")
        super().unit_committed(unit)

    def at_rest(self) -> None:
        foreign = {f"foreign:{one.id}" for one in self.scene.fills.values() if not is_ours(one.client_id)}
        booked = {entry for (entry,) in self.scene.sql("SELECT entry_id FROM entries WHERE kind = 'foreign'")}
        if foreign != booked:
            self.violated(f"foreign trades of the venue and of the books differ: {sorted(foreign ^ booked)}")


class I20Audit(Invariant):
    """The database alone explains every order by an allowing verdict, and counts what each cycle sent."""

    name = "I20"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._sent: set[str] = set()
        self._number_before = 0

    def cycle_begins(self) -> None:
        self._begin(self._last())

    def order_leaves(self, sent: Sent) -> None:
        self._sent.add(sent.client)

    def woken_begins(self) -> None:
        last = self._last()
        self._look(last)
        self._begin(last)

    def woken_ended(self) -> None:
        """One that came to no order leaves no record."""
        last = self._last()
        if self._sent and last[0] == self._number_before:
            self.violated(f"a cycle that the feed woke sent {len(self._sent)} orders and left no record")
        self._look(last)
        self._begin(last)  # what was looked at is not looked at again

    def cycle_ended(self) -> None:
        self._look(self._last())

    def _begin(self, last: _Told) -> None:
        self._sent.clear()
        self._number_before = last[0]

    def _look(self, last: _Told) -> None:
        number, outcome, counts = last
        if number == self._number_before or outcome == "halted":
            return
        told = msgspec.json.decode(counts).get("submitted", 0)
        placed = sum(client in self.scene.ours for client in self._sent)
        if not placed <= told <= len(self._sent):
            self.violated(
                f"cycle {number} tells of {told} orders; {len(self._sent)} left, {placed} of them were placed"
            )

    def at_rest(self) -> None:
        unexplained = self.scene.sql(_UNPROVED)
        if unexplained:
            self.violated(f"no verdict explains order {unexplained[0][0]}")

    def _last(self) -> _Told:
        rows = self.scene.sql(_LAST_CYCLE)
        return rows[0] if rows else (0, "", "{}")
