"""The course of a world, from its first cycle to its last.

    storm         faults, crashes, other people; safety is checked after every request and every commit
    heal          faults off, nothing wished; everything settles within a few cycles, and books equal the venue
    second life   another process on the same database trades a little, and settles
    idempotence   two more recoveries change nothing

How a cycle is lived is the world's business; here stands what comes after what, and what must be true at its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from btcbot.domain.cycles import CycleOutcome
from btcbot.domain.orders import OPEN
from btcbot.domain.reasons import TradingState
from btcbot.testing.chance import beat_of
from btcbot.testing.checkers import Violated
from btcbot.testing.faults import FAULTS

if TYPE_CHECKING:
    from btcbot.testing.world import World

HEAL_CYCLES_MAX: Final = 30
HEAL_SECONDS: Final = 12.0
SECOND_LIFE_CYCLES: Final = 4
#: The longest period of the venue's limits: for so long a new process cannot know what the old one asked.
LIMITS_SECONDS: Final = 61.0
#: What two recoveries without any event may write: reports, and marks of time.
_HEARTBEAT: Final = ("cycle_number", "marks", "nonce_mark_ms", "trades_cursor_ms", "self_check", "pnl_day",
                     "pnl_day_start", "trading_state_reason", "alert_memory")  # fmt: skip
#: And what overseers and universe keep of cycles as such: what each of them saw, and since when.
_OVERSEEN: Final = ("degrade", "universe_state", "adaptation_state", "refusal_bars", "order_freeze_watch",
                     "budget")  # fmt: skip
#: Trading states that each cycle decides anew, by its outcome.
_FOLLOWS_CYCLES: Final = frozenset({"ACTIVE", "OBSERVE_ONLY"})
_TABLES: Final = ("identity", "orders", "holds", "fills", "entries", "postings", "account_balances", "positions",
                  "verdicts", "discrepancies")  # fmt: skip
_BEATS: Final = tuple(beat_of(fault.name) for fault in FAULTS.values() if fault.site == "beat")
_FEED: Final = tuple(beat_of(fault.name) for fault in FAULTS.values() if fault.site == "feed")
#: After everything has healed, the feed serves every pair again within so many cycles: a connection that the venue
#: refused a minute long, a snapshot, and a comparison. And after its connection broke once more, within so many.
FEED_CYCLES_MAX: Final = 20
#: And so many after nothing is out of the ordinary, trading is as free as it was: the longest cooldown, an override
#: that still holds, and quiet cycles from the strictest level down.
FREE_CYCLES_MAX: Final = 30
#: And so many after that, no replacement is open: a new order of one may have been sent meanwhile, and has to go too.
REPLACEMENTS_CYCLES_MAX: Final = 15


def _weighed(values: Iterable[tuple[str, str]], *, is_overseen: bool) -> Iterator[tuple[str, str]]:
    """Named values without what quotes alone may move: the highest profit, by the marks of each cycle, and whether an
    overseen cycle observes only, as it does when what is held loses more than the budget of the day."""
    for name, value in values:
        if is_overseen and name == "trading_state" and value in _FOLLOWS_CYCLES:
            continue  # as if it had never been written, which it is not before a cycle first observes
        if name == "results":
            told = json.loads(value)
            yield name, json.dumps({field: one for field, one in told.items() if not field.startswith("peak")})
        else:
            yield name, value


class Course:
    """`run` takes a world from its first cycle to its last; `Violated` says what did not hold on the way."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._has_healed = False

    def run(self) -> None:
        self._calm_cycle()
        self._storm()
        self._heal("heal")
        self._second_life()
        self._idempotence()

    def _calm_cycle(self) -> None:
        """The opening balances are booked before anything moves: what they are made of cannot be told later."""
        self._world.live()

    def _storm(self) -> None:
        world = self._world
        world.is_stormy = True
        beats = [place for place in _BEATS if world.chance.may_strike("beat", place)]
        of_feed = [place for place in _FEED if world.chance.may_strike("feed", place)]
        for number in range(world.swarm.cycles):
            world.chance.begin(number)
            world.market.beat()
            world.effects.end_due()
            for place in beats:
                world.occasion("beat", place)
            if world.swarm.feed is not None:
                self._disturb_feed(of_feed)
            world.live()
            world.feed_effects.look()
        world.is_stormy = False

    def _disturb_feed(self, places: Sequence[str]) -> None:
        world = self._world
        world.feed_effects.end_due()
        for place in places:
            firing = world.chance.occasion("feed", place)
            if firing is not None:
                world.feed_effects.strike(firing)

    def _heal(self, name: str) -> None:
        world = self._world
        world.tell(name)
        rig = world.rig
        world.effects.end_all()
        world.feed_effects.end_all()
        rig.venue.clear_faults()
        rig.mend_disk()
        rig.stop.clear()
        rig.crash()
        rig.kill_switch().path.unlink(missing_ok=True)
        world.kill_since, world.is_kill_of_chain = None, False
        world.start()
        for order in rig.venue.working():
            if order.client_id not in world.checkers.ours:
                rig.venue.cancel(order.id)  # other people go home too: nothing may trade while books are compared
        rig.venue.simulator.engine.settle_everything(rig.clock.true_ms())
        world.look_for_a_halt()
        rig.strategy.is_muted = world.is_healing = True
        until_ms = rig.clock.true_ms() + round(HEAL_CYCLES_MAX * HEAL_SECONDS * 1_000)
        while rig.clock.true_ms() < until_ms:  # cycles that the feed brings forward take less time
            world.chance.cycle += 1
            self._operator_clears()
            has_completed = world.live(HEAL_SECONDS)
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
                "I7",
                f"not settled in the time of {HEAL_CYCLES_MAX} clean cycles: {rig.state()}, {left or 'a difference'}",
            )
        self._compare()
        if world.swarm.feed is not None and not self._has_healed:
            self._feed_serves("after everything has healed")
            if world.seed % 2:
                rig.venue.simulator.feed.strike("socket_aborted", rig.clock.true_ms())
                self._feed_serves("after its connection broke")
        if world.profile.is_overseen:
            self._grows_free()
            self._replacements_end()
        self._has_healed = True
        rig.strategy.is_muted = world.is_healing = False

    def _operator_clears(self) -> None:
        """Orders that nobody could explain are gone by now, or ours: a human has looked at them."""
        world = self._world
        if world.profile.is_overseen and world.rig.is_up and (keys := world.effects.frozen_keys()):
            world.rig.ask("freeze_clear", orders=",".join(keys))

    def _replacements_end(self) -> None:
        """With no order left there is nothing to wait for: each has its new order, or the first cycle that plans gives
        it up. One that its budget lets only observe plans nothing, and gives nothing up either."""
        world = self._world
        for _ in range(REPLACEMENTS_CYCLES_MAX):
            rows = world.rig.disk.execute("SELECT value FROM named_values WHERE name = 'replacements'").fetchall()
            if not rows or rows[0][0] in ("", "[]"):
                return
            world.chance.cycle += 1
            world.live(HEAL_SECONDS)
        if world.report is not None and world.report.outcome is CycleOutcome.COMPLETED:
            raise Violated("I7", f"everything is at rest, and a replacement is still open: {rows[0][0]}")

    def _grows_free(self) -> None:
        """What anomalies narrowed is given back, a level at a time, once nothing is out of the ordinary any more."""
        world, found = self._world, ""
        for _ in range(FREE_CYCLES_MAX):
            self._operator_clears()
            rows = world.rig.disk.execute("SELECT value FROM named_values WHERE name = 'degrade'").fetchall()
            machine = json.loads(rows[0][0])["machine"] if rows else {"level": 0}
            if not machine["level"] and not machine.get("override") and not machine.get("is_frozen"):
                return
            found = f"level {machine['level']}: {machine.get('why')}; {machine.get('codes')}"
            world.chance.cycle += 1
            world.live(HEAL_SECONDS)
        raise Violated("I26", f"still degraded after {FREE_CYCLES_MAX} clean cycles: {found}")

    def _feed_serves(self, when: str) -> None:
        """Every pair that has a market is quoted from the feed again, as the venue shows it."""
        world = self._world
        for _ in range(FEED_CYCLES_MAX):
            world.chance.cycle += 1
            world.live(HEAL_SECONDS)
            watched = world.swarm.symbols
            if world.profile.is_overseen and world.rig.is_up:  # it looks at those that it has chosen, and has
                watched = world.rig.bot.services.universe.current().watched
            report, pairs = world.report, {symbol: world.market.pair(symbol) for symbol in watched}
            wanted = {
                symbol: (bid, ask)
                for symbol, pair in pairs.items()
                if (bid := pair.best_bid()) is not None and (ask := pair.best_ask()) is not None
            }
            if report is None or report.counts["quotes_from_feed"] < len(wanted):
                continue
            if all(report.quotes.get(symbol) == prices for symbol, prices in wanted.items()):
                return
        raise Violated("I7", f"{when}, the feed does not serve {sorted(wanted)} within {FEED_CYCLES_MAX} clean cycles")

    def _second_life(self) -> None:
        world = self._world
        world.tell("second life")
        world.rig.restart()
        world.checkers.new_life()
        for _ in range(SECOND_LIFE_CYCLES):
            world.chance.cycle += 1
            world.market.beat()
            world.live()
        self._heal("heal again")

    def _idempotence(self) -> None:
        world = self._world
        world.tell("idempotence")
        if world.swarm.feed is not None:
            world.rig.wait(LIMITS_SECONDS)  # cycles that the feed brought forward have asked much of late
        before = self._books()
        world.rig.strategy.is_muted = world.is_healing = True
        for _ in range(2):
            world.rig.restart()
            world.checkers.new_life()
            world.chance.cycle += 1
            world.live(HEAL_SECONDS)
        after = self._books()
        if after != before:
            changed = [name for name in before if before[name] != after[name]]
            rows = [row for name in changed for row in after[name] if row not in before[name]]
            raise Violated("I7", f"two recoveries without any event changed {', '.join(changed)}: {rows[:2]}")
        self._compare()

    def _compare(self) -> None:
        world = self._world
        world.checkers.at_rest()
        world.comparisons += 1

    def _books(self) -> dict[str, list[Any]]:
        disk = self._world.rig.disk
        # The names are those above.
        tables: dict[str, list[Any]] = {name: disk.execute(f"SELECT * FROM {name}").fetchall() for name in _TABLES}  # noqa: S608 # nosec B608
        values = disk.execute("SELECT name, value FROM named_values").fetchall()
        # A process that lives on the feed alone observes until its books are compared.
        of_no_weight = (*_HEARTBEAT, "trading_state") if self._lives_on_feed else _HEARTBEAT
        is_overseen = self._world.profile.is_overseen
        if is_overseen:
            of_no_weight = (*of_no_weight, *_OVERSEEN)
        weighing = [row for row in values if row[0] not in of_no_weight]
        tables["named_values"] = sorted(_weighed(weighing, is_overseen=is_overseen))
        return tables

    @property
    def _lives_on_feed(self) -> bool:
        return self._world.swarm.settings.get("MARKET_DATA_MODE") == "ws"
