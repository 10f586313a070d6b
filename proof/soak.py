"""G10: the loop runs for months of simulated time without a restart, and nothing grows that should not.

The real loop, cycle, client, store (a file) and metrics run in this process; the venue is the simulator in a process of
its own, spoken to in bytes over a pipe, so that what the venue remembers is not taken for what the bot remembers. The
clock is turned by hand. Market moves and mild faults come from the number of the soak alone.
"""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from collections.abc import Callable
from decimal import Decimal
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Final

from btcbot import bootstrap
from btcbot.adapters.metrics_prometheus import PrometheusMetrics
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.config.loading import load_settings
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.reasons import TradingState
from btcbot.loop import LoopOptions, run_with_optional_loop
from btcbot.ports import StopSignal
from btcbot.profiles import RUN
from btcbot.testing.in_process_transport import InProcessTransport
from btcbot.testing.judge import judge
from btcbot.testing.manual_clock import ManualClock
from btcbot.testing.points import Points
from btcbot.testing.swarm import BothWishes, RandomWishes
from btcbot.testing.venue import Venue, armed_environment
from proof.result import Result

CYCLE_SECONDS: Final = 15.0
PRICES: Final = {"BTCTRY": "1000000"}
#: Cycles until everything has its size: the pages that SQLite caches, and what the whole check of a database needs,
#: which is made up to 4 MiB of it (about 8,000 cycles here).
WARM_UP: Final = 10_000
#: Allowed growth of the resident memory, in per cent of it, for each 100,000 cycles (G10).
GROWTH_PERCENT_MAX: Final = Decimal(1)
#: A process breathes by pages and arenas; a leak of 30 bytes a cycle is more than this within 27,000 cycles.
NOISE_KIB: Final = 768
SAMPLE_EVERY: Final = 500
SETTINGS: Final = {
    "COOLDOWN_SECONDS": "0",
    "TTL_SECONDS": "60",
    "CYCLES_KEPT": "1000",
    "MAX_DAILY_LOSS_TRY": "100000",
}
_FAULTS: Final[tuple[tuple[str, dict[str, int]], ...]] = (
    ("lost_after", {}),
    ("lost_before", {}),
    ("status_after", {"status": 502}),
    ("status_before", {"status": 503}),
    ("html_before", {"status": 520}),
    ("truncated", {"cut_at": 40}),
)


class _Now:
    """Where the soak stands: random wishes are drawn from it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.cycle = 0


class _Quiet:
    """`Log` that keeps nothing."""

    def debug(self, event: str, **fields: object) -> None:
        """Gone."""

    info = warning = error = debug


def _serve(pipe: Connection, key: str, seed: int) -> None:
    """The venue's process: does what it is asked until the pipe closes."""
    venue = Venue(ManualClock(), Points(), key, PRICES, {"TRY": "500000"})
    simulator, random = venue.simulator, Random(seed)
    while True:
        try:
            what, *arguments = pipe.recv()
        except EOFError:
            return
        match what:
            case "handle":
                request, now_ms, resumed = arguments
                pipe.send(simulator.api.handle(request, now_ms, resumed=resumed))
                simulator.api.requests.clear()
            case "beat":
                _beat(simulator, random, arguments[0])
                pipe.send(None)
            case _:
                simulator.engine.settle_everything(arguments[0])
                simulator.engine.audit()
                pipe.send(venue.state())


def _beat(simulator: Any, random: Random, now_ms: int) -> None:
    """Prices wander between bounds, and now and then a request will go wrong."""
    simulator.faults.clear()
    for symbol, start in PRICES.items():
        price = simulator.engine.pairs[symbol].price
        low, high = Decimal(start) * 9 / 10, Decimal(start) * 11 / 10
        moved = min(max(price * (10_000 + random.randint(-40, 40)) / 10_000, low), high)
        simulator.engine.override_price(symbol, Decimal(int(moved)), now_ms)
    simulator.engine.advance(now_ms)
    if random.random() < 0.05:
        kind, parameters = random.choice(_FAULTS)
        simulator.faults.add(kind, path_prefix="/api/v1", count=1, **parameters)


class _RemoteApi:
    """What the in-process transport asks of a simulator, asked over the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.api = self

    def handle(self, request: Any, now_ms: int, *, resumed: bool = False) -> Any:
        return self.ask("handle", request, now_ms, resumed)

    def ask(self, *what: object) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()


class _Clock(ManualClock):
    """Sleeping turns the clock, and the world goes on meanwhile."""

    def __init__(self, wakes: Callable[[int], None]) -> None:
        super().__init__()
        self._wakes = wakes

    def sleep(self, seconds: float, stop: StopSignal) -> bool:
        is_stopped = super().sleep(seconds, stop)
        if seconds > CYCLE_SECONDS / 2:  # the loop's own pause, not the wait before a read is tried again
            self._wakes(self.true_ms())
        return is_stopped


def _resident_kib() -> int:
    """Resident memory after everything unreachable is gone."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_024


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def run(first: int, count: int) -> Result:
    """One soak of `count` cycles, the number `first`; failures are growth, drift, a halt, or books that differ."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="soak-", dir=memory if memory.is_dir() else None) as folder:
        environment = armed_environment(Path(folder) / "books.db", f"soak-{os.getpid()}", tuple(PRICES)) | SETTINGS
        venue = context.Process(target=_serve, args=(theirs, environment["BTCTURK_API_KEY"], first), daemon=True)
        venue.start()
        theirs.close()
        try:
            return _soak(first, count, environment, _RemoteApi(ours))
        finally:
            ours.close()
            venue.join(10)


def _soak(number: int, count: int, environment: dict[str, str], venue: _RemoteApi) -> Result:
    settings = load_settings(environment, default_env_file=None).settings
    points, samples, outcomes = Points(), list[tuple[int, int, int, int]](), dict[str, int]()
    done, now = 0, _Now(number)
    clock = _Clock(lambda now_ms: venue.ask("beat", now_ms))
    transport = InProcessTransport(venue, clock, points)  # type: ignore[arg-type] # it only calls `api.handle`
    stop, log, metrics = threading.Event(), _Quiet(), PrometheusMetrics(0)
    wishes = BothWishes(now, RandomWishes(now), bootstrap.strategy_of(RUN, settings))
    bot = bootstrap.build(
        settings, stop=stop, metrics=metrics, log=log, clock=clock, transport=transport, strategy=wishes
    )

    def cycle(wake: Wake) -> CycleReport:
        nonlocal done
        now.cycle = done
        report = bot.run_cycle(wake)
        done += 1
        outcomes[report.outcome.value] = outcomes.get(report.outcome.value, 0) + 1
        # What the bench notes down is not the bot's.
        points.passed.clear()
        transport.stamps.clear()
        transport.posts.clear()
        if done % SAMPLE_EVERY == 0:
            size = settings.state_db_path.stat().st_size
            samples.append((done, _resident_kib(), _open_files() + threading.active_count(), size))
        return report

    options = LoopOptions(loop=True, cycle_seconds=CYCLE_SECONDS, jitter_seconds=0.0, cycles_max=count)
    run_with_optional_loop(cycle, options, clock, stop, lambda: 0.0, metrics, lambda _: None, log)
    failures = [] if done == count else [f"the loop ended after {done} of {count} cycles"]
    state, why = bot.store.trading_state()
    if state in (TradingState.HALTED, TradingState.FROZEN):
        failures.append(f"it ended {state}: {why}")
    if outcomes.get(CycleOutcome.COMPLETED.value, 0) < count * 8 // 10:
        failures.append(f"fewer than 8 in 10 cycles were completed: {outcomes}")
    store = bot.store
    assert isinstance(store, SqliteStore)
    settled = judge(store, venue.ask("state", clock.true_ms()), {})
    failures += [f"the books have {settled.fills} fills, the venue {settled.venue_fills}"] * (
        settled.fills > settled.venue_fills
    )
    if not settled.fills:
        failures.append("nothing was traded: that is no soak")
    failures += store.verify()
    failures += growth(samples)
    notes = {
        "resident memory": f"{samples[0][1] / 1024:.1f} MiB after {samples[0][0]:,} cycles, "
        f"{samples[-1][1] / 1024:.1f} MiB after {samples[-1][0]:,}",
        "open files and threads": f"{samples[0][2]}, at the end {samples[-1][2]}",
        "database": f"{samples[-1][3] / 2**20:.1f} MiB, {settled.orders:,} orders, {settled.fills:,} fills",
        "outcomes": ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items())),
    }
    bot.close()
    metrics.close()
    counts = {"cycles": done, "orders": settled.orders, "fills": settled.fills}
    return Result(goal="G10", part="soak", counts=counts, failures=failures, notes=notes)


def growth(samples: list[tuple[int, int, int, int]]) -> list[str]:
    """What grew: memory by the least of the first and of the last third after warm-up; files and threads at all."""
    settled = [sample for sample in samples if sample[0] > WARM_UP]
    if len(settled) < 6:
        return []
    third = len(settled) // 3
    begin, end = settled[:third], settled[-third:]
    least_then, least_now = min(kib for _, kib, _, _ in begin), min(kib for _, kib, _, _ in end)
    cycles = end[0][0] - begin[0][0]
    allowed = least_then * GROWTH_PERCENT_MAX / 100 * cycles / 100_000 + NOISE_KIB
    found = []
    if least_now - least_then > allowed:
        found.append(f"resident memory grew from {least_then} to {least_now} KiB in {cycles} cycles")
    if max(count for _, _, count, _ in end) > max(count for _, _, count, _ in begin):
        found.append("open files or threads grew")
    return found
