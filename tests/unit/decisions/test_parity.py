"""Two runs are at parity when they decided the same; else the first difference is named."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from tests.builders import a_report

from btcbot.decisions.parity import Decided, Difference, decided, fingerprint, first_difference
from btcbot.domain.cycles import CycleOutcome, CycleReport, Verdict
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order, OrderStatus


def report(number: int, outcome: CycleOutcome = CycleOutcome.COMPLETED, *reasons: str) -> CycleReport:
    return a_report(number, outcome=outcome, reasons=reasons, started_at_ms=number, ended_at_ms=number + 1)


def verdict(price: str, code: str = "allowed", at_ms: int = 1) -> Verdict:
    return Verdict(
        cycle_id="c00000001",
        intent_id="i",
        symbol="BTCTRY",
        side=Side.BUY,
        price=Decimal(price),
        quantity=Decimal("0.5"),
        allowed=code == "allowed",
        code=code,
        detail=f"at {at_ms}",
        at_ms=at_ms,
    )


def order(price: str, name: str) -> Order:
    return Order(
        client_order_id=name,
        intent_id="i",
        cycle_id="c00000001",
        strategy="s",
        symbol="BTCTRY",
        side=Side.BUY,
        price=Decimal(price),
        quantity=Decimal("0.5"),
        status=OrderStatus.FILLED,
        created_at_ms=1,
        updated_at_ms=2,
    )


A = [decided(report(1), [verdict("100")], [order("100", "btcbot-a-1-1")]), decided(report(2), [], [])]


def test_other_times_names_and_spellings_are_no_difference() -> None:
    b = [decided(report(1), [verdict("100.00", at_ms=9)], [order("1E+2", "btcbot-b-9-7")]), A[1]]
    assert first_difference(A, b) is None
    assert fingerprint(A) == fingerprint(b)


@pytest.mark.parametrize(
    ("b", "difference"),
    [
        (
            [decided(report(1), [verdict("101")], [order("101", "x")]), A[1]],
            Difference(
                cycle="1",
                what="decision 1",
                a="verdict buy 0.5 BTCTRY at 100 (allowed)",
                b="verdict buy 0.5 BTCTRY at 101 (allowed)",
            ),
        ),
        (
            [decided(report(1), [verdict("100")], []), A[1]],
            Difference(cycle="1", what="decision 2", a="order buy 0.5 BTCTRY at 100", b="none"),
        ),
        (
            [A[0], decided(report(2, CycleOutcome.OBSERVE_ONLY, "venue_unavailable: 4.0 s"), [], [])],
            Difference(cycle="2", what="outcome", a="completed", b="observe_only"),
        ),
        (
            A[:1],
            Difference(
                cycle="2", what="a cycle that only one of them has", a="ran it: completed", b="has ended before"
            ),
        ),
        (
            [A[0], decided(report(3), [], [])],
            Difference(
                cycle="2", what="a cycle that only one of them has", a="ran it: completed", b="goes on with cycle 3"
            ),
        ),
    ],
    ids=["price", "order", "outcome", "shorter", "gap"],
)
def test_the_first_difference_is_named(b: list[Decided], difference: Difference) -> None:
    assert first_difference(A, b) == difference
    mirrored = first_difference(b, A)
    assert mirrored == msgspec.structs.replace(difference, a=difference.b, b=difference.a)
    assert fingerprint(A) != fingerprint(b)


def narrowed(*reasons: str) -> list[Decided]:
    return [decided(report(1, CycleOutcome.COMPLETED, *reasons), [], [])]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("budget:daily_loss: 618 TRY lost today", "budget:drawdown: 618 TRY below the highest profit"),
        ("gate_closed:kill_file", "gate_closed:clock_skew"),
        ("observe_only:venue_unavailable: HTTP 502", "observe_only:strategy_failed: ValueError"),
        ("barred:repeated_refusals: BTCTRY: 3 sells", "barred:buys_after_refusals: BTCTRY: 3 orders"),
        ("barred:repeated_refusals: BTCTRY: 3 sells", "barred:repeated_refusals: ETHTRY: 3 sells"),
        (
            "risk_block:stale_market_data: BTCTRY has no usable quote",
            "risk_block:stale_market_data: ETHTRY has no usable quote",
        ),
    ],
    ids=["two budgets", "two gates", "two troubles", "two bars", "two pairs barred", "two pairs without a quote"],
)
def test_two_causes_of_one_kind_are_no_parity(one: str, other: str) -> None:
    difference = first_difference(narrowed(one), narrowed(other))
    assert difference is not None
    assert difference.what == "reasons"
    assert difference.a != difference.b
    assert fingerprint(narrowed(one)) != fingerprint(narrowed(other))


def test_a_database_of_an_earlier_version_had_the_same_reason() -> None:
    one = narrowed("BTCTRY: barred:repeated_refusals: the venue refused 3 sells; 5 minutes are left")
    other = narrowed("barred:repeated_refusals: BTCTRY: the venue refused 4 sells; 2 minutes are left")
    assert first_difference(one, other) is None


def test_of_a_reason_its_code_counts() -> None:
    one, other, third = (
        [decided(report(1, CycleOutcome.OBSERVE_ONLY, reason), [], [])]
        for reason in ("venue_unavailable: no answer in 4.0 s", "venue_unavailable: 503", "stale_quote: no quote")
    )
    assert first_difference(one, other) is None
    difference = first_difference(one, third)
    assert difference is not None
    assert (difference.what, difference.a, difference.b) == ("reasons", "venue_unavailable", "stale_quote")
