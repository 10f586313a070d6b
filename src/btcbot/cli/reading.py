"""What commands that only read need: the path of the database, the book opened for reading, who is writing.

None of it calls the venue, takes a lock that a bot would miss, needs a key, or wants settings that are complete: a
status must be had exactly when something is wrong.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from btcbot.cli.options import Where
from btcbot.errors import ConfigurationError, Refused

if TYPE_CHECKING:
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.config.loading import LoadedSettings
    from btcbot.domain.cycles import CycleReport

_SETTING: Final = "STATE_DB_PATH"
_DEFAULT_ENV_FILE: Final = Path(".env.live")
_DEFAULT_DATABASE: Final = Path("btcbot_state.db")
_PID_BYTES_MAX: Final = 32


def database_path(where: Where) -> Path:
    """The database meant: `--db`, else the STATE_DB_PATH of environment and env file, else the default.

    Finds it without judging the other settings. An env file that cannot be read is refused all the same: looking at
    another database than the bot's would be worse than looking at none.
    """
    if where.db is not None:
        return where.db
    from btcbot.config import values

    text, origin = os.environ.get(_SETTING), "environment"
    if text is None:
        text, origin = _env_file_path(where.env_file)
    try:
        path = values.path(text) if text is not None else _DEFAULT_DATABASE
    except ValueError as error:
        raise ConfigurationError(f"{_SETTING}: {error} ({origin}), or give --db PATH") from None
    assert isinstance(path, Path), "a text becomes a path"
    return path


def _env_file_path(env_file: Path | None) -> tuple[str | None, str]:
    """STATE_DB_PATH as the env file has it."""
    from btcbot.config.env_file import read_env_file

    if env_file is None and not (_DEFAULT_ENV_FILE.exists() or _DEFAULT_ENV_FILE.is_symlink()):
        return None, "default"
    path = env_file or _DEFAULT_ENV_FILE
    content = read_env_file(path)
    # Problems in other lines do not matter here; a file that says nothing readable at all does.
    if _SETTING not in content.values and content.problems:
        raise ConfigurationError([*content.problems, f"{path}: {_SETTING} cannot be read there; give --db PATH"])
    return content.values.get(_SETTING), f"env file {path}"


def load(where: Where) -> LoadedSettings:
    """All settings, with `--db` as STATE_DB_PATH; ConfigurationError tells every problem."""
    from btcbot.config.loading import load_settings

    overrides = {_SETTING: str(where.db)} if where.db is not None else {}
    return load_settings(os.environ, where.env_file, overrides)


def demand_database(path: Path) -> None:
    """Refuse a path at which nothing lies yet, before anything would make a file there."""
    if not os.path.lexists(path):
        raise Refused(f"no database at {path}: run «btcbot run» first or give --db PATH")


@contextmanager
def open_book(where: Where) -> Iterator[SqliteStore]:
    """The store, read only. Works while a bot writes, and leaves nothing behind."""
    path = database_path(where)
    demand_database(path)
    from btcbot.adapters.store.sqlite import SqliteStore

    store = SqliteStore.open(path, read_only=True)
    try:
        yield store
    finally:
        store.close()


# -- who writes ------------------------------------------------------------------------------------------------------


class Writer(NamedTuple):
    """Whoever holds the writer lock. `pid` None: it could not be told."""

    pid: int | None

    def __str__(self) -> str:
        return f"pid {self.pid}" if self.pid is not None else "pid unknown"


def writer(database: Path) -> Writer | None:
    """Who holds the writer lock of `database` now, None when nobody does.

    Looks at the lock file with a shared lock that it lets go at once; a bot that starts in that instant waits for it
    and never notices.
    """
    try:
        descriptor = os.open(os.path.realpath(database) + ".lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(
            f"the lock file of {database} cannot be looked at ({error.strerror}); use the bot's own user"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        told = os.pread(descriptor, _PID_BYTES_MAX, 0).decode("ascii", "replace").strip()
        return Writer(int(told) if told.isdecimal() else None)
    finally:
        os.close(descriptor)
    return None


# -- gates -----------------------------------------------------------------------------------------------------------


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def gates_now(
    loaded: LoadedSettings, store: SqliteStore, database: Path, last: CycleReport | None, *, running: bool
) -> Mapping[str, bool]:
    """Every gate by name, True where open, from settings, kill file and books as they are now.

    Two gates only a running bot can open: the clock's skew it measures itself (its last cycle tells), and the lock.
    """
    from btcbot.adapters.kill_switch import FileKillSwitch
    from btcbot.bootstrap import gate_policy
    from btcbot.decisions import gates
    from btcbot.domain.book import BookIdentity
    from btcbot.services.freeze_record import is_frozen
    from btcbot.services.self_check import read_self_check

    # A database that has no identity yet arms nothing.
    blank = BookIdentity(book_id="", mode="", venue_host="", key_fingerprint=None, created_at_ms=0)
    policy = gate_policy(loaded.settings, store.identity() or blank)
    check = read_self_check(store)
    skew_is_small = running and last is not None and last.gates.get("clock_skew", False)
    facts = gates.GateFacts(
        dry_run=policy.dry_run,
        safe_mode=policy.safe_mode,
        kill_switch=policy.kill_switch,
        kill_file_on=FileKillSwitch(database).is_on()[0],
        live_trading=policy.live_trading,
        acknowledgement=policy.acknowledgement,
        database_armable=policy.database_armable,
        key_matches=policy.key_matches,
        lock_held=running,
        clock_skew_ms=0 if skew_is_small else None,
        clock_skew_ms_max=policy.clock_skew_ms_max,
        self_check_passed=check is not None and check.passed,
        trading_state=store.trading_state()[0],
        has_unexplained_orders=is_frozen(store),
    )
    return gates.states(facts)
