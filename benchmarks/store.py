"""What one durable unit costs: reserve, record the outcome, book a fill, on a database file, beside a bare disk sync.

    python -m benchmarks.store [units] [--json]

Every unit returns after its log is on the disk, so a latency says most about the disk; the bare `fdatasync` of 4 KiB in
the same run is the yardstick, and CPU time is the cost that is ours.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from benchmarks.common import Figure, Result, working_folder
from btcbot.adapters.store import SqliteStore
from btcbot.domain import positions
from btcbot.domain.fills import Fill
from btcbot.domain.intents import Side
from btcbot.domain.ledger import Account, Entry, EntryKind, Hold, Posting
from btcbot.domain.orders import Order, OrderEvent, OrderStatus, apply, apply_fill
from btcbot.domain.positions import Position
from btcbot.ports import StateStore

UNITS = 2_000
WARM_UP = 200


class _Trader:
    """Writes the three units of an order's life, one order after another."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._position = Position(symbol="BTCTRY")
        self._order: Order | None = None

    def reserve(self, number: int) -> None:
        self._order = order = Order(
            client_order_id=f"btcbot-bench-19a2b3c4d5e-{number:x}",
            intent_id=f"intent-{number}",
            cycle_id=f"cycle-{number // 5}",
            strategy="profit_aware_v1",
            symbol="BTCTRY",
            side=Side.BUY,
            price=Decimal("4123456"),
            quantity=Decimal("0.00012345"),
            status=OrderStatus.SUBMITTED,
            created_at_ms=1_700_000_000_000 + number,
            updated_at_ms=1_700_000_000_000 + number,
        )
        with self._store.transaction() as tx:
            tx.insert_order(order)
            tx.put_hold(Hold(client_order_id=order.client_order_id, asset="TRY", amount=Decimal("510.22")))

    def record(self, number: int) -> None:
        assert self._order is not None
        self._order = apply(self._order, OrderEvent.ACCEPT, 1_700_000_000_100 + number)
        with self._store.transaction() as tx:
            tx.update_order(self._order)

    def fill(self, number: int) -> None:
        assert self._order is not None
        fill = Fill(
            trade_id=str(61_000_000 + number),
            client_order_id=self._order.client_order_id,
            symbol="BTCTRY",
            side=Side.BUY,
            price=self._order.price,
            quantity=self._order.quantity,
            fee=Decimal("1.02"),
            tax=Decimal("0.20"),
            at_ms=1_700_000_000_200 + number,
        )
        value = fill.price * fill.quantity
        entry = Entry(
            entry_id=f"fill:{fill.trade_id}",
            kind=EntryKind.FILL,
            at_ms=fill.at_ms,
            postings=(
                Posting(Account.VENUE, "BTC", fill.quantity),
                Posting(Account.MARKET, "BTC", -fill.quantity),
                Posting(Account.VENUE, "TRY", -value - fill.fee - fill.tax),
                Posting(Account.MARKET, "TRY", value),
                Posting(Account.FEE, "TRY", fill.fee),
                Posting(Account.TAX, "TRY", fill.tax),
            ),
        )
        self._position = positions.after_fill(self._position, fill)
        self._order = apply_fill(self._order, fill.quantity, fill.at_ms)
        with self._store.transaction() as tx:
            if tx.insert_fill(fill):
                tx.insert_entry(entry)
                tx.update_order(self._order)
                tx.put_hold(Hold(client_order_id=fill.client_order_id, asset="TRY", amount=Decimal(0)))
                tx.put_position(self._position)


def _sync(descriptor: int) -> Callable[[int], None]:
    block = os.urandom(4_096)

    def write(number: int) -> None:
        os.pwrite(descriptor, block, number % 256 * 4_096)
        os.fdatasync(descriptor)

    return write


def measure(folder: Path, units: int = UNITS) -> dict[str, tuple[float, float, float]]:
    """Name → p50 µs, p99 µs, CPU µs of one unit. The acts take turns, so that all of them meet the same disk."""
    store = SqliteStore.open(folder / "bench.db")
    memory = SqliteStore.in_memory()
    on_file, in_memory = _Trader(store), _Trader(memory)
    descriptor = os.open(folder / "yardstick", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(descriptor, 0, 256 * 4_096)
    acts: dict[str, Callable[[int], None]] = {
        "bare fdatasync of 4 KiB": _sync(descriptor),
        "reserve": on_file.reserve,
        "record outcome": on_file.record,
        "fill": on_file.fill,
        "reserve, in memory": in_memory.reserve,
        "record outcome, in memory": in_memory.record,
        "fill, in memory": in_memory.fill,
    }
    walls: dict[str, list[int]] = {name: [] for name in acts}
    cpus: dict[str, int] = dict.fromkeys(acts, 0)
    for number in range(WARM_UP + units):
        for name, act in acts.items():
            cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
            act(number)
            wall, cpu = time.perf_counter_ns() - wall, time.thread_time_ns() - cpu
            if number >= WARM_UP:
                walls[name].append(wall)
                cpus[name] += cpu
    os.close(descriptor)
    assert store.verify() == memory.verify() == []
    store.close()
    memory.close()
    return {
        name: (
            sorted(taken)[len(taken) // 2] / 1e3,
            sorted(taken)[len(taken) * 99 // 100] / 1e3,
            cpus[name] / len(taken) / 1e3,
        )
        for name, taken in walls.items()
    }


def figures_of(found: dict[str, tuple[float, float, float]]) -> list[Figure]:
    """What the common table shows; in memory only the CPU says something."""
    figures: list[Figure] = []
    for name, (p50, p99, cpu) in found.items():
        if "in memory" not in name:
            figures.append(Figure(what=f"{name}: p50 (worst: p99)", value=p50, worst=p99, unit="µs"))
        figures.append(Figure(what=f"{name}: CPU", value=cpu, unit="µs"))
    return figures


def main() -> None:
    numbers = [word for word in sys.argv[1:] if not word.startswith("-")]
    units = int(numbers[0]) if numbers else UNITS
    with working_folder() as folder:
        found = measure(folder, units)
    sync = found["bare fdatasync of 4 KiB"][0]
    more = f"reserve takes {found['reserve'][0] - sync:.0f} µs more than the bare sync"
    if "--json" in sys.argv[1:]:
        result = Result(name="store", figures=figures_of(found), notes=[f"{units} units of each kind", more])
        print(msgspec.json.encode(result).decode())
        return
    print(f"{'one durable unit':<28}{'p50 µs':>9}{'p99 µs':>9}{'CPU µs':>9}")
    for name, (p50, p99, cpu) in found.items():
        print(f"{name:<28}{p50:>9.0f}{p99:>9.0f}{cpu:>9.0f}")
    print(more)


if __name__ == "__main__":
    main()
