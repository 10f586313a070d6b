"""AccountingService: books what the venue tells, and compares the books with what it holds.

Trades of our orders become fills, entries, holds and positions, one transaction for each fill. Trades of others move
the balance only. What then still differs from the venue's balances is explained by transfers, watched while it may be
lag between two lists, and put into suspense when nobody can explain it, which freezes new orders.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import booking, fees
from btcbot.decisions.booking import Look
from btcbot.decisions.fees import FeeRates
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.fills import VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.ledger import Account
from btcbot.domain.market import Quote
from btcbot.domain.orders import IN_DOUBT, Order, book_of
from btcbot.domain.positions import Position
from btcbot.domain.reasons import TradingState
from btcbot.domain.venue import Transfer, VenueOrder
from btcbot.ports import Clock, Exchange, Log, Metrics, StateStore, Transaction
from btcbot.services import days, named_values, values
from btcbot.services.named_values import KeptValue

#: How far behind the cursor the trade list is read again: trades may be listed late and out of order.
TRADES_LOOKBACK_MS: Final = 600_000
#: Transfers may carry a time before their money moved.
TRANSFERS_LOOKBACK_MS: Final = 86_400_000
#: Own trades that are looked at to correct the fee rates.
FEE_SAMPLES: Final = 200
SEEN_TRADES_MAX: Final = 20_000
_NO_ASSETS: Final[frozenset[str]] = frozenset()
_IN_DOUBT: Final = tuple(IN_DOUBT)


class PnL(msgspec.Struct, frozen=True, kw_only=True):
    """In TRY, positions at the last bid that was seen. `daily` is realised plus unrealised since midnight in Istanbul.

    `daily` and `equity` are None while a held symbol has never shown a price.
    """

    realized: Decimal
    unrealized: Decimal
    daily: Decimal | None
    equity: Decimal | None
    day: str


class AccountingService:
    def __init__(
        self,
        store: StateStore,
        exchange: Exchange,
        clock: Clock,
        metrics: Metrics,
        log: Log,
        book_id: str,
        configured_rates: FeeRates,
        settle_horizon_ms: int,
        quote_asset: str,
        adopt_unknown: Callable[[VenueOrder], Order],
        is_heard: bool = True,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._book_id = book_id
        self._settle_horizon_ms = settle_horizon_ms
        self._quote_asset = quote_asset
        self._adopt_unknown = adopt_unknown
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._differing_since_ms: dict[str, int] = {}
        self._suspense_seen: set[str] = set()
        self._today = ("", 0, 0)
        self._marks = named_values.amounts(store, values.MARKS)
        self._opening_at_ms = KeptValue(store, values.OPENING_AT_MS, named_values.as_whole_number)
        self._trades_cursor_ms = KeptValue(store, values.TRADES_CURSOR_MS, named_values.as_whole_number)
        #: The day whose loss is counted, and the result it began with.
        self._day_counted = KeptValue(store, values.PNL_DAY, named_values.as_calendar_day)
        self._day_start = KeptValue(store, values.PNL_DAY_START, named_values.as_amount)
        #: Whether anybody reads the metrics, and the quantities that they were told last.
        self._is_heard = is_heard
        self._told_quantities: dict[str, Decimal] = {}
        self.fee_rates = fees.corrected(configured_rates, store.fills(limit=FEE_SAMPLES))

    # -- opening -------------------------------------------------------------------------------------------------

    def opening_at_ms(self) -> int | None:
        """Venue time of the opening balances, None for a database that has not seen the account yet."""
        return self._opening_at_ms.read()

    def book_opening(self, account: AccountSnapshot, asked_at_venue_ms: int) -> None:
        """What the account held before this database began, once."""
        with self._store.transaction() as tx:
            for entry in booking.book_opening(account, asked_at_venue_ms):
                tx.insert_entry(entry)
            tx.put_value(values.OPENING_AT_MS, str(asked_at_venue_ms))
            tx.put_value(values.TRADES_CURSOR_MS, str(asked_at_venue_ms))
        self._log.info("opening_booked", assets=sorted(account.balances))

    # -- trades --------------------------------------------------------------------------------------------------

    def refresh(self) -> tuple[int, int, frozenset[str]]:
        """Read the trade list and book what is new.

        Gives the number of new fills, the venue time up to which the list was read, and the assets that moved so lately
        that balances and trades may not agree yet.
        """
        opening_at_ms = self.opening_at_ms()
        assert opening_at_ms is not None, "the opening is booked before any trade"
        asked_at_ms = self._exchange.venue_time_ms()
        cursor_ms = self._trades_cursor_ms.read() or opening_at_ms
        trades = self._exchange.trades(max(opening_at_ms, cursor_ms - TRADES_LOOKBACK_MS))
        if not trades:
            return 0, asked_at_ms, _NO_ASSETS
        booked = self.book_trades([trade for trade in trades if trade.at_ms >= opening_at_ms])
        late = [trade for trade in trades if trade.at_ms >= asked_at_ms - booking.READ_MARGIN_MS]
        moving = frozenset(asset for trade in late for asset in (trade.base, trade.quote)) if late else _NO_ASSETS
        return booked, asked_at_ms, moving

    def book_trades(self, trades: Iterable[VenueTrade]) -> int:
        """Book each trade that is not booked yet, oldest first; the number of new fills of our own."""
        fresh = [trade for trade in trades if trade.trade_id not in self._seen]
        if len(fresh) > 1:
            fresh.sort(key=lambda trade: (trade.at_ms, trade.trade_id))
        return sum(map(self._book, fresh))

    def _book(self, trade: VenueTrade) -> int:
        if self._store.has_fill(trade.trade_id) or self._store.has_entry(booking.foreign_entry_id(trade.trade_id)):
            self._remember(trade.trade_id)
            return 0
        is_disowned = self._store.value(values.disowned(trade.venue_order_id)) is not None
        order = None if is_disowned else self._order_of(trade)
        if order is None:
            if not is_disowned and self._is_of_this_book(trade):
                return 0  # ours, and the venue cannot show the order yet: the trade is listed again next time
            with self._store.transaction() as tx:
                tx.insert_entry(booking.book_foreign(trade))
                self._forget_differences(tx, trade)
            self._log.info("foreign_trade_booked", trade_id=trade.trade_id, symbol=trade.symbol)
            self._remember(trade.trade_id)
            return 0
        position = self._store.positions().get(order.symbol)
        done = booking.book_fill(trade, order, position, self.fee_rates, self._clock.now_ms())
        with self._store.transaction() as tx:
            if not tx.insert_fill(done.fill):
                return 0
            tx.insert_entry(done.entry)
            self._forget_differences(tx, trade)
            tx.update_order(done.order)
            tx.put_hold(done.hold)
            tx.put_position(done.position)
        self._remember(trade.trade_id)
        self.fee_rates = fees.corrected(self.fee_rates, [done.fill])
        self._metrics.count("btcbot_fills_total", symbol=trade.symbol, side=trade.side)
        self._metrics.count("btcbot_fees_paid_total", trade.fee + trade.tax, asset=trade.quote)
        self._log.info(
            "fill_booked",
            trade_id=trade.trade_id,
            client_order_id=order.client_order_id,
            symbol=trade.symbol,
            side=trade.side,
            price=trade.price,
            quantity=trade.quantity,
            fee=trade.fee,
            tax=trade.tax,
            status=done.order.status,
        )
        return 1

    def _forget_differences(self, tx: Transaction, trade: VenueTrade) -> None:
        """A difference that is the same as before although this was booked in between is another difference.

        In the trade's own transaction: a crash before the next comparison must not bring the old one back.
        """
        stored = self._store.discrepancies()
        if not stored:
            return
        others = [each for each in stored if each.asset not in (trade.base, trade.quote)]
        if len(others) < len(stored):
            tx.put_discrepancies(others)

    def _order_of(self, trade: VenueTrade) -> Order | None:
        """The order that traded: by our id where the venue tells it, else by the venue's order id."""
        if trade.client_order_id is not None:
            order = self._store.order(trade.client_order_id)
            if order is not None:
                return order
            if not self._is_of_this_book(trade):
                return None  # somebody else's order, even where the venue gave it an id that one of ours had
        order = self._store.order_by_venue_id(trade.venue_order_id)
        if order is None and self._is_of_this_book(trade):
            shown = self._exchange.order(trade.venue_order_id)
            # The trade says whose order it is. Its row may leave our id out; one that names another id proves nothing.
            if shown is not None and shown.client_order_id in (None, trade.client_order_id):
                order = self._adopt_unknown(msgspec.structs.replace(shown, client_order_id=trade.client_order_id))
        return order

    def _is_of_this_book(self, trade: VenueTrade) -> bool:
        return trade.client_order_id is not None and book_of(trade.client_order_id) == self._book_id

    def _remember(self, trade_id: str) -> None:
        """A bounded memory of booked trade ids, so that listing them again costs no query."""
        self._seen[trade_id] = None
        if len(self._seen) > SEEN_TRADES_MAX:
            self._seen.popitem(last=False)  # a plain dict would look for its first key past all that are gone

    # -- books against venue -------------------------------------------------------------------------------------

    def reconcile(
        self,
        account: AccountSnapshot,
        moving: frozenset[str],
        unsettled_symbols: frozenset[str],
        instruments: Mapping[str, Instrument],
        look: Look,
    ) -> tuple[str, ...]:
        """Compare the books with the venue's balances; the assets whose difference stops new orders for now.

        `look`: when `account` was read. What was seen then is no older for what was read since, however slowly.
        `moving` assets traded around the moment of the read, `unsettled_symbols` have an order whose fate or fills are
        open: there a difference may be nothing but the lag between two lists.
        """
        found = booking.differences(self._store.account_balances(Account.VENUE), account)
        stored = self._store.discrepancies()
        suspense = self._suspense()
        if not found and not stored and not suspense:
            self._differing_since_ms = {}
            self._follow_suspense(suspense)
            return ()
        outcome = booking.Reconciliation(entries=[], discrepancies=[], unexplained=())
        if found or suspense:
            busy = moving | self._busy_assets(unsettled_symbols, instruments)
            candidates = self._unbooked_transfers() if not {*found, *suspense} <= busy else []
            since_ms = self._differing_since_ms
            self._differing_since_ms = {asset: since_ms.get(asset, look.answered_at_ms) for asset in found}
            outcome = booking.reconcile(
                found,
                stored,
                busy,
                candidates,
                suspense,
                look,
                self._settle_horizon_ms,
                self._differing_since_ms,
            )
        else:
            self._differing_since_ms = {}
        if outcome.entries or list(outcome.discrepancies) != list(stored):
            with self._store.transaction() as tx:
                for entry in outcome.entries:
                    tx.insert_entry(entry)
                tx.put_discrepancies(outcome.discrepancies)
            for entry in outcome.entries:
                self._log.warning("balance_explained", entry_id=entry.entry_id, kind=entry.kind.value, memo=entry.memo)
        self._follow_suspense(self._suspense() if outcome.entries else suspense)
        return outcome.unexplained

    def _busy_assets(self, unsettled_symbols: frozenset[str], instruments: Mapping[str, Instrument]) -> frozenset[str]:
        symbols = unsettled_symbols | {order.symbol for order in self._store.orders(_IN_DOUBT)}
        listed = (instruments[symbol] for symbol in symbols if symbol in instruments)
        return frozenset(asset for instrument in listed for asset in (instrument.base, instrument.quote))

    def _unbooked_transfers(self) -> Sequence[Transfer]:
        opening_at_ms = self.opening_at_ms() or 0
        transfers = self._exchange.transfers(opening_at_ms - TRANSFERS_LOOKBACK_MS)
        return [
            transfer
            for transfer in transfers
            if not self._store.has_entry(f"transfer:{transfer.transfer_id}")
            and self._store.value(values.explained_transfer(transfer.transfer_id)) is None
        ]

    def _suspense(self) -> Mapping[str, Decimal]:
        balances = self._store.account_balances(Account.SUSPENSE)
        return {asset: amount for asset, amount in balances.items() if amount}

    def _follow_suspense(self, suspense: Mapping[str, Decimal]) -> None:
        """FROZEN while anything lies in suspense; open again when nothing does. A halt is left alone."""
        state, _ = self._store.trading_state()
        self._suspense_seen |= suspense.keys()
        for asset in self._suspense_seen:
            self._metrics.gauge("btcbot_suspense", -suspense.get(asset, money.ZERO), asset=asset)
        if suspense and state is not TradingState.HALTED and state is not TradingState.FROZEN:
            what = ", ".join(f"{money.plain(-amount)} {asset}" for asset, amount in sorted(suspense.items()))
            with self._store.transaction() as tx:
                set_trading_state(tx, TradingState.FROZEN, f"in suspense: {what}; see «btcbot ledger»")
            self._log.error("frozen_by_suspense", suspense={asset: -amount for asset, amount in suspense.items()})
        elif not suspense and state is TradingState.FROZEN:
            with self._store.transaction() as tx:
                set_trading_state(tx, TradingState.ACTIVE, "nothing in suspense any more")
            self._log.info("suspense_cleared")

    # -- result --------------------------------------------------------------------------------------------------

    def mark(self, quotes: Mapping[str, Quote], account: AccountSnapshot, venue_now_ms: int) -> PnL:
        """Positions at the last bid seen. The first whole result of a day (Istanbul) is where its loss counts from."""
        marks = self._marks
        for symbol, quote in quotes.items():
            marks[symbol] = quote.bid
        realized = cost = worth = money.ZERO
        is_whole = True
        positions = self._store.positions()
        for symbol, position in positions.items():
            realized += position.realized_pnl
            quantity = position.quantity
            if not quantity:
                continue
            mark = marks.get(symbol)
            if mark is None:
                is_whole = False
            else:
                cost += position.cost
                worth += quantity * mark
        unrealized = worth - cost
        day = self._day(venue_now_ms)
        daily = realized + unrealized - self._result_at_start(day, realized + unrealized) if is_whole else None
        if self._is_heard:
            self._tell(positions, realized, unrealized)
        return PnL(
            realized=realized,
            unrealized=unrealized,
            daily=daily,
            equity=account.total(self._quote_asset) + worth if is_whole else None,
            day=day,
        )

    def _tell(self, positions: Mapping[str, Position], realized: Decimal, unrealized: Decimal) -> None:
        """The gauges of what is held and what it came to; one that has not changed keeps what it was set to."""
        told = self._told_quantities
        for symbol, position in positions.items():
            if told.get(symbol) is not position.quantity:
                told[symbol] = position.quantity
                self._metrics.gauge("btcbot_position_quantity", position.quantity, symbol=symbol)
        self._metrics.gauge("btcbot_realized_pnl_try", realized)
        self._metrics.gauge("btcbot_unrealized_pnl_try", unrealized)

    def last_price(self, symbol: str) -> Decimal | None:
        """The last bid that was seen, None where there never was one."""
        return self._marks.get(symbol)

    def saw_price(self, symbol: str, bid: Decimal) -> None:
        """A bid that was seen beside the cycle's quotes: what is held is worth so much until another one is seen."""
        self._marks[symbol] = bid

    def marks_text(self) -> str:
        """The last bids, as they are kept in the database."""
        return msgspec.json.encode(self._marks).decode()

    def _day(self, venue_now_ms: int) -> str:
        """Today in Istanbul by the venue's clock; never before the day that is being counted."""
        today, since_ms, until_ms = self._today
        if not since_ms <= venue_now_ms < until_ms:
            self._today = today, _, _ = days.today(venue_now_ms)
        return max(today, self._day_counted.read() or "")

    def _result_at_start(self, day: str, result: Decimal) -> Decimal:
        """The total result with which `day` began; now, when it begins now."""
        if self._day_counted.read() == day:
            start = self._day_start.read()
            if start is not None:
                return start
        with self._store.transaction() as tx:
            tx.put_value(values.PNL_DAY, day)
            tx.put_value(values.PNL_DAY_START, money.plain(result))
        return result


def set_trading_state(tx: Transaction, state: TradingState, reason: str) -> None:
    """State and reason together, always."""
    tx.put_value(values.TRADING_STATE, state.value)
    tx.put_value(values.TRADING_STATE_REASON, reason)
