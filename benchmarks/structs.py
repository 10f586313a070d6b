"""Why the domain is made of frozen msgspec Structs: make and replace a record of ten fields.

python -m benchmarks.structs [--json]
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from benchmarks.common import RUNS, Result, best, run_alone

REPEATS: Final = 20_000
VALUES: Final[dict[str, Any]] = {
    "client_order_id": "btcbot-bench-19a2b3c4d5e-1",
    "intent_id": "c00000001:BTCTRY:buy",
    "cycle_id": "c00000001",
    "symbol": "BTCTRY",
    "side": "buy",
    "price": Decimal(4123456),
    "quantity": Decimal("0.00012345"),
    "status": "SUBMITTED",
    "created_at_ms": 1_700_000_000_000,
    "updated_at_ms": 1_700_000_000_000,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AsDataclass:
    client_order_id: str
    intent_id: str
    cycle_id: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    status: str
    created_at_ms: int
    updated_at_ms: int


class AsStruct(msgspec.Struct, frozen=True, kw_only=True):
    client_order_id: str
    intent_id: str
    cycle_id: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    status: str
    created_at_ms: int
    updated_at_ms: int


def _cpu_us(act: Callable[[], object]) -> float:
    started = time.process_time_ns()
    for _ in range(REPEATS):
        act()
    return (time.process_time_ns() - started) / REPEATS / 1e3


def measure() -> Result:
    first, second = AsDataclass(**VALUES), AsStruct(**VALUES)
    acts: dict[str, Callable[[], object]] = {
        "make a frozen dataclass with slots": lambda: AsDataclass(**VALUES),
        "make a frozen Struct": lambda: AsStruct(**VALUES),
        "replace in the dataclass": lambda: dataclasses.replace(first, status="ACCEPTED"),
        "replace in the Struct": lambda: msgspec.structs.replace(second, status="ACCEPTED"),
    }
    runs: dict[str, list[list[float]]] = {name: [] for name in acts}
    for _ in range(RUNS):
        for name, act in acts.items():
            runs[name].append([_cpu_us(act)])
    return Result(name="structs", figures=[best(name, "CPU µs", taken) for name, taken in runs.items()])


if __name__ == "__main__":
    run_alone(measure)
