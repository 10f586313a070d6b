"""What an account may read of itself: its balances, orders, trades and transfers, as the wire lists them.

Every list shows what faults let this request see: the state of a while ago, without what is young, or with rows
missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Final

from btcturk_sim import codec
from btcturk_sim.answers import Answers
from btcturk_sim.call import Call
from btcturk_sim.engine import Engine
from btcturk_sim.instruments import FIAT, normalize_symbol
from btcturk_sim.orderform import INVALID_REQUEST_ERROR
from btcturk_sim.orders import NO_ORDER_MATCHES_YOUR_REQUEST, Fill, Order, Refusal, Side, Status, pair_unknown
from btcturk_sim.spoils import UNSPOILED
from btcturk_sim.wire import Response, json_response

_THIRTY_DAYS_MS: Final = 30 * 86_400_000
_FILL_ROWS_MAX: Final = 10_000
_START_DATE_END_DATE_INVALID: Final = Refusal("START_DATE_END_DATE_INVALID", 1208)
# A time in seconds stays below this for three thousand years; one in milliseconds is above it since 1973.
SECONDS_MAX: Final = 100_000_000_000


class AccountReads:
    def __init__(self, engine: Engine, answers: Answers) -> None:
        self._engine = engine
        self._answers = answers
        #: By id of the trade: the trade, what its row depends on, its row.
        self._fill_rows: dict[int, tuple[Fill, int, str, codec.Row]] = {}

    def single_order(self, call: Call) -> Response:
        order = call.account.find(int(call.request.path.rstrip("/").rsplit("/", 1)[1][:19]))
        state = self._state(call, order) if order is not None else None
        if order is None or state is None:
            return self._answers.refused(NO_ORDER_MATCHES_YOUR_REQUEST)
        return json_response(200, codec.ok(self._dated_row(call, order, state)))

    def _dated_row(self, call: Call, order: Order, state: tuple[int, Decimal, Status]) -> codec.Row:
        word = self._answers.options.canceled_after_partial
        return codec.order_row(order, state, call.skew_ms, with_time=True, canceled_after_partial=word)

    def open_orders(self, call: Call) -> Response:
        symbol, options = call.params.one("pairSymbol"), self._answers.options
        wanted = normalize_symbol(symbol) if symbol else None
        if symbol is None and options.open_orders_pair == "required":
            return self._answers.refused(INVALID_REQUEST_ERROR)
        if symbol is not None and self._engine.known(symbol) is None:
            return self._answers.refused(pair_unknown(symbol))
        # An order that has ended since then may still have been open in the past a lagging list shows.
        candidates = call.account.orders if call.lag_ms else call.account.open_orders
        rows: dict[Side, list[codec.Row]] = {Side.BUY: [], Side.SELL: []}
        for order in sorted(candidates.values(), key=lambda one: one.price):
            state = self._state(call, order)
            if state is None or not state[2].is_open or wanted not in (None, order.instrument.symbol):
                continue
            rows[order.side].append(codec.order_row(order, state, call.skew_ms, with_time=False))
        most = options.open_orders_max or None
        asks, bids = rows[Side.SELL][:most], rows[Side.BUY][::-1][:most]
        if call.spoils is not UNSPOILED:
            kept = call.spoils.thinned(asks + bids)
            asks = [row for row in kept if row["type"] == Side.SELL]
            bids = [row for row in kept if row["type"] == Side.BUY]
        return json_response(200, codec.ok({"asks": asks, "bids": bids}))

    def all_orders(self, call: Call) -> Response:
        params = call.params
        symbol = params.one("pairSymbol")
        if symbol is None:
            return self._answers.refused(INVALID_REQUEST_ERROR)
        pair = self._engine.known(symbol)
        if pair is None:
            return self._answers.refused(pair_unknown(symbol))
        name = pair.instrument.symbol
        from_id = params.integer("orderId") or 0
        start_s, end_s = params.integer("startTime") or 0, params.integer("endTime") or SECONDS_MAX
        if start_s > SECONDS_MAX or end_s > SECONDS_MAX or start_s > end_s:
            return self._answers.refused(_START_DATE_END_DATE_INVALID)
        options = self._answers.options
        limit = max(1, min(params.integer("limit") or options.all_orders_default, options.all_orders_max))
        page = max(0, (params.integer("page") or options.first_page) - options.first_page)

        def matching() -> Iterator[codec.Row]:
            for order in reversed(call.account.orders.values()):
                created_ms = order.created_ms + call.skew_ms
                if order.wire_id < from_id or order.instrument.symbol != name:
                    continue
                if not start_s * 1000 <= created_ms < (end_s + 1) * 1000:
                    continue
                state = self._state(call, order)
                if state is not None:
                    yield self._dated_row(call, order, state)

        first = page * limit
        shift = call.spoils.shift if page else 0
        within: Iterator[codec.Row] = islice(matching(), options.all_orders_reach or None)
        if options.all_orders_first == "oldest":
            within = iter([*within][::-1])
        rows = list(islice(within, max(0, first - shift), max(limit, first + limit - shift)))
        if rows and shift:
            call.spoils.shifted()
        return json_response(200, codec.ok(call.spoils.thinned(rows)))

    @staticmethod
    def _state(call: Call, order: Order) -> tuple[int, Decimal, Status] | None:
        """The order as this request may see it; None if it may not see it yet."""
        if call.hide_ms and order.created_ms > call.now_ms - call.hide_ms:
            return None
        if call.lag_ms:
            return order.as_of(call.now_ms - call.lag_ms)
        return order.updated_ms, order.left, order.status

    def balances(self, call: Call) -> Response:
        as_of_ms = call.now_ms - call.lag_ms if call.lag_ms else None
        rows = codec.balance_rows(call.account, as_of_ms, call.venue_ms)
        if self._answers.options.decimal_comma:
            rows = [{name: _with_comma(name, value) for name, value in row.items()} for row in rows]
        return json_response(200, codec.ok(rows))

    def user_trades(self, call: Call) -> Response:
        params, account = call.params, call.account
        order_id = params.integer("orderId")
        kinds, assets = params.many("type"), [asset.upper() for asset in params.many("symbol")]
        symbol = params.one("pairSymbol")
        start_ms, end_ms = params.integer("startDate"), params.integer("endDate")
        if order_id is not None:
            if kinds or assets or symbol or start_ms is not None or end_ms is not None:
                return self._answers.refused(INVALID_REQUEST_ERROR)
            fills: Iterable[Fill] = reversed(account.fills_by_order.get(order_id, []))
        else:
            fills = reversed(account.fills)
        if start_ms is None:
            start_ms = call.venue_ms - _THIRTY_DAYS_MS
        if end_ms is None:
            end_ms = call.venue_ms
        elif end_ms < start_ms:
            return self._answers.refused(_START_DATE_END_DATE_INVALID)
        visible_ms = max(call.now_ms - self._engine.options.transactions_lag_ms, call.settled_ms)
        visible_ms = min(visible_ms, call.now_ms - max(call.lag_ms, call.hide_ms))
        wanted = {kind.lower() for kind in kinds}
        pair = normalize_symbol(symbol) if symbol else None
        rows: list[codec.Row] = []
        # A later page is one that ends before now: what came just after it slips into it.
        slipped: deque[codec.Row] = deque(maxlen=call.spoils.shift if params.one("endDate") else 0)
        rows_max, rounding = self._answers.options.trades_max, self._answers.options.amount_rounding
        for fill in fills:
            if len(rows) == rows_max:
                break
            stamp_ms = fill.time_ms + call.skew_ms
            if order_id is None and stamp_ms < start_ms:
                break
            if fill.time_ms > visible_ms or (order_id is None and stamp_ms > end_ms and not slipped.maxlen):
                continue
            one = fill.instrument
            if (wanted and fill.side.value not in wanted) or (pair is not None and one.symbol != pair):
                continue
            if assets and one.base not in assets and one.quote not in assets:
                continue
            row = self._fill_row(fill, call.skew_ms, rounding)
            if order_id is None and stamp_ms > end_ms:
                slipped.append(row)
            else:
                rows.append(row)
        if slipped:
            call.spoils.shifted()
            rows = [*slipped, *rows][:rows_max]
        if call.spoils is not UNSPOILED:
            rows = call.spoils.thinned(rows)
        return json_response(200, codec.ok(rows, message="SUCCESS"))

    def _fill_row(self, fill: Fill, skew_ms: int, rounding: str) -> codec.Row:
        """Clients read the same trades again and again: what was written of one is kept for a while."""
        kept = self._fill_rows.get(fill.id)
        if kept is not None and kept[0] is fill and kept[1:3] == (skew_ms, rounding):
            return kept[3]
        row = codec.fill_row(fill, skew_ms, amount_rounding=rounding)
        if len(self._fill_rows) >= _FILL_ROWS_MAX:
            self._fill_rows.clear()
        self._fill_rows[fill.id] = fill, skew_ms, rounding, row
        return row

    def crypto_transfers(self, call: Call) -> Response:
        return self._transfers(call, fiat=False)

    def fiat_transfers(self, call: Call) -> Response:
        return self._transfers(call, fiat=True)

    def _transfers(self, call: Call, *, fiat: bool) -> Response:
        params = call.params
        kinds = {kind.lower() for kind in params.many("type")}
        assets = {asset.upper() for asset in params.many("symbol")}
        start_ms = params.integer("startDate")
        end_ms = params.integer("endDate")
        options = self._answers.options
        if start_ms is None and options.transfer_filters == "with-start":
            kinds, assets = set(), set()
        start_ms = call.venue_ms - _THIRTY_DAYS_MS if start_ms is None else start_ms
        end_ms = call.venue_ms if end_ms is None else end_ms
        rows = []
        for transfer in reversed(call.account.transfers):
            stamp_ms = transfer.time_ms + call.skew_ms
            if (transfer.asset in FIAT) is not fiat or not start_ms <= stamp_ms <= end_ms:
                continue
            if transfer.time_ms > call.now_ms - call.lag_ms:
                continue
            row = codec.transfer_row(transfer, call.skew_ms, precise=options.precise_transfers == "present")
            if (kinds and row["balanceType"] not in kinds) or (assets and transfer.asset not in assets):
                continue
            rows.append(row)
        return json_response(200, codec.ok(call.spoils.thinned(rows), message="SUCCESS"))


def _with_comma(name: str, value: object) -> object:
    numeric = name in ("balance", "locked", "free", "orderFund", "requestFund")
    return value.replace(".", ",") if numeric and isinstance(value, str) else value
