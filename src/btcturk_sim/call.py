"""What a handler gets to see of a request."""

from __future__ import annotations

import msgspec

from btcturk_sim.accounts import Account
from btcturk_sim.spoils import UNSPOILED, Spoils
from btcturk_sim.wire import Params, Request


class Call(msgspec.Struct):
    """What a handler gets to see."""

    request: Request
    params: Params
    now_ms: int
    venue_ms: int
    skew_ms: int
    #: Trades up to this time are visible whatever the lag.
    settled_ms: int
    spoils: Spoils = UNSPOILED
    lag_ms: int = 0
    hide_ms: int = 0
    cancel_lost: bool = False
    authenticated: Account | None = None

    @property
    def account(self) -> Account:
        assert self.authenticated is not None, "a private handler was reached without authentication"
        return self.authenticated
