"""What a profile plugs into the cycle beside its strategy: those who choose symbols, those who narrow, those who note.

`run` plugs in none of them. Each is a small class around a pure decision: it gathers facts, asks, and keeps what the
next cycle needs in the database, in the same unit as the cycle's report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from btcbot.decisions.draft import Draft, ReplaceWish
from btcbot.decisions.freshness import MarketView
from btcbot.decisions.risk import RiskDecision
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.cycles import CycleReport
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent
from btcbot.domain.orders import Order
from btcbot.domain.positions import Position
from btcbot.domain.stance import Stance
from btcbot.domain.tuning import Tuning
from btcbot.domain.universe import Watched
from btcbot.domain.venue import VenueOrder
from btcbot.ports import Transaction, VenueHealth
from btcbot.services.accounting import PnL
from btcbot.services.execution import ExecutionSummary


class CycleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a cycle has observed and not yet planned. `now_ms` is the venue's time, `local_ms` ours.

    `venue_open` are all open orders of the account as the venue listed them in this cycle, foreign ones too;
    `shown_by_id` client order ids of ours that it did not list and told when asked for them by their own id.
    """

    cycle_id: str
    number: int
    now_ms: int
    local_ms: int
    account: AccountSnapshot
    instruments: Mapping[str, Instrument]
    view: MarketView
    pnl: PnL
    positions: Mapping[str, Position]
    open_orders: Sequence[Order]
    venue_open: Sequence[VenueOrder]
    health: VenueHealth
    universe: Watched
    shown_by_id: frozenset[str] = frozenset()


class CycleEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle that is over, however it ended. `seconds` by the monotonic clock; None: it did not come so far."""

    report: CycleReport
    seconds: float
    summary: ExecutionSummary
    stance: Stance
    facts: CycleFacts | None = None
    draft: Draft | None = None


class Universe(Protocol):
    """Chooses the symbols of a cycle."""

    @property
    def fate_of_others(self) -> str:
        """What becomes of a position in a symbol that is not configured, for people."""
        ...

    def select(self, now_ms: int, instruments: Mapping[str, Instrument], held: Sequence[str]) -> Watched:
        """`held` have a position or an open order of ours. May ask the venue; where that fails, the last choice stands
        and nothing is raised."""
        ...

    def current(self) -> Watched:
        """The last choice, without asking anything."""
        ...


class Overseer(Protocol):
    """Looks at every cycle before it plans, and may narrow it."""

    @property
    def name(self) -> str: ...

    def look(self, facts: CycleFacts) -> Stance:
        """Reads and remembers; what it wants to keep is written by `cycle_ended`."""
        ...


class CycleWatcher(Protocol):
    """Is told of every cycle that leaves a report."""

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Write what is to be kept, in the unit that closes the cycle. No reads of the venue in here."""
        ...


class Replacements(Protocol):
    """Working orders that make room for others, each replacement once."""

    def resume(self, cycle_id: str) -> Sequence[Intent]:
        """What is due: an intent for each replacement whose old order is proved closed. Gives up what is too late."""
        ...

    def begin(self, wishes: Sequence[ReplaceWish], summary: ExecutionSummary) -> None:
        """Write each replacement down, then ask for the cancellation of its old order."""
        ...

    def settle(self, decisions: Sequence[RiskDecision]) -> None:
        """Give up replacements whose intent was refused."""
        ...

    def beside(self, intent: Intent) -> Callable[[Transaction, Order], None] | None:
        """What is to be written in the unit that reserves this intent's order; None for one that replaces nothing."""
        ...


class Tuner(Protocol):
    """Holds the parameters that are in force."""

    def tuning(self) -> Tuning | None: ...
