"""Asks BtcTurk within everything that it demands: limits, pauses, stamps, its time, and what it thinks of the key.

A read is repeated: time-outs, server errors, rate limits and answers that cannot be read are tried again, a few times
and within a stated time of waiting; what is left becomes `VenueUnavailable`. A write is sent exactly once and never
waits. There is one more difference: a read that waits ends when the process is asked to stop, a write is finished.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from btcbot.adapters.btcturk import outcome, wire
from btcbot.adapters.btcturk.breaker import UNAUTHORIZED_MAX, Breaker
from btcbot.adapters.btcturk.clock_sync import VenueClock
from btcbot.adapters.btcturk.limits import Endpoint
from btcbot.adapters.btcturk.nonce import NonceSource
from btcbot.adapters.btcturk.outcome import Answer, TransportResult
from btcbot.adapters.btcturk.sender import Sender
from btcbot.adapters.btcturk.signing import Header, Signer
from btcbot.adapters.btcturk.wire.values import WireError, for_people
from btcbot.errors import VenueUnavailable
from btcbot.ports import Clock, Log, Metrics, StopSignal, VenueHealth

#: A refusal is shorter than this; longer answers to private requests are lists.
SHORT_BODY_BYTES: Final = 4_096

T = TypeVar("T")


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long requests may take and how often reads are tried. Seconds, unless the name says otherwise."""

    read_s: float = 8.0
    write_s: float = 4.0
    attempts_max: int = 3
    #: All waiting of one read (for rate limits and before repetitions) together.
    wait_s_max: float = 5.0
    backoff_s: float = 0.25
    clock_interval_s: float = 60.0
    rules_age_s_max: float = 300.0


class RefusedRead(VenueUnavailable):
    """The venue answered a read with a refusal: asking again would change nothing."""

    def __init__(
        self, reason: str, *, status: int, code: str, message: str, retry_after_s: float | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(reason, retry_after_s)


class Unreachable(VenueUnavailable):
    """No whole answer: the next request to another endpoint would fare no better."""


class _Failed(msgspec.Struct, frozen=True):
    """Why one attempt of a read gave no value, and whether another may help."""

    error: VenueUnavailable
    may_repeat: bool


class Requester:
    """Reads and writes with one key, or with none: then private reads raise VenueUnavailable and nothing is written.

    `load_mark`/`save_mark` keep the high-water mark of stamps (see `NonceSource`) and are demanded with a signer. At
    most one stamp is kept for a write to come; whatever is signed in between spends it.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        clock: Clock,
        stop: StopSignal,
        metrics: Metrics,
        log: Log,
        signer: Signer | None,
        load_mark: Callable[[], int] | None,
        save_mark: Callable[[int], None] | None,
        timing: Timing,
        breaker: Breaker | None = None,
    ) -> None:
        self._sender = sender
        self._clock = clock
        self._stop = stop
        self._metrics = metrics
        self._log = log
        self._signer = signer
        self._timing = timing
        #: Shared with another one that asks the same venue: what it asked one of them, it asked both.
        self.breaker = breaker or Breaker(clock)
        #: The venue's time, measured by requests of this object.
        self.venue_clock = VenueClock(
            clock,
            self._ask_time,
            interval_ms=round(self._timing.clock_interval_s * 1000),
            on_measured=lambda skew_ms: metrics.gauge("btcbot_clock_skew_ms", skew_ms),
        )
        # Without a key no stamp is ever taken; with one, stamps that a restart forgets would be signed twice.
        assert signer is None or (load_mark is not None and save_mark is not None), "a signer needs its mark kept"
        self._nonce = NonceSource(
            venue_now_ms=self._time_for_stamp_ms,
            load_mark=load_mark or (lambda: 0),
            save_mark=save_mark or (lambda mark: None),
        )
        self._kept_stamp: int | None = None

    @property
    def has_key(self) -> bool:
        return self._signer is not None

    # -- one read, with repetitions ------------------------------------------------------------------------------------

    def read(self, endpoint: Endpoint, target: str, decode: Callable[[bytes], T], *, is_private: bool = False) -> T:
        """GET `target` and give what `decode` makes of the body; a private one is signed anew for each attempt.

        Raises VenueUnavailable when the attempts, or the time for waiting, are used up.
        """
        timing = self._timing
        wait_s_left = timing.wait_s_max
        attempt = 1
        while True:
            wait_s_left -= self._wait_for_slot(endpoint, wait_s_left)
            value = self._attempt(endpoint, target, decode, is_private)
            if not isinstance(value, _Failed):
                return value
            error = value.error
            pause_s = error.retry_after_s
            if pause_s is None:
                pause_s = timing.backoff_s * 2 ** (attempt - 1)
            if not value.may_repeat or attempt >= timing.attempts_max or pause_s > wait_s_left:
                raise error
            if self._clock.sleep(pause_s, self._stop):
                raise error
            wait_s_left -= pause_s
            attempt += 1
            self._metrics.count("btcbot_venue_retries_total", endpoint=endpoint.value)

    # -- one write, sent once ------------------------------------------------------------------------------------------

    def why_closed(self, endpoint: Endpoint) -> str | None:
        """Why a write may not leave now, or None. Writes never wait: their permit is for now."""
        if self.breaker.is_key_refused():
            return f"BtcTurk refused the key {UNAUTHORIZED_MAX} times in a row"
        wait_s = self._wait_s(endpoint)
        if wait_s > 0:
            return f"the limit of {endpoint.value} lets the next request leave in {wait_s:.2f} s"
        return None

    def write(self, endpoint: Endpoint, method: str, target: str, stamp_ms: int, body: bytes | None) -> TransportResult:
        """Exactly one request, signed with `stamp_ms`. Never raises for what the network or the venue does."""
        assert self._signer is not None, "a write needs a key: ask `has_key` first"
        headers = self._signer.headers(stamp_ms)
        result = self._sender.send(endpoint, method, target, headers, body, self._timing.write_s)
        self._note(endpoint, result, is_private=True)
        return result

    # -- stamps --------------------------------------------------------------------------------------------------------

    def keep_stamp(self) -> int:
        """Take a stamp and keep it for the next write. Raises VenueUnavailable, StoreFailed."""
        self._kept_stamp = None
        self._demand_key()
        stamp_ms = self._kept_stamp = self._nonce.take()
        return stamp_ms

    def spend_stamp(self) -> int | None:
        """The stamp that was kept, once; None when there is none, or when it is not the last one any more."""
        stamp_ms, self._kept_stamp = self._kept_stamp, None
        return stamp_ms if stamp_ms == self._nonce.last else None

    def fresh_stamp(self) -> int:
        """A stamp for a request that leaves now. Raises VenueUnavailable, StoreFailed."""
        self._kept_stamp = None
        return self._nonce.take()

    def _time_for_stamp_ms(self) -> int:
        """An order does not wait for a measurement that is merely due: the next cycle makes it."""
        trusted_ms = self.venue_clock.trusted_ms()
        return self.venue_clock.now_ms() if trusted_ms is None else trusted_ms

    # -- state ---------------------------------------------------------------------------------------------------------

    def health(self) -> VenueHealth:
        for endpoint in self.breaker.rested():
            self._metrics.gauge("btcbot_breaker_open", 0, endpoint=endpoint.value)
        return VenueHealth(
            clock_skew_ms=self.venue_clock.skew_ms(),
            endpoints_closed=self.breaker.endpoints_closed(),
            unauthorized_in_a_row=self.breaker.unauthorized_in_a_row,
        )

    # -- one attempt ---------------------------------------------------------------------------------------------------

    def _wait_for_slot(self, endpoint: Endpoint, wait_s_max: float) -> float:
        """Wait until our own limits and the breaker let a request to `endpoint` leave. Gives the seconds waited."""
        wait_s = self._wait_s(endpoint)
        if wait_s == 0:
            return 0.0
        if wait_s > wait_s_max:
            raise VenueUnavailable(
                f"the limit of {endpoint.value} lets the next request leave in {wait_s:.1f} s", retry_after_s=wait_s
            )
        self._metrics.observe("btcbot_rate_limit_wait_seconds", wait_s, endpoint=endpoint.value)
        if self._clock.sleep(wait_s, self._stop):
            raise VenueUnavailable(f"asked to stop while waiting for the limit of {endpoint.value}")
        return wait_s

    def _attempt(self, endpoint: Endpoint, target: str, decode: Callable[[bytes], T], is_private: bool) -> T | _Failed:
        headers: list[Header] = []
        if is_private:
            signer = self._demand_key()
            headers = signer.headers(self.fresh_stamp())
        result = self._sender.send(endpoint, "GET", target, headers, None, self._timing.read_s)
        envelope = self._note(endpoint, result, is_private=is_private)
        name = endpoint.value
        if not isinstance(result, Answer):
            return _Failed(Unreachable(f"{name}: {result.why}"), may_repeat=True)
        if result.status == 429:
            closed_s = self.breaker.closed_s(endpoint)
            return _Failed(
                VenueUnavailable(f"{name}: rate limit, closed for {closed_s:.1f} s", closed_s), may_repeat=True
            )
        if outcome.is_unauthorized(result.status, envelope):
            said = for_people((envelope.message if envelope else None) or "no reason given")
            return _Failed(
                RefusedRead(f"{name}: not authorised: {said}", status=result.status, code="", message=said),
                may_repeat=False,
            )
        try:
            if 200 <= result.status < 300:
                return decode(result.body)
            wire.unpack(result.body, name)  # to hear what it says
        except wire.VenueSaidNo as error:
            refused = RefusedRead(
                f"{name}: HTTP {result.status}: {error}",
                status=result.status,
                code=error.code,
                message=error.message,
                retry_after_s=result.retry_after_s,
            )
            return _Failed(refused, may_repeat=result.status >= 500)
        except WireError as error:
            may_repeat = result.status < 300 or result.status >= 500
            return _Failed(
                VenueUnavailable(f"{name}: HTTP {result.status}: {error}", result.retry_after_s), may_repeat=may_repeat
            )
        # A body that says yes under a status that says no.
        return _Failed(VenueUnavailable(f"{name}: HTTP {result.status}", result.retry_after_s), result.status >= 500)

    def _ask_time(self) -> int:
        """One request for the venue's time, without repetitions: `VenueClock` takes several samples as it is."""
        wait_s = self._wait_s(Endpoint.SERVER_TIME)
        if wait_s > 0:
            raise VenueUnavailable(f"the limit of server_time lets the next request leave in {wait_s:.1f} s", wait_s)
        value = self._attempt(Endpoint.SERVER_TIME, "/api/v2/server/time", wire.server_time_ms, is_private=False)
        if isinstance(value, _Failed):
            raise value.error
        return value

    def _note(self, endpoint: Endpoint, result: TransportResult, *, is_private: bool) -> wire.Envelope | None:
        """Keep the books of breaker and clock. Gives the envelope of an answer that is no success by its status."""
        if not isinstance(result, Answer):
            return None
        if result.status == 429:
            closed_s = self.breaker.rate_limited(endpoint, result.retry_after_s)
            self._metrics.gauge("btcbot_breaker_open", 1, endpoint=endpoint.value)
            self._log.warning("endpoint_closed", endpoint=endpoint.value, seconds=closed_s)
            return None
        if result.status == 503 and result.retry_after_s is not None:
            self.breaker.close(endpoint, result.retry_after_s)
            self._metrics.gauge("btcbot_breaker_open", 1, endpoint=endpoint.value)
        elif self.breaker.answered(endpoint):
            self._metrics.gauge("btcbot_breaker_open", 0, endpoint=endpoint.value)
        if not is_private:
            return None
        envelope: wire.Envelope | None = None
        # Big bodies are lists; a refusal is short, and refusals have come with status 200 too.
        if len(result.body) <= SHORT_BODY_BYTES:
            try:
                envelope = wire.open_envelope(result.body)
            except WireError:
                envelope = None
        if outcome.is_unauthorized(result.status, envelope):
            self.breaker.unauthorized()
            self.venue_clock.doubt()  # a stamp out of time is the one cause that we could mend
            self._log.error(
                "unauthorized",
                endpoint=endpoint.value,
                in_a_row=self.breaker.unauthorized_in_a_row,
                said=for_people((envelope.message if envelope else None) or ""),
                mend="check the key, its permissions and the address it is bound to; «btcbot doctor» asks one by one",
            )
        elif result.status < 500 and (envelope is not None or len(result.body) > SHORT_BODY_BYTES):
            self.breaker.authorized()
        return envelope

    # -- preconditions -------------------------------------------------------------------------------------------------

    def _wait_s(self, endpoint: Endpoint) -> float:
        """Seconds until neither our own limits nor a pause that the venue asked for hold a request back."""
        return max(self._sender.wait_s(endpoint), self.breaker.closed_s(endpoint))

    def _demand_key(self) -> Signer:
        if self._signer is None:
            raise VenueUnavailable("there is no API key: only public data can be read")
        if self.breaker.is_key_refused():
            raise VenueUnavailable(
                f"BtcTurk refused the key {UNAUTHORIZED_MAX} times in a row; no private request leaves until restart"
            )
        return self._signer
