"""G10: the loop runs for months of simulated time without a restart, and nothing grows that should not.

The real loop, cycle, client, store (a file) and metrics run in this process; the venue is the simulator in a process of
its own, spoken to in bytes over a pipe, so that what the venue remembers is not taken for what the bot remembers. The
clock is turned by hand. Market moves and mild faults come from the number of the soak alone.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from btcbot.services import accounting
from btcbot.testing.in_process_transport import InProcessTransport
from btcbot.testing.judge import judge
from btcbot.testing.manual_clock import ManualClock
from btcbot.testing.points import Points
from btcbot.testing.swarm import BothWishes, RandomWishes
from btcbot.testing.venue import Venue, armed_environment
from proof import memory
from proof.memory import Sample
from proof.result import Result

CYCLE_SECONDS: Final = 15.0
PRICES: Final = {"BTCTRY": "1000000"}
#: Cycles until everything has its size: the pages that SQLite caches, and what the whole check of a database needs,
#: which is made up to 4 MiB of it (about 8,000 cycles here).
WARM_UP: Final = 10_000
SAMPLE_EVERY: Final = 500
#: Ids of booked trades that the bot of a soak remembers: as many as it books in a few thousand cycles.
TRADES_REMEMBERED: Final = 500
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


@contextmanager
def _memories_of(trades: int) -> Iterator[None]:
    """What the bot remembers up to a bound has to reach it within the warm-up, or filling it would look like a leak."""
    before = accounting.SEEN_TRADES_MAX
    setattr(accounting, "SEEN_TRADES_MAX", trades)  # noqa: B010 (a constant, but for this)
    try:
        yield
    finally:
        setattr(accounting, "SEEN_TRADES_MAX", before)  # noqa: B010


def run(first: int, count: int, planted: Callable[[], object] | None = None) -> Result:
    """One soak of `count` cycles, the number `first`; failures are growth, drift, a halt, or books that differ.

    `planted` is called in each cycle: a leak, to see the soak find it.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="soak-", dir=memory if memory.is_dir() else None) as folder:
        environment = armed_environment(Path(folder) / "books.db", f"soak-{os.getpid()}", tuple(PRICES)) | SETTINGS
        venue = context.Process(target=_serve, args=(theirs, environment["BTCTURK_API_KEY"], first), daemon=True)
        venue.start()
        theirs.close()
        try:
            with _memories_of(TRADES_REMEMBERED):
                return _soak(first, count, environment, _RemoteApi(ours), planted)
        finally:
            ours.close()
            venue.join(10)


def _soak(
    number: int, count: int, environment: dict[str, str], venue: _RemoteApi, planted: Callable[[], object] | None
) -> Result:
    settings = load_settings(environment, default_env_file=None).settings
    points, samples, outcomes = Points(), list[Sample](), dict[str, int]()
    settled_types: Counter[str] | None = None
    done, now = 0, _Now(number)
    clock = _Clock(lambda now_ms: venue.ask("beat", now_ms))
    transport = InProcessTransport(venue, clock, points)  # type: ignore[arg-type] # it only calls `api.handle`
    stop, log, metrics = threading.Event(), _Quiet(), PrometheusMetrics(0)
    wishes = BothWishes(now, RandomWishes(now), bootstrap.strategy_of(RUN, settings))
    bot = bootstrap.build(
        settings, stop=stop, metrics=metrics, log=log, clock=clock, transport=transport, strategy=wishes
    )

    def cycle(wake: Wake) -> CycleReport:
        nonlocal done, settled_types
        now.cycle = done
        report = bot.run_cycle(wake)
        done += 1
        outcomes[report.outcome.value] = outcomes.get(report.outcome.value, 0) + 1
        # What the bench notes down is not the bot's.
        points.passed.clear()
        transport.stamps.clear()
        transport.posts.clear()
        if planted is not None:
            planted()
        if done == WARM_UP:
            settled_types = memory.census()
        if done % SAMPLE_EVERY == 0:
            samples.append(memory.sample(done))
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
    failures += memory.growth(samples, WARM_UP, settled_types)
    begin, end = samples[0], samples[-1]
    size = settings.state_db_path.stat().st_size
    notes = {
        "resident memory": f"{begin.resident_kib / 1024:.1f} MiB after {begin.cycles:,} cycles, "
        f"{end.resident_kib / 1024:.1f} MiB after {end.cycles:,}",
        "live blocks": f"{begin.blocks:,}, at the end {end.blocks:,}",
        "open files and threads": f"{begin.handles}, at the end {end.handles}",
        "database": f"{size / 2**20:.1f} MiB, {settled.orders:,} orders, {settled.fills:,} fills",
        "outcomes": ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items())),
    }
    bot.close()
    metrics.close()
    counts = {"cycles": done, "orders": settled.orders, "fills": settled.fills}
    return Result(goal="G10", part="soak", counts=counts, failures=failures, notes=notes)
