"""Everything built and locked, ready to run cycles."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog

from btcbot.cycle import Cycle, Services
from btcbot.decisions import gates, lifecycle
from btcbot.domain.cycles import CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.orders import OPEN, WORKING
from btcbot.domain.permit import WriteKind
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import InvariantBroken, VenueUnavailable
from btcbot.loop import Wait
from btcbot.ports import AgentPolicy, BarSource, Clock, Exchange, ReleasableLock, StateStore, StopSignal
from btcbot.services.cycle_records import cycle_id_of

CANCEL_ON_EXIT_SECONDS: Final = 4.0
CANCEL_POLL_SECONDS: Final = 0.5


class Bot:
    """Everything built and locked, ready to run cycles. Close it whatever happens."""

    def __init__(
        self,
        cycle: Cycle,
        services: Services,
        store: StateStore,
        exchange: Exchange,
        lock: ReleasableLock,
        clock: Clock,
        mode: str,
        bars: BarSource | None = None,
        agent: AgentPolicy | None = None,
    ) -> None:
        self.cycle = cycle
        self.services = services
        self.store = store
        self.exchange = exchange
        self.mode = mode
        self._lock = lock
        self._clock = clock
        self._bars = bars
        self._agent = agent

    def run_cycle(self, wake: Wake = Wake.TIME) -> CycleReport:
        """Run one cycle; every log line of it carries the cycle's id."""
        with structlog.contextvars.bound_contextvars(cycle_id=cycle_id_of(self.cycle.next_number())):
            return self.cycle.run(wake)

    def waiting(self, stop: StopSignal) -> Wait | None:
        """How to wait between cycles: on the feed, or None where there is none."""
        feed = self.services.feed
        return None if feed is None else partial(feed.wait, stop=stop)

    def closed_to_venue(self, kind: WriteKind) -> tuple[ReasonCode, ...]:
        """The gates that are closed between this kind of write and the real venue, apart from those that only a cycle
        can open (the clock's skew and the self-check are not yet known at start)."""
        not_yet_known = {ReasonCode.CLOCK_SKEW, ReasonCode.SELF_CHECK}
        closed = gates.closed_gates(self.services.gatekeeper.facts(), kind)
        return tuple(gate for gate in closed if gate not in not_yet_known)

    def resting_order_ids(self) -> Sequence[str]:
        """Own orders that stay at the venue when the process ends now."""
        return [order.client_order_id for order in lifecycle.left_resting(self.store.orders(tuple(OPEN)))]

    def cancel_resting(self) -> None:
        """Ask for the cancellation of every working order and watch the venue confirm, for a few seconds."""
        deadline_ns = self._clock.monotonic_ns() + int(CANCEL_ON_EXIT_SECONDS * 1e9)
        while self.store.orders(tuple(WORKING)) and self._clock.monotonic_ns() < deadline_ns:
            self.services.execution.cancel_all(ReasonCode.CANCEL_ON_EXIT)
            self._clock.sleep(CANCEL_POLL_SECONDS, threading.Event())
            try:
                self.services.recovery.run()
            except VenueUnavailable:
                continue
            except InvariantBroken:
                return  # halted already, or it will be at the next start; the farewell names what rests

    def close_feed(self) -> None:
        """Nothing more is told by the feed; harmless to repeat."""
        if self.services.feed is not None:
            self.services.feed.close()

    def close(self) -> None:
        try:
            self.close_feed()
            if self._bars is not None:
                self._bars.close()
            if self._agent is not None:
                self._agent.close()
            self.exchange.close()
            self.store.close()
        finally:
            self._lock.release()
