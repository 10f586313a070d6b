"""Checks of what the last cycles came to: refusals, fills, time, drawdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from btcbot.cli.checks import FAIL, PASS, WARN, Finding

if TYPE_CHECKING:
    from btcbot.config.groups.base import Group
    from btcbot.config.groups.slo import SloSettings
    from btcbot.domain.cycles import CycleReport
    from btcbot.domain.orders import Order
    from btcbot.ports import StateStore

#: Rates are told and compared with so many decimals.
PLACES: Final = 4
#: One cycle in so many may take longer.
ONE_IN: Final = 20


def slo(store: StateStore, settings: Group) -> Iterator[Finding]:
    """How the last cycles did, by the limits of the settings."""
    from btcbot.config.groups.slo import SloSettings

    limits = settings if isinstance(settings, SloSettings) else SloSettings()
    if not limits.doctor_slo_enabled:
        yield Finding(PASS, "slo", "judged", "not wanted (DOCTOR_SLO_ENABLED=false)")
        return
    cycles = store.cycles(limits.doctor_slo_lookback)
    if not cycles:
        yield Finding(PASS, "slo", "judged", "no cycles yet")
        return
    ids = {cycle.cycle_id for cycle in cycles}
    orders = [one for one in store.recent_orders(_ORDERS_MAX) if one.cycle_id in ids]
    yield from judged(cycles, orders, limits)


#: Newest orders among which those of the last cycles are looked for.
_ORDERS_MAX: Final = 10_000


def judged(cycles: Sequence[CycleReport], orders: Sequence[Order], limits: SloSettings) -> Iterator[Finding]:
    """`cycles` newest first, `orders` those that they made."""
    yield from _rates(orders, limits)
    yield _latency(cycles, limits)
    yield _drawdown(cycles, limits)


def _rates(orders: Sequence[Order], limits: SloSettings) -> Iterator[Finding]:
    from btcbot.domain import money
    from btcbot.domain.orders import CLOSED, OrderStatus

    unsent = {OrderStatus.DENIED, OrderStatus.SIMULATED, OrderStatus.NOT_PLACED}
    refused = {OrderStatus.REJECTED, OrderStatus.REFUSED_PROVISIONAL}
    sent = [one for one in orders if one.status not in unsent]
    if len(sent) < limits.doctor_slo_min_orders:
        yield Finding(PASS, "slo", "orders", f"{len(sent)} were sent, too few to judge")
        return
    count = sum(one.status in refused for one in sent)
    rate = money.divide_half_even(Decimal(count), Decimal(len(sent)), PLACES)
    yield _upper(
        "reject rate",
        rate,
        limits.doctor_slo_max_reject_rate_warn,
        limits.doctor_slo_max_reject_rate_fail,
        f"{money.plain(rate)} of {len(sent)} orders were refused by the venue",
        "see «btcbot orders»",
    )
    ended = [one for one in sent if one.status in CLOSED and one.status not in refused]
    if len(ended) < limits.doctor_slo_min_orders:
        yield Finding(PASS, "slo", "fill rate", f"{len(ended)} orders ended, too few to judge")
        return
    filled = sum(one.filled_quantity > 0 for one in ended)
    rate = money.divide_half_even(Decimal(filled), Decimal(len(ended)), PLACES)
    told = f"{money.plain(rate)} of {len(ended)} ended orders had a fill"
    if rate < limits.doctor_slo_min_fill_rate_fail:
        yield Finding(FAIL, "slo", "fill rate", f"{told}; look at the prices of «btcbot orders», or TTL_SECONDS")
    elif rate < limits.doctor_slo_min_fill_rate_warn:
        yield Finding(WARN, "slo", "fill rate", f"{told}; look at the prices of «btcbot orders», or TTL_SECONDS")
    else:
        yield Finding(PASS, "slo", "fill rate", told)


def _latency(cycles: Sequence[CycleReport], limits: SloSettings) -> Finding:
    times = sorted(cycle.ended_at_ms - cycle.started_at_ms for cycle in cycles)
    rank = -(-len(times) * (ONE_IN - 1) // ONE_IN)  # nearest rank, upwards
    p95 = times[rank - 1]
    return _upper(
        "latency",
        p95,
        limits.doctor_slo_max_latency_ms_warn,
        limits.doctor_slo_max_latency_ms_fail,
        f"{p95} ms (95 % of {len(times)} cycles took no longer)",
        "fewer SYMBOLS, a faster way to the venue, or MARKET_DATA_MODE=auto",
    )


def _drawdown(cycles: Sequence[CycleReport], limits: SloSettings) -> Finding:
    from btcbot.domain import money

    equities = [cycle.equity_try for cycle in reversed(cycles) if cycle.equity_try is not None]
    highest, deepest = money.ZERO, money.ZERO
    for equity in equities:
        highest = max(highest, equity)
        if highest > 0:
            deepest = max(deepest, money.divide_half_even(highest - equity, highest, PLACES))
    return _upper(
        "drawdown",
        deepest,
        limits.doctor_slo_max_drawdown_ratio_warn,
        limits.doctor_slo_max_drawdown_ratio_fail,
        f"{money.plain(deepest)} of the highest equity was lost in {len(equities)} cycles",
        "see «btcbot report»; «btcbot kill on» stops new orders",
    )


def _upper(
    name: str, found: Decimal | int, warn: Decimal | int, fail: Decimal | int, message: str, mend: str
) -> Finding:
    if found > fail:
        return Finding(FAIL, "slo", name, f"{message}; {mend}")
    if found > warn:
        return Finding(WARN, "slo", name, f"{message}; {mend}")
    return Finding(PASS, "slo", name, message)
