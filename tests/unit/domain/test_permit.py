"""A permit is leave for exactly one write, in one world, now."""

from __future__ import annotations

import pytest

from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.errors import InvariantBroken

ISSUED_MS = 5_000


def a_permit() -> Permit:
    return Permit(
        kind=WriteKind.SUBMIT, scope=PermitScope.VENUE, client_order_id="btcbot-k7f3-1-1", issued_at_ms=ISSUED_MS
    )


def test_it_serves_the_write_it_was_given_for() -> None:
    a_permit().demand(WriteKind.SUBMIT, PermitScope.VENUE, "btcbot-k7f3-1-1")


@pytest.mark.parametrize(
    ("kind", "scope", "client_order_id"),
    [
        (WriteKind.CANCEL, PermitScope.VENUE, "btcbot-k7f3-1-1"),
        (WriteKind.SUBMIT, PermitScope.SIMULATION, "btcbot-k7f3-1-1"),
        (WriteKind.SUBMIT, PermitScope.VENUE, "btcbot-k7f3-1-2"),
        (WriteKind.SUBMIT, PermitScope.VENUE, ""),
    ],
    ids=["another kind of write", "another world", "another order", "no order"],
)
def test_it_serves_no_other(kind: WriteKind, scope: PermitScope, client_order_id: str) -> None:
    with pytest.raises(InvariantBroken) as broken:
        a_permit().demand(kind, scope, client_order_id)

    assert broken.value.code == "I6_PERMIT"
    assert "submit btcbot-k7f3-1-1 (venue)" in broken.value.evidence
    assert f"{kind} {client_order_id} ({scope})" in broken.value.evidence


@pytest.mark.parametrize("age_ms", [0, 1, 1_000])
def test_it_is_fresh_for_a_second(age_ms: int) -> None:
    assert a_permit().is_fresh(ISSUED_MS + age_ms)


@pytest.mark.parametrize("age_ms", [-1, 1_001, 60_000])
def test_an_old_one_or_one_from_the_future_is_not(age_ms: int) -> None:
    assert not a_permit().is_fresh(ISSUED_MS + age_ms)


def test_it_cannot_be_altered() -> None:
    with pytest.raises(AttributeError):
        a_permit().scope = PermitScope.VENUE  # type: ignore[misc]
