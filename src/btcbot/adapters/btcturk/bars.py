"""The port `BarSource` over BtcTurk's charts: candles of a host of their own, without an envelope, in seconds.

An answer is six arrays side by side; one that cannot be what it should be (arrays of unequal length, times out of order
or off the grid, a high below a low, a price that is no price) is refused as a whole. Numbers are read from their text,
never through a float.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Final
from urllib.parse import quote_plus

import httpx2
import msgspec
from msgspec import Raw

from btcbot.adapters.btcturk import wire_values as values
from btcbot.adapters.btcturk.limits import QUOTAS, Endpoint, Quota
from btcbot.adapters.btcturk.requester import Requester, Timing
from btcbot.adapters.btcturk.sender import GRAPH_HOST, Sender
from btcbot.adapters.btcturk.wire import BODY_BYTES_MAX
from btcbot.adapters.btcturk.wire_values import WireError
from btcbot.domain import money
from btcbot.domain.bars import Bar
from btcbot.errors import VenueUnavailable
from btcbot.ports import Clock, Log, Metrics, StopSignal

#: How BtcTurk calls the lengths of its bars. Five minutes and a day are called as clients call them.
RESOLUTIONS: Final[Mapping[int, str]] = {
    60_000: "1",
    300_000: "5",
    900_000: "15",
    1_800_000: "30",
    3_600_000: "60",
    14_400_000: "240",
    86_400_000: "1D",
}
#: Bars asked with one request. What the venue gives at most is not known; a thousand were seen.
BARS_PER_REQUEST: Final = 1_000
#: More requests than this would be a download, not a look back: a week of minutes.
REQUESTS_MAX: Final = 10
#: A cycle waits for the answer: it is given up soon, and asked again by a later cycle.
CYCLE_TIMING: Final = Timing(read_s=3.0, attempts_max=1, wait_s_max=0.0)


class BtcturkCharts:
    """BtcTurk's candles; see the port `BarSource`.

    `venue_time_ms` tells which bars have closed; it may raise VenueUnavailable. `timing` says how often and how long a
    request is tried. `transport` None opens real sockets. Not for use by several threads at once.

    Raises ConfigurationError for a base URL other than BtcTurk's chart host over https or one of this machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        venue_time_ms: Callable[[], int],
        clock: Clock,
        stop: StopSignal,
        metrics: Metrics,
        log: Log,
        quotas: Mapping[Endpoint, tuple[Quota, ...]] = QUOTAS,
        timing: Timing = CYCLE_TIMING,
        transport: httpx2.BaseTransport | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._venue_time_ms = venue_time_ms
        self._sender = Sender(
            base_url,
            clock=clock,
            stop=stop,
            metrics=metrics,
            quotas=quotas,
            transport=transport,
            ssl_context=ssl_context,
            host=GRAPH_HOST,
        )
        self._requester = Requester(
            self._sender,
            clock=clock,
            stop=stop,
            metrics=metrics,
            log=log,
            signer=None,
            load_mark=None,
            save_mark=None,
            timing=timing,
        )

    def bars(self, symbol: str, interval_ms: int, since_ms: int) -> Sequence[Bar]:
        resolution = RESOLUTIONS[interval_ms]
        now_ms = self._venue_time_ms()
        found: list[Bar] = []
        # On the grid: the first bar that opens at or after `since_ms`.
        from_ms = -(-since_ms // interval_ms) * interval_ms
        for _ in range(REQUESTS_MAX):
            if from_ms + interval_ms > now_ms:
                return found
            to_ms = min(from_ms + (BARS_PER_REQUEST - 1) * interval_ms, now_ms)
            # One bar more at each end: whether the bounds belong to the range is not documented.
            target = (
                f"/v1/klines/history?symbol={quote_plus(symbol)}&resolution={resolution}"
                f"&from={max(from_ms - interval_ms, 0) // 1000}&to={(to_ms + interval_ms) // 1000}"
            )
            decode = partial(klines, symbol=symbol, interval_ms=interval_ms)
            rows = self._requester.read(Endpoint.CHARTS, target, decode)
            found += [bar for bar in rows if from_ms <= bar.open_time_ms <= to_ms and bar.close_time_ms <= now_ms]
            from_ms += BARS_PER_REQUEST * interval_ms
        raise VenueUnavailable(f"charts: more than {REQUESTS_MAX * BARS_PER_REQUEST} bars were asked for at once")

    def close(self) -> None:
        self._sender.close()


# -- the wire ----------------------------------------------------------------------------------------------------------


class _Klines(msgspec.Struct, frozen=True, gc=False):
    s: str = "ok"
    t: list[Raw] | None = None
    o: list[Raw] | None = None
    h: list[Raw] | None = None
    l: list[Raw] | None = None  # noqa: E741 - the venue's name
    c: list[Raw] | None = None
    v: list[Raw] | None = None


_KLINES: Final = msgspec.json.Decoder(_Klines)
#: What an answer without bars says, by the documents of the chart's widget; BtcTurk's own word is not known.
_SAID_NOTHING: Final = frozenset({"no_data", "ok"})


def klines(body: bytes, symbol: str, interval_ms: int) -> list[Bar]:
    """Bars of GET /v1/klines/history, ascending, the one that is still being drawn included. WireError for the rest."""
    if len(body) > BODY_BYTES_MAX:
        raise WireError(f"an answer of {len(body)} bytes is beyond the limit")
    try:
        found = _KLINES.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WireError(f"the bars cannot be read: {values.for_people(str(error))}") from error
    except RecursionError as error:
        raise WireError("the bars are nested too deeply") from error
    columns = (found.t, found.o, found.h, found.l, found.c, found.v)
    if found.s not in _SAID_NOTHING:
        raise WireError(f"the bars came with the word {values.for_people(found.s)!r}")
    if not any(columns):
        if found.t is None and found.s != "no_data":
            raise WireError("the bars came without times")
        return []
    if found.s != "ok" or any(column is None or len(column) != len(found.t or ()) for column in columns):
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
