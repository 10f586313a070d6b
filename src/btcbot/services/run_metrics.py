"""RunMetricsRecorder: one note for each cycle, of which adaptation, reports and comparisons are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import run_metrics
from btcbot.decisions.run_metrics import Ended, MetricsLimits
from btcbot.domain import money
from btcbot.domain.adaptation import WINDOW
from btcbot.domain.market import NOT_TOLD, Quote
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import Order
from btcbot.domain.run_metrics import RunMetrics
from btcbot.domain.tuning import Tuning
from btcbot.errors import Refused
from btcbot.ports import StateStore, Transaction, VenueHealth
from btcbot.services import named_values, values
from btcbot.services.budget_record import METRICS_PEAK
from btcbot.services.execution import ExecutionSummary
from btcbot.services.watching import CycleEnd

_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(RunMetrics).decode
_PEAK_MENDED_BY: Final = "«btcbot budget reset --reason …» writes it anew, or restore a backup"
_NO_QUOTES: Final[Mapping[str, Quote]] = {}


class RunMetricsRecorder:
    """A CycleWatcher; it comes before adaptation, which looks at what it has just noted.

    `health` is the exchange's, `tuning` what was in force during the cycle.
    """

    def __init__(
        self,
        store: StateStore,
        health: Callable[[], VenueHealth],
        tuning: Callable[[], Tuning | None],
        limits: MetricsLimits,
    ) -> None:
        self._store = store
        self._health = health
        self._tuning = tuning
        self._limits = limits
        self._window = deque(read(store, limit=WINDOW), maxlen=WINDOW)
        self._before = run_metrics.after(self._window[-1] if self._window else None)
        if not self._window:  # nothing is noted yet, or nothing is kept: what was filled before is not of these cycles
            self._before = msgspec.structs.replace(self._before, fills_counted=store.fill_count())
        #: Symbols that have shown a price, as far as anybody asked.
        self._priced: set[str] = set()

    def window(self) -> Sequence[RunMetrics]:
        """The last metrics, oldest first, at most `WINDOW`."""
        return tuple(self._window)

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Measure the cycle and note it down, in the unit that closes it."""
        before, anew = self._before, named_values.amount(self._store, METRICS_PEAK, _PEAK_MENDED_BY)
        if anew is not None:  # a human wants falls to be measured from the profit of then on
            before = msgspec.structs.replace(before, peak_pnl=anew, drawdown=money.ZERO, drawdown_ratio=money.ZERO)
            tx.put_value(METRICS_PEAK, "")
        measured = run_metrics.measure(self._ended(end), before, self._limits)
        tx.insert_note(
            Note(
                kind=NoteKind.RUN_METRICS,
                cycle_id=measured.cycle_id,
                at_ms=measured.at_ms,
                body=_ENCODE(measured).decode(),
            )
        )
        self._window.append(measured)
        self._before = run_metrics.after(measured)

    def _ended(self, end: CycleEnd) -> Ended:
        report, facts, tuning = end.report, end.facts, self._tuning()
        is_woken = bool(report.counts.get("woken_by_feed"))
        quotes, unusable = (facts.view.quotes, tuple(facts.view.unusable)) if facts is not None else (_NO_QUOTES, ())
        positions = facts.positions if facts is not None else self._store.positions()
        # Fills are booked when a cycle begins, and the positions of its facts have them; what an order that the venue
        # takes at once fills, the next cycle books.
        fills = self._store.fills_after(self._before.fills_counted)
        has_wished = end.draft is not None and (end.draft.intents or end.draft.refused)
        return Ended(
            report=report,
            seconds=end.seconds,
            stance=end.stance,
            tuning=tuning,
            has_observed=facts is not None or is_woken,
            watched=len(quotes) + len(unusable),
            unusable=len(unusable),
            never_priced=self._never_priced(quotes, unusable),
            quotes=quotes if facts is not None else _quoted(report.quotes),
            throttled=bool(self._health().endpoints_closed),
            gates_closed=bool(end.summary.closed_gates),
            positions=positions,
            fills=fills,
            verdicts=self._store.verdicts(report.cycle_id) if has_wished else (),
            orders=self._orders(end.summary) if has_wished else (),
            inputs_sha256=run_metrics.inputs_sha256(
                now_ms=facts.now_ms if facts is not None else None,
                quotes=report.quotes,
                account=facts.account if facts is not None else None,
                positions=positions,
                open_orders=facts.open_orders if facts is not None else (),
                stance=end.stance,
                tuning=tuning,
                active=facts.universe.active if facts is not None else (),
            ),
        )

    def _orders(self, summary: ExecutionSummary) -> Sequence[Order]:
        """Those that the cycle made: the newest of all, so many as it tells of."""
        made = summary.submitted + summary.simulated + summary.denied
        return self._store.recent_orders(made) if made else ()

    def _never_priced(self, quotes: Mapping[str, Quote], unusable: Sequence[str]) -> int:
        self._priced.update(quotes)
        unknown = [symbol for symbol in unusable if symbol not in self._priced]
        if unknown:
            self._priced.update(named_values.amounts(self._store, values.MARKS))
        return sum(symbol not in self._priced for symbol in unknown)


def _quoted(quotes: Mapping[str, tuple[Decimal, Decimal]]) -> Mapping[str, Quote]:
    """Of a cycle that left no more than its report: prices without sizes."""
    return {
        symbol: Quote(
            symbol=symbol,
            bid=bid,
            bid_quantity=NOT_TOLD,
            ask=ask,
            ask_quantity=NOT_TOLD,
            venue_time_ms=0,
            received_at_ms=0,
        )
        for symbol, (bid, ask) in quotes.items()
    }


def read(store: StateStore, limit: int | None = None, since_ms: int = 0) -> Sequence[RunMetrics]:
    """The metrics on record, oldest first; with a limit the newest ones. Refused for what cannot be read."""
    try:
        return [_DECODE(note.body) for note in store.notes(NoteKind.RUN_METRICS, limit, since_ms)]
    except msgspec.DecodeError as error:
        raise Refused(
            f"the run metrics in the database cannot be read ({error}); «btcbot db verify» tells more"
        ) from None
