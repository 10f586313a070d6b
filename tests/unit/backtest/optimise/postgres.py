"""A real PostgreSQL for a test: found on this machine, started in a folder of its own, on loopback, with a password."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

USER = "trader"
#: With everything in it that an address has to quote.
PASSWORD = "s3cret/of:the@base"


class Database(NamedTuple):
    port: int
    user: str = USER
    password: str = PASSWORD
    name: str = "postgres"

    @property
    def address(self) -> str:
        return f"postgresql://{self.user}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{self.name}"

    @property
    def address_without_password(self) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{self.name}"


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, of the newest server installed; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    at = shutil.which("initdb")
    return Path(at).resolve().parent if at else None


def why_not() -> str:
    """Why a test with PostgreSQL is skipped here; empty where it runs."""
    try:
        import psycopg  # noqa: F401 - only whether it is there
    except ImportError:
        return "psycopg is not installed"
    if programs() is None:
        return "no PostgreSQL server is installed on this machine"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "PostgreSQL does not run as root, and there is no user postgres"
        if shutil.which("setpriv") is None or shutil.which("unshare") is None:
            return "PostgreSQL does not run as root, and there is no setpriv to become another user"
    return ""


@contextmanager
def running() -> Iterator[Database]:
    """A server with one user and nothing in it, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="btcbot-pg-"))
    user = "postgres" if os.geteuid() == 0 else None
    binaries = programs()
    assert binaries is not None, "see why_not()"
    try:
        (folder / "password").write_text(PASSWORD)
        if user is not None:
            for path in (folder, folder / "password"):
                shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
        data = folder / "data"
        _do(user, folder, binaries / "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256",
            f"--pwfile={folder / 'password'}", "--no-sync", "-E", "UTF8", "--locale=C")  # fmt: skip
        port = _free_port()
        options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories='' -c fsync=off"
        _do(user, folder, binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-t", 60, "-o", options, "start")
        try:
            yield Database(port)
        finally:
            _do(user, folder, binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _do(user: str | None, folder: Path, *arguments: object) -> None:
    ended = subprocess.run(
        [*_as(user, folder), *(str(each) for each in arguments)],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-2000:]


def _as(user: str | None, folder: Path) -> list[str]:
    """What goes before a command that another user is to run."""
    if user is None:
        return []
    who = pwd.getpwnam(user)
    change = ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]
    if stat.S_IMODE(Path("/etc/passwd").stat().st_mode) & stat.S_IROTH:
        return change
    # The user could not look up its own name. It sees a list of users with that name alone, in a view of its own.
    names = folder / "passwd"
    names.write_text(f"{user}:x:{who.pw_uid}:{who.pw_gid}::{folder}:/bin/sh\n")
    names.chmod(0o644)
    script = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", str(names), *change]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
