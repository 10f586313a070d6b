"""What the faults of the live feed do to a world, one method for each, under the fault's name.

They begin at any moment of the cycle or of the pause after it, and most of them wait for a frame to spoil. So a fault
counts when it has struck, which may be later than the occasion on which chance decided for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from btcbot.testing.bodies import Numbers
from btcbot.testing.fault import Firing
from btcturk_sim.feed.faults import FeedKind, FeedRule

if TYPE_CHECKING:
    from btcbot.testing.world import World

#: A rule that has met no frame after so many cycles is taken back.
RULE_CYCLES: Final = 3
_SNAPSHOT: Final = 431
_CHANGE: Final = 432
#: What is told with the time at which it happened: trades of the market, and our matches.
_TIMED: Final = (422, 423, 441)
_PRIVATE: Final = "private"
_REFUSALS: Final = (503, 500, 403, 429)
_NO_PRICES: Final = ("0", "-1", "-0.01", "", "1e99")
_BOOK_FIELDS: Final = ("P", "A", "CS", "PS")
_UNTRUE: Final = (("amount", "999"), ("price", "1"), ("id", "1"), ("orderId", "7"), ("numLeft", "0"))
_GARBAGE: Final = ("", "[]", "null", "[432]", "[432,{}]", "NaN", "<html>busy</html>", '{"this": is not a frame')
#: More than the client's queue holds, and a frame longer than it reads.
_FLOOD_FRAMES: Final = 4_200
_HUGE_BYTES: Final = 1_100_000


class _Pending(msgspec.Struct):
    rule: FeedRule
    firing: Firing
    until: int


class FeedEffects:
    def __init__(self, world: World) -> None:
        self._world = world
        self._rig = world.rig
        self._feed = world.rig.venue.simulator.feed
        self._pending: list[_Pending] = []
        self._until: dict[str, tuple[int, Callable[[], None]]] = {}

    def strike(self, firing: Firing) -> None:
        """Let it begin after the first of its numbers, in milliseconds."""
        # A fault is told by its name, in scripts too; here the method of that name does it.
        effect: Callable[[Firing, Numbers], None] = getattr(self, firing.fault)

        def begin() -> None:
            effect(firing, firing.numbers[1:])

        if self._rig.feed is None:
            begin()
        else:
            self._rig.feed.at(firing.numbers[0], begin)

    def look(self) -> None:
        """Tell of the rules that have struck by now, and take back those that waited in vain."""
        left = []
        for each in self._pending:
            if each.rule.hits:
                self._world.note(each.firing)
            elif self._world.cycle < each.until:
                left.append(each)
            else:
                self._feed.faults.remove(each.rule.id)
        self._pending = left

    def end_due(self) -> None:
        """A cycle is about to begin: what has lasted long enough ends."""
        for name, (due, end) in list(self._until.items()):
            if self._world.cycle >= due:
                del self._until[name]
                end()

    def end_all(self) -> None:
        self.look()
        self._pending.clear()
        self._feed.faults.clear()
        for _, end in self._until.values():
            end()
        self._until.clear()

    # -- how ---------------------------------------------------------------------------------------------------------

    def _at_once(self, firing: Firing, kind: FeedKind, **params: Any) -> None:
        if self._feed.strike(kind, self._rig.clock.true_ms(), **params):
            self._world.note(firing)

    def _rule(self, firing: Firing, kind: FeedKind, *, count: int = 1, **options: Any) -> None:
        rule = self._feed.faults.add(kind, count=count, **options)
        self._pending.append(_Pending(rule, firing, self._world.cycle + RULE_CYCLES))

    def _changes(self, firing: Firing, kind: FeedKind, which: int, count: int = 1, **params: object) -> None:
        """Of the changes of one pair's book."""
        self._rule(firing, kind, count=count, types=[_CHANGE], event=self._symbol(which), **params)

    def _events(self, firing: Firing, kind: FeedKind, count: int = 1, **params: object) -> None:
        """Of what is told of our account."""
        self._rule(firing, kind, count=count, channel=_PRIVATE, **params)

    def _reconnect(self) -> None:
        self._feed.strike(FeedKind.SOCKET_ABORTED, self._rig.clock.true_ms())

    def _symbol(self, number: int) -> str:
        symbols = self._world.swarm.symbols
        return symbols[number % len(symbols)]

    # -- connections -------------------------------------------------------------------------------------------------

    def feed_closed(self, firing: Firing, numbers: Numbers) -> None:
        self._at_once(firing, FeedKind.SOCKET_CLOSED)

    def feed_aborted(self, firing: Firing, numbers: Numbers) -> None:
        self._at_once(firing, FeedKind.SOCKET_ABORTED)

    def feed_half_open(self, firing: Firing, numbers: Numbers) -> None:
        self._at_once(firing, FeedKind.SOCKET_HALF_OPEN)

    def feed_heartbeat_lost(self, firing: Firing, numbers: Numbers) -> None:
        self._at_once(firing, FeedKind.HEARTBEAT_LOST)

    def feed_refused(self, firing: Firing, numbers: Numbers) -> None:
        status = _REFUSALS[numbers[1] % len(_REFUSALS)]
        self._rule(firing, FeedKind.CONNECT_REFUSED, count=numbers[0], status=status)
        self._reconnect()

    def feed_cut(self, firing: Firing, numbers: Numbers) -> None:
        if self._rig.feed_is_cut:
            return
        self._rig.cut_feed(is_cut=True)
        self._until["cut"] = self._world.cycle + numbers[0], lambda: self._rig.cut_feed(is_cut=False)
        self._world.note(firing)

    # -- frames of books ---------------------------------------------------------------------------------------------

    def feed_frames_lost(self, firing: Firing, numbers: Numbers) -> None:
        self._changes(firing, FeedKind.FRAME_LOST, *numbers)

    def feed_frame_doubled(self, firing: Firing, numbers: Numbers) -> None:
        self._changes(firing, FeedKind.FRAME_DOUBLED, numbers[0], times=numbers[1])

    def feed_frames_swapped(self, firing: Firing, numbers: Numbers) -> None:
        self._changes(firing, FeedKind.FRAMES_SWAPPED, *numbers)

    def feed_frames_late(self, firing: Firing, numbers: Numbers) -> None:
        self._changes(firing, FeedKind.FRAME_DELAYED, numbers[0], delay_ms=numbers[1])

    def feed_change_first(self, firing: Firing, numbers: Numbers) -> None:
        self._rule(firing, FeedKind.FRAMES_SWAPPED, types=[_SNAPSHOT])
        self._reconnect()

    def feed_snapshot_lost(self, firing: Firing, numbers: Numbers) -> None:
        self._rule(firing, FeedKind.FRAME_LOST, types=[_SNAPSHOT])
        self._reconnect()

    def feed_snapshot_stale(self, firing: Firing, numbers: Numbers) -> None:
        self._rule(firing, FeedKind.SNAPSHOT_STALE, types=[_SNAPSHOT], count=3)
        self._reconnect()

    def feed_books_stop(self, firing: Firing, numbers: Numbers) -> None:
        self._rule(firing, FeedKind.EVENTS_STOP, types=[_CHANGE])

    def feed_wrong_symbol(self, firing: Firing, numbers: Numbers) -> None:
        other = self._symbol(numbers[0] + 1) if numbers[1] else "GHOSTTRY"
        self._changes(firing, FeedKind.WRONG_SYMBOL, numbers[0], symbol=other)

    def feed_flood(self, firing: Firing, numbers: Numbers) -> None:
        self._changes(firing, FeedKind.FLOOD, numbers[0], frames=_FLOOD_FRAMES if numbers[1] else 100)

    def feed_crossed(self, firing: Firing, numbers: Numbers) -> None:
        self._changes(firing, FeedKind.BOOK_CROSSED, *numbers)

    def feed_no_price(self, firing: Firing, numbers: Numbers) -> None:
        field, value = _BOOK_FIELDS[numbers[1] % 2], _NO_PRICES[numbers[2] % len(_NO_PRICES)]
        self._changes(firing, FeedKind.VALUE_REPLACED, numbers[0], field=field, value=value)

    def feed_price_spike(self, firing: Firing, numbers: Numbers) -> None:
        self._changes(firing, FeedKind.PRICE_SPIKE, *numbers)

    def feed_wrong_type(self, firing: Firing, numbers: Numbers) -> None:
        field = _BOOK_FIELDS[numbers[1] % len(_BOOK_FIELDS)]
        self._changes(firing, FeedKind.TYPE_CHANGED, numbers[0], field=field)

    def feed_garbage(self, firing: Firing, numbers: Numbers) -> None:
        text = _GARBAGE[numbers[1] % len(_GARBAGE)]
        if numbers[2]:
            self._at_once(firing, FeedKind.GARBAGE, text=text)
        else:
            self._changes(firing, FeedKind.GARBAGE, numbers[0], text=text)

    def feed_frame_cut_off(self, firing: Firing, numbers: Numbers) -> None:
        self._changes(firing, FeedKind.FRAME_TRUNCATED, *numbers)

    def feed_huge(self, firing: Firing, numbers: Numbers) -> None:
        self._changes(firing, FeedKind.FRAME_HUGE, numbers[0], bytes=_HUGE_BYTES)

    def feed_deep(self, firing: Firing, numbers: Numbers) -> None:
        self._changes(firing, FeedKind.FRAME_DEEP, numbers[0])

    # -- what is told of our account ---------------------------------------------------------------------------------

    def feed_events_stop(self, firing: Firing, numbers: Numbers) -> None:
        self._events(firing, FeedKind.EVENTS_STOP, types=[441, 451, 452])

    def feed_events_lost(self, firing: Firing, numbers: Numbers) -> None:
        self._events(firing, FeedKind.FRAME_LOST, numbers[0])

    def feed_events_doubled(self, firing: Firing, numbers: Numbers) -> None:
        self._events(firing, FeedKind.FRAME_DOUBLED, numbers[0], times=numbers[1])

    def feed_events_late(self, firing: Firing, numbers: Numbers) -> None:
        self._events(firing, FeedKind.FRAME_DELAYED, delay_ms=numbers[0])

    def feed_time_back(self, firing: Firing, numbers: Numbers) -> None:
        by_ms, count = numbers
        self._rule(firing, FeedKind.TIME_BACK, count=count, types=_TIMED, by_ms=by_ms)

    def feed_events_early(self, firing: Firing, numbers: Numbers) -> None:
        """They come before the REST answer to what they tell of."""
        options = self._feed.options
        if not options.user_events_lag_ms or "early" in self._until:
            return
        self._feed.options = replace(options, user_events_lag_ms=0)

        def end() -> None:
            self._feed.options = options

        self._until["early"] = self._world.cycle + numbers[0], end
        self._world.note(firing)

    def feed_events_untrue(self, firing: Firing, numbers: Numbers) -> None:
        field, value = _UNTRUE[numbers[0] % len(_UNTRUE)]
        self._events(firing, FeedKind.VALUE_REPLACED, numbers[1], field=field, value=value)

    def feed_login_refused(self, firing: Firing, numbers: Numbers) -> None:
        self._rule(firing, FeedKind.LOGIN_REFUSED, count=numbers[0])
        self._reconnect()

    def feed_login_lost(self, firing: Firing, numbers: Numbers) -> None:
        self._at_once(firing, FeedKind.LOGIN_LOST, announced=bool(numbers[0]))
