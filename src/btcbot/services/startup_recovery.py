"""StartupRecoveryService: the ordinary first step of every cycle.

A start after `kill -9` runs the same code as any other cycle: what the last process left half done is found by
comparing our record with the venue's lists, and nothing else is believed. Order of reads: balances, trades, open
orders; so that whatever the balances already show, the trade list can explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from btcbot.decisions import booking
from btcbot.decisions.booking import Look
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.money import plain
from btcbot.domain.orders import OPEN, Order
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.venue import VenueOrder
from btcbot.errors import InvariantBroken, VenueUnavailable
from btcbot.ports import Clock, Exchange, Metrics, StateStore
from btcbot.services.accounting import AccountingService
from btcbot.services.execution import ExecutionService
from btcbot.services.market_data import MarketDataService
from btcbot.services.order_lifecycle import OrderLifecycle
from btcbot.services.portfolio import PortfolioService

_OPEN: Final = tuple(OPEN)


class StartupRecoveryResult(msgspec.Struct, frozen=True, kw_only=True):
    """`observe_only_required` with its reasons; `trades_read_to_ms` is the cursor to store with the cycle's report."""

    account: AccountSnapshot
    fills_inserted: int
    trades_read_to_ms: int
    observe_only_reasons: tuple[str, ...]
    #: Open orders of which this comparison knew; whatever was ordered since is not in `account`.
    orders_known: frozenset[str] = frozenset()
    #: Open orders of the account as the venue listed them, foreign ones too.
    venue_open: Sequence[VenueOrder] = ()
    #: Client order ids of ours that the venue does not list as open and tells by their own id.
    shown_by_id: frozenset[str] = frozenset()

    @property
    def observe_only_required(self) -> bool:
        return bool(self.observe_only_reasons)


class StartupRecoveryService:
    def __init__(
        self,
        store: StateStore,
        exchange: Exchange,
        clock: Clock,
        metrics: Metrics,
        portfolio: PortfolioService,
        accounting: AccountingService,
        execution: ExecutionService,
        lifecycle: OrderLifecycle,
        market_data: MarketDataService,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._clock = clock
        self._metrics = metrics
        self._portfolio = portfolio
        self._accounting = accounting
        self._execution = execution
        self._lifecycle = lifecycle
        self._market_data = market_data
        self._last: StartupRecoveryResult | None = None

    @property
    def last(self) -> StartupRecoveryResult | None:
        """What the latest comparison found, if it was completed and left nothing unexplained."""
        return self._last

    def account_now(self) -> AccountSnapshot | None:
        """The account of the latest comparison less what was ordered since; None where there is none to rely on.

        What our orders came to since then only makes this too careful: a fill or a cancellation frees more than it
        takes, and what was bought is sold when the lists have shown it.
        """
        if self._last is None:
            return None
        known = self._last.orders_known
        since = [hold for client_order_id, hold in self._store.holds().items() if client_order_id not in known]
        return self._last.account.with_held(since)

    def run(self) -> StartupRecoveryResult:
        """Bring record and venue together. Raises VenueUnavailable; InvariantBroken when they cannot both be true."""
        started_ns = self._clock.monotonic_ns()
        self._last = None
        self._lifecycle.doubt_interrupted()
        instruments = self._market_data.last_known_instruments()
        asked_at_ms = self._exchange.venue_time_ms()
        account = self._portfolio.get_balances()
        if self._accounting.opening_at_ms() is None:
            self._open_books(account, asked_at_ms)
        fills, read_to_ms, moving = self._accounting.refresh()
        lifecycle = self._execution.refresh_order_lifecycle(account, instruments, self._book_fills_of)
        # The trades were asked for when the balances had come: one reading of the venue's clock serves both.
        look = Look(asked_at_ms=asked_at_ms, answered_at_ms=read_to_ms)
        unexplained = self._accounting.reconcile(account, moving, lifecycle.unsettled_symbols, instruments, look)
        self.check_invariants()
        self._metrics.observe("btcbot_reconcile_seconds", (self._clock.monotonic_ns() - started_ns) / 1e9)
        reasons = [f"{ReasonCode.BALANCE_UNEXPLAINED.value}: {asset}" for asset in unexplained]
        result = StartupRecoveryResult(
            account=account,
            fills_inserted=fills,
            trades_read_to_ms=read_to_ms,
            observe_only_reasons=tuple(reasons),
            orders_known=frozenset([order.client_order_id for order in self._store.orders(_OPEN)]),
            venue_open=lifecycle.venue_open,
            shown_by_id=lifecycle.shown_by_id,
        )
        self._last = None if reasons else result
        return result

    def _open_books(self, account: AccountSnapshot, asked_at_ms: int) -> None:
        """Book the opening balances, at a moment when no trade of other hands can be in them and in the list too."""
        if self._exchange.trades(asked_at_ms - booking.READ_MARGIN_MS):
            raise VenueUnavailable(
                "the account trades by other hands at this moment; the opening waits for a quiet one"
            )
        self._accounting.book_opening(account, asked_at_ms)

    def _book_fills_of(self, order: Order) -> int:
        assert order.venue_order_id is not None, "only an order that the venue named has trades"
        return self._accounting.book_trades(self._exchange.trades_of(order.venue_order_id))

    def check_invariants(self) -> None:
        """I10 and I14, asserted in production: holds belong to open orders, inventory is never negative."""
        if holds := self._store.holds():
            open_ids = {order.client_order_id for order in self._store.orders(_OPEN)}
            for client_order_id, hold in holds.items():
                if client_order_id not in open_ids:
                    raise InvariantBroken(
                        "I10_HOLD", f"{plain(hold.amount)} {hold.asset} is held for {client_order_id}, which is closed"
                    )
        for position in self._store.positions().values():
            if position.quantity < money.ZERO or position.cost < money.ZERO:
                raise InvariantBroken("I14_POSITION", f"the position of {position.symbol} is negative")
