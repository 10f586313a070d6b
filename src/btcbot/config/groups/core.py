"""What every run has: safety, credentials, venue, state, orders, limits, strategy, observation."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from pydantic import Field

from btcbot.config.groups.base import Group
from btcbot.config.kinds import (
    BPS_MAX,
    TRY_MAX,
    ApiKey,
    ApiSecret,
    BarSeconds,
    BaseUrl,
    Exact,
    Exporter,
    FilePath,
    GraphUrl,
    LogLevel,
    MarketDataMode,
    OptionalDay,
    OptionalEndpoint,
    OptionalPath,
    OptionalText,
    Scopes,
    Switch,
    Symbols,
    Whole,
    WsUrl,
)
from btcbot.config.sources import ACKNOWLEDGEMENT

__all__ = ["CoreSettings"]


class CoreSettings(Group):
    """Fields of `Settings`; see there."""

    # Safety
    dry_run: Switch = Field(default=True, description="Simulate: no order reaches the venue.")
    kill_switch: Switch = Field(default=False, description="Stop: no new order; cancels stay possible.")
    safe_mode: Switch = Field(default=False, description="Observe only: no write of any kind, cancels included.")
    live_trading: Switch = Field(default=False, description="Allow real orders, once every other gate is open too.")
    live_trading_ack: OptionalText = Field(
        default=None, description=f"The acknowledgement that live trading needs: exactly {ACKNOWLEDGEMENT}."
    )

    # Credentials
    btcturk_api_key: ApiKey = Field(default=None, description="The API key; better given by file.")
    btcturk_api_secret: ApiSecret = Field(default=None, description="The API secret; better given by file.")
    btcturk_api_key_file: OptionalPath = Field(
        default=None, description="A file (0600 or 0400, no symlink) with the API key."
    )
    btcturk_api_secret_file: OptionalPath = Field(
        default=None, description="A file (0600 or 0400, no symlink) with the API secret."
    )
    btcturk_api_scopes: Scopes = Field(
        default=("read", "trade"),
        description="What the key may do: read always, trade for live trading; withdraw is refused.",
    )
    btcturk_secret_rotated_at: OptionalDay = Field(default=None, description="The day on which the key was made.")
    secret_rotation_warn_days: Whole = Field(
        default=30, ge=1, le=3650, description="Age of the key, in days, from which a warning is logged."
    )
    btcturk_secret_max_age_days: Whole = Field(
        default=90, ge=1, le=3650, description="Age of the key, in days, above which live trading is refused."
    )

    # Venue
    btcturk_base_url: BaseUrl = Field(
        default="https://api.btcturk.com", description="The venue's address, or a simulator on this machine."
    )
    symbols: Symbols = Field(
        default=("BTCTRY", "ETHTRY", "SOLTRY"),
        description="The pairs to trade; UNIVERSE_SYMBOLS is another name for it.",
    )
    btcturk_ws_url: WsUrl = Field(
        default=None,
        description=(
            "The address of the venue's live feed; without it BtcTurk's own beside BtcTurk's REST, and none beside a "
            "simulator."
        ),
    )
    market_data_mode: MarketDataMode = Field(
        default="auto",
        description="Quotes from the feed with REST where it fails (auto), from the feed alone (ws), or from REST.",
    )
    book_check_seconds: Whole = Field(
        default=60,
        ge=5,
        le=600,
        description="Seconds for which a book of the feed is trusted after REST agreed with it.",
    )
    feed_wake_ms: Whole = Field(
        default=250,
        ge=0,
        le=600_000,
        description="Milliseconds between two cycles that the feed wakes; 0: it wakes none, only the timer does.",
    )
    btcturk_graph_url: GraphUrl = Field(
        default=None,
        description=(
            "The address of the venue's charts, of which strategies with signals get their bars; without it BtcTurk's "
            "own beside BtcTurk's REST, and none beside a simulator."
        ),
    )
    bar_interval_seconds: BarSeconds = Field(
        default=60, description="Length in seconds of the bars over which a strategy's signals are computed."
    )
    max_market_data_age_ms: Whole = Field(
        default=15_000,
        ge=1,
        le=600_000,
        description="Age in milliseconds above which a quote is stale and bars new orders.",
    )
    rules_cache_ttl_sec: Whole = Field(
        default=300, ge=1, le=86_400, description="Seconds for which the venue's trading rules are taken as current."
    )
    btcturk_clock_sync_interval_seconds: Whole = Field(
        default=60, ge=1, le=3600, description="Seconds between two measurements of the venue's clock."
    )
    clock_skew_seconds_threshold: Exact = Field(
        default=Decimal(2),
        gt=0,
        le=5,
        description="Seconds by which the clocks may differ before the clock gate closes.",
    )
    max_retry_attempts: Whole = Field(
        default=3, ge=1, le=10, description="Tries of one read, the first included; writes are never repeated."
    )
    max_retry_total_sleep_s: Exact = Field(
        default=Decimal(2), ge=0, le=60, description="Seconds that the retries of one read may wait in all."
    )
    # State
    state_db_path: FilePath = Field(
        default=Path("btcbot_state.db"), description="The state database; lock and kill file lie beside it."
    )

    cycles_kept: Whole = Field(
        200_000,
        ge=1_000,
        le=10_000_000,
        description="Cycle reports kept, with their verdicts; older ones are forgotten. Orders and books stay.",
    )
    journal: Switch = Field(
        default=True, description="Record every cycle of a loop run beside the database, for «btcbot replay»."
    )
    journal_mb_max: Whole = Field(
        default=1024,
        ge=1,
        le=1_000_000,
        description="MiB that all recorded runs may take together; the oldest are removed.",
    )

    # Orders
    ttl_seconds: Whole = Field(
        default=120, ge=1, le=86_400, description="Age in seconds at which an open order is cancelled."
    )
    cooldown_seconds: Whole = Field(
        default=60, ge=0, le=86_400, description="Seconds between two orders for the same pair and side."
    )
    settle_horizon_seconds: Whole = Field(
        default=30,
        ge=1,
        le=3600,
        description="Seconds of venue time after which an order that no list shows counts as not placed.",
    )
    max_orders_per_cycle: Whole = Field(default=2, ge=1, le=100, description="New orders in one cycle, at most.")
    max_open_orders_per_symbol: Whole = Field(default=1, ge=1, le=20, description="Open orders of one pair, at most.")
    min_order_notional_try: Exact = Field(
        default=Decimal(10),
        ge=0,
        le=TRY_MAX,
        description="Smallest value of an order; the venue's own minimum holds as well.",
    )

    # Limits
    notional_cap_try_per_cycle: Exact = Field(
        default=Decimal(1000), gt=0, le=TRY_MAX, description="Value of all new orders of one cycle, at most."
    )
    max_notional_per_order_try: Exact = Field(
        default=Decimal(0), ge=0, le=TRY_MAX, description="Value of one order, at most; 0 sets no limit of its own."
    )
    max_position_try_per_symbol: Exact = Field(
        default=Decimal(5000), gt=0, le=TRY_MAX, description="Value of the position in one pair, at most."
    )
    max_total_exposure_try: Exact = Field(
        default=Decimal(20_000), gt=0, le=TRY_MAX, description="Value of all positions and open buys, at most."
    )
    max_daily_loss_try: Exact = Field(
        default=Decimal(500),
        gt=0,
        le=TRY_MAX,
        description="Loss of one day (realised and unrealised) that stops buying.",
    )
    price_collar_bps: Exact = Field(
        default=Decimal(200), gt=0, le=BPS_MAX, description="Distance of an order's price from the mid price, at most."
    )
    try_cash_target: Exact = Field(
        default=Decimal(300), ge=0, le=TRY_MAX, description="TRY that buying leaves untouched."
    )
    fee_bps_taker: Exact = Field(
        default=Decimal(24),
        ge=0,
        le=1000,
        description="Fee with tax of an order that fills at once; corrected by own trades.",
    )
    fee_bps_maker: Exact = Field(
        default=Decimal(12), ge=0, le=1000, description="Fee with tax of an order that rested; corrected by own trades."
    )

    # Strategy
    entry_budget_try: Exact = Field(
        default=Decimal(500), gt=0, le=TRY_MAX, description="Value of the order that opens a position."
    )
    min_profit_bps: Exact = Field(
        default=Decimal(30),
        ge=0,
        le=BPS_MAX,
        description="Gain, net of the sell's taker fee, from which profit is taken.",
    )
    take_profit_fraction: Exact = Field(
        default=Decimal("0.25"), gt=0, le=1, description="Share of the position that one sell takes."
    )
    entry_spread_bps_max: Exact = Field(
        default=Decimal(100), gt=0, le=BPS_MAX, description="Spread above which no position is opened."
    )
    sweep_enabled: Switch = Field(
        default=False, description="Spend the TRY above TARGET_TRY, evenly on all pairs, as far as the caps leave room."
    )
    target_try: Exact = Field(default=Decimal(300), ge=0, le=TRY_MAX, description="TRY that a sweep leaves untouched.")
    offset_bps: Exact = Field(
        default=Decimal(20), ge=0, le=BPS_MAX, description="Distance below the best bid at which a sweep buys."
    )
    strategy: OptionalText = Field(
        default="profit_v1",
        description="The strategy: a name of «btcbot strategy list», or the path of a file such as strategies/mine.py.",
    )
    strategy_params: OptionalText = Field(
        default=None,
        description="Its parameters, such as fast=20,slow=100; settings above are defaults of those that it shares.",
    )

    # Simulation, logs and metrics
    dry_run_try_balance: Exact = Field(
        default=Decimal(1000),
        ge=0,
        le=TRY_MAX,
        description="TRY of the imagined account of a dry run, and with which a paper account begins.",
    )
    log_level: LogLevel = Field(default="INFO", description="The least severe log lines to write.")
    observability_enabled: Switch = Field(default=False, description="Record metrics with the exporter below.")
    observability_metrics_exporter: Exporter = Field(default="none", description="Where metrics go.")
    observability_otlp_endpoint: OptionalEndpoint = Field(
        default=None, description="The OTLP/HTTP collector's address; needed by the otlp exporter."
    )
    observability_prometheus_port: Whole = Field(
        default=9464, ge=1, le=65_535, description="Port on 127.0.0.1 at which the prometheus exporter is read."
    )
