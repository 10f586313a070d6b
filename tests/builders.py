"""Values for examples. Each builder gives a whole, plain value; a test names only what it is about.

One small market serves everywhere: ADATRY at a price of 100, prices on 0.01, quantities on 0.0001, orders of at least
99.91 TRY, a taker rate of 24 bps and a maker rate of 12 bps. Amounts are given as text, as a venue gives them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from btcbot.decisions.draft import DraftFacts
from btcbot.decisions.fees import FeeRates
from btcbot.domain import money
from btcbot.domain.account import AccountSnapshot, Balance
from btcbot.domain.cycles import CycleOutcome, CycleReport
from btcbot.domain.fills import Fill, VenueTrade
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Intent, Side
from btcbot.domain.ledger import Hold
from btcbot.domain.market import Quote
from btcbot.domain.orders import Order, OrderStatus, make_client_order_id
from btcbot.domain.positions import Position
from btcbot.domain.stance import FREE
from btcbot.domain.universe import Watched
from btcbot.domain.venue import Transfer, TransferKind, VenueOrder, VenueOrderStatus

#: The moment of every example, in Unix ms; our clock and the venue's agree unless a test says otherwise.
NOW_MS = 1_700_000_000_000
BOOK_ID = "k7f3"
RATES = FeeRates(maker=Decimal("0.0012"), taker=Decimal("0.0024"))


def base_of(symbol: str) -> str:
    return symbol.removesuffix("TRY")


def client_id(number: int = 1, book_id: str = BOOK_ID) -> str:
    return make_client_order_id(book_id, NOW_MS, number)


def an_instrument(symbol: str = "ADATRY", **changes: Any) -> Instrument:
    instrument = Instrument(
        symbol=symbol,
        base=base_of(symbol),
        quote="TRY",
        price_scale=2,
        quantity_scale=4,
        value_min=Decimal("99.91"),
    )
    return replace(instrument, **changes)


def a_quote(symbol: str = "ADATRY", bid: str = "99.95", ask: str = "100.05", **changes: Any) -> Quote:
    """A spread of 10 bps around a mid of 100, unless told otherwise."""
    quote = Quote(
        symbol=symbol,
        bid=Decimal(bid),
        bid_quantity=Decimal(1_000),
        ask=Decimal(ask),
        ask_quantity=Decimal(1_000),
        venue_time_ms=NOW_MS,
        received_at_ms=NOW_MS,
    )
    return replace(quote, **changes)


def an_account(**held: str | tuple[str, str]) -> AccountSnapshot:
    """`an_account(TRY="1000", ADA=("5", "2"))`: 1000 TRY free; 5 ADA free and 2 locked."""
    balances = {}
    for asset, amounts in held.items():
        free, locked = (amounts, "0") if isinstance(amounts, str) else amounts
        balances[asset] = Balance(asset, Decimal(free), Decimal(locked))
    return AccountSnapshot(balances=balances, asked_at_ms=NOW_MS, received_at_ms=NOW_MS)


def an_order(number: int = 1, price: str = "100", quantity: str = "2", filled: str = "0", **changes: Any) -> Order:
    """A buy of 2 ADA at 100 TRY, accepted. A status that the venue must have named has a venue order id."""
    status = changes.get("status", OrderStatus.ACCEPTED)
    unnamed = {
        OrderStatus.SUBMITTED,
        OrderStatus.UNKNOWN,
        OrderStatus.REFUSED_PROVISIONAL,
        OrderStatus.REJECTED,
        OrderStatus.NOT_PLACED,
        OrderStatus.DENIED,
        OrderStatus.SIMULATED,
    }
    order = Order(
        client_order_id=client_id(number),
        intent_id=f"intent-{number}",
        cycle_id="c1",
        strategy="example",
        symbol="ADATRY",
        side=Side.BUY,
        price=Decimal(price),
        quantity=Decimal(quantity),
        filled_quantity=Decimal(filled),
        status=OrderStatus.ACCEPTED,
        created_at_ms=NOW_MS,
        updated_at_ms=NOW_MS,
        stamp_ms=NOW_MS,
        venue_order_id=None if status in unnamed else f"v{number}",
    )
    return replace(order, **changes)


def an_intent(side: Side, quantity: str, price: str = "100", symbol: str = "ADATRY", number: int = 1) -> Intent:
    return Intent(
        intent_id=f"intent-{number}",
        cycle_id="c1",
        strategy="example",
        symbol=symbol,
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        why="an example",
    )


def a_buy(quantity: str, price: str = "100", symbol: str = "ADATRY") -> Intent:
    return an_intent(Side.BUY, quantity, price, symbol)


def a_sell(quantity: str, price: str = "100", symbol: str = "ADATRY") -> Intent:
    return an_intent(Side.SELL, quantity, price, symbol)


def a_position(symbol: str = "ADATRY", quantity: str = "0", cost: str = "0", **changes: Any) -> Position:
    return replace(Position(symbol=symbol, quantity=Decimal(quantity), cost=Decimal(cost)), **changes)


def draft_facts(*symbols: str, **changes: Any) -> DraftFacts:
    """What shapers see: `symbols` (ADATRY alone where none is named) at a mid of 100, 1000 TRY, nothing held, nothing
    ordered, nothing narrowed or tuned. With another account goes its own free cash."""
    names = symbols or ("ADATRY",)
    account = changes.get("account", an_account(TRY="1000"))
    facts = DraftFacts(
        cycle_id="c1",
        now_ms=NOW_MS,
        local_ms=NOW_MS,
        quote_asset="TRY",
        instruments={symbol: an_instrument(symbol) for symbol in names},
        quotes={symbol: a_quote(symbol) for symbol in names},
        account=account,
        positions={},
        open_orders=(),
        holds={},
        fee_rates=RATES,
        free_cash=account.free("TRY"),
        equity=None,
        universe=Watched(active=names, watched=names),
        stance=FREE,
    )
    return replace(facts, **changes)


def a_report(number: int = 1, **changes: Any) -> CycleReport:
    """Of a cycle of a live `run` that completed at once and had nothing to do, without a worth of the account."""
    report = CycleReport(
        cycle_id=f"c{number:08d}",
        number=number,
        mode="live",
        profile="run",
        outcome=CycleOutcome.COMPLETED,
        reasons=(),
        started_at_ms=NOW_MS,
        ended_at_ms=NOW_MS,
        counts={},
        gates={},
        quotes={},
        equity_try=None,
        realized_pnl_try=money.ZERO,
        unrealized_pnl_try=money.ZERO,
    )
    return replace(report, **changes)


def a_hold(order: Order, amount: str, asset: str = "TRY") -> Hold:
    return Hold(client_order_id=order.client_order_id, asset=asset, amount=Decimal(amount))


def a_trade(
    number: int = 1,
    side: Side = Side.BUY,
    quantity: str = "2",
    price: str = "100",
    fee: str = "0",
    tax: str = "0",
    **changes: Any,
) -> VenueTrade:
    """A trade of `an_order()` as the venue lists it."""
    trade = VenueTrade(
        trade_id=f"t{number}",
        venue_order_id="v1",
        client_order_id=client_id(1),
        symbol="ADATRY",
        base="ADA",
        quote="TRY",
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        tax=Decimal(tax),
        at_ms=NOW_MS,
    )
    return replace(trade, **changes)


def a_fill(
    side: Side = Side.BUY, quantity: str = "2", price: str = "100", fee: str = "0", tax: str = "0", **changes: Any
) -> Fill:
    fill = Fill(
        trade_id="t1",
        client_order_id=client_id(1),
        symbol="ADATRY",
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        tax=Decimal(tax),
        at_ms=NOW_MS,
    )
    return replace(fill, **changes)


def a_venue_order(order: Order, executed: str = "0", **changes: Any) -> VenueOrder:
    """`order` as the venue lists it, with `executed` of it done."""
    done = Decimal(executed)
    shown = VenueOrder(
        venue_order_id=order.venue_order_id or "v1",
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        method="limit",
        price=order.price,
        quantity=order.quantity,
        leaves_quantity=order.quantity - done,
        status=VenueOrderStatus.PARTIAL if done else VenueOrderStatus.UNTOUCHED,
        updated_at_ms=NOW_MS,
    )
    return replace(shown, **changes)


def a_transfer(amount: str, fee: str = "0", number: int = 1, asset: str = "TRY") -> Transfer:
    """A deposit (above zero) or a withdrawal (below); a higher number is a later one."""
    return Transfer(
        transfer_id=f"x{number}",
        kind=TransferKind.WITHDRAWAL if amount.startswith("-") else TransferKind.DEPOSIT,
        asset=asset,
        amount=Decimal(amount),
        fee=Decimal(fee),
        at_ms=NOW_MS + number,
    )


def decimals(least: str, most: str, places: int) -> st.SearchStrategy[Decimal]:
    """Every decimal between two bounds at exactly `places` decimals."""
    step = money.unit(places)
    return st.integers(int(Decimal(least) / step), int(Decimal(most) / step)).map(lambda number: number * step)
