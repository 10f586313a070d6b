"""Checks of the venue and the key: does it answer, what are its rules, may we do what we mean to do."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from btcbot.cli import reading
from btcbot.cli.checks import FAIL, PASS, WARN, Finding, asking
from btcbot.cli.options import Where
from btcbot.errors import BtcbotError, ConfigurationError, Refused, VenueUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from btcbot.config.settings import Settings
    from btcbot.domain.feed import FeedView
    from btcbot.domain.instrument import Instrument
    from btcbot.ports import Exchange, MarketFeed
    from btcbot.profiles import Profile

#: How far ahead of venue time a mark may be for the doctor to wait for it.
MARK_AHEAD_MS_MAX: Final = 3_000
#: How long the feed may take to show all books.
FEED_SECONDS_MAX: Final = 8.0


def venue(settings: Settings, profile: Profile, inside: Exchange | None = None) -> Iterator[Finding]:
    """Reachable, its clock, the universe and its rules; `profile` is what is to start."""
    with asking(settings, inside) as exchange:
        try:
            exchange.venue_time_ms()
            instruments = exchange.instruments()
        except VenueUnavailable as down:
            yield Finding(FAIL, "venue", "reachable", f"{settings.btcturk_base_url} does not answer: {down}")
            return
        skew_ms = exchange.health().clock_skew_ms or 0
    yield Finding(PASS, "venue", "reachable", f"{settings.btcturk_base_url} lists {len(instruments)} pairs")
    yield clock(settings, skew_ms)
    yield from universe(settings, instruments)
    yield from exchange_rules(settings, instruments)
    yield from room(settings, instruments, profile)


def clock(settings: Settings, skew_ms: int) -> Finding:
    skew_ms_max = int(settings.clock_skew_seconds_threshold * 1000)
    if abs(skew_ms) < skew_ms_max:
        return Finding(PASS, "venue", "clock", f"differs by {skew_ms} ms")
    return Finding(FAIL, "venue", "clock", f"differs by {skew_ms} ms, {skew_ms_max} are allowed; mend NTP")


def universe(settings: Settings, instruments: Mapping[str, Instrument]) -> Iterator[Finding]:
    from btcbot.bootstrap import demand_tradable

    try:
        demand_tradable(settings, instruments)
    except Refused as refused:
        yield Finding(FAIL, "universe", "symbols", str(refused))
        return
    resting = [symbol for symbol in settings.symbols if not instruments[symbol].is_trading]
    if resting:
        yield Finding(WARN, "universe", "symbols", f"not trading now: {', '.join(resting)}")
    else:
        yield Finding(PASS, "universe", "symbols", f"{', '.join(settings.symbols)} are listed")


def least_of(settings: Settings, instrument: Instrument) -> Decimal:
    """The smallest order of this pair, in TRY."""
    return max(instrument.value_min, settings.min_order_notional_try)


def caps_of(settings: Settings) -> dict[str, Decimal]:
    """The caps on the value of orders, by the names of their settings."""
    return {
        "NOTIONAL_CAP_TRY_PER_CYCLE": settings.notional_cap_try_per_cycle,
        "MAX_NOTIONAL_PER_ORDER_TRY": settings.max_notional_per_order_try,
        "MAX_POSITION_TRY_PER_SYMBOL": settings.max_position_try_per_symbol,
        "MAX_TOTAL_EXPOSURE_TRY": settings.max_total_exposure_try,
    }


def exchange_rules(settings: Settings, instruments: Mapping[str, Instrument]) -> Iterator[Finding]:
    """What the venue says of each pair, and whether it takes our orders."""
    from btcbot.domain.money import plain

    for symbol in settings.symbols:
        rule = instruments.get(symbol)
        if rule is None:
            continue
        if rule.takes_limit_orders:
            least = plain(least_of(settings, rule))
            told = f"smallest order {least} TRY, tick {plain(rule.tick)}, lot {plain(rule.lot)}"
            yield Finding(PASS, "exchange_rules", symbol, told)
        else:
            yield Finding(FAIL, "exchange_rules", symbol, "takes no limit orders; take it out of SYMBOLS")


def room(settings: Settings, instruments: Mapping[str, Instrument], profile: Profile) -> Iterator[Finding]:
    """Whether the caps that the profile and its strategy look at leave room for any order at all, as its start asks."""
    from btcbot.bootstrap.room import room_problems
    from btcbot.bootstrap.strategies import parameters_in_force

    try:
        problems = room_problems(settings, instruments, profile, parameters_in_force(profile, settings))
    except ConfigurationError as error:
        yield from (Finding(FAIL, "settings", "strategy", line) for line in error.lines)
        return
    for line in problems:
        name, _, why = line.partition(": ")
        yield Finding(FAIL, "exchange_rules", name, why)
    if not problems:
        message = f"an order of each pair fits into every cap that «btcbot {profile.name}» looks at"
        yield Finding(PASS, "exchange_rules", "room", message)


def backtest_readiness(dataset: Path | None, settings: Settings | None) -> Iterator[Finding]:
    """Whether backtests can run on this machine, and on these data."""
    from importlib.util import find_spec

    missing = [name for name in ("numpy", "polars") if find_spec(name) is None]
    if missing:
        message = f"{', '.join(missing)} not installed: no backtests here; pip install 'btcbot[research]'"
        yield Finding(FAIL if dataset is not None else PASS, "backtest_readiness", "libraries", message)
        return
    yield Finding(PASS, "backtest_readiness", "libraries", "installed")
    if dataset is None:
        yield Finding(PASS, "backtest_readiness", "dataset", "none named (--dataset PATH)")
        return
    from btcbot.adapters.replay.findings import BadData
    from btcbot.adapters.replay.inspection import info

    try:
        found = {one.symbol for one in info(dataset) if one.rows}
    except BadData as bad:
        yield Finding(FAIL, "backtest_readiness", "dataset", " ".join(str(bad).split()))
        return
    lacking = [symbol for symbol in (settings.symbols if settings is not None else ()) if symbol not in found]
    if lacking:
        message = f"{dataset} holds nothing of {', '.join(lacking)}; «btcbot data import» or «data capture» adds it"
        yield Finding(WARN, "backtest_readiness", "dataset", message)
    else:
        yield Finding(PASS, "backtest_readiness", "dataset", f"{dataset} holds {', '.join(sorted(found))}")


# -- feed ------------------------------------------------------------------------------------------------------------


def feed(settings: Settings, *, is_reachable: bool) -> Iterator[Finding]:
    """Whether the live feed shows the books; how much of it, not whether it agrees with REST: cycles see to that."""
    from btcbot.bootstrap import feed_url
    from btcbot.cli import venue as asked

    url = feed_url(settings)
    if url is None:
        why = "MARKET_DATA_MODE=rest" if settings.market_data_mode == "rest" else "no BTCTURK_WS_URL of this simulator"
        yield Finding(PASS, "feed", "address", f"none ({why}): quotes come from REST")
        return
    if not is_reachable:
        yield Finding(WARN, "feed", "reachable", f"{url} was not tried: the venue itself does not answer")
        return
    with asked.feed(settings, None) as source:
        view = _watch(source, lambda view: len(view.books) == len(settings.symbols))
    if view.alive_at_ms is None:
        level = FAIL if settings.market_data_mode == "ws" else WARN
        yield Finding(level, "feed", "reachable", f"{url} is down: {view.why_down}; quotes would come from REST")
    elif missing := [f"{symbol}: {why}" for symbol, why in view.without_book.items()]:
        yield Finding(WARN, "feed", "books", f"{url} answers, but {'; '.join(missing)}")
    else:
        yield Finding(PASS, "feed", "books", f"{url} shows {', '.join(view.books)}")


def _watch(source: MarketFeed, is_enough: Callable[[FeedView], bool]) -> FeedView:
    """Look until it is enough, or the time is over."""
    deadline = time.monotonic() + FEED_SECONDS_MAX
    source.start()
    while not is_enough(view := source.view()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return view


# -- key -------------------------------------------------------------------------------------------------------------


def rotation_of(settings: Settings) -> Iterator[Finding]:
    from btcbot.config.secrets import RotationState, rotation

    if settings.btcturk_api_key is None:
        return
    age = rotation(
        settings.btcturk_secret_rotated_at,
        datetime.now(tz=UTC).date(),
        settings.secret_rotation_warn_days,
        settings.btcturk_secret_max_age_days,
    )
    levels = {RotationState.FRESH: PASS, RotationState.WARN: WARN, RotationState.EXPIRED: FAIL}
    yield Finding(levels[age.state], "key", "age", age.line or f"made on {settings.btcturk_secret_rotated_at}")


def key(where: Where, database: Path, settings: Settings, inside: Exchange | None = None) -> Iterator[Finding]:
    """What the key may do, probed by reads; by a run's own client where there is one."""
    if settings.btcturk_api_key is None or settings.btcturk_api_secret is None:
        yield Finding(PASS, "key", "given", "none; a dry run needs none, a live run does")
        return
    yield Finding(PASS, "key", "scopes declared", f"{', '.join(settings.btcturk_api_scopes)} (BTCTURK_API_SCOPES)")
    if inside is not None:
        yield from _permissions(inside)
        return
    from btcbot.adapters.process_lock import acquire
    from btcbot.cli import venue as asked
    from btcbot.config.secrets import key_fingerprint

    with tempfile.TemporaryDirectory(prefix="btcbot-check-") as folder:
        try:
            # The lock of the key alone, so that no bot signs at the same time.
            lock = acquire(Path(folder, "probe"), key_fingerprint(settings.btcturk_api_key))
        except Refused:
            yield Finding(PASS, "key", "permissions", "not probed: a running bot uses the key; see its last cycle")
            return
        mark_ms = _nonce_mark(where, database)
        with lock, asked.with_key(settings, lambda: mark_ms, lambda mark: None) as exchange:
            _wait_until_after(mark_ms, exchange)
            yield from _permissions(exchange)


def _nonce_mark(where: Where, database: Path) -> int:
    """The last stamp that the bot may have signed with this key: ours must be above it."""
    from btcbot.services import named_values, values

    if not os.path.lexists(database):
        return 0
    try:
        with reading.open_book(where) as store:
            return named_values.whole_number(store, values.NONCE_MARK_MS) or 0
    except BtcbotError:
        return 0  # told under «database» already


def _wait_until_after(mark_ms: int, exchange: Exchange) -> None:
    """Let venue time pass the mark, which the bot keeps up to 2 s ahead.

    Our stamps are then of the present, and a bot that starts next, from the same mark, cannot repeat one. A mark
    further ahead than that (the clock was set back) is told by the probes.
    """
    try:
        ahead_ms = mark_ms - exchange.venue_time_ms()
    except VenueUnavailable:
        return
    if 0 <= ahead_ms <= MARK_AHEAD_MS_MAX:
        time.sleep((ahead_ms + 1) / 1000)


def login(settings: Settings) -> Iterator[Finding]:
    """The key's permission for the feed. Without it fills are known when the lists show them, a cycle later."""
    from btcbot.bootstrap import feed_url
    from btcbot.cli import venue as asked

    if feed_url(settings) is None:
        return
    with asked.feed(settings, asked.signer(settings)) as source:
        view = _watch(source, lambda view: view.is_logged_in)
    if view.is_logged_in:
        yield Finding(PASS, "key", "feed", "can log in")
    else:
        why = view.why_not_logged_in or view.why_down or "no answer"
        yield Finding(WARN, "key", "feed", f"cannot log in: {why}; give the key the permission for WebSocket")


def _permissions(exchange: Exchange) -> Iterator[Finding]:
    day_ms = 86_400_000
    probes: dict[str, Callable[[], object]] = {
        "balances": exchange.balances,
        "open orders": exchange.open_orders,
        "transactions": lambda: exchange.trades(exchange.venue_time_ms() - day_ms),
    }
    for name, probe in probes.items():
        try:
            probe()
        except VenueUnavailable as refused:
            message = f"cannot be read: {refused}; check the key, its permissions and the address it is bound to"
            yield Finding(FAIL, "key", name, message)
        else:
            yield Finding(PASS, "key", name, "can be read")
    yield Finding(PASS, "key", "trade", "unobserved: only an order would show it")
    yield Finding(PASS, "key", "withdraw", "unobserved: no read shows it; make sure at the venue that the key lacks it")
