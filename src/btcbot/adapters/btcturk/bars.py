"""The port `BarSource` over BtcTurk's charts, which have a host of their own. Only bars that have closed are given."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import quote_plus

import httpx2

from btcbot.adapters.btcturk import wire
from btcbot.adapters.btcturk.connection import Connection
from btcbot.adapters.btcturk.limits import QUOTAS, Endpoint, Quota
from btcbot.adapters.btcturk.requester import Timing
from btcbot.adapters.btcturk.sender import GRAPH_HOST
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
        self._connection = Connection(
            base_url,
            clock=clock,
            stop=stop,
            metrics=metrics,
            log=log,
            quotas=quotas,
            transport=transport,
            ssl_context=ssl_context,
            host=GRAPH_HOST,
        )
        self._requester = self._connection.requester(timing)

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
            decode = partial(wire.klines, symbol=symbol, interval_ms=interval_ms)
            rows = self._requester.read(Endpoint.CHARTS, target, decode)
            found += [bar for bar in rows if from_ms <= bar.open_time_ms <= to_ms and bar.close_time_ms <= now_ms]
            from_ms += BARS_PER_REQUEST * interval_ms
        raise VenueUnavailable(f"charts: more than {REQUESTS_MAX * BARS_PER_REQUEST} bars were asked for at once")

    def close(self) -> None:
        self._connection.close()
