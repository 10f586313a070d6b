"""Adaptation's nouns: bounds and rules, a change and what became of it, and where adaptation stands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from btcbot.domain.tuning import TUNED, Tuning, amount_of

#: So many cycles are looked at; what counts cycles in a row can count no further.
WINDOW: Final = 5


class ChangeOutcome(StrEnum):
    APPLIED = "APPLIED"
    REJECTED = "REJECTED"
    ROLLED_BACK = "ROLLED_BACK"
    RESET = "RESET"  # an operator's act


class Cause(StrEnum):
    """What rolls back."""

    DRAWDOWN_BREACH = "drawdown_breach"
    REJECT_SPIKE = "reject_spike"
    THROTTLED = "throttled"
    LOSSES = "losses"


class Range(msgspec.Struct, frozen=True):
    """Both ends belong to it."""

    least: Decimal
    most: Decimal


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """From settings. `bounds` has a range for each of `TUNED`. Numbers of cycles are 1 to `WINDOW`, except
    `quiet_cycles`, for which a direction that was rolled back is left alone. `candidates`: so many symbols can be
    chosen at all, and the universe does not grow beyond; None: nobody knows."""

    bounds: Mapping[str, Range]
    drawdown_ratio_max: Decimal
    drawdown_share: Decimal = Decimal("0.8")
    healthy_cycles: int = 3
    good_cycles: int = 3
    throttled_cycles: int = 3
    losing_cycles: int = 3
    quiet_cycles: int = 10
    loss_max: Decimal = Decimal(50)
    offset_step_bps: Decimal = Decimal(2)
    spread_step_bps: Decimal = Decimal(10)
    volume_step: Decimal = Decimal(100)
    turnover_step: Decimal = Decimal("0.05")
    candidates: int | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter, and what became of changing it. Values as plain text. `origin` is the cycle, or `operator@` and
    the time. `change_id` is made from all the rest, so that the same run makes the same ids."""

    change_id: str
    origin: str
    field: str
    before: str
    after: str
    from_version: int
    to_version: int
    outcome: ChangeOutcome
    reason: str


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """Where adaptation stands. `start` are the settings as given, `good` is the last checkpoint that has proved itself,
    `tuning` what is in force.

    `pnl_when_left` is the net profit with which the good checkpoint was left, None while it is in force or was left
    without a whole result. `left_alone`: field and direction (`universe_size:up`) → for how many quiet cycles more.
    `told` are the refused changes that are on record already and are not told again.
    """

    start: Tuning
    tuning: Tuning
    good: Tuning
    last_version: int
    pnl_when_left: Decimal | None = None
    left_alone: Mapping[str, int] = {}
    told: tuple[str, ...] = ()

    @property
    def is_unproven(self) -> bool:
        return self.tuning.version != self.good.version


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one cycle changes. `became_good`: the parameters in force are the new checkpoint."""

    course: Course
    changes: tuple[Change, ...] = ()
    became_good: bool = False
    causes: tuple[Cause, ...] = ()


def begin(start: Tuning) -> Course:
    """The settings as given are the first checkpoint: there is nothing better to go back to."""
    return Course(start=start, tuning=start, good=start, last_version=start.version)


def outside(tuning: Tuning, bounds: Mapping[str, Range]) -> Sequence[tuple[str, Decimal, Range]]:
    """Each parameter that lies outside its bounds, with its value and them."""
    return [
        (field, value, bounds[field])
        for field in TUNED
        if not bounds[field].least <= (value := amount_of(tuning, field)) <= bounds[field].most
    ]


def direction(field: str, before: Decimal, after: Decimal) -> str:
    """`universe_size:up`."""
    return f"{field}:{'up' if after > before else 'down'}"


def change_of(
    origin: str,
    field: str,
    before: str,
    after: str,
    from_version: int,
    to_version: int,
    outcome: ChangeOutcome,
    reason: str,
) -> Change:
    """A change with its id: `chg:<origin>:<from>-<to>:<hash of all of it>`."""
    texts = (origin, field, before, after, str(from_version), str(to_version), outcome.value, reason)
    digest = hashlib.sha256("\x1f".join(texts).encode()).hexdigest()[:12]
    return Change(
        change_id=f"chg:{origin}:{from_version}-{to_version}:{digest}",
        origin=origin,
        field=field,
        before=before,
        after=after,
        from_version=from_version,
        to_version=to_version,
        outcome=outcome,
        reason=reason,
    )
