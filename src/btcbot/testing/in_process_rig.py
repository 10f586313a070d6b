"""A bot and its venue in one process, on one clock that a test turns: the same script gives the same run.

How the bot comes to life and ends stands in `in_process_life`. A story drives it like this, and ends with `faults()`,
the same judge for every story:

    rig.wish("buy", "0.0005", "1000500")
    rig.venue.fault("lost_after", "POST")
    rig.cycle()
    assert rig.order().status is OrderStatus.UNKNOWN
    rig.heal()
    assert rig.faults() == []
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.domain.cycles import CycleReport
from btcbot.domain.feed import Wake
from btcbot.domain.intents import Side
from btcbot.domain.orders import OPEN, Order, OrderStatus
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.loop import Pause, pause
from btcbot.services.operator import Answer, Request
from btcbot.testing import at_rest
from btcbot.testing.in_process_life import Life
from btcbot.testing.list_log import ListLog
from btcbot.testing.points import Crash

__all__ = ["HEAL_CYCLES_MAX", "ListLog", "Rig"]

HEAL_CYCLES_MAX: Final = 20
_NUMBERS: Final = itertools.count(1)


class Rig(Life):
    """A life, or one after the other, and what a story wants of it, asks of it and demands of it at the end."""

    # -- the story -------------------------------------------------------------------------------------------------

    def wish(self, side: str, quantity: str, price: str, symbol: str = "") -> None:
        """What the strategy wants in the next cycle that asks it."""
        self.strategy.wishes.append((Side(side), symbol or self.symbols[0], quantity, price))

    def cycle(self, times: int = 1) -> CycleReport:
        """Run cycles, with their pause; the last report."""
        for _ in range(times):
            self.venue.transport.deliver_late()
            report = self.bot.run_cycle()
            self.wait(self.cycle_seconds)
        return report

    def pause(self, seconds: float, run_cycle: Callable[[Wake], CycleReport] | None = None) -> CycleReport | None:
        """What the loop does between two ticks: wait on the feed, and run the cycles that it wakes.

        The report of the last one that it woke, None when it woke none. Ends early where the feed brings the next whole
        cycle forward. `run_cycle` None runs the bot's.
        """
        reports: list[CycleReport] = []

        def run(wake: Wake) -> CycleReport:
            reports.append((run_cycle or self.bot.run_cycle)(wake))
            return reports[-1]

        now_ns = self.clock.monotonic_ns()
        gap_ns, wake_ns = (round(seconds * 1e9) for seconds in (self.gap_seconds, self.wake_seconds))
        span = Pause(ends_ns=now_ns + round(seconds * 1e9), whole_from_ns=now_ns + gap_ns, wake_ns=wake_ns or None)
        pause(span, run, self.clock, self.stop, self.bot.waiting(self.stop))
        self.wait(0)
        return reports[-1] if reports else None

    def crashing_cycle(self) -> str:
        """Run a cycle that has to crash, drop the bot, and say where it crashed."""
        try:
            self.cycle()
        except Crash as crash:
            self.crash()
            self.points.watch = None
            self.wait(self.cycle_seconds)
            return str(crash)
        raise AssertionError("the cycle came to its end")

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.venue.transport.deliver_late()
        self.venue.simulator.engine.advance(self.clock.true_ms())

    def heal(self) -> None:
        """End all trouble and let the bot settle what is open: faults off, no new wish, cycles until nothing is open.

        Then two cycles more, which must not change the books: what is settled is settled (I7).
        """
        self.venue.clear_faults()
        self.points.watch = None
        self.mend_disk()
        self.strategy.is_muted = True
        if self._bot is None:
            self.start()
        for _ in range(HEAL_CYCLES_MAX):
            self.cycle()
            if not self.store.orders(tuple(OPEN)) and not self.store.discrepancies():
                break
        before = self.books()
        self.cycle(2)
        assert self.books() == before, "two cycles without any event changed the books"
        self.strategy.is_muted = False

    def books(self) -> tuple[object, ...]:
        """Everything that a recovery may change, apart from its own notes of absence."""
        store = self.store
        orders = [(o.client_order_id, o.status, o.filled_quantity, o.venue_order_id) for o in self.orders()]
        return orders, store.fills(), store.entries(), store.holds(), store.positions(), store.discrepancies()

    def ask(self, kind: str, **arguments: str) -> Answer:
        """What an operator's command does, when the bot is running."""
        request = Request(
            request_id=f"request-{next(_NUMBERS)}",
            kind=kind,
            arguments=arguments,
            made_at_ms=self.clock.now_ms(),
            wait_ms=60_000,
        )
        return self.bot.services.operator.answer(request)

    def kill_switch(self) -> FileKillSwitch:
        return self._kill_switch

    # -- what became of it -----------------------------------------------------------------------------------------

    def orders(self) -> list[Order]:
        """Oldest first."""
        return at_rest.orders_of(self.store)

    def order(self, number: int = -1) -> Order:
        return self.orders()[number]

    def statuses(self) -> list[OrderStatus]:
        return [order.status for order in self.orders()]

    def position(self, symbol: str = "") -> Position:
        symbol = symbol or self.symbols[0]
        return self.store.positions().get(symbol) or Position(symbol=symbol)

    def state(self) -> TradingState:
        return self.store.trading_state()[0]

    def verdicts(self) -> list[str]:
        """Codes of the last cycle's verdicts."""
        return [verdict.code for verdict in self.store.verdicts(self.store.cycles(1)[0].cycle_id)]

    # -- the judge -------------------------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """What is wrong now that everything has come to rest, one line each; empty is a pass."""
        return at_rest.faults(self.store, self.venue)

    def crooked_orders(self) -> list[str]:
        return at_rest.crooked_orders(self.store, self.venue)

    def crooked_stamps(self) -> list[str]:
        return at_rest.crooked_stamps(self.venue)
