"""A stance takes out what may not be wished, makes buys smaller, and leaves sells of inventory alone."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.builders import a_buy, a_sell
from tests.unit.decisions.test_allocation import facts, rules

from btcbot.decisions.allocation import allocate
from btcbot.decisions.draft import Draft
from btcbot.decisions.narrowing import Narrowing
from btcbot.domain.intents import Intent
from btcbot.domain.money import plain
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import FREE, Stance, TradingMode, strictest
from btcbot.domain.universe import Watched

REDUCING = Stance(mode=TradingMode.REDUCE_RISK_ONLY, reasons=("budget:exposure: too much",))


def narrowed(*intents: Intent, stance: Stance = FREE, universe: Watched | None = None) -> Draft:
    known = facts(stance=stance) if universe is None else facts(stance=stance, universe=universe)
    return Narrowing().shape(Draft(intents=intents), known)


def left(draft: Draft) -> list[tuple[str, str, str]]:
    return [(one.symbol, one.side.value, plain(one.quantity)) for one in draft.intents]


def refused(draft: Draft) -> list[tuple[str, ReasonCode]]:
    return [(one.intent.symbol, one.code) for one in draft.refused]


def test_a_free_stance_changes_nothing() -> None:
    draft = narrowed(a_buy("2"), a_sell("1"))
    assert left(draft) == [("ADATRY", "buy", "2"), ("ADATRY", "sell", "1")]
    assert (refused(draft), draft.cut) == ([], frozenset())


def test_observing_lets_nothing_through() -> None:
    draft = narrowed(a_buy("2"), a_sell("1"), stance=Stance(mode=TradingMode.OBSERVE_ONLY, reasons=("why",)))
    assert left(draft) == []
    assert [one.code for one in draft.refused] == [ReasonCode.OBSERVING] * 2
    assert {one.detail for one in draft.refused} == {"why"}


def test_reducing_risk_lets_sells_through() -> None:
    draft = narrowed(a_buy("2"), a_sell("1"), stance=REDUCING)
    assert left(draft) == [("ADATRY", "sell", "1")]
    assert refused(draft) == [("ADATRY", ReasonCode.REDUCE_ONLY)]


def test_a_barred_symbol_is_neither_bought_nor_sold() -> None:
    draft = narrowed(a_buy("2"), a_sell("1"), a_buy("2", symbol="BTCTRY"), stance=Stance(barred={"ADATRY": "refused"}))
    assert left(draft) == [("BTCTRY", "buy", "2")]
    assert refused(draft) == [("ADATRY", ReasonCode.BARRED)] * 2


def test_a_symbol_without_buys_is_sold_and_others_are_bought() -> None:
    stance = Stance(no_buys={"ADATRY": "budget:position_share: it is 45 % of the account, at most 40 %"})
    draft = narrowed(a_buy("2"), a_sell("1"), a_buy("2", symbol="BTCTRY"), stance=stance)
    assert left(draft) == [("ADATRY", "sell", "1"), ("BTCTRY", "buy", "2")]
    assert refused(draft) == [("ADATRY", ReasonCode.NO_BUYS)]
    assert draft.refused[0].detail == "budget:position_share: it is 45 % of the account, at most 40 %"


def test_what_is_wound_down_may_only_be_sold() -> None:
    universe = Watched(active=("BTCTRY",), watched=("BTCTRY", "ADATRY"))
    draft = narrowed(a_buy("2"), a_sell("1"), a_buy("2", symbol="ETHTRY"), universe=universe)
    assert left(draft) == [("ADATRY", "sell", "1")]
    assert refused(draft) == [("ADATRY", ReasonCode.NOT_SELECTED), ("ETHTRY", ReasonCode.NOT_SELECTED)]


def test_only_the_first_symbols_may_be_bought() -> None:
    draft = narrowed(
        a_buy("2"), a_buy("2", symbol="SOLTRY"), a_sell("1", symbol="SOLTRY"), stance=Stance(symbols_max=2)
    )
    assert left(draft) == [("ADATRY", "buy", "2"), ("SOLTRY", "sell", "1")]
    assert refused(draft) == [("SOLTRY", ReasonCode.SYMBOLS_CAP)]


def test_a_share_of_a_buy_is_ordered_and_sells_stay_whole() -> None:
    draft = narrowed(a_buy("3"), a_sell("3"), stance=Stance(buy_share=Decimal("0.5")))
    assert left(draft) == [("ADATRY", "buy", "1.5"), ("ADATRY", "sell", "3")]
    assert draft.cut == {draft.intents[0].intent_id}


def test_a_share_that_is_less_than_the_least_order_is_none() -> None:
    draft = narrowed(a_buy("1.5"), stance=Stance(buy_share=Decimal("0.5")))
    assert left(draft) == []
    assert refused(draft) == [("ADATRY", ReasonCode.MIN_NOTIONAL)]


def test_what_was_cut_is_never_lifted_again() -> None:
    """Half of 260 is 130; a least order of 200 of our own must not make 200 of it."""
    known = facts(stance=Stance(buy_share=Decimal("0.5")))
    draft = Narrowing().shape(Draft(intents=[a_buy("2.6")]), known)
    assert left(draft) == [("ADATRY", "buy", "1.3")]
    sized = allocate(draft, known, rules(order_notional_min="200"), {})
    assert (left(sized), refused(sized)) == ([], [("ADATRY", ReasonCode.ALLOCATION_MINIMUM)])


@pytest.mark.parametrize("turned", [False, True])
def test_stances_combine_to_the_strictest(turned: bool) -> None:
    some = [
        Stance(buy_share=Decimal("0.5"), cash_kept=Decimal(10), no_buys={"ADATRY": "a"}, reasons=("half",)),
        Stance(mode=TradingMode.REDUCE_RISK_ONLY, symbols_max=4, barred={"ADATRY": "a"}, reasons=("reduce", "half")),
        Stance(cash_kept=Decimal(7), symbols_max=8, barred={"BTCTRY": "b"}, no_buys={"ETHTRY": "e"}),
    ]
    found = strictest(reversed(some) if turned else some)
    assert (found.mode, found.buy_share, found.symbols_max) == (TradingMode.REDUCE_RISK_ONLY, Decimal("0.5"), 4)
    assert (found.cash_kept, found.barred) == (Decimal(10), {"ADATRY": "a", "BTCTRY": "b"})
    assert found.no_buys == {"ADATRY": "a", "ETHTRY": "e"}
    assert sorted(found.reasons) == ["half", "reduce"]
    assert strictest([]) == FREE
