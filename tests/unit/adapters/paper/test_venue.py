"""The paper venue: what it refuses, what trading costs there, and what holds whatever the market and the bot do."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import NOW_MS, an_instrument, an_order

from btcbot.adapters.paper.matching import Level, Levels, MarketTrade
from btcbot.adapters.paper.records import MemoryRecords
from btcbot.adapters.paper.venue import QuoteFillRules, Venue
from btcbot.domain import money
from btcbot.domain.fills import VenueTrade
from btcbot.domain.intents import Side
from btcbot.domain.orders import Order
from btcbot.domain.outcomes import Accepted, Refused
from btcbot.errors import InvariantBroken

RULES = QuoteFillRules(maker=Decimal("0.0012"), taker=Decimal("0.0024"))
ADA = an_instrument(price_min=Decimal(10), price_max=Decimal(1000))
OPENING = {"TRY": Decimal(10_000), "ADA": Decimal(100)}


def levels(*rows: tuple[str, str]) -> Levels:
    return tuple(Level(Decimal(price), Decimal(quantity)) for price, quantity in rows)


def a_venue(records: MemoryRecords | None = None) -> Venue:
    venue = Venue(records or MemoryRecords(OPENING), RULES)
    venue.show(ADA, levels(("99", "10")), levels(("101", "10")), NOW_MS)
    return venue


def held(venue: Venue, asset: str) -> tuple[Decimal, Decimal]:
    balance = venue.balances[asset]
    return balance.free, balance.locked


# -- what it takes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"price": "100.001"}, "FAILED_INVALID_PRICE_SCALE"),
        ({"quantity": "2.00001"}, "FAILED_INVALID_QUANTITY_SCALE"),
        ({"quantity": "0.9"}, "FAILED_MIN_TOTAL_AMOUNT"),
        ({"price": "1000.01"}, "ORDER_MAX_PRICE_EXCEEDED"),
        ({"price": "9.99", "quantity": "20"}, "ORDER_MIN_PRICE_EXCEEDED"),
        ({"quantity": "100"}, "BALANCE_NOT_ENOUGH"),  # 10,000 TRY, and the fee besides
        ({"side": Side.SELL, "quantity": "100.0001"}, "BALANCE_NOT_ENOUGH"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_order_that_btcturk_refuses_is_refused_in_its_words(wrong: dict[str, Any], code: str) -> None:
    venue = a_venue()
    made = venue.submit(an_order(**wrong), ADA, NOW_MS)
    assert isinstance(made, Refused)
    assert made.code == code
    assert venue.open_orders() == []
    assert held(venue, "TRY") == (Decimal(10_000), 0)


def test_a_pair_that_does_not_trade_takes_nothing() -> None:
    closed = msgspec.structs.replace(ADA, is_trading=False)
    assert isinstance(a_venue().submit(an_order(), closed, NOW_MS), Refused)


def test_an_id_that_came_before_is_a_broken_invariant() -> None:
    venue = a_venue()
    venue.submit(an_order(), ADA, NOW_MS)
    venue.commit()
    with pytest.raises(InvariantBroken, match="I1"):
        venue.submit(an_order(), ADA, NOW_MS)


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_a_buy_locks_its_value_with_the_takers_charge_and_a_cancel_gives_it_back() -> None:
    venue = a_venue()
    venue.submit(an_order(price="100", quantity="2"), ADA, NOW_MS)
    assert held(venue, "TRY") == (Decimal("9799.52"), Decimal("200.48"))
    assert venue.cancel(an_order(), NOW_MS + 1) == 0
    assert held(venue, "TRY") == (Decimal(10_000), 0)
    assert venue.cancel(an_order(), NOW_MS + 2) is None


def test_taking_costs_the_takers_rate_and_resting_the_makers_with_a_fifth_of_the_fee_as_tax() -> None:
    venue = a_venue()
    venue.submit(an_order(1, price="101", quantity="2"), ADA, NOW_MS)
    venue.submit(an_order(2, price="100", quantity="2"), ADA, NOW_MS)
    venue.trade(ADA, MarketTrade(NOW_MS + 5, Decimal(99), Decimal(80), Side.SELL), NOW_MS + 5)
    taken, rested = venue.commit()
    assert (taken.price, taken.fee, taken.tax) == (101, Decimal("0.404"), Decimal("0.0808"))  # 20 and 4 bps of 202
    assert (rested.price, rested.fee, rested.tax) == (100, Decimal("0.2"), Decimal("0.04"))  # 10 and 2 bps of 200
    assert held(venue, "TRY") == (10_000 - 202 - Decimal("0.4848") - 200 - Decimal("0.24"), 0)
    assert held(venue, "ADA") == (104, 0)
    assert venue.fees == Decimal("0.7248")


def test_an_account_emptied_to_the_last_digit_pays_the_charge_that_it_has() -> None:
    """Fee and tax, each rounded half up, cost a hundred-millionth more here than the order locked."""
    fine = an_instrument(quantity_scale=5)
    order = an_order(price="101.25", quantity="1.00001")
    value = Decimal("101.2510125")
    locked = money.round_up(value * Decimal("1.0024"), 8)
    venue = Venue(MemoryRecords({"TRY": locked}), RULES)
    venue.show(fine, levels(("99", "9")), levels(("101.25", "9")), NOW_MS)
    assert isinstance(venue.submit(order, fine, NOW_MS), Accepted)
    [fill] = venue.commit()
    assert (fill.fee, fill.tax) == (Decimal("0.20250203"), Decimal("0.04050040"))
    assert held(venue, "TRY") == (0, 0)


# -- public trades -----------------------------------------------------------------------------------------------------


def a_trade(number: int, at_ms: int, price: str = "99", quantity: str = "4") -> MarketTrade:
    return MarketTrade(at_ms, Decimal(price), Decimal(quantity), Side.SELL, f"{number}")


def test_a_trade_that_is_listed_again_is_used_once() -> None:
    venue = a_venue()
    venue.submit(an_order(quantity="50"), ADA, NOW_MS)
    first, second = a_trade(1, NOW_MS + 10), a_trade(2, NOW_MS + 10)
    assert venue.trades(ADA, [first], NOW_MS + 20) == 1
    assert venue.trades(ADA, [second, first], NOW_MS + 20) == 1
    assert venue.trades(ADA, [first, second], NOW_MS + 20) == 0


def test_a_trade_that_comes_late_is_left_out() -> None:
    venue = a_venue()
    venue.submit(an_order(quantity="50"), ADA, NOW_MS)
    assert venue.trades(ADA, [a_trade(2, NOW_MS + 10)], NOW_MS + 20) == 1
    assert venue.trades(ADA, [a_trade(1, NOW_MS + 9)], NOW_MS + 20) == 0


def test_trades_that_were_known_when_an_order_came_are_not_for_it() -> None:
    """Whatever our estimate of the venue's clock says."""
    venue = a_venue()
    venue.trades(ADA, [a_trade(1, NOW_MS + 500)], NOW_MS)
    venue.submit(an_order(quantity="50"), ADA, NOW_MS)
    assert venue.trades(ADA, [a_trade(1, NOW_MS + 500), a_trade(2, NOW_MS + 500)], NOW_MS + 600) == 0
    assert venue.trades(ADA, [a_trade(3, NOW_MS + 501)], NOW_MS + 600) == 1


def test_what_was_taken_of_a_pair_that_is_not_listed_for_a_while_is_not_forgotten() -> None:
    records = MemoryRecords(OPENING)
    venue = a_venue(records)
    venue.submit(an_order(1, price="101", quantity="10"), ADA, NOW_MS)  # all that is shown
    venue.commit()

    without = Venue(records, RULES)
    other = an_instrument("BTCTRY")
    without.list_pairs({"BTCTRY": other})
    without.submit(an_order(2, symbol="BTCTRY"), other, NOW_MS)
    without.commit()

    again = a_venue(records)
    again.submit(an_order(3, price="101", quantity="10"), ADA, NOW_MS)
    assert again.commit() == []


# -- whatever happens --------------------------------------------------------------------------------------------------


class Show(msgspec.Struct, frozen=True):
    bids: Levels
    asks: Levels


class Place(msgspec.Struct, frozen=True):
    side: Side
    price: Decimal
    quantity: Decimal


class Cancel(msgspec.Struct, frozen=True):
    which: int


class Restart(msgspec.Struct, frozen=True):
    pass


Step = Show | Place | Cancel | Restart | MarketTrade

_PRICES = st.integers(95, 105).map(Decimal)
_QUANTITIES = st.integers(1, 400_000).map(lambda units: Decimal(units).scaleb(-4))


@st.composite
def _books(draw: st.DrawFn) -> Show:
    """Two sides that do not cross, of one to three levels."""
    edge = draw(st.integers(96, 104))
    bids = sorted(draw(st.sets(st.integers(94, edge - 1), min_size=1, max_size=3)), reverse=True)
    asks = sorted(draw(st.sets(st.integers(edge, 106), min_size=1, max_size=3)))
    return Show(
        tuple(Level(Decimal(price), draw(_QUANTITIES)) for price in bids),
        tuple(Level(Decimal(price), draw(_QUANTITIES)) for price in asks),
    )


_SIZES = st.integers(11_000, 100_000).map(lambda units: Decimal(units).scaleb(-4))
_STEPS = st.lists(
    st.one_of(
        _books(),
        st.builds(Place, st.sampled_from(Side), _PRICES, _SIZES),
        st.builds(MarketTrade, st.just(0), _PRICES, _QUANTITIES, st.sampled_from([Side.BUY, Side.SELL, None])),
        st.builds(Cancel, st.integers(0, 9)),
    ),
    min_size=5,
    max_size=40,
)


class Played:
    """One run of the venue, every step of it checked from outside."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.records = MemoryRecords(OPENING)
        self.venue = Venue(self.records, RULES)
        self.placed: list[Order] = []
        self.fills: list[VenueTrade] = []
        self.filled: dict[str, Decimal] = {}
        self.shown = Show((), ())
        #: What was taken from each price of the book since it was last seen to be gone.
        self.taken: dict[tuple[Side, Decimal], Decimal] = {}
        for number, step in enumerate(steps, 1):
            self.at_ms = NOW_MS + 10 * number
            self.play(number, step)
            self.check_step(step, self.venue.commit())
            self.check_books()

    def play(self, number: int, step: Step) -> None:
        venue = self.venue
        if isinstance(step, Show):
            self.shown = step
            for side, rows in ((Side.BUY, step.bids), (Side.SELL, step.asks)):
                for key in [key for key in self.taken if key[0] is side and is_beyond(side, key[1], rows[0].price)]:
                    del self.taken[key]
            venue.show(ADA, step.bids, step.asks, self.at_ms)
        elif isinstance(step, MarketTrade):
            venue.trade(ADA, msgspec.structs.replace(step, at_ms=self.at_ms), self.at_ms)
        elif isinstance(step, Place):
            order = an_order(number, price=str(step.price), quantity=str(step.quantity), side=step.side)
            if isinstance(venue.submit(order, ADA, self.at_ms), Accepted):
                self.placed.append(order)
        elif isinstance(step, Cancel):
            if step.which < len(self.placed):
                venue.cancel(msgspec.structs.replace(self.placed[step.which], venue_order_id=None), self.at_ms)
        else:
            self.venue = Venue(self.records, RULES)
            if self.shown.bids:
                assert self.venue.show(ADA, self.shown.bids, self.shown.asks, self.at_ms) == 0, "nothing new was shown"

    def check_step(self, step: Step, fills: Sequence[VenueTrade]) -> None:
        """No fill without its cause, and no more of it than the market gave."""
        limits = {order.client_order_id: order for order in self.placed}
        for fill in fills:
            order = limits[fill.client_order_id or ""]
            assert fill.quantity > 0
            assert fill.price <= order.price if order.side is Side.BUY else fill.price >= order.price
            self.filled[order.client_order_id] = self.filled.get(order.client_order_id, money.ZERO) + fill.quantity
            assert self.filled[order.client_order_id] <= order.quantity
            assert ADA.is_on_lot(fill.quantity)
        self.fills += fills
        given = money.total(fill.quantity for fill in fills)
        if isinstance(step, MarketTrade):
            assert given <= step.quantity * RULES.trade_share
            assert all(fill.side is not step.taker for fill in fills)
            for fill in fills:
                assert step.price <= fill.price if fill.side is Side.BUY else step.price >= fill.price
        elif isinstance(step, Show | Place):
            for side in Side:  # `side` took from the other side of the book
                mine = [fill for fill in fills if fill.side is side]
                rows = self.shown.asks if side is Side.BUY else self.shown.bids
                of_book = Side.SELL if side is Side.BUY else Side.BUY
                worst = max(
                    (fill.price for fill in mine), key=lambda price: price if side is Side.BUY else -price, default=None
                )
                reached = [] if worst is None else [row for row in rows if not is_beyond(of_book, worst, row.price)]
                shown = money.total(row.quantity for row in reached)
                before = money.total(self.taken.get((of_book, row.price), money.ZERO) for row in reached)
                assert money.total(fill.quantity for fill in mine) <= shown, "more than is shown"
                self.note_taken(of_book, rows, mine, before)
        else:
            assert given == 0

    def note_taken(self, of_book: Side, rows: Levels, fills: Sequence[VenueTrade], before: Decimal) -> None:
        """Best level first, as the rules say; what was taken there before is not there again."""
        left = money.total(fill.quantity for fill in fills)
        for row in rows:
            free = ADA.quantity_down(max(row.quantity - self.taken.get((of_book, row.price), money.ZERO), money.ZERO))
            took = min(free, left)
            left -= took
            if took:
                self.taken[of_book, row.price] = self.taken.get((of_book, row.price), money.ZERO) + took
        assert left == 0, f"{left} were filled that nobody offered (taken before: {before})"

    def check_books(self) -> None:
        """Cash, inventory and fees come from the opening and the fills; locks from the open orders."""
        cash = OPENING["TRY"] - money.total(
            (fill.value if fill.side is Side.BUY else -fill.value) + fill.fee + fill.tax for fill in self.fills
        )
        coins = OPENING["ADA"] + money.total(
            fill.quantity if fill.side is Side.BUY else -fill.quantity for fill in self.fills
        )
        balances = self.venue.balances
        assert balances["TRY"].total == cash
        assert balances["ADA"].total == coins
        assert all(balance.free >= 0 and balance.locked >= 0 for balance in balances.values())
        open_orders = self.venue.open_paper_orders()
        for asset, balance in balances.items():
            assert balance.locked == money.total(one.locked for one in open_orders if one.locked_asset == asset)
        for row in self.venue.open_orders():
            assert row.executed_quantity == self.filled.get(row.client_order_id or "", money.ZERO)
        assert self.venue.fees == money.total(fill.fee + fill.tax for fill in self.fills)


def is_beyond(of_book: Side, price: Decimal, best: Decimal) -> bool:
    """Whether `price` is better than `best` on this side of the book."""
    return price > best if of_book is Side.BUY else price < best


@given(_STEPS)
@settings(max_examples=300, deadline=None)
def test_money_is_conserved_and_nothing_fills_that_the_market_did_not_give(steps: list[Step]) -> None:
    Played(steps)


@given(_STEPS)
@settings(max_examples=60, deadline=None)
def test_the_same_market_and_the_same_orders_give_the_same_fills(steps: list[Step]) -> None:
    assert Played(steps).fills == Played(steps).fills


@given(_STEPS, st.sets(st.integers(1, 40), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_a_restart_between_any_two_steps_changes_nothing(steps: list[Step], restarts: set[int]) -> None:
    once = Played(steps)
    broken: list[Step] = []
    for number, step in enumerate(steps):
        if number in restarts:
            broken.append(Restart())
        broken.append(step)
    again = Played(broken)
    facts = [(fill.side, fill.price, fill.quantity, fill.fee, fill.tax) for fill in once.fills]
    assert [(fill.side, fill.price, fill.quantity, fill.fee, fill.tax) for fill in again.fills] == facts
    assert again.venue.balances == once.venue.balances
