"""What is under judgement stays on this machine. Each try is a process of its own: the guard cannot be taken off.

The addresses outside are reached for in ways that would send nothing even without the guard: a datagram socket that is
only connected, and numbers that need no look-up.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from judges.loopback import is_loopback

ROOT = Path(__file__).parents[2]
OUTSIDE = "192.0.2.1"  # for documentation: no machine has it


def tried(*lines: str) -> str:
    """What a guarded process says to these lines of Python."""
    program = "\n".join(["import socket", "from judges import loopback", "loopback.guard()", *lines])
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(attempt: str) -> str:
    """What comes of one attempt: what went wrong, and whom the guard has written down."""
    return tried(
        "try:", f"    {attempt}", "except OSError as error:", "    print(type(error).__name__, loopback.refused())"
    )


def test_a_connection_that_leaves_the_machine_is_refused() -> None:
    connect = f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(({OUTSIDE!r}, 443))"
    assert refused(connect) == f"OutsideAddress ['{OUTSIDE}']"


def test_so_is_one_datagram() -> None:
    # Port 0 is refused by the system itself: nothing leaves, guard or no guard.
    send = f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ({OUTSIDE!r}, 0))"
    assert refused(send) == f"OutsideAddress ['{OUTSIDE}']"


def test_so_is_the_question_for_an_address() -> None:
    ask = f"socket.getaddrinfo({OUTSIDE!r}, 443, flags=socket.AI_NUMERICHOST)"
    assert refused(ask) == f"OutsideAddress ['{OUTSIDE}']"


def test_so_is_the_question_as_bytes() -> None:
    assert refused(f"socket.getaddrinfo({OUTSIDE.encode()!r}, 443)") == f"OutsideAddress ['{OUTSIDE}']"


def test_loopback_works_as_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = tried(
            f"socket.create_connection(('localhost', {port}), 10).close()",
            f"socket.create_connection(('127.0.0.1', {port}), 10).close()",
            "print(loopback.refused())",
        )
    assert said == "[]"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "api.btcturk.com",
        "8.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "::",
        "2001:db8::1",
        "localhost.example",
        "127.0.0.1.example",
        "",
    ],
)
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)
