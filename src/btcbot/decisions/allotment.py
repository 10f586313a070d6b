"""The allotment of one cycle: what is left of cash, room and caps for the wishes still to come, and what each may take.

`btcbot.decisions.allocation` says in which order wishes come here, and what becomes of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from btcbot.decisions.draft import DraftFacts
from btcbot.decisions.fees import hold_amount
from btcbot.decisions.risk import RefusedIntent
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.money import plain
from btcbot.domain.orders import WORKING, Order
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.replacements import replaces_another

#: Amounts of TRY that are divided, not booked, are told with this many decimals.
_TRY_PLACES: Final = 8
#: A wish is lifted to the minimum from this share of it on: what is smaller lies nearer to no order at all.
_LIFTED_FROM: Final = Decimal("0.5")


class UsageMode(StrEnum):
    """How much of what may be invested one cycle uses: all, a fraction of it, or no more than a cap."""

    USE_ALL = "use_all"
    FRACTION = "fraction"
    CAP = "cap"


class AllocationRules(msgspec.Struct, frozen=True, kw_only=True):
    """From settings. Amounts in TRY, rates as fractions; zero for `notional_per_intent_max` means no such limit.

    `cash_max` bounds the cash target that tuning may ask for. `fee_buffer` stands beside each buy; it counts as the
    taker rate where that is higher, since the venue locks that much. `rounding_buffer` stands beside each buy as well.
    `sell_profit_min`: gain above average cost, net of the taker fee, below which nothing is sold; None lets everything
    be sold, at a loss too.
    """

    cash_target: Decimal
    cash_max: Decimal
    usage: UsageMode
    usage_fraction: Decimal
    usage_cap: Decimal
    fee_buffer: Decimal
    rounding_buffer: Decimal
    position_per_symbol_max: Decimal
    notional_per_cycle_max: Decimal
    notional_per_intent_max: Decimal
    order_notional_min: Decimal
    orders_per_cycle_max: int
    cooldown_ms: int
    sell_profit_min: Decimal | None = None
    orders_are_replaced: bool = True


def investable(facts: DraftFacts, rules: AllocationRules) -> Decimal:
    """TRY that this cycle may put into buys, fees included; never negative.

    Funds of orders in doubt are not there: the venue may have locked them already, or may yet.
    """
    above = max(_above_reserve(facts, rules), money.ZERO)
    match rules.usage:
        case UsageMode.USE_ALL:
            return above
        case UsageMode.FRACTION:
            return money.round_down(above * rules.usage_fraction, _TRY_PLACES)
        case UsageMode.CAP:
            return min(above, rules.usage_cap)


def _above_reserve(facts: DraftFacts, rules: AllocationRules) -> Decimal:
    """Negative where the reserve itself is not whole."""
    doubtful = {order.client_order_id for order in facts.open_orders if order.is_in_doubt}
    held = money.total(
        hold.amount
        for hold in facts.holds.values()
        if hold.asset == facts.quote_asset and hold.client_order_id in doubtful
    )
    return facts.free_cash - held - _cash_kept(facts, rules)


def _cash_kept(facts: DraftFacts, rules: AllocationRules) -> Decimal:
    target = rules.cash_target if facts.tuning is None else min(facts.tuning.cash_target, rules.cash_max)
    return target + facts.stance.cash_kept


class _Cut(NamedTuple):
    """The most that may be ordered for one limit, why, and in which words."""

    quantity: Decimal
    code: ReasonCode
    detail: str


class Allotment:
    """What is left for the wishes still to come. Lives for one call."""

    def __init__(
        self, facts: DraftFacts, rules: AllocationRules, last_order_times_ms: Mapping[tuple[str, str], int]
    ) -> None:
        self._facts = facts
        self._rules = rules
        self._last_order_times_ms = last_order_times_ms
        self._investable = self._cash = investable(facts, rules)
        self._missing = max(-_above_reserve(facts, rules), money.ZERO)
        tuning = facts.tuning
        self._orders_max = rules.orders_per_cycle_max
        self._cycle_cap = rules.notional_per_cycle_max
        if tuning is not None:
            self._orders_max = min(self._orders_max, tuning.orders_per_cycle_max)
            self._cycle_cap = min(self._cycle_cap, tuning.turnover_per_cycle_max)
        self._cycle_room = self._cycle_cap
        self._orders = 0
        #: Share that stands beside each buy.
        self._beside = money.ONE + max(rules.fee_buffer, facts.fee_rates.taker)
        #: Bought in this cycle, with fee; what sells of this cycle take, in base.
        self._bought: dict[str, Decimal] = {}
        self._sold: dict[str, Decimal] = {}
        self._working: dict[tuple[str, Side], list[Order]] = {}
        if rules.orders_are_replaced:
            for order in facts.open_orders:
                if order.status in WORKING:
                    self._working.setdefault((order.symbol, order.side), []).append(order)

    def size(self, wish: Intent, *, may_lift: bool = True) -> Intent | RefusedIntent:
        """The wish as it may be ordered, on tick and lot, or why not. `may_lift`: to the least order, where it falls
        a little short; not what was made smaller for safety's sake."""
        instrument = self._facts.instruments.get(wish.symbol)
        if instrument is None:
            return RefusedIntent(wish, ReasonCode.RULES_UNAVAILABLE, f"the venue lists no rules for {wish.symbol}")
        if wish.symbol not in self._facts.quotes:
            return RefusedIntent(wish, ReasonCode.STALE_QUOTE, f"no usable quote of {wish.symbol}")
        if (waited := self._cooling(wish)) is not None:
            detail = f"{waited} ms since the last {wish.side}, {self._rules.cooldown_ms} ms wanted"
            return RefusedIntent(wish, ReasonCode.COOLDOWN, detail)
        is_buy = wish.side is Side.BUY
        price = instrument.price_down(wish.price) if is_buy else instrument.price_up(wish.price)
        asked = instrument.quantity_down(wish.quantity)
        if price <= 0 or wish.quantity <= 0:
            detail = f"{plain(wish.quantity)} at {plain(wish.price)} is no order"
            return RefusedIntent(wish, ReasonCode.NON_POSITIVE, detail)
        if not is_buy and (refusal := self._below_floor(wish, price)):
            return refusal

        cuts = self._buy_cuts(wish, instrument, price) if is_buy else self._sell_cuts(wish, instrument, price)
        tightest = min(cuts, key=lambda cut: cut.quantity)
        quantity = min(asked, tightest.quantity)
        least = self._least(instrument, price)
        if quantity < least:
            if tightest.quantity < least:
                detail = f"{tightest.detail}; the least order is {plain(least * price)}"
                return RefusedIntent(wish, tightest.code, detail)
            # What replaces another order is never more than was left of that one.
            if wish.quantity < least * _LIFTED_FROM or not may_lift or replaces_another(wish.intent_id):
                value, minimum = plain(wish.price * wish.quantity), plain(least * price)
                detail = f"{value} is too far below {minimum}, the least order"
                return RefusedIntent(wish, ReasonCode.ALLOCATION_MINIMUM, detail)
            quantity = least
        if not is_buy:
            quantity = self._without_rest(wish, instrument, price, quantity, least)
        if self._is_new(wish) and self._orders >= self._orders_max:
            detail = (
                f"{plain(price * quantity)} waits: {self._orders} larger orders, at most {self._orders_max} a cycle"
            )
            return RefusedIntent(wish, ReasonCode.DEFERRED, detail)
        return msgspec.structs.replace(wish, price=price, quantity=quantity, why=_told(wish, quantity, tightest))

    def take(self, sized: Intent) -> None:
        """Count an allowed wish against everything that is limited."""
        if self._is_new(sized):
            self._orders += 1
        self._cycle_room -= max(sized.value - self._working_value(sized), money.ZERO)
        if sized.side is Side.BUY:
            cost = sized.value * self._beside + self._rules.rounding_buffer
            self._cash -= max(cost - self._locked(sized), money.ZERO)
            self._bought[sized.symbol] = self._bought.get(sized.symbol, money.ZERO) + cost
        else:
            self._sold[sized.symbol] = self._sold.get(sized.symbol, money.ZERO) + sized.quantity
        # The order that works was counted with the first wish that speaks of it.
        self._working.pop((sized.symbol, sized.side), None)

    def _buy_cuts(self, wish: Intent, instrument: Instrument, price: Decimal) -> Sequence[_Cut]:
        def for_cost(cost: Decimal) -> Decimal:
            afforded = max(cost - self._rules.rounding_buffer, money.ZERO)
            return money.divide_down(afforded, price * self._beside, instrument.quantity_scale)

        kept = plain(_cash_kept(self._facts, self._rules))
        if instrument.quote != self._facts.quote_asset:
            no_cash = f"{wish.symbol} is paid in {instrument.quote}, only {self._facts.quote_asset} is allotted"
            return [_Cut(money.ZERO, ReasonCode.ALLOCATION_CASH, no_cash)]
        free = plain(self._facts.free_cash)
        cash = max(self._cash, money.ZERO)
        room = self._position_room(wish)
        position_max = plain(self._rules.position_per_symbol_max)
        return [
            _Cut(
                for_cost(cash + self._locked(wish)),
                ReasonCode.ALLOCATION_CASH,
                f"{plain(cash)} left to invest of {plain(self._investable)} ({free} free, {kept} kept)",
            ),
            _Cut(
                for_cost(room),
                ReasonCode.ALLOCATION_POSITION,
                f"{plain(room)} of room in {wish.symbol}, at most {position_max}",
            ),
            *self._caps(wish, instrument, price),
        ]

    def _sell_cuts(self, wish: Intent, instrument: Instrument, price: Decimal) -> Sequence[_Cut]:
        sellable = self._sellable(wish, instrument)
        return [
            _Cut(
                instrument.quantity_down(sellable),
                ReasonCode.NOTHING_TO_SELL,
                f"{plain(sellable)} {instrument.base} can be sold",
            ),
            *self._caps(wish, instrument, price),
        ]

    def _caps(self, wish: Intent, instrument: Instrument, price: Decimal) -> Sequence[_Cut]:
        """The caps on the value of any order."""
        room = max(self._cycle_room, money.ZERO)
        found = [
            _Cut(
                money.divide_down(room + self._working_value(wish), price, instrument.quantity_scale),
                ReasonCode.ALLOCATION_CYCLE_CAP,
                f"{plain(room)} left of {plain(self._cycle_cap)} a cycle",
            )
        ]
        if cap := self._rules.notional_per_intent_max:
            quantity = money.divide_down(cap, price, instrument.quantity_scale)
            found.append(_Cut(quantity, ReasonCode.ALLOCATION_INTENT_CAP, f"at most {plain(cap)} an order"))
        return found

    def _least(self, instrument: Instrument, price: Decimal) -> Decimal:
        """The smallest quantity that makes an order."""
        value = max(instrument.value_min, self._rules.order_notional_min)
        return max(money.divide_up(value, price, instrument.quantity_scale), instrument.lot)

    def _position_room(self, wish: Intent) -> Decimal:
        """What the symbol's cap leaves, with the position at the higher of cost and market, and what other open buys,
        and buys of this cycle, may add to it."""
        facts, symbol = self._facts, wish.symbol
        position = facts.positions.get(symbol)
        invested = money.ZERO
        if position is not None and position.quantity:
            invested = max(position.cost, position.quantity * facts.quotes[symbol].ask)
        own = {order.client_order_id for order in self._working.get((symbol, Side.BUY), ())}
        invested += money.total(
            hold_amount(Side.BUY, order.price, order.leaves_quantity, facts.fee_rates)
            for order in facts.open_orders
            if order.symbol == symbol and order.side is Side.BUY and order.client_order_id not in own
        )
        invested += self._bought.get(symbol, money.ZERO)
        return max(self._rules.position_per_symbol_max - invested, money.ZERO)

    def _sellable(self, wish: Intent, instrument: Instrument) -> Decimal:
        """Inventory that is ours, not on sale in another order, and free at the venue, or locked by the very order that
        the wish speaks of."""
        facts, symbol = self._facts, wish.symbol
        position = facts.positions.get(symbol)
        own = self._working.get((symbol, Side.SELL), [])
        mine = {order.client_order_id for order in own}
        on_sale = money.total(
            order.leaves_quantity
            for order in facts.open_orders
            if order.symbol == symbol and order.side is Side.SELL and order.client_order_id not in mine
        )
        in_doubt = money.total(
            order.leaves_quantity
            for order in facts.open_orders
            if order.symbol == symbol and order.side is Side.SELL and order.is_in_doubt
        )
        sold = self._sold.get(symbol, money.ZERO)
        held = position.quantity if position is not None else money.ZERO
        free = facts.account.free(instrument.base) - in_doubt + money.total(order.leaves_quantity for order in own)
        return max(min(held - on_sale, free) - sold, money.ZERO)

    def _without_rest(
        self, wish: Intent, instrument: Instrument, price: Decimal, quantity: Decimal, least: Decimal
    ) -> Decimal:
        """Where a sell of everything was cut, a rest that could never be sold is made one that can."""
        sellable = instrument.quantity_down(self._sellable(wish, instrument))
        rest = sellable - quantity
        if wish.quantity >= sellable and 0 < rest < least and quantity - (least - rest) >= least:
            return quantity - (least - rest)
        return quantity

    def _below_floor(self, wish: Intent, price: Decimal) -> RefusedIntent | None:
        position, wanted = self._facts.positions.get(wish.symbol), self._rules.sell_profit_min
        if wanted is None or position is None or not position.quantity:
            return None
        # price × (1 - taker) at least average cost × (1 + wanted), without dividing.
        gained = price * position.quantity * (money.ONE - self._facts.fee_rates.taker)
        floor = position.cost * (money.ONE + wanted)
        if gained >= floor:
            return None
        per_unit = (money.ONE - self._facts.fee_rates.taker) * position.quantity
        least = money.divide_up(floor, per_unit, _TRY_PLACES)
        detail = f"{plain(price)} is below {plain(least)}, cost with fee and {plain(wanted * 10_000)} bps"
        return RefusedIntent(wish, ReasonCode.SELL_FLOOR, detail)

    def _cooling(self, wish: Intent) -> int | None:
        """How long ago this side was last ordered, where that is too lately for a new order."""
        last_ms = self._last_order_times_ms.get((wish.symbol, wish.side.value))
        if last_ms is None or not self._is_new(wish):
            return None
        waited = self._facts.local_ms - last_ms
        return waited if waited < self._rules.cooldown_ms else None

    def _is_new(self, wish: Intent) -> bool:
        """Whether it would be one order more, and not one that works already."""
        return (wish.symbol, wish.side) not in self._working

    def _working_value(self, wish: Intent) -> Decimal:
        working = self._working.get((wish.symbol, wish.side), ())
        return money.total(order.price * order.leaves_quantity for order in working)

    def _locked(self, wish: Intent) -> Decimal:
        """Cash that the order locks which the wish speaks of, less what the reserve is short of."""
        working = self._working.get((wish.symbol, wish.side), ())
        locked = money.total(
            hold_amount(Side.BUY, order.price, order.leaves_quantity, self._facts.fee_rates) for order in working
        )
        return max(locked - self._missing, money.ZERO)


def _told(wish: Intent, quantity: Decimal, tightest: _Cut) -> str:
    """The strategy's reason, and what was done to its size."""
    if quantity > wish.quantity:
        return f"{wish.why}; lifted to the least order"
    if tightest.quantity < wish.quantity:
        return f"{wish.why}; cut: {tightest.detail}"
    return wish.why
