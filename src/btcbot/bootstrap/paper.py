"""The bot that trades on paper: the real venue's public data, and a venue of our own for everything else.

Its client of the real venue has no signer, so nothing signed and no order can leave; its gates give permits for the
simulation alone, which no real venue takes; its database is of a mode of its own. Keys that the settings name are not
used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from btcbot.adapters.btcturk import limits
from btcbot.adapters.btcturk.requester import Timing
from btcbot.adapters.btcturk.rest import BtcturkHttpClient
from btcbot.adapters.clock import SystemClock
from btcbot.adapters.paper.exchange import PaperExchange
from btcbot.adapters.paper.feed import PaperFeed, TapeFeed
from btcbot.adapters.paper.file_records import FileRecords, path_beside
from btcbot.adapters.paper.public_trades import PublicTrades
from btcbot.adapters.paper.venue import QuoteFillRules
from btcbot.adapters.process_lock import acquire
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.bootstrap import live
from btcbot.bootstrap.alerting import sampled
from btcbot.bootstrap.bot import Bot
from btcbot.bootstrap.connect import connect
from btcbot.bootstrap.meaning import PAPER, QUOTE_ASSET, fee_rates, paper_gate_policy, timing, venue_host
from btcbot.bootstrap.purpose import bind, symbols_at_stake
from btcbot.bootstrap.strategies import strategy_of
from btcbot.bootstrap.universe import with_candidates
from btcbot.domain import money
from btcbot.ports import Clock, Log, MarketFeed, Metrics, StateStore, StopSignal
from btcbot.profiles import RUN, Profile
from btcbot.services import values
from btcbot.strategies.base import Strategy

if TYPE_CHECKING:
    import httpx2

    from btcbot.config.settings import Settings

#: A pair's public trades are asked for again soon enough: no cycle waits for them.
_ONCE: Final = Timing(attempts_max=1, wait_s_max=0.0)


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
    transport: httpx2.BaseTransport | None = None,
    timing_of: Callable[[Settings], Timing] = timing,
    strategy: Strategy | None = None,
) -> Bot:
    """As the live one, for paper: take the lock, open the database and the paper venue beside it, connect the parts.

    Raises Refused with one line when something forbids it.
    """
    money.arm()
    window = sampled(settings, metrics) if is_for_trading else None
    metrics = metrics if window is None else window
    clock = clock or SystemClock()
    lock = acquire(settings.state_db_path, None)
    with ExitStack() as opened:
        opened.callback(lock.release)
        store = SqliteStore.open(settings.state_db_path, metrics=metrics)
        opened.callback(store.close)
        identity = bind(store, PAPER, venue_host(settings.btcturk_base_url), None, clock)
        records = _open_records(settings, store, identity.book_id, log)
        opened.callback(records.close)
        client = BtcturkHttpClient(
            settings.btcturk_base_url,
            clock=clock,
            stop=stop,
            metrics=metrics,
            log=log,
            symbols=partial(symbols_at_stake, settings, store),
            timing=timing_of(settings),
            transport=transport,
        )
        opened.callback(client.close)
        if is_for_trading:
            settings = with_candidates(profile, settings, client, store, log, clock, stop)
        tape = PublicTrades(
            settings.btcturk_base_url,
            clock=clock,
            stop=stop,
            metrics=metrics,
            log=log,
            timing=_ONCE,
            transport=transport,
        )
        opened.callback(tape.close)
        rates = fee_rates(settings)
        exchange = PaperExchange(
            client,
            records,
            QuoteFillRules(maker=rates.maker, taker=rates.taker),
            clock=clock,
            log=log,
            read_trades=tape.of,
            on_close=tape.close,
        )
        feed: MarketFeed | None = None
        if is_for_trading and with_feed:
            public = live.live_feed(settings, None, clock=clock, metrics=metrics, log=log)
            if public is not None:
                assert isinstance(public, TapeFeed), "the venue's feed tells public trades"
                feed = PaperFeed(public, exchange, clock)
        wisher = strategy or strategy_of(profile, settings)
        bot = connect(
            settings,
            profile,
            wisher,
            mode=PAPER,
            identity=identity,
            gate_policy=paper_gate_policy(settings, identity),
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
            quotas=limits.QUOTAS,
            transport=transport,
            is_for_trading=is_for_trading,
            with_journal=with_journal,
            opened=opened,
        )
        opened.pop_all()
        return bot


def build_for_request(settings: Settings, *, stop: StopSignal, metrics: Metrics, log: Log) -> Bot:
    """The bot that an operator's single request is carried out by: the one that the database was made for."""
    store = SqliteStore.open(settings.state_db_path, read_only=True)
    try:
        identity = store.identity()
    finally:
        store.close()
    makes = build if identity is not None and identity.mode == PAPER else live.build
    return makes(settings, stop=stop, metrics=metrics, log=log, is_for_trading=False)


def _open_records(settings: Settings, store: StateStore, book_id: str, log: Log) -> FileRecords:
    """The paper venue's file. Its account begins with DRY_RUN_TRY_BALANCE, once; what it came to is not reset."""
    is_new_book = store.value(values.OPENING_AT_MS) is None and not store.order_count()
    opening = {QUOTE_ASSET: settings.dry_run_try_balance}
    records = FileRecords.open(path_beside(settings.state_db_path), book_id, opening, is_new_book=is_new_book)
    began_with = records.opening.get(QUOTE_ASSET, money.ZERO)
    if began_with != settings.dry_run_try_balance:
        log.warning(
            "paper_balance_kept",
            began_with=money.plain(began_with),
            setting=money.plain(settings.dry_run_try_balance),
            mend="a paper account goes on with what it has; name another STATE_DB_PATH to begin with the new balance",
        )
    return records
