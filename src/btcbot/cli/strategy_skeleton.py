"""What `btcbot strategy new` writes: a strategy that works, and the tests that show how it is meant."""

from __future__ import annotations

from string import Template
from typing import Final

STRATEGY: Final = Template('''"""$title: buy above the average of the closes, sell below it.

Change this text, the parameters, `signals` and `generate`; keep the tests beside it true.

    btcbot strategy show $file
    btcbot backtest DATA --strategy $file --param window=50
    STRATEGY=$file STRATEGY_PARAMS=window=50 btcbot run
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec

from btcbot.domain import money
from btcbot.domain.intents import Intent, Side
from btcbot.strategies import holdings
from btcbot.strategies.base import Signal, StrategyContext
from btcbot.strategies.holdings import Standing
from btcbot.strategies.parameters import Within
from btcbot.strategies.signals import Sma


class $title(msgspec.Struct, frozen=True, kw_only=True):
    """Buy above the average of the closes, sell below it."""

    name: ClassVar[str] = "$name"

    window: Annotated[int, Within(2, 1_000, "Bars of the average.", log=True)] = 20
    margin_bps: Annotated[Decimal, Within(0, 1_000, "Distance from the average that is left alone.")] = Decimal(10)
    entry_budget: Annotated[Decimal, Within(1, 1_000_000, "Value of a buy, fee included.")] = Decimal(500)

    def signals(self) -> Mapping[str, Signal]:
        """What is to be computed over the closed bars of each symbol; floats, for comparing."""
        return {"average": Sma(self.window)}

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        """Wishes, most wanted first. Everything that may be known is in `context`; prices and amounts are exact."""
        intents: list[Intent] = []
        spendable = context.spendable
        margin = float(self.margin_bps) / 10_000
        for symbol in sorted(context.symbols):
            signals, standing = context.signals.get(symbol), holdings.standing_of(context, symbol)
            if signals is None or standing in (Standing.BUSY, Standing.UNKNOWN):
                continue  # not warm yet, or an order is open, or there is no quote
            instrument, quote, bar = context.instruments[symbol], context.quotes[symbol], context.bars[symbol]
            away = float(bar.close) / signals["average"] - 1
            why = f"close {away * 10_000:.1f} bps from its average of {self.window} bars"
            if standing is Standing.HELD and away < -margin:
                held = holdings.held_of(context, symbol)
                intents.append(holdings.wish(context, self.name, quote, Side.SELL, quote.bid, held, why))
            elif standing is Standing.FLAT and away > margin:
                budget = min(spendable, self.entry_budget)
                quantity = holdings.affordable(instrument, budget, quote.ask, context.taker_rate)
                if quantity:
                    intents.append(holdings.wish(context, self.name, quote, Side.BUY, quote.ask, quantity, why))
                    spendable -= intents[-1].value * (money.ONE + context.taker_rate)
        return intents
''')

TESTS: Final = Template('''"""$title, told in closes. Run: python -m pytest $tests"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from btcbot.adapters.strategy_plugins import find
from btcbot.domain.intents import Side
from btcbot.errors import ConfigurationError
from btcbot.strategies.base import StrategyContext
from btcbot.strategies.scenes import a_scene

FOUND = find(str(Path(__file__).with_name("$file")))
STRATEGY = FOUND.make({"window": "4", "margin_bps": "10", "entry_budget": "500"})
FALLEN = ["100", "100", "100", "96"]  # 3 % below its average of 99
RISEN = ["100", "100", "100", "104"]  # 3 % above its average of 101


def test_a_flat_symbol_above_its_average_is_bought_at_the_ask_for_the_budget() -> None:
    """The ask is 104.052; one costs 104.3017248 with the fee of 24 bps, so 500 buy 4.79378457."""
    (intent,) = STRATEGY.generate(a_scene(STRATEGY, RISEN))

    assert (intent.side, intent.price, intent.quantity) == (Side.BUY, Decimal("104.052"), Decimal("4.79378457"))


def test_a_position_below_its_average_is_sold_whole_at_the_bid() -> None:
    (intent,) = STRATEGY.generate(a_scene(STRATEGY, FALLEN, held="5", cost="500"))

    assert (intent.side, intent.price, intent.quantity) == (Side.SELL, Decimal("95.952"), Decimal(5))


@pytest.mark.parametrize(
    "scene",
    [
        a_scene(STRATEGY, FALLEN),  # flat, and below
        a_scene(STRATEGY, RISEN, held="5", cost="500"),  # held, and above
        a_scene(STRATEGY, ["100", "100", "100", "100.05"]),  # within the margin
        a_scene(STRATEGY, RISEN, busy=True),
        a_scene(STRATEGY, RISEN, cash="99"),  # less than the venue's least order
        a_scene(STRATEGY, RISEN[1:]),  # too few bars for the average
    ],
)
def test_otherwise_nothing_is_wished(scene: StrategyContext) -> None:
    assert STRATEGY.generate(scene) == []


def test_the_same_scene_gives_the_same_wishes() -> None:
    scene = a_scene(STRATEGY, RISEN)

    assert STRATEGY.generate(scene) == STRATEGY.generate(scene)


def test_a_parameter_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="window=1 is outside its range"):
        FOUND.make({"window": "1"})
''')


def class_name(name: str) -> str:
    """`my_strategy` → `MyStrategy`."""
    return "".join(part.capitalize() for part in name.split("_"))


def written(name: str, folder: str) -> tuple[str, str]:
    """The strategy's module and its tests, as texts; `folder` is how the reader names the place of both."""
    prefix = "" if folder in ("", ".") else f"{folder.rstrip('/')}/"
    title = class_name(name)
    strategy = STRATEGY.substitute(title=title, name=name, file=f"{prefix}{name}.py")
    tests = TESTS.substitute(title=title, file=f"{name}.py", tests=f"{prefix}test_{name}.py")
    return strategy, tests
