"""What an API key may do, and from where: chosen when it is made, changed on the exchange's pages, never by itself."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from btcturk_sim.errors import ConfigurationError


class Permission(StrEnum):
    """The permissions of the key page, and what each opens.

    FUNDS ("total funds")   balances
    TRADE ("trade")         orders: POST, DELETE, one, open ones, all
    ACCOUNT ("account")     lists of trades, deposits and withdrawals
    WEBSOCKET               the login on the feed
    """

    FUNDS = "funds"
    TRADE = "trade"
    ACCOUNT = "account"
    WEBSOCKET = "websocket"


ALL_PERMISSIONS: Final = frozenset(Permission)


def permissions(names: Iterable[str]) -> frozenset[Permission]:
    """From text; ConfigurationError names the ones there are."""
    found = set()
    for name in names:
        try:
            found.add(Permission(name.strip().lower()))
        except ValueError:
            known = ", ".join(Permission)
            raise ConfigurationError(f"{name!r} is no permission of a key; there are {known}") from None
    return frozenset(found)
