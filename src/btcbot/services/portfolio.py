"""PortfolioService: what the account holds, as the venue tells it."""

from __future__ import annotations

from btcbot.domain.account import AccountSnapshot
from btcbot.ports import Exchange


class PortfolioService:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def get_balances(self) -> AccountSnapshot:
        """All balances, free and locked. Raises VenueUnavailable."""
        return self._exchange.balances()
