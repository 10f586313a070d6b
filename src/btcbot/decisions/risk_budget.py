"""The risk budget: how freely a cycle may trade, from what the book lost, holds and pays.

Three modes, each a stance that only narrows. A day that lost too much stops everything until it is over. A profit that
has fallen too far stops buying, so that what is held can be sold, and everything when nothing is held; no day ends
that, so its reason says how a human does. Too much at risk, or too much paid, stops buying; a position that is too
large a part of the account stops buying of its symbol alone; and what makes the next loss likely makes buys smaller.
What is unknown counts as too much, for buys: a held symbol that has never shown a price hides a loss.

    lost 1,200 today, limit 1,000       OBSERVE_ONLY       budget:daily_loss
    3,100 below the peak, limit 3,000   REDUCE_RISK_ONLY   budget:drawdown (OBSERVE_ONLY when nothing is held)
    positions of 21,000, limit 20,000   REDUCE_RISK_ONLY   budget:exposure
    BTCTRY is 45 %, limit 40 %          no buys of BTCTRY  budget:position_share
    three losing round trips in a row   buys at half size  budget:loss_streak
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.domain import money
from btcbot.domain.money import plain
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import Stance, TradingMode, of_symbols, stricter_mode

#: Fewer results than this tell nothing of how much they vary.
VOLATILITY_POINTS_MIN: Final = 6
PERCENT_PLACES: Final = 4
#: How a human lifts what no day and no sale lifts.
LIFT: Final = "or measure from now on: «btcbot budget reset --reason …»"
#: Decimals of a return, and of its standard deviation.
RETURN_PLACES: Final = 12


class BudgetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """From settings. Amounts in TRY, shares of the account in percent, parts of a buy from 0 to 1, volatility as the
    standard deviation of one cycle's return. `fees_per_day_max` zero: no such limit."""

    daily_loss_max: Decimal
    drawdown_max: Decimal
    drawdown_pct_max: Decimal
    exposure_max: Decimal
    position_pct_max: Decimal
    fees_per_day_max: Decimal
    loss_streak_at: int
    loss_streak_buy_share: Decimal
    volatility_high: Decimal
    volatility_buy_share: Decimal
    buy_stop_daily_loss_pct: Decimal
    buy_stop_drawdown_pct: Decimal


class BudgetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the budget looks at, in TRY. `daily_pnl` and `equity` are None, and so is the drawdown, while one of
    `unmarked` (held symbols that have never shown a price) hides the result. `is_holding`: there is a position that
    could be sold. `exposure` is what positions are worth with what open buys may add, `worth` that of each position by
    symbol, `fees_today` fees with tax. `volatility` None: too few results yet."""

    daily_pnl: Decimal | None
    equity: Decimal | None
    drawdown: Decimal | None
    drawdown_pct: Decimal | None
    unmarked: tuple[str, ...]
    is_holding: bool
    exposure: Decimal
    worth: Mapping[str, Decimal]
    fees_today: Decimal
    loss_streak: int
    volatility: Decimal | None


class _Finding(msgspec.Struct, frozen=True):
    code: ReasonCode
    detail: str
    mode: TradingMode = TradingMode.NORMAL
    buy_share: Decimal = money.ONE


def judge(facts: BudgetFacts, limits: BudgetLimits) -> Stance:
    """The strictest of all that was found; every finding is told."""
    findings = [*_losses(facts, limits), *_at_risk(facts, limits), *_sizes(facts, limits)]
    no_buys = _too_large(facts, limits)
    mode, share = TradingMode.NORMAL, money.ONE
    for finding in findings:
        mode, share = stricter_mode(mode, finding.mode), min(share, finding.buy_share)
    found = (f"{finding.code.value}: {finding.detail}" for finding in findings)
    return Stance(
        mode=mode,
        buy_share=share,
        no_buys=no_buys,
        reasons=(*found, *of_symbols(no_buys)),
    )


def _losses(facts: BudgetFacts, limits: BudgetLimits) -> list[_Finding]:
    """What stops everything, as soon as there is nothing left to sell; and what cannot be told, which stops buying."""
    found: list[_Finding] = []
    fallen = TradingMode.REDUCE_RISK_ONLY if facts.is_holding else TradingMode.OBSERVE_ONLY
    if facts.daily_pnl is None or facts.drawdown is None or facts.drawdown_pct is None:
        held = ", ".join(facts.unmarked) or "a held symbol"
        detail = f"{held} has never shown a price, so today's loss is unknown"
        return [_Finding(ReasonCode.BUDGET_UNMARKED, detail, TradingMode.REDUCE_RISK_ONLY)]
    lost = -facts.daily_pnl
    if lost >= limits.daily_loss_max:
        detail = f"{plain(lost)} TRY lost today, the limit is {plain(limits.daily_loss_max)}"
        found.append(_Finding(ReasonCode.BUDGET_DAILY_LOSS, detail, TradingMode.OBSERVE_ONLY))
    if facts.drawdown >= limits.drawdown_max:
        detail = f"{plain(facts.drawdown)} TRY below the highest profit, the limit is {plain(limits.drawdown_max)}"
        detail += f"; raise RISK_MAX_DRAWDOWN_TRY, {LIFT}"
        found.append(_Finding(ReasonCode.BUDGET_DRAWDOWN, detail, fallen))
    if facts.drawdown_pct >= limits.drawdown_pct_max:
        detail = (
            f"{plain(facts.drawdown_pct)} % of the account below the highest profit, the limit is "
            f"{plain(limits.drawdown_pct_max)} %; raise MAX_DRAWDOWN_PCT, {LIFT}"
        )
        found.append(_Finding(ReasonCode.BUDGET_DRAWDOWN_SHARE, detail, fallen))
    return found


def _at_risk(facts: BudgetFacts, limits: BudgetLimits) -> list[_Finding]:
    """What stops buying."""
    found: list[_Finding] = []
    reduce = TradingMode.REDUCE_RISK_ONLY
    if facts.exposure > limits.exposure_max:
        detail = f"{plain(facts.exposure)} TRY in positions and open buys, at most {plain(limits.exposure_max)}"
        found.append(_Finding(ReasonCode.BUDGET_EXPOSURE, detail, reduce))
    if limits.fees_per_day_max and facts.fees_today >= limits.fees_per_day_max:
        detail = f"{plain(facts.fees_today)} TRY of fees today, the limit is {plain(limits.fees_per_day_max)}"
        found.append(_Finding(ReasonCode.BUDGET_FEES, detail, reduce))
    return found


def _too_large(facts: BudgetFacts, limits: BudgetLimits) -> dict[str, str]:
    """The symbols whose position is too large a part of the account to be bought any more, each with why."""
    found: dict[str, str] = {}
    if facts.equity is None:
        return found
    for symbol, worth in sorted(facts.worth.items()):
        if worth * 100 > limits.position_pct_max * facts.equity:
            share = f"{plain(_percent(worth, facts.equity))} % of the account" if facts.equity > 0 else "more than all"
            found[symbol] = (
                f"{ReasonCode.BUDGET_POSITION_SHARE.value}: it is {share}, at most {plain(limits.position_pct_max)} %"
            )
    return found


def _sizes(facts: BudgetFacts, limits: BudgetLimits) -> list[_Finding]:
    """What makes buys smaller, down to none."""
    found: list[_Finding] = []
    if facts.loss_streak >= limits.loss_streak_at:
        detail = f"{facts.loss_streak} losing round trips in a row, buys at {plain(limits.loss_streak_buy_share)}"
        found.append(_Finding(ReasonCode.BUDGET_LOSS_STREAK, detail, buy_share=limits.loss_streak_buy_share))
    if facts.volatility is not None and facts.volatility >= limits.volatility_high:
        detail = (
            f"results vary by {plain(facts.volatility)} a cycle, high from {plain(limits.volatility_high)}; "
            f"buys at {plain(limits.volatility_buy_share)}"
        )
        found.append(_Finding(ReasonCode.BUDGET_VOLATILITY, detail, buy_share=limits.volatility_buy_share))
    stop, none = TradingMode.REDUCE_RISK_ONLY, money.ZERO
    if facts.daily_pnl is not None and facts.equity is not None and facts.daily_pnl < 0:
        lost, before = -facts.daily_pnl, facts.equity - facts.daily_pnl
        if lost * 100 >= limits.buy_stop_daily_loss_pct * before:
            share = f"{plain(_percent(lost, before))} %" if before > 0 else "more than all"
            detail = f"{share} of the account lost today, no buys from {plain(limits.buy_stop_daily_loss_pct)} %"
            found.append(_Finding(ReasonCode.BUDGET_BUY_STOP, detail, stop, none))
    if facts.drawdown_pct is not None and facts.drawdown_pct >= limits.buy_stop_drawdown_pct:
        detail = (
            f"{plain(facts.drawdown_pct)} % of the account below the highest profit, no buys from "
            f"{plain(limits.buy_stop_drawdown_pct)} %; raise RISK_BUY_STOP_DRAWDOWN_PCT, {LIFT}"
        )
        found.append(_Finding(ReasonCode.BUDGET_BUY_STOP, detail, stop, none))
    return found


def _percent(part: Decimal, whole: Decimal) -> Decimal:
    return money.divide_half_even(part * 100, whole, PERCENT_PLACES)


def volatility(points: Sequence[tuple[Decimal, Decimal]]) -> Decimal | None:
    """Standard deviation of the returns of cycles, from (profit, equity) of each, oldest first; rounded down.

    A return is what profit changed, over the equity before: a deposit is none. None for too few points.
    """
    if len(points) < VOLATILITY_POINTS_MIN:
        return None
    returns = [
        money.divide_half_even(profit - profit_before, equity_before, RETURN_PLACES)
        for (profit_before, equity_before), (profit, _) in itertools.pairwise(points)
        if equity_before > 0
    ]
    count = len(returns)
    if count < VOLATILITY_POINTS_MIN - 1:
        return None
    mean = money.divide_half_even(money.total(returns), Decimal(count), RETURN_PLACES)
    squares = money.total((one - mean) * (one - mean) for one in returns)
    variance = money.divide_down(squares, Decimal(count - 1), 2 * RETURN_PLACES)
    return Decimal(math.isqrt(int(variance.scaleb(2 * RETURN_PLACES)))).scaleb(-RETURN_PLACES)
