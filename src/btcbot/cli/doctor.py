"""`btcbot doctor`: looks at everything that a live run needs, and says how to mend what is wrong.

Each check says PASS, WARN or FAIL in one line. Nothing is changed, at the venue or here.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from btcbot.cli import options, output, reading
from btcbot.cli.options import Where
from btcbot.errors import BtcbotError, ConfigurationError, Refused, VenueUnavailable

if TYPE_CHECKING:
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.config.loading import LoadedSettings
    from btcbot.config.settings import Settings
    from btcbot.domain.feed import FeedView
    from btcbot.ports import Exchange, MarketFeed

PASS: Final = "PASS"  # noqa: S105 - a verdict, not a secret
WARN: Final = "WARN"
FAIL: Final = "FAIL"
EXIT_OF: Final = {PASS: 0, WARN: 1, FAIL: 2}


#: How far ahead of venue time a mark may be for the doctor to wait for it.
MARK_AHEAD_MS_MAX: Final = 3_000
#: How long the feed may take to show all books.
FEED_SECONDS_MAX: Final = 8.0


class Finding(NamedTuple):
    level: str
    category: str
    name: str
    message: str


@click.command(short_help="Check everything that a live run needs, and say how to mend what is wrong.")
@options.report
def command(db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Check settings, gates, files, database, venue and key; say how to mend what is wrong.

    Exit status: 0 all well, 1 something to think about, 2 something that keeps a live run from working.

    \b
    Example:  btcbot doctor --env-file .env.live
    """
    where = Where(db, env_file)
    findings: list[Finding] = []
    for finding in examine(where):
        findings.append(finding)
        if not as_json:
            output.line(f"{finding.level} [{finding.category}] {finding.name} - {finding.message}")
    counts = Counter(finding.level for finding in findings)
    worst = next(level for level in (FAIL, WARN, PASS) if counts[level] or level == PASS)
    if as_json:
        output.json_line({"result": worst, "checks": [finding._asdict() for finding in findings]})
    else:
        output.line(f"{worst}: {counts[PASS]} passed, {counts[WARN]} to think about, {counts[FAIL]} failed")
    output.leave(EXIT_OF[worst])


def examine(where: Where) -> Iterator[Finding]:
    """Every check, in an order in which a person would mend them."""
    loaded, told = None, set[str]()
    try:
        loaded = reading.load(where)
    except ConfigurationError as error:
        told.update(error.lines)
        yield from (Finding(FAIL, "settings", "values", line) for line in error.lines)
    else:
        yield Finding(PASS, "settings", "values", f"all can be used ({loaded.env_file or 'no env file'})")
    try:
        database = reading.database_path(where)
    except ConfigurationError as error:
        # What the settings were refused for need not be told twice.
        yield from (Finding(FAIL, "settings", "database path", line) for line in error.lines if line not in told)
        return
    yield from _files(database)
    yield from _database(where, database, loaded)
    if loaded is not None:
        yield from _rotation(loaded.settings)
        venue = list(_venue(loaded.settings))
        yield from venue
        yield from _feed(loaded.settings, is_reachable=all(f.level != FAIL for f in venue if f.name == "reachable"))
        yield from _key(where, database, loaded.settings)


# -- files -----------------------------------------------------------------------------------------------------------


def _files(database: Path) -> Iterator[Finding]:
    from btcbot.bootstrap import FREE_BYTES_MIN

    folder = Path(os.path.realpath(database)).parent
    if not folder.is_dir():
        yield Finding(FAIL, "files", "folder", f"{folder} does not exist; create it (mkdir -m 700)")
        return
    if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(PASS, "files", "folder", f"{folder} can be written")
    else:
        yield Finding(FAIL, "files", "folder", f"{folder} cannot be written by this user; mend its owner or mode")
    free = shutil.disk_usage(folder).free
    if free >= FREE_BYTES_MIN:
        yield Finding(PASS, "files", "space", f"{free // 1024**2} MiB are free")
    else:
        yield Finding(FAIL, "files", "space", f"only {free // 1024**2} MiB are free; make room")
    for name in (database, *(Path(f"{database}{suffix}") for suffix in ("-wal", "-shm", ".lock", ".kill"))):
        if not os.path.lexists(name):
            continue
        mode = stat.S_IMODE(name.lstat().st_mode)
        if mode & 0o077:
            yield Finding(WARN, "files", name.name, f"is open to others (mode {mode:04o}); run: chmod 600 {name}")
        else:
            yield Finding(PASS, "files", name.name, f"mode {mode:04o}")


# -- database and gates ----------------------------------------------------------------------------------------------


def _database(where: Where, database: Path, loaded: LoadedSettings | None) -> Iterator[Finding]:
    if not os.path.lexists(database):
        yield Finding(WARN, "database", "exists", f"no database at {database} yet; «btcbot run» makes it")
        return
    try:
        with reading.open_book(where) as store:
            problems = store.verify()
            yield from (Finding(FAIL, "database", "books", f"{problem}; restore a backup") for problem in problems)
            if not problems:
                told = f"{store.order_count()} orders, {store.fill_count()} fills, {store.entry_count()} entries proved"
                yield Finding(PASS, "database", "books", told)
            note = store.library_note()
            yield Finding(WARN if "bug" in note else PASS, "database", "library", note)
            if loaded is not None:
                yield from _purpose(store, loaded.settings)
                yield from _gates(store, loaded, database)
    except BtcbotError as error:
        yield Finding(FAIL, "database", "opens", " ".join(str(error).split()))


def _purpose(store: SqliteStore, settings: Settings) -> Iterator[Finding]:
    """Is this database made for these settings?"""
    from btcbot.bootstrap import mode_of, venue_host
    from btcbot.bootstrap.meaning import PAPER
    from btcbot.config.secrets import key_fingerprint

    identity = store.identity()
    mode, host = mode_of(settings), venue_host(settings.btcturk_base_url)
    if identity is not None and identity.mode == PAPER:
        mode = PAPER  # no setting makes it so: «btcbot run --paper» does
    if identity is None:
        yield Finding(WARN, "database", "purpose", "not fixed yet; the first «btcbot run» does it")
    elif identity.mode != mode:
        message = f"was made for mode {identity.mode}, the settings say {mode}; name another STATE_DB_PATH"
        yield Finding(FAIL, "database", "purpose", message)
    elif identity.venue_host != host:
        message = f"belongs to the venue {identity.venue_host}, the settings say {host}; name another STATE_DB_PATH"
        yield Finding(FAIL, "database", "purpose", message)
    elif mode not in ("dry_run", PAPER) and (
        settings.btcturk_api_key is None or key_fingerprint(settings.btcturk_api_key) != identity.key_fingerprint
    ):
        yield Finding(FAIL, "database", "purpose", "belongs to another API key; see «btcbot db rebind --help»")
    else:
        yield Finding(PASS, "database", "purpose", f"{mode} at {host}")


def _gates(store: SqliteStore, loaded: LoadedSettings, database: Path) -> Iterator[Finding]:
    from btcbot.adapters.kill_switch import FileKillSwitch
    from btcbot.domain.orders import IN_DOUBT
    from btcbot.domain.reasons import TradingState

    cycles = store.cycles(1)
    last, running = (cycles[0] if cycles else None), reading.writer(database) is not None
    gates = reading.gates_now(loaded, store, database, last, running=running)
    only_running = {"writer_lock_not_held", "clock_skew", "self_check_failed"}
    closed = [name for name, is_open in gates.items() if not is_open and (running or name not in only_running)]
    if loaded.settings.dry_run:
        yield Finding(PASS, "gates", "dry_run", "closed: orders are simulated; a live run needs DRY_RUN=false")
    elif closed:
        yield Finding(WARN, "gates", "closed", f"{', '.join(closed)}; no new order leaves")
    else:
        yield Finding(PASS, "gates", "closed", "none")
    is_on, why = FileKillSwitch(database).is_on()
    if is_on:
        yield Finding(WARN, "gates", "kill file", f"on: {why}; «btcbot kill off» lets orders leave again")
    state, reason = store.trading_state()
    if state is TradingState.HALTED:
        yield Finding(FAIL, "gates", "trading state", f"{state}: {_then(reason, 'btcbot resume --reason …')}")
    elif state is TradingState.FROZEN:
        yield Finding(FAIL, "gates", "trading state", f"{state}: {_then(reason, 'btcbot ledger explain')}")
    else:
        yield Finding(PASS, "gates", "trading state", " - ".join(filter(None, (state.value, reason))))
    doubted = store.orders(tuple(IN_DOUBT))
    if doubted and not running:
        message = f"{len(doubted)} wait for proof; run the bot, which finds it, or «btcbot orders resolve»"
        yield Finding(WARN, "gates", "orders in doubt", message)


def _then(reason: str, command: str) -> str:
    """The reason, and the command that follows, unless the reason names it already."""
    return reason if f"«{command}" in reason else f"{reason}; then «{command}»"


# -- venue and key ---------------------------------------------------------------------------------------------------


def _venue(settings: Settings) -> Iterator[Finding]:
    from btcbot.bootstrap import demand_tradable
    from btcbot.cli import venue

    with venue.public(settings) as exchange:
        try:
            exchange.venue_time_ms()
            instruments = exchange.instruments()
        except VenueUnavailable as down:
            yield Finding(FAIL, "venue", "reachable", f"{settings.btcturk_base_url} does not answer: {down}")
            return
        skew_ms = exchange.health().clock_skew_ms or 0
    yield Finding(PASS, "venue", "reachable", f"{settings.btcturk_base_url} lists {len(instruments)} pairs")
    skew_ms_max = int(settings.clock_skew_seconds_threshold * 1000)
    if abs(skew_ms) < skew_ms_max:
        yield Finding(PASS, "venue", "clock", f"differs by {skew_ms} ms")
    else:
        yield Finding(FAIL, "venue", "clock", f"differs by {skew_ms} ms, {skew_ms_max} are allowed; mend NTP")
    try:
        demand_tradable(settings, instruments)
    except Refused as refused:
        yield Finding(FAIL, "venue", "symbols", str(refused))
    else:
        resting = [symbol for symbol in settings.symbols if not instruments[symbol].is_trading]
        yield Finding(
            WARN if resting else PASS,
            "venue",
            "symbols",
            f"not trading now: {', '.join(resting)}" if resting else f"{', '.join(settings.symbols)} are listed",
        )


def _feed(settings: Settings, *, is_reachable: bool) -> Iterator[Finding]:
    """Whether the live feed shows the books; how much of it, not whether it agrees with REST: cycles see to that."""
    from btcbot.bootstrap import feed_url
    from btcbot.cli import venue

    url = feed_url(settings)
    if url is None:
        why = "MARKET_DATA_MODE=rest" if settings.market_data_mode == "rest" else "no BTCTURK_WS_URL of this simulator"
        yield Finding(PASS, "feed", "address", f"none ({why}): quotes come from REST")
        return
    if not is_reachable:
        yield Finding(WARN, "feed", "reachable", f"{url} was not tried: the venue itself does not answer")
        return
    with venue.feed(settings, None) as feed:
        view = _watch(feed, lambda view: len(view.books) == len(settings.symbols))
    if view.alive_at_ms is None:
        level = FAIL if settings.market_data_mode == "ws" else WARN
        yield Finding(level, "feed", "reachable", f"{url} is down: {view.why_down}; quotes would come from REST")
    elif missing := [f"{symbol}: {why}" for symbol, why in view.without_book.items()]:
        yield Finding(WARN, "feed", "books", f"{url} answers, but {'; '.join(missing)}")
    else:
        yield Finding(PASS, "feed", "books", f"{url} shows {', '.join(view.books)}")


def _watch(feed: MarketFeed, is_enough: Callable[[FeedView], bool]) -> FeedView:
    """Look until it is enough, or the time is over."""
    deadline = time.monotonic() + FEED_SECONDS_MAX
    feed.start()
    while not is_enough(view := feed.view()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return view


def _rotation(settings: Settings) -> Iterator[Finding]:
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


def _key(where: Where, database: Path, settings: Settings) -> Iterator[Finding]:
    from btcbot.adapters.process_lock import acquire
    from btcbot.cli import venue
    from btcbot.config.secrets import key_fingerprint

    if settings.btcturk_api_key is None:
        yield Finding(PASS, "key", "given", "none; a dry run needs none, a live run does")
        return
    yield Finding(PASS, "key", "scopes declared", f"{', '.join(settings.btcturk_api_scopes)} (BTCTURK_API_SCOPES)")
    with tempfile.TemporaryDirectory(prefix="btcbot-doctor-") as folder:
        try:
            # The lock of the key alone, so that no bot signs at the same time.
            lock = acquire(Path(folder, "probe"), key_fingerprint(settings.btcturk_api_key))
        except Refused:
            yield Finding(PASS, "key", "permissions", "not probed: a running bot uses the key; see its last cycle")
            return
        mark_ms = _nonce_mark(where, database)
        with lock, venue.with_key(settings, lambda: mark_ms, lambda mark: None) as exchange:
            _wait_until_after(mark_ms, exchange)
            yield from _permissions(exchange)
        yield from _login(settings)


def _nonce_mark(where: Where, database: Path) -> int:
    """The last stamp that the bot may have signed with this key: ours must be above it."""
    from btcbot.services import values

    if not os.path.lexists(database):
        return 0
    try:
        with reading.open_book(where) as store:
            return int(store.value(values.NONCE_MARK_MS) or 0)
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


def _login(settings: Settings) -> Iterator[Finding]:
    """The key's permission for the feed. Without it fills are known when the lists show them, a cycle later."""
    from btcbot.bootstrap import feed_url
    from btcbot.cli import venue

    if feed_url(settings) is None:
        return
    with venue.feed(settings, venue.signer(settings)) as feed:
        view = _watch(feed, lambda view: view.is_logged_in)
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
