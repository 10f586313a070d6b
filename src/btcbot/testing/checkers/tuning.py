"""I24: parameters change within their bounds, with a cycle and a reason, and go back only to what was in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from btcbot.testing.checkers.closing import Closing, Unit
from btcbot.testing.checkers.scene import ZERO, Invariant, Scene, Sent
from btcturk_sim.money import exact

#: Parameter → the settings that bound it, each with its default; a setting that is no name is the bound itself.
_BOUNDS: Final[Mapping[str, tuple[tuple[str, str], tuple[str, str]]]] = {
    "universe_size": (("ADAPTATION_UNIVERSE_MIN", "5"), ("ADAPTATION_UNIVERSE_MAX", "50")),
    "order_offset_bps": (("", "0"), ("ADAPTATION_OFFSET_BPS_MAX", "50")),
    "turnover_per_cycle_max": (("ADAPTATION_TURNOVER_MIN_TRY", "100"), ("NOTIONAL_CAP_TRY_PER_CYCLE", "1000")),
    "orders_per_cycle_max": (("", "1"), ("ADAPTATION_ORDERS_MAX", "20")),
    "spread_bps_max": (("ADAPTATION_SPREAD_BPS_MIN", "10"), ("ADAPTATION_SPREAD_BPS_MAX", "500")),
    "quote_volume_min": (("", "0"), ("ADAPTATION_QUOTE_VOLUME_MAX_TRY", "1000000")),
    "cash_target": (("", "0"), ("TRY_CASH_MAX", "600")),
}
_STATE: Final = "adaptation_state"
Course = Mapping[str, Any]


class I24Tuning(Invariant):
    """A change is written in the unit that closes a cycle, with a note for each parameter that it moves and for no
    other; versions only rise, but for a rollback, which puts back a set that was in force; caps in force hold."""

    name = "I24"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._is_on = scene.rig.profile.adapts
        #: Where adaptation stands, None before it began; every set that was in force, by its version.
        self._course: Course | None = None
        self._sets: dict[int, Course] = {}
        self._orders = 0
        self._notional = ZERO

    def cycle_begins(self) -> None:
        self._orders, self._notional = 0, ZERO

    @exact
    def order_leaves(self, sent: Sent) -> None:
        if not self._is_on or self._course is None:
            return
        tuning = self._course["tuning"]
        self._orders += 1
        self._notional += sent.value
        if self._orders > tuning["orders_per_cycle_max"]:
            self.violated(f"{sent.client} is number {self._orders} of its cycle; tuned are {tuning}")
        if self._notional > Decimal(tuning["turnover_per_cycle_max"]):
            self.violated(f"{self._notional} ordered in one cycle; tuned are {tuning['turnover_per_cycle_max']}")

    def unit_committed(self, unit: Unit) -> None:
        if not self._is_on:
            return
        closing = self.scene.closing(unit)
        told = [
            msgspec.json.decode(row["body"])
            for name, row in unit
            if name == "insert_note" and row["kind"] == "parameters"
        ]
        text = next((row["value"] for name, row in unit if name == "put_value" and row["name"] == _STATE), None)
        if text == "":
            self._reset(closing, told)
        elif text is None:
            if any(change["outcome"] in ("APPLIED", "ROLLED_BACK") for change in told):
                self.violated("parameters are said to have changed, and stand as they stood")
        else:
            self._moved(msgspec.json.decode(text)["course"], closing, told)

    def _reset(self, closing: Closing | None, told: Sequence[Mapping[str, Any]]) -> None:
        if closing is not None or not told:
            self.violated("parameters are reset within a cycle, or without a word")
        self._course = None

    def _moved(self, course: Course, closing: Closing | None, told: Sequence[Mapping[str, Any]]) -> None:
        if closing is None:
            self.violated("parameters change outside of the unit that closes a cycle")
        before = self._course
        after, base = course["tuning"], course["start"] if before is None else before["tuning"]
        if before is None:
            self._sets[base["version"]] = base
        for field, (least, most) in _BOUNDS.items():
            if not self._bound(*least) <= Decimal(str(after[field])) <= self._bound(*most):
                self.violated(f"{field} is {after[field]}, outside of {self._bound(*least)} to {self._bound(*most)}")
        moved = {field: (base[field], after[field]) for field in _BOUNDS if base[field] != after[field]}
        done = {change["field"]: change for change in told if change["outcome"] != "REJECTED"}
        if set(moved) != set(done):
            self.violated(f"{sorted(moved)} changed in cycle {closing.cycle_id}, and notes tell of {sorted(done)}")
        for field, (was, now) in moved.items():
            change = done[field]
            if (Decimal(change["before"]), Decimal(change["after"])) != (Decimal(str(was)), Decimal(str(now))):
                self.violated(f"{field} went from {was} to {now}, and its note says {change}")
        if moved and all(change["outcome"] == "ROLLED_BACK" for change in done.values()):
            self._rolled_back(after, base)
        elif moved and after["version"] in self._sets:
            self.violated(f"version {after['version']} names two sets of parameters")
        good: Course = course["good"]
        known = self._sets.get(good["version"]) or after
        if self._same(known, good):
            self._sets[after["version"]] = after
            self._course = course
            return
        self.violated(f"the checkpoint {good} was never in force")

    def _rolled_back(self, after: Course, base: Course) -> None:
        """To a set that was in force, but for a turnover that stays where it was taken down to."""
        for known in self._sets.values():
            differing = [field for field in _BOUNDS if known[field] != after[field]]
            if not differing or (
                differing == ["turnover_per_cycle_max"]
                and after["turnover_per_cycle_max"] == base["turnover_per_cycle_max"]
            ):
                return
        self.violated(f"parameters were rolled back to {after}, which were never in force")

    @staticmethod
    def _same(one: Course, other: Course) -> bool:
        return all(one[field] == other[field] for field in _BOUNDS)

    def _bound(self, setting: str, default: str) -> Decimal:
        return Decimal(str(self.scene.rig.environment.get(setting, default)))
