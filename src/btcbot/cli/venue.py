"""The venue for commands that ask it something themselves: public data, or the account behind a key.

Only reads are asked through it. A key's stamps are one sequence, so whoever asks with the key holds the lock of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from btcbot.adapters.btcturk.signing import Signer
    from btcbot.config.settings import Settings
    from btcbot.ports import Exchange, MarketFeed


@contextmanager
def public(settings: Settings) -> Iterator[Exchange]:
    """The venue's public side, with logs kept quiet: the command's own lines are the report."""
    import structlog

    from btcbot.adapters.metrics import NullMetrics
    from btcbot.bootstrap import public_exchange

    with _quiet(settings):
        exchange = public_exchange(settings, threading.Event(), NullMetrics(), structlog.get_logger("btcbot"))
        try:
            yield exchange
        finally:
            exchange.close()


@contextmanager
def with_key(settings: Settings, load_mark: Callable[[], int], save_mark: Callable[[int], None]) -> Iterator[Exchange]:
    """The account of the key in `settings`, which must be there. The caller holds the key's lock."""
    import structlog

    from btcbot.adapters.btcturk.rest import BtcturkHttpClient
    from btcbot.adapters.clock import SystemClock
    from btcbot.adapters.metrics import NullMetrics
    from btcbot.bootstrap import timing

    with _quiet(settings):
        exchange = BtcturkHttpClient(
            settings.btcturk_base_url,
            signer=signer(settings),
            clock=SystemClock(),
            stop=threading.Event(),
            metrics=NullMetrics(),
            log=structlog.get_logger("btcbot"),
            load_mark=load_mark,
            save_mark=save_mark,
            symbols=lambda: settings.symbols,
            timing=timing(settings),
        )
        try:
            yield exchange
        finally:
            exchange.close()


def signer(settings: Settings) -> Signer:
    """Of the key in `settings`, which must be there; whatever the mode: to read is no order."""
    from btcbot.adapters.btcturk.signing import Signer

    assert settings.btcturk_api_key is not None and settings.btcturk_api_secret is not None, "a key is needed"
    return Signer(settings.btcturk_api_key, settings.btcturk_api_secret)


@contextmanager
def feed(settings: Settings, login: Signer | None) -> Iterator[MarketFeed]:
    """The live feed that the settings name, which they must; not yet started. With `login` it tells of the account."""
    import structlog

    from btcbot.adapters.clock import SystemClock
    from btcbot.adapters.metrics import NullMetrics
    from btcbot.bootstrap import live_feed

    with _quiet(settings):
        found = live_feed(
            settings, login, clock=SystemClock(), metrics=NullMetrics(), log=structlog.get_logger("btcbot")
        )
        assert found is not None, "asked for before"
        try:
            yield found
        finally:
            found.close()


@contextmanager
def _quiet(settings: Settings) -> Iterator[None]:
    from btcbot.adapters.logs import configure_logging, shutdown_logging

    keys = [secret for secret in (settings.btcturk_api_key, settings.btcturk_api_secret) if secret is not None]
    configure_logging("CRITICAL", keys)
    try:
        yield
    finally:
        shutdown_logging()
