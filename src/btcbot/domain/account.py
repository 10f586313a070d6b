"""What the account holds, as the venue tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from btcbot.domain import money
from btcbot.domain.ledger import Hold


class Balance(msgspec.Struct, frozen=True, gc=False):
    """`free` can be ordered with, `locked` is held by open orders (and pending withdrawals)."""

    asset: str
    free: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        return self.free + self.locked


class AccountSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All balances at one moment. `asked_at_ms`/`received_at_ms`: our clock around the read."""

    balances: Mapping[str, Balance]
    asked_at_ms: int
    received_at_ms: int

    def free(self, asset: str) -> Decimal:
        balance = self.balances.get(asset)
        return balance.free if balance else money.ZERO

    def locked(self, asset: str) -> Decimal:
        balance = self.balances.get(asset)
        return balance.locked if balance else money.ZERO

    def total(self, asset: str) -> Decimal:
        balance = self.balances.get(asset)
        return balance.total if balance else money.ZERO

    def with_held(self, holds: Iterable[Hold]) -> AccountSnapshot:
        """As the venue will show it once it has locked these holds too; never below zero free."""
        balances = dict(self.balances)
        for hold in holds:
            before = balances.get(hold.asset)
            if before is not None:
                moved = min(hold.amount, before.free)
                balances[hold.asset] = Balance(hold.asset, before.free - moved, before.locked + moved)
        return msgspec.structs.replace(self, balances=balances)

    def with_released(self, holds: Iterable[Hold]) -> AccountSnapshot:
        """As the venue shows it once it has unlocked these holds; never below zero locked."""
        balances = dict(self.balances)
        for hold in holds:
            before = balances.get(hold.asset)
            if before is not None:
                moved = min(hold.amount, before.locked)
                balances[hold.asset] = Balance(hold.asset, before.free + moved, before.locked - moved)
        return msgspec.structs.replace(self, balances=balances)
