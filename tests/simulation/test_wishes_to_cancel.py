"""I18 of cancellations: the bot gives the venue time for one; a human may ask as often as he likes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from btcbot.testing.checkers.bounds import I18Bounds
from btcbot.testing.checkers.scene import Violated
from btcturk_sim.wire import Request

OPERATOR = "order:cancelled_by_operator"
BALANCES = Request(method="GET", path="/api/v1/users/balances")


@pytest.fixture
def watched() -> I18Bounds:
    """A cycle begins at 100,000 ms; a cancellation has 30 s to take effect."""
    rig = SimpleNamespace(clock=SimpleNamespace(now_ms=lambda: 100_000), environment={"SETTLE_HORIZON_SECONDS": "30"})
    scene: Any = SimpleNamespace(rig=rig, stage=SimpleNamespace(paused_ms=0), now_ms=lambda: 100_000, is_woken=False)
    bounds = I18Bounds(scene)
    bounds.cycle_begins()
    return bounds


def wish(bounds: I18Bounds, at_ms: int, reason: str) -> None:
    row = {"client_order_id": "btcbot-a-1-1", "cancel_requested_at_ms": at_ms, "reason": reason}
    bounds.unit_committed([("update_order", row)])


@pytest.mark.parametrize("reason", [OPERATOR, f"order:stale; asked again: {OPERATOR}"])
def test_the_operator_may_ask_again_at_once(watched: I18Bounds, reason: str) -> None:
    wish(watched, 90_000, "order:stale")
    wish(watched, 91_000, reason)
    wish(watched, 92_000, reason)


@pytest.mark.parametrize("reason", ["order:stale", OPERATOR, f"order:stale; asked again: {OPERATOR}"])
def test_the_bot_may_not_and_does_not_hide_behind_what_the_operator_wished(watched: I18Bounds, reason: str) -> None:
    """It asks again when it has read the account; the row still has the reason of the first wish."""
    wish(watched, 90_000, reason)
    watched.request_leaves(BALANCES)
    with pytest.raises(Violated, match="is to be cancelled again after 5000 ms"):
        wish(watched, 95_000, reason)


def test_the_next_cycle_begins_with_what_the_operator_left(watched: I18Bounds) -> None:
    wish(watched, 90_000, OPERATOR)
    watched.request_leaves(BALANCES)
    watched.cycle_begins()
    wish(watched, 95_000, OPERATOR)
