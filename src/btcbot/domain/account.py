"""What the account holds, as the venue tells it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from btcbot.domain import money


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
        return self.free(asset) + self.locked(asset)
