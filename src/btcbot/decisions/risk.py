"""RiskPolicy: which intents may become orders, and how large.

Rules are asked in a fixed order and each refusal names its rule, what was asked and what the limit is. Budgets shrink
from intent to intent inside one cycle: an allowed buy leaves less cash, less room and fewer slots for the next. The
number of orders a cycle may send is counted last, so that an intent that another rule refuses takes nobody's place.

Sells of inventory lower the risk; the daily loss limit, the cash reserve and the caps on what is invested therefore
stop buys only. The caps per order and per cycle count every order; a sell is cut to what they leave, so that a
position that has grown beyond them can still be sold in pieces.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions.fees import FeeRates, hold_amount
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.ledger import Hold
from btcbot.domain.market import Quote
from btcbot.domain.money import plain
from btcbot.domain.orders import Order
from btcbot.domain.positions import Position
from btcbot.domain.reasons import ReasonCode


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """From settings. Amounts in TRY; zero for `notional_per_order_max` means no such limit."""

    orders_per_cycle_max: int
    open_orders_per_symbol_max: int
    cooldown_ms: int
    order_notional_min: Decimal
    notional_per_cycle_max: Decimal
    notional_per_order_max: Decimal
    position_per_symbol_max: Decimal
    exposure_max: Decimal
    daily_loss_max: Decimal
    price_collar_bps: Decimal
    cash_reserve: Decimal


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What was allowed since the last tick of the timer: the caps of a cycle hold from tick to tick, the cycles that
    the feed wakes in between included."""

    orders: int = 0
    notional: Decimal = money.ZERO

    def plus(self, allowed: Sequence[Allowed]) -> Spent:
        if not allowed:
            return self
        return Spent(
            orders=self.orders + len(allowed),
            notional=self.notional + money.total([one.intent.value for one in allowed]),
        )


NOTHING_SPENT: Final = Spent()


class RiskFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the rules look at. `daily_pnl` is realised plus unrealised since midnight in Istanbul, None
    while a held symbol has never shown a price."""

    now_ms: int
    instruments: Mapping[str, Instrument]
    quotes: Mapping[str, Quote]
    unusable_quotes: Mapping[str, ReasonCode]
    account: AccountSnapshot
    open_orders: Sequence[Order]
    holds: Mapping[str, Hold]
    positions: Mapping[str, Position]
    last_order_times_ms: Mapping[tuple[str, str], int]
    daily_pnl: Decimal | None
    fee_rates: FeeRates
    spent: Spent = NOTHING_SPENT


class Allowed(msgspec.Struct, frozen=True):
    """The intent as it may be ordered: on tick and lot, perhaps smaller than wished."""

    intent: Intent
    detail: str


class RefusedIntent(msgspec.Struct, frozen=True):
    """The intent, the rule that refuses it, and what was asked against which limit."""

    intent: Intent
    code: ReasonCode
    detail: str


RiskDecision = Allowed | RefusedIntent


class _Budget:
    """What is left for the intents still to come. Lives for one evaluation."""

    def __init__(self, facts: RiskFacts) -> None:
        self.facts = facts
        self.free: dict[str, Decimal] = {}
        self.notional = facts.spent.notional
        self.orders = facts.spent.orders
        self.open_count: dict[str, int] = {}
        self.open_buys: dict[str, Decimal] = {}
        self.open_sells: dict[str, Decimal] = {}
        #: Symbols with an order in doubt, and the client order ids of such orders.
        self.in_doubt: set[str] = set()
        self.doubtful: set[str] = set()
        for order in facts.open_orders:
            self.open_count[order.symbol] = self.open_count.get(order.symbol, 0) + 1
            if order.is_in_doubt:
                self.in_doubt.add(order.symbol)
                self.doubtful.add(order.client_order_id)
            if order.side is Side.BUY:
                self._count_buy(
                    order.symbol, hold_amount(Side.BUY, order.price, order.leaves_quantity, facts.fee_rates)
                )
            else:
                self.open_sells[order.symbol] = self.open_sells.get(order.symbol, money.ZERO) + order.leaves_quantity

    def free_of(self, asset: str) -> Decimal:
        """The venue's free balance less the holds that the venue may not have locked yet (orders in doubt)."""
        free = self.free.get(asset)
        if free is None:
            free = self.facts.account.free(asset)
            if self.doubtful:
                held = [hold for hold in self.facts.holds.values() if hold.client_order_id in self.doubtful]
                free -= money.total(hold.amount for hold in held if hold.asset == asset)
            self.free[asset] = free = max(free, money.ZERO)
        return free

    def invested(self, symbol: str) -> Decimal:
        """Position at the higher of cost and market, plus what open buys may add: with their fee, as cost will be."""
        position = self.facts.positions.get(symbol)
        value = money.ZERO
        if position is not None and position.quantity:
            quote = self.facts.quotes.get(symbol)
            value = max(position.cost, position.quantity * quote.ask if quote else money.ZERO)
        return value + self.open_buys.get(symbol, money.ZERO)

    def exposure(self) -> Decimal:
        """What is invested in all symbols."""
        held = [symbol for symbol, position in self.facts.positions.items() if position.quantity]
        return money.total(map(self.invested, {*held, *self.open_buys} if self.open_buys else held))

    def sellable(self, instrument: Instrument) -> Decimal:
        """Inventory that is ours, not already on sale, and free at the venue (I14)."""
        position = self.facts.positions.get(instrument.symbol)
        mine = position.quantity if position else money.ZERO
        mine -= self.open_sells.get(instrument.symbol, money.ZERO)
        return max(min(mine, self.free_of(instrument.base)), money.ZERO)

    def take(self, intent: Intent, instrument: Instrument) -> None:
        """Count an allowed intent against everything that is limited."""
        asset = instrument.quote if intent.side is Side.BUY else instrument.base
        hold = hold_amount(intent.side, intent.price, intent.quantity, self.facts.fee_rates)
        self.free[asset] = self.free_of(asset) - hold
        self.orders += 1
        self.notional += intent.value
        self.open_count[intent.symbol] = self.open_count.get(intent.symbol, 0) + 1
        if intent.side is Side.BUY:
            self._count_buy(intent.symbol, hold)
        else:
            sells = self.open_sells.get(intent.symbol, money.ZERO)
            self.open_sells[intent.symbol] = sells + intent.quantity

    def _count_buy(self, symbol: str, cost: Decimal) -> None:
        self.open_buys[symbol] = self.open_buys.get(symbol, money.ZERO) + cost


class Room(msgspec.Struct, frozen=True):
    """What buys may still cost, fee included: all of them together, and those of each symbol."""

    whole: Decimal
    of_symbol: Mapping[str, Decimal]


def room_for_buys(facts: RiskFacts, limits: RiskLimits, symbols: Collection[str]) -> Room:
    """What the caps on what is invested, and on a cycle, leave. A buy that costs more is refused as a whole."""
    budget = _Budget(facts)
    whole = min(limits.notional_per_cycle_max - budget.notional, limits.exposure_max - budget.exposure())
    of_symbol = {symbol: limits.position_per_symbol_max - budget.invested(symbol) for symbol in symbols}
    return Room(
        whole=max(whole, money.ZERO), of_symbol={symbol: max(room, money.ZERO) for symbol, room in of_symbol.items()}
    )


def evaluate(intents: Sequence[Intent], facts: RiskFacts, limits: RiskLimits) -> Sequence[RiskDecision]:
    """One decision for each intent, in the order given."""
    budget = _Budget(facts)
    decisions: list[RiskDecision] = []
    for intent in intents:
        decision = _evaluate_one(intent, facts, limits, budget)
        if isinstance(decision, Allowed):
            budget.take(decision.intent, facts.instruments[intent.symbol])
        decisions.append(decision)
    return decisions


def _evaluate_one(intent: Intent, facts: RiskFacts, limits: RiskLimits, budget: _Budget) -> RiskDecision:
    def refuse(code: ReasonCode, detail: str) -> RefusedIntent:
        return RefusedIntent(intent, code, detail)

    symbol, is_buy = intent.symbol, intent.side is Side.BUY
    instrument = facts.instruments.get(symbol)
    if instrument is None:
        return refuse(ReasonCode.RULES_UNAVAILABLE, f"the venue lists no rules for {symbol}")
    if not (instrument.is_trading and instrument.takes_limit_orders):
        return refuse(ReasonCode.NOT_TRADING, f"{symbol} takes no limit orders now")
    quote = facts.quotes.get(symbol)
    if quote is None:
        code = facts.unusable_quotes.get(symbol, ReasonCode.STALE_QUOTE)
        return refuse(code, f"no usable quote of {symbol}")
    if symbol in budget.in_doubt:
        return refuse(ReasonCode.ORDER_IN_DOUBT, f"an earlier order of {symbol} is not yet proved placed or not placed")
    open_count = budget.open_count.get(symbol, 0)
    if open_count >= limits.open_orders_per_symbol_max:
        return refuse(
            ReasonCode.MAX_OPEN_ORDERS_PER_SYMBOL, f"{open_count} open, at most {limits.open_orders_per_symbol_max}"
        )
    last_ms = facts.last_order_times_ms.get((symbol, intent.side))
    if last_ms is not None and facts.now_ms - last_ms < limits.cooldown_ms:
        waited = facts.now_ms - last_ms
        return refuse(ReasonCode.COOLDOWN, f"{waited} ms since the last {intent.side}, {limits.cooldown_ms} ms wanted")

    # On tick and lot, never to our disadvantage: a buy rounds its price down, a sell up, a quantity always down.
    price = instrument.price_down(intent.price) if is_buy else instrument.price_up(intent.price)
    quantity = instrument.quantity_down(intent.quantity)
    if price <= money.ZERO or quantity <= money.ZERO:
        return refuse(ReasonCode.NON_POSITIVE, f"{plain(intent.quantity)} at {plain(intent.price)} rounds to nothing")
    notes: list[str] = []

    mid = quote.mid
    away = abs(price - mid)
    if away * 10_000 > limits.price_collar_bps * mid:
        away_bps = money.divide_half_even(away * 10_000, mid, 4)
        return refuse(
            ReasonCode.PRICE_COLLAR, f"{plain(away_bps)} bps from the mid, at most {plain(limits.price_collar_bps)}"
        )
    if (instrument.price_min is not None and price < instrument.price_min) or (
        instrument.price_max is not None and price > instrument.price_max
    ):
        return refuse(ReasonCode.PRICE_BAND, f"{plain(price)} is outside the venue's band")

    if limits.notional_per_order_max and price * quantity > limits.notional_per_order_max:
        quantity = money.divide_down(limits.notional_per_order_max, price, instrument.quantity_scale)
        notes.append(f"cut to {plain(limits.notional_per_order_max)} per order")
        if quantity <= money.ZERO:
            return refuse(ReasonCode.NOTIONAL_PER_ORDER, f"one lot is above {plain(limits.notional_per_order_max)}")
    if not is_buy:
        sellable = instrument.quantity_down(budget.sellable(instrument))
        if sellable <= money.ZERO:
            return refuse(ReasonCode.NO_INVENTORY, f"nothing of {instrument.base} to sell")
        if quantity > sellable:
            quantity = sellable
            notes.append(f"cut to the {plain(sellable)} that can be sold")

    room = limits.notional_per_cycle_max - budget.notional
    if not is_buy and price * quantity > room > money.ZERO:
        quantity = money.divide_down(room, price, instrument.quantity_scale)
        notes.append(f"cut to the {plain(room)} left of this cycle's cap")

    value = price * quantity
    least = max(instrument.value_min, limits.order_notional_min)
    if value < least:
        # What cut it comes first: else a wish of hundreds would seem to be refused for being small.
        too_small = f"{plain(value)} is below the minimum of {plain(least)}"
        return refuse(ReasonCode.MIN_NOTIONAL, "; ".join([*notes, too_small]))
    if is_buy and (refusal := _refuse_buy(intent, instrument, price, quantity, facts, limits, budget)):
        return refusal
    if budget.notional + value > limits.notional_per_cycle_max:
        asked = plain(budget.notional + value)
        return refuse(ReasonCode.NOTIONAL_CAP, f"{asked} in this cycle, at most {plain(limits.notional_per_cycle_max)}")
    if budget.orders >= limits.orders_per_cycle_max:
        return refuse(ReasonCode.MAX_ORDERS_PER_CYCLE, f"at most {limits.orders_per_cycle_max} orders in a cycle")
    return Allowed(msgspec.structs.replace(intent, price=price, quantity=quantity), "; ".join(notes))


def _refuse_buy(
    intent: Intent,
    instrument: Instrument,
    price: Decimal,
    quantity: Decimal,
    facts: RiskFacts,
    limits: RiskLimits,
    budget: _Budget,
) -> RefusedIntent | None:
    """The rules that only a buy can break: loss of the day, caps on what is invested, cash."""
    if facts.daily_pnl is None:
        return RefusedIntent(
            intent, ReasonCode.DAILY_LOSS, "a held symbol has no price yet, so today's loss is unknown"
        )
    if facts.daily_pnl <= -limits.daily_loss_max:
        lost, most = plain(-facts.daily_pnl), plain(limits.daily_loss_max)
        return RefusedIntent(intent, ReasonCode.DAILY_LOSS, f"{lost} lost today, at most {most}")
    cost = hold_amount(Side.BUY, price, quantity, facts.fee_rates)
    invested = budget.invested(intent.symbol) + cost
    if invested > limits.position_per_symbol_max:
        most = plain(limits.position_per_symbol_max)
        return RefusedIntent(intent, ReasonCode.POSITION_CAP, f"{plain(invested)} in {intent.symbol}, at most {most}")
    exposure = budget.exposure() + cost
    if exposure > limits.exposure_max:
        most = plain(limits.exposure_max)
        return RefusedIntent(intent, ReasonCode.EXPOSURE_CAP, f"{plain(exposure)} in all, at most {most}")
    spendable = budget.free_of(instrument.quote) - limits.cash_reserve
    if cost > spendable:
        return RefusedIntent(
            intent,
            ReasonCode.CASH_RESERVE,
            f"needs {plain(cost)} {instrument.quote} with fee; {plain(max(spendable, money.ZERO))} is free above the "
            f"reserve of {plain(limits.cash_reserve)}",
        )
    return None
