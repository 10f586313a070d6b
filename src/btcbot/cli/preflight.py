"""`btcbot preflight`: may a run start now? One line for each demand, with how to mend it.

It looks and touches nothing: no lock is kept, nothing is registered, no file stays behind, so that a run may start the
moment after it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from btcbot.cli import checks, checks_local, checks_stance, checks_venue, options, output, reading
from btcbot.cli.checks import FAIL, PASS, WARN, Finding
from btcbot.cli.options import Where
from btcbot.errors import BtcbotError, ConfigurationError, Refused
from btcbot.profiles import PROFILES, RUN, Profile

if TYPE_CHECKING:
    from btcbot.config.loading import LoadedSettings
    from btcbot.config.settings import Settings
    from btcbot.ports import Exchange

LIVE: Final = "live"
DRY_RUN: Final = "dry-run"
EXIT_OF: Final = {PASS: 0, WARN: 0, FAIL: 2}

#: How each gate is opened, by its name.
MENDS: Final[Mapping[str, str]] = {
    "dry_run": "set DRY_RUN=false",
    "safe_mode": "set SAFE_MODE=false",
    "kill_switch": "set KILL_SWITCH=false",
    "kill_file": "«btcbot kill off»",
    "halted": "«btcbot resume --reason …», after looking at «btcbot status»",
    "frozen_by_suspense": "«btcbot ledger explain»",
    "frozen_by_unexplained_orders": checks_stance.UNFREEZE,
    "live_trading_not_set": "set LIVE_TRADING=true",
    "acknowledgement_missing": "set LIVE_TRADING_ACK=I_UNDERSTAND",
    "database_not_live": "name a STATE_DB_PATH of its own for live trading",
    "database_of_another_key": "«btcbot db rebind --help»",
}
#: Gates that only a running bot can open; what they look at has checks of its own here.
_OF_A_RUN: Final = frozenset({"writer_lock_not_held", "clock_skew", "self_check_failed"})
#: Gates that are about real orders: a dry run keeps them closed.
_OF_REAL_ORDERS: Final = frozenset(
    {"dry_run", "live_trading_not_set", "acknowledgement_missing", "database_not_live", "database_of_another_key"}
)
#: The freeze has a line of its own, with what froze.
_TOLD_BY_THE_FREEZE: Final = frozenset({"frozen_by_unexplained_orders"})
#: Gates that the first run of a new database opens itself.
_OF_THE_FIRST_RUN: Final = frozenset({"database_not_live", "database_of_another_key"})


@click.command("preflight", short_help="Check whether a run may start now: gates, caps, locks, key and clock.")
@click.option(
    "--profile",
    type=click.Choice([LIVE, DRY_RUN]),
    default=LIVE,
    show_default=True,
    help="What is to start: a run that trades, or one that simulates.",
)
@checks.starts_option
@options.report
def command(profile: str, starts: str, db: Path | None, env_file: Path | None, *, as_json: bool) -> None:
    """Check whether a run may start now.

    Every demand has a line: settings, database, lock, gates, freeze, degrade level, risk budget, key, caps, exporter,
    clock and disk. A run that may start and would not trade has a WARN, with what ends it; one that never would, unless
    you decide, has a FAIL. Nothing is changed and nothing stays behind. Exit status: 0 it may, 2 it may not.

    \b
    Example:  btcbot preflight --env-file live.env
              btcbot preflight --command stage4-run
              btcbot preflight --profile dry-run --json
    """
    findings = checks.told("preflight", examine(Where(db, env_file), profile, PROFILES[starts]), as_json=as_json)
    worst = checks.worst_of(findings)
    if as_json:
        output.json_line({"result": worst, "profile": profile, "checks": [finding._asdict() for finding in findings]})
    else:
        output.line(checks.summary(findings))
    output.leave(EXIT_OF[worst])


def examine(
    where: Where,
    profile: str,
    starts: Profile = RUN,
    *,
    loaded: LoadedSettings | None = None,
    inside: Exchange | None = None,
) -> Iterator[Finding]:
    """Every demand, in an order in which a person would mend them.

    `profile` is LIVE or DRY_RUN, `starts` what is to run. `loaded` None: the settings are read here. `inside` is the
    client of the run that asks about itself.
    """
    if loaded is None:
        try:
            loaded = reading.load(where)
        except ConfigurationError as error:
            yield from (Finding(FAIL, "settings", "values", line) for line in error.lines)
            return
    settings, database = loaded.settings, loaded.settings.state_db_path
    yield Finding(PASS, "settings", "values", f"all can be used ({loaded.env_file or 'no env file'})")
    if starts.is_on_paper_only and profile == LIVE:
        message = f"«btcbot {starts.name}» never trades; ask for it with --profile dry-run"
        yield Finding(FAIL, "gates", "live", message)
    yield from _lock(database, is_own=inside is not None)
    yield from _database(where, database, loaded, profile)
    yield from _caps(settings, profile)
    yield _exporter(settings, is_running=inside is not None)
    yield from (one for one in checks_venue.rotation_of(settings) if profile == LIVE)
    venue = list(checks_venue.venue(settings, starts, inside))
    yield from venue
    if profile == LIVE:
        yield from _key(where, database, settings, inside)


def _lock(database: Path, *, is_own: bool) -> Iterator[Finding]:
    """Could a run write here, and does nobody else?"""
    try:
        held = None if is_own else reading.writer(database)
    except Refused as refused:
        yield Finding(FAIL, "lock", "free", str(refused))
        return
    if held is not None:
        yield Finding(FAIL, "lock", "free", f"another btcbot ({held}) writes to {database}; stop it")
    else:
        yield Finding(PASS, "lock", "free", "held by this run" if is_own else "nobody writes")
    yield from (one for one in checks_local.paths(database) if one.name in ("folder", "space"))
    for path in (database, *(Path(f"{database}{suffix}") for suffix in ("-wal", "-shm", ".lock"))):
        real = Path(os.path.realpath(path))
        if os.path.lexists(path) and not (real.is_file() and os.access(real, os.R_OK | os.W_OK)):
            yield Finding(FAIL, "database", "writable", f"{path} cannot be written; mend its owner or mode")
            return
    yield Finding(PASS, "database", "writable", "yes" if database.exists() else f"{database} will be made")


def _database(where: Where, database: Path, loaded: LoadedSettings, profile: str) -> Iterator[Finding]:
    """What the database says of itself: purpose, gates, and what would keep a run from trading."""
    if not os.path.lexists(database):
        yield from _gates_without_a_database(loaded, database, profile)
        return
    try:
        with reading.open_book(Where(database, where.env_file)) as store:
            purpose = checks_local.purpose(store, loaded.settings)
            yield purpose._replace(level=PASS if purpose.level == WARN else purpose.level)
            is_new = store.identity() is None
            states = reading.gates_now(loaded, store, database, None, running=False)
            yield from _gates(states, profile, passed_over=_OF_THE_FIRST_RUN if is_new else frozenset())
            yield checks_stance.freeze(store)
            yield checks_stance.degrade(store)
            yield from checks_stance.state(store)
            yield from checks_stance.budget(store, loaded.settings, reading.now_ms())
            yield from checks_local.named(store)
    except BtcbotError as error:
        yield Finding(FAIL, "database", "opens", " ".join(str(error).split()))


def _gates(states: Mapping[str, bool], profile: str, passed_over: frozenset[str]) -> Iterator[Finding]:
    if not states.get("database_not_live", True):
        # A database that is none for live trading has no key either; with the one mended the other is.
        passed_over |= {"database_of_another_key"}
    unasked = _OF_A_RUN | _TOLD_BY_THE_FREEZE | passed_over | (_OF_REAL_ORDERS if profile == DRY_RUN else frozenset())
    for name, is_open in states.items():
        if name in unasked:
            continue
        if is_open:
            yield Finding(PASS, "gates", name, "open")
        else:
            yield Finding(FAIL, "gates", name, f"closed; {MENDS.get(name, 'see «btcbot status»')}")


def _gates_without_a_database(loaded: LoadedSettings, database: Path, profile: str) -> Iterator[Finding]:
    """The gates that a database which does not exist yet leaves to settings and kill file."""
    from btcbot.adapters.kill_switch import FileKillSwitch
    from btcbot.config.sources import ACKNOWLEDGEMENT

    settings = loaded.settings
    states = {
        "dry_run": not settings.dry_run,
        "safe_mode": not settings.safe_mode,
        "kill_switch": not settings.kill_switch,
        "kill_file": not FileKillSwitch(database).is_on()[0],
        "live_trading_not_set": settings.live_trading,
        "acknowledgement_missing": settings.live_trading_ack == ACKNOWLEDGEMENT,
    }
    yield from _gates(states, profile, frozenset())


def _caps(settings: Settings, profile: str) -> Iterator[Finding]:
    """Hard caps are set. That the venue's smallest order fits below them is told with its rules."""
    from btcbot.domain.money import plain

    for name, cap in checks_venue.caps_of(settings).items():
        if cap > 0:
            yield Finding(PASS, "caps", name, plain(cap))
        elif profile == LIVE:
            yield Finding(FAIL, "caps", name, "0 sets no limit; set one for a run that trades")
        else:
            yield Finding(PASS, "caps", name, "0: no limit of its own")
    yield Finding(PASS, "caps", "MAX_ORDERS_PER_CYCLE", str(settings.max_orders_per_cycle))


def _exporter(settings: Settings, *, is_running: bool) -> Finding:
    """Whether metrics can go where the settings send them."""
    from importlib.util import find_spec

    if not settings.observability_enabled:
        return Finding(PASS, "metrics", "exporter", "none wanted")
    name = settings.observability_metrics_exporter
    if name == "prometheus" and not is_running and not _is_free(settings.observability_prometheus_port):
        port = settings.observability_prometheus_port
        return Finding(FAIL, "metrics", "exporter", f"port {port} is taken; set OBSERVABILITY_PROMETHEUS_PORT")
    if name == "otlp" and find_spec("opentelemetry") is None:
        return Finding(FAIL, "metrics", "exporter", "otlp is not installed; pip install 'btcbot[otel]'")
    return Finding(PASS, "metrics", "exporter", name)


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _key(where: Where, database: Path, settings: Settings, inside: Exchange | None) -> Iterator[Finding]:
    """A key is there, and the venue shows it the account. A key that somebody else uses cannot be used here."""
    if settings.btcturk_api_key is None or settings.btcturk_api_secret is None:
        message = "missing; give BTCTURK_API_KEY_FILE and BTCTURK_API_SECRET_FILE"
        yield Finding(FAIL, "key", "given", message)
        return
    for one in checks_venue.key(Where(database, where.env_file), database, settings, inside):
        if one.name == "permissions":
            yield Finding(FAIL, "key", "free", "another btcbot uses it; stop that one, or make a key for this one")
        elif "unobserved" not in one.message:
            yield one
