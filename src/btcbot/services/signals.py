"""SignalService: the signals of a live run, computed over the venue's own candles as they close.

A strategy's signals are kept for each symbol and carried on bar by bar. After a start, and whenever the venue's memory
of a bar differs from ours, they are computed anew from a stretch of history. Candles are asked for once for each symbol
and bar, a moment after it has closed, by the timer's cycles alone; a cycle that the feed woke decides on the last bar
that is known.

A signal that is old is worse than none: where the last bar is late or missing, the symbol is left out, and its reason
is told once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from btcbot.domain.bars import Bar
from btcbot.errors import VenueUnavailable
from btcbot.ports import BarSource, Clock, Log, Metrics, SignalValues
from btcbot.strategies.base import Signal
from btcbot.strategies.signals import RunningSignals, warm_up_of

#: So long after its close a bar is believed to be finished: the venue draws it from trades that may come late.
SETTLE_MS: Final = 2_000
#: History is this many times what the signals need: averages that never forget have then forgotten their beginning,
#: and "changed since the bar before" is never said of the first bar.
HISTORY_FACTOR: Final = 3
HISTORY_EXTRA: Final = 10
#: A cycle asks for bars no longer than this; who is left waits for the next one.
ASKING_MS_MAX: Final = 2_500
#: After so many failures a cycle asks no more.
FAILURES_MAX: Final = 2
#: From a bar that did not come to the next request for it; doubling, up to half a bar.
AGAIN_MS: Final = 2_000


class SignalService:
    """Implements `SignalSource` over `bars`; `signals` as `UsesSignals` gives them, `interval_ms` the bars' length."""

    def __init__(
        self,
        bars: BarSource,
        signals: Mapping[str, Signal],
        symbols: Sequence[str],
        interval_ms: int,
        clock: Clock,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._bars = bars
        self._interval_ms = interval_ms
        self._clock = clock
        self._metrics = metrics
        self._log = log
        #: Bars until every signal means something.
        self._needed = warm_up_of(signals) + 1
        self._lanes = {symbol: _Lane(symbol, signals) for symbol in symbols}

    def at(self, venue_now_ms: int, *, may_read: bool) -> tuple[Mapping[str, Bar], Mapping[str, SignalValues]]:
        """See the port."""
        due_ms = (venue_now_ms - SETTLE_MS) // self._interval_ms * self._interval_ms
        if may_read:
            self._ask(due_ms, venue_now_ms)
        bars: dict[str, Bar] = {}
        signals: dict[str, SignalValues] = {}
        for lane in self._lanes.values():
            why = self._why_none(lane, due_ms, may_read=may_read)
            if not why:
                assert lane.last is not None and lane.values is not None, "warm, and up to date"
                bars[lane.symbol], signals[lane.symbol] = lane.last, lane.values
            if may_read:
                self._tell(lane, why)
        return bars, signals

    # -- asking --------------------------------------------------------------------------------------------------------

    def _ask(self, due_ms: int, now_ms: int) -> None:
        """Ask for what should have closed, those first that have waited longest, as far as one cycle may."""
        waiting = [
            lane for lane in self._lanes.values() if lane.known_until_ms < due_ms and lane.not_before_ms <= now_ms
        ]
        over_at_ns = self._clock.monotonic_ns() + ASKING_MS_MAX * 1_000_000
        failures = 0
        for lane in sorted(waiting, key=lambda lane: lane.asked_at_ms):
            if failures >= FAILURES_MAX or self._clock.monotonic_ns() >= over_at_ns:
                return
            lane.asked_at_ms = now_ms
            try:
                result = self._take(lane, due_ms)
            except VenueUnavailable as unavailable:
                failures += 1
                result, lane.trouble = "failed", unavailable.reason
                # What the limits or the venue itself ask for holds for all symbols.
                self._pause(lane, now_ms, unavailable.retry_after_s)
            else:
                lane.trouble = ""
                if lane.known_until_ms < due_ms:
                    self._pause(lane, now_ms, None)
                else:
                    lane.tries = 0
            lane.missed_ms = 0 if lane.known_until_ms >= due_ms else due_ms
            self._metrics.count("btcbot_bar_requests_total", result=result)

    def _take(self, lane: _Lane, due_ms: int) -> str:
        """One request: the bars since the last one known, it included. Raises VenueUnavailable."""
        last = lane.last
        if last is None:
            history = self._needed * HISTORY_FACTOR + HISTORY_EXTRA
            found = self._bars.bars(lane.symbol, self._interval_ms, due_ms - history * self._interval_ms)
        else:
            found = self._bars.bars(lane.symbol, self._interval_ms, last.open_time_ms)
            if not found:
                return "late"
            if found[0] != last:
                # What was computed stands on a bar that the venue remembers otherwise, or not at all.
                lane.restart()
                self._log.warning("bar_revised", symbol=lane.symbol, open_time_ms=last.open_time_ms)
                return "revised"
            found = found[1:]
        for bar in found:
            if bar.close_time_ms <= due_ms:
                lane.carry_on(bar)
        return "taken" if lane.known_until_ms >= due_ms else "late"

    def _pause(self, lane: _Lane, now_ms: int, retry_after_s: float | None) -> None:
        pause_ms = min(AGAIN_MS << min(lane.tries, 10), self._interval_ms // 2)
        lane.tries += 1
        lane.not_before_ms = now_ms + pause_ms
        if retry_after_s:
            for each in self._lanes.values():
                each.not_before_ms = max(each.not_before_ms, now_ms + round(retry_after_s * 1_000))

    # -- telling -------------------------------------------------------------------------------------------------------

    def _why_none(self, lane: _Lane, due_ms: int, *, may_read: bool) -> str:
        """Why the symbol has no signals now; empty when it has."""
        if lane.last is None:
            return lane.trouble or "no bar has come yet"
        behind_ms = due_ms - lane.known_until_ms
        # Between two of the timer's cycles a bar closes that nobody could ask for yet.
        is_unasked = not may_read and behind_ms <= self._interval_ms and lane.missed_ms < due_ms
        if behind_ms > 0 and not is_unasked:
            return lane.trouble or "its last bar is late or missing"
        if lane.values is None:
            return f"the venue has not yet drawn the {self._needed} bars that the signals need"
        return ""

    def _tell(self, lane: _Lane, why: str) -> None:
        self._metrics.gauge("btcbot_signals_ready", 0 if why else 1, symbol=lane.symbol)
        if lane.told is None or bool(why) != bool(lane.told):
            if why:
                self._log.warning("signals_missing", symbol=lane.symbol, reason=why)
            else:
                self._log.info("signals_ready", symbol=lane.symbol)
        lane.told = why


class _Lane:
    """One symbol: its signals so far, and when it was asked for."""

    def __init__(self, symbol: str, signals: Mapping[str, Signal]) -> None:
        self.symbol = symbol
        self._signals = signals
        self.asked_at_ms = 0
        self.not_before_ms = 0
        #: Requests in a row without the bar that was due.
        self.tries = 0
        #: The close of the bar that was asked for in vain, 0 when none was.
        self.missed_ms = 0
        self.trouble = ""
        #: Why it has no signals, as told last; None: nothing was told yet.
        self.told: str | None = None
        self.restart()

    def restart(self) -> None:
        self.running = RunningSignals(self._signals)
        self.last: Bar | None = None
        self.values: SignalValues | None = None

    def carry_on(self, bar: Bar) -> None:
        """One bar more. What a signal raises is raised; the symbol then begins anew."""
        try:
            self.values = self.running.update(bar)
        except (Exception, SystemExit):  # a signal may be anybody's, as `StrategyService` has it
            self.restart()  # some signals have seen this bar, and some have not
            raise
        self.last = bar

    @property
    def known_until_ms(self) -> int:
        return 0 if self.last is None else self.last.close_time_ms
