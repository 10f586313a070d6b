"""The invariants, each watched by code of its own that shares none with what it watches but the life cycle's table.

The watchers see three things: what really happens at the venue (the engine's events), what the bot sends and is told
(bytes), and what the database holds after a commit (SQL of their own). Who watches what stands in `WATCHERS`, in the
order in which they speak: where several would be right, the one whose promise is the narrower comes first.

I12 is `instances.one_writer`; I19 is two runs of a seed compared; I21 and I22 are proved on processes and disks; I26 is
what `course` demands of a world that has healed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from btcbot.testing.checkers.books import I2Fills, I3Balances, I4Entries, I16Foreign, I20Audit
from btcbot.testing.checkers.bounds import I11Stamps, I17Manners, I18Bounds
from btcbot.testing.checkers.brakes import I5Budget, I6Gates, I8KillSwitch, I13DryRun
from btcbot.testing.checkers.market import I14Form, I15Quotes
from btcbot.testing.checkers.orders import I1SentOnce, I7Settled, I9LifeCycle, I10Holds
from btcbot.testing.checkers.replacements import I5Replacements
from btcbot.testing.checkers.results import I25Results
from btcbot.testing.checkers.scene import (
    BALANCES_PATH,
    BOOK_PATH,
    PREFIX,
    Holding,
    Invariant,
    Scene,
    Stage,
    Violated,
    Written,
    is_ours,
)
from btcbot.testing.checkers.stance import I23Freeze, I23KillChain, I23Stance
from btcbot.testing.checkers.tuning import I24Tuning
from btcturk_sim.events import Event, OrderInserted, OrderMatched
from btcturk_sim.orders import Fill, Order
from btcturk_sim.wire import Delivery, Request, Response

__all__ = ["PREFIX", "WATCHERS", "Checkers", "Invariant", "Stage", "Violated"]

WATCHERS: Final[tuple[type[Invariant], ...]] = (
    I13DryRun,
    I11Stamps,
    I17Manners,
    I18Bounds,
    I16Foreign,
    I8KillSwitch,
    I1SentOnce,
    I9LifeCycle,
    I6Gates,
    I15Quotes,
    I14Form,
    I5Replacements,
    I5Budget,
    I23Stance,
    I23Freeze,
    I23KillChain,
    I24Tuning,
    I7Settled,
    I2Fills,
    I4Entries,
    I10Holds,
    I20Audit,
    I25Results,
    I3Balances,
)


class Checkers:
    """All watchers of one story. Its teller calls the moments; `Violated` is raised where a promise is broken."""

    def __init__(self, stage: Stage) -> None:
        self._scene = scene = Scene(stage)
        self.watchers = [watcher(scene) for watcher in WATCHERS]
        self._new_life = self._who("new_life")
        self._cycle_begins = self._who("cycle_begins")
        self._cycle_ended = self._who("cycle_ended")
        self._woken_begins = self._who("woken_begins")
        self._woken_ended = self._who("woken_ended")
        self._placed = self._who("placed")
        self._request_leaves = self._who("request_leaves")
        self._order_leaves = self._who("order_leaves")
        self._cancel_leaves = self._who("cancel_leaves")
        self._answer_arrives = self._who("answer_arrives")
        self._order_written = self._who("order_written")
        self._fill_written = self._who("fill_written")
        self._unit_committed = self._who("unit_committed")
        self._at_rest = self._who("at_rest")
        self._rig = scene.rig
        #: Orders that left in cycles that the feed woke.
        self.woken_submits = 0
        self._rig.venue.simulator.engine.listeners.append(self.on_event)

    def _who(self, moment: str) -> list[Callable[..., None]]:
        """Those who take this moment, a method of `Invariant` that their class has made its own, in their order."""
        return [
            getattr(watcher, moment)
            for watcher in self.watchers
            if getattr(type(watcher), moment) is not getattr(Invariant, moment)
        ]

    @property
    def ours(self) -> Mapping[str, Order]:
        """Our orders at the venue by client order id."""
        return self._scene.ours

    @property
    def fills(self) -> Mapping[int, Fill]:
        """The account's trades at the venue by trade id, those of other hands among them."""
        return self._scene.fills

    @property
    def partial(self) -> set[int]:
        """Venue ids of our orders that were filled in part at some time."""
        return self._scene.partial

    # -- moments ---------------------------------------------------------------------------------------------------

    def new_life(self) -> None:
        """Another process runs now."""
        self._scene.told, self._scene.told_before, self._scene.free_told = {}, {}, None
        self._scene.is_woken = False  # the cycle in which the last one ended, perhaps
        if self._scene.eye is not None:
            self._scene.eye.new_life()
        self._scene.catch_up()
        for watch in self._new_life:
            watch()

    def cycle_begins(self) -> None:
        self._scene.begin(is_woken=False)
        for watch in self._cycle_begins:
            watch()

    def cycle_ended(self) -> None:
        """A cycle came to its end, however, and its pause is over."""
        self._scene.catch_up()
        self._scene.calm_cycles = self._scene.calm_cycles + 1 if self._scene.stage.is_healing else 0
        for watch in self._cycle_ended:
            watch()

    def woken_begins(self) -> None:
        """The feed wakes a cycle in the pause after a whole one."""
        self._scene.begin(is_woken=True)
        for watch in self._woken_begins:
            watch()

    def woken_ended(self) -> None:
        """A cycle that the feed woke came to its end; one that crashes has none."""
        for watch in self._woken_ended:
            watch()
        self._scene.is_woken = False

    def on_event(self, event: Event) -> None:
        scene = self._scene
        if isinstance(event, OrderInserted):
            order = event.order
            if order.account is scene.account and is_ours(order.client_id):
                scene.ours.setdefault(order.client_id, order)
                for watch in self._placed:
                    watch(order)
        elif isinstance(event, OrderMatched) and event.account is scene.account:
            scene.fills[event.fill.id] = event.fill
            if is_ours(event.order.client_id):
                if event.order.left > 0:
                    scene.partial.add(event.order.id)
                scene.holdings.setdefault(event.order.instrument.symbol, Holding()).add(event.fill)

    def leaves(self, request: Request) -> None:
        """A request is about to leave the bot."""
        self._scene.asks(request.path)
        for watch in self._request_leaves:
            watch(request)
        if request.method == "POST":
            sent = self._scene.sent(request)
            self.woken_submits += self._scene.is_woken
            for watch in self._order_leaves:
                watch(sent)
            self._scene.sent_since.append(sent)
            self._scene.measuring_since_ms = None
        elif request.method == "DELETE":
            venue_order_id = int(request.query.partition("id=")[2])
            for watch in self._cancel_leaves:
                watch(venue_order_id)

    def arrives(self, name: str, request: Request, answer: Response) -> None:
        """An answer is about to reach the bot, as it left the hands of everybody on the way."""
        if answer.transport.delivery is not Delivery.SEND:
            return
        for watch in self._answer_arrives:
            watch(name, request, answer)
        if request.path == BALANCES_PATH:
            self._scene.balances_told(answer)
        elif request.path == BOOK_PATH:
            if answer.status == 200:
                self._scene.book_told(request, answer)
            elif self._scene.eye is not None and not self._rig.is_looking:
                self._scene.eye.failed()

    def committed(self) -> None:
        """A unit has been committed."""
        scene = self._scene
        unit: Sequence[tuple[str, Mapping[str, Any]]] = self._rig.last_unit()
        # What is known is told first: whoever forgives one watcher must not make the others blind.
        for statement, row in unit:
            if statement == "insert_entry":
                scene.entries.add(row["entry_id"])
            elif statement == "insert_fill":
                scene.booked.add(int(row["trade_id"]))
        for statement, row in unit:
            if statement == "insert_fill":
                for watch in self._fill_written:
                    watch(row)
            elif statement in ("insert_order", "update_order"):
                self._order_is_written(row)
        for watch in self._unit_committed:
            watch(unit)

    def _order_is_written(self, row: Mapping[str, Any]) -> None:
        scene = self._scene
        client, status, filled = row["client_order_id"], str(row["status"]), Decimal(row["filled_quantity"])
        written = Written(
            client=client,
            status=status,
            filled=filled,
            before=scene.statuses.get(client),
            at_venue=scene.ours.get(client),
        )
        scene.statuses[client] = (status, filled)
        scene.written_ms.setdefault(client, scene.now_ms())
        for watch in self._order_written:
            watch(written)

    def at_rest(self) -> None:
        """Nothing is under way any more: books and venue are equal."""
        for watch in self._at_rest:
            watch()
