"""`btcbot run` where it says no, or ends by itself."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.books import FakeBot, Run, refused

from btcbot import bootstrap
from btcbot.errors import StoreFailed


@pytest.fixture
def taken_port(monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("OBSERVABILITY_ENABLED", "true")
    monkeypatch.setenv("OBSERVABILITY_METRICS_EXPORTER", "prometheus")
    monkeypatch.setenv("OBSERVABILITY_PROMETHEUS_PORT", str(listener.getsockname()[1]))
    return listener


def test_a_second_bot_hears_of_the_first_and_not_of_its_port(run: Run, book: Path, taken_port: socket.socket) -> None:
    with taken_port, FakeBot(book, answers=False):
        refused(run("run", "--db", book), "another btcbot")


def test_a_port_that_another_program_has(run: Run, book: Path, taken_port: socket.socket) -> None:
    with taken_port:
        refused(run("run", "--db", book), "OBSERVABILITY_PROMETHEUS_PORT")


def test_an_end_by_an_error_stands_in_the_log_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*unused: object, **named: object) -> None:
        raise StoreFailed("no space is left for the database: free some")

    monkeypatch.setattr(bootstrap, "build", full)
    said = run("run")
    assert said.status == 1
    (logged,) = [json.loads(line) for line in said.err.splitlines() if line.startswith("{")]
    assert (logged["event"], logged["error"]) == ("run_ended_by_error", "no space is left for the database: free some")
    assert "btcbot: no space is left" in said.err


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    said = run()
    assert said.status == 2
    assert said.err.startswith("Usage: btcbot")


def test_a_demo_wants_a_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("")
    refused(run("demo", "--dir", "notes"), "--dir")


@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
def test_an_output_that_takes_nothing_is_no_traceback(book: Path, where: str) -> None:
    command = f'"{sys.executable}" -m btcbot status --db "{book}" {where}'
    ended = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, cwd=book.parent, check=False)
    assert "Traceback" not in ended.stderr
    assert ended.returncode == (1 if "full" in where else 0)
