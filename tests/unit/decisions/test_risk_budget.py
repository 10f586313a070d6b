"""How freely a cycle may trade, from what was lost, is held and was paid."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.decisions import risk_budget
from btcbot.decisions.risk_budget import BudgetFacts, BudgetLimits, judge, volatility
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import FREE, TradingMode

LIMITS = BudgetLimits(
    daily_loss_max=Decimal(1_000),
    drawdown_max=Decimal(3_000),
    drawdown_pct_max=Decimal(20),
    exposure_max=Decimal(20_000),
    position_pct_max=Decimal(40),
    fees_per_day_max=Decimal(150),
    loss_streak_at=3,
    loss_streak_buy_share=Decimal("0.5"),
    volatility_high=Decimal("0.02"),
    volatility_buy_share=Decimal("0.25"),
    buy_stop_daily_loss_pct=Decimal(5),
    buy_stop_drawdown_pct=Decimal(15),
)
CALM = BudgetFacts(
    daily_pnl=Decimal(0),
    equity=Decimal(50_000),
    drawdown=Decimal(0),
    drawdown_pct=Decimal(0),
    unmarked=(),
    is_holding=True,
    exposure=Decimal(10_000),
    worth={"BTCTRY": Decimal(5_000)},
    fees_today=Decimal(10),
    loss_streak=0,
    volatility=Decimal("0.001"),
)

OBSERVE, REDUCE, NORMAL = TradingMode.OBSERVE_ONLY, TradingMode.REDUCE_RISK_ONLY, TradingMode.NORMAL


def test_a_calm_account_trades_freely() -> None:
    assert judge(CALM, LIMITS) == FREE


@pytest.mark.parametrize(
    ("changes", "mode", "share", "reason"),
    [
        (
            {"daily_pnl": Decimal("-1000.5")},
            OBSERVE,
            "1",
            "budget:daily_loss: 1000.5 TRY lost today, the limit is 1000",
        ),
        (
            {"drawdown": Decimal(3_000)},
            REDUCE,
            "1",
            "budget:drawdown: 3000 TRY below the highest profit, the limit is 3000; raise RISK_MAX_DRAWDOWN_TRY, "
            "or measure from now on: «btcbot budget reset --reason …»",
        ),
        (
            {"drawdown_pct": Decimal("20.5"), "equity": None},
            REDUCE,
            "0",
            "budget:drawdown_share: 20.5 % of the account below the highest profit, the limit is 20 %; raise "
            "MAX_DRAWDOWN_PCT, or measure from now on: «btcbot budget reset --reason …»",
        ),
        (
            {"exposure": Decimal("20000.01")},
            REDUCE,
            "1",
            "budget:exposure: 20000.01 TRY in positions and open buys, at most 20000",
        ),
        (
            {"worth": {"BTCTRY": Decimal(20_005)}},
            NORMAL,
            "1",
            "budget:position_share: BTCTRY: it is 40.01 % of the account, at most 40 %",
        ),
        (
            {"fees_today": Decimal(150)},
            REDUCE,
            "1",
            "budget:fees_of_the_day: 150 TRY of fees today, the limit is 150",
        ),
        ({"loss_streak": 3}, NORMAL, "0.5", "budget:loss_streak: 3 losing round trips in a row, buys at 0.5"),
        (
            {"volatility": Decimal("0.02")},
            NORMAL,
            "0.25",
            "budget:volatility: results vary by 0.02 a cycle, high from 0.02; buys at 0.25",
        ),
        (
            {"daily_pnl": Decimal(-950), "equity": Decimal(18_050)},
            REDUCE,
            "0",
            "budget:no_buys_after_losses: 5 % of the account lost today, no buys from 5 %",
        ),
        (
            {"drawdown_pct": Decimal(15)},
            REDUCE,
            "0",
            "budget:no_buys_after_losses: 15 % of the account below the highest profit, no buys from 15 %; raise "
            "RISK_BUY_STOP_DRAWDOWN_PCT, or measure from now on: «btcbot budget reset --reason …»",
        ),
    ],
)
def test_each_limit_says_what_is_and_what_may_be(
    changes: dict[str, object], mode: TradingMode, share: str, reason: str
) -> None:
    stance = judge(replace(CALM, **changes), LIMITS)
    assert (stance.mode, stance.buy_share) == (mode, Decimal(share))
    assert stance.reasons[0] == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"daily_pnl": Decimal("-999.99")},
        {"drawdown": Decimal("2999.99")},
        {"drawdown_pct": Decimal("14.9999")},
        {"exposure": Decimal(20_000)},
        {"worth": {"BTCTRY": Decimal(20_000), "ETHTRY": Decimal(20_000)}},
        {"worth": {}},
        {"fees_today": Decimal("149.99")},
        {"loss_streak": 2},
        {"volatility": Decimal("0.0199")},
        {"volatility": None},
    ],
)
def test_just_within_a_limit_nothing_is_narrowed(changes: dict[str, object]) -> None:
    assert judge(replace(CALM, **changes), LIMITS) == FREE


def test_a_loss_of_the_lifetime_is_no_loss_of_today() -> None:
    """The book has lost 2,900 since it began, and nothing today."""
    assert judge(replace(CALM, drawdown=Decimal(2_900), drawdown_pct=Decimal("5.8")), LIMITS) == FREE


def test_a_held_symbol_without_a_price_stops_buying_and_nothing_else() -> None:
    stance = judge(
        replace(CALM, daily_pnl=None, equity=None, drawdown=None, drawdown_pct=None, unmarked=("ADATRY",)), LIMITS
    )
    assert stance.mode is REDUCE
    assert stance.reasons == (
        f"{ReasonCode.BUDGET_UNMARKED.value}: ADATRY has never shown a price, so today's loss is unknown",
    )


def test_without_a_fee_limit_fees_are_never_too_many() -> None:
    limits = replace(LIMITS, fees_per_day_max=Decimal(0))
    assert judge(replace(CALM, fees_today=Decimal(10_000)), limits) == FREE


def test_several_findings_leave_the_strictest_and_are_all_told() -> None:
    stance = judge(replace(CALM, daily_pnl=Decimal(-1_200), exposure=Decimal(30_000), loss_streak=4), LIMITS)
    assert (stance.mode, stance.buy_share) == (OBSERVE, Decimal("0.5"))
    assert [reason.split(":")[1] for reason in stance.reasons] == ["daily_loss", "exposure", "loss_streak"]


def test_an_account_that_is_worth_nothing_stops_buying() -> None:
    stance = judge(replace(CALM, daily_pnl=Decimal(-10), equity=Decimal(0), worth={"BTCTRY": Decimal(1)}), LIMITS)
    assert stance.mode is REDUCE
    assert stance.no_buys == {"BTCTRY": "budget:position_share: it is more than all, at most 40 %"}


@pytest.mark.parametrize("changes", [{"drawdown": Decimal(3_000)}, {"drawdown_pct": Decimal(20)}])
def test_after_a_deep_fall_what_is_held_can_be_sold_and_with_nothing_held_nothing_is_ordered(
    changes: dict[str, object],
) -> None:
    """It used to stop everything at once: what was held fell on, and no order of ours could sell it."""
    assert judge(replace(CALM, **changes), LIMITS).mode is REDUCE
    assert judge(replace(CALM, **changes, is_holding=False, worth={}), LIMITS).mode is OBSERVE


def test_a_position_that_is_too_large_stops_buys_of_its_own_symbol_and_of_no_other() -> None:
    """A target of 70 % under a limit of 40 % used to end all buying, of every pair, for good."""
    worth = {"BTCTRY": Decimal(20_001), "ETHTRY": Decimal(19_999), "XRPTRY": Decimal(30_000)}
    stance = judge(replace(CALM, worth=worth), LIMITS)
    assert (stance.mode, stance.buy_share, set(stance.no_buys)) == (NORMAL, 1, {"BTCTRY", "XRPTRY"})
    assert stance.no_buys["XRPTRY"] == "budget:position_share: it is 60 % of the account, at most 40 %"
    assert [reason.split(": ")[:2] for reason in stance.reasons] == [
        ["budget:position_share", "BTCTRY"],
        ["budget:position_share", "XRPTRY"],
    ]


@given(
    st.dictionaries(st.sampled_from(["ADATRY", "BTCTRY", "ETHTRY", "XRPTRY"]), st.decimals(1, 10_000, places=2)),
    st.decimals(1, 20_000, places=2),
    st.decimals(1, 100, places=1),
)
def test_exactly_those_above_the_share_are_not_bought(
    worth: dict[str, Decimal], equity: Decimal, most: Decimal
) -> None:
    stance = judge(replace(CALM, worth=worth, equity=equity), replace(LIMITS, position_pct_max=most))
    assert set(stance.no_buys) == {symbol for symbol, value in worth.items() if value * 100 > most * equity}
    assert stance.mode is NORMAL


_AMOUNT = st.decimals(min_value=0, max_value=50_000, places=2)


@given(_AMOUNT, _AMOUNT, st.integers(0, 10), st.decimals(0, "0.1", places=4))
def test_more_lost_never_frees_anything(lost: Decimal, more: Decimal, streak: int, varies: Decimal) -> None:
    less = judge(replace(CALM, daily_pnl=-lost, drawdown=lost, loss_streak=streak, volatility=varies), LIMITS)
    worse = judge(
        replace(CALM, daily_pnl=-lost - more, drawdown=lost + more, loss_streak=streak + 1, volatility=varies * 2),
        LIMITS,
    )
    order = list(TradingMode)
    assert worse.no_buys == less.no_buys
    assert order.index(worse.mode) >= order.index(less.mode)
    assert worse.buy_share <= less.buy_share


class TestVolatility:
    def points(self, *profits: int, equity: int = 10_000) -> list[tuple[Decimal, Decimal]]:
        return [(Decimal(profit), Decimal(equity + profit)) for profit in profits]

    def test_six_results_are_needed(self) -> None:
        assert volatility(self.points(0, 10, 0, 10, 0)) is None
        assert volatility(self.points(0, 10, 0, 10, 0, 10)) is not None

    def test_a_steady_gain_does_not_vary(self) -> None:
        steady = [(Decimal(number), Decimal(10_000)) for number in range(8)]
        assert volatility(steady) == 0

    def test_it_is_the_standard_deviation_of_returns(self) -> None:
        found = volatility([(Decimal(200 * (number % 2)), Decimal(10_000)) for number in range(7)])
        assert found == Decimal("0.021908902300"), "six returns of 2 % up and down"

    def test_a_deposit_is_no_return(self) -> None:
        calm = self.points(0, 0, 0, 0, 0, 0)
        deposited = [*calm[:3], *[(Decimal(0), Decimal(90_000))] * 3]
        assert volatility(deposited) == 0

    def test_an_account_of_nothing_gives_none(self) -> None:
        assert volatility(self.points(0, 0, 0, 0, 0, 0, equity=0)) is None

    def test_a_loss_of_everything_is_still_a_number(self) -> None:
        found = volatility([(Decimal(0), Decimal(100))] * 6 + [(Decimal(-200), Decimal(0))])
        assert found is not None and found > Decimal("0.8")
        assert risk_budget.judge(replace(CALM, volatility=found), LIMITS).buy_share == Decimal("0.25")
