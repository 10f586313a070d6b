"""How fast the live feed is read: frames decoded and applied to books, and what a million of them leave in memory.

    python -m benchmarks.feed [--json]

Frames of twelve changes of twenty pairs, through everything but the socket (`FeedState`: queue, decoding, books,
counting). Side by side, in the same run and on the same frames: the order book of ccxt, filled as its own clients do
it, in the environment of `make judges`; without that environment the peer is left out, and the notes say so.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from benchmarks.common import RUNS, Figure, Result, best, child_environment, run_alone
from btcbot.adapters.btcturk.feed_state import FeedState

PAIRS: Final = tuple(f"PAIR{number}TRY" for number in range(20))
FRAMES: Final = 40_000
MILLION: Final = 1_000_000
#: Frames between two looks of the core: more than come between two cycles.
LOOK_EVERY: Final = 1_000
BODIES: Final = 2_000
LEVELS: Final = 100
PEER_PYTHON: Final = Path(".venvs/judges/bin/python")
GROWTH_MIB_MAX: Final = 4.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

#: What ccxt's clients do with a frame of changes, on the same lines; floats and all. Prints seconds of CPU.
PEER: Final = """
import sys, time
import ccxt.pro
from ccxt.async_support.base.ws.order_book import OrderBook
try:
    import orjson as json
except ImportError:
    import json
exchange = ccxt.pro.binance()
books, lines = {}, open(sys.argv[1], "rb").read().splitlines()
started = time.process_time()
for line in lines:
    kind, message = json.loads(line)
    if kind == 431:
        book = books[message["PS"]] = OrderBook({}, 100)
    else:
        book = books[message["PS"]]
    for name, side in (("AO", book["asks"]), ("BO", book["bids"])):
        for row in message[name]:
            size = 0 if row.get("CP") == 3 else exchange.safe_float(row, "A")
            side.store(exchange.safe_float(row, "P"), size)
    book["nonce"] = exchange.safe_integer(message, "CS")
    book.limit()
print(time.process_time() - started)
"""


def _levels(first: int, step: int) -> list[dict[str, str]]:
    return [{"A": f"0.{5_000 + level}", "P": str(first + step * level)} for level in range(LEVELS)]


def snapshot(pair: str) -> bytes:
    body = {"CS": 0, "PS": pair, "AO": _levels(3_001, 2), "BO": _levels(2_999, -2)}
    return msgspec.json.encode([431, {**body, "channel": "obdiff", "event": pair, "type": 431}])


def bodies() -> list[bytes]:
    """Changes of one pair, from behind the count on: eight updates, two levels that come and two that came before."""
    random = Random(7)
    made = []
    prices: dict[str, list[str]] = {"AO": [], "BO": []}
    for _ in range(BODIES):
        sides = {}
        for name, first, step in (("AO", 3_001, 2), ("BO", 2_999, -2)):
            rows = [
                {"CP": 0, "P": str(first + step * random.randrange(LEVELS // 2)), "A": f"{random.random() + 0.01:.8f}"}
                for _ in range(4)
            ]
            rows += [{"CP": 3, "P": price, "A": "1.5"} for price in prices[name]]
            prices[name] = [f"{first + step * random.randrange(20)}.5"]
            rows += [{"CP": 1, "P": price, "A": f"{random.random() + 0.01:.8f}"} for price in prices[name]]
            sides[name] = rows
        made.append(msgspec.json.encode(sides)[1:-1])
    return made


def change(pair: str, sequence: int, body: bytes) -> bytes:
    name = pair.encode()
    return b'[432,{"CS":%d,"PS":"%b",%b,"channel":"obdiff","event":"%b","type":432}]' % (sequence, name, body, name)


def frames(count: int) -> list[bytes]:
    """Snapshots of all pairs and then changes, one pair after the other."""
    changes = bodies()
    return [snapshot(pair) for pair in PAIRS] + [
        change(PAIRS[number % len(PAIRS)], number // len(PAIRS) + 1, changes[number // len(PAIRS) % BODIES])
        for number in range(count)
    ]


def connected() -> FeedState:
    state = FeedState(PAIRS, random=lambda: 0.5, wall_ms=lambda: 0)
    state.attempting(0)
    state.connected(0)
    return state


def read(state: FeedState, received: list[bytes]) -> float:
    """CPU seconds for these frames, with a look at the books now and then."""
    started = time.process_time()
    for number, frame in enumerate(received):
        state.offer(frame)
        state.work(number // 10)
        if number % LOOK_EVERY == 0:
            state.view(number // 10)
    took_s = time.process_time() - started
    assert len(state.view(len(received) // 10).books) == len(PAIRS), "every book is whole to the end"
    return took_s


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**20


def growth_mib() -> float:
    """What a million frames add to the memory, counted from the hundred-thousandth."""
    state = connected()
    changes = bodies()
    for pair in PAIRS:
        state.offer(snapshot(pair))
    state.work(0)
    before = 0.0
    for number in range(MILLION):
        if number == MILLION // 10:
            before = resident_mib()
        sequence, at = divmod(number, len(PAIRS))
        state.offer(change(PAIRS[at], sequence + 1, changes[sequence % BODIES]))
        state.work(number // 100)
        if number % LOOK_EVERY == 0:
            state.view(number // 100)
            state.take_counts()
    assert len(state.view(MILLION // 100).books) == len(PAIRS), "every book is whole to the end"
    return resident_mib() - before


def peer_s(path: Path) -> float:
    ended = subprocess.run(
        [PEER_PYTHON, "-c", PEER, path], env=child_environment(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"the peer failed: {ended.stderr.strip().splitlines()[-1:]}"
    return float(ended.stdout)


def measure() -> Result:
    received = frames(FRAMES)
    ours: list[list[float]] = []
    peers: list[list[float]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames"
        path.write_bytes(b"\n".join(received))
        for _ in range(RUNS):
            ours.append([len(received) / read(connected(), received)])
            if PEER_PYTHON.exists():
                peers.append([len(received) / peer_s(path)])
    figures = [
        best("decode and apply, twelve changes a frame", "frames/CPU s", ours, goal=10_000, at_least=True),
        Figure(
            what="memory that a million frames add",
            value=max(growth_mib(), 0.0),
            unit="MiB",
            goal=GROWTH_MIB_MAX,
        ),
    ]
    notes = ["all 379 pairs of BtcTurk send about 500 such frames a second at most"]
    if peers:
        figures.insert(
            1, best("the same by ccxt's order book, in floats, unchecked", "frames/CPU s", peers, at_least=True)
        )
    else:
        notes.append(f"no peer: {PEER_PYTHON} is not there; «make judges» makes it")
    return Result(name="feed", figures=figures, notes=notes)


if __name__ == "__main__":
    run_alone(measure)
