"""What the exchange's own staff does to a market that is open: trades taken back, pairs closed, rules changed.

Nothing here asks a client. Each method is one step of the engine: what was due before it happens first, the books
are settled after it, and a ValueError means that nothing has changed.

    operations.bust(trade_id, now_ms)
    operations.set_cancel_only("BTCTRY", True, now_ms)
    operations.delist("BTCTRY", now_ms); operations.relist("BTCTRY", now_ms)
    operations.change_rules("BTCTRY", now_ms, quantity_scale=4)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, TypedDict, Unpack

from btcturk_sim.accounts import Account
from btcturk_sim.engine import Engine
from btcturk_sim.events import BookChanged, TradeBusted
from btcturk_sim.instruments import ALL_METHODS, SCALE_MAX, Instrument
from btcturk_sim.money import ZERO, exact, plain, step_of
from btcturk_sim.orders import Fill, Order, Side, Status
from btcturk_sim.pair import Pair

STATUS_TRADING: Final = "TRADING"


class Rules(TypedDict, total=False):
    """The rules of a pair that can change; what is left out stays.

    `price_scale` and `has_fraction` are what prices are judged by; `tick_size` is only shown. Where it is left out
    and the price scale changes, it follows.
    """

    quantity_scale: int
    price_scale: int
    has_fraction: bool
    tick_size: str
    min_exchange_value: Decimal
    order_methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Undo:
    """How one account's side of a match is taken back: changes of (asset, free, locked), and the order's new hold."""

    account: Account
    fill: Fill
    hold: Decimal | None
    posts: tuple[tuple[str, Decimal, Decimal], ...]


class Operations:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # --- trades -----------------------------------------------------------------------------------------------

    @exact
    def bust(self, trade_id: int, now_ms: int) -> tuple[Fill, ...]:
        """Take a trade back, on both sides if two accounts of this exchange made it with each other.

        Balances are as before the trade, commission and tax included. An order that is still open has the quantity to
        trade again, with the funds for it locked; one that has ended stays ended: Closed becomes Canceled, and the
        quantity counts as left. The trade is gone from all lists. Returns what was taken back, one fill per side.

        ValueError: there is no such trade, or somebody has spent what would have to be given back.
        """
        engine = self._engine
        engine.advance(now_ms)
        undos = [self._undo(account, fill) for account, fill in self._sides(trade_id)]
        self._refuse_overdraft(undos)
        for undo in undos:
            self._apply(undo, now_ms)
        fills = tuple(undo.fill for undo in undos)
        pair = engine.pairs[fills[0].instrument.symbol]
        printed = next((one for one in pair.trades if one.id == fills[0].match_id), None)
        if printed is not None:
            pair.trades.remove(printed)
        engine.settle()
        for undo in undos:
            engine.tell(TradeBusted(undo.account, undo.fill.order, undo.fill, now_ms))
        return fills

    def _sides(self, trade_id: int) -> list[tuple[Account, Fill]]:
        every = [(account, fill) for account in self._engine.books.accounts.values() for fill in account.fills]
        wanted = next((fill for _, fill in every if fill.id == trade_id), None)
        if wanted is None:
            raise ValueError(f"no trade {trade_id}; it was never made, was taken back before, or is too old")
        return [
            (account, fill)
            for account, fill in every
            if fill is wanted or (wanted.match_id is not None and fill.match_id == wanted.match_id)
        ]

    def _undo(self, account: Account, fill: Fill) -> _Undo:
        base, quote = fill.instrument.base, fill.instrument.quote
        gross, commission = fill.quantity * fill.price, fill.fee + fill.tax
        order = fill.order
        works_again = order is not None and order.status.is_open
        if fill.side is Side.SELL:
            locked = fill.quantity if works_again else ZERO
            hold = order.hold + locked if order is not None and works_again else None
            return _Undo(account, fill, hold, ((base, fill.quantity - locked, locked),
                                               (quote, commission - gross, ZERO)))  # fmt: skip
        hold, locked = None, ZERO
        if order is not None and works_again:
            hold = self._engine.hold_for(fill.instrument, order.price, order.left + fill.quantity, maker=order.resting)
            locked = hold - order.hold
        return _Undo(account, fill, hold, ((quote, gross + commission - locked, locked), (base, -fill.quantity, ZERO)))

    @staticmethod
    def _refuse_overdraft(undos: list[_Undo]) -> None:
        free: dict[tuple[str, str], Decimal] = {}
        for undo in undos:
            for asset, change, _ in undo.posts:
                spot = (undo.account.key, asset)
                free[spot] = free.get(spot, undo.account.balance(asset).free) + change
        for (key, asset), amount in free.items():
            if amount < 0:
                raise ValueError(f"{key} lacks {plain(-amount)} {asset} to give back: it is locked or spent")

    def _apply(self, undo: _Undo, now_ms: int) -> None:
        books, account, fill, order = self._engine.books, undo.account, undo.fill, undo.fill.order
        for asset, free, locked in undo.posts:
            books.post(account, asset, free, locked, now_ms)
        gross = fill.quantity * fill.price
        sign = 1 if fill.side is Side.BUY else -1
        books.post_counterparty(fill.instrument.base, sign * fill.quantity)
        books.post_counterparty(fill.instrument.quote, -sign * gross)
        books.post_commission(fill.instrument.quote, -fill.fee, -fill.tax)
        account.forget_fill(fill)
        if fill.side is Side.BUY:
            gained = fill.time_ms, fill.instrument.base, fill.quantity
        else:
            gained = fill.time_ms, fill.instrument.quote, gross - fill.fee - fill.tax
        if gained in account.just_filled:
            account.just_filled.remove(gained)
        if order is not None:
            self._unfill(order, fill, undo.hold, now_ms)

    @staticmethod
    def _unfill(order: Order, fill: Fill, hold: Decimal | None, now_ms: int) -> None:
        order.filled -= fill.quantity
        order.left += fill.quantity
        if order.budget is not None:
            order.budget += fill.quantity * fill.price
        rest = order.account.fills_by_order.get(fill.order_id, [])
        order.first_fill_price = next((one.price for one in rest if one.order is order), None)
        if hold is None:
            order.changed(now_ms, Status.CANCELED)
        else:
            order.hold = hold
            order.changed(now_ms, Status.PARTIAL if order.filled else Status.UNTOUCHED)

    # --- pairs ------------------------------------------------------------------------------------------------

    @exact
    def set_cancel_only(self, symbol: str, on: bool, now_ms: int, *, status: str = STATUS_TRADING) -> None:
        """Begin or end a phase in which nothing trades, new orders are refused and cancels work.

        Refused are limit orders as FAILED_LIMIT_ORDER, market orders as FAILED_MARKET_ORDER. `status` is what
        exchangeinfo shows meanwhile; the real exchange was never seen to show anything but TRADING.
        """
        self._engine.advance(now_ms)
        pair = self._engine.pairs[symbol]
        pair.cancel_only = on
        pair.status = status if on else STATUS_TRADING

    @exact
    def delist(self, symbol: str, now_ms: int) -> list[Order]:
        """Strike the pair off: its open orders are cancelled, no list has it, requests for it are errors.

        What accounts own and have traded stays. Returns the orders that were cancelled.
        """
        engine = self._engine
        engine.advance(now_ms)
        pair = engine.pairs[symbol]
        pair.delisted = True
        engine.instruments.pop(symbol, None)
        ended = [
            order
            for account in engine.books.accounts.values()
            for order in list(account.open_orders.values())
            if order.instrument.symbol == symbol
        ]
        for order in ended:
            engine.end(order, Status.CANCELED, now_ms)
        engine.settle()
        engine.tell(BookChanged(symbol, now_ms))
        return ended

    @exact
    def relist(self, symbol: str, now_ms: int) -> None:
        """Take the pair back into the lists, with the rules and the price it would have by now."""
        self._engine.advance(now_ms)
        pair = self._engine.pairs[symbol]
        pair.delisted = False
        self._engine.instruments[symbol] = pair.instrument
        self._engine.tell(BookChanged(symbol, now_ms))

    @exact
    def change_rules(self, symbol: str, now_ms: int, **rules: Unpack[Rules]) -> Instrument:
        """Judge new orders by other rules; resting orders stay as they are, and so do their rows in lists.

        ValueError: a scale outside 0–8, a minimum that is not above zero, an unknown order method, or a price step
        above the price.
        """
        self._engine.advance(now_ms)
        pair = self._engine.pairs[symbol]
        before = pair.instrument
        if "price_scale" in rules and "tick_size" not in rules:
            rules["tick_size"] = plain(step_of(_scale("price_scale", rules["price_scale"])))
        _scale("quantity_scale", rules.get("quantity_scale", 0))
        if rules.get("min_exchange_value", step_of(0)) <= 0:
            raise ValueError("min_exchange_value must be above 0")
        unknown = set(rules.get("order_methods", ())) - set(ALL_METHODS)
        if unknown:
            raise ValueError(f"no order method {', '.join(sorted(unknown))}; there are {', '.join(ALL_METHODS)}")
        after = replace(before, **rules)
        _refuse_steps_above_the_price(after, pair)
        pair.take_rules(after)
        if not pair.delisted:
            self._engine.instruments[symbol] = after
        self._engine.tell(BookChanged(symbol, now_ms))
        return after


def _scale(name: str, scale: int) -> int:
    if not 0 <= scale <= SCALE_MAX:
        raise ValueError(f"{name} {scale}: scales lie between 0 and {SCALE_MAX}")
    return scale


def _refuse_steps_above_the_price(rules: Instrument, pair: Pair) -> None:
    if rules.price_step > pair.price:
        raise ValueError(f"a price step of {plain(rules.price_step)} is above the price of {plain(pair.price)}")
