"""What the faults of points and beats do to a world, one method for each, under the fault's name.

A method gets the numbers that chance drew and says whether it made a difference; only then the fault struck. What lasts
for some cycles ends in `end_due`, or in `end_all` when the world heals.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from btcbot.domain import money
from btcbot.errors import StoreFailed
from btcbot.testing.bodies import Numbers
from btcbot.testing.points import Crash
from btcbot.testing.profile_effects import ProfileEffects
from btcbot.testing.swarm import CHOICES, LIMITED, limits_of
from btcturk_sim.operations import Rules
from btcturk_sim.orders import Order

if TYPE_CHECKING:
    from btcbot.testing.world import World

#: A jump that is less than this would be the market's usual walk.
JUMP_BPS_MIN: Final = 300
#: How far from the market an order rests that somebody places by hand, in per cent.
RESTS_PERCENT: Final = 3
#: For how many cycles the operator thinks about a kill file that the bot has made.
CHAIN_CYCLES: Final = 3
#: What the list of pairs says of one that takes cancellations only; nobody knows what it would say.
_STATUSES: Final = ("TRADING", "CANCEL_ONLY")


class Effects(ProfileEffects):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._drift_ms = 0

    def end_due(self) -> None:
        if self._drift_ms:
            self._rig.clock.step(self._drift_ms / 1_000)
        super().end_due()

    # -- network and venue -----------------------------------------------------------------------------------------

    def network_down(self, numbers: Numbers) -> bool:
        transport = self._rig.venue.transport
        transport.is_up = False

        def end() -> None:
            transport.is_up = True

        self._lasts("network", numbers[0], end)
        return True

    def venue_down(self, numbers: Numbers) -> bool:
        return self._rule_lasts("venue", numbers[0], "html_before", status=503)

    def replica_lag(self, numbers: Numbers) -> bool:
        """All that the venue tells of the account comes from a replica that is behind."""
        lag_ms = self._world.swarm.lag_ms_max * numbers[0] // 1_000
        return self._rule_lasts("replica", numbers[1], "lag", method="GET", path_prefix="/api/v1", lag_ms=lag_ms)

    def cancel_only(self, numbers: Numbers) -> bool:
        symbol, status = self._symbol(numbers[0]), _STATUSES[numbers[2] % len(_STATUSES)]
        operations = self._rig.venue.simulator.operations
        operations.set_cancel_only(symbol, on=True, now_ms=self._rig.clock.true_ms(), status=status)

        def end() -> None:
            operations.set_cancel_only(symbol, on=False, now_ms=self._rig.clock.true_ms())

        self._lasts(f"cancel only {symbol}", numbers[1], end)
        return True

    def delisting(self, numbers: Numbers) -> bool:
        """The pair is gone, with its orders, and comes back later."""
        symbol = self._symbol(numbers[0])
        if self._pair(symbol).delisted:
            return False
        operations = self._rig.venue.simulator.operations
        operations.delist(symbol, self._rig.clock.true_ms())
        self._lasts(f"delisting {symbol}", numbers[1], lambda: operations.relist(symbol, self._rig.clock.true_ms()))
        return True

    def scales_change(self, numbers: Numbers) -> bool:
        """Tick or lot of a pair get coarser or finer, and the bot is restarted for it; resting orders stay.

        Without the restart the venue would refuse what does not fit, until the bot reads the rules again.
        """
        symbol = self._symbol(numbers[0])
        rules = self._pair(symbol).instrument
        step = 1 if numbers[2] else -1
        change: Rules = (
            {"price_scale": rules.price_scale + step} if numbers[1] else {"quantity_scale": rules.quantity_scale + step}
        )
        if numbers[1] and not rules.has_fraction:
            return False
        try:
            self._rig.venue.simulator.operations.change_rules(symbol, self._rig.clock.true_ms(), **change)
        except ValueError:  # no such scale
            return False
        self._rig.crash()
        return True

    def maintenance(self, numbers: Numbers) -> bool:
        symbol = self._symbol(numbers[0])
        pair = self._pair(symbol)
        pair.halted = True

        def end() -> None:
            pair.halted = False

        self._lasts(f"halt {symbol}", numbers[1], end)
        return True

    def rules_change(self, numbers: Numbers) -> bool:
        symbol = self._symbol(numbers[0])
        self._world.market.remember_minimum(symbol)
        self._rig.venue.change_minimum(symbol, str(numbers[1]))
        return True

    def price_jump(self, numbers: Numbers) -> bool:
        bps = numbers[1] * 10
        self._world.market.move(self._symbol(numbers[0]), bps if abs(bps) >= JUMP_BPS_MIN else JUMP_BPS_MIN)
        return True

    # -- time ------------------------------------------------------------------------------------------------------

    def clock_forward(self, numbers: Numbers) -> bool:
        self._rig.clock.step(numbers[0] / 1_000)
        self._lasts("clock", numbers[1], self._set_clock_right)
        return True

    def clock_back(self, numbers: Numbers) -> bool:
        return self.clock_forward((-numbers[0], numbers[1]))

    def clock_drifts(self, numbers: Numbers) -> bool:
        """So many milliseconds more, or less, in each cycle."""
        if not numbers[0]:
            return False
        self._drift_ms = numbers[0]
        self._lasts("clock", numbers[1], self._set_clock_right)
        return True

    def _set_clock_right(self) -> None:
        self._drift_ms = 0
        self._rig.clock.set_right()

    def process_paused(self, numbers: Numbers) -> bool:
        """With all of its threads: nothing of the feed is read, and no ping answered, until it goes on."""
        feed = self._rig.feed
        if feed is not None:
            feed.is_paused = True
        self._rig.clock.advance(numbers[0] / 1_000)
        if feed is not None:
            feed.is_paused = False
            feed.run()
        self._world.stood_still(numbers[0])
        self._rig.venue.transport.deliver_late()
        return True

    # -- disk ------------------------------------------------------------------------------------------------------

    def disk_full(self, numbers: Numbers) -> bool:
        self._rig.disk_is_full = True
        return True

    def disk_error(self, numbers: Numbers) -> bool:
        self._rig.disk_has_error = True
        return True

    def disk_error_after(self, numbers: Numbers) -> bool:
        self._rig.disk_has_error = self._rig.disk_error_comes_late = True
        return True

    def disk_busy(self, numbers: Numbers) -> bool:
        self._rig.disk_is_busy = True
        return True

    def disk_read_only(self, numbers: Numbers) -> bool:
        self._rig.disk_is_read_only = True
        self._lasts("disk", numbers[0], self._rig.mend_disk)
        return True

    # -- process ---------------------------------------------------------------------------------------------------

    def sigterm(self, numbers: Numbers) -> bool:
        if self._rig.stop.is_set():
            return False
        self._rig.stop.set()
        return True

    def kill_flip(self, numbers: Numbers) -> bool:
        world = self._world
        if world.kill_since is not None or self._rig.kill_switch().path.exists():
            return False
        self._rig.kill_switch().path.touch()
        world.kill_since = world.points_passed
        self._lasts("kill", numbers[0], self._kill_off)
        return True

    def lets_kill_file_go(self) -> None:
        """What the kill chain turned on, the operator turns off, where it does not do so itself."""
        self._lasts("chain", CHAIN_CYCLES, self._kill_off)

    def _kill_off(self) -> None:
        self._world.kill_since, self._world.is_kill_of_chain = None, False
        self._rig.kill_switch().path.unlink(missing_ok=True)

    def safe_mode(self, numbers: Numbers) -> bool:
        self._rig.crash()
        self._rig.environment["SAFE_MODE"] = "true"
        self._world.safe_mode_left = numbers[0]
        self._lasts("safe", numbers[0], self._safe_mode_off)
        return True

    def _safe_mode_off(self) -> None:
        self._rig.crash()
        self._world.safe_mode_left = 0
        self._rig.environment["SAFE_MODE"] = "false"

    def settings_change(self, numbers: Numbers) -> bool:
        """The next process has another cap, cooldown, age or collar than the last one."""
        name = LIMITED[numbers[0] % len(LIMITED)]
        value = str(CHOICES[name][numbers[1] % len(CHOICES[name])])
        environment = self._rig.environment
        if environment[name] == value:
            return False
        self._rig.crash()
        self._world.has_new_limits = True
        environment[name] = value
        self._world.limits = limits_of(environment)
        return True

    # -- other hands -----------------------------------------------------------------------------------------------

    def partial_fill(self, numbers: Numbers) -> bool:
        return self._fill(*numbers)

    def whole_fill(self, numbers: Numbers) -> bool:
        return self._fill(numbers[0], 1_000)

    def _fill(self, which: int, permille: int) -> bool:
        order = self._resting(which)
        if order is None:
            return False
        quantity = money.round_down(order.left * permille / 1_000, order.instrument.quantity_scale)
        if quantity <= 0 or not self._pair(order.instrument.symbol).is_trading:
            return False
        self._rig.venue.fill(order, quantity)
        return True

    def self_trade(self, numbers: Numbers) -> bool:
        """Somebody sells by hand what our resting order buys, or the other way round: both are one account."""
        order = self._resting(numbers[0])
        if order is None:
            return False
        left, side = order.left, "sell" if order.side.value == "buy" else "buy"
        texts = money.plain(left), money.plain(order.price)
        took = self._managed(lambda: self._rig.venue.human_orders(side, order.instrument.symbol, *texts))
        return took and bool(order.left < left)

    def human_cancel(self, numbers: Numbers) -> bool:
        working = self._world.our_working()
        if not working:
            return False
        order = working[numbers[0] % len(working)]
        return self._managed(lambda: self._rig.venue.cancel(order.id))

    def human_order(self, numbers: Numbers) -> bool:
        """At the best price of the other side, so that it trades."""
        return self._by_hand(numbers, 0)

    def human_rests(self, numbers: Numbers) -> bool:
        return self._by_hand(numbers, RESTS_PERCENT)

    def _by_hand(self, numbers: Numbers, away_percent: int) -> bool:
        symbol = self._symbol(numbers[1])
        pair = self._pair(symbol)
        side, best = ("buy", pair.best_ask()) if numbers[0] else ("sell", pair.best_bid())
        if best is None:
            return False
        percent = 100 - away_percent if numbers[0] else 100 + away_percent
        places = pair.instrument.price_scale if pair.instrument.has_fraction else 0
        price = money.round_down(best * percent / 100, places)
        quantity = money.divide_down(Decimal(100 + numbers[2]), pair.price, min(pair.instrument.quantity_scale, 6))
        if quantity <= 0 or price <= 0:
            return False
        texts = money.plain(quantity), money.plain(price)
        return self._managed(lambda: self._rig.venue.human_orders(side, symbol, *texts))

    def deposit(self, numbers: Numbers) -> bool:
        self._rig.venue.deposit("TRY", money.plain(Decimal(numbers[0]) / 100))
        return True

    def withdrawal(self, numbers: Numbers) -> bool:
        return self._managed(lambda: self._rig.venue.withdraw("TRY", str(numbers[0]), "1.25"))

    def cancel_all(self, numbers: Numbers) -> bool:
        """The operator's command."""
        rig = self._rig
        if not rig.is_up:
            return False
        self._world.checkers.cycle_begins()
        try:
            rig.ask("cancel", client_order_id="all")
        except (Crash, StoreFailed):
            rig.crash()
        return True

    def _resting(self, which: int) -> Order | None:
        resting = [order for order in self._world.our_working() if order.resting]
        return resting[which % len(resting)] if resting else None
