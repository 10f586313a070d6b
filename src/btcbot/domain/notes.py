"""Notes: what a cycle writes down for people and for later cycles, beside its report.

A note is a line of a history that grows by one row a cycle or an event: a result, an anomaly, a selection of symbols, a
change of parameters. It is never money that is owed or an order that is open: those have tables of their own. `body` is
JSON, written and read by the one module that owns the kind.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class NoteKind(StrEnum):
    """One word for each history."""

    SNAPSHOT = "snapshot"  # result of a cycle: equity, profit, fees, slippage, turnover, drawdown
    ANOMALY = "anomaly"  # something out of the ordinary that a cycle saw
    DEGRADE = "degrade"  # a change of the degrade level
    FREEZE = "freeze"  # orders that nobody can explain: frozen, or cleared
    UNIVERSE = "universe"  # a selection of symbols, with why others were left out
    REPLACEMENT = "replacement"  # a replacement that ended, and how
    CAPITAL = "capital"  # a split of realised profit
    BUDGET = "budget"  # a human's reset of where drawdown is measured from
    RUN_METRICS = "run_metrics"  # what adaptation looks at
    PARAMETERS = "parameters"  # a change of parameters, a refused one, a rollback
    AGENT = "agent"  # what an agent was asked and answered, and what was left of it
    ALERT = "alert"  # an alert that fired


#: Histories that outlive the reports of their cycles: what state was folded from, and can be checked against.
NEVER_FORGOTTEN: Final = frozenset({NoteKind.CAPITAL, NoteKind.PARAMETERS})


class Note(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`at_ms` is Unix time by our clock; `cycle_id` the cycle that wrote it, empty for an operator's act."""

    kind: NoteKind
    cycle_id: str
    at_ms: int
    body: str
