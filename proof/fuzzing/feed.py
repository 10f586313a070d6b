"""For the fuzzer: good frames of the live feed, and a conversation into which spoiled ones are mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from btcbot.adapters.btcturk.feed_actions import Actions
from btcbot.adapters.btcturk.feed_book import Depth
from btcbot.adapters.btcturk.feed_frames import PublicTrade
from btcbot.adapters.btcturk.feed_state import FeedState
from btcbot.adapters.btcturk.signing import Signer
from btcbot.config.secrets import Secret
from btcbot.domain.feed import FeedView

_LEVELS: Final = {
    "CS": 10,
    "PS": "BTCTRY",
    "AO": [{"A": "0.5", "P": "101"}, {"A": "0.00288357", "P": "102.5"}],
    "BO": [{"A": "0.5", "P": "100"}, {"A": "3", "P": "99"}],
    "channel": "obdiff",
    "event": "BTCTRY",
    "type": 431,
}
_CHANGES: Final = {
    **_LEVELS,
    "CS": 11,
    "AO": [{"CP": 1, "P": "100.5", "A": "1.83710101"}, {"CP": 3, "P": "102.5", "A": "9"}],
    "BO": [{"CP": 0, "P": "100", "A": "0.4"}],
    "type": 432,
}
_TRADE: Final = {"D": "1787692476996", "I": "100163842129199947", "A": "0.01", "P": "3765490.0000000000", "S": 0}
_ORDER: Final = {
    "type": 451,
    "pairId": 1,
    "symbol": "BTCTRY",
    "id": 25338392433,
    "method": 0,
    "userId": 0,
    "orderType": 0,
    "price": "0.04573",
    "amount": "37154.7082",
    "numLeft": "37154.7082",
    "denomLeft": "1700.7838907919859319",
    "newOrderClientId": "btcbot-k7f3-19a-1",
}
_FILL: Final = {
    "id": 1149163839863900657,
    "orderId": 25327923517,
    "timestamp": 1729396570700,
    "numeratorSymbol": "BTC",
    "denominatorSymbol": "TRY",
    "amount": "-205.24",
    "fee": "-0.10467240",
    "tax": "-0.02093448",
    "price": "1.020",
    "orderType": "sell",
    "orderClientId": "btcbot-k7f3-19a-1",
    "preciseAmount": -205.24,
}
_TICKER: Final = {"B": "1.5", "A": "2.5", "BA": "1", "AA": "2", "PS": "BTCTRY", "LA": "2", "DS": "TRY", "PId": 1}
_CANDLE: Final = {"D": 1787692440, "P": "BTCTRY", "R": 60, "O": "1", "H": "4", "L": "0.5", "C": "2", "V": "0"}
_MATCH: Final = {"type": 441, "id": 7968322274, "symbol": "BTCTRY", "amount": "0.6", "price": "20", "clientId": "x"}

#: One good frame of each kind, by its name.
FRAMES: Final[Mapping[str, object]] = {
    "feed_snapshot": [431, _LEVELS],
    "feed_changes": [432, _CHANGES],
    "feed_trades": [421, {"symbol": "BTCTRY", "items": [_TRADE], "channel": "trade", "event": "BTCTRY", "type": 421}],
    "feed_trade": [422, {**_TRADE, "PS": "BTCTRY", "channel": "trade", "event": "BTCTRY", "type": 422}],
    "feed_tickers": [401, {"items": [_TICKER], "channel": "ticker", "event": "all", "type": 401}],
    "feed_candle": [428, _CANDLE],
    "feed_answer": [100, {"type": 100, "ok": True, "message": "join|obdiff:BTCTRY"}],
    "feed_login": [114, {"type": 114, "id": 5869906, "ok": True, "message": None}],
    "feed_welcome": [991, {"type": 991, "current": "6.0.0", "min": "2.3.0"}],
    "feed_system": [802, {"type": 802, "id": 1, "ok": True, "message": "bye"}],
    "feed_balance": [201, {"type": 201, "userId": 1, "payload": {}}],
    "feed_fill": [423, _FILL],
    "feed_match": [441, _MATCH],
    "feed_order": [451, _ORDER],
}


class Told(NamedTuple):
    """What came of a conversation."""

    view: FeedView
    actions: Actions
    trades: tuple[PublicTrade, ...]
    depth: Depth | None


def talk(bodies: Sequence[bytes]) -> Told:
    """A connection with a book, and these frames after it, a second apart."""
    state = FeedState(
        ["BTCTRY"],
        random=lambda: 0.5,
        wall_ms=lambda: 1_790_133_600_000,
        signer=Signer(Secret("key"), Secret("c2VjcmV0")),
    )
    state.attempting(0)
    actions = list(state.connected(0))
    for number, body in enumerate((msgspec.json.encode(FRAMES["feed_snapshot"]), *bodies)):
        now_ms = 1_000 * number
        actions += state.offer(body)
        actions += state.work(now_ms)
        actions += state.tick(now_ms)
    now_ms = 1_000 * len(bodies)
    return Told(state.view(now_ms), actions, state.trades("BTCTRY"), state.depth("BTCTRY", 1_000))
