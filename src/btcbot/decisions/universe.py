"""The choice of symbols: facts of a look over the market in, a set with its reasons out.

Two selections share every filter, every reason and every rule about change, and differ in what they rank by:

- `momentum` ranks by how far the price has come since a look-back, less the spread, plus the depth of the real book;
- `scored` ranks by liquidity, spread and volatility, each put between 0 (the worst of the candidates) and 1 (the best).

Rules about change, so that a set does not flutter: a newcomer must have passed every filter for a while (probation; the
very first set knows none); a symbol that left does not come back before its cool-down is over; a symbol of the set
keeps its place until it has fallen some ranks behind the last one; and symbols are added only a few times a day. A
symbol that fails a filter leaves at once: to narrow is always allowed. A look that failed is no such filter, for who
leaves is sold: a symbol of the set that was not looked at, or that lost the past it had when it was chosen, keeps its
place; one without a book, or with an old one, does for one look, because a pair that stands still for good must make
room. Being chosen is never held against a symbol.
"""

from __future__ import annotations

import decimal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec
from msgspec.structs import replace

from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.scan import ScanRow, TickerRow
from btcbot.domain.tuning import Tuning
from btcbot.domain.universe import Exclusion, Freeze, Standing, UniverseState

#: Bases that follow a currency; against the lira they show its fall and no market of their own.
STABLE_BASES: Final = frozenset({"USDT", "USDC", "DAI", "TUSD", "FDUSD", "BUSD", "USD", "EUR"})
DAY_MS: Final = 86_400_000
#: With fewer than one in so many of the symbols seen and fresh, what was seen is no ground for a choice.
SEEN_ONE_IN: Final = 2
#: The score of a component that could not be measured: below the worst that could.
MISSING: Final = Decimal(-1)
#: Scores are told with so many decimals.
SCORE_PLACES: Final = 6
#: Scores are statistics: they are rounded as they come, the same on every machine, and no money is made of them.
_STATISTICS: Final = decimal.Context(
    prec=80,
    rounding=decimal.ROUND_HALF_EVEN,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)

_UNSEEN: Final = frozenset({Exclusion.NOT_SCANNED, Exclusion.NO_BOOK, Exclusion.STALE_BOOK})
#: Of a symbol of the set: the fault of the look, always or for once.
_LOOK_FAILED: Final = frozenset({Exclusion.NOT_SCANNED, Exclusion.HISTORY})
_PERHAPS_THE_LOOK: Final = frozenset({Exclusion.NO_BOOK, Exclusion.STALE_BOOK})


class UniverseRules(msgspec.Struct, frozen=True, kw_only=True):
    """`depth_min` (best bid and ask together) and `quote_volume_min` (24 h) in the quote asset, 0 for no such limit.

    `lookback_ms`: how far back the price must be known, to within `lookback_tolerance_ms`; None: it need not be.
    `keep_ranks`: a symbol of the set keeps its place until so many ranks behind the last one. `additions_per_day_max`
    counts looks that added symbols, within any 24 hours. `refusals_max` of the venue within `refusal_window_ms` keep a
    symbol out.
    """

    quote_asset: str
    size: int
    spread_bps_max: Decimal
    depth_min: Decimal
    quote_volume_min: Decimal
    excludes: frozenset[str]
    excludes_stables: bool
    book_age_ms_max: int
    lookback_ms: int | None
    lookback_tolerance_ms: int
    probation_ms: int
    cooldown_ms: int
    keep_ranks: int
    additions_per_day_max: int
    refusals_max: int
    refusal_window_ms: int
    scan_symbols_max: int
    has_fallback: bool


class MomentumWeights(msgspec.Struct, frozen=True, kw_only=True):
    """For each percent of the price's way, each basis point of spread (taken off), each e-fold of depth, and each
    recent refusal by the venue (taken off)."""

    momentum: Decimal = Decimal(1)
    spread: Decimal = Decimal("0.01")
    depth: Decimal = Decimal("0.1")
    refusal: Decimal = Decimal("0.05")


class ScoreWeights(msgspec.Struct, frozen=True, kw_only=True):
    """For liquidity (24 h volume), spread (the narrower the better) and volatility (the calmer the better), which is
    the standard deviation of the returns over the last `volatility_bars`."""

    liquidity: Decimal = Decimal("0.5")
    spread: Decimal = Decimal("0.3")
    volatility: Decimal = Decimal("0.2")
    volatility_bars: int = 20


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
_Passed = Mapping[str, ScanRow]


def tuned(rules: UniverseRules, tuning: Tuning | None) -> UniverseRules:
    """The rules with the parameters that are in force."""
    if tuning is None:
        return rules
    return replace(
        rules,
        size=tuning.universe_size,
        spread_bps_max=tuning.spread_bps_max,
        quote_volume_min=tuning.quote_volume_min,
    )


# -- before a look -----------------------------------------------------------------------------------------------------


def listed_candidates(
    instruments: Mapping[str, Instrument], rows: Mapping[str, TickerRow], rules: UniverseRules
) -> tuple[str, ...]:
    """Of all listed pairs those that could be chosen, the most traded of the last 24 hours first, at most
    `scan_symbols_max`. A pair of which no volume is told is none of them."""
    traded = [
        (row.quote_volume_24h, symbol)
        for symbol, row in rows.items()
        if row.quote_volume_24h and _by_rules(symbol, instruments, rules) is None
    ]
    traded.sort(key=lambda one: (-one[0], one[1]))
    return tuple(symbol for _, symbol in traded[: rules.scan_symbols_max])


def to_ask(
    candidates: Sequence[str],
    instruments: Mapping[str, Instrument],
    state: UniverseState,
    rules: UniverseRules,
    now_ms: int,
) -> tuple[str, ...]:
    """Whom a look is for: those of the set first, then the others in their order, none that is out anyway."""
    chosen = frozenset(state.symbols)
    wanted = [*state.symbols, *(symbol for symbol in candidates if symbol not in chosen)]
    known = frozenset(candidates)
    may = [s for s in wanted if s in known and _beforehand(s, instruments, state, rules, now_ms) is None]
    return tuple(may[: rules.scan_symbols_max])


def _by_rules(symbol: str, instruments: Mapping[str, Instrument], rules: UniverseRules) -> Exclusion | None:
    instrument = instruments.get(symbol)
    if instrument is None:
        return Exclusion.NOT_LISTED
    if not (instrument.is_trading and instrument.takes_limit_orders):
        return Exclusion.NOT_TRADING
    if instrument.quote != rules.quote_asset:
        return Exclusion.WRONG_QUOTE
    if symbol in rules.excludes:
        return Exclusion.EXCLUDED
    if rules.excludes_stables and instrument.base in STABLE_BASES:
        return Exclusion.STABLE
    return None


def _beforehand(
    symbol: str, instruments: Mapping[str, Instrument], state: UniverseState, rules: UniverseRules, now_ms: int
) -> Exclusion | None:
    """What keeps a symbol out without a look at its market."""
    if (why := _by_rules(symbol, instruments, rules)) is not None:
        return why
    if _refusals(state, rules, now_ms)[symbol] >= rules.refusals_max:
        return Exclusion.REFUSALS
    if now_ms < state.standings.get(symbol, _NEW).cooldown_until_ms:
        return Exclusion.COOLDOWN
    return None


_NEW: Final = Standing()


def _refusals(state: UniverseState, rules: UniverseRules, now_ms: int) -> Counter[str]:
    return Counter(one.symbol for one in state.refusals if one.at_ms > now_ms - rules.refusal_window_ms)


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
        why = why or _beforehand(symbol, instruments, state, rules, now_ms)
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


# -- the two selections ------------------------------------------------------------------------------------------------


def momentum(facts: UniverseFacts, rules: UniverseRules, weights: MomentumWeights) -> Selection:
    """The set of the symbols that have risen most, in books that can be traded."""
    assert rules.lookback_ms is not None, "momentum is measured over a look-back"
    refusals = _refusals(facts.state, rules, facts.now_ms)

    def scores(passed: _Passed) -> Mapping[str, Decimal]:
        found = {}
        for symbol, row in passed.items():
            then = _price_then(row, rules)
            assert row.quote is not None and row.depth is not None and then is not None, "it passed the filters"
            risen_percent = (row.quote.mid / then - 1) * 100
            found[symbol] = (
                weights.momentum * risen_percent
                - weights.spread * row.quote.spread_bps
                + weights.depth * (row.depth + 1).ln()
                - weights.refusal * refusals[symbol]
            )
        return found

    return _select(facts, rules, scores)


def scored(facts: UniverseFacts, rules: UniverseRules, weights: ScoreWeights) -> Selection:
    """The set of the symbols that are cheapest and calmest to trade."""

    def scores(passed: _Passed) -> Mapping[str, Decimal]:
        liquidity = {symbol: row.quote_volume_24h for symbol, row in passed.items()}
        spread = {symbol: -row.quote.spread_bps for symbol, row in passed.items() if row.quote is not None}
        calm = {symbol: _calm(row, weights.volatility_bars) for symbol, row in passed.items()}
        parts = (
            (weights.liquidity, _between_0_and_1(liquidity)),
            (weights.spread, _between_0_and_1(spread)),
            (weights.volatility, _between_0_and_1(calm)),
        )
        return {symbol: money.total(weight * part[symbol] for weight, part in parts) for symbol in passed}

    return _select(facts, rules, scores)


def _price_then(row: ScanRow, rules: UniverseRules) -> Decimal | None:
    """The close nearest to the beginning of the look-back; None where none is near enough."""
    assert rules.lookback_ms is not None, "only asked with a look-back"
    then_ms = row.at_ms - rules.lookback_ms
    nearest = min(row.closes, key=lambda close: abs(close.at_ms - then_ms), default=None)
    if nearest is None or abs(nearest.at_ms - then_ms) > rules.lookback_tolerance_ms or nearest.price <= 0:
        return None
    return nearest.price


def _calm(row: ScanRow, bars: int) -> Decimal | None:
    """Minus the standard deviation of the last returns; None without enough of them."""
    prices = [close.price for close in row.closes[-(bars + 1) :]]
    if len(prices) <= bars or min(prices) <= 0:
        return None
    returns = [later / earlier for earlier, later in pairwise(prices)]
    mean = money.total(returns) / len(returns)
    return -(money.total((one - mean) ** 2 for one in returns) / len(returns)).sqrt()


def _between_0_and_1(values: Mapping[str, Decimal | None]) -> Mapping[str, Decimal]:
    """0 for the worst, 1 for the best (and for all where all are the same), MISSING for what is not known."""
    known = [value for value in values.values() if value is not None]
    worst, best = min(known, default=money.ZERO), max(known, default=money.ZERO)
    width = best - worst
    return {
        symbol: MISSING if value is None else (value - worst) / width if width > 0 else money.ONE
        for symbol, value in values.items()
    }


# -- what both do with it ----------------------------------------------------------------------------------------------


def _select(
    facts: UniverseFacts, rules: UniverseRules, scores_of: Callable[[_Passed], Mapping[str, Decimal]]
) -> Selection:
    state, now_ms = facts.state, facts.now_ms
    before = state.symbols
    out: dict[str, Exclusion] = {}
    passed: dict[str, ScanRow] = {}
    asked = frozenset(facts.asked)
    for symbol in facts.candidates:
        why = _beforehand(symbol, facts.instruments, state, rules, now_ms)
        row = facts.rows.get(symbol)
        if why is None and row is None:
            why = Exclusion.NOT_SCANNED if symbol in asked else Exclusion.SCAN_BUDGET
        if why is None:
            assert row is not None, "just asked for"
            why = _in_the_market(row, rules)
            if why is None:
                passed[symbol] = row
                continue
        out[symbol] = why
    # Who was chosen had a past: where one of them shows none now it is the charts that fail, for whomever they do.
    charts_fail = any(out.get(symbol) is Exclusion.HISTORY for symbol in before)
    blind = _UNSEEN | {Exclusion.HISTORY} if charts_fail else _UNSEEN
    unseen = sum(out.get(symbol) in blind for symbol in facts.asked)
    if (len(facts.asked) - unseen) * SEEN_ONE_IN < len(facts.asked):
        return Selection(state=_stood_in(facts, state, rules), scores={}, excluded=out, freeze=Freeze.STALE_DATA)

    with decimal.localcontext(_STATISTICS):
        scores = {symbol: round(score, SCORE_PLACES) for symbol, score in scores_of(passed).items()}
    ranked = sorted(scores, key=lambda symbol: (-scores[symbol], symbol))
    # Of a symbol of the set that a look did not come to see, nothing bad is known.
    unjudged = [symbol for symbol in before if _is_unjudged(symbol, out.get(symbol), state)][: rules.size]
    passing = {symbol: _passing_since(state, symbol, now_ms) for symbol in ranked}
    is_first = state.refreshed_at_ms == 0
    ready = [s for s in ranked if s in before or is_first or now_ms - passing[s] >= rules.probation_ms]
    additions = tuple(at_ms for at_ms in state.additions_ms if at_ms > now_ms - DAY_MS)
    may_add = not before or len(additions) < rules.additions_per_day_max
    room = rules.size - len(unjudged)
    best = _best(ready, before, room, rules.keep_ranks, may_add=may_add)
    chosen = (*best, *unjudged)
    for symbol in unjudged:
        del out[symbol]
    for symbol in ranked:
        if symbol in chosen:
            continue
        if symbol not in ready:
            out[symbol] = Exclusion.PROBATION
        elif not may_add and symbol in ready[:room]:
            out[symbol] = Exclusion.CHURN
        else:
            out[symbol] = Exclusion.OUTRANKED
    added = tuple(symbol for symbol in chosen if symbol not in before)
    removed = tuple(symbol for symbol in before if symbol not in chosen)
    standings = _standings(facts, rules, passing, removed)
    after = UniverseState(
        symbols=chosen,
        refreshed_at_ms=now_ms,
        additions_ms=(*additions, now_ms) if added and before else additions,
        standings=standings,
        refusals=tuple(one for one in state.refusals if one.at_ms > now_ms - rules.refusal_window_ms),
    )
    if not chosen:
        after = _stood_in(facts, after, rules)
    return Selection(state=after, scores=scores, excluded=out, added=added, removed=removed)


def _is_unjudged(symbol: str, why: Exclusion | None, state: UniverseState) -> bool:
    """Whether a symbol of the set was out of this look's sight. Who passed at the last one has its time on record."""
    passed_before = state.standings.get(symbol, _NEW).passing_since_ms is not None
    return why in _LOOK_FAILED or (why in _PERHAPS_THE_LOOK and passed_before)


def _in_the_market(row: ScanRow, rules: UniverseRules) -> Exclusion | None:
    """The filters on what a look showed."""
    quote, depth = row.quote, row.depth
    if quote is None or not quote.is_sane:
        return Exclusion.NO_BOOK
    if row.at_ms - quote.venue_time_ms > rules.book_age_ms_max:
        return Exclusion.STALE_BOOK
    if depth is None:
        return Exclusion.NO_DEPTH
    if quote.spread_bps > rules.spread_bps_max:
        return Exclusion.SPREAD
    if depth < rules.depth_min:
        return Exclusion.DEPTH
    if rules.quote_volume_min and (row.quote_volume_24h is None or row.quote_volume_24h < rules.quote_volume_min):
        return Exclusion.VOLUME
    if rules.lookback_ms is not None and _price_then(row, rules) is None:
        return Exclusion.HISTORY
    return None


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
    since_ms = state.standings.get(symbol, _NEW).passing_since_ms
    return now_ms if since_ms is None else min(since_ms, now_ms)


def _standings(
    facts: UniverseFacts, rules: UniverseRules, passing: Mapping[str, int], removed: Sequence[str]
) -> Mapping[str, Standing]:
    """How every symbol stands after this look; one of which there is nothing to say is left out."""
    made: dict[str, Standing] = {}
    for symbol in dict.fromkeys([*facts.state.standings, *passing, *removed]):
        if symbol in removed:
            made[symbol] = Standing(cooldown_until_ms=facts.now_ms + rules.cooldown_ms)
            continue
        cooldown_until_ms = facts.state.standings.get(symbol, _NEW).cooldown_until_ms
        standing = Standing(
            passing_since_ms=passing.get(symbol),
            cooldown_until_ms=cooldown_until_ms if cooldown_until_ms > facts.now_ms else 0,
        )
        if standing != _NEW:
            made[symbol] = standing
    return made


def _stood_in(facts: UniverseFacts, state: UniverseState, rules: UniverseRules) -> UniverseState:
    """The state with the fallback filled in where nothing is chosen: the first of the configured symbols that nothing
    beforehand speaks against; a cool-down does not, a venue that keeps refusing does."""
    if state.symbols:
        return state
    return replace(state, fallback=fallback(facts.fallback, facts.instruments, state, rules, facts.now_ms))


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
    may = [s for s in symbols if _beforehand(s, instruments, state, rules, now_ms) in (None, Exclusion.COOLDOWN)]
    return tuple(may[: rules.size])
