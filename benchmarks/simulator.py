"""How many order POSTs the local venue serves on its one core, and what each costs it.

    python -m benchmarks.simulator [--json]

The client is a process of its own that speaks raw HTTP on several kept connections, one request in flight on each, with
the signing done while the clock stands: the venue always has something to do and the client is not the limit. It signs
one round of requests at a time, for a stamp is good for five seconds and a busy machine needs more for all of them.
Orders are of two kinds: such that fill at once, bought and sold in turn, and such that rest away from the market.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

import msgspec

from benchmarks.common import (
    RUNS,
    Credential,
    Result,
    Venue,
    best,
    child_environment,
    cpu_s_of,
    run_alone,
    working_folder,
)
from benchmarks.order_path import signed

POSTS: Final = 4_000
CONNECTIONS: Final = 4
ROUND: Final = 400
SYMBOL: Final = "XRPTRY"
QUANTITY: Final = "40"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What the client is told on its stdin: one account for each connection, and the two sides' prices."""

    url: str
    accounts: Sequence[Credential]
    sides: Sequence[tuple[str, str]]
    posts: int


class Done(msgspec.Struct, frozen=True, kw_only=True):
    wall_s: float
    cpu_s: float


def _request(host: str, account: Credential, number: int, side: str, price: str) -> bytes:
    body = msgspec.json.encode(
        {
            "quantity": QUANTITY,
            "price": price,
            "stopPrice": "0",
            "newOrderClientId": f"raw-{number}",
            "orderMethod": "limit",
            "orderType": side,
            "pairSymbol": SYMBOL,
        }
    )
    headers = "".join(f"{name}: {value}\r\n" for name, value in signed(account).items())
    head = f"POST /api/v1/order HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _answer_is_whole(data: bytes) -> bool:
    head, _, body = data.partition(b"\r\n\r\n")
    if not body:
        return False
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return len(body) >= int(length.partition(b":")[2])


def client() -> None:
    """The client process: a Job on stdin, a Done on stdout."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    parts = urlsplit(job.url)
    assert parts.hostname and parts.port
    host = f"{parts.hostname}:{parts.port}"
    connections = []
    for _ in job.accounts:
        connection = socket.create_connection((parts.hostname, parts.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections.append(connection)
    wall_s = cpu_s = 0.0
    first, each = 0, job.posts // len(connections)
    while first < each:
        numbers = range(first, min(first + ROUND // len(connections), each))
        waiting = dict(zip(connections, _made(host, job, numbers), strict=True))
        started, cpu = time.perf_counter(), time.process_time()
        _play(waiting)
        wall_s += time.perf_counter() - started
        cpu_s += time.process_time() - cpu
        first = numbers.stop
    sys.stdout.buffer.write(msgspec.json.encode(Done(wall_s=wall_s, cpu_s=cpu_s)))


def _made(host: str, job: Job, numbers: range) -> list[list[bytes]]:
    """The signed requests of one round, for each account, the last one to be sent first."""
    made: list[list[bytes]] = [[] for _ in job.accounts]
    for number in numbers:
        side, price = job.sides[number % len(job.sides)]
        for requests, account in zip(made, job.accounts, strict=True):
            requests.append(_request(host, account, number, side, price))
        time.sleep(0.0011)  # a stamp is a millisecond and serves an account once
    return [requests[::-1] for requests in made]


def _play(waiting: dict[socket.socket, list[bytes]]) -> None:
    """Send all requests, one at a time on each connection, until all are answered."""
    received = dict.fromkeys(waiting, b"")
    for connection, requests in waiting.items():
        connection.sendall(requests.pop())
    while received:
        for connection in select.select(list(received), [], [])[0]:
            received[connection] += connection.recv(65_536)
            if not _answer_is_whole(received[connection]):
                continue
            assert b'"success":true' in received[connection], received[connection]
            received[connection] = b""
            if waiting[connection]:
                connection.sendall(waiting[connection].pop())
            else:
                del received[connection]


def _run(job: Job) -> Done:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.simulator", "--client"],
        input=msgspec.json.encode(job),
        capture_output=True,
        env=child_environment(),
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()[-1000:]
    return msgspec.json.decode(ended.stdout, type=Done)


def _orders(venue: Venue) -> int:
    """Orders that the venue knows of all accounts."""
    return sum(len(account["orders"]) for account in venue.simulator.state()["accounts"].values())


def measure() -> Result:
    kinds = ("fill at once", "rest")
    rates: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    per_cpu_s: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    cpu_ms: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    client_share = 0.0
    for run in range(RUNS + 1):
        with working_folder() as folder, Venue(folder, others=CONNECTIONS, symbols=(SYMBOL,)) as venue:
            bid = venue.bid(SYMBOL)
            near, far = bid * Decimal("1.02"), bid * Decimal("0.98")
            low = f"{far:.2f}"
            sides = {kinds[0]: [("buy", f"{near:.2f}"), ("sell", low)], kinds[1]: [("buy", low)]}
            for kind in kinds:
                job = Job(url=venue.url, accounts=venue.others, sides=sides[kind], posts=POSTS)
                before = cpu_s_of(venue.simulator.pid)
                placed = _orders(venue)
                done = _run(job)
                used = cpu_s_of(venue.simulator.pid) - before
                assert _orders(venue) - placed == POSTS, "an order is missing at the venue"
                if run == 0:
                    continue  # bytecode, caches
                rates[kind].append([POSTS / done.wall_s])
                per_cpu_s[kind].append([POSTS / used])
                cpu_ms[kind].append([used / POSTS * 1e3])
                client_share = max(client_share, done.cpu_s / done.wall_s)
    figures = []
    for kind in kinds:
        what = f"orders that {kind}"
        figures += [
            best(f"{what}: POSTs served in a second", "", rates[kind], goal=500, at_least=True),
            best(f"{what}: POSTs in a CPU second of the venue", "", per_cpu_s[kind], at_least=True),
            best(f"{what}: CPU of the venue a POST", "ms", cpu_ms[kind]),
        ]
    notes = [
        f"{RUNS} runs of {POSTS} POSTs of each kind, {CONNECTIONS} connections; the client used at most "
        f"{client_share:.0%} of a core; the venue's CPU includes the moving market while the client prepares"
    ]
    return Result(name="simulator", figures=figures, notes=notes)


if __name__ == "__main__":
    if "--client" in sys.argv[1:]:
        client()
    else:
        run_alone(measure)
