"""What selective faults do to one request: those that need an accepted order, rows or a second page to strike.

A handler asks `Spoils` while it acts; what found nothing to spoil is not in `felt`, and its strike is taken back.
"""

from __future__ import annotations

from random import Random
from typing import Final, TypedDict, TypeVar

from btcturk_sim.accounts import Account
from btcturk_sim.faults import FaultRule, Kind
from btcturk_sim.orders import Order

_Row = TypeVar("_Row")


class Fate(TypedDict, total=False):
    """Keywords of `Engine.submit`."""

    wire_id: int | None
    cancel_after_ms: int


class Spoils:
    """The first rule of each kind that struck this request."""

    __slots__ = ("_rules", "felt")

    def __init__(self, rules: list[FaultRule]) -> None:
        self._rules: dict[Kind, FaultRule] = {}
        #: Ids of the rules that found something to spoil.
        self.felt: set[int] = set()
        for rule in rules:
            self._rules.setdefault(rule.kind, rule)

    def fate(self, account: Account, now_ms: int) -> Fate:
        """What is in store for a new order."""
        fate = Fate()
        if (rule := self._rules.get(Kind.ACCEPTED_THEN_CANCELED)) is not None:
            fate["cancel_after_ms"] = rule.params.get("after_ms", 0)
        if (rule := self._rules.get(Kind.ID_REUSED)) is not None:
            fate["wire_id"] = account.id_to_reuse(now_ms - rule.params.get("age_ms", 0))
        return fate

    def accepted(self, order: Order) -> None:
        """The order whose fate was asked for was taken."""
        if Kind.ACCEPTED_THEN_CANCELED in self._rules:
            self._feel(Kind.ACCEPTED_THEN_CANCELED)
        if Kind.ID_REUSED in self._rules and order.wire_id != order.id:
            self._feel(Kind.ID_REUSED)

    def thinned(self, rows: list[_Row]) -> list[_Row]:
        """The rows of a list, less those that are left out."""
        rule = self._rules.get(Kind.ROWS_MISSING)
        if rule is None:
            return rows
        first, last = run_of_rows(rule, len(rows))
        if first == last:
            return rows
        self._feel(Kind.ROWS_MISSING)
        return rows[:first] + rows[last:]

    @property
    def shift(self) -> int:
        """How many rows earlier a page after the first begins."""
        rule = self._rules.get(Kind.SHIFTED_PAGE)
        return 0 if rule is None else rule.params.get("rows", 1)

    def shifted(self) -> None:
        """A page really began earlier."""
        self._feel(Kind.SHIFTED_PAGE)

    def _feel(self, kind: Kind) -> None:
        self.felt.add(self._rules[kind].id)


#: Nothing strikes. Shared, never changed: it has no rule that could be felt.
UNSPOILED: Final = Spoils([])


def run_of_rows(rule: FaultRule, length: int) -> tuple[int, int]:
    """First and last (exclusive) of the rows that `rows_missing` leaves out of a list of this length."""
    rows = rule.params.get("rows")
    if rows is not None:
        first = min(rule.params.get("start", 0), length)
        return first, min(first + rows, length)
    if not length:
        return 0, 0
    random = Random(f"rows-{rule.params.get('seed', 0)}-{length}")  # noqa: S311 (no secret)
    rows = random.randint(1, length)
    first = random.randint(0, length - rows)
    return first, first + rows
