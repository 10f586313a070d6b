"""A rig whose bot is `stage4-run` as it ships: universe, agent, upkeep, allocation, and all who oversee it.

Its strategy is the story's `wish`es. What a story is not about is set so wide that it stays out of the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from btcbot.decisions.degrade import level_in_force
from btcbot.domain.notes import NoteKind
from btcbot.profiles import STAGE4
from btcbot.services.degrade_record import Kept, read_degrade
from btcbot.testing.in_process_rig import Rig

#: One wish is one order, whatever its size.
WIDE: Final[Mapping[str, str]] = {"MAX_INTENT_NOTIONAL_TRY": "5000"}


class OverseenRig(Rig):
    """`Rig` under the profile `stage4-run`, with words for what its overseers keep."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **{"profile": STAGE4, **WIDE, **options})

    def level(self) -> int:
        return level_in_force(self.kept().machine, self.clock.now_ms())

    def kept(self) -> Kept:
        return read_degrade(self.store, self.clock.now_ms())

    def notes(self, kind: NoteKind) -> list[dict[str, Any]]:
        return [msgspec.json.decode(note.body) for note in self.store.notes(kind)]

    def anomalies(self) -> list[str]:
        return [note["code"] for note in self.notes(NoteKind.ANOMALY)]
