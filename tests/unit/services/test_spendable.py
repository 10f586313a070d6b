"""What a strategy may spend: the free cash less the reserve, and less what an overseer keeps."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from tests.builders import NOW_MS, RATES, a_quote, an_account, an_instrument

from btcbot.domain.intents import Intent
from btcbot.domain.universe import Watched
from btcbot.services.strategy import StrategyService
from btcbot.strategies.base import StrategyContext


class Looks:
    """Wishes nothing, and remembers what it was shown."""

    name = "looks"

    def generate(self, context: StrategyContext) -> Sequence[Intent]:
        self.spendable, self.cash = context.spendable, context.cash
        return []


@pytest.mark.parametrize(
    ("free", "kept", "spendable"),
    [("1000", "0", "700"), ("1000", "72.50", "627.50"), ("350", "72.50", "0"), ("250", "0", "0")],
)
def test_a_reserve_of_300_and_what_is_kept_beside_it_are_not_to_be_spent(free: str, kept: str, spendable: str) -> None:
    """400 TRY more stand in orders: they are cash of the account, and nothing to spend."""
    strategy = Looks()
    symbols = ("ADATRY",)

    StrategyService(strategy, "TRY", Decimal(300)).generate(
        "c1",
        {"ADATRY": an_instrument()},
        {"ADATRY": a_quote()},
        an_account(TRY=(free, "400")),
        {},
        (),
        RATES.taker,
        Watched(active=symbols, watched=symbols),
        now_ms=NOW_MS,
        busy=frozenset(),
        cash_kept=Decimal(kept),
    )

    assert (strategy.spendable, strategy.cash) == (Decimal(spendable), Decimal(free) + 400)
