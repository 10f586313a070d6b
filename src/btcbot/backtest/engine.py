"""The engine: the cycle that trades, on recorded time.

It turns the clock from bar to bar, lets the venue fill what the bars fill, and runs the cycle of `btcbot.cycle`: the
same recovery, risk, gates, execution and books as live. There is no second pipeline in here.

What makes it fast is that most cycles need not run. After a cycle in which every wish was taken in, a strategy that
says what it waits for (`HasWakes`) is asked again when that may have come true, not before. The venue says the same of
resting orders, the settings of stale ones. The first bar of a day always has its cycle, because the loss of a day is
counted from it, and the last one before a gap, because its price counts until there is another. Leaving cycles out may
never change a result; a property test demands that it does not.
"""

from __future__ import annotations

import gc
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np

from btcbot.adapters.replay.bar_venue import NEVER, BarVenue
from btcbot.adapters.replay.columns import BarColumns, distinct_times
from btcbot.backtest.bench import Bench, build_bench
from btcbot.backtest.curve import equity_curve
from btcbot.backtest.plan import BacktestPlan, instruments_of, quote_asset_of
from btcbot.backtest.records import Records
from btcbot.backtest.result import BacktestResult
from btcbot.backtest.told import told_settings
from btcbot.bootstrap.agents import asks_an_agent
from btcbot.bootstrap.meaning import QUOTE_ASSET
from btcbot.bootstrap.room import cash_problem
from btcbot.domain import money
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.instrument import Instrument
from btcbot.domain.ledger import Account
from btcbot.domain.orders import Order
from btcbot.domain.reasons import ReasonCode
from btcbot.errors import BtcbotError, Refused
from btcbot.services import days
from btcbot.services.strategy import told
from btcbot.strategies.base import HasWakes, StrategyContext, Wakes

if TYPE_CHECKING:
    import numpy.typing as npt

Progress = Callable[[int, int], None]
#: Steps of the clock between two words of progress.
PROGRESS_EVERY: Final = 4_096
#: One less than a power of two: after so many cycles what is over goes into columns.
DRAIN_EVERY: Final = 127


class BacktestFailed(BtcbotError):
    """The run broke off: a broken invariant, or a strategy that raised. One line that says which and when."""


def run_backtest(plan: BacktestPlan, progress: Progress | None = None) -> BacktestResult:
    """Play the plan to its end. Raises Refused for a plan that cannot be played, BacktestFailed when it breaks off."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    intervals = {columns.interval_ms for columns in plan.bars.values()}
    if not plan.bars or not all(len(columns) for columns in plan.bars.values()):
        raise Refused("there are no bars to play in this range")
    if len(intervals) > 1:
        raise Refused(
            f"the symbols have bars of different intervals: {', '.join(f'{ms} ms' for ms in sorted(intervals))}"
        )
    interval_ms = intervals.pop()
    grid = _grid(plan, interval_ms)
    instruments = plan.instruments or instruments_of(plan.bars)
    records = Records(keeps_every_note=plan.keeps_every_note)
    bench = build_bench(
        plan, instruments=instruments, quote_asset=quote_asset_of(plan.bars), start_ms=int(grid[0]), records=records
    )
    with _without_search_for_cycles():
        cycles_run = _Run(plan, bench, grid, records).play(progress)
    store = bench.store
    store.tell_all()
    fills = records.fills.frame()
    equity = equity_curve(grid, plan.bars, fills, plan.opening)
    last_cycle = bench.last_report
    assert last_cycle is not None and last_cycle.equity_try is not None, "the last bar has its cycle"
    balances = _balances_as_booked(bench)
    return BacktestResult(
        strategy=plan.strategy.name,
        parameters=plan.parameters,
        settings=told_settings(plan),
        quote_asset=bench.quote_asset,
        interval_ms=interval_ms,
        opening_equity=plan.opening,
        final_equity=last_cycle.equity_try,
        bars=plan.bars,
        bars_played=sum(len(columns) for columns in plan.bars.values()),
        cycles_run=cycles_run,
        order_count=store.order_count(),
        fill_count=store.fill_count(),
        fees=bench.venue.fees,
        orders=records.orders.frame(),
        fills=fills,
        decisions=records.decisions.frame(),
        postings=records.postings.frame(),
        cycles=records.cycles.frame(),
        events=records.events.frame().sort("at_ms", maintain_order=True),
        equity=equity,
        wall_s=time.perf_counter() - wall_s,
        cpu_s=time.process_time() - cpu_s,
        profile=plan.profile.name,
        balances=balances,
        notes=_notes(plan, instruments),
    )


def _balances_as_booked(bench: Bench) -> Mapping[str, Decimal]:
    """The venue's balances at the end, by asset. Raises BacktestFailed where the books say anything else."""
    balances = {
        asset: balance.total for asset, balance in sorted(bench.venue.balances().balances.items()) if balance.total
    }
    booked = {asset: amount for asset, amount in bench.store.account_balances(Account.VENUE).items() if amount}
    if booked != balances:
        asset = min(asset for asset in {*booked, *balances} if booked.get(asset) != balances.get(asset))
        there, here = (money.plain(each.get(asset, money.ZERO)) for each in (balances, booked))
        raise BacktestFailed(f"the venue holds {there} {asset} at the end, the books say {here}: a defect of btcbot")
    return balances


def _notes(plan: BacktestPlan, instruments: Mapping[str, Instrument]) -> tuple[str, ...]:
    """What a reader of the result has to know beside it."""
    notes = []
    if plan.profile.is_overseen and asks_an_agent(plan.settings):
        notes.append("AGENT_POLICY_PROVIDER=llm: a backtest asks nobody outside; the rules alone looked at the wishes")
    if quote_asset_of(plan.bars) == QUOTE_ASSET:  # the smallest order of the settings is in it
        why = cash_problem(plan.settings, instruments, plan.profile, plan.parameters, plan.opening)
        notes += [f"nothing can be bought: {why} begin with more --cash"] if why else []
    return tuple(notes)


@contextmanager
def _without_search_for_cycles() -> Iterator[None]:
    """Nothing in a run refers to itself, so that looking through its values for such garbage finds none: a twelfth of
    the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _grid(plan: BacktestPlan, interval_ms: int) -> npt.NDArray[np.int64]:
    """The steps of the clock: every moment at which a bar of some symbol closes; of a tape, its cycles."""
    if plan.tape is not None:
        tape = plan.tape
        return np.arange(tape.first_ms, tape.last_ms + tape.cycle_ms, tape.cycle_ms, dtype=np.int64)
    columns = distinct_times(plan.bars.values())
    times = columns[0] if len(columns) == 1 else np.unique(np.concatenate(columns))
    return times + interval_ms


class _Run:
    """One run from the first step to the last."""

    def __init__(self, plan: BacktestPlan, bench: Bench, grid: npt.NDArray[np.int64], records: Records) -> None:
        self._plan = plan
        self._bench = bench
        #: The same steps as plain integers, in which a search costs less than in an array.
        self._moments: memoryview = grid.data
        self._records = records
        self._interval_ms = next(iter(plan.bars.values())).interval_ms
        self._ttl_ms = plan.settings.ttl_seconds * 1_000
        self._changes: dict[tuple[tuple[str, str], ...], _Upcoming] = {}
        self._asked_for: tuple[tuple[str, str], ...] = ()
        self._upcoming = _Upcoming([])
        self._fixed = _Upcoming(np.unique(np.concatenate([_day_starts(grid), *_edges(grid, plan.bars)])).tolist())
        strategy = plan.strategy
        # What a strategy waits for is found in columns of bars: between two rows of a tape there are none.
        skips = not plan.every_bar and plan.tape is None and not plan.profile.is_overseen
        self._waking = strategy if skips and isinstance(strategy, HasWakes) else None

    def play(self, progress: Progress | None) -> int:
        """Run the cycles that can change anything; how many that were."""
        bench, moments, records = self._bench, self._moments, self._records
        clock, venue, store, run_cycle = bench.clock, bench.venue, bench.store, bench.cycle.run
        last = len(moments) - 1
        step, cycles, told_at = 0, 0, PROGRESS_EVERY
        while True:
            now_ms = moments[step]
            clock.set(now_ms)
            venue.play_to(now_ms)
            bench.last_report = report = run_cycle()
            cycles += 1
            if report.outcome is CycleOutcome.HALTED or (report.reasons and _failed(report)):
                raise BacktestFailed(f"at {_moment(now_ms)}: {'; '.join(report.reasons)}")
            if not cycles & DRAIN_EVERY:
                store.drain()
                records.take_in()
            if step == last:
                return cycles
            step = min(self._next_step(step, report), last) if self._waking is not None else step + 1
            if progress is not None and step >= told_at:
                progress(step, last + 1)
                told_at = step + PROGRESS_EVERY

    def _next_step(self, step: int, report: CycleReport) -> int:
        """The first step at which a cycle may do something."""
        bench, counts = self._bench, report.counts
        context = bench.context
        is_whole = (
            report.outcome is CycleOutcome.COMPLETED
            and counts["intents"] == counts["accepted"]
            and len(report.quotes) == len(self._plan.bars)
            and context is not None
        )
        if not is_whole or self._waking is None:
            return step + 1
        assert context is not None, "just asked for"
        wakes, next_step = self._asked_to_wait(self._waking, context, step)
        open_orders = bench.store.open_orders()
        if open_orders:
            if wakes.on_fill:
                next_step = min(next_step, self._step_of(bench.venue.next_fill_ms(), step))
            for order in open_orders:
                # Past its time it is cancelled, and the strategy may wish anew; unless it cannot come to that.
                stale_step = self._step_of(order.created_at_ms + self._ttl_ms, step)
                if stale_step < next_step and not self._is_gone_by(order, stale_step):
                    next_step = stale_step
        return max(min(next_step, self._fixed.after(step, len(self._moments))), step + 1)

    def _asked_to_wait(self, strategy: HasWakes, context: StrategyContext, step: int) -> tuple[Wakes, int]:
        """What the strategy waits for, and the first step at which that may come. It may be anybody's: whatever is
        wrong with it ends the run in one line."""
        name = self._plan.strategy.name
        try:
            wakes: object = strategy.wakes(context)
        except (Exception, SystemExit) as error:
            raise self._failed(step, f"wakes of {name} raised {told(error)}") from error
        if not isinstance(wakes, Wakes):
            raise self._failed(step, f"wakes of {name} gave a {type(wakes).__name__} instead of Wakes")
        try:
            return wakes, self._woken_at(step, wakes)
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise self._failed(step, f"wakes of {name} named what there is not, {wakes!r} ({said})") from error

    def _failed(self, step: int, said: str) -> BacktestFailed:
        return BacktestFailed(f"at {_moment(self._moments[step])}: {ReasonCode.STRATEGY_FAILED.value}: {said}")

    def _is_gone_by(self, order: Order, step: int) -> bool:
        venue = self._bench.venue
        if order.venue_order_id is None or step >= len(self._moments) or not isinstance(venue, BarVenue):
            return False
        return venue.is_filled_by(order.venue_order_id, self._moments[step])

    def _woken_at(self, step: int, wakes: Wakes) -> int:
        """The first step after this one at which one of the strategy's conditions may hold; too early does no harm."""
        prices, found = self._bench.prices, len(self._moments)
        now_ms = self._moments[step]
        if wakes.changes:
            found = self._next_change(wakes.changes, step)
        for symbol, price in wakes.bid_at_least.items():
            found = min(found, self._step_of(prices.first_close_at_least(symbol, price, now_ms), step))
        for symbol, price in wakes.ask_at_most.items():
            found = min(found, self._step_of(prices.first_close_at_most(symbol, price, now_ms), step))
        if wakes.not_before_ms is not None:
            found = min(found, self._step_of(max(wakes.not_before_ms, now_ms + 1), step))
        return found

    def _next_change(self, changes: tuple[tuple[str, str], ...], step: int) -> int:
        """The first step after this one at which one of these signals changes."""
        if changes is not self._asked_for:  # the same as the last time, nearly always
            self._asked_for = changes
            if changes not in self._changes:
                times = self._bench.signals.change_times(changes)
                self._changes[changes] = _Upcoming(np.asarray(self._moments).searchsorted(times).tolist())
            self._upcoming = self._changes[changes]
        return self._upcoming.after(step, len(self._moments))

    def _step_of(self, at_ms: int, step: int) -> int:
        """The first step at or after a time. Reckoned from `step` where no bar is missing, else searched for."""
        moments = self._moments
        if at_ms >= NEVER:
            return len(moments)
        found = step - (moments[step] - at_ms) // self._interval_ms
        if 0 < found < len(moments) and moments[found - 1] < at_ms <= moments[found]:
            return found
        return bisect_left(moments, at_ms)


class _Upcoming:
    """Steps in ascending order, of which the next is asked for again and again."""

    def __init__(self, steps: list[int]) -> None:
        self._steps = steps
        self._at = 0

    def after(self, step: int, otherwise: int) -> int:
        """The first one after `step`, which never goes down from call to call."""
        steps, at = self._steps, self._at
        while at < len(steps) and steps[at] <= step:
            at += 1
        self._at = at
        return steps[at] if at < len(steps) else otherwise


def _day_starts(grid: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Steps at which a day begins in Istanbul."""
    last_ms, midnights = int(grid[-1]), list[int]()
    _, _, midnight_ms = days.today(int(grid[0]))
    while midnight_ms <= last_ms:
        midnights.append(midnight_ms)
        _, _, midnight_ms = days.today(midnight_ms)
    return np.unique(grid.searchsorted(np.array(midnights, dtype=np.int64)))


def _edges(grid: npt.NDArray[np.int64], bars: Mapping[str, BarColumns]) -> list[npt.NDArray[np.int64]]:
    """Steps at which a symbol closes its last bar before a gap, or for good: its price of then is what it counts with
    until there is another."""
    steps = []
    for columns in bars.values():
        closes = columns.open_time_ms + columns.interval_ms
        is_edge = np.append(np.diff(closes) != columns.interval_ms, True)
        steps.append(grid.searchsorted(closes[is_edge]))
    return steps


def _failed(report: CycleReport) -> bool:
    return any(reason.startswith(ReasonCode.STRATEGY_FAILED.value) for reason in report.reasons)


def _moment(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
