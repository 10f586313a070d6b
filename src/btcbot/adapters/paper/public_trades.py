"""A pair's last public trades over REST, for the time in which no feed tells them. Public data, never signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import quote_plus

import httpx2
import msgspec
from msgspec import Raw

from btcbot.adapters.btcturk import wire
from btcbot.adapters.btcturk.connection import Connection
from btcbot.adapters.btcturk.limits import QUOTAS, Endpoint, Quota
from btcbot.adapters.btcturk.requester import Timing
from btcbot.adapters.btcturk.wire import values
from btcbot.adapters.btcturk.wire.values import WireError
from btcbot.adapters.paper.matching import MarketTrade
from btcbot.domain.intents import Side
from btcbot.ports import Clock, Log, Metrics, StopSignal

#: As many as the venue lists.
TRADES_MAX: Final = 50
#: BtcTurk's page on rate limits has no row for this address; this is its row for the older one of the same kind.
_QUOTAS: Final[Mapping[Endpoint, tuple[Quota, ...]]] = MappingProxyType(
    {**QUOTAS, Endpoint.TRADES: (Quota(90, 60_000),)}
)
_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}


class _Row(msgspec.Struct, frozen=True, gc=False):
    date: Raw
    tid: Raw
    price: Raw
    amount: Raw
    side: str | None = None


_ROWS: Final = msgspec.json.Decoder(list[_Row])


class PublicTrades:
    """Asks BtcTurk for public trades, within its limits. Raises ConfigurationError for an address that is not its."""

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        stop: StopSignal,
        metrics: Metrics,
        log: Log,
        timing: Timing,
        quotas: Mapping[Endpoint, tuple[Quota, ...]] = _QUOTAS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._connection = Connection(
            base_url, clock=clock, stop=stop, metrics=metrics, log=log, quotas=quotas, transport=transport
        )
        self._requester = self._connection.requester(timing)

    def of(self, symbol: str) -> Sequence[MarketTrade]:
        """The last trades of a pair, in any order. Raises VenueUnavailable."""
        target = f"/api/v2/trades?pairSymbol={quote_plus(symbol)}&last={TRADES_MAX}"
        return self._requester.read(Endpoint.TRADES, target, decode)

    def close(self) -> None:
        self._connection.close()


def decode(body: bytes) -> list[MarketTrade]:
    """The answer of GET /api/v2/trades. A side that is not told, or not known, is None."""
    try:
        rows = _ROWS.decode(wire.unpack(body, "the trades"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"the trades cannot be read: {values.for_people(str(error))}") from error
    return [
        MarketTrade(
            at_ms=values.time_ms(row.date, "date"),
            price=values.positive(row.price, "price"),
            quantity=values.positive(row.amount, "amount"),
            taker=_SIDES.get((row.side or "").lower()),
            trade_id=values.identifier(row.tid, "tid"),
        )
        for row in rows
    ]
