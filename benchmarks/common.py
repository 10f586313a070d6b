"""What the measurements share: figures with their goals, the rule of the best median, processes and an account.

The machine may be shared, so a time on the wall is told as the best median of five runs, with the worst beside it;
CPU time is told the same way and is the figure to compare.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from btcbot.adapters.logs import configure_logging, shutdown_logging
from btcbot.config.loading import load_settings
from btcbot.config.secrets import Secret
from btcbot.config.settings import Settings
from btcbot.testing.rig import Credentials, Simulator, armed_settings, write_private, write_settings

RUNS: Final = 5
SYMBOLS: Final = ("BTCTRY", "ETHTRY", "XRPTRY")
CASH_TRY: Final = Decimal(1_000_000_000)
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number. `worst` is the worst run's; `goal` is an upper limit, a lower one when `at_least`."""

    what: str
    value: float
    unit: str
    worst: float | None = None
    goal: float | None = None
    at_least: bool = False

    @property
    def is_met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one benchmark, and what there is to say beside them."""

    name: str
    figures: Sequence[Figure]
    notes: Sequence[str] = ()


class Credential(msgspec.Struct, frozen=True):
    """A made-up key of one account of the local venue."""

    key: str
    secret: str  # base64

    def account_line(self, balances: str) -> str:
        return f"{self.key}:{self.secret}:{balances}"


def new_credential() -> Credential:
    return Credential(f"bench-{secrets.token_hex(8)}", base64.b64encode(secrets.token_bytes(24)).decode())


def best(
    what: str,
    unit: str,
    runs: Sequence[Sequence[float]],
    *,
    goal: float | None = None,
    at_least: bool = False,
) -> Figure:
    """The best of the runs' medians, and the worst."""
    medians = sorted((statistics.median(run) for run in runs if run), reverse=at_least)
    assert medians, f"nothing was measured for «{what}»"
    return Figure(what=what, value=medians[0], worst=medians[-1], unit=unit, goal=goal, at_least=at_least)


def shown(number: float) -> str:
    """Three digits that matter."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def table(results: Sequence[Result]) -> str:
    """All figures as one text table."""
    rows = [("", "best", "worst", "goal", "")]
    for result in results:
        rows.append((result.name, "", "", "", ""))
        for figure in result.figures:
            sign = "≥" if figure.at_least else "≤"
            rows.append(
                (
                    f"  {figure.what} [{figure.unit}]" if figure.unit else f"  {figure.what}",
                    shown(figure.value),
                    "" if figure.worst is None else shown(figure.worst),
                    "" if figure.goal is None else f"{sign} {shown(figure.goal)}",
                    {None: "", True: "met", False: "MISSED"}[figure.is_met],
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in (1, 2, 3)), row[4]]
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *(f"* {result.name}: {note}" for result in results for note in result.notes)])


def run_alone(measure: Callable[[], Result], *, also: Collection[str] = ()) -> None:
    """The main function of one benchmark: a table, or one line of JSON with --json. Status 1 for a missed goal, 2 for a
    word that is neither --json nor one of `also`."""
    known = ("--json", *also)
    if unknown := [word for word in sys.argv[1:] if word not in known]:
        print(f"there is no option {unknown[0]}; give nothing, or {' or '.join(known)}", file=sys.stderr)
        sys.exit(2)
    result = measure()
    if "--json" in sys.argv[1:]:
        print(msgspec.json.encode(result).decode())
    else:
        print(machine())
        print(table([result]))
    sys.exit(any(figure.is_met is False for figure in result.figures))


def machine() -> str:
    """What the figures were taken on, and how busy it was."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return (
        f"{os.cpu_count()} cores, {pages * page_bytes / 2**30:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}; load {os.getloadavg()[0]:.1f}"
    )


# -- the bot's side ------------------------------------------------------------------------------------------------


@contextmanager
def working_folder() -> Iterator[Path]:
    """A folder on the disk that the project lies on: temporary folders may be memory, where a sync costs nothing."""
    parent = Path(".benchmarks").absolute()
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


class Venue:
    """The local BtcTurk without rate limits as a process of its own, an account of the bot, and some others."""

    def __init__(self, folder: Path, *, others: int = 0, symbols: Sequence[str] = SYMBOLS, speed: int = 1) -> None:
        self.folder = folder
        self.symbols = tuple(symbols)
        self.credentials = Credentials(folder)
        self.others = tuple(new_credential() for _ in range(others))
        lines = [self.credentials.account_line({"TRY": CASH_TRY})]
        lines += [each.account_line(f"TRY={CASH_TRY},XRP={CASH_TRY}") for each in self.others]
        accounts = write_private(folder / "accounts", "\n".join(lines))
        arguments = ["--accounts", str(accounts), "--symbols", ",".join(symbols), "--limits", "off"]
        self.simulator = Simulator(folder, [*arguments, "--seed", "7", "--speed", str(speed)])

    @property
    def url(self) -> str:
        return self.simulator.rest_url

    def bid(self, symbol: str) -> Decimal:
        return Decimal(self.simulator.state(orders="0")["market"]["prices"][symbol]["bid"])

    def env_file(self, database: Path, **more: str) -> Path:
        """Settings of an armed bot on this venue."""
        settings = armed_settings(self.credentials, self.url, database, self.symbols, **more)
        return write_settings(self.folder / f"{database.stem}.env", settings)

    def settings(self, database: Path, **more: str) -> Settings:
        return load_settings({}, self.env_file(database, **more), {}).settings

    def close(self) -> None:
        self.simulator.close()

    def __enter__(self) -> Venue:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


@contextmanager
def logs_to(path: Path, settings: Settings) -> Iterator[None]:
    """The bot's logs in a file, as under a supervisor."""
    held: list[Secret] = [each for each in (settings.btcturk_api_key, settings.btcturk_api_secret) if each]
    with path.open("ab") as file:
        configure_logging(settings.log_level, held, file)
        try:
            yield
        finally:
            shutdown_logging()


# -- processes -----------------------------------------------------------------------------------------------------


def child_environment() -> dict[str, str]:
    """Ours, with compiled bytecode allowed and nothing that could be a setting of the bot."""
    kept = ("PATH", "HOME", "TMPDIR", "PYTHONPATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What a child process cost. `mark_s` is when the awaited text appeared on its stderr."""

    wall_s: float
    cpu_s: float
    status: int
    mark_s: float | None
    stderr: str


def spend(arguments: Sequence[str], *, cwd: Path, mark: bytes | None = None) -> Ended:
    """Run this interpreter with `arguments` to its end."""
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert child.stderr is not None
    mark_s: float | None = None
    lines: list[bytes] = []
    for line in child.stderr:
        if mark is not None and mark_s is None and mark in line:
            mark_s = time.perf_counter() - started
        lines.append(line)
    _, waited, used = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(waited)
    child.stderr.close()
    return Ended(
        wall_s=wall_s,
        cpu_s=used.ru_utime + used.ru_stime,
        status=child.returncode,
        mark_s=mark_s,
        stderr=b"".join(lines).decode(errors="replace"),
    )


def cpu_s_of(pid: int) -> float:
    """CPU seconds that a living process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def peak_mib_of(pid: int) -> float:
    """The most memory that a living process has held; wait4's figure would count its parent's as well."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"no VmHWM of process {pid}")


def children_of(pid: int) -> Mapping[int, str]:
    """Living children and their command lines."""
    found: dict[int, str] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline")
            if command.exists():
                found[int(child)] = command.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def from_json(line: str) -> Result:
    """What another benchmark printed."""
    return msgspec.convert(json.loads(line), Result)
