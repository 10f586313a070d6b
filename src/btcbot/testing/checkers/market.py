"""I14, I15: every order fits today's rules and what we own, and stands on a sane and fresh book."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from btcbot.testing.checkers.scene import PREFIX, ZERO, Invariant, Sent
from btcturk_sim.money import exact
from btcturk_sim.orders import Side

#: Quotes may age by this much between the moment they are judged and the moment an order leaves.
QUOTE_MARGIN_MS: Final = 5_000
#: A request whose stamp is older than this cannot be accepted any more: the process stood still after its last look.
STAMP_TOLERANCE_MS: Final = 5_000


class I14Form(Invariant):
    """On tick and lot, above the minimum, inside the collar, and never more sold than was bought."""

    name = "I14"

    @exact
    def order_leaves(self, sent: Sent) -> None:
        client, symbol, price, quantity = sent.client, sent.symbol, sent.price, sent.quantity
        rules = self.scene.pairs[symbol].instrument
        if price % rules.price_step or quantity % Decimal(1).scaleb(-rules.quantity_scale):
            self.violated(f"{client}: {quantity} at {price} is off the tick or the lot")
        if price * quantity < self.scene.stage.minimum_lately(symbol):
            self.violated(f"{client} is worth {price * quantity}, below the venue's minimum")
        if sent.side == "sell":
            self._is_there(sent)
        told = self.scene.told.get(symbol)
        if told is None:
            return
        middle = (told[0] + told[1]) / 2
        if abs(price - middle) * 10_000 > (self.scene.stage.limits.collar_bps + Decimal("0.001")) * middle:
            self.violated(f"{client} at {price} is outside the collar around {middle}")

    def _is_there(self, sent: Sent) -> None:
        held = self.scene.holdings.get(sent.symbol)
        on_sale = sum(
            (one.left for one in self.scene.account.open_orders.values()
             if one.client_id.startswith(PREFIX) and one.side is Side.SELL and one.instrument.symbol == sent.symbol),
            ZERO,
        )  # fmt: skip
        owned = held.quantity if held else ZERO
        if on_sale + sent.quantity > owned:
            self.violated(f"{sent.client} sells {sent.quantity} of {sent.symbol}; {owned} owned, {on_sale} on sale")


class I15Quotes(Invariant):
    """A sane and fresh book of this very cycle stands behind every order.

    A process may stand still between its very last look and the socket; then the age of the stamp protects.
    """

    name = "I15"

    def order_leaves(self, sent: Sent) -> None:
        scene, client = self.scene, sent.client
        told = scene.told.get(sent.symbol)
        if told is None:
            self.violated(f"{client} leaves without a book of {sent.symbol} in this cycle")
        bid, ask, told_ms = told
        if not 0 < bid < ask:
            self.violated(f"{client} leaves on a book of {bid} / {ask}")
        can_be_accepted = abs(scene.now_ms() + scene.stage.skew_ms - sent.stamp) <= STAMP_TOLERANCE_MS
        age_ms = scene.now_ms() - told_ms
        if can_be_accepted and age_ms > scene.stage.limits.quote_age_ms + QUOTE_MARGIN_MS:
            self.violated(f"{client} leaves on a book that is {age_ms} ms old")
