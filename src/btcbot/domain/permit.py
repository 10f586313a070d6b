"""A permit is leave for exactly one write, given now.

`Exchange.submit` and `Exchange.cancel` take one as an argument, so a call without the gates having been asked does not
type-check. Only `decisions/gates.py` may make one; an architecture test keeps it so. Its scope separates the worlds: a
permit to simulate can never open the real venue's door (I13).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from btcbot.errors import InvariantBroken

#: A permit is for now: a write that starts later than this after the gates were asked needs a new one.
PERMIT_AGE_MS_MAX: Final = 1_000


class WriteKind(StrEnum):
    SUBMIT = "submit"
    CANCEL = "cancel"


class PermitScope(StrEnum):
    VENUE = "venue"
    SIMULATION = "simulation"


class Permit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """For one `kind` of write on one order, issued at `issued_at_ms` of our monotonic clock in ms."""

    kind: WriteKind
    scope: PermitScope
    client_order_id: str
    issued_at_ms: int

    def demand(self, kind: WriteKind, scope: PermitScope, client_order_id: str) -> None:
        """I6, I13: raise unless this permit is for exactly this write in this world. Adapters call it first."""
        if (self.kind, self.scope, self.client_order_id) != (kind, scope, client_order_id):
            raise InvariantBroken(
                "I6_PERMIT",
                f"a permit to {self.kind} {self.client_order_id} ({self.scope}) was used to {kind} "
                f"{client_order_id} ({scope})",
            )

    def is_fresh(self, now_ms: int) -> bool:
        """Whether it is still for now, by the monotonic clock in ms. A stale one is no fault: a machine may pause."""
        return 0 <= now_ms - self.issued_at_ms <= PERMIT_AGE_MS_MAX
