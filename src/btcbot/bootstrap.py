"""The composition root: the only module that knows ports and adapters.

`build(…)` turns settings into a `Bot`. What differs between a live run, a dry run and the demo is decided here and in
the gates, nowhere else: which exchange is plugged in, and what the database is allowed to be used for.
"""

from __future__ import annotations

import secrets as tokens
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from btcbot.adapters.btcturk import limits
from btcbot.adapters.btcturk.requester import Timing
from btcbot.adapters.btcturk.rest import BtcturkHttpClient
from btcbot.adapters.btcturk.signing import Signer
from btcbot.adapters.clock import SystemClock
from btcbot.adapters.dry_run import DryRun
from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.adapters.process_lock import WriterLock, acquire
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.config.secrets import RotationState, key_fingerprint, rotation
from btcbot.config.values import FEED_HOST
from btcbot.cycle import Cycle, Services, cycle_id_of
from btcbot.decisions import gates, lifecycle
from btcbot.decisions.book_trust import TrustLimits
from btcbot.decisions.fees import FeeRates
from btcbot.decisions.risk import RiskLimits
from btcbot.domain import money
from btcbot.domain.book import BookIdentity
from btcbot.domain.cycles import CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.instrument import Instrument
from btcbot.domain.ledger import Account, Entry, EntryKind, Posting
from btcbot.domain.orders import OPEN, WORKING
from btcbot.domain.permit import WriteKind
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import InvariantBroken, Refused, VenueUnavailable
from btcbot.loop import Wait
from btcbot.ports import Clock, Exchange, Log, MarketFeed, Metrics, StateStore, StopSignal
from btcbot.profiles import RUN, Profile
from btcbot.services import values
from btcbot.services.accounting import AccountingService
from btcbot.services.execution import ExecutionService
from btcbot.services.feed import FeedService
from btcbot.services.gatekeeper import Gatekeeper, GatePolicy
from btcbot.services.market_data import MarketDataService
from btcbot.services.operator import OperatorService
from btcbot.services.order_lifecycle import OrderLifecycle
from btcbot.services.portfolio import PortfolioService
from btcbot.services.risk import RiskService
from btcbot.services.self_check import Check, SelfCheckService
from btcbot.services.startup_recovery import StartupRecoveryService
from btcbot.services.strategy import StrategyService
from btcbot.services.sweep import SweepService
from btcbot.strategies.base import Strategy
from btcbot.strategies.profit_v1 import ProfitAwareStrategyV1

if TYPE_CHECKING:
    import httpx2

    from btcbot.config.settings import Settings

QUOTE_ASSET: Final = "TRY"
CANCEL_ON_EXIT_SECONDS: Final = 4.0
CANCEL_POLL_SECONDS: Final = 0.5
#: Up to this size the self-check reads the whole database, within a few hundredths of a second.
VERIFY_BYTES_MAX: Final = 4 * 1024 * 1024
FREE_BYTES_MIN: Final = 64 * 1024 * 1024
LOOPBACK_HOSTS: Final = frozenset({"localhost", "::1"})


class Bot:
    """Everything built and locked, ready to run cycles. Close it whatever happens."""

    def __init__(
        self,
        cycle: Cycle,
        services: Services,
        store: SqliteStore,
        exchange: Exchange,
        lock: WriterLock,
        clock: Clock,
        mode: str,
    ) -> None:
        self._cycle = cycle
        self.services = services
        self.store = store
        self.exchange = exchange
        self.mode = mode
        self._lock = lock
        self._clock = clock

    def run_cycle(self, wake: Wake = Wake.TIME) -> CycleReport:
        """Run one cycle; every log line of it carries the cycle's id."""
        with structlog.contextvars.bound_contextvars(cycle_id=cycle_id_of(self._cycle.next_number())):
            return self._cycle.run(wake)

    def waiting(self, stop: StopSignal) -> Wait | None:
        """How to wait between cycles: on the feed, or None where there is none."""
        feed = self.services.feed
        return None if feed is None else partial(feed.wait, stop=stop)

    def closed_to_venue(self, kind: WriteKind) -> tuple[ReasonCode, ...]:
        """The gates that are closed between this kind of write and the real venue, apart from those that only a cycle
        can open (the clock's skew and the self-check are not yet known at start)."""
        not_yet_known = {ReasonCode.CLOCK_SKEW, ReasonCode.SELF_CHECK}
        closed = gates.closed_gates(self.services.gatekeeper.facts(), kind)
        return tuple(gate for gate in closed if gate not in not_yet_known)

    def resting_order_ids(self) -> Sequence[str]:
        """Own orders that stay at the venue when the process ends now."""
        return [order.client_order_id for order in lifecycle.left_resting(self.store.orders(tuple(OPEN)))]

    def cancel_resting(self) -> None:
        """Ask for the cancellation of every working order and watch the venue confirm, for a few seconds."""
        deadline_ns = self._clock.monotonic_ns() + int(CANCEL_ON_EXIT_SECONDS * 1e9)
        while self.store.orders(tuple(WORKING)) and self._clock.monotonic_ns() < deadline_ns:
            self.services.execution.cancel_all(ReasonCode.CANCEL_ON_EXIT)
            self._clock.sleep(CANCEL_POLL_SECONDS, threading.Event())
            try:
                self.services.recovery.run()
            except VenueUnavailable:
                continue
            except InvariantBroken:
                return  # halted already, or it will be at the next start; the farewell names what rests

    def close_feed(self) -> None:
        """Nothing more is told by the feed; harmless to repeat."""
        if self.services.feed is not None:
            self.services.feed.close()

    def close(self) -> None:
        try:
            self.close_feed()
            self.exchange.close()
            self.store.close()
        finally:
            self._lock.release()


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


def build(
    settings: Settings,
    *,
    stop: StopSignal,
    metrics: Metrics,
    log: Log,
    clock: Clock | None = None,
    profile: Profile = RUN,
    is_for_trading: bool = True,
    with_feed: bool = True,
    quotas: Mapping[limits.Endpoint, tuple[limits.Quota, ...]] = limits.QUOTAS,
    transport: httpx2.BaseTransport | None = None,
    open_store: Callable[..., SqliteStore] = SqliteStore.open,
    strategy: Strategy | None = None,
    feed: MarketFeed | None = None,
) -> Bot:
    """Take the locks, open the database, connect the parts. Raises Refused with one line when something forbids it.

    `is_for_trading` False is for an operator's single request: an old key may still cancel, explain and resume.
    `with_feed` False is for a single cycle, which is over before a feed is of use.
    `quotas` other than the venue's own are for a local venue with other limits. The last four are seams for a test
    bench: `transport` None opens sockets, `strategy` None is the profile's, `feed` None is the one that the settings
    name.
    """
    money.arm()
    clock = clock or SystemClock()
    mode = mode_of(settings)
    fingerprint = key_fingerprint(settings.btcturk_api_key) if settings.btcturk_api_key is not None else None
    if mode != "dry_run":
        _demand_key(settings)
        if is_for_trading:
            _demand_young_key(settings, clock, log)
    lock = acquire(settings.state_db_path, fingerprint if mode != "dry_run" else None)
    store: SqliteStore | None = None
    try:
        store = open_store(settings.state_db_path, metrics=metrics)
        identity = bind(store, mode, venue_host(settings.btcturk_base_url), fingerprint, clock)
        mark = NonceMark(store)
        client = BtcturkHttpClient(
            settings.btcturk_base_url,
            signer=signer_of(settings),
            clock=clock,
            stop=stop,
            metrics=metrics,
            log=log,
            load_mark=mark.load,
            save_mark=mark.save,
            symbols=symbols_at_stake(settings, store),
            quotas=quotas,
            timing=timing(settings),
            transport=transport,
        )
        exchange: Exchange = (
            DryRun(client, balance_try=settings.dry_run_try_balance, clock=clock) if mode == "dry_run" else client
        )
        if mode == "dry_run":
            _align_dry_run_balance(store, settings.dry_run_try_balance, clock)
        if feed is None and is_for_trading and with_feed:
            feed = live_feed(
                settings,
                signer_of(settings),
                clock=clock,
                metrics=metrics,
                log=log,
                venue_time_ms=client.estimated_time_ms,
            )
        return _assemble(
            settings, identity, mode, profile, store, exchange, lock, clock, metrics, log, stop, strategy, feed
        )
    except BaseException:
        if store is not None:
            store.close()
        lock.release()
        raise


def _assemble(
    settings: Settings,
    identity: BookIdentity,
    mode: str,
    profile: Profile,
    store: SqliteStore,
    exchange: Exchange,
    lock: WriterLock,
    clock: Clock,
    metrics: Metrics,
    log: Log,
    stop: StopSignal,
    strategy: Strategy | None,
    feed: MarketFeed | None,
) -> Bot:
    """The service graph, top-down as the cycle uses it."""
    symbols = settings.symbols
    horizon_ms = settings.settle_horizon_seconds * 1000
    gatekeeper = Gatekeeper(
        gate_policy(settings, identity), store, exchange, FileKillSwitch(settings.state_db_path), lock, clock
    )
    lifecycle = OrderLifecycle(
        store,
        exchange,
        clock,
        log,
        book_id=identity.book_id,
        fee_rates=lambda: accounting.fee_rates,
        settle_horizon_ms=horizon_ms,
    )
    execution = ExecutionService(
        store,
        exchange,
        gatekeeper,
        lifecycle,
        clock,
        metrics,
        log,
        book_id=identity.book_id,
        fee_rates=lambda: accounting.fee_rates,
        ttl_ms=settings.ttl_seconds * 1000,
        settle_horizon_ms=horizon_ms,
        stop=stop,
    )
    accounting = AccountingService(
        store,
        exchange,
        clock,
        metrics,
        log,
        book_id=identity.book_id,
        configured_rates=fee_rates(settings),
        settle_horizon_ms=horizon_ms,
        quote_asset=QUOTE_ASSET,
        adopt_unknown=lifecycle.adopt_unknown,
    )
    portfolio = PortfolioService(exchange)
    feed_service = None
    if feed is not None:
        feed_service = FeedService(feed, exchange, store, clock, metrics, log, trust_limits(settings))
        feed_service.start()
    market_data = MarketDataService(
        exchange,
        clock,
        metrics,
        settings.max_market_data_age_ms,
        feed_service,
        falls_back=settings.market_data_mode != "ws",
    )
    services = Services(
        recovery=StartupRecoveryService(
            store, exchange, clock, metrics, portfolio, accounting, execution, lifecycle, market_data
        ),
        market_data=market_data,
        strategy=StrategyService(
            strategy or strategy_of(profile, settings), symbols, QUOTE_ASSET, settings.try_cash_target
        ),
        risk=RiskService(risk_limits(settings), store, metrics, log),
        execution=execution,
        accounting=accounting,
        sweep=SweepService(
            enabled=settings.sweep_enabled,
            cash_target=settings.target_try,
            offset_bps=settings.offset_bps,
            quote_asset=QUOTE_ASSET,
        ),
        gatekeeper=gatekeeper,
        self_check=SelfCheckService(self_checks(store, settings.state_db_path), store, clock, log),
        operator=OperatorService(store, exchange, execution, lifecycle, clock, log),
        feed=feed_service,
    )
    cycle = Cycle(services, store, exchange, clock, metrics, log, mode, profile.name, symbols, settings.cycles_kept)
    return Bot(cycle, services, store, exchange, lock, clock, mode)


# -- what settings mean --------------------------------------------------------------------------------------------


def gate_policy(settings: Settings, identity: BookIdentity) -> GatePolicy:
    """The gates that settings and the database's identity decide."""
    host = venue_host(settings.btcturk_base_url)
    fingerprint = key_fingerprint(settings.btcturk_api_key) if settings.btcturk_api_key is not None else None
    return GatePolicy(
        dry_run=settings.dry_run,
        safe_mode=settings.safe_mode,
        kill_switch=settings.kill_switch,
        live_trading=settings.live_trading,
        acknowledgement=settings.live_trading_ack,
        database_armable=identity.mode == mode_of(settings) != "dry_run" and identity.venue_host == host,
        key_matches=fingerprint is not None and identity.key_fingerprint == fingerprint,
        clock_skew_ms_max=int(settings.clock_skew_seconds_threshold * 1000),
    )


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


def live_feed(
    settings: Settings,
    login: Signer | None,
    *,
    clock: Clock,
    metrics: Metrics,
    log: Log,
    venue_time_ms: Callable[[], int | None] = lambda: None,
) -> MarketFeed | None:
    """The feed that the settings name, not yet started; its libraries are loaded only where there is one.

    `login` None: public data only. `venue_time_ms` dates the login, from the feed's thread; None where it is not known,
    then our own clock does.
    """
    url = feed_url(settings)
    if url is None:
        return None
    from btcbot.adapters.btcturk.feed import BtcturkWsClient

    def wall_ms() -> int:
        return venue_time_ms() or clock.now_ms()

    return BtcturkWsClient(url, settings.symbols, signer=login, clock=clock, metrics=metrics, log=log, wall_ms=wall_ms)


def signer_of(settings: Settings) -> Signer | None:
    """What signs requests and logs in to the feed, and the only one that sees the secret; a dry run has none."""
    if mode_of(settings) == "dry_run":
        return None
    assert settings.btcturk_api_key is not None, "asked for before"
    assert settings.btcturk_api_secret is not None, "asked for before"
    return Signer(settings.btcturk_api_key, settings.btcturk_api_secret)


def fee_rates(settings: Settings) -> FeeRates:
    return FeeRates(maker=settings.fee_bps_maker * money.BPS, taker=settings.fee_bps_taker * money.BPS)


def risk_limits(settings: Settings) -> RiskLimits:
    return RiskLimits(
        orders_per_cycle_max=settings.max_orders_per_cycle,
        open_orders_per_symbol_max=settings.max_open_orders_per_symbol,
        cooldown_ms=settings.cooldown_seconds * 1000,
        order_notional_min=settings.min_order_notional_try,
        notional_per_cycle_max=settings.notional_cap_try_per_cycle,
        notional_per_order_max=settings.max_notional_per_order_try,
        position_per_symbol_max=settings.max_position_try_per_symbol,
        exposure_max=settings.max_total_exposure_try,
        daily_loss_max=settings.max_daily_loss_try,
        price_collar_bps=settings.price_collar_bps,
        cash_reserve=settings.try_cash_target,
    )


def strategy_of(profile: Profile, settings: Settings) -> Strategy:
    """The strategy that the profile names, with its settings."""
    makers: Mapping[str, Callable[[], Strategy]] = {
        "profit_v1": lambda: ProfitAwareStrategyV1(
            entry_budget=settings.entry_budget_try,
            profit_bps_min=settings.min_profit_bps,
            slice_fraction=settings.take_profit_fraction,
            spread_bps_max=settings.entry_spread_bps_max,
            order_value_min=settings.min_order_notional_try,
        ),
    }
    return makers[profile.strategy]()


def cycle_seconds_min(settings: Settings) -> Decimal:
    """The shortest cycle that the venue's limits allow for these symbols."""
    return limits.cycle_seconds_min(len(settings.symbols))


def demand_tradable(settings: Settings, instruments: Mapping[str, Instrument]) -> None:
    """Raise Refused for symbols that the venue does not list, or budgets that could never be sold again."""
    from difflib import get_close_matches

    for symbol in settings.symbols:
        instrument = instruments.get(symbol)
        if instrument is None:
            near = get_close_matches(symbol, instruments, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise Refused(f"SYMBOLS: the venue does not list {symbol}{hint}")
        if instrument.quote != QUOTE_ASSET:
            raise Refused(
                f"SYMBOLS: {symbol} is priced in {instrument.quote}; limits are in TRY, so only TRY pairs trade"
            )
        least = max(instrument.value_min, settings.min_order_notional_try)
        bought = settings.entry_budget_try * (money.ONE - settings.fee_bps_taker * money.BPS)
        if bought < least:
            raise Refused(
                f"ENTRY_BUDGET_TRY: {money.plain(settings.entry_budget_try)} less the fee is below the minimum "
                f"of {money.plain(least)} for {symbol}, so what it buys could never be sold; raise it"
            )
        per_order = settings.max_notional_per_order_try
        if per_order and per_order < least:
            raise Refused(
                f"MAX_NOTIONAL_PER_ORDER_TRY: {money.plain(per_order)} is below the minimum of "
                f"{money.plain(least)} for {symbol}; raise it, or set 0 for no limit"
            )


def self_checks(store: SqliteStore, database: Path) -> Mapping[str, Check]:
    """What the loop's own self-check looks at. The venue and the key are checked by each cycle's reads."""

    def books() -> str | None:
        if database.stat().st_size > VERIFY_BYTES_MAX:
            return None  # a whole check would hold up trading; opening, each cycle and «btcbot db verify» check too
        findings = store.verify()
        return f"the database contradicts itself: {findings[0]}; see «btcbot db verify»" if findings else None

    def space() -> str | None:
        free = shutil.disk_usage(database.resolve().parent).free
        if free >= FREE_BYTES_MIN:
            return None
        return f"only {free // 1024} KiB are free beside the database; make room before orders are sent"

    return {"books": books, "space": space}


# -- the database and its purpose ----------------------------------------------------------------------------------


def bind(store: StateStore, mode: str, host: str, fingerprint: str | None, clock: Clock) -> BookIdentity:
    """Give a new database its purpose, or refuse one that was made for another."""
    identity = store.identity()
    key = fingerprint if mode != "dry_run" else None
    if identity is None:
        identity = BookIdentity(
            book_id=tokens.token_hex(4),
            mode=mode,
            venue_host=host,
            key_fingerprint=key,
            created_at_ms=clock.now_ms(),
        )
        with store.transaction() as tx:
            tx.put_identity(identity)
        return identity
    if identity.mode != mode:
        raise Refused(
            f"STATE_DB_PATH: this database was made for mode {identity.mode} and is never used for {mode}; name another"
        )
    if identity.venue_host != host:
        raise Refused(
            f"STATE_DB_PATH: this database belongs to the venue {identity.venue_host}, not to {host}; name another"
        )
    if identity.key_fingerprint != key:
        raise Refused(
            "STATE_DB_PATH: this database belongs to another API key; if you replaced the key of the same account, "
            "«btcbot db rebind» shows what that means"
        )
    return identity


def _demand_key(settings: Settings) -> None:
    """Keys are there. Their form and scopes were checked with the settings."""
    if settings.btcturk_api_key is None or settings.btcturk_api_secret is None:
        raise Refused(
            "BTCTURK_API_KEY and BTCTURK_API_SECRET are needed without DRY_RUN; give them, or a *_FILE for each"
        )


def _demand_young_key(settings: Settings, clock: Clock, log: Log) -> None:
    today = datetime.fromtimestamp(clock.now_ms() / 1000, tz=UTC).date()
    age = rotation(
        settings.btcturk_secret_rotated_at,
        today,
        settings.secret_rotation_warn_days,
        settings.btcturk_secret_max_age_days,
    )
    if age.state is RotationState.EXPIRED:
        raise Refused(age.line)
    if age.state is RotationState.WARN:
        log.warning("key_age", line=age.line)


def _align_dry_run_balance(store: StateStore, balance: Decimal, clock: Clock) -> None:
    """A dry run's account is a setting: when it changes, the imagined difference is booked as a transfer."""
    if store.value(values.OPENING_AT_MS) is None:
        return
    difference = balance - store.account_balances(Account.VENUE).get(QUOTE_ASSET, money.ZERO)
    if not difference:
        return
    now_ms = clock.now_ms()
    postings = (
        Posting(Account.VENUE, QUOTE_ASSET, difference),
        Posting(Account.TRANSFERS, QUOTE_ASSET, -difference),
    )
    entry = Entry(
        entry_id=f"transfer:dry-run:{now_ms}",
        kind=EntryKind.TRANSFER,
        at_ms=now_ms,
        postings=postings,
        memo="DRY_RUN_TRY_BALANCE was changed",
    )
    with store.transaction() as tx:
        tx.insert_entry(entry)


def public_exchange(settings: Settings, stop: StopSignal, metrics: Metrics, log: Log) -> BtcturkHttpClient:
    """The venue's public side, for commands that need no key."""
    return BtcturkHttpClient(
        settings.btcturk_base_url,
        clock=SystemClock(),
        stop=stop,
        metrics=metrics,
        log=log,
        timing=timing(settings),
    )


def tradable_now(exchange: Exchange, settings: Settings, log: Log) -> None:
    """`demand_tradable` with the venue's rules of now; a venue in trouble is no reason to refuse a start."""
    try:
        instruments = exchange.instruments()
    except VenueUnavailable as unavailable:
        log.warning("rules_not_checked", why=unavailable.reason)
        return
    demand_tradable(settings, instruments)


def symbols_at_stake(settings: Settings, store: StateStore) -> Sequence[str]:
    """The symbols that are traded, and those that an earlier choice of SYMBOLS left orders in."""
    return tuple(dict.fromkeys([*settings.symbols, *(order.symbol for order in store.orders(tuple(OPEN)))]))


class NonceMark:
    """The high-water mark of stamps, kept among the database's values."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def load(self) -> int:
        return int(self._store.value(values.NONCE_MARK_MS) or 0)

    def save(self, mark_ms: int) -> None:
        with self._store.transaction() as tx:
            tx.put_value(values.NONCE_MARK_MS, str(mark_ms))
