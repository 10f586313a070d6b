"""What settings mean: for each part of the bot, the values that it is built with."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from btcbot.adapters.btcturk import limits
from btcbot.adapters.btcturk.requester import Timing
from btcbot.adapters.btcturk.signing import Signer
from btcbot.config.secrets import key_fingerprint
from btcbot.config.values import FEED_HOST, GRAPH_HOST
from btcbot.decisions.book_trust import TrustLimits
from btcbot.decisions.fees import FeeRates
from btcbot.decisions.risk import RiskLimits
from btcbot.domain import money
from btcbot.domain.book import BookIdentity
from btcbot.services.gatekeeper import GatePolicy

if TYPE_CHECKING:
    from btcbot.config.settings import Settings

QUOTE_ASSET: Final = "TRY"
#: The mode of a database that trades at a venue of our own; no setting names it, `run --paper` does.
PAPER: Final = "paper"
#: More pairs than are asked for one by one.
LISTED_MIN: Final = 6
LOOPBACK_HOSTS: Final = frozenset({"localhost", "::1"})


def venue_host(base_url: str) -> str:
    """Host name of the venue, without port: a simulator's port changes from start to start."""
    return urlsplit(base_url).hostname or ""


def is_loopback(host: str) -> bool:
    return host in LOOPBACK_HOSTS or host.startswith("127.")


def mode_of(settings: Settings) -> str:
    """`dry_run`, or for real writes `demo` against this machine and `live` elsewhere."""
    if settings.dry_run:
        return "dry_run"
    return "demo" if is_loopback(venue_host(settings.btcturk_base_url)) else "live"


def gate_policy(settings: Settings, identity: BookIdentity) -> GatePolicy:
    """The gates that settings and the database's identity decide."""
    host = venue_host(settings.btcturk_base_url)
    fingerprint = key_fingerprint(settings.btcturk_api_key) if settings.btcturk_api_key is not None else None
    # A database that was made for a simulation belongs to no key, so to no other one either; it never arms at all.
    is_simulation = identity.mode in ("dry_run", PAPER) and identity.key_fingerprint is None
    return GatePolicy(
        dry_run=settings.dry_run,
        safe_mode=settings.safe_mode,
        kill_switch=settings.kill_switch,
        live_trading=settings.live_trading,
        acknowledgement=settings.live_trading_ack,
        database_armable=identity.mode == mode_of(settings) != "dry_run" and identity.venue_host == host,
        key_matches=is_simulation or (fingerprint is not None and identity.key_fingerprint == fingerprint),
        clock_skew_ms_max=int(settings.clock_skew_seconds_threshold * 1000),
    )


def paper_gate_policy(settings: Settings, identity: BookIdentity) -> GatePolicy:
    """Towards the real venue the dry-run gate is closed, whatever the settings say, so that permits are for the
    simulation alone; safe mode, kill switch and kill file hold as ever."""
    return msgspec.structs.replace(gate_policy(settings, identity), dry_run=True)


def timing(settings: Settings) -> Timing:
    """How often reads are tried, and how long clock and rules are believed."""
    return Timing(
        attempts_max=settings.max_retry_attempts,
        wait_s_max=float(settings.max_retry_total_sleep_s),
        clock_interval_s=float(settings.btcturk_clock_sync_interval_seconds),
        rules_age_s_max=float(settings.rules_cache_ttl_sec),
    )


def trust_limits(settings: Settings) -> TrustLimits:
    """When a book of the feed is believed."""
    return TrustLimits(silence_ms_max=settings.max_market_data_age_ms, check_ms_max=settings.book_check_seconds * 1000)


def feed_url(settings: Settings) -> str | None:
    """Where the live feed is, None where there is to be none.

    BtcTurk's own feed beside BtcTurk's REST interface needs no setting; a simulator's address has to be given.
    """
    if settings.market_data_mode == "rest":
        return None
    is_local = is_loopback(venue_host(settings.btcturk_base_url))
    return settings.btcturk_ws_url or (None if is_local else f"wss://{FEED_HOST}")


def graph_url(settings: Settings) -> str | None:
    """Where the venue's candles are, None beside a simulator whose address was not given."""
    is_local = is_loopback(venue_host(settings.btcturk_base_url))
    return settings.btcturk_graph_url or (None if is_local else f"https://{GRAPH_HOST}")


def signer_of(settings: Settings) -> Signer | None:
    """What signs requests and logs in to the feed, and the only one that sees the secret; a dry run has none."""
    if mode_of(settings) == "dry_run":
        return None
    assert settings.btcturk_api_key is not None, "asked for before"
    assert settings.btcturk_api_secret is not None, "asked for before"
    return Signer(settings.btcturk_api_key, settings.btcturk_api_secret)


def fee_rates(settings: Settings) -> FeeRates:
    return FeeRates(maker=settings.fee_bps_maker * money.BPS, taker=settings.fee_bps_taker * money.BPS)


def risk_limits(settings: Settings, *, is_overseen: bool = False) -> RiskLimits:
    """`is_overseen`: the risk budget's own limit on exposure holds before an order, not only after it was taken."""
    exposure_max = settings.max_total_exposure_try
    if is_overseen:
        exposure_max = min(exposure_max, settings.risk_max_gross_exposure_try)
    return RiskLimits(
        orders_per_cycle_max=settings.max_orders_per_cycle,
        open_orders_per_symbol_max=settings.max_open_orders_per_symbol,
        cooldown_ms=settings.cooldown_seconds * 1000,
        order_notional_min=settings.min_order_notional_try,
        notional_per_cycle_max=settings.notional_cap_try_per_cycle,
        notional_per_order_max=settings.max_notional_per_order_try,
        position_per_symbol_max=settings.max_position_try_per_symbol,
        exposure_max=exposure_max,
        daily_loss_max=settings.max_daily_loss_try,
        price_collar_bps=settings.price_collar_bps,
        cash_reserve=settings.try_cash_target,
    )


def cycle_seconds_min(settings: Settings) -> Decimal:
    """The shortest cycle that the venue's limits allow for these symbols, or for a choice out of all listed pairs."""
    symbols = len(settings.symbols)
    return limits.cycle_seconds_min(max(symbols, LISTED_MIN) if settings.universe_candidates == "listed" else symbols)
