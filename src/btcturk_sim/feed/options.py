"""Everything about the feed that is a choice: times as they were measured, and both answers where none is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from btcturk_sim.errors import ConfigurationError

BALANCE_UPDATED: Final = 201
USER_TRADE: Final = 423
ORDER_MATCH: Final = 441
ORDER_INSERT: Final = 451
ORDER_DELETE: Final = 452
ORDER_UPDATE: Final = 453
#: What an account can be told, by number.
USER_EVENTS: Final = frozenset(
    {BALANCE_UPDATED, USER_TRADE, ORDER_MATCH, ORDER_INSERT, ORDER_DELETE, ORDER_UPDATE}
)  # fmt: skip


#: The least that each of these options may be, by the name of its field.
_LEAST: Final = {"batch_ms": 1, "ping_ms": 1, "pong_timeout_ms": 1, "lifetime_ms": 0, "user_events_lag_ms": 0}


class Sides(StrEnum):
    """What the number S of a public trade means: 0 was seen to be a sale, other readers take it for a purchase."""

    SELL_0 = "sell-0"
    BUY_0 = "buy-0"

    @property
    def numbers(self) -> Mapping[str, int]:
        return _NUMBERS[self]


_NUMBERS: Final = MappingProxyType(
    {
        Sides.SELL_0: MappingProxyType({"sell": 0, "buy": 1}),
        Sides.BUY_0: MappingProxyType({"buy": 0, "sell": 1}),
    }
)


class LoginWindow(StrEnum):
    """What a login's nonce is: the number of milliseconds its timestamp is good for, or a number like any other."""

    NONCE = "nonce"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOptions:
    """How the feed behaves; the defaults are what was recorded, or the likelier of two readings.

    ConfigurationError: a time below zero, or zero where time must pass; a user event that does not exist.
    """

    #: Books, tickers and charts are sent at multiples of this.
    batch_ms: int = 760
    ping_ms: int = 15_000
    pong_timeout_ms: int = 45_400
    #: A connection is closed when it is this old; 0: never, as far as anybody has seen.
    lifetime_ms: int = 0
    sides: Sides = Sides.SELL_0
    #: The time of a single trade (422) as text, as in lists of trades (421), or as a number.
    trade_time_is_text: bool = True
    login_window: LoginWindow = LoginWindow.NONCE
    #: A login ends the earlier ones with the same key (802), or stands beside them.
    one_login_per_key: bool = False
    #: Which user events there are; 453 was said not to arrive for API keys.
    user_events: frozenset[int] = USER_EVENTS - {ORDER_UPDATE}
    #: User events come this much after what they tell of; 0: even before the REST answer to it.
    user_events_lag_ms: int = 5
    #: Whether 452 is also sent for an order that has filled completely.
    delete_when_filled: bool = False
    #: Whether 451 is also sent for market orders, and for stop orders.
    insert_market_orders: bool = True
    insert_stop_orders: bool = True
    #: 441 with the timestamp that newer clients read, and 423 with the type that every other body has.
    match_has_timestamp: bool = False
    user_trade_has_type: bool = False
    #: Whether leaving what was never joined is answered with success.
    leave_unknown_ok: bool = False

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if (given := getattr(self, name)) < least:
                raise ConfigurationError(f"{name} {given}: give {least} or more")
        unknown = self.user_events - USER_EVENTS
        if unknown:
            raise ConfigurationError(f"user_events {sorted(unknown)}: give some of {sorted(USER_EVENTS)}")
