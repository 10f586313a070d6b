"""The two selections: who passes the filters, in the order of one score or the other, takes the places there are.

A symbol that fails a filter leaves at once: to narrow is always allowed. A look that failed is no such filter, for who
leaves is sold: a symbol of the set that was not looked at, or that lost the past it had when it was chosen, keeps its
place; one without a book, or with an old one, does for one look, because a pair that stands still for good must make
room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from btcbot.decisions.universe import changes, filters, scores
from btcbot.decisions.universe.filters import NEW
from btcbot.decisions.universe.rules import UniverseRules
from btcbot.decisions.universe.scores import MomentumWeights, Passed, ScoreWeights
from btcbot.domain.instrument import Instrument
from btcbot.domain.scan import ScanRow
from btcbot.domain.universe import Exclusion, Freeze, UniverseState

#: With fewer than one in so many of the symbols seen and fresh, what was seen is no ground for a choice.
SEEN_ONE_IN: Final = 2

_UNSEEN: Final = frozenset({Exclusion.NOT_SCANNED, Exclusion.NO_BOOK, Exclusion.STALE_BOOK})
#: Of a symbol of the set: the fault of the look, always or for once.
_LOOK_FAILED: Final = frozenset({Exclusion.NOT_SCANNED, Exclusion.HISTORY})
_PERHAPS_THE_LOOK: Final = frozenset({Exclusion.NO_BOOK, Exclusion.STALE_BOOK})


class UniverseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a look came to at `now_ms` (venue time). `asked` were looked for, `rows` is what they showed; `fallback`
    stand in, in this order, where nothing is worth choosing."""

    now_ms: int
    candidates: Sequence[str]
    fallback: Sequence[str]
    instruments: Mapping[str, Instrument]
    asked: Sequence[str]
    rows: Mapping[str, ScanRow]
    state: UniverseState


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """`state` is what to remember. `scores` of all that passed the filters; `excluded`: every candidate that is not in
    the set, and why. With `freeze` the set is what it was."""

    state: UniverseState
    scores: Mapping[str, Decimal]
    excluded: Mapping[str, Exclusion]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    freeze: Freeze | None = None


#: One selection, its weights given.
Select = Callable[[UniverseFacts, UniverseRules], Selection]


def momentum(facts: UniverseFacts, rules: UniverseRules, weights: MomentumWeights) -> Selection:
    """The set of the symbols that have risen most, in books that can be traded."""
    assert rules.lookback_ms is not None, "momentum is measured over a look-back"
    refusals = filters.refusals(facts.state, rules, facts.now_ms)
    return _select(facts, rules, lambda passed: scores.by_momentum(passed, rules, weights, refusals))


def scored(facts: UniverseFacts, rules: UniverseRules, weights: ScoreWeights) -> Selection:
    """The set of the symbols that are cheapest and calmest to trade."""
    return _select(facts, rules, lambda passed: scores.by_cost(passed, weights))


def _select(facts: UniverseFacts, rules: UniverseRules, score: Callable[[Passed], Mapping[str, Decimal]]) -> Selection:
    state = facts.state
    passed, out = _filtered(facts, rules)
    if _is_blind(facts, out):
        return Selection(state=_stood_in(facts, state, rules), scores={}, excluded=out, freeze=Freeze.STALE_DATA)
    told = scores.scores(passed, score)
    ranked = sorted(told, key=lambda symbol: (-told[symbol], symbol))
    # Of a symbol of the set that a look did not come to see, nothing bad is known.
    unjudged = [symbol for symbol in state.symbols if _is_unjudged(symbol, out.get(symbol), state)][: rules.size]
    for symbol in unjudged:
        del out[symbol]
    change = changes.changed(state, ranked, unjudged, rules, facts.now_ms)
    return Selection(
        state=_stood_in(facts, change.state, rules),
        scores=told,
        excluded={**out, **change.excluded},
        added=change.added,
        removed=change.removed,
    )


def _filtered(facts: UniverseFacts, rules: UniverseRules) -> tuple[Passed, dict[str, Exclusion]]:
    """Of all candidates those that pass every filter, and why the others do not."""
    out: dict[str, Exclusion] = {}
    passed: dict[str, ScanRow] = {}
    asked = frozenset(facts.asked)
    for symbol in facts.candidates:
        why = filters.beforehand(symbol, facts.instruments, facts.state, rules, facts.now_ms)
        row = facts.rows.get(symbol)
        if why is None and row is None:
            why = Exclusion.NOT_SCANNED if symbol in asked else Exclusion.SCAN_BUDGET
        if why is None:
            assert row is not None, "just asked for"
            why = filters.in_the_market(row, rules)
            if why is None:
                passed[symbol] = row
                continue
        out[symbol] = why
    return passed, out


def _is_blind(facts: UniverseFacts, out: Mapping[str, Exclusion]) -> bool:
    """Whether too little was seen to choose on."""
    # Who was chosen had a past: where one of them shows none now it is the charts that fail, for whomever they do.
    charts_fail = any(out.get(symbol) is Exclusion.HISTORY for symbol in facts.state.symbols)
    blind = _UNSEEN | {Exclusion.HISTORY} if charts_fail else _UNSEEN
    unseen = sum(out.get(symbol) in blind for symbol in facts.asked)
    return (len(facts.asked) - unseen) * SEEN_ONE_IN < len(facts.asked)


def _is_unjudged(symbol: str, why: Exclusion | None, state: UniverseState) -> bool:
    """Whether a symbol of the set was out of this look's sight. Who passed at the last one has its time on record."""
    passed_before = state.standings.get(symbol, NEW).passing_since_ms is not None
    return why in _LOOK_FAILED or (why in _PERHAPS_THE_LOOK and passed_before)


def _stood_in(facts: UniverseFacts, state: UniverseState, rules: UniverseRules) -> UniverseState:
    """The state with the fallback filled in where nothing is chosen: the first of the configured symbols that nothing
    beforehand speaks against; a cool-down does not, a venue that keeps refusing does."""
    if state.symbols:
        return state
    return replace(state, fallback=changes.fallback(facts.fallback, facts.instruments, state, rules, facts.now_ms))
