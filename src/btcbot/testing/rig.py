"""A rig: a local BtcTurk and an armed bot, each as a process of its own, over real sockets.

The demo is a rig that people look at; the process tests are rigs that get killed. Nothing in here imports the
simulator: it is started as a program and spoken to over its control interface, like any venue that somebody else runs.
Environments are built from nothing, so no setting of the machine and no `.env.live` can leak into a run.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import httpx2

from btcbot.errors import Refused

START_SECONDS_MAX: Final = 20.0
STOP_SECONDS_MAX: Final = 10.0


class Credentials:
    """A made-up API key of one rig, kept in files that only the owner reads."""

    def __init__(self, folder: Path) -> None:
        self.key = f"rig-{secrets.token_hex(8)}"
        self._secret = base64.b64encode(secrets.token_bytes(24)).decode()
        self.key_file = write_private(folder / "api.key", self.key)
        self.secret_file = write_private(folder / "api.secret", self._secret)

    def account_line(self, balances: Mapping[str, Decimal]) -> str:
        """The simulator's form of an account: KEY:SECRET:ASSET=AMOUNT,…"""
        held = ",".join(f"{asset}={amount:f}" for asset, amount in balances.items())
        return f"{self.key}:{self._secret}:{held}"


def write_private(path: Path, text: str) -> Path:
    """Write `text` to a file of mode 0600 that never existed with another mode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    return path


def bare_environment() -> dict[str, str]:
    """What a child process needs from ours: where programs and modules are, and nothing that could be a setting."""
    kept = ("PATH", "PYTHONPATH", "HOME", "TMPDIR", "SYSTEMROOT")
    return {name: os.environ[name] for name in kept if name in os.environ}


class Process:
    """A child program with its output in a file that only the owner reads, ended whatever happens."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        cwd: Path,
        wants_stdout: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._log_file: IO[bytes] = os.fdopen(descriptor, "ab")
        self._child = subprocess.Popen(  # noqa: S603 # nosec B603 - our own programs, arguments as a list
            [sys.executable, *arguments],
            cwd=cwd,
            env={**bare_environment(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if wants_stdout else self._log_file,
            stderr=self._log_file,
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def stdout(self) -> IO[bytes]:
        assert self._child.stdout is not None, "started without a pipe"
        return self._child.stdout

    def status(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._child.poll()

    def kill(self) -> None:
        """SIGKILL: what a crash looks like."""
        self._child.kill()
        self._child.wait()

    def terminate(self, seconds_max: float = STOP_SECONDS_MAX) -> int:
        """SIGTERM and the exit status; killed when it does not end in time."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(seconds_max)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def last_lines(self, count: int = 3) -> str:
        """The end of its log, for a message."""
        self._log_file.flush()
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def close(self) -> None:
        if self._child.poll() is None:
            self.kill()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._log_file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


class Simulator(Process):
    """`btcturk-sim serve` on free ports, and its control interface."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        super().__init__(
            ["-m", "btcturk_sim", "serve", "--port", "0", *arguments],
            folder / "btcturk-sim.log",
            cwd=folder,
            wants_stdout=True,
        )
        line = self.stdout.readline()
        if not line:
            reason = self.last_lines(1) or "it ended without a word"
            super().close()  # nothing speaks to it yet
            raise Refused(f"btcturk-sim did not start: {reason}")
        addresses = json.loads(line)
        self.rest_url: str = addresses["rest"]
        self.ws_url: str = addresses["ws"]
        self.graph_url: str = addresses["graph"]
        self._control = httpx2.Client(base_url=addresses["control"], trust_env=False, timeout=10.0)

    def state(self, **parameters: str) -> Any:
        """Everything the venue knows; amounts are strings."""
        return self._control.get("/state", params=parameters).raise_for_status().json()

    def requests(self, since: int = 0) -> list[Any]:
        """Every request that the venue received after number `since`."""
        answer = self._control.get("/requests", params={"since": since, "limit": 100_000}).raise_for_status().json()
        received: list[Any] = answer["requests"]
        return received

    def control(self, path: str, **body: object) -> Any:
        """Do something to the venue behind its clients' backs."""
        return self._control.post(path, json=body).raise_for_status().json()

    def clear_faults(self) -> None:
        self._control.delete("/faults").raise_for_status()

    def close(self) -> None:
        self._control.close()
        super().close()


class BotProcess(Process):
    """`btcbot run --loop` with an env file of its own, or the same on a stage (see `staged_run`), or another profile.

    `started_ms` is the Unix time in milliseconds at which it was started.
    """

    def __init__(
        self,
        folder: Path,
        env_file: Path,
        cycle_seconds: float,
        *options: str,
        log_name: str = "btcbot.log",
        stage: str | None = None,
        environment: Mapping[str, str] | None = None,
        command: str = "run",
    ) -> None:
        """`stage` is a `staged_run.Stage` as JSON; `environment` is added to the bare one; `command` the profile's."""
        program = ["-m", "btcbot"] if stage is None else ["-m", "btcbot.testing.staged_run", stage]
        loop = [command, "--loop", "--cycle-seconds", str(cycle_seconds), "--env-file", str(env_file)]
        self.started_ms = time.time_ns() // 1_000_000
        self._read_to = 0
        super().__init__(
            [*program, *loop, *options], folder / log_name, cwd=folder, environment=environment
        )  # fmt: skip

    def new_events(self) -> list[Mapping[str, Any]]:
        """What it has logged since the last call, whole lines only; lines that are no events are passed over."""
        with self.log.open("rb") as file:
            file.seek(self._read_to)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_to += len(whole)
        return [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def wait(self, seconds_max: float) -> int | None:
        """Its exit status, as soon as there is one; None when there is none in time."""
        try:
            return self._child.wait(seconds_max)
        except subprocess.TimeoutExpired:
            return None

    def open_files(self) -> int:
        """How many descriptors it has open now."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def waited_for_processor_ms(self) -> int:
        """How long its main thread was ready to run and got no processor; 0 where the kernel does not tell."""
        return waited_for_processor_ms(self.pid)

    def threads(self) -> int:
        """How many threads it has now."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


def time_of(event: Mapping[str, Any]) -> int:
    """The time of a logged event, in Unix milliseconds."""
    at = datetime.fromisoformat(str(event["timestamp"]))
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def waited_for_processor_ms(pid: int) -> int:
    """Milliseconds in which the main thread of a process was ready to run and got no processor; 0 if untold."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) // 1_000_000
    except (OSError, IndexError):
        return 0


def write_settings(path: Path, settings: Mapping[str, str]) -> Path:
    """An env file (0600) with these settings."""
    return write_private(path, "\n".join(f"{name}={value}" for name, value in settings.items()))


def armed_settings(
    credentials: Credentials, rest_url: str, database: Path, symbols: Sequence[str], **more: str
) -> dict[str, str]:
    """Settings that open every gate, against a simulator on this machine."""
    return {
        "BTCTURK_BASE_URL": rest_url,
        "BTCTURK_API_KEY_FILE": str(credentials.key_file),
        "BTCTURK_API_SECRET_FILE": str(credentials.secret_file),
        "BTCTURK_SECRET_ROTATED_AT": time.strftime("%Y-%m-%d", time.gmtime()),
        "STATE_DB_PATH": str(database),
        "SYMBOLS": ",".join(symbols),
        "DRY_RUN": "false",
        "LIVE_TRADING": "true",
        "LIVE_TRADING_ACK": "I_UNDERSTAND",
        **more,
    }


def wait_until(holds: Callable[[], bool], seconds_max: float, what: str) -> None:
    """Wait for something that another process brings about; TimeoutError names what did not come."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds_max:g} s for {what}")
        time.sleep(0.05)
