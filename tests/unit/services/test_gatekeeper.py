"""The gates are read anew for every write: whatever closes between two of them keeps the second back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from btcbot.adapters.store.memory import MemoryStore
from btcbot.decisions.gates import ACKNOWLEDGEMENT, Closed
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.ports import VenueHealth
from btcbot.services.accounting import set_trading_state
from btcbot.services.freeze_record import ORDER_FREEZE
from btcbot.services.gatekeeper import Gatekeeper, GatePolicy


class World:
    """Everything that may change while a bot runs: kill file, lock, venue and clock in one, and the database."""

    def __init__(self, *, dry_run: bool = False) -> None:
        self.kill_file_on = False
        self.lock_held = True
        self.skew_ms: int | None = 0
        self.store = MemoryStore()
        policy = GatePolicy(
            dry_run=dry_run,
            safe_mode=False,
            kill_switch=False,
            live_trading=True,
            acknowledgement=ACKNOWLEDGEMENT,
            database_armable=True,
            key_matches=True,
            clock_skew_ms_max=1_000,
        )
        self.gates = Gatekeeper(policy, self.store, self, self, self, self)  # type: ignore[arg-type]
        self.gates.self_check_passed = True

    def is_on(self) -> tuple[bool, str]:
        return self.kill_file_on, ""

    def is_held(self) -> bool:
        return self.lock_held

    def health(self) -> VenueHealth:
        return VenueHealth(clock_skew_ms=self.skew_ms)

    def monotonic_ns(self) -> int:
        return 5_000_000

    def keep(self, state: TradingState) -> None:
        with self.store.transaction() as tx:
            set_trading_state(tx, state, "somebody said so")

    def freeze(self) -> None:
        with self.store.transaction() as tx:
            tx.put_value(ORDER_FREEZE, "{}")


def turn_kill_file_on(world: World) -> None:
    world.kill_file_on = True


def lose_lock(world: World) -> None:
    world.lock_held = False


def let_clock_run_away(world: World) -> None:
    world.skew_ms = 1_000


def fail_self_check(world: World) -> None:
    world.gates.self_check_passed = False


CLOSES: list[tuple[Callable[[World], None], ReasonCode]] = [
    (turn_kill_file_on, ReasonCode.KILL_FILE),
    (lose_lock, ReasonCode.LOCK_LOST),
    (let_clock_run_away, ReasonCode.CLOCK_SKEW),
    (fail_self_check, ReasonCode.SELF_CHECK),
    (lambda world: world.keep(TradingState.HALTED), ReasonCode.HALTED),
    (lambda world: world.keep(TradingState.FROZEN), ReasonCode.FROZEN),
    (World.freeze, ReasonCode.UNEXPLAINED_ORDERS),
]


@pytest.mark.parametrize(("close", "code"), CLOSES, ids=[code.value for _, code in CLOSES])
def test_a_gate_that_closes_between_two_orders_keeps_the_second_back(
    close: Callable[[World], None], code: ReasonCode
) -> None:
    world = World()
    first = world.gates.ask(WriteKind.SUBMIT, "btcbot-one")
    assert first == Permit(kind=WriteKind.SUBMIT, scope=PermitScope.VENUE, client_order_id="btcbot-one", issued_at_ms=5)
    assert all(world.gates.states().values())

    close(world)

    assert world.gates.ask(WriteKind.SUBMIT, "btcbot-two") == Closed((code,))
    assert world.gates.closed(WriteKind.SUBMIT) == (code,)
    assert [name for name, is_open in world.gates.states().items() if not is_open] == [
        code.value.removeprefix("gate_closed:")
    ]


def test_a_gate_that_opens_again_lets_the_next_order_out() -> None:
    world = World()
    world.keep(TradingState.HALTED)
    assert isinstance(world.gates.ask(WriteKind.SUBMIT, "btcbot-one"), Closed)
    world.keep(TradingState.ACTIVE)
    assert isinstance(world.gates.ask(WriteKind.SUBMIT, "btcbot-one"), Permit)


def test_a_permit_names_its_own_order_and_never_the_one_before() -> None:
    world = World(dry_run=True)
    permits = [world.gates.ask(kind, name) for kind in WriteKind for name in ("btcbot-one", "btcbot-two")]
    assert [(permit.kind, permit.client_order_id) for permit in permits if isinstance(permit, Permit)] == [
        (kind, name) for kind in WriteKind for name in ("btcbot-one", "btcbot-two")
    ]
    assert {permit.scope for permit in permits if isinstance(permit, Permit)} == {PermitScope.SIMULATION}
