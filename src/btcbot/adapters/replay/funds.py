"""What an account holds at a venue of recorded bars: money that only moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from btcbot.domain import money
from btcbot.domain.account import Balance


class Funds:
    """Free and locked, by asset. `opening` is free; `assets` are told although there is nothing of them."""

    def __init__(self, opening: Mapping[str, Decimal], assets: Iterable[str]) -> None:
        self._free = dict.fromkeys(assets, money.ZERO) | dict(opening)
        self._locked = dict.fromkeys(self._free, money.ZERO)
        self._told: dict[str, Balance] = {}
        self._moved = set(self._free)

    def free(self, asset: str) -> Decimal:
        return self._free[asset]

    def move(self, asset: str, free: Decimal, locked: Decimal) -> None:
        """Add to what is free and to what is locked; either may be taken from."""
        self._free[asset] = left = self._free[asset] + free
        self._locked[asset] += locked
        assert left >= money.ZERO, "a lock covers the worth of the order and the taker's charge"
        self._moved.add(asset)

    def balances(self) -> Mapping[str, Balance]:
        """As they are now; what was given before stays as it was."""
        if self._moved:
            moved = {asset: Balance(asset, self._free[asset], self._locked[asset]) for asset in self._moved}
            self._told = {**self._told, **moved}
            self._moved.clear()
        return self._told
