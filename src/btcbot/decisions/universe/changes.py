"""How a set changes, so that it does not flutter: probation, cool-down, kept ranks, few additions a day.

A newcomer must have passed every filter for a while (the very first set knows no such probation); a symbol that left
does not come back before its cool-down is over; a symbol of the set keeps its place until it has fallen some ranks
behind the last one; and symbols are added only a few times a day. Leaving is always allowed, and some leave without
waiting for the next look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from btcbot.decisions.universe.filters import NEW, beforehand
from btcbot.decisions.universe.rules import UniverseRules
from btcbot.domain.instrument import Instrument
from btcbot.domain.universe import Exclusion, Standing, UniverseState

DAY_MS: Final = 86_400_000


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """`state` holds the new set; `excluded`: who was ranked and has no place, and why."""

    state: UniverseState
    excluded: Mapping[str, Exclusion]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def changed(
    state: UniverseState, ranked: Sequence[str], unjudged: Sequence[str], rules: UniverseRules, now_ms: int
) -> Change:
    """The set after a look. `ranked` passed every filter, best first; `unjudged` were out of sight, and stay.

    Being chosen is never held against a symbol.
    """
    before = state.symbols
    passing = {symbol: _passing_since(state, symbol, now_ms) for symbol in ranked}
    is_first = state.refreshed_at_ms == 0
    ready = [s for s in ranked if s in before or is_first or now_ms - passing[s] >= rules.probation_ms]
    additions = tuple(at_ms for at_ms in state.additions_ms if at_ms > now_ms - DAY_MS)
    may_add = not before or len(additions) < rules.additions_per_day_max
    room = rules.size - len(unjudged)
    chosen = (*_best(ready, before, room, rules.keep_ranks, may_add=may_add), *unjudged)
    excluded: dict[str, Exclusion] = {}
    for symbol in ranked:
        if symbol in chosen:
            continue
        if symbol not in ready:
            excluded[symbol] = Exclusion.PROBATION
        elif not may_add and symbol in ready[:room]:
            excluded[symbol] = Exclusion.CHURN
        else:
            excluded[symbol] = Exclusion.OUTRANKED
    added = tuple(symbol for symbol in chosen if symbol not in before)
    removed = tuple(symbol for symbol in before if symbol not in chosen)
    after = UniverseState(
        symbols=chosen,
        refreshed_at_ms=now_ms,
        additions_ms=(*additions, now_ms) if added and before else additions,
        standings=_standings(state, rules, passing, removed, now_ms),
        refusals=tuple(one for one in state.refusals if one.at_ms > now_ms - rules.refusal_window_ms),
    )
    return Change(state=after, excluded=excluded, added=added, removed=removed)


def _best(ready: Sequence[str], before: Sequence[str], room: int, keep_ranks: int, *, may_add: bool) -> tuple[str, ...]:
    """Who gets the places, best first. `ready` are ranked; `before` had places."""
    had = [symbol for symbol in ready if symbol in before]
    if not may_add:
        return tuple(had[:room])
    safe = frozenset(ready[: room + keep_ranks])
    keeps = [symbol for symbol in had if symbol in safe][:room]
    rest = [symbol for symbol in ready if symbol not in keeps][: room - len(keeps)]
    taken = frozenset([*keeps, *rest])
    return tuple(symbol for symbol in ready if symbol in taken)


def _passing_since(state: UniverseState, symbol: str, now_ms: int) -> int:
    since_ms = state.standings.get(symbol, NEW).passing_since_ms
    return now_ms if since_ms is None else min(since_ms, now_ms)


def _standings(
    state: UniverseState, rules: UniverseRules, passing: Mapping[str, int], removed: Sequence[str], now_ms: int
) -> Mapping[str, Standing]:
    """How every symbol stands after this look; one of which there is nothing to say is left out."""
    made: dict[str, Standing] = {}
    for symbol in dict.fromkeys([*state.standings, *passing, *removed]):
        if symbol in removed:
            made[symbol] = Standing(cooldown_until_ms=now_ms + rules.cooldown_ms)
            continue
        cooldown_until_ms = state.standings.get(symbol, NEW).cooldown_until_ms
        standing = Standing(
            passing_since_ms=passing.get(symbol),
            cooldown_until_ms=cooldown_until_ms if cooldown_until_ms > now_ms else 0,
        )
        if standing != NEW:
            made[symbol] = standing
    return made


def without_barred(
    state: UniverseState,
    known: frozenset[str],
    instruments: Mapping[str, Instrument],
    rules: UniverseRules,
    now_ms: int,
) -> tuple[UniverseState, Mapping[str, Exclusion]]:
    """The state less what may not wait for the next look: symbols that are not traded any more, that the venue keeps
    refusing, or that the settings no longer hold (`known` are those they do); and why each of them left."""
    out: dict[str, Exclusion] = {}
    for symbol in state.active:
        why = None if symbol in known else Exclusion.NOT_A_CANDIDATE
        why = why or beforehand(symbol, instruments, state, rules, now_ms)
        if why is not None and why is not Exclusion.COOLDOWN:
            out[symbol] = why
    if not out:
        return state, out
    cooled = {symbol: Standing(cooldown_until_ms=now_ms + rules.cooldown_ms) for symbol in out}
    return replace(
        state,
        symbols=tuple(symbol for symbol in state.symbols if symbol not in out),
        fallback=tuple(symbol for symbol in state.fallback if symbol not in out),
        standings={**state.standings, **cooled},
    ), out


def kept(
    held: Sequence[str],
    known: frozenset[str],
    instruments: Mapping[str, Instrument],
    state: UniverseState,
    rules: UniverseRules,
    now_ms: int,
) -> tuple[str, ...]:
    """Of the held symbols those that are neither bought nor sold while nothing is chosen.

    Who stands in is better than nobody, and no better than them: only who left the set, or is barred, has been judged.
    """
    if state.symbols:
        return ()
    others = (symbol for symbol in held if symbol not in state.fallback and symbol in known)
    return tuple(symbol for symbol in others if beforehand(symbol, instruments, state, rules, now_ms) is None)


def fallback(
    symbols: Sequence[str],
    instruments: Mapping[str, Instrument],
    state: UniverseState,
    rules: UniverseRules,
    now_ms: int,
) -> tuple[str, ...]:
    """Who stands in while nothing is chosen; nobody where the rules want no fallback."""
    if not rules.has_fallback:
        return ()
    may = [s for s in symbols if beforehand(s, instruments, state, rules, now_ms) in (None, Exclusion.COOLDOWN)]
    return tuple(may[: rules.size])
