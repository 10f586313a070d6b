"""Compares what two runs decided, cycle by cycle.

What counts is what was allowed, refused and ordered, and how each cycle ended: not when, and not under which
names. Two runs have clocks, databases and venues of their own; where they decide the same, they are at parity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from btcbot.domain import money
from btcbot.domain.cycles import CycleReport, Verdict
from btcbot.domain.orders import Order
from btcbot.domain.reasons import code_of, pair_of


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict or one order. `code` is the verdict's, and empty for an order; amounts are plain text."""

    kind: str
    symbol: str
    side: str
    price: str
    quantity: str
    code: str = ""

    def __str__(self) -> str:
        code = f" ({self.code})" if self.code else ""
        return f"{self.kind} {self.side} {self.quantity} {self.symbol} at {self.price}{code}"


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one cycle that left a report; `number` counts the cycles of its database."""

    number: int
    outcome: str
    reasons: tuple[str, ...]
    decisions: tuple[Decision, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first one: in which cycle, what differs, and both sides in words."""

    cycle: str
    what: str
    a: str
    b: str


def of_verdict(verdict: Verdict) -> Decision:
    return Decision(
        kind="verdict",
        symbol=verdict.symbol,
        side=verdict.side.value,
        price=money.plain(verdict.price),
        quantity=money.plain(verdict.quantity),
        code=verdict.code,
    )


def of_order(order: Order) -> Decision:
    return Decision(
        kind="order",
        symbol=order.symbol,
        side=order.side.value,
        price=money.plain(order.price),
        quantity=money.plain(order.quantity),
    )


def decided(report: CycleReport, verdicts: Iterable[Verdict], orders: Iterable[Order]) -> Decided:
    """One cycle; verdicts and orders as they were made, oldest first."""
    return Decided(
        number=report.number,
        outcome=report.outcome.value,
        reasons=tuple(reason_code(reason) for reason in report.reasons),
        decisions=(*map(of_verdict, verdicts), *map(of_order, orders)),
    )


def reason_code(reason: str) -> str:
    """Of a cycle's reason what two runs have in common that had the same one: its code, and the pair that it is about.
    What else it tells is of times and amounts of that run."""
    code, pair = code_of(reason), pair_of(reason)
    return code if pair is None else f"{code} {pair}"


def fingerprint(cycles: Iterable[Decided]) -> str:
    """SHA-256 over everything that counts, as hexadecimal digits. Two runs at parity have the same."""
    digest = hashlib.sha256()
    for cycle in cycles:
        digest.update(msgspec.json.encode(cycle) + b"\n")
    return digest.hexdigest()


def first_difference(a: Sequence[Decided], b: Sequence[Decided]) -> Difference | None:
    """None where there is none. Cycles are paired by their number."""
    for at in range(max(len(a), len(b))):
        one, other = (run[at] if at < len(run) else None for run in (a, b))
        if one is None or other is None or one.number != other.number:
            numbers = [cycle.number for cycle in (one, other) if cycle is not None]
            return Difference(
                cycle=str(min(numbers)),
                what="a cycle that only one of them has",
                a=_ran(one, min(numbers)),
                b=_ran(other, min(numbers)),
            )
        if one != other:
            return _within(one, other)
    return None


def _within(one: Decided, other: Decided) -> Difference:
    cycle = str(one.number)
    for number in range(max(len(one.decisions), len(other.decisions))):
        left, right = (run.decisions[number] if number < len(run.decisions) else None for run in (one, other))
        if left != right:
            return Difference(cycle=cycle, what=f"decision {number + 1}", a=_or_none(left), b=_or_none(right))
    if one.outcome != other.outcome:
        return Difference(cycle=cycle, what="outcome", a=one.outcome, b=other.outcome)
    return Difference(
        cycle=cycle, what="reasons", a="; ".join(one.reasons) or "none", b="; ".join(other.reasons) or "none"
    )


def _ran(cycle: Decided | None, number: int) -> str:
    if cycle is None:
        return "has ended before"
    return f"ran it: {cycle.outcome}" if cycle.number == number else f"goes on with cycle {cycle.number}"


def _or_none(decision: Decision | None) -> str:
    return "none" if decision is None else str(decision)
