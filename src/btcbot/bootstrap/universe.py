"""What the settings of the universe mean: its rules, its weights, and how far a look reaches back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from btcbot.bootstrap.meaning import QUOTE_ASSET
from btcbot.bootstrap.purpose import symbols_at_stake
from btcbot.decisions import universe as decisions
from btcbot.decisions.universe import MomentumWeights, ScoreWeights, Select, UniverseRules
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.scan import TickerRow
from btcbot.domain.tuning import Tuning
from btcbot.errors import VenueUnavailable
from btcbot.ports import BarSource, Clock, Log, MarketScanner, Metrics, StateStore, StopSignal
from btcbot.profiles import Profile, UniverseKind
from btcbot.services.universe import SelectingUniverse, chosen_before

if TYPE_CHECKING:
    from btcbot.adapters.btcturk.rest import BtcturkHttpClient
    from btcbot.config.settings import Settings

_MINUTE_MS: Final = 60_000
#: How often the list of candidates is asked for at a start, and how long is waited in between.
CANDIDATES_TRIES: Final = 3
CANDIDATES_PAUSE_S: Final = 1.0


def universe_rules(settings: Settings, selection: UniverseKind, quote_asset: str) -> UniverseRules:
    """The rules of a selection (MOMENTUM or SCORED): only momentum demands depth and a price of long ago."""
    is_momentum = selection is UniverseKind.MOMENTUM
    return UniverseRules(
        quote_asset=quote_asset,
        size=settings.universe_top_n,
        spread_bps_max=settings.universe_spread_max_bps,
        depth_min=settings.universe_min_depth_try if is_momentum else money.ZERO,
        quote_volume_min=settings.universe_min_quote_volume_try,
        excludes=frozenset(settings.universe_exclude_symbols),
        excludes_stables=settings.universe_exclude_stables,
        book_age_ms_max=settings.universe_orderbook_max_age_seconds * 1000,
        lookback_ms=settings.universe_momentum_lookback_minutes * _MINUTE_MS if is_momentum else None,
        lookback_tolerance_ms=settings.universe_history_tolerance_minutes * _MINUTE_MS,
        probation_ms=settings.universe_probation_minutes * _MINUTE_MS,
        cooldown_ms=settings.universe_symbol_cooldown_minutes * _MINUTE_MS,
        keep_ranks=settings.universe_keep_ranks,
        additions_per_day_max=settings.universe_churn_max_per_day,
        refusals_max=settings.universe_reject_threshold,
        refusal_window_ms=settings.universe_reject_window_minutes * _MINUTE_MS,
        scan_symbols_max=settings.universe_scan_budget_symbols,
        has_fallback=settings.universe_fallback_enabled,
    )


def bar_interval_ms(settings: Settings) -> int:
    """Length of the bars that a look reads."""
    return settings.universe_history_bucket_minutes * _MINUTE_MS


def history_ms(settings: Settings, selection: UniverseKind) -> int:
    """How far back a look reads bars."""
    if selection is UniverseKind.MOMENTUM:
        minutes = settings.universe_momentum_lookback_minutes + settings.universe_history_tolerance_minutes
        return minutes * _MINUTE_MS
    return (settings.stage7_vol_lookback + 1) * bar_interval_ms(settings)


def candidates_of(
    settings: Settings,
    rules: UniverseRules,
    instruments: Mapping[str, Instrument],
    tickers: Callable[[], Mapping[str, TickerRow]],
) -> tuple[str, ...]:
    """The candidates that the settings name; of all listed pairs those with the most volume.
    Only then is `tickers` asked; raises what it raises."""
    if settings.universe_candidates == "configured":
        return settings.symbols
    return decisions.listed_candidates(instruments, tickers(), rules)


def selecting_universe(
    settings: Settings,
    selection: UniverseKind,
    quote_asset: str,
    *,
    candidates: Sequence[str],
    scanner: MarketScanner,
    store: StateStore,
    metrics: Metrics,
    log: Log,
    tuning: Callable[[], Tuning | None] = lambda: None,
) -> SelectingUniverse:
    """The universe of a profile that chooses; `candidates` as `candidates_of` gives them."""
    return SelectingUniverse(
        _selection(settings, selection),
        universe_rules(settings, selection, quote_asset),
        candidates=candidates,
        configured=settings.symbols,
        scanner=scanner,
        store=store,
        metrics=metrics,
        log=log,
        refresh_ms=settings.universe_refresh_minutes * _MINUTE_MS,
        requests_per_cycle=settings.universe_max_orderbook_requests_per_cycle,
        tuning=tuning,
    )


def _selection(settings: Settings, selection: UniverseKind) -> Select:
    if selection is UniverseKind.MOMENTUM:
        return partial(
            decisions.momentum,
            weights=MomentumWeights(
                momentum=settings.universe_score_weight_momentum,
                spread=settings.universe_score_weight_spread,
                depth=settings.universe_score_weight_depth,
                refusal=settings.universe_reject_penalty_weight,
            ),
        )
    return partial(
        decisions.scored,
        weights=ScoreWeights(
            liquidity=settings.stage7_score_weight_liquidity,
            spread=settings.stage7_score_weight_spread,
            volatility=settings.stage7_score_weight_volatility,
            volatility_bars=settings.stage7_vol_lookback,
        ),
    )


def chooses(profile: Profile, settings: Settings) -> bool:
    """Whether a profile chooses its symbols, as the settings want it."""
    return profile.universe is UniverseKind.SCORED or (
        profile.universe is UniverseKind.MOMENTUM and settings.dynamic_universe_enabled
    )


def with_candidates(
    profile: Profile,
    settings: Settings,
    client: BtcturkHttpClient,
    store: StateStore,
    log: Log,
    clock: Clock,
    stop: StopSignal,
) -> Settings:
    """The settings with the pairs that the venue lists now among the symbols, for a profile that chooses out of all.

    So the feed, the signals and the pace of the cycle know of every pair that may be chosen. What was chosen before, is
    held or has an order stays among them, whatever the list says today, or does not say: a list that fails is no
    reason to sell. It is asked for a few times, for what is known now holds until the next start.
    """
    if not chooses(profile, settings) or settings.universe_candidates == "configured":
        return settings
    known = [*symbols_at_stake(settings, store), *chosen_before(store)]
    rules = universe_rules(settings, profile.universe, QUOTE_ASSET)
    listed: tuple[str, ...] = ()
    for tries_left in reversed(range(CANDIDATES_TRIES)):
        try:
            listed = candidates_of(settings, rules, client.instruments(), client.look_at_tickers)
            break
        except VenueUnavailable as unavailable:
            log.warning("candidates_not_read", why=unavailable.reason, instead=known, tries_left=tries_left)
            if not tries_left or clock.sleep(CANDIDATES_PAUSE_S, stop):
                break
    symbols = tuple(dict.fromkeys([*known, *listed]))
    return settings.model_copy(update={"symbols": symbols, "universe_candidates": "configured"})


def look_at(
    profile: Profile, settings: Settings, client: BtcturkHttpClient, bars: BarSource | None, clock: Clock
) -> tuple[MarketScanner | None, tuple[str, ...]]:
    """What looks over the venue's market for a profile that chooses, and out of which symbols it chooses."""
    if not chooses(profile, settings):
        return None, ()
    from btcbot.adapters.btcturk.scanner import BtcturkScanner

    kind = profile.universe
    scanner = BtcturkScanner(
        client, bars, clock, interval_ms=bar_interval_ms(settings), history_ms=history_ms(settings, kind)
    )
    return scanner, settings.symbols
