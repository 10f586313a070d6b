"""The second half of every bot that speaks to a venue, live or on paper: what looks at the market beside it, then the
service graph, on record where that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from btcbot.adapters.btcturk import limits
from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.bootstrap.agents import agent_key, agent_policy
from btcbot.bootstrap.assembly import assemble
from btcbot.bootstrap.meaning import graph_url
from btcbot.bootstrap.purpose import self_checks
from btcbot.bootstrap.sockets import Sockets
from btcbot.bootstrap.universe import chooses, look_at
from btcbot.errors import Refused
from btcbot.ports import BarSource, Clock, Exchange, Log, MarketFeed, Metrics, ReleasableLock, StopSignal
from btcbot.strategies.base import Strategy, UsesSignals

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

    from btcbot.adapters.btcturk.rest import BtcturkHttpClient
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.bootstrap.bot import Bot
    from btcbot.config.settings import Settings
    from btcbot.domain.book import BookIdentity
    from btcbot.profiles import Profile
    from btcbot.services.alerts import Samples
    from btcbot.services.gatekeeper import GatePolicy


def connect(
    settings: Settings,
    profile: Profile,
    strategy: Strategy,
    *,
    mode: str,
    identity: BookIdentity,
    gate_policy: GatePolicy,
    store: SqliteStore,
    client: BtcturkHttpClient,
    exchange: Exchange,
    feed: MarketFeed | None,
    lock: ReleasableLock,
    clock: Clock,
    stop: StopSignal,
    metrics: Metrics,
    samples: Samples | None,
    log: Log,
    quotas: Mapping[limits.Endpoint, tuple[limits.Quota, ...]],
    transport: httpx2.BaseTransport | None,
    is_for_trading: bool,
    with_journal: bool,
    opened: ExitStack,
) -> Bot:
    """`client` reads the market, `exchange` is traded at. What is opened in here is closed by `opened`, should the bot
    not come to be."""
    bars = agent = scanner = None
    candidates: tuple[str, ...] = ()
    if is_for_trading:
        is_looking = chooses(profile, settings) and graph_url(settings) is not None
        if is_looking or isinstance(strategy, UsesSignals):
            bars = live_bars(
                settings,
                client.venue_time_ms,
                clock=clock,
                stop=stop,
                metrics=metrics,
                log=log,
                quotas=quotas,
                transport=transport,
            )
            opened.callback(bars.close)
        scanner, candidates = look_at(profile, settings, client, bars, clock)
        if profile.is_overseen:
            agent = agent_policy(settings, agent_key(settings))
        if agent is not None:
            opened.callback(agent.close)
    sockets = Sockets(
        store=store,
        exchange=exchange,
        clock=clock,
        metrics=metrics,
        log=log,
        stop=stop,
        gate_policy=gate_policy,
        kill_switch=FileKillSwitch(settings.state_db_path),
        lock=lock,
        checks=self_checks(store, settings.state_db_path),
        feed=feed,
        bars=bars,
        scanner=scanner,
        candidates=candidates,
        samples=samples,
        agent=agent,
    )
    put_together = assemble
    if with_journal and settings.journal:
        from btcbot.bootstrap.journal import assemble_on_record

        put_together = partial(assemble_on_record, image=store.image)
    return put_together(settings, profile, strategy, mode=mode, book_id=identity.book_id, sockets=sockets)


def live_bars(
    settings: Settings,
    venue_time_ms: Callable[[], int],
    *,
    clock: Clock,
    stop: StopSignal,
    metrics: Metrics,
    log: Log,
    quotas: Mapping[limits.Endpoint, tuple[limits.Quota, ...]] = limits.QUOTAS,
    transport: httpx2.BaseTransport | None = None,
) -> BarSource:
    """The venue's candles, for a strategy with signals. Raises Refused where the settings do not let them be had."""
    url = graph_url(settings)
    if url is None:
        raise Refused(
            "BTCTURK_GRAPH_URL: is missing while the strategy asks for signals; give the address of the simulator's "
            "charts, which its «serve» prints"
        )
    symbols_max = limits.bar_symbols_max(settings.bar_interval_seconds * 1000, quotas)
    if len(settings.symbols) > symbols_max:
        raise Refused(
            f"SYMBOLS: {len(settings.symbols)} pairs need more requests for bars of BAR_INTERVAL_SECONDS="
            f"{settings.bar_interval_seconds} than the venue allows; name at most {symbols_max}, or take longer bars"
        )
    from btcbot.adapters.btcturk.bars import BtcturkCharts

    return BtcturkCharts(
        url,
        venue_time_ms=venue_time_ms,
        clock=clock,
        stop=stop,
        metrics=metrics,
        log=log,
        quotas=quotas,
        transport=transport,
    )
