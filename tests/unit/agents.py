"""An agent's rules, and what it is asked: whole, plain values for examples."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec.structs import replace
from tests.builders import NOW_MS

from btcbot.decisions.agent import AgentRules
from btcbot.domain.agent import AgentQuestion, AskedWish
from btcbot.domain.intents import Side
from btcbot.domain.stance import TradingMode

#: Spreads up to 120 bps; no other rule.
RULES = AgentRules(
    observe_only=False,
    symbols=frozenset(),
    order_value_min=Decimal(0),
    order_value_max=Decimal(0),
    spread_bps_max=Decimal(120),
    drawdown_max=Decimal(0),
    cooldown_ms=0,
    unquoted_max=0,
)


def a_wish(number: int = 1, side: Side = Side.BUY, quantity: str = "2", **changes: Any) -> AskedWish:
    wish = AskedWish(
        number=number,
        symbol="ADATRY",
        side=side,
        price=Decimal(100),
        quantity=Decimal(quantity),
        spread_bps=Decimal(10),
        why="an example",
    )
    return replace(wish, **changes)


def a_question(*wishes: AskedWish, **changes: Any) -> AgentQuestion:
    question = AgentQuestion(
        cycle_id="c1",
        now_ms=NOW_MS,
        local_ms=NOW_MS,
        quote_asset="TRY",
        mode=TradingMode.NORMAL,
        free_cash=Decimal(1_000),
        equity=Decimal(1_000),
        drawdown=Decimal(0),
        brakes=(),
        unquoted=(),
        last_order_ms=None,
        wishes=wishes,
        positions=(),
    )
    return replace(question, **changes)
