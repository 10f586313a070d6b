"""DailyLossWatcher: tells when the loss of the day stops buys, and keeps the limit for who asks.

Risk refuses each buy on such a day, wish by wish. A day without a wish would not show it, and a report reads no
settings: so it is a metric that an alert looks at, and the limit lies in the database beside the result of the day.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from btcbot.domain.money import plain
from btcbot.ports import Metrics, StateStore, Transaction
from btcbot.services import named_values, values
from btcbot.services.named_values import KeptValue
from btcbot.services.watching import CycleEnd


class DayLoss(msgspec.Struct, frozen=True, kw_only=True):
    """The loss of the day as risk judges buys by it, in TRY. `lost` is zero on a day in profit, and None while it is
    unknown; `refuses_buys` None before the first whole cycle of the day."""

    limit: Decimal
    lost: Decimal | None
    refuses_buys: bool | None


class DailyLossWatcher:
    """A CycleWatcher. `limit` in TRY."""

    def __init__(self, store: StateStore, metrics: Metrics, limit: Decimal) -> None:
        self._store = store
        self._metrics = metrics
        self._limit = limit
        self._limit_is_kept = False
        self._told: bool | None = None
        self._day_start = KeptValue(store, values.PNL_DAY_START, named_values.as_amount)

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        if not self._limit_is_kept:
            self._limit_is_kept, limit = True, plain(self._limit)
            if self._store.value(values.DAILY_LOSS_MAX) != limit:
                tx.put_value(values.DAILY_LOSS_MAX, limit)
        report, start = end.report, self._day_start.read()
        if report.equity_try is None or start is None:
            return  # it did not come so far, or a held pair has never shown a price
        is_reached = report.realized_pnl_try + report.unrealized_pnl_try - start <= -self._limit
        if is_reached is not self._told:
            self._told = is_reached
            self._metrics.gauge("btcbot_daily_loss_reached", int(is_reached))


def day_loss(store: StateStore, daily: Decimal | None, *, is_known: bool) -> DayLoss | None:
    """What the limit leaves of buys. `daily` is the result of today, None before the day has begun; `is_known` False
    while a held pair has never shown a price, which counts as too much. None before the first cycle."""
    limit = named_values.amount(store, values.DAILY_LOSS_MAX)
    if limit is None:
        return None
    if not is_known:
        return DayLoss(limit=limit, lost=None, refuses_buys=True)
    if daily is None:
        return DayLoss(limit=limit, lost=None, refuses_buys=None)
    return DayLoss(limit=limit, lost=max(-daily, Decimal(0)), refuses_buys=daily <= -limit)
