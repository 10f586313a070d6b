"""Tilted portfolio: hold each symbol at its share, and lean against moves away from its average.

Two legs, one order. The rebalancing leg is that of `portfolio`: what is invested is spread by `targets`, and it buys
the first position as well. The mean reversion leg moves the targets: its anchor is the mean of the last
`reversion_window` closes, and z is the last close's distance from it in standard deviations of the same closes.

- At `reversion_entry_z` deviations below the average a symbol is worth having more of: its target is raised by `tilt`.
- As many above it, the target is lowered by `tilt`.
- In between, what was bought low is kept until the close is back at `reversion_exit_z` below the average, and what was
  sold high is left sold until it is as near from above: the symbol may be worth anything between its target and the
  tilted one.
- Before the average is warm, the target alone counts.

So a symbol is never wished to be bought and sold at once: the legs agree on one target before there is an order.

What is wished never adds up to more than is invested, however many symbols are low at once: raises share what the
targets of the others leave, each in proportion to itself. Where all are low none is, against the others, and nothing is
raised; but what was bought low before is kept. No symbol is raised above `position_share_max` of the account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, ClassVar

from btcbot.domain import money
from btcbot.domain.intents import Intent
from btcbot.strategies.base import Signal, StrategyContext
from btcbot.strategies.parameters import Within
from btcbot.strategies.portfolio import Portfolio
from btcbot.strategies.signals import AtLeast, AtMost, ZScore
from btcbot.strategies.targets import TRY_PLACES, Picture
from btcbot.strategies.towards import Corridor, wishes_towards


class TiltedPortfolio(Portfolio, frozen=True, kw_only=True):
    """Hold each symbol at its share of what is invested, with more of what fell below its average and less of what
    rose above it."""

    name: ClassVar[str] = "tilted_portfolio"

    tilt: Annotated[
        Decimal, Within(0, 1, "Share of a target by which it is raised or lowered; 0: the targets alone count.")
    ] = Decimal("0.3")
    position_share_max: Annotated[
        Decimal,
        Within(1, 100, "Percent of the account to which a target may be raised; a higher target is left as it is."),
    ] = Decimal(40)
    reversion_window: Annotated[int, Within(2, 10_000, "Bars of the average and of the deviation.", log=True)] = 60
    reversion_entry_z: Annotated[
        Decimal, Within("0.1", 10, "Standard deviations from the average at which a target is moved.", step="0.1")
    ] = Decimal(2)
    reversion_exit_z: Annotated[
        Decimal, Within(0, 10, "Standard deviations from the average within which it is moved back.", step="0.1")
    ] = Decimal(0)

    def __post_init__(self) -> None:
        Portfolio.__post_init__(self)
        if self.reversion_exit_z >= self.reversion_entry_z:
            raise ValueError(
                f"reversion_exit_z={money.plain(self.reversion_exit_z)} must be below "
                f"reversion_entry_z={money.plain(self.reversion_entry_z)}, or it would undo what it has just done"
            )

    def signals(self) -> Mapping[str, Signal]:
        return {
            "z": ZScore(self.reversion_window),
            "is_low": AtMost("z", -self.reversion_entry_z),
            "is_high": AtLeast("z", self.reversion_entry_z),
            "is_back_from_below": AtLeast("z", -self.reversion_exit_z),
            "is_back_from_above": AtMost("z", self.reversion_exit_z),
        }

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        picture = self.picture(context)
        return wishes_towards(context, picture, self.corridors(context, picture), self.terms(context, self.name))

    def corridors(self, context: StrategyContext, picture: Picture) -> Mapping[str, Corridor]:
        """Where each symbol is to be. The lower edges, up to which is bought, add up to `picture.invested` at most, or
        to the targets where those are more."""
        found = {symbol: self._corridor(context, symbol, picture) for symbol in picture.targets}
        raises = {
            symbol: corridor.least - picture.targets[symbol]
            for symbol, corridor in found.items()
            if corridor.least > picture.targets[symbol]
        }
        wanted = money.total(raises.values())
        room = max(picture.invested - money.total(one.least for one in found.values()) + wanted, money.ZERO)
        if wanted <= room:
            return found
        shared = {
            symbol: picture.targets[symbol] + money.divide_down(raised * room, wanted, TRY_PLACES)
            for symbol, raised in raises.items()
        }
        return {symbol: one._replace(least=shared.get(symbol, one.least)) for symbol, one in found.items()}

    def _corridor(self, context: StrategyContext, symbol: str, picture: Picture) -> Corridor:
        signals, target = context.signals.get(symbol), picture.targets[symbol]
        if signals is None:
            return Corridor(target, target)
        most = money.divide_down(picture.equity * self.position_share_max, Decimal(100), TRY_PLACES)
        raised = max(min(target * (money.ONE + self.tilt), most), target)
        lowered = target * (money.ONE - self.tilt)
        why = f"; close {signals['z']:.2f} deviations from its average of {self.reversion_window} bars"
        if signals["is_low"]:
            return Corridor(raised, raised, why)
        if signals["is_high"]:
            return Corridor(lowered, lowered, why)
        if not signals["is_back_from_below"]:
            return Corridor(target, raised, why)
        if not signals["is_back_from_above"]:
            return Corridor(lowered, target, why)
        return Corridor(target, target, why)
