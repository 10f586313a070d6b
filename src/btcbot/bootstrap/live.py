"""The bot that speaks to a venue: live, in a dry run, and in the demo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from btcbot.adapters.btcturk import limits
from btcbot.adapters.btcturk.requester import Timing
from btcbot.adapters.btcturk.rest import BtcturkHttpClient
from btcbot.adapters.btcturk.signing import Signer
from btcbot.adapters.clock import SystemClock
from btcbot.adapters.dry_run import DryRun
from btcbot.adapters.process_lock import acquire
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.bootstrap.alerting import sampled
from btcbot.bootstrap.bot import Bot
from btcbot.bootstrap.connect import connect
from btcbot.bootstrap.meaning import feed_url, gate_policy, mode_of, signer_of, timing, venue_host
from btcbot.bootstrap.purpose import (
    NonceMark,
    align_dry_run_balance,
    bind,
    demand_key,
    demand_young_key,
    symbols_at_stake,
)
from btcbot.bootstrap.strategies import strategy_of
from btcbot.bootstrap.universe import with_candidates
from btcbot.config.secrets import key_fingerprint
from btcbot.domain import money
from btcbot.errors import Refused
from btcbot.ports import Clock, Exchange, Log, MarketFeed, Metrics, StopSignal
from btcbot.profiles import RUN, Profile
from btcbot.strategies.base import Strategy

if TYPE_CHECKING:
    import httpx2

    from btcbot.config.settings import Settings


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
    with_journal: bool = False,
    quotas: Mapping[limits.Endpoint, tuple[limits.Quota, ...]] = limits.QUOTAS,
    transport: httpx2.BaseTransport | None = None,
    open_store: Callable[..., SqliteStore] = SqliteStore.open,
    timing_of: Callable[[Settings], Timing] = timing,
    strategy: Strategy | None = None,
    feed: MarketFeed | None = None,
) -> Bot:
    """Take the locks, open the database, connect the parts. Raises Refused with one line when something forbids it.

    `is_for_trading` False is for an operator's single request: an old key may still cancel, explain and resume.
    `with_feed` False is for a single cycle, which is over before a feed is of use. `with_journal` records the cycles,
    unless the settings do not want it.
    `quotas` other than the venue's own are for a local venue with other limits. The last five are seams for a test
    bench: `transport` None opens sockets, `strategy` None is the profile's, `feed` None is the one that the settings
    name.
    """
    money.arm()
    window = sampled(settings, metrics) if is_for_trading else None
    metrics = metrics if window is None else window
    clock = clock or SystemClock()
    mode = mode_of(settings)
    fingerprint = key_fingerprint(settings.btcturk_api_key) if settings.btcturk_api_key is not None else None
    if mode != "dry_run":
        demand_key(settings)
        if is_for_trading:
            demand_young_key(settings, clock, log)
    if profile.is_on_paper_only and mode == "live":
        raise Refused(f"{profile.name} never trades at the venue; it runs on paper")
    wisher = strategy or strategy_of(profile, settings)
    lock = acquire(settings.state_db_path, fingerprint if mode != "dry_run" else None)
    with ExitStack() as opened:
        opened.callback(lock.release)
        store = open_store(settings.state_db_path, metrics=metrics)
        opened.callback(store.close)
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
            symbols=partial(symbols_at_stake, settings, store),
            quotas=quotas,
            timing=timing_of(settings),
            transport=transport,
        )
        opened.callback(client.close)
        if is_for_trading:
            settings = with_candidates(profile, settings, client, store, log, clock, stop)
        exchange: Exchange = (
            DryRun(client, balance_try=settings.dry_run_try_balance, clock=clock) if mode == "dry_run" else client
        )
        if mode == "dry_run":
            align_dry_run_balance(store, settings.dry_run_try_balance, clock)
        if feed is None and is_for_trading and with_feed:
            feed = live_feed(
                settings,
                signer_of(settings),
                clock=clock,
                metrics=metrics,
                log=log,
                venue_time_ms=client.estimated_time_ms,
            )
        bot = connect(
            settings,
            profile,
            wisher,
            mode=mode,
            identity=identity,
            gate_policy=gate_policy(settings, identity),
            store=store,
            client=client,
            exchange=exchange,
            feed=feed,
            lock=lock,
            clock=clock,
            stop=stop,
            metrics=metrics,
            samples=window,
            log=log,
            quotas=quotas,
            transport=transport,
            is_for_trading=is_for_trading,
            with_journal=with_journal,
            opened=opened,
        )
        opened.pop_all()
        return bot


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
