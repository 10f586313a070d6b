"""The synthetic levels of a book, as they are shown."""

from decimal import Decimal
from itertools import islice

import pytest

from btcturk_sim.book import BookOptions, SyntheticBook, noise_table
from btcturk_sim.instruments import instrument_for
from btcturk_sim.orders import Side

ADATRY = instrument_for("ADATRY", [Decimal("14.25")], 1)


def a_book(levels: int = 100, mid: str = "14.25") -> SyntheticBook:
    return SyntheticBook(
        ADATRY, Decimal(mid), Decimal(0), Decimal(20_000), BookOptions(levels=levels), noise_table(1), 31
    )


def one_by_one(book: SyntheticBook, side: Side, limit: int) -> list[tuple[Decimal, Decimal]]:
    return [(level.price, level.quantity) for level in islice(book.levels(side), limit)]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("limit", [1, 20, 100, 150])
def test_the_first_levels_are_those_that_come_one_by_one(side: Side, limit: int) -> None:
    shown = a_book().first(side, limit)
    assert shown == one_by_one(a_book(), side, limit)
    assert len(shown) == min(limit, 100)


def test_levels_that_were_taken_make_room_for_those_behind_them() -> None:
    book = a_book()
    behind = book.first(Side.SELL, 5)[2:]
    for _ in range(2):
        taken = book.best(Side.SELL)
        assert taken is not None
        taken.quantity = Decimal(0)
    assert book.first(Side.SELL, 5)[:3] == behind
    assert book.first(Side.SELL, 5) == one_by_one(book, Side.SELL, 5)


def test_bids_end_where_prices_would_fall_to_nothing() -> None:
    book = a_book(mid="0.05")
    shown = book.first(Side.BUY, 100)
    assert 0 < len(shown) < 100
    assert min(price for price, _ in shown) > 0
