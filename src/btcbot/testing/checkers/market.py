"""I14, I15: every order fits today's rules and what we own, and stands on a sane and fresh book."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from btcbot.testing.checkers.scene import NEVER_PLACED, ZERO, Invariant, Sent, is_ours
from btcturk_sim.money import exact
from btcturk_sim.orders import Side

#: Quotes may age by this much between the moment they are judged and the moment an order leaves.
QUOTE_MARGIN_MS: Final = 5_000
#: A request whose stamp is older than this cannot be accepted any more: the process stood still after its last look.
STAMP_TOLERANCE_MS: Final = 5_000


class I14Form(Invariant):
    """On tick and lot, above the minimum, inside the collar, never more sold than was bought nor spent than is free."""

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
        self._is_free(sent)
        middles = self._middles(symbol)
        if middles and all(
            abs(price - middle) * 10_000 > (self.scene.stage.limits.collar_bps + Decimal("0.001")) * middle
            for middle in middles
        ):
            self.violated(f"{client} at {price} is outside the collar around {middles[0]}")

    def _is_free(self, sent: Sent) -> None:
        """The venue told how much is free; what has been ordered since then is spent, even before it says so."""
        scene = self.scene
        if scene.free_told is None:
            return
        spent: dict[str, Decimal] = {}
        for one in (*scene.sent_since, sent):
            if scene.statuses.get(one.client, ("", ZERO))[0] not in NEVER_PLACED:
                rules = scene.pairs[one.symbol].instrument
                asset, amount = (rules.quote, one.value) if one.side == "buy" else (rules.base, one.quantity)
                spent[asset] = spent.get(asset, ZERO) + amount
        for asset, amount in spent.items():
            free = scene.free_told.get(asset, ZERO)
            if amount > free:
                self.violated(f"{sent.client} makes {amount} {asset} ordered since the venue told of {free}")

    def _middles(self, symbol: str) -> list[Decimal]:
        """Around what the collar may lie: what REST told in this cycle, or what the feed showed in it."""
        scene = self.scene
        told = scene.told.get(symbol)
        tellings = [] if told is None else [told, *scene.told_before.get(symbol, ())]
        middles = [(bid + ask) / 2 for bid, ask, _ in tellings]
        if scene.eye is not None:
            tops = scene.eye.tops(symbol, scene.began_ms, scene.now_ms())
            if tops is None:
                return []  # whatever the bot has read there
            middles += [(top.bid + top.ask) / 2 for top in tops]
        return middles

    def _is_there(self, sent: Sent) -> None:
        held = self.scene.holdings.get(sent.symbol)
        on_sale = sum(
            (one.left for one in self.scene.account.open_orders.values()
             if is_ours(one.client_id) and one.side is Side.SELL and one.instrument.symbol == sent.symbol),
            ZERO,
        )  # fmt: skip
        owned = held.quantity if held else ZERO
        if on_sale + sent.quantity > owned:
            self.violated(f"{sent.client} sells {sent.quantity} of {sent.symbol}; {owned} owned, {on_sale} on sale")


class I15Quotes(Invariant):
    """A sane and fresh book of this very cycle stands behind every order, or one of the feed that may be traded on:
    whole, alive, and as REST showed it not long ago.

    A process may stand still between its very last look and the socket; then the age of the stamp protects.
    """

    name = "I15"

    def order_leaves(self, sent: Sent) -> None:
        why_not_rest = self._why_not_rest(sent)
        if why_not_rest is None:
            return
        eye = self.scene.eye
        if eye is None:
            self.violated(f"{sent.client} leaves {why_not_rest}")
        if not self._can_be_accepted(sent):
            return
        scene = self.scene
        check_ms = 1_000 * int(scene.rig.environment["BOOK_CHECK_SECONDS"])
        silence_ms, margin_ms = scene.stage.limits.quote_age_ms, scene.since_last_look_ms(sent.client)
        why_not_feed = eye.why_not(sent.symbol, scene.now_ms(), margin_ms, silence_ms, check_ms)
        if why_not_feed is not None:
            self.violated(f"{sent.client} leaves {why_not_rest}, and the feed {why_not_feed}")

    def _why_not_rest(self, sent: Sent) -> str | None:
        scene = self.scene
        told = scene.told.get(sent.symbol)
        if told is None:
            return f"without a book of {sent.symbol} in this cycle"
        whys = [self._why_not(sent, one) for one in (told, *scene.told_before.get(sent.symbol, ()))]
        return None if None in whys else whys[0]

    def _why_not(self, sent: Sent, told: tuple[Decimal, Decimal, int]) -> str | None:
        bid, ask, told_ms = told
        if not 0 < bid < ask:
            return f"on a book of {bid} / {ask}"
        age_ms = self.scene.now_ms() - told_ms
        if self._can_be_accepted(sent) and age_ms > self.scene.stage.limits.quote_age_ms + QUOTE_MARGIN_MS:
            return f"on a book that is {age_ms} ms old"
        return None

    def _can_be_accepted(self, sent: Sent) -> bool:
        return abs(self.scene.now_ms() + self.scene.stage.skew_ms - sent.stamp) <= STAMP_TOLERANCE_MS
