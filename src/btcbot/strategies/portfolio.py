"""Portfolio: hold each symbol at its share of what is invested, whatever the market does.

What is invested is the account's worth (cash and positions at the mid) above `cash_target`; `targets` spreads it over
the symbols, or all of them have the same. A symbol that has drifted from its target by more than `drift` of it is
brought back to it: sells first, then buys, the larger difference before the smaller. A symbol that is winding down has
the target zero; one without a usable quote is left alone, and moves nobody else's target.

It needs no bars. Orders that work already are counted: where the profile looks after them, a symbol's order is wished
again as far as it is needed, else the symbol is left alone until the order has ended. While parameters are tuned, the
cash target, the offset, the turnover and the number of orders are the tuned ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec

from btcbot.domain.intents import Intent
from btcbot.strategies.base import StrategyContext
from btcbot.strategies.parameters import Meaning, Within
from btcbot.strategies.targets import Picture, picture_of, read_weights
from btcbot.strategies.towards import Corridor, Terms, wishes_towards


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """Hold each symbol at its share of what is invested."""

    name: ClassVar[str] = "portfolio"

    targets: Annotated[
        str, Meaning("Share of each symbol in what is invested, such as BTCTRY:0.6+ETHTRY:0.4; empty: all alike.")
    ] = ""
    drift: Annotated[
        Decimal, Within(0, 1, "Distance from its target, as a share of the target, up to which a symbol is left alone.")
    ] = Decimal("0.1")
    order_offset_bps: Annotated[
        Decimal, Within(0, 1_000, "Distance in bps of buys below and sells above the mid; 0: buy at ask, sell at bid.")
    ] = Decimal(5)
    cash_target: Annotated[Decimal, Within(0, 1_000_000_000, "Cash that is not invested.")] = Decimal(300)
    position_value_max: Annotated[
        Decimal,
        Within(1, 1_000_000_000, "Value of one position, at most; what it leaves over stays in cash.", log=True),
    ] = Decimal(5_000)
    turnover_max: Annotated[
        Decimal, Within(0, 1_000_000_000, "Value of the new orders of one cycle, at most; 0: no cap of its own.")
    ] = Decimal(0)
    orders_max: Annotated[int, Within(0, 100, "New orders of one cycle, at most; 0: no cap of its own.")] = 0
    spread_bps_max: Annotated[
        Decimal, Within("0.01", 10_000, "Spread in bps above which nothing is bought.", log=True)
    ] = Decimal(100)
    order_value_min: Annotated[
        Decimal, Within(0, 1_000_000_000, "Least value of an order; the venue's own minimum holds as well.")
    ] = Decimal(10)

    def __post_init__(self) -> None:
        read_weights(self.targets)

    def demand_symbols(self, symbols: Sequence[str]) -> None:
        """A slip in a name would sell the symbol that was meant, and leave its share in cash."""
        demand_traded(read_weights(self.targets), symbols)

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        picture = self.picture(context)
        corridors = {symbol: Corridor(target, target) for symbol, target in picture.targets.items()}
        return wishes_towards(context, picture, corridors, self.terms(context, self.name))

    def picture(self, context: StrategyContext) -> Picture:
        """What the account is worth, and what each symbol is to be worth."""
        cash_target = self.cash_target if context.tuning is None else context.tuning.cash_target
        return picture_of(context, read_weights(self.targets), cash_target, self.position_value_max)

    def terms(self, context: StrategyContext, name: str) -> Terms:
        """How orders are made, for the strategy of this name; what is tuned wins."""
        tuning = context.tuning
        return Terms(
            name=name,
            band=self.drift,
            offset_bps=self.order_offset_bps if tuning is None else tuning.order_offset_bps,
            order_value_min=self.order_value_min,
            turnover_max=(self.turnover_max or None) if tuning is None else tuning.turnover_per_cycle_max,
            orders_max=(self.orders_max or None) if tuning is None else tuning.orders_per_cycle_max,
            spread_bps_max=self.spread_bps_max,
            position_value_max=self.position_value_max,
        )


def demand_traded(weights: Mapping[str, Decimal], symbols: Sequence[str]) -> None:
    """Raise ValueError for a weight of a symbol that is not traded."""
    for symbol in weights:
        if symbol not in symbols:
            raise ValueError(f"targets names {symbol}, which is not traded; it is one of {', '.join(symbols)}")
