"""A strategy that wishes what a story tells it to."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from btcbot.domain.intents import Intent, Side
from btcbot.strategies.base import Strategy, StrategyContext


class ScriptedStrategy:
    """Wishes what the story says for the next cycle, once; or what `inner` wishes; or, muted, nothing."""

    name = "script"

    def __init__(self, inner: Strategy | None) -> None:
        self.inner = inner
        self.wishes: list[tuple[Side, str, str, str]] = []
        self.is_muted = False

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        if self.is_muted:
            return []
        if self.inner is not None:
            return self.inner.generate(context)
        wishes, self.wishes = self.wishes, []
        return [
            Intent(
                intent_id=f"{context.cycle_id}:{self.name}:{number}",
                cycle_id=context.cycle_id,
                strategy=self.name,
                symbol=symbol,
                side=side,
                price=Decimal(price),
                quantity=Decimal(quantity),
                why="the script says so",
            )
            for number, (side, symbol, quantity, price) in enumerate(wishes)
        ]
