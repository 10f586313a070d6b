"""Asks the gates: gathers what they look at, now, and lets the pure table decide.

Everything that can change while the bot runs is read anew for every single write: the kill file, the trading state in
the database, a freeze on orders that nobody can explain, the writer lock, the clock skew, the last self-check. What
follows from it is worked out once for as long as it all stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from btcbot.decisions import gates
from btcbot.decisions.gates import Closed, GateFacts, Leave
from btcbot.domain.permit import Permit, WriteKind
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.ports import Clock, Exchange, KillSwitch, StateStore, WriterLock
from btcbot.services.freeze_record import is_frozen


class GatePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The gates that settings and the database's identity decide for the whole life of the process."""

    dry_run: bool
    safe_mode: bool
    kill_switch: bool
    live_trading: bool
    acknowledgement: str | None
    database_armable: bool
    key_matches: bool
    clock_skew_ms_max: int


class Gatekeeper:
    def __init__(
        self,
        policy: GatePolicy,
        store: StateStore,
        exchange: Exchange,
        kill_switch: KillSwitch,
        lock: WriterLock,
        clock: Clock,
    ) -> None:
        self._policy = policy
        self._store = store
        self._exchange = exchange
        self._kill_switch = kill_switch
        self._lock = lock
        self._clock = clock
        #: Set by the loop's own self-check; closed until the first one has passed.
        self.self_check_passed = False
        #: How everything that can change stood at the last look, and what followed from it.
        self._seen: tuple[object, ...] = ()
        self._facts: GateFacts
        self._leave: Leave
        self._states: Mapping[str, bool]

    def facts(self) -> GateFacts:
        """How all gates stand now."""
        self._look()
        return self._facts

    def ask(self, kind: WriteKind, client_order_id: str) -> Permit | Closed:
        """Leave for this one write, now. Call it as late as possible before the write."""
        return gates.permit(self._look(), kind, client_order_id, self._clock.monotonic_ns() // 1_000_000)

    def closed(self, kind: WriteKind) -> tuple[ReasonCode, ...]:
        """The gates that are closed for this kind of write in our world; for planning, never as leave."""
        return self._look().closed[kind]

    def states(self) -> Mapping[str, bool]:
        """Every gate by name, True where it is open."""
        self._look()
        return self._states

    def _look(self) -> Leave:
        """Read everything anew; only what has changed is judged anew."""
        store = self._store
        seen = (
            self._kill_switch.is_on()[0],
            self._lock.is_held(),
            self._exchange.health().clock_skew_ms,
            self.self_check_passed,
            store.trading_state()[0],
            is_frozen(store),
        )
        if seen != self._seen:
            self._judge(*seen)
            self._seen = seen
        return self._leave

    def _judge(
        self,
        kill_file_on: bool,
        lock_held: bool,
        clock_skew_ms: int | None,
        self_check_passed: bool,
        trading_state: TradingState,
        has_unexplained_orders: bool,
    ) -> None:
        policy = self._policy
        self._facts = facts = GateFacts(
            dry_run=policy.dry_run,
            safe_mode=policy.safe_mode,
            kill_switch=policy.kill_switch,
            kill_file_on=kill_file_on,
            live_trading=policy.live_trading,
            acknowledgement=policy.acknowledgement,
            database_armable=policy.database_armable,
            key_matches=policy.key_matches,
            lock_held=lock_held,
            clock_skew_ms=clock_skew_ms,
            clock_skew_ms_max=policy.clock_skew_ms_max,
            self_check_passed=self_check_passed,
            trading_state=trading_state,
            has_unexplained_orders=has_unexplained_orders,
        )
        self._leave, self._states = gates.leave(facts), gates.states(facts)
