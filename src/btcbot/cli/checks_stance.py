"""Checks of what a bot that runs may do: freeze, degrade level, trading state, risk budget.

A run may start with all of these and order nothing for hours. So none of them passes while it narrows: a WARN says what
ends it, and a FAIL that nothing ends it but a human. Everything is judged as it would be now, at the last prices seen
and by the limits that are set now: a loss of yesterday, or a fall that was measured anew, keeps nothing from trading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from btcbot.cli import reading
from btcbot.cli.checks import FAIL, PASS, WARN, Finding

if TYPE_CHECKING:
    from decimal import Decimal

    from btcbot.config.settings import Settings
    from btcbot.decisions.risk_budget import BudgetFacts
    from btcbot.ports import StateStore

UNFREEZE: Final = "«btcbot freeze status», then «btcbot freeze clear --yes»"
_SHOWN_OF_A_FREEZE: Final = 2
_AT_MIDNIGHT: Final = "ends at midnight in Istanbul, or when today's result is above the limit again"
#: What ends each finding of the budget that does not say so itself.
_ENDS: Final[Mapping[str, str]] = {
    "budget:daily_loss": _AT_MIDNIGHT,
    "budget:fees_of_the_day": "ends at midnight in Istanbul",
    "budget:exposure": "ends when positions and open buys are worth less",
    "budget:position_share": "ends when it is a smaller part of the account",
    "budget:missing_mark": "ends when it shows one",
    "budget:loss_streak": "ends with a round trip that gains",
    "budget:volatility": "ends when results vary less",
    "budget:no_buys_after_losses": _AT_MIDNIGHT,
}


def freeze(store: StateStore) -> Finding:
    from btcbot.services.freeze_record import read_freeze

    frozen = read_freeze(store)
    if frozen is None:
        return Finding(PASS, "freeze", "orders", "none is unexplained")
    shown = [f"{one.kind.value} {one.symbol}: {one.detail}" for one in frozen.orders[:_SHOWN_OF_A_FREEZE]]
    if len(frozen.orders) > _SHOWN_OF_A_FREEZE:
        shown.append(f"and {len(frozen.orders) - _SHOWN_OF_A_FREEZE} more")
    why = f"{len(frozen.orders)} that nobody can explain ({'; '.join(shown)})"
    return Finding(FAIL, "freeze", "orders", f"{why}; {UNFREEZE}")


def degrade(store: StateStore) -> Finding:
    """The level that anomalies or an override came to. What a freeze adds to it is the freeze's, which has its own line
    and is lifted by no `degrade clear`."""
    import msgspec

    from btcbot.decisions.degrade import level_in_force, why_in_force
    from btcbot.services.degrade_record import read_degrade

    now_ms = reading.now_ms()
    machine = msgspec.structs.replace(read_degrade(store, now_ms).machine, is_frozen=False)
    level = level_in_force(machine, now_ms)
    if level:
        why = why_in_force(machine, now_ms)
        mend = "see «btcbot degrade status»; wait, or «btcbot degrade clear --reason …»"
        return Finding(FAIL, "degrade", "level", "; ".join(filter(None, (str(level), why, mend))))
    return Finding(PASS, "degrade", "level", "0: nothing is narrowed by anomalies")


def degrade_of_a_doctor(store: StateStore) -> Finding:
    """The same for a bot that may run: its level comes down by itself."""
    found = degrade(store)
    return found._replace(level=WARN) if found.level == FAIL else found


def state(store: StateStore) -> Iterator[Finding]:
    """ACTIVE or OBSERVE_ONLY; what a human has to end is a gate, and told as one."""
    from btcbot.domain.reasons import TradingState

    found, reason = store.trading_state()
    if found is TradingState.OBSERVE_ONLY:
        message = f"{found}: {reason or 'the last cycle told no reason'}; ends with the next cycle that completes"
        yield Finding(WARN, "gates", "trading state", message)
    elif found is TradingState.ACTIVE:
        yield Finding(PASS, "gates", "trading state", " - ".join(filter(None, (found.value, reason))))


def budget(store: StateStore, settings: Settings, now_ms: int) -> Iterator[Finding]:
    """What the loss of the day leaves of any run, and the risk budget of stage4-run and stage7-run."""
    from btcbot.bootstrap.budget import budget_limits
    from btcbot.decisions import risk_budget
    from btcbot.domain.money import plain
    from btcbot.domain.stance import TradingMode

    facts = _measured(store, settings, now_ms)
    if facts.daily_pnl is not None and facts.daily_pnl <= -settings.max_daily_loss_try:
        lost, most = plain(-facts.daily_pnl), plain(settings.max_daily_loss_try)
        message = f"{lost} TRY lost today, MAX_DAILY_LOSS_TRY is {most}, so nothing is bought; {_AT_MIDNIGHT}"
        yield Finding(WARN, "budget", "daily loss", message)
    if facts.drawdown is None and not facts.unmarked:
        yield Finding(PASS, "budget", "risk budget", "no cycle of stage4-run or stage7-run has measured yet")
        return
    found = risk_budget.judge(facts, budget_limits(settings))
    if found.mode is TradingMode.NORMAL and not found.reasons:
        yield Finding(PASS, "budget", "risk budget", "nothing is narrowed")
    for reason in found.reasons:
        # With nothing to sell the profit stays where it is: no day and no price ends it.
        is_for_good = reason.endswith(risk_budget.LIFT) and not facts.is_holding
        mode = f"{found.mode}: " if found.mode is not TradingMode.NORMAL else ""
        end = "" if reason.endswith(risk_budget.LIFT) else _end_of(reason)
        yield Finding(FAIL if is_for_good else WARN, "budget", "risk budget", f"{mode}{reason}{end}")


def _end_of(reason: str) -> str:
    return next((f"; {end}" for code, end in _ENDS.items() if f"{code}: " in reason), "; see «btcbot budget status»")


def _measured(store: StateStore, settings: Settings, now_ms: int) -> BudgetFacts:
    """What the next overseen cycle would look at, as far as the books and the last prices tell."""
    from btcbot.decisions import results as folding
    from btcbot.decisions import risk_budget
    from btcbot.domain import money
    from btcbot.domain.intents import Side
    from btcbot.domain.orders import OPEN
    from btcbot.services import budget_record
    from btcbot.services.days import day
    from btcbot.services.snapshots import SnapshotRecorder

    found = budget_record.measure(store)
    results = folding.on_day(found.results, day(now_ms))
    recorder = SnapshotRecorder(store, day, settings.risk_volatility_lookback)
    buys = (order for order in store.orders(tuple(OPEN)) if order.side is Side.BUY)
    return risk_budget.BudgetFacts(
        daily_pnl=None if found.unmarked else _daily(store, found.profit, day(now_ms)),
        equity=found.equity,
        drawdown=found.drawdown,
        drawdown_pct=found.drawdown_pct,
        unmarked=found.unmarked,
        is_holding=bool(found.worth or found.unmarked),
        exposure=money.total(found.worth.values()) + money.total(one.price * one.leaves_quantity for one in buys),
        worth=found.worth,
        fees_today=results.fees_today + results.taxes_today,
        loss_streak=results.loss_streak,
        volatility=risk_budget.volatility(recorder.points(results)),
    )


def _daily(store: StateStore, profit: Decimal, today: str) -> Decimal:
    """Of a day that has not begun yet: nothing."""
    from btcbot.domain import money
    from btcbot.services import named_values, values

    start = named_values.amount(store, values.PNL_DAY_START)
    counted = named_values.calendar_day(store, values.PNL_DAY)
    return money.ZERO if start is None or counted is None or counted < today else profit - start
