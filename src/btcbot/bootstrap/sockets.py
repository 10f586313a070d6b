"""What can be plugged into the one pipeline: in this alone a live run, paper, a backtest and a replay differ."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from btcbot.ports import (
    AgentPolicy,
    BarSource,
    Clock,
    Exchange,
    KillSwitch,
    Log,
    MarketFeed,
    MarketScanner,
    Metrics,
    ReleasableLock,
    SignalSource,
    StateStore,
    StopSignal,
)
from btcbot.services.alerts import Samples
from btcbot.services.gatekeeper import GatePolicy
from btcbot.services.self_check import Check


class Sockets(msgspec.Struct, frozen=True, kw_only=True):
    """What is plugged in. `gate_policy` says what the gates are to demand, `checks` what the self-check looks at.

    A strategy that asks for signals gets those of `signals`, else they are computed over what `bars` gives. `scanner`
    looks over many symbols for a universe that is chosen out of `candidates` (none: the symbols); `agent` is asked
    about wishes where the settings want it. `samples` are the metrics of a cycle, which alert rules look at. `is_heard`
    False: nobody reads metrics and log, so nothing has to be gathered for them.
    """

    store: StateStore
    exchange: Exchange
    clock: Clock
    metrics: Metrics
    log: Log
    stop: StopSignal
    gate_policy: GatePolicy
    kill_switch: KillSwitch
    lock: ReleasableLock
    checks: Mapping[str, Check]
    feed: MarketFeed | None = None
    signals: SignalSource | None = None
    bars: BarSource | None = None
    scanner: MarketScanner | None = None
    candidates: tuple[str, ...] = ()
    agent: AgentPolicy | None = None
    samples: Samples | None = None
    is_heard: bool = True
