"""One host of BtcTurk, and those who ask it: they share its sockets, and the limits of our own that it is asked within.

A client of this package is made of one connection and of a requester or two on it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping

import httpx2

from btcbot.adapters.btcturk.breaker import Breaker
from btcbot.adapters.btcturk.limits import QUOTAS, Endpoint, Quota
from btcbot.adapters.btcturk.requester import Requester, Timing
from btcbot.adapters.btcturk.sender import VENUE_HOST, Sender
from btcbot.adapters.btcturk.signing import Signer
from btcbot.ports import Clock, Log, Metrics, StopSignal


class Connection:
    """`transport` None opens real sockets. Not for use by several threads at once.

    Raises ConfigurationError for a base URL other than `host`, one of BtcTurk's own, over https or one of this machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        stop: StopSignal,
        metrics: Metrics,
        log: Log,
        quotas: Mapping[Endpoint, tuple[Quota, ...]] = QUOTAS,
        transport: httpx2.BaseTransport | None = None,
        ssl_context: ssl.SSLContext | None = None,
        host: str = VENUE_HOST,
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._metrics = metrics
        self._log = log
        self._sender = Sender(
            base_url,
            clock=clock,
            stop=stop,
            metrics=metrics,
            quotas=quotas,
            transport=transport,
            ssl_context=ssl_context,
            host=host,
        )

    def requester(
        self,
        timing: Timing,
        *,
        signer: Signer | None = None,
        load_mark: Callable[[], int] | None = None,
        save_mark: Callable[[int], None] | None = None,
        breaker: Breaker | None = None,
    ) -> Requester:
        """One who asks here; without a `signer`, for public data alone. See `Requester` for the rest."""
        return Requester(
            self._sender,
            clock=self._clock,
            stop=self._stop,
            metrics=self._metrics,
            log=self._log,
            signer=signer,
            load_mark=load_mark,
            save_mark=save_mark,
            timing=timing,
            breaker=breaker,
        )

    def close(self) -> None:
        self._sender.close()
