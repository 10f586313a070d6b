"""Checks of what the last cycles came to: refusals, fills, time; and how far the profit has fallen.

Drawdown is the one that the risk budget and the report have: profit below its highest, in which deposits and
withdrawals do not count. Where an overseen run measures, it is that run's own, with its resets; elsewhere it is made of
the cycles on record in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from btcbot.cli import output
from btcbot.cli.checks import FAIL, PASS, WARN, Finding

if TYPE_CHECKING:
    from btcbot.config.groups.base import Group
    from btcbot.config.groups.slo import SloSettings
    from btcbot.decisions.results import Results
    from btcbot.domain.cycles import CycleReport
    from btcbot.domain.orders import Order
    from btcbot.ports import StateStore

#: Rates are told and compared with so many decimals.
PLACES: Final = 4
PERCENT: Final = Decimal("0.01")
MONEY_PLACES: Final = 2
#: The newest cycles over which a run that nobody oversees is judged: 28 hours at one in ten seconds.
CYCLES_MAX: Final = 10_000
_FIRST_OVERSEEN: Final = "the first cycle of stage4-run or stage7-run"
_STOP: Final = "«btcbot kill on» stops new orders"
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
    yield drawdown(store, limits)


#: Newest orders among which those of the last cycles are looked for.
_ORDERS_MAX: Final = 10_000


def judged(cycles: Sequence[CycleReport], orders: Sequence[Order], limits: SloSettings) -> Iterator[Finding]:
    """`cycles` newest first, `orders` those that they made."""
    yield from _rates(orders, limits)
    yield _latency(cycles, limits)


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


def drawdown(store: StateStore, limits: SloSettings) -> Finding:
    """How far the profit lies below its highest now, as a share of what the account was worth then."""
    from btcbot.services import budget_record
    from btcbot.services.snapshots import read_results

    if read_results(store).peak_equity is None:
        return _of_the_cycles(store, limits)
    found = budget_record.measure(store)
    if found.drawdown is None:
        held = ", ".join(found.unmarked)
        return Finding(WARN, "slo", "drawdown", f"cannot be told: {held} has never shown a price; a cycle asks for it")
    resets = budget_record.read_resets(store, 1)
    since = f"the «btcbot budget reset» of {output.moment(resets[-1][0].at_ms)}" if resets else _FIRST_OVERSEEN
    return _fallen(found.results, found.profit, f"since {since}", f"«btcbot budget status» tells more; {_STOP}", limits)


def _of_the_cycles(store: StateStore, limits: SloSettings) -> Finding:
    """Of a run that nobody oversees: over its cycles on record that knew their equity, from the last time on that coins
    were handed to it or taken back, which is no result either."""
    from btcbot.decisions.results import Results, with_profit
    from btcbot.domain.ledger import EntryKind

    handed = max((one.at_ms for one in store.entries() if one.kind is EntryKind.ADOPTION), default=0)
    cycles = [
        one for one in store.cycles(CYCLES_MAX)[::-1] if one.equity_try is not None and one.started_at_ms > handed
    ]
    if not cycles:
        return Finding(PASS, "slo", "drawdown", "no cycle has told yet what the account is worth")
    results = Results(peak=_profit(cycles[0]))
    for cycle in cycles:
        assert cycle.equity_try is not None, "only these were chosen"
        results = with_profit(results, _profit(cycle), cycle.equity_try)
    since = f"since {output.moment(cycles[0].started_at_ms)} ({len(cycles)} cycles)"
    return _fallen(results, _profit(cycles[-1]), since, f"see «btcbot report»; {_STOP}", limits)


def _profit(cycle: CycleReport) -> Decimal:
    return cycle.realized_pnl_try + cycle.unrealized_pnl_try


def _fallen(results: Results, profit: Decimal, since: str, mend: str, limits: SloSettings) -> Finding:
    from btcbot.decisions import results as folding
    from btcbot.domain import money

    share = money.round_half_up(folding.drawdown_pct(results, profit) * PERCENT, PLACES)
    lost = money.round_half_up(folding.drawdown(results, profit), MONEY_PLACES)
    return _upper(
        "drawdown",
        share,
        limits.doctor_slo_max_drawdown_ratio_warn,
        limits.doctor_slo_max_drawdown_ratio_fail,
        f"the profit is {money.plain(lost)} TRY below its highest {since}, {money.plain(share)} of the account",
        mend,
    )


def _upper(
    name: str, found: Decimal | int, warn: Decimal | int, fail: Decimal | int, message: str, mend: str
) -> Finding:
    if found > fail:
        return Finding(FAIL, "slo", name, f"{message}; {mend}")
    if found > warn:
        return Finding(WARN, "slo", name, f"{message}; {mend}")
    return Finding(PASS, "slo", name, message)
