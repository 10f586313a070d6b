"""One exchange put together: engine, wire, feed, faults, control and recording, still without a socket.

This is what a test or a fault simulation drives in process:

    simulator = Simulator(
        accounts=[account("KEY", base64_secret, {"TRY": "100000"})],
        source=GeneratedBars(("BTCTRY",), seed=7), now_ms=0)
    response = simulator.api.handle(Request(method="GET", path="/api/v2/server/time"), now_ms=1_000)
    session = simulator.feed.connect(now_ms=1_000)
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Final

from btcturk_sim.accounts import Account, Balance
from btcturk_sim.api import Api, ApiOptions
from btcturk_sim.bars import BarSource
from btcturk_sim.control import Control
from btcturk_sim.engine import Engine, EngineOptions
from btcturk_sim.errors import ConfigurationError
from btcturk_sim.faults import FaultRegistry
from btcturk_sim.feed import Feed, FeedOptions
from btcturk_sim.market import AtEnd, Market
from btcturk_sim.money import WIRE_DECIMALS, decimals_of
from btcturk_sim.operations import Operations
from btcturk_sim.record import Recorder

#: More of one asset than there ever was of any: what is beyond is a slip of the hand.
_AMOUNT_MAX: Final = Decimal(10**18)
_FIRST_USER_ID: Final = 5_869_906


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    engine: EngineOptions = field(default_factory=EngineOptions)
    api: ApiOptions = field(default_factory=ApiOptions)
    feed: FeedOptions = field(default_factory=FeedOptions)
    speed: Fraction = Fraction(1)
    at_end: AtEnd = AtEnd.HOLD
    seed: int = 1
    record: Path | None = None


class Simulator:
    def __init__(
        self,
        *,
        accounts: Iterable[Account],
        source: BarSource,
        now_ms: int,
        options: SimulatorOptions | None = None,
    ) -> None:
        self.options = options or SimulatorOptions()
        market = Market(source, speed=self.options.speed, start_ms=now_ms, at_end=self.options.at_end)
        self.engine = Engine(
            accounts=accounts, market=market, now_ms=now_ms, seed=self.options.seed, options=self.options.engine
        )
        self.faults = FaultRegistry(self.options.seed)
        self.api = Api(self.engine, faults=self.faults, options=self.options.api)
        self.feed = Feed(self.engine, self.api, options=self.options.feed, seed=self.options.seed)
        self.control = Control(self.api, self.feed)
        self.operations = Operations(self.engine)
        self.recorder: Recorder | None = None
        if self.options.record is not None:
            self.recorder = Recorder(self.options.record, self.engine, self.api, self.feed)

    @property
    def is_over(self) -> bool:
        """The last bar has been played and the market was told to exit there, or a shutdown was asked for."""
        ended = self.engine.market.ended and self.engine.market.at_end is AtEnd.EXIT
        return ended or self.control.shutdown_asked

    def close(self) -> None:
        if self.recorder is not None:
            self.recorder.close()


def account(key: str, secret: str, balances: Mapping[str, str], ordinal: int = 0) -> Account:
    """An account from text; the secret is base64, as the exchange hands it out."""
    if not key:
        raise ConfigurationError("an account has no key; write KEY:SECRET:TRY=1000,BTC=0.5")
    try:
        raw = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw:
        raise ConfigurationError(f"account {key}: the secret is not base64; make one with: openssl rand -base64 24")
    held = {}
    for asset, text in balances.items():
        try:
            amount = Decimal(text)
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or not 0 <= amount <= _AMOUNT_MAX or decimals_of(amount) > WIRE_DECIMALS:
            raise ConfigurationError(f"account {key}: {asset}={text} is not an amount; write it like TRY=1000.50")
        held[asset.upper()] = Balance(free=amount)
    return Account(key=key, secret=raw, user_id=_FIRST_USER_ID + ordinal, balances=held)


def parse_account(text: str, ordinal: int = 0) -> Account:
    """`KEY:SECRET:TRY=100000,BTC=0.5`; the balances may be left out. The secret is never repeated in errors."""
    key, first, rest = text.partition(":")
    secret, _, assets = rest.partition(":")
    if not first or not secret:
        raise ConfigurationError(f"account {key or '?'}: write KEY:SECRET:ASSET=AMOUNT,ASSET=AMOUNT")
    balances: dict[str, str] = {}
    for item in filter(None, assets.split(",")):
        asset, equals, amount = item.partition("=")
        if not equals or not asset.isalnum():
            raise ConfigurationError(f"account {key}: {item!r} is not ASSET=AMOUNT; write it like TRY=1000")
        if asset.upper() in balances:
            raise ConfigurationError(f"account {key}: {asset.upper()} is given twice; keep one")
        balances[asset.upper()] = amount
    return account(key, secret, balances, ordinal)
