"""Checks of what lies on this machine: files, database, gates, books."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from btcbot.cli import checks_stance, reading
from btcbot.cli.checks import FAIL, PASS, WARN, Finding
from btcbot.cli.checks_slo import slo
from btcbot.cli.options import Where
from btcbot.errors import BtcbotError, Refused

if TYPE_CHECKING:
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.config.loading import LoadedSettings
    from btcbot.config.settings import Settings


def paths(database: Path) -> Iterator[Finding]:
    from btcbot.bootstrap import FREE_BYTES_MIN

    folder = Path(os.path.realpath(database)).parent
    if not folder.is_dir():
        yield Finding(FAIL, "paths", "folder", f"{folder} does not exist; create it (mkdir -m 700)")
        return
    if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(PASS, "paths", "folder", f"{folder} can be written")
    else:
        yield Finding(FAIL, "paths", "folder", f"{folder} cannot be written by this user; mend its owner or mode")
    free = shutil.disk_usage(folder).free
    if free >= FREE_BYTES_MIN:
        yield Finding(PASS, "paths", "space", f"{free // 1024**2} MiB are free")
    else:
        yield Finding(FAIL, "paths", "space", f"only {free // 1024**2} MiB are free; make room")
    for name in (database, *(Path(f"{database}{suffix}") for suffix in ("-wal", "-shm", ".lock", ".kill"))):
        if not os.path.lexists(name):
            continue
        mode = stat.S_IMODE(name.lstat().st_mode)
        if mode & 0o077:
            yield Finding(WARN, "paths", name.name, f"is open to others (mode {mode:04o}); run: chmod 600 {name}")
        else:
            yield Finding(PASS, "paths", name.name, f"mode {mode:04o}")


def ops(database: Path) -> Iterator[Finding]:
    """Who writes, and whether the lock could be taken."""
    try:
        held = reading.writer(database)
    except Refused as refused:
        yield Finding(FAIL, "ops", "lock", str(refused))
        return
    if held is None:
        yield Finding(PASS, "ops", "lock", "free: no bot writes")
    else:
        whom = "this run" if held.pid == os.getpid() else f"btcbot ({held})"
        yield Finding(PASS, "ops", "lock", f"held by {whom}")


def database_of(where: Where, database: Path, loaded: LoadedSettings | None) -> Iterator[Finding]:
    if not os.path.lexists(database):
        yield Finding(WARN, "database", "exists", f"no database at {database} yet; «btcbot run» makes it")
        return
    try:
        with reading.open_book(where) as store:
            problems = store.verify()
            yield from (Finding(FAIL, "database", "books", f"{problem}; restore a backup") for problem in problems)
            if not problems:
                counted = f"{store.order_count()} orders, {store.fill_count()} fills, {store.entry_count()} entries"
                yield Finding(PASS, "database", "books", f"{counted} proved")
            note = store.library_note()
            yield Finding(WARN if "bug" in note else PASS, "database", "library", note)
            yield from named(store)
            yield from books(store, reading.now_ms())
            yield checks_stance.freeze(store)
            yield checks_stance.degrade_of_a_doctor(store)
            if loaded is not None:
                yield purpose(store, loaded.settings)
                yield from gates(store, loaded, database)
                yield from checks_stance.budget(store, loaded.settings, reading.now_ms())
                yield from slo(store, loaded.settings)
    except BtcbotError as error:
        yield Finding(FAIL, "database", "opens", " ".join(str(error).split()))


def named(store: SqliteStore) -> Iterator[Finding]:
    """The values without which no cycle runs."""
    from btcbot.services import named_values

    problems = named_values.unreadable(store)
    yield from (Finding(FAIL, "database", "values", problem) for problem in problems)
    if not problems:
        yield Finding(PASS, "database", "values", "all can be read")


def purpose(store: SqliteStore, settings: Settings) -> Finding:
    """Is this database made for these settings?"""
    from btcbot.bootstrap import mode_of, venue_host
    from btcbot.bootstrap.meaning import PAPER
    from btcbot.config.secrets import key_fingerprint

    identity = store.identity()
    mode, host = mode_of(settings), venue_host(settings.btcturk_base_url)
    if identity is not None and identity.mode == PAPER:
        mode = PAPER  # no setting makes it so: «btcbot run --paper» does
    if identity is None:
        return Finding(WARN, "database", "purpose", "not fixed yet; the first «btcbot run» does it")
    if identity.mode != mode:
        message = f"was made for mode {identity.mode}, the settings say {mode}; name another STATE_DB_PATH"
        return Finding(FAIL, "database", "purpose", message)
    if identity.venue_host != host:
        message = f"belongs to the venue {identity.venue_host}, the settings say {host}; name another STATE_DB_PATH"
        return Finding(FAIL, "database", "purpose", message)
    if mode not in ("dry_run", PAPER) and (
        settings.btcturk_api_key is None or key_fingerprint(settings.btcturk_api_key) != identity.key_fingerprint
    ):
        return Finding(FAIL, "database", "purpose", "belongs to another API key; see «btcbot db rebind --help»")
    return Finding(PASS, "database", "purpose", f"{mode} at {host}")


def gates(store: SqliteStore, loaded: LoadedSettings, database: Path) -> Iterator[Finding]:
    from btcbot.adapters.kill_switch import FileKillSwitch
    from btcbot.domain.orders import IN_DOUBT
    from btcbot.domain.reasons import TradingState

    cycles = store.cycles(1)
    last, running = (cycles[0] if cycles else None), reading.writer(database) is not None
    states = reading.gates_now(loaded, store, database, last, running=running)
    only_running = {"writer_lock_not_held", "clock_skew", "self_check_failed"}
    closed = [name for name, is_open in states.items() if not is_open and (running or name not in only_running)]
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
        yield Finding(FAIL, "gates", "trading state", f"{state}: {then(reason, 'btcbot resume --reason …')}")
    elif state is TradingState.FROZEN:
        yield Finding(FAIL, "gates", "trading state", f"{state}: {then(reason, 'btcbot ledger explain')}")
    else:
        yield from checks_stance.state(store)
    doubted = store.orders(tuple(IN_DOUBT))
    if doubted and not running:
        message = f"{len(doubted)} wait for proof; run the bot, which finds it, or «btcbot orders resolve»"
        yield Finding(WARN, "gates", "orders in doubt", message)


def then(reason: str, command: str) -> str:
    """The reason, and the command that follows, unless the reason names it already."""
    return reason if f"«{command}" in reason else f"{reason}; then «{command}»"


def books(store: SqliteStore, now_ms: int) -> Iterator[Finding]:
    """Fills against entries, and how far the venue's trades have been read."""
    from btcbot.domain.ledger import Account, EntryKind
    from btcbot.services import values

    fills, entries = store.fill_count(), sum(one.kind is EntryKind.FILL for one in store.entries())
    if fills == entries:
        yield Finding(PASS, "books", "fills", f"each of {fills} fills has its entry")
    else:
        message = f"{fills} fills and {entries} entries of fills; restore a backup («btcbot db verify» tells more)"
        yield Finding(FAIL, "books", "fills", message)
    suspense = [asset for asset, amount in store.account_balances(Account.SUSPENSE).items() if amount]
    if suspense:
        message = f"{', '.join(sorted(suspense))} not explained; «btcbot ledger explain»"
        yield Finding(FAIL, "books", "suspense", message)
    else:
        yield Finding(PASS, "books", "suspense", "nothing")
    text = store.value(values.TRADES_CURSOR_MS)
    if text is None:
        yield Finding(PASS, "books", "cursor", "no trades read yet")
    elif not text.isdecimal() or int(text) > now_ms + CURSOR_AHEAD_MS_MAX:
        message = "lies in the future, so trades would be passed over; mend the clock, restore a backup"
        yield Finding(FAIL, "books", "cursor", message)
    else:
        yield Finding(PASS, "books", "cursor", f"trades read {(now_ms - int(text)) // 1000} s ago")


#: The cursor is venue time, which may be so far ahead of ours.
CURSOR_AHEAD_MS_MAX = 60_000
