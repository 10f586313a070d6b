"""Who chooses the symbols of a cycle: the settings, or a look over the market from time to time.

A look asks for many symbols and is spread over as many cycles as it takes, so that none of them is late; between two
looks nothing is asked and nothing is read. What was chosen outlives a restart, in the unit that closes the cycle.

While nothing is chosen (no look has come to a decision yet, or no candidate passed the filters), the first of the
configured symbols stand in, unless the settings want none; then nothing is bought until something is chosen. That
somebody stands in says nothing against what is held: it is neither bought nor sold until there is a choice, unless it
left a set or is barred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import universe as decisions
from btcbot.decisions.refusals import is_of_the_symbol
from btcbot.decisions.universe import Select, Selection, UniverseFacts, UniverseRules
from btcbot.domain.instrument import Instrument
from btcbot.domain.notes import Note, NoteKind
from btcbot.domain.orders import OrderStatus
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.scan import ScanRow
from btcbot.domain.stance import TradingMode
from btcbot.domain.tuning import Tuning
from btcbot.domain.universe import Exclusion, Freeze, Refusal, UniverseState, Watched
from btcbot.errors import VenueUnavailable
from btcbot.ports import Log, MarketScanner, Metrics, StateStore, Transaction
from btcbot.services.watching import CycleEnd

#: The named value in the database.
UNIVERSE_STATE: Final = "universe_state"
#: A look that takes longer decides on what it has seen; what was seen longer ago than the second counts for nothing.
LOOK_MS_MAX: Final = 600_000
SEEN_MS_MAX: Final = 1_200_000
#: After a venue that did not answer, and after a look that saw too little, the next try waits.
AGAIN_MS: Final = 30_000
FROZEN_MS_MAX: Final = 300_000

_encode = msgspec.json.Encoder().encode
_STATE: Final = msgspec.json.Decoder(UniverseState)


class ConfiguredUniverse:
    """`Universe` of the configured symbols, always. What else is held is not watched; or, with `marks_others`, quoted
    where the venue trades it, so that limits on results count it at what it is worth: it is neither bought nor sold."""

    def __init__(self, symbols: Sequence[str], *, marks_others: bool = False) -> None:
        self._symbols = frozenset(symbols)
        self._marks_others = marks_others
        self._watched = Watched(active=tuple(symbols), watched=tuple(symbols))

    @property
    def fate_of_others(self) -> str:
        if self._marks_others:
            return "it counts in results and limits at its price of the day, and nobody buys or sells it"
        return "nobody watches or sells it, and limits count it at the last price that was seen"

    def select(self, now_ms: int, instruments: Mapping[str, Instrument], held: Sequence[str]) -> Watched:
        if self._marks_others:
            others = (symbol for symbol in held if symbol not in self._symbols)
            marked = tuple(symbol for symbol in others if symbol in instruments and instruments[symbol].is_trading)
            if marked != self._watched.only_marked:
                active = self._watched.active
                self._watched = Watched(active=active, watched=(*active, *marked), only_marked=marked)
        return self._watched

    def current(self) -> Watched:
        return self._watched


class UniverseNote(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a note of kind UNIVERSE. `symbols` may be bought from then on, best first; `excluded` says of every
    other candidate why it may not. `frozen`: the set stays as it was, and why."""

    symbols: tuple[str, ...]
    is_fallback: bool = False
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    scores: Mapping[str, Decimal] = {}
    excluded: Mapping[str, Exclusion] = {}
    frozen: Freeze | None = None


class _Look(msgspec.Struct):
    """A look that is under way: whom it is for, and what it has seen so far."""

    started_ms: int
    asked: tuple[str, ...]
    rows: dict[str, ScanRow]

    @property
    def left(self) -> list[str]:
        return [symbol for symbol in self.asked if symbol not in self.rows]


class SelectingUniverse:
    """`Universe` and `CycleWatcher`: chooses with `select` among `candidates`, each `refresh_ms`.

    `configured` stand in where nothing is chosen. `requests_per_cycle` is the most symbols that one cycle looks for.
    `tuning` gives the parameters in force, None for those of `rules`.
    """

    def __init__(
        self,
        select: Select,
        rules: UniverseRules,
        *,
        candidates: Sequence[str],
        configured: Sequence[str],
        scanner: MarketScanner,
        store: StateStore,
        metrics: Metrics,
        log: Log,
        refresh_ms: int,
        requests_per_cycle: int,
        tuning: Callable[[], Tuning | None] = lambda: None,
    ) -> None:
        self._select = select
        self._rules = rules
        self._candidates = tuple(candidates)
        self._configured = tuple(configured)
        self._known = frozenset([*candidates, *configured])
        self._scanner = scanner
        self._store = store
        self._metrics = metrics
        self._log = log
        self._refresh_ms = refresh_ms
        self._requests_per_cycle = requests_per_cycle
        self._tuning = tuning
        self._state, self._is_saved = self._load(), True
        self._look: _Look | None = None
        self._not_before_ms = 0
        #: A symbol left that could not wait: the next look comes early.
        self._is_early = False
        #: As the last whole cycle left it.
        self._trouble: Freeze | None = None
        #: What was last noted as the cause of a freeze.
        self._told_freeze: Freeze | None = None
        #: The rules by which nothing was found that has to leave at once, and whether that still holds.
        self._checked: Mapping[str, Instrument] | None = None
        self._is_checked = False
        self._notes: list[UniverseNote] = []
        self._watched = Watched(active=self._state.active, watched=self._state.active)
        self._held: Sequence[str] = ()

    # -- Universe ------------------------------------------------------------------------------------------------------

    @property
    def fate_of_others(self) -> str:
        return "its price is watched, and it may only be sold unless it is chosen"

    def select(self, now_ms: int, instruments: Mapping[str, Instrument], held: Sequence[str]) -> Watched:
        """See `Universe`. `now_ms` is the venue's time."""
        if instruments is not self._checked or not self._is_checked:
            # Rules that were read anew and say the same find nothing: a replay, which does not see them read, agrees.
            self._checked, self._is_checked = instruments, True
            self._leave_out_barred(now_ms, instruments)
        if not self._state.active and not self._state.refreshed_at_ms:
            self._let_stand_in(now_ms, instruments)
        if self._is_due(now_ms):
            self._look_on(now_ms, instruments)
        active, also = self._state.active, tuple(held)
        kept = () if self._state.symbols else self._kept(now_ms, instruments, also)
        if active is not self._watched.active or also != self._held or kept != self._watched.only_marked:
            self._held = also
            watched = (*active, *(symbol for symbol in also if symbol not in active))
            self._watched = Watched(active=active, watched=watched, only_marked=kept)
        return self._watched

    def _kept(self, now_ms: int, instruments: Mapping[str, Instrument], held: Sequence[str]) -> tuple[str, ...]:
        rules = decisions.tuned(self._rules, self._tuning())
        return decisions.kept(held, self._known, instruments, self._state, rules, now_ms)

    def current(self) -> Watched:
        return self._watched

    # -- CycleWatcher --------------------------------------------------------------------------------------------------

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        """Keep what this cycle changed, and remember what it says about venue and orders."""
        if not end.report.counts.get("woken_by_feed"):
            self._trouble = _trouble_of(end)
        if end.summary.refused:
            self._remember_refusals(end.report.cycle_id)
        if not self._is_saved:
            tx.put_value(UNIVERSE_STATE, _encode(self._state).decode())
            self._is_saved = True
        for body in self._notes:
            at_ms = end.report.ended_at_ms
            text = _encode(body).decode()
            tx.insert_note(Note(kind=NoteKind.UNIVERSE, cycle_id=end.report.cycle_id, at_ms=at_ms, body=text))
        self._notes.clear()

    def _remember_refusals(self, cycle_id: str) -> None:
        """Each order of this cycle that the venue refused for a cause of the symbol."""
        found = tuple(
            Refusal(order.symbol, order.updated_at_ms)
            for order in self._store.orders((OrderStatus.REFUSED_PROVISIONAL,))
            if order.cycle_id == cycle_id and is_of_the_symbol(order.reason)
        )
        if found:
            self._put(msgspec.structs.replace(self._state, refusals=(*self._state.refusals, *found)))
            self._is_checked = False

    # -- what may not wait ---------------------------------------------------------------------------------------------

    def _leave_out_barred(self, now_ms: int, instruments: Mapping[str, Instrument]) -> None:
        state, out = decisions.without_barred(self._state, self._known, instruments, self._rules, now_ms)
        if not out:
            return
        self._put(state)
        self._is_early = True
        note = UniverseNote(symbols=state.active, is_fallback=not state.symbols, removed=tuple(out), excluded=dict(out))
        self._tell(note)

    def _let_stand_in(self, now_ms: int, instruments: Mapping[str, Instrument]) -> None:
        """Before the first decision of all: who stands in until then."""
        rules = decisions.tuned(self._rules, self._tuning())
        stand_in = decisions.fallback(self._configured, instruments, self._state, rules, now_ms)
        if stand_in:
            self._put(msgspec.structs.replace(self._state, fallback=stand_in))

    # -- looks ---------------------------------------------------------------------------------------------------------

    def _is_due(self, now_ms: int) -> bool:
        """By the time of the last decision, however many cycles there were since. A clock that was set back by more
        than a whole interval counts as due."""
        if now_ms < self._not_before_ms <= now_ms + FROZEN_MS_MAX:
            return False
        at_ms = self._state.refreshed_at_ms
        return self._is_early or not at_ms or abs(now_ms - at_ms) >= self._refresh_ms

    def _look_on(self, now_ms: int, instruments: Mapping[str, Instrument]) -> None:
        """Begin a look or carry one on, as far as one cycle may; decide when all was seen."""
        if self._trouble is not None:
            self._freeze(self._trouble)
            return
        rules = decisions.tuned(self._rules, self._tuning())
        look = self._look
        if look is None:
            asked = decisions.to_ask(self._candidates, instruments, self._state, rules, now_ms)
            look = self._look = _Look(now_ms, asked, {})
        is_over = abs(now_ms - look.started_ms) >= LOOK_MS_MAX
        if (left := look.left) and not is_over:
            try:
                look.rows.update(self._scanner.scan(left[: self._requests_per_cycle], now_ms))
            except VenueUnavailable as unavailable:
                self._metrics.count("btcbot_universe_looks_total", result="failed")
                self._log.warning("universe_look_failed", reason=unavailable.reason)
                self._not_before_ms = now_ms + AGAIN_MS
                return
            if look.left:
                return
        self._look = None
        rows = {symbol: row for symbol, row in look.rows.items() if abs(now_ms - row.at_ms) < SEEN_MS_MAX}
        selection = self._select(
            UniverseFacts(
                now_ms=now_ms,
                candidates=self._candidates,
                fallback=self._configured,
                instruments=instruments,
                asked=look.asked,
                rows=rows,
                state=self._state,
            ),
            rules,
        )
        self._take(selection, now_ms)

    def _take(self, selection: Selection, now_ms: int) -> None:
        if selection.state != self._state:
            self._put(selection.state)
        if selection.freeze is not None:
            self._not_before_ms = now_ms + min(self._refresh_ms, FROZEN_MS_MAX)
            self._freeze(selection.freeze, selection.excluded)
            return
        self._is_early, self._told_freeze = False, None
        state = selection.state
        self._metrics.count("btcbot_universe_looks_total", result="chosen" if state.symbols else "empty")
        self._tell(
            UniverseNote(
                symbols=state.active,
                is_fallback=not state.symbols,
                added=selection.added,
                removed=selection.removed,
                scores=selection.scores,
                excluded=selection.excluded,
            )
        )

    def _freeze(self, why: Freeze, excluded: Mapping[str, Exclusion] | None = None) -> None:
        """The set stays as it is; told once for each cause."""
        self._look = None
        if why is self._told_freeze:
            return
        self._told_freeze = why
        self._metrics.count("btcbot_universe_looks_total", result="frozen")
        state = self._state
        self._tell(
            UniverseNote(symbols=state.active, is_fallback=not state.symbols, excluded=dict(excluded or {}), frozen=why)
        )

    # -- keeping -------------------------------------------------------------------------------------------------------

    def _put(self, state: UniverseState) -> None:
        self._state, self._is_saved = state, False

    def _tell(self, note: UniverseNote) -> None:
        self._notes.append(note)
        self._metrics.gauge("btcbot_universe_symbols", len(note.symbols))
        self._log.info(
            "universe",
            symbols=list(note.symbols),
            is_fallback=note.is_fallback,
            added=list(note.added),
            removed=list(note.removed),
            excluded=len(note.excluded),
            frozen=note.frozen.value if note.frozen else None,
        )

    def _load(self) -> UniverseState:
        text = self._store.value(UNIVERSE_STATE)
        if text is None:
            return UniverseState()
        try:
            return _STATE.decode(text)
        except msgspec.MsgspecError as error:
            # Nothing is lost but the memory of what was chosen: the next look chooses anew.
            self._log.warning("universe_state_unreadable", reason=str(error))
            return UniverseState()


def chosen_before(store: StateStore) -> Sequence[str]:
    """What the last choice in this database came to; nothing where there was none, or where it cannot be read."""
    text = store.value(UNIVERSE_STATE)
    try:
        return _STATE.decode(text).active if text is not None else ()
    except msgspec.MsgspecError:
        return ()


def _trouble_of(end: CycleEnd) -> Freeze | None:
    """Whether a cycle showed a venue in trouble, or was only to observe: then nothing that a look shows is believed.

    A cycle without usable quotes is no such trouble: the set itself may be the cause, and another one the cure.
    """
    reasons = end.report.reasons
    if any(reason.startswith(ReasonCode.VENUE_UNAVAILABLE.value) for reason in reasons):
        return Freeze.EXCHANGE_DEGRADED
    if end.facts is not None and end.facts.health.endpoints_closed:
        return Freeze.EXCHANGE_DEGRADED
    if end.stance.mode is TradingMode.OBSERVE_ONLY:
        return Freeze.OBSERVE_ONLY
    if any(reason.startswith(ReasonCode.BALANCE_UNEXPLAINED.value) for reason in reasons):
        return Freeze.OBSERVE_ONLY
    return None
