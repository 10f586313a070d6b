"""The venue: what it takes in, what it refuses, what trades, and what it remembers. No clock and no I/O of its own.

It refuses what BtcTurk refuses, in BtcTurk's words: a price or quantity off its step, a value below the minimum, a
price outside the band, funds that are not there. What fills an order is decided in `matching`, what it costs in
`account`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from btcbot.adapters.paper.account import Account, Rates
from btcbot.adapters.paper.matching import Levels, MarketTrade, Match, PairMatching, PaperOrder
from btcbot.adapters.paper.records import Records, Saved, TapeMark
from btcbot.domain import money
from btcbot.domain.account import Balance
from btcbot.domain.fills import VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order
from btcbot.domain.outcomes import Accepted, Refused
from btcbot.domain.venue import VenueOrder, VenueOrderStatus
from btcbot.errors import InvariantBroken

_NO_MARK = TapeMark()


class QuoteFillRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a public market does not tell about orders that it never saw.

    `maker` and `taker` are fractions, tax included. `trade_share`: the most of one public trade that our orders get.
    `value_unshown`: what is taken to stand at the best prices, in quote, where the source tells no quantity there.
    """

    maker: Decimal
    taker: Decimal
    trade_share: Decimal = Decimal("0.25")
    value_unshown: Decimal = money.ZERO


class Venue:
    """One account and its orders. Times are handed in, in venue time; they never go back in what is written down.

    Nothing is told before `commit` has kept it: whoever asks, asks after a commit.
    """

    def __init__(self, records: Records, rules: QuoteFillRules) -> None:
        self._records = records
        self._rules = rules
        saved, resting = records.load()
        self._account = Account(saved.balances, Rates(maker=rules.maker, taker=rules.taker))
        self._pairs: dict[str, PairMatching] = {}
        self._open: dict[str, PaperOrder] = {order.venue_order_id: order for order in resting}
        self._marks = dict(saved.marks)
        self._orders_made, self._trades_made, self.fees = saved.orders_made, saved.trades_made, saved.fees
        self._changed: dict[str, PaperOrder] = {}
        self._fresh: list[VenueTrade] = []
        self._waiting = {order.symbol: [one for one in resting if one.symbol == order.symbol] for order in resting}
        self._taken = dict(saved.taken)
        self._is_whole = True

    # -- what trades here ----------------------------------------------------------------------------------------------

    def list_pairs(self, instruments: Mapping[str, Instrument]) -> None:
        """The pairs with their rules of today. Orders that rested before a restart rest again."""
        for symbol, pair in self._pairs.items():
            pair.instrument = instruments.get(symbol, pair.instrument)
        for symbol in [*self._waiting, *self._taken]:
            if symbol in instruments:  # a pair that is not listed today rests, and nothing fills its orders
                self._pair(instruments[symbol])

    def _pair(self, instrument: Instrument) -> PairMatching:
        pair = self._pairs.get(instrument.symbol)
        if pair is None:
            pair = self._pairs[instrument.symbol] = PairMatching(instrument, self._rules.trade_share)
            resting = [order for order in self._waiting.pop(instrument.symbol, ()) if order.is_open]
            pair.restore(resting, self._taken.pop(instrument.symbol, ()))
        return pair

    # -- the market ----------------------------------------------------------------------------------------------------

    def show(self, instrument: Instrument, bids: Levels, asks: Levels, now_ms: int) -> int:
        """The book of a pair as it is now; how many fills it brought."""
        pair = self._pair(instrument)
        if (bids, asks) == (pair.bids, pair.asks):
            return 0
        return self._settle(pair.show(bids, asks), now_ms)

    def trade(self, instrument: Instrument, trade: MarketTrade, now_ms: int) -> int:
        """A public trade in the order of time, each only once; how many fills it brought."""
        pair = self._pair(instrument)
        matches = pair.trade(trade)
        for order in pair.resting:
            self._changed.setdefault(order.venue_order_id, order)  # what stands ahead of it may be less
        return self._settle(matches, now_ms)

    def trades(self, instrument: Instrument, trades: Iterable[MarketTrade], now_ms: int) -> int:
        """Public trades as they are listed again and again, in any order: each new one is used once.

        One that is older than what was used already is left out: late is never twice.
        """
        found = 0
        for trade in sorted(trades, key=lambda one: (one.at_ms, len(one.trade_id), one.trade_id)):
            mark = self._marks.get(instrument.symbol, _NO_MARK)
            if trade.at_ms < mark.at_ms or trade.trade_id in mark.ids:
                continue
            ids = mark.ids if trade.at_ms == mark.at_ms else frozenset[str]()
            self._marks[instrument.symbol] = TapeMark(trade.at_ms, ids | {trade.trade_id})
            found += self.trade(instrument, trade, max(now_ms, trade.at_ms))
        return found

    def newest_trade_ms(self, symbol: str) -> int:
        """Time of the newest public trade that was used; 0 before the first."""
        return self._marks.get(symbol, _NO_MARK).at_ms

    def pair(self, symbol: str) -> PairMatching | None:
        return self._pairs.get(symbol)

    # -- writes --------------------------------------------------------------------------------------------------------

    def submit(self, order: Order, instrument: Instrument, now_ms: int) -> Accepted | Refused:
        """Take the order in, lock its funds, and let it trade with what is shown. InvariantBroken for an id twice."""
        if self._records.order_of(order.client_order_id) is not None:
            raise InvariantBroken(
                "I1_TWO_ORDERS", f"client order id {order.client_order_id} came to the paper venue twice"
            )
        refused = self._refusal(order, instrument)
        if refused is not None:
            return refused
        self._orders_made += 1
        placed = PaperOrder(
            number=self._orders_made,
            venue_order_id=f"paper-{self._orders_made}",
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            base=instrument.base,
            quote=instrument.quote,
            side=order.side,
            price=order.price,
            quantity=order.quantity,
            leaves=order.quantity,
            placed_at_ms=max(now_ms, self.newest_trade_ms(order.symbol)),
            updated_at_ms=now_ms,
        )
        self._account.lock(placed)
        self._open[placed.venue_order_id] = self._changed[placed.venue_order_id] = placed
        pair = self._pair(instrument)
        self._settle(pair.place(placed), now_ms)
        return Accepted(venue_order_id=placed.venue_order_id)

    def _refusal(self, order: Order, instrument: Instrument) -> Refused | None:
        if not (instrument.is_trading and instrument.takes_limit_orders):
            return Refused(code="ORDER_METHOD_NOT_SUPPORTED", message=f"{order.symbol} takes no limit orders now")
        if order.price <= 0 or order.quantity <= 0:
            return Refused(code="FAILED_ORDER_PARAMETER", message="price and quantity have to be positive")
        if not instrument.is_on_tick(order.price):
            return Refused(code="FAILED_INVALID_PRICE_SCALE", message=f"a step is {instrument.tick}")
        if not instrument.is_on_lot(order.quantity):
            return Refused(code="FAILED_INVALID_QUANTITY_SCALE", message=f"a step is {instrument.lot}")
        if instrument.price_max is not None and order.price > instrument.price_max:
            return Refused(code="ORDER_MAX_PRICE_EXCEEDED", message=f"at most {money.plain(instrument.price_max)}")
        if instrument.price_min is not None and order.price < instrument.price_min:
            return Refused(code="ORDER_MIN_PRICE_EXCEEDED", message=f"at least {money.plain(instrument.price_min)}")
        if order.value < instrument.value_min:
            return Refused(code="FAILED_MIN_TOTAL_AMOUNT", message=f"at least {money.plain(instrument.value_min)}")
        asset = instrument.quote if order.side is Side.BUY else instrument.base
        if self._account.lock_of(order.side, order.price, order.quantity) > self._account.free(asset):
            return Refused(code="BALANCE_NOT_ENOUGH", message=f"{money.plain(self._account.free(asset))} {asset} free")
        return None

    def cancel(self, order: Order, now_ms: int) -> Decimal | None:
        """Take an order out for good; what it had executed. None where no such order is open."""
        placed = self._open.get(order.venue_order_id or "") or self._find(order.client_order_id)
        if placed is None:
            return None
        placed.is_canceled = True
        if placed.symbol in self._pairs:
            self._pairs[placed.symbol].drop_closed()
        self._account.release(placed)
        placed.updated_at_ms = max(now_ms, placed.updated_at_ms)
        self._changed[placed.venue_order_id] = self._open.pop(placed.venue_order_id)
        return placed.quantity - placed.leaves

    def _find(self, client_order_id: str) -> PaperOrder | None:
        return next((one for one in self._open.values() if one.client_order_id == client_order_id), None)

    # -- fills ---------------------------------------------------------------------------------------------------------

    def _settle(self, matches: Sequence[Match], now_ms: int) -> int:
        for match in matches:
            order = match.order
            charge = self._account.settle(match)
            self.fees += charge.fee + charge.tax
            self._trades_made += 1
            order.updated_at_ms = max(now_ms, order.updated_at_ms)
            self._changed[order.venue_order_id] = order
            if not order.is_open:
                self._open.pop(order.venue_order_id, None)
            self._fresh.append(
                VenueTrade(
                    trade_id=f"paper-{self._trades_made:09d}",
                    venue_order_id=order.venue_order_id,
                    client_order_id=order.client_order_id,
                    symbol=order.symbol,
                    base=order.base,
                    quote=order.quote,
                    side=order.side,
                    price=match.price,
                    quantity=match.quantity,
                    fee=charge.fee,
                    tax=charge.tax,
                    at_ms=now_ms,
                )
            )
        return len(matches)

    def commit_fills(self) -> Sequence[VenueTrade]:
        """`commit` where there are fills, or where the last one failed. Less than that may wait: what is kept is
        whole, and public trades that it does not know of are looked at again."""
        return self.commit() if self._fresh or not self._is_whole else ()

    def commit(self) -> Sequence[VenueTrade]:
        """Keep everything that has changed, as one unit; the fills among it. Raises StoreFailed."""
        if not self._changed and not self._fresh:
            return ()
        saved = Saved(
            balances=dict(self._account.balances),
            marks=dict(self._marks),
            orders_made=self._orders_made,
            taken={**self._taken, **{symbol: pair.taken for symbol, pair in self._pairs.items() if pair.taken}},
            trades_made=self._trades_made,
            fees=self.fees,
        )
        self._is_whole = False  # until it is kept, what is known here may be told to nobody
        self._records.save(saved, list(self._changed.values()), self._fresh)
        self._is_whole = True
        fresh, self._fresh, self._changed = self._fresh, [], {}
        return fresh

    # -- lists ---------------------------------------------------------------------------------------------------------

    @property
    def balances(self) -> Mapping[str, Balance]:
        return self._account.balances

    def open_orders(self, symbol: str | None = None) -> list[VenueOrder]:
        return [row_of(order) for order in self._open.values() if symbol is None or order.symbol == symbol]

    def open_paper_orders(self) -> Sequence[PaperOrder]:
        """As this venue knows them, oldest first."""
        return list(self._open.values())

    @property
    def open_symbols(self) -> frozenset[str]:
        return frozenset(order.symbol for order in self._open.values())


def row_of(order: PaperOrder) -> VenueOrder:
    """The order as the venue lists it."""
    if order.is_canceled:
        status = VenueOrderStatus.CANCELED
    elif not order.leaves:
        status = VenueOrderStatus.CLOSED
    else:
        status = VenueOrderStatus.UNTOUCHED if order.leaves == order.quantity else VenueOrderStatus.PARTIAL
    return VenueOrder(
        venue_order_id=order.venue_order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        method="limit",
        price=order.price,
        quantity=order.quantity,
        leaves_quantity=order.leaves,
        status=status,
        updated_at_ms=order.updated_at_ms,
    )
