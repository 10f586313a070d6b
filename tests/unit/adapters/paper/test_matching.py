"""When the market fills an order that it never saw: a pair, its book, its public trades, and our orders."""

from __future__ import annotations

from decimal import Decimal

import pytest

from btcbot.adapters.paper.matching import Level, Levels, MarketTrade, Match, PairMatching, PaperOrder
from btcbot.domain.instrument import Instrument
from btcbot.domain.intents import Side
from btcbot.domain.money import plain

COIN = Instrument(
    symbol="COINTRY", base="COIN", quote="TRY", price_scale=2, quantity_scale=2, value_min=Decimal("99.91")
)
NOW_MS = 1_700_000_000_000


def levels(*rows: tuple[str, str]) -> Levels:
    return tuple(Level(Decimal(price), Decimal(quantity)) for price, quantity in rows)


def order(side: Side, price: str, quantity: str, number: int = 1) -> PaperOrder:
    return PaperOrder(
        number=number,
        venue_order_id=f"paper-{number}",
        client_order_id=f"btcbot-test-1-{number}",
        symbol="COINTRY",
        base="COIN",
        quote="TRY",
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        leaves=Decimal(quantity),
        placed_at_ms=NOW_MS,
        updated_at_ms=NOW_MS,
    )


def trade(price: str, quantity: str, taker: Side | None = Side.SELL, after_ms: int = 1) -> MarketTrade:
    return MarketTrade(NOW_MS + after_ms, Decimal(price), Decimal(quantity), taker)


def told(matches: list[Match]) -> list[tuple[str, str, str]]:
    """Client's number, price and quantity of each."""
    return [(one.order.client_order_id[-1], plain(one.price), plain(one.quantity)) for one in matches]


@pytest.fixture
def pair() -> PairMatching:
    """100 bid for ten, 101 asked for five, 102 for twenty; our orders get a quarter of a trade."""
    made = PairMatching(COIN, Decimal("0.25"))
    made.show(levels(("100", "10"), ("99", "30")), levels(("101", "5"), ("102", "20")))
    return made


# -- on arrival --------------------------------------------------------------------------------------------------------


def test_a_marketable_order_takes_what_is_shown_at_each_levels_price_and_the_rest_rests(pair: PairMatching) -> None:
    made = order(Side.BUY, "102", "30")
    assert told(pair.place(made)) == [("1", "101", "5"), ("1", "102", "20")]
    assert made.leaves == 5
    assert list(pair.resting) == [made]


def test_it_takes_nothing_beyond_its_limit(pair: PairMatching) -> None:
    made = order(Side.BUY, "101.99", "30")
    assert told(pair.place(made)) == [("1", "101", "5")]
    assert made.leaves == 25


def test_a_sell_takes_bids(pair: PairMatching) -> None:
    assert told(pair.place(order(Side.SELL, "99", "12"))) == [("1", "100", "10"), ("1", "99", "2")]


def test_what_we_took_from_a_level_is_not_there_a_second_time(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "101", "4"))
    assert told(pair.place(order(Side.BUY, "101", "4", 2))) == [("2", "101", "1")]
    shown_again = pair.show(levels(("100", "11")), levels(("101", "5"), ("102", "20")))
    assert shown_again == []  # order 2 waits at 101 for three more, and the five shown are all taken


def test_a_level_that_grew_has_as_much_more(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "101", "9"))
    assert told(pair.show(levels(("100", "10")), levels(("101", "7")))) == [("1", "101", "2")]


def test_a_level_that_went_and_came_back_is_a_new_one(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "101", "5"))
    pair.show(levels(("100", "10")), levels(("102", "20")))
    pair.show(levels(("100", "10")), levels(("101", "5")))
    assert told(pair.place(order(Side.BUY, "101", "5", 2))) == [("2", "101", "5")]


def test_a_book_without_quantities_gives_nothing() -> None:
    pair = PairMatching(COIN, Decimal("0.25"))
    pair.show(levels(("100", "0")), levels(("101", "0")))
    made = order(Side.BUY, "101", "1")
    assert pair.place(made) == []
    assert made.leaves == 1


def test_a_queue_whose_length_was_not_told_is_no_empty_queue() -> None:
    pair = PairMatching(COIN, Decimal("0.25"))
    pair.show(levels(("100", "0")), levels(("101", "0")))
    pair.place(order(Side.BUY, "100", "1"))
    assert pair.trade(trade("100", "400")) == []
    assert told(pair.trade(trade("99.99", "4"))) == [("1", "100", "1")]


def test_shown_fractions_below_a_lot_are_left() -> None:
    pair = PairMatching(COIN, Decimal("0.25"))
    pair.show(levels(("100", "1")), levels(("101", "1.009")))
    assert told(pair.place(order(Side.BUY, "101", "2"))) == [("1", "101", "1")]


# -- resting: public trades --------------------------------------------------------------------------------------------


def test_a_trade_through_the_price_fills_at_our_own_price_and_at_most_a_share(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "100", "50"))
    assert told(pair.trade(trade("99.99", "8"))) == [("1", "100", "2")]


def test_a_trade_at_the_price_first_serves_the_queue_that_stood_ahead(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "100", "50"))  # ten stand before it
    assert pair.trade(trade("100", "6")) == []
    assert told(pair.trade(trade("100", "6"))) == [("1", "100", "1.5")]  # two are beyond the queue, a share is 1.5
    assert told(pair.trade(trade("100", "1"))) == [("1", "100", "0.25")]


def test_no_more_than_was_left_behind_the_queue(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "100", "50"))
    assert told(pair.trade(trade("100", "10.5"))) == [("1", "100", "0.5")]


def test_the_first_in_the_spread_has_nobody_ahead(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "100.50", "50"))
    assert told(pair.trade(trade("100.50", "4"))) == [("1", "100.5", "1")]


def test_a_price_between_two_levels_has_nobody_ahead(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "99.50", "50"))
    assert told(pair.trade(trade("99.50", "4"))) == [("1", "99.5", "1")]


def test_where_the_queue_was_not_shown_a_touch_fills_nothing_until_it_is(pair: PairMatching) -> None:
    deep = order(Side.BUY, "98", "50")
    pair.place(deep)
    assert deep.ahead is None
    assert pair.trade(trade("98", "400")) == []
    pair.show(levels(("98", "40")), levels(("101", "5")))
    assert pair.trade(trade("98", "40")) == []
    assert told(pair.trade(trade("98", "4"))) == [("1", "98", "1")]


def test_a_trade_through_a_price_clears_its_queue(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "100", "50"))
    pair.trade(trade("99", "4"))
    assert told(pair.trade(trade("100", "4"))) == [("1", "100", "1")]


def test_one_trade_is_given_out_once_best_price_first_then_the_oldest(pair: PairMatching) -> None:
    for number, price in ((1, "100.10"), (2, "100.20"), (3, "100.10")):
        pair.place(order(Side.BUY, price, "3", number))
    assert told(pair.trade(trade("99", "16"))) == [("2", "100.2", "3"), ("1", "100.1", "1")]


def test_two_orders_behind_one_queue_share_what_is_left_of_a_trade(pair: PairMatching) -> None:
    for number in (1, 2):
        pair.place(order(Side.BUY, "100", "50", number))
    assert told(pair.trade(trade("100", "11"))) == [("1", "100", "1")]  # one is beyond the queue of ten


def test_a_trade_whose_taker_was_on_our_side_is_not_for_us(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "100.50", "50"))
    assert pair.trade(trade("100.40", "40", taker=Side.BUY)) == []


def test_of_a_trade_whose_taker_nobody_told_what_we_took_ourselves_is_not_counted(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "101", "7"))  # takes the five that are shown at 101
    assert pair.trade(trade("101", "5", taker=None)) == []
    assert told(pair.trade(trade("100.90", "4", taker=None))) == [("1", "101", "1")]


def test_a_trade_from_before_the_order_is_not_for_it(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "100.50", "50"))
    assert pair.trade(trade("99", "40", after_ms=0)) == []


def test_sells_are_filled_the_same_way_round(pair: PairMatching) -> None:
    pair.place(order(Side.SELL, "101", "50"))  # five stand before it
    assert pair.trade(trade("101", "5", taker=Side.BUY)) == []
    assert told(pair.trade(trade("101.01", "8", taker=Side.BUY))) == [("1", "101", "2")]
    assert pair.trade(trade("102", "80", taker=Side.SELL)) == []


# -- resting: books ----------------------------------------------------------------------------------------------------


def test_a_book_that_reaches_a_resting_order_trades_with_it_at_the_orders_own_price(pair: PairMatching) -> None:
    pair.place(order(Side.BUY, "100", "50"))
    assert told(pair.show(levels(("98", "9")), levels(("99", "3"), ("100", "4"), ("101", "9")))) == [
        ("1", "100", "3"),
        ("1", "100", "4"),
    ]


def test_a_level_that_reaches_two_of_our_orders_is_given_out_once(pair: PairMatching) -> None:
    for number in (1, 2):
        pair.place(order(Side.BUY, "100", "2", number))
    assert told(pair.show(levels(("98", "9")), levels(("99", "3")))) == [("1", "100", "2"), ("2", "100", "1")]


def test_a_cancelled_order_is_filled_by_nothing(pair: PairMatching) -> None:
    made = order(Side.BUY, "100.50", "50")
    pair.place(made)
    made.is_canceled = True
    pair.drop_closed()
    assert pair.trade(trade("90", "100")) == []
    assert pair.show(levels(("80", "1")), levels(("81", "100"))) == []
