"""Which part of what was earned may be risked again."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from btcbot.decisions.self_financing import Capital, Cause, begin, follow
from btcbot.domain import money

SHARE = Decimal("0.6")
START = begin(equity=Decimal(10_000), unrealized=Decimal(0), realized=Decimal(0), transfers=Decimal(0))


def after(state: Capital, realized: str, transfers: str = "0") -> Capital:
    return follow(state, Decimal(realized), Decimal(transfers), SHARE)[0]


def told(state: Capital) -> tuple[Decimal, Decimal]:
    return state.capital, state.treasury


def test_profit_is_split() -> None:
    state, changes = follow(START, Decimal(100), Decimal(0), SHARE)
    assert told(state) == (10_060, 40)
    assert [(one.cause, one.amount, one.to_capital, one.to_treasury) for one in changes] == [
        (Cause.PROFIT, 100, 60, 40)
    ]


def test_a_loss_is_borne_by_the_capital_and_stops_nothing() -> None:
    """A total that falls is a loss, and no error."""
    state = after(after(START, "100"), "-50")
    assert told(state) == (9_910, 40)
    assert told(after(state, "-40")) == (9_916, 44)


def test_a_loss_beyond_the_capital_is_borne_by_the_treasury() -> None:
    state = after(after(START, "20000"), "-3000")
    assert told(state) == (0, 7_000)


def test_the_same_total_is_never_split_twice() -> None:
    once = after(START, "100")
    again, changes = follow(once, Decimal(100), Decimal(0), SHARE)
    assert (again, changes) == (once, ())


def test_what_was_earned_before_it_began_is_not_split() -> None:
    state = begin(equity=Decimal(10_500), unrealized=Decimal(200), realized=Decimal(300), transfers=Decimal(0))
    assert told(state) == (10_300, 0)
    assert told(after(state, "310")) == (10_306, 4)


def test_a_deposit_is_capital_and_a_withdrawal_takes_the_treasury_first() -> None:
    state = after(after(START, "100"), "100", "5000")
    assert told(state) == (15_060, 40)
    state, changes = follow(state, Decimal(100), Decimal(4_900), SHARE)
    assert told(state) == (15_000, 0)
    assert [(one.cause, one.to_capital, one.to_treasury) for one in changes] == [(Cause.WITHDRAWAL, -60, -40)]


def test_an_odd_split_leaves_the_rest_to_the_treasury() -> None:
    state = after(START, "0.0000000000000001")
    assert told(state) == (10_000, Decimal("0.0000000000000001"))


_TOTAL = st.decimals(min_value=-100_000, max_value=100_000, places=16)


@given(
    st.lists(st.tuples(_TOTAL, _TOTAL), max_size=10),
    st.decimals(min_value=0, max_value=1, places=4),
)
def test_a_split_never_makes_or_loses_money(totals: list[tuple[Decimal, Decimal]], share: Decimal) -> None:
    state = START
    for realized, transfers in totals:
        before = state
        state, changes = follow(state, realized, transfers, share)
        assert state.capital + state.treasury == START.capital + realized + transfers
        assert state.treasury >= 0
        assert money.total(one.amount for one in changes) == realized + transfers - (
            before.realized_seen + before.transfers_seen
        )
        for one in changes:
            assert one.to_capital + one.to_treasury == one.amount
        assert state.number == before.number + len(changes)
