"""Bars of BtcTurk's charts: a host of their own, without an envelope, in seconds.

An answer is six arrays side by side; one that cannot be what it should be (arrays of unequal length, times out of order
or off the grid, a high below a low, a price that is no price) is refused as a whole.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec
from msgspec import Raw

from btcbot.adapters.btcturk.wire import envelope, values
from btcbot.adapters.btcturk.wire.values import WireError
from btcbot.domain import money
from btcbot.domain.bars import Bar

_COLUMNS: Final = {
    "said": "s",
    "times": "t",
    "opens": "o",
    "highs": "h",
    "lows": "l",
    "closes": "c",
    "volumes": "v",
}


class _Klines(msgspec.Struct, frozen=True, gc=False, rename=_COLUMNS):
    said: str = "ok"
    times: list[Raw] | None = None
    opens: list[Raw] | None = None
    highs: list[Raw] | None = None
    lows: list[Raw] | None = None
    closes: list[Raw] | None = None
    volumes: list[Raw] | None = None


_KLINES: Final = msgspec.json.Decoder(_Klines)
#: What an answer without bars says, by the documents of the chart's widget; BtcTurk's own word is not known.
_SAID_NOTHING: Final = frozenset({"no_data", "ok"})


def klines(body: bytes, symbol: str, interval_ms: int) -> list[Bar]:
    """Bars of GET /v1/klines/history, ascending, the one that is still being drawn included. WireError for the rest."""
    found = envelope.decode_body(_KLINES, body, "the bars")
    columns = (found.times, found.opens, found.highs, found.lows, found.closes, found.volumes)
    if found.said not in _SAID_NOTHING:
        raise WireError(f"the bars came with the word {values.for_people(found.said)!r}")
    if not any(columns):
        if found.times is None and found.said != "no_data":
            raise WireError("the bars came without times")
        return []
    if found.said != "ok" or any(column is None or len(column) != len(found.times or ()) for column in columns):
        raise WireError("the bars' columns are of unequal length")
    rows = zip(*(column for column in columns if column is not None), strict=True)
    bars = [_bar(row, symbol, interval_ms) for row in rows]
    for one, following in pairwise(bars):
        if one.open_time_ms >= following.open_time_ms:
            raise WireError("the bars are out of order")
    return bars


def _bar(row: tuple[Raw, ...], symbol: str, interval_ms: int) -> Bar:
    at, opened, high, low, close, volume = row
    # Seconds, unlike everything but this host.
    bar = Bar(
        symbol=symbol,
        interval_ms=interval_ms,
        open_time_ms=values.time_ms(at, "a bar's time") * 1000,
        open=_price(opened, "a bar's open"),
        high=_price(high, "a bar's high"),
        low=_price(low, "a bar's low"),
        close=_price(close, "a bar's close"),
        volume=_short(values.not_negative(volume, "a bar's volume")),
    )
    if bar.open_time_ms % interval_ms or bar.open_time_ms > values.TIME_MS_MAX:
        raise WireError("a bar's time is not on its grid")
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise WireError("a bar's prices contradict each other")
    return bar


def _price(raw: Raw, name: str) -> Decimal:
    return _short(values.positive(raw, name))


def _short(value: Decimal) -> Decimal:
    """The same number without the zeros at its end: whole prices come as `3809691.0`."""
    return Decimal(money.plain(value))
