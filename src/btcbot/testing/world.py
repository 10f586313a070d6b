"""One simulated world: a bot, its venue, a seed, and everything that goes wrong between them.

Real code runs: cycle, services, decisions, the SQLite store (in memory), the HTTP client and its codec; sockets, clock
and process are replaced. What a seed decides is drawn by one generator for each concern, and market and wishes of a
cycle come from the cycle's number alone, so that taking one fault out of a story leaves the rest of it in place.

    storm         faults, crashes, other people; safety is checked after every request and every commit
    heal          faults off, nothing wished; everything settles within a few cycles, and books equal the venue
    second life   another process on the same database trades a little, and settles
    idempotence   two more recoveries change nothing
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx2
import msgspec

from btcbot import bootstrap
from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.config.secrets import Secret, key_fingerprint
from btcbot.config.settings import Settings
from btcbot.domain import money
from btcbot.domain.book import BookIdentity
from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OPEN
from btcbot.domain.reasons import TradingState
from btcbot.errors import StoreFailed
from btcbot.profiles import RUN
from btcbot.strategies.base import Strategy
from btcbot.testing.checkers import Checkers, Violated
from btcbot.testing.faults import FAULTS, Fault, Firing, Numbers
from btcbot.testing.in_process import EPOCH_MS, Crash, Rig
from btcbot.testing.swarm import PRICES, BothWishes, RandomWishes, draw_swarm, limits_of
from btcturk_sim.accounts import Transfer
from btcturk_sim.faults import FaultRule
from btcturk_sim.instruments import FIAT
from btcturk_sim.pair import Pair
from btcturk_sim.wire import Delivery, Request, Response

BOOK_ID: Final = "5eed5eed"
HEAL_CYCLES_MAX: Final = 30
HEAL_SECONDS: Final = 12.0
SECOND_LIFE_CYCLES: Final = 4
TIME_PATH: Final = "/api/v2/server/time"
TIME_SAMPLES: Final = 3
RULES_AGE_MS: Final = 300_000
#: What two recoveries without any event may write: reports, and marks of time.
_HEARTBEAT: Final = ("cycle_number", "marks", "nonce_mark_ms", "trades_cursor_ms", "self_check", "pnl_day",
                     "pnl_day_start", "trading_state_reason")  # fmt: skip
_TABLES: Final = ("identity", "orders", "holds", "fills", "entries", "postings", "account_balances", "positions",
                  "verdicts", "discrepancies")  # fmt: skip
_NOT_STARTED: Final = -1


class Story(msgspec.Struct, kw_only=True):
    """What became of a world."""

    seed: int
    violation: tuple[str, str] | None
    fired: list[Firing]
    faults: Counter[str]
    crashes: int
    submits: int
    fills: int
    cycles: int
    trace: list[str]
    trace_sha256: str


@cache
def _image(key: str) -> bytes:
    """A database that has been made for this key and has seen nothing yet."""
    money.arm()
    store = SqliteStore.in_memory()
    with store.transaction() as tx:
        tx.put_identity(
            BookIdentity(
                book_id=BOOK_ID,
                mode="demo",
                venue_host="127.0.0.1",
                key_fingerprint=key_fingerprint(Secret(key)),
                created_at_ms=EPOCH_MS,
            )
        )
    image = store.image()
    store.close()
    return image


class NoLog:
    """`Log` that keeps nothing."""

    def debug(self, event: str, **fields: object) -> None:
        """Gone."""

    info = warning = error = debug


class World:
    """`run` it once. `script` replays firings in place of chance; `only` leaves these faults in the swarm."""

    def __init__(
        self,
        seed: int,
        *,
        cycles: int | None = None,
        only: Collection[str] | None = None,
        script: Sequence[Firing] | None = None,
    ) -> None:
        self.seed = seed
        self.swarm = draw_swarm(seed, cycles, frozenset(FAULTS) if only is None else frozenset(only))
        self.cycle = _NOT_STARTED
        self.fired: list[Firing] = []
        self.counts: Counter[str] = Counter()
        self.trace: list[str] = [f"seed {seed} {self.swarm.described()}"]
        self.crashes = 0
        self.is_healing = False
        self.paused_ms = 0
        self.kill_since: int | None = None
        self.points_passed = 0
        self.safe_mode_left = 0
        self.skew_ms = self.swarm.skew_ms
        self._script = None if script is None else {(f.cycle, f.place, f.nth, f.fault): f for f in script}
        self._chance = {name: Random(f"{seed}/{name}") for name in ("wire", "crash", "point", "beat")}  # noqa: S311
        self._menus: dict[tuple[str, str], list[tuple[int, Fault]]] = {}
        self._seen: defaultdict[str, int] = defaultdict(int)
        self._under_way: tuple[Fault, Firing, FaultRule | None] | None = None
        self._until: dict[str, int] = {}
        self._is_stormy = False
        self._replica: FaultRule | None = None
        self._minimums: dict[str, list[tuple[int, Decimal]]] = {}
        self._restarted_at_ms = -RULES_AGE_MS
        self._folder = Path(tempfile.mkdtemp(prefix="btcbot-world-", dir=_fast_folder()))
        key = f"world-{os.getpid()}"
        try:
            self.rig = Rig(
                self._folder,
                symbols=self.swarm.symbols,
                prices={symbol: PRICES[symbol] for symbol in self.swarm.symbols},
                balances=self.swarm.balances,
                strategy=self._strategy,
                cycle_seconds=self.swarm.cycle_seconds,
                nonce=self.swarm.nonce,
                engine=self.swarm.engine,
                image=_image(key),
                key=key,
                packs=self.swarm.packs,
                log=NoLog(),
                metrics=NullMetrics(),
                **self.swarm.settings,
            )
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        self.limits = limits_of(self.swarm.settings)
        skew = Firing(_NOT_STARTED, "start", 0, "venue_skew", (self.skew_ms,))
        if script is not None and skew not in script:
            self.skew_ms = 0
        if self.skew_ms:
            self.rig.venue.skew(self.skew_ms / 1_000)
            self._note(skew)
        self.checkers = Checkers(self)
        self.rig.venue.transport.meddler = self
        self.rig.points.watch = self._at_point

    def _strategy(self, settings: Settings) -> Strategy:
        profit = bootstrap.strategy_of(RUN, settings)
        match self.swarm.wishes:
            case "random":
                return RandomWishes(self)
            case "profit_v1":
                return profit
            case _:
                return BothWishes(self, RandomWishes(self), profit)

    # -- the whole story -------------------------------------------------------------------------------------------

    def run(self) -> Story:
        violation: tuple[str, str] | None = None
        try:
            self._calm_cycle()
            self._storm()
            self._heal("heal")
            self._second_life()
            self._idempotence()
        except Violated as violated:
            violation = (violated.invariant, violated.text)
        except Exception as error:  # noqa: BLE001 (whatever the bot lets out is what we look for)
            violation = ("I0", f"{type(error).__name__}: {error}")
        finally:
            self.rig.points.watch = None
            self.rig.close()
            shutil.rmtree(self._folder)
        if violation is not None:
            self._tell(f"VIOLATED {violation[0]}")
        return Story(
            seed=self.seed,
            violation=violation,
            fired=self.fired,
            faults=self.counts,
            crashes=self.crashes,
            submits=sum(self.rig.venue.transport.posts.values()),
            fills=len(self.checkers.fills),
            cycles=self.cycle,
            trace=self.trace,
            trace_sha256=hashlib.sha256("\n".join(self.trace).encode()).hexdigest(),
        )

    def _calm_cycle(self) -> None:
        """The opening balances are booked before anything moves: what they are made of cannot be told later."""
        self._cycle()

    def _storm(self) -> None:
        self._is_stormy = True
        for number in range(self.swarm.cycles):
            self.cycle = number
            self._seen.clear()
            self._market()
            self._beats()
            self._cycle()
        self._is_stormy = False

    def _heal(self, name: str) -> None:
        self._tell(name)
        rig = self.rig
        rig.venue.clear_faults()
        rig.disk_is_full = rig.disk_is_busy = False
        rig.stop.clear()
        rig.clock.set_right()
        self._kill_off()
        for symbol in self.swarm.symbols:
            self._pair(symbol).halted = False
        rig.crash()
        self._safe_mode_off()
        self._start()
        for order in rig.venue.working():
            if order.client_id not in self.checkers.ours:
                rig.venue.cancel(order.id)  # other people go home too: nothing may trade while books are compared
        rig.venue.simulator.engine.settle_everything(rig.clock.true_ms())
        rig.strategy.is_muted = self.is_healing = True
        for _ in range(HEAL_CYCLES_MAX):
            self.cycle += 1
            has_completed = self._cycle(HEAL_SECONDS)
            if (
                has_completed
                and not rig.store.orders(tuple(OPEN))
                and not rig.store.discrepancies()
                and rig.state() is not TradingState.FROZEN
            ):
                break
        else:
            left = [f"{order.client_order_id} is {order.status}" for order in rig.store.orders(tuple(OPEN))]
            raise Violated(
                "I7", f"not settled after {HEAL_CYCLES_MAX} clean cycles: {rig.state()}, {left or 'a difference'}"
            )
        self.checkers.at_rest()
        rig.strategy.is_muted = self.is_healing = False

    def _second_life(self) -> None:
        self._tell("second life")
        self.rig.restart()
        self.checkers.new_life()
        for _ in range(SECOND_LIFE_CYCLES):
            self.cycle += 1
            self._market()
            self._cycle()
        self._heal("heal again")

    def _idempotence(self) -> None:
        self._tell("idempotence")
        before = self._books()
        self.rig.strategy.is_muted = self.is_healing = True
        for _ in range(2):
            self.rig.restart()
            self.checkers.new_life()
            self.cycle += 1
            self._cycle(HEAL_SECONDS)
        after = self._books()
        if after != before:
            changed = [name for name in before if before[name] != after[name]]
            rows = [row for name in changed for row in after[name] if row not in before[name]]
            raise Violated("I7", f"two recoveries without any event changed {', '.join(changed)}: {rows[:2]}")

    def _books(self) -> dict[str, list[Any]]:
        disk = self.rig.disk
        tables: dict[str, list[Any]] = {name: disk.execute(f"SELECT * FROM {name}").fetchall() for name in _TABLES}  # noqa: S608
        values = disk.execute("SELECT name, value FROM named_values").fetchall()
        tables["named_values"] = sorted(row for row in values if row[0] not in _HEARTBEAT)
        return tables

    # -- one cycle -------------------------------------------------------------------------------------------------

    def _cycle(self, seconds: float | None = None) -> bool:
        """Run one, with its pause; whether it read all that it wanted to read."""
        rig = self.rig
        has_completed = False
        rig.venue.transport.deliver_late()
        self.checkers.cycle_begins()
        try:
            if not rig.is_up:
                self._start()
            report = rig.bot.run_cycle()
            counts = ",".join(f"{name}={count}" for name, count in report.counts.items() if count)
            reasons = ",".join(sorted({reason.partition(": ")[0] for reason in report.reasons}))
            self._tell(f"{report.outcome.value} {reasons} {counts}")
            has_completed = report.outcome is CycleOutcome.COMPLETED
            if report.outcome is CycleOutcome.HALTED:
                self._halted(report.reasons[-1])
        except Crash as crash:
            self._tell(f"crash {crash}")
            rig.crash()
        except StoreFailed:
            self._tell("store failed")
            rig.crash()
        if rig.stop.is_set():
            self._tell("ended on a signal")
            rig.crash()
            rig.stop.clear()
        rig.disk_is_full = rig.disk_is_busy = False
        pause_s = rig.cycle_seconds if seconds is None else seconds
        rig.wait(pause_s if rig.is_up else min(pause_s, self.swarm.restart_seconds))
        self.checkers.cycle_ended()
        return has_completed

    def _start(self) -> None:
        self._restarted_at_ms = self.rig.clock.true_ms()
        self.checkers.new_life()
        self.rig.start()

    def _halted(self, evidence: str) -> None:
        """An operator looks at it; only a key that was refused too often is nothing that we would call a defect."""
        if not evidence.startswith("I17") or "unauthorized" not in self.counts:
            raise Violated("HALT", evidence)
        self.rig.venue.clear_faults()
        self.rig.restart()
        self.checkers.new_life()
        self.rig.ask("resume", reason="the key is fine")

    @property
    def has_restarted_lately(self) -> bool:
        """Within the longest period of the venue's limits: a new process cannot know what the old one asked."""
        return self.rig.clock.true_ms() - self._restarted_at_ms < 61_000

    # -- market and beats ------------------------------------------------------------------------------------------

    def _market(self) -> None:
        random = Random(f"{self.seed}/market/{self.cycle}")  # noqa: S311 (no secret)
        for symbol in self.swarm.symbols:
            if random.random() < 0.6:
                self._move(symbol, random.randint(-self.swarm.volatility_bps, self.swarm.volatility_bps))

    def _move(self, symbol: str, bps: int) -> None:
        pair = self._pair(symbol)
        places = pair.instrument.price_scale if pair.instrument.has_fraction else 0
        price = money.round_down(pair.price * (10_000 + bps) / 10_000, places)
        engine = self.rig.venue.simulator.engine
        engine.override_price(symbol, price, self.rig.clock.true_ms())

    def _beats(self) -> None:
        for name, due in list(self._until.items()):
            if self.cycle >= due:
                del self._until[name]
                self._end(name)
        for fault in FAULTS.values():
            if fault.site == "beat":
                firing = self._occasion("beat", f"beat:{fault.name}", "beat")
                if firing is not None and _BEATS[firing.fault](self, firing.numbers):
                    self._note(firing)

    def _end(self, name: str) -> None:
        kind, _, symbol = name.partition(":")
        match kind:
            case "clock":
                self.rig.clock.set_right()
            case "kill":
                self._kill_off()
            case "safe":
                self.rig.crash()
                self._safe_mode_off()
            case "replica":
                if self._replica is not None:
                    self.rig.venue.simulator.faults.remove(self._replica.id)
            case "halt":
                self._pair(symbol).halted = False

    def _kill_off(self) -> None:
        self.kill_since = None
        self.rig.kill_switch().path.unlink(missing_ok=True)

    def _safe_mode_off(self) -> None:
        self.safe_mode_left = 0
        self.rig.environment["SAFE_MODE"] = "false"

    def _whole_fill(self, numbers: Numbers) -> bool:
        return self._fill(numbers[0], 1_000)

    def _human_cancel(self, numbers: Numbers) -> bool:
        working = self._our_working()
        if not working:
            return False
        order = working[numbers[0] % len(working)]
        return self._managed(lambda: self.rig.venue.cancel(order.id))

    def _price_jump(self, numbers: Numbers) -> bool:
        bps = numbers[1] * 10
        self._move(self._symbol(numbers[0]), bps if abs(bps) >= 300 else 300)
        return True

    def _maintenance(self, numbers: Numbers) -> bool:
        symbol = self._symbol(numbers[0])
        self._pair(symbol).halted = True
        self._until[f"halt:{symbol}"] = self.cycle + numbers[1]
        return True

    def _rules_change(self, numbers: Numbers) -> bool:
        symbol = self._symbol(numbers[0])
        told = self._minimums.setdefault(symbol, [])
        told.append((self.rig.clock.true_ms(), self._minimum(symbol)))
        self.rig.venue.change_minimum(symbol, str(numbers[1]))
        return True

    def _clock_forward(self, numbers: Numbers) -> bool:
        self.rig.clock.step(numbers[0] / 1_000)
        self._until["clock"] = self.cycle + numbers[1]
        return True

    def _clock_back(self, numbers: Numbers) -> bool:
        return self._clock_forward((-numbers[0], numbers[1]))

    def _safe_mode(self, numbers: Numbers) -> bool:
        self.rig.crash()
        self.rig.environment["SAFE_MODE"] = "true"
        self.safe_mode_left = numbers[0]
        self._until["safe"] = self.cycle + numbers[0]
        return True

    def _replica_lag(self, numbers: Numbers) -> bool:
        """All that the venue tells of the account comes from a replica that is behind."""
        if "replica" in self._until:
            return False
        lag_ms = self.swarm.lag_ms_max * numbers[0] // 1_000
        self._replica = self.rig.venue.simulator.faults.add("lag", method="GET", path_prefix="/api/v1", lag_ms=lag_ms)
        self._until["replica"] = self.cycle + numbers[1]
        return True

    def _cancel_all(self, numbers: Numbers) -> bool:
        rig = self.rig
        if not rig.is_up:
            return False
        self.checkers.cycle_begins()
        try:
            rig.ask("cancel", client_order_id="all")
        except (Crash, StoreFailed):
            rig.crash()
        return True

    # -- faults at points ------------------------------------------------------------------------------------------

    def _at_point(self, name: str) -> None:
        self.points_passed = len(self.rig.points.passed)
        if name == "after commit":
            self.trace.append("+" + ",".join(statement for statement, _ in self.rig.last_unit()))
            self.checkers.committed()
        if not self._is_stormy:
            return
        place = _place(name)
        crash = self._occasion("crash", f"crash:{place}", "point")
        if crash is not None:
            self.crashes += 1
            self._note(crash)
            raise Crash(name)
        firing = self._occasion("point", place, "point")
        if firing is not None and _POINTS[firing.fault](self, firing.numbers):
            self._note(firing)

    def _partial_fill(self, numbers: Numbers) -> bool:
        return self._fill(*numbers)

    def _fill(self, which: int, permille: int) -> bool:
        working = [order for order in self._our_working() if order.resting]
        if not working:
            return False
        order = working[which % len(working)]
        quantity = money.round_down(order.left * permille / 1_000, order.instrument.quantity_scale)
        if quantity <= 0 or self._pair(order.instrument.symbol).halted:
            return False
        self.rig.venue.fill(order, quantity)
        return True

    def _process_paused(self, numbers: Numbers) -> bool:
        self.rig.clock.advance(numbers[0] / 1_000)
        self.paused_ms += numbers[0]
        self.rig.venue.transport.deliver_late()
        return True

    def _disk_full(self, numbers: Numbers) -> bool:
        self.rig.disk_is_full = True
        return True

    def _disk_busy(self, numbers: Numbers) -> bool:
        self.rig.disk_is_busy = True
        return True

    def _sigterm(self, numbers: Numbers) -> bool:
        if self.rig.stop.is_set():
            return False
        self.rig.stop.set()
        return True

    def _kill_flip(self, numbers: Numbers) -> bool:
        if self.kill_since is not None:
            return False
        self.rig.kill_switch().path.touch()
        self.kill_since = self.points_passed
        self._until["kill"] = self.cycle + numbers[0]
        return True

    def _human_order(self, numbers: Numbers) -> bool:
        symbol = self._symbol(numbers[1])
        pair = self._pair(symbol)
        value = Decimal(100 + numbers[2])
        quantity = money.divide_down(value, pair.price, min(pair.instrument.quantity_scale, 6))
        side, best = ("buy", pair.best_ask()) if numbers[0] else ("sell", pair.best_bid())
        if best is None or quantity <= 0:
            return False
        text = money.plain(quantity), money.plain(best)
        return self._managed(lambda: self.rig.venue.human_orders(side, symbol, *text))

    def _deposit(self, numbers: Numbers) -> bool:
        self.rig.venue.deposit("TRY", money.plain(Decimal(numbers[0]) / 100))
        return True

    def _withdrawal(self, numbers: Numbers) -> bool:
        return self._managed(lambda: self.rig.venue.withdraw("TRY", str(numbers[0]), "1.25"))

    def _managed(self, act: Callable[[], object]) -> bool:
        """Whether the venue let somebody do it."""
        try:
            act()
        except AssertionError:
            return False
        return True

    def _our_working(self) -> list[Any]:
        return [order for order in self.rig.venue.working() if order.client_id in self.checkers.ours]

    def _pair(self, symbol: str) -> Pair:
        return self.rig.venue.simulator.engine.pairs[symbol]

    def _symbol(self, number: int) -> str:
        return self.swarm.symbols[number % len(self.swarm.symbols)]

    # -- faults on the wire (Meddler) ------------------------------------------------------------------------------

    def sends(self, name: str, request: Request) -> None:
        self._under_way = None
        self.checkers.leaves(request)
        if not self._is_stormy:
            return
        place = _place(name)
        firing = self._occasion("wire", place, "wire")
        if firing is None:
            return
        fault, faults = FAULTS[firing.fault], self.rig.venue.simulator.faults
        if firing.fault == "connect_failure":
            self._note(firing)
            self.trace.append(f"{self._time()} {name} no connection")
            raise httpx2.ConnectError("no route to the venue")
        rule: FaultRule | None = None
        if fault.rule is not None:
            kind, params = fault.rule(firing.numbers)
            told: Mapping[str, Any] = params
            if kind in ("lag", "hide_new"):
                told = {"lag_ms": self.swarm.lag_ms_max * firing.numbers[0] // 1_000}
            if kind == "unauthorized":
                rule = faults.add(kind, path_prefix="/api/v1", count=firing.numbers[0], **told)
            elif request.path == TIME_PATH:
                # All samples of one measurement, or the shortest trip would tell the truth.
                rule = faults.add(kind, path_prefix=request.path, count=TIME_SAMPLES, **told)
            else:
                rule = faults.add(kind, method=request.method, path_prefix=request.path, count=1, **told)
        self._under_way = (fault, firing, rule)

    def answers(self, name: str, request: Request, answer: Response) -> Response:
        if self._under_way is not None:
            (fault, firing, rule), self._under_way = self._under_way, None
            answer, has_fired = self._spoiled(fault, firing, rule, request, answer)
            if has_fired:
                self._note(firing)
        delivery = "" if answer.transport.delivery is Delivery.SEND else f" {answer.transport.delivery.value}"
        self.trace.append(f"{self._time()} {_place(name)} {answer.status} {len(answer.body)}{delivery}")
        return answer

    def arrives(self, name: str, request: Request, answer: Response) -> None:
        self.checkers.arrives(name, request, answer)

    def _spoiled(
        self, fault: Fault, firing: Firing, rule: FaultRule | None, request: Request, answer: Response
    ) -> tuple[Response, bool]:
        """The answer as it arrives, and whether the fault made a difference."""
        if rule is not None:
            if fault.name == "refused_but_placed":
                return answer, rule.hits > 0 and answer.fault == "refused_but_placed"
            return answer, rule.hits > 0
        if fault.remake is not None:
            if answer.status != 200:
                return answer, False
            body = fault.remake(answer.body, firing.numbers)
            if body == answer.body:
                return answer, False
            return Response(answer.status, body, answer.headers, answer.transport, fault.name), True
        if fault.name == "fill_while_cancelling":
            return answer, answer.status == 200 and self._fill_cancelled(request, firing.numbers[0])
        second = self.rig.venue.simulator.api.handle(request, self.rig.clock.true_ms(), resumed=True)
        return (second.via(second.transport, fault.name), True) if fault.name.endswith("answer") else (answer, True)

    def _fill_cancelled(self, request: Request, permille: int) -> bool:
        venue_order_id = int(request.query.partition("id=")[2])
        for order in self._our_working():
            if order.id == venue_order_id and order.resting and order.cancel_at_ms is not None:
                quantity = money.round_down(order.left * permille / 1_000, order.instrument.quantity_scale)
                if quantity > 0:
                    self.rig.venue.fill(order, quantity)
                    return True
        return False

    # -- chance ----------------------------------------------------------------------------------------------------

    def _occasion(self, concern: str, place: str, site: str) -> Firing | None:
        """Whether something strikes here and now, and what."""
        nth = self._seen[place]
        self._seen[place] = nth + 1
        if self._script is not None:
            for _, known in self._at(concern, place, site):
                found = self._script.get((self.cycle, place, nth, known.name))
                if found is not None:
                    return found
            return None
        menu = self._menus.get((concern, place))
        if menu is None:
            menu = self._menus[concern, place] = self._at(concern, place, site)
        if not menu:
            return None
        random = self._chance[concern]
        drawn = random.randrange(1_000_000)
        for ppm, fault in menu:
            if drawn < ppm:
                return Firing(self.cycle, place, nth, fault.name, fault.draw(random))
            drawn -= ppm
        return None

    def _at(self, concern: str, place: str, site: str) -> list[tuple[int, Fault]]:
        """The faults that may strike there, with their rates."""
        found = []
        bare = place.removeprefix("crash:")
        for fault in FAULTS.values():
            if fault.site != site or (fault.name == "crash") is not (concern == "crash") or not fault.at(bare):
                continue
            if site == "beat" and place != f"beat:{fault.name}":
                continue
            rate = self.swarm.rates.get(fault.name, 0)
            if rate or self._script is not None:
                found.append((rate, fault))
        return found

    def _note(self, firing: Firing) -> None:
        self.fired.append(firing)
        self.counts[firing.fault] += 1
        self.trace.append(f"{self._time()} ! {firing}")

    # -- words -----------------------------------------------------------------------------------------------------

    def _tell(self, text: str) -> None:
        self.trace.append(f"{self._time()} cycle {self.cycle}: {text}")

    def _time(self) -> int:
        return self.rig.clock.true_ms() - EPOCH_MS

    # -- what checkers ask -----------------------------------------------------------------------------------------

    def _minimum(self, symbol: str) -> Decimal:
        return self._pair(symbol).instrument.min_exchange_value

    def minimum_lately(self, symbol: str) -> Decimal:
        """The lowest minimum of the pair within the time for which the bot may believe rules."""
        since_ms = self.rig.clock.true_ms() - RULES_AGE_MS - 60_000
        lately = [value for changed_ms, value in self._minimums.get(symbol, ()) if changed_ms >= since_ms]
        return min([self._minimum(symbol), *lately])

    @staticmethod
    def transfer_name(transfer: Transfer) -> str:
        return f"{'fiat' if transfer.asset in FIAT else 'crypto'}:{transfer.id}"


def _place(name: str) -> str:
    """A point or request without ids: all single orders are one place."""
    head, slash, last = name.rpartition("/")
    return f"{head}/N" if slash and last.isdigit() else name


def _fast_folder() -> Path | None:
    memory = Path("/dev/shm")  # noqa: S108 (a folder of its own is made in it)
    return memory if memory.is_dir() else None


_BEATS: Final[Mapping[str, Callable[[World, Numbers], bool]]] = {
    "whole_fill": World._whole_fill,
    "human_cancel": World._human_cancel,
    "price_jump": World._price_jump,
    "maintenance": World._maintenance,
    "rules_change": World._rules_change,
    "clock_forward": World._clock_forward,
    "clock_back": World._clock_back,
    "safe_mode": World._safe_mode,
    "cancel_all": World._cancel_all,
    "replica_lag": World._replica_lag,
}
_POINTS: Final[Mapping[str, Callable[[World, Numbers], bool]]] = {
    "partial_fill": World._partial_fill,
    "process_paused": World._process_paused,
    "disk_full": World._disk_full,
    "disk_busy": World._disk_busy,
    "sigterm": World._sigterm,
    "kill_flip": World._kill_flip,
    "human_order": World._human_order,
    "deposit": World._deposit,
    "withdrawal": World._withdrawal,
}
