"""I5, I6, I8, I13: what may leave at all, and how much of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from btcbot.testing.checkers.replacements import is_replacement
from btcbot.testing.checkers.scene import ZERO, Invariant, Scene, Sent
from btcturk_sim.money import exact
from btcturk_sim.orders import Side
from btcturk_sim.wire import Request

#: What a day may lose in TRY where no setting says otherwise.
DAILY_LOSS_MAX: Final = "500"


class I5Budget(Invariant):
    """Caps per order, cycle, pair, in all and per day, counted on what was sent and on what stands at the venue.

    Those of a cycle hold from one whole cycle to the next, whatever the feed woke in between.
    """

    name = "I5"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._sent_in_cycle = 0
        self._notional_in_cycle = ZERO

    def cycle_begins(self) -> None:
        self._sent_in_cycle, self._notional_in_cycle = 0, ZERO

    @exact
    def order_leaves(self, sent: Sent) -> None:
        limits, client, symbol = self.scene.stage.limits, sent.client, sent.symbol
        value = sent.value
        self._sent_in_cycle += 1
        self._notional_in_cycle += value
        if limits.per_order and value > limits.per_order:
            self.violated(f"{client} is worth {value}, at most {limits.per_order} per order")
        if self._sent_in_cycle > limits.orders_per_cycle:
            self.violated(f"{client} is number {self._sent_in_cycle} of its cycle")
        if self._notional_in_cycle > limits.per_cycle:
            self.violated(f"{self._notional_in_cycle} in one cycle, at most {limits.per_cycle}")
        working = self.scene.working()
        if sum(1 for one in working if one.instrument.symbol == symbol) + 1 > limits.open_per_symbol:
            self.violated(f"{client} makes more than {limits.open_per_symbol} open orders of {symbol}")
        if sent.side != "buy":
            return
        invested = {name: held.cost for name, held in self.scene.holdings.items()}
        for one in working:
            if one.side is Side.BUY:
                name = one.instrument.symbol
                invested[name] = invested.get(name, ZERO) + one.left * one.price
        invested[symbol] = invested.get(symbol, ZERO) + value
        if invested[symbol] > limits.position:
            self.violated(f"{client} brings {symbol} to {invested[symbol]}, at most {limits.position}")
        total = sum(invested.values(), ZERO)
        if total > limits.exposure:
            self.violated(f"{client} brings all to {total}, at most {limits.exposure}")
        self._day_allows(client)

    def _day_allows(self, client: str) -> None:
        """Stories lie within one day, which began with nothing: its result is what was paid, got and is left."""
        result, quantities = ZERO, dict.fromkeys(self.scene.pairs, ZERO)
        for fill in self.scene.fills.values():
            if fill.id in self.scene.booked:
                sign = 1 if fill.side is Side.BUY else -1
                quantities[fill.instrument.symbol] += sign * fill.quantity
                result -= sign * fill.quantity * fill.price + fill.fee + fill.tax
        eye, now_ms = self.scene.eye, self.scene.now_ms()
        fresh_ms = now_ms - self.scene.stage.limits.quote_age_ms // 2
        for symbol, quantity in quantities.items():
            if quantity:
                bid, ask, told_ms = self.scene.told.get(symbol, (ZERO, ZERO, 0))
                if not 0 < bid < ask or told_ms < fresh_ms:
                    return  # the bot may have valued it at an older price
                if eye is not None:  # or at one that the feed showed
                    tops = eye.tops(symbol, now_ms - 2 * self.scene.stage.limits.quote_age_ms, now_ms)
                    if tops is None:
                        return
                    bid = max([bid, *(top.bid for top in tops)])
                result += quantity * bid
        loss_max = Decimal(self.scene.rig.environment.get("MAX_DAILY_LOSS_TRY", DAILY_LOSS_MAX))
        if result <= -loss_max:
            self.violated(f"{client} leaves on a day that lost {-result}, at most {loss_max}")


class I6Gates(Invariant):
    """No write leaves while a gate is closed; one order at most after the word to stop."""

    name = "I6"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._since_stop = 0

    def new_life(self) -> None:
        self._since_stop = 0

    def order_leaves(self, sent: Sent) -> None:
        stage, rig, client = self.scene.stage, self.scene.rig, sent.client
        if stage.safe_mode_left:
            self.violated(f"{client} leaves in safe mode")
        if stage.is_healing and not is_replacement(sent):
            self.violated(f"{client} leaves although nothing was wished")
        state = self.scene.sql("SELECT value FROM named_values WHERE name = 'trading_state'")
        if state and state[0][0] in ("HALTED", "FROZEN"):
            self.violated(f"{client} leaves while {state[0][0]}")
        freeze = self.scene.sql("SELECT value FROM named_values WHERE name = 'order_freeze'")
        if freeze and freeze[0][0]:
            self.violated(f"{client} leaves while orders that nobody can explain freeze everything")
        skew_ms = rig.bot.exchange.health().clock_skew_ms
        if skew_ms is None or abs(skew_ms) >= 2_000:
            self.violated(f"{client} leaves with a clock skew of {skew_ms} ms")
        if rig.stop.is_set():
            self._since_stop += 1
            if self._since_stop > 1:
                self.violated(f"{client} is the second order to leave after the word to stop")

    def cancel_leaves(self, venue_order_id: int) -> None:
        if self.scene.stage.safe_mode_left:
            self.violated(f"a cancellation of {venue_order_id} leaves in safe mode")


class I8KillSwitch(Invariant):
    """No order leaves after the kill file, except the one that had its permit already."""

    name = "I8"

    def order_leaves(self, sent: Sent) -> None:
        since, passed = self.scene.stage.kill_since, self.scene.stage.points_passed
        if since is not None and since < passed:
            self.violated(f"{sent.client} leaves {passed - since} points after the kill file")


class I13DryRun(Invariant):
    """A dry run reads the market and nothing else: no signature, no write."""

    name = "I13"

    def request_leaves(self, request: Request) -> None:
        if self.scene.is_dry and (request.method != "GET" or request.stamp is not None or "/api/v1/" in request.path):
            self.violated(f"a dry run sends {request.method} {request.path}")
