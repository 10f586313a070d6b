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
    """What a child process needs from ours: where programs are, and nothing that could be a setting."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}


class Process:
    """A child program with its output in a file that only the owner reads, ended whatever happens."""

    def __init__(self, arguments: Sequence[str], log: Path, *, cwd: Path, wants_stdout: bool = False) -> None:
        self.log = log
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._log_file: IO[bytes] = os.fdopen(descriptor, "ab")
        self._child = subprocess.Popen(  # noqa: S603 - our own programs, arguments as a list
            [sys.executable, *arguments],
            cwd=cwd,
            env=bare_environment(),
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
            self.close()
            raise Refused(f"btcturk-sim did not start: {reason}")
        addresses = json.loads(line)
        self.rest_url: str = addresses["rest"]
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
        control = getattr(self, "_control", None)
        if control is not None:
            control.close()
        super().close()


class BotProcess(Process):
    """`btcbot run --loop` with an env file of its own."""

    def __init__(
        self, folder: Path, env_file: Path, cycle_seconds: float, *options: str, log_name: str = "btcbot.log"
    ) -> None:
        super().__init__(
            [
                "-m",
                "btcbot",
                "run",
                "--loop",
                "--cycle-seconds",
                str(cycle_seconds),
                "--env-file",
                str(env_file),
                *options,
            ],
            folder / log_name,
            cwd=folder,
        )


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
