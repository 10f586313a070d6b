"""Who may be chosen at all: what speaks against a symbol before its market is looked at, and what the look shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from btcbot.decisions.universe.rules import UniverseRules
from btcbot.domain.instrument import Instrument
from btcbot.domain.scan import ScanRow, TickerRow
from btcbot.domain.universe import Exclusion, Standing, UniverseState

#: Bases that follow a currency; against the lira they show its fall and no market of their own.
STABLE_BASES: Final = frozenset({"USDT", "USDC", "DAI", "TUSD", "FDUSD", "BUSD", "USD", "EUR"})
#: How a symbol stands of which there is nothing to say.
NEW: Final = Standing()

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
    may = [s for s in wanted if s in known and beforehand(s, instruments, state, rules, now_ms) is None]
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


def beforehand(
    symbol: str, instruments: Mapping[str, Instrument], state: UniverseState, rules: UniverseRules, now_ms: int
) -> Exclusion | None:
    """What keeps a symbol out without a look at its market."""
    if (why := _by_rules(symbol, instruments, rules)) is not None:
        return why
    if refusals(state, rules, now_ms)[symbol] >= rules.refusals_max:
        return Exclusion.REFUSALS
    if now_ms < state.standings.get(symbol, NEW).cooldown_until_ms:
        return Exclusion.COOLDOWN
    return None


def refusals(state: UniverseState, rules: UniverseRules, now_ms: int) -> Counter[str]:
    """How often the venue refused each symbol of late."""
    return Counter(one.symbol for one in state.refusals if one.at_ms > now_ms - rules.refusal_window_ms)


# -- after a look ------------------------------------------------------------------------------------------------------


def in_the_market(row: ScanRow, rules: UniverseRules) -> Exclusion | None:
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
    if rules.lookback_ms is not None and price_then(row, rules) is None:
        return Exclusion.HISTORY
    return None


def price_then(row: ScanRow, rules: UniverseRules) -> Decimal | None:
    """The close nearest to the beginning of the look-back; None where none is near enough."""
    assert rules.lookback_ms is not None, "only asked with a look-back"
    then_ms = row.at_ms - rules.lookback_ms
    nearest = min(row.closes, key=lambda close: abs(close.at_ms - then_ms), default=None)
    if nearest is None or abs(nearest.at_ms - then_ms) > rules.lookback_tolerance_ms or nearest.price <= 0:
        return None
    return nearest.price
